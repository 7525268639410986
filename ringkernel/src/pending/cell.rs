//! The state of one entry: one word that says whose it is, and what it guards.
//!
//! ```text
//!             open ──▶ WAITING ──deliver──▶ READY ──free──▶ FREE
//!                         │ └──close──▶ CLOSED ──free──▶ FREE
//!                         └──abandon──▶ NOBODY ──deliver, close──▶ FREE
//! ```
//!
//! Who may move it: from `FREE`, whoever took the entry from the free list. From `WAITING` and `NOBODY`, whoever's exchange is first:
//! the one who delivers, the owner who abandons, the one who closes. From `READY` and `CLOSED`, the owner alone.
//! The instance is written by the one who opens, the reply by the one who delivers, before the exchange that says so.
//!
//! Two drainers never deliver to one request at a time, since the device answers it once. Should one answer twice through different
//! rings, a reply may be mixed up with another; it is still only bytes, which are checked when they are decoded.
//!
//! This file is also compiled into a model that loom runs: everything atomic comes through `super::sync`.

use super::sync::{AtomicU32, AtomicWaker, Ordering};
use ringkernel_backends::abi::slot::GENERATION_MASK;
use std::task::Waker;

const FREE: u32 = 0;
const WAITING: u32 = 1;
const NOBODY: u32 = 2;
const READY: u32 = 3;
const CLOSED: u32 = 4;
const KIND: u32 = 7;
/// The reply is for the inbox.
const INBOX: u32 = 1 << 3;
/// The polling bridge was told to look for the reply.
const WATCHED: u32 = 1 << 4;
/// A waker may be there to be woken.
const ASLEEP: u32 = 1 << 5;
/// The generation is the upper half.
const GENERATION: u32 = 16;

/// What became of a reply.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// It waits in the entry; wake the asker, if it sleeps.
    Asker(Option<Waker>),
    /// It waits in the entry, for the inbox.
    Inbox,
    /// Nobody wanted it any more; the entry is free.
    Discarded,
    /// No request waits under that correlation.
    Unknown,
}

/// What the owner finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Waiting,
    Ready,
    /// No reply will come.
    Closed,
    /// The entry is not the owner's (any more).
    Gone,
}

pub(crate) struct Cell {
    state: AtomicU32,
    instance: AtomicU32,
    tag: AtomicU32,
    words: AtomicU32,
    waker: AtomicWaker,
}

fn generation(state: u32) -> u16 {
    (state >> GENERATION) as u16
}

