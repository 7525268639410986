//! What a handler can do besides answering: [`Post`], its [`Outbox`].
//!
//! A message to another kernel goes from the sender's thread into the receiver's mailbox, whose doorbell it then rings: that queues the receiver if it
//! is idle and does nothing else, so that a handler may send to anyone, itself included. What goes to the host goes through the reply ring.
//!
//! What does not fit into a mailbox is the receiver's to say ([`Overflow`]):
//! - `Block` waits on the pool's thread, looking again and again. If the receiver waits for a thread, the pool gets it one. The wait ends at
//!   its bound, and at once where it is in vain (the receiver is the shard that waits) or holds up the host (which wants the sender
//!   deactivated or ended).
//! - `Spill` goes to the host by way of the reply ring. As long as one of the shard's messages to that receiver is there ([`Relays`]), all
//!   further ones follow it: none overtakes.

use super::clock::Clock;
use super::mailbox::{Mail, Mailbox};
use super::shard::{Core, Shard};
use super::table::{InUse, Subscribed, Table, To};
use crate::abi::slot::{OUTPUT, PREFIX_WORDS, PUBLISHED, RELAY};
use crate::abi::{Correlation, Header, Origin};
use crate::mesh::{KernelNumber, Outbox, Overflow, Sent};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a sender that waits for room looks before it sleeps, and how long it sleeps between looks then.
const WAIT_LOOKS: u32 = 100;
const WAIT_PAUSE: Duration = Duration::from_micros(50);

/// What a shard's handlers share, as far as it is only the shard's.
#[derive(Default)]
pub(super) struct Talk {
    pub(super) clock: Clock,
    pub(super) mail: Mail,
    tables: InUse,
    /// A payload with its prefix.
    scratch: Vec<u8>,
    /// Whether the message being handled was handed on, so that its answer is another's duty.
    pub(super) forwarded: bool,
    /// Whether the host is to be told of something in the reply ring, or of its having no room.
    pub(super) told: bool,
}

impl Talk {
    /// The kernel ends: lets go of others.
    pub(super) fn end(&mut self) {
        self.tables.clear();
    }
}

/// A shard's messages that the host has and is to hand on, by receiver.
#[derive(Default)]
pub(super) struct Relays {
    /// How many receivers there are, so that there mostly is nothing to look up.
    receivers: AtomicUsize,
    to: Mutex<HashMap<KernelNumber, u64>>,
}

impl Relays {
    fn lock(&self) -> MutexGuard<'_, HashMap<KernelNumber, u64>> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the host has messages for this receiver.
    #[inline]
    fn is_ahead(&self, receiver: KernelNumber) -> bool {
        // Acquire pairs with the release in `done`: what the host put into a mailbox is there before what is sent next.
        self.receivers.load(Ordering::Acquire) != 0 && self.lock().contains_key(&receiver)
    }

    fn add(&self, receiver: KernelNumber) {
        let mut to = self.lock();
        *to.entry(receiver).or_default() += 1;
        // Relaxed: for the calling thread, which sees what it wrote.
        self.receivers.store(to.len(), Ordering::Relaxed);
    }

    /// One of them was handed over.
    pub(super) fn done(&self, receiver: KernelNumber) {
        let mut to = self.lock();
        if let Some(count) = to.get_mut(&receiver) {
            *count -= 1;
            if *count == 0 {
                to.remove(&receiver);
            }
        }
        self.receivers.store(to.len(), Ordering::Release);
    }
}

/// The outbox of a handler under way. Made for each message: a few words that point at what is there.
pub(super) struct Post<'a> {
    core: &'a Core,
    index: usize,
    /// Of the message being handled.
    header: &'a Header,
    talk: &'a mut Talk,
}

/// What sending takes.
struct Wire<'a> {
    core: &'a Core,
    index: usize,
    clock: &'a mut Clock,
    scratch: &'a mut Vec<u8>,
    told: &'a mut bool,
}

impl<'a> Post<'a> {
    #[inline]
    pub(super) fn new(core: &'a Core, index: usize, header: &'a Header, talk: &'a mut Talk) -> Self {
        Self { core, index, header, talk }
    }

    /// Who the handler is.
    fn me(&self) -> Origin {
        Origin::Kernel { kernel: self.core.mesh.number, instance: self.header.instance }
    }

