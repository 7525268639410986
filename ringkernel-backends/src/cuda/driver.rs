//! The CUDA driver, as much of it as the device needs, behind types that own what they hold.
//!
//! All `unsafe` of the CUDA device that talks to the driver is here. Two rules shape it (they were measured): nothing here
//! calls what waits for the whole device (`cuMemFree`, `cuMemFreeHost`, `cuModuleUnload`, `cuCtxSynchronize`) while a kernel is
//! resident, and modules are loaded under [`super::registry::Registry::quiesced`].

use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};
use std::ffi::{CStr, CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

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

/// A device's primary context, retained for the life of the process.
#[derive(Debug)]
pub(super) struct Context {
    raw: sys::CUcontext,
    device: sys::CUdevice,
    /// The driver's number of the device.
    pub(super) ordinal: usize,
    /// "NVIDIA H200".
    pub(super) name: String,
    /// Compute capability, 90 for 9.0.
    pub(super) cc: u32,
    /// Multiprocessors.
    pub(super) multiprocessors: u32,
    /// Bytes of shared memory of a multiprocessor that is set up as our functions ask.
    pub(super) shared_memory: usize,
    /// Whether the system may kill a kernel that runs for seconds: a display's watchdog, or Windows behind WSL.
    pub(super) watchdog: bool,
    /// The driver's CUDA version, 13000 for 13.0.
    pub(super) driver_version: i32,
}

// SAFETY: a context handle may be used from any thread; `bind` makes it current on the calling one before every use.
unsafe impl Send for Context {}
// SAFETY: as above; the driver does its own locking.
unsafe impl Sync for Context {}

impl Context {
    /// Opens device `ordinal`, or says why there is none.
    pub(super) fn open(ordinal: usize) -> Result<Self, DeviceError> {
        let unavailable = |reason: String| DeviceError::Unavailable { backend: "CUDA", reason };
        // SAFETY: only asks whether the library can be opened.
        if !unsafe { sys::is_culib_present() } {
            return Err(unavailable("libcuda (the NVIDIA driver) was not found".into()));
        }
        // cudarc panics on a driver that lacks a symbol; an old driver must be an error, not a crash.
        catch_unwind(AssertUnwindSafe(|| Self::open_present(ordinal)))
            .unwrap_or_else(|_| Err(unavailable("the NVIDIA driver is too old".into())))
    }

    fn open_present(ordinal: usize) -> Result<Self, DeviceError> {
        let unavailable = |reason: String| DeviceError::Unavailable { backend: "CUDA", reason };
        check("cuInit", result::init()).map_err(|e| unavailable(e.to_string()))?;
        let count = check("cuDeviceGetCount", result::device::get_count())?;
        if ordinal >= count.max(0) as usize {
            return Err(unavailable(format!("device {ordinal} was asked for, {count} present")));
        }
        let device = check("cuDeviceGet", result::device::get(ordinal as i32))?;
        use sys::CUdevice_attribute_enum as A;
        let attribute = |which| {
            // SAFETY: `device` came from the driver.
            check("cuDeviceGetAttribute", unsafe { result::device::get_attribute(device, which) })
        };
        let cc = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32 * 10
            + attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32;
        let name = check("cuDeviceGetName", result::device::get_name(device))?;
        if cc < super::link::OLDEST_TARGET {
            return Err(unavailable(format!(
                "{name} has compute capability {}.{}, 7.0 is needed",
                cc / 10,
                cc % 10
            )));
        }
        if attribute(A::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)? == 0 {
            return Err(unavailable(format!("{name} has no stream-ordered allocation (memory pools)")));
        }
        let mut driver_version = 0;
        // SAFETY: writes one int.
        check("cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&mut driver_version) }.result())?;
        if driver_version < 12040 {
            return Err(unavailable(format!(
                "the driver speaks CUDA {}.{}, 12.4 is needed (128-bit system-scope accesses, PTX 8.4)",
                driver_version / 1000,
                driver_version % 1000 / 10
            )));
        }
        let multiprocessors = attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32;
        let most = attribute(A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?.max(0) as usize;
        let shared_memory = most * SHARED_PERCENT as usize / 100;
        let wsl =
            std::fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|r| r.contains("microsoft"));
        let watchdog = wsl || attribute(A::CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT)? != 0;
        // A kernel that needs more memory for its threads than those before would wait until they have returned, were that memory given back after
        // each launch. A context that somebody else has made already may refuse, and keeps its flags.
        let keep = sys::CUctx_flags_enum::CU_CTX_LMEM_RESIZE_TO_MAX as u32;
        // SAFETY: `device` came from the driver.
        let _ = unsafe { sys::cuDevicePrimaryCtxSetFlags_v2(device, keep) };
        // SAFETY: `device` came from the driver.
        let raw = check("cuDevicePrimaryCtxRetain", unsafe { result::primary_ctx::retain(device) })?;
        let context =
            Self { raw, device, ordinal, name, cc, multiprocessors, shared_memory, watchdog, driver_version };
        context.bind()?;
        Ok(context)
    }

    /// Whether code here can write to the other device's memory and count in it, as it does in its own.
    pub(super) fn can_reach(&self, other: &Self) -> Result<bool, DeviceError> {
        use sys::CUdevice_P2PAttribute_enum as P;
        let mut all = true;
        for which in
            [P::CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, P::CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED]
        {
            let mut value = 0;
            // SAFETY: writes one int; both devices came from the driver.
            let asked = unsafe { sys::cuDeviceGetP2PAttribute(&mut value, which, self.device, other.device) };
            check("cuDeviceGetP2PAttribute", asked.result())?;
            all &= value != 0;
        }
        Ok(all)
    }

    /// Lets code here reach a pool of the other device. May wait for both devices: call it quiesced on both.
    pub(super) fn reach(&self, other: &Self, pool: &MemoryPool) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the other context is retained for the life of the process.
        match unsafe { sys::cuCtxEnablePeerAccess(other.raw, 0) } {
            sys::CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED => {}
            result => check("cuCtxEnablePeerAccess", result.result())?,
        }
        // SAFETY: all-zero is a valid value of this C struct of integers and enums whose 0 is "none".
        let mut access: sys::CUmemAccessDesc = unsafe { std::mem::zeroed() };
        access.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        access.location.id = self.ordinal as i32;
        access.flags = sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
        // SAFETY: the pool lives for the process, and one description is given.
        check("cuMemPoolSetAccess", unsafe { sys::cuMemPoolSetAccess(pool.raw, &access, 1) }.result())
    }

    /// Makes the context current on this thread.
    pub(super) fn bind(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained for the life of the process.
        check("cuCtxSetCurrent", unsafe { result::ctx::set_current(self.raw) })
    }
}

/// A stream that does not synchronise with the legacy default stream. It lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub(super) raw: sys::CUstream,
}

