//! A kernel on the CPU: its shards, and what one does with its rings when it runs.

use super::pool::{Pool, Shared};
use crate::abi::{
    Consumer, ControlBlock, ControlSnapshot, FaultKind, Header, TelemetryBuffer, TelemetrySnapshot, fault,
    state_stride, tag,
};
use crate::host::{Shapes, check_memory, control_block, lock_by};
use crate::kernel::{
    Device, DeviceError, FaultSite, IdlePolicy, Kernel, KernelDescriptor, LaunchSpec, NativeShard,
    NativeShardSpec, Outcome, Port, Progress,
};
use crate::states::States;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Messages a shard handles before others get a turn.
const BATCH: usize = 64;
/// Or how long it may take over them: replies are announced at the end of a batch.
const BATCH_TIME: Duration = Duration::from_micros(50);
/// Looks at the doorbell before an idle shard is put away, some ten nanoseconds each.
const LINGER: usize = 100;
/// How often a full reply ring is tried again at once, the host having been told.
const REPLY_TRIES: usize = 4;
/// How long calls without a deadline of their own wait for the handler that runs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The shard is queued or running: whoever sets this bit queues it.
const SCHEDULED: u8 = 1;
/// The doorbell rang since the shard last began to run.
const RUNG: u8 = 2;

/// What jobs and the kernel's handle share.
pub(super) struct Core {
    descriptor: &'static KernelDescriptor,
    instances: u32,
    idle: IdlePolicy,
    progress: Arc<dyn Progress>,
    ports: Vec<Port>,
    shards: Vec<Shard>,
    epoch: Instant,
    pool: Arc<Shared>,
}

struct Shard {
    doorbell: AtomicU8,
    control: ControlBlock,
    telemetry: TelemetryBuffer,
    /// Held while the shard handles messages, and by whoever must know that it does not.
    body: Mutex<Body>,
}

struct Body {
    native: Box<dyn NativeShard>,
    requests: Consumer,
    payload: Vec<u32>,
    reply: Vec<u8>,
    /// A finished request whose reply found the ring full: its header and length, the bytes being in `reply`.
    unsent: Option<(Header, usize)>,
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

/// How a batch ended.
#[derive(PartialEq)]
enum End {
    /// Nothing left that may be handled.
    Idle,
    /// Others' turn.
    More,
    /// The reply ring is full.
    Blocked,
}

pub(super) fn launch(pool: &Arc<Pool>, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
    let LaunchSpec { descriptor, instances, queue_capacity, active, .. } = spec;
    let shards = (pool.threads() as u64).min(instances as u64) as u32;
    let shapes = Shapes::check(&spec, &super::CpuDevice { pool: pool.clone() }.name())?;
    let ring_bytes = shapes.check_memory(&spec, shards)?;
    let state_bytes = instances as u64 * state_stride(descriptor.state_size, descriptor.state_align) as u64;
    check_memory(ring_bytes + state_bytes, &format!("{instances} instances of `{}`", descriptor.id))?;
    pool.start().map_err(|e| DeviceError::Driver { call: "starting pool threads", reason: e.to_string() })?;

    let mut ports = Vec::with_capacity(shards as usize);
    let mut states = Vec::with_capacity(shards as usize);
    for first in 0..shards {
        let port = shapes.port(queue_capacity);
        let count = (instances - first).div_ceil(shards);
        let native =
            (descriptor.native)(NativeShardSpec { first, stride: shards, count, initial: &spec.initial })?;
        states.push(Shard {
            doorbell: AtomicU8::new(0),
            control: control_block(&port, active),
            telemetry: TelemetryBuffer::default(),
            body: Mutex::new(Body {
                native,
                requests: port.requests.consumer(),
                payload: vec![0; shapes.request.payload_words()],
                reply: vec![0; descriptor.reply_size() as usize],
                unsent: None,
            }),
        });
        ports.push(port);
    }
    let core = Core {
        descriptor,
        instances,
        idle: spec.idle,
        progress: spec.progress,
        ports,
        shards: states,
        epoch: Instant::now(),
        pool: pool.shared().clone(),
    };
    Ok(Arc::new(CpuKernel { core: Arc::new(core), _pool: pool.clone() }))
}

impl Job {
    /// How long a worker that has run this looks for more before it parks.
    pub(super) fn spin(&self) -> Duration {
        match self.core.idle {
            IdlePolicy::Spin => Duration::from_micros(200),
            IdlePolicy::Backoff => Duration::from_micros(20),
        }
    }

