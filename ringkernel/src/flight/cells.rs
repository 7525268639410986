//! The cells of one flight, and the word that says whose the flight is and how many replies are still to come.
//!
//! A cell's state is written by turns: `WAITING` by the holder before the request is handed over, `READY` by the one who delivers its
//! reply. Each acquires what the other released, so that the reply is whole, and is not overwritten before it was read.
//! The word changes by read-modify-writes only, which have one order: of a holder that goes to sleep and a drainer that has
//! delivered, one sees the other.
//!
//! This file is also compiled into a model that loom runs: everything atomic comes through `super::sync`.

use super::sync::{AtomicU64, AtomicWaker, Ordering};
use ringkernel_backends::abi::slot::GENERATION_MASK;
use std::task::Waker;

// A cell is some words of 64 bits. The first is its state: what it is in the lowest 16 bits, then the lap, and the instance in the upper
// half. The second is what the reply is: see `shape`. Then comes the reply, two of its words in each.

const WAITING: u32 = 1;
const READY: u32 = 2;
const NO_SUCH_INSTANCE: u32 = 3;
const NOT_SENT: u32 = 4;
/// Where the lap begins.
const LAP: u32 = 16;

/// Words of a cell in front of the reply.
const HEAD: usize = 2;
/// Words of a line of the cache. No cell of less lies in two.
const LINE: usize = 8;

/// Somebody holds the flight.
const HELD: u64 = 1;
/// Its holder is gone, replies are still to come.
const ORPHAN: u64 = 2;
/// The polling bridge was told to look for the replies.
const WATCHED: u64 = 4;
/// A waker may be there to be woken.
const ASLEEP: u64 = 8;
/// One reply to come.
const ONE: u64 = 1 << 8;

/// What the holder finds in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Waiting,
    Ready,
    /// There is no such instance; nothing was sent.
    NoSuchInstance,
    /// The kernel took no more requests; nothing was sent.
    NotSent,
}

/// What is to be done when replies were delivered, or the holder is gone.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The holder, who sleeps.
    pub(crate) waker: Option<Waker>,
    /// The bridge need not look any more.
    pub(crate) unwatched: bool,
    /// The flight can be held by another.
    pub(crate) vacated: bool,
}

/// The tag of a reply, and how many words of 32 bits it has.
#[inline]
pub(crate) const fn shape(tag: u32, words: usize) -> u64 {
    tag as u64 | (words as u64) << 32
}

/// A reply in its cell.
#[derive(Clone, Copy)]
pub(crate) struct Reply<'a> {
    pub(crate) shape: u64,
    /// Two of the reply's words in each, the first in the lower half. What lies behind the last is anything.
    pub(crate) pairs: &'a [AtomicU64],
}

pub(crate) struct Cells {
    word: AtomicU64,
    waker: AtomicWaker,
    words: Box<[AtomicU64]>,
    /// Where the first cell begins: on a line.
    first: usize,
    stride: usize,
    /// Cells less one; their number is a power of two.
    mask: u64,
    shift: u32,
}

