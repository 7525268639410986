//! The ring: many producers, one consumer, slots with a sequence in every chunk.
//!
//! One algorithm serves both directions. Request rings have host threads as producers and a device as consumer; reply
//! rings have a device as producer and one host thread at a time as consumer. Where one end is a GPU, that end is the same
//! algorithm in PTX; where it is a host thread, it is the code here.
//!
//! - A producer reserves a position by moving `tail` (its own side's memory), after checking `head` for room.
//! - It writes the chunks, each with the position's sequence, sequence last. That publishes the slot: there is no flag.
//! - The consumer knows its position, waits for the sequences, copies the slot out, and publishes `head` now and then.
//!
//! One writer per shared word: slots and `tail` belong to the producers' side, `head` to the consumer's.
//!
//! The code is generic over its memory ([`RingMemory`]) and its reservation counter ([`Cursor`]), so that a model checker
//! runs these very lines.

use super::slot::{self, CHUNK_DATA_WORDS, HEADER_CHUNKS, Header, SlotShape};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The ring has no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full;

/// The memory both ends see: 64-bit words of slots, and the head word.
pub trait RingMemory: Send + Sync {
    /// Reads 64-bit word `index` of the slot area.
    fn load(&self, index: usize, order: Ordering) -> u64;
    /// Writes 64-bit word `index` of the slot area.
    fn store(&self, index: usize, value: u64, order: Ordering);
    /// Reads the consumer's published position.
    fn load_head(&self, order: Ordering) -> u64;
    /// Publishes the consumer's position.
    fn store_head(&self, value: u64, order: Ordering);
}

/// The producers' reservation counter.
pub trait Cursor: Send + Sync {
    /// A counter that starts at `value`.
    fn new(value: u64) -> Self;
    /// Reads it.
    fn load(&self, order: Ordering) -> u64;
    /// Moves it from `from` to `to`, or says what it is.
    fn advance(&self, from: u64, to: u64) -> Result<(), u64>;
}

impl Cursor for AtomicU64 {
    fn new(value: u64) -> Self {
        AtomicU64::new(value)
    }
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }
    fn advance(&self, from: u64, to: u64) -> Result<(), u64> {
        // Relaxed: the counter only hands out positions. The slot's own sequences publish the data, and room was
        // established by the acquire load of `head`.
        self.compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed).map(drop)
    }
}

/// Ring memory at fixed addresses: heap memory, or pinned memory that a device maps.
pub struct RawMemory {
    slots: *const AtomicU64,
    words: usize,
    head: *const AtomicU64,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the pointers are to atomics only, valid for as long as `_owner`, which is Send + Sync and moves along.
unsafe impl Send for RawMemory {}
// SAFETY: as above; every access is atomic.
unsafe impl Sync for RawMemory {}

impl RawMemory {
    /// Wraps memory owned by `owner`.
    ///
    /// # Safety
    /// `slots` must point to `words` 64-bit words and `head` to one, both 8-byte aligned, inside memory that lives as long as
    /// `owner` and that host threads access through atomics only.
    pub unsafe fn new(
        slots: *mut u64,
        words: usize,
        head: *mut u64,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { slots: slots.cast(), words, head: head.cast(), _owner: owner }
    }

    /// Zeroed heap memory for a ring of `capacity` slots.
    pub fn heap(capacity: u32, shape: SlotShape) -> Self {
        let words = capacity as usize * shape.bytes() / 8;
        // One 64-byte line for the head, then the slots, all lines aligned.
        #[repr(C, align(64))]
        struct Line([AtomicU64; 8]);
        let lines: Vec<Line> =
            (0..1 + words / 8).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect();
        let owner: Arc<Vec<Line>> = Arc::new(lines);
        let (head, slots) = (owner[0].0.as_ptr(), owner[1..].as_ptr().cast::<AtomicU64>());
        Self { slots, words, head, _owner: owner }
    }

