//! The ring: many producers, one consumer, slots with a sequence in every chunk.
//!
//! One algorithm serves both directions. Request rings have host threads as producers and a device as consumer; reply
//! rings have a device as producer and one host thread at a time as consumer. Where one end is a GPU, that end is the same
//! algorithm in PTX; where it is a host thread, it is the code here.
//!
//! - A producer reserves one position or several ([`Ring::reserve`]) by moving `tail` (its own side's memory), after checking for
//!   room. It looks at `head` only where the head that producers last saw, kept beside `tail`, does not show enough: `head`'s
//!   line belongs to the other side, and to read it after each of that side's writes is to fetch it across the bus.
//! - It writes the chunks, each with the position's sequence, sequence last. That publishes the slot: there is no flag.
//!   A reserved position must be published, for the consumer waits there: [`Batch`] sees to that, whatever its user does.
//! - The consumer knows its position, waits for the sequences, copies the slot out, and publishes `head` now and then.
//!
//! One writer per shared word: slots and `tail` belong to the producers' side, `head` to the consumer's.
//!
//! The code is generic over its memory ([`RingMemory`]) and its reservation counter ([`Cursor`]), so that a model checker
//! runs these very lines.

mod memory;
mod run;

pub use memory::{RawMemory, RingMemory, Window, prefetch};
pub use run::{LINE_PAIRS, LINE_WORDS, Run};

use super::slot::{self, CHUNK_DATA_WORDS, Correlation, HEADER_CHUNKS, Header, SlotShape};
use std::sync::atomic::{AtomicU64, Ordering};

/// The ring has no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full;

/// A counter of the producers' side: the positions reserved, or the head as they last saw it.
pub trait Cursor: Send + Sync {
    /// A counter that starts at `value`.
    fn new(value: u64) -> Self;
    /// Reads it.
    fn load(&self, order: Ordering) -> u64;
    /// Writes it.
    fn store(&self, value: u64, order: Ordering);
    /// Moves it from `from` to `to`, or says what it is. A move is sequentially consistent: see `cpu/doorbell.rs`, which looks at the
    /// tail before a shard goes idle.
    fn advance(&self, from: u64, to: u64) -> Result<(), u64>;
}

impl Cursor for AtomicU64 {
    fn new(value: u64) -> Self {
        AtomicU64::new(value)
    }
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }
    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order)
    }
    #[inline]
    fn advance(&self, from: u64, to: u64) -> Result<(), u64> {
        // For the ring, relaxed would do: the counter only hands out positions, the slot's own sequences publish the data, and
        // room was established by the acquire load of `head`. SeqCst pairs with the fence in the CPU's `Doorbell::leave`.
        self.compare_exchange_weak(from, to, Ordering::SeqCst, Ordering::Relaxed).map(drop)
    }
}

/// What producers share, in lines of its own.
#[repr(align(128))]
struct Producers<C> {
    /// The next position to be reserved.
    tail: C,
    /// A head that some producer saw: never ahead of the true one.
    seen: C,
}

/// A bounded ring of slots.
pub struct Ring<M = RawMemory, C = AtomicU64> {
    memory: M,
    capacity: u64,
    shape: SlotShape,
    /// 64-bit words of a slot, and the most payload words it carries: what the shape says, at hand.
    slot_words: usize,
    payload_words: usize,
    start: u64,
    /// How many positions had been reserved when the ring was closed, or [`OPEN`].
    closed: AtomicU64,
    producers: Producers<C>,
}

/// No ring has been closed after so many.
const OPEN: u64 = u64::MAX;

impl<M: RingMemory, C: Cursor> Ring<M, C> {
    /// A ring over `memory` whose first position is `start` (0 unless a test wants to see counters wrap).
    ///
    /// Marks every slot as not yet published.
    ///
    /// # Panics
    /// If `capacity` is not a power of two. The runtime checks users' capacities before they get here.
    pub fn new(memory: M, capacity: u32, shape: SlotShape, start: u64) -> Self {
        assert!(capacity.is_power_of_two(), "a ring's capacity is a power of two, not {capacity}");
        let producers = Producers { tail: C::new(start), seen: C::new(start) };
        let (capacity, closed) = (capacity as u64, AtomicU64::new(OPEN));
        let (slot_words, payload_words) = (shape.chunks() * 2, shape.payload_words());
        let ring = Self { memory, capacity, shape, slot_words, payload_words, start, closed, producers };
        for position in (0..ring.capacity).map(|i| start.wrapping_add(i)) {
            // The sequence of the lap before: nobody waits for it.
            let stale = slot::sequence(position.wrapping_sub(ring.capacity)) as u64;
            for chunk in 0..shape.chunks() {
                let word = ring.word_of(position, chunk);
                ring.memory.store(word, 0, Ordering::Relaxed);
                // Relaxed: the ring is not shared yet; handing it to another thread or device synchronises.
                ring.memory.store(word + 1, stale << 32, Ordering::Relaxed);
            }
        }
        ring.memory.store_head(start, Ordering::Relaxed);
        ring
    }

