//! Messages that pass the host, and answers to those that were handed on.

use super::connections::{bare, clerk};
use super::fake::{FakeKernel, runtime};
use super::*;
use crate::testing::{Bare, Clerk, Delegate, Errand};
use crate::{FaultKind, KernelHandle, RelaySnapshot, RingKernelError, TerminateOptions};
use futures::TryStreamExt;
use ringkernel_backends::abi::slot::{FORWARDED, FROM_KERNEL, NO_CORRELATION, OUTPUT, PUBLISHED, RELAY};
use ringkernel_backends::abi::{Correlation, Header, tag};
use ringkernel_backends::mesh::as_kernel;
use std::pin::pin;
use std::sync::Arc;

const OK: u32 = 0;
const INSTANCE: u32 = 3;

/// A clerk, and a `Bare` that it reaches: on the same device, by way of the host there, or on another runtime's.
async fn pair(
    how: usize,
    polled: bool,
) -> ([RingKernel; 2], [Arc<Knobs>; 2], ActorRef<Clerk>, ActorRef<Bare>) {
    let (near, near_knobs) = runtime(Knobs { polled, ..Knobs::default() });
    let (far, far_knobs) = runtime(Knobs { polled, ..Knobs::default() });
    near_knobs.apart.store(how == 1, SeqCst);
    let clerk = clerk(&near).await;
    let bare = match how {
        2 => bare(&far).await,
        _ => bare(&near).await,
    };
    near.connect(&clerk, &bare).await.unwrap();
    let knobs = if how == 2 { [near_knobs, far_knobs] } else { [near_knobs.clone(), near_knobs] };
    ([near, far], knobs, clerk, bare)
}

fn told(clerk: &KernelHandle) -> u64 {
    as_kernel::<FakeKernel>(&clerk.live().kernel).unwrap().state.relayed.load(SeqCst)
}

pub(super) fn figures(delivered: u64, waiting: u64, dead: u64) -> impl Fn(&KernelHandle) -> bool {
    move |clerk| {
        let RelaySnapshot { delivered: a, waiting: b, dead: c, .. } = clerk.relays();
        (a, b, c) == (delivered, waiting, dead)
    }
}

/// What a `Bare` holds that was told all these, in this order.
pub(super) fn folded(values: impl Iterator<Item = u32>) -> Bare {
    Bare { unit: values.fold(0, |unit: u32, value| unit.wrapping_mul(31).wrapping_add(value)) }
}

#[test]
fn a_request_that_was_handed_on_is_answered_by_whoever_has_it() {
    for (how, polled) in [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)] {
        smol::block_on(async {
            let (_runtimes, _, clerk, bare) = pair(how, polled).await;
            let ask = |value| clerk.ask(Delegate { instance: INSTANCE, value });
            assert_eq!(ask(7).await, Ok(7), "{how} {polled}");
            assert_eq!(ask(1).await, Ok(7 * 31 + 1));
            bare.restore(INSTANCE, Bare { unit: 0 }).await.unwrap();
            // Some at a time, to each instance, so that any two may be answered out of order.
            let messages = (0..400).map(|value| Delegate { instance: value % 4, value });
            let answers: Vec<u32> = clerk.ask_many(messages).in_flight(8).try_collect().await.unwrap();
            for instance in 0..4 {
                let of_it = (0..400u32).filter(|value| value % 4 == instance);
                let expected = folded(of_it.clone());
                assert_eq!(answers[396 + instance as usize], expected.unit);
                assert_eq!(bare.snapshot::<Bare>(instance).await.unwrap(), expected);
            }
            clerk.send(Delegate { instance: 0, value: 0 }).await.unwrap();
            assert!(clerk.receive::<u32>().await.is_ok());
            assert_eq!(clerk.pending(), 0);
        });
    }
}

#[test]
fn what_finds_no_room_waits_on_the_host_and_arrives_in_order() {
    for (how, polled) in [(1, false), (2, false), (2, true)] {
        smol::block_on(async {
            let (_runtimes, knobs, clerk, bare) = pair(how, polled).await;
            bare.suspend().await.unwrap();
            for value in 0..100 {
                assert_eq!(clerk.ask(Errand { instance: INSTANCE, value }).await, Ok(OK));
            }
            eventually("all that fit are there", || figures(8, 92, 0)(&clerk));
            assert_eq!(told(&clerk), 8);
            bare.resume().await.unwrap();
            eventually("all arrived", || figures(100, 0, 0)(&clerk));
            assert_eq!(told(&clerk), 100);
            eventually("handled", || bare.control().messages_processed == 100);
            assert_eq!(bare.snapshot::<Bare>(INSTANCE).await.unwrap(), folded(0..100));
            drop(knobs);
        });
    }
}