    /// Where the first slot lies in host memory, for control blocks.
    pub fn slots_address(&self) -> u64 {
        self.slots as u64
    }

    /// Where the head word lies in host memory.
    pub fn head_address(&self) -> u64 {
        self.head as u64
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words, "ring word {index} of {}", self.words);
        // SAFETY: the index was checked, and the constructor's contract makes the memory valid and atomic.
        unsafe { &*self.slots.add(index) }
    }

    fn head(&self) -> &AtomicU64 {
        // SAFETY: the constructor's contract.
        unsafe { &*self.head }
    }
}

impl RingMemory for RawMemory {
    fn load(&self, index: usize, order: Ordering) -> u64 {
        self.word(index).load(order)
    }
    fn store(&self, index: usize, value: u64, order: Ordering) {
        self.word(index).store(value, order)
    }
    fn load_head(&self, order: Ordering) -> u64 {
        self.head().load(order)
    }
    fn store_head(&self, value: u64, order: Ordering) {
        self.head().store(value, order)
    }
}

#[repr(align(128))]
struct Padded<T>(T);

/// A bounded ring of slots.
pub struct Ring<M = RawMemory, C = AtomicU64> {
    memory: M,
    capacity: u64,
    shape: SlotShape,
    start: u64,
    tail: Padded<C>,
}

impl<M: RingMemory, C: Cursor> Ring<M, C> {
    /// A ring over `memory` whose first position is `start` (0 unless a test wants to see counters wrap).
    ///
    /// Marks every slot as not yet published.
    ///
    /// # Panics
    /// If `capacity` is not a power of two. The runtime checks users' capacities before they get here.
    pub fn new(memory: M, capacity: u32, shape: SlotShape, start: u64) -> Self {
        assert!(capacity.is_power_of_two(), "a ring's capacity is a power of two, not {capacity}");
        let ring = Self { memory, capacity: capacity as u64, shape, start, tail: Padded(C::new(start)) };
        for position in start..start + ring.capacity {
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
        self.tail.0.load(Ordering::Relaxed).wrapping_sub(self.start)
    }

    /// Positions the consumer has given back so far (counted from the ring's start).
    pub fn consumed(&self) -> u64 {
        // Relaxed: a figure; nothing is read on the strength of it.
        self.memory.load_head(Ordering::Relaxed).wrapping_sub(self.start)
    }

    /// Slots reserved and not yet given back by the consumer, as far as is known now.
    pub fn len(&self) -> u64 {
        // Head first: it only grows towards tail, so the difference is never negative.
        let head = self.memory.load_head(Ordering::Relaxed);
        self.tail.0.load(Ordering::Relaxed).wrapping_sub(head).min(self.capacity)
    }

    /// Whether every position handed out has been given back.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn word_of(&self, position: u64, chunk: usize) -> usize {
        let slot = (position & (self.capacity - 1)) as usize;
        (slot * self.shape.chunks() + chunk) * 2
    }

