//! The CUDA device by itself, with hand-written actors: rings, order, faults, pauses, ends. Skipped by name where there is no
//! NVIDIA GPU, failed instead if RINGKERNEL_REQUIRE names `cuda`.
#![cfg(feature = "cuda")]

#[path = "cuda/mod.rs"]
mod common;
#[path = "cuda/contexts.rs"]
mod contexts;
#[path = "cuda/exit.rs"]
mod exit;
#[path = "cuda/residence.rs"]
mod residence;

use common::*;
use ringkernel_backends::abi::slot::Correlation;
use ringkernel_backends::abi::{FaultKind, HasTerminated, Header, tag};

use ringkernel_backends::kernel::*;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

const DEPOSIT: MessageInfo = MessageInfo::fixed("Deposit", 1000, 8);
const BALANCE: MessageInfo = MessageInfo::fixed("Balance", 1001, 16);
const BLOB: MessageInfo = MessageInfo::fixed("Blob", 2000, 200);
const BLOB_OUT: MessageInfo = MessageInfo::fixed("BlobOut", 2001, 200);

static ACCOUNT: KernelDescriptor = KernelDescriptor {
    id: "account",
    actor: "Account",
    group: Group::Thread,
    state_size: 16,
    state_align: 8,
    handlers: &[HandlerInfo { name: "deposit", message: DEPOSIT, reply: BALANCE }],
    sites: &[],
    ptx: include_str!("cuda/account.ptx"),
    wgsl: "",
    wgsl_needs: Needs { int64: false, float64: false },
    native_only: None,
    native: no_native,
    default_state: None,
    mesh: ringkernel_backends::mesh::Mesh::NONE,
};
static BLOBS: KernelDescriptor = KernelDescriptor {
    id: "blobs",
    actor: "Blobs",
    group: Group::Thread,
    state_size: 0,
    state_align: 1,
    handlers: &[HandlerInfo { name: "blob", message: BLOB, reply: BLOB_OUT }],
    sites: &[],
    ptx: include_str!("cuda/blob.ptx"),
    wgsl: "",
    wgsl_needs: Needs { int64: false, float64: false },
    native_only: None,
    native: no_native,
    default_state: None,
    mesh: ringkernel_backends::mesh::Mesh::NONE,
};

#[test]
fn a_resident_kernel_answers_one_by_one_and_its_counters_agree() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_resident_kernel_answers…", &[&ACCOUNT]) else { return };
    let mut run = Running::launch(&device, &ACCOUNT, 1, 64, true);
    let (mut cents, count) = (0, 20_000u32);
    let mut times = Vec::new();
    for i in 0..count {
        let begin = Instant::now();
        run.push(1000, 0, i, &(i as i64 * 3 + 7).to_le_bytes());
        let (header, words) = run.pop(0);
        times.push(begin.elapsed());
        cents += i as i64 * 3 + 7;
        assert_eq!((header.tag, header.correlation.index, header.correlation.generation), (1001, i, 3));
        assert_eq!((as_i64(&words), words[2]), (cents, i + 1));
    }
    run.settled(count as u64);
    times.sort_unstable();
    println!(
        "round trip p50 {:?} p99 {:?} on {}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        device.name()
    );
    println!("{:?}", run.kernel.telemetry());
    assert_eq!(run.kernel.telemetry().messages_processed, count as u64);
    run.end();
}

#[test]
fn batches_keep_the_order_of_each_instance_and_faults_do_not_stop_it() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("batches_keep_the_order…", &[&ACCOUNT]) else { return };
    for (instances, capacity) in [(1, 2), (1, 1024), (3, 256), (100, 1024), (5000, 4096)] {
        let mut run = Running::launch(&device, &ACCOUNT, instances, capacity, true);
        let shards = run.kernel.ports().len();
        let mut model = vec![(0i64, 0u32); instances as usize];
        for (i, m) in model.iter_mut().enumerate() {
            m.0 = i as i64 * 1_000_000;
        }
        let (mut faults, mut sent) = (0, 0u64);
        for round in 0..200u32 {
            let mut expected = vec![std::collections::VecDeque::new(); shards];
            for k in 0..capacity.min(100) {
                let instance = (round * 7919 + k * k * 31) % instances;
                let cents = if (round + k) % 17 == 0 { -1 } else { (k * round) as i64 };
                run.push(1000, instance, k, &cents.to_le_bytes());
                sent += 1;
                let m = &mut model[instance as usize];
                m.1 += 1;
                faults += u64::from(cents == -1);
                if cents != -1 {
                    m.0 += cents;
                }
                expected[instance as usize % shards].push_back((k, (cents != -1).then_some(*m)));
            }
            for (shard, expected) in expected.into_iter().enumerate() {
                for (k, answer) in expected {
                    let (header, words) = run.pop(shard);
                    assert_eq!(header.correlation.index, k);
                    match answer {
                        Some((cents, count)) => {
                            assert_eq!((header.tag, as_i64(&words), words[2]), (1001, cents, count));
                        }
                        None => assert_eq!((header.tag, &words[..]), (tag::FAULT, &[6, 77][..])),
                    }
                }
            }
        }
        run.settled(sent);
        run.faulted(faults);
        assert_eq!(run.kernel.telemetry().error_code, FaultKind::Panic as i32);
        run.kernel.set_active(false).unwrap();
        let mut state = [0; 16];
        for (i, (cents, count)) in model.iter().enumerate() {
            run.kernel.read_state(i as u32, &mut state).unwrap();
            assert_eq!(i64::from_le_bytes(state[..8].try_into().unwrap()), *cents, "instance {i}");
            assert_eq!(u32::from_le_bytes(state[8..12].try_into().unwrap()), *count);
        }
        assert!(run.kernel.read_state(instances, &mut state).is_err());
        run.end();
    }
}

