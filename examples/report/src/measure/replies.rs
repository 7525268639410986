//! Many requests under way at once, and the replies and outputs of many that are there already.

use super::{Bench, Expected, Measured, rounds, start};
use crate::actors::{Count, Counter, Give, Given, Giver};
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

/// Outputs that lie ready in the rings, taken by one host thread.
pub fn outputs(bench: &Bench) -> Measured {
    const INSTANCES: u32 = 64;
    const REQUESTS: u32 = 2_048;
    /// Of each request. All of a round have room in the rings.
    const OUTPUTS: u32 = 4;
    smol::block_on(async {
        let options = bench.for_rate(INSTANCES).queue_capacity(REQUESTS * OUTPUTS);
        let givers = start::<Giver>(bench, options).await?;
        let watch = Watch::begin(&givers);
        let mut stream = givers.outputs::<Given>()?.blocking();
        let mut taken = Vec::with_capacity((REQUESTS * OUTPUTS) as usize);
        let mut times: Vec<(u64, Duration)> = Vec::new();
        let wanted = bench.arguments.samples(200, 5) as u32;
        let mut sent = 0;
        // A few more, to warm up.
        for round in 0..wanted + 5 {
            let numbers = sent..sent + REQUESTS;
            sent = numbers.end;
            let requests =
                numbers.clone().map(|number| (number % INSTANCES, Give { number, outputs: OUTPUTS }));
            givers.tell_many_at(requests).await?;
            watch.settled(u64::from(sent))?;
            taken.clear();
            let begin = Instant::now();
            for output in stream.by_ref().take((REQUESTS * OUTPUTS) as usize) {
                let output = output?;
                taken.push((output.instance, output.message));
            }
            let took = begin.elapsed();
            check_outputs(&taken, numbers, INSTANCES, OUTPUTS)?;
            if round >= 5 {
                times.push((u64::from(REQUESTS * OUTPUTS), took));
            }
        }
        let all = u64::from(sent * OUTPUTS);
        let evidence = watch.end(u64::from(sent), all, "every output, those of an instance in order")?;
        givers.terminate().await?;
        let samples = times.iter().map(|(count, _)| count).sum();
        let rate = Rate::of_each(&times).ok_or("no rounds")?;
        let title =
            "outputs that lie ready in the rings, taken by one host thread with `outputs().blocking()`";
        Ok(bench.figure("outputs", title, samples, Value::Rate(rate), evidence))
    })
}

/// Checks that each instance has given out what it was asked for, in that order.
fn check_outputs(
    taken: &[(u32, Given)],
    numbers: Range<u32>,
    instances: u32,
    each: u32,
) -> Result<(), Unproven> {
    // What an instance gives next: of its first number in the range, the first.
    let first =
        |instance: u32| numbers.start + (instance + instances - numbers.start % instances) % instances;
    let mut next: Vec<Given> =
        (0..instances).map(|instance| Given { number: first(instance), output: 0 }).collect();
    for (instance, given) in taken {
        let Some(expected) = next.get_mut(*instance as usize) else {
            return Err(Unproven(format!("instance {instance} is not there and gave {given:?}")));
        };
        if given != expected {
            return Err(Unproven(format!("instance {instance} gave {given:?} and was to give {expected:?}")));
        }
        expected.output += 1;
        if expected.output == each {
            *expected = Given { number: expected.number + instances, output: 0 };
        }
    }
    match taken.len() as u32 == (numbers.end - numbers.start) * each {
        true => Ok(()),
        false => Err(Unproven(format!("{} outputs", taken.len()))),
    }
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

    #[test]
    fn outputs_are_all_checked_and_counted() {
        let arguments = Arguments { quick: true, ..Default::default() };
        let runtime = smol::block_on(RingKernel::builder().backend(Backend::Cpu).build()).unwrap();
        let figure = outputs(&Bench { runtime, arguments }).unwrap();
        assert_eq!(figure.evidence.sent, 10 * 2_048);
        assert_eq!(figure.evidence.replies_checked, 10 * 8_192);
    }

    #[test]
    fn an_output_too_few_twice_or_out_of_order_is_found() {
        let given = |number, output| (number % 2, Given { number, output });
        let right = [given(3, 0), given(4, 0), given(3, 1), given(4, 1), given(5, 0), given(5, 1)];
        assert_eq!(check_outputs(&right, 3..6, 2, 2), Ok(()));
        assert!(check_outputs(&right[..5], 3..6, 2, 2).is_err());
        for (a, b) in [(0, 2), (2, 4)] {
            let mut wrong = right;
            wrong.swap(a, b);
            assert!(check_outputs(&wrong, 3..6, 2, 2).is_err());
            wrong[b] = wrong[a];
            assert!(check_outputs(&wrong, 3..6, 2, 2).is_err());
        }
        assert!(check_outputs(&[(2, Given { number: 3, output: 0 })], 3..4, 2, 1).is_err());
    }
}
