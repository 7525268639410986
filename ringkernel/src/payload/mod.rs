//! Messages of variable size: fields that are [`Vec`]s, [`String`]s and [`Option`]s, read where they lie.
//!
//! A message derives `RingMessage` as any other; a field like these, or `#[message(max_bytes = …)]`, makes it one of variable size. Its
//! handler takes it as it arrived, by reference:
//!
//! ```
//! use ringkernel::prelude::*;
//!
//! #[derive(RingMessage)]
//! #[message(max_bytes = 4096)]
//! pub struct Post {
//!     pub author: u64,
//!     pub title: String,
//!     pub tags: Vec<u32>,
//!     pub at: Option<Place>,
//! }
//!
//! // What is part of such a message, and no message itself.
//! #[derive(Payload)]
//! pub struct Place {
//!     pub x: f32,
//!     pub y: f32,
//! }
//!
//! #[ring_kernel(id = "wall")]
//! #[derive(Default)]
//! pub struct Wall {
//!     posts: u32,
//! }
//!
//! #[ring_kernel]
//! impl Wall {
//!     #[handler]
//!     fn post(&mut self, _ctx: &mut RingContext, msg: &Archived<Post>) -> u32 {
//!         self.posts += 1;
//!         let mut sum = 0;
//!         for tag in msg.tags.iter() {
//!             sum += tag.to_native();
//!         }
//!         if let Some(place) = msg.at.as_ref() {
//!             sum += place.x.to_native() as u32;
//!         }
//!         sum + msg.title.len() as u32
//!     }
//! }
//!
//! # fn main() -> Result<(), RingKernelError> {
//! # smol::block_on(async {
//! # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
//! let wall = Wall::launch(&runtime, LaunchOptions::default()).await?;
//! let post = Post { author: 7, title: "rings".into(), tags: vec![1, 2, 3], at: Some(Place { x: 100.0, y: 0.0 }) };
//! assert_eq!(wall.post(post).await?, 5 + 6 + 100);
//!
//! // A limit is an error that says its number.
//! let long = Post { author: 7, title: "x".repeat(5000), tags: vec![], at: None };
//! let error = wall.post(long).await.unwrap_err();
//! assert!(matches!(error, RingKernelError::PayloadTooLarge(PayloadTooLarge { most: 4096, .. })));
//! # runtime.shutdown().await
//! # })
//! # }
//! ```
//!
//! The payload is an [rkyv](https://docs.rs/rkyv) archive: what is variable first, the message itself at the end, references between them as
//! relative offsets, everything little endian at its alignment. So nothing is unpacked: the handler's `&Archived<Post>` points into the
//! buffer that the ring was read into. Numbers in it are little-endian wrappers (`to_native()`), `Vec<T>` is
//! [`ArchivedVec`](rkyv::vec::ArchivedVec), `String` is [`ArchivedString`](rkyv::string::ArchivedString).
//!
//! Every archive is validated as a whole before the handler sees it (offsets, lengths, alignment, `bool`s, tags of options, UTF-8), whoever sent
//! it; one that is not sound is answered with [`FaultKind::Malformed`](crate::FaultKind::Malformed).
//!
//! # Limits
//! An archive of a message is at most its `max_bytes` long, 4096 where it does not say. Up to 64 KiB (`MAX_INLINE_BYTES`), that is what each slot of
//! the kernel's rings has room for. A message that takes more is [`PayloadTooLarge`], which names both numbers.
//!
//! With a larger `max_bytes`, slots have room for `#[message(inline_bytes = …)]`, 4096 where it does not say, and what is longer waits in the
//! kernel's *payload arena*, where its handler reads it in place. The arena is bounded
//! ([`LaunchOptions::payload_memory`](crate::LaunchOptions::payload_memory)); where it is full, senders wait for room as they do where a queue is, whoever
//! came first before the others, and who has a reply has the room of what it asked with. Only `try_tell` says
//! [`RingKernelError::PayloadMemory`](crate::RingKernelError::PayloadMemory) then, which a payload that is larger than the arena is whatever the way it is sent. Messages between
//! kernels, and answers, are never larger than a slot carries.
//!
//! - On the CPU the arena is ordinary memory, taken as it is needed.
//! - On CUDA it is pinned memory of the host's, all of which is allocated when the kernel is launched, because it cannot be had later
//!   without sending resident kernels home: 64 MiB unless told, for actors that take such messages and for no others; where it cannot be had, the launch says so. The handler reads
//!   it over the bus, byte by byte as your code does, which is slow beside the device's own memory: read each part once. The
//!   same goes for validation, which looks at every offset, `bool` and text of the archive and at none of its numbers. A piece must be free in one, so mixed lengths may fill
//!   an arena before its bytes are used up.
//! - On WebGPU the payloads that a dispatch reads lie in a buffer of the kernel's, as large as the arena: a bound beyond what the adapter binds is an
//!   error of the launch. A driver that rations loops (llvmpipe: 65,535 iterations) ends a handler that goes through more elements than that
//!   with [`FaultKind::LoopCutShort`](crate::FaultKind::LoopCutShort).
//!
//! ```
//! use ringkernel::prelude::*;
//!
//! #[derive(RingMessage)]
//! #[message(max_bytes = 16 << 20, inline_bytes = 1024)]
//! pub struct Image {
//!     pub pixels: Vec<u8>,
//! }
//!
//! #[ring_kernel(id = "gallery")]
//! #[derive(Default)]
//! pub struct Gallery {
//!     images: u32,
//! }
//!
//! #[ring_kernel]
//! impl Gallery {
//!     #[handler]
//!     fn hang(&mut self, _ctx: &mut RingContext, msg: &Archived<Image>) -> u32 {
//!         self.images += 1;
//!         let mut bright = 0;
//!         for pixel in msg.pixels.iter() {
//!             if *pixel > 127 {
//!                 bright += 1;
//!             }
//!         }
//!         bright
//!     }
//! }
//!
//! # smol::block_on(async {
//! # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
//! let gallery = Gallery::launch(&runtime, LaunchOptions::default()).await?;
//! assert_eq!(gallery.hang(Image { pixels: vec![200; 10_000_000] }).await?, 10_000_000);
//! # runtime.shutdown().await
//! # })?;
//! # Ok::<(), RingKernelError>(())
//! ```
//!
//! - `codec`: archives to bytes and back, with buffers that are used again.
//! - `parts`: what a field may be.

