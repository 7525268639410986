//! Many messages from one host thread. A round's time ends when the device has counted the last of its messages, not when the host
//! has handed it over.

use super::{Bench, Expected, Measured, rounds, start};
use crate::actors::{Count, Counter};
use crate::evidence::Watch;
use ringkernel::{ActorRef, RingKernelError};
use std::collections::BTreeMap;
use std::ops::Range;

/// The most messages of a round.
const MOST: u32 = 30_000_000;

/// `tell(…).await`, one after another.
pub fn tell(bench: &Bench) -> Measured {
    tells(bench, "tell", "`tell().await`, one by one, to one instance", async |counter, numbers| {
        for number in numbers {
            counter.tell(Count { number }).await?;
        }
        Ok(())
    })
}

/// `tell(…).await`, one after another, to some thousand instances in turn.
pub fn tell_turn(bench: &Bench) -> Measured {
    const TURN: u32 = 4096;
    let title = "`tell().await`, one by one, to 4,096 instances in turn";
    let instance = |index| index as u32 % TURN;
    tells_at(bench, "tell_turn", title, TURN, instance, async |counters, mail| {
        let each = (0..TURN).map(|instance| counters.at(instance)).collect::<Result<Vec<_>, _>>()?;
        for &(instance, message) in mail {
            each[instance as usize].tell(message).await?;
        }
        Ok(())
    })
}

/// `try_tell`, again where the ring is full.
pub fn try_tell(bench: &Bench) -> Measured {
    tells(bench, "try_tell", "`try_tell`, one by one, to one instance", async |counter, numbers| {
        for number in numbers {
            let mut message = Count { number };
            while let Err(refused) = counter.try_tell(message) {
                if !matches!(refused.reason, RingKernelError::QueueFull { .. }) {
                    return Err(refused.reason);
                }
                message = refused.message;
                std::thread::yield_now();
            }
        }
        Ok(())
    })
}

/// `tell_blocking`, one after another.
pub fn tell_blocking(bench: &Bench) -> Measured {
    tells(bench, "tell_blocking", "`tell_blocking`, one by one, to one instance", async |counter, numbers| {
        for number in numbers {
            counter.tell_blocking(Count { number })?;
        }
        Ok(())
    })
}

/// `tell_many` to one instance.
pub fn tell_many(bench: &Bench) -> Measured {
    tells(bench, "tell_many", "`tell_many` to one instance", async |counter, numbers| {
        Ok(counter.tell_many(numbers.map(|number| Count { number })).await?)
    })
}

/// `tell_many_at` to some thousand instances in turn.
pub fn tell_many_turn(bench: &Bench) -> Measured {
    let title = "`tell_many_at` to 4,096 instances in turn";
    tells_at(bench, "tell_many_turn", title, 4096, |index| index as u32 % 4096, all_at_once)
}

/// `tell_many_at` to a million instances at random.
pub fn tell_many_million(bench: &Bench) -> Measured {
    let title = "`tell_many_at` to 1,048,576 instances at random";
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    tells_at(bench, "tell_many_million", title, 1 << 20, move |_| random.next() >> 12, all_at_once)
}

async fn all_at_once(counters: &ActorRef<Counter>, mail: &[(u32, Count)]) -> Result<(), RingKernelError> {
    Ok(counters.tell_many_at(mail.iter().copied()).await?)
}

/// Marsaglia's xorshift64*; its upper half.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

/// Messages for many instances, made before the clock runs, and sent again and again from the first.
struct Mail {
    messages: Vec<(u32, Count)>,
    /// How often all of them were sent, and how many of the first were sent once more, each time.
    whole: u32,
    parts: Vec<usize>,
}

impl Mail {
    fn new(count: usize, mut instance: impl FnMut(usize) -> u32) -> Self {
        let messages = (0..count).map(|index| (instance(index), Count { number: index as u32 })).collect();
        Self { messages, whole: 0, parts: Vec::new() }
    }

    /// The next `count` messages, in pieces; they count as sent.
    fn send(&mut self, count: usize) -> impl Iterator<Item = &[(u32, Count)]> {
        let (whole, part) = (count / self.messages.len(), count % self.messages.len());
        self.whole += whole as u32;
        self.parts.push(part);
        std::iter::repeat_n(&self.messages[..], whole).chain([&self.messages[..part]])
    }

