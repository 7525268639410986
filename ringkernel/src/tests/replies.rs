//! Many requests in one call: each item is what `ask` would have given, whatever happens to the others.

use super::*;
use crate::testing::{Bare, Deposit, Misbehave};
use crate::{DeviceError, FaultKind, RingKernelError};
use futures::{FutureExt, StreamExt, TryStreamExt, poll};
use std::pin::pin;

const TERMINATED: RingKernelError = RingKernelError::Terminated { id: "account" };

fn options(instances: u32, capacity: u32) -> LaunchOptions {
    LaunchOptions::default().instances(instances).queue_capacity(capacity).initial_state(Bare { unit: 0 })
}

async fn bare(runtime: &RingKernel, options: LaunchOptions) -> ActorRef<Bare> {
    crate::runtime::launch(runtime, options).await.unwrap()
}

/// What each message to an instance makes of it.
struct Model(Vec<u32>);

impl Model {
    fn new(instances: u32) -> Self {
        Self(vec![0; instances as usize])
    }

    fn answer(&mut self, instance: u32, message: u32) -> u32 {
        let unit = &mut self.0[instance as usize];
        *unit = unit.wrapping_mul(31).wrapping_add(message);
        *unit
    }
}

/// A device that tells of progress, one that must be polled, and the CPU.
fn on_all(promise: impl AsyncFn(RingKernel)) {
    for polled in [false, true] {
        smol::block_on(promise(fake::runtime(Knobs { polled, ..Knobs::default() }).0));
    }
    smol::block_on(async { promise(cpu().await).await });
}

#[test]
fn replies_come_in_the_order_of_the_messages_whatever_the_window_the_queues_and_the_counters() {
    on_all(async |runtime| {
        for (window, capacity, first) in [
            (1, 1, 0),
            (1, 64, u64::MAX - 1),
            (3, 1, u32::MAX as u64),
            (7, 4, 5),
            (1024, 16, 0),
            (1 << 20, 1024, 0),
        ] {
            let bare = bare(&runtime, options(5, capacity).first_position(first)).await;
            for lap in 0..2 {
                let mut model = Model(bare_states(&bare).await);
                let walk = || (0..1500u32).map(|i| (i.wrapping_mul(i) % 5, i + lap));
                let replies: Vec<u32> =
                    bare.ask_many_at(walk()).in_flight(window).try_collect().await.unwrap();
                let expected: Vec<u32> = walk().map(|(at, message)| model.answer(at, message)).collect();
                assert_eq!(replies, expected, "window {window}, capacity {capacity}");
            }
            assert_eq!(bare.pending(), 0);
            bare.terminate().await.unwrap();
        }
    });
}

async fn bare_states(bare: &ActorRef<Bare>) -> Vec<u32> {
    let mut states = Vec::new();
    for i in 0..5 {
        states.push(bare.snapshot::<Bare>(i).await.unwrap().unit);
    }
    states
}

#[test]
fn blocking_replies_need_no_executor_and_two_batches_at_once_do_not_mix() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        let bare = smol::block_on(bare(&runtime, options(4, 8)));
        std::thread::scope(|s| {
            for instance in 0..4 {
                let bare = bare.at(instance).unwrap();
                s.spawn(move || {
                    let mut model = Model::new(4);
                    for (message, reply) in bare.ask_many(0..2000).in_flight(50).blocking().enumerate() {
                        assert_eq!(reply, Ok(model.answer(instance, message as u32)));
                    }
                });
            }
        });
        assert_eq!(bare.pending(), 0);
    }
}

