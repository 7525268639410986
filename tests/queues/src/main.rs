//! RingKernel's queues beside crossbeam's and rtrb: the same work on the same machine, in one run.
//!
//! ```sh
//! cargo run --release --manifest-path tests/queues/Cargo.toml             # two minutes
//! cargo run --release --manifest-path tests/queues/Cargo.toml -- --quick  # seconds: are the counts right?
//! ```
//!
//! - **values/s**: `u64`s from one, two producers to one, two consumers, through queues of 1,024: the best and the median of the runs,
//!   which take turns with those of the other queues;
//! - **one way**: one value there and one back, through two queues, one at a time: half of that, its median and 99th percentile.
//!
//! Every value is counted, summed, and (at one consumer) checked to come in its producer's order; where something is wrong the program
//! says so and exits with 1. A ratio that falls short is printed and no more. Whoever finds a queue full or empty spins, and yields its
//! core now and then: everybody in the same way. Names on the command line run only the rows that contain one of them.

mod subjects;
mod work;

use std::process::ExitCode;
use subjects::*;
use work::{Flow, Sizes, flow, ping_pong};

/// Measures one queue once: values a second, or nanoseconds one way (each round's).
enum Run {
    Flow(fn(Sizes) -> Flow),
    Turns(fn(Sizes) -> Vec<f64>),
}

struct Row {
    group: &'static str,
    name: &'static str,
    ours: bool,
    run: Run,
}

fn flows<S: Subject>(group: &'static str, name: &'static str) -> Row {
    let run: fn(Sizes) -> Flow = match group {
        "1 to 1" | "1 to 1, batches of 64" => flow::<S, 1, 1>,
        "2 to 1" => flow::<S, 2, 1>,
        _ => flow::<S, 2, 2>,
    };
    Row { group, name, ours: name.starts_with("ringkernel"), run: Run::Flow(run) }
}

fn turns<S: Subject>(name: &'static str) -> Row {
    Row { group: "one way", name, ours: name.starts_with("ringkernel"), run: Run::Turns(ping_pong::<S>) }
}

fn rows() -> Vec<Row> {
    vec![
        flows::<OurSpsc>("1 to 1", "ringkernel SpscQueue, split"),
        flows::<OurSharedSpsc>("1 to 1", "ringkernel SpscQueue, by reference"),
        flows::<OurMpmc>("1 to 1", "ringkernel MpmcQueue"),
        flows::<Rtrb>("1 to 1", "rtrb"),
        flows::<ArrayQueue>("1 to 1", "crossbeam ArrayQueue"),
        flows::<Channel>("1 to 1", "crossbeam channel"),
        flows::<OurSpscBatches>("1 to 1, batches of 64", "ringkernel SpscQueue, split"),
        flows::<OurMpmcBatches>("1 to 1, batches of 64", "ringkernel MpmcQueue"),
        flows::<RtrbBatches>("1 to 1, batches of 64", "rtrb, slices"),
        flows::<OurMpsc>("2 to 1", "ringkernel MpscQueue, split"),
        flows::<OurMpmc>("2 to 1", "ringkernel MpmcQueue"),
        flows::<ArrayQueue>("2 to 1", "crossbeam ArrayQueue"),
        flows::<Channel>("2 to 1", "crossbeam channel"),
        flows::<OurMpmc>("2 to 2", "ringkernel MpmcQueue"),
        flows::<OurLanes>("2 to 2", "ringkernel PriorityQueue, 4 lanes"),
        flows::<ArrayQueue>("2 to 2", "crossbeam ArrayQueue"),
        flows::<Channel>("2 to 2", "crossbeam channel"),
        turns::<OurSpsc>("ringkernel SpscQueue, split"),
        turns::<OurMpsc>("ringkernel MpscQueue, split"),
        turns::<OurMpmc>("ringkernel MpmcQueue"),
        turns::<Rtrb>("rtrb"),
        turns::<ArrayQueue>("crossbeam ArrayQueue"),
        turns::<Channel>("crossbeam channel"),
    ]
}

/// The `q`-quantile of what is sorted.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * q).round() as usize).copied().unwrap_or_default()
}

/// A row's two figures, and whether more is better.
fn summary(row: &Row, mut samples: Vec<f64>) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    match row.run {
        Run::Flow(_) => (quantile(&samples, 1.0), quantile(&samples, 0.5)),
        Run::Turns(_) => (quantile(&samples, 0.5), quantile(&samples, 0.99)),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let sizes = match quick {
        true => Sizes { values: 50_000, rounds: 2_000, runs: 2 },
        false => Sizes { values: 5_000_000, rounds: 200_000, runs: 7 },
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    println!("{} values, {} rounds, {} runs; {cores} cores", sizes.values, sizes.rounds, sizes.runs);
    let mut rows = rows();
    rows.retain(|row| only.is_empty() || only.iter().any(|name| row.name.contains(name.as_str())));
    let mut samples = vec![Vec::new(); rows.len()];
    let mut wrong = Vec::new();
    for _ in 0..sizes.runs {
        for (row, samples) in rows.iter().zip(&mut samples) {
            match row.run {
                Run::Flow(run) => {
                    let Flow { rate, complaints } = run(sizes);
                    samples.push(rate / 1e6);
                    wrong.extend(
                        complaints.into_iter().map(|what| format!("{}, {}: {what}", row.group, row.name)),
                    );
                }
                Run::Turns(run) => samples.extend(run(sizes)),
            }
        }
    }
    let figures: Vec<_> = rows.iter().zip(samples).map(|(row, samples)| summary(row, samples)).collect();
    let mut group = "";
    for (row, (first, second)) in rows.iter().zip(&figures) {
        if row.group != group {
            group = row.group;
            let units = match row.run {
                Run::Flow(_) => ["best, M/s", "median, M/s"],
                Run::Turns(_) => ["p50, ns", "p99, ns"],
            };
            println!("\n{group:<40} {:>12} {:>12}", units[0], units[1]);
        }
        println!("  {:<38} {first:>12.1} {second:>12.1}", row.name);
    }
    println!("\nthe best of ours to the best of theirs (medians; above 1 is better)");
    for group in ["1 to 1", "1 to 1, batches of 64", "2 to 1", "2 to 2", "one way"] {
        let side = |ours: bool| {
            let medians = rows.iter().zip(&figures).filter(|(row, _)| row.group == group && row.ours == ours);
            // As rates, so that more is better.
            medians
                .map(|(row, (first, second))| match row.run {
                    Run::Flow(_) => (*second, row.name),
                    Run::Turns(_) => (1.0 / first, row.name),
                })
                .max_by(|a, b| a.0.total_cmp(&b.0))
        };
        if let (Some((ours, our)), Some((theirs, their))) = (side(true), side(false)) {
            println!("  {group:<24} {:>6.2}   {our} / {their}", ours / theirs);
        }
    }
    for what in &wrong {
        eprintln!("WRONG: {what}");
    }
    println!("\n{}", if wrong.is_empty() { "all counts are right" } else { "counts are WRONG" });
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
