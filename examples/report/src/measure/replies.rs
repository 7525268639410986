//! Many requests under way at once, and the replies of many that are there already.

use super::{Bench, Expected, Measured, rounds, start};
use crate::actors::{Count, Counter};
use crate::evidence::{Unproven, Watch};
use crate::figure::{Rate, Value};
use futures::StreamExt;
use std::error::Error;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Requests under way.
const IN_FLIGHT: usize = 1024;
/// The most requests of a round.
const MOST: u32 = 20_000_000;
/// Instances that are asked in turn.
const TURN: u32 = 4096;

/// `ask_many` to one instance.
pub fn ask_many(bench: &Bench) -> Measured {
    let title = "`ask_many` to one instance, 1,024 in flight, on smol";
    asks(bench, "ask_many", title, 1, false)
}

/// `ask_many_at` to some thousand instances in turn.
pub fn ask_many_turn(bench: &Bench) -> Measured {
    let title = "`ask_many_at` to 4,096 instances in turn, 1,024 in flight, on smol";
    asks(bench, "ask_many_turn", title, TURN, false)
}

/// The same, from a thread that looks for the replies itself.
pub fn ask_many_blocking(bench: &Bench) -> Measured {
    let title = "`ask_many_at(…).blocking()` to 4,096 instances in turn, 1,024 in flight";
    asks(bench, "ask_many_blocking", title, TURN, true)
}

/// What numbered requests to so many instances in turn must be answered.
struct Turns {
    expected: Vec<Expected>,
    next: u32,
    answered: u32,
}

impl Turns {
    fn new(instances: u32) -> Self {
        Self { expected: (0..instances).map(|_| Expected::default()).collect(), next: 0, answered: 0 }
    }

    /// The next `count` requests.
    fn requests(&mut self, count: u32) -> impl Iterator<Item = (u32, Count)> + use<> {
        let instances = self.expected.len() as u32;
        let numbers: Range<u32> = self.next..self.next + count;
        self.next += count;
        numbers.map(move |number| (number % instances, Count { number }))
    }

    /// The reply to the oldest request that has none yet.
    #[inline]
    fn reply(&mut self, reply: crate::actors::Counted) -> Result<(), Unproven> {
        let number = self.answered;
        self.answered += 1;
        let at = number as usize % self.expected.len();
        let expected = &mut self.expected[at];
        expected.sent(number);
        expected.check(number, reply)
    }
}

fn asks(bench: &Bench, id: &'static str, title: &str, instances: u32, blocking: bool) -> Measured {
    smol::block_on(async {
        let counters = start::<Counter>(bench, bench.for_rate(instances)).await?;
        let watch = Watch::begin(&counters);
        let mut turns = Turns::new(instances);
        let rounds = rounds(&bench.arguments, MOST, async |count| {
            let replies = counters.ask_many_at(turns.requests(count)).in_flight(IN_FLIGHT);
            if blocking {
                for reply in replies.blocking() {
                    turns.reply(reply?)?;
                }
            } else {
                let mut replies = replies;
                while let Some(reply) = replies.next().await {
                    turns.reply(reply?)?;
                }
            }
            all_answered(&turns)
        })
        .await?;
        let asked = u64::from(turns.answered);
        let evidence =
            watch.end(asked, asked, "every reply, in order: number, running count, running sum")?;
        counters.terminate().await?;
        bench.rate(id, title, rounds.messages, &rounds.times, evidence)
    })
}

fn all_answered(turns: &Turns) -> Result<(), Box<dyn Error>> {
    if turns.answered == turns.next {
        Ok(())
    } else {
        Err(Unproven(format!("{} requests, {} replies", turns.next, turns.answered)).into())
    }
}

/// Replies that lie ready in the rings, taken by one host thread: what it takes to drain them, deliver them and hand them out.
///
/// The device's own counter says when all of them are there; until then nobody looks.
pub fn drain(bench: &Bench) -> Measured {
    /// Requests of a round: what fits the processor's caches, as it does where replies are drained as they come.
    const REQUESTS: u32 = 8_192;
    smol::block_on(async {
        let options = bench.for_rate(64).queue_capacity(REQUESTS);
        let counters = start::<Counter>(bench, options).await?;
        let watch = Watch::begin(&counters);
        let mut turns = Turns::new(64);
        let mut taken = Vec::with_capacity(REQUESTS as usize);
        let mut times: Vec<(u64, Duration)> = Vec::new();
        let wanted = bench.arguments.samples(200, 5) as usize;
        // A few more, to warm up.
        for round in 0..wanted + 5 {
            let mut replies =
                counters.ask_many_at(turns.requests(REQUESTS)).in_flight(REQUESTS as usize).blocking();
            let under_way = replies.hand_over();
            if under_way != REQUESTS as usize {
                return Err(Unproven(format!("{under_way} of {REQUESTS} requests were handed over")).into());
            }
            watch.settled(u64::from(turns.next))?;
            taken.clear();
            let begin = Instant::now();
            for reply in replies {
                taken.push(reply?);
            }
            let took = begin.elapsed();
            for reply in &taken {
                turns.reply(*reply)?;
            }
            all_answered(&turns)?;
            if round >= 5 {
                times.push((u64::from(REQUESTS), took));
            }
        }
        let asked = u64::from(turns.answered);
        let evidence =
            watch.end(asked, asked, "every reply, in order: number, running count, running sum")?;
        counters.terminate().await?;
        let samples = times.iter().map(|(count, _)| count).sum();
        let rate = Rate::of_each(&times).ok_or("no rounds")?;
        let title =
            "replies that lie ready in the rings, taken by one host thread with `ask_many_at(…).blocking()`";
        Ok(bench.figure("drain", title, samples, Value::Rate(rate), evidence))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arguments;
    use crate::actors::Counted;
    use ringkernel::{Backend, RingKernel};

    #[test]
    fn requests_in_turn_must_be_answered_in_order_each_by_its_instance() {
        let mut turns = Turns::new(2);
        let sent: Vec<_> = turns.requests(3).map(|(instance, message)| (instance, message.number)).collect();
        assert_eq!(sent, [(0, 0), (1, 1), (0, 2)]);
        assert_eq!(turns.reply(Counted { number: 0, count: 1, sum: 0 }), Ok(()));
        assert_eq!(turns.reply(Counted { number: 1, count: 1, sum: 1 }), Ok(()));
        assert!(all_answered(&turns).is_err());
        assert_eq!(turns.reply(Counted { number: 2, count: 2, sum: 2 }), Ok(()));
        assert!(all_answered(&turns).is_ok());
        turns.requests(1).for_each(drop);
        assert!(turns.reply(Counted { number: 3, count: 3, sum: 4 }).is_err(), "it is the second there");
    }

    /// Its figure means something on a GPU only, where replies wait in the rings; that it counts right shows everywhere.
    #[test]
    fn drained_replies_are_all_checked_and_counted() {
        let arguments = Arguments { quick: true, ..Default::default() };
        let runtime = smol::block_on(RingKernel::builder().backend(Backend::Cpu).build()).unwrap();
        let figure = drain(&Bench { runtime, arguments }).unwrap();
        assert_eq!(figure.evidence.sent, 10 * 8_192);
        assert_eq!(figure.evidence.replies_checked, 10 * 8_192);
    }
}
