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

use ringkernel_backends::abi::ring::Consumer;
use ringkernel_backends::abi::{Full, Header};
use ringkernel_backends::kernel::Port;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) struct Lane {
    signals: AtomicU64,
    /// The lock is never contended (see above): it is how the compiler is told.
    intake: Mutex<Intake>,
    /// Requests handed over whose reply has not been drained.
    outstanding: AtomicU32,
    /// Senders in `room`, or on their way into or out of it.
    waiting: AtomicU32,
    room: event_listener::Event,
}

struct Intake {
    consumer: Consumer,
    words: Vec<u32>,
}

impl Lane {
    pub(crate) fn new(port: &Port) -> Self {
        let words = vec![0; port.replies.shape().payload_words()];
        Self {
            signals: AtomicU64::new(0),
            intake: Mutex::new(Intake { consumer: port.replies.consumer(), words }),
            outstanding: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            room: event_listener::Event::new(),
        }
    }

    /// Puts a request in the ring.
    pub(crate) fn try_push(&self, port: &Port, header: Header, payload: &[u8]) -> Result<(), Full> {
        if !header.correlation.is_some() {
            return port.requests.try_push(header, payload);
        }
        // Relaxed: the push publishes it. The device takes the slot with acquire before it answers, so whoever is told of
        // the answer by the thread that answered reads at least this count.
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        let pushed = port.requests.try_push(header, payload);
        if pushed.is_err() {
            self.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
        pushed
    }

    /// Whether replies are still to come.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.outstanding.load(Ordering::Relaxed) > 0
    }

    /// A request's reply was delivered.
    pub(crate) fn answered(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// Drains what was published before the call, or leaves it to the thread that is draining.
    pub(crate) fn drain(&self, port: &Port, deliver: impl FnMut(Header, &[u32])) {
        // Release: what we know to be published is visible to the drainer whose exchange reads this. Acquire: we see what
        // was drained before.
        if self.signals.fetch_add(1, Ordering::AcqRel) == 0 {
            self.drain_until_quiet(port, deliver);
        }
    }

    /// Drains if nobody does. For callers that come again.
    pub(crate) fn try_drain(&self, port: &Port, deliver: impl FnMut(Header, &[u32])) {
        // Acquire pairs with the release of the drainer that left.
        if self.signals.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.drain_until_quiet(port, deliver);
        }
    }

    fn drain_until_quiet(&self, port: &Port, mut deliver: impl FnMut(Header, &[u32])) {
        let mut seen = 1;
        loop {
            self.take_all(port, &mut deliver);
            // Release: the next drainer sees what we drained. Acquire: the signal that makes this fail brings what its
            // sender published.
            match self.signals.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    fn take_all(&self, port: &Port, deliver: &mut impl FnMut(Header, &[u32])) {
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        let Intake { consumer, words } = &mut *intake;
        // Slots are given back often enough for the device never to find the ring full for long.
        let often = (port.replies.capacity() / 4).max(1);
        let mut taken = 0;
        while let Some(header) = consumer.pop(&port.replies, words) {
            taken += 1;
            if taken % often == 0 {
                consumer.publish(&port.replies);
            }
            deliver(header, &words[..header.words as usize]);
        }
        if taken % often != 0 {
            consumer.publish(&port.replies);
        }
    }

    /// Where senders wait. Take [`Waiting`](Lane::wait) first, listen, and try once more before sleeping.
    pub(crate) fn room(&self) -> &event_listener::Event {
        &self.room
    }

    /// Counts the caller among those who wait, until the answer is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        // Relaxed: see `announce_room`.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// Wakes as many senders as there is room for. The caller has made a `SeqCst` fence since it last saw slots given back.
    ///
    /// That fence pairs with the sender's, between counting itself and trying once more: either we see it counted, or it sees
    /// the room.
    pub(crate) fn announce_room(&self, port: &Port) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            let room = port.requests.capacity() - port.requests.len();
            self.room.notify(room as usize);
        }
    }
}

/// A sender that waits for room.
pub(crate) struct Waiting<'a>(&'a Lane);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
