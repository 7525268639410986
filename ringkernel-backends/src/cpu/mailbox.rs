//! A shard's mailbox: what other kernels' handlers send to its instances.
//!
//! [`Mailbox`] is what senders share: a ring like the ring of requests. [`Mail`] is the shard's end of it, with what has left the ring and waits:
//! messages that a handler is to ask for ([`Mail::receive`]), and those that stood before one of these when it was looked for.
//!
//! Where a full mailbox loses its oldest ([`Overflow::DropOldest`]), senders do it, and the ring's consuming end is under a lock that they share with
//! the shard. Everywhere else it is the shard's alone.

use super::doorbell::give_back;
use crate::abi::{Consumer, Correlation, Header, Origin, Ring, SlotShape, ring::RawMemory};
use crate::kernel::KernelDescriptor;
use crate::mesh::{KernelNumber, MeshSpec, Overflow};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// How often a sender looks for the oldest message while its own sender is still writing it.
const DISCARD_TRIES: u32 = 1000;

/// What senders share.
pub(super) struct Mailbox {
    pub(super) ring: Ring,
    /// The consuming end, where senders discard.
    shared: Option<Mutex<Consumer>>,
    /// Whether the shard will take nothing until a handler has received something.
    stalled: AtomicBool,
    /// Sends that were told that it is full.
    pub(super) full: AtomicU64,
    /// Messages that were discarded.
    pub(super) dropped: AtomicU64,
    /// Of these, the ones that somebody waits for the answer to.
    unanswered: Mutex<Vec<Header>>,
    /// Messages for handlers that left the ring early: see `Mail`.
    held: AtomicU64,
    /// Whether the ring is closed.
    closed: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(shape: SlotShape, mesh: MeshSpec, first_position: u64) -> Self {
        let ring = Ring::new(RawMemory::heap(mesh.mailbox, shape), mesh.mailbox, shape, first_position);
        let shared = (mesh.overflow == Overflow::DropOldest).then(|| Mutex::new(ring.consumer()));
        Self {
            ring,
            shared,
            stalled: AtomicBool::new(false),
            full: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            unanswered: Mutex::default(),
            held: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// The payload, if slots are large enough for it. If not, no handler takes it, which shows when the message arrives without.
    #[inline]
    pub(super) fn fitting<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        if payload.len().div_ceil(4) <= self.ring.shape().payload_words() { payload } else { &[] }
    }

    /// Puts a message in; false where it is full.
    #[inline]
    pub(super) fn try_push(&self, header: Header, payload: &[u8]) -> bool {
        self.ring.try_push(header, payload).is_ok()
    }

    /// Puts a message in, in place of the oldest ones if need be; false where those do not go.
    pub(super) fn push_over(&self, header: Header, payload: &[u8]) -> bool {
        for _ in 0..DISCARD_TRIES {
            if self.try_push(header, payload) {
                return true;
            }
            if !self.discard_oldest() {
                // It is being written. Where its sender was interrupted, this lets it go on.
                thread::yield_now();
            }
        }
        false
    }

    fn discard_oldest(&self) -> bool {
        let Some(mut consumer) = self.consuming() else { return false };
        let Some(header) = consumer.pop(&self.ring, &mut []) else { return false };
        consumer.publish(&self.ring);
        drop(consumer);
        self.discarded(header);
        true
    }

    /// Notes that a message was discarded.
    fn discarded(&self, header: Header) {
        if header.correlation.is_some() {
            self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).push(header);
        }
        // Release pairs with the acquire in `unanswered`.
        self.dropped.fetch_add(1, Ordering::Release);
    }

