//! One shard's pair of rings, as the host uses it.
//!
//! Requests: any thread pushes; where there is no room it waits for [`Lane::room`]. Replies: one thread at a time drains,
//! whichever makes progress (a thread of the device, the polling bridge, an asker). Who drains is settled by one counter:
//!
//! - whoever published something adds 1 to `signals`. If it was 0 it drains; else the one who drains will see the signal;
//! - the one who drains leaves by an exchange of the count it saw for 0, which fails if a signal came since it looked.
//!
//! Read-modify-writes of one word have one order, so a signal either makes its sender the drainer or is seen by the drainer
//! before it leaves: no reply stays behind, and nobody waits for a lock.

use crate::hlc::HOST;
use crate::room::Room;
use ringkernel_backends::abi::ring::{Batch, Consumer, Payload};
use ringkernel_backends::abi::{Full, Header};
use ringkernel_backends::kernel::Port;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Payload words of a single request's reply that are copied to the drainer's stack; a flight's go from the slot into their cell.
const ON_STACK: usize = 64;

/// What the drainer does with what it finds.
pub(crate) trait Sink {
    /// Takes a reply. `words` has room for its words, for who wants them in a row.
    fn deliver(&mut self, header: Header, payload: Payload<'_>, words: &mut [u32]);
    /// A reply of this correlation index will be delivered soon.
    fn expect(&self, index: u32);
    /// What was delivered is to be announced: called after the last reply, and now and then before.
    fn flush(&mut self);
}

// Lanes lie side by side, and different threads push into each.
#[repr(align(128))]
pub(crate) struct Lane {
    signals: AtomicU64,
    /// The next reply to be taken. Written by the drainer.
    position: AtomicU64,
    /// Where replies that are large are copied to. The lock is never contended (see above).
    large: Mutex<Vec<u32>>,
    /// Where senders wait.
    pub(crate) room: Room,
}

/// After so many replies there may be more.
const MANY: u64 = 8;
/// Where there are, the slot so far ahead is fetched,
const AHEAD: u64 = 24;
/// and the cell of the reply so far ahead.
const SOON: u64 = 12;

impl Lane {
    pub(crate) fn new(port: &Port) -> Self {
        let words = port.replies.shape().payload_words();
        Self {
            signals: AtomicU64::new(0),
            position: AtomicU64::new(port.replies.consumer().position()),
            large: Mutex::new(vec![0; if words > ON_STACK { words } else { 0 }]),
            room: Room::default(),
        }
    }

    /// Puts a request in the ring.
    #[inline]
    pub(crate) fn try_push(&self, port: &Port, header: Header, payload: &[u8]) -> Result<(), Full> {
        port.requests.try_push(header, payload)
    }

    /// Reserves room for requests.
    #[inline]
    pub(crate) fn reserve<'a>(&self, port: &'a Port, want: usize) -> Result<Batch<'a>, Full> {
        port.requests.reserve(want)
    }

    /// Whether a reply waits to be drained: one look at its slot, which is in the cache while nothing comes.
    ///
    /// It may say so of one that was drained meanwhile. It does not miss one whose publication the caller knows of: where the
    /// position it reads has been passed and its slot used again, the device had seen the newer head, before which the newer
    /// position was written.
    #[inline]
    pub(crate) fn is_ready(&self, port: &Port) -> bool {
        // Relaxed: see above; the drainer's exchange of `signals` orders the rest.
        port.replies.is_published(self.position.load(Ordering::Relaxed))
    }

    /// Drains what was published before the call, or leaves it to the thread that is draining.
    pub(crate) fn drain(&self, port: &Port, sink: &mut impl Sink) {
        // Release: what we know to be published is visible to the drainer whose exchange reads this. Acquire: we see what
        // was drained before.
        if self.signals.fetch_add(1, Ordering::AcqRel) == 0 {
            self.drain_until_quiet(port, sink);
        }
    }

    /// Drains if nobody does. For callers that come again.
    #[inline]
    pub(crate) fn try_drain(&self, port: &Port, sink: &mut impl Sink) {
        // Acquire pairs with the release of the drainer that left.
        if self.signals.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.drain_until_quiet(port, sink);
        }
    }

    fn drain_until_quiet(&self, port: &Port, sink: &mut impl Sink) {
        let mut seen = 1;
        loop {
            let (mut few, mut many);
            let words: &mut [u32] = if port.replies.shape().payload_words() <= ON_STACK {
                few = [0; ON_STACK];
                &mut few
            } else {
                many = self.large.lock().unwrap_or_else(PoisonError::into_inner);
                &mut many
            };
            self.take_all(port, words, sink);
            // Release: the next drainer sees what we drained. Acquire: the signal that makes this fail brings what its
            // sender published.
            match self.signals.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    fn take_all(&self, port: &Port, words: &mut [u32], sink: &mut impl Sink) {
        // Relaxed: the exchange of `signals` that made us the drainer brings the last one's position.
        let mut consumer = Consumer::at(self.position.load(Ordering::Relaxed));
        // Slots are given back often enough for the device never to find the ring full for long.
        let often = (port.replies.capacity() / 4).max(1);
        let mut since = 0;
        // Where the host's clock is at least.
        let mut clock = 0;
        let give_back = |consumer: &Consumer, sink: &mut _| {
            // Before the head is published: see `is_ready`.
            self.position.store(consumer.position(), Ordering::Relaxed);
            consumer.publish(&port.replies);
            Sink::flush(sink);
        };
        while let Some((header, payload)) = consumer.peek(&port.replies) {
            // First: what anybody does who has the reply is after it.
            if header.hlc > clock {
                clock = HOST.seen(header.hlc, clock != 0);
            }
            sink.deliver(header, payload, words);
            consumer.advance();
            since += 1;
            // After so many there may be more. A device's writes leave nothing of them in our caches.
            if since >= MANY
                && let Some(index) = port.replies.correlation_at(consumer.position().wrapping_add(SOON))
            {
                sink.expect(index);
                port.replies.prefetch(consumer.position().wrapping_add(AHEAD));
            }
            if since == often {
                since = 0;
                give_back(&consumer, sink);
            }
        }
        if since > 0 {
            give_back(&consumer, sink);
        }
    }

    /// Wakes senders where there is room. See [`Room::call`] for the fence it takes.
    pub(crate) fn announce_room(&self, port: &Port) {
        self.room.call(|| (port.requests.capacity() - port.requests.len()) as usize);
    }
}
