//! The RingKernel compiler: `#[ring_kernel]` and the derives around it. Use it through the `ringkernel` crate, which re-exports it.
//!
//! The pipeline, one folder a stage:
//!
//! 1. [`collect`]: the tokens of every definition an actor uses are brought to one place, a [`program::Program`].
//! 2. [`front`]: parse, type, and lower it to an [`ir::Kernel`].
//! 3. [`passes`]: make that shorter and faster.
//! 4. [`emit`]: print it as PTX and as WGSL.
//! 5. [`expand`]: the Rust that goes around those texts: encode and decode, native dispatch, proxy, descriptor.
//!
//! Everything below the entry points here works on `proc_macro2` tokens, so that ordinary unit tests can run it. Start reading at
//! [`collect`] for how macros come by tokens that are not theirs, and at [`ir`] for the compiler proper.

// A proc-macro crate exports only macros; `pub` here marks what a module offers to the others.
#![allow(unreachable_pub)]
#![allow(rustdoc::private_intra_doc_links)]

extern crate proc_macro;

mod collect;
mod diag;
mod emit;
mod expand;
mod front;
// The IR says more than its printers read: the verifier, which runs in tests, reads the rest.
#[allow(dead_code)]
mod ir;
mod ir_eval;
#[cfg(test)]
mod ir_interp;
#[cfg(test)]
mod ir_print;
#[cfg(test)]
mod ir_verify;
mod ir_visit;
mod layout;
mod location;
mod passes;
mod program;

use proc_macro::TokenStream;
use program::TypeRole;
use syn::{DeriveInput, parse_macro_input};

/// Gives a struct a wire layout, so that it can be a field of messages and of actors' state, and a value in handlers.
///
/// Fields are scalars (`bool`, `i8` … `i64`, `u8` … `u64`, `f32`, `f64`), arrays, tuples, and structs with this derive. The layout is C's. A
/// constant in an array's length needs `#[device_const]`.
///
/// A struct that is a whole message or reply derives `RingMessage` instead, which includes this.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
/// struct Particle {
///     position: [f32; 3],
///     alive: bool,
/// }
///
/// assert_eq!((Particle::SIZE, Particle::ALIGN), (16, 4));
/// let particle = Particle { position: [1.0, 2.0, 3.0], alive: true };
/// let mut wire = [0; 16];
/// particle.encode(&mut wire);
/// assert_eq!(Particle::decode(&wire), Ok(particle));
/// ```
#[proc_macro_derive(DeviceType)]
pub fn derive_device_type(input: TokenStream) -> TokenStream {
    expand::device_type::derive(&parse_macro_input!(input as DeriveInput), TypeRole::Device).into()
}

/// Makes a struct a message: what a handler takes, or answers.
///
/// Its tag on the wire is a hash of its name and of the names and types of its fields, so two programs that agree on those can talk to
/// each other. Fields are as for `#[derive(DeviceType)]`, which this includes.
///
/// A field that is a `Vec`, a `String` or an `Option`, or `#[message(max_bytes = …)]` on the struct, makes it a message of variable size. Its handlers
/// take `&Archived<Post>`, and read it where it lies; see `ringkernel::payload`.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[derive(RingMessage)]
/// struct Deposit {
///     cents: i64,
/// }
///
/// #[derive(RingMessage)]
/// struct Withdraw {
///     cents: i64,
/// }
///
/// assert_ne!(Deposit::TAG, Withdraw::TAG);
/// ```
#[proc_macro_derive(RingMessage, attributes(message))]
pub fn derive_ring_message(input: TokenStream) -> TokenStream {
    expand::device_type::derive(&parse_macro_input!(input as DeriveInput), TypeRole::Message { tag: 0 })
        .into()
}

/// Makes a struct part of messages of variable size: a field of theirs, or an element of a `Vec`.
///
/// Fields are scalars, `String`, `Vec<T>`, `Option<T>`, arrays, tuples, and structs with this derive. A struct that is to be a field of fixed
/// messages as well derives both this and `DeviceType`.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[derive(Payload)]
/// struct Line {
///     text: String,
///     indent: Option<u8>,
/// }
///
/// #[derive(RingMessage)]
/// #[message(max_bytes = 16384)]
/// struct Page {
///     number: u32,
///     lines: Vec<Line>,
/// }
///
/// assert_eq!(Page::SIZE, 16384);
/// ```
#[proc_macro_derive(Payload)]
pub fn derive_payload(input: TokenStream) -> TokenStream {
    expand::variable::derive(&parse_macro_input!(input as DeriveInput), expand::variable::What::Part).into()
}

