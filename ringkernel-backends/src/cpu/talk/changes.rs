use super::node::*;
use crate::abi::{Correlation, HasTerminated, Origin};
use crate::cpu::CpuDevice;
use crate::device_tests::*;
use crate::kernel::*;
use crate::mesh::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn routes_may_change_while_messages_flow() {
    let device = CpuDevice::new(2);
    let mut a = node(&device, 0, Plan::default());
    let receivers = [1, 2].map(|number| node(&device, number, Plan { mailbox: 4096, ..Plan::default() }));
    let stop = AtomicBool::new(false);
    let kernel = a.kernel.clone();
    let mut sent = 0;
    thread::scope(|s| {
        s.spawn(|| {
            for k in (0..3).cycle() {
                let target = receivers.get(k).map_or(Target::Nobody, |to| Target::Kernel(&to.kernel));
                kernel.connect(0, target).unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..3000 {
            // The order ends at the first that leads nowhere, and the next goes on from there.
            let (code, count) = order(&mut a, SEND, 0, 20, sent);
            assert!(code == OK || code == GONE || code == FULL);
            sent += count;
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(sent > 0);
    let received = || receivers.iter().map(|node| notes(&node.kernel, 0).received).sum::<u32>();
    wait_until("all that was sent has arrived somewhere", || received() == sent);
    assert!(receivers.iter().all(|node| notes(&node.kernel, 0).misordered == 0));
}

#[test]
fn a_send_that_begins_after_the_route_was_cut_is_gone() {
    let device = CpuDevice::new(2);
    let mut a = node(&device, 0, Plan::default());
    let b = node(&device, 1, Plan { mailbox: 512, ..Plan::default() });
    for round in 0..500 {
        connect(&a, &b);
        assert_eq!(order(&mut a, SEND, 0, 1, round), (OK, 1));
        a.kernel.connect(0, Target::Nobody).unwrap();
        assert_eq!(order(&mut a, SEND, 0, 1, 0), (GONE, 0));
    }
    assert_eq!(wait_noted(&b, 0, 500).gaps, 0);
}

#[test]
fn a_receiver_that_ends_is_gone_and_nobody_hangs() {
    for overflow in
        [Overflow::Reject, Overflow::Block { at_most: Duration::from_secs(60) }, Overflow::DropOldest]
    {
        let device = CpuDevice::new(2);
        let mut senders = [0, 1].map(|number| node(&device, number, Plan::default()));
        let b = node(&device, 2, Plan { mailbox: 8, overflow, ..Plan::default() });
        senders.iter().for_each(|a| connect(a, &b));
        thread::scope(|s| {
            let threads: Vec<_> = senders
                .iter_mut()
                .map(|a| {
                    s.spawn(|| {
                        // Until it is gone.
                        for round in 0.. {
                            match order(a, SEND, 0, 20, 20 * round).0 {
                                GONE => return,
                                code => assert!(code == OK || code == FULL),
                            }
                        }
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(20));
            b.terminate();
            threads.into_iter().for_each(|sender| sender.join().unwrap());
        });
        assert_eq!(b.kernel.control().has_terminated, HasTerminated::Done);
        for a in &mut senders {
            assert_eq!(order(a, SEND, 0, 1, 0), (GONE, 0));
        }
    }
}

#[test]
fn a_kernel_that_has_ended_says_who_still_waits_for_answers() {
    for overflow in [Overflow::Reject, Overflow::DropOldest] {
        let device = CpuDevice::new(2);
        let a = node(&device, 0, Plan::default());
        let b = node(&device, 1, Plan { mailbox: 4, overflow, ..Plan::default() });
        connect(&a, &b);
        b.kernel.set_active(false).unwrap();
        a.send(0, DO, &[SEND, 0, 1, 0], Correlation::NONE);
        for id in 0..3 {
            a.ask(0, DO, &[FORWARD, 0, 1, id], id);
        }
        a.wait_processed(4);
        assert_eq!(b.kernel.mailbox().waiting, 4);
        assert!(b.kernel.unanswered().is_empty(), "it may still answer");
        b.terminate();
        let waiting = b.kernel.unanswered();
        let expected = (0..3).map(|index| Correlation::from(Origin::Forwarded { kernel: 0, index }));
        assert_eq!(waiting, expected.collect::<Vec<_>>());
        // Once.
        assert!(b.kernel.unanswered().is_empty());
        assert_eq!(b.kernel.mailbox().waiting, 0);
    }
}

#[test]
fn what_a_device_cannot_connect_it_refuses() {
    let device = CpuDevice::new(1);
    let (a, b) = (node(&device, 0, Plan::default()), node(&device, 1, Plan::default()));
    let wrong = a.kernel.connect(2, Target::Kernel(&b.kernel));
    assert!(matches!(wrong, Err(DeviceError::NotConnected { .. })), "{wrong:?}");
    let stranger: Arc<dyn Kernel> = Arc::new(Elsewhere);
    for refused in [
        a.kernel.connect(0, Target::Kernel(&stranger)),
        a.kernel.set_peer(1, Target::Kernel(&stranger)),
        a.kernel.set_subscribers(0, &[Subscriber { kernel: stranger.clone(), instance: 0 }], false),
        a.kernel.set_subscribers(1, &[], true),
    ] {
        assert!(matches!(refused, Err(DeviceError::NotConnected { .. })), "{refused:?}");
    }
    a.terminate();
    assert_eq!(a.kernel.connect(0, Target::Kernel(&b.kernel)), Err(DeviceError::Terminated));
    assert_eq!(a.kernel.connect(0, Target::Nobody), Ok(()));
    for mesh in [
        MeshSpec { mailbox: 3, ..MeshSpec::default() },
        MeshSpec { number: MOST_KERNELS as u16, ..MeshSpec::default() },
    ] {
        let launched = device.launch(LaunchSpec { mesh, ..spec_of(&NODE, 1, 4) });
        assert!(matches!(launched, Err(DeviceError::Capacity { .. })));
    }
}

/// A kernel of another device.
struct Elsewhere;

impl Kernel for Elsewhere {
    fn ports(&self) -> &[Port] {
        &[]
    }
    fn doorbell(&self, _: usize) {}
    fn must_be_polled(&self) -> bool {
        false
    }
    fn set_active(&self, _: bool) -> Result<(), DeviceError> {
        Ok(())
    }
    fn control(&self) -> crate::abi::ControlSnapshot {
        Default::default()
    }
    fn telemetry(&self) -> crate::abi::TelemetrySnapshot {
        Default::default()
    }
    fn terminate(&self, _: Duration) -> Result<(), DeviceError> {
        Ok(())
    }
    fn read_states(&self, _: u32, _: u32, _: &mut [u8]) -> Result<(), DeviceError> {
        Ok(())
    }
    fn write_states(&self, _: u32, _: u32, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
    fn failure(&self) -> Option<DeviceError> {
        None
    }
}

/// Counts the shards that are not dropped yet.
static ALIVE: AtomicU32 = AtomicU32::new(0);

struct Counted;

impl NativeShard for Counted {
    fn handle(
        &mut self,
        _: u32,
        instance: u32,
        _: u32,
        _: &[u8],
        _: &mut [u8],
        outbox: &mut dyn Outbox,
    ) -> Outcome {
        let _ = outbox.send(key_of("next"), instance, crate::abi::tag::UNIT, &[]);
        Outcome::Reply { tag: crate::abi::tag::UNIT, bytes: 0 }
    }
    fn read_state(&self, _: u32, _: &mut [u8]) {}
    fn write_state(&mut self, _: u32, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

static COUNTED: KernelDescriptor = KernelDescriptor {
    id: "counted",
    native: |_| {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Counted))
    },
    ..NODE_OF_UNITS
};

static NODE_OF_UNITS: KernelDescriptor = KernelDescriptor {
    handlers: &[HandlerInfo {
        name: "go",
        message: MessageInfo::fixed("()", crate::abi::tag::UNIT, 0),
        reply: MessageInfo::fixed("()", crate::abi::tag::UNIT, 0),
    }],
    mesh: Mesh { routes: &[RouteInfo { id: "next" }], ..Mesh::NONE },
    ..TALLY
};

#[test]
fn kernels_that_name_each_other_are_freed_when_they_are_dropped() {
    let device = CpuDevice::new(2);
    for _ in 0..20 {
        let nodes: Vec<Host> = (0..3)
            .map(|number| {
                let mesh = MeshSpec { number, ..MeshSpec::default() };
                Host::launch(&device, LaunchSpec { mesh, ..spec_of(&COUNTED, 4, 16) })
            })
            .collect();
        for (k, from) in nodes.iter().enumerate() {
            from.kernel.connect(0, Target::Kernel(&nodes[(k + 1) % 3].kernel)).unwrap();
            from.kernel.set_peer(k as u16, Target::Kernel(&from.kernel)).unwrap();
        }
        // Two messages that go round for as long as there is a ring.
        for instance in 0..2 {
            nodes[0].send(instance, crate::abi::tag::UNIT, &[], Correlation::NONE);
        }
        nodes[2].wait_processed(10);
        drop(nodes);
    }
    wait_until("all are freed", || ALIVE.load(Ordering::SeqCst) == 0);
}
