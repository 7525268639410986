//! What the figures of an NVIDIA GPU stand beside, and what it costs to send home what is resident.

use super::control::{RESIDENT, residents};
use super::{Bench, Expected, Measured, figure};
use crate::evidence::Watch;
use crate::figure::{Evidence, Latency, Rate, Value};
use ringkernel::baseline::{self, Throughput, Times};
use ringkernel::{Backend, DeviceError};
use std::time::Duration;

fn measured(
    bench: &Bench,
    id: &'static str,
    title: String,
    samples: u64,
    value: Option<Value>,
    checked: &str,
) -> Measured {
    let (backend, device) = (Backend::Cuda.to_string(), bench.runtime.device_name());
    let evidence = Evidence::of_baseline(samples, checked);
    Ok(figure(id, title, &backend, &device, true, samples, value.ok_or("no samples")?, evidence))
}

fn times(
    bench: &Bench,
    id: &'static str,
    title: &str,
    full: u64,
    run: fn(usize) -> Result<Times, DeviceError>,
    checked: &str,
) -> Measured {
    let times = run(bench.arguments.samples(full, 100) as usize)?.sorted;
    let value = Latency::of(times.iter().copied()).map(Value::Latency);
    measured(bench, id, title.to_owned(), times.len() as u64, value, checked)
}

/// 64 bytes there and back, and nothing else.
pub fn ping_pong(bench: &Bench) -> Measured {
    let title = "hand-written PTX: 64 bytes to one resident warp and back, a sequence in every 16";
    let checked = "all 64 bytes of every bounce";
    times(bench, "raw_ping_pong", title, 100_000, baseline::ping_pong, checked)
}

/// An empty kernel, launched and waited for.
pub fn launch_sync(bench: &Bench) -> Measured {
    let title = "launch of an empty kernel + synchronise";
    let checked = "that the stream is idle after each; an empty kernel leaves nothing else to check";
    times(bench, "launch_sync", title, 10_000, baseline::launch_and_synchronize, checked)
}

/// A graph of an empty kernel, launched and waited for.
pub fn graph_launch_sync(bench: &Bench) -> Measured {
    let title = "launch of an instantiated graph of one empty kernel + synchronise";
    let checked = "that the stream is idle after each; an empty kernel leaves nothing else to check";
    times(bench, "graph_launch_sync", title, 10_000, baseline::graph_launch_and_synchronize, checked)
}

/// A kernel with copies in and out.
pub fn launch_copies(bench: &Bench) -> Measured {
    let title = "cudarc's safe API: 64 bytes in, launch of a kernel that adds, 64 bytes out, synchronise";
    let checked = "every result: the running sum and count in device memory";
    times(bench, "launch_copies", title, 10_000, baseline::launch_with_copies, checked)
}

const FOUR_LAUNCHES: &str = "every event: what four stages make of its value";

/// One event, copied in, launched over four times, copied out.
pub fn four_launches_1(bench: &Bench) -> Measured {
    let title = "cudarc's safe API: one event in, four launches, one for each stage, out, synchronise";
    times(bench, "four_launches_1", title, 5000, |count| baseline::four_launches(1, count), FOUR_LAUNCHES)
}

/// The same of 1024 events at a time.
pub fn four_launches_1024(bench: &Bench) -> Measured {
    four_launches(bench, "four_launches_1024", 1024)
}

/// The same of 65,536 events at a time.
pub fn four_launches_65536(bench: &Bench) -> Measured {
    four_launches(bench, "four_launches_65536", 65536)
}

fn four_launches(bench: &Bench, id: &'static str, batch: u32) -> Measured {
    let times = baseline::four_launches(batch, bench.arguments.samples(1000, 20) as usize)?;
    let title = format!(
        "cudarc's safe API: {batch} events in, four launches, one for each stage, out, synchronise (p50 {:.1} us)",
        times.quantile(0.5).as_secs_f64() * 1e6
    );
    let events = u64::from(batch) * times.sorted.len() as u64;
    let value = Rate::of(u64::from(batch), &times.sorted).map(Value::Rate);
    measured(bench, id, title, events, value, FOUR_LAUNCHES)
}

fn one_way(
    bench: &Bench,
    id: &'static str,
    rings: u32,
    title: &str,
    run: fn(u32, u32) -> Result<Throughput, DeviceError>,
    checked: &str,
) -> Measured {
    let per_ring = bench.arguments.samples(4_000_000, 50_000) as u32;
    let rounds = if bench.arguments.quick { 1 } else { 3 };
    let mut times: Vec<Duration> = Vec::new();
    let mut messages = 0;
    // One more, to warm up.
    for round in 0..=rounds {
        let result = run(rings, per_ring)?;
        messages = result.messages;
        if round > 0 {
            times.push(result.took);
        }
    }
    let title = format!("hand-written PTX: {title}, {rings} bare ring{}", if rings == 1 { "" } else { "s" });
    let value = Rate::of(messages, &times).map(Value::Rate);
    measured(bench, id, title, messages * rounds, value, checked)
}

macro_rules! one_way {
    ($($name:ident: $rings:literal, $run:ident, $title:literal, $checked:literal;)*) => {$(
        #[doc = $title]
        pub fn $name(bench: &Bench) -> Measured {
            one_way(bench, stringify!($name), $rings, $title, baseline::$run, $checked)
        }
    )*};
}

one_way! {
    raw_to_device_1: 1, to_device, "64-byte slots from one host thread to the GPU", "the device's sum of the slots";
    raw_to_device_4: 4, to_device, "64-byte slots from one host thread to the GPU", "the device's sum of the slots";
    raw_to_device_16: 16, to_device, "64-byte slots from one host thread to the GPU", "the device's sum of the slots";
    raw_to_host_1: 1, to_host, "64-byte slots from the GPU to one host thread", "every slot's number";
    raw_to_host_4: 4, to_host, "64-byte slots from the GPU to one host thread", "every slot's number";
    raw_to_host_16: 16, to_host, "64-byte slots from the GPU to one host thread", "every slot's number";
}

/// Sending 16 resident kernels home, state kept, and bringing them back.
pub fn quiesce(bench: &Bench) -> Measured {
    smol::block_on(async {
        let residents = residents(bench).await?;
        let watches: Vec<_> = residents.iter().map(|kernel| Watch::begin(kernel)).collect();
        let mut expected: Vec<_> = residents.iter().map(|_| Expected::default()).collect();
        let mut times = Vec::new();
        let rounds = bench.arguments.samples(20, 3);
        for _ in 0..rounds {
            for (expected, kernel) in expected.iter_mut().zip(&residents) {
                expected.ask(kernel).await?;
            }
            times.extend(baseline::quiesce(10)?.sorted);
        }
        for (expected, kernel) in expected.iter_mut().zip(&residents) {
            expected.ask(kernel).await?;
        }
        for watch in watches {
            watch.end(rounds + 1, rounds + 1, "")?;
        }
        for kernel in residents {
            kernel.terminate().await?;
        }
        let asked = (rounds + 1) * RESIDENT as u64;
        let evidence = Evidence {
            sent: asked,
            counted_by_control_block: asked,
            counted_by_telemetry: asked,
            replies_checked: asked,
            checked: "every kernel's count and sum went on where they were".into(),
        };
        let title = format!("a quiesce: {RESIDENT} resident kernels go home with their state and come back");
        bench.latency("quiesce", title, &times, evidence)
    })
}