#[test]
fn a_fault_is_the_item_of_its_message_and_of_no_other() {
    on_all(async |runtime| {
        let account = account(&runtime, LaunchOptions::default().instances(3)).await;
        let messages = (0..300).map(|i| (i % 3, Misbehave(if i % 10 == 5 { 6 } else { 0 })));
        let replies: Vec<_> = account.ask_many_at(messages).in_flight(20).collect().await;
        assert_eq!(replies.len(), 300);
        for (i, reply) in replies.into_iter().enumerate() {
            match reply {
                Ok(()) => assert_ne!(i % 10, 5),
                Err(RingKernelError::HandlerFault(fault)) => {
                    assert_eq!((i % 10, fault.kind), (5, FaultKind::Panic));
                    assert_eq!(fault.instance, i as u32 % 3);
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
}

#[test]
fn an_instance_that_is_not_there_is_an_error_in_its_place() {
    on_all(async |runtime| {
        let account = account(&runtime, LaunchOptions::default().instances(3)).await;
        let replies: Vec<_> = account.ask_many_at((0..9).map(|i| (i % 4, ()))).in_flight(2).collect().await;
        let missing = RingKernelError::NoSuchInstance { id: "account", instance: 3, instances: 3 };
        let expected: Vec<_> =
            (0..9).map(|i| if i % 4 == 3 { Err(missing.clone()) } else { Ok(i % 4) }).collect();
        assert_eq!(replies, expected);
    });
}

#[test]
fn a_stream_that_is_dropped_at_any_stage_leaves_nothing_behind() {
    on_all(async |runtime| {
        let account = account(&runtime, LaunchOptions::default().instances(3).queue_capacity(4)).await;
        let mut sent_at_most = 0;
        for taken in [0, 1, 2, 5, 30, 99, 100] {
            for window in [1, 3, 64] {
                let messages = (0..100).map(|i| (i % 3, Deposit { cents: 1 }));
                let mut replies = account.ask_many_at(messages).in_flight(window);
                for _ in 0..taken {
                    replies.next().await.unwrap().unwrap();
                }
                if taken == 2 {
                    // Polled once more, and not waited for.
                    let _ = replies.next().now_or_never();
                }
                sent_at_most += 100;
                drop(replies);
            }
        }
        // Not polled at all: nothing is sent.
        drop(account.ask_many([Deposit { cents: 1_000_000 }]));
        let mut cents = 0;
        for i in 0..3 {
            cents += account.at(i).unwrap().ask(Deposit { cents: 0 }).await.unwrap().cents;
        }
        assert!(cents <= sent_at_most);
        eventually("every reply has come", || account.pending() == 0);
        assert!(account.live().flights.made_so_far() <= 6, "flights are used again");
        account.terminate().await.unwrap();
    });
}

#[test]
fn a_kernel_that_ends_ends_each_request_handed_over_or_not() {
    for (polled, lost) in [(false, false), (true, false), (false, true), (true, true)] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let account = account(&runtime, LaunchOptions::default().queue_capacity(8)).await;
            let mut replies = pin!(account.ask_many((0..100).map(|_| Deposit { cents: 1 })).in_flight(32));
            for _ in 0..10 {
                replies.next().await.unwrap().unwrap();
            }
            knobs.turn(&knobs.hold);
            // Waits for the round that has begun.
            account.live().kernel().set_active(true).unwrap();
            while let std::task::Poll::Ready(Some(item)) = poll!(replies.next()) {
                item.unwrap();
            }
            if lost {
                *knobs.lost.lock().unwrap() = Some(DeviceError::Lost { reason: "gone".into() });
            } else {
                account.terminate().await.unwrap();
            }
            let rest: Vec<_> = replies.by_ref().collect().await;
            assert!(rest.len() >= 32, "{}", rest.len());
            let mut handed_over = true;
            // What the device's thread was just delivering comes first.
            for item in rest.into_iter().skip_while(Result::is_ok) {
                match item.unwrap_err() {
                    RingKernelError::DeviceLost { may_have_run, .. } if lost => {
                        assert!(handed_over || !may_have_run, "first those that were handed over");
                        handed_over = may_have_run;
                    }
                    error => assert!(!lost && error == TERMINATED, "{error}"),
                }
            }
            assert!(!lost || !handed_over);
            assert!(replies.next().await.is_none(), "and then it stays at its end");
            assert_eq!(account.pending(), 0);
            let refused: Vec<_> = account.ask_many([Deposit { cents: 1 }; 3]).collect().await;
            assert!(refused.len() == 3 && refused.iter().all(Result::is_err));
            let refused = account.ask_many([Deposit { cents: 1 }; 3]).blocking().count();
            assert_eq!(refused, 3);
        });
    }
}

#[test]
fn more_batches_than_flights_wait_for_their_turn() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let bare = bare(&runtime, options(100, 1024)).await;
            let batches: Vec<_> = (0..100)
                .map(|i| {
                    let bare = bare.at(i).unwrap();
                    smol::spawn(async move {
                        let replies: Vec<u32> = bare.ask_many(0..5).in_flight(2).try_collect().await.unwrap();
                        let mut model = Model::new(100);
                        assert_eq!(replies, (0..5).map(|m| model.answer(i, m)).collect::<Vec<_>>());
                    })
                })
                .collect();
            smol::Timer::after(Duration::from_millis(5)).await;
            knobs.hold.store(false, SeqCst);
            futures::future::join_all(batches).await;
            assert_eq!(bare.pending(), 0);
        });
    }
}

#[test]
fn batches_single_requests_and_tells_share_a_kernel() {
    on_all(async |runtime| {
        let account = account(&runtime, LaunchOptions::default().instances(4).queue_capacity(8)).await;
        let tasks = (0..12u32).map(|task| {
            let account = account.at(task % 4).unwrap();
            smol::spawn(async move {
                match task / 4 {
                    0 => {
                        let batch = account.ask_many([Deposit { cents: 1 }; 300]).in_flight(16);
                        assert_eq!(batch.try_collect::<Vec<_>>().await.unwrap().len(), 300);
                    }
                    1 => account.tell_many([Deposit { cents: 1 }; 300]).await.unwrap(),
                    _ => {
                        for _ in 0..300 {
                            account.ask(Deposit { cents: 1 }).await.unwrap();
                        }
                    }
                }
            })
        });
        futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        for i in 0..4 {
            let balance = account.at(i).unwrap().ask(Deposit { cents: 0 }).await.unwrap();
            assert_eq!((balance.cents, balance.deposits), (900, 901));
        }
        assert_eq!(account.pending(), 0);
    });
}
