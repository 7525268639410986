//! What handlers publish, on the CPU backend: streams of the host and handlers of other kernels get it.

use futures::StreamExt;
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel::pubsub::{MAX_RETAINED, Publisher, SubscribeOptions, WhenFull};
use std::time::{Duration, Instant};

/// To be published, so many times, numbered from `first`.
#[derive(RingMessage, Clone, Copy, Debug)]
struct Measure {
    first: u32,
    count: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Reading {
    number: u32,
    from: u32,
}

/// Another type on the same topic.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Note {
    text: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
struct Remember {
    number: u32,
}

#[ring_kernel(id = "topics_sensor")]
#[derive(Default)]
struct Sensor {
    full: u32,
}

#[ring_kernel]
impl Sensor {
    #[handler]
    fn measure(&mut self, ctx: &mut RingContext, msg: Measure) -> u32 {
        let from = ctx.instance();
        for number in msg.first..msg.first + msg.count {
            if ctx.publish("plant/1/readings", Reading { number, from }).is_full() {
                self.full += 1;
            }
        }
        self.full
    }

    #[handler]
    fn remember(&mut self, ctx: &mut RingContext, msg: Remember) {
        let from = ctx.instance();
        let _ = ctx.publish_retained("plant/1/last", Reading { number: msg.number, from });
    }

    #[handler]
    fn note(&mut self, ctx: &mut RingContext, msg: Note) {
        let _ = ctx.publish("plant/1/readings", msg);
    }
}

/// Counts what it gets, and whether any came out of order.
#[ring_kernel(id = "topics_gauge")]
#[derive(Default, Debug, PartialEq, Clone, Copy)]
struct Gauge {
    count: u32,
    sum: u64,
    last: u32,
    disordered: u32,
    sent_by: u32,
}

#[ring_kernel]
impl Gauge {
    #[handler]
    fn reading(&mut self, ctx: &mut RingContext, msg: Reading) {
        self.count += 1;
        self.sum += msg.number as u64;
        if msg.number < self.last {
            self.disordered += 1;
        }
        self.last = msg.number;
        self.sent_by = ctx.sender_instance();
    }

