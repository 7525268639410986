//! Random graphs of messages between the host and the handlers of two kernels: of any two events of which one is a cause of the other, the cause has the
//! smaller timestamp.
//!
//! It is enough to look at neighbours, since timestamps are ordered as numbers are: at one event of an instance (or of a thread of the host) and its next, and at a
//! message's sending and its handling.

use futures::StreamExt;
use proptest::prelude::*;
use ringkernel::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Goes on to two others, and so on.
#[derive(RingMessage, Clone, Copy, Debug)]
struct Visit {
    /// When its sender had decided to send it.
    decided: HlcTimestamp,
    /// Who did: see `Event::place`.
    by: u32,
    seed: u32,
    hops: u32,
    /// A timestamp from elsewhere, ahead of the time of day: what the graph's clocks show then, they show because of each other.
    heard: HlcTimestamp,
}

/// What a handler noted of a visit.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Event {
    /// An instance: twice its number, and 1 more if it is of the other kernel.
    place: u32,
    /// How many visits there were before it at that place.
    number: u32,
    by: u32,
    seed: u32,
    decided: HlcTimestamp,
    sent: HlcTimestamp,
    began: HlcTimestamp,
    went_on: HlcTimestamp,
}

#[device_const]
const INSTANCES: u32 = 5;
const HOST: u32 = 1000;

#[device_fn]
fn next(seed: u32) -> u32 {
    seed.wrapping_mul(0x2c92_77b5).wrapping_add(0x3ead_1e5b)
}

#[ring_kernel(id = "causality_left")]
#[derive(Default)]
struct Left {
    visits: u32,
}

#[ring_kernel(id = "causality_right")]
#[derive(Default)]
struct Right {
    visits: u32,
}

#[ring_kernel]
impl Left {
    #[handler]
    fn visit(&mut self, ctx: &mut RingContext, msg: Visit) -> Event {
        let (sent, began) = (ctx.sent_at(), ctx.tick());
        let place = 2 * ctx.instance();
        let number = self.visits;
        self.visits += 1;
        let seed = next(msg.seed);
        ctx.update_clock(msg.heard);
        let went_on = ctx.tick();
        if msg.hops > 0 {
            let on = Visit {
                decided: went_on,
                by: place,
                seed,
                hops: msg.hops - 1,
                heard: HlcTimestamp::default(),
            };
            let _ = ctx.send::<Right>((seed >> 8) % INSTANCES, on);
            let also = Visit {
                decided: went_on,
                by: place,
                seed: next(seed),
                hops: (msg.hops - 1) / 2,
                heard: HlcTimestamp::default(),
            };
            let _ = ctx.send::<Left>((seed >> 20) % INSTANCES, also);
        }
        let event =
            Event { place, number, by: msg.by, seed: msg.seed, decided: msg.decided, sent, began, went_on };
        let _ = ctx.publish("causality/events", event);
        event
    }
}

#[ring_kernel]
impl Right {
    #[handler]
    fn visit(&mut self, ctx: &mut RingContext, msg: Visit) -> Event {
        let (sent, began) = (ctx.sent_at(), ctx.tick());
        let place = 2 * ctx.instance() + 1;
        let number = self.visits;
        self.visits += 1;
        let seed = next(msg.seed);
        ctx.update_clock(msg.heard);
        let went_on = ctx.tick();
        if msg.hops > 0 {
            let on = Visit {
                decided: went_on,
                by: place,
                seed,
                hops: msg.hops - 1,
                heard: HlcTimestamp::default(),
            };
            let _ = ctx.send::<Left>((seed >> 8) % INSTANCES, on);
        }
        let event =
            Event { place, number, by: msg.by, seed: msg.seed, decided: msg.decided, sent, began, went_on };
        let _ = ctx.publish("causality/events", event);
        event
    }
}

/// What the host does, one after another on a thread: asks somebody, or tells somebody and goes on.
type Errand = (u32, u32, u32, bool, Option<u64>);

/// How far ahead it is that clocks hear of, at most.
const AHEAD: Duration = Duration::from_millis(100);

