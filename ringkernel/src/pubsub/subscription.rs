//! A subscription of the host's.

use super::broker::Broker;
use super::inlet::{Inlet, Item, WhenFull};
use super::message::{Published, read};
use super::topic::TopicFilter;
use crate::RingMessage;
use futures::Stream;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How to subscribe. The default has room for 1024 messages, and where that is full, the oldest makes room.
///
/// ```
/// use ringkernel::pubsub::{SubscribeOptions, WhenFull};
///
/// let patient = SubscribeOptions::default().capacity(16).when_full(WhenFull::Wait);
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    pub(super) capacity: usize,
    pub(super) when_full: WhenFull,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { capacity: 1024, when_full: WhenFull::default() }
    }
}

impl SubscribeOptions {
    /// How many messages the subscription's buffer has room for, at least 1. It takes memory for what waits there, and keeps some of it: each subscription has
    /// a copy of its own.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// What becomes of a message that finds it full.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }
}

/// The messages of type `T` that are published on the topics of a filter, from [`Topics::subscribe`](super::Topics::subscribe).
///
/// A stream: it ends when the runtime is shut down, after what is in its buffer, and never because its reader is slow. What a slow reader misses
/// is counted, in [`Published::missed`] and in all by [`lagged`](Self::lagged). Dropping it ends it.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription<T> {
    inlet: Arc<Inlet>,
    broker: Arc<Broker>,
    /// Missed before messages that were skipped after they had been taken out.
    missed: u64,
    /// Where messages are read.
    wire: Vec<u8>,
    message: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &self.inlet.filter)
            .field("lagged", &self.lagged())
            .field("skipped", &self.skipped())
            .finish()
    }
}

impl<T> Subscription<T> {
    pub(super) fn new(broker: Arc<Broker>, inlet: Arc<Inlet>) -> Self {
        Self { inlet, broker, missed: 0, wire: Vec::new(), message: PhantomData }
    }

    /// Which topics.
    pub fn filter(&self) -> &TopicFilter {
        &self.inlet.filter
    }

    /// How many messages of type `T` it missed so far because its buffer was full.
    pub fn lagged(&self) -> u64 {
        self.inlet.lagged()
    }

    /// How many messages on its topics were of another type than `T`, or no such value. They take no room.
    pub fn skipped(&self) -> u64 {
        self.inlet.skipped()
    }
}

impl<T: RingMessage> Subscription<T> {
    /// Takes the oldest message, if there is one.
    pub fn try_receive(&mut self) -> Option<Published<T>> {
        loop {
            let item = self.inlet.take(&mut self.wire).0?;
            if let Some(message) = self.read(item) {
                return Some(message);
            }
        }
    }

    fn read(&mut self, item: Item) -> Option<Published<T>> {
        let Item { topic, timestamp, publisher, retained, missed, .. } = item;
        self.missed += missed;
        let Some(message) = read(&self.wire) else {
            self.inlet.skip();
            return None;
        };
        let missed = std::mem::take(&mut self.missed);
        Some(Published { topic, message, timestamp, publisher, retained, missed })
    }
}

impl<T: RingMessage> Stream for Subscription<T> {
    type Item = Published<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Published<T>>> {
        let this = &mut *self;
        loop {
            match this.inlet.poll(cx, &mut this.wire) {
                Poll::Ready(Some(item)) => {
                    if let Some(message) = this.read(item) {
                        return Poll::Ready(Some(message));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.inlet.discard();
        self.broker.leave(self.inlet.id, &self.inlet.filter);
    }
}