    /// Slots in the ring.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The shape of its slots.
    pub fn shape(&self) -> SlotShape {
        self.shape
    }

    /// Its memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Positions reserved by host producers so far (counted from the ring's start).
    pub fn pushed(&self) -> u64 {
        // Relaxed: figures.
        match self.closed.load(Ordering::Relaxed) {
            OPEN => self.producers.tail.load(Ordering::Relaxed).wrapping_sub(self.start),
            last => last,
        }
    }

    /// Positions the consumer has given back so far (counted from the ring's start).
    pub fn consumed(&self) -> u64 {
        // Relaxed: a figure; nothing is read on the strength of it.
        self.memory.load_head(Ordering::Relaxed).wrapping_sub(self.start)
    }

    /// Slots reserved and not yet given back by the consumer, as far as is known now.
    pub fn len(&self) -> u64 {
        // Head first: it only grows towards tail, so the difference is never negative.
        let consumed = self.consumed();
        self.pushed().wrapping_sub(consumed).min(self.capacity)
    }

    /// Whether every position handed out has been given back.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn word_of(&self, position: u64, chunk: usize) -> usize {
        let slot = (position & (self.capacity - 1)) as usize;
        slot * self.slot_words + chunk * 2
    }

    /// Reserves up to `want` positions: the first, and how many.
    #[inline]
    fn claim(&self, want: u64) -> Result<(u64, u64), Full> {
        let Producers { tail, seen } = &self.producers;
        let mut first = tail.load(Ordering::Relaxed);
        // Acquire pairs with the release store below, whose producer had acquired that head: the consumer's reads of the slots
        // before it come before our writes to them.
        let mut head = seen.load(Ordering::Acquire);
        loop {
            // A head ahead of our stale tail means that tail has moved; the exchange below will say so.
            let room =
                |head: u64| self.capacity.saturating_sub((first.wrapping_sub(head) as i64).max(0) as u64);
            let mut count = want.min(room(head));
            if count < want {
                // Acquire pairs with the release store in `Consumer::publish`: the consumer's reads of the slots come before
                // our writes to them. Release: the next producer's writes come after them as well. It may overwrite a newer
                // head; then the next one looks again.
                head = self.memory.load_head(Ordering::Acquire);
                seen.store(head, Ordering::Release);
                count = want.min(room(head));
                if count == 0 {
                    let now = tail.load(Ordering::Relaxed);
                    if now == first {
                        return Err(Full);
                    }
                    first = now;
                    continue;
                }
            }
            match tail.advance(first, first.wrapping_add(count)) {
                Ok(()) => return Ok((first, count)),
                Err(now) => first = now,
            }
        }
    }

    #[inline]
    fn check_fits(&self, payload: usize) {
        if payload.div_ceil(4) > self.payload_words {
            self.does_not_fit(payload);
        }
    }

    #[cold]
    #[inline(never)]
    fn does_not_fit(&self, payload: usize) -> ! {
        panic!("{} words in a slot of {}", payload.div_ceil(4), self.shape.payload_words());
    }

    /// Writes one message, or says that there is no room.
    ///
    /// `header.words` is set from the payload.
    ///
    /// # Panics
    /// If the payload is larger than a slot: the runtime sizes the ring by the largest message the actor handles.
    #[inline]
    pub fn try_push(&self, header: Header, payload: &[u8]) -> Result<(), Full> {
        self.check_fits(payload.len());
        let (position, _) = self.claim(1)?;
        self.write(position, header, payload);
        Ok(())
    }

    /// Reserves room for up to `want` messages, at least one, with a single read-modify-write; or says that there is none.
    ///
    /// The messages are then written by [`Batch::push`], without a pause: whatever comes behind them in the ring waits for them.
    #[inline]
    pub fn reserve(&self, want: usize) -> Result<Batch<'_, M, C>, Full> {
        let (next, left) = self.claim(want.max(1) as u64)?;
        Ok(Batch { ring: self, next, left: left as usize })
    }

    /// Takes no more messages: reserves the room of a whole ring, which nobody will fill. What was reserved before is published and
    /// consumed as ever; returns how many positions that were, counted as [`consumed`](Self::consumed) does. To be called once.
    pub fn close(&self) -> u64 {
        let tail = &self.producers.tail;
        // Relaxed: as for any reservation; no slot is written on the strength of it.
        let mut last = tail.load(Ordering::Relaxed);
        while let Err(now) = tail.advance(last, last.wrapping_add(self.capacity)) {
            last = now;
        }
        let last = last.wrapping_sub(self.start);
        self.closed.store(last, Ordering::Relaxed);
        last
    }

    /// Brings the first line of a position's slot nearer: for a consumer that expects to be there soon. Where it is still to be written, its
    /// producer has to fetch it back; so only where there are many.
    #[inline]
    pub fn prefetch(&self, position: u64) {
        self.memory.prefetch(self.word_of(position, 0));
    }

    /// The correlation index of a position's message, if that has been published. For hints: nothing else is acquired.
    #[inline]
    pub fn correlation_at(&self, position: u64) -> Option<u32> {
        // Relaxed: a hint.
        let high = self.memory.load(self.word_of(position, 0) + 1, Ordering::Relaxed);
        ((high >> 32) as u32 == slot::sequence(position)).then_some(high as u32)
    }

    /// The words of a position's slot: eight at least.
    #[inline]
    fn slot(&self, position: u64) -> Window<'_, M> {
        let slot = self.memory.window(self.word_of(position, 0), self.slot_words);
        // What a shape promises; said here for the compiler, which then knows that the first words are there.
        assert!(slot.len() >= slot::SLOT_GRAIN / 8);
        slot
    }

    /// Writes a slot, which publishes it. The payload fits: the callers have checked that.
    ///
    /// Always inlined, and so is what calls it once for each of many: a header that was put in memory for a call, word by word, and is
    /// loaded from there in larger pieces waits until those stores have left the store buffer, behind the slot before, whose
    /// line another core had.
    #[inline(always)]
    fn write(&self, position: u64, header: Header, payload: &[u8]) {
        let h = Header { words: payload.len().div_ceil(4) as u16, ..header }.to_words();
        let sequence = (slot::sequence(position) as u64) << 32;
        let slot = self.slot(position);
        let put = |chunk: usize, data: [u32; CHUNK_DATA_WORDS]| {
            slot.store(2 * chunk, data[0] as u64 | (data[1] as u64) << 32, Ordering::Relaxed);
            // Release pairs with the acquire load in `chunk`: whoever sees the sequence sees the word before it.
            slot.store(2 * chunk + 1, data[2] as u64 | sequence, Ordering::Release);
        };
        put(0, [h[0], h[1], h[2]]);
        put(1, [h[3], h[4], h[5]]);
        let mut chunk = HEADER_CHUNKS;
        let mut whole = payload.chunks_exact(4 * CHUNK_DATA_WORDS);
        for twelve in &mut whole {
            put(chunk, [word_at(twelve, 0), word_at(twelve, 4), word_at(twelve, 8)]);
            chunk += 1;
        }
        let rest = whole.remainder();
        if !rest.is_empty() {
            put(chunk, [word_at(rest, 0), word_at(rest, 4), word_at(rest, 8)]);
        }
    }

    /// Whether the message at `position` is there to be taken (its first chunk has been published). Any thread may ask; a position
    /// that the consumer has passed may look either way.
    #[inline]
    pub fn is_published(&self, position: u64) -> bool {
        // Acquire pairs with the release store of the sequence in `write`: who is told of a message may take it.
        let high = self.memory.load(self.word_of(position, 0) + 1, Ordering::Acquire);
        (high >> 32) as u32 == slot::sequence(position)
    }

    /// The consuming end. There must be one at a time: that is the caller's to ensure (a lock, or one thread).
    pub fn consumer(&self) -> Consumer {
        Consumer { position: self.start }
    }
}

