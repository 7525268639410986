//! The memory of a [`RegionArena`](super::RegionArena): what host and device both see.

use std::any::Any;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of an entry of the table.
pub const ENTRY_BYTES: usize = 16;

/// A region for payloads, the table of what lies where in it, and a word for each entry of the table.
///
/// ```text
/// region    payloads, each at a multiple of 16 bytes
/// table     an entry each: generation, bytes, offset in units of 16 bytes, 0     the host writes
/// done      a word each: the generation that the device was last through with    the device writes
/// ```
///
/// Nobody writes what the other writes, so memory that only has loads and stores across the bus will do. The host writes payload and entry before it puts
/// the reference into a ring. A device that takes it out
/// 1. makes a fence, so that it sees what the host wrote before (the ring's words are written with release);
/// 2. compares index, generation and bytes with the table's, and that the piece lies within the region;
/// 3. claims it, once, by a word of its own memory for the entry that holds the last generation it claimed;
/// 4. reads, and when it never will again makes a fence and writes the generation to the entry's `done` word;
/// 5. makes another fence before it publishes the reply.
///
/// The host acquires `done` before it writes there again.
pub struct RegionMemory {
    payloads: *const AtomicU64,
    words: usize,
    table: *const AtomicU64,
    done: *const AtomicU32,
    entries: u32,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the pointers are to atomics only, valid for as long as `_owner`, which is Send + Sync and moves along.
unsafe impl Send for RegionMemory {}
// SAFETY: as above; every access is atomic.
unsafe impl Sync for RegionMemory {}

impl RegionMemory {
    /// Wraps memory owned by `owner`, all of it zeroed but the payloads.
    ///
    /// # Safety
    /// `payloads` must point to `bytes` bytes (of which whole words are used), `table` to [`ENTRY_BYTES`] and `done` to four bytes for each of `entries` entries, all of them
    /// aligned to 16 bytes, apart from each other, and inside memory that lives as long as `owner` and that host threads access through
    /// atomics only.
    pub unsafe fn new(
        (payloads, bytes): (*mut u8, usize),
        table: *mut u8,
        done: *mut u8,
        entries: u32,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            payloads: payloads.cast(),
            words: bytes / 8,
            table: table.cast(),
            done: done.cast(),
            entries,
            _owner: owner,
        }
    }

    /// The same in ordinary memory, for whoever plays the device.
    pub fn heap(bytes: usize, entries: u32) -> Self {
        #[repr(C, align(16))]
        struct Pair([AtomicU64; 2]);
        let pairs = |count: usize| -> Arc<Vec<Pair>> {
            Arc::new((0..count).map(|_| Pair(std::array::from_fn(|_| AtomicU64::new(0)))).collect())
        };
        let (payloads, table, done) =
            (pairs(bytes.div_ceil(16)), pairs(entries as usize), pairs(entries.div_ceil(4) as usize));
        let start = |pairs: &Vec<Pair>| pairs.as_ptr().cast_mut().cast::<u8>();
        let (payloads_at, table_at, done_at) = (start(&payloads), start(&table), start(&done));
        // SAFETY: the vectors are as long as that, of atomics aligned to 16 bytes, and live as long as their owner.
        unsafe {
            Self::new((payloads_at, bytes), table_at, done_at, entries, Arc::new((payloads, table, done)))
        }
    }

    /// How many payloads can wait.
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Bytes for payloads.
    pub fn bytes(&self) -> u64 {
        8 * self.words as u64
    }

    fn payloads(&self) -> &[AtomicU64] {
        // SAFETY: the constructor's contract.
        unsafe { slice::from_raw_parts(self.payloads, self.words) }
    }

    fn table(&self) -> &[AtomicU64] {
        // SAFETY: the constructor's contract.
        unsafe { slice::from_raw_parts(self.table, 2 * self.entries as usize) }
    }

    fn done_words(&self) -> &[AtomicU32] {
        // SAFETY: the constructor's contract.
        unsafe { slice::from_raw_parts(self.done, self.entries as usize) }
    }