    /// Writes one message, or says that there is no room.
    ///
    /// `header.words` is set from the payload.
    ///
    /// # Panics
    /// If the payload is larger than a slot: the runtime sizes the ring by the largest message the actor handles.
    pub fn try_push(&self, header: Header, payload: &[u8]) -> Result<(), Full> {
        let words = payload.len().div_ceil(4);
        assert!(
            words <= self.shape.payload_words(),
            "{words} words in a slot of {}",
            self.shape.payload_words()
        );
        let mut tail = self.tail.0.load(Ordering::Relaxed);
        let position = loop {
            // Acquire pairs with the release store in `Consumer::publish`: the consumer's reads of the slot come before
            // our writes to it.
            let head = self.memory.load_head(Ordering::Acquire);
            // A head ahead of our stale tail means that tail has moved; the exchange below will say so.
            if tail.wrapping_sub(head) as i64 >= self.capacity as i64 {
                let now = self.tail.0.load(Ordering::Relaxed);
                if now == tail {
                    return Err(Full);
                }
                tail = now;
                continue;
            }
            match self.tail.0.advance(tail, tail.wrapping_add(1)) {
                Ok(()) => break tail,
                Err(now) => tail = now,
            }
        };
        let header = Header { words: words as u16, ..header };
        let sequence = (slot::sequence(position) as u64) << 32;
        let put = |chunk: usize, data: [u32; 3]| {
            let word = self.word_of(position, chunk);
            self.memory.store(word, data[0] as u64 | (data[1] as u64) << 32, Ordering::Relaxed);
            // Release pairs with the acquire load in `chunk_at`: whoever sees the sequence sees the word before it.
            self.memory.store(word + 1, data[2] as u64 | sequence, Ordering::Release);
        };
        let h = header.to_words();
        put(0, [h[0], h[1], h[2]]);
        put(1, [h[3], h[4], h[5]]);
        for (i, twelve) in payload.chunks(4 * CHUNK_DATA_WORDS).enumerate() {
            let mut bytes = [0; 12];
            bytes[..twelve.len()].copy_from_slice(twelve);
            let word = |k: usize| u32::from_le_bytes([bytes[k], bytes[k + 1], bytes[k + 2], bytes[k + 3]]);
            put(HEADER_CHUNKS + i, [word(0), word(4), word(8)]);
        }
        Ok(())
    }

    /// The data of a chunk at `position`, if it has been published.
    fn chunk_at(&self, position: u64, chunk: usize) -> Option<[u32; 3]> {
        let word = self.word_of(position, chunk);
        // Acquire pairs with the release store of the sequence in `try_push` (or the device's 16-byte store).
        let high = self.memory.load(word + 1, Ordering::Acquire);
        if (high >> 32) as u32 != slot::sequence(position) {
            return None;
        }
        let low = self.memory.load(word, Ordering::Relaxed);
        Some([low as u32, (low >> 32) as u32, high as u32])
    }

    /// The consuming end. There must be one at a time: that is the caller's to ensure (a lock, or one thread).
    pub fn consumer(&self) -> Consumer {
        Consumer { position: self.start }
    }
}

/// The consuming end's position. Kept apart from the ring so that it can live under the caller's lock.
#[derive(Debug)]
pub struct Consumer {
    position: u64,
}

impl Consumer {
    /// Takes the next message if it is there, copying its payload (little-endian words) to the front of `payload`.
    ///
    /// The slot is given back by the next [`publish`](Self::publish). A header that claims more words than a slot has is
    /// returned with tag 0, which no message has, and no payload.
    pub fn pop<M: RingMemory, C: Cursor>(
        &mut self,
        ring: &Ring<M, C>,
        payload: &mut [u32],
    ) -> Option<Header> {
        let [tag, instance, index] = ring.chunk_at(self.position, 0)?;
        let [gen_words, low, high] = ring.chunk_at(self.position, 1)?;
        let mut header = Header::from_words([tag, instance, index, gen_words, low, high]);
        if header.words as usize > ring.shape.payload_words().min(payload.len()) {
            header.tag = 0;
            header.words = 0;
        }
        let words = header.words as usize;
        for first in (0..words).step_by(CHUNK_DATA_WORDS) {
            let data = ring.chunk_at(self.position, HEADER_CHUNKS + first / CHUNK_DATA_WORDS)?;
            let last = words.min(first + CHUNK_DATA_WORDS);
            payload[first..last].copy_from_slice(&data[..last - first]);
        }
        self.position = self.position.wrapping_add(1);
        Some(header)
    }

