//! What queues refuse, and why.

use std::fmt;
use thiserror::Error;

/// Why a value was not enqueued. It holds the value.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnqueueError<T> {
    /// There is no room. (Or there will be in a moment: a consumer is just taking the value that is in the way.)
    #[error("the queue is full: dequeue, wait, or drop the value")]
    Full(T),
    /// The queue has one producer, and another thread is enqueueing at this moment.
    #[error(
        "another thread is enqueueing, and this queue has one producer: split it, or use a queue with many"
    )]
    InUse(T),
    /// The queue has no such lane.
    #[error("there is no lane {lane}: the queue has {lanes}, and the first is 0")]
    NoSuchLane {
        /// The value.
        value: T,
        /// The lane that was asked for.
        lane: usize,
        /// How many there are.
        lanes: usize,
    },
}

impl<T> EnqueueError<T> {
    /// The value that was not enqueued.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::InUse(value) | Self::NoSuchLane { value, .. } => value,
        }
    }
}

// By hand, so that any `T` will do.
impl<T> fmt::Debug for EnqueueError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::InUse(_) => f.write_str("InUse(..)"),
            Self::NoSuchLane { lane, lanes, .. } => {
                f.debug_struct("NoSuchLane").field("lane", lane).field("lanes", lanes).finish_non_exhaustive()
            }
        }
    }
}

/// Why nothing was dequeued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DequeueError {
    /// There is nothing. (Or there will be in a moment: a producer has taken its place and not yet filled it.)
    #[error("the queue is empty")]
    Empty,
    /// The queue has one consumer, and another thread is dequeueing at this moment.
    #[error(
        "another thread is dequeueing, and this queue has one consumer: split it, or use a queue with many"
    )]
    InUse,
}

/// Another thread is at the end of the queue that only one may use at a time. Nothing was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "another thread is at this end of the queue, which only one may use: split it, or use a queue for many"
)]
pub struct InUse;

/// Why a queue was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SizeError {
    /// A capacity of nothing.
    #[error("a queue needs a capacity of at least 1")]
    Zero,
    /// More than a queue may hold.
    #[error("a queue of {asked} values is too large: the limit is {most}")]
    TooLarge {
        /// The capacity that was asked for.
        asked: usize,
        /// The largest there is.
        most: usize,
    },
    /// No memory for so many values.
    #[error("there is no memory for a queue of {slots} slots of {bytes} bytes")]
    NoMemory {
        /// How many slots.
        slots: usize,
        /// The size of each.
        bytes: usize,
    },
    /// No lanes, or too many.
    #[error("a queue cannot have {asked} lanes: from 1 to {most} will do")]
    Lanes {
        /// How many were asked for.
        asked: usize,
        /// The largest number there is.
        most: usize,
    },
}
