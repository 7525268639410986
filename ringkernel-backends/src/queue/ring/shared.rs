//! Many producers and many consumers: a ring with a sequence in every slot, after Dmitry Vyukov's bounded MPMC queue.
//!
//! Of position `p`, the slot's sequence says whose turn it is: `2p`, the producer's that takes position `p`; `2p + 1`, the
//! consumer's. (Vyukov's `p` and `p + 1` need two slots at least.) Who moves the tail or the head over a position has its slot to itself, and
//! hands it on by storing the next sequence with release; whoever sees that with acquire sees what was done to the slot. The head and the
//! tail themselves order nothing.

use super::{Apart, ahead, round, slots};
use crate::queue::{QueueStats, SizeError};
use crate::queue_sync::{AtomicU64, Ordering, UnsafeCell};
use std::mem::MaybeUninit;

struct Slot<T> {
    sequence: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// What producers read at every value, and seldom write.
struct Record {
    /// The head as a producer last saw it.
    seen_head: AtomicU64,
    high_water: AtomicU64,
}

pub(in super::super) struct Shared<T> {
    /// Where the next value goes.
    tail: Apart<AtomicU64>,
    /// Where the oldest value is.
    head: Apart<AtomicU64>,
    record: Apart<Record>,
    refused: Apart<AtomicU64>,
    slots: Box<[Slot<T>]>,
    start: u64,
}

// SAFETY: values are moved in on one thread and out on another, which `T: Send` allows. No two threads access a slot's value at once: see
// the head of this file. References to values are never given out, so `T: Sync` is not needed.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The sequence at which a producer may fill the slot of `position`.
#[inline]
fn free(position: u64) -> u64 {
    position.wrapping_mul(2)
}

/// The sequence at which a consumer may empty it.
#[inline]
fn filled(position: u64) -> u64 {
    free(position).wrapping_add(1)
}

impl<T> Shared<T> {
    pub(in super::super) fn new(capacity: usize, start: u64) -> Result<Self, SizeError> {
        let capacity = round(capacity)?;
        let mask = capacity as u64 - 1;
        let slot = |index: usize| {
            // The first position from `start` on that is this slot's.
            let position = start.wrapping_add((index as u64).wrapping_sub(start) & mask);
            Slot { sequence: AtomicU64::new(free(position)), value: UnsafeCell::new(MaybeUninit::uninit()) }
        };
        Ok(Self {
            tail: Apart(AtomicU64::new(start)),
            head: Apart(AtomicU64::new(start)),
            record: Apart(Record { seen_head: AtomicU64::new(start), high_water: AtomicU64::new(0) }),
            refused: Apart(AtomicU64::new(0)),
            slots: slots(capacity, slot)?,
            start,
        })
    }

    /// Puts `value` in, or gives it back.
    #[inline]
    pub(in super::super) fn push(&self, value: T) -> Result<(), T> {
        let Some(position) = self.reserve(&self.tail.0, free, 1).map(|(position, _)| position) else {
            // Relaxed: a figure. So for all of them below.
            self.refused.0.fetch_add(1, Ordering::Relaxed);
            return Err(value);
        };
        // SAFETY: the position was just reserved, for this call.
        unsafe { self.fill(position, value) };
        self.keep_record(position.wrapping_add(1));
        Ok(())
    }

    /// Moves as many values in as there is room for, from the front, with no other producer's between.
    pub(in super::super) fn push_many(&self, values: &mut Vec<T>) -> usize {
        let (mut position, count) = self.reserve(&self.tail.0, free, values.len()).unwrap_or_default();
        if count < values.len() {
            self.refused.0.fetch_add((values.len() - count) as u64, Ordering::Relaxed);
        }
        if count == 0 {
            return 0;
        }
        for value in values.drain(..count) {
            // SAFETY: `count` positions were reserved for this call, and this is the next of them. Draining runs no code of `T`'s.
            unsafe { self.fill(position, value) };
            position = position.wrapping_add(1);
        }
        self.keep_record(position);
        count
    }

    /// Takes the oldest value.
    #[inline]
    pub(in super::super) fn pop(&self) -> Option<T> {
        let (position, _) = self.reserve(&self.head.0, filled, 1)?;
        // SAFETY: the position was just reserved, for this call.
        Some(unsafe { self.empty(position) })
    }

    /// Moves up to `most` of the oldest values to the end of `out`.
    pub(in super::super) fn pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        // This may panic; nothing is reserved yet. More may come meanwhile, and have to wait.
        let most = most.min(self.len());
        out.reserve(most);
        let (position, count) = self.reserve(&self.head.0, filled, most).unwrap_or_default();
        for offset in 0..count as u64 {
            // SAFETY: `count` positions were reserved for this call, and this is the next of them. `out` has room, so nothing panics.
            out.push(unsafe { self.empty(position.wrapping_add(offset)) });
        }
        count
    }

