//! The device's clocks.

use super::program::Clock;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How `%globaltimer` differs from the host's time of day, which it is unless told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Microseconds that it counts in a second.
    pub rate: u64,
    /// After so long it is set ahead, once.
    pub step_after: Duration,
    /// By so much.
    pub step: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: 1_000_000, step_after: Duration::ZERO, step: Duration::ZERO }
    }
}

impl Pace {
    /// What it counts in a time, in nanoseconds.
    fn of(self, elapsed: Duration) -> u64 {
        let step = if elapsed >= self.step_after { self.step } else { Duration::ZERO };
        (elapsed.as_nanos() * u128::from(self.rate) / 1_000_000 + step.as_nanos()) as u64
    }
}

static PACE: OnceLock<Pace> = OnceLock::new();

/// Sets how `%globaltimer` of every device of the process goes, before anybody looks at it.
pub fn set_pace(pace: Pace) {
    let _ = PACE.set(pace);
}

/// When the process's clocks began, and nanoseconds of the time of day then.
fn began() -> &'static (Instant, u64) {
    static BEGAN: OnceLock<(Instant, u64)> = OnceLock::new();
    BEGAN.get_or_init(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), time.as_nanos() as u64)
    })
}

pub(super) fn read(which: Clock) -> u64 {
    let (start, time) = began();
    let elapsed = start.elapsed();
    // From 1 on: who asks has begun.
    let cycles = elapsed.as_nanos() as u64 + 1;
    let now = || time + 1 + PACE.get_or_init(Pace::default).of(elapsed);
    match which {
        Clock::Cycles => cycles,
        Clock::CyclesLow => cycles & u32::MAX as u64,
        Clock::CyclesHigh => cycles >> 32,
        Clock::Time => now(),
        Clock::TimeLow => now() & u32::MAX as u64,
        Clock::TimeHigh => now() >> 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_runs_at_its_rate_and_is_set_ahead_once() {
        let second = Duration::from_secs(1);
        assert_eq!(Pace::default().of(second), 1_000_000_000);
        let pace = Pace { rate: 1_050_000, step_after: 2 * second, step: second / 2 };
        assert_eq!([1, 2, 4].map(|n| pace.of(n * second)), [1_050_000_000, 2_600_000_000, 4_700_000_000]);
    }
}
