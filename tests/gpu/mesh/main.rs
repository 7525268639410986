//! Kernels that send to each other, many messages, every one of them counted; and how fast that is.
//!
//! As a program:
//!
//! ```text
//! mesh --backend cpu|cuda|wgpu [--case ring|all-to-all|random|ping-pong|pipeline|all] [--messages 1e7] [--seconds 100]
//!      [--instances N] [--shards S] [--tokens T] [--mailbox SLOTS] [--hops 1000]
//! ```
//!
//! `--messages` is what each case sends in all, from handler to handler (of `ping-pong` and `pipeline`, the most), and `--seconds` what each
//! may take. What is not given, the case chooses. Ends with 0 if nothing was lost, doubled, reordered, altered or refused, and
//! the device's counters say so too. As a test, it does the same with less.

#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod evidence;
mod exchange;
mod ping_pong;
mod pipeline;
mod random;
mod ring;
// The report times the same actors.
#[path = "../../../examples/report/src/actors/talking.rs"]
#[allow(dead_code)]
mod talking;

use common::arguments::Arguments;
use evidence::Outcome;
use ringkernel::prelude::*;
use ringkernel_tests::machine::{BACKENDS, Collection, Stop, assemble, backend_name};
use std::process::ExitCode;
use std::time::{Duration, Instant};
pub use talking::mix;

/// How much, and how. 0: the case's choice.
#[derive(Clone, Copy)]
pub struct Load {
    backend: Backend,
    pub messages: u64,
    pub limit: Duration,
    instances: u32,
    shards: u32,
    tokens: u32,
    pub mailbox: u32,
    pub hops: u32,
}

impl Load {
    fn new(backend: Backend, messages: u64, limit: Duration) -> Self {
        Self { backend, messages, limit, instances: 0, shards: 0, tokens: 0, mailbox: 0, hops: 1000 }
    }

    pub fn instances(&self, default: u32) -> u32 {
        if self.instances == 0 { default } else { self.instances }
    }

    /// Messages under way: never more than there are to be.
    pub fn tokens(&self, default: u32) -> u32 {
        let tokens = if self.tokens == 0 { default } else { self.tokens };
        u64::from(tokens).min(self.messages / 2).clamp(1, 1 << 19) as u32
    }

    /// Shards: on a GPU, where each is a warp, as many as that; elsewhere the device's choice.
    pub fn shards_or(&self, on_a_gpu: u32) -> Option<u32> {
        match self.shards {
            0 if self.backend == Backend::Cuda => Some(on_a_gpu),
            0 => None,
            shards => Some(shards),
        }
    }

    pub fn sharded(&self, options: LaunchOptions, on_a_gpu: u32) -> LaunchOptions {
        match self.shards_or(on_a_gpu) {
            Some(shards) => options.shards(shards),
            None => options,
        }
    }
}

type Case = fn(&RingKernel, &Load) -> Result<Outcome, String>;

const CASES: [(&str, Case); 5] = [
    ("ring", ring::run),
    ("all-to-all", exchange::run),
    ("random", random::run),
    ("ping-pong", ping_pong::run),
    ("pipeline", pipeline::run),
];

fn program(arguments: &Arguments) -> Result<bool, String> {
    let backend = arguments.backend()?;
    let wanted: Vec<&str> = arguments.text("--case").unwrap_or("all").split(',').collect();
    if let Some(unknown) =
        wanted.iter().find(|name| **name != "all" && !CASES.iter().any(|(known, _)| known == *name))
    {
        return Err(format!("--case {unknown}: one of ring, all-to-all, random, ping-pong, pipeline, all"));
    }
    let limit = Duration::from_secs(arguments.get("--seconds", 100)?);
    let load = Load {
        instances: arguments.get("--instances", 0)?,
        shards: arguments.get("--shards", 0)?,
        tokens: arguments.get("--tokens", 0)?,
        mailbox: arguments.get("--mailbox", 0)?,
        hops: arguments.get("--hops", 1000)?,
        ..Load::new(backend, arguments.get("--messages", 10_000_000)?, limit)
    };
    let runtime = common::machine::runtime(backend).map_err(|error| error.to_string())?;
    println!("mesh on {backend} ({})", runtime.device_name());
    let mut failed = Vec::new();
    for (name, run) in CASES {
        if !wanted.contains(&name) && !wanted.contains(&"all") {
            continue;
        }
        println!("\n{name}");
        let begin = Instant::now();
        let outcome =
            run(&runtime, &load).unwrap_or_else(|error| Outcome { wrong: vec![error], ..Default::default() });
        for row in &outcome.rows {
            println!("  {row}");
        }
        for wrong in outcome.wrong.iter().take(20) {
            println!("  FAIL: {wrong}");
        }
        let verdict = if outcome.passed() { "PASS" } else { "FAIL" };
        println!("  {verdict} {name}, {:.1} s", begin.elapsed().as_secs_f64());
        if !outcome.passed() {
            failed.push(name);
        }
    }
    smol::block_on(runtime.shutdown()).map_err(|error| error.to_string())?;
    match failed.as_slice() {
        [] => println!("\nPASS: mesh on {backend}"),
        failed => println!("\nFAIL: {}", failed.join(", ")),
    }
    Ok(failed.is_empty())
}

fn tests() -> ExitCode {
    let mut tests = Collection::default();
    for backend in BACKENDS {
        for (case, run) in CASES {
            let name = backend_name(backend);
            let test = format!("mesh::nothing_is_lost_doubled_or_reordered_between_kernels::{case}::{name}");
            tests.add(test, move |machine| {
                let mut load = Load::new(backend, 100_000, Duration::from_secs(60));
                if case == "random" {
                    load.instances = 100_000;
                }
                if backend == Backend::Wgpu {
                    // Each hop is a pass over the mailboxes, on a processor perhaps.
                    load = Load {
                        messages: 4000,
                        limit: Duration::from_secs(120),
                        instances: 64,
                        hops: 20,
                        ..load
                    };
                }
                let outcome = run(&*machine.runtime(backend)?, &load)?;
                if outcome.passed() {
                    Ok(())
                } else {
                    Err(Stop::Failed(format!("\n{}\n{}", outcome.rows.join("\n"), outcome.wrong.join("\n"))))
                }
            });
        }
    }
    use ringkernel::Actor;
    use ringkernel_backends::cuda::module_text;
    for descriptor in [
        ring::Link::DESCRIPTOR,
        exchange::left::Side::DESCRIPTOR,
        exchange::right::Side::DESCRIPTOR,
        talking::Hopper::DESCRIPTOR,
        ping_pong::Ping::DESCRIPTOR,
        ping_pong::Pong::DESCRIPTOR,
        talking::first::Stage::DESCRIPTOR,
        talking::second::Stage::DESCRIPTOR,
        talking::third::Stage::DESCRIPTOR,
        talking::last::Stage::DESCRIPTOR,
    ] {
        tests.add(format!("mesh::device_code_assembles::{}", descriptor.id), move |machine| {
            assemble(&machine.ptxas()?, descriptor.id, &module_text(descriptor, 70), "sm_75")?;
            Ok(())
        });
    }
    tests.run()
}

fn main() -> ExitCode {
    match Arguments::of_this_program(&["--backend", "--case", "--messages", "--seconds"]) {
        None => tests(),
        Some(arguments) => match program(&arguments) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                println!("FAIL: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