    /// Takes the oldest value, as the only consumer: a store where `pop` exchanges.
    ///
    /// # Safety
    /// No other thread calls this or any other `pop` meanwhile, and whatever call came before has happened.
    #[inline]
    pub(in super::super) unsafe fn pop_alone(&self) -> Option<T> {
        // Relaxed: nobody else writes the head, by the condition above.
        let position = self.head.0.load(Ordering::Relaxed);
        // Acquire: pairs with the release in `fill`.
        if self.slot(position).sequence.load(Ordering::Acquire) != filled(position) {
            return None;
        }
        // Relaxed: the sequences hand slots over.
        self.head.0.store(position.wrapping_add(1), Ordering::Relaxed);
        // SAFETY: the slot is filled and its turn is the consumer's, which the caller alone is; the head has passed it.
        Some(unsafe { self.empty(position) })
    }

    /// Takes up to `wanted` positions from `cursor` on whose slots have the sequence that `turn` says. None: there is not one.
    #[inline]
    fn reserve(&self, cursor: &AtomicU64, turn: impl Fn(u64) -> u64, wanted: usize) -> Option<(u64, usize)> {
        // Relaxed: a guess that the exchange below confirms.
        let mut position = cursor.load(Ordering::Relaxed);
        loop {
            let mut count = 0;
            while count < wanted.min(self.slots.len()) {
                let position = position.wrapping_add(count as u64);
                // Acquire: pairs with the release in `fill` (for consumers) and in `empty` (for producers).
                let sequence = self.slot(position).sequence.load(Ordering::Acquire);
                if sequence != turn(position) {
                    // Ahead: somebody else has had this position already.
                    if count == 0 && (sequence.wrapping_sub(turn(position)) as i64) < 0 {
                        return None;
                    }
                    break;
                }
                count += 1;
            }
            if count == 0 {
                if wanted == 0 {
                    return None;
                }
                position = cursor.load(Ordering::Relaxed);
                continue;
            }
            // A slot whose turn has come keeps its sequence until its position is reserved. So where the cursor is still at `position`,
            // all of them still have theirs. Relaxed: the sequences hand slots over.
            let end = position.wrapping_add(count as u64);
            match cursor.compare_exchange_weak(position, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some((position, count)),
                Err(now) => position = now,
            }
        }
    }

    /// # Safety
    /// The caller has reserved the position at the tail, and fills it once.
    #[inline]
    unsafe fn fill(&self, position: u64, value: T) {
        let slot = self.slot(position);
        // SAFETY: the sequence was `free`, and of all producers only the one that reserved the position goes on; consumers wait for
        // the next sequence. The slot holds no value.
        slot.value.with_mut(|slot| unsafe { (*slot).write(value) });
        // Release: pairs with the acquire in `reserve` and `pop_alone`.
        slot.sequence.store(filled(position), Ordering::Release);
    }

    /// # Safety
    /// The caller has reserved the position at the head, and empties it once.
    #[inline]
    unsafe fn empty(&self, position: u64) -> T {
        let slot = self.slot(position);
        // SAFETY: the sequence was `filled`, so there is a value; of all consumers only the one that reserved the position goes on, and
        // producers wait for the next sequence. So the value is read once.
        let value = slot.value.with(|slot| unsafe { (*slot).assume_init_read() });
        // Release: pairs with the acquire in `reserve`. The value has been moved out before the slot is written again.
        slot.sequence.store(free(position.wrapping_add(self.slots.len() as u64)), Ordering::Release);
        value
    }

    /// After the values before `end` are on their way: whether there were never so many.
    #[inline]
    fn keep_record(&self, end: u64) {
        let Record { seen_head, high_water } = &self.record.0;
        // Counted from a head that may be old, there are never fewer than there are. So only where that would be a record is it
        // necessary to look.
        let most = high_water.load(Ordering::Relaxed);
        if ahead(end, seen_head.load(Ordering::Relaxed)) > most {
            let head = self.head.0.load(Ordering::Relaxed);
            seen_head.store(head, Ordering::Relaxed);
            let filled = ahead(end, head);
            if filled > most {
                high_water.fetch_max(filled, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        // A power of two: what the mask leaves is an index.
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    pub(in super::super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(in super::super) fn len(&self) -> usize {
        // Relaxed: figures, by which nobody accesses a slot.
        let head = self.head.0.load(Ordering::Relaxed);
        ahead(self.tail.0.load(Ordering::Relaxed), head).min(self.slots.len() as u64) as usize
    }

    pub(in super::super) fn stats(&self) -> QueueStats {
        // Relaxed: as in `len`.
        let head = self.head.0.load(Ordering::Relaxed);
        let figures = [&self.tail.0, &self.refused.0, &self.record.0.high_water];
        let [tail, refused, high_water] = figures.map(|figure| figure.load(Ordering::Relaxed));
        QueueStats::new(self.start, tail, head, refused, high_water)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // All that was begun is done: whoever enqueues or dequeues has a reference to the ring.
        while let Some(value) = self.pop() {
            drop(value);
        }
    }
}