    /// Handles a batch. One thread at a time does: the one that holds the job.
    pub(super) fn run(&self) -> Next {
        let shard = &self.core.shards[self.shard];
        // Acquire pairs with the release in `Core::ring`: whatever was published (or switched) before a ring that this clears
        // is seen by this run. A later ring sets the bit again.
        shard.doorbell.swap(SCHEDULED, Ordering::Acquire);
        let mut end = End::Idle;
        for _ in 0..REPLY_TRIES {
            let moved;
            {
                let mut body = shard.body.lock().unwrap_or_else(PoisonError::into_inner);
                (end, moved) = self.core.batch(self.shard, &mut body);
            }
            // Without the lock, for the host may do anything here, even terminate the kernel. A panic of its is not ours.
            if moved {
                let _ = catch_unwind(AssertUnwindSafe(|| self.core.progress.progress()));
            }
            if end != End::Blocked {
                break;
            }
        }
        if end == End::Idle && self.rings_again() {
            end = End::More;
        }
        match end {
            End::More => Next::Again,
            End::Blocked => Next::Blocked,
            // Either this exchange comes before the next ring, which then finds the shard unscheduled and queues it, or a ring
            // came before it, its bit is set, and the exchange fails: read-modify-writes of one word have one order, so no
            // ring is missed. Relaxed: the body travels under its lock; the acquire is in the swap of the next run.
            End::Idle => {
                let idle = shard
                    .doorbell
                    .compare_exchange(SCHEDULED, 0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
                if idle { Next::Idle } else { Next::Again }
            }
        }
    }
}

impl Job {
    /// Whether the doorbell rings within a microsecond or two, while no other job waits: then going to sleep, and through the
    /// queue, would cost more than it saves.
    fn rings_again(&self) -> bool {
        let doorbell = &self.core.shards[self.shard].doorbell;
        for _ in 0..LINGER {
            // Relaxed: the swap of the run that follows acquires.
            if doorbell.load(Ordering::Relaxed) & RUNG != 0 {
                return true;
            }
            if self.core.pool.others_wait() {
                return false;
            }
            std::hint::spin_loop();
        }
        false
    }
}

impl Core {
    /// Rings a shard's doorbell.
    fn ring(self: &Arc<Self>, shard: usize) {
        // Release pairs with the acquire swap in `Job::run`: the run that clears this ring sees what we published before it.
        let before = self.shards[shard].doorbell.fetch_or(SCHEDULED | RUNG, Ordering::Release);
        if before & SCHEDULED == 0 {
            self.pool.schedule(Job { core: self.clone(), shard });
        }
    }

    /// Handles up to a batch of messages; also says whether replies or request slots moved.
    fn batch(&self, index: usize, body: &mut Body) -> (End, bool) {
        let (shard, port) = (&self.shards[index], &self.ports[index]);
        let control = &shard.control;
        let (mut replied, mut taken) = (false, 0);
        let start = Instant::now();
        let mut before = start;
        let depth = i32::try_from(port.requests.len()).unwrap_or(i32::MAX);
        let end = loop {
            // Relaxed, both flags: a caller that must know takes the body's lock after it switched.
            let terminating = control.should_terminate.load(Ordering::Relaxed) != 0;
            if let Some((header, length)) = body.unsent {
                // So that the host is told, and makes room.
                replied = true;
                if port.replies.try_push(header, &body.reply[..length]).is_err() && !terminating {
                    break End::Blocked;
                }
                body.unsent = None;
            }
            if terminating {
                control.has_terminated.store(1, Ordering::Relaxed);
                break End::Idle;
            }
            if control.is_active.load(Ordering::Relaxed) == 0 {
                break End::Idle;
            }
            if taken == BATCH || before - start > BATCH_TIME {
                break End::More;
            }
            let Some(header) = body.requests.pop(&port.requests, &mut body.payload) else { break End::Idle };
            if taken == 0 {
                shard.telemetry.queue_depth.store(depth, Ordering::Relaxed);
            }
            taken += 1;
            let outcome = self.handle(index, header, body);
            let now = Instant::now();
            // Counted before the reply is published, so that whoever has the reply also sees it counted.
            self.count(shard, header, outcome, now, now - before);
            before = now;
            if header.correlation.is_some() {
                let (tag, length) = encode(outcome, &mut body.reply);
                body.unsent = Some((Header { tag, ..header }, length));
            }
        };
        if taken > 0 {
            body.requests.publish(&port.requests);
        }
        (end, replied || taken > 0)
    }

