//! Contexts: the primary ones, one a device.

use crate::driver::raw::Out;
use crate::driver::streams::Stream;
use crate::driver::system::{self, call, call_in_context};
use cudarc::driver::sys::CUresult::{self, *};

/// Makes a context the thread's current one; null for none.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: usize) -> CUresult {
    call(|system| {
        if context != 0 && system.lock().device_of(context).is_none() {
            return Err(CUDA_ERROR_INVALID_CONTEXT);
        }
        system::set_current(context);
        Ok(())
    })
}

/// The thread's current context.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetCurrent(context: Out<usize>) -> CUresult {
    call(|_| context.put(system::current()))
}

/// Waits for all of the context's work.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> CUresult {
    call_in_context(|system, device, state| {
        let state = system.idle(state, device, "cuCtxSynchronize");
        system.wait(state, device, |state| {
            state.streams.values().filter(|stream| stream.device == device).all(Stream::is_idle)
        })
    })
}

/// Lets kernels of the current context reach what `cuMemAlloc` gave out in the other.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxEnablePeerAccess(peer: usize, flags: u32) -> CUresult {
    call_in_context(|system, device, mut state| {
        let other = state.device_of(peer).ok_or(CUDA_ERROR_INVALID_CONTEXT)?;
        if flags != 0 {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        if other == device {
            return Err(CUDA_ERROR_INVALID_DEVICE);
        }
        if state.contexts[device].reaches {
            return Err(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
        }
        for waited_for in [device, other] {
            state = system.idle(state, waited_for, "cuCtxEnablePeerAccess");
        }
        state.contexts[device].reaches = true;
        system.memory[other].share(None, true);
        Ok(())
    })
}
