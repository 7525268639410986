//! Ring positions that wrap.

use super::case::{Ground, Outcome, ensure, text};
use crate::common::counting::{Counting, bytes_24, bytes_200};
use crate::common::sender::{Sender, totals};
use ringkernel::prelude::*;

fn across<A: Counting>(runtime: &RingKernel, messages: u64, wrap: u64) -> Result<u64, String> {
    // Two shards would each see half of the messages: each begins so long before the wrap as to cross it well within them.
    let first = wrap.wrapping_sub(messages / 8);
    let options = LaunchOptions::default().instances(4).queue_capacity(256).first_position(first);
    let counter = smol::block_on(A::start(runtime, options)).map_err(text)?;
    let senders: Vec<Result<Sender<A>, RingKernelError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|id| {
                let counter = &counter;
                scope.spawn(move || {
                    let mut sender = Sender::<A>::new(id, 4);
                    while sender.sent < messages / 2 {
                        sender.tell(counter, 900)?;
                        sender.ask(counter, 100)?;
                    }
                    Ok(sender)
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let senders: Vec<Sender<A>> = senders.into_iter().collect::<Result<_, _>>().map_err(text)?;
    let counted = totals(&counter).map_err(text)?;
    let sent: u64 = senders.iter().map(|sender| sender.sent).sum();
    let checksum = senders.iter().fold(0u32, |sum, sender| sum.wrapping_add(sender.checksum));
    let wrong: u64 = senders.iter().map(|sender| sender.wrong_replies).sum();
    ensure(senders.len() == 2 && wrong == 0, || format!("{wrong} wrong replies"))?;
    ensure(counted.processed == sent && counted.is_clean() && counted.checksum == checksum, || {
        format!("from {first:#x}, {} B: {sent} sent, {counted:?}", A::BYTES)
    })?;
    ensure(counter.pending() == 0, || format!("{} pending", counter.pending()))?;
    smol::block_on(counter.terminate()).map_err(text)?;
    Ok(sent)
}

fn both_sizes(ground: &Ground, wrap: u64) -> Outcome {
    let messages = ground.number("--messages", 20_000, 1_000_000)?;
    let runtime = ground.runtime()?;
    let small = across::<bytes_24::Counter>(&runtime, messages, wrap)?;
    let large = across::<bytes_200::Counter>(&runtime, messages, wrap)?;
    Ok(format!("{small} messages of one slot and {large} of several across it, none lost, none twice"))
}

pub fn wrap_at_32_bits(ground: &Ground) -> Outcome {
    both_sizes(ground, 1 << 32)
}

pub fn wrap_at_64_bits(ground: &Ground) -> Outcome {
    both_sizes(ground, 0)
}
