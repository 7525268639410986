//! Many messages from one host thread. A round's time ends when the device has counted the last of its messages, not when the host
//! has handed it over.

use super::{Bench, Expected, Measured, rounds, start};
use crate::actors::{Count, Counter};
use crate::evidence::Watch;
use ringkernel::{ActorRef, RingKernelError};
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