#[test]
fn larger_messages_travel_whole_in_ones_and_in_batches() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("larger_messages…", &[&ACCOUNT, &BLOBS]) else { return };
    let mut run = Running::launch(&device, &BLOBS, 2, 128, true);
    for round in 0..300u32 {
        let batch = 1 + round % 60;
        for k in 0..batch {
            let bytes: Vec<u8> = (0..50u32).flat_map(|w| (w * 1000 + k + round).to_le_bytes()).collect();
            run.push(2000, 0, k, &bytes);
        }
        for k in 0..batch {
            let (header, words) = run.pop(0);
            assert_eq!((header.tag, header.correlation.index, header.words), (2001, k, 50));
            assert!(words.iter().enumerate().all(|(w, got)| *got == w as u32 * 1000 + k + round + 1));
        }
    }
    run.end();
}

#[test]
fn bad_slots_are_answered_with_faults_and_tells_with_nothing() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("bad_slots…", &[&ACCOUNT]) else { return };
    let mut run = Running::launch(&device, &ACCOUNT, 6, 64, true);
    let fault = |run: &mut Running, shard: usize, kind: FaultKind| {
        let (header, words) = run.pop(shard);
        assert_eq!((header.tag, &words[..]), (tag::FAULT, &[kind as u32, u32::MAX][..]));
    };
    run.push(999, 0, 1, &[0; 8]);
    fault(&mut run, 0, FaultKind::UnknownMessage);
    run.push(1000, 0, 1, &[0; 12]);
    fault(&mut run, 0, FaultKind::Malformed);
    run.push(1000, 8, 1, &[0; 8]);
    fault(&mut run, 0, FaultKind::UnknownInstance);
    for _ in 0..100 {
        run.push(1000, 0, u32::MAX, &5i64.to_le_bytes());
    }
    run.push(1000, 0, 1, &0i64.to_le_bytes());
    let (_, words) = run.pop(0);
    assert_eq!((as_i64(&words), words[2]), (500, 101));
    run.end();
}

#[test]
fn two_kernel_types_are_resident_at_once_and_a_third_module_loads_beside_them() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("two_kernel_types…", &[&ACCOUNT, &BLOBS]) else { return };
    let mut one = Running::launch(&device, &ACCOUNT, 1, 64, true);
    let mut two = Running::launch(&device, &BLOBS, 1, 64, true);
    one.push(1000, 0, 1, &41i64.to_le_bytes());
    two.push(2000, 0, 2, &[0; 200]);
    assert_eq!(as_i64(&one.pop(0).1), 41);
    assert_eq!(two.pop(0).1, vec![1; 50]);
    // A descriptor the device has not seen: its module load must not hang, and state must survive the quiesce.
    static LATE: KernelDescriptor = KernelDescriptor { id: "late", actor: "Late", ..ACCOUNT };
    let begin = Instant::now();
    let mut three = Running::launch(&device, &LATE, 1, 64, true);
    println!("launch of an unloaded module beside two resident kernels: {:?}", begin.elapsed());
    three.push(1000, 0, 1, &7i64.to_le_bytes());
    assert_eq!(as_i64(&three.pop(0).1), 7);
    one.push(1000, 0, 1, &1i64.to_le_bytes());
    assert_eq!(as_i64(&one.pop(0).1), 42);
    let times = ringkernel_backends::cuda::launch_and_synchronize(0, 1000).unwrap();
    println!(
        "launch + sync beside three resident: p50 {:?} p99 {:?}",
        times.quantile(0.5),
        times.quantile(0.99)
    );
    one.push(1000, 0, 1, &1i64.to_le_bytes());
    assert_eq!(as_i64(&one.pop(0).1), 43);
    let begin = Instant::now();
    let more: Vec<_> = (0..16).map(|_| Running::launch(&device, &BLOBS, 1, 64, true)).collect();
    println!("16 launches beside three resident: {:?} each", begin.elapsed() / 16);
    let begin = Instant::now();
    more.into_iter().for_each(Running::end);
    println!("16 terminates: {:?} each", begin.elapsed() / 16);
    one.end();
    two.end();
    three.end();
}

