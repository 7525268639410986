//! Pinned memory of the host, which the device maps.

use super::check;
use super::context::Context;
use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Pinned host memory that the device maps, zeroed when taken.
///
/// Given back to a list when dropped, for the next kernel: `cuMemFreeHost` would wait for every resident kernel.
#[derive(Debug)]
pub(in crate::cuda) struct Pinned {
    host: NonNull<u8>,
    device: u64,
    bytes: usize,
    home: Arc<PinnedArena>,
}

// SAFETY: plain memory; who accesses it how is decided by its users, who use atomics.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

/// Blocks of pinned memory waiting to be used again.
#[derive(Debug)]
pub(in crate::cuda) struct PinnedArena {
    context: Arc<Context>,
    free: Mutex<Vec<(NonNull<u8>, u64, usize)>>,
}

// SAFETY: the pointers are to pinned memory that nobody uses while it is in the list.
unsafe impl Send for PinnedArena {}
// SAFETY: as above; the list is behind a lock.
unsafe impl Sync for PinnedArena {}

impl PinnedArena {
    pub(in crate::cuda) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self { context, free: Mutex::default() })
    }

    /// At least `bytes` of zeroed memory, aligned to a page.
    pub(in crate::cuda) fn take(self: &Arc<Self>, bytes: usize) -> Result<Pinned, DeviceError> {
        // Power-of-two classes keep the list useful when kernels of different sizes come and go.
        let bytes = bytes.next_power_of_two().max(4096);
        let again = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.iter().position(|block| block.2 == bytes).map(|i| free.swap_remove(i))
        };
        let (host, device) = match again {
            Some((host, device, _)) => (host, device),
            None => self.allocate(bytes)?,
        };
        // SAFETY: `bytes` of memory that nobody else uses.
        unsafe { host.as_ptr().write_bytes(0, bytes) };
        Ok(Pinned { host, device, bytes, home: self.clone() })
    }

    fn allocate(&self, bytes: usize) -> Result<(NonNull<u8>, u64), DeviceError> {
        let _bound = self.context.bind()?;
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE | sys::CU_MEMHOSTALLOC_DEVICEMAP;
        // SAFETY: allocates fresh memory.
        let host =
            check("cuMemHostAlloc", unsafe { result::malloc_host(bytes, flags) }).map_err(|e| match e {
                DeviceError::OutOfMemory { .. } => {
                    DeviceError::OutOfMemory { bytes: bytes as u64, what: "pinned rings".into() }
                }
                other => other,
            })?;
        let mut device = 0;
        // SAFETY: `host` was just allocated with DEVICEMAP.
        check("cuMemHostGetDevicePointer", unsafe {
            sys::cuMemHostGetDevicePointer_v2(&mut device, host, 0).result()
        })?;
        let host = NonNull::new(host.cast::<u8>())
            .ok_or(DeviceError::Driver { call: "cuMemHostAlloc", reason: "returned null".into() })?;
        Ok((host, device))
    }
}

impl Pinned {
    /// Host address of byte `offset`.
    pub(in crate::cuda) fn host(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes);
        // SAFETY: in bounds (asserted).
        unsafe { self.host.as_ptr().add(offset) }
    }

    /// Device address of byte `offset`.
    pub(in crate::cuda) fn device(&self, offset: usize) -> u64 {
        assert!(offset < self.bytes);
        self.device + offset as u64
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push((self.host, self.device, self.bytes));
    }
}