    fn handle(&self, index: usize, header: Header, body: &mut Body) -> Outcome {
        let refuse = |kind| Outcome::Fault { kind, site: FaultSite::None };
        let shards = self.shards.len() as u32;
        if header.tag == 0 {
            return refuse(FaultKind::Malformed);
        }
        if header.instance >= self.instances || header.instance % shards != index as u32 {
            return refuse(FaultKind::UnknownInstance);
        }
        let Some(handler) = self.descriptor.handler(header.tag) else {
            return refuse(FaultKind::UnknownMessage);
        };
        let size = handler.message.size as usize;
        if header.words as usize != size.div_ceil(4) {
            return refuse(FaultKind::Malformed);
        }
        let payload = &bytemuck::cast_slice::<u32, u8>(&body.payload)[..size];
        let local = header.instance / shards;
        // `NativeShard` catches panics itself; one that gets out all the same must not take the pool's thread along.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            body.native.handle(local, header.instance, header.tag, payload, &mut body.reply)
        }));
        match outcome {
            // More than the largest reply is not to be believed.
            Ok(Outcome::Reply { bytes, .. }) if bytes as usize > body.reply.len() => refuse(FaultKind::Panic),
            Ok(outcome) => outcome,
            Err(_) => refuse(FaultKind::Panic),
        }
    }

    fn count(&self, shard: &Shard, header: Header, outcome: Outcome, now: Instant, service: Duration) {
        let (control, telemetry) = (&shard.control, &shard.telemetry);
        let now = (now - self.epoch).as_nanos() as i64;
        let code = match outcome {
            Outcome::Fault { kind, .. } => kind as i32,
            Outcome::Reply { .. } => 0,
        };
        // Relaxed, and load + store: the thread that holds the body is the only writer. An asker sees the counts because
        // the reply it waits for is published after them, with release.
        if code != 0 {
            let errors = control.errors_encountered.load(Ordering::Relaxed);
            control.errors_encountered.store(errors.wrapping_add(1), Ordering::Relaxed);
        }
        let processed = control.messages_processed.load(Ordering::Relaxed);
        control.messages_processed.store(processed + 1, Ordering::Relaxed);
        control.last_activity_ticks.store(now, Ordering::Relaxed);
        telemetry.record(now, service.as_nanos() as u64, code);
        if header.tag == 0 {
            let dropped = telemetry.messages_dropped.load(Ordering::Relaxed);
            telemetry.messages_dropped.store(dropped + 1, Ordering::Relaxed);
        }
    }

    /// The body of a shard that is not handling anything.
    fn quiet(&self, index: usize, deadline: Instant) -> Option<MutexGuard<'_, Body>> {
        lock_by(&self.shards[index].body, deadline)
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

/// The handle.
struct CpuKernel {
    core: Arc<Core>,
    /// Keeps the threads.
    _pool: Arc<Pool>,
}

impl CpuKernel {
    /// Calls `copy(body, local, place in the caller's buffer)` for each state, with its shard at rest.
    fn each_state(
        &self,
        states: States,
        mut copy: impl FnMut(&mut Body, u32, Range<usize>) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let shards = self.core.shards.len() as u32;
        let deadline = Instant::now() + PATIENCE;
        for shard in (0..shards).filter(|&shard| !states.locals(shard, shards).is_empty()) {
            let body = self.core.quiet(shard as usize, deadline);
            let what = "the end of the running handler";
            let mut body = body.ok_or(DeviceError::Deadline { what, deadline: PATIENCE })?;
            for local in states.locals(shard, shards) {
                copy(&mut body, local, states.place(shard, shards, local))?;
            }
        }
        Ok(())
    }