    /// The table, and what sending takes.
    fn open(&mut self) -> (&Table, Wire<'_>) {
        let Talk { clock, tables, scratch, told, .. } = &mut *self.talk;
        let wire = Wire { core: self.core, index: self.index, clock, scratch, told };
        (tables.table(&self.core.tables), wire)
    }
}

impl Wire<'_> {
    fn shard(&self) -> &Shard {
        &self.core.shards[self.index]
    }

    fn send(&mut self, to: &To, origin: Origin, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        let hlc = self.clock.stamp();
        let header = Header { tag, instance, correlation: origin.into(), words: 0, hlc };
        match to {
            To::Nobody => Sent::Gone,
            To::Host(number) => self.relay(*number, header, payload),
            To::Kernel(core) => self.deliver(core, header, payload),
        }
    }

    fn deliver(&mut self, target: &Arc<Core>, header: Header, payload: &[u8]) -> Sent {
        if target.is_gone() {
            return Sent::Gone;
        }
        if header.instance >= target.instances {
            return Sent::NoInstance;
        }
        let index = target.shard_of(header.instance);
        // Opened before any table named the kernel.
        let Some(mailbox) = target.shards[index].mailbox.get() else { return Sent::Gone };
        let payload = mailbox.fitting(payload);
        let spills = target.mesh.overflow == Overflow::Spill;
        if spills && self.shard().relays.is_ahead(target.mesh.number) {
            return self.relay(target.mesh.number, header, payload);
        }
        if !mailbox.try_push(header, payload) {
            if target.is_gone() {
                return Sent::Gone;
            }
            let placed = match target.mesh.overflow {
                Overflow::Spill => return self.relay(target.mesh.number, header, payload),
                Overflow::DropOldest => mailbox.push_over(header, payload),
                Overflow::Block { at_most } => self.wait(target, index, mailbox, at_most, header, payload),
                Overflow::Reject => false,
            };
            if !placed {
                mailbox.full.fetch_add(1, Ordering::Relaxed);
                return if target.is_gone() { Sent::Gone } else { Sent::Full };
            }
        }
        target.ring(index);
        Sent::Ok
    }

    /// Waits for room.
    #[cold]
    fn wait(
        &self,
        target: &Arc<Core>,
        index: usize,
        mailbox: &Mailbox,
        at_most: Duration,
        header: Header,
        payload: &[u8],
    ) -> bool {
        let control = &self.shard().control;
        // Relaxed, both: whoever switched waits for this handler's end, and has it sooner if the wait ends.
        let is_wanted = || {
            control.should_terminate.load(Ordering::Relaxed) == 0
                && control.is_active.load(Ordering::Relaxed) != 0
        };
        if std::ptr::eq(&**target, self.core) && index == self.index {
            return false;
        }
        let start = Instant::now();
        let mut looks = 0u32;
        while start.elapsed() < at_most && is_wanted() && !target.is_gone() {
            if mailbox.try_push(header, payload) {
                return true;
            }
            looks += 1;
            if looks.is_multiple_of(WAIT_LOOKS) {
                // The receiver may be waiting for this thread.
                target.pool.stand_in();
            }
            if looks < WAIT_LOOKS { thread::yield_now() } else { thread::sleep(WAIT_PAUSE) }
        }
        false
    }

    /// Gives the host a message to hand on.
    fn relay(&mut self, receiver: KernelNumber, header: Header, payload: &[u8]) -> Sent {
        let Correlation { index, generation } = header.correlation;
        let prefix = [receiver as u32, index, generation as u32];
        let header = Header { correlation: Correlation { index: RELAY, generation: 0 }, ..header };
        // Before the host can say that it is done with it.
        self.shard().relays.add(receiver);
        let sent = self.prefixed(header, prefix, payload);
        if !sent.is_ok() {
            self.shard().relays.done(receiver);
        }
        sent
    }

    fn prefixed(&mut self, header: Header, prefix: [u32; PREFIX_WORDS], payload: &[u8]) -> Sent {
        let mut bytes = std::mem::take(self.scratch);
        bytes.clear();
        bytes.extend_from_slice(bytemuck::cast_slice(&prefix));
        bytes.extend_from_slice(payload);
        let sent = self.tell_host(header, &bytes);
        *self.scratch = bytes;
        sent
    }

    /// Puts a message beside the replies.
    fn tell_host(&mut self, header: Header, bytes: &[u8]) -> Sent {
        let ring = &self.core.ports[self.index].replies;
        if bytes.len().div_ceil(4) > ring.shape().payload_words() {
            // Of a type that the descriptor does not name: there will never be room.
            return Sent::Gone;
        }
        *self.told = true;
        // The last slot is for a reply, which could not be sent otherwise while handlers have more to say than the host takes.
        if ring.capacity() > 1 && ring.len() + 1 >= ring.capacity() {
            return Sent::Full;
        }
        match ring.try_push(header, bytes) {
            Ok(()) => Sent::Ok,
            Err(_) => Sent::Full,
        }
    }
}

