//! Several runtimes in one process, and the end of one.

use super::case::{Ground, Outcome, ensure, text, within};
use super::hung::latencies;
use crate::common::counting::{Counting, bytes_24::Counter};
use crate::common::sender::{Sender, totals};
use crate::common::worker::{Busy, Echo, Worker};
use ringkernel::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub fn two_at_once_and_in_turns(ground: &Ground) -> Outcome {
    let rounds = ground.number("--rounds", 5, 50)?;
    // In turns.
    for _ in 0..rounds {
        let runtime = ground.runtime()?;
        let worker =
            smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, LaunchOptions::default()));
        latencies(&worker.map_err(text)?, 20)?;
    }
    // At once: one lives, others come and go beside it, under load.
    let lasting = ground.runtime()?;
    let options = || LaunchOptions::default().instances(64);
    let counter = smol::block_on(Counter::start(&lasting, options())).map_err(text)?;
    let stop = AtomicBool::new(false);
    let (sent, gone) = std::thread::scope(|scope| -> Result<_, String> {
        let load = scope.spawn(|| {
            let mut sender = Sender::<Counter>::new(0, 64);
            // Relaxed: it only has to be seen some time.
            while !stop.load(Ordering::Relaxed) {
                sender.tell(&counter, 500)?;
                sender.ask(&counter, 20)?;
            }
            Ok::<_, RingKernelError>(sender)
        });
        let beside = || -> Result<Duration, String> {
            let mut longest = Duration::ZERO;
            for _ in 0..rounds {
                let other = ground.runtime()?;
                let counter = smol::block_on(Counter::start(&other, options())).map_err(text)?;
                let mut sender = Sender::<Counter>::new(1, 64);
                sender.tell(&counter, 500).map_err(text)?;
                sender.ask(&counter, 100).map_err(text)?;
                let counted = totals(&counter).map_err(text)?;
                ensure(counted.processed == sender.sent && counted.is_clean(), || format!("{counted:?}"))?;
                sender.tell(&counter, 500).map_err(text)?;
                let (_, took) =
                    within(Duration::from_secs(10), "the drop of a runtime", move || drop((counter, other)))?;
                longest = longest.max(took);
            }
            Ok(longest)
        };
        let gone = beside();
        stop.store(true, Ordering::Relaxed);
        let sender = load.join().map_err(|_| "the load panicked")?.map_err(text)?;
        Ok((sender, gone?))
    })?;
    let counted = totals(&counter).map_err(text)?;
    ensure(
        counted.processed == sent.sent && counted.is_clean() && counted.checksum == sent.checksum,
        || format!("{} sent, {counted:?}", sent.sent),
    )?;
    ensure(sent.wrong_replies == 0, || format!("{} wrong replies", sent.wrong_replies))?;
    Ok(format!(
        "{rounds} in turns, {rounds} beside one under load ({} messages, all there); the slowest drop {gone:?}",
        sent.sent
    ))
}

pub fn dropped_under_load(ground: &Ground) -> Outcome {
    let rounds = ground.number("--rounds", 5, 40)?;
    let (mut longest, mut told) = (Duration::ZERO, Duration::ZERO);
    let (mut answered, mut refused) = (0u64, 0u64);
    for round in 0..rounds {
        let runtime = ground.runtime()?;
        let options = LaunchOptions::default().instances(16).queue_capacity(64);
        let worker =
            smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, options)).map_err(text)?;
        let tasks: Vec<_> = (0..6u32)
            .map(|task| {
                let worker = worker.clone();
                std::thread::spawn(move || {
                    let mut answers = 0u64;
                    for n in 0.. {
                        let to = worker.at(n % 16).map_err(text)?;
                        let result = match task {
                            0 | 1 => smol::block_on(to.tell(Busy { rounds: 100 })),
                            2 => to.ask_blocking(Echo { n }).map(|_| answers += 1),
                            _ => smol::block_on(futures::future::try_join_all(
                                (0..16).map(|_| to.ask(Echo { n })),
                            ))
                            .map(|all| answers += all.len() as u64),
                        };
                        match result {
                            Ok(()) => {}
                            Err(RingKernelError::Terminated { .. }) => return Ok((answers, Instant::now())),
                            Err(other) => return Err(format!("a task was told: {other}")),
                        }
                    }
                    Err("endless".to_owned())
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(5 + round % 7 * 3));
        let begin = Instant::now();
        let (_, took) = within(Duration::from_secs(10), "the drop of the runtime", move || drop(runtime))?;
        longest = longest.max(took);
        for task in tasks {
            let (result, _) =
                within(Duration::from_secs(5), "a task of a runtime that is gone", move || task.join())?;
            let (answers, at) = result.map_err(|_| "a task panicked")??;
            answered += answers;
            refused += 1;
            told = told.max(at.saturating_duration_since(begin));
        }
        let late = worker.ask_blocking(Echo { n: 1 });
        ensure(matches!(late, Err(RingKernelError::Terminated { .. })), || format!("afterwards: {late:?}"))?;
        ensure(worker.pending() == 0, || format!("{} requests are still pending", worker.pending()))?;
    }
    Ok(format!(
        "{rounds} runtimes dropped: the slowest drop {longest:?}, the last of {refused} tasks told after {told:?}, {answered} asks answered"
    ))
}
