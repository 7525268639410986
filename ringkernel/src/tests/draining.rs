//! Ending a kernel with work under way: by draining it, and by letting go of it.

use super::*;
use crate::testing::{Bare, Deposit, Misbehave};
use crate::{KernelState, RingKernelError, TerminateOptions};
use futures::future::join_all;
use futures::{StreamExt, poll};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Wake};

const TERMINATED: RingKernelError = RingKernelError::Terminated { id: "account" };

fn drain() -> TerminateOptions {
    TerminateOptions::default().drain().deadline(Duration::from_secs(20))
}

#[test]
fn draining_answers_what_waits_refuses_what_comes_and_tells_blocked_senders_at_once() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let options = LaunchOptions::default().queue_capacity(4).shards(1);
            let account = account(&runtime, options).await;
            account.tell(Deposit { cents: 1 }).await.unwrap();
            account.send(Deposit { cents: 1 }).await.unwrap();
            let mut first = pin!(account.ask(Deposit { cents: 1 }));
            let mut second = pin!(account.ask(Deposit { cents: 1 }));
            assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
            // The queue is full: these wait for room.
            let mut many = pin!(account.ask_many([Deposit { cents: 100 }; 5]));
            assert!(poll!(many.next()).is_pending());
            let mut tell = pin!(account.tell(Deposit { cents: 100 }));
            let mut ask = pin!(account.ask(Deposit { cents: 100 }));
            assert!(poll!(&mut tell).is_pending() && poll!(&mut ask).is_pending());
            let ending = smol::spawn({
                let account = account.clone();
                async move { account.terminate_with(drain()).await }
            });
            assert_eq!(tell.await, Err(TERMINATED));
            assert_eq!(ask.await, Err(TERMINATED));
            assert_eq!(many.next().await, Some(Err(TERMINATED)));
            assert_eq!(account.tell(()).await, Err(TERMINATED));
            assert_eq!(account.ask(()).await, Err(TERMINATED));
            assert_eq!(account.send(()).await, Err(TERMINATED));
            assert_eq!(account.try_tell(()).unwrap_err().reason, TERMINATED);
            assert_eq!(account.ask_blocking(()), Err(TERMINATED));
            assert_eq!(account.state(), KernelState::Active);
            assert!(poll!(&mut first).is_pending() && account.try_receive::<u32>() == Ok(None));
            knobs.hold.store(false, SeqCst);
            ending.await.unwrap();
            assert_eq!(first.await.unwrap().cents, 3);
            assert_eq!(second.await.unwrap().cents, 4);
            assert_eq!(account.receive::<crate::testing::Balance>().await.unwrap().cents, 2);
            assert_eq!(account.receive::<u32>().await, Err(TERMINATED));
            assert_eq!(account.snapshot::<Account>(0).await, Ok(Account { cents: 4, deposits: 4 }));
            assert_eq!((account.state(), account.pending()), (KernelState::Terminated, 0));
        });
    }
}

/// A waker that holds up whoever calls it.
#[derive(Default)]
struct Gate {
    called: AtomicBool,
    open: AtomicBool,
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.called.store(true, SeqCst);
        eventually("the gate was opened", || self.open.load(SeqCst));
    }
}

#[test]
fn what_was_answered_is_delivered_before_the_end_though_whoever_drains_was_interrupted() {
    let (runtime, knobs) = fake::polled();
    smol::block_on(async {
        knobs.turn(&knobs.hold);
        let account = account(&runtime, LaunchOptions::default().shards(1)).await;
        let gate = Arc::new(Gate::default());
        // The first is the only one, and looks for its reply itself; for the second the bridge does, and is held up when it has it.
        let mut first = pin!(account.ask(Deposit { cents: 1 }));
        let mut second = pin!(account.ask(Deposit { cents: 1 }));
        assert!(poll!(&mut first).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&gate.clone().into())).is_pending());
        knobs.hold.store(false, SeqCst);
        eventually("the bridge was held up", || gate.called.load(SeqCst));
        let mut third = pin!(account.ask(Deposit { cents: 1 }));
        assert!(poll!(&mut third).is_pending());
        eventually("the third was answered", || knobs.answered.load(SeqCst) == 3);
        let ending = smol::spawn({
            let account = account.clone();
            async move { account.terminate_with(drain()).await }
        });
        smol::Timer::after(Duration::from_millis(100)).await;
        gate.open.store(true, SeqCst);
        ending.await.unwrap();
        assert_eq!(first.await.unwrap().cents, 1);
        assert_eq!(second.await.unwrap().cents, 2);
        assert_eq!(third.await.unwrap().cents, 3);
    });
}

#[test]
fn every_tell_that_was_taken_is_handled_however_many_senders_race_with_the_draining() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        for round in 0..10 {
            smol::block_on(async {
                let options = LaunchOptions::default().queue_capacity(8).instances(3);
                let account = account(&runtime, options).await;
                let senders: Vec<_> = (0..6u32)
                    .map(|i| {
                        let account = account.at(i % 3).unwrap();
                        smol::spawn(async move {
                            let mut sent = 0;
                            loop {
                                match account.tell(Deposit { cents: 1 }).await {
                                    Ok(()) => sent += 1,
                                    Err(error) => return (sent, error),
                                }
                            }
                        })
                    })
                    .collect();
                smol::Timer::after(Duration::from_micros(300 * round)).await;
                account.terminate_with(drain()).await.unwrap();
                let mut sent = 0;
                for (some, error) in join_all(senders).await {
                    assert_eq!(error, TERMINATED);
                    sent += some;
                }
                let states = account.snapshot_all::<Account>().await.unwrap();
                assert_eq!(states.iter().map(|account| account.cents).sum::<i64>(), sent);
            });
        }
    }
}

