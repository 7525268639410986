//! What can go wrong around kernels that stay: each case in a process of its own, under its own deadline.
//!
//! ```text
//! faults --backend cuda                      all cases, as a table; ends with 0 if all passed
//! faults --backend cuda --case hung          one
//! ```
//!
//! As tests (`cargo test`) the cases are smaller, and those that need a GPU are ignored by name where there is none.

#![allow(missing_docs, unreachable_pub)]

mod case;
#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod control;
mod counters;
mod dropped;
mod ending;
mod event_driven;
mod exhausted;
mod full;
mod hung;
mod lost;
mod neighbours;
mod peeker;
mod processes;
mod runtimes;

use case::{CUDA, Case, EVERYWHERE, Ended, Ground, Outcome, process, wait};
use common::arguments::Arguments;
use ringkernel::Backend;
use ringkernel_tests::machine::{BACKENDS, Collection, Stop, assemble, backend_name};
use std::process::ExitCode;
use std::time::Duration;

const CASES: &[Case] = &[
    Case { name: "hung", backends: EVERYWHERE, deadline: 40, run: hung::a_handler_that_never_returns },
    Case { name: "lost", backends: CUDA, deadline: 60, run: lost::a_device_lost_under_everybody },
    Case { name: "kill-9", backends: EVERYWHERE, deadline: 240, run: processes::killed_again_and_again },
    Case { name: "fork", backends: EVERYWHERE, deadline: 40, run: processes::forked_beside_kernels },
    Case {
        name: "two-runtimes",
        backends: EVERYWHERE,
        deadline: 60,
        run: runtimes::two_at_once_and_in_turns,
    },
    Case { name: "runtime-dropped", backends: EVERYWHERE, deadline: 60, run: runtimes::dropped_under_load },
    Case { name: "capacity", backends: CUDA, deadline: 60, run: exhausted::launched_until_there_is_no_room },
    Case { name: "memory", backends: CUDA, deadline: 120, run: exhausted::rings_until_there_is_no_memory },
    Case { name: "full", backends: EVERYWHERE, deadline: 120, run: full::rings_full_for_long },
    Case { name: "control", backends: EVERYWHERE, deadline: 120, run: control::seen_over_full_rings },
    Case { name: "dropped", backends: EVERYWHERE, deadline: 120, run: dropped::replies_nobody_waits_for },
    Case { name: "counters-32", backends: EVERYWHERE, deadline: 60, run: counters::wrap_at_32_bits },
    Case { name: "counters-64", backends: EVERYWHERE, deadline: 60, run: counters::wrap_at_64_bits },
    Case { name: "event-driven", backends: EVERYWHERE, deadline: 120, run: event_driven::state_over_returns },
    Case {
        name: "event-driven-race",
        backends: EVERYWHERE,
        deadline: 120,
        run: event_driven::sends_at_the_moment_of_return,
    },
    Case { name: "neighbours", backends: CUDA, deadline: 120, run: neighbours::another_user_of_the_gpu },
    Case { name: "ending", backends: EVERYWHERE, deadline: 120, run: ending::after_so_many_messages },
    Case { name: "ending-talk", backends: EVERYWHERE, deadline: 120, run: ending::talking },
];

/// Processes that other cases start.
const HELPERS: &[Case] = &[
    Case { name: "answers", backends: EVERYWHERE, deadline: 30, run: processes::launches_and_answers },
    Case { name: "loaded", backends: EVERYWHERE, deadline: 600, run: processes::under_load_for_ever },
];

/// The exit code of a child whose machine lacks the backend.
const MISSING: u8 = 77;
/// How long a process may take to leave once its case is over.
const LEAVING: Duration = Duration::from_secs(5);

