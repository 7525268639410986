//! The least host that talks to the driver through its C functions.
#![allow(dead_code, reason = "each test program uses its own part")]

use cudarc::driver::sys::CUresult::{self, *};
use softcuda::driver::api::{context::*, device::*, event::*, launch::*, memory::*, module::*, stream::*};
use softcuda::driver::{In, Out, Text};
use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) const PTX: &str = include_str!("kernels.ptx");
/// Does not synchronise with the default stream.
pub(crate) const NON_BLOCKING: u32 = 1;
/// The default stream.
pub(crate) const DEFAULT: usize = 0;

#[track_caller]
pub(crate) fn ok(result: CUresult) {
    assert_eq!(result, CUDA_SUCCESS);
}

/// A device's context, current on this thread.
#[track_caller]
pub(crate) fn open(device: i32) -> usize {
    ok(cuInit(0));
    let mut context = 0;
    ok(cuDevicePrimaryCtxRetain(Out::from(&mut context), device));
    ok(cuCtxSetCurrent(context));
    context
}

#[track_caller]
pub(crate) fn module() -> usize {
    let text = CString::new(PTX).unwrap();
    let mut module = 0;
    ok(cuModuleLoadData(Out::from(&mut module), Text::from(text.as_c_str())));
    module
}

#[track_caller]
pub(crate) fn function(module: usize, name: &str) -> usize {
    let name = CString::new(name).unwrap();
    let mut function = 0;
    ok(cuModuleGetFunction(Out::from(&mut function), module, Text::from(name.as_c_str())));
    function
}

#[track_caller]
pub(crate) fn stream() -> usize {
    let mut stream = 0;
    ok(cuStreamCreate(Out::from(&mut stream), NON_BLOCKING));
    stream
}

#[track_caller]
pub(crate) fn event() -> usize {
    let mut event = 0;
    ok(cuEventCreate(Out::from(&mut event), 2));
    event
}

#[track_caller]
pub(crate) fn memory(bytes: usize) -> u64 {
    let mut address = 0;
    ok(cuMemAlloc_v2(Out::from(&mut address), bytes));
    address
}

/// Launches; parameters are given as their bytes.
pub(crate) fn try_launch(
    function: usize,
    (blocks, threads): (u32, u32),
    stream: usize,
    parameters: &[&[u8]],
) -> CUresult {
    let pointers: Vec<u64> =
        parameters.iter().map(|bytes| bytes.as_ptr().expose_provenance() as u64).collect();
    let parameters = In::from(pointers.as_slice());
    cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, In::null())
}

#[track_caller]
pub(crate) fn add(function: usize, stream: usize, (data, count): (u64, u32), by: u32) {
    let parameters = [&data.to_ne_bytes()[..], &count.to_ne_bytes(), &by.to_ne_bytes()];
    ok(try_launch(function, (count.div_ceil(64), 64), stream, &parameters));
}

pub(crate) fn write(to: u64, words: &[u32], stream: usize) -> CUresult {
    cuMemcpyHtoDAsync_v2(to, words.as_ptr().expose_provenance() as u64, size_of_val(words), stream)
}

pub(crate) fn read(from: u64, count: usize, stream: usize) -> Result<Vec<u32>, CUresult> {
    let mut words = vec![0u32; count];
    match cuMemcpyDtoHAsync_v2(words.as_mut_ptr().expose_provenance() as u64, from, 4 * count, stream) {
        CUDA_SUCCESS => Ok(words),
        failure => Err(failure),
    }
}

/// A kernel that stays until it is told to go: two words of pinned memory.
pub(crate) struct Stay {
    pub(crate) words: &'static [AtomicU32],
    pub(crate) stream: usize,
}

impl Stay {
    #[track_caller]
    pub(crate) fn launch(function: usize, stream: usize) -> Self {
        let (words, address) = pinned();
        ok(try_launch(function, (1, 32), stream, &[&address.to_ne_bytes()]));
        Self { words, stream }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.words[1].load(Ordering::Relaxed) == 1
    }

    #[track_caller]
    pub(crate) fn wait_until_it_has_begun(&self) {
        until("a kernel does not begin", || self.has_begun());
    }

    pub(crate) fn tell_to_go(&self) {
        self.words[0].store(1, Ordering::Relaxed);
    }
}

/// Two words of zeroed pinned memory, and where devices see them.
#[track_caller]
#[allow(unsafe_code)]
pub(crate) fn pinned() -> (&'static [AtomicU32], u64) {
    let mut address = 0;
    ok(cuMemHostAlloc(Out::from(&mut address), 8, 3));
    let first = std::ptr::with_exposed_provenance::<AtomicU32>(address as usize);
    // SAFETY: two words of memory that is never given back, and that host and kernels reach by atomics only.
    let words = unsafe { std::slice::from_raw_parts(first, 2) };
    words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    (words, address)
}

#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
