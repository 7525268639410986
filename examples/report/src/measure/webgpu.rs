//! What the figures of WebGPU stand beside.

use super::{Bench, Measured, figure};
use crate::figure::{Evidence, Latency, Value};

/// A dispatch with copies in and out.
pub fn dispatch_copies(bench: &Bench) -> Measured {
    let times =
        ringkernel::baseline::dispatch_with_copies(bench.arguments.samples(5000, 50) as usize)?.sorted;
    let value = Value::Latency(Latency::of(times.iter().copied()).ok_or("no samples")?);
    let title = "wgpu: 64 bytes in, dispatch of a shader that adds, 64 bytes out, map";
    let (backend, device) = (bench.runtime.backend().to_string(), bench.runtime.device_name());
    let samples = times.len() as u64;
    let evidence = Evidence::of_baseline(samples, "every result: the running sum and count in device memory");
    Ok(figure("dispatch_copies", title, &backend, &device, true, samples, value, evidence))
}
