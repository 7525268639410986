//! Made-up figures for the tests of what reads them.

use crate::figure::{Evidence, Figure, Latency, Rate, Report, Value};
use std::time::Duration;

fn figure(backend: &str, id: &'static str, value: Value) -> Figure {
    Figure {
        id,
        title: format!("title of {id}"),
        is_baseline: id.contains("raw") || id.contains("launch_") || id.contains("threads"),
        backend: backend.into(),
        device: "test device".into(),
        samples: 100,
        value,
        evidence: Evidence {
            sent: 100,
            counted_by_control_block: 100,
            counted_by_telemetry: 100,
            replies_checked: 100,
            checked: "everything".into(),
        },
        beside: Vec::new(),
        targets: Vec::new(),
        note: None,
    }
}

/// Half the times are `p50`, the slowest five of a hundred `p99`, in microseconds.
pub fn latency(backend: &str, id: &'static str, p50: f64, p99: f64) -> Figure {
    let times = (0..100).map(|i| Duration::from_secs_f64(if i < 95 { p50 } else { p99 } * 1e-6));
    let latency = Latency::of(times).expect("there are times");
    figure(backend, id, Value::Latency(latency))
}

pub fn rate(backend: &str, id: &'static str, per_second: f64) -> Figure {
    let value =
        Value::Rate(Rate { per_second, slowest: per_second, fastest: per_second, rounds: 1, per_round: 100 });
    figure(backend, id, value)
}

pub fn report(figures: impl IntoIterator<Item = Figure>) -> Report {
    Report { figures: figures.into_iter().collect(), ..Default::default() }
}