    fn terminating(&self) -> bool {
        self.core.shards[0].control.should_terminate.load(Ordering::Relaxed) != 0
    }

    fn ask_to_terminate(&self) {
        for shard in &self.core.shards {
            // Relaxed: whoever must know that it was heard takes the body's lock afterwards.
            shard.control.should_terminate.store(1, Ordering::Relaxed);
        }
    }
}

impl Kernel for CpuKernel {
    fn ports(&self) -> &[Port] {
        &self.core.ports
    }

    fn doorbell(&self, shard: usize) {
        self.core.ring(shard);
    }

    fn must_be_polled(&self) -> bool {
        false
    }

    fn set_active(&self, active: bool) -> Result<(), DeviceError> {
        if self.terminating() {
            return Err(DeviceError::Terminated);
        }
        for (index, shard) in self.core.shards.iter().enumerate() {
            // Relaxed: `true` is followed by a ring, `false` by taking the body's lock; both synchronise.
            shard.control.is_active.store(active as i32, Ordering::Relaxed);
            if active {
                self.core.ring(index);
            }
        }
        if !active {
            let deadline = Instant::now() + PATIENCE;
            for index in 0..self.core.shards.len() {
                let what = "the end of the running handler";
                let quiet = self.core.quiet(index, deadline);
                drop(quiet.ok_or(DeviceError::Deadline { what, deadline: PATIENCE })?);
            }
        }
        Ok(())
    }

    fn control(&self) -> ControlSnapshot {
        let snapshots = self.core.shards.iter().map(|shard| shard.control.snapshot());
        snapshots.reduce(ControlSnapshot::merge).unwrap_or_default()
    }

    fn telemetry(&self) -> TelemetrySnapshot {
        let snapshots = self.core.shards.iter().map(|shard| shard.telemetry.snapshot());
        snapshots.reduce(TelemetrySnapshot::merge).unwrap_or_default()
    }

    fn terminate(&self, deadline: Duration) -> Result<(), DeviceError> {
        self.ask_to_terminate();
        let until = Instant::now() + deadline;
        let mut late = false;
        for (index, shard) in self.core.shards.iter().enumerate() {
            // A shard that is not running will not handle anything again: it looks at the flag first.
            match self.core.quiet(index, until) {
                Some(_body) => shard.control.has_terminated.store(1, Ordering::Relaxed),
                None => late = true,
            }
        }
        if late {
            return Err(DeviceError::Deadline { what: "the end of the running handler", deadline });
        }
        Ok(())
    }

    fn read_states(&self, first: u32, count: u32, out: &mut [u8]) -> Result<(), DeviceError> {
        let states = States::check(self.core.descriptor, self.core.instances, first, count, out.len())?;
        self.each_state(states, |body, local, place| {
            body.native.read_state(local, &mut out[place]);
            Ok(())
        })
    }

    fn write_states(&self, first: u32, count: u32, bytes: &[u8]) -> Result<(), DeviceError> {
        let states = States::check(self.core.descriptor, self.core.instances, first, count, bytes.len())?;
        self.each_state(states, |body, local, place| body.native.write_state(local, &bytes[place]))
    }

    fn is_busy(&self) -> bool {
        let busy = |shard: &Shard| match shard.body.try_lock() {
            Ok(body) => body.unsent.is_some(),
            Err(TryLockError::Poisoned(body)) => body.into_inner().unsent.is_some(),
            Err(TryLockError::WouldBlock) => true,
        };
        self.core.shards.iter().any(busy)
    }

    fn failure(&self) -> Option<DeviceError> {
        None
    }
}

impl Drop for CpuKernel {
    fn drop(&mut self) {
        // A queued or running shard ends itself on the pool; nobody is waited for, since this may be the pool's thread.
        self.ask_to_terminate();
    }
}
