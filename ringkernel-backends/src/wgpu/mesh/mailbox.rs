//! A mailbox as the host sees it. `mesh.wgsl` has its layout.

use super::super::batch::sum;
use super::super::gpu::Gpu;
use super::super::kernel::Core;
use super::super::program::sorting_iterations;
use super::super::submission::{MAILBOX_PASS, Readback};
use super::place::{DROP, Receiver, SPILL};
use crate::abi::{Correlation, Header};
use crate::kernel::DeviceError;
use crate::mesh::{MailboxSnapshot, Overflow};
use std::collections::VecDeque;
use std::ops::Range;

/// Words in front of the order.
pub(super) const HEADER: usize = super::BOX_HEADER;
/// Of the header, what `mesh.wgsl` says.
const TAIL: usize = 0;
const LIMIT: usize = 1;
const HEAD: usize = 2;
const READY: usize = 3;
const TAKEN: usize = 5;
const FULL: usize = 6;
const DROPPED: usize = 7;
const OUTSIDE: usize = 8;
const WAITING: usize = 9;
/// Words of a slot in front of its payload.
const SLOT_HEADER: u32 = 8;
/// How much of it is read at a time when it is given up.
const LOOK_WORDS: usize = 1 << 18;
/// At least so many messages may wait outside.
const LEAST_OUTSIDE: usize = 64;

/// A kernel's mailbox.
pub(super) struct Mailbox {
    /// The pass that puts it in order.
    pub(super) prepare: wgpu::ComputePipeline,
    /// Its words in the exchange.
    pub(super) words: Range<u32>,
    /// As senders know it.
    pub(super) receiver: Receiver,
    /// Its header, as it was after the last submission.
    header: [u32; HEADER],
    figures: MailboxSnapshot,
    /// What came through the host, behind all that the same senders put in by themselves.
    outside: VecDeque<(Header, Vec<u32>)>,
}

impl Mailbox {
    /// The words that a kernel's mailbox takes, if they can be counted.
    pub(super) fn words_for(core: &Core) -> Option<u32> {
        let order = core.mesh.mailbox.min(MAILBOX_PASS).checked_mul(2)?;
        core.mesh.mailbox.checked_mul(slot_words(core))?.checked_add(order)?.checked_add(HEADER as u32)
    }

    /// Whether the adapter's driver can put it in order.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] where the driver rations loop iterations, and the mailbox would take more.
    pub(super) fn check_iterations(core: &Core) -> Result<(), DeviceError> {
        let Some(ration) = core.gpu.loop_ration else { return Ok(()) };
        let drops = core.mesh.overflow == Overflow::DropOldest;
        let needed = sorting_iterations(core.mesh.mailbox, slot_words(core), drops);
        if needed <= u64::from(ration) {
            return Ok(());
        }
        let (slots, bytes) = (core.mesh.mailbox, core.descriptor.message_size());
        Err(DeviceError::Unsupported {
            actor: core.descriptor.actor,
            what: format!(
                "{needed} iterations of loops, where the driver gives {ration}, for its mailbox of {slots} messages of {bytes} bytes (a smaller one will do)"
            ),
            device: core.gpu.name().to_owned(),
        })
    }

    /// An empty one at these words of the exchange, which are cleared.
    pub(super) fn new(
        core: &Core,
        prepare: wgpu::ComputePipeline,
        exchange: &wgpu::Buffer,
        words: Range<u32>,
    ) -> Result<Self, DeviceError> {
        let order = 2 * core.mesh.mailbox.min(MAILBOX_PASS);
        let receiver = Receiver {
            policy: match core.mesh.overflow {
                // Nobody makes room while a handler waits, so nobody waits.
                Overflow::Reject | Overflow::Block { .. } => 0,
                Overflow::DropOldest => DROP,
                Overflow::Spill => SPILL,
            },
            at: words.start,
            instances: core.instances,
            slot: slot_words(core),
            mask: core.mesh.mailbox - 1,
            slots: words.start + HEADER as u32 + order,
        };
        let mut header = [0; HEADER];
        header[LIMIT] = core.mesh.mailbox;
        let (figures, outside) = Default::default();
        let this = Self { prepare, words, receiver, header, figures, outside };
        let gpu = &core.gpu;
        gpu.guarded(|| {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let bytes = 4 * (this.words.end - this.words.start) as u64;
            encoder.clear_buffer(exchange, 4 * this.words.start as u64, Some(bytes));
            gpu.queue.submit([encoder.finish()]);
            this.write(gpu, exchange, 0, &this.header);
            Ok(())
        })?;
        Ok(this)
    }

    fn write(&self, gpu: &Gpu, exchange: &wgpu::Buffer, word: u32, words: &[u32]) {
        gpu.queue.write_buffer(exchange, 4 * (self.words.start + word) as u64, bytemuck::cast_slice(words));
    }

    /// The words that say how it is.
    pub(super) fn look(&self) -> Range<u32> {
        self.words.start..self.words.start + HEADER as u32
    }

