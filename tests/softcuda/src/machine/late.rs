//! Stores that are seen late: as on a GPU, what a lane writes first need not be seen first, unless something orders it.
//!
//! Now and then a weak, relaxed or volatile store (or a `red`) to memory that others see is kept back while its lane goes on. It is made, in no order
//! but that of stores to the same bytes, before anything of its warp touches those bytes, before a fence, a release or a barrier of the block, before a
//! lane ends, and at the latest when the block's run returns. So a fence that is missing between data and the flag that says it is there
//! shows in time. Loads are made in the order of the text: a missing acquire does not show.

use super::memory::Place;
use super::program::Three;
use super::random::Random;

/// What is done late.
#[derive(Clone, Copy)]
pub(super) enum Late {
    Store(u64),
    Store128(u64, u64),
    Update(Three, u64, u64),
}

#[derive(Clone, Copy)]
struct Entry {
    place: Place,
    bytes: u8,
    what: Late,
}

impl Entry {
    fn is_over(&self, place: Place, bytes: u64) -> bool {
        let (ours, theirs) = (self.place.address(), place.address());
        ours < theirs + bytes && theirs < ours + self.bytes as u64
    }

    fn make(self) {
        match self.what {
            Late::Store(value) => self.place.store(self.bytes, value),
            Late::Store128(low, high) => self.place.store128(low, high),
            Late::Update(f, b, c) => {
                self.place.update(self.bytes, |old| (f.lane)(old, b, c));
            }
        }
    }
}

/// As many as a warp keeps back.
const MOST: usize = 16;

/// What a warp keeps back. The places hold for one run of the block: none may be left when it returns.
#[derive(Default)]
pub(super) struct Kept {
    entries: Vec<Entry>,
}

impl Kept {
    /// Keeps one back.
    #[cold]
    pub(super) fn keep(&mut self, random: &mut Random, place: Place, bytes: u8, what: Late) {
        if self.entries.len() >= MOST {
            self.one(random);
        }
        self.entries.push(Entry { place, bytes, what });
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Before these bytes are touched: the warp sees what it wrote, and writes to the same bytes stay in order.
    #[inline]
    pub(super) fn before(&mut self, random: &mut Random, place: Place, bytes: u64) {
        while self.entries.iter().any(|entry| entry.is_over(place, bytes)) {
            self.one(random);
        }
    }

    /// All of them.
    #[inline]
    pub(super) fn settle(&mut self, random: &mut Random) {
        while !self.entries.is_empty() {
            self.one(random);
        }
    }

    /// Some of them.
    pub(super) fn some(&mut self, random: &mut Random) {
        if self.entries.is_empty() {
            return;
        }
        for _ in 0..random.below(self.entries.len() as u32 + 1) {
            self.one(random);
        }
    }

    /// The dead do not write.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
    }

    /// One of them, but none before an earlier one to the same bytes.
    fn one(&mut self, random: &mut Random) {
        let mut index = random.below(self.entries.len() as u32) as usize;
        let clash = |at: usize| {
            let Entry { place, bytes, .. } = self.entries[at];
            self.entries[..at].iter().position(|earlier| earlier.is_over(place, bytes as u64))
        };
        while let Some(earlier) = clash(index) {
            index = earlier;
        }
        self.entries.remove(index).make();
    }
}
