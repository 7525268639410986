//! Many producers, many consumers.

use super::ring::shared::Shared;
use super::{DequeueError, EnqueueError, InUse, MessageQueue, QueueStats, SizeError};
use std::fmt;

/// A queue with many producers and many consumers, shared by reference.
///
/// A producer that is stopped halfway (the system took its core) holds up the values behind its own, which then count as not yet there:
/// consumers find the queue empty, and nobody waits.
///
/// # Examples
/// ```
/// use ringkernel_backends::queue::{MessageQueue, MpmcQueue};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let jobs = MpmcQueue::new(100)?;
/// assert_eq!(jobs.capacity(), 128); // the next power of two
/// jobs.enqueue_many(&mut (1..=100_u32).collect())?;
///
/// let sum = AtomicU32::new(0);
/// std::thread::scope(|threads| {
///     for _worker in 0..3 {
///         threads.spawn(|| {
///             while let Ok(job) = jobs.try_dequeue() {
///                 sum.fetch_add(job, Ordering::Relaxed);
///             }
///         });
///     }
/// });
/// assert_eq!(sum.into_inner(), 5050);
/// # Ok(())
/// # }
/// ```
pub struct MpmcQueue<T> {
    ring: Shared<T>,
}

impl<T> MpmcQueue<T> {
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
        Ok(Self { ring: Shared::new(capacity, start)? })
    }
}

impl<T: Send> MessageQueue<T> for MpmcQueue<T> {
    #[inline]
    fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>> {
        self.ring.push(value).map_err(EnqueueError::Full)
    }

    #[inline]
    fn try_dequeue(&self) -> Result<T, DequeueError> {
        self.ring.pop().ok_or(DequeueError::Empty)
    }

    /// Never `InUse`.
    fn enqueue_many(&self, values: &mut Vec<T>) -> Result<usize, InUse> {
        Ok(self.ring.push_many(values))
    }

    /// Never `InUse`.
    fn dequeue_many(&self, out: &mut Vec<T>, most: usize) -> Result<usize, InUse> {
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

super::ends::debug!(MpmcQueue.ring);
