use super::CpuDevice;
use crate::abi::{Correlation, FaultKind, HasTerminated, tag};
use crate::device_tests::*;
use crate::kernel::*;
use crate::mesh::Outbox;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

mod shared {
    use super::*;
    device_suite!(|_: &str| Some(CpuDevice::shared()));
}

mod one_thread {
    use super::*;
    device_suite!(|_: &str| Some(CpuDevice::new(1)));
}

mod four_threads {
    use super::*;
    device_suite!(|_: &str| Some(CpuDevice::new(4)));
}

/// How many of the `Gate` handlers are running, and whether they may return. Tests that use it take the lock.
static RUNNING: AtomicU32 = AtomicU32::new(0);
static OPEN: AtomicU32 = AtomicU32::new(0);
static GATE_TESTS: Mutex<()> = Mutex::new(());

/// `u32` → does not return before the gate opens; `u64` → unwinds, which a native shard must not; `()` → answers too much.
struct Gate;

impl NativeShard for Gate {
    fn handle(&mut self, _: u32, _: u32, tag: u32, _: &[u8], _: &mut [u8], _: &mut dyn Outbox) -> Outcome {
        match tag {
            tag::U32 => {
                RUNNING.fetch_add(1, Ordering::SeqCst);
                while OPEN.load(Ordering::SeqCst) == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
                RUNNING.fetch_sub(1, Ordering::SeqCst);
                Outcome::Reply { tag: tag::UNIT, bytes: 0 }
            }
            tag::U64 => panic!("a native shard that unwinds"),
            _ => Outcome::Reply { tag: tag::U32, bytes: 4000 },
        }
    }
    fn read_state(&self, _: u32, _: &mut [u8]) {}
    fn write_state(&mut self, _: u32, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }
}

const fn handler(name: &'static str, tag: u32, size: u32) -> HandlerInfo {
    let reply = MessageInfo::fixed("()", tag::UNIT, 0);
    HandlerInfo { name, message: MessageInfo::fixed(name, tag, size), reply }
}

static GATE: KernelDescriptor = KernelDescriptor {
    id: "gate",
    actor: "Gate",
    state_size: 0,
    state_align: 1,
    handlers: &[handler("u32", tag::U32, 4), handler("u64", tag::U64, 8), handler("unit", tag::UNIT, 0)],
    native: |_| Ok(Box::new(Gate)),
    ..TALLY
};

