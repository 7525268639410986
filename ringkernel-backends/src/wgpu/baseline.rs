//! What a kernel's requests are compared with: a dispatch with copies in and out, as one writes it with wgpu.

use super::AdapterKind;
use super::gpu::Gpu;
use crate::kernel::DeviceError;
use crate::times::Times;
use std::time::Instant;
use wgpu::BufferUsages as Usage;

/// Bytes of a message and of a reply: a slot's.
const BYTES: u64 = 64;

const ADD: &str = "
@group(0) @binding(0) var<storage, read_write> total: array<u32, 2>;
@group(0) @binding(1) var<storage, read> message: array<u32, 16>;
@group(0) @binding(2) var<storage, read_write> reply: array<u32, 16>;

@compute @workgroup_size(1)
fn add() {
    total[0] += message[0];
    total[1] += 1u;
    reply[0] = total[0];
    reply[1] = total[1];
}
";

/// Writes 64 bytes, dispatches a shader that adds them to a state on the device, copies 64 bytes back and maps them; `count` times after a
/// warm-up, on the best adapter. Every result is checked.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no adapter, [`DeviceError::Driver`] where a result is wrong; others as wgpu reports
/// them.
pub fn dispatch_with_copies(count: usize) -> Result<Times, DeviceError> {
    let gpu = Gpu::open(AdapterKind::Any)?;
    let total = gpu.buffer("a baseline's state", 16, Usage::STORAGE)?;
    let message = gpu.buffer("a baseline's message", BYTES, Usage::STORAGE | Usage::COPY_DST)?;
    let reply = gpu.buffer("a baseline's reply", BYTES, Usage::STORAGE | Usage::COPY_SRC)?;
    let readback = gpu.buffer("a baseline's reply", BYTES, Usage::MAP_READ | Usage::COPY_DST)?;
    let ready = gpu.scoped(|| {
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("baseline"),
            source: wgpu::ShaderSource::Wgsl(ADD.into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("baseline"),
            layout: None,
            module: &module,
            entry_point: Some("add"),
            compilation_options: Default::default(),
            cache: None,
        });
        let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("baseline"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[entry(0, &total), entry(1, &message), entry(2, &reply)],
        });
        (pipeline, bindings)
    })?;
    let wrong = |reason: String| DeviceError::Driver { call: "dispatch with copies", reason };
    let (pipeline, bindings) = ready.map_err(|error| wrong(error.to_string()))?;

    let request = |amount: u32| {
        gpu.guarded(|| {
            let mut bytes = [0; BYTES as usize];
            bytes[..4].copy_from_slice(&amount.to_le_bytes());
            gpu.queue.write_buffer(&message, 0, &bytes);
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, &bindings, &[]);
                pass.dispatch_workgroups(1, 1, 1);
            }
            encoder.copy_buffer_to_buffer(&reply, 0, &readback, 0, BYTES);
            gpu.submit_and_read(encoder.finish(), &readback, BYTES, |bytes| {
                let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
                (word(0), word(4))
            })
        })
    };
    let warm_up = count.min(100);
    let mut times = Vec::with_capacity(count);
    let (mut sum, mut requests) = (0u32, 0u32);
    for round in 0..warm_up + count {
        let amount = round as u32;
        let begin = Instant::now();
        let reply = request(amount)?;
        let took = begin.elapsed();
        sum = sum.wrapping_add(amount);
        requests = requests.wrapping_add(1);
        if reply != (sum, requests) {
            return Err(wrong(format!("the reply is {reply:?} and must be {:?}", (sum, requests))));
        }
        if round >= warm_up {
            times.push(took);
        }
    }
    Ok(Times::of(times))
}

fn entry(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatch_with_copies_adds_up_where_there_is_an_adapter() {
        match dispatch_with_copies(20) {
            Ok(times) => assert_eq!(times.sorted.len(), 20),
            Err(DeviceError::Unavailable { reason, .. }) => {
                let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
                assert!(!required.split(',').any(|name| name.trim() == "wgpu"), "{reason}");
                println!("skipped: a_dispatch_with_copies_adds_up_where_there_is_an_adapter: {reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
