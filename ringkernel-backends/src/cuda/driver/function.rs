//! Functions: how they are compiled and loaded, what they take, and their launch.

use super::check;
use super::context::Context;
use super::stream::Stream;
use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};
use std::ffi::{CStr, CString, c_void};

/// How much of a multiprocessor's memory is to be shared memory, in percent of the most it can be.
pub(super) const SHARED_PERCENT: i32 = 50;
/// What the system takes of it a block.
const SHARED_RESERVED: usize = 1024;

/// A kernel function of a module that is never unloaded.
#[derive(Clone, Copy, Debug)]
pub(in crate::cuda) struct Function {
    raw: sys::CUfunction,
}

// SAFETY: function handles may be used from any thread and live as long as their module: for ever.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    /// Compiles PTX and finds its entry. The error is the driver's log.
    ///
    /// Blocks while anything is resident: call it quiesced.
    pub(in crate::cuda) fn load(context: &Context, ptx: &str, entry: &CStr) -> Result<Self, String> {
        let _bound = context.bind().map_err(|e| e.to_string())?;
        let image = CString::new(ptx).map_err(|_| "the text holds a NUL".to_owned())?;
        let mut log = vec![0u8; 8192];
        let mut options = [
            sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
            sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void];
        let mut module = std::ptr::null_mut();
        // SAFETY: the image is NUL-terminated text; options and values are parallel arrays of two that outlive the call.
        let loaded = unsafe {
            sys::cuModuleLoadDataEx(
                &mut module,
                image.as_ptr().cast(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        if let Err(error) = check("cuModuleLoadDataEx", loaded.result()) {
            let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
            return Err(format!("{error}; {}", String::from_utf8_lossy(&log[..end]).trim()));
        }
        // SAFETY: the module was just loaded and is never unloaded.
        let raw =
            check("cuModuleGetFunction", unsafe { result::module::get_function(module, entry.to_owned()) })
                .map_err(|e| e.to_string())?;
        // One division between shared memory and L1 for all of ours: a multiprocessor with something resident can not change its own,
        // and a grid that wants another would be queued silently.
        let carveout = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
        // SAFETY: the function was just found.
        let set = unsafe { result::function::set_function_attribute(raw, carveout, SHARED_PERCENT) };
        check("cuFuncSetAttribute", set).map_err(|e| e.to_string())?;
        Ok(Self { raw })
    }

    /// How many blocks of `threads` with `shared` bytes of dynamic shared memory fit a multiprocessor.
    pub(in crate::cuda) fn blocks_per_multiprocessor(
        &self,
        context: &Context,
        threads: u32,
        shared: usize,
    ) -> Result<u32, DeviceError> {
        let _bound = context.bind()?;
        // SAFETY: the function lives for ever.
        let blocks = check("cuOccupancyMaxActiveBlocksPerMultiprocessor", unsafe {
            result::occupancy::max_active_block_per_multiprocessor(self.raw, threads as i32, shared)
        })?;
        // The occupancy is that of an empty multiprocessor, which may be set up for more shared memory than ours are.
        let fixed = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
        // SAFETY: as above.
        let fixed = check("cuFuncGetAttribute", unsafe {
            result::function::get_function_attribute(self.raw, fixed)
        })?;
        let block = fixed.max(0) as usize + shared + SHARED_RESERVED;
        Ok((blocks.max(0) as u32).min((context.shared_memory / block) as u32))
    }

    /// Launches `blocks` × `threads` with the two parameters of the resident entry.
    ///
    /// # Safety
    /// As [`launch_with_shared`](Self::launch_with_shared).
    pub(in crate::cuda) unsafe fn launch(
        &self,
        stream: &Stream,
        blocks: u32,
        threads: u32,
        shards: u64,
        count: u32,
    ) -> Result<(), DeviceError> {
        // SAFETY: the caller's contract.
        unsafe { self.launch_with_shared(stream, (blocks, threads, 0), shards, count) }
    }

    /// Launches blocks × threads with so many bytes of dynamic shared memory a block, with the two parameters of the resident entry.
    ///
    /// # Safety
    /// `shards` must be the device address of `count` shard parameter blocks (or `count` 0), all of whose addresses stay valid
    /// until the kernel has returned.
    pub(in crate::cuda) unsafe fn launch_with_shared(
        &self,
        stream: &Stream,
        (blocks, threads, shared): (u32, u32, usize),
        mut shards: u64,
        mut count: u32,
    ) -> Result<(), DeviceError> {
        let _bound = stream.context().bind()?;
        let mut parameters = [(&raw mut shards).cast::<c_void>(), (&raw mut count).cast::<c_void>()];
        // SAFETY: the parameters are the entry's, in order, and are copied before the call returns; the rest is the
        // caller's contract.
        check("cuLaunchKernel", unsafe {
            result::launch_kernel(
                self.raw,
                (blocks, 1, 1),
                (threads, 1, 1),
                shared as u32,
                stream.raw,
                &mut parameters,
            )
        })
    }
}
