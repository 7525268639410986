use super::*;
use crate::abi::{FaultKind, HasTerminated, tag};
use crate::device_tests::*;
use crate::kernel::*;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The device all tests share, or `None` once the test has said that it is skipped.
fn device(test: &str) -> Option<WgpuDevice> {
    static DEVICE: OnceLock<Result<WgpuDevice, DeviceError>> = OnceLock::new();
    match DEVICE.get_or_init(|| WgpuDevice::open(AdapterKind::Any)) {
        Ok(device) => Some(device.clone()),
        Err(error) => {
            let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name.trim() == "wgpu"), "{test}: {error}");
            println!("skipped: {test}: no WebGPU adapter ({error})");
            None
        }
    }
}

device_suite!(device);

#[test]
fn an_adapter_that_is_not_there_is_named_with_those_that_are() {
    // Metal is nowhere but on Apple's systems.
    if !cfg!(target_vendor = "apple") {
        match WgpuDevice::open(AdapterKind::Metal) {
            Err(DeviceError::Unavailable { backend: "Metal", reason }) => assert!(!reason.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_the_adapter_lacks_is_named_at_launch() {
    let Some(device) = device("what_the_adapter_lacks_is_named_at_launch") else { return };
    static HUNGRY: KernelDescriptor =
        KernelDescriptor { wgsl_needs: Needs { int64: true, float64: true }, ..TALLY };
    let none = wgpu::Features::empty();
    match device.gpu.check_features(&HUNGRY, none) {
        Err(DeviceError::Unsupported { actor: "Tally", what, .. }) => {
            assert_eq!(what, "64-bit integers (SHADER_INT64) and 64-bit floats (SHADER_F64)");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(device.gpu.check_features(&TALLY, none), Ok(()));
}

#[test]
fn an_actor_without_device_code_is_refused_at_launch() {
    let Some(device) = device("an_actor_without_device_code_is_refused_at_launch") else { return };
    static NATIVE: KernelDescriptor = KernelDescriptor { native_only: Some("it says so"), wgsl: "", ..TALLY };
    match device.launch(spec_of(&NATIVE, 1, 4)).err() {
        Some(DeviceError::Unsupported { actor: "Tally", what, .. }) => {
            assert_eq!(what, "the CPU backend (it says so)");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn code_that_does_not_compile_is_an_error_with_the_compilers_words() {
    let test = "code_that_does_not_compile_is_an_error_with_the_compilers_words";
    let Some(device) = device(test) else { return };
    static BROKEN: KernelDescriptor =
        KernelDescriptor { wgsl: "fn ringkernel_dispatch() { let x: u32 = 1.5; }", ..TALLY };
    for _ in 0..2 {
        match device.launch(spec_of(&BROKEN, 1, 4)).err() {
            Some(DeviceError::BadCode { actor: "Tally", log }) => assert!(log.contains("u32"), "{log}"),
            other => panic!("{other:?}"),
        }
    }
    let mut tally = Host::launch(&device, spec_of(&TALLY, 1, 4));
    assert_eq!(tally.round_trip(0, ADD, &[3]).words, [3, 1], "the device is none the worse");
}

#[test]
fn a_state_larger_than_a_binding_is_out_of_memory_with_the_numbers() {
    let Some(device) = device("a_state_larger_than_a_binding_is_out_of_memory_with_the_numbers") else {
        return;
    };
    let instances = u32::MAX;
    match device.launch(spec_of(&TALLY, instances, 4)).err() {
        Some(DeviceError::OutOfMemory { bytes, what }) => {
            assert!(bytes >= 8 * instances as u64 && what.contains("at most"), "{bytes} {what}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn states_that_take_several_uploads_arrive_whole() {
    let Some(device) = device("states_that_take_several_uploads_arrive_whole") else { return };
    const INSTANCES: u32 = 300_000;
    let initial = |instance: u32, out: &mut [u8]| out[..4].copy_from_slice(&instance.to_le_bytes());
    let spec = LaunchSpec { initial: Arc::new(initial), ..spec_of(&TALLY, INSTANCES, 4) };
    let mut host = Host::launch(&device, spec);
    for instance in [0, 1, 131_071, 131_072, 262_144, INSTANCES - 1] {
        assert_eq!(host.round_trip(instance, ADD, &[1]).words, [instance + 1, 1]);
    }
}

#[test]
fn a_thousand_launches_leave_nothing_behind() {
    let Some(device) = device("a_thousand_launches_leave_nothing_behind") else { return };
    for i in 0..1000 {
        let mut host = Host::launch(&device, spec_of(&TALLY, 2, 4));
        if i % 10 == 0 {
            assert_eq!(host.round_trip(1, ADD, &[i]).words, [i, 1]);
        }
        host.terminate();
    }
    wait_until("the kernels are gone", || Arc::strong_count(&device.gpu) < 100);
}

#[test]
fn a_dispatch_that_does_not_end_loses_the_device_and_hangs_nobody() {
    let test = "a_dispatch_that_does_not_end_loses_the_device_and_hangs_nobody";
    if device(test).is_none() {
        return;
    }
    let device = WgpuDevice::open(AdapterKind::Any).unwrap();
    let mut bystander = Host::launch(&device, spec_of(&TALLY, 1, 4));
    assert_eq!(bystander.round_trip(0, ADD, &[1]).words, [1, 1]);
    let slow = Host::launch(&device, spec_of(&TALLY, 1, 4));
    // So even this one takes too long.
    device.gpu.set_patience(Duration::ZERO);
    let start = Instant::now();
    slow.ask(0, ADD, &[1], 0);
    wait_until("the device is lost", || bystander.kernel.failure().is_some());
    assert!(start.elapsed() < Duration::from_secs(10));
    let lost = slow.kernel.failure();
    assert!(
        matches!(&lost, Some(DeviceError::Lost { reason }) if reason.contains("did not end within 0ns")),
        "{lost:?}"
    );
    assert_eq!(bystander.kernel.set_active(false), Err(lost.clone().unwrap()));
    assert_eq!(bystander.kernel.read_state(0, &mut [0; 8]), Err(lost.clone().unwrap()));
    assert_eq!(device.launch(spec_of(&TALLY, 1, 4)).err(), lost);
    slow.terminate();
    assert_eq!(slow.kernel.control().has_terminated, HasTerminated::Done);
    drop((slow, bystander, device));
    // The adapter itself is fine.
    let device = WgpuDevice::open(AdapterKind::Any).unwrap();
    assert_eq!(Host::launch(&device, spec_of(&TALLY, 1, 4)).round_trip(0, ADD, &[1]).words, [1, 1]);
}

#[test]
fn a_lost_device_tells_the_host_of_every_kernel() {
    if device("a_lost_device_tells_the_host_of_every_kernel").is_none() {
        return;
    }
    let device = WgpuDevice::open(AdapterKind::Any).unwrap();
    let calls = [(), ()].map(|()| Arc::new(Calls::default()));
    let hosts = calls
        .each_ref()
        .map(|calls| Host::launch(&device, LaunchSpec { progress: calls.clone(), ..spec_of(&TALLY, 1, 4) }));
    let _ = device.gpu.health.lose("a test says so");
    for (host, calls) in hosts.iter().zip(&calls) {
        wait_until("progress is told", || calls.0.load(std::sync::atomic::Ordering::Relaxed) > 0);
        let lost = DeviceError::Lost { reason: "a test says so".to_owned() };
        assert_eq!(host.kernel.failure(), Some(lost));
    }
}

#[test]
fn the_program_of_an_actor_is_valid_and_becomes_msl() {
    let text = program_text(&TALLY).unwrap();
    let msl = msl_of(&text).unwrap();
    for expected in ["Tally_add", "ringkernel_main", "kernel void"] {
        assert!(msl.contains(expected), "{expected} in\n{msl}");
    }
    assert!(text.contains(&format!("case {}u: {{ return 20u; }} // Block", BLOCK)));
    assert!(text.contains(&format!("case {}u: {{ return 0u; }} // ()", tag::UNIT)));
}

#[test]
fn msl_of_an_actor_alone_needs_no_entry_point_and_bad_wgsl_is_an_error() {
    let msl = msl_of(TALLY.wgsl).unwrap();
    assert!(msl.contains("ringkernel_dispatch"), "{msl}");
    for (wgsl, complaint) in [("fn f( {", "expected"), ("fn f() -> f64 { return 1.0lf; }", "FLOAT64")] {
        match msl_of(wgsl) {
            Err(DeviceError::BadCode { log, .. }) => assert!(log.contains(complaint), "{log}"),
            other => panic!("{wgsl}: {other:?}"),
        }
    }
}

/// `u32` → turns a loop that often; how often it did turn, and that it was asked to.
static LOOPS: KernelDescriptor = KernelDescriptor {
    handlers: &[HandlerInfo {
        name: "turn",
        message: MessageInfo::fixed("u32", tag::U32, 4),
        reply: MessageInfo::fixed("Turns", TOTAL, 8),
    }],
    wgsl: "
        @group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
        var<private> rk_message: array<u32, 1>;
        var<private> rk_reply: array<u32, 2>;
        fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
            var turns = 0u;
            for (var i = 0u; i < rk_message[0]; i = i + 1u) {
                turns = turns + 1u + (turns >> 31u);
            }
            rk_state[state] = rk_state[state] + 1u;
            rk_reply[0] = turns;
            rk_reply[1] = rk_state[state];
            return vec2<u32>(256u, 2u);
        }",
    ..TALLY
};

#[test]
fn loops_turn_as_often_as_they_say_or_fault() {
    let Some(device) = device("loops_turn_as_often_as_they_say_or_fault") else { return };
    let mut host = Host::launch(&device, LaunchSpec { active: false, ..spec_of(&LOOPS, 3, 64) });
    // Together, far more than llvmpipe gives an invocation.
    for id in 0..60 {
        host.ask(id % 3, tag::U32, &[20_000 + id], id);
    }
    host.kernel.set_active(true).unwrap();
    for id in 0..60 {
        let reply = host.next_reply();
        assert_eq!((reply.correlation.index, reply.words), (id, vec![20_000 + id, id / 3 + 1]));
    }
    let much = host.round_trip(0, tag::U32, &[1_000_000]);
    match device.gpu.loop_ration {
        None => assert_eq!(much.words[0], 1_000_000),
        Some(_) => assert_eq!(much.fault(), Some((FaultKind::LoopCutShort, FaultSite::None))),
    }
    assert_eq!(host.round_trip(0, tag::U32, &[7]).words[0], 7);
}

#[test]
fn a_full_batch_to_one_instance_is_answered_whole() {
    let Some(device) = device("a_full_batch_to_one_instance_is_answered_whole") else { return };
    let mut host = Host::launch(&device, spec_of(&TALLY, 1, 8192));
    let block: Vec<u32> = (0..BLOCK_WORDS as u32).collect();
    for round in 0..4 {
        for id in 0..4096 {
            host.ask(0, BLOCK, &block, id);
        }
        for id in 0..4096 {
            let reply = host.next_reply();
            assert_eq!((reply.correlation.index, reply.tag), (id, BLOCK), "round {round}");
            assert_eq!((reply.words[0], reply.words[BLOCK_WORDS - 1]), (1, 0));
        }
    }
}

#[test]
fn a_kernel_that_is_gone_has_no_thread_left_at_the_device() {
    let Some(device) = device("a_kernel_that_is_gone_has_no_thread_left_at_the_device") else { return };
    for terminate in [true, false].repeat(10) {
        let progress = Arc::new(Calls::default());
        let witness = Arc::downgrade(&progress);
        let kernel = device.launch(LaunchSpec { progress, ..spec_of(&TALLY, 1, 4) }).unwrap();
        if terminate {
            kernel.terminate(Duration::from_secs(10)).unwrap();
        }
        drop(kernel);
        // The dispatcher shares it.
        assert_eq!(witness.strong_count(), 0);
    }
}