    fn consuming(&self) -> Option<MutexGuard<'_, Consumer>> {
        Some(self.shared.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Messages that are to be handled.
    pub(super) fn waiting(&self) -> u64 {
        let in_ring = if self.stalled.load(Ordering::Relaxed) { 0 } else { self.ring.len() };
        // Acquire, like an acquire load of the head that `len` has read: what left the ring before that is in `held` by now.
        fence(Ordering::Acquire);
        in_ring + self.held.load(Ordering::Relaxed)
    }

    /// Whether there is something that the shard would take; asked on the way to idle (`Doorbell::leave`).
    pub(super) fn wants(&self) -> bool {
        // Relaxed: written by runs of the shard, which follow one another.
        !self.stalled.load(Ordering::Relaxed) && !self.ring.is_empty()
    }
}

/// Whose message, of which type, to whom.
type Key = (u32, KernelNumber, u32);
/// A message to be received, and its number.
type Kept = (u64, Box<[u8]>);

/// The shard's end.
#[derive(Default)]
pub(super) struct Mail {
    /// The consuming end, if it is the shard's alone.
    consumer: Option<Consumer>,
    /// Whether slots were taken and not given back.
    taken: bool,
    /// Messages for handlers that left the ring when one was looked for behind them.
    later: VecDeque<(Header, Box<[u8]>)>,
    /// Messages in hand that are not in the ring any more, since slots were last given back.
    in_hand: u64,
    /// Messages to be received.
    kept: HashMap<Key, VecDeque<Kept>>,
    kept_now: u64,
    kept_ever: u64,
    /// Discarded messages that have been seen to.
    dropped: u64,
}

impl Mail {
    /// Takes the next message for a handler, if there is one; its payload goes to the front of `payload`.
    #[inline]
    pub(super) fn pop(
        &mut self,
        mailbox: &Mailbox,
        descriptor: &KernelDescriptor,
        payload: &mut [u32],
    ) -> Option<Header> {
        if let Some((header, bytes)) = self.later.pop_front() {
            bytemuck::cast_slice_mut(payload)[..bytes.len()].copy_from_slice(&bytes);
            self.in_hand += 1;
            return Some(header);
        }
        loop {
            let header = self.take(mailbox, descriptor, payload)?;
            match is_received(descriptor, header) {
                Some(key) => self.keep(mailbox, key, bytes(header, payload)),
                None => return Some(header),
            }
        }
    }

    /// Takes the next message out of the ring, unless it is one to be kept for which there is no room.
    #[inline]
    fn take(
        &mut self,
        mailbox: &Mailbox,
        descriptor: &KernelDescriptor,
        payload: &mut [u32],
    ) -> Option<Header> {
        if let Some(mut consumer) = mailbox.consuming() {
            let header = consumer.pop(&mailbox.ring, payload)?;
            self.in_hand += 1;
            self.count(mailbox);
            consumer.publish(&mailbox.ring);
            return Some(header);
        }
        let consumer = self.consumer.get_or_insert_with(|| mailbox.ring.consumer());
        if !descriptor.mesh.receives.is_empty() && self.kept_now >= mailbox.ring.capacity() {
            let (header, _) = consumer.peek(&mailbox.ring)?;
            if is_received(descriptor, header).is_some() {
                // Relaxed: see `Mailbox::wants`.
                mailbox.stalled.store(true, Ordering::Relaxed);
                return None;
            }
        }
        let header = consumer.pop(&mailbox.ring, payload)?;
        self.taken = true;
        Some(header)
    }

    fn keep(&mut self, mailbox: &Mailbox, key: Key, bytes: &[u8]) {
        if self.kept_now >= mailbox.ring.capacity() {
            // Only where the oldest goes.
            let oldest = self.kept.iter().filter_map(|(key, queue)| Some((queue.front()?.0, *key))).min();
            if let Some((_, key)) = oldest
                && self.pop_kept(key).is_some()
            {
                mailbox.dropped.fetch_add(1, Ordering::Release);
            }
        }
        self.kept.entry(key).or_default().push_back((self.kept_ever, bytes.into()));
        (self.kept_now, self.kept_ever) = (self.kept_now + 1, self.kept_ever + 1);
    }

    /// Takes the oldest message of a type that a kernel sent to an instance and that no handler takes; its payload goes to `out`.
    pub(super) fn receive(
        &mut self,
        mailbox: &Mailbox,
        descriptor: &KernelDescriptor,
        key: Key,
        out: &mut [u8],
    ) -> bool {
        if !self.kept.contains_key(&key) {
            self.look_ahead(mailbox, descriptor);
        }
        let Some(bytes) = self.pop_kept(key) else { return false };
        mailbox.stalled.store(false, Ordering::Relaxed);
        let Some(bytes) = bytes.get(..out.len()) else { return false };
        out.copy_from_slice(bytes);
        true
    }

    fn pop_kept(&mut self, key: Key) -> Option<Box<[u8]>> {
        let queue = self.kept.get_mut(&key)?;
        let (_, bytes) = queue.pop_front()?;
        if queue.is_empty() {
            self.kept.remove(&key);
        }
        self.kept_now -= 1;
        Some(bytes)
    }

