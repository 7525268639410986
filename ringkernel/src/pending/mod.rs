//! Requests that wait for their reply: a slab of entries that never moves, addressed by what crosses the ring.
//!
//! An entry lives from the moment a request is made until its reply was taken, or, where nobody wants the reply any more,
//! until it has arrived. The device answers every request once, so an entry is reused only when no reply to its last
//! request can still come: a generation is never met again early, although it has 16 bits only.
//!
//! ```text
//! insert ──▶ Waiting ──deliver──▶ Ready ──take──▶ free
//!               │  └──close──▶ Closed ──take──▶ free
//!               └──abandon (was sent)──▶ Nobody ──deliver, close──▶ free
//! ```
//!
//! No lock and no allocation stands in a request's way: an entry's state is one atomic word ([`cell`]), and a reply is copied to words
//! of its own. Both are there from when the slab last grew.

mod cell;
mod sync {
    //! Where [`cell`](super::cell)'s atomics come from. The model that loom runs has another of these.
    pub(crate) use futures::task::AtomicWaker;
    pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
}

use cell::{Cell, Look};
use ringkernel_backends::abi::Correlation;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Poll, Waker};

/// Entries of the first chunk; each further one has twice as many.
const FIRST: u32 = 64;
/// Chunks at most.
const CHUNKS: usize = 14;
/// Entries at most: about a million requests of one kernel that wait for a reply, or whose reply waits to be received.
#[cfg(test)]
pub(crate) const MOST: u32 = FIRST * ((1 << CHUNKS) - 1);

/// Names an entry in one of its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u16,
}

impl Key {
    pub(crate) fn correlation(self) -> Correlation {
        Correlation { index: self.index, generation: self.generation }
    }
}

/// Who wants the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A future, or a blocked thread.
    Asker,
    /// The handle's inbox.
    Inbox,
}

/// Why there is no entry to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The slab is closed: the kernel takes no more requests.
    Closed,
    /// All of a million entries are in use.
    Exhausted,
}

/// What became of a reply.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// It waits in the entry; wake the asker, if it sleeps.
    Asker(Option<Waker>),
    /// It waits in the entry, for the inbox.
    Inbox(Key),
    /// Nobody wanted it any more; the entry is free.
    Discarded,
    /// No request waits under that correlation.
    Unknown,
}

// Entries lie side by side, and different threads wait at each.
#[repr(align(64))]
struct Entry {
    /// The next free entry's index + 1, while this one is free.
    next: AtomicU32,
    cell: Cell,
}

struct Chunk {
    entries: Box<[Entry]>,
    /// The replies' words.
    words: Box<[AtomicU32]>,
}

/// The entries of one kernel.
pub(crate) struct Slab {
    chunks: [OnceLock<Chunk>; CHUNKS],
    /// Words of the largest reply.
    reply: usize,
    /// First free entry: index + 1 in the low half (0: none), a count of changes in the high half against ABA.
    free: AtomicU64,
    /// Twice the entries in use, and 1 once the slab is closed.
    live: AtomicUsize,
    /// Held while a chunk is added.
    grow: Mutex<()>,
    vacancy: event_listener::Event,
}

