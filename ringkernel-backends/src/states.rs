//! Which instances' states a call is about, and where each lies: in the caller's buffer one behind another, on the device
//! spread over the shards.

use crate::kernel::{DeviceError, KernelDescriptor};
use std::ops::Range;

/// A range of instances whose states are read or written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct States {
    first: u32,
    end: u32,
    size: usize,
}

impl States {
    /// `count` instances from `first` on of a kernel with `instances`, in a buffer of `bytes`.
    pub(crate) fn check(
        descriptor: &KernelDescriptor,
        instances: u32,
        first: u32,
        count: u32,
        bytes: usize,
    ) -> Result<Self, DeviceError> {
        let end = first.checked_add(count).filter(|&end| end <= instances);
        let Some(end) = end else {
            return Err(DeviceError::NoSuchInstance { instance: first.max(instances), instances });
        };
        let size = descriptor.state_size as usize;
        if (count as usize).checked_mul(size).is_none_or(|needed| needed > bytes) {
            let reason = format!("a buffer of {bytes} bytes for {count} states of {size} bytes is too short");
            return Err(DeviceError::Driver { call: "copying states", reason });
        }
        Ok(Self { first, end, size })
    }

    /// Bytes of a state.
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// The first of them, and how many.
    #[cfg(feature = "wgpu")]
    pub(crate) fn instances(self) -> Range<u32> {
        self.first..self.end
    }

    /// Those of shard `shard` of `shards`, by their number within the shard.
    pub(crate) fn locals(self, shard: u32, shards: u32) -> Range<u32> {
        let local = |instance: u32| instance.saturating_sub(shard).div_ceil(shards);
        local(self.first)..local(self.end)
    }

    /// Where the caller's buffer holds the state of a shard's `local`-th instance.
    pub(crate) fn place(self, shard: u32, shards: u32, local: u32) -> Range<usize> {
        let at = (local * shards + shard - self.first) as usize * self.size;
        at..at + self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_tests::TALLY;

    #[test]
    fn every_instance_of_a_range_has_one_place_and_no_other_has() {
        for shards in [1, 2, 3, 4, 8] {
            for (first, count) in [(0, 50), (0, 1), (7, 1), (7, 5), (49, 1), (50, 0), (3, 0), (13, 37)] {
                let states = States::check(&TALLY, 50, first, count, 8 * count as usize).unwrap();
                let mut places = Vec::new();
                for shard in 0..shards {
                    for local in states.locals(shard, shards) {
                        let instance = local * shards + shard;
                        let at = (instance - first) as usize * 8;
                        assert_eq!(states.place(shard, shards, local), at..at + 8);
                        places.push(instance);
                    }
                }
                places.sort_unstable();
                assert!(places.into_iter().eq(first..first + count), "{shards} shards, {first} + {count}");
            }
        }
    }

    #[test]
    fn a_range_beyond_the_last_instance_and_a_short_buffer_are_refused() {
        let check = |first, count, bytes| States::check(&TALLY, 50, first, count, bytes).err();
        let none = |instance| Some(DeviceError::NoSuchInstance { instance, instances: 50 });
        assert_eq!(check(50, 1, 8), none(50));
        assert_eq!(check(49, 2, 16), none(50));
        assert_eq!(check(u32::MAX, 1, 8), none(u32::MAX));
        assert_eq!(check(1, u32::MAX, 8), none(50));
        assert!(matches!(check(0, 2, 15), Some(DeviceError::Driver { .. })));
        assert_eq!(check(0, 2, 16), None);
    }
}