    /// Takes what the device made of them.
    pub(super) fn learn(&mut self, header: &[u32]) {
        let MailboxSnapshot { received, full, dropped, .. } = &mut self.figures;
        for (figure, word) in [(received, TAKEN), (full, FULL), (dropped, DROPPED)] {
            *figure += header[word].wrapping_sub(self.header[word]) as u64;
        }
        self.header.copy_from_slice(header);
    }

    /// Messages that its kernel can handle, as the last pass found.
    pub(super) fn ready(&self) -> u32 {
        self.header[READY]
    }

    fn room(&self) -> u32 {
        self.receiver.mask + 1
    }

    /// Head and tail, as the next pass will make them.
    fn window(&self) -> Range<u32> {
        let (head, tail, limit) = (self.header[HEAD], self.header[TAIL], self.header[LIMIT]);
        if self.receiver.policy == DROP {
            return if tail.wrapping_sub(head) > self.room() {
                tail.wrapping_sub(self.room())..tail
            } else {
                head..tail
            };
        }
        let beyond = tail.wrapping_sub(limit);
        head..if beyond as i32 > 0 { limit } else { tail }
    }

    fn occupied(&self) -> u32 {
        let window = self.window();
        window.end.wrapping_sub(window.start)
    }

    /// Whether a message waits outside that could come in.
    pub(super) fn can_let_in(&self) -> bool {
        !self.outside.is_empty() && self.occupied() < self.room()
    }

    /// Takes a message that came through the host; `false` if too many are waiting already.
    pub(super) fn keep_outside(&mut self, header: Header, payload: &[u8]) -> bool {
        if self.outside.len() >= (self.room() as usize).max(LEAST_OUTSIDE) {
            return false;
        }
        let word = |bytes: &[u8]| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        };
        let payload: Vec<u32> = payload.chunks(4).map(word).collect();
        self.outside.push_back((Header { words: payload.len() as u16, ..header }, payload));
        true
    }

    /// Lets in what has room, and says on the device whether there is more; how many came in. Nothing may run meanwhile.
    pub(super) fn let_in(&mut self, gpu: &Gpu, exchange: &wgpu::Buffer) -> usize {
        let mut window = self.window();
        let room = self.room();
        let Receiver { slot: size, mask, slots, .. } = self.receiver;
        let mut count = 0;
        while window.end.wrapping_sub(window.start) < room
            && let Some((header, payload)) = self.outside.pop_front()
        {
            let position = window.end;
            let mut slot = header.to_words().to_vec();
            slot.extend([position.wrapping_mul(2).wrapping_add(1), 0]);
            slot.extend(payload);
            slot[7] = sum(&slot);
            let place = slots - self.words.start + (position & mask) * size;
            self.write(gpu, exchange, place, &slot);
            window.end = window.end.wrapping_add(1);
            count += 1;
        }
        let outside = !self.outside.is_empty() as u32;
        if count > 0 || self.header[OUTSIDE] != outside {
            let limit = if outside != 0 { window.end } else { window.start.wrapping_add(room) };
            (self.header[TAIL], self.header[LIMIT], self.header[HEAD]) = (window.end, limit, window.start);
            self.header[OUTSIDE] = outside;
            self.write(gpu, exchange, TAIL as u32, &[window.end, limit, window.start]);
            self.write(gpu, exchange, OUTSIDE as u32, &[outside]);
        }
        count
    }

    /// Who waits for the answers to what lies in it and outside.
    pub(super) fn unanswered(
        &mut self,
        gpu: &Gpu,
        exchange: &wgpu::Buffer,
    ) -> Result<Vec<Correlation>, DeviceError> {
        let outside = self.outside.drain(..).map(|(header, _)| header.correlation);
        let mut found: Vec<_> = outside.filter(|correlation| correlation.is_some()).collect();
        let size = self.receiver.slot as usize;
        let mut readback = Readback::default();
        let slots = self.receiver.slots..self.words.end;
        for first in slots.clone().step_by((LOOK_WORDS / size).max(1) * size) {
            let some = first..slots.end.min(first + ((LOOK_WORDS / size).max(1) * size) as u32);
            let bytes = 4 * some.start as u64..4 * some.end as u64;
            gpu.guarded(|| {
                let encoder = gpu.device.create_command_encoder(&Default::default());
                readback.submit(gpu, encoder, &[(exchange, bytes)])
            })?;
            let there = readback.words.chunks_exact(size).filter(|slot| slot[6] & 1 != 0);
            let correlations = there.map(|slot| Correlation { index: slot[2], generation: slot[3] as u16 });
            found.extend(correlations.filter(|correlation| correlation.is_some()));
        }
        Ok(found)
    }

    /// Its figures.
    pub(super) fn snapshot(&self) -> MailboxSnapshot {
        let inside = self.header[WAITING] as u64;
        MailboxSnapshot { waiting: inside + self.outside.len() as u64, ..self.figures }
    }
}

/// Words of a slot.
fn slot_words(core: &Core) -> u32 {
    SLOT_HEADER + core.descriptor.message_size().div_ceil(4)
}
