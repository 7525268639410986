//! Payloads that are too large for a slot: they lie in memory that sender and device share, and the slot says where.
//!
//! An archive is an even number of words long. A message of variable size whose payload has [`REFERENCE_WORDS`] words, which is odd, is a
//! *reference* to such memory instead. Whoever sends puts the archive there first; whoever handles the message takes it, reads it in
//! place and gives the memory back. What was never taken goes with the kernel.
//!
//! A device that follows references has a [`PayloadArena`] ([`Kernel::payloads`](crate::kernel::Kernel::payloads)). The CPU's is ordinary memory. On
//! CUDA it would have to be pinned, and the loop would have to follow the reference; until then messages there are limited to what a
//! slot carries, and a reference is refused like any other payload that is no archive.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

/// Words of a reference.
pub const REFERENCE_WORDS: usize = 3;

/// The most bytes that wait in a kernel's arena unless it is told otherwise.
pub const DEFAULT_BYTES: u64 = 256 << 20;

/// Where a payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    index: u32,
    generation: u32,
    bytes: u32,
}

impl Reference {
    /// What a slot carries.
    pub fn to_bytes(self) -> [u8; 4 * REFERENCE_WORDS] {
        let mut bytes = [0; 4 * REFERENCE_WORDS];
        for (four, word) in bytes.chunks_exact_mut(4).zip([self.index, self.generation, self.bytes]) {
            four.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, or anything of that length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 4 * REFERENCE_WORDS] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self { index: word(0), generation: word(4), bytes: word(8) })
    }
}

/// There is no room for a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are too many beside the {used} that wait, where {most} are allowed")]
pub struct ArenaFull {
    /// How large it is.
    pub bytes: u64,
    /// How many bytes wait to be taken.
    pub used: u64,
    /// How many may.
    pub most: u64,
}

/// Memory in which payloads wait for whom they are sent to.
#[derive(Debug)]
pub struct PayloadArena {
    most: u64,
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    used: u64,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Entry {
    /// How often it was used.
    generation: u32,
    block: Option<Block>,
}

#[derive(Debug)]
struct Block {
    /// Archives are aligned to eight bytes.
    words: Box<[u64]>,
    bytes: u32,
}

/// A payload that was taken; its memory is given back when this goes.
#[derive(Debug)]
pub struct Taken<'a> {
    arena: &'a PayloadArena,
    block: Block,
}

impl Deref for Taken<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.block.words)[..self.block.bytes as usize]
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut blocks = self.arena.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.used -= u64::from(self.block.bytes);
    }
}

impl PayloadArena {
    /// With room for so many bytes.
    pub fn new(most: u64) -> Self {
        Self { most, blocks: Mutex::default() }
    }

    /// Bytes that wait or are being read.
    pub fn used(&self) -> u64 {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).used
    }

    /// Puts a payload there.
    ///
    /// # Errors
    /// [`ArenaFull`] when there is no room for it now.
    pub fn put(&self, payload: &[u8]) -> Result<Reference, ArenaFull> {
        let full = |used| ArenaFull { bytes: payload.len() as u64, used, most: self.most };
        let Ok(bytes) = u32::try_from(payload.len()) else { return Err(full(0)) };
        {
            let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            if blocks.used + u64::from(bytes) > self.most {
                return Err(full(blocks.used));
            }
            blocks.used += u64::from(bytes);
        }
        // Copied without the lock.
        let mut words = vec![0u64; payload.len().div_ceil(8)].into_boxed_slice();
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..payload.len()].copy_from_slice(payload);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let index = blocks.free.pop().unwrap_or_else(|| {
            blocks.entries.push(Entry::default());
            blocks.entries.len() as u32 - 1
        });
        let entry = &mut blocks.entries[index as usize];
        entry.block = Some(Block { words, bytes });
        Ok(Reference { index, generation: entry.generation, bytes })
    }

    /// Takes a payload out, once.
    pub fn take(&self, reference: Reference) -> Option<Taken<'_>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = blocks.entries.get_mut(reference.index as usize)?;
        if entry.generation != reference.generation {
            return None;
        }
        let block = entry.block.take_if(|block| block.bytes == reference.bytes)?;
        entry.generation = entry.generation.wrapping_add(1);
        blocks.free.push(reference.index);
        Some(Taken { arena: self, block })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_taken_once_aligned_and_its_memory_is_given_back() {
        let arena = PayloadArena::new(100);
        let references: Vec<_> = (0..5).map(|n| arena.put(&[n; 20]).unwrap()).collect();
        assert_eq!(arena.put(&[0]), Err(ArenaFull { bytes: 1, used: 100, most: 100 }));
        for (n, reference) in references.iter().enumerate().rev() {
            assert_eq!(Reference::from_bytes(&reference.to_bytes()), Some(*reference));
            let taken = arena.take(*reference).unwrap();
            assert_eq!((&taken[..], taken.as_ptr().addr() % 8), (&[n as u8; 20][..], 0));
            assert!(arena.take(*reference).is_none());
        }
        assert_eq!(arena.used(), 0);
        let again = arena.put(&[9; 100]).unwrap();
        assert!(references.iter().all(|old| arena.take(*old).is_none()));
        assert!(arena.take(again).is_some());
    }

    #[test]
    fn references_that_nobody_gave_lead_nowhere() {
        let arena = PayloadArena::new(100);
        let good = arena.put(&[1; 16]).unwrap();
        for (at, value) in [(0, 1), (4, 1), (8, 15), (8, 17), (3, 0xff)] {
            let mut bytes = good.to_bytes();
            bytes[at] = value;
            assert!(arena.take(Reference::from_bytes(&bytes).unwrap()).is_none());
        }
        assert_eq!(Reference::from_bytes(&[0; 8]), None);
        assert!(arena.take(good).is_some());
    }

    #[test]
    fn many_threads_put_and_take() {
        let arena = PayloadArena::new(1 << 20);
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let arena = &arena;
                scope.spawn(move || {
                    for n in 0..1000 {
                        let payload = vec![thread; n % 50 + 1];
                        let reference = arena.put(&payload).unwrap();
                        assert_eq!(&arena.take(reference).unwrap()[..], payload);
                    }
                });
            }
        });
        assert_eq!(arena.used(), 0);
    }
}