// SAFETY: streams may be used from any thread; the driver does its own locking.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(super) fn new(context: &Context) -> Result<Self, DeviceError> {
        context.bind()?;
        let raw = check("cuStreamCreate", result::stream::create(result::stream::StreamKind::NonBlocking))?;
        Ok(Self { raw })
    }

    /// Whether everything submitted has finished.
    pub(super) fn is_idle(&self) -> Result<bool, DeviceError> {
        // SAFETY: the stream lives as long as `self`.
        match unsafe { sys::cuStreamQuery(self.raw) } {
            sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            other => check("cuStreamQuery", other.result()).map(|()| true),
        }
    }

    /// Waits until everything submitted has finished. Only for streams that no resident kernel runs on.
    pub(super) fn synchronize(&self) -> Result<(), DeviceError> {
        // SAFETY: the stream lives as long as `self`.
        check("cuStreamSynchronize", unsafe { result::stream::synchronize(self.raw) })
    }
}

/// Streams made before anything is resident, for as many kernels as can be resident.
///
/// Making a stream beside resident kernels looks harmless and is, until the driver wants a new channel for it: measured on an
/// H200, the 35th `cuStreamCreate` of a process waited for the device for ever. Streams are never destroyed.
#[derive(Debug)]
pub(super) struct StreamPool {
    free: Mutex<Vec<Stream>>,
}

/// A stream lent by a [`StreamPool`]; the pool has it back when this is dropped.
#[derive(Debug)]
pub(super) struct LentStream {
    stream: Stream,
    home: Arc<StreamPool>,
}

impl StreamPool {
    /// `count` streams.
    pub(super) fn new(context: &Context, count: usize) -> Result<Arc<Self>, DeviceError> {
        let free = (0..count).map(|_| Stream::new(context)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { free: Mutex::new(free) }))
    }

    /// Takes one, if one is left.
    pub(super) fn take(self: &Arc<Self>) -> Option<LentStream> {
        let stream = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(LentStream { stream, home: self.clone() })
    }
}

