//! Bad input: a clear typed error each, with its text.

#![allow(missing_docs, unreachable_pub)]

use ringkernel::prelude::*;
use ringkernel::{DeviceError, Transition};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Deposit {
    pub cents: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Unrelated {
    pub cents: i64,
}

#[ring_kernel(id = "account")]
#[derive(Default)]
pub struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> i64 {
        self.cents += msg.cents;
        self.cents
    }
}

/// A large state, to ask for more memory than there is.
#[ring_kernel(id = "warehouse")]
pub struct Warehouse {
    shelves: [[u64; 1024]; 8],
}

#[ring_kernel]
impl Warehouse {
    #[handler]
    fn stock(&mut self, _ctx: &mut RingContext, msg: u32) -> u64 {
        self.shelves[(msg / 1024 % 8) as usize][(msg % 1024) as usize]
    }
}

fn with_runtime<F: Future<Output = ()>>(test: impl FnOnce(RingKernel) -> F) {
    smol::block_on(async {
        let runtime =
            RingKernel::builder().backend(Backend::Cpu).build().await.expect("the CPU is always there");
        test(runtime).await;
    });
}

#[test]
fn an_unknown_id_lists_the_known_ones() {
    with_runtime(|runtime| async move {
        let error = runtime.launch("acount", LaunchOptions::default()).await.unwrap_err();
        assert!(matches!(&error, RingKernelError::UnknownKernel { id, .. } if id == "acount"), "{error:?}");
        assert_eq!(
            error.to_string(),
            "there is no kernel `acount` in this program; there are `account`, `warehouse`"
        );
        let ids: Vec<_> = runtime.list_kernels().iter().map(|kernel| kernel.id).collect();
        assert_eq!(ids, ["account", "warehouse"]);
    });
}

#[test]
fn a_message_the_actor_does_not_handle_is_refused_by_a_dynamic_handle() {
    with_runtime(|runtime| async move {
        let kernel = runtime.launch("account", LaunchOptions::default()).await.unwrap();
        let error = kernel.send(Unrelated { cents: 1 }).await.unwrap_err();
        assert!(matches!(error, RingKernelError::NotHandled { .. }), "{error:?}");
        assert_eq!(error.to_string(), "`Account` does not handle `Unrelated`; it handles `Deposit`");
    });
}

#[test]
fn a_reply_received_as_another_type_is_an_error_that_names_both() {
    with_runtime(|runtime| async move {
        let kernel = runtime.launch("account", LaunchOptions::default()).await.unwrap();
        kernel.send(Deposit { cents: 1 }).await.unwrap();
        let error = kernel.receive::<u32>().await.unwrap_err();
        assert!(matches!(error, RingKernelError::UnexpectedReply { .. }), "{error:?}");
        assert_eq!(error.to_string(), "the reply is a `i64`, not a `u32`");
    });
}

