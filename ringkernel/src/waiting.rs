//! Senders that wait: for a slot of their shard's ring, or for room in the arena for what no slot carries.

use crate::RingKernelError;
use crate::arena::Leaving;
use crate::live::LiveKernel;
use crate::requests::NotSent;
use crate::room::Place;
use std::sync::atomic::{Ordering, fence};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How long a sender that finds a ring full looks for room before it sleeps. A device that is busy with the ring makes some within a
/// microsecond or two, and to be woken on another core takes some tens of them.
const LOOKING: Duration = Duration::from_micros(20);

/// What a sender waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    /// Room in the ring.
    Slot,
    /// Room in the arena, for a payload of so many bytes.
    Memory(u64),
}

impl NotSent {
    /// What there will be room for, if there ever is.
    pub(crate) fn lacks(&self) -> Option<Lacks> {
        match self {
            Self::Full => Some(Lacks::Slot),
            Self::NoMemory(full) if full.bytes <= full.most => Some(Lacks::Memory(full.bytes)),
            Self::NoMemory(_) | Self::TooLarge(_) => None,
        }
    }
}

impl LiveKernel {
    /// Waits until a payload of so many bytes has room, or had a moment ago.
    pub(crate) fn poll_memory<'a>(
        &'a self,
        bytes: u64,
        waiting: &mut Option<Waiting<'a>>,
        waker: &Waker,
    ) -> Poll<Result<(), RingKernelError>> {
        let has_room = || self.arena.as_ref().is_none_or(|arena| arena.has_room(bytes));
        self.poll_room(0, waiting, waker, || if has_room() { Ok(()) } else { Err(Lacks::Memory(bytes)) })
    }

    /// Tries to send through a shard's ring, and again whenever there may be room for what was lacking.
    pub(crate) fn poll_room<'a, T>(
        &'a self,
        shard: usize,
        waiting: &mut Option<Waiting<'a>>,
        waker: &Waker,
        mut attempt: impl FnMut() -> Result<T, Lacks>,
    ) -> Poll<Result<T, RingKernelError>> {
        loop {
            if let Err(ended) = self.check_open() {
                *waiting = None;
                return Poll::Ready(Err(ended));
            }
            let lacks = match attempt() {
                Ok(sent) => {
                    *waiting = None;
                    return Poll::Ready(Ok(sent));
                }
                Err(lacks) => lacks,
            };
            match waiting.as_mut().filter(|waiting| waiting.lacks == lacks) {
                None => {
                    *waiting = None;
                    let (place, leaving) = match (lacks, &self.arena) {
                        (Lacks::Memory(bytes), Some(arena)) => {
                            let (place, leaving) = arena.enter(bytes);
                            (place, Some(leaving))
                        }
                        _ => (self.lanes[shard].room.enter(1), None),
                    };
                    let looking = (lacks == Lacks::Slot && self.may_answer()).then(Instant::now);
                    let work = Work::of(self);
                    *waiting = Some(Waiting { place, _leaving: leaving, lacks, looking, _work: work });
                    // Pairs with the fence in `collect`: see `Room::call`.
                    fence(Ordering::SeqCst);
                    self.check_device();
                }
                Some(Waiting { looking: Some(since), .. }) if since.elapsed() < LOOKING => {
                    // Other tasks run in between.
                    waker.wake_by_ref();
                    return Poll::Pending;
                }
                Some(place) => match place.place.poll(waker) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => *waiting = None,
                },
            }
        }
    }
}

/// What a sender that waits for room holds: its place, and the bridge's attention.
pub(crate) struct Waiting<'a> {
    // In this order: see `Leaving`.
    place: Place<'a>,
    _leaving: Option<Leaving<'a>>,
    lacks: Lacks,
    /// Since when it looks for room itself, instead of sleeping.
    looking: Option<Instant>,
    _work: Option<Work<'a>>,
}

/// Counts as work for the bridge until dropped.
pub(crate) struct Work<'a>(&'a LiveKernel);

impl<'a> Work<'a> {
    pub(crate) fn of(live: &'a LiveKernel) -> Option<Self> {
        live.bridge.as_ref()?;
        live.raise_work();
        Some(Self(live))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.lower_work();
    }
}
