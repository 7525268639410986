//! What is resident, and who waits for whom: nobody waits for another kernel's handler who needs nothing of that kernel.

use crate::common::*;
use crate::{ACCOUNT, DEPOSIT};
use ringkernel_backends::abi::HasTerminated;
use ringkernel_backends::cuda::{self, CudaDevice};
use ringkernel_backends::kernel::*;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

/// Waits for as many nanoseconds as its message says.
static SLOW: KernelDescriptor =
    KernelDescriptor { id: "slow", actor: "Slow", ptx: include_str!("slow.ptx"), ..ACCOUNT };

/// How long a handler takes that others are not to wait for.
const LONG: Duration = Duration::from_millis(1500);
/// How long anything may take that does not wait for it, on a machine that is busy.
const SOON: Duration = Duration::from_millis(700);

/// A kernel with such a handler in progress.
fn busy(device: &CudaDevice) -> Running {
    let run = Running::launch(device, &SLOW, 1, 64, true);
    run.push(DEPOSIT.tag, 0, 1, &(LONG.as_nanos() as u64).to_le_bytes());
    // It is taken in microseconds.
    thread::sleep(Duration::from_millis(50));
    assert_eq!(run.kernel.control().messages_processed, 0);
    run
}

#[test]
fn a_launch_does_not_wait_for_another_kernel_that_is_being_ended_or_suspended() {
    let _alone = GPU.write().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_launch_does_not_wait…", &[&ACCOUNT, &SLOW]) else { return };
    type Call = fn(&dyn Kernel) -> Result<(), DeviceError>;
    let calls: [Call; 2] =
        [|kernel| kernel.terminate(Duration::from_secs(5)), |kernel| kernel.set_active(false)];
    for call in calls {
        let slow = busy(&device);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| call(&*slow.kernel).unwrap());
            thread::sleep(Duration::from_millis(50));
            let begin = Instant::now();
            let mut run = Running::launch(&device, &ACCOUNT, 1, 64, true);
            run.push(DEPOSIT.tag, 0, 1, &7i64.to_le_bytes());
            assert_eq!(as_i64(&run.pop(0).1), 7);
            let took = begin.elapsed();
            assert!(took < SOON && !waiting.is_finished(), "{took:?}");
            run.end();
        });
    }
}

#[test]
fn a_doorbell_does_not_wait_for_a_quiesce_and_its_message_is_handled_behind_it() {
    let _alone = GPU.write().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_doorbell_does_not_wait…", &[&ACCOUNT, &SLOW]) else { return };
    // It would leave by itself after a minute.
    let mode = Mode::EventDriven { idle_after: Duration::from_secs(60) };
    let mut run = Running::tuned(&device, &ACCOUNT, 1, 64, true, Tuning { mode, ..Default::default() });
    let slow = busy(&device);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| cuda::quiesce(0, 1).unwrap());
        while run.kernel.control().has_terminated != HasTerminated::Relaunchable {
            thread::yield_now();
        }
        let begin = Instant::now();
        run.push(DEPOSIT.tag, 0, 1, &7i64.to_le_bytes());
        run.kernel.doorbell(0);
        let took = begin.elapsed();
        assert!(took < SOON && !waiting.is_finished(), "{took:?}");
        assert_eq!(as_i64(&run.pop(0).1), 7);
    });
    run.end();
    slow.end();
}

#[test]
fn what_is_sent_to_a_kernel_that_leaves_and_is_quiesced_all_the_time_is_handled() {
    let _alone = GPU.write().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("what_is_sent_to…", &[&ACCOUNT]) else { return };
    let mode = Mode::EventDriven { idle_after: Duration::from_micros(100) };
    let mut run = Running::tuned(&device, &ACCOUNT, 1, 64, true, Tuning { mode, ..Default::default() });
    let kernel = run.kernel.clone();
    thread::scope(|scope| {
        let quiesces = scope.spawn(|| cuda::quiesce(0, 100).unwrap());
        let mut sent = 0;
        while !quiesces.is_finished() {
            sent += 1;
            run.push(DEPOSIT.tag, 0, sent, &1i64.to_le_bytes());
            kernel.doorbell(0);
            assert_eq!(as_i64(&run.pop(0).1), i64::from(sent));
        }
    });
    run.end();
}
