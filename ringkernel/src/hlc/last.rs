//! The number that a clock is, shared by threads: the last timestamp that it gave or saw.
//!
//! It only grows, and whoever stamps adds to it. A read-modify-write that happens after another reads what that wrote or something
//! newer, whatever brought the news from thread to thread, so relaxed ones will do: all there is to order lies in this word.
//!
//! A thread that stamps one message after another takes [`HAND`] timestamps at a time, and gives them while the clock still is where it left
//! it: a load for each, where a read-modify-write would wait until what the thread has stored has left its store buffer. As soon as somebody else
//! stamps, or sees, the clock is elsewhere, and what is left in hand is not given any more. So
//! - to have a stamp of another's is to have a clock that is elsewhere, and the next stamp is past it;
//! - to have *seen* a timestamp has to move the clock, unless it is so far in the clock's past that all that hands hold is past it
//!   ([`pass`](Last::pass), [`saw`](Last::saw)).

use super::sync::{AtomicU64, Ordering};
use ringkernel_backends::abi::clock;
use std::cell::Cell;

/// How many timestamps a thread takes at a time: 4 ns of them, which a clock that is moved by so many whenever it sees one does not notice.
pub(crate) const HAND: u64 = 16;

/// Timestamps that a thread has taken and not given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand {
    next: u64,
    /// Where the clock was when they were taken.
    last: u64,
}

impl Hand {
    pub(crate) const EMPTY: Self = Self { next: 1, last: 0 };
}

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

    /// [`next`](Self::next) of one, out of the thread's hand.
    #[inline]
    pub(crate) fn one(&self, hand: &Cell<Hand>) -> u64 {
        let Hand { mut next, mut last } = hand.get();
        // Relaxed: see the module's text. It is read after whatever the caller has heard of, and is not what it was if that moved it.
        if next > last || self.get() != last {
            next = self.next(HAND);
            last = next + (HAND - 1);
        }
        hand.set(Hand { next: next + 1, last });
        next
    }

    /// Where the clock has passed what was seen: what every later stamp is past, hands included.
    #[inline]
    pub(crate) fn pass(&self, seen: u64) -> Option<u64> {
        let last = self.get();
        let past = last.saturating_sub(HAND);
        if seen <= past {
            return Some(past);
        }
        // Hands may hold less, and are not given any more. That is so however far ahead of the time of day the clock is: nothing leads it on.
        (seen <= last).then(|| self.next(1))
    }

    /// [`merge`](Self::merge) where there are hands: none holds anything that is not past what was seen. Gives what every later stamp is past.
    #[inline]
    pub(crate) fn saw(&self, seen: u64, now: u64) -> u64 {
        let to = clock::merge(0, seen, now);
        // Either the clock was that far, and so are hands; or it moves, and they are not given any more.
        self.0.fetch_max(to + HAND, Ordering::Relaxed).saturating_sub(HAND).max(to)
    }

    /// Moves the clock to what it has seen, and says where it is. What is not credible leaves no trace.
    #[inline]
    pub(crate) fn merge(&self, seen: u64, now: u64) -> u64 {
        // What is added to the last does not depend on it.
        let to = clock::merge(0, seen, now);
        self.0.fetch_max(to, Ordering::Relaxed).max(to)
    }
}
