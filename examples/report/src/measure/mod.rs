//! The measurements: each launches what it needs, measures, asks the device for its counters, and gives a [`Figure`] or the reason
//! why there is none.
//!
//! `latency` has one request at a time, `throughput` many messages, `replies` many requests, `talking` what handlers send to each other, `publishing` what they publish, `control` what starts and ends kernels, `idle` what they cost when
//! nothing happens; `threads`, `gpu` and `webgpu` have what a backend's figures stand beside.

pub mod control;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod idle;
pub mod latency;
pub mod publishing;
pub mod replies;
pub mod talking;
pub mod threads;
pub mod throughput;
#[cfg(feature = "wgpu")]
pub mod webgpu;

use crate::Arguments;
use crate::actors::{Count, Counted, Counter};
use crate::evidence::Unproven;
use crate::figure::{Evidence, Figure, Latency, Rate, Value};
use ringkernel::prelude::*;
use ringkernel::runtime::launch;
use std::error::Error;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What a measurement gives.
pub type Measured = Result<Figure, Box<dyn Error>>;

/// A backend that is measured.
pub struct Bench {
    pub runtime: RingKernel,
    pub arguments: Arguments,
}

impl Bench {
    /// A figure of ours on this backend.
    pub fn figure(
        &self,
        id: &'static str,
        title: impl Into<String>,
        samples: u64,
        value: Value,
        evidence: Evidence,
    ) -> Figure {
        let (backend, device) = (self.runtime.backend().to_string(), self.runtime.device_name());
        figure(id, title, &backend, &device, false, samples, value, evidence)
    }

    /// A figure of times.
    pub fn latency(
        &self,
        id: &'static str,
        title: impl Into<String>,
        times: &[Duration],
        evidence: Evidence,
    ) -> Measured {
        let value = Value::Latency(Latency::of(times.iter().copied()).ok_or("no samples")?);
        Ok(self.figure(id, title, times.len() as u64, value, evidence))
    }

    /// A figure of rounds of `per_round` messages.
    pub fn rate(
        &self,
        id: &'static str,
        title: impl Into<String>,
        per_round: u64,
        rounds: &[Duration],
        evidence: Evidence,
    ) -> Measured {
        let value = Value::Rate(Rate::of(per_round, rounds).ok_or("no rounds")?);
        Ok(self.figure(id, title, per_round * rounds.len() as u64, value, evidence))
    }

    /// How to launch for the lowest latency.
    pub fn for_latency(&self) -> LaunchOptions {
        LaunchOptions::default().mode(Mode::Persistent).idle(IdlePolicy::Spin)
    }

    /// How to launch for the highest rate.
    pub fn for_rate(&self, instances: u32) -> LaunchOptions {
        let options = self.for_latency().instances(instances).queue_capacity(self.arguments.capacity);
        match self.arguments.shards {
            Some(shards) => options.shards(shards),
            None => options,
        }
    }

    /// Whether the device shares its processor with us.
    pub fn is_cpu(&self) -> bool {
        self.runtime.backend() == Backend::Cpu
    }
}

/// A figure, ours or a baseline's.
#[allow(clippy::too_many_arguments)] // Its fields, in their order.
pub fn figure(
    id: &'static str,
    title: impl Into<String>,
    backend: &str,
    device: &str,
    is_baseline: bool,
    samples: u64,
    value: Value,
    evidence: Evidence,
) -> Figure {
    Figure {
        id,
        title: title.into(),
        is_baseline,
        backend: backend.to_owned(),
        device: device.to_owned(),
        samples,
        value,
        evidence,
        beside: Vec::new(),
        targets: Vec::new(),
        note: None,
    }
}

/// What one instance of [`Counter`] must answer next.
#[derive(Default)]
pub struct Expected {
    pub count: u32,
    pub sum: u32,
}

impl Expected {
    /// `number` was sent.
    pub fn sent(&mut self, number: u32) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(number);
    }

    /// `numbers` were sent.
    pub fn sent_all(&mut self, numbers: Range<u32>) {
        let count = u64::from(numbers.end - numbers.start);
        // first + (first + 1) + …; only the low 32 bits matter, and the product stays below 2^65 halved.
        let sum = u128::from(count) * (u128::from(numbers.start) * 2 + u128::from(count.max(1)) - 1) / 2;
        self.count = self.count.wrapping_add(count as u32);
        self.sum = self.sum.wrapping_add(sum as u32);
    }

    /// Checks the answer to `number`, the latest that was sent.
    ///
    /// # Errors
    /// It is another than it must be.
    pub fn check(&self, number: u32, reply: Counted) -> Result<(), Unproven> {
        let expected = Counted { number, count: self.count, sum: self.sum };
        if reply == expected {
            Ok(())
        } else {
            Err(Unproven(format!("the reply is {reply:?} and must be {expected:?}")))
        }
    }

    /// Asks the counter and compares: what it holds is the sum of everything it was sent.
    ///
    /// # Errors
    /// It holds something else, or does not answer.
    pub async fn ask(&mut self, counter: &ringkernel::ActorRef<Counter>) -> Result<(), Box<dyn Error>> {
        let number = 0x5eed;
        self.sent(number);
        let reply = counter.ask_timeout(Count { number }, Duration::from_secs(20)).await?;
        Ok(self.check(number, reply)?)
    }
}

