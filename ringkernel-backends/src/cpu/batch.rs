//! What a shard does with its rings when it runs.
//!
//! There are two rings to take messages from, the requests and, once another kernel can send to this one, the mailbox ([`mailbox`](super::mailbox)). They
//! take turns of [`SLICE`] messages while there are some in both.
//!
//! Within a batch, what can be done once for many messages is: the head is published, the counts are stored and the clock is looked at for each *slice*,
//! which is a single message while handlers take long or the ring is empty behind it, and up to [`SLICE`] messages in a stream of short ones.

use super::doorbell::give_back;
use super::mailbox::Mailbox;
use super::outbox::Post;
use super::shard::{Body, Core, LINGER, Shard};
use crate::abi::{FaultKind, Header, Origin, fault, tag};
use crate::kernel::{FaultSite, Outcome, Port};
use crate::payload::{REFERENCE_WORDS, Reference};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Messages a shard handles, at most, before the host is told; and at most a quarter of the ring.
const BATCH: u64 = 256;
/// Or how long it may take over them: replies are announced at the end of a batch.
const BATCH_TIME: Duration = Duration::from_micros(50);
/// Messages between two looks at the clock, at most.
const SLICE: u64 = 32;
/// A slice that took longer is followed by one of a single message.
const SHORT: Duration = Duration::from_micros(2);
/// Looks at an empty ring within a batch of tells that count as its messages' time. A shard that is faster than its sender waits in
/// the middle of a batch: to end it is to look at the tail, whose line the sender needs.
const GAP: usize = 8;

/// What a batch did.
pub(super) struct Done {
    pub(super) end: End,
    /// Whether replies or request slots moved.
    pub(super) moved: bool,
    /// Whether somebody may wait for that: for a reply, or for room in a ring that was full.
    pub(super) awaited: bool,
}

/// How a batch ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    /// Nothing left that may be handled.
    Idle,
    /// Others' turn.
    More,
    /// The reply ring is full.
    Blocked,
}

impl Core {
    /// Handles up to a batch of messages.
    pub(super) fn batch(&self, index: usize, body: &mut Body) -> Done {
        let mut run = Run::new(self, index);
        let end = loop {
            // `NativeShard` catches panics itself; one that gets out all the same must not take the pool's thread along.
            match catch_unwind(AssertUnwindSafe(|| run.handle_some(body))) {
                Ok(end) => break end,
                Err(payload) => {
                    // It may panic again when dropped.
                    std::mem::forget(payload);
                    match body.handling {
                        Some(header) => run.finish(body, header, refusal(FaultKind::Panic)),
                        None => break End::More,
                    }
                }
            }
        };
        run.end_slice(body);
        Done { end, moved: run.replied || run.taken > 0, awaited: run.replied || run.was_full }
    }
}

/// One batch under way.
struct Run<'a> {
    core: &'a Core,
    index: u32,
    shard: &'a Shard,
    port: &'a Port,
    mailbox: Option<&'a Mailbox>,
    /// Messages of a batch, of a slice.
    most: u64,
    most_slice: u64,
    /// Messages taken in this batch, and whether a reply was due.
    taken: u64,
    replied: bool,
    /// Whether a sender may wait for room.
    was_full: bool,
    /// Messages whose slots were given back, and whether any are out of the ring of requests whose slots were not.
    given: u64,
    requests_taken: bool,
    /// When the batch began, and the slice.
    begin: Instant,
    slice: Instant,
    /// Messages finished in this slice, and of those the ones not counted in shared memory yet.
    finished: u64,
    uncounted: u64,
}

fn refusal(kind: FaultKind) -> Outcome {
    Outcome::Fault { kind, site: FaultSite::None }
}

impl<'a> Run<'a> {
    fn new(core: &'a Core, index: usize) -> Self {
        let (shard, port, now) = (&core.shards[index], &core.ports[index], Instant::now());
        let quarter = (port.requests.capacity() / 4).max(1);
        let mailbox = shard.mailbox.get();
        let most_slice = mailbox.map_or(quarter, |mailbox| (mailbox.ring.capacity() / 4).clamp(1, quarter));
        Self {
            core,
            index: index as u32,
            shard,
            port,
            mailbox,
            most: quarter.min(BATCH),
            most_slice: most_slice.min(SLICE),
            taken: 0,
            replied: false,
            was_full: false,
            given: 0,
            requests_taken: false,
            begin: now,
            slice: now,
            finished: 0,
            uncounted: 0,
        }
    }

