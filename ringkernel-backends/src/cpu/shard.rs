//! A shard, and when it runs.
//!
//! A run takes batches ([`batch`](super::batch)) until the rings are empty, lingers there for a microsecond or two, and leaves.

use super::apart::Apart;
use super::batch::{Done, End};
use super::doorbell::Doorbell;
use super::mailbox::Mailbox;
use super::outbox::{Relays, Talk};
use super::pool::Shared;
use super::table::Tables;
use crate::abi::{Consumer, ControlBlock, Header, TelemetryBuffer};
use crate::host::lock_by;
use crate::kernel::{IdlePolicy, KernelDescriptor, NativeShard, Port, Progress};
use crate::mesh::MeshSpec;
use crate::payload::HeapArena;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Looks at the ring before an idle shard is put away, some ten nanoseconds each.
pub(super) const LINGER: usize = 100;
/// How often a full reply ring is tried again at once, the host having been told.
const REPLY_TRIES: usize = 4;
/// Batches before a worker looks up, even if nobody else waits.
const ROUNDS: usize = 1000;

/// What jobs and the kernel's handle share. Senders read it for each message: in lines of its own, as what the shard writes for each
/// message is in others.
#[repr(align(128))]
pub(super) struct Core {
    pub(super) descriptor: &'static KernelDescriptor,
    pub(super) instances: u32,
    pub(super) idle: IdlePolicy,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) ports: Vec<Port>,
    pub(super) shards: Vec<Shard>,
    pub(super) epoch: Instant,
    pub(super) pool: Arc<Shared>,
    pub(super) mesh: MeshSpec,
    /// Whom its handlers reach.
    pub(super) tables: Tables,
    /// Whether it takes no more messages, being about to end.
    pub(super) gone: AtomicBool,
    /// What is too large for a slot.
    pub(super) payloads: Arc<HeapArena>,
}

pub(super) struct Shard {
    pub(super) doorbell: Doorbell,
    pub(super) control: ControlBlock,
    pub(super) telemetry: TelemetryBuffer,
    /// Held while the shard handles messages, and by whoever must know that it does not.
    pub(super) body: Mutex<Body>,
    /// Made when the first route leads here.
    pub(super) mailbox: OnceLock<Mailbox>,
    /// What its handlers sent by way of the host.
    pub(super) relays: Relays,
}

pub(super) struct Body {
    pub(super) native: Box<dyn NativeShard>,
    pub(super) requests: Consumer,
    /// Words of the message.
    pub(super) payload: Apart,
    /// Bytes of the reply.
    pub(super) reply: Apart,
    /// The request whose handler runs.
    pub(super) handling: Option<Header>,
    /// A finished request whose reply found the ring full: its header and length, the bytes being in `reply`.
    pub(super) unsent: Option<(Header, usize)>,
    /// Messages the next slice may have.
    pub(super) slice: u64,
    /// Messages it may still handle before it ends for good.
    pub(super) left: u64,
    /// Whether the last message came out of the mailbox, and how many have in a row, from the same ring.
    pub(super) from_mailbox: bool,
    pub(super) in_a_row: u64,
    /// What handlers send with, and the end of the mailbox.
    pub(super) talk: Talk,
}

impl Body {
    pub(super) fn new(native: Box<dyn NativeShard>, port: &Port, reply: usize, left: Option<u64>) -> Self {
        Self {
            native,
            requests: port.requests.consumer(),
            payload: Apart::new(4 * port.requests.shape().payload_words()),
            reply: Apart::new(reply),
            handling: None,
            unsent: None,
            slice: 1,
            left: left.unwrap_or(u64::MAX),
            from_mailbox: false,
            in_a_row: 0,
            talk: Talk::default(),
        }
    }

    /// Whether a request is finished whose reply is not in the ring yet.
    pub(super) fn owes_a_reply(&self) -> bool {
        self.unsent.is_some()
    }
}

/// A shard that is to run.
pub(super) struct Job {
    core: Arc<Core>,
    shard: usize,
}

/// What becomes of a job that ran.
pub(super) enum Next {
    /// The shard waits for its doorbell.
    Idle,
    /// It has more to do.
    Again,
    /// Its reply ring is full.
    Blocked,
}

impl Job {
    /// How long a worker that has run this looks for more before it parks.
    pub(super) fn spin(&self) -> Duration {
        match self.core.idle {
            IdlePolicy::Spin => Duration::from_micros(200),
            IdlePolicy::Backoff => Duration::from_micros(20),
        }
    }