/// Runs one case here. The last line it prints is what it saw.
fn child(case: &Case, arguments: Arguments) -> ExitCode {
    let backend = match arguments.backend() {
        Ok(backend) => backend,
        Err(error) => return fail(&error),
    };
    let ground = Ground { backend, quick: arguments.has("--quick"), arguments };
    if let Err(error) = ground.runtime() {
        println!("SAW: {error}");
        return ExitCode::from(MISSING);
    }
    match (case.run)(&ground) {
        Ok(saw) => {
            println!("SAW: {saw}");
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("SAW: {why}");
    ExitCode::FAILURE
}

/// What a case's process came to.
enum Verdict {
    Passed(Ended, String),
    Failed(String),
    Missing(String),
}

fn run(case: &Case, backend: Backend, quick: bool, more: &[String]) -> Verdict {
    let ended = process(case.name, backend_name(backend), quick, more)
        .and_then(|child| wait(child, Duration::from_secs(case.deadline)));
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => return Verdict::Failed(why),
    };
    let saw = ended.lines.iter().rev().find_map(|line| line.strip_prefix("SAW: ")).unwrap_or("").to_owned();
    let all = || ended.lines.join("\n    ");
    match ended.code {
        Some(0) if ended.leaving > LEAVING => {
            Verdict::Failed(format!("{saw}; but the process took {:?} to end", ended.leaving))
        }
        Some(0) => Verdict::Passed(ended, saw),
        Some(code) if code == MISSING as i32 => Verdict::Missing(saw),
        Some(1) => Verdict::Failed(format!("{saw}\n    {}", all())),
        code => Verdict::Failed(format!("it ended with {code:?}\n    {}", all())),
    }
}

fn program(arguments: &Arguments) -> Outcome {
    let backend = arguments.backend()?;
    let only: Vec<&str> =
        arguments.text("--case").map(|names| names.split(',').collect()).unwrap_or_default();
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.backends.contains(&backend))
        .filter(|case| only.is_empty() || only.contains(&case.name))
        .collect();
    if cases.is_empty() {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("no such case; there are {}", names.join(", ")));
    }
    let mut failed = 0;
    for case in &cases {
        match run(case, backend, arguments.has("--quick"), &arguments.passed_on()) {
            Verdict::Passed(ended, saw) => {
                println!("PASS  {:<18} {:>6.1} s  {saw}", case.name, ended.took.as_secs_f64());
                for line in ended.lines.iter().filter(|line| !line.starts_with("SAW: ")) {
                    println!("        {line}");
                }
            }
            Verdict::Failed(why) | Verdict::Missing(why) => {
                println!("FAIL  {:<18} {why}", case.name);
                failed += 1;
            }
        }
    }
    if failed == 0 {
        Ok(format!("{} cases", cases.len()))
    } else {
        Err(format!("{failed} of {} cases", cases.len()))
    }
}

fn tests() -> ExitCode {
    let mut tests = Collection::default();
    for backend in BACKENDS {
        let name = backend_name(backend);
        for case in CASES.iter().filter(|case| case.backends.contains(&backend)) {
            tests.add(format!("faults::{}::{name}", case.name), move |_| {
                match run(case, backend, true, &[]) {
                    Verdict::Passed(..) => Ok(()),
                    Verdict::Failed(why) => Err(Stop::Failed(why)),
                    Verdict::Missing(why) => Err(Stop::Missing { what: name, why }),
                }
            });
        }
    }
    use ringkernel::Actor;
    use ringkernel_backends::cuda::module_text;
    for descriptor in [common::worker::Worker::DESCRIPTOR, peeker::Peeker::DESCRIPTOR] {
        tests.add(format!("faults::device_code_assembles::{}", descriptor.id), move |machine| {
            Ok(assemble(&machine.ptxas()?, descriptor.id, &module_text(descriptor, 70), "sm_75")?)
        });
    }
    tests.run()
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::of_this_program(&["--backend", "--case"]) else { return tests() };
    if arguments.has("--child") {
        let name = arguments.text("--case").unwrap_or_default().to_owned();
        let case = CASES.iter().chain(HELPERS).find(|case| case.name == name);
        return case.map_or_else(|| fail("no such case"), |case| child(case, arguments));
    }
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
