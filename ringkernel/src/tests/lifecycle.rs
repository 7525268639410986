use super::*;
use crate::testing::{Bare, Deposit};
use crate::{DeviceError, IdlePolicy, KernelHandle, KernelState, RingKernelError, Transition};
use KernelState::*;
use Transition::*;
use futures::future::{join, join_all};
use futures::poll;
use std::pin::pin;

async fn in_state(runtime: &RingKernel, state: KernelState) -> ActorRef<Account> {
    let account = account(runtime, LaunchOptions::default().without_auto_activate()).await;
    let way: &[Transition] = match state {
        Launched => &[],
        Active => &[Activate],
        Deactivated => &[Activate, Deactivate],
        Terminated => &[Terminate],
    };
    for step in way {
        take(&account, *step).await.unwrap();
    }
    assert_eq!(account.state(), state);
    account
}

async fn take(kernel: &KernelHandle, action: Transition) -> Result<(), RingKernelError> {
    match action {
        Activate => kernel.activate().await,
        Deactivate => kernel.deactivate().await,
        Suspend => kernel.suspend().await,
        Resume => kernel.resume().await,
        Terminate => kernel.terminate().await,
    }
}

#[test]
fn every_step_from_every_state_does_what_the_table_says() {
    smol::block_on(async {
        let runtime = cpu().await;
        for from in [Launched, Active, Deactivated, Terminated] {
            for action in [Activate, Deactivate, Suspend, Resume, Terminate] {
                let kernel = in_state(&runtime, from).await;
                let result = take(&kernel, action).await;
                if action.allowed_from().contains(&from) {
                    assert_eq!(result, Ok(()), "{action} from {from}");
                    assert_eq!(kernel.state(), action.target());
                } else {
                    let to = action.target();
                    assert_eq!(
                        result,
                        Err(RingKernelError::InvalidTransition { id: "account", action, from, to })
                    );
                    let text = result.unwrap_err().to_string();
                    assert!(text.contains(&from.to_string()) && text.contains(&to.to_string()), "{text}");
                    assert_eq!(kernel.state(), from);
                }
                assert_eq!(kernel.is_active(), kernel.state() == Active);
            }
        }
    });
}

#[test]
fn messages_wait_for_a_launched_or_deactivated_kernel() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let account = in_state(&runtime, Launched).await;
            let mut first = pin!(account.ask(Deposit { cents: 1 }));
            assert!(poll!(&mut first).is_pending());
            smol::Timer::after(Duration::from_millis(5)).await;
            assert!(poll!(&mut first).is_pending());
            account.activate().await.unwrap();
            assert_eq!(first.await.unwrap().deposits, 1);
            account.suspend().await.unwrap();
            let mut second = pin!(account.ask(Deposit { cents: 1 }));
            assert!(poll!(&mut second).is_pending());
            account.tell(Deposit { cents: 1 }).await.unwrap();
            account.resume().await.unwrap();
            assert_eq!(second.await.unwrap().deposits, 2);
            assert_eq!(account.ask(Deposit { cents: 1 }).await.unwrap().cents, 4);
        });
    }
}

#[test]
fn terminating_fails_everybody_who_waits_and_whoever_comes_later() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let account = account(&runtime, LaunchOptions::default().queue_capacity(1)).await;
            let terminated = RingKernelError::Terminated { id: "account" };
            let sent = smol::spawn({
                let account = account.clone();
                async move { account.ask(Deposit { cents: 1 }).await }
            });
            eventually("sent", || account.pending() == 1);
            let waits = smol::spawn({
                let account = account.clone();
                async move { account.tell(Deposit { cents: 1 }).await }
            });
            let blocked = std::thread::spawn({
                let account = account.clone();
                move || account.ask_blocking(Deposit { cents: 1 })
            });
            let receives = smol::spawn({
                let account = account.clone();
                async move { account.receive::<u32>().await }
            });
            smol::Timer::after(Duration::from_millis(5)).await;
            account.terminate().await.unwrap();
            assert_eq!(sent.await, Err(terminated.clone()));
            assert_eq!(waits.await, Err(terminated.clone()));
            assert_eq!(blocked.join().unwrap(), Err(terminated.clone()));
            assert_eq!(receives.await, Err(terminated.clone()));
            assert_eq!(account.ask(()).await, Err(terminated.clone()));
            assert_eq!(account.tell(()).await, Err(terminated.clone()));
            assert_eq!(account.ask_blocking(()), Err(terminated.clone()));
            assert_eq!(account.ask_timeout((), Duration::from_secs(9)).await, Err(terminated.clone()));
            assert_eq!(account.try_tell(()).unwrap_err().reason, terminated);
            assert_eq!(account.pending(), 0);
        });
    }
}

