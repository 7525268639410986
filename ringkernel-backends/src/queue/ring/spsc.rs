//! One producer and one consumer: two positions, each written by one side, and each side's last look at the other's.
//!
//! Slots `head..tail` hold values and are the consumer's; the others are the producer's. A side hands slots over by moving its position
//! with release, and takes them over by reading the other's with acquire. It reads that seldom: as long as the last position that it saw
//! says that there is something to do, that much is true.

use super::{Apart, ahead, round, slots};
use crate::queue::{QueueStats, SizeError};
use crate::queue_sync::{AtomicU64, Ordering, UnsafeCell};
use std::mem::MaybeUninit;

/// What the producer writes.
struct Producer {
    /// Where the next value goes.
    tail: AtomicU64,
    /// The head as the producer last saw it. Its own.
    seen_head: AtomicU64,
    refused: AtomicU64,
    high_water: AtomicU64,
}

/// What the consumer writes.
struct Consumer {
    /// Where the oldest value is.
    head: AtomicU64,
    /// The tail as the consumer last saw it. Its own.
    seen_tail: AtomicU64,
}

pub(in super::super) struct Spsc<T> {
    producer: Apart<Producer>,
    consumer: Apart<Consumer>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    start: u64,
}

// SAFETY: values are moved in on one thread and out on another, which `T: Send` allows. No two threads access a slot at once: see the
// head of this file, and the conditions of the unsafe functions. References to values are never given out, so `T: Sync` is not needed.
unsafe impl<T: Send> Send for Spsc<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Spsc<T> {}

impl<T> Spsc<T> {
    pub(in super::super) fn new(capacity: usize, start: u64) -> Result<Self, SizeError> {
        let capacity = round(capacity)?;
        Ok(Self {
            producer: Apart(Producer {
                tail: AtomicU64::new(start),
                seen_head: AtomicU64::new(start),
                refused: AtomicU64::new(0),
                high_water: AtomicU64::new(0),
            }),
            consumer: Apart(Consumer { head: AtomicU64::new(start), seen_tail: AtomicU64::new(start) }),
            slots: slots(capacity, |_| UnsafeCell::new(MaybeUninit::uninit()))?,
            start,
        })
    }

    /// Puts `value` in, or gives it back.
    ///
    /// # Safety
    /// No other thread calls this or [`push_many`](Self::push_many) meanwhile, and whatever call came before has happened.
    #[inline]
    pub(in super::super) unsafe fn push(&self, value: T) -> Result<(), T> {
        let own = &self.producer.0;
        // Relaxed: this side's own. So for each side's own below.
        let tail = own.tail.load(Ordering::Relaxed);
        if self.room(tail, 1) == 0 {
            own.refused.store(own.refused.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            return Err(value);
        }
        // SAFETY: there is room at `tail`, and the caller is the only producer.
        unsafe { self.write(tail, value) };
        self.publish(tail.wrapping_add(1));
        Ok(())
    }

    /// Moves as many values in as there is room for, from the front.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    pub(in super::super) unsafe fn push_many(&self, values: &mut Vec<T>) -> usize {
        let own = &self.producer.0;
        let tail = own.tail.load(Ordering::Relaxed);
        let count = self.room(tail, values.len());
        if count < values.len() {
            let refused = (values.len() - count) as u64;
            own.refused.store(own.refused.load(Ordering::Relaxed).wrapping_add(refused), Ordering::Relaxed);
        }
        if count == 0 {
            return 0;
        }
        let mut position = tail;
        for value in values.drain(..count) {
            // SAFETY: there is room for `count` values from `tail` on, and the caller is the only producer.
            unsafe { self.write(position, value) };
            position = position.wrapping_add(1);
        }
        self.publish(position);
        count
    }

    /// Takes the oldest value.
    ///
    /// # Safety
    /// No other thread calls this or [`pop_many`](Self::pop_many) meanwhile, and whatever call came before has happened.
    #[inline]
    pub(in super::super) unsafe fn pop(&self) -> Option<T> {
        let own = &self.consumer.0;
        let head = own.head.load(Ordering::Relaxed);
        if self.filled(head, 1) == 0 {
            return None;
        }
        // SAFETY: there is a value at `head`, and the caller is the only consumer. The head moves past it below.
        let value = unsafe { self.read(head) };
        // Release: pairs with the producer's acquire of the head. The value has been moved out before its slot is written again.
        own.head.store(head.wrapping_add(1), Ordering::Release);
        Some(value)
    }

