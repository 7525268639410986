//! One producer, one consumer.

use super::ring::right::Right;
use super::ring::spsc::Spsc;
use super::{DequeueError, EnqueueError, InUse, MessageQueue, QueueStats, SizeError};
use crate::queue_sync::Arc;
use std::fmt;

/// A queue with one producer and one consumer: the fastest there is, [split](Self::split) into its two ends.
///
/// Shared by reference, as a [`MessageQueue`], it checks at every call that nobody else is at that end.
///
/// # Examples
/// ```
/// use ringkernel_backends::queue::SpscQueue;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut producer, mut consumer) = SpscQueue::new(1024)?.split();
/// let sum = std::thread::spawn(move || {
///     let (mut sum, mut count) = (0, 0);
///     while count < 100 {
///         match consumer.try_dequeue() {
///             Ok(value) => (sum, count) = (sum + value, count + 1),
///             Err(_) => std::thread::yield_now(),
///         }
///     }
///     sum
/// });
/// for value in 0..100_u64 {
///     producer.try_enqueue(value)?; // there is room for all of them
/// }
/// assert_eq!(sum.join().unwrap(), 99 * 100 / 2);
/// # Ok(())
/// # }
/// ```
pub struct SpscQueue<T> {
    ring: Spsc<T>,
    producing: Right,
    consuming: Right,
}

/// The end of a [`SpscQueue`] where values go in. It cannot be cloned, and enqueueing takes `&mut`: there is one producer.
pub struct SpscProducer<T>(Arc<Spsc<T>>);

/// The end of a [`SpscQueue`] where values come out. It cannot be cloned, and dequeueing takes `&mut`: there is one consumer.
pub struct SpscConsumer<T>(Arc<Spsc<T>>);

impl<T> SpscQueue<T> {
    /// A queue for at least `capacity` values: the next power of two.
    ///
    /// # Errors
    /// For 0, for more than [`MOST_CAPACITY`](super::MOST_CAPACITY), and where there is no memory.
    pub fn new(capacity: usize) -> Result<Self, SizeError> {
        Self::starting_at(capacity, 0)
    }

    /// A queue that has already passed `start` values: for tests, which let the positions wrap.
    #[doc(hidden)]
    pub fn starting_at(capacity: usize, start: u64) -> Result<Self, SizeError> {
        Ok(Self { ring: Spsc::new(capacity, start)?, producing: Right::new(), consuming: Right::new() })
    }

    /// Its two ends, for a thread each. What is in the queue stays there; it is dropped with the last end.
    pub fn split(self) -> (SpscProducer<T>, SpscConsumer<T>) {
        let ring = Arc::new(self.ring);
        (SpscProducer(ring.clone()), SpscConsumer(ring))
    }
}

impl<T: Send> MessageQueue<T> for SpscQueue<T> {
    fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>> {
        let Some(_right) = self.producing.take() else { return Err(EnqueueError::InUse(value)) };
        // SAFETY: whoever has the right is the only producer until it is given back, and has it from the last one.
        unsafe { self.ring.push(value) }.map_err(EnqueueError::Full)
    }

    fn try_dequeue(&self) -> Result<T, DequeueError> {
        let _right = self.consuming.take().ok_or(DequeueError::InUse)?;
        // SAFETY: whoever has the right is the only consumer until it is given back, and has it from the last one.
        unsafe { self.ring.pop() }.ok_or(DequeueError::Empty)
    }

    fn enqueue_many(&self, values: &mut Vec<T>) -> Result<usize, InUse> {
        let _right = self.producing.take().ok_or(InUse)?;
        // SAFETY: as in `try_enqueue`.
        Ok(unsafe { self.ring.push_many(values) })
    }

    fn dequeue_many(&self, out: &mut Vec<T>, most: usize) -> Result<usize, InUse> {
        let _right = self.consuming.take().ok_or(InUse)?;
        // SAFETY: as in `try_dequeue`.
        Ok(unsafe { self.ring.pop_many(out, most) })
    }

    fn len(&self) -> usize {
        self.ring.len()
    }

    fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    fn stats(&self) -> QueueStats {
        self.ring.stats()
    }
}

impl<T> SpscProducer<T> {
    /// Puts `value` at the end.
    ///
    /// # Errors
    /// [`EnqueueError::Full`], with the value.
    #[inline]
    pub fn try_enqueue(&mut self, value: T) -> Result<(), EnqueueError<T>> {
        // SAFETY: a queue has one such end, which is borrowed mutably: there is no other producer, and it came by way of this one.
        unsafe { self.0.push(value) }.map_err(EnqueueError::Full)
    }

    /// Moves as many values as there is room for from the front of `values` to the end of the queue, and says how many.
    pub fn enqueue_many(&mut self, values: &mut Vec<T>) -> usize {
        // SAFETY: as in `try_enqueue`.
        unsafe { self.0.push_many(values) }
    }
}

impl<T> SpscConsumer<T> {
    /// Takes the oldest value.
    ///
    /// # Errors
    /// [`DequeueError::Empty`].
    #[inline]
    pub fn try_dequeue(&mut self) -> Result<T, DequeueError> {
        // SAFETY: a queue has one such end, which is borrowed mutably: there is no other consumer, and it came by way of this one.
        unsafe { self.0.pop() }.ok_or(DequeueError::Empty)
    }

    /// Moves up to `most` of the oldest values to the end of `out`, and says how many.
    pub fn dequeue_many(&mut self, out: &mut Vec<T>, most: usize) -> usize {
        // SAFETY: as in `try_dequeue`.
        unsafe { self.0.pop_many(out, most) }
    }
}

super::ends::figures!(SpscProducer, SpscConsumer);
super::ends::debug!(SpscQueue.ring, SpscProducer.0, SpscConsumer.0);
