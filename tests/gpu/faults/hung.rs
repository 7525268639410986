//! A handler that never returns.

use super::case::{Ground, Outcome, ensure, text, within};
use crate::common::machine::quantile;
use crate::common::worker::{Busy, Echo, Forever, Worker};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use std::time::{Duration, Instant};

/// The times of so many asks, one after another.
pub fn latencies(worker: &ActorRef<Worker>, count: u32) -> Result<Vec<Duration>, String> {
    (0..count)
        .map(|n| {
            let begin = Instant::now();
            let answer = worker.ask_blocking(Echo { n }).map_err(text)?;
            ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
            Ok(begin.elapsed())
        })
        .collect()
}

fn launch(runtime: &RingKernel) -> Result<ActorRef<Worker>, String> {
    smol::block_on(ringkernel::__private::launch::<Worker>(runtime, LaunchOptions::default())).map_err(text)
}

fn is_hung(result: &Result<u32, RingKernelError>) -> bool {
    matches!(result, Err(RingKernelError::KernelHung { .. }))
}

pub fn a_handler_that_never_returns(ground: &Ground) -> Outcome {
    let runtime = ground.impatient()?;
    let (hung, others) = (launch(&runtime)?, [launch(&runtime)?, launch(&runtime)?]);
    let count = ground.number("--asks", 500, 20_000)? as u32;
    latencies(&others[0], count)?;
    let mut before = latencies(&others[0], count)?;

    let deadline = Duration::from_secs(2);
    let callers: Vec<_> = (0..3u32)
        .map(|i| {
            let hung = hung.clone();
            std::thread::spawn(move || {
                let begin = Instant::now();
                let result = smol::block_on(async {
                    match i {
                        0 => hung.ask_timeout(Forever { seed: 7 }, deadline).await,
                        // Handed over as well, and stuck behind it.
                        _ => {
                            smol::Timer::after(Duration::from_millis(50)).await;
                            hung.ask_timeout(Busy { rounds: i }, deadline).await
                        }
                    }
                });
                (result, begin.elapsed())
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let mut beside = latencies(&others[0], count)?;
    beside.extend(latencies(&others[1], count)?);
    let launched = Instant::now();
    let late = launch(&runtime)?;
    latencies(&late, 10)?;
    let launched = launched.elapsed();
    let mut longest = Duration::ZERO;
    for caller in callers {
        let (result, took) = caller.join().map_err(|_| "a caller panicked")?;
        ensure(is_hung(&result), || format!("a caller of the hung kernel got {result:?}"))?;
        ensure(took < deadline + Duration::from_secs(if ground.on_gpu() { 1 } else { 5 }), || {
            format!("a caller waited {took:?}")
        })?;
        longest = longest.max(took);
    }

    let to_end = hung.clone();
    let (ended, took) = within(Duration::from_secs(5), "terminate of the hung kernel", move || {
        smol::block_on(to_end.terminate())
    })?;
    ensure(ended.is_err(), || "the hung kernel was terminated".into())?;
    latencies(&others[1], 10)?;
    let (_, dropped) = within(Duration::from_secs(8), "the drop of the runtime", move || {
        drop((late, others, hung));
        drop(runtime);
    })?;
    let (p50, p99) = (quantile(&mut before, 0.5), quantile(&mut before, 0.99));
    let (beside50, beside99) = (quantile(&mut beside, 0.5), quantile(&mut beside, 0.99));
    // On the CPU the hung handler has one of the machine's few threads.
    let allowed = if ground.on_gpu() { p50 * 2 } else { p50 * 50 + Duration::from_millis(5) };
    ensure(beside50 <= allowed, || format!("others answer in {beside50:?} beside it, {p50:?} before"))?;
    Ok(format!(
        "callers told after {longest:?}; others p50 {p50:?} p99 {p99:?} before, {beside50:?} {beside99:?} beside it; a launch \
         beside it {launched:?}; terminate gave up after {took:?}, the drop took {dropped:?}"
    ))
}
