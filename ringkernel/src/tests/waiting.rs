//! Full rings, cancelled requests, timeouts: whatever happens, nothing is lost, doubled or kept.

use super::*;
use crate::testing::{Bare, Deposit};
use crate::{RingKernelError, TrySendError};
use futures::future::{FutureExt, join_all};
use futures::poll;
use std::pin::pin;

/// The same promise on a device that tells of progress and on one that must be polled.
fn on_both(promise: impl AsyncFn(RingKernel, std::sync::Arc<Knobs>)) {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(promise(runtime, knobs));
    }
}

#[test]
fn try_tell_gives_the_message_back_when_the_queue_is_full_and_tell_waits() {
    on_both(async |runtime, knobs| {
        knobs.turn(&knobs.hold);
        let account = account(&runtime, LaunchOptions::default().queue_capacity(2)).await;
        account.try_tell(Deposit { cents: 1 }).unwrap();
        account.tell(Deposit { cents: 1 }).await.unwrap();
        let TrySendError { message, reason } = account.try_tell(Deposit { cents: 7 }).unwrap_err();
        assert_eq!(message, Deposit { cents: 7 });
        assert_eq!(reason, RingKernelError::QueueFull { id: "account", capacity: 2 });
        let mut tell = pin!(account.tell(message));
        let mut ask = pin!(account.ask(Deposit { cents: 0 }));
        let mut send = pin!(account.send(Deposit { cents: 0 }));
        assert!(
            poll!(&mut tell).is_pending() && poll!(&mut ask).is_pending() && poll!(&mut send).is_pending()
        );
        knobs.hold.store(false, SeqCst);
        tell.await.unwrap();
        ask.await.unwrap();
        send.await.unwrap();
        assert!(account.receive::<crate::testing::Balance>().await.is_ok());
        let balance = account.ask(Deposit { cents: 0 }).await.unwrap();
        assert_eq!((balance.cents, balance.deposits), (9, 6));
        assert_eq!(account.pending(), 0);
    });
}

#[test]
fn a_request_dropped_while_it_waits_for_room_was_never_sent() {
    on_both(async |runtime, knobs| {
        knobs.turn(&knobs.hold);
        let account = account(&runtime, LaunchOptions::default().queue_capacity(1)).await;
        account.tell(Deposit { cents: 1 }).await.unwrap();
        {
            let mut tell = pin!(account.tell(Deposit { cents: 100 }));
            let mut ask = pin!(account.ask(Deposit { cents: 100 }));
            let mut send = pin!(account.send(Deposit { cents: 100 }));
            assert!(
                poll!(&mut tell).is_pending()
                    && poll!(&mut ask).is_pending()
                    && poll!(&mut send).is_pending()
            );
            assert_eq!(account.pending(), 2);
        }
        assert_eq!(account.pending(), 0);
        knobs.hold.store(false, SeqCst);
        let balance = account.ask(Deposit { cents: 0 }).await.unwrap();
        assert_eq!((balance.cents, balance.deposits), (1, 2));
    });
}

#[test]
fn a_request_dropped_after_it_was_sent_runs_and_its_reply_is_discarded() {
    on_both(async |runtime, knobs| {
        knobs.turn(&knobs.hold);
        let account = account(&runtime, LaunchOptions::default()).await;
        {
            let mut ask = pin!(account.ask(Deposit { cents: 5 }));
            assert!(poll!(&mut ask).is_pending());
        }
        assert_eq!(account.pending(), 1, "the entry waits for the late reply");
        knobs.hold.store(false, SeqCst);
        let balance = account.ask(Deposit { cents: 0 }).await.unwrap();
        assert_eq!((balance.cents, balance.deposits), (5, 2));
        assert_eq!(account.pending(), 0);
    });
}

#[test]
fn a_timeout_says_whether_the_request_was_handed_over() {
    on_both(async |runtime, knobs| {
        knobs.turn(&knobs.hold);
        let account = account(&runtime, LaunchOptions::default().queue_capacity(1)).await;
        let after = Duration::from_millis(5);
        for may_have_run in [true, false] {
            let timeout = RingKernelError::Timeout { id: "account", after, may_have_run };
            assert_eq!(account.ask_timeout(Deposit { cents: 5 }, after).await, Err(timeout));
        }
        knobs.hold.store(false, SeqCst);
        let in_time = account.ask_timeout(Deposit { cents: 0 }, Duration::MAX).await.unwrap();
        assert_eq!((in_time.cents, in_time.deposits), (5, 2));
        assert_eq!(account.pending(), 0);
    });
}