#[test]
fn what_comes_while_others_wait_on_the_host_goes_behind_them_though_there_is_room() {
    smol::block_on(async {
        let (_runtimes, _, clerk, bare) = pair(2, false).await;
        bare.suspend().await.unwrap();
        for value in 0..20 {
            assert_eq!(clerk.ask(Errand { instance: INSTANCE, value }).await, Ok(OK));
        }
        eventually("all that fit are there", || figures(8, 12, 0)(&clerk));
        // Room that nobody has been told of.
        let device = as_kernel::<FakeKernel>(&bare.live().kernel).unwrap();
        assert!(device.state.mailbox.lock().unwrap().pop_front().is_some());
        assert_eq!(clerk.ask(Errand { instance: INSTANCE, value: 20 }).await, Ok(OK));
        eventually("the next was handed over", || figures(9, 12, 0)(&clerk));
        bare.resume().await.unwrap();
        eventually("all arrived", || figures(21, 0, 0)(&clerk));
        eventually("handled", || bare.control().messages_processed == 20);
        assert_eq!(bare.snapshot::<Bare>(INSTANCE).await.unwrap(), folded(1..21));
    });
}

#[test]
fn what_the_host_has_no_memory_for_is_counted_as_dead_and_whoever_waits_for_its_answer_is_told() {
    smol::block_on(async {
        let (_runtimes, _, clerk, bare) = pair(2, false).await;
        let errand = |value| clerk.ask(Errand { instance: INSTANCE, value });
        bare.suspend().await.unwrap();
        for value in 0..8 {
            assert_eq!(errand(value).await, Ok(OK));
        }
        eventually("all that fit are there", || figures(8, 0, 0)(&clerk));
        for wait in [0, 3] {
            bare.live().backlog.starve(true);
            for _ in 0..5 {
                assert_eq!(errand(100).await, Ok(OK));
            }
            let error = clerk.ask(Delegate { instance: INSTANCE, value: 100 }).await.unwrap_err();
            assert!(
                matches!(&error, RingKernelError::HandlerFault(fault) if fault.kind == FaultKind::NotDelivered),
                "{error}"
            );
            eventually("they are counted", || figures(8, wait, if wait == 0 { 6 } else { 12 })(&clerk));
            bare.live().backlog.starve(false);
            for value in 8..11 {
                assert_eq!(errand(value + wait as u32).await, Ok(OK));
            }
        }
        bare.resume().await.unwrap();
        eventually("the others arrived", || figures(14, 0, 12)(&clerk));
        eventually("handled", || bare.control().messages_processed == 14);
        assert_eq!(bare.snapshot::<Bare>(INSTANCE).await.unwrap(), folded(0..14));
    });
}

#[test]
fn a_receiver_that_ends_while_messages_wait_for_it_leaves_nobody_waiting() {
    for drops in [false, true] {
        smol::block_on(async {
            let (_runtimes, _, clerk, bare) = pair(2, false).await;
            bare.suspend().await.unwrap();
            for value in 0..20 {
                assert_eq!(clerk.ask(Errand { instance: INSTANCE, value }).await, Ok(OK));
            }
            let mut asked = pin!(clerk.ask(Delegate { instance: INSTANCE, value: 1 }));
            assert!(futures::poll!(&mut asked).is_pending());
            eventually("all are on the host", || figures(8, 13, 0)(&clerk));
            if drops {
                drop(bare);
            } else {
                bare.terminate().await.unwrap();
            }
            let error = asked.await.unwrap_err();
            assert!(
                matches!(&error, RingKernelError::HandlerFault(fault) if fault.kind == FaultKind::NotDelivered),
                "{error}"
            );
            eventually("all are accounted for", || figures(8, 0, 13)(&clerk));
            assert_eq!(told(&clerk), 21);
            assert_eq!(clerk.ask(Errand { instance: INSTANCE, value: 0 }).await, Ok(2));
        });
    }
}

#[test]
fn a_forwarded_request_that_lies_in_a_mailbox_or_a_ring_when_its_kernel_ends_is_failed() {
    for how in [0, 2] {
        smol::block_on(async {
            let (_runtimes, knobs, clerk, bare) = pair(how, false).await;
            bare.suspend().await.unwrap();
            let mut asked = pin!(clerk.ask(Delegate { instance: INSTANCE, value: 1 }));
            assert!(futures::poll!(&mut asked).is_pending());
            eventually("it was handed on", || clerk.control().messages_processed == 1);
            eventually("it is there", || bare.mailbox().waiting == 1);
            bare.terminate().await.unwrap();
            assert!(matches!(asked.await, Err(RingKernelError::HandlerFault(_))));
            assert_eq!(clerk.pending(), 0);
            drop(knobs);
        });
    }
}

