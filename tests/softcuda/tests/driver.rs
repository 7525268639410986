//! The driver's functions, called as C code would.

#[path = "driver/host.rs"]
mod host;

use cudarc::driver::sys::CUresult::*;
use host::*;
use softcuda::driver::api::{
    context::*, device::*, event::*, graph::*, launch::*, memory::*, module::*, pool::*, stream::*,
};
use softcuda::driver::{In, NAME, Out, Text};
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Some of these fill the device: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    open(0);
    guard
}

#[test]
fn a_kernel_works_on_what_was_copied_to_it_and_it_is_copied_back() {
    let _alone = alone();
    let (add_function, data) = (function(module(), "add"), memory(4 * 1000));
    let words: Vec<u32> = (0..1000).collect();
    for stream in [DEFAULT, stream()] {
        ok(write(data, &words, stream));
        (0..3).for_each(|by| add(add_function, stream, (data, 1000), by));
        let got = read(data, 1000, stream).unwrap();
        assert!(got.iter().zip(&words).all(|(got, sent)| *got == sent + 3), "{got:?}");
    }
    ok(cuMemFree_v2(data));
    assert_eq!(cuMemFree_v2(data), CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn kernels_of_different_streams_run_at_the_same_time_and_those_of_one_do_not() {
    let _alone = alone();
    let stay = function(module(), "stay");
    let (one, two) = (stream(), stream());
    let first = Stay::launch(stay, one);
    let second = Stay::launch(stay, one);
    let beside = Stay::launch(stay, two);
    beside.wait_until_it_has_begun();
    first.wait_until_it_has_begun();
    assert_eq!((cuStreamQuery(one), cuStreamQuery(two)), (CUDA_ERROR_NOT_READY, CUDA_ERROR_NOT_READY));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!second.has_begun());
    beside.tell_to_go();
    ok(cuStreamSynchronize(two));
    first.tell_to_go();
    second.wait_until_it_has_begun();
    second.tell_to_go();
    ok(cuCtxSynchronize());
    assert_eq!(cuStreamQuery(one), CUDA_SUCCESS);
    [one, two].into_iter().for_each(|stream| ok(cuStreamDestroy_v2(stream)));
    assert_eq!(cuStreamQuery(one), CUDA_ERROR_INVALID_HANDLE);
}

#[test]
fn a_stream_waits_for_the_place_that_an_event_had_when_it_was_told_to() {
    let _alone = alone();
    let module = module();
    let (stay, add_function) = (function(module, "stay"), function(module, "add"));
    let (one, two, event, data) = (stream(), stream(), event(), memory(4));
    add(add_function, one, (data, 1), 0);
    // Copies are made in another stream than kernels run in, and neither waits for the other.
    ok(cuStreamSynchronize(one));
    ok(cuEventSynchronize(event));
    let kernel = Stay::launch(stay, one);
    ok(cuEventRecord(event, one));
    ok(write(data, &[5], DEFAULT));
    ok(cuStreamSynchronize(DEFAULT));
    ok(cuStreamWaitEvent(two, event, 0));
    add(add_function, two, (data, 1), 1);
    // Later places are not waited for.
    let other = Stay::launch(stay, DEFAULT);
    ok(cuEventRecord(event, DEFAULT));
    kernel.wait_until_it_has_begun();
    assert_eq!(cuStreamQuery(two), CUDA_ERROR_NOT_READY);
    kernel.tell_to_go();
    ok(cuStreamSynchronize(two));
    assert_eq!(read(data, 1, two).unwrap(), [6]);
    assert_eq!(cuStreamQuery(DEFAULT), CUDA_ERROR_NOT_READY);
    other.tell_to_go();
    ok(cuEventSynchronize(event));
    ok(cuEventDestroy_v2(event));
    assert_eq!(cuEventDestroy_v2(event), CUDA_ERROR_INVALID_HANDLE);
}

#[test]
fn fresh_memory_is_full_of_rubbish_and_what_is_freed_in_a_stream_is_there_until_its_place() {
    let _alone = alone();
    let stay = function(module(), "stay");
    let stream = stream();
    let mut address = 0;
    ok(cuMemAllocAsync(Out::from(&mut address), 64, stream));
    assert_eq!(read(address, 16, stream).unwrap(), [0xcdcd_cdcd; 16]);
    ok(cuMemsetD8Async(address + 4, 7, 7, stream));
    assert_eq!(read(address, 3, stream).unwrap(), [0xcdcd_cdcd, 0x0707_0707, 0xcd07_0707]);
    let kernel = Stay::launch(stay, stream);
    ok(cuMemsetD8Async(address, 1, 64, stream));
    let (pinned_words, pinned_address) = pinned();
    ok(cuMemcpyDtoHAsync_v2(pinned_address, address, 8, stream));
    ok(cuMemFreeAsync(address, stream));
    assert_eq!(cuMemFreeAsync(address, stream), CUDA_ERROR_INVALID_VALUE);
    kernel.tell_to_go();
    ok(cuStreamSynchronize(stream));
    assert_eq!(pinned_words[1].load(std::sync::atomic::Ordering::Relaxed), 0x0101_0101);
}

#[test]
fn one_grid_too_many_waits_silently_until_another_ends() {
    let _alone = alone();
    let stay = function(module(), "stay");
    let streams: Vec<usize> = (0..129).map(|_| stream()).collect();
    let kernels: Vec<Stay> = streams.iter().map(|stream| Stay::launch(stay, *stream)).collect();
    let (last, first) = kernels.split_last().unwrap();
    first.iter().for_each(Stay::wait_until_it_has_begun);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!last.has_begun());
    assert_eq!(cuStreamQuery(last.stream), CUDA_ERROR_NOT_READY);
    first[77].tell_to_go();
    last.wait_until_it_has_begun();
    kernels.iter().for_each(Stay::tell_to_go);
    ok(cuCtxSynchronize());
}

