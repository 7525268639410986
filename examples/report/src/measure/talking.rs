//! Messages from handler to handler, which the host only starts. Every time ends when the devices' counters say that the last of them was
//! handled.

use super::{Bench, Measured, Rounds, rounds, series, start};
use crate::actors::talking::*;
use crate::evidence::{Unproven, Watch};
use crate::figure::Evidence;
use ringkernel::{ActorRef, Backend, KernelHandle, LaunchOptions};
use std::error::Error;
use std::time::Instant;

/// Hops of a rally: the host's share of its time is that small.
const HOPS: u32 = 1000;
/// Instances that send to each other at random.
const CROWD: u32 = 1 << 20;
/// Events under way in each instance of a stage.
const DEEP: u32 = 8;

/// Shards: so many on a GPU, where each is a warp; some on the CPU; elsewhere there is one.
pub(super) fn shards(bench: &Bench, on_a_gpu: u32) -> u32 {
    let default = match bench.runtime.backend() {
        Backend::Cuda => on_a_gpu,
        Backend::Cpu => 4,
        _ => 1,
    };
    bench.arguments.shards.unwrap_or(default)
}

/// The counters of several kernels.
pub(super) struct Watches<'a>(Vec<(&'a KernelHandle, Watch<'a>)>);

impl<'a> Watches<'a> {
    pub(super) fn begin<const N: usize>(kernels: [&'a KernelHandle; N]) -> Self {
        Self(kernels.into_iter().map(|kernel| (kernel, Watch::begin(kernel))).collect())
    }

    /// Waits until each has handled so many.
    pub(super) fn settled<const N: usize>(&self, handled: [u64; N]) -> Result<(), Unproven> {
        self.0.iter().zip(handled).try_for_each(|((_, watch), handled)| watch.settled(handled))
    }

    /// The evidence that each has handled exactly so many, summed.
    pub(super) fn end<const N: usize>(
        self,
        handled: [u64; N],
        replies: u64,
        checked: &str,
    ) -> Result<Evidence, Unproven> {
        let mut all = Evidence::of_baseline(replies, checked);
        for ((kernel, watch), handled) in self.0.into_iter().zip(handled) {
            let one =
                watch.end(handled, 0, "").map_err(|error| Unproven(format!("{}: {error}", kernel.id())))?;
            all.sent += one.sent;
            all.counted_by_control_block += one.counted_by_control_block;
            all.counted_by_telemetry += one.counted_by_telemetry;
        }
        Ok(all)
    }
}

/// One message back and forth between two kernels.
pub fn hop(bench: &Bench) -> Measured {
    smol::block_on(async {
        let ping = start::<Ping>(bench, bench.for_latency()).await?;
        let pong = start::<Pong>(bench, bench.for_latency()).await?;
        let watches = Watches::begin([&ping, &pong]);
        let mut rallies = 0;
        let each = u64::from(HOPS / 2);
        let times = series(&bench.arguments, 3000, async |_| {
            let begin = Instant::now();
            ping.tell(Ball { left: HOPS }).await?;
            rallies += 1;
            // The one that serves gets the last ball as well.
            watches.settled([rallies * (each + 1), rallies * each])?;
            Ok(begin.elapsed() / HOPS)
        })
        .await?;
        let refused = (ping.snapshot::<Ping>(0).await?.refused, pong.snapshot::<Pong>(0).await?.refused);
        must_be("sends refused", refused, (0, 0))?;
        let checked = "that each of the two kernels handled its half of the hops, and no send was refused";
        let evidence = watches.end([rallies * (each + 1), rallies * each], 0, checked)?;
        ping.terminate().await?;
        pong.terminate().await?;
        let title = format!("handler to handler, one way: means of {HOPS} hops between two kernels");
        bench.latency("hop", title, &times, evidence)
    })
}

/// Hops of a message for each that a round asks for.
const FAR: u32 = 256;

/// Messages to instances at random.
pub fn hop_random(bench: &Bench) -> Measured {
    smol::block_on(async {
        let shards = shards(bench, 1024);
        let under_way = shards * 64;
        let options = bench.for_latency().instances(CROWD).shards(shards).queue_capacity(256);
        let hoppers = start::<Hopper>(bench, options.mailbox(1024)).await?;
        let watches = Watches::begin([&hoppers]);
        let mut handled = 0;
        let mut seed = 0u32;
        // At least so many hops each that what the host seeds them with is nothing beside them.
        let rounds = rounds(&bench.arguments, u32::MAX, async |count| {
            let left = count.div_ceil(under_way).saturating_mul(FAR);
            // Each goes its own way: of those that follow each other through the same instances, the first would hold up the rest.
            let hops = (0..under_way).map(|_| {
                seed = seed.wrapping_add(0x9e37_79b9);
                let random = mix(seed | 1);
                ((random >> 3) % CROWD, Hop { random, left, instances: CROWD })
            });
            hoppers.tell_many_at(hops).await?;
            handled += u64::from(under_way) * (u64::from(left) + 1);
            Ok(watches.settled([handled])?)
        })
        .await?;
        // What a round really was: hops that are no whole number for each are rounded up, and the first came from the host.
        let messages = rounds.messages.div_ceil(u64::from(under_way)) * u64::from(under_way) * u64::from(FAR);
        let rounds = Rounds { messages, ..rounds };
        let states = hoppers.snapshot_all::<Hopper>().await?;
        let given_up: u64 = states.iter().map(|state| u64::from(state.given_up)).sum();
        let counted: u64 = states.iter().map(|state| u64::from(state.handled)).sum();
        must_be("messages handled and hops given up", (counted, given_up), (handled, 0))?;
        let checked = "the sum of what all instances have counted";
        let evidence = watches.end([handled], 0, checked)?;
        let received = hoppers.mailbox().received;
        let title = format!(
            "handler to handler at random among 1,048,576 instances, {under_way} messages under way ({received} through mailboxes)"
        );
        hoppers.terminate().await?;
        bench.rate("hop_random", title, rounds.messages, &rounds.times, evidence)
    })
}

/// The four kernels of a pipeline.
struct Line {
    first: ActorRef<first::Stage>,
    second: ActorRef<second::Stage>,
    third: ActorRef<third::Stage>,
    last: ActorRef<last::Stage>,
}

impl Line {
    async fn start(bench: &Bench, options: &LaunchOptions) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            first: start(bench, options.clone()).await?,
            second: start(bench, options.clone()).await?,
            third: start(bench, options.clone()).await?,
            last: start(bench, options.clone()).await?,
        })
    }

    fn kernels(&self) -> [&KernelHandle; 4] {
        [&self.first, &self.second, &self.third, &self.last]
    }

    async fn end(self) -> Result<(), Box<dyn Error>> {
        self.first.terminate().await?;
        self.second.terminate().await?;
        self.third.terminate().await?;
        Ok(self.last.terminate().await?)
    }
}

