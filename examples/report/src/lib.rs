//! The report: every figure of RingKernel on every backend present, each beside its baseline in the same run.
//!
//! [`run`] goes over the backends, measures (`measure`), and writes what it found (`render`). A [`figure::Figure`] cannot be made
//! without its evidence: the device's own counters moved by exactly the number of messages sent ([`evidence`]), and replies hold what
//! they must. Where they do not, the figure is *withheld* and the report says why. [`judge`] puts figures beside baselines and
//! targets. Start with `measure/latency.rs`, the shortest measurement.
//!
//! It is a package of its own so that nobody who runs a lesson builds a plotter.

pub mod actors;
mod arguments;
pub mod evidence;
pub mod figure;
pub mod judge;
pub mod measure;
mod place;
pub mod render;
mod watchdog;

pub use arguments::{Arguments, HELP};

use figure::{Absent, Report, Withheld};
#[cfg(feature = "cuda")]
use measure::gpu;
use measure::{Bench, Measured, control, idle, latency, publishing, replies, talking, threads, throughput};
use ringkernel::{Backend, RingKernel};
use std::process::ExitCode;
use watchdog::Watchdog;

/// Every backend, and what the command line calls it.
const BACKENDS: [(Backend, &str); 4] =
    [(Backend::Cuda, "cuda"), (Backend::Metal, "metal"), (Backend::Wgpu, "wgpu"), (Backend::Cpu, "cpu")];

/// The CUDA device of `tests/softcuda`, by its name.
const INTERPRETER: &str = "PTX interpreter (no GPU)";

/// A measurement and the id of its figure.
type Step = (&'static str, fn(&Bench) -> Measured);

/// What is measured on every backend.
const FIGURES: &[Step] = &[
    ("ask_blocking", latency::ask_blocking),
    ("ask", latency::ask),
    ("ask_many", replies::ask_many),
    ("ask_many_turn", replies::ask_many_turn),
    ("ask_many_blocking", replies::ask_many_blocking),
    ("tell", throughput::tell),
    ("tell_blocking", throughput::tell_blocking),
    ("tell_turn", throughput::tell_turn),
    ("try_tell", throughput::try_tell),
    ("tell_many", throughput::tell_many),
    ("tell_many_turn", throughput::tell_many_turn),
    ("tell_many_million", throughput::tell_many_million),
    ("hop", talking::hop),
    ("hop_random", talking::hop_random),
    ("pipeline_ask", talking::pipeline_ask),
    ("pipeline_events", talking::pipeline_events),
    ("terminate", control::terminate),
    ("suspend", control::suspend),
    ("snapshot", control::snapshot),
    ("launch", control::launch),
    ("idle_cpu", idle::idle),
];

/// What the figures of the CPU backend stand beside.
const BESIDE_CPU: &[Step] = &[
    ("threads_ping_pong", threads::ping_pong),
    ("channel_ping_pong", threads::channel_ping_pong),
    ("channel_send", threads::channel_send),
];

/// What the figures of an NVIDIA GPU stand beside.
#[cfg(feature = "cuda")]
const BESIDE_CUDA: &[Step] = &[
    ("raw_ping_pong", gpu::ping_pong),
    ("launch_sync", gpu::launch_sync),
    ("graph_launch_sync", gpu::graph_launch_sync),
    ("launch_copies", gpu::launch_copies),
    ("four_launches_1", gpu::four_launches_1),
    ("four_launches_1024", gpu::four_launches_1024),
    ("four_launches_65536", gpu::four_launches_65536),
    ("raw_to_device_1", gpu::raw_to_device_1),
    ("raw_to_device_4", gpu::raw_to_device_4),
    ("raw_to_device_16", gpu::raw_to_device_16),
    ("raw_to_host_1", gpu::raw_to_host_1),
    ("raw_to_host_4", gpu::raw_to_host_4),
    ("raw_to_host_16", gpu::raw_to_host_16),
];

/// What is measured where messages arrive while their sender goes on: there, a publisher that waits for room gets it.
const PUBLISHING: &[Step] = &[
    ("publish_1", publishing::publish_1),
    ("publish_8", publishing::publish_8),
    ("publish_64", publishing::publish_64),
];

/// What a backend's figures stand beside, and what not every backend has.
fn of_backend(backend: Backend) -> (&'static [Step], [&'static [Step]; 2]) {
    match backend {
        Backend::Cpu => (BESIDE_CPU, [PUBLISHING, &[]]),
        #[cfg(feature = "cuda")]
        Backend::Cuda => {
            let own: &[Step] =
                &[("drain", replies::drain), ("outputs", replies::outputs), ("quiesce", gpu::quiesce)];
            (BESIDE_CUDA, [PUBLISHING, own])
        }
        #[cfg(feature = "wgpu")]
        Backend::Wgpu => (&[("dispatch_copies", measure::webgpu::dispatch_copies)], [&[]; 2]),
        _ => (&[], [&[]; 2]),
    }
}

/// Measures everything that is asked for and present, prints the table, and writes the files.
pub fn run(arguments: &Arguments) -> ExitCode {
    let mut report = Report { place: place::here(arguments), ..Default::default() };
    let watchdog = Watchdog::start();
    for (backend, name) in BACKENDS {
        if !arguments.wants_backend(name) {
            continue;
        }
        watchdog.watch(format!("opening {backend}"));
        match smol::block_on(RingKernel::builder().backend(backend).bridge(arguments.bridge).build()) {
            // What stands in for a GPU in tests has nothing to measure.
            Ok(runtime) if runtime.device_name() == INTERPRETER => {
                let reason = format!("`{INTERPRETER}` is for tests: its times are the interpreter's");
                report.absent.push(Absent { what: backend.to_string(), reason });
            }
            Ok(runtime) => {
                measure_backend(Bench { runtime, arguments: arguments.clone() }, &mut report, &watchdog)
            }
            Err(error) => {
                report.absent.push(Absent { what: backend.to_string(), reason: error.to_string() });
            }
        }
    }
    watchdog.stop();
    judge::judge(&mut report);
    let text = render::table::markdown(&report);
    print!("{text}");
    if let Err(error) = render::write_files(&report, &text, &arguments.out) {
        eprintln!("{}: {error}", arguments.out.display());
        return ExitCode::FAILURE;
    }
    println!("\nwritten to {}", arguments.out.display());
    if report.withheld.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure_backend(bench: Bench, report: &mut Report, watchdog: &Watchdog) {
    let backend = bench.runtime.backend();
    // Baselines before and not beside resident kernels: what they load, they load while nothing is there to be sent home.
    let (beside, own) = of_backend(backend);
    for (id, step) in beside.iter().chain(FIGURES).chain(own.into_iter().flatten()) {
        if !bench.arguments.wants(id) {
            continue;
        }
        watchdog.watch(format!("{id} on {backend}"));
        eprintln!("measuring {id} on {backend}");
        match step(&bench) {
            Ok(figure) => report.figures.push(figure),
            Err(error) => {
                report.withheld.push(Withheld {
                    id,
                    backend: backend.to_string(),
                    reason: error.to_string(),
                });
            }
        }
    }
    watchdog.watch(format!("shutting {backend} down"));
    if let Err(error) = smol::block_on(bench.runtime.shutdown()) {
        report.withheld.push(Withheld {
            id: "shutdown",
            backend: backend.to_string(),
            reason: error.to_string(),
        });
    }
}
