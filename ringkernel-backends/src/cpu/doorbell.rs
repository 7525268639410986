//! A shard's doorbell: one word that says whether the shard is scheduled (queued or running) or idle.
//!
//! A sender rings after it published. While the shard is scheduled, as it is in a stream of messages, ringing is one load of a
//! word that nobody writes: no read-modify-write, no line that travels. Only who finds the shard idle exchanges the word, and
//! whoever turns idle into scheduled queues the shard, so it is never queued twice.
//!
//! **No wake-up is missed.** The danger is a sender that still reads "scheduled" while the shard, which has looked at the ring for the
//! last time, is on its way to idle. Both sides first write, then read what the other writes:
//!
//! ```text
//! sender   tail.advance   (1, SeqCst)        shard   swap IDLE
//!          write the slot                            fence        (3, SeqCst)
//!          load the word  (2, SeqCst)                load tail    (4)
//! ```
//!
//! In the one order of everything `SeqCst`, 1 comes before 2. If the sender reads the word as it was before the shard's exchange, 2
//! comes before 3; then so does 1, and 4 reads the tail as the sender left it: the shard sees that a position is reserved and
//! stays. That is why the shard looks at the tail here and not at the slot, which may be on its way. Nothing of this costs a
//! sender more than it paid anyway: the advance is a read-modify-write whatever its ordering.
//!
//! Switches (`is_active`, `should_terminate`) are thrown rarely, and followed by a fence and a ring ([`Doorbell::ring_after`]).
//!
//! [`give_back`] is the other direction: whether somebody may wait for the room that is given back.
//!
//! The word is behind a trait, so that loom runs these very lines (`model.rs`).

use crate::abi::ring::{Consumer, Cursor, Ring, RingMemory};
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The shard waits to be rung.
const IDLE: u32 = 0;
/// It is queued or running: whoever makes it so queues it.
const SCHEDULED: u32 = 1;

/// The word, and the fence that goes with it.
pub(super) trait Word {
    fn new(value: u32) -> Self;
    fn load(&self, order: Ordering) -> u32;
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// A `SeqCst` fence.
    fn fence();
}

impl Word for AtomicU32 {
    fn new(value: u32) -> Self {
        AtomicU32::new(value)
    }
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }
    fn fence() {
        fence(Ordering::SeqCst)
    }
}

/// A line of its own: every sender reads it, for each message.
#[repr(align(128))]
pub(super) struct Doorbell<W = AtomicU32>(W);

impl<W: Word> Doorbell<W> {
    /// Of an idle shard.
    pub(super) fn new() -> Self {
        Self(W::new(IDLE))
    }

    /// Rings, after a message was put in the shard's ring. Where it says true, the caller queues the shard.
    #[inline]
    pub(super) fn ring(&self) -> bool {
        // SeqCst, both: see the module's text. The exchange decides who queues the shard; what a sender published is seen through the
        // slot's own sequences, and through the tail by a shard that would leave.
        self.0.load(Ordering::SeqCst) == IDLE && self.0.swap(SCHEDULED, Ordering::SeqCst) == IDLE
    }

    /// Rings, after something else was stored that the shard must notice and that `leave` will be asked about.
    pub(super) fn ring_after(&self) -> bool {
        // Stands where a sender has its `SeqCst` advance.
        W::fence();
        self.ring()
    }

    /// Leaves the scheduled shard idle, unless it is `wanted`: then it stays scheduled, and the answer is false.
    ///
    /// `wanted` says, from what is shared, whether there is anything to do: for messages, whether the ring's tail is beyond its
    /// head. It may be called while another thread runs the shard already.
    pub(super) fn leave(&self, wanted: impl FnOnce() -> bool) -> bool {
        // An exchange, so that all who write the word have one order and each sees the last; AcqRel like theirs. The fence: see the
        // module's text. What the run did travels under the body's lock.
        self.0.swap(IDLE, Ordering::AcqRel);
        W::fence();
        // If another has turned it to scheduled meanwhile, that one has queued it, and we are done with it.
        !(wanted() && self.0.swap(SCHEDULED, Ordering::SeqCst) == IDLE)
    }
}

/// Gives back the slots taken, and says whether the ring had been full until now: only then can a sender wait for room.
///
/// A sender waits who found the ring full, made a fence, and found it full once more. If it still read the old head then, its fence
/// comes before ours in the one order of `SeqCst`; the advance that filled the ring, whose tail it had read, comes before its
/// fence; so we read the tail as it was then, or later.
pub(super) fn give_back<W: Word, M: RingMemory, C: Cursor>(consumer: &Consumer, ring: &Ring<M, C>) -> bool {
    let before = ring.consumed();
    consumer.publish(ring);
    W::fence();
    ring.pushed().wrapping_sub(before) >= ring.capacity()
}