/// The data of a slot's chunk, if it has been published.
#[inline]
fn chunk<M: RingMemory>(
    slot: &Window<'_, M>,
    chunk: usize,
    sequence: u32,
) -> Option<[u32; CHUNK_DATA_WORDS]> {
    // Acquire pairs with the release store of the sequence in `write` (or the device's 16-byte store).
    let high = slot.load(2 * chunk + 1, Ordering::Acquire);
    if (high >> 32) as u32 != sequence {
        return None;
    }
    let low = slot.load(2 * chunk, Ordering::Relaxed);
    Some([low as u32, (low >> 32) as u32, high as u32])
}

/// The header of a slot, if it has been published; one that claims more words than `most` has tag 0 and none.
#[inline(always)]
fn header<M: RingMemory>(slot: &Window<'_, M>, sequence: u32, most: usize) -> Option<Header> {
    let [tag, instance, index] = chunk(slot, 0, sequence)?;
    let [gen_words, low, high] = chunk(slot, 1, sequence)?;
    let header = Header::from_words([tag, instance, index, gen_words, low, high]);
    Some(if header.words as usize > most { Header { tag: 0, words: 0, ..header } } else { header })
}

/// The payload of a message that lies in its slot.
pub struct Payload<'a, M: RingMemory = RawMemory> {
    slot: Window<'a, M>,
    words: usize,
}

