//! What is published: as it is kept, and as a subscriber gets it.

use super::topic::Topic;
use crate::{HlcTimestamp, RingMessage};
use ringkernel_backends::mesh::KernelNumber;

/// A message that was published on a topic, as a [`Subscription`](super::Subscription) gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published<T> {
    /// The topic.
    pub topic: Topic,
    /// The message.
    pub message: T,
    /// When it was published, by the publisher's clock.
    pub timestamp: HlcTimestamp,
    /// Who published it.
    pub publisher: Publisher,
    /// Whether it was published before the subscription began, and retained.
    pub retained: bool,
    /// How many messages this subscription missed between the one that it was given before and this one, because its buffer was full.
    pub missed: u64,
}

/// Who published a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Publisher {
    /// The host, through [`Topics`](super::Topics).
    Host,
    /// A handler.
    Kernel {
        /// `#[ring_kernel(id = "…")]` of its kernel.
        id: &'static str,
        /// The kernel's number, which no other that is launched has.
        number: KernelNumber,
        /// The instance.
        instance: u32,
    },
}

/// What became of a message that the host published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Subscribers that have it: in their buffer, or in their kernel's queue.
    pub reached: u32,
    /// Subscribers that had no room, and have counted that they missed it.
    pub missed: u32,
}

/// A message on its way to its subscribers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) topic: &'a Topic,
    pub(super) tag: u32,
    /// On the wire.
    pub(super) bytes: &'a [u8],
    pub(super) timestamp: HlcTimestamp,
    pub(super) publisher: Publisher,
}

/// A message that is kept.
#[derive(Debug)]
pub(super) struct Stored {
    topic: Topic,
    tag: u32,
    bytes: Vec<u8>,
    pub(super) timestamp: HlcTimestamp,
    publisher: Publisher,
}

impl Stored {
    pub(super) fn new(message: Message<'_>) -> Self {
        let Message { topic, tag, bytes, timestamp, publisher } = message;
        Self { topic: topic.clone(), tag, bytes: bytes.into(), timestamp, publisher }
    }

    /// Keeps another one instead.
    pub(super) fn set(&mut self, message: Message<'_>) {
        let Message { topic, tag, bytes, timestamp, publisher } = message;
        let mut kept = std::mem::take(&mut self.bytes);
        kept.clear();
        kept.extend_from_slice(bytes);
        *self = Self { topic: topic.clone(), tag, bytes: kept, timestamp, publisher };
    }

    pub(super) fn message(&self) -> Message<'_> {
        let Self { topic, tag, bytes, timestamp, publisher } = self;
        Message { topic, tag: *tag, bytes, timestamp: *timestamp, publisher: *publisher }
    }

    /// How many bytes of it are kept.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads the wire bytes of a message of its tag as a `T`, if they are one.
pub(super) fn read<T: RingMessage>(bytes: &[u8]) -> Option<T> {
    // What comes from a device has whole words; the last may be padding.
    let (most, count) = ((T::SIZE as usize).div_ceil(4), bytes.len().div_ceil(4));
    let fits = count == most || (T::VARIABLE && count < most);
    let size = if T::VARIABLE { bytes.len() } else { T::SIZE as usize };
    bytes.get(..size).filter(|_| fits).and_then(|bytes| T::decode(bytes).ok())
}
