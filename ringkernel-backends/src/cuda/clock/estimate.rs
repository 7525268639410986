//! What looks at the times that a device publishes say of its clock: arithmetic, no device.
//!
//! A kernel publishes its device's clock now and then, and a look finds the newest that was published. It was written before the look ended, so the
//! time of day then, less the device's, is *at most* what has to be added to the device's clock. And if an earlier look did not find it, it was
//! written after that one began, or was still on its way across the bus then: so the time of day before that look, less the device's, is about the
//! *least*. The look that says most is the one that found the youngest time.

/// What an offset may be wrong by and stay, in nanoseconds. To give resident kernels another costs each a pause, so it is not done for nothing: a clock
/// that is a millionth too fast is corrected every quarter of an hour. And it is a five-hundredth of the drift bound, and near what a look can tell: threads
/// that sleep for a millisecond wake when they do.
pub(super) const TOLERANCE: i64 = 1_000_000;
/// So many times that were seen to come say enough.
const ENOUGH: u32 = 8;

/// What has to be added to a device's clock is between these, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: i64,
    pub(super) most: i64,
}

impl Bounds {
    /// A device's time that was read between two readings of the time of day.
    pub(super) fn new(before: u64, device: u64, after: u64) -> Self {
        let most = after.wrapping_sub(device) as i64;
        // A time of day that was set back in between says nothing of the least.
        Self { least: (before.wrapping_sub(device) as i64).min(most), most }
    }

    pub(super) fn width(self) -> i64 {
        self.most.saturating_sub(self.least)
    }

    /// What to take for the offset instead of one that is further from these than what is tolerated.
    pub(super) fn correct(self, offset: i64) -> Option<i64> {
        let near = self.least.saturating_sub(TOLERANCE)..=self.most.saturating_add(TOLERANCE);
        (!near.contains(&offset)).then(|| self.middle())
    }

    pub(super) fn middle(self) -> i64 {
        self.least + self.width() / 2
    }
}

/// The looks of a few milliseconds.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The last look: the time of day before it, and what it found.
    last: Option<(u64, u64)>,
    /// The least of what was ever the most, whether or not the time was seen to come.
    most: Option<i64>,
    best: Option<Bounds>,
    came: u32,
}

impl Round {
    /// A look: the newest time that was found, 0 if none was published yet, and the time of day before and after.
    pub(super) fn look(&mut self, before: u64, device: u64, after: u64) {
        if device == 0 {
            return;
        }
        let most = after.wrapping_sub(device) as i64;
        self.most = Some(self.most.map_or(most, |known| known.min(most)));
        if let Some((earlier, was)) = self.last
            && device > was
        {
            self.came += 1;
            let bounds = Bounds::new(earlier, device, after);
            if self.best.is_none_or(|best| bounds.most < best.most) {
                self.best = Some(bounds);
            }
        }
        self.last = Some((before, device));
    }

    /// Whether a time was seen to come.
    pub(super) fn heard(&self) -> bool {
        self.came > 0
    }

    /// Whether more looks would say no more. One time that agrees is enough; that none does may be for it was long on its way.
    pub(super) fn is_enough(&self, offset: i64) -> bool {
        self.came >= ENOUGH || self.best.is_some_and(|best| best.correct(offset).is_none())
    }

