//! What the environment says.

use crate::machine::{Pace, set_pace};
use std::time::Duration;

/// The settings of this process.
pub(crate) struct Settings {
    pub(crate) devices: usize,
    pub(crate) threads: usize,
    pub(crate) patience: Duration,
    pub(crate) seed: u64,
    /// How long the process's exit goes on with pinned memory gone; it stays if that is 0.
    pub(crate) exit: Duration,
}

impl Settings {
    /// Reads them. What cannot be right is said on standard error, and `None`.
    pub(crate) fn read() -> Option<Self> {
        let settings = Self {
            devices: number("SOFTCUDA_DEVICES", 1, 1..=2)? as usize,
            threads: number("SOFTCUDA_THREADS", 2, 1..=64)? as usize,
            patience: Duration::from_secs(number("SOFTCUDA_PATIENCE", 20, 1..=86_400)?),
            seed: number("SOFTCUDA_SEED", 1, 0..=u64::MAX)?,
            exit: Duration::from_millis(number("SOFTCUDA_EXIT", 0, 0..=60_000)?),
        };
        set_pace(Pace {
            rate: number("SOFTCUDA_CLOCK_RATE", 1_000_000, 1..=1_000_000_000)?,
            step_after: Duration::from_millis(number("SOFTCUDA_CLOCK_STEP_AFTER", 0, 0..=86_400_000)?),
            step: Duration::from_millis(number("SOFTCUDA_CLOCK_STEP", 0, 0..=86_400_000)?),
        });
        Some(settings)
    }
}

fn number(name: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let Ok(text) = std::env::var(name) else { return Some(default) };
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    if number.is_none() {
        eprintln!("softcuda: {name}={text}: it takes a number from {} to {}", range.start(), range.end());
    }
    number
}
