//! The CPU device: native handlers behind the same rings, on a small thread pool.
//!
//! It is the fallback where there is no GPU, and the oracle the other devices are compared with. A kernel has one *shard* per
//! pool thread, or as many as its launch asks for, and never more than instances; a shard owns its instances, a pair of rings, a
//! control block and a telemetry buffer, and is a job that the pool runs when its doorbell rings. Start with `shard.rs` (a
//! shard, and when it runs) and `batch.rs` (what it does with its rings then), then `doorbell.rs` (how it is woken) and `pool.rs` (who runs it); `kernel.rs` is the handle.
//! Kernels talk to each other by `outbox.rs` (what a handler sends with), `mailbox.rs` (what becomes of it), and `table.rs` (who is reached),
//! which the host changes by `connect.rs`.
//!
//! What a shard may rely on: one thread runs it at a time, and its doorbell is never missed.

mod apart;
mod batch;
mod clock;
mod connect;
mod doorbell;
mod kernel;
mod mailbox;
#[cfg(test)]
mod model;
mod outbox;
mod pool;
mod shard;
#[cfg(test)]
mod stress;
mod table;
#[cfg(test)]
mod talk;
#[cfg(test)]
mod tests;

use crate::kernel::{Device, DeviceError, Kernel, LaunchSpec};
use pool::Pool;
use std::sync::{Arc, OnceLock};
use std::thread;

// A slot's payload words are handed to handlers as bytes where they lie.
const _: () = assert!(cfg!(target_endian = "little"), "the wire is little endian, and so must the host be");

/// The processor as a device.
///
/// Cheap to clone; clones share the pool. Threads start with the first launch and end when the last clone and the last
/// kernel are gone.
///
/// ```
/// use ringkernel_backends::{cpu::CpuDevice, kernel::Device};
/// assert_eq!(CpuDevice::new(2).name(), "2 threads");
/// ```
#[derive(Clone)]
pub struct CpuDevice {
    pool: Arc<Pool>,
}

impl CpuDevice {
    /// A device of its own with that many pool threads (0 counts as 1).
    pub fn new(threads: usize) -> Self {
        Self { pool: Arc::new(Pool::new(threads.max(1))) }
    }

    /// The process-wide device, with as many threads as the machine runs at once.
    pub fn shared() -> Self {
        static SHARED: OnceLock<CpuDevice> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(thread::available_parallelism().map_or(1, |n| n.get()))).clone()
    }
}

impl Device for CpuDevice {
    fn name(&self) -> String {
        match self.pool.threads() {
            1 => "1 thread".to_owned(),
            n => format!("{n} threads"),
        }
    }

    fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
        kernel::launch(&self.pool, spec)
    }
}

impl std::fmt::Debug for CpuDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuDevice").field("threads", &self.pool.threads()).finish()
    }
}
