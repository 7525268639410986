//! Names and texts of the errors that the functions return.

use cudarc::driver::sys::CUresult;
use std::ffi::CStr;

macro_rules! errors {
    ($($name:ident: $text:literal)*) => {
        const ERRORS: &[(CUresult, &str, &str)] = &[$((
            CUresult::$name,
            concat!(stringify!($name), "\0"),
            concat!($text, "\0"),
        )),*];
    };
}

errors! {
    CUDA_SUCCESS: "no error"
    CUDA_ERROR_INVALID_VALUE: "invalid argument"
    CUDA_ERROR_OUT_OF_MEMORY: "out of memory"
    CUDA_ERROR_NOT_INITIALIZED: "initialization error"
    CUDA_ERROR_DEINITIALIZED: "driver shutting down"
    CUDA_ERROR_INVALID_DEVICE: "invalid device ordinal"
    CUDA_ERROR_INVALID_IMAGE: "device kernel image is invalid"
    CUDA_ERROR_INVALID_CONTEXT: "invalid device context"
    CUDA_ERROR_INVALID_PTX: "a PTX JIT compilation failed"
    CUDA_ERROR_OPERATING_SYSTEM: "OS call failed or operation not supported on this OS"
    CUDA_ERROR_INVALID_HANDLE: "invalid resource handle"
    CUDA_ERROR_NOT_FOUND: "named symbol not found"
    CUDA_ERROR_NOT_READY: "device not ready"
    CUDA_ERROR_ILLEGAL_ADDRESS: "an illegal memory access was encountered"
    CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED: "peer access is already enabled"
    CUDA_ERROR_MISALIGNED_ADDRESS: "misaligned address"
    CUDA_ERROR_LAUNCH_FAILED: "unspecified launch failure"
    CUDA_ERROR_NOT_SUPPORTED: "operation not supported"
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: "operation not permitted when stream is capturing"
    CUDA_ERROR_UNKNOWN: "unknown error"
}

/// The name and the text of an error, by its number.
pub(crate) fn of(number: u32) -> Option<(&'static CStr, &'static CStr)> {
    let (_, name, text) = ERRORS.iter().find(|(error, ..)| *error as u32 == number)?;
    let text_of = |text: &'static str| CStr::from_bytes_with_nul(text.as_bytes()).ok();
    Some((text_of(name)?, text_of(text)?))
}
