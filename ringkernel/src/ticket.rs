//! The right to a request's reply, from the moment its entry was taken.

use crate::live::LiveKernel;
use crate::pending::Key;
use crate::{RingKernelError, RingMessage};
use ringkernel_backends::abi::Correlation;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};
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

// Relaxed throughout: guesses, whoever writes them.
impl Patience {
    pub(crate) fn new() -> Self {
        Self { nanos: AtomicU32::new(MOST_PATIENT), skip: AtomicU32::new(0) }
    }

    fn take(&self) -> Option<u32> {
        match self.skip.load(Ordering::Relaxed) {
            0 => Some(self.nanos.load(Ordering::Relaxed)),
            skip => {
                self.skip.store(skip - 1, Ordering::Relaxed);
                None
            }
        }
    }

    fn paid(&self, nanos: u32) {
        self.nanos.store((nanos * 2).min(MOST_PATIENT), Ordering::Relaxed);
    }

    fn did_not_pay(&self, nanos: u32) {
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
    pub(crate) fn watch(&self) {
        if self.live.is_polled() {
            self.live.raise_work();
            if !self.live.slab.watch(self.key) {
                self.live.lower_work();
            }
        }
    }

    /// Takes the reply if it is there.
    pub(crate) fn take<R: RingMessage>(&mut self, waker: Option<&Waker>) -> Poll<Result<R, RingKernelError>> {
        let live = self.live;
        let read = |instance, tag, bytes: &[u8]| live.read_reply(instance, tag, bytes);
        match live.slab.take(self.key, waker, read) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(taken) => {
                self.stage = Stage::Done;
                Poll::Ready(taken.unwrap_or_else(|_| Err(live.ended_error(true))))
            }
        }
    }

    /// Looks for the reply for a moment, from a thread that has nothing else to do.
    pub(crate) fn spin<R: RingMessage>(&mut self) -> Option<Result<R, RingKernelError>> {
        let patience = &self.live.patience;
        let nanos = patience.take().filter(|_| self.live.may_answer())?;
        let start = Instant::now();
        loop {
            self.live.try_drain(self.live.shard(self.instance));
            if let Poll::Ready(reply) = self.take(None) {
                patience.paid(nanos);
                return Some(reply);
            }
            if start.elapsed() > Duration::from_nanos(nanos as u64) {
                patience.did_not_pay(nanos);
                return None;
            }
            // Not `yield_now`: on a busy machine that gives a whole time slice away.
            std::hint::spin_loop();
        }
    }

    /// Waits for the reply. `eager`: looks for it for a moment before it sleeps.
    ///
    /// Looking is done by asking to be polled again, so other tasks run in between, and requests that are polled together are
    /// all under way before the first of them looks twice.
    pub(crate) async fn reply<R: RingMessage>(mut self, eager: bool) -> Result<R, RingKernelError> {
        let patience = &self.live.patience;
        let nanos = if eager && self.live.may_answer() { patience.take() } else { None };
        let mut looking = nanos.map(|nanos| (nanos, Instant::now()));
        if looking.is_none() {
            self.watch();
        }
        std::future::poll_fn(move |cx| {
            if self.live.is_polled() || looking.is_some() {
                // Looking costs less than waiting for the bridge's thread to look.
                self.live.try_drain(self.live.shard(self.instance));
            }
            let Some((nanos, start)) = looking else { return self.take(Some(cx.waker())) };
            if let Poll::Ready(reply) = self.take(None) {
                self.live.patience.paid(nanos);
                return Poll::Ready(reply);
            }
            if start.elapsed() <= Duration::from_nanos(nanos as u64) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.live.patience.did_not_pay(nanos);
            looking = None;
            self.watch();
            self.take(Some(cx.waker()))
        })
        .await
    }
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
