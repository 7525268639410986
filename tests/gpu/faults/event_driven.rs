//! Kernels that return when there is nothing to do, and come back with the next message.

use super::case::{Ground, Outcome, Random, ensure, text};
use crate::common::counting::{Counting, bytes_24::Counter};
use crate::common::machine::{eventually, quantile};
use crate::common::sender::{Sender, totals};
use crate::common::worker::{Echo, Worker};
use ringkernel::Mode;
use ringkernel::prelude::*;
use ringkernel_backends::abi::HasTerminated;
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_millis(5);

fn options() -> LaunchOptions {
    LaunchOptions::default().mode(Mode::EventDriven { idle_after: IDLE })
}

pub fn state_over_returns(ground: &Ground) -> Outcome {
    let returns = ground.number("--returns", 20, 1000)?;
    let runtime = ground.runtime()?;
    let worker =
        smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, options())).map_err(text)?;
    let mut times = Vec::new();
    for n in 0..returns as u32 {
        if ground.on_gpu() {
            let returned = eventually(Duration::from_secs(2), || {
                worker.control().has_terminated == HasTerminated::Relaunchable
            });
            ensure(returned, || format!("{n}: it does not return: {:?}", worker.control()))?;
        } else {
            // Kernels of other devices are not there while they are idle.
            std::thread::sleep(IDLE * 2);
        }
        let begin = Instant::now();
        let answer = worker.ask_blocking(Echo { n }).map_err(text)?;
        times.push(begin.elapsed());
        ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
        if n % 50 == 7 {
            // Steps of the lifecycle meet a kernel that is away, too.
            std::thread::sleep(IDLE * 2);
            smol::block_on(async {
                worker.suspend().await?;
                let state = worker.snapshot::<Worker>(0).await?;
                worker.resume().await?;
                Ok::<_, RingKernelError>(state)
            })
            .map_err(text)
            .and_then(|state| ensure(state.handled == n as u64 + 1, || format!("{n}: {state:?}")))?;
        }
    }
    let state = smol::block_on(worker.snapshot::<Worker>(0)).map_err(text)?;
    ensure(state.handled == returns, || format!("{returns} messages, {state:?}"))?;
    let counted = worker.control().messages_processed;
    ensure(counted == returns, || format!("{returns} messages, {counted} counted"))?;
    std::thread::sleep(IDLE * 2);
    smol::block_on(worker.terminate()).map_err(text)?;
    Ok(format!(
        "state kept over {returns} returns; ask of a kernel that is away: p50 {:?} p99 {:?}",
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99)
    ))
}

/// Sends that fall before, into and after the moment in which it returns.
pub fn sends_at_the_moment_of_return(ground: &Ground) -> Outcome {
    let rounds = ground.number("--rounds", 60, 2000)?;
    let runtime = ground.runtime()?;
    let counter = smol::block_on(Counter::start(&runtime, options().instances(8))).map_err(text)?;
    let senders: Vec<Result<Sender<Counter>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2u32)
            .map(|id| {
                let counter = &counter;
                scope.spawn(move || {
                    let mut random = Random(4711 + id as u64);
                    let mut sender = Sender::<Counter>::new(id, 8);
                    for _ in 0..rounds {
                        sender.tell(counter, 1 + random.below(20) as u32).map_err(text)?;
                        sender.ask(counter, random.below(2) as u32).map_err(text)?;
                        let micros = IDLE.as_micros() as u64 - 300 + random.below(600);
                        let until = Instant::now() + Duration::from_micros(micros);
                        std::thread::sleep(Duration::from_micros(micros - 300));
                        while Instant::now() < until {
                            std::hint::spin_loop();
                        }
                    }
                    Ok(sender)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a sender panicked".into())))
            .collect()
    });
    let senders: Vec<Sender<Counter>> = senders.into_iter().collect::<Result<_, _>>()?;
    let counted = totals(&counter).map_err(text)?;
    let sent: u64 = senders.iter().map(|sender| sender.sent).sum();
    let wrong: u64 = senders.iter().map(|sender| sender.wrong_replies).sum();
    ensure(counted.processed == sent && counted.is_clean() && wrong == 0, || {
        format!("{sent} sent, {counted:?}, {wrong} wrong replies")
    })?;
    Ok(format!("{sent} messages around {rounds} returns, none lost, none twice"))
}