impl Outbox for Post<'_> {
    fn send(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        let me = self.me();
        let (table, mut wire) = self.open();
        match table.route(key) {
            Some(route) => wire.send(&route.to, me, instance, tag, payload),
            None => Sent::Gone,
        }
    }

    fn reply(&mut self, tag: u32, payload: &[u8]) -> Sent {
        let Some((kernel, instance)) = self.sender() else { return Sent::NoSender };
        let me = self.me();
        let (table, mut wire) = self.open();
        match table.peers.get(&kernel) {
            Some(to) => wire.send(to, me, instance, tag, payload),
            None => Sent::Gone,
        }
    }

    fn forward(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        let origin = match self.header.correlation.origin() {
            // The answer is one, so only one may give it.
            Origin::Asker(_) | Origin::Forwarded { .. } if self.talk.forwarded => return Sent::NoSender,
            Origin::Asker(asker) => Origin::Forwarded { kernel: self.core.mesh.number, index: asker.index },
            origin => origin,
        };
        let (table, mut wire) = self.open();
        let Some(route) = table.route(key) else { return Sent::Gone };
        let sent = wire.send(&route.to, origin, instance, tag, payload);
        self.talk.forwarded |= sent.is_ok();
        sent
    }

    fn output(&mut self, tag: u32, payload: &[u8]) -> Sent {
        let instance = self.header.instance;
        let (_, mut wire) = self.open();
        let hlc = wire.clock.stamp();
        let correlation = Correlation { index: OUTPUT, generation: 0 };
        wire.tell_host(Header { tag, instance, correlation, words: 0, hlc }, payload)
    }

    fn publish(&mut self, topic: u32, retain: bool, tag: u32, payload: &[u8]) -> Sent {
        let (me, instance) = (self.me(), self.header.instance);
        let (table, mut wire) = self.open();
        let Some(topic) = table.topics.iter().find(|known| known.key == topic) else { return Sent::Gone };
        let hlc = wire.clock.stamp();
        let header = Header { tag, instance, correlation: me.into(), words: 0, hlc };
        let mut all = Sent::Ok;
        for Subscribed { core, instance, missed } in &topic.subscribers[..] {
            if wire.deliver(core, Header { instance: *instance, ..header }, payload).is_full() {
                missed.fetch_add(1, Ordering::Relaxed);
                all = Sent::Full;
            }
        }
        if topic.host || retain {
            let correlation = Correlation { index: PUBLISHED, generation: 0 };
            let prefix = [topic.key, retain as u32, 0];
            let sent = wire.prefixed(Header { correlation, ..header }, prefix, payload);
            if !sent.is_ok() {
                all = sent;
            }
        }
        all
    }

    fn receive(&mut self, key: u32, tag: u32, out: &mut [u8]) -> bool {
        let Some(mailbox) = self.core.shards[self.index].mailbox.get() else { return false };
        let Talk { tables, mail, .. } = &mut *self.talk;
        let route = tables.table(&self.core.tables).route(key);
        let Some(number) = route.and_then(|route| route.number) else { return false };
        mail.receive(mailbox, self.core.descriptor, (self.header.instance, number, tag), out)
    }

    fn sender(&self) -> Option<(KernelNumber, u32)> {
        match self.header.correlation.origin() {
            Origin::Kernel { kernel, instance } => Some((kernel, instance)),
            _ => None,
        }
    }

    fn sent_at(&self) -> u64 {
        self.header.hlc
    }

    fn now(&mut self) -> u64 {
        self.talk.clock.read()
    }

    fn tick(&mut self) -> u64 {
        self.talk.clock.tick()
    }

    fn update_clock(&mut self, seen: u64) -> u64 {
        self.talk.clock.update(seen)
    }
}
