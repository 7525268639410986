//! Processes that end, or double, beside resident kernels.

use super::case::{Ground, Outcome, Random, ensure, process, text, wait, within};
use super::hung::latencies;
use crate::common::worker::{Busy, Echo, Worker};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel_tests::machine::backend_name;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

fn launch(runtime: &RingKernel, instances: u32) -> Result<ActorRef<Worker>, String> {
    let options = LaunchOptions::default().instances(instances);
    smol::block_on(ringkernel::__private::launch::<Worker>(runtime, options)).map_err(text)
}

/// A process that opens, allocates, launches and answers.
pub fn launches_and_answers(ground: &Ground) -> Outcome {
    let begin = Instant::now();
    let runtime = ground.runtime()?;
    let opened = begin.elapsed();
    let worker = launch(&runtime, 100_000)?;
    latencies(&worker, 100)?;
    smol::block_on(worker.terminate()).map_err(text)?;
    smol::block_on(runtime.shutdown()).map_err(text)?;
    Ok(format!("opened after {opened:?}, answered after {:?}", begin.elapsed()))
}

/// A process with eight kernels and much to do, for somebody to kill.
pub fn under_load_for_ever(ground: &Ground) -> Outcome {
    let runtime = ground.runtime()?;
    let workers: Vec<_> = (0..8).map(|_| launch(&runtime, 1000)).collect::<Result<_, _>>()?;
    println!("up");
    std::thread::scope(|scope| {
        for worker in &workers {
            scope.spawn(move || {
                smol::block_on(async {
                    for n in 0.. {
                        let to = worker.at(n % 1000)?;
                        to.tell(Busy { rounds: 50 }).await?;
                        if n % 64 == 0 {
                            to.ask(Echo { n }).await?;
                        }
                    }
                    Ok::<_, RingKernelError>(())
                })
            });
        }
    });
    Err("the load ended".into())
}

pub fn killed_again_and_again(ground: &Ground) -> Outcome {
    let rounds = ground.number("--rounds", 3, 20)?;
    let backend = backend_name(ground.backend);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut worst, mut worst_start) = (Duration::ZERO, Duration::ZERO);
    for round in 0..rounds {
        let begin = Instant::now();
        let mut loaded = process("loaded", backend, ground.quick, &[])?;
        if round % 4 == 3 {
            // Anywhere, its start included.
            std::thread::sleep(Duration::from_millis(random.below(1500)));
        } else {
            let pipe = loaded.stdout.take().ok_or("no pipe")?;
            let line = BufReader::new(pipe).lines().next().and_then(Result::ok).unwrap_or_default();
            ensure(line == "up", || format!("round {round}: the loaded process said `{line}`"))?;
            worst_start = worst_start.max(begin.elapsed());
            std::thread::sleep(Duration::from_millis(random.below(300)));
        }
        // SIGKILL.
        loaded.kill().map_err(text)?;
        loaded.wait().map_err(text)?;
        let begin = Instant::now();
        let fresh = wait(process("answers", backend, ground.quick, &[])?, Duration::from_secs(20))
            .map_err(|why| format!("round {round}: {why}"))?;
        let all = fresh.lines.join("\n");
        ensure(fresh.code == Some(0), || format!("round {round}: the fresh process: {all}"))?;
        worst = worst.max(begin.elapsed());
    }
    ensure(worst < Duration::from_secs(10), || format!("a fresh process took {worst:?}"))?;
    Ok(format!(
        "killed {rounds} times; the slowest fresh process was done after {worst:?} (the slowest to be killed was up after \
         {worst_start:?})"
    ))
}

/// Forks, runs `child` in the new process, and says how that ended: its exit code, or its signal negated.
fn fork(child: impl FnOnce() -> i32) -> Result<i32, String> {
    // SAFETY: the child calls `child` and leaves by `_exit`. What it may call is what POSIX leaves to the child of a process with
    // threads; the callers below either call nothing or want to see what comes of it, with an alarm set.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err("fork failed".into()),
        0 => {
            let code = child();
            // SAFETY: ends this process without running anybody's destructors.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: `status` is a valid place for it, and `pid` our child.
            let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
            ensure(waited == pid, || "waitpid failed".into())?;
            Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) })
        }
    }
}

pub fn forked_beside_kernels(ground: &Ground) -> Outcome {
    let runtime = ground.runtime()?;
    let (worker, other) = (launch(&runtime, 100)?, launch(&runtime, 1)?);
    latencies(&worker, 100)?;
    for _ in 0..10 {
        let code = fork(|| 0)?;
        ensure(code == 0, || format!("a child that only exits ended with {code}"))?;
        latencies(&worker, 100)?;
    }
    // A child that uses the runtime all the same is told that it cannot, whatever it tries; it leaves by a signal if it hangs.
    let beside = worker.clone();
    let backend = ground.backend;
    let told = fork(move || {
        // SAFETY: sets a timer of this process.
        unsafe { libc::alarm(5) };
        let is_forked =
            |error: Option<RingKernelError>| matches!(error, Some(RingKernelError::Forked { .. }));
        let asked = is_forked(smol::block_on(beside.ask(Echo { n: 1 })).err());
        let told = is_forked(beside.try_tell(Echo { n: 1 }).err().map(|refused| refused.reason));
        let suspended = is_forked(smol::block_on(beside.suspend()).err());
        let built = is_forked(smol::block_on(RingKernel::builder().backend(backend).build()).err());
        i32::from(!asked) + 2 * i32::from(!told) + 4 * i32::from(!suspended) + 8 * i32::from(!built)
    })?;
    ensure(told == 0, || format!("a forked child that asks, tells, suspends and builds ended with {told}"))?;
    latencies(&worker, 1000)?;
    latencies(&other, 1000)?;
    let begin = Instant::now();
    let more = launch(&runtime, 10)?;
    latencies(&more, 10)?;
    let launched = begin.elapsed();
    let exec =
        wait(process("answers", backend_name(ground.backend), ground.quick, &[])?, Duration::from_secs(20))?;
    ensure(exec.code == Some(0), || format!("a child of fork and exec: {}", exec.lines.join("\n")))?;
    let (_, ended) = within(Duration::from_secs(10), "the drop of the runtime", move || {
        drop((worker, other, more));
        drop(runtime);
    })?;
    Ok(format!(
        "10 children exited, one that used the runtime was told `Forked`, one with fork and exec answered; the parent goes on, launches \
         in {launched:?} and ends in {ended:?}"
    ))
}
