//! A host subscriber's buffer: publishers put messages in, one subscription takes them out. It has a copy of each, one behind another in a ring of bytes
//! that grows to what waits together, so that messages cost no allocation.

use super::message::{Message, Publisher, Stored};
use super::topic::{Topic, TopicFilter};
use crate::HlcTimestamp;
use crate::live::wake;
use event_listener::Event;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// What becomes of a message that finds a subscriber's buffer full. Whatever it is, the subscriber counts what it missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// The oldest message in the buffer makes room for it.
    #[default]
    DropOldest,
    /// The subscriber misses it, and keeps what it has.
    DropNewest,
    /// [`Topics::publish`](super::Topics::publish) waits until there is room. Whoever cannot wait, a handler or
    /// [`try_publish`](super::Topics::try_publish), makes the subscriber miss the message.
    Wait,
}

/// A ring of bytes that has grown beyond is not kept when it is empty.
const KEPT: usize = 1 << 20;

/// How a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    /// There was no room; it was counted.
    Missed,
    /// There is no room, and whoever can wait for some is to do so.
    Full,
    /// It is not for this subscriber: of another type, or the subscription has ended.
    Passed,
}

pub(super) struct Inlet {
    pub(super) id: u64,
    pub(super) filter: TopicFilter,
    /// Messages of other types are not for this one.
    tag: u32,
    capacity: usize,
    when_full: WhenFull,
    queue: Mutex<Queue>,
    reader: AtomicWaker,
    /// Publishers that wait.
    room: Event,
    lagged: AtomicU64,
    skipped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Each with how many were missed right before it.
    items: VecDeque<Item>,
    /// What they are on the wire.
    bytes: VecDeque<u8>,
    /// How many were missed after the last of them.
    missed: u64,
    closed: bool,
}

pub(super) struct Item {
    pub(super) topic: Topic,
    pub(super) timestamp: HlcTimestamp,
    pub(super) publisher: Publisher,
    pub(super) retained: bool,
    pub(super) missed: u64,
    length: usize,
}

impl Queue {
    /// Takes the oldest out, and says what it is on the wire.
    fn pop(&mut self, wire: Option<&mut Vec<u8>>) -> Option<Item> {
        let item = self.items.pop_front()?;
        if let Some(wire) = wire {
            let (first, second) = self.bytes.as_slices();
            let (first, rest) = first.split_at(item.length.min(first.len()));
            wire.clear();
            wire.extend_from_slice(first);
            if rest.is_empty() {
                wire.extend_from_slice(second.get(..item.length - first.len()).unwrap_or_default());
            }
        }
        self.bytes.drain(..item.length.min(self.bytes.len()));
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = VecDeque::new();
        }
        Some(item)
    }
}

impl Inlet {
    pub(super) fn new(id: u64, filter: TopicFilter, tag: u32, capacity: usize, when_full: WhenFull) -> Self {
        Self {
            id,
            filter,
            tag,
            capacity: capacity.max(1),
            when_full,
            queue: Mutex::default(),
            reader: AtomicWaker::new(),
            room: Event::new(),
            lagged: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a message. To be followed by [`wake`](Self::wake), where the caller holds no lock.
    pub(super) fn offer(&self, message: Message<'_>, patient: bool) -> Offer {
        self.put_in(message, patient, false)
    }

    /// Wakes the reader, where he may have been offered a message with this tag.
    pub(super) fn wake(&self, tag: u32) {
        if tag == self.tag {
            self.reader.take().into_iter().for_each(wake);
        }
    }

    fn put_in(&self, message: Message<'_>, patient: bool, retained: bool) -> Offer {
        let Message { topic, tag, bytes, timestamp, publisher } = message;
        if tag != self.tag {
            self.skip();
            return Offer::Passed;
        }
        let mut queue = self.lock();
        if queue.closed {
            return Offer::Passed;
        }
        if queue.items.len() >= self.capacity {
            match self.when_full {
                WhenFull::DropOldest => {
                    if let Some(oldest) = queue.pop(None) {
                        let missed = oldest.missed + 1;
                        match queue.items.front_mut() {
                            Some(next) => next.missed += missed,
                            None => queue.missed += missed,
                        }
                        self.lag(1);
                    }
                }
                WhenFull::Wait if patient => return Offer::Full,
                WhenFull::Wait | WhenFull::DropNewest => {
                    queue.missed += 1;
                    self.lag(1);
                    return Offer::Missed;
                }
            }
        }
        let missed = std::mem::take(&mut queue.missed);
        let (topic, length) = (topic.clone(), bytes.len());
        queue.items.push_back(Item { topic, timestamp, publisher, retained, missed, length });
        queue.bytes.extend(bytes);
        Offer::Taken
    }

    /// Puts in what was retained, before anybody else knows of the subscription. Of more than there is room for, some are missed and counted.
    pub(super) fn begin_with(&self, mut retained: Vec<Arc<Stored>>) {
        retained.sort_by_key(|message| message.timestamp);
        for message in &retained {
            // Nobody reads yet, so nobody is to be woken.
            let _ = self.put_in(message.message(), false, true);
        }
    }

    /// A publisher that waited for room has gone away.
    pub(super) fn gave_up(&self) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.missed += 1;
            self.lag(1);
        }
    }