    fn handle_some(&mut self, body: &mut Body) -> End {
        let (control, port) = (&self.shard.control, self.port);
        let mut gap = 0;
        loop {
            // Relaxed, both flags: a caller that must know takes the body's lock after it switched.
            let terminating = control.should_terminate.load(Ordering::Relaxed) != 0;
            if body.unsent.is_some() && !self.send(body) && !terminating {
                return End::Blocked;
            }
            body.unsent = None;
            if terminating || body.left == 0 {
                body.talk.end();
                control.has_terminated.store(1, Ordering::Relaxed);
                return End::Idle;
            }
            if control.is_active.load(Ordering::Relaxed) == 0 {
                return End::Idle;
            }
            if self.finished >= body.slice || self.taken - self.given >= self.most_slice {
                self.end_slice(body);
                // A sender that waits for room takes longer to wake than what is left in the ring takes to be handled.
                let most = if self.was_full { self.most / 4 } else { self.most };
                if self.taken >= most || self.slice - self.begin > BATCH_TIME {
                    return End::More;
                }
            }
            if let Some(mailbox) = self.mailbox
                && let Some(header) = body.talk.mail.unanswered(mailbox)
            {
                self.answer(body, header, refusal(FaultKind::NotDelivered));
                continue;
            }
            let Some(header) = self.take(body) else {
                gap += 1;
                if gap == GAP {
                    self.stop_clock(body);
                }
                if gap > LINGER || self.replied || self.core.pool.others_wait() {
                    return End::Idle;
                }
                std::hint::spin_loop();
                continue;
            };
            if gap >= GAP {
                self.slice = Instant::now();
            }
            gap = 0;
            if self.taken == 0 {
                // With the one just taken, whose slot has not been given back.
                let depth = i32::try_from(port.requests.len()).unwrap_or(i32::MAX);
                self.shard.telemetry.queue_depth.store(depth, Ordering::Relaxed);
            }
            self.taken += 1;
            body.left -= 1;
            body.handling = Some(header);
            let outcome = self.handle(header, body);
            self.finish(body, header, outcome);
        }
    }

    /// Takes the next message out of one of the rings.
    #[inline]
    fn take(&mut self, body: &mut Body) -> Option<Header> {
        let Some(mailbox) = self.mailbox else {
            let header = body.requests.pop(&self.port.requests, body.payload.words());
            self.requests_taken |= header.is_some();
            return header;
        };
        if body.in_a_row >= SLICE {
            body.from_mailbox = !body.from_mailbox;
            body.in_a_row = 0;
        }
        for _ in 0..2 {
            let header = match body.from_mailbox {
                true => body.talk.mail.pop(mailbox, self.core.descriptor, body.payload.words()),
                false => body.requests.pop(&self.port.requests, body.payload.words()),
            };
            if header.is_some() {
                self.requests_taken |= !body.from_mailbox;
                body.in_a_row += 1;
                return header;
            }
            body.from_mailbox = !body.from_mailbox;
            body.in_a_row = 0;
        }
        None
    }

    #[inline]
    fn handle(&self, header: Header, body: &mut Body) -> Outcome {
        body.talk.clock.see(header.hlc);
        if header.tag == 0 {
            return refusal(FaultKind::Malformed);
        }
        let shards = self.core.shards.len() as u32;
        let (local, index) = match shards {
            1 => (header.instance, 0),
            _ => (header.instance / shards, header.instance % shards),
        };
        if header.instance >= self.core.instances || index != self.index {
            return refusal(FaultKind::UnknownInstance);
        }
        let Some(handler) = self.core.descriptor.handler(header.tag) else {
            return refusal(FaultKind::UnknownMessage);
        };
        let words = header.words as usize;
        if !handler.message.takes(words) {
            return refusal(FaultKind::Malformed);
        }
        let size = (handler.message.size as usize).min(4 * words);
        let (mut payload, reply) = (&body.payload.bytes()[..size], body.reply.bytes());
        let taken;
        if handler.message.is_large() && words == REFERENCE_WORDS {
            // Kernels send each other what slots carry.
            let by_host = matches!(header.correlation.origin(), Origin::Nobody | Origin::Asker(_));
            let reference = Reference::from_bytes(&body.payload.bytes()[..4 * words]);
            taken = reference.filter(|_| by_host).and_then(|reference| self.core.payloads.take(reference));
            let Some(taken) = &taken else { return refusal(FaultKind::Malformed) };
            payload = taken;
        }
        let most = reply.len();
        // The copy that is in memory anyway: this one stays in registers.
        let Some(handling) = &body.handling else { return refusal(FaultKind::Malformed) };
        let mut post = Post::new(self.core, self.index as usize, handling, &mut body.talk);
        let outcome = body.native.handle(local, header.instance, header.tag, payload, reply, &mut post);
        match outcome {
            // More than the largest reply is not to be believed.
            Outcome::Reply { bytes, .. } if bytes as usize > most => refusal(FaultKind::Panic),
            outcome => outcome,
        }
    }