#[test]
fn draining_a_kernel_takes_in_what_others_had_sent_and_no_more() {
    smol::block_on(async {
        let (_runtimes, knobs, clerk, bare) = pair(2, false).await;
        knobs[1].turn(&knobs[1].hold);
        for value in 0..50 {
            assert_eq!(clerk.ask(Errand { instance: INSTANCE, value }).await, Ok(OK));
        }
        eventually("some wait on the host", || figures(8, 42, 0)(&clerk));
        let handle = KernelHandle::clone(&bare);
        let options = TerminateOptions::default().drain().deadline(Duration::from_secs(20));
        let draining = smol::spawn(async move { handle.terminate_with(options).await });
        eventually("it takes no more", || clerk.connections()[0].to.is_none());
        assert_eq!(clerk.ask(Errand { instance: INSTANCE, value: 50 }).await, Ok(2));
        knobs[1].hold.store(false, SeqCst);
        draining.await.unwrap();
        assert!(figures(50, 0, 0)(&clerk));
        assert_eq!(bare.snapshot::<Bare>(INSTANCE).await.unwrap(), folded(0..50));
    });
}

#[test]
fn what_the_host_hands_over_through_the_rings_is_drained_and_failed_like_the_rest() {
    for drains in [false, true] {
        smol::block_on(async {
            let (runtimes, knobs, clerk, _) = pair(2, false).await;
            knobs[1].by_ring.store(true, SeqCst);
            let options =
                LaunchOptions::default().instances(4).queue_capacity(8).initial_state(Bare { unit: 0 });
            let bare: ActorRef<Bare> = crate::runtime::launch(&runtimes[1], options).await.unwrap();
            runtimes[0].connect(&clerk, &bare).await.unwrap();
            knobs[1].turn(&knobs[1].hold);
            let mut asked = pin!(clerk.ask(Delegate { instance: INSTANCE, value: 0 }));
            assert!(futures::poll!(&mut asked).is_pending());
            eventually("it is in the ring", || figures(1, 0, 0)(&clerk));
            for value in 1..50 {
                assert_eq!(clerk.ask(Errand { instance: INSTANCE, value }).await, Ok(OK));
            }
            eventually("some wait on the host", || figures(8, 42, 0)(&clerk));
            if drains {
                let handle = KernelHandle::clone(&bare);
                let options = TerminateOptions::default().drain().deadline(Duration::from_secs(20));
                let draining = smol::spawn(async move { handle.terminate_with(options).await });
                eventually("it takes no more", || clerk.connections()[0].to.is_none());
                assert_eq!(bare.tell(1).await, Err(RingKernelError::Terminated { id: "bare" }));
                knobs[1].hold.store(false, SeqCst);
                draining.await.unwrap();
                assert_eq!(asked.await, Ok(0));
                assert!(figures(50, 0, 0)(&clerk));
                assert_eq!(bare.snapshot::<Bare>(INSTANCE).await.unwrap(), folded(0..50));
            } else {
                bare.terminate().await.unwrap();
                assert!(matches!(asked.await, Err(RingKernelError::HandlerFault(_))));
                assert!(figures(8, 0, 42)(&clerk));
            }
        });
    }
}

#[test]
fn what_a_device_should_not_say_does_no_harm() {
    let (runtime, _) = runtime(Knobs::default());
    smol::block_on(async {
        let (clerk, bare) = (clerk(&runtime).await, bare(&runtime).await);
        let words = [0, 1, 7, u32::from(bare.number()), u32::MAX, 1 << 31, 1 << 20, u32::MAX - 1];
        let mut random = 1u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize
        };
        for _ in 0..20_000 {
            let index = [OUTPUT, RELAY, PUBLISHED, NO_CORRELATION, 0, 3, 1 << 31, 1 << 20][next() % 8];
            let generation = [0, 1, FROM_KERNEL, FORWARDED, FORWARDED | bare.number(), u16::MAX][next() % 6];
            let correlation = Correlation { index, generation };
            let tag = [tag::U32, tag::FAULT, tag::UNIT, 77][next() % 4];
            let header = Header { tag, instance: words[next() % 8], correlation, words: 0, hlc: 0 };
            let payload: Vec<u32> = (0..next() % 6).map(|_| words[next() % 8]).collect();
            clerk.live().arrived(0, header, &payload);
        }
        assert_eq!(clerk.ask(Delegate { instance: 0, value: 3 }).await.map(drop), Ok(()));
    });
}

#[test]
fn the_site_of_a_fault_is_the_answering_kernels() {
    let (runtime, _) = runtime(Knobs::default());
    smol::block_on(async {
        let account = account(&runtime, LaunchOptions::default()).await;
        let clerk = clerk(&runtime).await;
        let mut fault = [0; 2];
        let words = account.live().placed_fault(tag::FAULT, &[FaultKind::Panic as u32, 0], &mut fault);
        let fault = crate::HandlerFault::from_words(clerk.live().descriptor, 0, FaultKind::Panic, words[1]);
        assert_eq!(
            fault.to_string(),
            "`Clerk` (instance 0) faulted: panic at src/account.rs:12:9: in `Account`: from the table"
        );
        let mut other = [0; 2];
        assert_eq!(account.live().placed_fault(tag::FAULT, &[6, u32::MAX], &mut other), [6, u32::MAX]);
        assert_eq!(account.live().placed_fault(tag::U32, &[6, 0], &mut other), [6, 0]);
    });
}
