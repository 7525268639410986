//! A kernel's mailbox in device memory: how it is made, what it counts, and what still lies in it when its kernel has ended.

use super::driver::DeviceMemory;
use super::links::{DROP_OLDEST, Entry, Links, ON_DEVICE, SPILL};
use super::lobby::Lobby;
use super::prepare::{RECEIVED, SAVED_BYTES, SAVED_MAIL};
use super::resident::Core;
use crate::abi::slot::{self, CHUNK_BYTES};
use crate::abi::{Correlation, Origin};
use crate::kernel::DeviceError;
use crate::mesh::{MailboxSnapshot, Overflow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a sender tries for a mailbox whose oldest messages are to be discarded.
const DISCARDING: Duration = Duration::from_micros(200);

/// The longest that a sender waits for room, and with it a warp, which looks for what it is told no sooner.
const LONGEST_BLOCK: Duration = Duration::from_secs(1);

/// A kernel's mailbox: a ring a shard.
pub(super) struct Mailbox {
    pub(super) heads: DeviceMemory,
    pub(super) slots: DeviceMemory,
    pub(super) entry: Entry,
}

/// Bytes of a shard's line of counters: the next position, room, how often there was none, how many are to be discarded.
pub(super) const HEAD_BYTES: usize = 128;
const ROOM: usize = 4;
const FULL: usize = 8;

impl Core {
    pub(super) fn make_mailbox(&self) -> Result<Mailbox, DeviceError> {
        let Links { spec, shape, instances, first_position, .. } = &self.links;
        let (shards, capacity) = (self.shards as usize, spec.mailbox as usize);
        let what = || format!("mailboxes of {capacity} slots");
        let bytes = (shape.bytes() * capacity)
            .checked_mul(shards)
            .ok_or_else(|| DeviceError::OutOfMemory { bytes: u64::MAX, what: what() })?;
        let pool = &self.shared.pool;
        let heads = DeviceMemory::zeroed(pool, HEAD_BYTES * shards, "mailbox counters")?;
        let slots = DeviceMemory::zeroed(pool, bytes, &what())?;
        let start = *first_position as u32;
        if start != 0 {
            // No word of an unwritten slot may look like a sequence that is waited for: they are those of the lap before.
            slots.write(0, bytemuck::cast_slice(&vec![start; bytes / 4]))?;
        }
        let mut lines = vec![[0u32; HEAD_BYTES / 4]; shards];
        for line in &mut lines {
            line[0] = start;
            line[ROOM / 4] = spec.mailbox;
        }
        heads.write(0, bytemuck::cast_slice(&lines))?;
        let (policy, block) = match spec.overflow {
            Overflow::Reject => (0, Duration::ZERO),
            Overflow::Block { at_most } => (1, at_most),
            Overflow::DropOldest => (DROP_OLDEST, DISCARDING),
            Overflow::Spill => (SPILL, Duration::ZERO),
        };
        let entry = Entry {
            heads: heads.address,
            slots: slots.address,
            mask: spec.mailbox - 1,
            slot_bytes: shape.bytes() as u32,
            shift: self.shards.ilog2(),
            instances: *instances,
            kind: ON_DEVICE,
            number: spec.number.into(),
            policy,
            block: block.min(LONGEST_BLOCK).as_nanos() as u32,
            most_words: shape.payload_words() as u32,
            ..Entry::default()
        };
        Ok(Mailbox { heads, slots, entry })
    }

    /// Messages the shard has taken from its mailbox.
    pub(super) fn received(&self, shard: u32) -> u64 {
        // SAFETY: written at the launch, alive with `self`, and only reached through atomics.
        let received =
            unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + RECEIVED).cast::<AtomicU64>() };
        // Relaxed: a figure.
        received.load(Ordering::Relaxed)
    }

    /// The mailbox in figures.
    pub(super) fn mailbox_figures(&self, lobby: &Lobby) -> MailboxSnapshot {
        let mailbox = self.links.mailbox();
        if mailbox.is_none() && self.descriptor.mesh.receives.is_empty() {
            return MailboxSnapshot::default();
        }
        // Before what was sent is looked at, so that there are never fewer waiting than there are.
        let taken: Vec<_> = (0..self.shards)
            .map(|shard| (self.received(shard), self.telemetry(shard).snapshot().messages_dropped))
            .collect();
        let mut heads = vec![0u8; HEAD_BYTES * self.shards as usize];
        let read = mailbox.as_ref().is_some_and(|mailbox| mailbox.heads.read(0, &mut heads).is_ok());
        // Those that came by way of the host lie in the rings of requests, or in the lobby.
        let mut all = MailboxSnapshot { waiting: lobby.relayed(), ..MailboxSnapshot::default() };
        for ((received, dropped), line) in taken.into_iter().zip(heads.chunks_exact(HEAD_BYTES)) {
            all.received += received;
            all.dropped += dropped;
            if mailbox.is_none() {
                all.waiting = all.waiting.wrapping_sub(received);
            } else if read {
                let tail: u32 = bytemuck::pod_read_unaligned(&line[..4]);
                let sent = tail.wrapping_sub(self.links.first_position as u32);
                let left = sent.wrapping_sub((received + dropped) as u32) as i32;
                all.waiting = all.waiting.wrapping_add_signed(left.into());
                all.full += bytemuck::pod_read_unaligned::<u64>(&line[FULL..FULL + 8]);
            }
        }
        all
    }

    /// Who waits for answers to forwarded messages that still lie in the mailbox of a kernel that has returned for good.
    pub(super) fn unanswered_mail(&self) -> Vec<Correlation> {
        let mut waiting = Vec::new();
        self.links.unanswered_in_lobbies(self, &mut waiting);
        let Some(mailbox) = self.links.mailbox() else { return waiting };
        for shard in 0..self.shards as usize {
            // What cannot be read because the device is lost has been told to those who wait.
            let _ = self.unanswered_of(&mailbox, shard, &mut waiting);
        }
        waiting
    }

    fn unanswered_of(
        &self,
        mailbox: &Mailbox,
        shard: usize,
        waiting: &mut Vec<Correlation>,
    ) -> Result<(), DeviceError> {
        let (mut taken, mut tail) = ([0; 8], [0; 4]);
        self.saved.read(SAVED_BYTES * shard + SAVED_MAIL, &mut taken)?;
        mailbox.heads.read(HEAD_BYTES * shard, &mut tail)?;
        let (taken, tail) = (u64::from_le_bytes(taken) as u32, u32::from_le_bytes(tail));
        let (slot_bytes, capacity) = (mailbox.entry.slot_bytes as usize, mailbox.entry.mask as usize + 1);
        let mut slots = vec![0; slot_bytes * capacity];
        mailbox.slots.read(slot_bytes * capacity * shard, &mut slots)?;
        forwarded_among(&slots, slot_bytes, taken, tail, waiting);
        Ok(())
    }
}

/// Who waits for answers to forwarded messages between two positions of a ring with these slots, a power of two of them.
pub(super) fn forwarded_among(
    slots: &[u8],
    slot_bytes: usize,
    taken: u32,
    tail: u32,
    waiting: &mut Vec<Correlation>,
) {
    let capacity = (slots.len() / slot_bytes) as u32;
    for position in (0..tail.wrapping_sub(taken).min(capacity)).map(|n| taken.wrapping_add(n)) {
        let at = slot_bytes * (position & (capacity - 1)) as usize;
        let word = |chunk: usize, word: usize| {
            bytemuck::pod_read_unaligned::<u32>(&slots[at + CHUNK_BYTES * chunk + 4 * word..][..4])
        };
        let sequence = slot::sequence(u64::from(position));
        if word(0, 3) == sequence && word(1, 3) == sequence {
            let correlation = Correlation { index: word(0, 2), generation: word(1, 0) as u16 };
            waiting.extend(matches!(correlation.origin(), Origin::Forwarded { .. }).then_some(correlation));
        }
    }
}
