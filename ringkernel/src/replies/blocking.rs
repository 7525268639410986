//! Replies as an iterator, for threads outside any executor.

use super::Replies;
use crate::park::block_on;
use crate::ticket::LOOKS;
use crate::{RingKernelError, RingMessage};
use std::fmt;
use std::future::poll_fn;
use std::time::{Duration, Instant};

impl<M: RingMessage, I: Iterator<Item = (u32, M)>, R: RingMessage> Replies<'_, I, R> {
    /// The next item, looked for from a thread that has nothing else to do.
    fn next_blocking(&mut self) -> Option<Result<R, RingKernelError>> {
        if let Some(item) = self.next_there() {
            return Some(item);
        }
        if self.flight.is_some()
            && self.taken != self.next
            && self.live.may_answer()
            && let Some(nanos) = self.live.patience.take()
        {
            let mut start = None;
            loop {
                for _ in 0..LOOKS {
                    self.drain();
                    if let Some(item) = self.next_there() {
                        self.live.patience.paid(nanos);
                        return Some(item);
                    }
                    if !self.live.is_polled() {
                        std::hint::spin_loop();
                    }
                }
                if start.get_or_insert_with(Instant::now).elapsed() > Duration::from_nanos(nanos as u64) {
                    self.live.patience.did_not_pay(nanos);
                    break;
                }
            }
        }
        block_on(poll_fn(|cx| self.poll_slowly(cx)))
    }
}

/// What [`Replies::blocking`] returns: the replies, in the order of the messages.
#[must_use = "nothing is sent until the iterator is asked for an item"]
pub struct BlockingReplies<'a, I, R>(pub(super) Replies<'a, I, R>);

impl<M: RingMessage, I: Iterator<Item = (u32, M)>, R: RingMessage> BlockingReplies<'_, I, R> {
    /// As [`Replies::hand_over`].
    pub fn hand_over(&mut self) -> usize {
        self.0.hand_over()
    }
}

impl<M: RingMessage, I: Iterator<Item = (u32, M)>, R: RingMessage> Iterator for BlockingReplies<'_, I, R> {
    type Item = Result<R, RingKernelError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.0.next_at_once() {
            Some(reply) => Some(Ok(reply)),
            None => self.0.next_blocking(),
        }
    }
}

impl<I, R> fmt::Debug for BlockingReplies<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingReplies").field(&self.0).finish()
    }
}