#[test]
fn a_captured_launch_happens_when_its_graph_is_launched() {
    let _alone = alone();
    let (add_function, data, stream) = (function(module(), "add"), memory(4), stream());
    ok(write(data, &[0], stream));
    ok(cuStreamBeginCapture_v2(stream, 1));
    add(add_function, stream, (data, 1), 3);
    add(add_function, stream, (data, 1), 4);
    assert_eq!(write(data, &[9], stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    let (mut graph, mut exec) = (0, 0);
    ok(cuStreamEndCapture(stream, Out::from(&mut graph)));
    ok(cuGraphInstantiateWithFlags(Out::from(&mut exec), graph, 0));
    assert_eq!(read(data, 1, stream).unwrap(), [0]);
    ok(cuGraphLaunch(exec, stream));
    ok(cuGraphLaunch(exec, stream));
    assert_eq!(read(data, 1, stream).unwrap(), [14]);
}

#[test]
fn memory_runs_out_and_comes_back() {
    let _alone = alone();
    let (mut free, mut total) = (0, 0);
    ok(cuMemGetInfo_v2(Out::from(&mut free), Out::from(&mut total)));
    assert!(free <= total && total >= 2 << 30);
    let mut address = 0;
    assert_eq!(cuMemAlloc_v2(Out::from(&mut address), total), CUDA_ERROR_OUT_OF_MEMORY);
    assert_eq!(cuMemHostAlloc(Out::from(&mut address), 1 << 40, 3), CUDA_ERROR_OUT_OF_MEMORY);
    assert_eq!(cuMemAlloc_v2(Out::from(&mut address), usize::MAX), CUDA_ERROR_OUT_OF_MEMORY);
    for _ in 0..100 {
        ok(cuMemAllocAsync(Out::from(&mut address), 64 << 20, DEFAULT));
        ok(cuMemFreeAsync(address, DEFAULT));
        ok(cuStreamSynchronize(DEFAULT));
    }
    let mut after = 0;
    ok(cuMemGetInfo_v2(Out::from(&mut after), Out::from(&mut total)));
    assert_eq!(after, free);
}

#[test]
fn occupancy_is_what_fits_and_what_cannot_be_is_refused() {
    let _alone = alone();
    let add_function = function(module(), "add");
    let fit = |threads, shared| {
        let mut blocks = -1;
        ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(
            Out::from(&mut blocks),
            add_function,
            threads,
            shared,
        ));
        blocks
    };
    assert_eq!(
        (fit(32, 0), fit(1024, 0), fit(32, 48 << 10), fit(1025, 0), fit(32, 49 << 10)),
        (32, 2, 4, 0, 0)
    );
    let parameters = [&0u64.to_ne_bytes()[..], &0u32.to_ne_bytes(), &0u32.to_ne_bytes()];
    for shape in [(1, 1025), (0, 32), (1, 0)] {
        assert_eq!(try_launch(add_function, shape, DEFAULT, &parameters), CUDA_ERROR_INVALID_VALUE);
    }
}

#[test]
fn the_device_says_what_it_is() {
    let _alone = alone();
    let mut name = [b'x'; 64];
    ok(cuDeviceGetName(Out::from(&mut name[..]), 64, 0));
    assert_eq!(&name[..NAME.len() + 1], [NAME.as_bytes(), &[0]].concat());
    let mut version = 0;
    ok(cuDriverGetVersion(Out::from(&mut version)));
    assert!(version >= 12_080);
    assert_eq!(cuDeviceGetName(Out::from(&mut name[..]), 64, 7), CUDA_ERROR_INVALID_DEVICE);
    let mut text = softcuda::driver::Name::NONE;
    ok(cuGetErrorName(719, Out::from(&mut text)));
    assert_eq!(text.text(), Some(c"CUDA_ERROR_LAUNCH_FAILED"));
    assert_eq!(cuGetErrorString(123_456, Out::from(&mut text)), CUDA_ERROR_INVALID_VALUE);
    assert_eq!(text.text(), None);
    // Whoever measures refuses it by this name.
    assert!(include_str!("../../../examples/report/src/lib.rs").contains(NAME));
}

#[test]
fn a_context_that_is_pushed_is_current_until_it_is_popped() {
    let _alone = alone();
    let (mut first, mut now) = (0, 0);
    ok(cuCtxGetCurrent(Out::from(&mut first)));
    ok(cuCtxPushCurrent_v2(first));
    ok(cuCtxSetCurrent(0));
    // What was set takes the place of what was pushed, and leaves what is below it.
    ok(cuCtxGetCurrent(Out::from(&mut now)));
    assert_eq!(now, first);
    ok(cuCtxPopCurrent_v2(Out::from(&mut now)));
    assert_eq!(now, first);
    ok(cuCtxGetCurrent(Out::from(&mut now)));
    assert_eq!(now, 0);
    assert_eq!(cuCtxPopCurrent_v2(Out::from(&mut now)), CUDA_ERROR_INVALID_CONTEXT);
    assert_eq!(cuCtxPushCurrent_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    ok(cuCtxPushCurrent_v2(first));
    ok(cuCtxPopCurrent_v2(Out::null()));
}

#[test]
fn null_pointers_wrong_handles_and_what_is_not_modelled_are_errors() {
    let _alone = alone();
    let add_function = function(module(), "add");
    let mut to = 0usize;
    let mut address = 0;
    assert_eq!(cuDeviceGetCount(Out::null()), CUDA_ERROR_INVALID_VALUE);
    assert_eq!(cuMemAlloc_v2(Out::null(), 8), CUDA_ERROR_INVALID_VALUE);
    assert_eq!(cuMemAllocAsync(Out::from(&mut address), 8, 99), CUDA_ERROR_INVALID_HANDLE);
    assert_eq!(cuMemAllocFromPoolAsync(Out::from(&mut address), 8, 99, 0), CUDA_ERROR_INVALID_HANDLE);
    assert_eq!(cuStreamSynchronize(2), CUDA_ERROR_NOT_SUPPORTED);
    assert_eq!(cuStreamCreate(Out::from(&mut to), 0), CUDA_ERROR_NOT_SUPPORTED);
    assert_eq!(cuEventCreate(Out::from(&mut to), 0), CUDA_ERROR_NOT_SUPPORTED);
    assert_eq!(cuMemHostAlloc(Out::from(&mut address), 8, 4), CUDA_ERROR_NOT_SUPPORTED);
    assert_eq!(cuCtxSetCurrent(99), CUDA_ERROR_INVALID_CONTEXT);
    assert_eq!(try_launch(99, (1, 1), DEFAULT, &[]), CUDA_ERROR_INVALID_HANDLE);
    let null = cuLaunchKernel(add_function, 1, 1, 1, 1, 1, 1, 0, 0, In::null(), In::null());
    assert_eq!(null, CUDA_ERROR_INVALID_VALUE);
    assert_eq!(write(0x1234_5678, &[1], DEFAULT), CUDA_ERROR_INVALID_VALUE);
    assert_eq!(read(0, 1, DEFAULT), Err(CUDA_ERROR_INVALID_VALUE));
    let mut function = 0;
    let missing = cuModuleGetFunction(Out::from(&mut function), module(), Text::from(c"subtract"));
    assert_eq!(missing, CUDA_ERROR_NOT_FOUND);
    ok(cuCtxSetCurrent(0));
    assert_eq!(cuMemAlloc_v2(Out::from(&mut address), 8), CUDA_ERROR_INVALID_CONTEXT);
}

#[test]
fn what_is_wrong_with_a_module_is_in_its_log() {
    let _alone = alone();
    let text =
        CString::new(PTX.replace("ld.global.u32 %r4, [%rd2]", "ld.global.u32 %r4, [%missing]")).unwrap();
    let mut log = [b'x'; 200];
    let (mut module, options) = (0, [5, 6]);
    let values = [log.as_mut_ptr().expose_provenance() as u64, log.len() as u64];
    let loaded = cuModuleLoadDataEx(
        Out::from(&mut module),
        Text::from(text.as_c_str()),
        2,
        In::from(&options[..]),
        In::from(&values[..]),
    );
    assert_eq!((loaded, module), (CUDA_ERROR_INVALID_PTX, 0));
    let said = std::ffi::CStr::from_bytes_until_nul(&log).unwrap().to_str().unwrap();
    assert!(said.contains("missing"), "{said}");
}