    /// Notes how a request ended.
    #[inline]
    fn finish(&mut self, body: &mut Body, header: Header, outcome: Outcome) {
        body.handling = None;
        self.finished += 1;
        self.uncounted += 1;
        if let Outcome::Fault { kind, .. } = outcome {
            self.count_fault(header, kind);
        }
        self.replied |= std::mem::take(&mut body.talk.told);
        if !std::mem::take(&mut body.talk.forwarded) {
            self.answer(body, header, outcome);
        }
    }

    /// Makes the reply that is due, if one is.
    #[inline]
    fn answer(&mut self, body: &mut Body, header: Header, outcome: Outcome) {
        if header.correlation.is_some() {
            let (tag, length) = encode(outcome, body.reply.bytes());
            let hlc = body.talk.clock.stamp();
            body.unsent = Some((Header { tag, hlc, ..header }, length));
        }
    }

    #[cold]
    fn count_fault(&self, header: Header, kind: FaultKind) {
        let (control, telemetry) = (&self.shard.control, &self.shard.telemetry);
        // Relaxed, and load + store, here and below: the thread that holds the body is the only writer. An asker sees the
        // counts because the reply it waits for is published after them, with release.
        let errors = control.errors_encountered.load(Ordering::Relaxed);
        control.errors_encountered.store(errors.wrapping_add(1), Ordering::Relaxed);
        telemetry.error_code.store(kind as i32, Ordering::Relaxed);
        if header.tag == 0 {
            let dropped = telemetry.messages_dropped.load(Ordering::Relaxed);
            telemetry.messages_dropped.store(dropped + 1, Ordering::Relaxed);
        }
    }

    /// Sends the reply that is due; false where the ring is full.
    fn send(&mut self, body: &mut Body) -> bool {
        let Some((header, length)) = body.unsent else { return true };
        // So that the host is told, and makes room.
        self.replied = true;
        // Whoever has the reply also sees it counted; and timed as well, if nothing waits behind it, so that the figures of a kernel
        // at rest are whole.
        if self.uncounted > 0 {
            if self.finished >= body.slice || !body.requests.is_ready(&self.port.requests) {
                self.end_slice(body);
            } else {
                self.count();
            }
        }
        self.port.replies.try_push(header, &body.reply.bytes()[..length]).is_ok()
    }

    /// Counts what was finished.
    fn count(&mut self) {
        let (control, telemetry) = (&self.shard.control, &self.shard.telemetry);
        let count = std::mem::take(&mut self.uncounted);
        let processed = control.messages_processed.load(Ordering::Relaxed);
        control.messages_processed.store(processed + count as i64, Ordering::Relaxed);
        let processed = telemetry.messages_processed.load(Ordering::Relaxed);
        telemetry.messages_processed.store(processed + count, Ordering::Relaxed);
    }

    /// Gives the slots back, and stops the clock.
    fn end_slice(&mut self, body: &mut Body) {
        if self.given < self.taken {
            self.given = self.taken;
            if std::mem::take(&mut self.requests_taken) {
                self.was_full |= give_back::<AtomicU32, _, _>(&body.requests, &self.port.requests);
            }
        }
        if let Some(mailbox) = self.mailbox {
            self.was_full |= body.talk.mail.give_back(mailbox);
        }
        body.talk.clock.let_pass();
        self.stop_clock(body);
    }

    /// Counts, and shares the time since the last look at the clock among the messages finished since.
    fn stop_clock(&mut self, body: &mut Body) {
        if self.finished == 0 {
            return;
        }
        self.count();
        let now = Instant::now();
        let took = now - self.slice;
        let ticks = (now - self.core.epoch).as_nanos() as i64;
        self.shard.control.last_activity_ticks.store(ticks, Ordering::Relaxed);
        self.shard.telemetry.record_times(ticks, took.as_nanos() as u64, self.finished);
        body.slice = if took < SHORT { (2 * body.slice).min(self.most_slice) } else { 1 };
        (self.slice, self.finished) = (now, 0);
    }
}

/// Puts what crosses the ring at the front of `reply`; the tag and length of it.
fn encode(outcome: Outcome, reply: &mut [u8]) -> (u32, usize) {
    match outcome {
        Outcome::Reply { tag, bytes } => (tag, bytes as usize),
        Outcome::Fault { kind, site } => {
            reply[..4].copy_from_slice(&(kind as u32).to_le_bytes());
            reply[4..8].copy_from_slice(&site.to_word().to_le_bytes());
            (tag::FAULT, fault::FAULT_WORDS as usize * 4)
        }
    }
}
