//! What baselines measure: times of one thing done again and again, and rates of many.

use std::time::Duration;

/// How long something took, again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Sorted, shortest first.
    pub sorted: Vec<Duration>,
}

impl Times {
    /// Sorts them.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }

    /// The `q`-quantile, `q` in 0…1; zero of no times.
    pub fn quantile(&self, q: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * q.clamp(0.0, 1.0)).round() as usize).copied().unwrap_or_default()
    }
}

/// How long so many messages took together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// How many, over all rings.
    pub messages: u64,
    /// From the first to the end of the last.
    pub took: Duration,
}

impl Throughput {
    /// Messages in a second.
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_sorted_times() {
        let times = Times::of([30, 10, 20, 50, 40].map(Duration::from_micros).to_vec());
        assert_eq!(times.quantile(0.0), Duration::from_micros(10));
        assert_eq!(times.quantile(0.5), Duration::from_micros(30));
        assert_eq!(times.quantile(0.99), Duration::from_micros(50));
        assert_eq!(times.quantile(7.0), Duration::from_micros(50));
        assert_eq!(Times::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn a_throughput_is_messages_by_time() {
        let throughput = Throughput { messages: 300, took: Duration::from_millis(1500) };
        assert_eq!(throughput.per_second(), 200.0);
    }
}
