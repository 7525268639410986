//! What devices are told of who has subscribed to what their kernels publish.

use super::connections::{bare, clerk};
use super::fake::{Hop, Knobs, Subscribed, runtime};
use super::*;
use crate::testing::{Announce, Bare};
use crate::{DeviceError, KernelHandle, RingKernelError};

/// What kernels were told since the last time.
fn told(knobs: &Knobs) -> Vec<Subscribed> {
    std::mem::take(&mut *knobs.subscribers.lock().unwrap())
}

fn at(kernel: &KernelHandle, instance: u32) -> (Option<Hop>, u32) {
    (Some(Hop::Kernel(kernel.number())), instance)
}

#[test]
fn a_kernel_is_told_of_its_subscribers_as_they_come_and_go_and_of_nothing_else() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let topics = runtime.topics();
        let bare = bare(&runtime).await;
        let early = topics.subscribe_actor::<u32, _>(&bare.at(2).unwrap(), "new+/#").await;
        assert!(matches!(early, Err(RingKernelError::Topic(_))));
        let early = topics.subscribe_actor::<u32, _>(&bare.at(2).unwrap(), "+/#").await.unwrap();
        assert_eq!(told(&knobs), []);
        let (one, two) = (clerk(&runtime).await, clerk(&runtime).await);
        let third = vec![at(&bare, 2)];
        assert_eq!(
            told(&knobs),
            [(one.number(), third.clone(), false), (two.number(), third.clone(), false)]
        );
        let stream = topics.subscribe::<u32>("news").await.unwrap();
        assert_eq!(told(&knobs), [(one.number(), third.clone(), true), (two.number(), third.clone(), true)]);
        let another = topics.subscribe::<u32>("news").await.unwrap();
        let elsewhere = topics.subscribe::<u32>("news/of/yesterday").await.unwrap();
        assert_eq!(told(&knobs), []);
        drop((stream, elsewhere));
        drop(another);
        eventually("told", || knobs.subscribers.lock().unwrap().len() == 2);
        assert_eq!(told(&knobs), [(one.number(), third.clone(), false), (two.number(), third, false)]);
        two.terminate().await.unwrap();
        drop(early);
        eventually("told", || knobs.subscribers.lock().unwrap().len() == 1);
        assert_eq!(told(&knobs), [(one.number(), vec![], false)]);
        runtime.shutdown().await.unwrap();
    });
    eventually("nobody keeps a kernel", || knobs.kernels.load(SeqCst) == 0);
}

#[test]
fn a_subscriber_that_ends_is_gone_from_the_devices_before_its_memory_is() {
    for lost in [false, true] {
        let (runtime, knobs) = runtime(Knobs::default());
        smol::block_on(async {
            let topics = runtime.topics();
            let (clerk, bare) = (clerk(&runtime).await, bare(&runtime).await);
            for filter in ["news", "#"] {
                topics.subscribe_actor::<u32, _>(&bare, filter).await.unwrap().detach();
            }
            let both = vec![at(&bare, 0), at(&bare, 0)];
            assert_eq!(told(&knobs).pop(), Some((clerk.number(), both, false)));
            if lost {
                // It is ended by itself, and the others are told by somebody else.
                bare.live().device_is_lost("pulled".into());
                eventually("told", || !knobs.subscribers.lock().unwrap().is_empty());
            } else {
                bare.terminate().await.unwrap();
            }
            assert_eq!(told(&knobs).pop(), Some((clerk.number(), vec![], false)));
            assert_eq!(topics.snapshot().subscriptions, 0);
            runtime.shutdown().await.unwrap();
        });
    }
}

#[test]
fn an_actor_that_a_device_does_not_reach_gets_what_is_published_from_the_host() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let topics = runtime.topics();
        let clerk = clerk(&runtime).await;
        let (here, there) = (bare(&runtime).await, bare(&runtime).await);
        knobs.far.store(there.number().into(), SeqCst);
        let near = topics.subscribe_actor::<u32, _>(&here, "news").await.unwrap();
        assert_eq!(told(&knobs), [(clerk.number(), vec![at(&here, 0)], false)]);
        let far = topics.subscribe_actor::<u32, _>(&there.at(2).unwrap(), "news").await.unwrap();
        // Nothing changes for the one it reaches.
        assert_eq!(told(&knobs), [(clerk.number(), vec![at(&here, 0)], true)]);
        for number in [7, 8] {
            clerk.ask(Announce(number)).await.unwrap();
        }
        eventually("handled", || there.control().messages_processed == 2);
        there.deactivate().await.unwrap();
        assert_eq!(there.snapshot::<Bare>(2).await.unwrap(), Bare { unit: 7 * 31 + 8 });
        // This device gives everything to the host and nothing to subscribers; another would have handed these over.
        assert_eq!(here.control().messages_processed, 0);
        assert_eq!((near.missed(), far.missed()), (0, 0));
        drop(near);
        eventually("told", || !knobs.subscribers.lock().unwrap().is_empty());
        assert_eq!(told(&knobs), [(clerk.number(), vec![], true)]);
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn a_device_that_cannot_tell_of_what_is_published_keeps_nobody_waiting_for_it() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let topics = runtime.topics();
        let one = clerk(&runtime).await;
        let error = DeviceError::NotConnected { reason: "not here" };
        *knobs.deaf.lock().unwrap() = Some(error.clone());
        let refused = topics.subscribe::<u32>("news").await.unwrap_err();
        assert_eq!(refused, RingKernelError::Device { id: "clerk", error });
        assert_eq!(topics.snapshot().subscriptions, 0);
        // What it does not publish can be had.
        let other = topics.subscribe::<u32>("weather").await.unwrap();
        *knobs.deaf.lock().unwrap() = None;
        let news = topics.subscribe::<u32>("news").await.unwrap();
        one.ask(Announce(1)).await.unwrap();
        one.terminate().await.unwrap();
        // And who publishes what somebody waits for is not launched where nobody would hear of it.
        *knobs.deaf.lock().unwrap() = Some(DeviceError::NotConnected { reason: "nor here" });
        let launched =
            crate::runtime::launch::<crate::testing::Clerk>(&runtime, LaunchOptions::default()).await;
        assert!(launched.unwrap_err().to_string().contains("nor here"));
        assert_eq!((news.lagged(), other.lagged()), (0, 0));
        runtime.shutdown().await.unwrap();
    });
    eventually("nobody keeps a kernel", || knobs.kernels.load(SeqCst) == 0);
}
