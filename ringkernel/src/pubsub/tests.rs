//! Publishing and subscribing on the host.

use super::*;
use crate::testing::{Account, Balance, Deposit, Misbehave};
use crate::{Backend, LaunchOptions, RingKernel, RingKernelError, TerminateOptions};
use futures::executor::block_on;
use futures::task::noop_waker;
use futures::{FutureExt, StreamExt};
use std::pin::pin;
use std::task::{Context, Poll};

async fn runtime() -> RingKernel {
    RingKernel::builder().backend(Backend::Cpu).build().await.expect("the CPU is always there")
}

fn cents(cents: i64) -> Deposit {
    Deposit { cents }
}

/// What is in the buffer: the messages, and how many were missed before each.
fn buffered(subscription: &mut Subscription<Deposit>) -> Vec<(i64, u64)> {
    std::iter::from_fn(|| subscription.try_receive()).map(|one| (one.message.cents, one.missed)).collect()
}

fn options(capacity: usize, when_full: WhenFull) -> SubscribeOptions {
    SubscribeOptions::default().capacity(capacity).when_full(when_full)
}

#[test]
fn a_subscription_gets_what_is_published_on_its_topics_in_order() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let mut some = topics.subscribe::<Deposit>("a/+").await.unwrap();
        let mut all = topics.subscribe::<Deposit>("#").await.unwrap();
        for n in 0..100 {
            let delivery = topics.publish(if n % 2 == 0 { "a/b" } else { "a" }, cents(n)).await.unwrap();
            assert_eq!((delivery.reached, delivery.missed), (if n % 2 == 0 { 2 } else { 1 }, 0));
        }
        let evens: Vec<_> = (0..100).step_by(2).map(|n| (n, 0)).collect();
        assert_eq!(buffered(&mut some), evens);
        let first = all.next().await.unwrap();
        assert_eq!((first.topic.as_str(), first.publisher, first.retained), ("a/b", Publisher::Host, false));
        let mut last = first.timestamp;
        for n in 1..100 {
            let one = all.next().await.unwrap();
            assert_eq!(one.message.cents, n);
            assert!(one.timestamp > last);
            last = one.timestamp;
        }
        assert_eq!((some.lagged(), all.lagged(), all.skipped()), (0, 0, 0));
        assert_eq!(topics.publish("b", cents(1)).await.unwrap().reached, 1);
        drop(all);
        assert_eq!(topics.publish("b", cents(1)).await.unwrap().reached, 0);
        assert_eq!(topics.snapshot().subscriptions, 1);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn what_a_full_buffer_costs_is_told_with_the_next_message_and_in_all() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let mut oldest = topics.subscribe_with("t", options(3, WhenFull::DropOldest)).await.unwrap();
        let mut newest = topics.subscribe_with("t", options(3, WhenFull::DropNewest)).await.unwrap();
        let mut one = topics.subscribe_with("t", options(1, WhenFull::DropOldest)).await.unwrap();
        let mut patient = topics.subscribe_with("t", options(3, WhenFull::Wait)).await.unwrap();
        for n in 0..10 {
            let delivery = topics.try_publish("t", cents(n)).unwrap();
            assert_eq!((delivery.reached, delivery.missed), if n < 3 { (4, 0) } else { (2, 2) });
        }
        assert_eq!(buffered(&mut oldest), [(7, 7), (8, 0), (9, 0)]);
        assert_eq!(buffered(&mut newest), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(buffered(&mut one), [(9, 9)]);
        assert_eq!(buffered(&mut patient), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!([oldest.lagged(), newest.lagged(), one.lagged(), patient.lagged()], [7, 7, 9, 7]);
        topics.try_publish("t", cents(10)).unwrap();
        assert_eq!(buffered(&mut oldest), [(10, 0)]);
        assert_eq!(buffered(&mut newest), [(10, 7)]);
        assert_eq!(buffered(&mut patient), [(10, 7)]);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn publish_waits_for_who_asked_for_it_and_for_nobody_else() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let mut patient = topics.subscribe_with::<Deposit>("t", options(1, WhenFull::Wait)).await.unwrap();
        let other = topics.subscribe_with::<Deposit>("t", options(1, WhenFull::DropNewest)).await.unwrap();
        topics.publish("t", cents(0)).await.unwrap();
        let mut second = pin!(topics.publish("t", cents(1)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert_eq!(other.lagged(), 1);
        assert_eq!(patient.next().await.unwrap().message.cents, 0);
        let delivery = second.await.unwrap();
        assert_eq!((delivery.reached, delivery.missed), (1, 1));
        // Dropped while it waits: missed, and counted.
        let mut third = Box::pin(topics.publish("t", cents(2)));
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(third);
        assert_eq!(patient.lagged(), 1);
        assert_eq!(buffered(&mut patient), [(1, 0)]);
        topics.try_publish("t", cents(3)).unwrap();
        assert_eq!(buffered(&mut patient), [(3, 1)]);
        // Nobody waits for a subscription that is gone.
        topics.publish("t", cents(4)).await.unwrap();
        let fifth = topics.publish("t", cents(5));
        let (delivery, ()) = futures::join!(fifth, async { drop(patient) });
        assert_eq!(delivery.unwrap().reached, 0);
        drop(other);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn two_publishers_that_wait_for_one_reader_both_get_through() {
    let runtime = block_on(runtime());
    let topics = runtime.topics();
    let mut patient = block_on(topics.subscribe_with::<Deposit>("t", options(2, WhenFull::Wait))).unwrap();
    let publisher = |from: i64| {
        let topics = topics.clone();
        std::thread::spawn(move || {
            block_on(async {
                for n in 0..2000 {
                    assert_eq!(topics.publish("t", cents(from + n)).await.unwrap().reached, 1);
                }
            })
        })
    };
    let threads = [publisher(0), publisher(1_000_000)];
    let mut next = [0, 1_000_000];
    for _ in 0..4000 {
        let one = block_on(patient.next()).unwrap();
        let from = usize::from(one.message.cents >= 1_000_000);
        assert_eq!((one.message.cents, one.missed), (next[from], 0));
        next[from] += 1;
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((patient.lagged(), patient.try_receive()), (0, None));
    block_on(runtime.shutdown()).unwrap();
}

#[test]
fn the_retained_message_is_the_first_that_a_subscription_gets() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        topics.publish_retained("a/1", cents(1)).await.unwrap();
        topics.publish_retained("a/2", cents(2)).await.unwrap();
        topics.publish_retained("a/1", cents(3)).await.unwrap();
        topics.publish("a/1", cents(4)).await.unwrap();
        topics.publish_retained("a/2", Misbehave(0)).await.unwrap();
        let mut a = topics.subscribe::<Deposit>("a/#").await.unwrap();
        topics.try_publish_retained("a/3", cents(5)).unwrap();
        let got: Vec<_> =
            std::iter::from_fn(|| a.try_receive()).map(|one| (one.message.cents, one.retained)).collect();
        assert_eq!(got, [(3, true), (5, false)]);
        assert_eq!(a.skipped(), 1, "one of another type is retained");
        assert_eq!(topics.snapshot().retained, 3);
        assert_eq!(topics.snapshot().retained_bytes, 8 + 4 + 8);
        assert_eq!(topics.clear_retained("a/1").unwrap(), 1);
        assert_eq!(topics.clear_retained("#").unwrap(), 2);
        let mut late = topics.subscribe::<Deposit>("#").await.unwrap();
        assert_eq!(late.try_receive(), None);
        assert_eq!((topics.snapshot().retained, topics.snapshot().retained_bytes), (0, 0));
        // More than fits is missed as anything else is.
        for n in 0..5 {
            topics.publish_retained(&format!("b/{n}"), cents(n)).await.unwrap();
        }
        let mut few = topics.subscribe_with("b/+", options(2, WhenFull::DropOldest)).await.unwrap();
        assert_eq!((buffered(&mut few), few.lagged()), (vec![(3, 3), (4, 0)], 3));
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn what_is_retained_has_bounds_that_an_error_names_and_topics_without_take_no_memory_for_long() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        for n in 0..MAX_RETAINED {
            topics.try_publish_retained(&format!("r/{n}"), cents(n as i64)).unwrap();
        }
        let error = topics.publish_retained("one/more", cents(0)).await.unwrap_err();
        assert!(
            error.to_string().contains("65536 topics retain 524288 bytes, and the most are 65536 topics"),
            "{error}"
        );
        topics.publish_retained("r/7", cents(0)).await.expect("one that is there is replaced");
        // Lists of topics that nobody retained anything on are forgotten, and nobody notices.
        let mut some = topics.subscribe::<Deposit>("x/#").await.unwrap();
        for n in 0..40_000 {
            topics.try_publish(&format!("x/{n}"), cents(n)).unwrap();
            if n % 1000 == 0 {
                assert_eq!(some.next().await.unwrap().message.cents, n);
                buffered(&mut some);
            } else {
                some.try_receive();
            }
        }
        assert_eq!(some.lagged(), 0);
        assert_eq!(topics.snapshot().retained, MAX_RETAINED);
        assert_eq!(topics.clear_retained("r/+").unwrap(), MAX_RETAINED);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn messages_of_another_type_are_skipped_and_counted() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let mut deposits =
            topics.subscribe_with::<Deposit>("t", options(1, WhenFull::DropNewest)).await.unwrap();
        for n in 0..5 {
            topics.publish("t", Misbehave(n)).await.unwrap();
        }
        topics.publish("t", cents(7)).await.unwrap();
        assert_eq!(deposits.next().await.unwrap().message.cents, 7);
        assert_eq!((deposits.skipped(), deposits.lagged()), (5, 0));
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn a_stream_ends_with_the_runtime_after_what_it_has() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let mut deposits = topics.subscribe::<Deposit>("t").await.unwrap();
        let mut idle = topics.subscribe::<Deposit>("u").await.unwrap();
        topics.publish("t", cents(7)).await.unwrap();
        let waker = noop_waker();
        assert!(matches!(idle.poll_next_unpin(&mut Context::from_waker(&waker)), Poll::Pending));
        runtime.shutdown().await.unwrap();
        assert_eq!(deposits.next().await.unwrap().message.cents, 7);
        assert_eq!((deposits.next().await, idle.next().await), (None, None));
        let shut = RingKernelError::PubSub(PubSubError::Shutdown);
        assert_eq!(topics.publish("t", cents(7)).await.err(), Some(shut.clone()));
        assert_eq!(topics.publish_retained("t", cents(7)).await.err(), Some(shut.clone()));
        assert_eq!(topics.subscribe::<Deposit>("t").await.err(), Some(shut));
    });
}

#[test]
fn a_reader_that_waits_is_woken() {
    let runtime = block_on(runtime());
    let topics = runtime.topics();
    let mut deposits = block_on(topics.subscribe::<Deposit>("t")).unwrap();
    let publisher = topics.clone();
    let thread = std::thread::spawn(move || {
        for n in 0..200 {
            publisher.try_publish("t", cents(n)).unwrap();
            if n % 10 == 0 {
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        }
    });
    for n in 0..200 {
        assert_eq!(block_on(deposits.next()).unwrap().message.cents, n);
    }
    thread.join().unwrap();
    block_on(runtime.shutdown()).unwrap();
}

#[test]
fn a_text_that_is_no_topic_or_filter_is_refused_before_anything_happens() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        let error = topics.publish("a/#", cents(1)).await.unwrap_err();
        assert!(error.to_string().contains("the `#` at byte 2 belongs into filters only"), "{error}");
        assert!(matches!(topics.try_publish_retained("", cents(1)), Err(RingKernelError::Topic(_))));
        assert!(matches!(topics.subscribe::<Deposit>("a/#/b").await, Err(RingKernelError::Topic(_))));
        assert!(matches!(topics.clear_retained("a+"), Err(RingKernelError::Topic(_))));
        assert_eq!(topics.snapshot(), TopicsSnapshot::default());
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn an_actor_that_subscribed_handles_what_the_host_publishes() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        topics.publish_retained("bank/first", cents(1)).await.unwrap();
        let account =
            super::super::runtime::launch::<Account>(&runtime, LaunchOptions::default().instances(3))
                .await
                .unwrap();
        let third = account.at(2).unwrap();
        let subscription = topics.subscribe_actor::<Deposit, _>(&third, "bank/#").await.unwrap();
        for n in [10, 100] {
            assert_eq!(topics.publish("bank/x", cents(n)).await.unwrap().reached, 1);
        }
        topics.publish("bank/x", Misbehave(6)).await.unwrap();
        topics.publish("elsewhere", cents(1000)).await.unwrap();
        assert_eq!(third.ask(cents(0)).await.unwrap(), Balance { cents: 111, deposits: 4 });
        assert_eq!(account.ask(cents(0)).await.unwrap(), Balance { cents: 0, deposits: 1 });
        assert_eq!((subscription.missed(), subscription.skipped()), (0, 1));
        drop(subscription);
        assert_eq!(topics.publish("bank/x", cents(5)).await.unwrap().reached, 0);
        topics.subscribe_actor::<Deposit, _>(&account, "bank/+").await.unwrap().detach();
        // What was retained first, then this.
        assert_eq!(topics.publish("bank/x", cents(5)).await.unwrap().reached, 1);
        assert_eq!(account.ask(cents(0)).await.unwrap(), Balance { cents: 6, deposits: 4 });
        assert_eq!(topics.snapshot().subscriptions, 1);
        account.terminate().await.unwrap();
        assert_eq!(topics.publish("bank/x", cents(5)).await.unwrap().reached, 0);
        assert_eq!(topics.snapshot().subscriptions, 0);
        let gone = topics.subscribe_actor::<Deposit, _>(&third, "t").await.unwrap_err();
        assert_eq!(gone, RingKernelError::Terminated { id: "account" });
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn an_actor_whose_queue_is_full_misses_what_the_host_publishes_and_it_is_counted() {
    block_on(async {
        let (runtime, other) = (runtime().await, runtime().await);
        let topics = runtime.topics();
        let options = LaunchOptions::default().queue_capacity(4).without_auto_activate();
        let account = super::super::runtime::launch::<Account>(&runtime, options).await.unwrap();
        let subscription = topics.subscribe_actor::<Deposit, _>(&account, "t").await.unwrap();
        let mut stream = topics.subscribe::<Deposit>("t").await.unwrap();
        for n in 0..10 {
            let delivery = topics.publish("t", cents(n)).await.unwrap();
            assert_eq!((delivery.reached, delivery.missed), if n < 4 { (2, 0) } else { (1, 1) });
        }
        assert_eq!((subscription.missed(), buffered(&mut stream).len()), (6, 10));
        account.activate().await.unwrap();
        assert_eq!(account.ask(cents(0)).await.unwrap(), Balance { cents: 6, deposits: 5 });
        let wrong = other.topics().subscribe_actor::<Deposit, _>(&account, "t").await.unwrap_err();
        assert_eq!(wrong, RingKernelError::PubSub(PubSubError::OtherRuntime { id: "account" }));
        account.terminate_with(TerminateOptions::default().drain()).await.unwrap();
        runtime.shutdown().await.unwrap();
        other.shutdown().await.unwrap();
    });
}

#[test]
fn a_subscription_that_is_given_up_while_it_is_begun_leaves_nothing() {
    block_on(async {
        let runtime = runtime().await;
        let topics = runtime.topics();
        for _ in 0..20 {
            drop(topics.subscribe::<Deposit>("t").now_or_never());
        }
        // What was begun goes on in the background, and is ended there.
        for _ in 0..1000 {
            if topics.snapshot().subscriptions == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(topics.publish("t", cents(1)).await.unwrap(), Delivery::default());
        runtime.shutdown().await.unwrap();
    });
}