#[test]
fn steps_asked_for_at_the_same_time_are_taken_one_after_another() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = in_state(&runtime, Launched).await;
        for _ in 0..30 {
            let steps: Vec<_> = (0..6)
                .map(|i| {
                    let kernel = kernel.clone();
                    smol::spawn(
                        async move { take(&kernel, if i % 2 == 0 { Activate } else { Deactivate }).await },
                    )
                })
                .collect();
            let taken = join_all(steps).await;
            // Steps alternate, so those that were taken differ by one at most.
            let count =
                |even| taken.iter().enumerate().filter(|(i, r)| (i % 2 == 0) == even && r.is_ok()).count();
            assert!(count(true).abs_diff(count(false)) <= 1, "{taken:?}");
            assert!(kernel.state() == Active || kernel.state() == Deactivated);
        }
        let (one, other) = join(kernel.terminate(), kernel.terminate()).await;
        assert!(one.is_ok() != other.is_ok());
    });
}

#[test]
fn a_step_whose_future_is_dropped_leaves_a_state_that_is_true() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = in_state(&runtime, Launched).await;
        for _ in 0..100 {
            let mut step = pin!(account.activate());
            drop(poll!(&mut step));
        }
        eventually("settled", || {
            account.state() == Launched || account.control().is_active == account.is_active()
        });
    });
}

#[test]
fn a_kernel_that_does_not_come_to_an_end_is_given_up_on() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        knobs.turn(&knobs.hold);
        knobs.stuck.store(true, SeqCst);
        let account = account(&runtime, LaunchOptions::default()).await;
        let mut ask = pin!(account.ask(()));
        assert!(poll!(&mut ask).is_pending());
        let error = account.terminate().await.unwrap_err();
        assert!(
            matches!(error, RingKernelError::Device { error: DeviceError::Deadline { .. }, .. }),
            "{error}"
        );
        assert_eq!(account.state(), Terminated);
        assert_eq!(ask.await, Err(RingKernelError::Terminated { id: "account" }));
    });
}

#[test]
fn a_snapshot_pauses_an_active_kernel_and_loses_no_message() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let options = LaunchOptions::default().instances(3).queue_capacity(4);
            let account = account(&runtime, options).await;
            let teller = smol::spawn({
                let account = account.at(1).unwrap();
                async move {
                    for _ in 0..300 {
                        account.tell(Deposit { cents: 2 }).await.unwrap();
                    }
                }
            });
            let mut last = 0;
            for _ in 0..20 {
                let seen = account.snapshot::<Account>(1).await.unwrap();
                assert_eq!(seen.cents, seen.deposits as i64 * 2, "not torn");
                assert!(seen.cents >= last);
                last = seen.cents;
                assert_eq!(account.state(), Active);
            }
            teller.await;
            assert_eq!(account.at(1).unwrap().ask(Deposit { cents: 0 }).await.unwrap().cents, 600);
            account.deactivate().await.unwrap();
            assert_eq!(account.snapshot::<Account>(1).await.unwrap(), Account { cents: 600, deposits: 301 });
            assert_eq!(account.state(), Deactivated);
            let wrong = account.snapshot::<Bare>(0).await;
            assert_eq!(
                wrong,
                Err(RingKernelError::WrongStateType { id: "account", actor: "Account", given: "Bare" })
            );
        });
    }
}

