//! Ratios to baselines, and targets met or missed. Pure: it reads a report and writes into it.

use crate::figure::{Beside, Figure, Report, Value, Verdict};

/// The backend whose figures have targets.
const CUDA: &str = "CUDA";

/// Baselines that each figure stands beside, where the run has them.
const BESIDE: &[(&str, &[&str])] = &[
    ("ask_blocking", ONE_AT_A_TIME),
    ("ask", ONE_AT_A_TIME),
    ("ask_many", FROM_DEVICE),
    ("ask_many_turn", FROM_DEVICE),
    ("ask_many_blocking", FROM_DEVICE),
    ("drain", FROM_DEVICE),
    ("outputs", FROM_DEVICE),
    ("pipeline_ask", &["four_launches_1", "ask_blocking"]),
    ("pipeline_events", &["four_launches_1024", "four_launches_65536"]),
    ("tell", &["raw_to_device_1", "channel_send"]),
    ("tell_turn", &["raw_to_device_4", "channel_send"]),
    ("tell_blocking", &["raw_to_device_1", "channel_send"]),
    ("try_tell", &["raw_to_device_1", "channel_send"]),
    ("tell_many", &["raw_to_device_1", "channel_send"]),
    ("tell_many_turn", &["raw_to_device_4", "channel_send"]),
    ("tell_many_million", &["raw_to_device_4", "channel_send", "tell_many_turn"]),
];
const ONE_AT_A_TIME: &[&str] = &[
    "raw_ping_pong",
    "launch_sync",
    "graph_launch_sync",
    "launch_copies",
    "threads_ping_pong",
    "channel_ping_pong",
    "dispatch_copies",
];
const FROM_DEVICE: &[&str] = &["raw_to_host_4", "channel_send"];

