//! Blocks of ordinary memory: for devices whose host takes the messages out of the ring.

use super::entries::Entries;
use super::{ArenaFull, PayloadArena, Reference};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An arena of ordinary memory, a block a payload.
///
/// ```
/// use ringkernel_backends::payload::{HeapArena, PayloadArena};
///
/// let arena = HeapArena::new(1 << 20);
/// let reference = arena.put(&[7; 1000]).unwrap();
/// // … its words cross a ring …
/// let taken = arena.take(reference).unwrap();
/// assert_eq!((taken.len(), taken[999], arena.used()), (1000, 7, 1000));
/// drop(taken);
/// assert_eq!(arena.used(), 0);
/// ```
#[derive(Debug)]
pub struct HeapArena {
    most: u64,
    blocks: Mutex<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    used: u64,
    entries: Entries<Block>,
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
    arena: &'a HeapArena,
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
        self.arena.lock().used -= u64::from(self.block.bytes);
    }
}

impl HeapArena {
    /// With room for so many bytes.
    pub fn new(most: u64) -> Self {
        Self { most, blocks: Mutex::new(Blocks { used: 0, entries: Entries::new(u32::MAX) }) }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a payload out, once.
    pub fn take(&self, reference: Reference) -> Option<Taken<'_>> {
        let Reference { index, generation, bytes } = reference;
        let block = self.lock().entries.remove_if(index, generation, |block| block.bytes == bytes)?;
        Some(Taken { arena: self, block })
    }
}

impl PayloadArena for HeapArena {
    fn put(&self, payload: &[u8]) -> Result<Reference, ArenaFull> {
        let full = |used| ArenaFull { bytes: payload.len() as u64, used, most: self.most };
        let Ok(bytes) = u32::try_from(payload.len()) else { return Err(full(self.used())) };
        {
            let mut blocks = self.lock();
            if blocks.used + u64::from(bytes) > self.most {
                return Err(full(blocks.used));
            }
            blocks.used += u64::from(bytes);
        }
        // Copied without the lock.
        let mut words = vec![0u64; payload.len().div_ceil(8)].into_boxed_slice();
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..payload.len()].copy_from_slice(payload);
        let mut blocks = self.lock();
        match blocks.entries.insert(Block { words, bytes }) {
            Some((index, generation)) => Ok(Reference { index, generation, bytes }),
            None => {
                blocks.used -= u64::from(bytes);
                Err(full(blocks.used))
            }
        }
    }

    fn withdraw(&self, reference: Reference) {
        drop(self.take(reference));
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.lock().used.checked_add(bytes).is_some_and(|used| used <= self.most)
    }

    fn used(&self) -> u64 {
        self.lock().used
    }

    fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_taken_once_aligned_and_its_memory_is_given_back() {
        let arena = HeapArena::new(100);
        let references: Vec<_> = (0..5).map(|n| arena.put(&[n; 20]).unwrap()).collect();
        assert_eq!(arena.put(&[0]), Err(ArenaFull { bytes: 1, used: 100, most: 100 }));
        assert!(!arena.has_room(1) && !arena.has_room(u64::MAX));
        for (n, reference) in references.iter().enumerate().rev() {
            assert_eq!(Reference::from_bytes(&reference.to_bytes()), Some(*reference));
            let taken = arena.take(*reference).unwrap();
            assert_eq!((&taken[..], taken.as_ptr().addr() % 8), (&[n as u8; 20][..], 0));
            assert!(arena.take(*reference).is_none());
        }
        assert!(arena.has_room(100) && !arena.has_room(101));
        assert_eq!((arena.used(), arena.most()), (0, 100));
        let again = arena.put(&[9; 100]).unwrap();
        assert!(references.iter().all(|old| arena.take(*old).is_none()));
        assert!(arena.take(again).is_some());
    }

    #[test]
    fn what_is_withdrawn_cannot_be_taken_and_its_memory_is_given_back() {
        let arena = HeapArena::new(100);
        let reference = arena.put(&[1; 100]).unwrap();
        arena.withdraw(reference);
        arena.withdraw(reference);
        assert!(arena.take(reference).is_none() && arena.used() == 0);
        assert!(arena.put(&[1; 100]).is_ok());
    }

    #[test]
    fn references_that_nobody_gave_lead_nowhere() {
        let arena = HeapArena::new(100);
        let good = arena.put(&[1; 16]).unwrap();
        for (at, value) in [(0, 1), (4, 0), (4, 2), (8, 15), (8, 17), (3, 0xff)] {
            let mut bytes = good.to_bytes();
            bytes[at] = value;
            assert!(arena.take(Reference::from_bytes(&bytes).unwrap()).is_none());
        }
        assert_eq!(Reference::from_bytes(&[0; 8]), None);
        assert!(arena.take(good).is_some());
    }

    #[test]
    fn many_threads_put_and_take() {
        let arena = HeapArena::new(1 << 20);
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