    /// Waits for room, and puts the message in.
    pub(super) async fn put(&self, message: &Stored) -> Offer {
        loop {
            let mut listener = None;
            for _ in 0..2 {
                let offer = self.offer(message.message(), true);
                self.wake(self.tag);
                if offer != Offer::Full {
                    return offer;
                }
                // Once more after that: room that was made in between was announced to nobody.
                listener.get_or_insert_with(|| self.room.listen());
            }
            if let Some(listener) = listener {
                listener.await;
            }
        }
    }

    /// Takes the oldest message, and what it is on the wire. `None` at the end.
    pub(super) fn poll(&self, cx: &mut Context<'_>, wire: &mut Vec<u8>) -> Poll<Option<Item>> {
        for look in 0..2 {
            let (item, closed) = self.take(wire);
            if item.is_some() || closed {
                return Poll::Ready(item);
            }
            if look == 0 {
                // Once more after that: what came in between woke nobody.
                self.reader.register(cx.waker());
            }
        }
        Poll::Pending
    }

    /// The oldest message, and whether none will come any more.
    pub(super) fn take(&self, wire: &mut Vec<u8>) -> (Option<Item>, bool) {
        let mut queue = self.lock();
        let item = queue.pop(Some(wire));
        let closed = queue.closed;
        drop(queue);
        if item.is_some() {
            self.room.notify_additional(1);
        }
        (item, closed)
    }

    /// Takes no more messages. Those in the buffer can still be taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.notify(usize::MAX);
        self.reader.take().into_iter().for_each(wake);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Nobody will take out what is in the buffer.
    pub(super) fn discard(&self) {
        self.close();
        let mut queue = self.lock();
        let kept = (std::mem::take(&mut queue.items), std::mem::take(&mut queue.bytes));
        drop(queue);
        drop(kept);
    }

    // Relaxed: counters that order nothing.

    fn lag(&self, count: u64) {
        self.lagged.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lagged(&self) -> u64 {
        self.lagged.load(Ordering::Relaxed)
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message<'a>(topic: &'a Topic, bytes: &'a [u8]) -> Message<'a> {
        let (timestamp, publisher) = (HlcTimestamp::from_u64(bytes.len() as u64), Publisher::Host);
        Message { topic, tag: 7, bytes, timestamp, publisher }
    }

    fn inlet(capacity: usize, when_full: WhenFull) -> (Inlet, Topic) {
        let (filter, topic) = (TopicFilter::new("#").unwrap(), Topic::new("a").unwrap());
        (Inlet::new(0, filter, 7, capacity, when_full), topic)
    }

    proptest! {
        #[test]
        fn messages_of_any_length_come_out_whole_and_those_that_are_missed_leave_nothing(
            steps in proptest::collection::vec((any::<bool>(), 0usize..90), 0..200),
            drop_oldest in any::<bool>(),
        ) {
            let (inlet, topic) = inlet(5, if drop_oldest { WhenFull::DropOldest } else { WhenFull::DropNewest });
            let (mut model, mut wire) = (VecDeque::<Vec<u8>>::new(), Vec::new());
            for (n, (put, length)) in steps.into_iter().enumerate() {
                if put {
                    let bytes = vec![n as u8; length];
                    let offer = inlet.offer(message(&topic, &bytes), true);
                    if model.len() == 5 && drop_oldest {
                        model.pop_front();
                    }
                    prop_assert_eq!(offer == Offer::Taken, model.len() < 5);
                    if model.len() < 5 {
                        model.push_back(bytes);
                    }
                } else {
                    let (item, _) = inlet.take(&mut wire);
                    let wanted = model.pop_front();
                    prop_assert_eq!(item.as_ref().map(|item| item.timestamp.as_u64()), wanted.as_ref().map(|w| w.len() as u64));
                    prop_assert!(wanted.is_none_or(|wanted| wanted == wire));
                }
                prop_assert_eq!(inlet.lock().bytes.len(), model.iter().map(Vec::len).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_buffer_that_has_grown_large_is_given_back_when_it_is_empty_and_a_small_one_is_kept() {
        let (inlet, topic) = inlet(100, WhenFull::Wait);
        let capacity = || inlet.lock().bytes.capacity();
        for (length, is_kept) in [(1000, true), (30_000, false)] {
            for _ in 0..100 {
                assert_eq!(inlet.offer(message(&topic, &vec![1; length]), true), Offer::Taken);
            }
            assert_eq!(inlet.offer(message(&topic, &[]), true), Offer::Full);
            assert!(capacity() >= 100 * length);
            while inlet.take(&mut Vec::new()).0.is_some() {}
            assert_eq!(capacity() > 0, is_kept);
        }
    }
}
