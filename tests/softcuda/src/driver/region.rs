//! Memory that kernels may reach: a range of addresses, what is allocated in it, and which of that may be used at the moment.
//!
//! Between two allocations there is always a gap, and what was freed is used again as late as possible: a stray access is seen for what it
//! is. The addresses stay good for the process, whatever is allocated there: an access that nobody was to make harms nobody.

use super::raw;
use crate::machine::Memory;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes between two allocations, at least, and what they are aligned to.
const GAP: u64 = 256;
/// What fresh memory is full of.
const FRESH: u8 = 0xcd;

/// A range of addresses.
pub(crate) struct Region {
    base: u64,
    /// Bytes that may be allocated.
    bytes: u64,
    blocks: RwLock<Blocks>,
}

#[derive(Default)]
struct Blocks {
    /// Length by address.
    free: BTreeMap<u64, u64>,
    live: BTreeMap<u64, Block>,
    /// Where the last search ended.
    cursor: u64,
    used: u64,
    /// Whether another device may reach what is of no pool.
    shared: bool,
}

struct Block {
    bytes: u64,
    /// With the gap behind it.
    span: u64,
    /// The pool it is from.
    pool: Option<usize>,
    /// Another device may reach it.
    shared: bool,
    /// Kernels may use it.
    open: bool,
    /// Its end is under way.
    doomed: bool,
}

impl Region {
    /// A region of `bytes`; `None` where there is not that much address space.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        const PAGE: u64 = 4096;
        let base = raw::reserve((bytes + PAGE) as usize)?.next_multiple_of(PAGE);
        let blocks = Blocks { free: BTreeMap::from([(base, bytes)]), cursor: base, ..Blocks::default() };
        Some(Self { base, bytes, blocks: RwLock::new(blocks) })
    }

    /// Takes all of it away, for good.
    #[cfg(unix)]
    pub(crate) fn take_away(&self) {
        raw::take_away(self.base, self.bytes);
    }

    fn read(&self) -> RwLockReadGuard<'_, Blocks> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Blocks> {
        self.blocks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes memory, aligned to `align` (a power of two), which kernels may use once it is [opened](Self::open); `None` where there is
    /// no more. Of a pool, with whether another device may reach it, or of none.
    pub(crate) fn take(&self, bytes: u64, align: u64, pool: Option<(usize, bool)>) -> Option<u64> {
        let align = align.max(GAP);
        let span = bytes.checked_next_multiple_of(align)?.checked_add(align)?;
        let mut blocks = self.write();
        // From where the last search ended to the end, then from the beginning.
        let fits = |least: u64, (at, length): (&u64, &u64)| {
            let first = least.max(*at).next_multiple_of(align);
            (first.checked_add(span)? <= at + length).then_some((*at, *length, first))
        };
        let cursor = blocks.cursor;
        let found = blocks.free.iter().find_map(|free| fits(cursor, free));
        let (at, length, address) = found.or_else(|| blocks.free.iter().find_map(|free| fits(0, free)))?;
        blocks.free.remove(&at);
        if address > at {
            blocks.free.insert(at, address - at);
        }
        let rest = at + length - (address + span);
        if rest > 0 {
            blocks.free.insert(address + span, rest);
        }
        blocks.cursor = address + span;
        blocks.used += span;
        let shared = pool.map_or(blocks.shared, |(_, shared)| shared);
        let pool = pool.map(|(pool, _)| pool);
        blocks.live.insert(address, Block { bytes, span, pool, shared, open: false, doomed: false });
        drop(blocks);
        raw::fill_unused(address, FRESH, bytes as usize);
        Some(address)
    }

    /// Lets kernels use what was taken.
    pub(crate) fn open(&self, address: u64) {
        if let Some(block) = self.write().live.get_mut(&address) {
            block.open = true;
        }
    }

    /// Says that the allocation that begins there is about to end; false if there is none, or that was said before.
    pub(crate) fn doom(&self, address: u64) -> bool {
        self.write().live.get_mut(&address).is_some_and(|block| !std::mem::replace(&mut block.doomed, true))
    }

    /// Kernels may no longer use it; somebody else may have it.
    pub(crate) fn give_back(&self, address: u64) {
        let mut blocks = self.write();
        let Some(block) = blocks.live.remove(&address) else { return };
        blocks.used -= block.span;
        let (mut at, mut length) = (address, block.span);
        if let Some(behind) = blocks.free.remove(&(at + length)) {
            length += behind;
        }
        let before = blocks.free.range(..at).next_back().map(|(before, length)| (*before, *length));
        if let Some((before, before_length)) = before.filter(|(before, length)| before + length == at) {
            (at, length) = (before, before_length + length);
        }
        blocks.free.insert(at, length);
    }

    /// Gives back all there is.
    pub(crate) fn give_back_all(&self) {
        let live: Vec<u64> = self.read().live.keys().copied().collect();
        live.into_iter().for_each(|address| self.give_back(address));
    }

    /// Lets the other device reach a pool's memory (`None`: what is of no pool), that which is there and that which will be, or no longer.
    pub(crate) fn share(&self, pool: Option<usize>, shared: bool) {
        let mut blocks = self.write();
        if pool.is_none() {
            blocks.shared = shared;
        }
        let theirs = blocks.live.values_mut().filter(|block| block.pool == pool);
        theirs.for_each(|block| block.shared = shared);
    }

    /// Whether the range lies in one allocation, usable or not.
    pub(crate) fn holds(&self, address: u64, bytes: u64) -> bool {
        self.find(address, bytes, |_| true).is_some()
    }

    /// Bytes that are taken, gaps and all, and that there are.
    pub(crate) fn usage(&self) -> (u64, u64) {
        (self.read().used, self.bytes)
    }

    /// The allocation that holds the range, from and to, if kernels may use it: those of the device whose memory it is, or (`from_afar`) of
    /// another.
    pub(crate) fn range(&self, address: u64, bytes: u64, from_afar: bool) -> Option<(u64, u64)> {
        self.find(address, bytes, |block| block.open && (block.shared || !from_afar))
    }

    fn find(&self, address: u64, bytes: u64, good: impl FnOnce(&Block) -> bool) -> Option<(u64, u64)> {
        if address.wrapping_sub(self.base) >= self.bytes {
            return None;
        }
        let blocks = self.read();
        let (at, block) = blocks.live.range(..=address).next_back()?;
        let end = at + block.bytes;
        (address.checked_add(bytes)? <= end && good(block)).then_some((*at, end))
    }
}

