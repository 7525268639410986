//! The lobby: where a kernel that receives (`try_receive_from_kernel`) lets messages wait that came to it by way of the host.
//!
//! Such a message may have to wait for a handler: itself, where only `try_receive_from_kernel` takes it and as many of those are kept as the mailbox has slots
//! for; or the mailbox, behind whose messages it comes and whose first may be one of those. It comes among the requests, and the request behind it may
//! be the one whose handler would receive. So the loop puts it aside as soon as it sees it (`runtime/mail.ptx`, ENTERING), into a ring of
//! [`LOBBY`] slots, and what makes it wait there makes no request wait.
//!
//! What must hold:
//! - **It always finds a slot.** The host counts what it hands over to each shard, the loop how many have left the lobby, and the host hands over
//!   no more than [`LOBBY`] beyond those; the rest stays on the host, in order. So what is in the ring of requests and in the lobby
//!   together fits the lobby.
//! - **It stays in order.** The lobby is a ring, and it is entered in the order of the requests. Nobody in it goes on before the mailbox has been taken as
//!   far as it was filled when the last came in, so each comes behind what its sender had put into the mailbox. The sender puts nothing
//!   there before all it spilled has been handled, which is counted when it leaves the lobby.
//! - **It goes on when it can.** The loop looks at the lobby whenever it has handled something or been activated, before all else; and
//!   the host tries again what it has whenever it looks at the kernel's replies, which it does as long as it has something.
//!
//! What is kept is counted (`%rk_stash_live`), and may be as much as the mailbox has slots. It lies in twice as many, so when it has come to
//! the end and half of what lies there was taken, the others move together: a copy or less for each that was taken.

use super::driver::DeviceMemory;
use super::links::Links;
use super::prepare::{LOBBY_LEFT, SAVED_BYTES, SAVED_LOBBY};
use super::resident::Core;
use crate::abi::Correlation;
use crate::kernel::{DeviceError, KernelDescriptor};
use crate::mesh::Sent;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Messages in a shard's lobby, a power of two: as many as a warp takes at once.
pub(super) const LOBBY: u32 = 32;
/// Bytes of a kept message in front of its payload.
const STASH_HEAD: u32 = 16;

/// What the host has handed over to a kernel.
pub(super) struct Lobby {
    /// To each shard; empty where the kernel has no lobby.
    handed: Box<[AtomicU32]>,
    /// To all of them, with a lobby or without.
    relayed: AtomicU64,
}

impl Lobby {
    pub(super) fn new(descriptor: &KernelDescriptor, shards: u32) -> Self {
        let shards = if descriptor.mesh.receives.is_empty() { 0 } else { shards };
        Self { handed: (0..shards).map(|_| AtomicU32::new(0)).collect(), relayed: AtomicU64::new(0) }
    }

    /// Hands a message over by `push` if there is room for it.
    pub(super) fn admit(&self, core: &Core, instance: u32, push: impl FnOnce() -> Sent) -> Sent {
        // A power of two.
        let handed = self.handed.get((instance & (core.shards - 1)) as usize);
        if let Some(handed) = handed {
            let left = core.left_lobby(instance & (core.shards - 1));
            let room = |count: u32| (count.wrapping_sub(left) < LOBBY).then(|| count.wrapping_add(1));
            // Relaxed: a count. The message goes into the ring of requests, which has its own orderings.
            if handed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
                return Sent::Full;
            }
        }
        // Relaxed: a figure. Counted before it can be received, so that never fewer wait than do.
        self.relayed.fetch_add(1, Ordering::Relaxed);
        let sent = push();
        if !sent.is_ok() {
            self.relayed.fetch_sub(1, Ordering::Relaxed);
            if let Some(handed) = handed {
                handed.fetch_sub(1, Ordering::Relaxed);
            }
        }
        sent
    }

    /// Messages of other kernels that the host has handed over.
    pub(super) fn relayed(&self) -> u64 {
        // Relaxed: a figure.
        self.relayed.load(Ordering::Relaxed)
    }
}

/// How large the memory for what is kept is, and for the lobby behind it.
#[derive(Clone, Copy, Default)]
pub(super) struct StashShape {
    /// Messages kept, a power of two; 0 where none are.
    pub(super) slots: u32,
    pub(super) slot_bytes: u32,
    /// Of a shard.
    pub(super) bytes: usize,
    /// Of all.
    pub(super) all: usize,
}

impl StashShape {
    pub(super) fn of(descriptor: &KernelDescriptor, links: &Links, shards: u32) -> Result<Self, DeviceError> {
        let sizes = descriptor.mesh.receives.iter().map(|message| message.size);
        let Some(largest) = sizes.max() else { return Ok(Self::default()) };
        let too_many = || DeviceError::OutOfMemory {
            bytes: u64::MAX,
            what: format!("messages that wait to be asked for, twice {}", links.spec.mailbox),
        };
        let slots = links.spec.mailbox.checked_mul(2).ok_or_else(too_many)?;
        let slot_bytes = STASH_HEAD + largest.next_multiple_of(16);
        let lobby = LOBBY as usize * links.shape.bytes();
        let bytes =
            (slots as usize).checked_mul(slot_bytes as usize).and_then(|kept| kept.checked_add(lobby));
        let all = bytes.and_then(|bytes| bytes.checked_mul(shards as usize));
        let (bytes, all) = bytes.zip(all).ok_or_else(too_many)?;
        Ok(Self { slots, slot_bytes, bytes, all })
    }

    /// Where a shard's lobby lies.
    fn lobby(self, shard: u32) -> usize {
        shard as usize * self.bytes + self.slots as usize * self.slot_bytes as usize
    }
}

impl Core {
    /// How many messages have left the shard's lobby.
    fn left_lobby(&self, shard: u32) -> u32 {
        // SAFETY: written at the launch, alive with `self`, and only reached through atomics.
        let left =
            unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + LOBBY_LEFT).cast::<AtomicU32>() };
        // Relaxed: the loop writes it when the slots are free, and the host does not touch those.
        left.load(Ordering::Relaxed)
    }

    /// Who waits for answers to forwarded messages that are in a shard's lobby, of a kernel that has returned for good.
    pub(super) fn unanswered_in_lobby(
        &self,
        stash: &DeviceMemory,
        shard: u32,
        waiting: &mut Vec<Correlation>,
    ) -> Result<(), DeviceError> {
        let shape = StashShape::of(self.descriptor, &self.links, self.shards)?;
        let (mut ends, slot_bytes) = ([0u32; 2], self.links.shape.bytes());
        self.saved.read(SAVED_BYTES * shard as usize + SAVED_LOBBY, bytemuck::cast_slice_mut(&mut ends))?;
        let mut slots = vec![0; slot_bytes * LOBBY as usize];
        stash.read(shape.lobby(shard), &mut slots)?;
        super::mailbox::forwarded_among(&slots, slot_bytes, ends[0], ends[1], waiting);
        Ok(())
    }
}
