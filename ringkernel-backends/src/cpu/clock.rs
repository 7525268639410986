//! A shard's hybrid logical clock: the rules of [`abi::clock`](crate::abi::clock), and a time of day that is looked at once a slice of messages.

use crate::abi::clock::{merge, stamp, time_of_day};

/// The clock of a shard, and so of its instances.
#[derive(Default)]
pub(super) struct Clock {
    /// The last timestamp given or seen.
    last: u64,
    /// The time of day as it was looked at; 0 if that is to be done again.
    now: u64,
}

impl Clock {
    /// Time has passed.
    #[inline]
    pub(super) fn let_pass(&mut self) {
        self.now = 0;
    }

    #[inline]
    fn time(&mut self) -> u64 {
        if self.now == 0 {
            self.now = time_of_day();
        }
        self.now
    }

    /// A message with this timestamp is handled; 0 where its sender has not stamped it.
    #[inline]
    pub(super) fn see(&mut self, seen: u64) {
        if seen > self.last {
            self.last = merge(self.last, seen, self.time());
        }
    }

    /// A timestamp for what is sent.
    #[inline]
    pub(super) fn stamp(&mut self) -> u64 {
        self.last = stamp(self.time(), self.last);
        self.last
    }

    /// What the clock says. It never goes back, even if the time of day does.
    pub(super) fn read(&mut self) -> u64 {
        self.let_pass();
        self.last = self.last.max(self.time());
        self.last
    }

    /// A timestamp for an event of a handler's own.
    pub(super) fn tick(&mut self) -> u64 {
        self.let_pass();
        self.stamp()
    }

    /// A handler has seen a timestamp.
    pub(super) fn update(&mut self, seen: u64) -> u64 {
        self.let_pass();
        self.last = merge(self.last, seen, self.time());
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::clock::{DRIFT, physical};

    #[test]
    fn what_is_sent_is_past_what_was_seen_and_what_was_sent_before() {
        let mut clock = Clock::default();
        let ahead = time_of_day() + physical(100_000);
        clock.see(ahead);
        let first = clock.stamp();
        assert!(first > ahead && clock.stamp() > first);
        assert!(clock.read() > first && clock.tick() > clock.read() - 1);
    }

    #[test]
    fn a_timestamp_beyond_the_drift_bound_is_not_believed() {
        let mut clock = Clock::default();
        let beyond = time_of_day() + 2 * DRIFT;
        clock.see(beyond);
        assert!(clock.stamp() < beyond && clock.update(beyond) < beyond && clock.update(u64::MAX) < beyond);
    }

    #[test]
    fn the_time_of_day_is_looked_at_again_when_time_has_passed() {
        let mut clock = Clock::default();
        let first = clock.stamp();
        assert_eq!(clock.stamp(), first + 1);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(clock.stamp(), first + 2);
        clock.let_pass();
        assert!(clock.stamp() >= first + physical(2000));
    }
}