impl std::ops::Deref for LentStream {
    type Target = Stream;
    fn deref(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for LentStream {
    fn drop(&mut self) {
        self.home.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.stream);
    }
}

/// The stream-ordered allocator of one device, and the stream that orders it.
///
/// A pool of our own that keeps what it has: the default pool belongs to everybody in the process, and giving memory back to
/// the system at a synchronise would wait for resident kernels.
#[derive(Debug)]
pub(super) struct MemoryPool {
    context: Arc<Context>,
    raw: sys::CUmemoryPool,
    stream: Stream,
}

// SAFETY: pool handles may be used from any thread; the driver does its own locking.
unsafe impl Send for MemoryPool {}
// SAFETY: as above.
unsafe impl Sync for MemoryPool {}

impl MemoryPool {
    /// A pool on device `ordinal`, for the life of the process.
    pub(super) fn new(context: &Arc<Context>, ordinal: usize) -> Result<Arc<Self>, DeviceError> {
        let stream = Stream::new(context)?;
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
pub(super) struct DeviceMemory {
    pub(super) address: u64,
    bytes: usize,
    pool: Arc<MemoryPool>,
}

impl DeviceMemory {
    /// At least one byte of zeroed memory; usable when this returns.
    pub(super) fn zeroed(pool: &Arc<MemoryPool>, bytes: usize, what: &str) -> Result<Self, DeviceError> {
        pool.context.bind()?;
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
    pub(super) fn write(&self, offset: usize, data: &[u8]) -> Result<(), DeviceError> {
        assert!(offset.checked_add(data.len()).is_some_and(|end| end <= self.bytes));
        self.pool.context.bind()?;
        let to = self.address + offset as u64;
        // SAFETY: in bounds (asserted), and `data` outlives the copy because of the synchronise.
        check("cuMemcpyHtoDAsync", unsafe { result::memcpy_htod_async(to, data, self.pool.stream.raw) })?;
        self.pool.stream.synchronize()
    }

    /// Copies from `offset`; returns when it is here.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), DeviceError> {
        assert!(offset.checked_add(out.len()).is_some_and(|end| end <= self.bytes));
        self.pool.context.bind()?;
        let from = self.address + offset as u64;
        // SAFETY: in bounds (asserted), and `out` outlives the copy because of the synchronise.
        check("cuMemcpyDtoHAsync", unsafe { result::memcpy_dtoh_async(out, from, self.pool.stream.raw) })?;
        self.pool.stream.synchronize()
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if self.pool.context.bind().is_ok() {
            // SAFETY: allocated by `zeroed`, freed once. Owners drop it only when no kernel uses it any more.
            let _ = unsafe { result::free_async(self.address, self.pool.stream.raw) };
        }
    }
}

/// Pinned host memory that the device maps, zeroed when taken.
///
/// Given back to a list when dropped, for the next kernel: `cuMemFreeHost` would wait for every resident kernel.
#[derive(Debug)]
pub(super) struct Pinned {
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
pub(super) struct PinnedArena {
    context: Arc<Context>,
    free: Mutex<Vec<(NonNull<u8>, u64, usize)>>,
}

// SAFETY: the pointers are to pinned memory that nobody uses while it is in the list.
unsafe impl Send for PinnedArena {}
// SAFETY: as above; the list is behind a lock.
unsafe impl Sync for PinnedArena {}

impl PinnedArena {
    pub(super) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self { context, free: Mutex::default() })
    }

    /// At least `bytes` of zeroed memory, aligned to a page.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Pinned, DeviceError> {
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
        self.context.bind()?;
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
    pub(super) fn host(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes);
        // SAFETY: in bounds (asserted).
        unsafe { self.host.as_ptr().add(offset) }
    }

    /// Device address of byte `offset`.
    pub(super) fn device(&self, offset: usize) -> u64 {
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

/// How much of a multiprocessor's memory is to be shared memory, in percent of the most it can be.
const SHARED_PERCENT: i32 = 50;
/// What the system takes of it a block.
const SHARED_RESERVED: usize = 1024;

/// A kernel function of a module that is never unloaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
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
    pub(super) fn load(context: &Context, ptx: &str, entry: &CStr) -> Result<Self, String> {
        context.bind().map_err(|e| e.to_string())?;
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
    pub(super) fn blocks_per_multiprocessor(
        &self,
        context: &Context,
        threads: u32,
        shared: usize,
    ) -> Result<u32, DeviceError> {
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
    pub(super) unsafe fn launch(
        &self,
        context: &Context,
        stream: &Stream,
        blocks: u32,
        threads: u32,
        shards: u64,
        count: u32,
    ) -> Result<(), DeviceError> {
        // SAFETY: the caller's contract.
        unsafe { self.launch_with_shared(context, stream, (blocks, threads, 0), shards, count) }
    }

    /// Launches blocks × threads with so many bytes of dynamic shared memory a block, with the two parameters of the resident entry.
    ///
    /// # Safety
    /// `shards` must be the device address of `count` shard parameter blocks (or `count` 0), all of whose addresses stay valid
    /// until the kernel has returned.
    pub(super) unsafe fn launch_with_shared(
        &self,
        context: &Context,
        stream: &Stream,
        (blocks, threads, shared): (u32, u32, usize),
        mut shards: u64,
        mut count: u32,
    ) -> Result<(), DeviceError> {
        context.bind()?;
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