/// Makes an actor of a struct and its impl; it goes on both.
///
/// - `#[ring_kernel(id = "account")] struct Account { … }`: the state of one instance. Fields are as for `#[derive(DeviceType)]`. With
///   `#[derive(Default)]` instances start there; else `LaunchOptions::initial_state` says where.
/// - `#[ring_kernel] impl Account { … }`: methods marked `#[handler]` answer messages. The others, and the constants, are there for the
///   handlers.
///
/// The methods stay ordinary Rust, which runs natively on the CPU; the handlers are also compiled to `Account::PTX` and `Account::WGSL`.
/// `Account::launch(&runtime, options)` gives an `AccountProxy` with an async method for each handler.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[ring_kernel(id = "counter")]
/// #[derive(Default)]
/// struct Counter {
///     total: u64,
/// }
///
/// #[ring_kernel]
/// impl Counter {
///     const STEP: u64 = 10;
///
///     #[handler]
///     fn count(&mut self, _ctx: &mut RingContext, times: u32) -> u64 {
///         self.add(times as u64 * Self::STEP);
///         self.total
///     }
///
///     fn add(&mut self, by: u64) {
///         self.total += by;
///     }
/// }
///
/// # fn main() -> Result<(), RingKernelError> {
/// smol::block_on(async {
///     let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
///     let counter = Counter::launch(&runtime, LaunchOptions::default()).await?;
///     assert_eq!(counter.count(4).await?, 40);
///     assert!(Counter::PTX.contains("Counter_count"));
///     runtime.shutdown().await
/// })
/// # }
/// ```
///
/// What a handler may be written in, and what to write instead of the rest, the compiler says where it is needed. An actor and everything it
/// names may be about 120 definitions; beyond that rustc wants a higher `#![recursion_limit]`.
#[proc_macro_attribute]
pub fn ring_kernel(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::ring_kernel(args.into(), item.into()).into()
}

/// Marks a method of a `#[ring_kernel] impl` that answers a message.
///
/// `fn name(&mut self, ctx: &mut RingContext, msg: Message) -> Reply`, or `&self` where the state does not change. Without a reply type
/// the answer is `()`. For an example see [`macro@ring_kernel`].
///
/// Besides answering, a handler sends through its context, and asks it for the time:
///
/// ```
/// use ringkernel::prelude::*;
///
/// # #[ring_kernel(id = "ledger")]
/// # #[derive(Default)]
/// # struct Ledger { cents: i64 }
/// # #[ring_kernel]
/// # impl Ledger {
/// #     #[handler]
/// #     fn book(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 { self.cents += cents; self.cents }
/// # }
/// #[ring_kernel(id = "teller")]
/// #[derive(Default)]
/// struct Teller {
///     refused: u32,
///     last: HlcTimestamp,
/// }
///
/// #[ring_kernel]
/// impl Teller {
///     #[handler]
///     fn pay(&mut self, ctx: &mut RingContext, cents: i64) -> i64 {
///         self.last = ctx.now();
///         // `Ledger` answers in our place: with what it answers to an `i64`, so an `i64` it is here.
///         match ctx.forward::<Ledger>(0, cents) {
///             Sent::Ok => return 0,
///             Sent::Full => self.refused += 1,
///             _ => {}
///         }
///         if !ctx.publish("tellers/refused", self.refused).is_ok() {
///             self.refused += 1;
///         }
///         -1
///     }
/// }
/// ```
///
/// A kernel is named by its type or by its id, a topic by its name; both must be literals. An `Option` is what `try_receive_from_kernel` returns, and
/// is taken apart where it comes from, by `if let`, `while let`, `let … else` or `match`; it is no value of a device elsewhere.
#[proc_macro_attribute]
pub fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler(args.into(), item.into()).into()
}

/// Lets handlers call a free function: its body travels to where they are compiled.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[device_fn]
/// fn smooth(x: f32) -> f32 {
///     x * x * (3.0 - 2.0 * x)
/// }
///
/// #[ring_kernel(id = "ease")]
/// #[derive(Default)]
/// struct Ease {
///     calls: u32,
/// }
///
/// #[ring_kernel]
/// impl Ease {
///     #[handler]
///     fn ease(&mut self, _ctx: &mut RingContext, x: f32) -> f32 {
///         self.calls += 1;
///         smooth(x.clamp(0.0, 1.0))
///     }
/// }
///
/// // On the host it is the function it was.
/// assert_eq!(smooth(0.5), 0.5);
/// ```
#[proc_macro_attribute]
pub fn device_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::items::device_fn(args.into(), item.into()).into()
}

/// Lets handlers, device functions and array lengths name a `const` item: its value travels to where they are compiled.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[device_const]
/// const LANES: usize = 4;
///
/// #[derive(RingMessage)]
/// struct Samples {
///     values: [f32; LANES],
/// }
///
/// assert_eq!(Samples::SIZE, 16);
/// ```
#[proc_macro_attribute]
pub fn device_const(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::items::device_const(args.into(), item.into()).into()
}

/// The struct half of `#[ring_kernel]`, as a derive: so it sees the fields that `#[cfg]` leaves.
#[doc(hidden)]
#[proc_macro_derive(__ActorState, attributes(__ringkernel_id))]
pub fn derive_actor_state(input: TokenStream) -> TokenStream {
    expand::state::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// The end of a chain of carriers: a carrier of its own.
#[doc(hidden)]
#[proc_macro]
pub fn __carry(input: TokenStream) -> TokenStream {
    collect::carrier::carry(parse_macro_input!(input)).into()
}

/// The end of a chain of carriers: items that were waiting for it.
#[doc(hidden)]
#[proc_macro]
pub fn __emit(input: TokenStream) -> TokenStream {
    collect::carrier::emit_state(parse_macro_input!(input)).into()
}
/// The end of a chain of carriers: device code.
#[doc(hidden)]
#[proc_macro]
pub fn __kernel(input: TokenStream) -> TokenStream {
    expand::kernel::build(parse_macro_input!(input)).into()
}
