//! The CUDA driver, as much of it as the device needs, behind types that own what they hold.
//!
//! All `unsafe` of the CUDA device that talks to the driver is here, but for the baselines'. Three rules shape it: nothing here calls what waits for the
//! whole device (`cuMemFree`, `cuMemFreeHost`, `cuModuleUnload`, `cuCtxSynchronize`) while a kernel is resident, and modules are loaded under
//! [`super::registry::Registry::quiesced`] (both were measured); and every call that needs a current context is made behind
//! [`Context::bind`], whose guard gives the thread back the one it had: threads are the user's, who may have contexts of his own.
//!
//! Start with `context`; then `stream`, `memory` (of the device), `pinned` (of the host) and `function`.

mod context;
mod function;
mod memory;
mod pinned;
mod stream;

pub(super) use context::Context;
pub(super) use function::Function;
pub(super) use memory::{DeviceMemory, MemoryPool};
pub(super) use pinned::{Pinned, PinnedArena};
pub(super) use stream::{LentStream, Stream, StreamPool};

use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};

/// Turns a driver result into our error, naming the call.
pub(super) fn check<T>(
    call: &'static str,
    outcome: Result<T, result::DriverError>,
) -> Result<T, DeviceError> {
    outcome.map_err(|error| {
        use sys::CUresult::*;
        let name = error.error_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let text = error.error_string().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let reason = format!("{name}: {text}");
        match error.0 {
            CUDA_ERROR_OUT_OF_MEMORY => DeviceError::OutOfMemory { bytes: 0, what: call.to_owned() },
            // These leave the context unusable for good.
            CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_MISALIGNED_ADDRESS
            | CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_ASSERT
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_DEINITIALIZED
            | CUDA_ERROR_UNKNOWN => DeviceError::Lost { reason: format!("{call}: {reason}") },
            _ => DeviceError::Driver { call, reason },
        }
    })
}
