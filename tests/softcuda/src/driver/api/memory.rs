//! Memory, and what moves it.

use crate::driver::raw::{self, Out};
use crate::driver::streams::{Operation, Transfer};
use crate::driver::system::{Handle, State, System, call_in_context};
use cudarc::driver::sys::CUresult::{self, *};
use cudarc::driver::sys::{CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE};
use std::sync::MutexGuard;

/// What device memory is aligned to.
pub(crate) const ALIGN: u64 = 512;
/// What pinned memory is aligned to.
const PAGE: u64 = 4096;

/// Takes device memory, which is usable at once.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) -> CUresult {
    call_in_context(|system, device, _state| {
        if bytes == 0 || address.is_null() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let taken = system.memory[device].take(bytes as u64, ALIGN, None).ok_or(CUDA_ERROR_OUT_OF_MEMORY)?;
        system.memory[device].open(taken);
        address.put(taken)
    })
}

/// Gives device memory back, once nothing runs.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> CUresult {
    call_in_context(|system, device, state| {
        if address == 0 {
            return Ok(());
        }
        if !system.memory[device].doom(address) {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let _state = system.idle(state, device, "cuMemFree");
        system.memory[device].give_back(address);
        Ok(())
    })
}

/// Gives device memory back at this place of the stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: usize) -> CUresult {
    call_in_context(|system, device, mut state| {
        if address == 0 {
            return Ok(());
        }
        let stream = not_captured(&state, state.stream(device, stream)?)?;
        if !system.memory[device].doom(address) {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        state.submit(system, stream, Operation::Close(address)).map(drop)
    })
}

/// Fails where what is submitted to the stream is captured.
pub(crate) fn not_captured(state: &State, stream: Handle) -> Result<Handle, CUresult> {
    match state.streams.get(&stream) {
        Some(known) if known.capture.is_none() => Ok(stream),
        Some(_) => Err(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
        None => Err(CUDA_ERROR_INVALID_HANDLE),
    }
}

/// Takes host memory that every device maps at its own address; the write-combined kind is not supported.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostAlloc(address: Out<u64>, bytes: usize, flags: u32) -> CUresult {
    call_in_context(|system, _, _state| {
        if bytes == 0 || address.is_null() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        if flags & !(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP) != 0 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let taken = system.pinned.take(bytes as u64, PAGE, None).ok_or(CUDA_ERROR_OUT_OF_MEMORY)?;
        system.pinned.open(taken);
        address.put(taken)
    })
}

/// Gives pinned memory back, once nothing runs on any device.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(address: u64) -> CUresult {
    call_in_context(|system, _, mut state| {
        if !system.pinned.doom(address) {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        for device in 0..system.memory.len() {
            state = system.idle(state, device, "cuMemFreeHost");
        }
        system.pinned.give_back(address);
        Ok(())
    })
}

/// Where a device sees pinned memory: where the host does.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostGetDevicePointer_v2(to: Out<u64>, address: u64, flags: u32) -> CUresult {
    call_in_context(|system, _, _state| {
        if flags != 0 || !system.is_pinned(address, 1) {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        to.put(address)
    })
}

/// How much device memory is free, and how much there is.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> CUresult {
    call_in_context(|system, device, _state| {
        let (used, all) = system.memory[device].usage();
        free.put((all - used) as usize)?;
        total.put(all as usize)
    })
}

/// Submits what moves bytes between the host and memory that the device has at `address`.
fn submit<'a>(
    system: &System,
    device: usize,
    mut state: MutexGuard<'a, State>,
    stream: usize,
    (address, bytes): (u64, usize),
    transfer: impl FnOnce() -> Transfer,
) -> Result<(MutexGuard<'a, State>, Handle, u64), CUresult> {
    let stream = not_captured(&state, state.stream(device, stream)?)?;
    if !system.memory[device].holds(address, bytes as u64) && !system.is_pinned(address, bytes as u64) {
        return Err(CUDA_ERROR_INVALID_VALUE);
    }
    let number = state.submit(system, stream, Operation::Transfer(transfer()))?;
    Ok((state, stream, number))
}

/// Copies to the device. What is not pinned is read before this returns, as a real driver does with what it stages.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) -> CUresult {
    call_in_context(|system, device, state| {
        if bytes == 0 {
            return Ok(());
        }
        if from == 0 {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let pinned = system.is_pinned(from, bytes as u64);
        let transfer = || match pinned {
            true => Transfer::ToDevice { to, from, bytes },
            false => Transfer::Store { to, data: raw::load(from, bytes) },
        };
        submit(system, device, state, stream, (to, bytes), transfer).map(drop)
    })
}

/// Copies from the device. To memory that is not pinned, this returns when it is there, as a real driver does.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) -> CUresult {
    call_in_context(|system, device, state| {
        if bytes == 0 {
            return Ok(());
        }
        if to == 0 {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let transfer = || Transfer::ToHost { to, from, bytes };
        let (state, stream, number) = submit(system, device, state, stream, (from, bytes), transfer)?;
        if system.is_pinned(to, bytes as u64) {
            return Ok(());
        }
        system.wait(state, device, |state| state.has_reached(stream, number))
    })
}

/// Fills memory with a byte.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(address: u64, byte: u8, bytes: usize, stream: usize) -> CUresult {
    call_in_context(|system, device, state| {
        if bytes == 0 {
            return Ok(());
        }
        let transfer = || Transfer::Fill { to: address, byte, bytes };
        submit(system, device, state, stream, (address, bytes), transfer).map(drop)
    })
}
