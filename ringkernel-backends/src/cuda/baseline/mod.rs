//! What resident kernels are compared with: the same work without RingKernel, in the same process and run.
//!
//! `launch` has what people do who have no resident kernel: launch an empty one and wait, launch a graph, launch with copies in and
//! out; `pipeline` has four launches over a batch of events. `ping` is the bare bounce of 64 bytes between the host and a resident
//! warp, `stream` bare rings in one direction: hand-written PTX that does nothing else, and so what the machine can do at best.
//! `quiesce` times sending home what is resident.
//!
//! Kernels here end by themselves: after their count, when the host says stop, or after some 30 seconds of polling in vain. The host
//! waits for nothing longer than its deadline, but for `cuStreamSynchronize` where that is what is timed.

mod launch;
mod ping;
mod pipeline;
mod stream;
#[cfg(test)]
mod tests;

pub use launch::{graph_launch_and_synchronize, launch_and_synchronize, launch_with_copies};
pub use ping::ping_pong;
pub use pipeline::{MOST_EVENTS, four_launches};
pub use stream::{MOST_RINGS, to_device, to_host};

use super::driver::{Function, LentStream, Pinned};
use super::{CudaDevice, Shared};
use crate::kernel::DeviceError;
use crate::times::{Throughput, Times};
use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the device may take for one step of a baseline.
const STEP: Duration = Duration::from_secs(5);

/// Sends home whatever is resident on GPU `ordinal`, state kept, and brings it back; `count` times, with a pause between them.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU; [`DeviceError::Deadline`] where a kernel does not come home.
pub fn quiesce(ordinal: usize, count: usize) -> Result<Times, DeviceError> {
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        // Time for the kernels to settle down again.
        std::thread::sleep(Duration::from_millis(1));
        let begin = Instant::now();
        shared.registry.quiesced(|| ())?;
        times.push(begin.elapsed());
    }
    Ok(Times::of(times))
}

/// Functions that were loaded: by the GPU's number and the name of the entry. Modules are never unloaded.
static LOADED: Mutex<Vec<(usize, &'static CStr, Function)>> = Mutex::new(Vec::new());

/// A baseline's kernel. It takes a base address and a count, and with a count of 0 it returns without touching memory.
fn load(shared: &Shared, ordinal: usize, ptx: &str, entry: &'static CStr) -> Result<Function, DeviceError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., function)) = loaded.iter().find(|(gpu, name, _)| (*gpu, *name) == (ordinal, entry)) {
        return Ok(*function);
    }
    let text = for_device(ptx, shared.context.cc);
    let stream = shared.spare_stream()?;
    let function = shared.registry.quiesced(|| {
        let function = Function::load(&shared.context, &text, entry)
            .map_err(|log| DeviceError::BadCode { actor: "baseline", log })?;
        // The first launch loads the code, and waits for the device to do so.
        // SAFETY: with a count of 0 the kernel touches no memory.
        unsafe { function.launch(&stream, 1, 32, 0, 0) }?;
        stream.synchronize()?;
        Ok::<_, DeviceError>(function)
    })??;
    loaded.push((ordinal, entry, function));
    Ok(function)
}

/// The text for a device of that compute capability. PTX 8.4 knows none newer than 9.0; later devices run code for it.
fn for_device(ptx: &str, cc: u32) -> String {
    ptx.replace(".target sm_70", &format!(".target sm_{}", cc.min(90)))
}

/// A stream, and pinned memory that a kernel on it and the host share. Its first word tells the kernel to stop.
struct Stage {
    held: Arc<(LentStream, Pinned)>,
}

impl Stage {
    /// Takes a stream and `bytes` of zeroed memory.
    fn open(shared: &Shared, bytes: usize) -> Result<Self, DeviceError> {
        let held = Arc::new((shared.spare_stream()?, shared.arena.take(bytes)?));
        Ok(Self { held })
    }

    /// Launches a baseline's kernel over the memory. It must touch nothing beyond it.
    fn launch(&self, function: Function, blocks: u32, threads: u32, count: u32) -> Result<(), DeviceError> {
        let (stream, memory) = &*self.held;
        // SAFETY: the kernel's memory is ours and outlives it: `drop` waits for the kernel, or leaks the memory.
        unsafe { function.launch(stream, blocks, threads, memory.device(0), count) }
    }

    /// `count` words of 64 bits from byte `offset`.
    fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        assert!(offset.is_multiple_of(8) && count > 0);
        let memory = &self.held.1;
        // Asserts that the last word lies inside; blocks are whole pages.
        memory.host(offset + count * 8 - 1);
        // SAFETY: in bounds and aligned (asserted), initialised (zeroed when taken), alive as long as `self`; host code reaches the memory
        // through atomics only.
        unsafe { std::slice::from_raw_parts(memory.host(offset).cast(), count) }
    }

    /// The 32-bit word at byte `offset`.
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4));
        // SAFETY: as for `words`.
        unsafe { &*self.held.1.host(offset).cast() }
    }

    /// Waits until the kernel has returned by itself.
    fn returned(&self, what: &'static str) -> Result<(), DeviceError> {
        let begin = Instant::now();
        while !self.held.0.is_idle()? {
            if begin.elapsed() > STEP {
                return Err(DeviceError::Deadline { what, deadline: STEP });
            }
            std::hint::spin_loop();
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Release: nothing rides on it; the kernel polls it relaxed.
        self.word(0).store(1, Ordering::Release);
        if self.returned("a baseline's end").is_err() {
            // The kernel may still write to its memory, so both are kept for ever.
            std::mem::forget(self.held.clone());
        }
    }
}
