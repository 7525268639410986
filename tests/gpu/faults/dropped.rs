//! Futures of replies, dropped.

use super::case::{Ground, Outcome, Random, ensure, text};
use crate::common::machine::{eventually, resident_kib};
use crate::common::worker::{Echo, Worker};
use futures::StreamExt;
use ringkernel::prelude::*;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub fn replies_nobody_waits_for(ground: &Ground) -> Outcome {
    let asks = ground.number("--asks", 20_000, 100_000)?;
    let runtime = ground.runtime()?;
    let options = LaunchOptions::default().instances(16).queue_capacity(256);
    let worker = smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, options)).map_err(text)?;
    let mut memory = Vec::new();
    let totals: (u64, u64) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3u64)
            .map(|thread| {
                let worker = &worker;
                scope.spawn(move || drop_at_random(worker, asks / 3, thread))
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            memory.push(resident_kib());
            std::thread::sleep(Duration::from_millis(5));
        }
        threads.into_iter().try_fold((0, 0), |(dropped, answered), thread| {
            let (d, a) = thread.join().map_err(|_| "a thread panicked")??;
            Ok::<_, String>((dropped + d, answered + a))
        })
    })?;
    let settled = eventually(Duration::from_secs(10), || worker.pending() == 0);
    ensure(settled, || format!("{} requests are still pending", worker.pending()))?;
    let half = memory.len() / 2;
    let (then, now) = (memory.get(half).copied().unwrap_or(0), resident_kib());
    let grown = now.saturating_sub(then);
    // In the second half nothing new is needed.
    ensure(grown < 8 * 1024, || format!("memory grew by {grown} KiB in the second half"))?;
    let last = worker.ask_blocking(Echo { n: 7 }).map_err(text)?;
    ensure(last == 8, || format!("afterwards it answers {last}"))?;
    Ok(format!(
        "{} futures dropped, {} answered; pending 0, memory {grown} KiB more than half way",
        totals.0, totals.1
    ))
}

fn drop_at_random(
    worker: &ringkernel::ActorRef<Worker>,
    asks: u64,
    thread: u64,
) -> Result<(u64, u64), String> {
    let mut random = Random(0xdead_beef + thread * 77);
    let (mut dropped, mut answered) = (0, 0);
    let mut context = Context::from_waker(Waker::noop());
    for n in 0..asks as u32 {
        let to = worker.at(n % 16).map_err(text)?;
        if n.is_multiple_of(200) {
            dropped += half_a_stream(&to, &mut random)?;
        }
        // Never polled, polled now and then, waited for a little, or to the end.
        let polls = random.below(5);
        if polls == 4 {
            let answer = to.ask_blocking(Echo { n }).map_err(text)?;
            ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
            answered += 1;
            continue;
        }
        if polls == 3 && n.is_multiple_of(16) {
            let limit = Duration::from_micros(random.below(60));
            match smol::block_on(to.ask_timeout(Echo { n }, limit)) {
                Ok(answer) => ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?,
                Err(RingKernelError::Timeout { .. } | RingKernelError::KernelHung { .. }) => dropped += 1,
                Err(other) => return Err(text(other)),
            }
            continue;
        }
        let mut ask = pin!(to.ask(Echo { n }));
        for _ in 0..polls {
            if let Poll::Ready(answer) = ask.as_mut().poll(&mut context) {
                let answer = answer.map_err(text)?;
                ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
                answered += 1;
                break;
            }
        }
        dropped += 1;
    }
    Ok((dropped, answered))
}

/// A stream of replies, dropped somewhere.
fn half_a_stream(to: &ringkernel::ActorRef<Worker>, random: &mut Random) -> Result<u64, String> {
    let in_flight = 1 + random.below(80) as usize;
    let mut replies = to.ask_many((0..100).map(|n| Echo { n })).in_flight(in_flight);
    let taken = random.below(100);
    for n in 0..taken as u32 {
        match smol::block_on(replies.next()) {
            Some(Ok(answer)) => ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?,
            other => return Err(format!("{n}: {other:?}")),
        }
    }
    Ok(100 - taken)
}