/// The memory that kernels of a device may touch.
pub(crate) struct View<'a> {
    pub(crate) own: &'a Region,
    /// Pinned host memory.
    pub(crate) pinned: &'a Region,
    /// The other device's.
    pub(crate) other: Option<&'a Region>,
}

// SAFETY: regions are memory that this process has for ever, and hands out through the driver's API alone: device memory is touched by kernels
// and by copies, which are atomic (`raw`), pinned memory by the API's caller as well, by the rules of the device. What is taken is filled
// before anybody else knows its address.
unsafe impl Memory for View<'_> {
    fn allows(&self, address: u64, bytes: u64) -> bool {
        self.range(address, bytes).is_some()
    }

    fn range(&self, address: u64, bytes: u64) -> Option<(u64, u64)> {
        let far = || self.other.and_then(|other| other.range(address, bytes, true));
        let near = self.own.range(address, bytes, false).or_else(|| self.pinned.range(address, bytes, false));
        near.or_else(far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_allowed_once_it_is_opened_to_its_last_byte_and_no_further() {
        let region = Region::new(1 << 20).unwrap();
        let allows = |at, bytes, from_afar| region.range(at, bytes, from_afar).is_some();
        let at = region.take(100, 256, None).unwrap();
        assert!(!allows(at, 1, false) && region.holds(at, 100) && !region.holds(at, 101));
        region.open(at);
        assert!(allows(at, 100, false) && allows(at + 96, 4, false) && allows(at + 99, 1, false));
        assert_eq!(region.range(at + 50, 2, false), Some((at, at + 100)));
        assert!(!allows(at + 96, 8, false) && !allows(at + 100, 1, false) && !allows(at, u64::MAX, false));
        assert!(!allows(at.wrapping_sub(1), 1, false) && !allows(0, 8, false) && !allows(u64::MAX, 8, false));
        assert!(!allows(at, 4, true));
        region.share(None, true);
        assert!(allows(at + 96, 4, true));
        assert!(region.doom(at) && !region.doom(at) && !region.doom(at + 1));
        region.give_back(at);
        assert!(!allows(at, 1, false) && !region.holds(at, 1));
    }

    #[test]
    fn what_was_given_back_is_whole_again_and_used_late() {
        let region = Region::new(1 << 20).unwrap();
        let all: Vec<u64> = (0..).map_while(|_| region.take(1000, 256, None)).collect();
        assert!(all.len() > 700, "{}", all.len());
        all.iter().for_each(|at| region.give_back(*at));
        assert_eq!(region.usage().0, 0);
        let first = region.take(1000, 256, None).unwrap();
        region.give_back(first);
        assert_ne!(region.take(1000, 256, None), Some(first));
        region.give_back_all();
        assert!(region.take((1 << 20) - 512, 256, None).is_some());
        assert!(region.take(1, 256, None).is_none());
    }
}
