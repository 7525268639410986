//! What a figure is: a value, the device it was measured on, how many samples it has, and the evidence that the device did the work.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// A measured figure. There is no other way to make one than with its [`Evidence`].
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Stable name: `ask_blocking`.
    pub id: &'static str,
    /// What was measured, in words.
    pub title: String,
    /// Whether it is what others are compared with: hand-written code for the same device, without RingKernel.
    pub is_baseline: bool,
    /// "CUDA".
    pub backend: String,
    /// The device's name.
    pub device: String,
    /// How many times.
    pub samples: u64,
    pub value: Value,
    pub evidence: Evidence,
    /// Ratios to the baselines of the same run, and targets met or missed; `judge` fills them in.
    pub beside: Vec<Beside>,
    pub targets: Vec<Verdict>,
    /// What one should know to read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A value and its unit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Times of one thing done again and again.
    Latency(Latency),
    /// Things done in a second.
    Rate(Rate),
    /// Part of one processor core, in percent.
    PercentOfACore(f64),
}

/// Quantiles in microseconds, and the histogram they are of.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub min_us: f64,
    pub max_us: f64,
    pub mean_us: f64,
    #[serde(skip)]
    pub histogram: Histogram<u64>,
}

impl Latency {
    /// `None` of no times at all.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        // Three digits; it grows with what it is given, so nothing is cut off.
        let mut histogram = Histogram::<u64>::new(3).ok()?;
        for time in times {
            histogram.record(u64::try_from(time.as_nanos()).ok()?.max(1)).ok()?;
        }
        if histogram.is_empty() {
            return None;
        }
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let quantile = |q| micros(histogram.value_at_quantile(q));
        Some(Self {
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            min_us: micros(histogram.min()),
            max_us: micros(histogram.max()),
            mean_us: histogram.mean() / 1e3,
            histogram,
        })
    }
}

/// The rate of several rounds, each timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// The median round.
    pub per_second: f64,
    pub slowest: f64,
    pub fastest: f64,
    pub rounds: usize,
    /// Messages of a round, on average.
    pub per_round: u64,
}

impl Rate {
    /// `None` of no rounds at all.
    pub fn of(per_round: u64, rounds: &[Duration]) -> Option<Self> {
        let rounds: Vec<_> = rounds.iter().map(|round| (per_round, *round)).collect();
        Self::of_each(&rounds)
    }

    /// Of rounds of different lengths. `None` of no rounds at all.
    pub fn of_each(rounds: &[(u64, Duration)]) -> Option<Self> {
        let mut rates: Vec<f64> =
            rounds.iter().map(|(count, took)| *count as f64 / took.as_secs_f64().max(1e-9)).collect();
        rates.sort_by(f64::total_cmp);
        let messages: u64 = rounds.iter().map(|(count, _)| count).sum();
        Some(Self {
            per_second: *rates.get(rates.len() / 2)?,
            slowest: *rates.first()?,
            fastest: *rates.last()?,
            rounds: rates.len(),
            per_round: messages / (rates.len() as u64).max(1),
        })
    }
}

/// Why a figure may be believed.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// Messages sent while it was measured, warm-up included, and by how much the device's own counters moved: the same number, or
    /// there would be no figure. 0 for baselines, which have no counters.
    pub sent: u64,
    pub counted_by_control_block: u64,
    pub counted_by_telemetry: u64,
    /// Replies whose content was compared with what it must be.
    pub replies_checked: u64,
    /// What else was checked, in words.
    pub checked: String,
}

impl Evidence {
    /// Evidence of a baseline: what its own loop checks.
    pub fn of_baseline(replies_checked: u64, checked: &str) -> Self {
        Self {
            sent: 0,
            counted_by_control_block: 0,
            counted_by_telemetry: 0,
            replies_checked,
            checked: checked.to_owned(),
        }
    }
}

/// A figure's ratio to a baseline of the same run on the same device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beside {
    pub baseline: &'static str,
    /// Which quantity: "p50", "p99", "rate".
    pub quantity: &'static str,
    /// Ours divided by the baseline's.
    pub ratio: f64,
}

/// A target and how the figure did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub target: String,
    /// `None` where there is nothing to compare with in this run.
    pub met: Option<bool>,
    /// What was compared with the target.
    pub measured: String,
}

/// A figure that was asked for and not printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Withheld {
    pub id: &'static str,
    pub backend: String,
    pub reason: String,
}

/// A backend or a baseline that is not here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Absent {
    pub what: String,
    pub reason: String,
}

/// Where a report was made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Place {
    /// UTC, `2026-11-22T16:40:00Z`.
    pub when: String,
    pub cpu: String,
    pub cores: usize,
    pub system: String,
    /// "release" or "debug, figures mean nothing".
    pub build: &'static str,
    pub quick: bool,
    /// What the command line tuned.
    pub settings: String,
}

/// Everything a run found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub place: Place,
    pub figures: Vec<Figure>,
    pub withheld: Vec<Withheld>,
    pub absent: Vec<Absent>,
}

impl Report {
    /// The figure of that name on that backend.
    pub fn find(&self, backend: &str, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.id == id && figure.backend == backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_times_to_three_digits() {
        let latency = Latency::of((1..=1000).map(Duration::from_micros)).unwrap();
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.002;
        assert!(near(latency.p50_us, 500.0) && near(latency.p90_us, 900.0), "{latency:?}");
        assert!(near(latency.p99_us, 990.0) && near(latency.p999_us, 999.0), "{latency:?}");
        assert!(near(latency.min_us, 1.0) && near(latency.max_us, 1000.0) && near(latency.mean_us, 500.5));
        assert!(Latency::of([]).is_none());
    }

    #[test]
    fn a_time_beyond_every_expectation_is_kept_as_it_is() {
        let latency = Latency::of([Duration::from_nanos(0), Duration::from_secs(3600)]).unwrap();
        assert!((latency.max_us / 3.6e9 - 1.0).abs() < 0.002, "{latency:?}");
    }

    #[test]
    fn a_rate_is_the_median_of_its_rounds() {
        let rate = Rate::of(100, &[4, 1, 2].map(Duration::from_secs)).unwrap();
        assert_eq!((rate.slowest, rate.per_second, rate.fastest), (25.0, 50.0, 100.0));
        assert!(Rate::of(100, &[]).is_none());
    }
}
