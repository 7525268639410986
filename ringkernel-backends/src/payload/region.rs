//! One region of memory that the device reads itself.

use super::entries::Entries;
use super::memory::RegionMemory;
use super::spans::Spans;
use super::{ArenaFull, PayloadArena, Reference};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An arena in a region that the device reads itself: [`RegionMemory`] says how.
///
/// The device says that it is through with a payload by a word that nobody waits for. So whoever puts something here looks first whether the oldest are
/// done, and at all of them before it says that there is no room.
#[derive(Debug)]
pub struct RegionArena {
    memory: RegionMemory,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    spans: Spans,
    entries: Entries<Piece>,
    /// Entries in the order in which they were made, some of them withdrawn since.
    order: VecDeque<(u32, u32)>,
}

#[derive(Debug)]
struct Piece {
    place: Range<u64>,
    bytes: u32,
}

impl RegionArena {
    /// In that memory.
    pub fn new(memory: RegionMemory) -> Self {
        let (spans, entries) = (Spans::new(memory.bytes()), Entries::new(memory.entries()));
        Self { memory, state: Mutex::new(State { spans, entries, order: VecDeque::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes an entry back if the device is through with it, or if it is gone already; whether it was either.
    fn reclaim(&mut self, memory: &RegionMemory, index: u32, generation: u32) -> bool {
        if self.entries.get(index, generation).is_some() && memory.done(index) != generation {
            return false;
        }
        if let Some(piece) = self.entries.remove_if(index, generation, |_| true) {
            self.spans.give_back(piece.place);
        }
        true
    }

    /// Takes back what the device was through with first.
    fn reclaim_oldest(&mut self, memory: &RegionMemory) {
        while let Some(&(index, generation)) = self.order.front()
            && self.reclaim(memory, index, generation)
        {
            self.order.pop_front();
        }
    }

    /// Takes back all that the device is through with.
    fn reclaim_all(&mut self, memory: &RegionMemory) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&(index, generation)| !self.reclaim(memory, index, generation));
        self.order = order;
    }

    fn allot(&mut self, bytes: u32) -> Option<(Reference, u64)> {
        if self.entries.is_full() {
            return None;
        }
        let place = self.spans.take(bytes.into())?;
        let offset = place.start;
        let (index, generation) = self.entries.insert(Piece { place, bytes })?;
        self.order.push_back((index, generation));
        Some((Reference { index, generation, bytes }, offset))
    }
}

impl PayloadArena for RegionArena {
    fn put(&self, payload: &[u8]) -> Result<Reference, ArenaFull> {
        let mut state = self.lock();
        state.reclaim_oldest(&self.memory);
        let bytes = u32::try_from(payload.len()).ok().filter(|bytes| u64::from(*bytes) <= self.most());
        let mut allotted = bytes.and_then(|bytes| state.allot(bytes));
        if allotted.is_none() {
            state.reclaim_all(&self.memory);
            allotted = bytes.and_then(|bytes| state.allot(bytes));
        }
        let Some((reference, offset)) = allotted else {
            return Err(ArenaFull {
                bytes: payload.len() as u64,
                used: state.spans.used(),
                most: self.most(),
            });
        };
        drop(state);
        // Without the lock: nobody else has the piece, nor the entry.
        self.memory.write(offset, payload);
        self.memory.publish(reference.index, reference.generation, reference.bytes, offset);
        Ok(reference)
    }

    fn withdraw(&self, reference: Reference) {
        let Reference { index, generation, bytes } = reference;
        let mut state = self.lock();
        if let Some(piece) = state.entries.remove_if(index, generation, |piece| piece.bytes == bytes) {
            // Before anybody can have the entry again.
            self.memory.retire(index);
            state.spans.give_back(piece.place);
            if state.order.back() == Some(&(index, generation)) {
                state.order.pop_back();
            } else if state.order.len() > 2 * self.memory.entries() as usize {
                // The oldest waits, and others come and go behind it.
                state.reclaim_all(&self.memory);
            }
        }
    }

    fn has_room(&self, bytes: u64) -> bool {
        if bytes > self.most() {
            return false;
        }
        let mut state = self.lock();
        state.reclaim_all(&self.memory);
        if state.entries.is_full() {
            return false;
        }
        let piece = state.spans.take(bytes);
        let has_room = piece.is_some();
        piece.into_iter().for_each(|piece| state.spans.give_back(piece));
        has_room
    }

    fn used(&self) -> u64 {
        let mut state = self.lock();
        state.reclaim_all(&self.memory);
        state.spans.used()
    }

    fn most(&self) -> u64 {
        // Pieces are whole multiples of that.
        self.memory.bytes() / Spans::ALIGN * Spans::ALIGN
    }
}

#[cfg(test)]
#[path = "region_tests.rs"]
mod tests;
