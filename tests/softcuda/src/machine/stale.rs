//! Weak loads that find what was there before: as a GPU's first cache has it, or an earlier load that was made ahead.
//!
//! Some of what a warp loads weakly is remembered, and a later weak load of the same bytes may find that instead of what is there by now. It is
//! forgotten when the warp itself writes there or looks with more than a weak load, and all of it at a fence, at an acquire, and behind a barrier of the
//! block. So a missing acquire between the flag that says that data are there and the data shows in time, where the data's place has
//! been used before.

use super::random::Random;

#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    bytes: u64,
    value: u64,
}

/// As many as a warp remembers.
const MOST: usize = 16;

/// What a warp has loaded, and may find again.
#[derive(Default)]
pub(super) struct Remembered {
    entries: Vec<Entry>,
}

impl Remembered {
    /// A weak load of at most eight bytes, which `now` makes.
    pub(super) fn load(
        &mut self,
        random: &mut Random,
        address: u64,
        bytes: u8,
        now: impl FnOnce() -> u64,
    ) -> u64 {
        let bytes = bytes as u64;
        let dice = random.next();
        match self.entries.iter_mut().find(|entry| (entry.address, entry.bytes) == (address, bytes)) {
            Some(entry) if dice & 1 == 0 => entry.value,
            Some(entry) => {
                entry.value = now();
                entry.value
            }
            None => {
                let value = now();
                if dice & 6 == 0 {
                    let entry = Entry { address, bytes, value };
                    if self.entries.len() == MOST {
                        self.entries.swap_remove((dice >> 8) as usize % MOST);
                    }
                    self.entries.push(entry);
                }
                value
            }
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// These bytes are written, or looked at with more than a weak load.
    pub(super) fn forget(&mut self, address: u64, bytes: u64) {
        self.entries
            .retain(|entry| entry.address >= address + bytes || address >= entry.address + entry.bytes);
    }

    /// What comes now sees what others wrote before.
    pub(super) fn forget_all(&mut self) {
        self.entries.clear();
    }
}
