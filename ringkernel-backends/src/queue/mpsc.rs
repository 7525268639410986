//! Many producers, one consumer.

use super::ring::right::Right;
use super::ring::shared::Shared;
use super::{DequeueError, EnqueueError, InUse, MessageQueue, QueueStats, SizeError};
use crate::queue_sync::Arc;
use std::fmt;

/// A queue with many producers and one consumer: what a mailbox is. [Split](Self::split), its consumer is held by one thread.
///
/// Shared by reference, as a [`MessageQueue`], it checks at every dequeue that nobody else is dequeueing.
///
/// # Examples
/// ```
/// use ringkernel_backends::queue::MpscQueue;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (producer, mut consumer) = MpscQueue::new(64)?.split();
/// std::thread::scope(|threads| {
///     for sender in ["left", "right"] {
///         let producer = producer.clone();
///         threads.spawn(move || producer.try_enqueue(sender));
///     }
/// });
/// let mut senders = vec![consumer.try_dequeue()?, consumer.try_dequeue()?];
/// senders.sort();
/// assert_eq!(senders, ["left", "right"]);
/// # Ok(())
/// # }
/// ```
pub struct MpscQueue<T> {
    ring: Shared<T>,
    consuming: Right,
}

/// The end of a [`MpscQueue`] where values go in. Its clones are producers of the same queue.
pub struct MpscProducer<T>(Arc<Shared<T>>);

/// The end of a [`MpscQueue`] where values come out. It cannot be cloned, and dequeueing takes `&mut`: there is one consumer.
pub struct MpscConsumer<T>(Arc<Shared<T>>);

impl<T> MpscQueue<T> {
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
        Ok(Self { ring: Shared::new(capacity, start)?, consuming: Right::new() })
    }

    /// A producer, to be cloned, and the consumer. What is in the queue stays there; it is dropped with the last end.
    pub fn split(self) -> (MpscProducer<T>, MpscConsumer<T>) {
        let ring = Arc::new(self.ring);
        (MpscProducer(ring.clone()), MpscConsumer(ring))
    }
}

impl<T: Send> MessageQueue<T> for MpscQueue<T> {
    fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>> {
        self.ring.push(value).map_err(EnqueueError::Full)
    }

    fn try_dequeue(&self) -> Result<T, DequeueError> {
        let _right = self.consuming.take().ok_or(DequeueError::InUse)?;
        // SAFETY: whoever has the right is the only consumer until it is given back, and has it from the last one.
        unsafe { self.ring.pop_alone() }.ok_or(DequeueError::Empty)
    }

    fn enqueue_many(&self, values: &mut Vec<T>) -> Result<usize, InUse> {
        Ok(self.ring.push_many(values))
    }

    fn dequeue_many(&self, out: &mut Vec<T>, most: usize) -> Result<usize, InUse> {
        // `pop_alone` needs that no other consumer is there, of any kind.
        let _right = self.consuming.take().ok_or(InUse)?;
        Ok(self.ring.pop_many(out, most))
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

impl<T> MpscProducer<T> {
    /// Puts `value` at the end.
    ///
    /// # Errors
    /// [`EnqueueError::Full`], with the value.
    #[inline]
    pub fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>> {
        self.0.push(value).map_err(EnqueueError::Full)
    }

    /// Moves as many values as there is room for from the front of `values` to the end of the queue, with no other producer's between,
    /// and says how many.
    pub fn enqueue_many(&self, values: &mut Vec<T>) -> usize {
        self.0.push_many(values)
    }
}

impl<T> Clone for MpscProducer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> MpscConsumer<T> {
    /// Takes the oldest value.
    ///
    /// # Errors
    /// [`DequeueError::Empty`].
    #[inline]
    pub fn try_dequeue(&mut self) -> Result<T, DequeueError> {
        // SAFETY: a queue has one such end, which is borrowed mutably: there is no other consumer, and it came by way of this one.
        unsafe { self.0.pop_alone() }.ok_or(DequeueError::Empty)
    }

    /// Moves up to `most` of the oldest values to the end of `out`, and says how many.
    pub fn dequeue_many(&mut self, out: &mut Vec<T>, most: usize) -> usize {
        self.0.pop_many(out, most)
    }
}

super::ends::figures!(MpscProducer, MpscConsumer);
super::ends::debug!(MpscQueue.ring, MpscProducer.0, MpscConsumer.0);