    /// What to take for the offset instead.
    pub(super) fn correct(&self, offset: i64) -> Option<i64> {
        let most = self.most?;
        match self.best {
            Some(best) => Bounds { least: best.least.min(most), most: best.most.min(most) }.correct(offset),
            // Old times: they show no more than that the device is ahead.
            None => (most.saturating_add(TOLERANCE) < offset).then_some(most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: u64 = 1_000_000;
    /// Some time of day, and what the device's clock says then.
    const DAY: u64 = 1_800_000_000_000_000_000;

    /// Looks at a device that publishes its clock every `period`, which takes `delay` each time; `gaps` lie between the looks, and looking takes `takes`.
    fn looks(offset: i64, period: u64, delay: u64, gaps: &[u64], takes: u64) -> Round {
        let (mut round, mut now) = (Round::default(), DAY);
        for gap in gaps {
            let (before, after) = (now, now + takes);
            // What was written by the time in the middle of the look.
            let published = (before + takes / 2 - delay) / period * period;
            round.look(before, published.wrapping_sub(offset as u64), after);
            now = after + gap;
        }
        round
    }

    fn offsets() -> impl Strategy<Value = i64> {
        // The device's clock began between 1970 and 2057.
        prop_oneof![0..DAY as i64, -(DAY as i64) / 2..1000, Just(0)]
    }

    proptest! {
        #[test]
        fn an_offset_that_is_right_is_left_alone(
            offset in offsets(), wrong in -TOLERANCE..=TOLERANCE, period in MILLI..100 * MILLI, takes in 2..100_000u64,
            gaps in prop::collection::vec(0..5 * MILLI, 1..200),
        ) {
            let round = looks(offset, period, 0, &gaps, takes);
            prop_assert_eq!(round.correct(offset + wrong), None);
        }

        #[test]
        fn an_offset_is_right_afterwards_however_wrong_it_was(
            offset in offsets(), wrong in -(1i64 << 50)..1 << 50, period in MILLI..50 * MILLI, delay in 0..MILLI,
            takes in 2..100_000u64, gaps in prop::collection::vec(0..2 * MILLI, 100..200),
        ) {
            let round = looks(offset, period, delay, &gaps, takes);
            prop_assume!(round.heard());
            let corrected = round.correct(offset + wrong).unwrap_or(offset + wrong);
            let bound = TOLERANCE as u64 + 2 * MILLI + 2 * takes + delay;
            prop_assert!(corrected.abs_diff(offset) <= bound, "{} of {}", corrected.abs_diff(offset), bound);
            // And then it stays.
            prop_assert_eq!(round.correct(corrected), None);
            prop_assert!(round.is_enough(corrected));
        }

        #[test]
        fn nothing_is_taken_for_the_offset_that_a_look_disproves(
            looked in prop::collection::vec((DAY..DAY + 1000 * MILLI, 1..DAY, 0..MILLI), 0..50), offset in any::<i64>(),
        ) {
            let mut round = Round::default();
            let mut most = i64::MAX;
            for (before, device, takes) in looked {
                round.look(before, device, before + takes);
                most = most.min((before + takes - device) as i64);
            }
            prop_assert!(round.correct(offset).is_none_or(|to| to <= most));
        }

        #[test]
        fn times_of_day_that_are_set_and_words_that_are_no_times_are_no_panic(
            looked in prop::collection::vec(any::<[u64; 3]>(), 0..20), offset in any::<i64>(),
        ) {
            let mut round = Round::default();
            for [before, device, after] in looked {
                round.look(before, device, after);
            }
            let _ = (round.correct(offset), round.is_enough(offset));
        }
    }

    #[test]
    fn a_device_that_is_silent_shows_only_that_it_is_ahead() {
        let mut round = Round::default();
        round.look(DAY, 0, DAY);
        assert_eq!(round.correct(5), None);
        // It published its clock once; a second later that is found, and no other.
        for n in 0..100 {
            let now = DAY + 1000 * MILLI + n * MILLI;
            round.look(now, 7 * MILLI, now);
        }
        let offset = (DAY - 7 * MILLI) as i64;
        let seconds = |n: i64| n * 1_000_000_000;
        assert!(!round.heard() && !round.is_enough(offset));
        assert_eq!(round.correct(offset - seconds(3600)), None);
        assert_eq!(round.correct(offset + seconds(3)), Some(offset + seconds(1)));
    }

    #[test]
    fn a_clock_that_is_set_is_followed_by_the_next_round() {
        let at = |now: u64, device: u64, round: &mut Round| round.look(now, device, now + 1000);
        for by in [-3_600_000_000_000i64, -700_000_000, 700_000_000, 3_600_000_000_000] {
            let mut round = Round::default();
            (0..20).for_each(|n| at((DAY + n * MILLI).wrapping_add_signed(by), 5 + n * MILLI, &mut round));
            let offset = (DAY - 5) as i64;
            let corrected = round.correct(offset).unwrap();
            assert!((offset + by).abs_diff(corrected) <= MILLI, "{by}");
        }
    }
}