async fn run(runtime: &RingKernel, threads: &[Vec<Errand>]) {
    let options = || LaunchOptions::default().instances(INSTANCES).shards(2).mailbox(1024);
    let left = Left::launch(runtime, options()).await.unwrap();
    let right = Right::launch(runtime, options()).await.unwrap();
    let events = runtime.topics().subscribe::<Event>("causality/#").await.unwrap();
    let clock = runtime.clock();
    let errands = |of: &Vec<Errand>| {
        let (of, left, right) = (of.clone(), left.clone(), right.clone());
        smol::spawn(async move {
            let mut last = HlcTimestamp::default();
            for (to, seed, hops, waits, heard) in of {
                let decided = clock.tick();
                assert!(
                    decided > last,
                    "the host's own events are in order, and after the replies it has read"
                );
                let heard = heard.map_or(HlcTimestamp::default(), |micros| {
                    HlcTimestamp::from_u64(
                        (since_1970().as_micros() as u64 + micros) << HlcTimestamp::COUNTER_BITS,
                    )
                });
                let visit = Visit { decided, by: HOST, seed, hops, heard };
                let (left, right) = (left.at(to / 2).unwrap(), right.at(to / 2).unwrap());
                match (to % 2, waits) {
                    (0, true) => last = left.ask(visit).await.unwrap().went_on,
                    (1, true) => last = right.ask(visit).await.unwrap().went_on,
                    (0, false) => left.tell(visit).await.unwrap(),
                    _ => right.tell(visit).await.unwrap(),
                }
                assert!(!waits || last > heard);
                // Of a reply that was read, the next thing is an effect.
                assert!(clock.now() > last && clock.tick() > last);
            }
        })
    };
    let tasks: Vec<_> = threads.iter().map(errands).collect();
    for task in tasks {
        task.await;
    }
    // All of them: as many as there were visits.
    let expected: u32 = threads.iter().flatten().map(|&(to, _, hops, _, _)| visits(to % 2 == 0, hops)).sum();
    let mut all = Vec::new();
    let mut events = Box::pin(events);
    while (all.len() as u32) < expected {
        let one = events.next().await.unwrap();
        let Event { place, decided, sent, began, went_on, .. } = one.message;
        assert!(decided < sent && sent < began && began < went_on, "{one:?}");
        assert!(one.timestamp > went_on && clock.now() >= one.timestamp, "{one:?}");
        let ahead = Duration::from_micros(one.message.went_on.micros()).saturating_sub(since_1970());
        assert!(
            ahead < AHEAD + Duration::from_millis(1),
            "only what was heard leads ahead, and counting: {ahead:?}"
        );
        all.push((place, one));
    }
    assert_eq!((events.lagged(), events.skipped(), all.len() as u32), (0, 0, expected));
    // At one place, each event is after all before it.
    let mut last = HashMap::new();
    for (place, one) in all {
        let (number, after) = last.insert(place, (one.message.number, one.timestamp)).unwrap_or_default();
        assert!(one.message.number == 0 || one.message.number == number + 1, "{one:?}");
        assert!(one.message.began > after);
    }
    left.terminate().await.unwrap();
    right.terminate().await.unwrap();
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later")
}

fn ahead() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.3, 0..AHEAD.as_micros() as u64)
}

/// How many visits one makes, itself included.
fn visits(left: bool, hops: u32) -> u32 {
    match (left, hops) {
        (_, 0) => 1,
        (true, hops) => 1 + visits(false, hops - 1) + visits(true, (hops - 1) / 2),
        (false, hops) => 1 + visits(true, hops - 1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn causes_have_smaller_timestamps_than_their_effects_across_host_and_handlers(
        threads in prop::collection::vec(
            prop::collection::vec((0..2 * INSTANCES, any::<u32>(), 0..8u32, any::<bool>(), ahead()), 1..12), 1..4
        )
    ) {
        smol::block_on(async {
            let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.expect("the CPU is always there");
            run(&runtime, &threads).await;
            runtime.shutdown().await.expect("shut down");
        });
    }
}