#[test]
fn a_drain_that_takes_too_long_ends_all_the_same_and_says_how_much_was_left() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let account = account(&runtime, LaunchOptions::default()).await;
            for _ in 0..5 {
                account.tell(Deposit { cents: 1 }).await.unwrap();
            }
            let mut ask = pin!(account.ask(()));
            assert!(poll!(&mut ask).is_pending());
            let deadline = Duration::from_millis(30);
            let error = account.terminate_with(drain().deadline(deadline)).await.unwrap_err();
            assert_eq!(error, RingKernelError::NotDrained { id: "account", left: 6, deadline });
            assert_eq!(
                error.to_string(),
                "kernel `account` was not drained within 30ms and is terminated: at least 6 of its requests were not answered"
            );
            assert_eq!(ask.await, Err(TERMINATED));
            assert_eq!((account.state(), account.pending()), (KernelState::Terminated, 0));
        });
    }
}

#[test]
fn a_kernel_that_is_not_active_has_nothing_to_wait_for() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().without_auto_activate()).await;
        let mut ask = pin!(account.ask(()));
        assert!(poll!(&mut ask).is_pending());
        account.terminate_with(drain()).await.unwrap();
        assert_eq!(ask.await, Err(TERMINATED));
        let again = account.terminate_with(drain()).await;
        assert!(matches!(again, Err(RingKernelError::InvalidTransition { .. })));
    });
}

#[test]
fn somebody_in_a_hurry_cuts_draining_short() {
    for shut_down in [false, true] {
        let (runtime, knobs) = polled();
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let account = account(&runtime, LaunchOptions::default()).await;
            account.tell(()).await.unwrap();
            let ending = smol::spawn({
                let account = account.clone();
                async move { account.terminate_with(drain().deadline(Duration::MAX)).await }
            });
            eventually("draining", || account.live().slab.is_closed());
            let start = Instant::now();
            if shut_down {
                runtime.shutdown().await.unwrap();
            } else {
                // Whether the drain or this came to the end first is open.
                let _ = account.terminate().await;
            }
            assert!(matches!(ending.await, Err(RingKernelError::NotDrained { left: 1, .. })));
            assert!(start.elapsed() < Duration::from_secs(5));
            assert_eq!(account.state(), KernelState::Terminated);
        });
    }
}

#[test]
fn draining_on_the_cpu_finishes_slow_handlers() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().instances(4)).await;
        for i in 0..4000 {
            account.at(i % 4).unwrap().tell(Misbehave(0)).await.unwrap();
        }
        account.terminate_with(drain()).await.unwrap();
        let states = account.snapshot_all::<Account>().await.unwrap();
        assert!(states.iter().all(|account| account.deposits == 1000), "{states:?}");
        assert_eq!(account.control().messages_processed, 4000);
    });
}

/// Tasks that ask for as long as they are answered, on several kernels.
async fn swarm(
    runtime: &RingKernel,
) -> (Vec<crate::KernelHandle>, Vec<smol::Task<Result<(), RingKernelError>>>) {
    let (mut kernels, mut tasks) = (Vec::new(), Vec::new());
    for k in 0..6u32 {
        let options = LaunchOptions::default().instances(5).queue_capacity(1 << (k % 4));
        let bare = crate::runtime::launch::<Bare>(runtime, options.initial_state(Bare { unit: 0 })).await;
        let bare = bare.unwrap();
        kernels.push(bare.handle().clone());
        for i in 0..30u32 {
            let bare = bare.at(i % 5).unwrap();
            tasks.push(smol::spawn(async move {
                loop {
                    let _: u32 = match i % 4 {
                        0 => bare.ask(i).await?,
                        1 => bare.tell(i).await.map(|()| 0)?,
                        2 => bare.ask_timeout(i, Duration::from_secs(30)).await?,
                        _ => {
                            bare.send(i).await?;
                            bare.receive().await?
                        }
                    };
                    smol::future::yield_now().await;
                }
            }));
        }
    }
    (kernels, tasks)
}

#[test]
fn whatever_is_in_flight_on_several_kernels_ends_when_the_runtime_goes_and_memory_comes_back() {
    for polled in [false, true] {
        for shut_down in [false, true] {
            let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
            smol::block_on(async {
                let (kernels, tasks) = swarm(&runtime).await;
                let lives: Vec<_> = kernels.iter().map(|kernel| Arc::downgrade(kernel.live())).collect();
                eventually("busy", || knobs.answered.load(SeqCst) > 2000);
                if shut_down {
                    runtime.shutdown().await.unwrap();
                }
                drop(runtime);
                for ended in join_all(tasks).await {
                    assert_eq!(ended, Err(RingKernelError::Terminated { id: "bare" }));
                }
                assert!(kernels.iter().all(|kernel| kernel.state() == KernelState::Terminated));
                drop(kernels);
                eventually("no kernel", || knobs.kernels.load(SeqCst) == 0);
                assert!(lives.iter().all(|live| live.upgrade().is_none()));
            });
        }
    }
}

#[test]
fn the_last_handle_may_go_while_others_kernels_are_busy_and_while_its_own_requests_are_under_way() {
    smol::block_on(async {
        let runtime = cpu().await;
        let (kernels, tasks) = swarm(&runtime).await;
        let lives: Vec<_> = kernels.iter().map(|kernel| Arc::downgrade(kernel.live())).collect();
        drop(kernels);
        // The tasks' own references are the last: they go with them, in the middle of whatever they do.
        smol::Timer::after(Duration::from_millis(20)).await;
        for task in tasks {
            task.cancel().await;
        }
        eventually("gone", || lives.iter().all(|live| live.upgrade().is_none()));
        let account = account(&runtime, LaunchOptions::default()).await;
        assert_eq!(account.ask(()).await, Ok(0));
    });
}
