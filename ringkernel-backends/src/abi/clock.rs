//! The rules of the hybrid logical clock, the same on host and devices: how it is read, how it moves past what it has seen.
//!
//! A timestamp has 64 bits: microseconds since 1970 in the upper 52, and a count in the lower [`COUNTER_BITS`]. A clock is one such
//! number, the *last* that it gave or saw, and the time of day. Whatever is stamped lies past all that its clock has given or seen ([`stamp`]), so
//! the timestamps of cause and effect are in order; and a clock runs ahead of the time of day only as far as it was led by others, who are
//! believed up to [`DRIFT`] ([`merge`]). A count that overflows goes on into the microseconds.
//!
//! The rules are those of *Logical Physical Clocks* (Kulkarni, Demirbas, Madappa, Avva, Leone; 2014), with the two parts in one number as in
//! CockroachDB's and Zenoh's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of the count.
pub const COUNTER_BITS: u32 = 12;
/// How far ahead of the time of day a timestamp may be and still move a clock, in microseconds.
pub const DRIFT_MICROS: u64 = 500_000;
/// The same as a difference of timestamps.
pub const DRIFT: u64 = DRIFT_MICROS << COUNTER_BITS;

/// A time of day as a timestamp: count 0.
pub const fn physical(micros: u64) -> u64 {
    micros << COUNTER_BITS
}

/// The time of day, as a timestamp.
pub fn time_of_day() -> u64 {
    // Before 1970 there is no time: such a host's clock counts only.
    physical(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64))
}

/// The next timestamp of a clock whose last was `last`, at the time of day `now`: past the last one, and not before now. It is the
/// clock's last from here on.
///
/// ```
/// use ringkernel_backends::abi::clock::{physical, stamp};
/// assert_eq!(stamp(physical(7), physical(5)), physical(7));
/// assert_eq!(stamp(physical(7), physical(7)), physical(7) + 1);
/// assert_eq!(stamp(physical(7), physical(9)), physical(9) + 1);
/// ```
pub const fn stamp(now: u64, last: u64) -> u64 {
    // 2^52 microseconds are 142 years; a clock that got to the end of them stays there.
    let next = last.saturating_add(1);
    if now > next { now } else { next }
}

/// Whether a timestamp is near enough to the time of day to be believed: no more than [`DRIFT`] ahead.
pub const fn is_credible(seen: u64, now: u64) -> bool {
    seen <= now.saturating_add(DRIFT)
}

/// What a clock's last timestamp is after it has seen another's. One that is too far ahead of the time of day leaves no trace.
///
/// ```
/// use ringkernel_backends::abi::clock::{DRIFT, merge, physical};
/// let now = physical(1_000_000);
/// assert_eq!(merge(physical(5), physical(7), now), now);
/// assert_eq!(merge(physical(5), now + DRIFT, now), now + DRIFT);
/// assert_eq!(merge(physical(5), now + DRIFT + 1, now), now);
/// ```
pub const fn merge(last: u64, seen: u64, now: u64) -> u64 {
    let last = if last > now { last } else { now };
    if seen > last && is_credible(seen, now) { seen } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stamp_is_past_all_that_was_given_or_seen() {
        let (mut last, mut now, mut random) = (0, physical(1_000), 1u64);
        for _ in 0..10_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            // A time of day that stands still, goes on, and is set back.
            now = (now + (random >> 50)).saturating_sub(((random >> 7) & 1) * 3000);
            let seen = now.wrapping_add((random >> 33) & 0xf_ffff);
            let merged = merge(last, seen, now);
            assert!(merged >= last && merged >= seen && merged >= now);
            let next = stamp(now, merged);
            assert!(next > merged);
            last = next;
        }
    }

    #[test]
    fn a_clock_is_led_no_further_ahead_than_the_drift_bound() {
        let now = physical(1 << 40);
        for seen in [now + DRIFT + 1, now + 2 * DRIFT, u64::MAX] {
            assert_eq!(merge(0, seen, now), now);
            assert!(!is_credible(seen, now));
        }
        assert_eq!(merge(0, now + DRIFT, now), now + DRIFT);
    }

    #[test]
    fn a_count_that_overflows_goes_on_into_the_microseconds_and_the_end_of_time_is_no_panic() {
        assert_eq!(stamp(0, physical(5) + (1 << COUNTER_BITS) - 1), physical(6));
        assert_eq!(stamp(0, u64::MAX), u64::MAX);
        assert!(is_credible(u64::MAX, u64::MAX - 5));
    }

    #[test]
    fn the_time_of_day_is_in_microseconds_since_1970() {
        // 2020 to 2112, where the 52 bits end.
        assert!((1_577_836_800_000_000..1 << 52).contains(&(time_of_day() >> COUNTER_BITS)));
    }
}
