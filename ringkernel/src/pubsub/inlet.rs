//! A host subscriber's buffer: publishers put messages in, one subscription takes them out.

use super::message::Stored;
use super::topic::TopicFilter;
use crate::live::wake;
use event_listener::Event;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

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
    /// How many were missed after the last of them.
    missed: u64,
    closed: bool,
}

pub(super) struct Item {
    pub(super) message: Arc<Stored>,
    pub(super) retained: bool,
    pub(super) missed: u64,
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

    /// Offers a message, and says whom to wake: not here, where the caller may hold a lock.
    pub(super) fn offer(&self, message: &Arc<Stored>, patient: bool) -> (Offer, Option<Waker>) {
        self.put_in(message, patient, false)
    }

    fn put_in(&self, message: &Arc<Stored>, patient: bool, retained: bool) -> (Offer, Option<Waker>) {
        if message.tag != self.tag {
            self.skip();
            return (Offer::Passed, None);
        }
        let mut queue = self.lock();
        if queue.closed {
            return (Offer::Passed, None);
        }
        if queue.items.len() >= self.capacity {
            match self.when_full {
                WhenFull::DropOldest => {
                    if let Some(oldest) = queue.items.pop_front() {
                        let missed = oldest.missed + 1;
                        match queue.items.front_mut() {
                            Some(next) => next.missed += missed,
                            None => queue.missed += missed,
                        }
                        self.lag(1);
                    }
                }
                WhenFull::Wait if patient => return (Offer::Full, None),
                WhenFull::Wait | WhenFull::DropNewest => {
                    queue.missed += 1;
                    self.lag(1);
                    return (Offer::Missed, None);
                }
            }
        }
        let missed = std::mem::take(&mut queue.missed);
        queue.items.push_back(Item { message: message.clone(), retained, missed });
        drop(queue);
        (Offer::Taken, self.reader.take())
    }

    /// Puts in what was retained, before anybody else knows of the subscription. Of more than there is room for, some are missed and counted.
    pub(super) fn begin_with(&self, mut retained: Vec<Arc<Stored>>) {
        retained.sort_by_key(|message| message.timestamp);
        for message in &retained {
            // Nobody reads yet, so nobody is to be woken.
            let _ = self.put_in(message, false, true);
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
    pub(super) async fn put(&self, message: &Arc<Stored>) -> Offer {
        loop {
            let mut listener = None;
            for _ in 0..2 {
                let (offer, reader) = self.offer(message, true);
                reader.into_iter().for_each(wake);
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

    /// Takes the oldest message. `None` at the end.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        for look in 0..2 {
            let (item, closed) = self.take();
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
    pub(super) fn take(&self) -> (Option<Item>, bool) {
        let mut queue = self.lock();
        let item = queue.items.pop_front();
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
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
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
