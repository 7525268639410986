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
//! Each entry has a lock of its own, held for a few instructions by the asker or by whoever delivers. No waker is cloned away,
//! woken or dropped under it: dropping one may drop the very future that owns the entry.

use ringkernel_backends::abi::Correlation;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

/// Entries of the first chunk; each further one has twice as many.
const FIRST: u32 = 64;
/// Chunks at most.
const CHUNKS: usize = 14;
/// Entries at most: about a million requests of one kernel that wait for a reply, or whose reply waits to be received.
#[cfg(test)]
pub(crate) const MOST: u32 = FIRST * ((1 << CHUNKS) - 1);
/// A reply buffer larger than this is given back when its entry is freed.
const KEEP: usize = 4096;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Waiting(Owner),
    /// The asker is gone, the reply is still to come.
    Nobody,
    Ready,
    /// No reply will come.
    Closed,
}

struct Cell {
    generation: u16,
    state: State,
    /// Whether the polling bridge was told to look for this reply.
    watched: bool,
    instance: u32,
    tag: u32,
    reply: Vec<u8>,
    waker: Option<Waker>,
}

struct Entry {
    /// The next free entry's index + 1, while this one is free.
    next: AtomicU32,
    cell: Mutex<Cell>,
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Cell> {
        // What a panic can leave behind here is a reply that could not be decoded; the entry itself is whole.
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of one kernel.
pub(crate) struct Slab {
    chunks: [OnceLock<Box<[Entry]>>; CHUNKS],
    /// First free entry: index + 1 in the low half (0: none), a count of changes in the high half against ABA.
    free: AtomicU64,
    live: AtomicUsize,
    closed: AtomicBool,
    /// Held while a chunk is added, and while closing begins: a chunk added later finds the slab closed.
    grow: Mutex<()>,
    vacancy: event_listener::Event,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            grow: Mutex::new(()),
            vacancy: event_listener::Event::new(),
        }
    }

    /// Entries in use.
    pub(crate) fn live(&self) -> usize {
        // Relaxed: a figure.
        self.live.load(Ordering::Relaxed)
    }

    /// Notified when an entry is freed, once all there can be have been made; and when the slab is closed.
    pub(crate) fn vacancy(&self) -> &event_listener::Event {
        &self.vacancy
    }