impl Slab {
    /// A slab for replies of up to `reply` words.
    pub(crate) fn new(reply: usize) -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            reply,
            free: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            grow: Mutex::new(()),
            vacancy: event_listener::Event::new(),
        }
    }

    /// Entries in use.
    pub(crate) fn live(&self) -> usize {
        // Relaxed: a figure. One that is freed by others before its own thread counted it makes it negative for a moment.
        (self.live.load(Ordering::Relaxed) as isize >> 1).max(0) as usize
    }

    /// Notified when an entry is freed, once all there can be have been made; and when the slab is closed.
    pub(crate) fn vacancy(&self) -> &event_listener::Event {
        &self.vacancy
    }

    /// Whether it is closed.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire pairs with the release in `close`: whoever sees it closed sees why, if there is a reason
        // (`LiveKernel::ended` is set before).
        self.live.load(Ordering::Acquire) & 1 != 0
    }

    /// Takes an entry for a request to `instance`. `watched` comes back when the reply is delivered.
    #[inline]
    pub(crate) fn insert(&self, owner: Owner, instance: u32, watched: bool) -> Result<Key, Refused> {
        let index = match self.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let (entry, _) = self.entry(index).ok_or(Refused::Exhausted)?;
        let generation = entry.cell.open(owner == Owner::Inbox, instance, watched);
        let key = Key { index, generation };
        // Release: if `close` counts after us, it finds the entry waiting. Acquire: if before, we see that it did.
        if self.live.fetch_add(2, Ordering::AcqRel) & 1 != 0 {
            // `close` may have found it all the same, and freed it.
            self.abandon(key, false);
            return Err(Refused::Closed);
        }
        Ok(key)
    }

    /// Hands over the reply to the request of `correlation`. Also says whether it was watched.
    #[inline]
    pub(crate) fn deliver(&self, correlation: Correlation, tag: u32, words: &[u32]) -> (Delivered, bool) {
        let key = Key { index: correlation.index, generation: correlation.generation };
        let Some((entry, place)) = self.entry(key.index) else { return (Delivered::Unknown, false) };
        let (delivered, watched) = entry.cell.deliver(key.generation, tag, words, place);
        let delivered = match delivered {
            cell::Delivered::Asker(waker) => Delivered::Asker(waker),
            cell::Delivered::Inbox => Delivered::Inbox(key),
            cell::Delivered::Discarded => {
                self.release(key.index, entry);
                Delivered::Discarded
            }
            cell::Delivered::Unknown => Delivered::Unknown,
        };
        (delivered, watched)
    }

    /// Takes the reply, if it is there, through `read(instance, tag, words)`, and frees the entry; else leaves `waker` to be
    /// woken. `Err` when the slab was closed before a reply came.
    #[inline]
    pub(crate) fn take<R>(
        &self,
        key: Key,
        waker: Option<&Waker>,
        read: impl FnOnce(u32, u32, &[AtomicU32]) -> R,
    ) -> Poll<Result<R, Refused>> {
        let Some((entry, place)) = self.entry(key.index) else { return Poll::Ready(Err(Refused::Closed)) };
        let mut look = entry.cell.look(key.generation);
        if let (Look::Waiting, Some(waker)) = (look, waker) {
            look = entry.cell.sleep(key.generation, waker);
        }
        let result = match look {
            Look::Waiting => return Poll::Pending,
            Look::Gone => return Poll::Ready(Err(Refused::Closed)),
            Look::Closed => Err(Refused::Closed),
            Look::Ready => {
                let (instance, tag, words) = entry.cell.reply();
                Ok(read(instance, tag, &place[..words.min(place.len())]))
            }
        };
        entry.cell.free();
        self.release(key.index, entry);
        Poll::Ready(result)
    }

    /// What a ready reply is, without taking it: `peek(instance, tag, words)`. For the owner.
    pub(crate) fn peek<R>(&self, key: Key, peek: impl FnOnce(u32, u32, &[AtomicU32]) -> R) -> Option<R> {
        let (entry, place) = self.entry(key.index)?;
        (entry.cell.look(key.generation) == Look::Ready).then(|| {
            let (instance, tag, words) = entry.cell.reply();
            peek(instance, tag, &place[..words.min(place.len())])
        })
    }

    /// The use that an entry is in: for whoever answers a request that carries none.
    pub(crate) fn generation(&self, index: u32) -> Option<u16> {
        self.entry(index).map(|(entry, _)| entry.cell.generation())
    }

    /// Asks that the bridge's watch over a waiting entry be noted; `false` when there is nothing to wait for any more.
    pub(crate) fn watch(&self, key: Key) -> bool {
        self.entry(key.index).is_some_and(|(entry, _)| entry.cell.watch(key.generation))
    }

    /// The owner no longer wants the reply. `sent` says whether a reply is to be expected at all. Says whether an entry was
    /// freed that was watched.
    pub(crate) fn abandon(&self, key: Key, sent: bool) -> bool {
        let Some((entry, _)) = self.entry(key.index) else { return false };
        let freed = entry.cell.abandon(key.generation, sent);
        if freed.is_some() {
            self.release(key.index, entry);
        }
        freed.unwrap_or(false)
    }

    /// Refuses new entries from now on; those there are wait on.
    pub(crate) fn refuse(&self) {
        // Release pairs with the acquire in `is_closed`; acquire with the release in `insert`: what was counted before is seen, and
        // the chunk it is in.
        self.live.fetch_or(1, Ordering::AcqRel);
        self.vacancy.notify(usize::MAX);
    }

    /// Refuses new entries from now on, and ends the waiting of all: askers are told, what nobody waits for is freed.
    ///
    /// Returns the wakers of the askers.
    pub(crate) fn close(&self) -> Vec<Waker> {
        self.refuse();
        let mut wakers = Vec::new();
        for (number, chunk) in self.chunks.iter().enumerate() {
            let Some(chunk) = chunk.get() else { break };
            for (offset, entry) in chunk.entries.iter().enumerate() {
                match entry.cell.close() {
                    Some(Ok(waker)) => wakers.extend(waker),
                    Some(Err(())) => self.release(FIRST * ((1 << number) - 1) + offset as u32, entry),
                    None => {}
                }
            }
        }
        wakers
    }

    /// Gives an entry that was freed back.
    #[inline]
    fn release(&self, index: u32, entry: &Entry) {
        // Relaxed: a figure.
        self.live.fetch_sub(2, Ordering::Relaxed);
        self.push(index, entry);
        // Nobody waits for a vacancy before the last chunk was used up. Its entries went through `free`, and our push came
        // after those, so its acquire makes the chunk visible here whenever somebody can have found `free` empty. The fence
        // in `notify` pairs with the one in `listen`.
        if self.chunks[CHUNKS - 1].get().is_some() {
            self.vacancy.notify(1);
        }
    }

    /// An entry, and where its reply goes.
    #[inline]
    fn entry(&self, index: u32) -> Option<(&Entry, &[AtomicU32])> {
        let chunk = (index / FIRST).checked_add(1)?.ilog2() as usize;
        let offset = (index - FIRST * ((1u32 << chunk.min(CHUNKS)) - 1)) as usize;
        let chunk = self.chunks.get(chunk)?.get()?;
        let place = offset * self.reply;
        Some((chunk.entries.get(offset)?, &chunk.words[place..place + self.reply]))
    }

    fn pop(&self) -> Option<u32> {
        // Acquire pairs with the release in `push`: the entry's `next` is the one stored before it was pushed.
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            // Relaxed: if another thread popped the entry meanwhile, the exchange fails on the count of changes.
            let next = self.entry(index)?.0.next.load(Ordering::Relaxed);
            let new = next as u64 | (head >> 32).wrapping_add(1) << 32;
            match self.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    fn push(&self, index: u32, entry: &Entry) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            entry.next.store(head as u32, Ordering::Relaxed);
            let new = (index + 1) as u64 | (head >> 32).wrapping_add(1) << 32;
            // Release pairs with the acquires in `pop`; acquire: see `release`.
            match self.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    #[cold]
    fn grow(&self) -> Result<u32, Refused> {
        let _grow = self.grow.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        if let Some(index) = self.pop() {
            return Ok(index);
        }
        let chunk = self.chunks.iter().position(|chunk| chunk.get().is_none()).ok_or(Refused::Exhausted)?;
        let size = FIRST << chunk;
        let entry = |_| Entry { next: AtomicU32::new(0), cell: Cell::new() };
        let chunk = self.chunks[chunk].get_or_init(|| Chunk {
            entries: (0..size).map(entry).collect(),
            words: (0..size as usize * self.reply).map(|_| AtomicU32::new(0)).collect(),
        });
        let first = FIRST * (size / FIRST - 1);
        for (offset, entry) in chunk.entries.iter().enumerate().skip(1).rev() {
            self.push(first + offset as u32, entry);
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
