//! Who is told, and when, that nothing moves. Handlers that really do not return: `tests/hung.rs`.

use super::*;
use crate::testing::Deposit;
use crate::{KernelState, RingKernelError};
use futures::{StreamExt, poll};
use std::pin::pin;

/// Long enough for a busy machine to run the fake device's thread meanwhile.
const AFTER: Duration = Duration::from_millis(150);

fn hung(instance: u32, after: Duration) -> RingKernelError {
    RingKernelError::KernelHung { id: "account", instance, after }
}

fn timeout(may_have_run: bool) -> RingKernelError {
    RingKernelError::Timeout { id: "account", after: AFTER, may_have_run }
}

#[test]
fn an_asker_with_a_deadline_is_told_by_it_that_nothing_moved_and_the_kernel_goes_on() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let account = account(&runtime, LaunchOptions::default().instances(4)).await;
            knobs.turn(&knobs.hang);
            let third = account.at(3).unwrap();
            assert_eq!(third.ask_timeout(Deposit { cents: 1 }, AFTER).await, Err(hung(3, AFTER)));
            account.send_to(3, Deposit { cents: 1 }).await.unwrap();
            assert_eq!(account.receive_timeout::<u32>(AFTER).await, Err(hung(1, AFTER)), "the shard's first");
            assert_eq!(account.state(), KernelState::Active);
            knobs.hang.store(false, SeqCst);
            assert_eq!(third.ask(Deposit { cents: 1 }).await.unwrap().cents, 3);
            assert_eq!(account.receive::<crate::testing::Balance>().await.unwrap().cents, 2);
            assert_eq!(account.pending(), 0);
        });
    }
}

#[test]
fn what_can_be_explained_otherwise_is_a_timeout() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        // A kernel that polls and takes nothing is alive.
        let account = account(&runtime, LaunchOptions::default().queue_capacity(1)).await;
        knobs.turn(&knobs.hold);
        assert_eq!(account.ask_timeout((), AFTER).await, Err(timeout(true)));
        // The next does not even get into the queue.
        knobs.turn(&knobs.hang);
        assert_eq!(account.ask_timeout((), AFTER).await, Err(timeout(false)));
    });
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let account = account(&runtime, LaunchOptions::default()).await;
            // Nothing waits.
            knobs.turn(&knobs.hang);
            assert_eq!(account.receive_timeout::<u32>(AFTER).await, Err(timeout(true)));
            // Too short a time to say.
            let short = Duration::from_millis(2);
            let error = account.ask_timeout((), short).await.unwrap_err();
            assert_eq!(error, RingKernelError::Timeout { id: "account", after: short, may_have_run: true });
            // Not active.
            account.deactivate().await.unwrap();
            assert_eq!(account.ask_timeout((), AFTER).await, Err(timeout(true)));
            assert_eq!(account.receive_timeout::<u32>(AFTER).await, Err(timeout(true)));
        });
    }
}

#[test]
fn without_a_deadline_everybody_is_told_once_nothing_has_moved_for_as_long_as_was_said() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let options = LaunchOptions::default().queue_capacity(2).hung_after(AFTER);
            let account = account(&runtime, options).await;
            let start = Instant::now();
            knobs.turn(&knobs.hang);
            account.send(()).await.unwrap();
            let mut ask = pin!(account.ask(()));
            let mut tell = pin!(account.tell(()));
            let mut receive = pin!(account.receive::<u32>());
            assert!(poll!(&mut ask).is_pending());
            assert!(poll!(&mut tell).is_pending() && poll!(&mut receive).is_pending());
            let mut many = pin!(account.ask_many([(); 5]));
            assert!(poll!(many.next()).is_pending());
            let error = hung(0, AFTER);
            assert_eq!(ask.await, Err(error.clone()));
            assert!(start.elapsed() >= AFTER);
            assert_eq!(tell.await, Err(error.clone()));
            assert_eq!(receive.await, Err(error.clone()));
            assert_eq!(many.next().await, Some(Err(error.clone())));
            assert_eq!(account.ask(()).await, Err(error.clone()));
            assert_eq!(account.try_tell(()).unwrap_err().reason, error);
            assert!(many.all(async |reply| reply == Err(error.clone())).await);
            assert_eq!(account.pending(), 0);
            account.terminate().await.unwrap();
            assert_eq!(account.tell(()).await, Err(error));
        });
    }
}

#[test]
fn a_kernel_that_idles_that_is_deactivated_or_that_is_slow_is_not_taken_for_hung() {
    for polled in [false, true] {
        let (runtime, knobs) = fake::runtime(Knobs { polled, ..Knobs::default() });
        smol::block_on(async {
            let options = LaunchOptions::default().hung_after(AFTER);
            let account = account(&runtime, options).await;
            smol::Timer::after(2 * AFTER).await;
            assert_eq!(account.ask(()).await, Ok(0));
            account.send(()).await.unwrap();
            eventually("answered", || knobs.answered.load(SeqCst) == 2);
            // A reply waits to be received, which is nobody's fault.
            smol::Timer::after(2 * AFTER).await;
            account.deactivate().await.unwrap();
            let mut ask = pin!(account.ask(Deposit { cents: 1 }));
            assert!(poll!(&mut ask).is_pending());
            smol::Timer::after(2 * AFTER).await;
            account.activate().await.unwrap();
            assert_eq!(ask.await.unwrap().cents, 1);
            assert_eq!(account.receive::<u32>().await, Ok(0));
        });
    }
}

#[test]
fn a_kernel_that_may_take_any_time_is_never_taken_for_hung() {
    let (runtime, knobs) = polled();
    smol::block_on(async {
        let account = account(&runtime, LaunchOptions::default().hung_after(Duration::MAX)).await;
        knobs.turn(&knobs.hang);
        let mut ask = pin!(account.ask(Deposit { cents: 1 }));
        assert!(poll!(&mut ask).is_pending());
        smol::Timer::after(2 * AFTER).await;
        assert!(poll!(&mut ask).is_pending());
        knobs.hang.store(false, SeqCst);
        assert_eq!(ask.await.unwrap().cents, 1);
        let never = LaunchOptions::default().hung_after(Duration::ZERO);
        assert!(runtime.launch("account", never).await.is_err());
    });
}
