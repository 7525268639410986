//! A device's context, and how it is made current on a thread for a while.

use super::super::link::OLDEST_TARGET;
use super::check;
use super::function::SHARED_PERCENT;
use super::memory::MemoryPool;
use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A device's primary context, retained for the life of the process.
#[derive(Debug)]
pub(in crate::cuda) struct Context {
    raw: sys::CUcontext,
    device: sys::CUdevice,
    /// The driver's number of the device.
    pub(in crate::cuda) ordinal: usize,
    /// "NVIDIA H200".
    pub(in crate::cuda) name: String,
    /// Compute capability, 90 for 9.0.
    pub(in crate::cuda) cc: u32,
    /// Multiprocessors.
    pub(in crate::cuda) multiprocessors: u32,
    /// Bytes of shared memory of a multiprocessor that is set up as our functions ask.
    pub(in crate::cuda) shared_memory: usize,
    /// Whether the system may kill a kernel that runs for seconds: a display's watchdog, or Windows behind WSL.
    pub(in crate::cuda) watchdog: bool,
    /// The driver's CUDA version, 13000 for 13.0.
    pub(in crate::cuda) driver_version: i32,
}

// SAFETY: a context handle may be used from any thread; `bind` makes it current on the calling one for every use.
unsafe impl Send for Context {}
// SAFETY: as above; the driver does its own locking.
unsafe impl Sync for Context {}

impl Context {
    /// Opens device `ordinal`, or says why there is none.
    pub(in crate::cuda) fn open(ordinal: usize) -> Result<Self, DeviceError> {
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
        if cc < OLDEST_TARGET {
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
        Ok(Self { raw, device, ordinal, name, cc, multiprocessors, shared_memory, watchdog, driver_version })
    }

    /// Whether code here can write to the other device's memory and count in it, as it does in its own.
    pub(in crate::cuda) fn can_reach(&self, other: &Self) -> Result<bool, DeviceError> {
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
    pub(in crate::cuda) fn reach(&self, other: &Self, pool: &MemoryPool) -> Result<(), DeviceError> {
        let _bound = self.bind()?;
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

    /// Makes the context current on this thread for as long as the guard lives.
    ///
    /// Where it is current already, this is one question to the driver, which answers it from the thread's own memory; so whoever makes many calls may
    /// hold a guard around them.
    pub(in crate::cuda) fn bind(&self) -> Result<Bound, DeviceError> {
        let mut current = std::ptr::null_mut();
        // SAFETY: writes one handle.
        check("cuCtxGetCurrent", unsafe { sys::cuCtxGetCurrent(&mut current) }.result())?;
        if current == self.raw {
            return Ok(Bound { pushed: false, thread: PhantomData });
        }
        // SAFETY: the context is retained for the life of the process.
        check("cuCtxPushCurrent", unsafe { sys::cuCtxPushCurrent_v2(self.raw) }.result())?;
        Ok(Bound { pushed: true, thread: PhantomData })
    }
}

/// The thread's current context is ours for as long as this lives; then it is again what it was, another one or none.
///
/// Contexts are pushed and not set: the thread's stack of them keeps what was there, whatever becomes of it meanwhile.
#[must_use = "dropped at once, it changes nothing"]
#[derive(Debug)]
pub(in crate::cuda) struct Bound {
    pushed: bool,
    /// The stack is the thread's, so the guard stays there.
    thread: PhantomData<*mut ()>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.pushed {
            let mut popped = std::ptr::null_mut();
            // SAFETY: writes one handle. What is popped is what `bind` pushed: guards of a thread end in the reverse order, and nobody else's code runs behind
            // one. It fails where the driver is shutting down, and then there is nothing to give back.
            let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
        }
    }
}
