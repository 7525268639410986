//! Four stages, each a kernel of its own: `first` to `second` to `third` to `last`.
//!
//! Three ways to use them. Closed: so many events are under way, and with each that arrives the last stage tells the first to let another
//! one in; nothing crosses the bus. Fed: the host tells the first stage. Asked: the host asks the first stage, each hands the request on, and
//! the last one answers.

use super::Load;
use super::evidence::{Outcome, Watch, check_counters, text};
use super::talking::{Next, Query, first, last, second, third, through};
use crate::common::machine::quantile;
use ringkernel::mesh::Overflow;
use ringkernel::prelude::*;
use ringkernel::runtime::launch;
use ringkernel::{ActorRef, KernelHandle};
use std::time::{Duration, Instant};

/// The four kernels.
struct Line {
    first: ActorRef<first::Stage>,
    second: ActorRef<second::Stage>,
    third: ActorRef<third::Stage>,
    last: ActorRef<last::Stage>,
}

/// What the last stages counted, and what was refused anywhere.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arrived {
    events: u64,
    sum: u32,
    refused: u64,
}

impl Line {
    fn launch(runtime: &RingKernel, options: &LaunchOptions) -> Result<Self, RingKernelError> {
        smol::block_on(async {
            Ok(Self {
                first: launch(runtime, options.clone()).await?,
                second: launch(runtime, options.clone()).await?,
                third: launch(runtime, options.clone()).await?,
                last: launch(runtime, options.clone()).await?,
            })
        })
    }

    fn kernels(&self) -> [&KernelHandle; 4] {
        [&self.first, &self.second, &self.third, &self.last]
    }

    fn arrived(&self) -> Result<Arrived, RingKernelError> {
        smol::block_on(async {
            let mut all = Arrived::default();
            for stage in self.last.snapshot_all::<last::Stage>().await? {
                all.events += u64::from(stage.events);
                all.sum = all.sum.wrapping_add(stage.sum);
                all.refused += u64::from(stage.refused);
            }
            let refused =
                self.first.snapshot_all::<first::Stage>().await?.into_iter().map(|stage| stage.refused);
            let refused = refused
                .chain(
                    self.second.snapshot_all::<second::Stage>().await?.into_iter().map(|stage| stage.refused),
                )
                .chain(
                    self.third.snapshot_all::<third::Stage>().await?.into_iter().map(|stage| stage.refused),
                );
            all.refused += refused.map(u64::from).sum::<u64>();
            Ok(all)
        })
    }

    fn end(self) -> Result<(), RingKernelError> {
        smol::block_on(async {
            self.first.terminate().await?;
            self.second.terminate().await?;
            self.third.terminate().await?;
            self.last.terminate().await
        })
    }
}

/// Events a second, `each` of them under way for each instance; the last stage lets the next ones in.
fn closed(
    runtime: &RingKernel,
    load: &Load,
    (instances, each, events): (u32, u32, u64),
    outcome: &mut Outcome,
) -> Result<(), String> {
    // An instance's events stay in one shard; small mailboxes stay in a GPU's cache.
    let shards = load.shards_or(128).unwrap_or(1).min(instances);
    let mailbox = (4 * each * instances.div_ceil(shards)).next_power_of_two().max(64);
    let options = LaunchOptions::default().mode(Mode::Persistent).idle(IdlePolicy::Spin);
    let options = load.sharded(options.instances(instances).mailbox(mailbox), 128);
    let line = Line::launch(runtime, &options).map_err(text)?;
    let under_way = u64::from(instances) * u64::from(each);
    let rounds = u32::try_from((events / under_way).max(1)).map_err(|_| "too many events")?;
    let events = under_way * u64::from(rounds);
    let watch = Watch::begin(&line.kernels(), load.limit);
    let seeds = (0..instances * each).map(|k| (k % instances, Next { value: k, left: rounds - 1 }));
    line.first.tell_many_at_blocking(seeds).map_err(|error| error.to_string())?;
    // Four handlers run for each.
    watch.wait(4 * events, |_| true)?;
    let took = watch.begun().elapsed();
    let moved = watch.end(4 * events);
    let arrived = line.arrived().map_err(text)?;
    let mut expected = Arrived { events, ..Arrived::default() };
    for mut value in 0..instances * each {
        for _ in 0..rounds {
            value = through(value);
            expected.sum = expected.sum.wrapping_add(value);
        }
    }
    outcome.row(format!(
        "{instances:>6} instances, {under_way:>6} events under way: {:>9.3} M events/s, {:.3} us from the first stage back to it ({events} events; control blocks {}, mailboxes {}, full {})",
        events as f64 / took.as_secs_f64() / 1e6,
        took.as_secs_f64() * 1e6 / f64::from(rounds),
        moved.control,
        moved.mail,
        moved.full,
    ));
    outcome.check(arrived == expected, || format!("{arrived:?} and not {expected:?}"));
    check_counters(moved, 4 * events, 4 * events - under_way, outcome);
    line.end().map_err(text)
}

