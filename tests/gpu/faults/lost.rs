//! A sticky CUDA error: the context is gone, and with it every kernel of the process.

use super::case::{Ground, Outcome, ensure, is_typed, process, text, wait};
use super::peeker::{Peek, Peeker};
use crate::common::worker::{Echo, Worker};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Who waited, what came of it, and whether that must say that the handler may have run.
type Told = (&'static str, Result<(), RingKernelError>, Option<bool>);

pub fn a_device_lost_under_everybody(ground: &Ground) -> Outcome {
    let runtime = ground.runtime()?;
    let launch = |options| ringkernel::__private::launch::<Worker>(&runtime, options);
    let idle = || LaunchOptions::default().without_auto_activate().queue_capacity(8);
    let (peeker, one, two, crowded): (ActorRef<Peeker>, _, _, _) = smol::block_on(async {
        let peeker = ringkernel::__private::launch::<Peeker>(&runtime, LaunchOptions::default()).await?;
        Ok::<_, RingKernelError>((
            peeker,
            launch(idle()).await?,
            launch(idle()).await?,
            launch(idle()).await?,
        ))
    })
    .map_err(text)?;
    let answer = peeker.ask_blocking(Peek { address: 1 }).map_err(text)?;
    ensure(answer.0 == 1, || format!("the hand-written actor answered {answer:?}"))?;

    let (send, told) = mpsc::channel::<Told>();
    let spawn = |who: &'static str,
                 run: Box<dyn FnOnce() -> Result<(), RingKernelError> + Send>,
                 ran: Option<bool>| {
        let send = send.clone();
        std::thread::spawn(move || drop(send.send((who, run(), ran))));
    };
    // None of these kernels is active, so all of it waits.
    for (who, worker) in [("an ask of one kernel", one.clone()), ("an ask of another", two.clone())] {
        spawn(who, Box::new(move || smol::block_on(worker.ask(Echo { n: 1 })).map(drop)), Some(true));
    }
    let worker = one.clone();
    spawn("a blocking ask", Box::new(move || worker.ask_blocking(Echo { n: 1 }).map(drop)), Some(true));
    let worker = two.clone();
    spawn(
        "a receive",
        Box::new(move || {
            smol::block_on(async {
                worker.send(Echo { n: 1 }).await?;
                worker.receive::<u32>().await.map(drop)
            })
        }),
        None,
    );
    let worker = two.clone();
    spawn(
        "an ask_many",
        Box::new(move || {
            worker.ask_many((0..4).map(|n| Echo { n })).blocking().try_for_each(|n| n.map(drop))
        }),
        Some(true),
    );
    while crowded.try_tell(Echo { n: 0 }).is_ok() {}
    let worker = crowded.clone();
    spawn(
        "a teller at a full ring",
        Box::new(move || smol::block_on(worker.tell(Echo { n: 1 }))),
        Some(false),
    );
    let worker = crowded.clone();
    spawn(
        "an asker at a full ring",
        Box::new(move || smol::block_on(worker.ask(Echo { n: 1 })).map(drop)),
        Some(false),
    );
    drop(send);
    std::thread::sleep(Duration::from_millis(200));
    if let Ok((who, result, _)) = told.try_recv() {
        return Err(format!("{who} ended before the device did: {result:?}"));
    }

    let begin = Instant::now();
    let fatal = smol::block_on(peeker.ask_timeout(Peek { address: 0 }, Duration::from_secs(10))).map(drop);
    let first = begin.elapsed();
    let lost = |who: &str, result: &Result<(), RingKernelError>, ran: Option<bool>| match result {
        Err(RingKernelError::DeviceLost { may_have_run, .. })
            if ran.is_none_or(|ran| ran == *may_have_run) =>
        {
            Ok(())
        }
        other => Err(format!("{who} was told {other:?}; expected DeviceLost, may_have_run {ran:?}")),
    };
    lost("the fatal ask", &fatal, Some(true))?;
    let mut last = Duration::ZERO;
    for _ in 0..7 {
        let (who, result, ran) =
            told.recv_timeout(Duration::from_secs(10)).map_err(|_| "somebody still waits after 10 s")?;
        lost(who, &result, ran)?;
        last = begin.elapsed();
        println!("{who}: {}", result.err().map(text).unwrap_or_default());
    }
    lost("an ask afterwards", &smol::block_on(one.ask(Echo { n: 1 })).map(drop), Some(false))?;
    let again = smol::block_on(launch(LaunchOptions::default())).map(drop);
    match &again {
        Err(error) if is_typed(error) => println!("a launch afterwards: {error}"),
        other => return Err(format!("a launch afterwards: {other:?}")),
    }
    let begin = Instant::now();
    drop((peeker, one, two, crowded));
    drop(runtime);
    let dropped = begin.elapsed();

    // Another process is not concerned.
    let begin = Instant::now();
    let fresh = wait(process("answers", "cuda", ground.quick, &[])?, Duration::from_secs(20))?;
    ensure(fresh.code == Some(0), || format!("a new process: {}", fresh.lines.join("\n")))?;
    Ok(format!(
        "the fatal ask was told after {first:?}, the last of seven others after {last:?}; the drop took {dropped:?}; a new process \
         answered after {:?}",
        begin.elapsed()
    ))
}