    /// Handles what there is. One thread at a time does: the one that holds the job.
    pub(super) fn run(&self) -> Next {
        let (core, shard) = (&*self.core, &self.core.shards[self.shard]);
        let (mut tries, mut linger, mut told) = (0, false, true);
        for _ in 0..ROUNDS {
            let done = {
                let mut body = shard.body.lock().unwrap_or_else(PoisonError::into_inner);
                if linger && !core.comes_again(self.shard, &body) {
                    Done { end: End::Idle, moved: false, awaited: false }
                } else {
                    core.batch(self.shard, &mut body)
                }
            };
            told &= !done.moved;
            // Where nobody can wait for it, the host is told when the shard goes idle or others get a turn, not after each of the
            // small batches that a shard takes which is faster than its senders.
            let may_go_on = done.end == End::More || (done.end == End::Idle && done.moved);
            let yields = may_go_on && core.pool.others_wait();
            if done.awaited || (!told && (yields || (done.end == End::Idle && !done.moved))) {
                told = true;
                // Without the lock, for the host may do anything here, even terminate the kernel. A panic of its is not ours.
                let _ = catch_unwind(AssertUnwindSafe(|| core.progress.progress()));
            }
            linger = done.end == End::Idle;
            match done.end {
                _ if yields => return Next::Again,
                End::More => {}
                End::Blocked if tries == REPLY_TRIES => return Next::Blocked,
                End::Blocked => tries += 1,
                End::Idle if done.moved => {}
                End::Idle => {
                    if shard.doorbell.leave(|| core.wants(self.shard)) {
                        return Next::Idle;
                    }
                    if core.pool.others_wait() {
                        return Next::Again;
                    }
                    // A sender has reserved a position and not written it yet. Where it was interrupted, this lets it go on.
                    thread::yield_now();
                }
            }
        }
        if !told {
            let _ = catch_unwind(AssertUnwindSafe(|| core.progress.progress()));
        }
        Next::Again
    }
}

impl Core {
    /// After a message was put in a shard's ring.
    pub(super) fn ring(self: &Arc<Self>, shard: usize) {
        if self.shards[shard].doorbell.ring() {
            self.pool.schedule(Job { core: self.clone(), shard });
        }
    }

    /// After a switch of a shard was thrown.
    pub(super) fn ring_after(self: &Arc<Self>, shard: usize) {
        if self.shards[shard].doorbell.ring_after() {
            self.pool.schedule(Job { core: self.clone(), shard });
        }
    }

    /// Whether an idle shard has something to do; asked on the way to idle (`Doorbell::leave`).
    fn wants(&self, index: usize) -> bool {
        let (control, port) = (&self.shards[index].control, &self.ports[index]);
        // Relaxed, all: the doorbell's fence is before them.
        if control.has_terminated.load(Ordering::Relaxed) != 0 {
            return false;
        }
        let terminating = control.should_terminate.load(Ordering::Relaxed) != 0;
        // A batch that ended idle has published its heads. A mailbox that was opened meanwhile is followed by a ring of its own.
        let has_mail = || self.shards[index].mailbox.get().is_some_and(Mailbox::wants);
        terminating
            || (control.is_active.load(Ordering::Relaxed) != 0 && (!port.requests.is_empty() || has_mail()))
    }

    /// Whether it takes no more messages.
    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        // Relaxed: a message that is sent meanwhile is as one that was sent just before.
        self.gone.load(Ordering::Relaxed)
    }

    /// Which shard an instance belongs to.
    #[inline]
    pub(super) fn shard_of(&self, instance: u32) -> usize {
        match self.shards.len() {
            1 => 0,
            shards => instance as usize % shards,
        }
    }

    /// Whether a message comes within a microsecond or two, while no other job waits: then going to sleep, and through the
    /// queue, would cost more than it saves.
    fn comes_again(&self, index: usize, body: &Body) -> bool {
        let mailbox = self.shards[index].mailbox.get();
        for _ in 0..LINGER {
            if body.requests.is_ready(&self.ports[index].requests)
                || mailbox.is_some_and(|mailbox| body.talk.mail.is_ready(mailbox))
            {
                return true;
            }
            if self.pool.others_wait() {
                return false;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// The body of a shard that is not handling anything.
    pub(super) fn quiet(&self, index: usize, deadline: Instant) -> Option<MutexGuard<'_, Body>> {
        lock_by(&self.shards[index].body, deadline)
    }
}
