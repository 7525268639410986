//! What ends a process, or the use of its device: each case runs in a process of its own, this program again.

#[path = "driver/host.rs"]
mod host;

use cudarc::driver::sys::CUresult::*;
use cudarc::driver::sys::{CUmemAccess_flags_enum, CUmemAccessDesc, CUmemLocation, CUmemLocationType_enum};
use host::*;
use softcuda::driver::api::{context::*, device::*, graph::*, memory::*, module::*, pool::*, stream::*};
use softcuda::driver::{In, Out};
use std::process::{Command, Output};

/// Says in the child which case it is.
const CASE: &str = "SOFTCUDA_TEST_CASE";

/// Runs the test of that name as the case `case`, in a process of its own.
fn child(test: &str, case: &str, settings: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture"]).env(CASE, case).envs(settings.iter().copied());
    command.output().unwrap()
}

fn case() -> Option<String> {
    std::env::var(CASE).ok()
}

#[track_caller]
fn passes(test: &str, settings: &[(&str, &str)]) -> String {
    let output = child(test, "the one", settings);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    said
}

/// Calls that wait for the device, and what they are called.
const WAIT: [(&str, &str); 9] = [
    ("load", "cuModuleLoadData"),
    ("unload", "cuModuleUnload"),
    ("free", "cuMemFree"),
    ("free host", "cuMemFreeHost"),
    ("synchronize", "cuCtxSynchronize"),
    ("stream", "cuStreamCreate"),
    ("first launch", "the first launch of a function"),
    ("instantiate", "cuGraphInstantiate"),
    ("release", "the last cuDevicePrimaryCtxRelease"),
];

#[test]
fn a_call_that_would_hang_beside_a_resident_kernel_ends_the_process_and_is_named() {
    let Some(case) = case() else {
        let name = "a_call_that_would_hang_beside_a_resident_kernel_ends_the_process_and_is_named";
        let children: Vec<_> = WAIT
            .into_iter()
            .map(|(case, call)| {
                let run = move || child(name, case, &[("SOFTCUDA_PATIENCE", "1")]);
                (call, std::thread::spawn(run))
            })
            .collect();
        for (call, child) in children {
            let output = child.join().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{call} did not end the process");
            assert!(said.contains(&format!("softcuda: {call} waits")), "{call}: {said}");
        }
        return;
    };
    open(0);
    let loaded = module();
    let (stay, add_function) = (function(loaded, "stay"), function(loaded, "add"));
    let (busy, idle, data) = (stream(), stream(), memory(64));
    let mut graph = 0;
    ok(cuStreamBeginCapture_v2(idle, 1));
    ok(cuStreamEndCapture(idle, Out::from(&mut graph)));
    let mut host = 0;
    ok(cuMemHostAlloc(Out::from(&mut host), 64, 3));
    Stay::launch(stay, busy).wait_until_it_has_begun();
    // None of these waits.
    let mut address = 0;
    ok(cuMemAlloc_v2(Out::from(&mut address), 64));
    ok(cuMemHostAlloc(Out::from(&mut address), 64, 3));
    ok(cuMemAllocAsync(Out::from(&mut address), 64, idle));
    ok(write(data, &[1, 2], idle));
    assert_eq!(read(data, 2, idle).unwrap(), [1, 2]);
    ok(cuMemFreeAsync(address, idle));
    ok(cuStreamSynchronize(idle));
    match case.as_str() {
        "load" => drop(module()),
        "unload" => ok(cuModuleUnload(loaded)),
        "free" => ok(cuMemFree_v2(data)),
        "free host" => ok(cuMemFreeHost(host)),
        "synchronize" => ok(cuCtxSynchronize()),
        "stream" => drop(stream()),
        "first launch" => add(add_function, idle, (data, 1), 1),
        "instantiate" => ok(cuGraphInstantiateWithFlags(Out::from(&mut 0), graph, 0)),
        _ => ok(cuDevicePrimaryCtxRelease_v2(0)),
    }
}

#[test]
fn such_a_call_goes_on_when_the_kernel_ends() {
    if case().is_none() {
        passes("such_a_call_goes_on_when_the_kernel_ends", &[("SOFTCUDA_PATIENCE", "10")]);
        return;
    }
    open(0);
    let stay = Stay::launch(function(module(), "stay"), stream());
    stay.wait_until_it_has_begun();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            open(0);
            ok(cuCtxSynchronize());
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        stay.tell_to_go();
    });
}

