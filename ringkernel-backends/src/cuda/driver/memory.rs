//! Device memory, from a pool of our own.

use super::check;
use super::context::Context;
use super::stream::Stream;
use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};
use std::sync::Arc;

/// The stream-ordered allocator of one device, and the stream that orders it.
///
/// A pool of our own that keeps what it has: the default pool belongs to everybody in the process, and giving memory back to
/// the system at a synchronise would wait for resident kernels.
#[derive(Debug)]
pub(in crate::cuda) struct MemoryPool {
    context: Arc<Context>,
    pub(super) raw: sys::CUmemoryPool,
    stream: Stream,
}

// SAFETY: pool handles may be used from any thread; the driver does its own locking.
unsafe impl Send for MemoryPool {}
// SAFETY: as above.
unsafe impl Sync for MemoryPool {}

impl MemoryPool {
    /// A pool on device `ordinal`, for the life of the process.
    pub(in crate::cuda) fn new(context: &Arc<Context>, ordinal: usize) -> Result<Arc<Self>, DeviceError> {
        let stream = Stream::new(context)?;
        let _bound = context.bind()?;
        // SAFETY: all-zero is a valid value of this C struct of integers, pointers and an enum whose 0 is "none".
        let mut properties: sys::CUmemPoolProps = unsafe { std::mem::zeroed() };
        properties.allocType = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
        properties.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        properties.location.id = ordinal as i32;
        // SAFETY: the properties are valid for the call.
        let raw = check("cuMemPoolCreate", unsafe { result::mem_pool::create(&properties) })?;
        let mut keep = u64::MAX;
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the attribute is a u64.
        check("cuMemPoolSetAttribute", unsafe {
            result::mem_pool::set_attribute(raw, threshold, (&raw mut keep).cast())
        })?;
        Ok(Arc::new(Self { context: context.clone(), raw, stream }))
    }
}

/// Device memory from the stream-ordered allocator: neither taking nor giving it back waits for the device.
#[derive(Debug)]
pub(in crate::cuda) struct DeviceMemory {
    pub(in crate::cuda) address: u64,
    bytes: usize,
    pool: Arc<MemoryPool>,
}

impl DeviceMemory {
    /// At least one byte of zeroed memory; usable when this returns.
    pub(in crate::cuda) fn zeroed(
        pool: &Arc<MemoryPool>,
        bytes: usize,
        what: &str,
    ) -> Result<Self, DeviceError> {
        let _bound = pool.context.bind()?;
        let bytes = bytes.max(1);
        let stream = &pool.stream;
        // SAFETY: pool and stream are alive; the memory is only used after the synchronise below.
        let taken = unsafe { result::mem_pool::alloc_async(pool.raw, bytes, stream.raw) };
        let taken = check("cuMemAllocFromPoolAsync", taken);
        let address = taken.map_err(|error| match error {
            DeviceError::OutOfMemory { .. } => {
                DeviceError::OutOfMemory { bytes: bytes as u64, what: what.to_owned() }
            }
            other => other,
        })?;
        let memory = Self { address, bytes, pool: pool.clone() };
        // SAFETY: `address` is `bytes` long.
        check("cuMemsetD8Async", unsafe { result::memset_d8_async(address, 0, bytes, stream.raw) })?;
        stream.synchronize()?;
        Ok(memory)
    }

    /// Copies `data` to `offset`; returns when it is there.
    pub(in crate::cuda) fn write(&self, offset: usize, data: &[u8]) -> Result<(), DeviceError> {
        assert!(offset.checked_add(data.len()).is_some_and(|end| end <= self.bytes));
        let _bound = self.pool.context.bind()?;
        let to = self.address + offset as u64;
        // SAFETY: in bounds (asserted), and `data` outlives the copy because of the synchronise.
        check("cuMemcpyHtoDAsync", unsafe { result::memcpy_htod_async(to, data, self.pool.stream.raw) })?;
        self.pool.stream.synchronize()
    }

    /// Copies from `offset`; returns when it is here.
    pub(in crate::cuda) fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), DeviceError> {
        assert!(offset.checked_add(out.len()).is_some_and(|end| end <= self.bytes));
        let _bound = self.pool.context.bind()?;
        let from = self.address + offset as u64;
        // SAFETY: in bounds (asserted), and `out` outlives the copy because of the synchronise.
        check("cuMemcpyDtoHAsync", unsafe { result::memcpy_dtoh_async(out, from, self.pool.stream.raw) })?;
        self.pool.stream.synchronize()
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if let Ok(_bound) = self.pool.context.bind() {
            // SAFETY: allocated by `zeroed`, freed once. Owners drop it only when no kernel uses it any more.
            let _ = unsafe { result::free_async(self.address, self.pool.stream.raw) };
        }
    }
}