    /// Moves up to `most` of the oldest values to the end of `out`.
    ///
    /// # Safety
    /// As for [`pop`](Self::pop).
    pub(in super::super) unsafe fn pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        let own = &self.consumer.0;
        let head = own.head.load(Ordering::Relaxed);
        let count = self.filled(head, most);
        // This may panic; nothing has moved yet.
        out.reserve(count);
        let end = head.wrapping_add(count as u64);
        let mut position = head;
        while position != end {
            // SAFETY: there are `count` values from `head` on, and the caller is the only consumer. Nothing between here and the
            // store of the head panics: `out` has room.
            out.push(unsafe { self.read(position) });
            position = position.wrapping_add(1);
        }
        // Release: as in `pop`.
        own.head.store(end, Ordering::Release);
        count
    }

    /// For how many of `wanted` values there is room. The producer's.
    #[inline]
    fn room(&self, tail: u64, wanted: usize) -> usize {
        let own = &self.producer.0;
        let seen = own.seen_head.load(Ordering::Relaxed);
        let room = self.slots.len() - tail.wrapping_sub(seen) as usize;
        if room >= wanted { wanted } else { (self.slots.len() - self.look(tail) as usize).min(wanted) }
    }

    /// How many values are between the consumer's head, as it is now, and `tail`. The producer's.
    #[inline]
    fn look(&self, tail: u64) -> u64 {
        // Acquire: pairs with the release of the head in `pop` and `pop_many`. What is before it has been moved out.
        let head = self.consumer.0.head.load(Ordering::Acquire);
        self.producer.0.seen_head.store(head, Ordering::Relaxed);
        tail.wrapping_sub(head)
    }

    /// How many of `wanted` values there are. The consumer's.
    #[inline]
    fn filled(&self, head: u64, wanted: usize) -> usize {
        let own = &self.consumer.0;
        let filled = own.seen_tail.load(Ordering::Relaxed).wrapping_sub(head) as usize;
        if filled >= wanted {
            return wanted;
        }
        // Acquire: pairs with the release in `publish`. What is before it has been written.
        let tail = self.producer.0.tail.load(Ordering::Acquire);
        own.seen_tail.store(tail, Ordering::Relaxed);
        (tail.wrapping_sub(head) as usize).min(wanted)
    }

    /// Hands over what was written before `tail`, and keeps the record.
    #[inline]
    fn publish(&self, tail: u64) {
        let own = &self.producer.0;
        // Release: pairs with the acquire in `filled`.
        own.tail.store(tail, Ordering::Release);
        // Counted from a head that may be old, there are never fewer than there are. So only where that would be a record is it
        // necessary to look, and that after the value is on its way.
        let record = own.high_water.load(Ordering::Relaxed);
        if tail.wrapping_sub(own.seen_head.load(Ordering::Relaxed)) > record {
            let filled = self.look(tail);
            if filled > record {
                own.high_water.store(filled, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn slot(&self, position: u64) -> &UnsafeCell<MaybeUninit<T>> {
        // A power of two: what the mask leaves is an index.
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// # Safety
    /// The slot is the producer's, and the caller is the producer.
    #[inline]
    unsafe fn write(&self, position: u64, value: T) {
        // SAFETY: nobody else accesses this slot now, by the condition above. It holds no value, so none is overwritten.
        self.slot(position).with_mut(|slot| unsafe { (*slot).write(value) });
    }

    /// # Safety
    /// The slot is the consumer's, the caller is the consumer, and moves the head past it before it reads again.
    #[inline]
    unsafe fn read(&self, position: u64) -> T {
        // SAFETY: nobody else accesses this slot now, and it holds a value, by the condition above; which also makes this the only time
        // that the value is read.
        self.slot(position).with(|slot| unsafe { (*slot).assume_init_read() })
    }

    pub(in super::super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(in super::super) fn len(&self) -> usize {
        // Relaxed: figures, by which nobody accesses a slot.
        let head = self.consumer.0.head.load(Ordering::Relaxed);
        ahead(self.producer.0.tail.load(Ordering::Relaxed), head).min(self.slots.len() as u64) as usize
    }

    pub(in super::super) fn stats(&self) -> QueueStats {
        let Producer { tail, refused, high_water, .. } = &self.producer.0;
        // Relaxed: as in `len`.
        let head = self.consumer.0.head.load(Ordering::Relaxed);
        let [tail, refused, high_water] =
            [tail, refused, high_water].map(|figure| figure.load(Ordering::Relaxed));
        QueueStats::new(self.start, tail, head, refused, high_water)
    }
}

impl<T> Drop for Spsc<T> {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: nobody else has the ring, and all that was done to it has happened.
        while let Some(value) = unsafe { self.pop() } {
            drop(value);
        }
    }
}
