//! The number that a clock is, shared by threads: the last timestamp that it gave or saw.
//!
//! It only grows, and every stamp is a read-modify-write of it. Such a one that happens after another reads what that wrote or something
//! newer, whatever brought the news from thread to thread, so relaxed ones will do: all there is to order lies in this word.

use super::sync::{AtomicU64, Ordering};
use ringkernel_backends::abi::clock;

#[derive(Debug)]
pub(crate) struct Last(pub(crate) AtomicU64);

impl Last {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stamps as many events: gives the first of their timestamps, which follow each other.
    #[inline]
    pub(crate) fn stamp(&self, now: u64, count: u64) -> u64 {
        let mut last = self.get();
        while now > last {
            let first = clock::stamp(now, last);
            match self.0.compare_exchange_weak(
                last,
                first + (count - 1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return first,
                Err(newer) => last = newer,
            }
        }
        self.next(count)
    }

    /// [`stamp`](Self::stamp) for a time of day that the clock has already passed.
    #[inline]
    pub(crate) fn next(&self, count: u64) -> u64 {
        // The microseconds of 2112 do not fit any more, and a clock is at most `DRIFT` ahead of them; before, nothing overflows.
        self.0.fetch_add(count, Ordering::Relaxed) + 1
    }

    /// Moves the clock to what it has seen, and says where it is. What is not credible leaves no trace.
    #[inline]
    pub(crate) fn merge(&self, seen: u64, now: u64) -> u64 {
        // What is added to the last does not depend on it.
        let to = clock::merge(0, seen, now);
        self.0.fetch_max(to, Ordering::Relaxed).max(to)
    }
}
