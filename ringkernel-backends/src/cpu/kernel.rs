//! A kernel on the CPU: how it is launched, and its handle.

use super::doorbell::Doorbell;
use super::pool::Pool;
use super::shard::{Body, Core, Shard};
use crate::abi::{ControlSnapshot, TelemetryBuffer, TelemetrySnapshot, state_stride};
use crate::host::{Shapes, check_memory, control_block};
use crate::kernel::{Device, DeviceError, Kernel, LaunchSpec, NativeShardSpec, Port};
use crate::states::States;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

/// How long calls without a deadline of their own wait for the handler that runs.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn launch(pool: &Arc<Pool>, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
    let LaunchSpec { descriptor, instances, queue_capacity, active, .. } = spec;
    // Any number that was asked for: shards are jobs, and more of them than threads take turns.
    let shards = spec.tuning.shards.map_or(pool.threads() as u64, |shards| shards.max(1) as u64);
    let shards = shards.min(instances as u64) as u32;
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

/// The handle, in lines of its own as well.
#[repr(align(128))]
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
            Ok(body) => body.owes_a_reply(),
            Err(TryLockError::Poisoned(body)) => body.into_inner().owes_a_reply(),
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