#[test]
fn a_handler_that_never_returns_stops_neither_other_kernels_nor_termination() {
    let _one_at_a_time = GATE_TESTS.lock();
    let device = CpuDevice::new(1);
    let gates = [(), (), ()].map(|()| Host::launch(&device, spec_of(&GATE, 1, 4)));
    let mut tally = Host::launch(&device, spec_of(&TALLY, 1, 4));
    for (stuck, gate) in gates.iter().enumerate() {
        gate.ask(0, tag::U32, &[0], 0);
        wait_until("the handler runs", || RUNNING.load(Ordering::SeqCst) == stuck as u32 + 1);
        assert_eq!(tally.round_trip(0, ADD, &[1]).words[1], stuck as u32 + 1);
    }
    let deadline = Duration::from_millis(20);
    let start = Instant::now();
    for _ in 0..2 {
        let late = gates[0].kernel.terminate(deadline);
        assert!(matches!(late, Err(DeviceError::Deadline { .. })), "{late:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(gates[0].kernel.control().has_terminated, HasTerminated::Running);
    OPEN.store(1, Ordering::SeqCst);
    wait_until("it ends by itself", || gates[0].kernel.control().has_terminated == HasTerminated::Done);
    gates[0].terminate();
    wait_until("the others' handlers return", || RUNNING.load(Ordering::SeqCst) == 0);
    assert_eq!(tally.round_trip(0, ADD, &[1]).words[1], 4);
    OPEN.store(0, Ordering::SeqCst);
}

#[test]
fn deactivation_waits_for_the_running_handler() {
    let _one_at_a_time = GATE_TESTS.lock();
    let gate = Host::launch(&CpuDevice::new(2), spec_of(&GATE, 1, 4));
    for id in 0..2 {
        gate.ask(0, tag::U32, &[0], id);
    }
    wait_until("the handler runs", || RUNNING.load(Ordering::SeqCst) == 1);
    thread::scope(|s| {
        let deactivated = s.spawn(|| gate.kernel.set_active(false));
        thread::sleep(Duration::from_millis(20));
        assert!(!deactivated.is_finished());
        OPEN.store(1, Ordering::SeqCst);
        assert_eq!(deactivated.join().unwrap(), Ok(()));
    });
    assert_eq!(gate.kernel.control().messages_processed, 1);
    assert_eq!(RUNNING.load(Ordering::SeqCst), 0);
    gate.kernel.set_active(true).unwrap();
    gate.wait_processed(2);
    OPEN.store(0, Ordering::SeqCst);
}

#[test]
fn a_native_shard_that_breaks_its_promises_faults_and_takes_no_thread_along() {
    let mut host = Host::launch(&CpuDevice::new(1), spec_of(&GATE, 1, 4));
    for tag in [tag::U64, tag::UNIT, tag::U64] {
        let reply = host.round_trip(0, tag, if tag == tag::U64 { &[0, 0] } else { &[] });
        assert_eq!(reply.fault(), Some((FaultKind::Panic, FaultSite::None)));
    }
    assert_eq!(host.kernel.control().errors_encountered, 3);
}

#[test]
fn a_native_shard_that_cannot_be_built_is_a_launch_error() {
    static NONE: KernelDescriptor = KernelDescriptor { native: no_native, ..TALLY };
    assert!(matches!(CpuDevice::new(2).launch(spec_of(&NONE, 1, 4)), Err(DeviceError::Driver { .. })));
}

#[test]
fn the_control_block_describes_the_rings() {
    let host = Host::launch(&CpuDevice::new(2), spec_of(&TALLY, 2, 8));
    for port in host.kernel.ports() {
        assert_eq!((port.requests.capacity(), port.requests.shape().bytes()), (8, 192));
        assert_ne!(port.requests.memory().head_address(), port.replies.memory().head_address());
        assert_eq!(port.requests.memory().slots_address() % 64, 0);
    }
    assert_eq!(host.kernel.ports().len(), 2);
}

#[test]
fn a_doorbell_is_never_missed() {
    // Every message has the kernel to itself, so one that was missed would wait for ever.
    let device = CpuDevice::new(2);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                let mut host = Host::launch(&device, spec_of(&TALLY, 4, 4));
                for i in 0..20_000 {
                    assert_eq!(host.round_trip(i % 4, ADD, &[1]).words[1], i / 4 + 1);
                    if i % 1000 == 0 {
                        // Long enough for the workers to park.
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
}

#[test]
fn progress_is_told_and_may_terminate_the_kernel() {
    struct Terminates(Mutex<Option<Arc<dyn Kernel>>>);
    impl Progress for Terminates {
        fn progress(&self) {
            if let Some(kernel) = self.0.lock().unwrap().take() {
                kernel.terminate(Duration::from_secs(1)).unwrap();
            }
        }
    }
    let progress = Arc::new(Terminates(Mutex::new(None)));
    let spec = LaunchSpec { progress: progress.clone(), ..spec_of(&TALLY, 1, 16) };
    let host = Host::launch(&CpuDevice::new(1), spec);
    *progress.0.lock().unwrap() = Some(host.kernel.clone());
    host.send(0, ADD, &[1], Correlation::NONE);
    wait_until("it is terminated", || host.kernel.control().has_terminated == HasTerminated::Done);
    assert_eq!(host.kernel.control().messages_processed, 1);
}

/// CPU time the process's pool threads have used so far, in clock ticks.
#[cfg(target_os = "linux")]
fn thread_ticks(threads: &[String]) -> u64 {
    let ticks = |path: &String| -> Option<u64> {
        let text = std::fs::read_to_string(format!("{path}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    };
    threads.iter().filter_map(ticks).sum()
}

#[cfg(target_os = "linux")]
fn thread_paths() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| task.unwrap().path().display().to_string()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_pool_uses_no_processor() {
    // In a process of its own, where the only other threads are the test harness's.
    const ALONE: &str = "RINGKERNEL_TEST_IDLE_POOL";
    if std::env::var_os(ALONE).is_none() {
        let me = std::env::current_exe().unwrap();
        let name = "cpu::tests::an_idle_pool_uses_no_processor";
        let child = std::process::Command::new(me).args(["--exact", name]).env(ALONE, "1").output().unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    let mut host =
        Host::launch(&CpuDevice::new(4), LaunchSpec { idle: IdlePolicy::Spin, ..spec_of(&TALLY, 4, 4) });
    host.round_trip(0, ADD, &[1]);
    // Past the watcher's last look.
    thread::sleep(Duration::from_millis(500));
    let threads = thread_paths();
    let before = thread_ticks(&threads);
    thread::sleep(Duration::from_millis(500));
    assert!(thread_ticks(&threads) - before <= 1, "idle threads used the processor");
    assert_eq!(host.round_trip(0, ADD, &[1]).words, [2, 2]);
}
