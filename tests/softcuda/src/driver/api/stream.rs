//! Streams.

use crate::driver::raw::Out;
use crate::driver::streams::{Graph, Operation, Stream};
use crate::driver::system::call_in_context;
use cudarc::driver::sys::CUresult::{self, *};
use cudarc::driver::sys::{CUstream_flags_enum, CUstreamCaptureMode_enum};

/// Makes a stream that does not synchronise with the default one; others are not supported.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamCreate(stream: Out<usize>, flags: u32) -> CUresult {
    call_in_context(|system, device, state| {
        if flags != CUstream_flags_enum::CU_STREAM_NON_BLOCKING as u32 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let mut state = system.idle(state, device, "cuStreamCreate");
        let handle = state.new_handle();
        stream.put(handle)?;
        state.streams.insert(handle, Stream::new(device));
        Ok(())
    })
}

/// Destroys a stream once its work is done, without waiting for it.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: usize) -> CUresult {
    call_in_context(|_, device, mut state| {
        if stream < 3 {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        let handle = state.stream(device, stream)?;
        if let Some(stream) = state.streams.get_mut(&handle) {
            stream.doomed = true;
            if stream.is_idle() {
                state.streams.remove(&handle);
            }
        }
        Ok(())
    })
}

/// Whether all that was submitted is over.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: usize) -> CUresult {
    call_in_context(|_, device, state| {
        let stream = state.stream(device, stream)?;
        match state.streams.get(&stream) {
            Some(stream) if stream.capture.is_some() => Err(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
            Some(stream) if !stream.is_idle() => Err(CUDA_ERROR_NOT_READY),
            _ => Ok(()),
        }
    })
}

/// Waits until all that was submitted is over.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: usize) -> CUresult {
    call_in_context(|system, device, state| {
        let handle = state.stream(device, stream)?;
        let stream = state.streams.get(&handle).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        if stream.capture.is_some() {
            return Err(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        let last = stream.last();
        system.wait(state, device, |state| state.has_reached(handle, last))
    })
}

/// Has the stream wait for an event's place, as it is now.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: usize, event: usize, flags: u32) -> CUresult {
    call_in_context(|system, device, mut state| {
        if flags != 0 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let stream = state.stream(device, stream)?;
        let event = state.events.get(&event).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        match event.last.clone() {
            Some(mark) => state.submit(system, stream, Operation::Wait(mark)).map(drop),
            None => Ok(()),
        }
    })
}

/// Writes down what is submitted from now on: launches only. Of the modes, the thread-local one; what it forbids the thread besides is not
/// looked at.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: usize, mode: u32) -> CUresult {
    call_in_context(|_, device, mut state| {
        if mode != CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as u32 || stream < 3 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let handle = state.stream(device, stream)?;
        let stream = state.streams.get_mut(&handle).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        if stream.capture.is_some() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        stream.capture = Some(Vec::new());
        Ok(())
    })
}

/// What was written down.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamEndCapture(stream: usize, graph: Out<usize>) -> CUresult {
    call_in_context(|_, device, mut state| {
        let handle = state.stream(device, stream)?;
        let stream = state.streams.get_mut(&handle).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        let nodes = stream.capture.take().ok_or(CUDA_ERROR_INVALID_VALUE)?;
        let handle = state.new_handle();
        graph.put(handle)?;
        state.graphs.insert(handle, Graph { device, nodes, launched: false });
        Ok(())
    })
}
