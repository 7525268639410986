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
use ringkernel_backends::abi::ring::{Batch, Consumer, LINE_PAIRS, LINE_WORDS, Payload, Run};
use ringkernel_backends::abi::{Correlation, Full, Header};
use ringkernel_backends::kernel::Port;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Payload words of a single request's reply that are copied to the drainer's stack; a flight's go from the slot into their cell.
const ON_STACK: usize = 64;

/// What the drainer does with what it finds.
pub(crate) trait Sink {
    /// Whether messages of such a correlation are taken in a row where they are small.
    fn takes_rows(&self, correlation: Correlation) -> bool;
    /// Takes as many from the row as are of the kind of the first, whose header this is. If it takes none, the first is delivered.
    fn take(&mut self, row: &mut Row<'_>, first: Header);
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
    /// Whether the last drain found many. Written by the drainer.
    many: AtomicBool,
    /// Where replies that are large are copied to. The lock is never contended (see above).
    large: Mutex<Vec<u32>>,
    /// Where senders wait.
    pub(crate) room: Room,
}

/// After so many replies there may be more, and where there were so many the last time.
const MANY: u64 = 8;
/// Where there are, the slot so far ahead is fetched,
const AHEAD: u64 = 32;
/// and the cell of the reply so far ahead.
const SOON: u64 = 12;
/// In a row, this is done for so many at a time.
pub(crate) const STEP: u64 = 8;

/// Small messages that lie one behind another in a ring, for a sink to take as many of as are of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    run: Run<'a>,
    /// Where the host's clock is at least.
    clock: u64,
    /// How many were taken since slots were given back, and when that is to be done.
    taken: u64,
    most: u64,
    /// After how many there may be more.
    many: u64,
}

impl Row<'_> {
    /// The next message, if it is there, small, and to be taken now: its header, and its words, two in each.
    #[inline(always)]
    pub(crate) fn look(&mut self) -> Option<(Header, [u64; LINE_PAIRS])> {
        if self.taken >= self.most {
            return None;
        }
        let (header, pairs) = self.run.look()?;
        // First: what anybody does who has the reply is after it.
        if header.hlc > self.clock {
            self.clock = seen(header.hlc, self.clock);
        }
        Some((header, pairs))
    }

    /// It was taken.
    #[inline(always)]
    pub(crate) fn advance(&mut self) {
        self.run.advance();
        self.taken += 1;
    }

    /// To be called before each [`STEP`] messages. Where there may be many, fetches what comes then, so that the loop that takes them has nothing else to
    /// do; and says whether those are there whose correlation [`soon`](Self::soon) tells.
    #[inline(always)]
    pub(crate) fn fetch(&self) -> bool {
        // A device's writes leave nothing of them in our caches.
        if self.taken < self.many || self.run.correlation_ahead(SOON + STEP - 1).is_none() {
            return false;
        }
        (AHEAD..AHEAD + STEP).for_each(|ahead| self.run.prefetch_ahead(ahead));
        true
    }

    /// The correlation indices of as many messages that come soon.
    #[inline(always)]
    pub(crate) fn soon(&self) -> impl Iterator<Item = u32> {
        (SOON..SOON + STEP).filter_map(|ahead| self.run.correlation_ahead(ahead))
    }
}

/// A message of this timestamp was found. Says where the host's clock is at least, which was there or 0.
#[cold]
#[inline(never)]
fn seen(hlc: u64, clock: u64) -> u64 {
    HOST.seen(hlc, clock != 0)
}

impl Lane {
    pub(crate) fn new(port: &Port) -> Self {
        let words = port.replies.shape().payload_words();
        Self {
            signals: AtomicU64::new(0),
            position: AtomicU64::new(port.replies.consumer().position()),
            many: AtomicBool::new(false),
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

    /// Fetches what [`is_ready`](Self::is_ready) looks at, for who will ask soon; and where there were many the last time, what
    /// [`fetch_many`](Self::fetch_many) looks at.
    #[inline]
    pub(crate) fn fetch(&self, port: &Port) {
        // Relaxed, both: for a hint.
        let position = self.position.load(Ordering::Relaxed);
        port.replies.prefetch(position);
        if self.many.load(Ordering::Relaxed) {
            port.replies.prefetch(position.wrapping_add(SOON));
        }
    }

    /// Fetches what whoever drains will begin with, where there are many as there were the last time: all at once, not each when it is looked at.
    #[inline]
    pub(crate) fn fetch_many(&self, port: &Port) {
        // Relaxed, both: for a hint.
        if self.many.load(Ordering::Relaxed) {
            let position = self.position.load(Ordering::Relaxed);
            if port.replies.correlation_at(position.wrapping_add(SOON)).is_some() {
                (0..AHEAD).for_each(|ahead| port.replies.prefetch(position.wrapping_add(ahead)));
            }
        }
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

    /// Whether nobody drains: then what was published before somebody was told to drain has been delivered.
    pub(crate) fn is_quiet(&self) -> bool {
        // Acquire pairs with the release of the drainer's exchange.
        self.signals.load(Ordering::Acquire) == 0
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
        let first = consumer.position();
        // Relaxed, here and below: a hint, and the drainer's own.
        let had_many = self.many.load(Ordering::Relaxed);
        let many = if had_many { 0 } else { MANY };
        let give_back = |consumer: &Consumer, sink: &mut _| {
            // Before the head is published: see `is_ready`.
            self.position.store(consumer.position(), Ordering::Relaxed);
            consumer.publish(&port.replies);
            Sink::flush(sink);
        };
        while let Some((header, payload)) = consumer.peek(&port.replies) {
            let before = since;
            if payload.words() <= LINE_WORDS && sink.takes_rows(header.correlation) {
                let mut row =
                    Row { run: consumer.run(&port.replies), clock, taken: since, most: often, many };
                sink.take(&mut row, header);
                (consumer, clock, since) = (row.run.consumer(), row.clock, row.taken);
            }
            if since == before {
                // First: what anybody does who has the reply is after it.
                if header.hlc > clock {
                    clock = seen(header.hlc, clock);
                }
                sink.deliver(header, payload, words);
                consumer.advance();
                since += 1;
                // After so many there may be more. A device's writes leave nothing of them in our caches.
                if since >= many
                    && let Some(index) = port.replies.correlation_at(consumer.position().wrapping_add(SOON))
                {
                    sink.expect(index);
                    port.replies.prefetch(consumer.position().wrapping_add(AHEAD));
                }
            }
            if since >= often {
                since = 0;
                give_back(&consumer, sink);
            }
        }
        if since > 0 {
            give_back(&consumer, sink);
        }
        let has_many = consumer.position().wrapping_sub(first) >= MANY;
        if has_many != had_many {
            self.many.store(has_many, Ordering::Relaxed);
        }
    }

    /// Wakes senders where there is room. See [`Room::call`] for the fence it takes.
    pub(crate) fn announce_room(&self, port: &Port) {
        self.room.call(|slots| slots <= port.requests.capacity().saturating_sub(port.requests.len()));
    }
}
