//! The runtime's own thread where replies come without a word: when it sleeps, what it costs, and whom it wakes how soon. And the
//! doorbell, by which a device is told of requests.

use super::*;
use crate::testing::{Bare, Deposit};
use crate::{BridgePolicy, KernelState, Mode};
use futures::{StreamExt, poll};
use std::pin::pin;

const POLICIES: [BridgePolicy; 3] = [BridgePolicy::Spin, BridgePolicy::Adaptive, BridgePolicy::Park];

/// Processor time the polling thread of a kernel's runtime has used, where the system tells (Linux).
fn used(account: &ActorRef<Account>) -> Option<Duration> {
    let task = account.live().bridge.as_ref()?.task.get()?;
    let text = std::fs::read_to_string(std::path::Path::new("/proc").join(task).join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

/// The share of a core that the thread uses over a second.
fn share(account: &ActorRef<Account>) -> Option<f64> {
    let (before, start) = (used(account)?, Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    Some((used(account)? - before).as_secs_f64() / start.elapsed().as_secs_f64())
}

#[test]
fn an_idle_runtime_uses_next_to_nothing_under_every_policy_and_a_slow_handler_little_but_under_spin() {
    for bridge in POLICIES {
        let (runtime, knobs) = fake::runtime(Knobs { polled: true, bridge, ..Knobs::default() });
        smol::block_on(async {
            let account = account(&runtime, LaunchOptions::default().hung_after(Duration::MAX)).await;
            assert_eq!(account.ask(()).await, Ok(0));
            eventually("the thread shows", || {
                account.live().bridge_rounds().is_some_and(|rounds| rounds > 0)
            });
            if used(&account).is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
            let idle = share(&account).unwrap();
            assert!(idle < 0.005, "{bridge:?} idle: {:.2} % of a core", idle * 100.0);

            knobs.turn(&knobs.hold);
            let mut ask = pin!(account.ask(Deposit { cents: 1 }));
            assert!(poll!(&mut ask).is_pending());
            let mut tell = pin!(account.send(()));
            assert!(poll!(&mut tell).is_ready());
            std::thread::sleep(Duration::from_millis(50));
            let rounds = || account.live().bridge_rounds().unwrap();
            let before = rounds();
            let waiting = share(&account).unwrap();
            let looks = rounds() - before;
            println!("{bridge:?}: idle {:.3} %, a request under way {:.3} %", idle * 100.0, waiting * 100.0);
            match bridge {
                // As much of a core as it gets, which on a busy machine is not much.
                BridgePolicy::Spin => assert!(looks > 1000, "{looks} looks"),
                _ => assert!(waiting < 0.02, "{bridge:?}: {:.2} % of a core", waiting * 100.0),
            }
            knobs.hold.store(false, SeqCst);
            assert_eq!(ask.await.unwrap().cents, 1);
        });
    }
}

#[test]
fn a_kernel_that_ended_while_requests_waited_leaves_the_thread_asleep() {
    // Lost is lost to all of a device's kernels, hung and terminated is one.
    for hung in [false, true] {
        let knobs = Knobs { polled: true, bridge: BridgePolicy::Spin, ..Knobs::default() };
        let (runtime, knobs) = fake::runtime(knobs);
        smol::block_on(async {
            let after = if hung { Duration::from_millis(150) } else { Duration::MAX };
            let account = account(&runtime, LaunchOptions::default().hung_after(after)).await;
            knobs.turn(if hung { &knobs.hang } else { &knobs.hold });
            let mut asks: Vec<_> = (0..3).map(|_| Box::pin(account.ask(()))).collect();
            for ask in &mut asks {
                assert!(poll!(ask).is_pending());
            }
            account.send(()).await.unwrap();
            let mut replies = Box::pin(account.ask_many([(); 5]));
            assert!(poll!(replies.next()).is_pending());
            eventually("the thread looks", || account.live().has_work());
            if !hung {
                account.terminate().await.unwrap();
            }
            for ask in asks {
                assert!(ask.await.is_err());
            }
            drop(replies);
            // The handle is still there, and nobody waits for anything.
            let rounds = || account.live().bridge_rounds().unwrap();
            std::thread::sleep(Duration::from_millis(50));
            let before = rounds();
            std::thread::sleep(Duration::from_millis(400));
            assert_eq!(rounds(), before, "hung: {hung}");
            knobs.hang.store(false, SeqCst);
        });
    }
}

#[test]
fn every_policy_delivers_every_reply() {
    for bridge in POLICIES {
        let (runtime, _) = fake::runtime(Knobs { polled: true, bridge, ..Knobs::default() });
        smol::block_on(async {
            let options = LaunchOptions::default().instances(4).initial_state(Bare { unit: 0 });
            let bare = crate::runtime::launch::<Bare>(&runtime, options.queue_capacity(4)).await.unwrap();
            let tasks: Vec<_> = (0..12u32)
                .map(|i| {
                    let bare = bare.at(i % 4).unwrap();
                    smol::spawn(async move {
                        for _ in 0..50 {
                            bare.ask(i).await.unwrap();
                            bare.tell(i).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            assert_eq!(bare.pending(), 0);
        });
    }
}

#[test]
fn new_work_ends_the_pause_that_a_slow_request_brought_about() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        let slow = account(&runtime, LaunchOptions::default()).await;
        knobs.turn(&knobs.hold);
        let mut ask = pin!(slow.ask(()));
        assert!(poll!(&mut ask).is_pending());
        // Long enough for the longest pause.
        std::thread::sleep(Duration::from_millis(200));
        let before = slow.live().bridge_rounds().unwrap();
        let mut next = pin!(slow.ask(()));
        assert!(poll!(&mut next).is_pending());
        // It looks often again at once, not a hundred times a second.
        eventually("awake", || slow.live().bridge_rounds().unwrap() > before + 1000);
        knobs.hold.store(false, SeqCst);
        assert_eq!((ask.await, next.await), (Ok(0), Ok(0)));
    });
}

#[test]
fn the_doorbell_is_rung_after_every_push_and_after_every_batch() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let mode = Mode::EventDriven { idle_after: Duration::from_millis(1) };
            let options = LaunchOptions::default().instances(2).shards(2).mode(mode);
            let account = account(&runtime, options).await;
            let second = account.at(1).unwrap();
            let rung = || std::mem::take(&mut *knobs.rung.lock().unwrap());
            account.tell(()).await.unwrap();
            assert_eq!(rung(), [(0, 1)]);
            second.try_tell(()).unwrap();
            assert_eq!(rung(), [(1, 1)]);
            account.send_to(1, ()).await.unwrap();
            assert_eq!(rung(), [(1, 2)]);
            {
                let mut ask = pin!(account.ask(()));
                assert!(poll!(&mut ask).is_pending());
                assert_eq!(rung(), [(0, 2)]);
            }
            assert!(account.ask_timeout((), Duration::from_millis(5)).await.is_err());
            assert_eq!(rung(), [(0, 3)]);
            account.tell_many([(); 10]).await.unwrap();
            assert_eq!(rung(), [(0, 13)]);
            account.tell_many_at((0..10).map(|i| (i % 2, ()))).await.unwrap();
            assert_eq!(rung(), [(0, 18), (1, 7)]);
            let mut replies = pin!(account.ask_many_at((0..10).map(|i| (i % 2, ()))));
            assert!(poll!(replies.next()).is_pending());
            assert_eq!(rung(), [(0, 23), (1, 12)]);
        });
    }
}

#[test]
fn a_suspended_event_driven_kernel_stays_suspended_whatever_is_sent() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let mode = Mode::EventDriven { idle_after: Duration::from_millis(1) };
            let account = account(&runtime, LaunchOptions::default().mode(mode)).await;
            assert_eq!(account.ask(()).await, Ok(0));
            account.suspend().await.unwrap();
            let before = knobs.rung.lock().unwrap().len();
            account.tell(Deposit { cents: 1 }).await.unwrap();
            account.tell_many([Deposit { cents: 1 }; 5]).await.unwrap();
            assert_eq!(knobs.rung.lock().unwrap().len(), before + 2, "it is told all the same");
            smol::Timer::after(Duration::from_millis(20)).await;
            assert_eq!(account.state(), KernelState::Deactivated);
            assert_eq!(account.control().messages_processed, 1);
            account.resume().await.unwrap();
            assert_eq!(account.ask(Deposit { cents: 0 }).await.unwrap().cents, 6);
        });
    }
}
