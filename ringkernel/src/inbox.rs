//! Where the replies to [`KernelHandle::send`](crate::KernelHandle::send) wait to be received, in the order they arrived.
//!
//! It holds slab keys only; the replies lie in their entries.

use crate::live::LiveKernel;
use crate::pending::Key;
use crate::{RingKernelError, RingMessage};
use ringkernel_backends::abi::tag;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<VecDeque<Key>>,
    arrived: event_listener::Event,
}

impl Inbox {
    /// A reply arrived.
    pub(crate) fn push(&self, key: Key) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(key);
        // One more listener a reply. The fence in `notify_additional` pairs with the one in `listen`: a receiver that did
        // not see this reply is seen by us.
        self.arrived.notify_additional(1);
    }

    /// Notified when a reply arrives, and when none will any more.
    pub(crate) fn arrived(&self) -> &event_listener::Event {
        &self.arrived
    }

    /// Takes the oldest reply as a `T`. One of another type stays where it is.
    pub(crate) fn try_receive<T: RingMessage>(
        &self,
        live: &LiveKernel,
    ) -> Option<Result<T, RingKernelError>> {
        let key = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let key = *queue.front()?;
            let stays = live.slab.peek(key, |instance, found, words| {
                let fits = found == T::TAG || found == tag::FAULT;
                (!fits).then(|| live.read_reply::<T>(instance, found, words))
            });
            if let Some(Some(mismatch)) = stays {
                drop(queue);
                // Perhaps it is for another receiver, who was not told because we were.
                self.arrived.notify_additional(1);
                return Some(mismatch);
            }
            queue.pop_front();
            key
        };
        match live.slab.take(key, None, |instance, tag, words| live.read_reply(instance, tag, words)) {
            Poll::Ready(Ok(reply)) => Some(reply),
            // An entry in the queue is ready, and ours alone once it is out of the queue.
            Poll::Ready(Err(_)) | Poll::Pending => Some(Err(live.ended_error(true))),
        }
    }

    /// Takes the oldest reply as a `T`; waits for it.
    pub(crate) async fn receive<T: RingMessage>(&self, live: &LiveKernel) -> Result<T, RingKernelError> {
        loop {
            if let Some(reply) = self.try_receive(live) {
                return reply;
            }
            let arrived = self.arrived.listen();
            // Before the last look: what was delivered before the end is still received.
            let ended = live.has_ended();
            if let Some(reply) = self.try_receive(live) {
                return reply;
            }
            if ended {
                return Err(live.ended_error(true));
            }
            arrived.await;
        }
    }
}
