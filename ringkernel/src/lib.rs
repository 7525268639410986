//! RingKernel.

// So that what the macros emit, `::ringkernel::…`, also compiles in this crate's own tests and examples.
extern crate self as ringkernel;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod actor;
pub mod backend;
mod bridge;
pub mod context;
pub mod error;
mod expansion;
pub mod handle;
mod inbox;
mod lane;
pub mod lifecycle;
mod live;
pub mod message;
mod native;
pub mod options;
mod park;
mod pending;
pub mod prelude;
pub mod runtime;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod ticket;
mod timer;

pub use actor::{Actor, ActorRef, Handles};
pub use backend::{Backend, BackendReport, PassedOver};
pub use context::RingContext;
pub use error::{HandlerFault, RingKernelError, TrySendError};
pub use handle::KernelHandle;
pub use lifecycle::{KernelState, Transition};
pub use message::{DecodeError, DeviceType, RingMessage};
pub use options::LaunchOptions;
pub use ringkernel_backends::abi::{
    ControlBlock, ControlSnapshot, FaultKind, TelemetryBuffer, TelemetrySnapshot,
};
pub use ringkernel_backends::kernel::{DeviceError, HandlerInfo, IdlePolicy, MessageInfo};
pub use ringkernel_macros::{DeviceType, RingMessage, device_const, device_fn, handler, ring_kernel};
pub use runtime::{KernelInfo, RingKernel, RingKernelBuilder};
