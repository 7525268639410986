//! Kernels on the CPU that send to each other, and to kernels on another device.

use super::connections::clerk;
use super::relays::{figures, folded};
use super::*;
use crate::testing::{Again, Announce, Balance, Bare, Clerk, Delegate, Errand, GiveOut};
use crate::{FaultKind, KernelHandle, Overflow, RingKernelError, TerminateOptions, Via};
use futures::future::maybe_done;
use futures::{StreamExt, TryStreamExt};
use std::pin::pin;

const OK: u32 = 0;
const FULL: u32 = 1;
const GONE: u32 = 2;
const NO_INSTANCE: u32 = 3;

async fn bare_with(runtime: &RingKernel, options: LaunchOptions) -> ActorRef<Bare> {
    let options = options.instances(4).initial_state(Bare { unit: 0 });
    crate::runtime::launch(runtime, options).await.expect("launched")
}

async fn bare(runtime: &RingKernel) -> ActorRef<Bare> {
    bare_with(runtime, LaunchOptions::default()).await
}

fn via(clerk: &KernelHandle) -> Option<Via> {
    clerk.connections()[0].to.map(|(_, via)| via)
}

async fn errand(clerk: &ActorRef<Clerk>, instance: u32, value: u32) -> u32 {
    clerk.ask(Errand { instance, value }).await.expect("answered")
}

/// Requests that are handed on are answered, in whichever way, and messages arrive in order.
async fn they_talk(clerk: &ActorRef<Clerk>, bare: &ActorRef<Bare>) {
    for value in 0..300 {
        while errand(clerk, value % 4, value).await != OK {}
    }
    eventually("all were handled", || bare.control().messages_processed == 300);
    for instance in 0..4 {
        let of_it = (0..300).filter(|value| value % 4 == instance);
        assert_eq!(bare.snapshot::<Bare>(instance).await.unwrap(), folded(of_it));
    }
    bare.restore(1, Bare { unit: 0 }).await.unwrap();
    assert_eq!(clerk.ask(Delegate { instance: 1, value: 7 }).await, Ok(7));
    assert_eq!(clerk.ask_blocking(Delegate { instance: 1, value: 1 }), Ok(7 * 31 + 1));
    let messages = (0..200).map(|value| Delegate { instance: 2, value });
    let answers: Vec<u32> = clerk.ask_many(messages).in_flight(16).try_collect().await.unwrap();
    assert_eq!(answers.len(), 200);
    assert_eq!(clerk.pending(), 0);
    if via(clerk) == Some(Via::Device) {
        assert_eq!(errand(clerk, 4, 0).await, NO_INSTANCE);
        // One that cannot be handed on is answered by who was to hand it on.
        assert_eq!(clerk.ask(Delegate { instance: 4, value: 0 }).await, Ok(NO_INSTANCE));
    }
}

#[test]
fn kernels_of_one_runtime_and_of_two_talk_on_the_cpu() {
    smol::block_on(async {
        let (one, other) = (cpu().await, cpu().await);
        let (clerk, near) = (clerk(&one).await, bare(&one).await);
        they_talk(&clerk, &near).await;
        let far = bare(&other).await;
        one.connect(&clerk, &far).await.unwrap();
        they_talk(&clerk, &far).await;
        assert!(figures(0, 0, 0)(&clerk), "nothing of it passed the host");
        other.shutdown().await.unwrap();
        assert_eq!(errand(&clerk, 0, 0).await, GONE);
        one.shutdown().await.unwrap();
    });
}

