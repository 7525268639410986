//! Messages that handlers publish to other kernels, without the host. As in `talking`, every time ends when the devices' counters say that the last of
//! them was handled.

use super::talking::{Watches, must_be, shards};
use super::{Bench, Measured, Rounds, rounds, start};
use crate::actors::publishing::*;
use ringkernel::Overflow;
use std::time::Duration;

/// Instances that publish, in one shard: a warp's lanes.
const PUBLISHERS: u32 = 32;
/// Publications for each message that asks for some: the host's share of the time is that small.
const AT_ONCE: u32 = 256;

/// To one subscriber.
pub fn publish_1(bench: &Bench) -> Measured {
    publish(bench, "publish_1", 1)
}

/// To eight.
pub fn publish_8(bench: &Bench) -> Measured {
    publish(bench, "publish_8", 8)
}

/// To sixty-four.
pub fn publish_64(bench: &Bench) -> Measured {
    publish(bench, "publish_64", 64)
}

fn publish(bench: &Bench, id: &'static str, subscribers: u32) -> Measured {
    smol::block_on(async {
        let options = bench.for_latency().instances(PUBLISHERS).shards(1).queue_capacity(4096);
        let publisher = start::<Publisher>(bench, options).await?;
        // Who publishes waits for room, so that nobody misses anything and all can be counted.
        let at_most = Duration::from_secs(1);
        let options = bench.for_latency().instances(subscribers).shards(shards(bench, subscribers));
        let subscriber =
            start::<Subscriber>(bench, options.mailbox(1024).overflow(Overflow::Block { at_most })).await?;
        let mut subscriptions = Vec::new();
        for instance in 0..subscribers {
            let topics = bench.runtime.topics();
            let one = subscriber.at(instance)?;
            subscriptions.push(topics.subscribe_actor::<Item, _>(&one, "report/items").await?);
        }
        let watches = Watches::begin([&publisher, &subscriber]);
        let (mut told, mut published) = (0, 0u64);
        // Each publication is one message a subscriber.
        let whole = subscribers * AT_ONCE;
        let rounds = rounds(&bench.arguments, 1 << 30, async |count| {
            let requests = count.div_ceil(whole);
            let first = published as u32;
            let announce = |k: u32| Announce { first: first.wrapping_add(k * AT_ONCE), count: AT_ONCE };
            publisher.tell_many_at((0..requests).map(|k| (k % PUBLISHERS, announce(k)))).await?;
            told += u64::from(requests);
            published += u64::from(requests) * u64::from(AT_ONCE);
            Ok(watches.settled([told, published * u64::from(subscribers)])?)
        })
        .await?;
        let messages = rounds.messages.div_ceil(u64::from(whole)) * u64::from(whole);
        let rounds = Rounds { messages, ..rounds };
        // Of the numbers from 0 on; the low 32 bits.
        let sum = u128::from(published) * u128::from(published - 1) / 2;
        let must = (published as u32, sum as u32);
        for state in subscriber.snapshot_all::<Subscriber>().await? {
            must_be("a subscriber's items and the sum of their numbers", (state.items, state.sum), must)?;
        }
        let refused: u32 =
            publisher.snapshot_all::<Publisher>().await?.iter().map(|state| state.refused).sum();
        let missed: u64 = subscriptions.iter().map(|subscription| subscription.missed()).sum();
        must_be("publications refused and messages missed", (refused, missed), (0, 0))?;
        let checked =
            "every subscriber's count of items and the sum of their numbers, and that none was missed";
        let evidence = watches.end([told, published * u64::from(subscribers)], 0, checked)?;
        drop(subscriptions);
        publisher.terminate().await?;
        subscriber.terminate().await?;
        let title = format!(
            "published by a handler, {PUBLISHERS} instances of a shard, to {subscribers} of another kernel: messages delivered"
        );
        bench.rate(id, title, rounds.messages, &rounds.times, evidence)
    })
}