/// A bar that a figure is to clear.
enum Bar {
    /// A quantile, at most so many times the baseline's.
    Times { quantile: &'static str, of: &'static str, most: f64 },
    /// The median, so many times faster than the baseline's.
    Faster { than: &'static str, least: f64 },
    /// So many in a second.
    Rate(f64),
    /// At least this part of the rate of another figure.
    Share { of: &'static str, least: f64 },
    /// A quantile, at most so many microseconds.
    Micros { quantile: &'static str, most: f64 },
    /// Less than this part of a core, in percent.
    Percent(f64),
}

/// What is to be shown on an NVIDIA GPU.
const TARGETS: &[(&str, Bar)] = &[
    ("ask_blocking", Bar::Times { quantile: "p50", of: "raw_ping_pong", most: 1.3 }),
    ("ask_blocking", Bar::Times { quantile: "p99", of: "raw_ping_pong", most: 2.0 }),
    ("ask_blocking", Bar::Faster { than: "launch_sync", least: 3.0 }),
    ("ask", Bar::Times { quantile: "p50", of: "raw_ping_pong", most: 2.0 }),
    ("ask_many", Bar::Rate(10e6)),
    ("ask_many_turn", Bar::Rate(10e6)),
    ("ask_many_blocking", Bar::Rate(10e6)),
    ("tell", Bar::Rate(20e6)),
    ("tell_turn", Bar::Rate(20e6)),
    ("tell_many", Bar::Rate(100e6)),
    ("tell_many_turn", Bar::Rate(100e6)),
    ("tell_many_million", Bar::Share { of: "tell_many_turn", least: 0.7 }),
    ("drain", Bar::Rate(100e6)),
    ("outputs", Bar::Rate(100e6)),
    // 1.5 times what a queue between two blocks takes that does nothing else, with a sequence in every 16 bytes, on an H200.
    ("hop", Bar::Micros { quantile: "p50", most: 0.84 }),
    ("hop_random", Bar::Rate(2e9)),
    ("terminate", Bar::Micros { quantile: "p99", most: 10_000.0 }),
    ("suspend", Bar::Micros { quantile: "p99", most: 1_000.0 }),
    ("snapshot", Bar::Micros { quantile: "p99", most: 1_000.0 }),
    ("launch", Bar::Micros { quantile: "p99", most: 2_000.0 }),
    ("idle_cpu", Bar::Percent(2.0)),
];

/// Fills in every figure's ratios and verdicts.
pub fn judge(report: &mut Report) {
    let mut judged = report.figures.clone();
    for figure in &mut judged {
        figure.beside = BESIDE
            .iter()
            .filter(|(id, _)| *id == figure.id)
            .flat_map(|(_, baselines)| baselines.iter())
            .filter_map(|baseline| report.find(&figure.backend, baseline))
            .flat_map(|baseline| ratios(figure, baseline))
            .collect();
        // The targets are those of an NVIDIA GPU, but for the idle process: that one holds everywhere.
        let applies = figure.backend == CUDA || figure.id == "idle_cpu";
        figure.targets = TARGETS
            .iter()
            .filter(|(id, _)| applies && *id == figure.id)
            .map(|(_, bar)| verdict(figure, bar, report))
            .collect();
    }
    report.figures = judged;
}

fn ratios(ours: &Figure, baseline: &Figure) -> Vec<Beside> {
    let of = |quantity, a: f64, b: f64| {
        (b > 0.0).then(|| Beside { baseline: baseline.id, quantity, ratio: a / b })
    };
    match (&ours.value, &baseline.value) {
        (Value::Latency(a), Value::Latency(b)) => {
            [of("p50", a.p50_us, b.p50_us), of("p99", a.p99_us, b.p99_us)].into_iter().flatten().collect()
        }
        (Value::Rate(a), Value::Rate(b)) => of("rate", a.per_second, b.per_second).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn verdict(figure: &Figure, bar: &Bar, report: &Report) -> Verdict {
    let other = |id: &str| report.find(&figure.backend, id);
    let quantile = |figure: &Figure, name: &str| match &figure.value {
        Value::Latency(latency) if name == "p50" => Some(latency.p50_us),
        Value::Latency(latency) if name == "p99" => Some(latency.p99_us),
        _ => None,
    };
    let rate = |figure: &Figure| match &figure.value {
        Value::Rate(rate) => Some(rate.per_second),
        _ => None,
    };
    let (target, outcome): (String, Option<(bool, String)>) = match *bar {
        Bar::Times { quantile: q, of, most } => (
            format!("{q} ≤ {most} × {of}"),
            quantile(figure, q)
                .zip(other(of).and_then(|baseline| quantile(baseline, q)))
                .map(|(a, b)| (a <= most * b, format!("{:.2} ×", a / b))),
        ),
        Bar::Faster { than, least } => (
            format!("≥ {least} × faster than {than}"),
            quantile(figure, "p50")
                .zip(other(than).and_then(|baseline| quantile(baseline, "p50")))
                .map(|(a, b)| (b >= least * a, format!("{:.2} ×", b / a))),
        ),
        Bar::Rate(least) => (
            format!("≥ {} M/s", least / 1e6),
            rate(figure).map(|a| (a >= least, format!("{:.1} M/s", a / 1e6))),
        ),
        Bar::Share { of, least } => (
            format!("≥ {least} of {of}"),
            rate(figure)
                .zip(other(of).and_then(rate))
                .map(|(a, b)| (a >= least * b, format!("{:.2} of it", a / b))),
        ),
        Bar::Micros { quantile: q, most } => (
            if most < 1e3 { format!("{q} ≤ {most} us") } else { format!("{q} ≤ {} ms", most / 1e3) },
            quantile(figure, q).map(|a| {
                (a <= most, if most < 1e3 { format!("{a:.3} us") } else { format!("{:.3} ms", a / 1e3) })
            }),
        ),
        Bar::Percent(most) => (
            format!("< {most} % of a core"),
            match figure.value {
                Value::PercentOfACore(a) => Some((a < most, format!("{a:.1} %"))),
                _ => None,
            },
        ),
    };
    match outcome {
        Some((met, measured)) => Verdict { target, met: Some(met), measured },
        None => Verdict { target, met: None, measured: "nothing to compare with in this run".into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::{latency, rate, report};

    fn verdicts(report: &Report, backend: &str, id: &str) -> Vec<(String, Option<bool>, String)> {
        let figure = report.find(backend, id).unwrap();
        figure.targets.iter().map(|v| (v.target.clone(), v.met, v.measured.clone())).collect()
    }

    #[test]
    fn a_figure_is_put_beside_the_baselines_of_its_own_backend() {
        let mut report = report([
            latency("CUDA", "ask_blocking", 3.0, 4.0),
            latency("CUDA", "raw_ping_pong", 2.5, 2.5),
            latency("CPU", "ask_blocking", 1.0, 2.0),
            latency("CPU", "threads_ping_pong", 0.5, 0.5),
        ]);
        judge(&mut report);
        let beside = |backend| report.find(backend, "ask_blocking").unwrap().beside.clone();
        let cuda = beside("CUDA");
        assert_eq!(cuda.len(), 2, "{cuda:?}");
        assert!(cuda[0].baseline == "raw_ping_pong" && cuda[0].quantity == "p50");
        assert!((cuda[0].ratio - 1.2).abs() < 0.01 && (cuda[1].ratio - 1.6).abs() < 0.01, "{cuda:?}");
        assert!(beside("CPU").iter().all(|b| b.baseline == "threads_ping_pong"));
    }

    #[test]
    fn a_target_is_met_or_missed_and_says_by_how_much() {
        let mut report = report([
            latency("CUDA", "ask_blocking", 3.0, 6.0),
            latency("CUDA", "raw_ping_pong", 2.5, 2.5),
            latency("CUDA", "launch_sync", 8.0, 13.0),
            rate("CUDA", "tell_many_turn", 80e6),
            rate("CUDA", "tell_many_million", 60e6),
        ]);
        judge(&mut report);
        assert_eq!(
            verdicts(&report, "CUDA", "ask_blocking"),
            [
                ("p50 ≤ 1.3 × raw_ping_pong".into(), Some(true), "1.20 ×".into()),
                ("p99 ≤ 2 × raw_ping_pong".into(), Some(false), "2.40 ×".into()),
                ("≥ 3 × faster than launch_sync".into(), Some(false), "2.67 ×".into()),
            ]
        );
        assert_eq!(
            verdicts(&report, "CUDA", "tell_many_turn"),
            [("≥ 100 M/s".into(), Some(false), "80.0 M/s".into())]
        );
        assert_eq!(
            verdicts(&report, "CUDA", "tell_many_million"),
            [("≥ 0.7 of tell_many_turn".into(), Some(true), "0.75 of it".into())]
        );
    }

    #[test]
    fn without_its_baseline_a_target_is_neither_met_nor_missed() {
        let mut report = report([latency("CUDA", "ask", 3.0, 6.0), latency("CPU", "ask", 3.0, 6.0)]);
        judge(&mut report);
        assert_eq!(verdicts(&report, "CUDA", "ask")[0].1, None);
        assert_eq!(verdicts(&report, "CPU", "ask"), [], "the targets are those of a GPU");
    }
}
