//! Many messages in one call: what `tell` promises, `tell_many` keeps.

use super::*;
use crate::testing::{Bare, Deposit};
use crate::{RingKernelError, TellManyError};
use futures::poll;
use std::pin::pin;

fn options(instances: u32, capacity: u32) -> LaunchOptions {
    LaunchOptions::default().instances(instances).queue_capacity(capacity).initial_state(Bare { unit: 0 })
}

async fn bare(runtime: &RingKernel, options: LaunchOptions) -> ActorRef<Bare> {
    crate::runtime::launch(runtime, options).await.unwrap()
}

/// What the messages make of a `Bare`, in their order.
fn folded(messages: impl Iterator<Item = u32>) -> u32 {
    messages.fold(0, |unit, message| unit.wrapping_mul(31).wrapping_add(message))
}

#[test]
fn tell_many_keeps_the_order_through_rings_of_any_size_wherever_their_counters_stand() {
    smol::block_on(async {
        let starts = [0, u32::MAX as u64 - 2, u64::MAX - 2];
        for (first_position, capacity) in starts.into_iter().flat_map(|s| [1, 2, 64, 1024].map(|c| (s, c))) {
            let (runtime, _) = fake::runtime(Knobs::default());
            for runtime in [runtime, cpu().await] {
                let bare = bare(&runtime, options(3, capacity).first_position(first_position)).await;
                bare.at(2).unwrap().tell_many(0..1500).await.unwrap();
                let expected = folded((0..1500).chain([7]));
                assert_eq!(bare.at(2).unwrap().ask(7).await, Ok(expected));
                bare.terminate().await.unwrap();
            }
        }
    });
}

#[test]
fn tell_many_at_gives_every_instance_its_messages_in_order_whatever_the_number_of_shards() {
    for shards in [1, 2, 4] {
        let (runtime, _) = fake::runtime(Knobs { polled: shards == 2, ..Knobs::default() });
        smol::block_on(async {
            let bare = bare(&runtime, options(10, 16).shards(shards)).await;
            // A walk that favours some instances.
            let walk = || (0..5000u32).map(|i| (i.wrapping_mul(i) % 10, i));
            bare.tell_many_at(walk()).await.unwrap();
            for instance in 0..10 {
                let mine = walk().filter(|(at, _)| *at == instance).map(|(_, message)| message);
                let expected = folded(mine.chain([0]));
                assert_eq!(bare.at(instance).unwrap().ask(0).await, Ok(expected), "instance {instance}");
            }
        });
    }
}

#[test]
fn tell_many_stops_at_an_instance_that_is_not_there_when_all_before_it_are_handed_over() {
    smol::block_on(async {
        let runtime = cpu().await;
        let bare = bare(&runtime, options(3, 4)).await;
        let messages = (0..1000).map(|i| (if i == 700 { 3 } else { i % 3 }, 1));
        let error = bare.tell_many_at(messages).await.unwrap_err();
        let reason = RingKernelError::NoSuchInstance { id: "bare", instance: 3, instances: 3 };
        assert_eq!(error, TellManyError { sent: 700, reason });
        assert!(error.to_string().starts_with("after 700 messages were handed over: "), "{error}");
        eventually("they are handled", || bare.control().messages_processed == 700);
    });
}

#[test]
fn a_kernel_that_ends_meanwhile_ends_tell_many_which_says_how_far_it_came() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let bare = bare(&runtime, options(1, 64)).await;
            let mut tell = pin!(bare.tell_many(0..));
            assert!(poll!(&mut tell).is_pending());
            bare.terminate().await.unwrap();
            let reason = RingKernelError::Terminated { id: "bare" };
            assert_eq!(tell.await, Err(TellManyError { sent: 64, reason: reason.clone() }));
            assert_eq!(bare.tell_many([1]).await, Err(TellManyError { sent: 0, reason }));
        });
    }
}

#[test]
fn senders_of_batches_and_of_single_messages_take_turns_at_a_full_queue() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        let account = smol::block_on(account(&runtime, LaunchOptions::default().queue_capacity(4)));
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| account.tell_many_blocking((0..500).map(|_| Deposit { cents: 1 })).unwrap());
                s.spawn(|| (0..500).for_each(|_| account.tell_blocking(Deposit { cents: 1 }).unwrap()));
                s.spawn(|| {
                    let messages = (0..500).map(|_| (0, Deposit { cents: 1 }));
                    account.tell_many_at_blocking(messages).unwrap()
                });
            }
        });
        let balance = account.ask_blocking(Deposit { cents: 0 }).unwrap();
        assert_eq!((balance.cents, balance.deposits), (3000, 3001));
    }
}