    /// Writes a payload at `offset`, a multiple of 16, and zeros up to the next word.
    pub(super) fn write(&self, offset: u64, payload: &[u8]) {
        let words = &self.payloads()[(offset / 8) as usize..][..payload.len().div_ceil(8)];
        let whole = payload.chunks_exact(8);
        let mut last = [0; 8];
        last[..whole.remainder().len()].copy_from_slice(whole.remainder());
        let last = (!whole.remainder().is_empty()).then_some(last);
        let eights = whole.filter_map(|eight| eight.try_into().ok()).chain(last);
        for (word, eight) in words.iter().zip(eights) {
            // Relaxed: the release of the ring's words makes it visible, and of the entry's.
            word.store(u64::from_ne_bytes(eight), Ordering::Relaxed);
        }
    }

    /// Writes an entry, behind its payload.
    pub(super) fn publish(&self, index: u32, generation: u32, bytes: u32, offset: u64) {
        let entry = &self.table()[2 * index as usize..][..2];
        entry[1].store(pair(u32::try_from(offset / 16).unwrap_or(u32::MAX), 0), Ordering::Relaxed);
        // Release: pairs with the device's fence behind its look at the entry, should it look before it was told to.
        entry[0].store(pair(generation, bytes), Ordering::Release);
    }

    /// Makes an entry one that leads nowhere.
    pub(super) fn retire(&self, index: u32) {
        // Relaxed: nobody was told of the entry.
        self.table()[2 * index as usize].store(0, Ordering::Relaxed);
    }

    /// The generation of an entry that the device was last through with.
    pub(super) fn done(&self, index: u32) -> u32 {
        // Acquire: pairs with the device's fence in front of its store. What it read was read before.
        self.done_words()[index as usize].load(Ordering::Acquire)
    }
}

/// Two 32-bit words as they lie in memory, in a row.
fn pair(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

impl std::fmt::Debug for RegionMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, entries) = (self.bytes(), self.entries);
        f.debug_struct("RegionMemory").field("bytes", &bytes).field("entries", &entries).finish()
    }
}

/// The device's side, as the resident loop does it: for the tests of the host's.
#[cfg(test)]
pub(super) mod device {
    use super::super::Reference;
    use super::RegionMemory;
    use std::sync::atomic::{AtomicU32, Ordering, fence};

    /// What it remembers.
    #[derive(Debug)]
    pub(crate) struct Claims(Vec<AtomicU32>);

    impl Claims {
        pub(crate) fn new(entries: u32) -> Self {
            Self((0..entries).map(|_| AtomicU32::new(0)).collect())
        }

        /// The payload, if the reference leads to one that was not taken.
        pub(crate) fn take(&self, memory: &RegionMemory, reference: Reference) -> Option<Vec<u8>> {
            let Reference { index, generation, bytes } = reference;
            fence(Ordering::Acquire);
            let entry = memory.table().get(2 * index as usize..)?.get(..2)?;
            let [first, second] = [0, 1].map(|at| entry[at].load(Ordering::Relaxed).to_ne_bytes());
            let word = |bytes: &[u8]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let offset = 16 * u64::from(word(&second[..4]));
            let wrong = generation == 0
                || word(&first[..4]) != generation
                || word(&first[4..]) != bytes
                || offset + u64::from(bytes) > memory.bytes()
                || self.0[index as usize].swap(generation, Ordering::Relaxed) == generation;
            if wrong {
                return None;
            }
            fence(Ordering::Acquire);
            let words = &memory.payloads()[(offset / 8) as usize..][..(bytes as usize).div_ceil(8)];
            let mut payload: Vec<u8> =
                words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
            payload.truncate(bytes as usize);
            Some(payload)
        }
    }

    impl RegionMemory {
        /// The device is through with it.
        pub(crate) fn finish(&self, reference: Reference) {
            fence(Ordering::Release);
            self.done_words()[reference.index as usize].store(reference.generation, Ordering::Relaxed);
        }
    }
}
