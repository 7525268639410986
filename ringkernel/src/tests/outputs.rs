//! What handlers give out and publish.

use super::connections::clerk;
use super::fake::runtime;
use super::*;
use crate::mesh::MOST_OUTPUTS;
use crate::testing::{Announce, Balance, GiveOut, Stranger};
use crate::{Output, RingKernelError};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

#[test]
fn outputs_come_by_type_in_order_and_end_with_the_kernel() {
    for polled in [false, true] {
        let (runtime, _) = runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let clerk = clerk(&runtime).await;
            let (mut numbers, mut balances) =
                (clerk.outputs::<u32>().unwrap(), clerk.outputs::<Balance>().unwrap());
            assert!(numbers.try_next_output().is_none());
            let give = smol::spawn({
                let clerk = clerk.clone();
                async move {
                    for _ in 0..5 {
                        clerk.tell(GiveOut(20)).await.unwrap();
                        smol::Timer::after(Duration::from_millis(3)).await;
                    }
                }
            });
            for number in (0..5).flat_map(|_| 0..20) {
                let Output { instance, message, .. } = numbers.next().await.unwrap().unwrap();
                assert_eq!((instance, message), (0, number));
            }
            give.await;
            let first = balances.next().await.unwrap().unwrap();
            assert_eq!(first.message, Balance { cents: 0, deposits: 0 });
            clerk.terminate().await.unwrap();
            let left: Vec<_> = balances.try_collect().await.unwrap();
            assert_eq!(left.len(), 99, "what was given out before the end is there after it");
            assert_eq!(left[98].message, Balance { cents: 19, deposits: 19 });
            assert!(numbers.next().await.is_none());
            assert_eq!(numbers.missed(), 0);
        });
    }
}

#[test]
fn an_output_wakes_whoever_waits_for_it_and_only_one_stream_gets_it() {
    for polled in [false, true] {
        let (runtime, _) = runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let clerk = clerk(&runtime).await;
            let taken = Arc::new(AtomicU64::new(0));
            let all: Vec<_> = (0..2)
                .map(|_| {
                    let (outputs, taken) = (clerk.outputs::<u32>().unwrap().blocking(), taken.clone());
                    let count = move |_: &u64| {
                        taken.fetch_add(1, SeqCst);
                    };
                    std::thread::spawn(move || {
                        outputs.map(|output| output.unwrap().message as u64).inspect(count).sum::<u64>()
                    })
                })
                .collect();
            for round in 1..=50 {
                clerk.ask(GiveOut(3)).await.unwrap();
                // Not only by the end of the kernel.
                eventually("somebody was woken", || taken.load(SeqCst) == 3 * round);
            }
            clerk.terminate().await.unwrap();
            let sum: u64 = all.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(sum, 50 * (1 + 2));
        });
    }
}

#[test]
fn outputs_that_nobody_takes_are_kept_up_to_a_bound_and_the_oldest_beyond_it_are_counted() {
    let (runtime, _) = runtime(Knobs::default());
    smol::block_on(async {
        let clerk = clerk(&runtime).await;
        let rounds = MOST_OUTPUTS as u32 / 100 + 10;
        for _ in 0..rounds {
            clerk.ask(GiveOut(100)).await.unwrap();
        }
        let mut numbers = clerk.outputs::<u32>().unwrap();
        let missed = rounds as u64 * 100 - MOST_OUTPUTS as u64;
        assert_eq!(numbers.missed(), missed);
        let mut next = (missed % 100) as u32;
        let mut count = 0;
        while let Some(output) = numbers.try_next_output() {
            assert_eq!(output.unwrap().message, next);
            next = (next + 1) % 100;
            count += 1;
        }
        assert_eq!(count, MOST_OUTPUTS);
    });
}

#[test]
fn a_type_that_no_handler_gives_out_is_refused() {
    let (runtime, _) = runtime(Knobs::default());
    smol::block_on(async {
        let error = clerk(&runtime).await.outputs::<Stranger>().unwrap_err();
        assert_eq!(
            error,
            RingKernelError::NotGivenOut {
                actor: "Clerk",
                message: "Stranger",
                given: vec!["u32", "Balance", "Again"]
            }
        );
        assert_eq!(
            error.to_string(),
            "`Clerk` gives out no `Stranger`; what its handlers send, publish or give out is `u32`, `Balance`, `Again`"
        );
    });
}

#[test]
fn what_a_handler_publishes_by_way_of_the_host_reaches_its_subscribers() {
    for polled in [false, true] {
        let (runtime, _) = runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let mut news = runtime.topics().subscribe::<u32>("news").await.unwrap();
            let clerk = clerk(&runtime).await;
            assert_eq!(clerk.ask(Announce(9)).await, Ok(0));
            clerk.tell(Announce(10)).await.unwrap();
            for number in [9, 10] {
                let one = news.next().await.unwrap();
                assert_eq!((one.topic.as_str(), one.message), ("news", number));
            }
        });
    }
}

#[test]
fn what_a_stream_took_and_did_not_give_comes_first_for_the_next() {
    let (runtime, _) = runtime(Knobs::default());
    smol::block_on(async {
        let clerk = clerk(&runtime).await;
        clerk.ask(GiveOut(50)).await.unwrap();
        let mut numbers = clerk.outputs::<u32>().unwrap();
        for number in 0..10 {
            assert_eq!(numbers.next().await.unwrap().unwrap().message, number);
        }
        drop(numbers);
        clerk.ask(GiveOut(3)).await.unwrap();
        clerk.terminate().await.unwrap();
        let left: Vec<_> = clerk.outputs::<u32>().unwrap().try_collect().await.unwrap();
        let left: Vec<u32> = left.into_iter().map(|output| output.message).collect();
        assert_eq!(left, (10..50).chain(0..3).collect::<Vec<_>>());
    });
}