    /// Whether a message is there to be taken (its first chunk has been published).
    pub fn is_ready<M: RingMemory, C: Cursor>(&self, ring: &Ring<M, C>) -> bool {
        ring.chunk_at(self.position, 0).is_some()
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
mod tests {
    use super::super::slot::Correlation;
    use super::*;
    use std::thread;

    fn header(instance: u32) -> Header {
        Header { tag: 300, instance, correlation: Correlation::NONE, words: 0, hlc: 0 }
    }

    fn ring(capacity: u32, payload: usize, start: u64) -> Ring {
        let shape = SlotShape::for_payload(payload).unwrap();
        Ring::new(RawMemory::heap(capacity, shape), capacity, shape, start)
    }

    #[test]
    fn messages_come_out_in_order_with_their_payload_at_every_size_and_across_the_counter_wrap() {
        for start in [0, u32::MAX as u64 - 5] {
            for payload in 0..100usize {
                let ring = ring(4, 100, start);
                let mut consumer = ring.consumer();
                let mut out = [0u32; 64];
                for i in 0..20u32 {
                    let bytes: Vec<u8> = (0..payload).map(|k| (k as u32 * 7 + i) as u8).collect();
                    ring.try_push(header(i), &bytes).unwrap();
                    let got = consumer.pop(&ring, &mut out).unwrap();
                    assert_eq!((got.instance, got.words as usize), (i, payload.div_ceil(4)));
                    let raw: Vec<u8> = out.iter().flat_map(|w| w.to_le_bytes()).take(payload).collect();
                    assert_eq!(raw, bytes);
                    assert!(consumer.pop(&ring, &mut out).is_none());
                    consumer.publish(&ring);
                }
            }
        }
    }

    #[test]
    fn a_full_ring_says_so_until_the_consumer_publishes() {
        let ring = ring(2, 8, 0);
        let mut consumer = ring.consumer();
        let mut out = [0; 6];
        assert_eq!(ring.try_push(header(0), &[]), Ok(()));
        assert_eq!(ring.try_push(header(1), &[]), Ok(()));
        assert_eq!(ring.try_push(header(2), &[]), Err(Full));
        assert!(consumer.pop(&ring, &mut out).is_some());
        assert_eq!(ring.try_push(header(2), &[]), Err(Full));
        consumer.publish(&ring);
        assert_eq!(ring.try_push(header(2), &[]), Ok(()));
        assert_eq!(ring.len(), 2);
    }

    #[test]
    fn many_producers_lose_nothing_duplicate_nothing_and_keep_each_senders_order() {
        const PRODUCERS: u32 = 4;
        const EACH: u32 = if cfg!(miri) { 50 } else { 20_000 };
        let ring = ring(64, 40, 0);
        thread::scope(|s| {
            for p in 0..PRODUCERS {
                let ring = &ring;
                s.spawn(move || {
                    for i in 0..EACH {
                        let bytes: Vec<u8> = (0..10u32).flat_map(|k| (i * 31 + k).to_le_bytes()).collect();
                        while ring.try_push(Header { hlc: i as u64, ..header(p) }, &bytes).is_err() {
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut consumer = ring.consumer();
            let mut next = [0u64; PRODUCERS as usize];
            let mut out = [0u32; 16];
            let mut left = PRODUCERS * EACH;
            while left > 0 {
                let Some(got) = consumer.pop(&ring, &mut out) else {
                    consumer.publish(&ring);
                    thread::yield_now();
                    continue;
                };
                assert_eq!(got.hlc, next[got.instance as usize]);
                assert!((0..10).all(|k| out[k as usize] == got.hlc as u32 * 31 + k), "torn payload");
                next[got.instance as usize] += 1;
                left -= 1;
            }
        });
    }

    #[test]
    fn a_header_that_claims_more_than_a_slot_is_not_believed() {
        let ring = ring(2, 24, 0);
        let mut consumer = ring.consumer();
        ring.try_push(header(0), &[1, 2, 3]).unwrap();
        let word = ring.word_of(0, 1);
        ring.memory.store(word, u64::MAX, Ordering::Relaxed);
        let got = consumer.pop(&ring, &mut [0; 6]).unwrap();
        assert_eq!((got.tag, got.words), (0, 0));
    }
}
