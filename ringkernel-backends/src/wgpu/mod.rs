//! The WebGPU device: bounded dispatches that drain a kernel's rings, through Vulkan, DX12 or Metal.
//!
//! WGSL promises no progress between workgroups and a driver may kill what does not end, so nothing here is resident on the
//! GPU. A kernel has a dispatcher thread, asleep until its doorbell rings; it takes what waits in the request ring, sorts it
//! into *runs* (the messages of one instance, in order), and dispatches one invocation a run. The kernel's state stays in
//! device memory from launch to drop.
//!
//! Kernels that reach each other have mailboxes in one buffer on the device. A submission is then the requests of one, and passes over
//! the mailboxes of all, a few rounds of them, with nothing read back between (`mesh/`).
//!
//! Reading order: `runtime.wgsl` (what an invocation does with a run), `mesh.wgsl` and `mailbox.wgsl` (what handlers send, and how it arrives),
//! [`program`](self) (how all that is joined to an actor's handlers), `batch.rs` (the words that go in and come out), `submission.rs` (what is
//! recorded and read back), `kernel.rs` (the dispatcher), `mesh/` (kernels that reach each other), `payloads.rs` (what no slot carries), `launch.rs`, `handle.rs` and `memory.rs` (what the
//! host asks for), `gpu.rs` (adapters, and turning what wgpu reports by callback into errors), `probe.rs` (what no limit or feature of an adapter says), `baseline.rs` (what we compare ourselves with). `msl.rs` shows WGSL as
//! Metal would see it.
//!
//! What the live blocks say: the device counts messages and errors itself, in a copy of the two blocks' words that comes back
//! with every dispatch; times are the host's clock around the dispatch, so each message of a batch is charged the whole of it.
//!
//! Some drivers ration the loop iterations of an invocation (llvmpipe does, at 65,535). Where the probe finds that, handlers that
//! loop get an invocation for every message, and one that needs more than the ration faults with
//! [`LoopCutShort`](crate::abi::FaultKind::LoopCutShort) instead of answering with half a loop.
//!
//! Adapters: the fastest kind present is taken; `RINGKERNEL_WGPU_ADAPTER` set to part of an adapter's name overrides that.

mod baseline;
mod batch;
mod gpu;
mod handle;
mod kernel;
mod launch;
mod memory;
mod mesh;
mod msl;
mod payloads;
mod probe;
mod program;
mod submission;
#[cfg(test)]
mod tests;

use crate::kernel::{Device, DeviceError, Kernel, LaunchSpec};
use gpu::Gpu;
use std::sync::Arc;

pub use baseline::dispatch_with_copies;
pub use msl::msl_of;
pub use program::program_text;

/// Which adapters will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterKind {
    /// Any that can compute.
    #[default]
    Any,
    /// Metal only, that is, macOS and its relatives.
    Metal,
}

impl AdapterKind {
    fn backend(self) -> &'static str {
        match self {
            Self::Any => "WebGPU",
            Self::Metal => "Metal",
        }
    }
}

/// A GPU (or a driver that acts as one) reached through WebGPU.
///
/// Cheap to clone; clones share the device, and the kernels launched on it keep it alive.
#[derive(Clone)]
pub struct WgpuDevice {
    gpu: Arc<Gpu>,
}

impl WgpuDevice {
    /// Opens the best adapter: discrete before integrated before virtual before software.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] with the adapters that were seen and why none would do.
    pub fn open(filter: AdapterKind) -> Result<Self, DeviceError> {
        Ok(Self { gpu: Gpu::open(filter)? })
    }

    /// The adapter's name, driver and API, for people.
    pub fn description(&self) -> String {
        self.gpu.description().to_owned()
    }
}

impl Device for WgpuDevice {
    fn name(&self) -> String {
        self.gpu.name().to_owned()
    }

    fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
        launch::launch(&self.gpu, spec)
    }
}

impl std::fmt::Debug for WgpuDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WgpuDevice").field("adapter", &self.gpu.description()).finish()
    }
}
