//! Payloads that are too large for a slot: from the kernel's arena, which is ordinary memory, to the buffer that handlers read them in.
//!
//! The host takes requests out of the ring, so it is the host that looks references up: once each, and those only that the host's senders put
//! into the ring. What a dispatch is to handle is copied to the buffer, one behind the other, and the slot says where (`payloads.wgsl`). It counts
//! as used until the dispatch has ended. So all that a dispatch takes has room: the buffer is as large as what the arena takes.

use super::gpu::Gpu;
use crate::abi::{Header, Origin};
use crate::kernel::{DeviceError, KernelDescriptor};
use crate::payload::{DEFAULT_BUFFER_BYTES, HeapArena, REFERENCE_WORDS, Reference, Taken};
use std::sync::Arc;
use wgpu::BufferUsages as Usage;

/// Archives are as long as a multiple of this.
const UNIT: usize = 8;

/// Where a kernel's large payloads wait, and where they are read.
pub(super) struct Payloads {
    pub(super) arena: Arc<HeapArena>,
    pub(super) buffer: wgpu::Buffer,
}

impl Payloads {
    /// For an actor that takes such messages, with room for so many bytes.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] where buffers are not so large, with what they hold.
    pub(super) fn new(
        gpu: &Gpu,
        descriptor: &KernelDescriptor,
        bytes: Option<u64>,
    ) -> Result<Option<Self>, DeviceError> {
        if !descriptor.takes_large() {
            return Ok(None);
        }
        let most = gpu.limits.max_storage_buffer_binding_size.min(gpu.limits.max_buffer_size);
        let bytes = bytes.unwrap_or(DEFAULT_BUFFER_BYTES.min(most / 16 * 16));
        let what = format!("the large payloads of `{}`", descriptor.id);
        let buffer = gpu.buffer(&what, bytes, Usage::STORAGE | Usage::COPY_DST)?;
        Ok(Some(Self { arena: Arc::new(HeapArena::new(bytes)), buffer }))
    }
}

/// What a dispatch is to read of them, and where.
#[derive(Default)]
pub(super) struct Uploads<'a> {
    pieces: Vec<(u64, Taken<'a>)>,
    bytes: u64,
}

impl<'a> Uploads<'a> {
    /// Takes the payload that a slot refers to, if it does, and makes the slot say where the device finds it.
    pub(super) fn follow(
        &mut self,
        payloads: &'a Payloads,
        descriptor: &KernelDescriptor,
        header: Header,
        words: &mut [u32],
    ) {
        let is_large = |tag| descriptor.handlers.iter().any(|h| h.message.tag == tag && h.message.is_large());
        let Some(slot) =
            words.get_mut(..REFERENCE_WORDS).filter(|_| header.words as usize == REFERENCE_WORDS)
        else {
            return;
        };
        if !is_large(header.tag) {
            return;
        }
        // Kernels send each other what slots carry.
        let by_host = matches!(header.correlation.origin(), Origin::Nobody | Origin::Asker(_));
        let reference = Reference::from_bytes(bytemuck::cast_slice(slot)).filter(|_| by_host);
        let taken = reference.and_then(|reference| payloads.arena.take(reference));
        let found = taken.filter(|taken| taken.len().is_multiple_of(UNIT));
        let place = self.bytes / 4;
        let (place, length) = match found {
            Some(taken) => {
                let length = taken.len() as u64 / 4;
                self.pieces.push((self.bytes, taken));
                self.bytes += 4 * length;
                (place as u32, length as u32)
            }
            None => (0, u32::MAX),
        };
        slot.copy_from_slice(&[place, length, 0]);
    }

    /// Copies them. To be called inside [`guarded`](Gpu::guarded).
    pub(super) fn write(&self, gpu: &Gpu, payloads: Option<&Payloads>) {
        let Some(Payloads { buffer, .. }) = payloads else { return };
        for (at, taken) in &self.pieces {
            gpu.queue.write_buffer(buffer, *at, taken);
        }
    }
}
