//! The library and its devices.

use crate::driver::device;
use crate::driver::names;
use crate::driver::raw::{Name, Out};
use crate::driver::system::{System, call, start};
use cudarc::driver::sys::CUresult::{self, *};
use std::ffi::CStr;

/// Starts the driver.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: u32) -> CUresult {
    if flags != 0 {
        return CUDA_ERROR_INVALID_VALUE;
    }
    start().err().unwrap_or(CUDA_SUCCESS)
}

fn answer(result: Result<(), CUresult>) -> CUresult {
    result.err().unwrap_or(CUDA_SUCCESS)
}

/// The CUDA version that the driver speaks.
#[unsafe(no_mangle)]
pub extern "C" fn cuDriverGetVersion(version: Out<i32>) -> CUresult {
    answer(version.put(device::DRIVER_VERSION))
}

/// An error's name.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(error: u32, name: Out<Name>) -> CUresult {
    error_text(error, name, |(name, _)| name)
}

/// What an error means.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(error: u32, text: Out<Name>) -> CUresult {
    error_text(error, text, |(_, text)| text)
}

fn error_text(
    error: u32,
    to: Out<Name>,
    which: impl FnOnce((&'static CStr, &'static CStr)) -> &'static CStr,
) -> CUresult {
    match names::of(error) {
        Some(texts) => answer(to.put(Name::of(which(texts)))),
        None => answer(to.put(Name::NONE).and(Err(CUDA_ERROR_INVALID_VALUE))),
    }
}

/// The device of that number.
fn known(system: &System, device: i32) -> Result<usize, CUresult> {
    let device = usize::try_from(device).map_err(|_| CUDA_ERROR_INVALID_DEVICE)?;
    if device < system.memory.len() { Ok(device) } else { Err(CUDA_ERROR_INVALID_DEVICE) }
}

/// How many devices there are.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetCount(count: Out<i32>) -> CUresult {
    call(|system| count.put(system.memory.len() as i32))
}

/// A device by its number.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGet(to: Out<i32>, ordinal: i32) -> CUresult {
    call(|system| to.put(known(system, ordinal)? as i32))
}

/// A device's name.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetName(name: Out<u8>, length: i32, device: i32) -> CUresult {
    call(|system| {
        known(system, device)?;
        let room = usize::try_from(length).ok().filter(|room| *room > 0).ok_or(CUDA_ERROR_INVALID_VALUE)?;
        let mut text = device::NAME.as_bytes()[..device::NAME.len().min(room - 1)].to_vec();
        text.push(0);
        name.put_all(&text)
    })
}

/// A device's attribute; `CUDA_ERROR_NOT_SUPPORTED` for those that nobody has asked for yet.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetAttribute(value: Out<i32>, attribute: u32, device: i32) -> CUresult {
    call(|system| {
        known(system, device)?;
        value.put(device::attribute(attribute).ok_or(CUDA_ERROR_NOT_SUPPORTED)?)
    })
}

/// What a device can do with another's memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetP2PAttribute(value: Out<i32>, attribute: u32, from: i32, to: i32) -> CUresult {
    call(|system| {
        if known(system, from)? == known(system, to)? {
            return Err(CUDA_ERROR_INVALID_DEVICE);
        }
        value.put(device::between(attribute).ok_or(CUDA_ERROR_NOT_SUPPORTED)?)
    })
}

/// How a primary context is to be made; `CU_CTX_SCHED_…` and `CU_CTX_LMEM_RESIZE_TO_MAX`, none of which changes anything here.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) -> CUresult {
    use cudarc::driver::sys::CUctx_flags_enum::{CU_CTX_LMEM_RESIZE_TO_MAX, CU_CTX_SCHED_MASK};
    call(|system| {
        known(system, device)?;
        let known = CU_CTX_LMEM_RESIZE_TO_MAX as u32 | CU_CTX_SCHED_MASK as u32;
        if flags & !known == 0 { Ok(()) } else { Err(CUDA_ERROR_NOT_SUPPORTED) }
    })
}

/// A device's primary context, which is made if it is not there.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRetain(context: Out<usize>, device: i32) -> CUresult {
    call(|system| {
        let device = known(system, device)?;
        if context.is_null() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let handle = system.lock().retain(device);
        context.put(handle)
    })
}

/// Lets a primary context go; the last one to do so waits for the device.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> CUresult {
    call(|system| {
        let device = known(system, device)?;
        let mut state = system.lock();
        match state.contexts[device].retained {
            0 => return Err(CUDA_ERROR_INVALID_CONTEXT),
            1 => {
                state = system.idle(state, device, "the last cuDevicePrimaryCtxRelease");
                state.end_context(system, device);
            }
            _ => state.contexts[device].retained -= 1,
        }
        Ok(())
    })
}
