//! Everything at once, for long: nothing may be lost or come twice, and memory must stay flat.
//!
//! ```text
//! soak --backend cpu|cuda [--minutes 10] [--threads 1]
//! ```
//!
//! Every ten seconds it prints a line: messages so far and their rate, memory of the host and of the device, requests pending. As a
//! test it runs for three seconds. What goes on at the same time is in `load.rs`.

#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod load;
mod memory;

use common::arguments::Arguments;
use common::machine::watch;
use load::{MESSAGES, Soak};
use memory::Memory;
use ringkernel::prelude::*;
use ringkernel_tests::machine::{BACKENDS, Collection, Stop, backend_name};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Soaks a runtime for so long; says what it came to.
fn soak(runtime: &RingKernel, time: Duration, line_every: Duration, threads: u32) -> Result<String, String> {
    let mut memory = Memory::new(runtime.backend());
    let soak = Soak::begin(runtime, threads)?;
    let (begin, mut lines, mut before) = (Instant::now(), 0u32, 0);
    // Who ends before being told to has failed, and says so when joined.
    while begin.elapsed() < time && soak.all_run() {
        lines += 1;
        std::thread::sleep((line_every * lines).saturating_sub(begin.elapsed()));
        // Relaxed: a figure.
        let messages = MESSAGES.load(Ordering::Relaxed);
        let sample = memory.sample(begin.elapsed());
        println!(
            "{:>7.1} s  {messages:>14} messages  {:>9.3} M/s  {sample}  pending {:>6}  kernels launched {:>6}",
            begin.elapsed().as_secs_f64(),
            (messages - before) as f64 / line_every.as_secs_f64() / 1e6,
            soak.pending(),
            soak.launched(),
        );
        before = messages;
    }
    let sums = soak.end()?;
    let flat = memory.is_flat()?;
    Ok(format!("{sums}; {flat}"))
}

fn program(arguments: &Arguments) -> Result<String, String> {
    let backend = arguments.backend()?;
    let minutes: f64 = arguments.get("--minutes", 10.0)?;
    let runtime = common::machine::runtime(backend).map_err(|error| error.to_string())?;
    println!("soak on {backend} ({}) for {minutes} minutes", runtime.device_name());
    // Relaxed: it only has to move.
    watch("soak", Duration::from_secs(30), || MESSAGES.load(Ordering::Relaxed));
    let time = Duration::from_secs_f64(minutes * 60.0);
    let line_every = Duration::from_secs(10).min(time / 6);
    let text = soak(&runtime, time, line_every, arguments.get("--threads", 1)?)?;
    smol::block_on(runtime.shutdown()).map_err(|error| error.to_string())?;
    Ok(text)
}

fn tests() -> ExitCode {
    let mut tests = Collection::default();
    for backend in BACKENDS {
        let name = backend_name(backend);
        tests.add(format!("soak::nothing_is_lost_under_a_mixed_load::{name}"), move |machine| {
            let runtime = machine.runtime(backend)?;
            let outcome = soak(&runtime, Duration::from_secs(3), Duration::from_millis(250), 1);
            outcome.map(drop).map_err(Stop::Failed)
        });
    }
    tests.run()
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::of_this_program(&["--backend", "--minutes"]) else { return tests() };
    match program(&arguments) {
        Ok(text) => {
            println!("PASS: {text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            println!("FAIL: {text}");
            ExitCode::FAILURE
        }
    }
}