    #[handler]
    fn count(&mut self, _ctx: &mut RingContext, _msg: ()) -> u32 {
        self.count
    }
}

async fn runtime() -> RingKernel {
    RingKernel::builder().backend(Backend::Cpu).build().await.expect("the CPU is always there")
}

/// Waits until the gauge has so many.
async fn until_it_has(gauge: &ActorRef<Gauge>, count: u32) {
    let start = Instant::now();
    while gauge.ask(()).await.expect("answered") < count {
        assert!(start.elapsed() < Duration::from_secs(20), "they have not come in 20 s");
        smol::Timer::after(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_stream_gets_what_handlers_publish_in_the_order_of_each() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default().instances(4)).await.unwrap();
        // Published before anybody subscribed: nobody's.
        sensor.ask(Measure { first: 1000, count: 3 }).await.unwrap();
        let mut readings = topics.subscribe::<Reading>("plant/+/readings").await.unwrap();
        let mut others = topics.subscribe::<Reading>("plant/2/#").await.unwrap();
        let before = runtime.clock().tick();
        for instance in 0..4 {
            assert_eq!(sensor.at(instance).unwrap().ask(Measure { first: 0, count: 50 }).await.unwrap(), 0);
        }
        let mut next = [0; 4];
        for _ in 0..200 {
            let one = readings.next().await.unwrap();
            let Reading { number, from } = one.message;
            assert_eq!((number, one.missed, one.retained), (next[from as usize], 0, false));
            next[from as usize] += 1;
            assert_eq!(one.topic.as_str(), "plant/1/readings");
            let (id, number) = ("topics_sensor", sensor.number());
            assert!(
                matches!(one.publisher, Publisher::Kernel { id: i, number: n, instance, .. } if (i, n, instance) == (id, number, from))
            );
            assert!(one.timestamp > before, "caused by what was sent later");
            assert!(runtime.clock().now() >= one.timestamp, "and the host has seen it");
        }
        assert_eq!(readings.try_receive(), None);
        assert_eq!(others.try_receive(), None);
        sensor.ask(Note { text: 7 }).await.unwrap();
        sensor.ask(Measure { first: 7, count: 1 }).await.unwrap();
        assert_eq!(readings.next().await.unwrap().message.number, 7);
        assert_eq!(readings.skipped(), 1);
        drop(readings);
        sensor.ask(Measure { first: 0, count: 3 }).await.unwrap();
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn a_slow_stream_counts_what_it_missed_of_a_handlers_messages() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default()).await.unwrap();
        for when_full in [WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::Wait] {
            let options = SubscribeOptions::default().capacity(8).when_full(when_full);
            let mut readings = topics.subscribe_with::<Reading>("plant/#", options).await.unwrap();
            assert_eq!(sensor.ask(Measure { first: 0, count: 100 }).await.unwrap(), 0);
            // The answer comes behind what was published.
            assert_eq!(readings.lagged(), 92);
            sensor.ask(Measure { first: 100, count: 0 }).await.unwrap();
            let (mut got, mut missed) = (0, 0);
            while let Some(one) = readings.try_receive() {
                got += 1;
                missed += one.missed;
                if when_full == WhenFull::DropOldest {
                    assert_eq!(one.message.number, 91 + got);
                }
            }
            let told = if when_full == WhenFull::DropOldest { 92 } else { 0 };
            assert_eq!((got, missed), (8, told));
            sensor.ask(Measure { first: 100, count: 1 }).await.unwrap();
            assert_eq!(readings.next().await.unwrap().missed, 92 - told);
        }
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn handlers_that_subscribed_get_what_handlers_publish_and_what_the_host_does() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let gauges = Gauge::launch(&runtime, LaunchOptions::default().instances(3)).await.unwrap();
        let second = gauges.at(1).unwrap();
        // Before there is anybody who publishes, and after.
        let early = topics.subscribe_actor::<Reading, _>(&second, "plant/#").await.unwrap();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default().instances(6)).await.unwrap();
        let late = topics.subscribe_actor::<Reading, _>(&gauges, "+/1/+").await.unwrap();
        sensor.at(5).unwrap().ask(Measure { first: 0, count: 500 }).await.unwrap();
        until_it_has(&second, 500).await;
        until_it_has(&gauges, 500).await;
        let all = Gauge { count: 500, sum: 499 * 250, last: 499, disordered: 0, sent_by: 5 };
        assert_eq!(topics.publish("plant/9", Reading { number: 500, from: 0 }).await.unwrap().reached, 1);
        assert_eq!((early.missed(), late.missed()), (0, 0));
        late.detach();
        drop(early);
        // Devices hear of that in a moment.
        for first in 1000.. {
            let before = second.ask(()).await.unwrap();
            sensor.ask(Measure { first, count: 1 }).await.unwrap();
            smol::Timer::after(Duration::from_millis(5)).await;
            if second.ask(()).await.unwrap() == before {
                break;
            }
            assert!(first < 2000, "the handler still gets what is published");
        }
        gauges.deactivate().await.unwrap();
        let third = gauges.snapshot::<Gauge>(2).await.unwrap();
        assert_eq!(third, Gauge::default());
        let first = gauges.snapshot::<Gauge>(0).await.unwrap();
        assert!(first.count > 500 && first.disordered == 0 && first.sum > all.sum);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn a_handler_is_told_when_a_subscriber_has_no_room_and_the_subscription_counts_it() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let options = LaunchOptions::default().instances(2).mailbox(16).without_auto_activate();
        let gauge = Gauge::launch(&runtime, options).await.unwrap();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default()).await.unwrap();
        let subscription = topics.subscribe_actor::<Reading, _>(&gauge, "plant/#").await.unwrap();
        let mut stream = topics.subscribe::<Reading>("plant/#").await.unwrap();
        let full = sensor.ask(Measure { first: 0, count: 100 }).await.unwrap();
        assert_eq!((full, subscription.missed()), (84, 84));
        for number in 0..100 {
            assert_eq!(stream.next().await.unwrap().message.number, number, "others miss nothing");
        }
        gauge.activate().await.unwrap();
        until_it_has(&gauge, 16).await;
        // The counts go on when others come and go, and the device begins anew.
        let other = gauge.at(1).unwrap();
        let more = topics.subscribe_actor::<Reading, _>(&other, "plant/1/+").await.unwrap();
        assert_eq!(subscription.missed(), 84);
        sensor.ask(Measure { first: 100, count: 1 }).await.unwrap();
        until_it_has(&gauge, 17).await;
        until_it_has(&other, 1).await;
        assert_eq!((subscription.missed(), stream.lagged(), more.missed()), (84, 0, 0));
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn what_a_handler_publishes_to_be_retained_is_there_for_who_comes_later() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default().instances(2)).await.unwrap();
        for number in 0..3 {
            sensor.at(1).unwrap().ask(Remember { number }).await.unwrap();
        }
        let mut last = topics.subscribe::<Reading>("plant/#").await.unwrap();
        let first = last.next().await.unwrap();
        assert_eq!((first.message, first.retained), (Reading { number: 2, from: 1 }, true));
        let gauge = Gauge::launch(&runtime, LaunchOptions::default()).await.unwrap();
        topics.subscribe_actor::<Reading, _>(&gauge, "plant/1/last").await.unwrap().detach();
        until_it_has(&gauge, 1).await;
        sensor.ask(Remember { number: 9 }).await.unwrap();
        let next = last.next().await.unwrap();
        assert_eq!((next.message, next.retained), (Reading { number: 9, from: 0 }, false));
        until_it_has(&gauge, 2).await;
        assert_eq!(topics.snapshot().retained, 1);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn what_a_handler_publishes_to_be_retained_where_no_more_can_be_is_handed_out_and_counted() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default()).await.unwrap();
        for n in 0..MAX_RETAINED {
            topics.try_publish_retained(&format!("full/{n}"), Note { text: 0 }).unwrap();
        }
        let mut stream = topics.subscribe::<Reading>("plant/#").await.unwrap();
        for number in 0..3 {
            sensor.ask(Remember { number }).await.unwrap();
            let one = stream.next().await.unwrap();
            assert_eq!((one.message.number, one.retained), (number, false));
        }
        let full = topics.snapshot();
        assert_eq!((full.not_retained, full.retained), (3, MAX_RETAINED));
        assert_eq!(topics.clear_retained("full/7").unwrap(), 1);
        sensor.ask(Remember { number: 3 }).await.unwrap();
        assert_eq!(stream.next().await.unwrap().message.number, 3);
        let mut late = topics.subscribe::<Reading>("plant/1/last").await.unwrap();
        let kept = late.next().await.unwrap();
        assert_eq!((kept.message.number, kept.retained), (3, true));
        assert_eq!(topics.snapshot().not_retained, 3);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn kernels_that_subscribe_may_end_while_others_publish_to_them() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let sensor = Sensor::launch(&runtime, LaunchOptions::default().instances(2)).await.unwrap();
        let mut stream = topics
            .subscribe_with::<Reading>("plant/#", SubscribeOptions::default().capacity(1 << 20))
            .await
            .unwrap();
        let publishing = smol::spawn({
            let sensor = sensor.clone();
            async move {
                for round in 0..200 {
                    sensor.ask(Measure { first: round * 20, count: 20 }).await.unwrap();
                }
            }
        });
        for _ in 0..10 {
            let gauge = Gauge::launch(&runtime, LaunchOptions::default()).await.unwrap();
            topics.subscribe_actor::<Reading, _>(&gauge, "plant/#").await.unwrap().detach();
            // Until it has one, or none is to come any more.
            while !publishing.is_finished() && gauge.ask(()).await.expect("answered") < 1 {
                smol::Timer::after(Duration::from_millis(1)).await;
            }
            gauge.terminate().await.unwrap();
            if publishing.is_finished() {
                break;
            }
        }
        publishing.await;
        assert_eq!(topics.snapshot().subscriptions, 1);
        for number in 0..4000 {
            assert_eq!(stream.next().await.unwrap().message.number, number);
        }
        runtime.shutdown().await.unwrap();
    });
}

/// Of variable size.
#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 256)]
struct Report {
    number: u32,
    text: String,
}

#[test]
fn messages_of_variable_size_are_published_retained_and_read() {
    smol::block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let report = |length: usize| Report { number: length as u32, text: "x".repeat(length) };
        topics.publish_retained("reports/1", report(3)).await.unwrap();
        let mut reports = topics.subscribe::<Report>("reports/#").await.unwrap();
        for length in [0, 1, 100] {
            topics.publish("reports/2", report(length)).await.unwrap();
        }
        for length in [3, 0, 1, 100] {
            assert_eq!(reports.next().await.unwrap().message, report(length));
        }
        let error = topics.publish("reports/2", report(1000)).await.unwrap_err();
        assert!(matches!(error, RingKernelError::PayloadTooLarge(_)), "{error}");
        assert_eq!((reports.skipped(), reports.try_receive()), (0, None));
        runtime.shutdown().await.unwrap();
    });
}