/// A request that the first of four kernels is asked and the last one answers.
pub fn pipeline_ask(bench: &Bench) -> Measured {
    smol::block_on(async {
        let line = Line::start(bench, &bench.for_latency()).await?;
        let watches = Watches::begin(line.kernels());
        let mut asked = 0;
        let times = series(&bench.arguments, 50_000, async |value| {
            let begin = Instant::now();
            let answer = line.first.ask_blocking(Query { value })?;
            let took = begin.elapsed();
            asked += 1;
            must_be("the answer", answer, through(value))?;
            Ok(took)
        })
        .await?;
        let evidence = watches.end([asked; 4], asked, "every answer: what four stages make of the value")?;
        line.end().await?;
        bench.latency("pipeline_ask", "four kernels: asked the first, answered by the last", &times, evidence)
    })
}

/// Events through four kernels, some under way all the time.
pub fn pipeline_events(bench: &Bench) -> Measured {
    smol::block_on(async {
        let shards = shards(bench, 128);
        // WebGPU goes from stage to stage by another pass, which on a processor takes long.
        let lanes = if bench.runtime.backend() == Backend::Wgpu { 64 } else { 1024 };
        let under_way = lanes * DEEP;
        // An instance's events stay in its shard's mailboxes: there is room for them.
        let options = bench.for_latency().instances(lanes).shards(shards).queue_capacity(256);
        let line = Line::start(bench, &options.mailbox(4 * under_way / shards)).await?;
        let watches = Watches::begin(line.kernels());
        let (mut events, mut told) = (0, Vec::new());
        // At least one event each.
        let rounds = rounds(&bench.arguments, 1 << 30, async |count| {
            let each = count.div_ceil(under_way);
            let begin = events as u32;
            told.push((begin, each));
            let nexts = (0..under_way).map(|k| (k % lanes, Next { value: begin ^ k, left: each - 1 }));
            line.first.tell_many_at(nexts).await?;
            events += u64::from(under_way) * u64::from(each);
            watches.settled([events; 4])?;
            Ok(())
        })
        .await?;
        let mut sum = 0u32;
        for (begin, each) in told {
            for mut value in (0..under_way).map(|k| begin ^ k) {
                for _ in 0..each {
                    value = through(value);
                    sum = sum.wrapping_add(value);
                }
            }
        }
        let messages = rounds.messages.div_ceil(u64::from(under_way)) * u64::from(under_way);
        let stages = line.last.snapshot_all::<last::Stage>().await?;
        let counted: u64 = stages.iter().map(|stage| u64::from(stage.events)).sum();
        let summed = stages.iter().fold(0u32, |sum, stage| sum.wrapping_add(stage.sum));
        must_be("events that arrived, and the sum of their values", (counted, summed), (events, sum))?;
        let evidence = watches.end([events; 4], 0, "the sum of all values behind the last stage")?;
        line.end().await?;
        let title = format!("four kernels: events through all of them, {under_way} under way");
        bench.rate("pipeline_events", title, messages, &rounds.times, evidence)
    })
}

/// Evidence that is not to be argued with.
pub(super) fn must_be<T: PartialEq + std::fmt::Debug>(what: &str, is: T, must: T) -> Result<(), Unproven> {
    if is == must { Ok(()) } else { Err(Unproven(format!("{what}: {is:?}, and must be {must:?}"))) }
}
