use super::*;
use crate::testing::{Bare, Deposit, Misbehave};
use crate::{Actor, DeviceError, KernelState, RingKernelError};
use futures::future::join_all;
use futures::poll;
use std::pin::pin;

#[test]
fn an_unknown_id_lists_the_known_ones() {
    smol::block_on(async {
        let runtime = cpu().await;
        let error = runtime.launch("acount", LaunchOptions::default()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no kernel `acount` in this program; there are `account`, `bare`, `clerk`"
        );
        let ids: Vec<_> = runtime.list_kernels().iter().map(|kernel| (kernel.id, kernel.actor)).collect();
        assert_eq!(ids, [("account", "Account"), ("bare", "Bare"), ("clerk", "Clerk")]);
        assert_eq!(runtime.list_kernels()[0].handlers.len(), 4);
    });
}

#[test]
fn two_actors_with_one_id_are_named_when_the_runtime_is_built() {
    let twin: &'static _ = Box::leak(Box::new(ringkernel_backends::kernel::KernelDescriptor {
        id: "account",
        actor: "Ledger",
        ..*Bare::DESCRIPTOR
    }));
    let all = [Bare::DESCRIPTOR, twin, Account::DESCRIPTOR, Account::DESCRIPTOR];
    let error = crate::runtime::catalogue(all.into_iter()).unwrap_err();
    assert_eq!(error, RingKernelError::DuplicateId { id: "account", first: "Account", second: "Ledger" });
    assert_eq!(crate::runtime::catalogue([Bare::DESCRIPTOR; 2].into_iter()).unwrap().len(), 1);
}

#[test]
fn bad_options_and_missing_or_foreign_states_are_refused_at_launch() {
    smol::block_on(async {
        let runtime = cpu().await;
        let launch = async |id, options| runtime.launch(id, options).await.unwrap_err();
        let default = LaunchOptions::default;
        assert!(matches!(
            launch("account", default().instances(0)).await,
            RingKernelError::InvalidOptions { .. }
        ));
        let error = launch("account", default().queue_capacity(100)).await.to_string();
        assert!(error.contains("such as 128"), "{error}");
        assert_eq!(launch("bare", default()).await, RingKernelError::NoInitialState { actor: "Bare" });
        let foreign = launch("account", default().initial_state(Bare { unit: 0 })).await;
        assert!(matches!(foreign, RingKernelError::WrongStateType { .. }));
        let bare = runtime.launch("bare", default().initial_state(Bare { unit: 2 })).await.unwrap();
        bare.send(3u32).await.unwrap();
        assert_eq!(bare.receive::<u32>().await, Ok(2 * 31 + 3));
    });
}

#[test]
fn what_the_device_refuses_is_passed_on() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        for error in [
            DeviceError::OutOfMemory { bytes: 1 << 50, what: "instances of `Account`".into() },
            DeviceError::Capacity { detail: "128 grids are resident".into() },
            DeviceError::Unsupported { actor: "Account", what: "f64".into(), device: "a fake".into() },
        ] {
            *knobs.refuse.lock().unwrap() = Some(error.clone());
            let refused = runtime.launch("account", LaunchOptions::default()).await.unwrap_err();
            assert_eq!(refused, RingKernelError::Device { id: "account", error });
        }
    });
}

#[test]
fn more_instances_than_fit_are_an_error_on_the_cpu() {
    smol::block_on(async {
        let runtime = cpu().await;
        let error =
            runtime.launch("account", LaunchOptions::default().instances(u32::MAX)).await.unwrap_err();
        assert!(
            matches!(&error, RingKernelError::Device { error: DeviceError::OutOfMemory { .. }, .. }),
            "{error}"
        );
    });
}

#[test]
fn shutting_down_terminates_every_kernel_and_refuses_further_launches() {
    smol::block_on(async {
        let runtime = cpu().await;
        let accounts = [
            account(&runtime, LaunchOptions::default()).await,
            account(&runtime, LaunchOptions::default()).await,
        ];
        runtime.shutdown().await.unwrap();
        runtime.shutdown().await.unwrap();
        for account in &accounts {
            assert_eq!(account.state(), KernelState::Terminated);
            assert_eq!(account.ask(()).await, Err(RingKernelError::Terminated { id: "account" }));
        }
        let error = runtime.launch("account", LaunchOptions::default()).await.unwrap_err();
        assert_eq!(error, RingKernelError::Shutdown { id: "account" });
    });
}

#[test]
fn dropping_the_runtime_with_work_in_flight_ends_the_work_and_leaves_no_kernel() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let account = account(&runtime, LaunchOptions::default().queue_capacity(2).instances(3)).await;
            let tasks: Vec<_> = (0..20)
                .map(|i| {
                    let account = account.at(i % 3).unwrap();
                    smol::spawn(async move {
                        loop {
                            if let Err(error) = account.ask(Deposit { cents: 1 }).await {
                                return error;
                            }
                        }
                    })
                })
                .collect();
            eventually("busy", || knobs.answered.load(SeqCst) > 100);
            drop(runtime);
            assert_eq!(account.state(), KernelState::Terminated);
            for error in join_all(tasks).await {
                assert_eq!(error, RingKernelError::Terminated { id: "account" });
            }
            assert_eq!(account.pending(), 0);
            drop(account);
            eventually("no kernel", || knobs.kernels.load(SeqCst) == 0);
        });
    }
}

