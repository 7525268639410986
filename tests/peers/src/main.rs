//! The CPU backend beside kameo, ractor and actix: the same work on the same machine, in one run.
//!
//! ```sh
//! cargo run --release --manifest-path tests/peers/Cargo.toml             # a few minutes
//! cargo run --release --manifest-path tests/peers/Cargo.toml -- --quick  # seconds: are the counts right?
//! ```
//!
//! Two workloads, written once for everybody (`work.rs`):
//!
//! - **ask**: a request and its reply, one at a time, 100,000 times after a warm-up: the median and the 99th percentile;
//! - **tell**: three million small messages, until the actor has handled the last (which is asked, and so answered), from one sender
//!   and from two: the best and the median of five runs.
//!
//! The actor counts its messages and adds up their numbers. Every reply's account is compared with what was sent; where one is wrong
//! the program says so and exits with 1. A ratio that falls short is printed and no more. Names on the command line run only the rows
//! that contain one of them: `-- actix ringkernel`.
//!
//! Each crate is used as its own documentation shows, and in the other arrangements that are natural, since they matter: whether
//! sender and actor share a thread or not is most of an `ask`. `shared` marks those where they do (actix in one arbiter) or
//! may (a tokio task and an actor that tokio puts on the same worker): nothing crosses to another core then, and nothing runs
//! at the same time. RingKernel's handlers always run on threads of their own.

mod actix_peer;
mod kameo_peer;
mod ours;
mod ractor_peer;
mod tokio_runs;
mod work;

use std::process::ExitCode;
use std::time::Duration;
use work::{Figures, Sizes};

/// One line of the table.
struct Row {
    ours: bool,
    name: &'static str,
    /// Sender and actor may take turns on one thread.
    shared: bool,
    run: fn(Sizes) -> Figures,
}

const ROWS: &[Row] = &[
    row("kameo, #[tokio::main] (mailbox of 64)", false, |s| kameo_peer::run(s, true, false)),
    row("kameo, task (mailbox of 64)", true, |s| kameo_peer::run(s, true, true)),
    row("kameo, #[tokio::main] (unbounded)", false, |s| kameo_peer::run(s, false, false)),
    row("kameo, task (unbounded)", true, |s| kameo_peer::run(s, false, true)),
    row("ractor, #[tokio::main]", false, |s| ractor_peer::run(s, false)),
    row("ractor, task", true, |s| ractor_peer::run(s, true)),
    row("actix, one arbiter", true, |s| actix_peer::run(s, false)),
    row("actix, actor in its own arbiter", false, |s| actix_peer::run(s, true)),
    ours("ringkernel, thread", |s| ours::on_a_thread(s, false)),
    ours("ringkernel, thread, _blocking and _many", |s| ours::on_a_thread(s, true)),
    ours("ringkernel, #[tokio::main]", |s| ours::on_tokio(s, false)),
    ours("ringkernel, tokio task", |s| ours::on_tokio(s, true)),
];

const fn row(name: &'static str, shared: bool, run: fn(Sizes) -> Figures) -> Row {
    Row { ours: false, name, shared, run }
}

const fn ours(name: &'static str, run: fn(Sizes) -> Figures) -> Row {
    Row { ours: true, name, shared: false, run }
}

/// The `q`-quantile of what is sorted.
fn quantile<T: Copy + Default>(sorted: &[T], q: f64) -> T {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * q).round() as usize).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let sizes = match quick {
        true => Sizes { asks: 2_000, tells: 50_000, runs: 2 },
        false => Sizes { asks: 100_000, tells: 3_000_000, runs: 5 },
    };
    println!(
        "{} asks; {} tells, {} runs; {} cores\n",
        sizes.asks,
        sizes.tells,
        sizes.runs,
        std::thread::available_parallelism().map_or(1, |n| n.get())
    );
    println!("{:<40} {:^19} {:^19} {:^19}", "", "ask, us", "tell from 1, M/s", "tell from 2, M/s");
    println!(
        "{:<40} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "p50", "p99", "best", "median", "best", "median"
    );
    let mut figures = Vec::new();
    for row in ROWS {
        if !only.is_empty() && !only.iter().any(|name| row.name.contains(name.as_str())) {
            continue;
        }
        let got = (row.run)(sizes);
        let name = format!("{}{}", row.name, if row.shared { " *" } else { "" });
        println!(
            "{name:<40} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
            micros(quantile(&got.asks, 0.5)),
            micros(quantile(&got.asks, 0.99)),
            quantile(&got.one, 1.0) / 1e6,
            quantile(&got.one, 0.5) / 1e6,
            quantile(&got.two, 1.0) / 1e6,
            quantile(&got.two, 0.5) / 1e6,
        );
        figures.push((row, got));
    }
    println!("* sender and actor share a thread, or may");
    ratios(&figures, false);
    ratios(&figures, true);
    let wrong: Vec<String> = figures
        .iter()
        .flat_map(|(row, got)| got.wrong.iter().map(move |wrong| format!("{}: {wrong}", row.name)))
        .collect();
    wrong.iter().take(20).for_each(|wrong| println!("WRONG {wrong}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Our best beside the best of the others; without those that share a thread, or with them.
fn ratios(figures: &[(&Row, Figures)], shared: bool) {
    let of = |ours: bool| figures.iter().filter(move |(row, _)| row.ours == ours && (shared || !row.shared));
    if of(true).next().is_none() || of(false).next().is_none() {
        return;
    }
    let ask = |ours, q| {
        let times = of(ours).map(|(_, got)| quantile(&got.asks, q));
        micros(times.min().unwrap_or_default())
    };
    type Runs = fn(&Figures) -> &[f64];
    let best = |ours, many, runs: Runs| {
        let rows = of(ours).filter(|(row, _)| !ours || row.name.contains("_many") == many);
        rows.map(|(_, got)| quantile(runs(got), 0.5)).fold(0.0, f64::max) / 1e6
    };
    let whom = if shared { "everybody" } else { "those that cross threads, as we do" };
    println!("\nours beside the fastest of {whom} (medians):");
    for (what, q) in [("ask p50", 0.5), ("ask p99", 0.99)] {
        let (a, b) = (ask(true, q), ask(false, q));
        println!("  {what:<20} {a:>8.2} us  beside {b:>8.2} us    {:>6.2} x the time", a / b);
    }
    let runs: [(&str, bool, Runs); 4] = [
        ("tell from one", false, |got| &got.one),
        ("tell from two", false, |got| &got.two),
        ("tell_many from one", true, |got| &got.one),
        ("tell_many from two", true, |got| &got.two),
    ];
    for (what, many, runs) in runs {
        let (a, b) = (best(true, many, runs), best(false, many, runs));
        println!("  {what:<20} {a:>8.2} M/s beside {b:>8.2} M/s   {:>6.2} x the rate", a / b);
    }
}
