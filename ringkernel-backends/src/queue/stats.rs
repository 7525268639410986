//! What a queue counts.

/// What happened to a queue so far.
///
/// The counts cost little. `enqueued` and `dequeued` are the ring's own positions; `refused` is written only when a value is
/// refused; and for `high_water` a producer looks at the consumers' position only where the last one it saw would make a new record.
/// While others use the queue, each figure was right a moment ago, and `dequeued` is never more than `enqueued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// How many values were put in.
    pub enqueued: u64,
    /// How many were taken out.
    pub dequeued: u64,
    /// How many found the queue full. One that is tried again counts again, and of a batch, each that stayed behind.
    pub refused: u64,
    /// The most values that a producer found in the queue just after it had put one in. What a consumer takes within that moment is
    /// not counted.
    pub high_water: u64,
}

impl QueueStats {
    /// From a ring's positions. They were read one after another, so one may have passed the other meanwhile.
    pub(super) fn new(start: u64, tail: u64, head: u64, refused: u64, high_water: u64) -> Self {
        let enqueued = tail.wrapping_sub(start);
        Self { enqueued, dequeued: head.wrapping_sub(start).min(enqueued), refused, high_water }
    }
}
