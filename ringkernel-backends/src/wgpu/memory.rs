//! States: how they get to the device and back.

use super::gpu::Gpu;
use super::kernel::{Core, Engine};
use crate::kernel::DeviceError;
use crate::states::States;
use std::ops::Range;
use wgpu::BufferUsages as Usage;

/// How much state is copied at a time.
const UPLOAD_BYTES: usize = 1 << 20;

/// Writes the states of `instances`, piece by piece: `write(instance, bytes)` gives each.
pub(super) fn write_states(
    gpu: &Gpu,
    state: &wgpu::Buffer,
    instances: Range<u32>,
    stride: usize,
    write: impl Fn(u32, &mut [u8]),
) -> Result<(), DeviceError> {
    let at_a_time = (UPLOAD_BYTES / stride).max(1);
    let mut piece = Vec::new();
    for first in instances.clone().step_by(at_a_time) {
        let some = first..instances.end.min(first.saturating_add(at_a_time as u32));
        piece.clear();
        piece.resize(some.len() * stride, 0);
        some.zip(piece.chunks_exact_mut(stride)).for_each(|(instance, bytes)| write(instance, bytes));
        gpu.guarded(|| {
            gpu.queue.write_buffer(state, first as u64 * stride as u64, &piece);
            let submission = gpu.queue.submit([]);
            // So that pieces do not pile up in host memory.
            let wait =
                wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(gpu.patience()) };
            gpu.device.poll(wait).map(drop).map_err(|error| gpu.health.lose(error.to_string()))
        })?;
    }
    Ok(())
}

impl Core {
    /// Copies states out, piece by piece.
    pub(super) fn read_states(
        &self,
        engine: &Engine,
        states: States,
        out: &mut [u8],
    ) -> Result<(), DeviceError> {
        let (instances, stride) = (states.instances(), self.stride as usize);
        let at_a_time = (UPLOAD_BYTES / stride).clamp(1, instances.len().max(1));
        let bytes = (at_a_time * stride) as u64;
        let staging = self.gpu.buffer("a snapshot", bytes, Usage::MAP_READ | Usage::COPY_DST)?;
        for first in instances.clone().step_by(at_a_time) {
            let some = first..instances.end.min(first.saturating_add(at_a_time as u32));
            let bytes = some.len() as u64 * self.stride;
            self.gpu.guarded(|| {
                let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                let from = first as u64 * self.stride;
                encoder.copy_buffer_to_buffer(&engine.state, from, &staging, 0, bytes);
                self.gpu.submit_and_read(encoder.finish(), &staging, bytes, |bytes| {
                    for (instance, state) in some.zip(bytes.chunks_exact(stride)) {
                        out[states.place(0, 1, instance)].copy_from_slice(&state[..states.size()]);
                    }
                })
            })?;
        }
        Ok(())
    }
}