impl Cells {
    /// `capacity` cells, a power of two of at most 2^16, for replies of up to `reply` words.
    pub(crate) fn new(capacity: usize, reply: usize) -> Self {
        let words = HEAD + reply.div_ceil(2);
        let stride = if words < LINE { words.next_power_of_two() } else { words.next_multiple_of(LINE) };
        let words: Box<[_]> = (0..capacity * stride + LINE - 1).map(|_| AtomicU64::new(0)).collect();
        Self {
            word: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            first: (words.as_ptr().addr() / 8).wrapping_neg() % LINE,
            words,
            stride,
            mask: capacity as u64 - 1,
            shift: capacity.trailing_zeros(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.mask as usize + 1
    }

    /// Whether they are more than a core's own cache holds along with other things: more than 512 KiB.
    pub(crate) fn are_many(&self) -> bool {
        self.words.len() > 1 << 16
    }

    /// The cell and the lap of a position.
    #[inline]
    pub(crate) fn place(&self, position: u64) -> (u32, u16) {
        ((position & self.mask) as u32, (position >> self.shift) as u16 & GENERATION_MASK)
    }

    #[inline]
    fn cell(&self, cell: u32) -> Option<(&AtomicU64, &AtomicU64, &[AtomicU64])> {
        let at = self.first + cell as usize * self.stride;
        match self.words.get(at..at + self.stride)? {
            [state, shape, reply @ ..] => Some((state, shape, reply)),
            _ => None,
        }
    }

    /// The state of a cell: the first of its words.
    #[inline]
    pub(crate) fn state(&self, cell: u32) -> Option<&AtomicU64> {
        self.words.get(self.first + cell as usize * self.stride)
    }

    // The holder.

    /// Holds the flight, if nobody does and nothing is to come.
    pub(crate) fn hold(&self) -> bool {
        // Acquire pairs with the release of the last holder, or of who delivered its last reply.
        self.word.compare_exchange(0, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn set(&self, position: u64, instance: u32, kind: u32) {
        let (cell, lap) = self.place(position);
        if let Some((state, ..)) = self.cell(cell) {
            let what = (instance as u64) << 32 | ((lap as u32) << LAP | kind) as u64;
            // Release pairs with the acquire in `deliver`: we have read the cell's last reply.
            state.store(what, Ordering::Release);
        }
    }

    /// The request of `position` will be sent.
    #[inline]
    pub(crate) fn expect(&self, position: u64, instance: u32) {
        self.set(position, instance, WAITING);
    }

    /// It will not: there is no such instance.
    pub(crate) fn refuse(&self, position: u64, instance: u32) {
        self.set(position, instance, NO_SUCH_INSTANCE);
    }

    /// It was expected, and was not handed over in the end.
    pub(crate) fn withdraw(&self, position: u64, instance: u32) {
        self.set(position, instance, NOT_SENT);
        // Relaxed: nobody delivers for it.
        self.word.fetch_sub(ONE, Ordering::Relaxed);
    }

    /// `count` requests are about to be handed over.
    pub(crate) fn departing(&self, count: usize) {
        // Relaxed: handing them over publishes it to who delivers.
        self.word.fetch_add(count as u64 * ONE, Ordering::Relaxed);
    }

    /// Replies to come.
    pub(crate) fn outstanding(&self) -> usize {
        (self.word.load(Ordering::Relaxed) / ONE) as usize
    }

    #[inline]
    pub(crate) fn look(&self, position: u64) -> Found {
        let (cell, lap) = self.place(position);
        let Some((state, ..)) = self.cell(cell) else { return Found::NotSent };
        // Acquire pairs with the release in `deliver`: the reply is there.
        let state = state.load(Ordering::Acquire) as u32;
        debug_assert_eq!(state >> LAP, lap as u32, "position {position} is not the holder's");
        match state & ((1 << LAP) - 1) {
            READY => Found::Ready,
            NO_SUCH_INSTANCE => Found::NoSuchInstance,
            NOT_SENT => Found::NotSent,
            _ => Found::Waiting,
        }
    }

    /// The reply of `position`, if it is there: what most looks find.
    #[inline]
    pub(crate) fn ready(&self, position: u64) -> Option<Reply<'_>> {
        let (cell, lap) = self.place(position);
        let (state, shape, pairs) = self.cell(cell)?;
        // Acquire pairs with the release in `deliver`: the reply is there.
        if state.load(Ordering::Acquire) as u32 != (lap as u32) << LAP | READY {
            return None;
        }
        // Relaxed: acquired above.
        Some(Reply { shape: shape.load(Ordering::Relaxed), pairs })
    }

    /// The instance that was asked at `position`, and the reply that is ready.
    pub(crate) fn reply(&self, position: u64) -> (u32, Reply<'_>) {
        let (cell, _) = self.place(position);
        let Some((state, shape, pairs)) = self.cell(cell) else { return (0, Reply { shape: 0, pairs: &[] }) };
        // Relaxed: the look acquired them.
        let instance = (state.load(Ordering::Relaxed) >> 32) as u32;
        (instance, Reply { shape: shape.load(Ordering::Relaxed), pairs })
    }

    /// Leaves a waker; look again afterwards. Where the bridge is to watch, says whether it was not told before.
    pub(crate) fn sleep(&self, waker: &Waker, watch: bool) -> bool {
        self.waker.register(waker);
        let flags = if watch { ASLEEP | WATCHED } else { ASLEEP };
        // Acquire: a drainer that came first delivered what we will find. Release: one that comes later finds the waker.
        let before = self.word.fetch_or(flags, Ordering::AcqRel);
        watch && before & WATCHED == 0
    }

    /// The holder goes. What was handed over and is not answered keeps the flight from others, unless `ended` says that nothing will
    /// come, and the bridge is to watch it, if `watch` says so. Also says whether the bridge was not told before.
    pub(crate) fn let_go(&self, watch: bool, ended: bool) -> (Settled, bool) {
        // While it can only be ours. Dropped last: it may drop anything.
        let waker = self.waker.take();
        let left = |word: u64| if ended { 0 } else { word / ONE };
        let before = self.update(|word| match left(word) {
            0 => 0,
            left => (left * ONE) | ORPHAN | word & WATCHED | if watch { WATCHED } else { 0 },
        });
        drop(waker);
        let (left, watched) = (left(before), before & WATCHED != 0);
        let settled = Settled { waker: None, unwatched: left == 0 && watched, vacated: left == 0 };
        (settled, left > 0 && watch && !watched)
    }

    /// Nothing will come any more.
    pub(crate) fn end(&self) -> Option<Waker> {
        self.update(|word| if word & HELD != 0 { HELD } else { 0 });
        self.waker.take()
    }

    // Who delivers.

    /// The lap that a cell is in. It stays that until its request was answered.
    pub(crate) fn lap(&self, cell: u32) -> Option<u16> {
        // Relaxed: `deliver` acquires it.
        Some((self.state(cell)?.load(Ordering::Relaxed) as u32 >> LAP) as u16)
    }

    /// Puts a reply into its cell, where `fill` writes its words, as many as there is room for; `false` when no request waits there.
    #[inline]
    pub(crate) fn deliver(&self, cell: u32, lap: u16, what: u64, fill: impl FnOnce(&[AtomicU64])) -> bool {
        let Some((state, shape, pairs)) = self.cell(cell) else { return false };
        // Acquire pairs with the release in `set`: the holder has read what we overwrite.
        let waiting = state.load(Ordering::Acquire);
        if waiting as u32 != (lap as u32) << LAP | WAITING {
            return false;
        }
        // Relaxed, and so is what `fill` does: published by the release below.
        shape.store(what, Ordering::Relaxed);
        fill(pairs);
        // Release pairs with the acquire in `look`. No exchange: one drainer has the reply to this request.
        state.store(waiting ^ (WAITING ^ READY) as u64, Ordering::Release);
        true
    }

    /// `count` replies were delivered since the last call.
    pub(crate) fn settle(&self, count: usize) -> Settled {
        let after = |word: u64| {
            let left = (word / ONE).saturating_sub(count as u64);
            let mut flags = word & (ONE - 1) & !ASLEEP;
            if flags & ORPHAN == 0 {
                // The holder is woken, and tells the bridge again if it must.
                flags &= !WATCHED;
            } else if left == 0 {
                flags = 0;
            }
            (left * ONE) | flags
        };
        let before = self.update(after);
        let gone = before & !after(before);
        Settled {
            // By now the flight may have another holder, who is woken for nothing then; it looks, and sleeps again.
            waker: if before & ASLEEP != 0 { self.waker.take() } else { None },
            unwatched: gone & WATCHED != 0,
            vacated: before & ORPHAN != 0 && after(before) == 0,
        }
    }

    fn update(&self, to: impl Fn(u64) -> u64) -> u64 {
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            // Release: what we delivered is found by whoever sees that we did. Acquire: we find the waker of who sleeps.
            match self.word.compare_exchange_weak(now, to(now), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(before) => return before,
                Err(other) => now = other,
            }
        }
    }
}