    /// Takes what is in the ring out of it, as much as may be kept.
    fn look_ahead(&mut self, mailbox: &Mailbox, descriptor: &KernelDescriptor) {
        let mut words = vec![0; mailbox.ring.shape().payload_words()];
        while self.kept_now + (self.later.len() as u64) < mailbox.ring.capacity() {
            let Some(header) = self.take(mailbox, descriptor, &mut words) else { return };
            let bytes = bytes(header, &mut words);
            match is_received(descriptor, header) {
                Some(key) => self.keep(mailbox, key, bytes),
                None => self.later.push_back((header, (&*bytes).into())),
            }
            self.count(mailbox);
        }
    }

    /// Tells how many messages are out of the ring and to be handled.
    fn count(&self, mailbox: &Mailbox) {
        // Relaxed: the head is published behind it, with release; see `Mailbox::waiting`.
        mailbox.held.store(self.later.len() as u64 + self.in_hand, Ordering::Relaxed);
    }

    /// Whether there is something to be taken.
    #[inline]
    pub(super) fn is_ready(&self, mailbox: &Mailbox) -> bool {
        let next = || match (&self.consumer, mailbox.consuming()) {
            (_, Some(consumer)) => consumer.is_ready(&mailbox.ring),
            (Some(consumer), None) => consumer.is_ready(&mailbox.ring),
            (None, None) => !mailbox.ring.is_empty(),
        };
        !self.later.is_empty() || (!mailbox.stalled.load(Ordering::Relaxed) && next())
    }

    /// Gives the slots taken back, and says whether somebody may wait for them.
    #[inline]
    pub(super) fn give_back(&mut self, mailbox: &Mailbox) -> bool {
        if std::mem::take(&mut self.in_hand) > 0 {
            self.count(mailbox);
        }
        let Some(consumer) = self.consumer.as_ref().filter(|_| self.taken) else { return false };
        self.taken = false;
        give_back::<AtomicU32, _, _>(consumer, &mailbox.ring)
    }

    /// A message that was discarded and that somebody waits for the answer to.
    #[inline]
    pub(super) fn unanswered(&mut self, mailbox: &Mailbox) -> Option<Header> {
        // Acquire pairs with the release in `discarded`: what was counted is in the list.
        let dropped = mailbox.dropped.load(Ordering::Acquire);
        if dropped == self.dropped {
            return None;
        }
        let header = mailbox.unanswered.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if header.is_none() {
            self.dropped = dropped;
        }
        header
    }
}

impl Mail {
    /// The kernel has ended: who waits for the answers to what lies in the mailbox. Messages that are being written are waited for until `deadline`.
    pub(super) fn abandon(
        &mut self,
        mailbox: &Mailbox,
        descriptor: &KernelDescriptor,
        deadline: Instant,
    ) -> Vec<Correlation> {
        // Relaxed: for the calling threads, which hold the body's lock.
        if !mailbox.closed.swap(true, Ordering::Relaxed) {
            mailbox.ring.close();
        }
        self.kept.clear();
        self.kept_now = 0;
        let dropped = std::mem::take(&mut *mailbox.unanswered.lock().unwrap_or_else(PoisonError::into_inner));
        let later = self.later.drain(..).map(|(header, _)| header);
        let mut headers: Vec<Header> = dropped.into_iter().chain(later).collect();
        let mut words = vec![0; mailbox.ring.shape().payload_words()];
        loop {
            match self.take(mailbox, descriptor, &mut words) {
                Some(header) => headers.push(header),
                None => {
                    self.give_back(mailbox);
                    if mailbox.ring.consumed() >= mailbox.ring.pushed() || Instant::now() > deadline {
                        break;
                    }
                    thread::yield_now();
                }
            }
        }
        self.count(mailbox);
        let correlations = headers.into_iter().map(|header| header.correlation);
        correlations.filter(|correlation| correlation.is_some()).collect()
    }
}

/// If a message is one that handlers receive: what they find it by.
#[inline]
fn is_received(descriptor: &KernelDescriptor, header: Header) -> Option<Key> {
    let receives = descriptor.mesh.receives;
    if receives.is_empty() {
        return None;
    }
    let Origin::Kernel { kernel, .. } = header.correlation.origin() else { return None };
    let info = receives.iter().find(|info| info.tag == header.tag)?;
    let handled = descriptor.handler(header.tag).is_some();
    (!handled && header.words as u32 == info.size.div_ceil(4)).then_some((
        header.instance,
        kernel,
        header.tag,
    ))
}

fn bytes(header: Header, payload: &mut [u32]) -> &mut [u8] {
    bytemuck::cast_slice_mut(&mut payload[..header.words as usize])
}
