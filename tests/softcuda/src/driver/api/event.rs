//! Events: places in streams.

use crate::driver::raw::Out;
use crate::driver::streams::{Event, Mark, Operation};
use crate::driver::system::call_in_context;
use cudarc::driver::sys::CUevent_flags_enum::{CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING};
use cudarc::driver::sys::CUresult::{self, *};
use std::sync::Arc;

/// Makes an event, which must not ask for times: there are none.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventCreate(event: Out<usize>, flags: u32) -> CUresult {
    call_in_context(|_, device, mut state| {
        if flags & !(CU_EVENT_BLOCKING_SYNC as u32) != CU_EVENT_DISABLE_TIMING as u32 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let handle = state.new_handle();
        event.put(handle)?;
        state.events.insert(handle, Event { device, last: None });
        Ok(())
    })
}

/// Destroys an event; who waits for its place goes on waiting.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: usize) -> CUresult {
    call_in_context(|_, _, mut state| state.events.remove(&event).map(drop).ok_or(CUDA_ERROR_INVALID_HANDLE))
}

/// Gives the event a place: behind all that was submitted.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: usize, stream: usize) -> CUresult {
    call_in_context(|system, device, mut state| {
        let stream = state.stream(device, stream)?;
        let known = state.events.get(&event).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        if known.device != device {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        let mark = Arc::new(Mark::default());
        state.submit(system, stream, Operation::Record(mark.clone()))?;
        if let Some(event) = state.events.get_mut(&event) {
            event.last = Some(mark);
        }
        Ok(())
    })
}

/// Waits until the event's place is reached.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: usize) -> CUresult {
    call_in_context(|system, device, state| {
        if !state.events.contains_key(&event) {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        system.wait(state, device, |state| state.events.get(&event).is_none_or(Event::is_over))
    })
}
