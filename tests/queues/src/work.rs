//! The work, written once for every queue.

use crate::subjects::{Rx, Subject, Tx};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

#[derive(Clone, Copy)]
pub struct Sizes {
    /// Values a run, over all producers.
    pub values: u64,
    /// Ping-pong rounds a run.
    pub rounds: u64,
    pub runs: u64,
}

/// What a run of values came to.
pub struct Flow {
    /// Values a second.
    pub rate: f64,
    pub complaints: Vec<String>,
}

const CAPACITY: usize = 1024;

/// How everybody waits: a spin, and now and then the core to somebody else.
#[derive(Default)]
struct Wait(u32);

impl Wait {
    fn turn(&mut self) {
        self.0 += 1;
        match self.0.is_multiple_of(64) {
            true => thread::yield_now(),
            false => std::hint::spin_loop(),
        }
    }
}

/// From `P` producers to `C` consumers. Each producer's values carry its number in the high bits.
pub fn flow<S: Subject, const P: usize, const C: usize>(sizes: Sizes) -> Flow {
    let (senders, receivers) = S::make(CAPACITY, P, C);
    let (each, share) = (sizes.values / P as u64, sizes.values / C as u64);
    let barrier = &Barrier::new(P + C);
    let (elapsed, results) = thread::scope(|threads| {
        let mut producers = Vec::new();
        for (producer, mut sender) in (0_u64..).zip(senders) {
            producers.push(threads.spawn(move || {
                barrier.wait();
                let begin = Instant::now();
                let (mut next, mut wait) = (0, Wait::default());
                while next < each {
                    match sender.send(producer << 32 | next, each - next) {
                        0 => wait.turn(),
                        sent => next += sent,
                    }
                }
                begin
            }));
        }
        let consumers: Vec<_> = receivers
            .into_iter()
            .map(|mut receiver| {
                threads.spawn(move || {
                    barrier.wait();
                    let (mut got, mut sum, mut wait) = (0, 0_u64, Wait::default());
                    let (mut next, mut disorder) = ([0; P], 0);
                    while got < share {
                        let received = receiver.receive(share - got, |value| {
                            let (producer, number) = ((value >> 32) as usize % P, value & u32::MAX as u64);
                            // With one consumer, exactly the next; with more, a later one.
                            disorder +=
                                (if C == 1 { number != next[producer] } else { number < next[producer] })
                                    as u64;
                            next[producer] = number + 1;
                            sum = sum.wrapping_add(black_box(value));
                        });
                        match received {
                            0 => wait.turn(),
                            received => got += received,
                        }
                    }
                    (sum, disorder, Instant::now())
                })
            })
            .collect();
        let results: Vec<_> = consumers.into_iter().map(|consumer| consumer.join()).collect();
        // From the first producer's start to the last consumer's end, by their own clocks: whoever waits here may not have a core.
        let begin = producers.into_iter().filter_map(|producer| producer.join().ok()).min();
        let end = results.iter().flatten().map(|result| result.2).max();
        (begin.zip(end).map_or(f64::INFINITY, |(begin, end)| (end - begin).as_secs_f64()), results)
    });
    let mut complaints = Vec::new();
    let mut sum = 0_u64;
    for result in results {
        match result {
            Ok((part, disorder, _)) => {
                sum = sum.wrapping_add(part);
                if disorder > 0 {
                    complaints.push(format!("{disorder} values lost, twice or out of order"));
                }
            }
            Err(_) => complaints.push("a consumer panicked".to_owned()),
        }
    }
    let expected: u64 = (0..P as u64).map(|producer| (producer << 32) * each + each * (each - 1) / 2).sum();
    if sum != expected {
        complaints.push(format!("the sum is {sum}, not {expected}"));
    }
    Flow { rate: sizes.values as f64 / elapsed, complaints }
}

/// Nanoseconds one way, of each round.
pub fn ping_pong<S: Subject>(sizes: Sizes) -> Vec<f64> {
    let (mut there, mut back) = (S::make(64, 1, 1), S::make(64, 1, 1));
    let (mut ping, mut pinged) = (there.0.remove(0), there.1.remove(0));
    let (mut pong, mut ponged) = (back.0.remove(0), back.1.remove(0));
    thread::scope(|threads| {
        threads.spawn(move || {
            for _ in 0..sizes.rounds {
                let value = receive(&mut pinged);
                send(&mut pong, value + 1);
            }
        });
        let mut rounds = Vec::with_capacity(sizes.rounds as usize);
        for round in 0..sizes.rounds {
            let begin = Instant::now();
            send(&mut ping, round);
            let answer = receive(&mut ponged);
            rounds.push(begin.elapsed().as_secs_f64() * 1e9 / 2.0);
            assert_eq!(answer, round + 1, "a wrong answer");
        }
        // The first rounds wait for the other thread to start.
        rounds.drain(..rounds.len() / 10);
        rounds
    })
}

fn send(to: &mut impl Tx, value: u64) {
    let mut wait = Wait::default();
    while to.send(value, 1) == 0 {
        wait.turn();
    }
}

fn receive(from: &mut impl Rx) -> u64 {
    let (mut wait, mut got) = (Wait::default(), 0);
    while from.receive(1, |value| got = value) == 0 {
        wait.turn();
    }
    got
}