#[test]
fn one_senders_messages_arrive_in_the_order_sent_through_any_ring() {
    on_both(async |runtime, _| {
        for capacity in [1, 2, 64] {
            let options = LaunchOptions::default()
                .instances(5)
                .queue_capacity(capacity)
                .initial_state(Bare { unit: 0 });
            let bare = crate::runtime::launch::<Bare>(&runtime, options).await.unwrap();
            let senders = (0..5).map(|instance| {
                let bare = bare.at(instance).unwrap();
                smol::spawn(async move {
                    let mut expected = 0u32;
                    for i in 0..500u32 {
                        expected = expected.wrapping_mul(31).wrapping_add(i);
                        match i % 3 {
                            0 => bare.tell(i).await.unwrap(),
                            1 => bare.send_to(instance, i).await.unwrap(),
                            _ => assert_eq!(bare.ask(i).await.unwrap(), expected),
                        }
                    }
                    // What is still unanswered was sent before.
                    expected = expected.wrapping_mul(31);
                    assert_eq!(bare.ask(0).await.unwrap(), expected);
                })
            });
            join_all(senders.collect::<Vec<_>>()).await;
            for _ in 0..5 * 167 {
                bare.receive::<u32>().await.unwrap();
            }
            assert_eq!(bare.try_receive::<u32>(), Ok(None));
            assert_eq!(bare.pending(), 0);
        }
    });
}

#[test]
fn requests_go_on_where_the_counters_of_the_rings_wrap() {
    on_both(async |runtime, _| {
        for (first, shards) in [(u32::MAX as u64 - 5, 1), (u64::MAX - 5, 2), ((1 << 34) - 3, 4)] {
            let options = LaunchOptions::default().instances(4).queue_capacity(4).shards(shards);
            let account = account(&runtime, options.first_position(first)).await;
            for i in 0..40u32 {
                let at = account.at(i % 4).unwrap();
                at.tell(Deposit { cents: 1 }).await.unwrap();
                assert_eq!(at.ask(Deposit { cents: 0 }).await.unwrap().cents, i as i64 / 4 + 1);
            }
            account.terminate().await.unwrap();
        }
    });
}

/// A small generator, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // xorshift64*, Vigna 2014.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

async fn storm(runtime: &RingKernel, tasks: u64, rounds: u32) {
    let options = LaunchOptions::default().instances(7).queue_capacity(4);
    let account = account(runtime, options).await;
    let storm = (1..=tasks).map(|seed| {
        let account = account.clone();
        smol::spawn(async move {
            let mut random = Random(seed * 0x9e37_79b9);
            let mut sure = 0;
            for _ in 0..rounds {
                let at = account.at(random.below(7) as u32).unwrap();
                match random.below(5) {
                    0 => {
                        at.ask(Deposit { cents: 1 }).await.unwrap();
                        sure += 1;
                    }
                    1 => {
                        at.tell(Deposit { cents: 1 }).await.unwrap();
                        sure += 1;
                    }
                    2 => {
                        // Polled a few times, then dropped, wherever it stands.
                        let mut ask = pin!(at.ask(Deposit { cents: 0 }));
                        for _ in 0..random.below(4) {
                            if poll!(&mut ask).is_ready() {
                                break;
                            }
                            smol::future::yield_now().await;
                        }
                    }
                    3 => {
                        let patience = Duration::from_micros(random.below(300));
                        let _ = at.ask_timeout(Deposit { cents: 0 }, patience).await;
                    }
                    _ => drop(at.tell(Deposit { cents: 0 }).now_or_never()),
                }
            }
            sure
        })
    });
    let storm: Vec<_> = storm.collect();
    let sure: i64 = join_all(storm).await.into_iter().sum();
    let mut cents = 0;
    for i in 0..7 {
        cents += account.at(i).unwrap().ask(Deposit { cents: 0 }).await.unwrap().cents;
    }
    assert_eq!(cents, sure, "each request that was waited for ran once");
    eventually("every entry is free again", || account.pending() == 0);
    account.terminate().await.unwrap();
}

#[test]
fn storms_of_dropped_requests_leave_nothing_behind_on_the_cpu() {
    smol::block_on(async { storm(&cpu().await, 50, 200).await });
}

#[test]
fn storms_of_dropped_requests_leave_nothing_behind_on_either_kind_of_device() {
    on_both(async |runtime, _| storm(&runtime, 50, 60).await);
}

#[test]
fn the_polling_thread_sleeps_when_nobody_waits_for_anything() {
    let (runtime, _) = polled();
    smol::block_on(async {
        let account = account(&runtime, LaunchOptions::default()).await;
        let rounds = || account.live().bridge_rounds().unwrap();
        for _ in 0..3 {
            account.ask(Deposit { cents: 1 }).await.unwrap();
            account.ask_blocking(Deposit { cents: 1 }).unwrap();
            eventually("the thread sleeps", || {
                let before = rounds();
                std::thread::sleep(Duration::from_millis(5));
                rounds() == before
            });
        }
        // Nor does it look at a kernel that cannot answer.
        account.deactivate().await.unwrap();
        let mut ask = pin!(account.ask(Deposit { cents: 1 }));
        assert!(poll!(&mut ask).is_pending());
        eventually("the thread sleeps", || {
            let before = rounds();
            std::thread::sleep(Duration::from_millis(5));
            rounds() == before
        });
        account.activate().await.unwrap();
        assert_eq!(ask.await.unwrap().cents, 7);
    });
}