#[test]
fn a_handler_that_does_not_return_holds_shutdown_up_no_longer_than_the_deadline() {
    smol::block_on(async {
        let builder =
            RingKernel::builder().backend(Backend::Cpu).terminate_deadline(Duration::from_millis(50));
        let runtime = builder.build().await.unwrap();
        let account = account(&runtime, LaunchOptions::default()).await;
        let mut ask = pin!(account.ask(Misbehave(99)));
        assert!(poll!(&mut ask).is_pending());
        smol::Timer::after(Duration::from_millis(20)).await;
        let start = Instant::now();
        let error = runtime.shutdown().await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(
            matches!(error, RingKernelError::Device { error: DeviceError::Deadline { .. }, .. }),
            "{error}"
        );
        assert_eq!(ask.await, Err(RingKernelError::Terminated { id: "account" }));
        crate::testing::RELEASE.store(true, SeqCst);
    });
}

#[test]
fn two_runtimes_keep_out_of_each_others_way() {
    smol::block_on(async {
        let (one, other) = (cpu().await, cpu().await);
        let (a, b) =
            (account(&one, LaunchOptions::default()).await, account(&other, LaunchOptions::default()).await);
        a.ask(Deposit { cents: 1 }).await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(b.ask(Deposit { cents: 2 }).await.unwrap().cents, 2);
        assert!(a.ask(()).await.is_err());
        drop(one);
        assert_eq!(b.ask(()).await, Ok(0));
    });
}

#[test]
fn runtimes_are_built_and_dropped_in_turns_and_the_last_works_as_the_first() {
    smol::block_on(async {
        let mut before: Option<(RingKernel, ActorRef<Account>)> = None;
        for round in 0..50i64 {
            let runtime = cpu().await;
            let account = account(&runtime, LaunchOptions::default().instances(3)).await;
            assert_eq!(account.ask(Deposit { cents: round }).await.unwrap().cents, round);
            // The one before goes while this one is at work.
            let ask = account.ask(Deposit { cents: 1 });
            if let Some((old, kernel)) = before.take() {
                drop(old);
                assert_eq!(kernel.ask(()).await, Err(RingKernelError::Terminated { id: "account" }));
            }
            assert_eq!(ask.await.unwrap().cents, round + 1);
            before = Some((runtime, account));
        }
    });
}

#[test]
fn runtimes_are_built_used_and_dropped_on_several_threads_at_once() {
    let threads: Vec<_> = (0..4i64)
        .map(|thread| {
            std::thread::spawn(move || {
                smol::block_on(async {
                    for round in 0..25 {
                        let runtime = cpu().await;
                        let account = account(&runtime, LaunchOptions::default().instances(5)).await;
                        let asks = (0..20).map(|i| {
                            let account = account.at(i % 5).unwrap();
                            async move { account.ask(Deposit { cents: thread }).await.unwrap().cents }
                        });
                        let highest = join_all(asks).await.into_iter().max();
                        assert_eq!(highest, Some(4 * thread));
                        match round % 3 {
                            0 => runtime.shutdown().await.unwrap(),
                            1 => account.terminate().await.unwrap(),
                            _ => {}
                        }
                        drop(runtime);
                        assert!(account.ask(()).await.is_err());
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_launch_whose_future_is_dropped_leaves_no_kernel() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        for _ in 0..50 {
            let mut launch = pin!(runtime.launch("account", LaunchOptions::default()));
            drop(poll!(&mut launch));
        }
        drop(runtime);
        eventually("no kernel", || knobs.kernels.load(SeqCst) == 0);
    });
}

#[test]
fn a_thousand_launches_leave_nothing_behind() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        for i in 0..1000 {
            let account = account(&runtime, LaunchOptions::default().queue_capacity(1)).await;
            if i % 10 == 0 {
                assert_eq!(account.ask(()).await, Ok(0));
            }
            account.terminate().await.unwrap();
        }
        eventually("no kernel", || knobs.kernels.load(SeqCst) == 0);
    });
}

#[test]
fn the_report_and_the_device_are_named() {
    smol::block_on(async {
        let runtime = cpu().await;
        assert_eq!(runtime.backend(), Backend::Cpu);
        assert!(runtime.device_name().contains("thread"));
        assert_eq!(runtime.backend_report().to_string(), format!("using CPU: {}", runtime.device_name()));
        assert!(format!("{runtime:?}").contains("Cpu"));
    });
}

#[test]
fn futures_can_travel_between_threads() {
    fn check<T: Send>(_: T) {}
    let (runtime, _) = polled();
    let account = smol::block_on(account(&runtime, LaunchOptions::default()));
    check(account.ask(Deposit { cents: 1 }));
    check(account.tell(Deposit { cents: 1 }));
    check(account.ask_timeout(Deposit { cents: 1 }, Duration::ZERO));
    check(account.send(Deposit { cents: 1 }));
    check(account.receive::<u32>());
    check(account.terminate());
    check(account.snapshot::<Account>(0));
    check(account.snapshot_all::<Account>());
    check(account.restore(0, Account::default()));
    check(account.restore_all(vec![Account::default()]));
    check(account.image());
    check(account.terminate_with(crate::TerminateOptions::default().drain()));
    check(runtime.launch("account", LaunchOptions::default()));
    check(runtime.shutdown());
}