impl<M: RingMemory> Payload<'_, M> {
    /// Its length in words of 4 bytes.
    #[inline]
    pub fn words(&self) -> usize {
        self.words
    }

    /// The six words that begin with word `6 * group`, two in each, the first in the lower half. Those beyond the end may be anything.
    ///
    /// # Panics
    /// If the slot is too small for them.
    #[inline(always)]
    pub fn six(&self, group: usize) -> [u64; CHUNK_DATA_WORDS] {
        let first = 2 * (HEADER_CHUNKS + 2 * group);
        // Relaxed: `peek` acquired the sequences. A slot has an even number of chunks.
        let load = |at: usize| self.slot.load(first + at, Ordering::Relaxed);
        let (a, b, c, d) = (load(0), load(1), load(2), load(3));
        [a, (b & u32::MAX as u64) | c << 32, c >> 32 | d << 32]
    }

    /// Copies it to the front of `out`, as much as has room there.
    #[inline]
    pub fn copy_to(&self, out: &mut [u32]) {
        let length = self.words.min(out.len());
        for (group, six) in out[..length].chunks_mut(2 * CHUNK_DATA_WORDS).enumerate() {
            let words = self.six(group).into_iter().flat_map(|pair| [pair as u32, (pair >> 32) as u32]);
            six.iter_mut().zip(words).for_each(|(out, word)| *out = word);
        }
    }
}

/// Four bytes as a word; what lies beyond the end is 0.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(four) => u32::from_le_bytes([four[0], four[1], four[2], four[3]]),
        None => (at..bytes.len()).rev().fold(0, |word, i| word << 8 | bytes[i] as u32),
    }
}

/// Positions reserved by [`Ring::reserve`].
///
/// Dropped before all were written (its user panicked, or had less to say), it fills the rest with messages of tag 0, which no
/// handler takes, and to which nobody waits for an answer: the device counts them as malformed and goes on.
pub struct Batch<'a, M: RingMemory = RawMemory, C: Cursor = AtomicU64> {
    ring: &'a Ring<M, C>,
    next: u64,
    left: usize,
}

impl<M: RingMemory, C: Cursor> Batch<'_, M, C> {
    /// Messages that can still be written.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Writes the next message. `header.words` is set from the payload.
    ///
    /// # Panics
    /// If the payload is larger than a slot, or no position is left.
    #[inline(always)]
    pub fn push(&mut self, header: Header, payload: &[u8]) {
        self.ring.check_fits(payload.len());
        assert!(self.left > 0, "the batch is written");
        self.ring.write(self.next, header, payload);
        self.next = self.next.wrapping_add(1);
        self.left -= 1;
    }
}

impl<M: RingMemory, C: Cursor> Drop for Batch<'_, M, C> {
    #[inline]
    fn drop(&mut self) {
        while self.left > 0 {
            let nothing = Header { tag: 0, instance: 0, correlation: Correlation::NONE, words: 0, hlc: 0 };
            self.push(nothing, &[]);
        }
    }
}

