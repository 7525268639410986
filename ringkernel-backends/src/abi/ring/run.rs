//! Many messages one behind another, each in the first line of its slot, as most are: for who takes all that is there.

use super::{Consumer, Cursor, Ring, RingMemory, Window};
use crate::abi::slot::{self, CHUNK_DATA_WORDS, HEADER_CHUNKS, Header, SLOT_GRAIN};
use std::sync::atomic::Ordering;

/// Payload words that the first line of a slot carries,
pub const LINE_WORDS: usize = 6;
/// two in each of so many.
pub const LINE_PAIRS: usize = LINE_WORDS / 2;

/// A consumer's way along a ring: what it needs of the ring is at hand. What it took is taken when its [`consumer`](Self::consumer) says so.
pub struct Run<'a, M: RingMemory = super::RawMemory> {
    all: Window<'a, M>,
    mask: u64,
    slot_words: usize,
    position: u64,
}

/// The data words of a chunk.
#[inline(always)]
fn data(low: u64, high: u64) -> [u32; CHUNK_DATA_WORDS] {
    [low as u32, (low >> 32) as u32, high as u32]
}

// Not derived: the memory need not be `Copy`.
impl<M: RingMemory> Clone for Run<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: RingMemory> Copy for Run<'_, M> {}

impl Consumer {
    /// The messages from here on.
    #[inline]
    pub fn run<'a, M: RingMemory, C: Cursor>(&self, ring: &'a Ring<M, C>) -> Run<'a, M> {
        let all = ring.memory.window(0, ring.capacity as usize * ring.slot_words);
        let (mask, slot_words) = (ring.capacity - 1, ring.slot_words);
        Run { all, mask, slot_words, position: self.position }
    }
}

impl<M: RingMemory> Run<'_, M> {
    /// Where the slot of a position begins.
    #[inline(always)]
    fn first(&self, position: u64) -> usize {
        (position & self.mask) as usize * self.slot_words
    }

    /// The next message, if all of it is there and in one line: its header, and its words, two in each. Those beyond the end may be anything.
    #[inline(always)]
    pub fn look(&self) -> Option<(Header, [u64; LINE_PAIRS])> {
        let sequence = slot::sequence(self.position);
        let line = self.all.part(self.first(self.position), SLOT_GRAIN / 8);
        // Acquire pairs with the release store of the sequence in `write` (or the device's 16-byte store): the rest of the chunk is there.
        let high = |chunk: usize| {
            let high = line.load(2 * chunk + 1, Ordering::Acquire);
            ((high >> 32) as u32 == sequence).then_some(high)
        };
        // Relaxed: its chunk's sequence was acquired.
        let low = |chunk: usize| line.load(2 * chunk, Ordering::Relaxed);
        let (first, second) = (high(0)?, high(1)?);
        let [tag, instance, index] = data(low(0), first);
        let [gen_words, early, late] = data(low(1), second);
        let header = Header::from_words([tag, instance, index, gen_words, early, late]);
        let words = header.words as usize;
        // Every slot carries so many; one that claims more than its slot has is among these.
        if words > LINE_WORDS {
            return None;
        }
        let pairs = if words > CHUNK_DATA_WORDS {
            let (c, f) = (high(HEADER_CHUNKS)?, high(HEADER_CHUNKS + 1)?);
            let de = low(HEADER_CHUNKS + 1);
            [low(HEADER_CHUNKS), c & u32::MAX as u64 | de << 32, de >> 32 | f << 32]
        } else if words > 0 {
            let c = high(HEADER_CHUNKS)?;
            [low(HEADER_CHUNKS), c & u32::MAX as u64, 0]
        } else {
            [0; LINE_PAIRS]
        };
        Some((header, pairs))
    }

    /// Takes the message that was looked at.
    #[inline(always)]
    pub fn advance(&mut self) {
        self.position = self.position.wrapping_add(1);
    }

    /// The correlation index of the message so far ahead, if that has been published. For hints: nothing else is acquired.
    #[inline(always)]
    pub fn correlation_ahead(&self, ahead: u64) -> Option<u32> {
        let position = self.position.wrapping_add(ahead);
        // Relaxed: a hint.
        let high = self.all.load(self.first(position) + 1, Ordering::Relaxed);
        ((high >> 32) as u32 == slot::sequence(position)).then_some(high as u32)
    }

    /// As [`Ring::prefetch`], for the slot so far ahead.
    #[inline(always)]
    pub fn prefetch_ahead(&self, ahead: u64) {
        self.all.prefetch(self.first(self.position.wrapping_add(ahead)));
    }

    /// The consumer, behind what was taken.
    #[inline]
    pub fn consumer(&self) -> Consumer {
        Consumer { position: self.position }
    }
}
