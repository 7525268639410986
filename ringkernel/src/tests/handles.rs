use super::*;
use crate::testing::{Balance, Deposit, Misbehave, Stranger};
use crate::{KernelHandle, KernelState, RingKernelError};
use futures::poll;
use std::pin::pin;

async fn launch(runtime: &RingKernel) -> KernelHandle {
    runtime.launch("account", LaunchOptions::default().instances(4)).await.unwrap()
}

#[test]
fn replies_are_received_in_the_order_they_arrived_unit_and_faults_included() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        kernel.send(Deposit { cents: 5 }).await.unwrap();
        kernel.send(Misbehave(0)).await.unwrap();
        kernel.send(Misbehave(60)).await.unwrap();
        kernel.send(()).await.unwrap();
        assert_eq!(kernel.receive::<Balance>().await, Ok(Balance { cents: 5, deposits: 1 }));
        assert_eq!(kernel.receive::<()>().await, Ok(()));
        let fault = kernel.receive::<Balance>().await.unwrap_err();
        assert!(
            matches!(&fault, RingKernelError::HandlerFault(f) if f.message == "one is not two"),
            "{fault}"
        );
        assert_eq!(kernel.receive::<u32>().await, Ok(0));
        assert_eq!(kernel.pending(), 0);
    });
}

#[test]
fn a_reply_of_another_type_is_named_and_stays_to_be_received() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        kernel.send(Deposit { cents: 5 }).await.unwrap();
        let error = kernel.receive::<u32>().await.unwrap_err();
        assert_eq!(error, RingKernelError::UnexpectedReply { expected: "u32", got: "Balance".into() });
        assert_eq!(kernel.receive::<Balance>().await.unwrap().cents, 5);
    });
}

#[test]
fn a_message_without_a_handler_is_refused_with_those_there_are() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        let error = kernel.send(Stranger(1)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Account` does not handle `Stranger`; it handles `Deposit`, `()`, `bool`, `Misbehave`"
        );
        assert_eq!(kernel.pending(), 0);
    });
}

#[test]
fn an_instance_beyond_the_last_is_refused_everywhere() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        let none = RingKernelError::NoSuchInstance { id: "account", instance: 4, instances: 4 };
        assert_eq!(kernel.send_to(4, ()).await, Err(none.clone()));
        assert_eq!(kernel.snapshot::<Account>(4).await, Err(none.clone()));
        let account = account(&runtime, LaunchOptions::default().instances(4)).await;
        assert_eq!(account.at(4).err(), Some(none));
        kernel.send_to(3, ()).await.unwrap();
        assert_eq!(kernel.receive::<u32>().await, Ok(3));
    });
}

#[test]
fn receive_waits_for_what_is_sent_later_and_no_longer_than_told() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        assert_eq!(kernel.try_receive::<u32>(), Ok(None));
        let after = Duration::from_millis(5);
        let timeout = RingKernelError::Timeout { id: "account", after, may_have_run: true };
        assert_eq!(kernel.receive_timeout::<u32>(after).await, Err(timeout));
        let mut receive = pin!(kernel.receive::<u32>());
        assert!(poll!(&mut receive).is_pending());
        kernel.send_to(2, ()).await.unwrap();
        assert_eq!(receive.await, Ok(2));
    });
}

#[test]
fn clones_share_the_inbox_and_each_reply_is_received_once() {
    let (runtime, _) = polled();
    smol::block_on(async {
        let kernel = launch(&runtime).await;
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                let kernel = kernel.clone();
                smol::spawn(async move {
                    let mut sum = 0;
                    for _ in 0..50 {
                        sum += kernel.receive::<u32>().await.unwrap();
                    }
                    sum
                })
            })
            .collect();
        for i in 0..400u32 {
            kernel.send_to(i % 4, ()).await.unwrap();
        }
        let mut sum = 0;
        for receiver in receivers {
            sum += receiver.await;
        }
        assert_eq!(sum, 100 * (1 + 2 + 3));
        assert_eq!(kernel.pending(), 0);
    });
}

#[test]
fn a_receiver_of_another_type_passes_the_wake_up_on() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        let mut wrong = pin!(kernel.receive::<Balance>());
        let mut right = pin!(kernel.receive::<u32>());
        // The first to wait is the first to be told.
        assert!(poll!(&mut wrong).is_pending() && poll!(&mut right).is_pending());
        kernel.send_to(1, ()).await.unwrap();
        let wrong = wrong.await;
        assert_eq!(wrong, Err(RingKernelError::UnexpectedReply { expected: "Balance", got: "u32".into() }));
        assert_eq!(right.await, Ok(1));
    });
}

#[test]
fn what_was_answered_before_the_end_is_still_received_after_it() {
    smol::block_on(async {
        let runtime = cpu().await;
        let kernel = launch(&runtime).await;
        kernel.send_to(1, ()).await.unwrap();
        eventually("answered", || kernel.control().messages_processed == 1);
        kernel.terminate().await.unwrap();
        assert_eq!(kernel.receive::<u32>().await, Ok(1));
        let terminated = RingKernelError::Terminated { id: "account" };
        assert_eq!(kernel.receive::<u32>().await, Err(terminated.clone()));
        assert_eq!(kernel.try_receive::<u32>(), Err(terminated.clone()));
        assert_eq!(kernel.send(()).await, Err(terminated));
        assert_eq!(kernel.pending(), 0);
    });
}

#[test]
fn dropping_the_last_handle_terminates_the_kernel() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        let kernel = launch(&runtime).await;
        let clone = kernel.clone();
        let live = kernel.live().clone();
        drop(kernel);
        assert_eq!(clone.state(), KernelState::Active);
        drop(clone);
        eventually("terminated", || live.lifecycle.state() == KernelState::Terminated);
        drop(live);
        eventually("gone", || knobs.kernels.load(SeqCst) == 0);
    });
}

#[test]
fn a_device_that_answers_nonsense_is_not_believed() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        let account = account(&runtime, LaunchOptions::default()).await;
        knobs.lie.store(0x1234, SeqCst);
        let error = account.ask(Deposit { cents: 1 }).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the reply is a `value of an unknown type (tag 0x00001234)`, not a `Balance`"
        );
        // A fault without words, and with a kind that there is not.
        knobs.lie.store(ringkernel_backends::abi::tag::FAULT, SeqCst);
        assert!(matches!(account.ask(Misbehave(0)).await, Err(RingKernelError::MalformedReply { .. })));
        assert!(matches!(
            account.ask(Deposit { cents: 1 << 20 }).await,
            Err(RingKernelError::MalformedReply { .. })
        ));
        // A reply of the right tag and the wrong length.
        knobs.lie.store(<u32 as crate::RingMessage>::TAG, SeqCst);
        let wrong = account.handle().live();
        assert!(
            wrong
                .read_reply::<u32>(
                    0,
                    <u32 as crate::RingMessage>::TAG,
                    &[const { std::sync::atomic::AtomicU32::new(0) }; 4][..]
                )
                .is_err()
        );
        assert_eq!(account.pending(), 0);
    });
}
