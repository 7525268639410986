//! Contexts: the primary ones, one a device.

use crate::driver::raw::Out;
use crate::driver::streams::Stream;
use crate::driver::system::{self, call, call_in_context};
use cudarc::driver::sys::CUresult::{self, *};

/// Makes a context the thread's current one, in the place of the one that was; null takes that away.
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

/// Makes a context the thread's current one, and keeps the one that was below it.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPushCurrent_v2(context: usize) -> CUresult {
    call(|system| {
        system.lock().device_of(context).ok_or(CUDA_ERROR_INVALID_CONTEXT)?;
        system::push_current(context);
        Ok(())
    })
}

/// Takes the thread's current context away: the one below it is current again.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPopCurrent_v2(context: Out<usize>) -> CUresult {
    call(|_| {
        let popped = system::pop_current().ok_or(CUDA_ERROR_INVALID_CONTEXT)?;
        if context.is_null() { Ok(()) } else { context.put(popped) }
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
