//! The right to a request's reply, from the moment its entry was taken.

use crate::RingKernelError;
use crate::live::LiveKernel;
use crate::pending::Key;
use ringkernel_backends::abi::Correlation;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long an asker looks for its reply before it sleeps: as long as looking pays, less while it does not (a slow handler, a
/// busy machine), and at last not at all for some requests. A resident kernel's round trip takes about 3 microseconds; sleeping
/// and being woken about as much again.
pub(crate) struct Patience {
    /// Nanoseconds.
    nanos: AtomicU32,
    /// Requests that are not looked for.
    skip: AtomicU32,
}

const MOST_PATIENT: u32 = 16_000;
const LEAST_PATIENT: u32 = 4_000;
const SKIP: u32 = 16;
/// Looks between two readings of the clock.
pub(crate) const LOOKS: u32 = 64;
/// Looks before another task gets a turn: a fraction of a microsecond.
pub(crate) const LOOKS_A_POLL: u32 = 16;

/// Reads a reply: the instance it came from, its tag, its words.
pub(crate) type Read<R> = fn(&LiveKernel, u32, u32, &[AtomicU32]) -> Result<R, RingKernelError>;

// Relaxed throughout: guesses, whoever writes them.
impl Patience {
    pub(crate) fn new() -> Self {
        Self { nanos: AtomicU32::new(MOST_PATIENT), skip: AtomicU32::new(0) }
    }

    pub(crate) fn take(&self) -> Option<u32> {
        match self.skip.load(Ordering::Relaxed) {
            0 => Some(self.nanos.load(Ordering::Relaxed)),
            skip => {
                self.skip.store(skip - 1, Ordering::Relaxed);
                None
            }
        }
    }

    pub(crate) fn paid(&self, nanos: u32) {
        if nanos == MOST_PATIENT {
            return;
        }
        self.nanos.store((nanos * 2).min(MOST_PATIENT), Ordering::Relaxed);
    }

    pub(crate) fn did_not_pay(&self, nanos: u32) {
        if nanos <= LEAST_PATIENT {
            self.skip.store(SKIP, Ordering::Relaxed);
        }
        self.nanos.store((nanos / 2).max(LEAST_PATIENT), Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not handed over.
    Opened,
    /// Handed over; the reply is ours to take.
    Sent,
    /// The entry is no longer ours.
    Done,
}

/// The right to a reply. Dropped before it came, the reply is discarded when it does.
pub(crate) struct Ticket<'a> {
    live: &'a LiveKernel,
    key: Key,
    instance: u32,
    stage: Stage,
}

impl<'a> Ticket<'a> {
    pub(crate) fn new(live: &'a LiveKernel, key: Key, instance: u32) -> Self {
        Self { live, key, instance, stage: Stage::Opened }
    }

    pub(crate) fn correlation(&self) -> Correlation {
        self.key.correlation()
    }

    /// The request was handed over.
    pub(crate) fn sent(&mut self) {
        self.stage = Stage::Sent;
    }

    /// The request was handed over, and its reply belongs to the inbox.
    pub(crate) fn leave_to_inbox(mut self) {
        self.stage = Stage::Done;
    }

    /// Asks the bridge to look for the reply, if it does not yet.
    fn watch(&self) {
        if self.live.is_polled() {
            self.live.raise_work();
            if !self.live.slab.watch(self.key) {
                self.live.lower_work();
            }
        }
    }

    /// Takes the reply if it is there; else leaves `waker` to be woken.
    #[inline]
    pub(crate) fn take<R>(
        &mut self,
        waker: Option<&Waker>,
        read: Read<R>,
    ) -> Poll<Result<R, RingKernelError>> {
        let live = self.live;
        match live.slab.take(self.key, waker, |instance, tag, words| read(live, instance, tag, words)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(taken) => {
                self.stage = Stage::Done;
                Poll::Ready(taken.unwrap_or_else(|_| Err(live.ended_error(true))))
            }
        }
    }

    /// Looks for the reply `looks` times. A look is a load of the next reply's slot, where the device does not tell of it, and one of
    /// our entry's state: both lie in the cache until somebody writes them.
    #[inline]
    fn look<R>(&mut self, looks: u32, read: Read<R>) -> Poll<Result<R, RingKernelError>> {
        let shard = self.live.shard(self.instance);
        for _ in 0..looks {
            self.live.try_drain(shard);
            let reply = self.take(None, read);
            if reply.is_ready() {
                return reply;
            }
            // Not `yield_now`: on a busy machine that gives a whole time slice away. Where the reply is written by a device on the
            // bus, no thread of this core is kept from writing it.
            if !self.live.is_polled() {
                std::hint::spin_loop();
            }
        }
        Poll::Pending
    }

    /// Looks for the reply for a moment, from a thread that has nothing else to do.
    pub(crate) fn spin<R>(&mut self, read: Read<R>) -> Option<Result<R, RingKernelError>> {
        let patience = &self.live.patience;
        let nanos = patience.take().filter(|_| self.live.may_answer())?;
        let mut start = None;
        loop {
            if let Poll::Ready(reply) = self.look(LOOKS, read) {
                patience.paid(nanos);
                return Some(reply);
            }
            // The clock is read now and then only: that takes longer than a look.
            if start.get_or_insert_with(Instant::now).elapsed() > Duration::from_nanos(nanos as u64) {
                patience.did_not_pay(nanos);
                return None;
            }
        }
    }

    /// Begins to wait for the reply. `eager`: looks for it for a moment before it sleeps.
    pub(crate) fn wait(&self, eager: bool) -> Looking {
        let patience = &self.live.patience;
        let nanos = if eager && self.live.may_answer() { patience.take() } else { None };
        if nanos.is_none() {
            self.watch();
        }
        Looking { nanos, start: None }
    }

    /// Waits for the reply.
    ///
    /// Looking is done by asking to be polled again, so other tasks run in between, and requests that are polled together are
    /// all under way before the first of them looks twice.
    pub(crate) fn poll<R>(
        &mut self,
        looking: &mut Looking,
        cx: &mut Context<'_>,
        read: Read<R>,
    ) -> Poll<Result<R, RingKernelError>> {
        let Some(nanos) = looking.nanos else {
            if self.live.is_polled() {
                // Looking costs less than waiting for the bridge's thread to look.
                self.live.try_drain(self.live.shard(self.instance));
            }
            return self.take(Some(cx.waker()), read);
        };
        if let Poll::Ready(reply) = self.look(LOOKS_A_POLL, read) {
            self.live.patience.paid(nanos);
            return Poll::Ready(reply);
        }
        if looking.start.get_or_insert_with(Instant::now).elapsed() <= Duration::from_nanos(nanos as u64) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.live.patience.did_not_pay(nanos);
        looking.nanos = None;
        self.watch();
        self.take(Some(cx.waker()), read)
    }
}

/// How a future looks for its reply.
pub(crate) struct Looking {
    /// How long it looks eagerly, from `start`; `None` once it sleeps.
    nanos: Option<u32>,
    start: Option<Instant>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.stage == Stage::Done {
            return;
        }
        if self.stage == Stage::Sent {
            // Nobody else may be looking for the late reply, which frees the entry.
            self.watch();
        }
        if self.live.slab.abandon(self.key, self.stage == Stage::Sent) {
            self.live.lower_work();
        }
    }
}
