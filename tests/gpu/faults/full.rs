//! Rings that stay full.

use super::case::{Ground, Outcome, ensure, text, within};
use crate::common::counting::{Counting, bytes_24::Counter};
use crate::common::machine::eventually;
use crate::common::sender::{Sender, totals};
use crate::common::worker::{Echo, Worker};
use ringkernel::prelude::*;
use std::time::{Duration, Instant};

pub fn rings_full_for_long(ground: &Ground) -> Outcome {
    let seconds = ground.number("--full-seconds", 1, 60)?;
    let each = ground.number("--messages", 2_000, 100_000)? as u32;
    let runtime = ground.runtime()?;
    let options = LaunchOptions::default().instances(4).queue_capacity(64).without_auto_activate();
    let counter = smol::block_on(Counter::start(&runtime, options)).map_err(text)?;

    let doomed_options = LaunchOptions::default().queue_capacity(64).without_auto_activate();
    let doomed =
        smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, doomed_options)).map_err(text)?;
    while doomed.try_tell(Echo { n: 0 }).is_ok() {}
    let refused: Vec<_> = (0..4u32)
        .map(|i| {
            let doomed = doomed.clone();
            std::thread::spawn(move || match i % 2 {
                0 => smol::block_on(doomed.tell(Echo { n: i })),
                _ => doomed.ask_blocking(Echo { n: i }).map(drop),
            })
        })
        .collect();

    // Senders that block, and senders that are tasks; none of them finishes before the kernel is active.
    let senders: Vec<_> = (0..6u32)
        .map(|id| {
            let counter = counter.clone();
            std::thread::spawn(move || {
                let mut sender = Sender::<Counter>::new(id, 4);
                while sender.sent < each as u64 {
                    let left = each - sender.sent as u32;
                    sender.tell(&counter, left.min(700))?;
                    sender.ask(&counter, left.saturating_sub(700).min(100))?;
                }
                Ok::<_, RingKernelError>(sender)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(seconds));
    ensure(senders.iter().all(|sender| !sender.is_finished()), || {
        "a sender found room in a full ring".into()
    })?;
    ensure(counter.control().messages_processed == 0, || {
        "a kernel that is not active processed messages".into()
    })?;

    let one = counter.clone();
    let (state, looked) =
        within(Duration::from_secs(5), "snapshot", move || smol::block_on(one.snapshot::<Counter>(3)))?;
    state.map_err(text)?;
    let begin = Instant::now();
    let one = doomed.clone();
    let (ended, terminated) =
        within(Duration::from_secs(5), "terminate", move || smol::block_on(one.terminate()))?;
    ended.map_err(text)?;
    for sender in refused {
        let (result, _) =
            within(Duration::from_secs(2), "a sender to a terminated kernel", move || sender.join())?;
        let result = result.map_err(|_| "a sender panicked")?;
        ensure(matches!(result, Err(RingKernelError::Terminated { .. })), || {
            format!("it was told {result:?}")
        })?;
    }
    let told = begin.elapsed();

    let begin = Instant::now();
    smol::block_on(counter.activate()).map_err(text)?;
    let mut sent = 0;
    let mut checksum = 0u32;
    for sender in senders {
        let (result, _) =
            within(Duration::from_secs(60), "a sender to an active kernel", move || sender.join())?;
        let sender = result.map_err(|_| "a sender panicked")?.map_err(text)?;
        ensure(sender.wrong_replies == 0, || format!("{} wrong replies", sender.wrong_replies))?;
        sent += sender.sent;
        checksum = checksum.wrapping_add(sender.checksum);
    }
    let counted = totals(&counter).map_err(text)?;
    let drained = begin.elapsed();
    ensure(counted.processed == sent && counted.is_clean() && counted.checksum == checksum, || {
        format!("{sent} sent, {counted:?}")
    })?;
    ensure(eventually(Duration::from_secs(5), || counter.pending() == 0), || {
        format!("{} pending", counter.pending())
    })?;
    Ok(format!(
        "full for {seconds} s: snapshot {looked:?}, terminate {terminated:?} (its senders told after {told:?}); then all {sent} messages \
         of 6 senders in {drained:?}, none lost"
    ))
}
