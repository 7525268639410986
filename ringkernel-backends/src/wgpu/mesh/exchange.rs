//! The exchange: one buffer for the mailboxes of a device, and who has which part of it.

use super::super::gpu::Gpu;
use crate::kernel::DeviceError;
use std::ops::Range;
use wgpu::BufferUsages as Usage;

/// Words of the first buffer.
const FIRST: u32 = 1 << 16;
/// Nobody has the first words: 0 is no place.
pub(super) const RESERVED: u32 = 16;

/// The buffer. What is not given out is kept as ranges, in order.
pub(super) struct Exchange {
    buffer: wgpu::Buffer,
    words: u32,
    free: Vec<Range<u32>>,
}

impl Exchange {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, DeviceError> {
        let buffer = buffer(gpu, FIRST)?;
        let mut this = Self { buffer, words: FIRST, free: Vec::new() };
        this.give_back(RESERVED..FIRST);
        Ok(this)
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Gives out so many words, if there are.
    pub(super) fn allocate(&mut self, words: u32) -> Option<Range<u32>> {
        let index = self.free.iter().position(|range| range.end - range.start >= words)?;
        let range = self.free.get_mut(index)?;
        let given = range.start..range.start + words;
        range.start = given.end;
        if range.start == range.end {
            self.free.remove(index);
        }
        Some(given)
    }

    /// Takes words back.
    pub(super) fn give_back(&mut self, words: Range<u32>) {
        if words.start == words.end {
            return;
        }
        let index = self.free.partition_point(|range| range.start < words.start);
        self.free.insert(index, words);
        self.free.dedup_by(|next, range| {
            let touch = range.end == next.start;
            if touch {
                range.end = next.end;
            }
            touch
        });
    }

    /// Moves everything to a buffer that has room for `words` more. Nothing may run meanwhile, and who has bound the buffer must bind the new one.
    pub(super) fn grow(&mut self, gpu: &Gpu, words: u32) -> Result<(), DeviceError> {
        let most = gpu.limits.max_storage_buffer_binding_size.min(gpu.limits.max_buffer_size) / 4;
        let needed = self.words as u64 + words as u64;
        let size = needed.next_power_of_two().min(most).max(needed);
        let Ok(size) = u32::try_from(size) else {
            return Err(DeviceError::OutOfMemory { bytes: 4 * needed, what: "mailboxes".to_owned() });
        };
        let larger = buffer(gpu, size)?;
        gpu.guarded(|| {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&self.buffer, 0, &larger, 0, 4 * self.words as u64);
            gpu.queue.submit([encoder.finish()]);
            Ok(())
        })?;
        self.buffer = larger;
        let new = self.words..size;
        self.words = size;
        self.give_back(new);
        Ok(())
    }
}

/// A buffer of so many words for boxes.
pub(super) fn buffer(gpu: &Gpu, words: u32) -> Result<wgpu::Buffer, DeviceError> {
    gpu.buffer("mailboxes", 4 * words as u64, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
}
