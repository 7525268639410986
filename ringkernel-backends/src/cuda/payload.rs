//! The memory in which payloads wait that no slot carries: pinned, allocated with the kernel, read by its handlers over the bus.
//!
//! Pinned memory cannot be had (nor given back) beside resident kernels without them noticing, so all of it is there from the start. The loop
//! follows references in `runtime/handle.ptx`, as [`RegionMemory`] asks of a device; it claims what it takes in device memory.

use super::Shared;
use super::driver::DeviceMemory;
use crate::host::check_memory;
use crate::kernel::{DeviceError, LaunchSpec};
use crate::payload::{DEFAULT_PINNED_BYTES, ENTRY_BYTES, RegionArena, RegionMemory, Spans};
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// The most that a kernel's payloads may take.
const MOST_BYTES: u64 = 1 << 35;
/// Payloads beyond those that rings have slots for: of batches that wait for room in them.
const BESIDE_SLOTS: u64 = 1024;
/// What the loop reads of a kernel's payloads; `runtime/handle.ptx` knows these offsets. The claims lie behind it, a word an entry.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PayloadParams {
    table: u64,
    done: u64,
    region: u64,
    entries: u32,
    /// Of [`Spans::ALIGN`] bytes, in the region.
    units: u32,
    claims: u64,
    pad: [u64; 3],
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<PayloadParams>() == 64 && offset_of!(PayloadParams, entries) == 24);
    assert!(offset_of!(PayloadParams, claims) == 32 && Spans::ALIGN == 16 && ENTRY_BYTES == 16);
};

/// A kernel's payloads.
pub(super) struct Payloads {
    pub(super) arena: Arc<RegionArena>,
    params: DeviceMemory,
}

impl Payloads {
    /// For a kernel whose rings have so many slots for requests in all; none where no message is larger than those carry.
    pub(super) fn for_launch(
        shared: &Shared,
        spec: &LaunchSpec,
        slots: u64,
    ) -> Result<Option<Self>, DeviceError> {
        let large = spec.descriptor.handlers.iter().map(|handler| handler.message);
        let Some(least) = large.filter(|message| message.is_large()).map(|message| message.size).min() else {
            return Ok(None);
        };
        let what = || format!("payloads of `{}`, in pinned memory", spec.descriptor.id);
        let bytes = spec.tuning.payload_memory.unwrap_or(DEFAULT_PINNED_BYTES);
        let refused = || DeviceError::OutOfMemory { bytes, what: what() };
        if bytes > MOST_BYTES {
            return Err(refused());
        }
        check_memory(bytes, &what())?;
        let each = (u64::from(least) + 1).next_multiple_of(Spans::ALIGN);
        let entries =
            u32::try_from((slots + BESIDE_SLOTS).min(bytes / each).max(1)).map_err(|_| refused())?;
        let pinned = |bytes: usize| {
            shared.arena.take(bytes).map_err(|error| match error {
                DeviceError::OutOfMemory { .. } => refused(),
                other => other,
            })
        };
        let length = usize::try_from(bytes).map_err(|_| refused())?;
        let (table, done) = (entries as usize * ENTRY_BYTES, entries as usize * 4);
        let (region, words) = (pinned(length)?, pinned(table + done)?);
        let params =
            DeviceMemory::zeroed(&shared.pool, size_of::<PayloadParams>() + done, "claims of payloads")?;
        let header = PayloadParams {
            table: words.device(0),
            done: words.device(table),
            region: region.device(0),
            entries,
            units: (bytes / Spans::ALIGN) as u32,
            claims: params.address + size_of::<PayloadParams>() as u64,
            pad: [0; 3],
        };
        params.write(0, bytemuck::bytes_of(&header))?;
        let (payloads_at, table_at, done_at) = (region.host(0), words.host(0), words.host(table));
        // SAFETY: the blocks are at least as long as that (a table's length is a multiple of 16, and blocks begin at pages), zeroed, kept alive by the owner, and
        // nothing else on the host uses them.
        let memory = unsafe {
            RegionMemory::new((payloads_at, length), table_at, done_at, entries, Arc::new((region, words)))
        };
        Ok(Some(Self { arena: Arc::new(RegionArena::new(memory)), params }))
    }

    /// Where the loop finds what it must know.
    pub(super) fn address(&self) -> u64 {
        self.params.address
    }
}