/// The state of a free entry whose next use is another generation.
fn freed(state: u32) -> u32 {
    ((generation(state).wrapping_add(1) & GENERATION_MASK) as u32) << GENERATION | FREE
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            instance: AtomicU32::new(0),
            tag: AtomicU32::new(0),
            words: AtomicU32::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Begins a use; says which. The entry was taken from the free list by the caller, who publishes it to those who deliver and
    /// close.
    pub(crate) fn open(&self, inbox: bool, instance: u32, watched: bool) -> u16 {
        // Relaxed: taking the entry from the list brought its last state.
        let generation = generation(self.state.load(Ordering::Relaxed));
        self.instance.store(instance, Ordering::Relaxed);
        let flags = if inbox { INBOX } else { 0 } | if watched { WATCHED } else { 0 };
        self.state.store((generation as u32) << GENERATION | flags | WAITING, Ordering::Relaxed);
        generation
    }

    /// Moves the state by `to` until it says that it is not to be moved; the last state but one, or the one that was left.
    fn advance(&self, to: impl Fn(u32) -> Option<u32>) -> Result<u32, u32> {
        // Acquire, each time: what was written before the state we act on is visible to us. Release: what we wrote before is
        // visible to whoever acts on ours.
        let mut now = self.state.load(Ordering::Acquire);
        while let Some(next) = to(now) {
            match self.state.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(now),
                Err(other) => now = other,
            }
        }
        Err(now)
    }

    /// The use it is in. It stays that until its request was answered.
    pub(crate) fn generation(&self) -> u16 {
        // Relaxed: whoever acts on it moves the state by an exchange.
        generation(self.state.load(Ordering::Relaxed))
    }

    /// Hands over the reply, through `place`. Also says whether it was watched. What is [`Discarded`](Delivered::Discarded) goes
    /// back to the free list.
    pub(crate) fn deliver(&self, of: u16, tag: u32, reply: &[u32], place: &[AtomicU32]) -> (Delivered, bool) {
        // Acquire pairs with the release by which the entry was last moved: its former owner has read what we overwrite.
        let now = self.state.load(Ordering::Acquire);
        if generation(now) == of && now & KIND == WAITING {
            // Relaxed, all: published by the exchange below.
            self.tag.store(tag, Ordering::Relaxed);
            self.words.store(reply.len().min(place.len()) as u32, Ordering::Relaxed);
            reply.iter().zip(place).for_each(|(word, place)| place.store(*word, Ordering::Relaxed));
        }
        let moved = self.advance(|now| match now & KIND {
            _ if generation(now) != of => None,
            WAITING => Some(now & !(KIND | WATCHED | ASLEEP) | READY),
            NOBODY => Some(freed(now)),
            _ => None,
        });
        let Ok(before) = moved else { return (Delivered::Unknown, false) };
        let delivered = match before & KIND {
            NOBODY => Delivered::Discarded,
            _ if before & INBOX != 0 => Delivered::Inbox,
            // The entry may have another owner by now, who is woken for nothing then; it looks, and sleeps again.
            _ => Delivered::Asker(if before & ASLEEP != 0 { self.waker.take() } else { None }),
        };
        (delivered, before & WATCHED != 0)
    }

    /// What the owner of use `of` finds. One look: nothing but a load.
    #[inline]
    pub(crate) fn look(&self, of: u16) -> Look {
        // Acquire pairs with the exchange in `deliver`: the reply is there.
        let now = self.state.load(Ordering::Acquire);
        match now & KIND {
            FREE => Look::Gone,
            _ if generation(now) != of => Look::Gone,
            READY => Look::Ready,
            CLOSED => Look::Closed,
            _ => Look::Waiting,
        }
    }

    /// The instance, and the tag and length of the reply that is ready.
    #[inline]
    pub(crate) fn reply(&self) -> (u32, u32, usize) {
        let words = self.words.load(Ordering::Relaxed) as usize;
        (self.instance.load(Ordering::Relaxed), self.tag.load(Ordering::Relaxed), words)
    }

    /// Ends the use of an entry that the owner found ready or closed. It goes back to the free list.
    #[inline]
    pub(crate) fn free(&self) {
        // Relaxed, and no exchange: nobody else moves it from here. The free list publishes it.
        self.state.store(freed(self.state.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Leaves a waker, and looks once more.
    pub(crate) fn sleep(&self, of: u16, waker: &Waker) -> Look {
        // Registered first. Either the one who delivers sees `ASLEEP`, and takes the waker (or has taken an older one, and then the
        // registration makes its exchange visible to us); or our exchange fails for its having been first.
        self.waker.register(waker);
        let sleeping = |now: u32| {
            let waits = generation(now) == of && now & KIND == WAITING;
            (waits && now & ASLEEP == 0).then_some(now | ASLEEP)
        };
        let look = if self.advance(sleeping).is_ok() { Look::Waiting } else { self.look(of) };
        if look != Look::Waiting {
            // Nobody else may come for it.
            drop(self.waker.take());
        }
        look
    }

    /// Notes that the bridge watches a waiting entry; `false` when it did already, or there is nothing to wait for.
    pub(crate) fn watch(&self, of: u16) -> bool {
        let watched = |now: u32| {
            let waits = generation(now) == of && now & KIND == WAITING;
            (waits && now & WATCHED == 0).then_some(now | WATCHED)
        };
        self.advance(watched).is_ok()
    }

    /// The owner wants no reply. `sent`: one is to come, if it has not. `Some(watched)` when the entry goes back to the free list.
    pub(crate) fn abandon(&self, of: u16, sent: bool) -> Option<bool> {
        // Relaxed: only the owner sets it.
        let asleep = self.state.load(Ordering::Relaxed) & ASLEEP != 0;
        // Before the entry can be another's, whose waker this might then be. Dropped last: it may drop anything, even us.
        let _waker = asleep.then(|| self.waker.take());
        let moved = self.advance(|now| match now & KIND {
            FREE => None,
            _ if generation(now) != of => None,
            WAITING if sent => Some(now & !(KIND | ASLEEP) | NOBODY),
            NOBODY if sent => None,
            _ => Some(freed(now)),
        });
        let before = moved.ok()?;
        if sent && before & KIND == WAITING { None } else { Some(before & WATCHED != 0) }
    }

    /// Ends the waiting: `Ok` with the waker of an asker that is to be told, `Err` when the entry goes back to the free list. `None`
    /// where nobody waits.
    pub(crate) fn close(&self) -> Option<Result<Option<Waker>, ()>> {
        let moved = self.advance(|now| match now & KIND {
            WAITING if now & INBOX == 0 => Some(now & !(KIND | ASLEEP) | CLOSED),
            WAITING | NOBODY => Some(freed(now)),
            _ => None,
        });
        let before = moved.ok()?;
        if before & KIND == NOBODY || before & INBOX != 0 {
            return Some(Err(()));
        }
        Some(Ok(if before & ASLEEP != 0 { self.waker.take() } else { None }))
    }
}
