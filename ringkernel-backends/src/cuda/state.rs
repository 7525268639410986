//! Instances' states in device memory: shard after shard, each with its instances at equal distances.

use super::driver::DeviceMemory;
use crate::kernel::DeviceError;
use crate::states::States;

/// Bytes that cross the bus at once.
const AT_ONCE: usize = 4 << 20;

/// Where the states of a kernel lie.
pub(super) struct Layout<'a> {
    pub(super) memory: &'a DeviceMemory,
    pub(super) shards: u32,
    /// Instances that each shard has room for.
    pub(super) per_shard: usize,
    /// Bytes from one instance to the next.
    pub(super) stride: usize,
}

impl Layout<'_> {
    /// Copies states out, a few megabytes at a time.
    pub(super) fn read(&self, states: States, out: &mut [u8]) -> Result<(), DeviceError> {
        let size = states.size();
        self.pieces(states, |shard, first, count, piece| {
            self.memory.read(self.offset(shard, first), piece)?;
            for (local, state) in (first..first + count).zip(piece.chunks_exact(self.stride)) {
                out[states.place(shard, self.shards, local)].copy_from_slice(&state[..size]);
            }
            Ok(())
        })
    }

    /// Replaces states, a few megabytes at a time.
    pub(super) fn write(&self, states: States, bytes: &[u8]) -> Result<(), DeviceError> {
        let size = states.size();
        self.pieces(states, |shard, first, count, piece| {
            for (local, state) in (first..first + count).zip(piece.chunks_exact_mut(self.stride)) {
                state[..size].copy_from_slice(&bytes[states.place(shard, self.shards, local)]);
            }
            self.memory.write(self.offset(shard, first), piece)
        })
    }

    fn offset(&self, shard: u32, local: u32) -> usize {
        (shard as usize * self.per_shard + local as usize) * self.stride
    }

    /// Calls `copy(shard, first, count, buffer)` for runs of instances that lie one behind another.
    fn pieces(
        &self,
        states: States,
        mut copy: impl FnMut(u32, u32, u32, &mut [u8]) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let at_once = (AT_ONCE / self.stride).clamp(1, u32::MAX as usize) as u32;
        let mut buffer = Vec::new();
        for shard in 0..self.shards {
            let locals = states.locals(shard, self.shards);
            for first in locals.clone().step_by(at_once as usize) {
                let count = at_once.min(locals.end - first);
                buffer.resize(count as usize * self.stride, 0);
                copy(shard, first, count, &mut buffer)?;
            }
        }
        Ok(())
    }
}