#[test]
fn kernels_on_different_devices_talk_through_the_host_both_ways() {
    for polled in [false, true] {
        let (fake, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let cpu = cpu().await;
            let (from_cpu, to_fake) = (clerk(&cpu).await, bare(&fake).await);
            cpu.connect(&from_cpu, &to_fake).await.unwrap();
            assert_eq!(via(&from_cpu), Some(Via::Host));
            they_talk(&from_cpu, &to_fake).await;
            let (from_fake, to_cpu) = (clerk(&fake).await, bare(&cpu).await);
            fake.connect(&from_fake, &to_cpu).await.unwrap();
            assert_eq!(via(&from_fake), Some(Via::Host));
            they_talk(&from_fake, &to_cpu).await;
            to_cpu.terminate().await.unwrap();
            assert_eq!(errand(&from_fake, 0, 0).await, GONE);
            // The runtime's own takes its place.
            assert_eq!(via(&from_cpu), Some(Via::Host));
            cpu.disconnect(&from_cpu, &to_fake).await.unwrap();
            assert_eq!(errand(&from_cpu, 0, 0).await, GONE);
            let again = bare(&cpu).await;
            assert_eq!(via(&from_cpu), Some(Via::Device));
            assert_eq!(errand(&from_cpu, 0, 0).await, OK);
            drop(again);
        });
    }
}

#[test]
fn a_mailbox_that_spills_takes_all_and_keeps_the_order() {
    smol::block_on(async {
        let runtime = cpu().await;
        let clerk = clerk(&runtime).await;
        let bare = bare_with(&runtime, LaunchOptions::default().mailbox(4).overflow(Overflow::Spill)).await;
        for round in 0..3 {
            bare.suspend().await.unwrap();
            for value in 0..100 {
                assert_eq!(errand(&clerk, 3, round * 200 + value).await, OK);
            }
            assert!(clerk.relays().waiting > 0);
            bare.resume().await.unwrap();
            // Some while the host still has others.
            for value in 100..200 {
                assert_eq!(errand(&clerk, 3, round * 200 + value).await, OK);
            }
            eventually("all arrived", || bare.control().messages_processed == 200 * (round as u64 + 1));
        }
        assert_eq!(bare.snapshot::<Bare>(3).await.unwrap(), folded(0..600));
        assert_eq!((clerk.relays().waiting, clerk.relays().dead), (0, 0));
        assert!(clerk.relays().delivered >= 3 * 96);
        assert_eq!((bare.mailbox().dropped, bare.mailbox().waiting), (0, 0));
    });
}

#[test]
fn a_mailbox_that_rejects_says_so_and_one_that_drops_counts() {
    smol::block_on(async {
        let runtime = cpu().await;
        let clerk = clerk(&runtime).await;
        let rejects = bare_with(&runtime, LaunchOptions::default().mailbox(4)).await;
        rejects.suspend().await.unwrap();
        let mut sent = Vec::new();
        for value in 0..6 {
            sent.push(errand(&clerk, 3, value).await);
        }
        assert_eq!(sent, [OK, OK, OK, OK, FULL, FULL]);
        assert_eq!((rejects.mailbox().full, rejects.mailbox().waiting), (2, 4));
        rejects.terminate().await.unwrap();
        let options = LaunchOptions::default().mailbox(4).overflow(Overflow::DropOldest);
        let drops = bare_with(&runtime, options).await;
        drops.suspend().await.unwrap();
        for value in 0..6 {
            assert_eq!(errand(&clerk, 3, value).await, OK);
        }
        drops.resume().await.unwrap();
        eventually("handled", || drops.control().messages_processed == 4);
        assert_eq!(drops.snapshot::<Bare>(3).await.unwrap(), folded(2..6));
        assert_eq!(drops.mailbox().dropped, 2);
    });
}

