use super::fake::{Hop, Told, runtime};
use super::*;
use crate::testing::{Bare, Clerk, Errand};
use crate::{Connection, DeviceError, KernelHandle, Overflow, RingKernelError, Via};

pub(super) async fn bare(runtime: &RingKernel) -> ActorRef<Bare> {
    let options = LaunchOptions::default().instances(4).initial_state(Bare { unit: 0 });
    crate::runtime::launch(runtime, options).await.expect("launched")
}

pub(super) async fn clerk(runtime: &RingKernel) -> ActorRef<Clerk> {
    crate::runtime::launch(runtime, LaunchOptions::default()).await.expect("launched")
}

/// Where what it sends to a `Bare` goes.
fn leads_to(clerk: &KernelHandle) -> Option<(u16, Via)> {
    let connections = clerk.connections();
    assert_eq!(connections.iter().map(|connection| connection.id).collect::<Vec<_>>(), ["bare", "clerk"]);
    connections[0].to
}

const ERRAND: Errand = Errand { instance: 3, value: 7 };
const OK: u32 = 0;
const GONE: u32 = 2;

#[test]
fn whoever_comes_later_is_connected_to_those_that_are_there_and_they_to_him() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let clerk = clerk(&runtime).await;
        assert_eq!(leads_to(&clerk), None);
        assert_eq!(clerk.connections()[1].to, Some((clerk.number(), Via::Device)), "itself included");
        assert_eq!(clerk.ask(ERRAND).await, Ok(GONE));
        let bare = bare(&runtime).await;
        assert_eq!(leads_to(&clerk), Some((bare.number(), Via::Device)));
        assert_eq!(clerk.ask(ERRAND).await, Ok(OK));
        eventually("handled", || bare.control().messages_processed == 1);
        // The other way round.
        let late = crate::runtime::launch::<Clerk>(&runtime, LaunchOptions::default()).await.unwrap();
        assert_eq!(leads_to(&late), Some((bare.number(), Via::Device)));
        assert_eq!(late.connections()[1].to, Some((late.number(), Via::Device)));
        assert_eq!(clerk.connections()[1].to, Some((clerk.number(), Via::Device)), "led somewhere already");
        let told = knobs.told.lock().unwrap().clone();
        let route = |from: &KernelHandle, to: &KernelHandle, route| {
            (from.number(), Told::Route(route, Some(Hop::Kernel(to.number()))))
        };
        let peer = (clerk.number(), Told::Peer(clerk.number(), Some(Hop::Kernel(clerk.number()))));
        assert_eq!(told[..3], [peer, route(&clerk, &clerk, 1), route(&clerk, &bare, 0)]);
        runtime.shutdown().await.unwrap();
    });
    eventually("nobody keeps a kernel", || knobs.kernels.load(SeqCst) == 0);
}

#[test]
fn a_kernel_that_ends_is_gone_to_those_who_sent_to_it_and_one_that_is_launched_again_is_not() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let (clerk, first) = (clerk(&runtime).await, bare(&runtime).await);
        first.terminate().await.unwrap();
        assert_eq!(leads_to(&clerk), None);
        assert_eq!(clerk.ask(ERRAND).await, Ok(GONE));
        let second = bare(&runtime).await;
        assert_ne!(first.number(), second.number());
        assert_eq!(leads_to(&clerk), Some((second.number(), Via::Device)));
        assert_eq!(clerk.ask(ERRAND).await, Ok(OK));
        eventually("handled", || second.control().messages_processed == 1);
        drop(second);
        eventually("the last handle's end is noticed", || leads_to(&clerk).is_none());
        drop((clerk, first));
    });
    drop(runtime);
    eventually("all have gone", || knobs.kernels.load(SeqCst) == 0);
}

#[test]
fn kernels_that_end_at_once_or_with_their_runtime_do_not_wait_for_each_other() {
    for shut_down in [false, true] {
        let (runtime, knobs) = runtime(Knobs::default());
        smol::block_on(async {
            let (clerk, bare, other) = (clerk(&runtime).await, bare(&runtime).await, clerk(&runtime).await);
            runtime.connect(&other, &clerk).await.unwrap();
            runtime.connect(&clerk, &other).await.unwrap();
            if shut_down {
                runtime.shutdown().await.unwrap();
            } else {
                let (one, two, three) =
                    futures::join!(clerk.terminate(), bare.terminate(), other.terminate());
                [one, two, three].into_iter().for_each(|ended| ended.unwrap());
            }
        });
        eventually("all have gone", || knobs.kernels.load(SeqCst) == 0);
    }
}