/// Events that the host tells the first stage, many in a call; then asks it, one at a time.
fn fed(
    runtime: &RingKernel,
    load: &Load,
    events: u32,
    asks: u32,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let instances = load.instances(1024);
    let options = LaunchOptions::default()
        .mode(Mode::Persistent)
        .idle(IdlePolicy::Spin)
        .instances(instances)
        .queue_capacity(1024)
        .mailbox(4096)
        .overflow(Overflow::Block { at_most: Duration::from_secs(5) });
    let line = Line::launch(runtime, &load.sharded(options, 16)).map_err(text)?;
    let watch = Watch::begin(&line.kernels(), load.limit);
    let messages = (0..events).map(|k| (k % instances, Next { value: k, left: 0 }));
    line.first.tell_many_at_blocking(messages).map_err(|error| error.to_string())?;
    let handled = 4 * u64::from(events);
    watch.wait(handled, |_| true)?;
    let took = watch.begun().elapsed();
    let sum = (0..events).fold(0u32, |sum, value| sum.wrapping_add(through(value)));
    let (arrived, expected) =
        (line.arrived().map_err(text)?, Arrived { events: events.into(), sum, refused: 0 });
    outcome.check(arrived == expected, || format!("{arrived:?} and not {expected:?}"));
    outcome.row(format!(
        "fed by the host: {:.3} M events/s ({events} events)",
        f64::from(events) / took.as_secs_f64() / 1e6
    ));
    let mut times = Vec::new();
    for value in 0..asks {
        let begin = Instant::now();
        let answer = line.first.ask_blocking(Query { value }).map_err(text)?;
        times.push(begin.elapsed());
        outcome.check(answer == through(value), || format!("{value}: {answer} and not {}", through(value)));
        if watch.begun().elapsed() > load.limit {
            return Err("time is up".to_owned());
        }
    }
    let handled = handled + 4 * u64::from(asks);
    watch.wait(handled, |_| true)?;
    outcome.row(format!(
        "asked by the host, one at a time, through four stages and back: p50 {:.2} us, p99 {:.2} us",
        quantile(&mut times, 0.5).as_secs_f64() * 1e6,
        quantile(&mut times, 0.99).as_secs_f64() * 1e6,
    ));
    let moved = watch.end(handled);
    let sent = 3 * (u64::from(events) + u64::from(asks));
    // Who waits for room is not refused.
    check_counters(super::evidence::Counters { full: 0, ..moved }, handled, sent, outcome);
    line.end().map_err(text)
}

pub fn run(runtime: &RingKernel, load: &Load) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    outcome.row("four kernels, and the last tells the first to let the next event in:".to_owned());
    let instances = load.instances(1024);
    for (instances, each, events) in [
        (1, 1, (load.messages / 100).min(500_000)),
        (1, 32, (load.messages / 10).min(5_000_000)),
        (instances, 8, load.messages / 4),
    ] {
        closed(runtime, load, (instances, each, events), &mut outcome)?;
    }
    let (events, asks) = (load.messages / 10)
        .min(20_000_000)
        .try_into()
        .map_or((1000, 100), |events: u32| (events, (events / 10).clamp(100, 20_000)));
    fed(runtime, load, events, asks, &mut outcome)?;
    Ok(outcome)
}