mod codec;
mod parts;

pub use codec::{Archivable, access, decode, encode, with_bytes, with_large_bytes};
pub use parts::Payload;

use crate::RingMessage;

/// A `T` as it lies in a message: what a handler takes by reference.
pub type Archived<T> = <T as rkyv::Archive>::Archived;

/// The most bytes of a message that does not say.
pub const DEFAULT_MAX_BYTES: u32 = 4096;
/// The most bytes of a message that travels in a slot. Beyond, `max_bytes` allows messages that lie in memory of their own; up to
/// [`DEFAULT_MAX_BYTES`] of these travel in a slot, or `inline_bytes`.
pub const MAX_INLINE_BYTES: u32 = 64 << 10;

/// A message of variable size. `#[derive(RingMessage)]` makes one of a struct with a field of variable size, or with
/// `#[message(max_bytes = …)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message of variable size",
    label = "not a message of variable size",
    note = "a handler takes a message of fixed size by value: `msg: {Self}`"
)]
pub trait VariableMessage: RingMessage + Archivable {}

/// A message takes more bytes than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "this `{message}` takes {bytes} bytes, and {most} are allowed: send less at a time, or raise `#[message(max_bytes = …)]` (where no payload \
     arena is at hand, `inline_bytes`)"
)]
pub struct PayloadTooLarge {
    /// The message's type.
    pub message: &'static str,
    /// How many bytes it takes. (Beyond 1 GiB counting ends.)
    pub bytes: u64,
    /// How many it may take.
    pub most: u64,
}

/// The wire layout of a message of variable size.
pub mod layout {
    use super::MAX_INLINE_BYTES;

    /// The most bytes of a message with this attribute and a root of `root` bytes.
    ///
    /// # Panics
    /// At compile time, for a limit that makes no sense.
    pub const fn most(max_bytes: u32, root: usize) -> u32 {
        assert!(
            max_bytes <= MAX_INLINE_BYTES,
            "`max_bytes` is at most 65536: what travels in a slot has room for no more"
        );
        assert!(
            root as u64 <= max_bytes as u64,
            "`max_bytes` is less than the message takes without any of its variable parts"
        );
        // The root is aligned to eight bytes and comes last, so an archive is as long as a multiple of that.
        max_bytes / 8 * 8
    }

    /// Refuses, when compiled, a `Vec` whose elements take no bytes: its length would be bounded by nothing.
    ///
    /// # Panics
    /// At compile time, for such an element.
    pub const fn element(size: usize) {
        assert!(
            size > 0,
            "the elements of a `Vec` in a message take at least a byte: send their number instead"
        );
    }
}

/// What devices know of rkyv's types: a program that turns on features of rkyv which change them does not compile.
const _: () = {
    use rkyv::option::ArchivedOption;
    use rkyv::rend::{f64_le, u16_le, u32_le, u64_le};
    use rkyv::string::ArchivedString;
    use rkyv::tuple::ArchivedTuple2;
    use rkyv::vec::ArchivedVec;
    assert!(size_of::<ArchivedVec<u64_le>>() == 8 && align_of::<ArchivedVec<u64_le>>() == 4);
    assert!(size_of::<ArchivedString>() == 8 && align_of::<ArchivedString>() == 4);
    assert!(align_of::<u16_le>() == 2 && align_of::<u32_le>() == 4);
    assert!(align_of::<u64_le>() == 8 && align_of::<f64_le>() == 8);
    assert!(size_of::<ArchivedOption<u64_le>>() == 16 && size_of::<ArchivedOption<bool>>() == 2);
    assert!(size_of::<ArchivedTuple2<u8, u64_le>>() == 16);
};

#[cfg(test)]
mod tests;