#[test]
fn an_inactive_kernel_lets_messages_wait_and_a_terminated_one_is_gone() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("an_inactive_kernel…", &[&ACCOUNT]) else { return };
    let mut run = Running::launch(&device, &ACCOUNT, 1, 64, false);
    for k in 0..5 {
        run.push(1000, 0, k, &1i64.to_le_bytes());
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(run.kernel.control().messages_processed, 0);
    assert!(!run.kernel.control().is_active);
    run.kernel.set_active(true).unwrap();
    for k in 0..5 {
        assert_eq!(run.pop(0).0.correlation.index, k);
    }
    run.kernel.set_active(false).unwrap();
    run.push(1000, 0, 9, &1i64.to_le_bytes());
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(run.kernel.control().messages_processed, 5);
    run.kernel.terminate(Duration::from_secs(2)).unwrap();
    assert!(run.kernel.set_active(true).is_err());
    assert_eq!(run.kernel.control().messages_processed, 5);
}

#[test]
fn a_thousand_launches_and_terminates_leave_nothing_behind() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_thousand_launches…", &[&ACCOUNT]) else { return };
    let begin = Instant::now();
    for i in 0..1000u32 {
        let mut run = Running::launch(&device, &ACCOUNT, 1 + i % 3, 64, true);
        run.push(1000, 0, i, &(i as i64).to_le_bytes());
        assert_eq!(as_i64(&run.pop(0).1), i as i64);
        if i % 2 == 0 {
            run.end();
        }
    }
    println!("1000 cycles: {:?} each", begin.elapsed() / 1000);
}

#[test]
fn terminate_is_quick_while_the_rings_are_full() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("terminate_is_quick…", &[&ACCOUNT]) else { return };
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let run = Running::launch(&device, &ACCOUNT, 1, 64, true);
        let ring = &run.kernel.ports()[0].requests;
        let header = Header {
            tag: 1000,
            instance: 0,
            correlation: Correlation { index: 1, generation: 0 },
            words: 0,
            hlc: 0,
        };
        // Nobody takes the replies: both rings fill up.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(2) {
            let _ = ring.try_push(header, &[0; 8]);
        }
        let begin = Instant::now();
        run.kernel.terminate(Duration::from_secs(2)).unwrap();
        worst = worst.max(begin.elapsed());
    }
    println!("terminate with full rings: worst of 50 {worst:?}");
    assert!(worst < Duration::from_millis(100));
}

#[test]
fn an_event_driven_kernel_leaves_when_idle_comes_back_for_a_message_and_keeps_its_state() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("an_event_driven_kernel…", &[&ACCOUNT]) else { return };
    let mode = Mode::EventDriven { idle_after: Duration::from_micros(200) };
    let tuning = Tuning { mode, ..Default::default() };
    let mut run = Running::tuned(&device, &ACCOUNT, 3, 64, true, tuning);
    assert_eq!(run.kernel.ports().len(), 1);
    let (mut away, mut cents) = (0, 0);
    for i in 0..2000u64 {
        // Around the moment it leaves: a little before, a little after, and long after.
        let wait = Duration::from_micros([150, 190, 200, 205, 210, 220, 260, 400][i as usize % 8]);
        let begin = Instant::now();
        while begin.elapsed() < wait {
            std::hint::spin_loop();
        }
        away += (run.kernel.control().has_terminated == HasTerminated::Relaunchable) as u32;
        run.push(1000, 0, i as u32, &3i64.to_le_bytes());
        run.kernel.doorbell(0);
        let (_, words) = run.pop(0);
        cents += 3;
        assert_eq!((as_i64(&words), words[2]), (cents, i as u32 + 1));
    }
    assert!(away > 200, "away {away} times of 2000");
    // Suspended, it leaves as well, and a message does not bring it back.
    run.kernel.set_active(false).unwrap();
    run.push(1000, 0, 1, &5i64.to_le_bytes());
    std::thread::sleep(Duration::from_millis(5));
    run.kernel.doorbell(0);
    assert_eq!(run.kernel.control().has_terminated, HasTerminated::Relaunchable);
    run.kernel.set_active(true).unwrap();
    assert_eq!(as_i64(&run.pop(0).1), cents + 5);
    run.settled(2001);
    run.end();
}

