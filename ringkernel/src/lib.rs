//! GPU-native persistent actors: write handlers in ordinary Rust; run them on the CPU, inside a resident CUDA kernel, or in
//! WebGPU dispatches.
//!
//! ```
//! use ringkernel::prelude::*;
//!
//! #[derive(RingMessage, Clone, Copy, Debug)]
//! pub struct Deposit {
//!     pub cents: i64,
//! }
//!
//! #[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
//! pub struct Balance {
//!     pub cents: i64,
//!     pub deposits: u32,
//! }
//!
//! #[ring_kernel(id = "account")]
//! #[derive(Default)]
//! pub struct Account {
//!     cents: i64,
//!     deposits: u32,
//! }
//!
//! #[ring_kernel]
//! impl Account {
//!     #[handler]
//!     fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
//!         self.cents += msg.cents;
//!         self.deposits += 1;
//!         Balance { cents: self.cents, deposits: self.deposits }
//!     }
//! }
//!
//! # fn main() -> Result<(), RingKernelError> {
//! # smol::block_on(async {
//! // `Backend::Auto`, the default, takes the best device there is; this example asks for the one that is everywhere.
//! let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
//!
//! // Typed: the macro made `Account::launch` and a proxy with a method a handler.
//! let account = Account::launch(&runtime, LaunchOptions::default()).await?;
//! let balance = account.deposit(Deposit { cents: 1250 }).await?;
//! assert_eq!(balance, Balance { cents: 1250, deposits: 1 });
//!
//! // Dynamic: by id, for programs that learn at run time what to launch.
//! let kernel = runtime.launch("account", LaunchOptions::default()).await?;
//! kernel.send(Deposit { cents: 5 }).await?;
//! assert_eq!(kernel.receive::<Balance>().await?.cents, 5);
//!
//! account.terminate().await?;
//! runtime.shutdown().await
//! # })
//! # }
//! ```
//!
//! Futures run on any executor.
//!
//! # Reading order
//!
//! For users: [`RingKernel`] (a device and what is launched on it), [`LaunchOptions`], then a proxy's methods, which are those of
//! [`ActorRef`] and [`KernelHandle`]; [`KernelState`] for the lifecycle, [`RingKernelError`] for what can go wrong.
//!
//! For readers of the source: `message` and `actor` (what the macros implement), `native` (handlers as native code), then the
//! request path from the outside in: `actor`/`handle`, `request` (a message on its way, and its reply), `requests` and `live` (a launched
//! kernel), `ticket` and `pending` (who waits for which reply), `lane` (the rings of a shard), `delivery` (where replies go), `waiting`, `room` and
//! `arena` (senders that wait, for room in a ring or for what no slot carries), `bridge` (looking for the replies of devices that say nothing). Many
//! messages in one call: `block`, `replies` and `flight`.
//! Beside it: `state` and `image` (what instances hold), `terminate` (how a kernel ends), `hung` (handlers that do not return),
//! `mesh` (kernels that send to each other), `pubsub` (topics), `hlc` (clocks), `queue` (queues between host threads, which are the backends crate's).

#![forbid(unsafe_code)]

// So that what the macros emit, `::ringkernel::…`, also compiles in this crate's own tests and examples.
extern crate self as ringkernel;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod actor;
mod arena;
pub mod backend;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub mod baseline;
mod block;
mod bridge;
pub mod context;
mod delivery;
mod encoded;
pub mod error;
mod expansion;
mod flight;
pub mod handle;
pub mod hlc;
mod hung;
pub mod image;
mod inbox;
#[cfg(feature = "wgpu")]
pub mod inspect;
mod lane;
pub mod lifecycle;
mod live;
pub mod mesh;
pub mod message;
mod native;
pub mod options;
mod park;
pub mod payload;
mod pending;
pub mod prelude;
pub mod pubsub;
pub mod queue;
mod recorder;
mod replies;
mod request;
mod requests;
mod room;
pub mod runtime;
mod state;
mod terminate;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod ticket;
mod timer;
mod waiting;

pub use actor::{Actor, ActorRef, Handles, Request};
pub use backend::{Backend, BackendReport, PassedOver};
pub use block::TellManyError;
pub use bridge::BridgePolicy;
pub use context::{MessageOf, RingContext};
pub use error::{HandlerFault, RingKernelError, TrySendError};
pub use handle::KernelHandle;
pub use hlc::{ClockDrift, Hlc, HlcTimestamp};
pub use image::{ImageError, StateImage};
pub use lifecycle::{KernelState, Transition};
pub use mesh::{Connection, Output, Outputs, RelaySnapshot, Via};
pub use message::{DecodeError, DeviceType, RingMessage};
pub use options::LaunchOptions;
pub use payload::{Archived, Payload, PayloadTooLarge, VariableMessage};
pub use queue::MessageQueue;
pub use recorder::Recorder;
pub use replies::{BlockingReplies, Replies};
pub use ringkernel_backends::abi::{
    ControlBlock, ControlSnapshot, FaultKind, HasTerminated, TelemetryBuffer, TelemetrySnapshot,
};
pub use ringkernel_backends::kernel::{DeviceError, HandlerInfo, IdlePolicy, MessageInfo, Mode};
pub use ringkernel_backends::mesh::{MailboxSnapshot, Overflow, Sent};
pub use ringkernel_backends::payload::ArenaFull;
pub use ringkernel_macros::{
    DeviceType, Payload, RingMessage, device_const, device_fn, handler, ring_kernel,
};
pub use runtime::{KernelInfo, RingKernel, RingKernelBuilder};
pub use terminate::TerminateOptions;