#[test]
fn connections_are_made_and_ended_by_hand() {
    let (runtime, _) = runtime(Knobs::default());
    smol::block_on(async {
        let (clerk, one, two) = (clerk(&runtime).await, bare(&runtime).await, bare(&runtime).await);
        assert_eq!(leads_to(&clerk), Some((one.number(), Via::Device)), "the oldest");
        assert_eq!(
            runtime.disconnect(&clerk, &two).await,
            Err(RingKernelError::NotConnected { from: "clerk", to: "bare" })
        );
        runtime.connect(&clerk, &two).await.unwrap();
        assert_eq!(leads_to(&clerk), Some((two.number(), Via::Device)));
        assert_eq!(clerk.ask(ERRAND).await, Ok(OK));
        eventually("handled", || two.control().messages_processed == 1);
        runtime.disconnect(&clerk, &two).await.unwrap();
        assert_eq!(clerk.ask(ERRAND).await, Ok(GONE));
        assert_eq!(
            runtime.connect(&one, &clerk).await,
            Err(RingKernelError::NoRoute { from: "bare", to: "clerk", routes: vec![] })
        );
        two.terminate().await.unwrap();
        assert_eq!(runtime.connect(&clerk, &two).await, Err(RingKernelError::Terminated { id: "bare" }));
        assert_eq!(one.connections(), Vec::<Connection>::new());
    });
}

#[test]
fn where_devices_do_not_reach_each_other_messages_go_by_the_host() {
    let (runtime, knobs) = runtime(Knobs::default());
    let (elsewhere, _) = fake::runtime(Knobs::default());
    smol::block_on(async {
        let (clerk, far) = (clerk(&runtime).await, bare(&elsewhere).await);
        assert_eq!(leads_to(&clerk), None, "another runtime's kernels are connected by hand");
        runtime.connect(&clerk, &far).await.unwrap();
        assert_eq!(leads_to(&clerk), Some((far.number(), Via::Host)));
        far.terminate().await.unwrap();
        assert_eq!(leads_to(&clerk), None);
        knobs.apart.store(true, SeqCst);
        let near = bare(&runtime).await;
        assert_eq!(leads_to(&clerk), Some((near.number(), Via::Host)));
    });
}

#[test]
fn a_kernel_that_hangs_is_gone_to_others_and_is_not_asked_to_forget_them() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let clerk = clerk(&runtime).await;
        let options = LaunchOptions::default().initial_state(Bare { unit: 0 });
        let hangs: ActorRef<Bare> =
            crate::runtime::launch(&runtime, options.hung_after(Duration::from_millis(60))).await.unwrap();
        assert!(leads_to(&clerk).is_some());
        knobs.turn(&knobs.hang);
        assert!(matches!(hangs.ask(1u32).await, Err(RingKernelError::KernelHung { .. })));
        eventually("others are told", || leads_to(&clerk).is_none());
        knobs.hang.store(false, SeqCst);
    });
}

#[test]
fn what_a_device_says_against_a_connection_comes_out() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let (clerk, bare_one) = (clerk(&runtime).await, bare(&runtime).await);
        let full = DeviceError::OutOfMemory { bytes: 64, what: "a mailbox".into() };
        *knobs.deaf.lock().unwrap() = Some(full.clone());
        let error = runtime.connect(&clerk, &bare_one).await.unwrap_err();
        assert_eq!(error, RingKernelError::CannotConnect { from: "clerk", to: "bare", error: full.clone() });
        let launch = crate::runtime::launch::<Clerk>(&runtime, LaunchOptions::default()).await;
        assert_eq!(launch.unwrap_err(), RingKernelError::Device { id: "clerk", error: full });
        // Those that cannot be connected at all are launched all the same.
        *knobs.deaf.lock().unwrap() = Some(DeviceError::NotConnected { reason: "there is no way" });
        let alone = other_clerk(&runtime).await;
        assert_eq!(leads_to(&alone), None);
        assert!(matches!(
            runtime.connect(&alone, &bare_one).await,
            Err(RingKernelError::CannotConnect { .. })
        ));
        *knobs.deaf.lock().unwrap() = None;
    });
}

async fn other_clerk(runtime: &RingKernel) -> ActorRef<Clerk> {
    clerk(runtime).await
}

#[test]
fn options_about_mailboxes_reach_the_device() {
    let (runtime, knobs) = runtime(Knobs::default());
    smol::block_on(async {
        let options = LaunchOptions::default().mailbox(16).overflow(Overflow::DropOldest);
        let clerk: ActorRef<Clerk> = crate::runtime::launch(&runtime, options).await.unwrap();
        let spec = knobs.mesh.lock().unwrap().unwrap();
        assert_eq!((spec.mailbox, spec.overflow, spec.number), (16, Overflow::DropOldest, clerk.number()));
        assert_eq!(clerk.mailbox(), Default::default());
    });
}
