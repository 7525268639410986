//! Whether control is seen while the rings are full.

use super::case::{Ground, Outcome, ensure, text, within};
use crate::common::machine::quantile;
use crate::common::worker::{Busy, Worker};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Work enough for a handler that rings fill up, and little enough that a batch of 32 is done in some tens of microseconds.
const ROUNDS: u32 = 100;

/// Threads that keep a kernel's rings full.
struct Flood {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Flood {
    fn of(worker: &ActorRef<Worker>) -> Self {
        let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..2)
            .map(|_| {
                let (worker, stop, refused) = (worker.clone(), stop.clone(), refused.clone());
                std::thread::spawn(move || {
                    // Relaxed throughout: they only have to be seen some time.
                    while !stop.load(Ordering::Relaxed) {
                        match worker.try_tell(Busy { rounds: ROUNDS }) {
                            Ok(()) => {}
                            Err(refusal) if matches!(refusal.reason, RingKernelError::QueueFull { .. }) => {
                                refused.fetch_add(1, Ordering::Relaxed);
                                std::thread::yield_now();
                            }
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        Self { stop, refused, threads }
    }

    /// Waits until the rings are, or were again, full.
    fn wait_until_full(&self) -> Result<(), String> {
        let (before, begin) = (self.refused.load(Ordering::Relaxed), Instant::now());
        while self.refused.load(Ordering::Relaxed) == before {
            ensure(begin.elapsed() < Duration::from_secs(5), || "the ring does not fill".into())?;
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn launch(runtime: &RingKernel) -> Result<ActorRef<Worker>, String> {
    let options = LaunchOptions::default().queue_capacity(256);
    smol::block_on(ringkernel::__private::launch::<Worker>(runtime, options)).map_err(text)
}

/// One step of a kernel, timed.
fn step<T: Send + 'static>(
    worker: &ActorRef<Worker>,
    what: &str,
    run: impl AsyncFnOnce(ActorRef<Worker>) -> Result<T, RingKernelError> + Send + 'static,
) -> Result<Duration, String> {
    let worker = worker.clone();
    let (result, _) = within(Duration::from_secs(12), what, move || {
        let begin = Instant::now();
        smol::block_on(run(worker)).map(|_| begin.elapsed())
    })?;
    result.map_err(text)
}

pub fn seen_over_full_rings(ground: &Ground) -> Outcome {
    let runtime = ground.runtime()?;
    let count = ground.number("--steps", 20, 1000)?;
    let (mut suspends, mut snapshots, mut terminates) = (Vec::new(), Vec::new(), Vec::new());
    let worker = launch(&runtime)?;
    let flood = Flood::of(&worker);
    for _ in 0..count {
        flood.wait_until_full()?;
        suspends.push(step(&worker, "suspend", async |worker| worker.suspend().await)?);
        smol::block_on(worker.resume()).map_err(text)?;
        flood.wait_until_full()?;
        snapshots.push(step(&worker, "snapshot", async |worker| worker.snapshot::<Worker>(0).await)?);
    }
    smol::block_on(worker.terminate()).map_err(text)?;
    flood.end();
    for _ in 0..count {
        let worker = launch(&runtime)?;
        let flood = Flood::of(&worker);
        flood.wait_until_full()?;
        terminates.push(step(&worker, "terminate", async |worker| worker.terminate().await)?);
        flood.end();
    }
    let line = |name: &str, times: &mut [Duration]| {
        let (p50, p99) = (quantile(times, 0.5), quantile(times, 0.99));
        println!("{name:<9} p50 {p50:>10.2?}  p99 {p99:>10.2?}  worst {:>10.2?}", quantile(times, 1.0));
        p99
    };
    let suspend = line("suspend", &mut suspends);
    let snapshot = line("snapshot", &mut snapshots);
    let terminate = line("terminate", &mut terminates);
    if ground.on_gpu() {
        ensure(terminate <= Duration::from_millis(10), || {
            format!("terminate p99 {terminate:?}, not within 10 ms")
        })?;
        for (name, p99) in [("suspend", suspend), ("snapshot", snapshot)] {
            // Longer than 1 ms is a missed target and said below; longer than 10 is a fault.
            ensure(p99 <= Duration::from_millis(10), || format!("{name} p99 {p99:?}"))?;
        }
    }
    let target = if suspend.max(snapshot) <= Duration::from_millis(1) { "within" } else { "NOT within" };
    Ok(format!(
        "{count} times each over full rings, p99: terminate {terminate:?}, suspend {suspend:?}, snapshot {snapshot:?} ({target} 1 ms)"
    ))
}
