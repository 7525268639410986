use super::*;
use crate::testing::{Bare, Deposit, Misbehave};
use crate::{Actor, DeviceError, ImageError, KernelState, RingKernelError, StateImage};
use futures::poll;
use std::pin::pin;

fn accounts(n: u32) -> Vec<Account> {
    (0..n).map(|i| Account { cents: i as i64 * 100, deposits: i }).collect()
}

#[test]
fn states_are_replaced_and_copied_out_launched_active_and_deactivated() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let options = LaunchOptions::default().instances(7).without_auto_activate();
            let account = account(&runtime, options).await;
            for state in [KernelState::Launched, KernelState::Active, KernelState::Deactivated] {
                match state {
                    KernelState::Active => account.activate().await.unwrap(),
                    KernelState::Deactivated => account.deactivate().await.unwrap(),
                    _ => {}
                }
                account.restore_all(accounts(7)).await.unwrap();
                account.restore(3, Account { cents: -1, deposits: 9 }).await.unwrap();
                let mut expected = accounts(7);
                expected[3] = Account { cents: -1, deposits: 9 };
                assert_eq!(account.snapshot_all::<Account>().await.as_ref(), Ok(&expected));
                assert_eq!(account.snapshot::<Account>(3).await.as_ref(), Ok(&expected[3]));
                let image = account.image().await.unwrap();
                assert_eq!(image.state::<Account>(6).as_ref(), Ok(&expected[6]));
                assert_eq!(account.state(), state);
            }
            account.activate().await.unwrap();
            assert_eq!(account.at(3).unwrap().ask(Deposit { cents: 3 }).await.unwrap().cents, 2);
        });
    }
}

#[test]
fn a_kernel_is_launched_from_an_image_by_type_and_by_id_with_what_was_in_it() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().instances(5)).await;
        account.restore_all(accounts(5)).await.unwrap();
        let image = StateImage::from_bytes(&account.image().await.unwrap().to_bytes()).unwrap();
        account.terminate().await.unwrap();
        let again = runtime.launch("account", LaunchOptions::from_image(image.clone())).await.unwrap();
        assert_eq!(again.snapshot_all::<Account>().await, Ok(accounts(5)));
        let typed = super::account(&runtime, LaunchOptions::from_image(image.clone())).await;
        assert_eq!(typed.at(4).unwrap().ask(Deposit { cents: 1 }).await.unwrap().cents, 401);

        let other = runtime.launch("bare", LaunchOptions::from_image(image.clone())).await.unwrap_err();
        assert_eq!(
            other.to_string(),
            "the state image is of kernel `account (Account)`, not of `bare (Bare)`"
        );
        let more = runtime.launch("account", LaunchOptions::from_image(image).instances(6)).await;
        assert!(more.unwrap_err().to_string().contains("6 instances, from an image of 5"));
    });
}

#[test]
fn an_image_of_an_actor_whose_state_had_another_size_is_refused() {
    let descriptor = ringkernel_backends::kernel::KernelDescriptor { state_size: 24, ..*Account::DESCRIPTOR };
    let image = StateImage::new(&descriptor, 2, vec![0; 48]);
    let error = LaunchOptions::from_image(image).check(Account::DESCRIPTOR).err().unwrap();
    assert!(matches!(
        error,
        RingKernelError::Image(ImageError::OtherLayout { found_size: 24, size: 16, .. })
    ));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_replaced() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().instances(3)).await;
        let text = async |states: u32| account.restore_all(accounts(states)).await.unwrap_err().to_string();
        assert_eq!(text(2).await, "kernel `account` has 3 instances, and 2 states were given");
        assert_eq!(text(1).await, "kernel `account` has 3 instances, and 1 state was given");
        assert_eq!(text(4).await, "kernel `account` has 3 instances, and more states were given");
        let endless = std::iter::repeat_with(Account::default);
        assert!(matches!(account.restore_all(endless).await, Err(RingKernelError::StateCount { .. })));
        let none = RingKernelError::NoSuchInstance { id: "account", instance: 3, instances: 3 };
        assert_eq!(account.restore(3, Account::default()).await, Err(none));
        let wrong = RingKernelError::WrongStateType { id: "account", actor: "Account", given: "Bare" };
        assert_eq!(account.restore(0, Bare { unit: 1 }).await, Err(wrong.clone()));
        assert_eq!(account.restore_all([Bare { unit: 1 }]).await, Err(wrong.clone()));
        assert_eq!(account.snapshot_all::<Bare>().await, Err(wrong));
        let untouched = account.snapshot_all::<Account>().await.unwrap();
        assert!(untouched.iter().all(|account| *account == Account::default()));
    });
}

#[test]
fn all_states_are_of_one_point_in_time_while_messages_are_handled() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let options = LaunchOptions::default().instances(2).shards(1).queue_capacity(8);
            let account = account(&runtime, options).await;
            let teller = smol::spawn({
                let pair = [account.at(0).unwrap(), account.at(1).unwrap()];
                async move {
                    for _ in 0..300 {
                        for account in &pair {
                            account.tell(Deposit { cents: 1 }).await.unwrap();
                        }
                    }
                }
            });
            for _ in 0..20 {
                // One sender, one shard: instance 0 is never behind, and at most one message ahead.
                let seen = account.snapshot_all::<Account>().await.unwrap();
                assert!([0, 1].contains(&(seen[0].cents - seen[1].cents)), "{seen:?}");
            }
            teller.await;
            assert_eq!(account.ask(Deposit { cents: 0 }).await.unwrap().cents, 300);
        });
    }
}

#[test]
fn a_terminated_kernel_can_be_read_and_not_written() {
    for polled in [false, true] {
        let (runtime, _) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let account = account(&runtime, LaunchOptions::default().instances(3)).await;
            account.restore_all(accounts(3)).await.unwrap();
            account.terminate().await.unwrap();
            assert_eq!(account.snapshot_all::<Account>().await, Ok(accounts(3)));
            assert_eq!(account.image().await.unwrap().state::<Account>(2), Ok(accounts(3).remove(2)));
            let terminated = RingKernelError::Terminated { id: "account" };
            assert_eq!(account.restore(0, Account::default()).await, Err(terminated.clone()));
            assert_eq!(account.restore_all(accounts(3)).await, Err(terminated));
        });
    }
}

#[test]
fn the_state_of_a_kernel_whose_handler_was_given_up_on_is_not_read() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        knobs.stuck.store(true, SeqCst);
        let account = account(&runtime, LaunchOptions::default()).await;
        let late = account.terminate().await.unwrap_err();
        assert!(matches!(&late, RingKernelError::Device { error: DeviceError::Deadline { .. }, .. }));
        assert_eq!(account.snapshot::<Account>(0).await, Err(late.clone()));
        assert_eq!(account.image().await, Err(late));
    });
}

#[test]
fn a_copy_whose_future_is_dropped_leaves_the_kernel_as_it_was() {
    smol::block_on(async {
        let runtime = cpu().await;
        let account = account(&runtime, LaunchOptions::default().instances(100)).await;
        for _ in 0..50 {
            let mut copy = pin!(account.image());
            drop(poll!(&mut copy));
        }
        assert_eq!(account.ask(Misbehave(0)).await, Ok(()));
        assert_eq!(account.state(), KernelState::Active);
    });
}