/// The consuming end's position. Kept apart from the ring so that it can live under the caller's lock.
#[derive(Debug)]
pub struct Consumer {
    position: u64,
}

impl Consumer {
    /// The consuming end whose next position is `position`: for those who keep only that.
    pub fn at(position: u64) -> Self {
        Self { position }
    }

    /// Takes the next message if it is there, copying its payload (little-endian words) to the front of `payload`. What lies behind it
    /// there is not kept.
    ///
    /// The slot is given back by the next [`publish`](Self::publish). A header that claims more words than a slot has is
    /// returned with tag 0, which no message has, and no payload.
    // Always: a call would hand the header back through memory, and that is a good part of the work.
    #[inline(always)]
    pub fn pop<M: RingMemory, C: Cursor>(
        &mut self,
        ring: &Ring<M, C>,
        payload: &mut [u32],
    ) -> Option<Header> {
        let sequence = slot::sequence(self.position);
        let slot = ring.slot(self.position);
        let header = header(&slot, sequence, ring.payload_words.min(payload.len()))?;
        let words = header.words as usize;
        let mut put = |at: usize, data: [u32; CHUNK_DATA_WORDS]| {
            // Whole chunks, as far as there is room: what lies behind the message is not kept.
            match payload.get_mut(at..at + CHUNK_DATA_WORDS) {
                Some(three) => three.copy_from_slice(&data),
                None => payload[at..].iter_mut().zip(data).for_each(|(out, word)| *out = word),
            }
        };
        // Most messages end in the first line, whose words are known to be there.
        if words > 0 {
            put(0, chunk(&slot, HEADER_CHUNKS, sequence)?);
        }
        if words > CHUNK_DATA_WORDS {
            put(CHUNK_DATA_WORDS, chunk(&slot, HEADER_CHUNKS + 1, sequence)?);
        }
        let (mut at, mut number) = (2 * CHUNK_DATA_WORDS, HEADER_CHUNKS + 2);
        while at < words {
            put(at, chunk(&slot, number, sequence)?);
            (at, number) = (at + CHUNK_DATA_WORDS, number + 1);
        }
        self.position = self.position.wrapping_add(1);
        Some(header)
    }

    /// The next message, if all of it is there: its header, and its payload, which stays in the slot. [`advance`](Self::advance) takes it.
    ///
    /// A header that claims more words than a slot has is as [`pop`](Self::pop) returns it.
    #[inline(always)]
    pub fn peek<'a, M: RingMemory, C: Cursor>(
        &self,
        ring: &'a Ring<M, C>,
    ) -> Option<(Header, Payload<'a, M>)> {
        let sequence = slot::sequence(self.position);
        let slot = ring.slot(self.position);
        let header = header(&slot, sequence, ring.payload_words)?;
        let words = header.words as usize;
        // As in `pop`: most messages end in the first line.
        if words > 0 {
            chunk(&slot, HEADER_CHUNKS, sequence)?;
        }
        if words > CHUNK_DATA_WORDS {
            chunk(&slot, HEADER_CHUNKS + 1, sequence)?;
        }
        let (mut at, mut number) = (2 * CHUNK_DATA_WORDS, HEADER_CHUNKS + 2);
        while at < words {
            chunk(&slot, number, sequence)?;
            (at, number) = (at + CHUNK_DATA_WORDS, number + 1);
        }
        Some((header, Payload { slot, words }))
    }

    /// Takes the message that was [looked at](Self::peek).
    #[inline]
    pub fn advance(&mut self) {
        self.position = self.position.wrapping_add(1);
    }

    /// Whether a message is there to be taken (its first chunk has been published).
    #[inline]
    pub fn is_ready<M: RingMemory, C: Cursor>(&self, ring: &Ring<M, C>) -> bool {
        ring.is_published(self.position)
    }

    /// Gives every slot taken so far back to the producers.
    pub fn publish<M: RingMemory, C: Cursor>(&self, ring: &Ring<M, C>) {
        // Release pairs with the acquire load of `head` in `try_push`: our reads of the slots come first.
        ring.memory.store_head(self.position, Ordering::Release);
    }

    /// The next position to be taken.
    pub fn position(&self) -> u64 {
        self.position
    }
}

#[cfg(test)]
mod tests;
