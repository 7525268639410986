//! Lanes: what is urgent overtakes.

use super::{DequeueError, EnqueueError, InUse, MessageQueue, MpmcQueue, QueueStats, SizeError};
use std::fmt;

/// The largest number of lanes.
pub const MOST_LANES: usize = 64;

/// A queue of lanes, each a [`MpmcQueue`]: lane 0 is the most urgent, and a dequeue takes from the first lane that has something.
///
/// Within a lane, order is that of any queue. A dequeue looks at the lanes one after another, so a value that is enqueued in a lane
/// after it was looked at may come out after one of a later lane.
///
/// **A later lane starves** for as long as earlier ones have something: there are no shares and no aging. Where that matters, dequeue
/// from the lanes by turns ([`try_dequeue_from`](Self::try_dequeue_from)), and look at [`lane_stats`](Self::lane_stats): a lane whose `dequeued`
/// stands still is starved. Lanes have room of their own, so that a full one keeps nobody out of another.
///
/// As a [`MessageQueue`], values that come without a priority go to the last lane.
///
/// # Examples
/// ```
/// use ringkernel_backends::queue::{MessageQueue, PriorityQueue};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// const CONTROL: usize = 0;
/// const DATA: usize = 1;
/// let mailbox = PriorityQueue::new(2, 1024)?;
/// mailbox.try_enqueue_at(DATA, "deposit")?;
/// mailbox.try_enqueue_at(CONTROL, "terminate")?;
///
/// assert_eq!(mailbox.try_dequeue()?, "terminate");
/// assert_eq!(mailbox.try_dequeue()?, "deposit");
/// assert_eq!(mailbox.lane_stats(CONTROL).map(|lane| lane.dequeued), Some(1));
/// # Ok(())
/// # }
/// ```
pub struct PriorityQueue<T> {
    /// At least one.
    lanes: Box<[MpmcQueue<T>]>,
}

impl<T> PriorityQueue<T> {
    /// A queue of `lanes` lanes, each for at least `capacity` values: the next power of two.
    ///
    /// # Errors
    /// For no lanes, for more than [`MOST_LANES`], and for capacities that [`MpmcQueue::new`] refuses.
    pub fn new(lanes: usize, capacity: usize) -> Result<Self, SizeError> {
        Self::starting_at(lanes, capacity, 0)
    }

    /// A queue whose lanes have already passed `start` values each: for tests, which let the positions wrap.
    #[doc(hidden)]
    pub fn starting_at(lanes: usize, capacity: usize, start: u64) -> Result<Self, SizeError> {
        if !(1..=MOST_LANES).contains(&lanes) {
            return Err(SizeError::Lanes { asked: lanes, most: MOST_LANES });
        }
        let lanes = (0..lanes).map(|_| MpmcQueue::starting_at(capacity, start));
        Ok(Self { lanes: lanes.collect::<Result<_, _>>()? })
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }
}

impl<T: Send> PriorityQueue<T> {
    /// Puts `value` at the end of a lane.
    ///
    /// # Errors
    /// With the value, where the lane is full or there is no such lane.
    pub fn try_enqueue_at(&self, lane: usize, value: T) -> Result<(), EnqueueError<T>> {
        match self.lanes.get(lane) {
            Some(lane) => lane.try_enqueue(value),
            None => Err(EnqueueError::NoSuchLane { value, lane, lanes: self.lanes.len() }),
        }
    }

    /// Takes the oldest value of one lane, whatever is in the others. None: nothing is in it, or there is no such lane.
    pub fn try_dequeue_from(&self, lane: usize) -> Option<T> {
        self.lanes.get(lane)?.try_dequeue().ok()
    }

    /// What happened to one lane so far. None: there is no such lane.
    pub fn lane_stats(&self, lane: usize) -> Option<QueueStats> {
        Some(self.lanes.get(lane)?.stats())
    }
}

impl<T: Send> MessageQueue<T> for PriorityQueue<T> {
    /// Puts `value` at the end of the last lane.
    fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>> {
        self.try_enqueue_at(self.lanes.len() - 1, value)
    }

    /// Takes the oldest value of the first lane that has one.
    fn try_dequeue(&self) -> Result<T, DequeueError> {
        self.lanes.iter().find_map(|lane| lane.try_dequeue().ok()).ok_or(DequeueError::Empty)
    }

    /// To the last lane. Never `InUse`.
    fn enqueue_many(&self, values: &mut Vec<T>) -> Result<usize, InUse> {
        self.lanes[self.lanes.len() - 1].enqueue_many(values)
    }

    /// From the first lane on. Never `InUse`.
    fn dequeue_many(&self, out: &mut Vec<T>, most: usize) -> Result<usize, InUse> {
        self.lanes.iter().try_fold(0, |moved, lane| Ok(moved + lane.dequeue_many(out, most - moved)?))
    }

    /// Over all lanes.
    fn len(&self) -> usize {
        self.lanes.iter().map(MpmcQueue::len).sum()
    }

    /// Over all lanes.
    fn capacity(&self) -> usize {
        self.lanes.iter().map(MpmcQueue::capacity).sum()
    }

    /// Sums over the lanes. They need not have been fullest at the same time, so `high_water` is what it was at most.
    fn stats(&self) -> QueueStats {
        self.lanes.iter().map(MpmcQueue::stats).fold(QueueStats::default(), |sum, lane| QueueStats {
            enqueued: sum.enqueued.wrapping_add(lane.enqueued),
            dequeued: sum.dequeued.wrapping_add(lane.dequeued),
            refused: sum.refused.wrapping_add(lane.refused),
            high_water: sum.high_water + lane.high_water,
        })
    }
}

impl<T> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.lanes).finish()
    }
}