#[test]
fn zero_instances_are_refused() {
    with_runtime(|runtime| async move {
        let error = Account::launch(&runtime, LaunchOptions::default().instances(0)).await.unwrap_err();
        assert!(matches!(error, RingKernelError::InvalidOptions { id: "account", .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("cannot launch `account`: ") && text.contains("instance"), "{text}");
    });
}

#[test]
fn a_queue_capacity_that_is_not_a_power_of_two_is_refused_and_the_nearest_is_named() {
    with_runtime(|runtime| async move {
        for capacity in [0, 3, 1000, u32::MAX] {
            let options = LaunchOptions::default().queue_capacity(capacity);
            let error = Account::launch(&runtime, options).await.unwrap_err();
            assert!(matches!(error, RingKernelError::InvalidOptions { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("a queue capacity of {capacity}; ")), "{text}");
            assert!(capacity != 1000 || text.contains("1024") && text.contains("power of two"), "{text}");
        }
    });
}

#[test]
fn a_forced_backend_that_is_absent_says_what_is_missing() {
    // Where there is a GPU, Metal is what is missing, and the other way round.
    let mut absent = 0;
    for backend in [Backend::Cuda, Backend::Metal] {
        if let Err(error) = smol::block_on(RingKernel::builder().backend(backend).build()) {
            assert!(matches!(&error, RingKernelError::BackendUnavailable { .. }), "{error:?}");
            let start = format!("the {backend} backend cannot be used: ");
            let text = error.to_string();
            assert!(text.strip_prefix(&start).is_some_and(|reason| reason.len() > 10), "{text}");
            absent += 1;
        }
    }
    assert!(absent > 0, "no machine has both");
}

#[test]
fn more_memory_than_there_is_is_an_error_that_says_how_much() {
    with_runtime(|runtime| async move {
        // 64 KiB each: a quarter of a petabyte.
        let options = LaunchOptions::default()
            .instances(u32::MAX)
            .initial_state_with(|_| Warehouse { shelves: [[0; 1024]; 8] });
        let error = Warehouse::launch(&runtime, options).await.unwrap_err();
        let RingKernelError::Device { id: "warehouse", error: DeviceError::OutOfMemory { bytes, .. } } =
            &error
        else {
            panic!("{error:?}")
        };
        assert!(*bytes > 1 << 47, "{bytes}");
        assert!(error.to_string().contains("out of memory"), "{error}");
        // Nothing is left behind: the runtime still launches.
        let account = Account::launch(&runtime, LaunchOptions::default()).await.unwrap();
        assert_eq!(account.deposit(Deposit { cents: 3 }).await, Ok(3));
    });
}

#[test]
fn an_actor_without_default_needs_an_initial_state() {
    with_runtime(|runtime| async move {
        let error = Warehouse::launch(&runtime, LaunchOptions::default()).await.unwrap_err();
        assert_eq!(error, RingKernelError::NoInitialState { actor: "Warehouse" });
        let wrong = LaunchOptions::default().initial_state(Account { cents: 1 });
        let error = Warehouse::launch(&runtime, wrong).await.unwrap_err();
        assert_eq!(error.to_string(), "the state of kernel `warehouse` is a `Warehouse`, not a `Account`");
    });
}

#[test]
fn every_way_to_send_to_a_terminated_kernel_fails() {
    with_runtime(|runtime| async move {
        let account = Account::launch(&runtime, LaunchOptions::default()).await.unwrap();
        account.terminate().await.unwrap();
        let terminated = RingKernelError::Terminated { id: "account" };
        assert_eq!(terminated.to_string(), "kernel `account` is terminated; launch it again to send it more");
        let message = Deposit { cents: 1 };
        assert_eq!(account.deposit(message).await, Err(terminated.clone()));
        assert_eq!(account.ask(message).await, Err(terminated.clone()));
        assert_eq!(account.tell(message).await, Err(terminated.clone()));
        assert_eq!(account.ask_blocking(message), Err(terminated.clone()));
        assert_eq!(account.try_tell(message).unwrap_err().reason, terminated);
        assert_eq!(account.send(message).await, Err(terminated.clone()));
        assert_eq!(account.receive::<i64>().await, Err(terminated));
    });
}

#[test]
fn an_instance_that_is_not_there_is_an_error_that_says_how_many_there_are() {
    with_runtime(|runtime| async move {
        let account = Account::launch(&runtime, LaunchOptions::default().instances(4)).await.unwrap();
        let error = account.at(4).unwrap_err();
        let none = RingKernelError::NoSuchInstance { id: "account", instance: 4, instances: 4 };
        assert_eq!(error, none);
        assert_eq!(account.send_to(4, Deposit { cents: 1 }).await, Err(none));
        assert_eq!(
            error.to_string(),
            "kernel `account` has no instance 4: it was launched with 4, numbered from 0"
        );
        account.suspend().await.unwrap();
        assert!(account.snapshot::<Account>(9).await.is_err());
    });
}

#[test]
fn every_illegal_step_of_the_lifecycle_names_both_states() {
    use KernelState::*;
    use Transition::*;
    with_runtime(|runtime| async move {
        for state in [Launched, Active, Deactivated, Terminated] {
            for step in [Activate, Deactivate, Suspend, Resume, Terminate] {
                let options = LaunchOptions::default().without_auto_activate();
                let kernel = runtime.launch("account", options).await.unwrap();
                let path: &[Transition] = match state {
                    Launched => &[],
                    Active => &[Activate],
                    Deactivated => &[Activate, Deactivate],
                    Terminated => &[Terminate],
                };
                for step in path {
                    take(&kernel, *step).await.unwrap();
                }
                assert_eq!(kernel.state(), state);
                let result = take(&kernel, step).await;
                if step.allowed_from().contains(&state) {
                    assert_eq!(result, Ok(()), "{step} from {state}");
                    assert_eq!(kernel.state(), step.target());
                    continue;
                }
                let error = result.unwrap_err();
                let expected = RingKernelError::InvalidTransition {
                    id: "account",
                    action: step,
                    from: state,
                    to: step.target(),
                };
                assert_eq!(error, expected);
                let text = error.to_string();
                assert!(
                    text.starts_with(&format!("cannot {step} kernel `account`: it is {state}, ")),
                    "{text}"
                );
                assert!(text.contains(&format!("can become {}", step.target())), "{text}");
                assert_eq!(kernel.state(), state, "a refused step changes nothing");
            }
        }
    });
}

async fn take(kernel: &KernelHandle, step: Transition) -> Result<(), RingKernelError> {
    match step {
        Transition::Activate => kernel.activate().await,
        Transition::Deactivate => kernel.deactivate().await,
        Transition::Suspend => kernel.suspend().await,
        Transition::Resume => kernel.resume().await,
        Transition::Terminate => kernel.terminate().await,
    }
}

#[test]
fn a_runtime_that_was_shut_down_launches_nothing() {
    with_runtime(|runtime| async move {
        let account = Account::launch(&runtime, LaunchOptions::default()).await.unwrap();
        runtime.shutdown().await.unwrap();
        assert_eq!(account.state(), KernelState::Terminated);
        let error = Account::launch(&runtime, LaunchOptions::default()).await.unwrap_err();
        assert_eq!(error, RingKernelError::Shutdown { id: "account" });
    });
}

#[test]
fn a_handler_that_faults_names_its_line_and_the_actor_lives_on() {
    with_runtime(|runtime| async move {
        let account =
            Account::launch(&runtime, LaunchOptions::default().initial_state(Account { cents: i64::MAX }))
                .await
                .unwrap();
        if cfg!(debug_assertions) {
            let error = account.deposit(Deposit { cents: 1 }).await.unwrap_err();
            let RingKernelError::HandlerFault(fault) = &error else { panic!("{error:?}") };
            assert_eq!(
                (fault.kind, fault.file, fault.line, fault.column),
                (FaultKind::Overflow, file!(), 28, 9)
            );
            assert_eq!((fault.actor, fault.instance), ("Account", 0));
        }
        assert_eq!(account.deposit(Deposit { cents: -1 }).await, Ok(i64::MAX - 1));
    });
}
