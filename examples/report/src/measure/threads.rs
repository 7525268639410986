//! What the CPU backend stands beside: two threads and what the standard library has for them to talk.

use super::{Bench, Measured, Rounds, figure, rounds, series};
use crate::evidence::Unproven;
use crate::figure::{Evidence, Latency, Rate, Value};
use ringkernel::Backend;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A value on its own cache line.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicU32);

impl Line {
    /// Waits for another value than `old`; gives up the processor now and then, for machines with one core.
    fn other_than(&self, old: u32, stop: &AtomicBool) -> Option<u32> {
        for round in 1u32.. {
            // Acquire pairs with the other thread's release, as a message's payload would need.
            let value = self.0.load(Ordering::Acquire);
            if value != old {
                return Some(value);
            }
            if round % 128 == 0 {
                // Relaxed: nothing is read on its strength.
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        None
    }
}

fn baseline(
    bench: &Bench,
    id: &'static str,
    title: &str,
    samples: u64,
    value: Value,
    checked: &str,
) -> Measured {
    let (backend, device) = (Backend::Cpu.to_string(), bench.runtime.device_name());
    let evidence = Evidence::of_baseline(samples, checked);
    Ok(figure(id, title, &backend, &device, true, samples, value, evidence))
}

fn times(bench: &Bench, id: &'static str, title: &str, times: Vec<Duration>) -> Measured {
    let value = Value::Latency(Latency::of(times.iter().copied()).ok_or("no samples")?);
    baseline(bench, id, title, times.len() as u64, value, "every answer")
}

/// A number there and its successor back through two words that two threads spin on.
pub fn ping_pong(bench: &Bench) -> Measured {
    let (there, back, stop) = (Line::default(), Line::default(), AtomicBool::new(false));
    let measured = thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while let Some(value) = there.other_than(seen, &stop) {
                seen = value;
                // Release pairs with the acquire in `other_than`.
                back.0.store(value.wrapping_add(1), Ordering::Release);
            }
        });
        let mut last = 0;
        let measured = smol::block_on(series(&bench.arguments, 100_000, async |number| {
            let begin = Instant::now();
            there.0.store(number + 1, Ordering::Release);
            let answer = back.other_than(last, &stop).unwrap_or(0);
            let took = begin.elapsed();
            last = answer;
            if answer == number + 2 { Ok(took) } else { Err(Unproven(format!("{number}: {answer}")).into()) }
        }));
        stop.store(true, Ordering::Relaxed);
        measured
    });
    times(bench, "threads_ping_pong", "two threads that spin on a word each", measured?)
}

/// The same through two of the standard library's channels.
pub fn channel_ping_pong(bench: &Bench) -> Measured {
    let (there, asked) = mpsc::channel::<u32>();
    let (answer, back) = mpsc::channel::<u32>();
    let measured = thread::scope(|scope| {
        scope.spawn(move || {
            for number in asked {
                if answer.send(number.wrapping_add(1)).is_err() {
                    return;
                }
            }
        });
        let measured = smol::block_on(series(&bench.arguments, 100_000, async |number| {
            let begin = Instant::now();
            there.send(number)?;
            let answer = back.recv_timeout(Duration::from_secs(5))?;
            let took = begin.elapsed();
            if answer == number + 1 { Ok(took) } else { Err(Unproven(format!("{number}: {answer}")).into()) }
        }));
        drop(there);
        measured
    });
    times(bench, "channel_ping_pong", "two threads and two `std::sync::mpsc` channels", measured?)
}

/// Numbers through a channel to a thread that adds them up.
pub fn channel_send(bench: &Bench) -> Measured {
    let (there, received) = mpsc::sync_channel::<u32>(8192);
    let (answer, back) = mpsc::channel::<u64>();
    let measured = thread::scope(|scope| {
        scope.spawn(move || {
            let mut sum = 0u64;
            for number in received {
                // The mark at a round's end.
                if number == u32::MAX {
                    if answer.send(sum).is_err() {
                        return;
                    }
                } else {
                    sum += u64::from(number);
                }
            }
        });
        let mut sum = 0;
        let measured = smol::block_on(rounds(&bench.arguments, 30_000_000, async |count| {
            for number in 0..count {
                there.send(number)?;
            }
            sum += u64::from(count) * (u64::from(count) - 1) / 2;
            there.send(u32::MAX)?;
            let answer = back.recv_timeout(Duration::from_secs(20))?;
            if answer == sum {
                Ok(())
            } else {
                Err(Unproven(format!("the sum is {answer}, not {sum}")).into())
            }
        }));
        drop(there);
        measured
    });
    let Rounds { messages, times } = measured?;
    let value = Value::Rate(Rate::of(messages, &times).ok_or("no rounds")?);
    let title = "one `std::sync::mpsc` channel of 8,192 places, 4-byte messages";
    baseline(bench, "channel_send", title, messages * times.len() as u64, value, "the sum of all messages")
}
