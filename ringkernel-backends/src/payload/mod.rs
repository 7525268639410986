//! Payloads that are too large for a slot: they lie in memory that sender and device share, and the slot says where.
//!
//! An archive is an even number of words long. A message of variable size whose payload has [`REFERENCE_WORDS`] words, which is odd, is a
//! *reference* to such memory instead: an index into a table, how often that place of the table was used, and how many bytes there are. Whoever sends
//! puts the archive into the kernel's [`PayloadArena`] ([`Kernel::payloads`](crate::kernel::Kernel::payloads)) first; whoever handles the message takes
//! it, reads it in place and gives the memory back. What was put there and never handed over, its sender [withdraws](PayloadArena::withdraw). What was handed over and
//! never taken goes with the kernel.
//!
//! # What a device must supply
//! An arena, and the end that takes. There are two arenas.
//!
//! - [`HeapArena`], where **the host takes requests out of the ring** (CPU, and WebGPU, which makes up its dispatches on the host: its buffer is as large as the
//!   arena, and each `Taken` goes when the dispatch is done, so there always is room). Each payload is a block of
//!   ordinary memory; the device calls [`HeapArena::take`], and the block goes when the [`Taken`] does. A device that cannot read host memory
//!   copies it to where it can: it takes, allots a place in a buffer of its own ([`Spans`] does that for a region of fixed size), copies, drops the `Taken`,
//!   and hands its handler place and length instead of the reference; the place is free again when the dispatch is done. Where the buffer has no room for the next message, the batch ends
//!   before it.
//! - [`RegionArena`], where **the device takes them itself** (CUDA). All payloads lie in one region that both see, which the backend allocates and describes as
//!   [`RegionMemory`]: the region, a table of entries that the host writes, and a word an entry that the device writes when it is through
//!   with it. The device follows the protocol there.
//!
//! Either way the device believes nothing that the message says. It answers [`FaultKind::Malformed`](crate::abi::FaultKind::Malformed), and reads nothing, where
//! - the index is beyond the table, the generation is not the entry's, or the length is not the entry's;
//! - the payload was taken before: once is once;
//! - the message did not come from the host ([`Origin::Nobody`](crate::abi::Origin::Nobody) or `Asker`): kernels send each other what slots carry, and nothing of theirs is followed;
//! - the handler's message is never so large ([`MessageInfo::is_large`](crate::kernel::MessageInfo::is_large)): then it is an archive of a length that none has.
//!
//! What it took it gives back *before* the reply can be seen, so that who waits for each reply before it sends again needs room for one payload; and before it
//! tells of [`Progress`](crate::kernel::Progress), if it does, because senders wait for that room.
//! Archives are validated by the handler, where they lie, like those in slots; they are aligned to eight bytes at least.

mod entries;
mod heap;
mod memory;
mod region;
mod spans;

pub use heap::{HeapArena, Taken};
pub use memory::{ENTRY_BYTES, RegionMemory};
pub use region::RegionArena;
pub use spans::Spans;

use std::fmt::Debug;

/// Words of a reference.
pub const REFERENCE_WORDS: usize = 3;

/// The most bytes that wait in the arena of a kernel on the CPU unless it is told otherwise.
pub const DEFAULT_BYTES: u64 = 256 << 20;

/// The same on CUDA, where all of it is pinned when the kernel is launched.
pub const DEFAULT_PINNED_BYTES: u64 = 64 << 20;

/// The same on WebGPU, where handlers read them in a buffer of this size, or of the largest that the adapter binds.
pub const DEFAULT_BUFFER_BYTES: u64 = 64 << 20;

/// Where a payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    index: u32,
    generation: u32,
    bytes: u32,
}

impl Reference {
    /// What a slot carries.
    pub fn to_bytes(self) -> [u8; 4 * REFERENCE_WORDS] {
        let mut bytes = [0; 4 * REFERENCE_WORDS];
        for (four, word) in bytes.chunks_exact_mut(4).zip([self.index, self.generation, self.bytes]) {
            four.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, or anything of that length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 4 * REFERENCE_WORDS] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self { index: word(0), generation: word(4), bytes: word(8) })
    }
}

/// There is no room for a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes, in one piece, have no room beside the {used} that wait, where {most} are allowed")]
pub struct ArenaFull {
    /// How large it is.
    pub bytes: u64,
    /// How many bytes wait to be taken.
    pub used: u64,
    /// How many may.
    pub most: u64,
}

/// Memory in which payloads wait for whom they are sent to: the sender's end.
pub trait PayloadArena: Debug + Send + Sync {
    /// Puts a payload there. What is written before a reference is put into a ring is seen by who takes it out.
    ///
    /// # Errors
    /// [`ArenaFull`] when there is no room for it now.
    fn put(&self, payload: &[u8]) -> Result<Reference, ArenaFull>;

    /// Gives back what was put there, when its reference was not handed over, and will not be. References that are not valid (any more) are
    /// left alone.
    fn withdraw(&self, reference: Reference);

    /// Whether a payload of so many bytes would have room now.
    fn has_room(&self, bytes: u64) -> bool;

    /// Bytes that wait or are being read.
    fn used(&self) -> u64;

    /// The most that may. A payload that is no longer has room where nothing else is.
    fn most(&self) -> u64;
}
