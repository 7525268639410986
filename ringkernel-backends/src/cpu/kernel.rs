//! A kernel on the CPU: how it is launched, and its handle.

use super::connect;
use super::doorbell::Doorbell;
use super::outbox::Relays;
use super::pool::Pool;
use super::shard::{Body, Core, Shard};
use super::table::Tables;
use crate::abi::{
    ControlSnapshot, Correlation, Header, SlotShape, TelemetryBuffer, TelemetrySnapshot, state_stride,
};
use crate::host::{Shapes, check_memory, control_block};
use crate::kernel::{Device, DeviceError, Kernel, LaunchSpec, NativeShardSpec, Port};
use crate::mesh::{KernelNumber, MailboxSnapshot, Sent, Subscriber, Target};
use crate::payload::{DEFAULT_BYTES, HeapArena, PayloadArena};
use crate::states::States;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::time::{Duration, Instant};

/// How long calls without a deadline of their own wait for the handler that runs.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn launch(pool: &Arc<Pool>, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
    let LaunchSpec { descriptor, instances, queue_capacity, active, .. } = spec;
    // Any number that was asked for: shards are jobs, and more of them than threads take turns.
    let shards = spec.tuning.shards.map_or(pool.threads() as u64, |shards| shards.max(1) as u64);
    let shards = shards.min(instances as u64) as u32;
    connect::check(&spec)?;
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
        let body = Body::new(native, &port, descriptor.reply_size() as usize, spec.tuning.stop_after);
        states.push(Shard {
            doorbell: Doorbell::new(),
            control: control_block(&port, active),
            telemetry: TelemetryBuffer::default(),
            body: Mutex::new(body),
            mailbox: OnceLock::new(),
            relays: Relays::default(),
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
        mesh: spec.mesh,
        tables: Tables::new(descriptor),
        gone: AtomicBool::new(false),
        payloads: Arc::new(HeapArena::new(spec.tuning.payload_memory.unwrap_or(DEFAULT_BYTES))),
    };
    let (core, first_position) = (Arc::new(core), shapes.first_position);
    Ok(Arc::new(CpuKernel { core, shape: shapes.request, first_position, _pool: pool.clone() }))
}

/// The handle, in lines of its own as well.
#[repr(align(128))]
pub(super) struct CpuKernel {
    pub(super) core: Arc<Core>,
    /// The shape of its mailboxes' slots, and the position they begin at.
    pub(super) shape: SlotShape,
    pub(super) first_position: u64,
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
        // Relaxed: see `Core::is_gone`.
        self.core.gone.store(true, Ordering::Relaxed);
        for shard in &self.core.shards {
            // Relaxed: whoever must know that it was heard takes the body's lock afterwards.
            shard.control.should_terminate.store(1, Ordering::Relaxed);
        }
        self.core.tables.clear();
    }
}

impl Kernel for CpuKernel {
    fn payloads(&self) -> Option<Arc<dyn PayloadArena>> {
        Some(self.core.payloads.clone())
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
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
                self.core.ring_after(index);
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
        let mut telemetry = snapshots.reduce(TelemetrySnapshot::merge).unwrap_or_default();
        telemetry.messages_dropped += self.mailbox().dropped;
        telemetry
    }

    fn terminate(&self, deadline: Duration) -> Result<(), DeviceError> {
        self.ask_to_terminate();
        let until = Instant::now() + deadline;
        let mut late = false;
        for (index, shard) in self.core.shards.iter().enumerate() {
            // A shard that is not running will not handle anything again: it looks at the flag first.
            match self.core.quiet(index, until) {
                Some(mut body) => {
                    body.talk.end();
                    shard.control.has_terminated.store(1, Ordering::Relaxed);
                }
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

    fn heartbeat(&self, shard: usize) -> u64 {
        let requests = self.core.ports.get(shard).map_or(0, |port| port.requests.consumed());
        let mailbox = self.core.shards.get(shard).and_then(|shard| shard.mailbox.get());
        requests.wrapping_add(mailbox.map_or(0, |mailbox| mailbox.ring.consumed()))
    }

    fn is_busy(&self) -> bool {
        let busy = |shard: &Shard| match shard.body.try_lock() {
            Ok(body) => body.owes_a_reply(),
            Err(TryLockError::Poisoned(body)) => body.into_inner().owes_a_reply(),
            Err(TryLockError::WouldBlock) => true,
        };
        self.core.shards.iter().any(busy)
    }

    fn connect(&self, route: usize, target: Target<'_>) -> Result<(), DeviceError> {
        connect::connect(self, route, target)
    }

    fn set_peer(&self, number: KernelNumber, target: Target<'_>) -> Result<(), DeviceError> {
        connect::set_peer(self, number, target)
    }

    fn set_subscribers(
        &self,
        topic: usize,
        subscribers: &[Subscriber],
        host: bool,
    ) -> Result<(), DeviceError> {
        connect::set_subscribers(self, topic, subscribers, host)
    }

    fn missed(&self, topic: usize) -> Vec<u64> {
        connect::missed(self, topic)
    }

    fn relay(&self, header: Header, payload: &[u8]) -> Sent {
        connect::relay(self, header, payload)
    }

    fn relayed(&self, shard: usize, receiver: KernelNumber) {
        if let Some(shard) = self.core.shards.get(shard) {
            shard.relays.done(receiver);
        }
    }

    fn unanswered(&self) -> Vec<Correlation> {
        connect::unanswered(self)
    }

    fn mailbox(&self) -> MailboxSnapshot {
        connect::snapshot(self)
    }

    fn failure(&self) -> Option<DeviceError> {
        None
    }
}

impl Drop for CpuKernel {
    fn drop(&mut self) {
        // A queued or running shard ends itself on the pool; nobody is waited for, since this may be the pool's thread.
        self.ask_to_terminate();
        // Nor may its bodies keep others, who may keep this one. A body that is locked is running, and one more run lets go.
        for (index, shard) in self.core.shards.iter().enumerate() {
            match shard.body.try_lock() {
                Ok(mut body) => body.talk.end(),
                Err(TryLockError::Poisoned(body)) => body.into_inner().talk.end(),
                Err(TryLockError::WouldBlock) => self.core.ring_after(index),
            }
        }
    }
}