#[test]
fn whoever_waits_for_an_answer_from_a_kernel_that_ends_is_told() {
    smol::block_on(async {
        let runtime = cpu().await;
        let clerk = clerk(&runtime).await;
        for spills in [false, true] {
            let overflow = if spills { Overflow::Spill } else { Overflow::Reject };
            let bare = bare_with(&runtime, LaunchOptions::default().mailbox(2).overflow(overflow)).await;
            bare.suspend().await.unwrap();
            let asks = (0..if spills { 10 } else { 2 })
                .map(|value| clerk.ask(Delegate { instance: 3, value }))
                .map(Box::pin);
            let mut asks: Vec<_> = asks.collect();
            for ask in &mut asks {
                assert!(futures::poll!(ask).is_pending());
            }
            let before = clerk.relays().dead;
            eventually("all are under way", || bare.mailbox().waiting == 2 && clerk.mailbox().waiting == 0);
            eventually("all were handed on", || clerk.relays().waiting == if spills { 8 } else { 0 });
            bare.terminate().await.unwrap();
            for ask in asks {
                let error = ask.await.unwrap_err();
                assert!(
                    matches!(&error, RingKernelError::HandlerFault(fault) if fault.kind == FaultKind::NotDelivered),
                    "{error}"
                );
            }
            assert_eq!(clerk.relays().dead - before, if spills { 8 } else { 0 });
        }
        assert_eq!(clerk.pending(), 0);
    });
}

#[test]
fn draining_handles_what_waits_in_the_mailboxes_and_on_the_host() {
    smol::block_on(async {
        let runtime = cpu().await;
        let clerk = clerk(&runtime).await;
        let bare = bare_with(&runtime, LaunchOptions::default().mailbox(8).overflow(Overflow::Spill)).await;
        bare.suspend().await.unwrap();
        for value in 0..50 {
            assert_eq!(errand(&clerk, 3, value).await, OK);
        }
        bare.resume().await.unwrap();
        let options = TerminateOptions::default().drain().deadline(Duration::from_secs(20));
        bare.terminate_with(options).await.unwrap();
        assert_eq!(bare.snapshot::<Bare>(3).await.unwrap(), folded(0..50));
        assert_eq!(errand(&clerk, 3, 0).await, GONE);
        // So many that they are not handled in passing.
        let bare = bare_with(&runtime, LaunchOptions::default().mailbox(1 << 15)).await;
        bare.suspend().await.unwrap();
        let many = 0..30_000;
        let errands = many.clone().map(|value| Errand { instance: 3, value });
        let sent: Vec<u32> = clerk.ask_many(errands).try_collect().await.unwrap();
        assert_eq!((sent.len(), sent.iter().sum::<u32>()), (30_000, OK));
        bare.resume().await.unwrap();
        bare.terminate_with(options).await.unwrap();
        assert_eq!(bare.snapshot::<Bare>(3).await.unwrap(), folded(many));
    });
}

#[test]
fn what_is_given_out_on_the_cpu_is_taken_by_type() {
    smol::block_on(async {
        let runtime = cpu().await;
        let clerk = clerk(&runtime).await;
        let mut numbers = clerk.outputs::<u32>().unwrap();
        assert_eq!(clerk.ask(GiveOut(100)).await, Ok(0));
        for number in 0..100 {
            assert_eq!(numbers.next().await.unwrap().unwrap().message, number);
        }
        // Nobody subscribed to anything.
        assert_eq!(clerk.ask(Announce(1)).await, Ok(OK));
        let mut balances = pin!(clerk.outputs::<Balance>().unwrap());
        let first = balances.next().await.unwrap().unwrap();
        assert_eq!((first.instance, first.message), (0, Balance { cents: 0, deposits: 0 }));
        assert!(first.at.as_u64() > 0, "stamped");
        runtime.shutdown().await.unwrap();
        assert_eq!(balances.count().await, 99);
    });
}

