//! What an adapter does that no limit or feature of it says, found out by trying.

use super::gpu::Gpu;
use crate::kernel::DeviceError;
use wgpu::BufferUsages as Usage;

/// Turns of the loop that is tried.
const TURNS: u32 = 200_000;

const PROBE: &str = "
@group(0) @binding(0) var<storage, read_write> rk_turns: array<u32>;

@compute @workgroup_size(1)
fn ringkernel_probe() {
    var turns = 0u;
    for (var turn = 0u; turn < rk_turns[0]; turn = turn + 1u) {
        turns = turns + 1u + (turns >> 31u);
    }
    rk_turns[1] = turns;
}
";

/// How many loop iterations an invocation gets before the driver ends its loops, if there is such a number.
///
/// Mesa's llvmpipe 22.3 gives every invocation (a vector of them, in fact) 65,535 iterations in all, and then ends each loop
/// after one turn without a word. It is a driver that tests run on, so the ration has to be known and kept to.
pub(super) fn loop_ration(gpu: &Gpu) -> Result<Option<u32>, DeviceError> {
    let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let turns = gpu.buffer("a probe", 16, usage)?;
    let readback = gpu.buffer("a probe", 16, Usage::MAP_READ | Usage::COPY_DST)?;
    let commands = gpu.scoped(|| {
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("ringkernel probe"),
            source: wgpu::ShaderSource::Wgsl(PROBE.into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("ringkernel probe"),
            layout: None,
            module: &module,
            entry_point: Some("ringkernel_probe"),
            compilation_options: Default::default(),
            cache: None,
        });
        let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("ringkernel probe"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: turns.as_entire_binding() }],
        });
        gpu.queue.write_buffer(&turns, 0, &TURNS.to_le_bytes());
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        encoder.copy_buffer_to_buffer(&turns, 0, &readback, 0, 16);
        encoder.finish()
    })?;
    let commands =
        commands.map_err(|error| DeviceError::Driver { call: "the probe", reason: error.to_string() })?;
    let taken = gpu.guarded(|| {
        gpu.submit_and_read(commands, &readback, 16, |bytes| {
            u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
        })
    })?;
    Ok((taken != TURNS).then_some(taken))
}
