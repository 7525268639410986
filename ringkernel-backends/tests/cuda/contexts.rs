//! A program that uses other CUDA contexts beside ours: whatever is called, its thread's current context is what it was.

use crate::common::*;
use crate::{ACCOUNT, DEPOSIT};
use cudarc::driver::{result, sys};
use ringkernel_backends::abi::Header;
use ringkernel_backends::abi::slot::Correlation;
use ringkernel_backends::cuda::{self, CudaDevice};
use ringkernel_backends::kernel::*;
use ringkernel_backends::mesh::Target;
use std::sync::PoisonError;
use std::time::Duration;

/// The thread's current context.
fn current() -> Option<sys::CUcontext> {
    result::ctx::get_current().unwrap()
}

/// Makes a call, on which this thread's current context is not to depend, nor it on the call.
#[track_caller]
fn keeps<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let before = current();
    let outcome = call();
    assert_eq!(current(), before, "the current context after {what}");
    outcome
}

/// The life of two kernels, with whatever context is current.
fn live(device: &CudaDevice, late: &'static KernelDescriptor) {
    let mode = Mode::EventDriven { idle_after: Duration::from_micros(200) };
    let tuning = Tuning { mode, ..Default::default() };
    keeps("an opening", || CudaDevice::open(0, &[&ACCOUNT]).unwrap());
    let run = keeps("a launch", || Running::launch(device, &ACCOUNT, 3, 64, true));
    let mut leaving =
        keeps("a launch of what leaves", || Running::tuned(device, &ACCOUNT, 1, 64, true, tuning));
    let other = keeps("a launch that loads a module", || Running::launch(device, late, 1, 64, true));

    for index in 0..3 {
        while leaving.kernel.control().has_terminated != ringkernel_backends::abi::HasTerminated::Relaunchable
        {
            std::thread::yield_now();
        }
        leaving.push(DEPOSIT.tag, 0, index, &1i64.to_le_bytes());
        keeps("the doorbell of one that has left", || leaving.kernel.doorbell(0));
        leaving.pop(0);
    }
    keeps("a doorbell", || run.kernel.doorbell(0));
    // It asks the driver once in ten milliseconds.
    std::thread::sleep(Duration::from_millis(15));
    assert_eq!(keeps("failure", || run.kernel.failure()), None);

    let header = Header {
        tag: DEPOSIT.tag,
        instance: 0,
        correlation: Correlation { index: u32::MAX, generation: 0 },
        words: 2,
        hlc: 0,
    };
    keeps("set_peer", || run.kernel.set_peer(7, Target::Kernel(&other.kernel)).unwrap());
    assert!(keeps("connect", || run.kernel.connect(0, Target::Kernel(&other.kernel))).is_err());
    assert!(keeps("set_subscribers", || run.kernel.set_subscribers(0, &[], false)).is_err());
    keeps("missed", || run.kernel.missed(0));
    assert!(keeps("relay", || other.kernel.relay(header, &1i64.to_le_bytes())).is_ok());
    keeps("mailbox", || other.kernel.mailbox());
    keeps("unanswered", || other.kernel.unanswered());
    keeps("telemetry", || (run.kernel.control(), run.kernel.telemetry(), run.kernel.heartbeat(0)));

    keeps("a deactivation", || run.kernel.set_active(false).unwrap());
    let mut states = [0; 48];
    keeps("read_states", || run.kernel.read_states(0, 3, &mut states).unwrap());
    keeps("write_states", || run.kernel.write_states(0, 3, &states).unwrap());
    keeps("an activation", || run.kernel.set_active(true).unwrap());
    keeps("a quiesce", || cuda::quiesce(0, 2).unwrap());

    for (name, baseline) in [
        ("launches", (|| cuda::launch_and_synchronize(0, 3)) as fn() -> Result<_, _>),
        ("launches of a graph", || cuda::graph_launch_and_synchronize(0, 3)),
        ("launches with copies", || cuda::launch_with_copies(0, 3)),
        ("four launches", || cuda::four_launches(0, 100, 3)),
        ("a ping-pong", || cuda::ping_pong(0, 3)),
    ] {
        keeps(name, || baseline().unwrap());
    }

    keeps("terminate", || run.kernel.terminate(Duration::from_secs(5)).unwrap());
    keeps("unanswered of what has ended", || run.kernel.unanswered());
    keeps("the drop of what has ended", || drop(run));
    keeps("the drop of what has left", || drop(leaving));
    keeps("the drop of what is resident", || drop(other));
}

#[test]
fn whatever_is_called_the_current_context_of_its_thread_is_what_it_was() {
    static LATE: [KernelDescriptor; 2] =
        [KernelDescriptor { id: "late_one", ..ACCOUNT }, KernelDescriptor { id: "late_two", ..ACCOUNT }];
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("whatever_is_called…", &[&ACCOUNT]) else { return };
    // None at all: on a thread that has never had one.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(current(), None);
            live(&device, &LATE[0]);
        });
    });
    // Another device's, where there is one.
    if result::device::get_count().unwrap() < 2 {
        println!("skipped: whatever_is_called…, with the context of another device: there is none");
        return;
    }
    let there = result::device::get(1).unwrap();
    // SAFETY: the device is the driver's, and its primary context is never released.
    let there = unsafe {
        let there = result::primary_ctx::retain(there).unwrap();
        result::ctx::set_current(there).unwrap();
        there
    };
    assert_eq!(current(), Some(there));
    live(&device, &LATE[1]);
    keeps("the opening of a device", || CudaDevice::open(1, &[&ACCOUNT]).unwrap());
}