#[test]
fn a_kernel_that_is_to_stop_after_some_messages_returns_and_leaves_the_rest() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_kernel_that_is_to_stop…", &[&ACCOUNT]) else { return };
    let tuning = Tuning { stop_after: Some(100), ..Default::default() };
    let mut run = Running::tuned(&device, &ACCOUNT, 1, 256, false, tuning);
    for i in 0..150 {
        run.push(1000, 0, i, &1i64.to_le_bytes());
    }
    run.kernel.set_active(true).unwrap();
    for i in 0..100 {
        assert_eq!(as_i64(&run.pop(0).1), i + 1);
    }
    let begin = Instant::now();
    while run.kernel.control().has_terminated != HasTerminated::Done {
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", run.kernel.control());
    }
    assert_eq!(run.kernel.control().messages_processed, 100);
    run.end();
}

#[test]
fn positions_wrap_without_a_message_lost() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("positions_wrap…", &[&ACCOUNT]) else { return };
    for first_position in [(1 << 32) - 70, u64::MAX - 70] {
        for (shards, capacity) in [(1, 16), (4, 64)] {
            let tuning = Tuning { first_position, shards: Some(shards), ..Default::default() };
            let mut run = Running::tuned(&device, &ACCOUNT, shards, capacity, true, tuning);
            let mut replies = 0;
            for i in 0..300u32 {
                for instance in 0..shards {
                    run.push(1000, instance, i, &1i64.to_le_bytes());
                }
                if i % 7 == 6 {
                    for instance in 0..shards {
                        for k in 0..7 {
                            let (header, words) = run.pop(instance as usize);
                            assert_eq!((header.correlation.index, words[2]), (i - 6 + k, i - 5 + k));
                            replies += 1;
                        }
                    }
                }
            }
            assert_eq!(replies, 294 * shards);
            run.settled(300 * shards as u64);
            run.end();
        }
    }
}

#[test]
fn a_small_state_that_is_kept_on_chip_is_read_and_written_while_the_kernel_is_inactive() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_small_state…", &[&ACCOUNT]) else { return };
    // 16 bytes each: 20 fit on chip, 5000 do not.
    for instances in [1, 20, 5000] {
        let mut run = Running::launch(&device, &ACCOUNT, instances, 64, true);
        let last = instances - 1;
        let shard = last as usize % run.kernel.ports().len();
        run.push(1000, last, 0, &9i64.to_le_bytes());
        assert_eq!(as_i64(&run.pop(shard).1), last as i64 * 1_000_000 + 9);
        run.kernel.set_active(false).unwrap();
        let mut state = [0; 16];
        run.kernel.read_states(last, 1, &mut state).unwrap();
        assert_eq!(state[..8], (last as i64 * 1_000_000 + 9).to_le_bytes());
        state[..8].copy_from_slice(&77i64.to_le_bytes());
        run.kernel.write_states(last, 1, &state).unwrap();
        run.kernel.set_active(true).unwrap();
        run.push(1000, last, 0, &1i64.to_le_bytes());
        assert_eq!(as_i64(&run.pop(shard).1), 78);
        let kernel = run.kernel.clone();
        run.end();
        kernel.read_states(last, 1, &mut state).unwrap();
        assert_eq!(state[..8], 78i64.to_le_bytes());
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let _alone = GPU.write().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("what_does_not_fit…", &[&ACCOUNT]) else { return };
    let spec = |instances, queue_capacity| LaunchSpec {
        descriptor: &ACCOUNT,
        instances,
        queue_capacity,
        active: true,
        initial: Arc::new(|_, out: &mut [u8]| out.fill(0)),
        idle: IdlePolicy::Spin,
        tuning: Default::default(),
        mesh: Default::default(),
        progress: Arc::new(Quiet),
    };
    let Err(error) = device.launch(spec(1, 1 << 31)) else { panic!("2^31 slots") };
    assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error}");
    let mut running = Vec::new();
    let error = loop {
        match device.launch(spec(1, 64)) {
            Ok(kernel) => {
                running.push(kernel);
            }
            Err(error) => break error,
        }
        assert!(running.len() <= 128);
    };
    assert!(matches!(error, DeviceError::Capacity { .. }), "{error}");
    println!("{} kernels, then: {error}", running.len());
}
