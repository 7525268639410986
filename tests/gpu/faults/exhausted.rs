//! What there is no room for: kernels, and memory for their rings.

use super::case::{Ground, Outcome, ensure, no_room, text};
use super::hung::latencies;
use crate::common::counting::{Counting, bytes_24::Counter};
use crate::common::worker::{Echo, Worker};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use std::time::Instant;

/// Launches until that fails, at most so many: then there is no error.
fn fill(
    runtime: &RingKernel,
    most: usize,
    options: impl Fn() -> LaunchOptions,
) -> (Vec<ActorRef<Worker>>, Option<RingKernelError>) {
    let mut workers = Vec::new();
    while workers.len() < most {
        match smol::block_on(ringkernel::__private::launch::<Worker>(runtime, options())) {
            Ok(worker) => workers.push(worker),
            Err(error) => return (workers, Some(error)),
        }
    }
    (workers, None)
}

/// All of them answer; then all are gone, and as many fit again.
fn all_answer_and_go(workers: Vec<ActorRef<Worker>>) -> Result<(), String> {
    for (n, worker) in workers.iter().enumerate() {
        let answer = worker.ask_blocking(Echo { n: n as u32 }).map_err(text)?;
        ensure(answer == n as u32 + 1, || format!("kernel {n} answered {answer}"))?;
    }
    workers.iter().try_for_each(|worker| smol::block_on(worker.terminate())).map_err(text)
}

pub fn launched_until_there_is_no_room(ground: &Ground) -> Outcome {
    let runtime = ground.runtime()?;
    let small = || LaunchOptions::default().queue_capacity(64);
    let begin = Instant::now();
    let (workers, error) = fill(&runtime, 2000, small);
    let error = error.ok_or("2000 kernels and still room")?;
    let (count, each) = (workers.len(), begin.elapsed() / workers.len().max(1) as u32);
    ensure(no_room(&error), || format!("after {count} kernels: {error}"))?;
    ensure(count >= 100, || format!("only {count} kernels, then: {error}"))?;
    let said = error.to_string();
    let names = ["resident", "worker", "Worker", &count.to_string()];
    ensure(names.iter().any(|name| said.contains(name)), || {
        format!("it does not say what is resident: {said}")
    })?;
    println!("{said}");
    all_answer_and_go(workers)?;
    let (again, _) = fill(&runtime, 2000, small);
    ensure(again.len() == count, || format!("{count} kernels the first time, {} the second", again.len()))?;
    all_answer_and_go(again)?;
    Ok(format!("{count} kernels at once, twice; {each:?} a launch"))
}

/// Sets how much address space this process may have, or gives it back.
fn limit_address_space(to: Option<u64>) -> Result<(), String> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for it.
    ensure(unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0, || "getrlimit failed".into())?;
    limit.rlim_cur = to.unwrap_or(limit.rlim_max).min(limit.rlim_max);
    // SAFETY: `limit` is valid; only the soft limit changes.
    ensure(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } == 0, || "setrlimit failed".into())
}

/// Address space in use.
fn address_space() -> Result<u64, String> {
    let text_of = std::fs::read_to_string("/proc/self/statm").map_err(text)?;
    let pages: u64 = text_of.split(' ').next().and_then(|pages| pages.parse().ok()).ok_or("no statm")?;
    Ok(pages * 4096)
}

/// Not the machine's memory is exhausted, but what this process is allowed: pinned memory needs address space, and the limit to
/// that refuses as the end of memory would, where the driver takes it from the system at that moment. Some gigabytes at most.
pub fn rings_until_there_is_no_memory(ground: &Ground) -> Outcome {
    let runtime = ground.runtime()?;
    let small = smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, LaunchOptions::default()));
    let small = small.map_err(text)?;
    latencies(&small, 1000)?;
    // 2^18 slots of 320 bytes, both ways, four times: 640 MiB a kernel.
    let large = || LaunchOptions::default().queue_capacity(1 << 18).instances(4).shards(4);
    limit_address_space(Some(address_space()? + (2 << 30)))?;
    let (workers, error) = fill(&runtime, 8, large);
    limit_address_space(None)?;
    let count = workers.len();
    if let Some(error) = &error {
        println!("{error}");
        ensure(no_room(error), || {
            format!("after {count} kernels it is not for want of memory that: {error}")
        })?;
    }
    latencies(&small, 1000)?;
    all_answer_and_go(workers)?;
    let after = smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, large())).map_err(text)?;
    latencies(&after, 100)?;
    // Four billion states of 56 bytes are more than any GPU has.
    let absurd = LaunchOptions::default().instances(u32::MAX);
    let refused = smol::block_on(Counter::start(&runtime, absurd)).map(drop);
    ensure(refused.as_ref().is_err_and(no_room), || format!("4 billion instances: {refused:?}"))?;
    latencies(&after, 100)?;
    Ok(match error {
        Some(_) => format!(
            "{count} kernels with large rings, then refused; all answer, and it works again afterwards"
        ),
        None => format!(
            "{count} kernels with 640 MiB of rings each; the limit to the address space does not bind pinned memory here"
        ),
    })
}