#[test]
fn what_a_kernel_touches_and_was_not_given_loses_the_device_for_good() {
    let name = "what_a_kernel_touches_and_was_not_given_loses_the_device_for_good";
    let Some(case) = case() else {
        for case in ["null", "freed", "behind", "not yet", "other device"] {
            let output = child(name, case, &[("SOFTCUDA_DEVICES", "2")]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{case}: {said}");
            assert!(said.contains("device 0 is lost"), "{case}: {said}");
        }
        return;
    };
    open(1);
    let far = memory(4);
    open(0);
    let loaded = module();
    let (stay, add_function) = (function(loaded, "stay"), function(loaded, "add"));
    let (beside, allocating, stream, data) = (stream(), stream(), stream(), memory(40));
    add(add_function, stream, (data, 10), 1);
    ok(cuStreamSynchronize(stream));
    let resident = Stay::launch(stay, beside);
    let address = match case.as_str() {
        "null" => 0,
        "freed" => {
            let mut address = 0;
            ok(cuMemAllocAsync(Out::from(&mut address), 4, stream));
            ok(cuMemFreeAsync(address, stream));
            ok(cuStreamSynchronize(stream));
            address
        }
        "behind" => data + 40,
        "not yet" => {
            // Its place in its stream is behind a kernel that stays.
            Stay::launch(stay, allocating).wait_until_it_has_begun();
            let mut address = 0;
            ok(cuMemAllocAsync(Out::from(&mut address), 4, allocating));
            address
        }
        _ => far,
    };
    add(add_function, stream, (address, 1), 1);
    assert_eq!(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
    // The other kernel is gone as well, and nobody waits for it.
    for stream in [stream, resident.stream, DEFAULT] {
        assert_eq!(cuStreamQuery(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
    }
    assert_eq!(cuMemAlloc_v2(Out::from(&mut 0), 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(read(data, 1, stream), Err(CUDA_ERROR_ILLEGAL_ADDRESS));
    assert_eq!(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(cuModuleUnload(loaded), CUDA_ERROR_ILLEGAL_ADDRESS);
    // The other device is not concerned.
    open(1);
    assert_eq!(read(far, 1, DEFAULT).unwrap(), [0xcdcd_cdcd]);
}

#[test]
fn two_devices_reach_what_the_other_lets_them() {
    if case().is_none() {
        passes("two_devices_reach_what_the_other_lets_them", &[("SOFTCUDA_DEVICES", "2")]);
        return;
    }
    let there = open(1);
    let (plain, mut pooled, mut pool) = (memory(4), 0, 0);
    // SAFETY: all-zero is a valid value of this C struct of integers, pointers and an enum whose 0 is "none".
    let mut properties: cudarc::driver::sys::CUmemPoolProps = unsafe { std::mem::zeroed() };
    properties.allocType = cudarc::driver::sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
    let on = |id| CUmemLocation { type_: CUmemLocationType_enum::CU_MEM_LOCATION_TYPE_DEVICE, id };
    properties.location = on(1);
    ok(cuMemPoolCreate(Out::from(&mut pool), In::from(&[properties][..])));
    ok(cuMemAllocFromPoolAsync(Out::from(&mut pooled), 4, pool, DEFAULT));
    ok(write(plain, &[10], DEFAULT));
    ok(write(pooled, &[20], DEFAULT));
    ok(cuStreamSynchronize(DEFAULT));
    let here = open(0);
    assert_ne!(here, there);
    let mut count = 0;
    ok(cuDeviceGetCount(Out::from(&mut count)));
    assert_eq!(count, 2);
    let mut can = 0;
    ok(cuDeviceGetP2PAttribute(Out::from(&mut can), 2, 0, 1));
    assert_eq!(can, 1);
    ok(cuCtxEnablePeerAccess(there, 0));
    assert_eq!(cuCtxEnablePeerAccess(there, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    let flags = CUmemAccess_flags_enum::CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    ok(cuMemPoolSetAccess(pool, In::from(&[CUmemAccessDesc { location: on(0), flags }][..]), 1));
    let add_function = function(module(), "add");
    add(add_function, DEFAULT, (plain, 1), 1);
    add(add_function, DEFAULT, (pooled, 1), 2);
    ok(cuStreamSynchronize(DEFAULT));
    ok(cuCtxSetCurrent(there));
    assert_eq!((read(plain, 1, DEFAULT).unwrap(), read(pooled, 1, DEFAULT).unwrap()), (vec![11], vec![22]));
    // A function is of its device.
    assert_eq!(
        try_launch(add_function, (1, 1), DEFAULT, &[&[0; 8], &[0; 4], &[0; 4]]),
        CUDA_ERROR_INVALID_VALUE
    );
}

#[test]
fn nothing_works_before_the_driver_is_started_and_a_wrong_setting_keeps_it_from_that() {
    if case().is_none() {
        let name = "nothing_works_before_the_driver_is_started_and_a_wrong_setting_keeps_it_from_that";
        let said = passes(name, &[("SOFTCUDA_DEVICES", "3")]);
        assert!(said.contains("SOFTCUDA_DEVICES=3: it takes a number from 1 to 2"), "{said}");
        return;
    }
    let mut count = 0;
    assert_eq!(cuDeviceGetCount(Out::from(&mut count)), CUDA_ERROR_NOT_INITIALIZED);
    assert_eq!(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    assert_eq!(cuInit(0), CUDA_ERROR_OPERATING_SYSTEM);
    assert_eq!(cuDeviceGetCount(Out::from(&mut count)), CUDA_ERROR_NOT_INITIALIZED);
}