    /// Whether it is closed.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire pairs with the release in `close`: whoever sees it closed sees why (`Core::ended` is set before).
        self.closed.load(Ordering::Acquire)
    }

    /// Takes an entry for a request to `instance`. `watched` comes back when the reply is delivered.
    pub(crate) fn insert(&self, owner: Owner, instance: u32, watched: bool) -> Result<Key, Refused> {
        let index = match self.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let entry = self.entry(index).ok_or(Refused::Exhausted)?;
        let mut cell = entry.lock();
        // Under the entry's lock, which `close` takes too: if it took it before us, its unlock made `closed` visible to our
        // lock; if after us, it finds the entry waiting.
        if self.is_closed() {
            drop(cell);
            self.push(index);
            return Err(Refused::Closed);
        }
        (cell.state, cell.instance, cell.watched) = (State::Waiting(owner), instance, watched);
        self.live.fetch_add(1, Ordering::Relaxed);
        Ok(Key { index, generation: cell.generation })
    }

    /// Hands over the reply to the request of `correlation`. Also says whether it was watched.
    pub(crate) fn deliver(&self, correlation: Correlation, tag: u32, words: &[u32]) -> (Delivered, bool) {
        let key = Key { index: correlation.index, generation: correlation.generation };
        let Some(entry) = self.entry(key.index) else { return (Delivered::Unknown, false) };
        let mut cell = entry.lock();
        if cell.generation != key.generation {
            return (Delivered::Unknown, false);
        }
        let watched = std::mem::take(&mut cell.watched);
        match cell.state {
            State::Waiting(owner) => {
                cell.state = State::Ready;
                cell.tag = tag;
                cell.reply.clear();
                cell.reply.extend(words.iter().flat_map(|word| word.to_le_bytes()));
                match owner {
                    Owner::Asker => (Delivered::Asker(cell.waker.take()), watched),
                    Owner::Inbox => (Delivered::Inbox(key), watched),
                }
            }
            State::Nobody => {
                self.release(key.index, cell);
                (Delivered::Discarded, watched)
            }
            State::Free | State::Ready | State::Closed => (Delivered::Unknown, watched),
        }
    }

    /// Takes the reply, if it is there, through `read(instance, tag, bytes)`, and frees the entry; else leaves `waker` to be
    /// woken. `Err` when the slab was closed before a reply came.
    pub(crate) fn take<R>(
        &self,
        key: Key,
        waker: Option<&Waker>,
        read: impl FnOnce(u32, u32, &[u8]) -> R,
    ) -> Poll<Result<R, Refused>> {
        let Some((entry, cell)) = self.lock(key) else { return Poll::Ready(Err(Refused::Closed)) };
        match cell.state {
            State::Ready => {
                let result = read(cell.instance, cell.tag, &cell.reply);
                self.release(key.index, cell);
                Poll::Ready(Ok(result))
            }
            State::Closed | State::Free => {
                self.release(key.index, cell);
                Poll::Ready(Err(Refused::Closed))
            }
            State::Waiting(_) | State::Nobody => {
                let Some(waker) = waker else { return Poll::Pending };
                if cell.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
                    return Poll::Pending;
                }
                drop(cell);
                // Cloned and swapped with the lock let go, see the module's text; so what came meanwhile is looked at again.
                let mut other = Some(waker.clone());
                let mut cell = entry.lock();
                std::mem::swap(&mut cell.waker, &mut other);
                let moved = cell.state == State::Ready || cell.state == State::Closed;
                drop(cell);
                drop(other);
                if moved { self.take(key, None, read) } else { Poll::Pending }
            }
        }
    }

    /// What a ready reply is, without taking it: `peek(instance, tag, bytes)`.
    pub(crate) fn peek<R>(&self, key: Key, peek: impl FnOnce(u32, u32, &[u8]) -> R) -> Option<R> {
        let (_, cell) = self.lock(key)?;
        (cell.state == State::Ready).then(|| peek(cell.instance, cell.tag, &cell.reply))
    }

    /// Asks that the bridge's watch over a waiting entry be noted; `false` when there is nothing to wait for any more.
    pub(crate) fn watch(&self, key: Key) -> bool {
        match self.lock(key) {
            Some((_, mut cell)) if matches!(cell.state, State::Waiting(_)) && !cell.watched => {
                cell.watched = true;
                true
            }
            _ => false,
        }
    }

    /// The owner no longer wants the reply. `sent` says whether a reply is to be expected at all. Says whether an entry was
    /// freed that was watched.
    pub(crate) fn abandon(&self, key: Key, sent: bool) -> bool {
        let Some((_, mut cell)) = self.lock(key) else { return false };
        if sent && matches!(cell.state, State::Waiting(_) | State::Nobody) {
            cell.state = State::Nobody;
            let waker = cell.waker.take();
            drop(cell);
            drop(waker);
            return false;
        }
        let watched = std::mem::take(&mut cell.watched);
        self.release(key.index, cell);
        watched
    }

    /// Refuses new entries from now on; those there are wait on.
    pub(crate) fn refuse(&self) {
        let grow = self.grow.lock().unwrap_or_else(PoisonError::into_inner);
        // Release pairs with the acquire in `is_closed`.
        self.closed.store(true, Ordering::Release);
        drop(grow);
        self.vacancy.notify(usize::MAX);
    }

    /// Refuses new entries from now on, and ends the waiting of all: askers are told, what nobody waits for is freed.
    ///
    /// Returns the wakers of the askers.
    pub(crate) fn close(&self) -> Vec<Waker> {
        self.refuse();
        let mut wakers = Vec::new();
        for chunk in 0..CHUNKS {
            let Some(entries) = self.chunks[chunk].get() else { break };
            for (offset, entry) in entries.iter().enumerate() {
                let mut cell = entry.lock();
                match cell.state {
                    State::Waiting(Owner::Asker) => {
                        cell.state = State::Closed;
                        wakers.extend(cell.waker.take());
                    }
                    State::Waiting(Owner::Inbox) | State::Nobody => {
                        self.release(FIRST * ((1 << chunk) - 1) + offset as u32, cell);
                    }
                    State::Free | State::Ready | State::Closed => {}
                }
            }
        }
        wakers
    }

    fn lock(&self, key: Key) -> Option<(&Entry, MutexGuard<'_, Cell>)> {
        let entry = self.entry(key.index)?;
        let cell = entry.lock();
        (cell.generation == key.generation && cell.state != State::Free).then_some((entry, cell))
    }

    /// Frees an entry: the next use has another generation.
    fn release(&self, index: u32, mut cell: MutexGuard<'_, Cell>) {
        cell.state = State::Free;
        cell.generation = cell.generation.wrapping_add(1);
        cell.watched = false;
        if cell.reply.capacity() > KEEP {
            cell.reply = Vec::new();
        }
        let waker = cell.waker.take();
        drop(cell);
        drop(waker);
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.push(index);
        // Nobody waits for a vacancy before the last chunk was used up. Its entries went through `free`, and our push came
        // after those, so its acquire makes the chunk visible here whenever somebody can have found `free` empty. The fence
        // in `notify` pairs with the one in `listen`.
        if self.chunks[CHUNKS - 1].get().is_some() {
            self.vacancy.notify(1);
        }
    }

    fn entry(&self, index: u32) -> Option<&Entry> {
        let chunk = (index / FIRST).checked_add(1)?.ilog2() as usize;
        let offset = index - FIRST * ((1u32 << chunk.min(CHUNKS)) - 1);
        self.chunks.get(chunk)?.get()?.get(offset as usize)
    }

    fn pop(&self) -> Option<u32> {
        // Acquire pairs with the release in `push`: the entry's `next` is the one stored before it was pushed.
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            // Relaxed: if another thread popped the entry meanwhile, the exchange fails on the count of changes.
            let next = self.entry(index)?.next.load(Ordering::Relaxed);
            let new = next as u64 | (head >> 32).wrapping_add(1) << 32;
            match self.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    fn push(&self, index: u32) {
        let Some(entry) = self.entry(index) else { return };
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
        let entry = |_| Entry {
            next: AtomicU32::new(0),
            cell: Mutex::new(Cell {
                generation: 0,
                state: State::Free,
                watched: false,
                instance: 0,
                tag: 0,
                reply: Vec::new(),
                waker: None,
            }),
        };
        // The lock makes us the only one to set it.
        let _ = self.chunks[chunk].set((0..size).map(entry).collect());
        let first = FIRST * ((1 << chunk) - 1);
        for index in (first + 1..first + size).rev() {
            self.push(index);
        }
        Ok(first)
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
