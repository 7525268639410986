use super::*;
use crate::testing::{Balance, Deposit, Misbehave};
use crate::{FaultKind, RingKernelError};
use futures::future::join_all;

#[test]
fn an_ask_is_answered_with_the_handlers_reply_on_smol_and_on_futures_own_executor() {
    async fn talk() {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default()).await;
        for i in 1..=100 {
            let balance = account.ask(Deposit { cents: 5 }).await.unwrap();
            assert_eq!(balance, Balance { cents: 5 * i as i64, deposits: i });
        }
        assert!(account.ask(false).await.unwrap());
        account.ask(Misbehave(0)).await.unwrap();
        assert_eq!(account.pending(), 0);
        account.terminate().await.unwrap();
        runtime.shutdown().await.unwrap();
    }
    smol::block_on(talk());
    futures::executor::block_on(talk());
}

#[test]
fn a_fault_reaches_its_asker_and_the_actor_goes_on() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().instances(3)).await;
        let fault = account.at(2).unwrap().ask(Misbehave(6)).await.unwrap_err();
        let RingKernelError::HandlerFault(fault) = fault else { panic!("{fault}") };
        assert_eq!((fault.kind, fault.actor, fault.instance), (FaultKind::Panic, "Account", 2));
        assert_eq!(fault.message, "case 6");
        assert!(fault.file.ends_with("testing.rs") && fault.line > 0 && fault.column > 0, "{fault}");
        assert_eq!(account.at(2).unwrap().ask(Deposit { cents: 1 }).await.unwrap().deposits, 2);
        assert_eq!(account.control().errors_encountered, 1);
    });
}

#[test]
fn every_instance_has_its_own_state_and_answers_many_tasks_at_once() {
    smol::block_on(async {
        let runtime = cpu().await;
        let options = LaunchOptions::default()
            .instances(100)
            .queue_capacity(4)
            .initial_state_with(|i| Account { cents: i as i64, deposits: 0 });
        let account = account(&runtime, options).await;
        let tasks = (0..1000u32).map(|task| {
            let account = account.at(task % 100).unwrap();
            smol::spawn(async move {
                for _ in 0..10 {
                    account.tell(Deposit { cents: 100 }).await.unwrap();
                    assert_eq!(account.ask(()).await.unwrap(), account.instance());
                }
            })
        });
        join_all(tasks.collect::<Vec<_>>()).await;
        for i in 0..100 {
            let balance = account.at(i).unwrap().ask(Deposit { cents: 0 }).await.unwrap();
            assert_eq!(balance, Balance { cents: 100 * 100 + i as i64, deposits: 101 });
        }
        assert_eq!(account.pending(), 0);
        assert_eq!(account.telemetry().messages_processed, 20_100);
        assert_eq!(account.control().messages_processed, 20_100);
    });
}

#[test]
fn ask_blocking_needs_no_executor() {
    let runtime = smol::block_on(cpu());
    let account = smol::block_on(account(&runtime, LaunchOptions::default().queue_capacity(2)));
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..500 {
                    account.ask_blocking(Deposit { cents: 1 }).unwrap();
                }
            });
        }
    });
    assert_eq!(account.ask_blocking(Deposit { cents: 0 }).unwrap(), Balance { cents: 2000, deposits: 2001 });
    assert_eq!(account.pending(), 0);
}