#[test]
fn a_lost_device_tells_everybody_whether_their_request_may_have_run() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            knobs.turn(&knobs.hold);
            let account = account(&runtime, LaunchOptions::default().queue_capacity(1)).await;
            let lost = |may_have_run| RingKernelError::DeviceLost {
                id: "account",
                reason: "unplugged".into(),
                may_have_run,
            };
            let sent = smol::spawn({
                let account = account.clone();
                async move { account.ask(Deposit { cents: 1 }).await }
            });
            eventually("sent", || account.pending() == 1);
            let waits = smol::spawn({
                let account = account.clone();
                async move { account.ask(Deposit { cents: 1 }).await }
            });
            eventually("waits", || account.pending() == 2);
            *knobs.lost.lock().unwrap() = Some(DeviceError::Lost { reason: "unplugged".into() });
            assert_eq!(sent.await, Err(lost(true)));
            let error = waits.await.unwrap_err();
            assert!(error == lost(false) || error == lost(true), "{error}");
            assert_eq!(account.tell(()).await, Err(lost(false)));
            assert_eq!(account.try_tell(()).unwrap_err().reason, lost(false));
            assert_eq!(account.receive::<u32>().await, Err(lost(true)));
            assert_eq!(account.deactivate().await, Err(lost(false)));
            account.terminate().await.unwrap();
            assert_eq!(account.pending(), 0);
        });
    }
}

#[test]
fn who_waits_for_a_kernel_that_is_not_active_is_told_of_a_lost_device_too() {
    for active in [true, false] {
        let (runtime, knobs) = fake::polled();
        smol::block_on(async {
            let options = LaunchOptions::default().queue_capacity(1).without_auto_activate();
            let account = account(&runtime, options).await;
            if active {
                // Suspended, it is as little looked at as one that never was active.
                account.activate().await.unwrap();
                account.suspend().await.unwrap();
            }
            let asked = smol::spawn({
                let account = account.clone();
                async move { account.ask(Deposit { cents: 1 }).await.map(drop) }
            });
            eventually("sent", || account.pending() == 1);
            let told = smol::spawn({
                let account = account.clone();
                async move { account.tell(Deposit { cents: 1 }).await }
            });
            std::thread::sleep(Duration::from_millis(20));
            *knobs.lost.lock().unwrap() = Some(DeviceError::Lost { reason: "unplugged".into() });
            let lost = |may_have_run| {
                Err(RingKernelError::DeviceLost { id: "account", reason: "unplugged".into(), may_have_run })
            };
            let both = async { (asked.await, told.await) };
            let late = async {
                smol::Timer::after(Duration::from_secs(10)).await;
                panic!("nobody was told");
            };
            assert_eq!(smol::future::or(both, late).await, (lost(true), lost(false)));
            account.terminate().await.unwrap();
        });
    }
}

#[test]
fn the_idle_policy_reaches_the_device() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().idle(IdlePolicy::Spin)).await;
        assert_eq!(account.ask(()).await, Ok(0));
    });
}

#[test]
fn a_device_that_hears_of_a_step_and_does_not_say_so_in_time_is_told_to_stay_as_it_was() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        let account = account(&runtime, LaunchOptions::default().without_auto_activate()).await;
        knobs.mute.store(true, SeqCst);
        assert!(matches!(account.activate().await, Err(RingKernelError::Device { .. })));
        assert_eq!(account.state(), Launched);
        account.tell(Deposit { cents: 1 }).await.unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(account.control().messages_processed, 0, "it is not active");
        knobs.mute.store(false, SeqCst);
        account.activate().await.unwrap();
        knobs.mute.store(true, SeqCst);
        assert!(account.deactivate().await.is_err());
        assert_eq!(account.state(), Active);
        knobs.mute.store(false, SeqCst);
        assert_eq!(account.ask(Deposit { cents: 0 }).await.unwrap().cents, 1);
    });
}
