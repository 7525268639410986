//! A kernel's payload arena, and the senders that wait for room in it.
//!
//! They wait as they do for a ring ([`room`](crate::room)), in bytes where it is slots there: whoever is first in the queue is called when its payload
//! would fit, and nobody who came later before it. Room is made by the device (whoever sees it move announces that), by a sender that takes back what
//! it had put there, and, as far as others can know, by one that was called and leaves the queue.

use crate::room::{Place, Room};
use ringkernel_backends::kernel::Kernel;
use ringkernel_backends::payload::{ArenaFull, PayloadArena, Reference};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

pub(crate) struct Arena {
    memory: Arc<dyn PayloadArena>,
    room: Room,
}

impl Arena {
    /// The kernel's, if it has one.
    pub(crate) fn of(kernel: &dyn Kernel) -> Option<Arc<Self>> {
        kernel.payloads().map(|memory| Arc::new(Self { memory, room: Room::default() }))
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Reference, ArenaFull> {
        self.memory.put(bytes)
    }

    /// Gives back what was put there and not handed over.
    pub(crate) fn withdraw(&self, reference: Reference) {
        self.memory.withdraw(reference);
        // Pairs with that of a sender which found no room, between taking its place and trying once more: see `Room::call`.
        fence(Ordering::SeqCst);
        self.announce();
    }

    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.memory.has_room(bytes)
    }

    /// Wakes senders where there is room. See [`Room::call`] for the fence it takes.
    pub(crate) fn announce(&self) {
        self.room.call(|bytes| self.memory.has_room(bytes));
    }

    /// Wakes all of them: there is nothing to wait for.
    pub(crate) fn end(&self) {
        self.room.call(|_| true);
    }

    /// A place for a payload of so many bytes. Make a `SeqCst` fence and try once more before sleeping: see [`Room::call`].
    pub(crate) fn enter(&self, bytes: u64) -> (Place<'_>, Leaving<'_>) {
        (self.room.enter(bytes), Leaving(self))
    }
}

/// To be dropped behind the place: lets the others have what its payload does not take.
pub(crate) struct Leaving<'a>(&'a Arena);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // As in `withdraw`.
        fence(Ordering::SeqCst);
        self.0.announce();
    }
}
