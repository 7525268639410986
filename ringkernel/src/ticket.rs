//! The right to a request's reply, from the moment its entry was taken.

use crate::live::LiveKernel;
use crate::pending::Key;
use crate::{RingKernelError, RingMessage};
use ringkernel_backends::abi::Correlation;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How long a blocking asker looks for its reply before it sleeps, nanoseconds: as long as looking keeps paying, less while it
/// does not (a slow handler, a busy machine). A resident kernel's round trip takes about 2500.
pub(crate) const MOST_PATIENT: u32 = 16_000;
const LEAST_PATIENT: u32 = 4_000;

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

    /// Asks the bridge to look for the reply, for a caller that has looked itself until now.
    fn watch(&self) {
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

    /// Looks for the reply for a moment, from a thread that has nothing better to do.
    pub(crate) fn spin<R: RingMessage>(&mut self) -> Option<Result<R, RingKernelError>> {
        let patience = self.live.patience.load(Ordering::Relaxed);
        let start = Instant::now();
        loop {
            self.live.try_drain(self.instance);
            if let Poll::Ready(reply) = self.take(None) {
                self.live.patience.store((patience * 2).min(MOST_PATIENT), Ordering::Relaxed);
                return Some(reply);
            }
            if start.elapsed() > Duration::from_nanos(patience as u64) {
                break;
            }
            // Not `yield_now`: on a busy machine that gives a whole time slice away.
            std::hint::spin_loop();
        }
        // Relaxed: a guess, whoever writes it.
        self.live.patience.store((patience / 2).max(LEAST_PATIENT), Ordering::Relaxed);
        self.watch();
        None
    }

    /// Waits for the reply.
    pub(crate) async fn reply<R: RingMessage>(mut self) -> Result<R, RingKernelError> {
        std::future::poll_fn(move |cx| {
            if self.live.is_polled() {
                // Looking costs less than waiting for the bridge's thread to look.
                self.live.try_drain(self.instance);
            }
            self.take(Some(cx.waker()))
        })
        .await
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.stage != Stage::Done && self.live.slab.abandon(self.key, self.stage == Stage::Sent) {
            self.live.lower_work();
        }
    }
}