/// Launches an actor.
pub async fn start<A: ringkernel::Actor>(
    bench: &Bench,
    options: LaunchOptions,
) -> Result<ringkernel::ActorRef<A>, RingKernelError> {
    launch::<A>(&bench.runtime, options).await
}

/// Does one thing again and again, timing each, until there are enough or time is up: `Arguments::budget`, and a tenth of it before
/// that to warm up. `once` is given a running number and says how long it took.
///
/// # Errors
/// Those of `once`.
pub async fn series(
    arguments: &Arguments,
    full: u64,
    once: impl AsyncFnMut(u32) -> Result<Duration, Box<dyn Error>>,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    series_within(arguments, full, arguments.budget(), once).await
}

/// [`series`] with a time of its own, for what takes long to set up.
///
/// # Errors
/// Those of `once`.
pub async fn series_within(
    arguments: &Arguments,
    full: u64,
    budget: Duration,
    mut once: impl AsyncFnMut(u32) -> Result<Duration, Box<dyn Error>>,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let wanted = arguments.samples(full, 50);
    let mut number = 0;
    let begin = Instant::now();
    while u64::from(number) < wanted / 10 && begin.elapsed() < budget / 10 {
        once(number).await?;
        number += 1;
    }
    let mut times = Vec::with_capacity(wanted as usize);
    let begin = Instant::now();
    while (times.len() as u64) < wanted && (begin.elapsed() < budget || times.len() < 3) {
        times.push(once(number).await?);
        number += 1;
    }
    Ok(times)
}

/// Rounds of many messages: finds out how many make a round of a good length (which also warms up), then times rounds of so many.
///
/// `round` sends that many and returns when the device has processed them.
///
/// # Errors
/// Those of `round`.
pub async fn rounds(
    arguments: &Arguments,
    most: u32,
    mut round: impl AsyncFnMut(u32) -> Result<(), Box<dyn Error>>,
) -> Result<Rounds, Box<dyn Error>> {
    let (length, count) =
        if arguments.quick { (Duration::from_millis(5), 3) } else { (Duration::from_millis(150), 7) };
    let mut per_round = 1000.min(most);
    // The first may have something to compile or to map.
    round(per_round).await?;
    loop {
        let begin = Instant::now();
        round(per_round).await?;
        let took = begin.elapsed();
        if took >= length / 2 || per_round >= most {
            break;
        }
        let wanted = per_round as f64 * length.as_secs_f64() / took.as_secs_f64().max(1e-7);
        per_round = (wanted as u32).min(per_round.saturating_mul(8)).max(per_round + 1).min(most);
    }
    let mut times = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        round(per_round).await?;
        times.push(begin.elapsed());
    }
    Ok(Rounds { messages: u64::from(per_round), times })
}

/// Rounds of so many messages each.
pub struct Rounds {
    pub messages: u64,
    pub times: Vec<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_numbers_is_expected_as_if_each_had_been_sent() {
        for range in [0..0, 0..1, 5..9, 100..100_000, u32::MAX - 70_000..u32::MAX] {
            let (mut one, mut all) = (Expected::default(), Expected::default());
            range.clone().for_each(|number| one.sent(number));
            all.sent_all(range.clone());
            assert_eq!((one.count, one.sum), (all.count, all.sum), "{range:?}");
        }
    }

    #[test]
    fn a_series_ends_when_it_has_enough_and_warms_up_before() {
        let arguments = Arguments { quick: true, ..Default::default() };
        let mut calls = 0;
        let times = smol::block_on(series(&arguments, 20_000, async |number| {
            assert_eq!(number, calls);
            calls += 1;
            Ok(Duration::from_nanos(1))
        }));
        assert_eq!((times.unwrap().len(), calls), (200, 220));
    }

    #[test]
    fn rounds_grow_until_they_last_and_no_further_than_they_may() {
        let arguments = Arguments { quick: true, ..Default::default() };
        let mut seen = Vec::new();
        let rounds = smol::block_on(rounds(&arguments, 50_000, async |count| {
            seen.push(count);
            Ok(())
        }))
        .unwrap();
        assert_eq!((rounds.messages, rounds.times.len()), (50_000, 3));
        assert_eq!(seen, [1000, 1000, 8000, 50_000, 50_000, 50_000, 50_000]);
    }
}
