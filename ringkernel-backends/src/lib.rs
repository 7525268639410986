//! The devices that run RingKernel actors, and what they share with the host.
//!
//! Reading order:
//!
//! 1. [`abi`]: the bytes both sides agree on. Control block, telemetry buffer, slots, tags, fault kinds, and the ring.
//!    It has no dependency on a device, and the compiler (`ringkernel-macros`) uses its constants.
//! 2. [`kernel`]: what the compiler hands over (a [`kernel::KernelDescriptor`]), and the two traits a device implements,
//!    [`kernel::Device`] and [`kernel::Kernel`].
//!    [`mesh`] is what they know of each other.
//! 3. One folder a device: [`cpu`], `cuda` and `wgpu` (feature-gated). Each launches a descriptor and answers the slots
//!    of its request rings; none of them knows about futures, proxies or lifecycles, which live in `ringkernel`.
//!
//! Beside them, [`queue`]: queues between host threads. It is here and not in `ringkernel` because that crate forbids `unsafe`.
//!
//! Users depend on `ringkernel`, not on this crate.

pub mod abi;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(test)]
mod device_tests;
pub mod fork;
mod host;
pub mod kernel;
pub mod mesh;
pub mod payload;
pub mod queue;
mod queue_sync;
mod states;
pub mod ticks;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub mod times;
#[cfg(feature = "wgpu")]
pub mod wgpu;