#[test]
fn kernels_that_come_and_go_while_others_send_to_them_lose_no_asker() {
    smol::block_on(async {
        let runtime = cpu().await;
        let clerk =
            crate::runtime::launch::<Clerk>(&runtime, LaunchOptions::default().instances(8)).await.unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let askers: Vec<_> = (0..2)
            .map(|first| {
                let (clerk, stop) = (clerk.clone(), stop.clone());
                std::thread::spawn(move || {
                    let (mut answered, mut failed) = (0u64, 0u64);
                    for n in 0u32.. {
                        if stop.load(SeqCst) {
                            break;
                        }
                        let ask = Delegate { instance: n % 4, value: n };
                        match clerk.at((first + n) % 8).unwrap().ask_blocking(ask) {
                            Ok(_) => answered += 1,
                            Err(RingKernelError::HandlerFault(fault)) => {
                                assert_eq!(fault.kind, FaultKind::NotDelivered);
                                failed += 1;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    (answered, failed)
                })
            })
            .collect();
        for round in 0..40 {
            let overflow = if round % 2 == 0 { Overflow::Spill } else { Overflow::Reject };
            let bare = bare_with(&runtime, LaunchOptions::default().mailbox(2).overflow(overflow)).await;
            smol::Timer::after(Duration::from_millis(2)).await;
            let options = TerminateOptions::default();
            let options = if round % 3 == 0 { options.drain() } else { options };
            bare.terminate_with(options).await.unwrap();
        }
        stop.store(true, SeqCst);
        let counts: Vec<_> = askers.into_iter().map(|asker| asker.join().unwrap()).collect();
        println!("answered and failed: {counts:?}");
        assert_eq!(clerk.pending(), 0);
    });
}

#[test]
fn a_kernel_that_is_busy_with_what_kernels_send_does_not_hang() {
    smol::block_on(async {
        let runtime = cpu().await;
        let options = LaunchOptions::default().hung_after(Duration::from_millis(60));
        let clerk: ActorRef<Clerk> = crate::runtime::launch(&runtime, options).await.unwrap();
        clerk.tell(Again(u32::MAX)).await.unwrap();
        let before = clerk.control().messages_processed;
        smol::Timer::after(Duration::from_millis(400)).await;
        assert!(clerk.control().messages_processed > before + 1000);
        assert_eq!(clerk.ask(Again(0)).await, Ok(0), "and it has time for others");
        // It goes on for ever by itself; being drained, it may no longer send to itself.
        clerk.terminate_with(TerminateOptions::default().drain()).await.unwrap();
        assert_eq!(clerk.snapshot::<Clerk>(0).await.unwrap().sent[GONE as usize], 1);
    });
}

#[test]
fn kernels_that_begin_and_end_at_once_in_two_runtimes_neither_wait_for_each_other_nor_lose_an_asker() {
    let (one, other) = smol::block_on(async { (cpu().await, cpu().await) });
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (mine, theirs) = if thread % 2 == 0 { (&one, &other) } else { (&other, &one) };
            scope.spawn(move || {
                smol::block_on(async {
                    for round in 0..25 {
                        let (clerk, bare) = (clerk(mine).await, bare(theirs).await);
                        mine.connect(&clerk, &bare).await.unwrap();
                        let asks = (0..20).map(|value| clerk.ask(Delegate { instance: value % 4, value }));
                        let mut asks: Vec<_> = asks.map(|ask| Box::pin(maybe_done(ask))).collect();
                        for ask in &mut asks {
                            let _ = futures::poll!(ask);
                        }
                        match (round + thread) % 4 {
                            0 => bare.terminate().await.unwrap(),
                            1 => drop(bare),
                            2 => {
                                mine.disconnect(&clerk, &bare).await.unwrap();
                                bare.terminate().await.unwrap();
                            }
                            _ => {
                                let (ended, gone) = futures::join!(bare.terminate(), mine.connect(&clerk, &bare));
                                ended.unwrap();
                                assert!(matches!(gone, Ok(()) | Err(RingKernelError::Terminated { .. })));
                            }
                        }
                        for mut ask in asks {
                            // Answered, or told that nobody will: by the bare that is gone, or by the clerk that reached none.
                            (&mut ask).await;
                            let answer = ask.as_mut().take_output().expect("done");
                            assert!(
                                answer.is_ok()
                                    || matches!(&answer, Err(RingKernelError::HandlerFault(fault)) if fault.kind == FaultKind::NotDelivered),
                                "{answer:?}"
                            );
                        }
                        assert_eq!(clerk.pending(), 0);
                        clerk.terminate().await.unwrap();
                    }
                });
            });
        }
    });
    smol::block_on(async {
        one.shutdown().await.unwrap();
        other.shutdown().await.unwrap();
    });
}