    /// What the instances to which the first messages went must hold, `most` of them.
    fn expected(&self, most: usize) -> BTreeMap<u32, Expected> {
        let mut expected = BTreeMap::<u32, Expected>::new();
        for (instance, _) in self.messages.iter().take(most) {
            expected.entry(*instance).or_default();
        }
        for (index, (instance, message)) in self.messages.iter().enumerate() {
            if let Some(expected) = expected.get_mut(instance) {
                let times = self.whole + self.parts.iter().filter(|part| **part > index).count() as u32;
                expected.count = expected.count.wrapping_add(times);
                expected.sum = expected.sum.wrapping_add(times.wrapping_mul(message.number));
            }
        }
        expected
    }
}

/// Rounds of messages to many instances; a thousand of those must hold their counts and sums at the end.
fn tells_at(
    bench: &Bench,
    id: &'static str,
    title: &str,
    instances: u32,
    instance: impl FnMut(usize) -> u32,
    mut send: impl AsyncFnMut(&ActorRef<Counter>, &[(u32, Count)]) -> Result<(), RingKernelError>,
) -> Measured {
    smol::block_on(async {
        let mut mail = Mail::new(bench.arguments.samples(1 << 22, 1 << 14) as usize, instance);
        let counters = start::<Counter>(bench, bench.for_rate(instances)).await?;
        let watch = Watch::begin(&counters);
        let mut sent = 0;
        let rounds = rounds(&bench.arguments, MOST, async |count| {
            for piece in mail.send(count as usize) {
                send(&counters, piece).await?;
            }
            sent += u64::from(count);
            Ok(watch.settled(sent)?)
        })
        .await?;
        let expected = mail.expected(1000);
        let asked = expected.len() as u64;
        for (instance, mut expected) in expected {
            expected.ask(&counters.at(instance)?).await?;
        }
        let checked = "the counts of messages and sums of their numbers of so many instances";
        let evidence = watch.end(sent + asked, asked, checked)?;
        counters.terminate().await?;
        bench.rate(id, title, rounds.messages, &rounds.times, evidence)
    })
}

/// Rounds of numbered messages to one instance, which must hold their count and sum at the end.
fn tells(
    bench: &Bench,
    id: &'static str,
    title: &str,
    mut send: impl AsyncFnMut(&ActorRef<Counter>, Range<u32>) -> Result<(), RingKernelError>,
) -> Measured {
    smol::block_on(async {
        let counter = start::<Counter>(bench, bench.for_rate(1)).await?;
        let watch = Watch::begin(&counter);
        let mut expected = Expected::default();
        let (mut sent, mut next) = (0, 0u32);
        let rounds = rounds(&bench.arguments, MOST, async |count| {
            // The numbers wrap between rounds, not within one.
            let first = if next.checked_add(count).is_some() { next } else { 0 };
            next = first + count;
            send(&counter, first..next).await?;
            expected.sent_all(first..next);
            sent += u64::from(count);
            Ok(watch.settled(sent)?)
        })
        .await?;
        expected.ask(&counter).await?;
        let evidence = watch.end(sent + 1, 1, "the instance's count of messages and sum of their numbers")?;
        counter.terminate().await?;
        bench.rate(id, title, rounds.messages, &rounds.times, evidence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_that_is_sent_in_pieces_is_expected_as_if_each_message_had_been_counted() {
        let mut random = Xorshift(1);
        let mut mail = Mail::new(1000, |_| random.next() >> 26);
        let mut counted = BTreeMap::<u32, Expected>::new();
        for count in [10, 999, 1000, 3500, 1] {
            let pieces: Vec<_> = mail.send(count).flatten().copied().collect();
            assert_eq!(pieces.len(), count);
            for (instance, message) in pieces {
                counted.entry(instance).or_default().sent(message.number);
            }
        }
        let expected = mail.expected(300);
        assert!(expected.len() > 50, "64 instances, 300 messages: {}", expected.len());
        for (instance, expected) in expected {
            let counted = &counted[&instance];
            assert_eq!((expected.count, expected.sum), (counted.count, counted.sum), "{instance}");
        }
    }
}
