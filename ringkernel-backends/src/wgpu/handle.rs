//! The handle: what the host can do with a kernel.

use super::kernel::Core;
use crate::abi::{ControlSnapshot, Correlation, Header, TelemetrySnapshot};
use crate::kernel::{DeviceError, Kernel, Port};
use crate::mesh::{KernelNumber, MailboxSnapshot, Sent, Subscriber, Target};
use crate::payload::PayloadArena;
use crate::states::States;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the last handle waits for the dispatcher when it is dropped.
const FAREWELL: Duration = Duration::from_secs(2);

/// The handle.
pub(super) struct WgpuKernel {
    pub(super) core: Arc<Core>,
    pub(super) dispatcher: Mutex<Option<JoinHandle<()>>>,
}

impl Kernel for WgpuKernel {
    fn payloads(&self) -> Option<Arc<dyn PayloadArena>> {
        self.core.payloads.as_ref().map(|payloads| payloads.arena.clone() as _)
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
    fn ports(&self) -> &[Port] {
        &self.core.port
    }

    fn doorbell(&self, _shard: usize) {
        self.core.ring();
    }

    fn must_be_polled(&self) -> bool {
        false
    }

    fn set_active(&self, active: bool) -> Result<(), DeviceError> {
        let core = &self.core;
        if core.control.should_terminate.load(Ordering::Relaxed) != 0 {
            return Err(DeviceError::Terminated);
        }
        core.gpu.health.check()?;
        // Relaxed: `true` is followed by a ring, `false` by taking the engine's lock; both synchronise.
        core.control.is_active.store(active as i32, Ordering::Relaxed);
        if active {
            core.ring();
        } else {
            // A dispatch ends, or the device is lost, within its patience.
            drop(core.quiet(core.gpu.patience() * 2)?);
        }
        Ok(())
    }

    fn control(&self) -> ControlSnapshot {
        self.core.control.snapshot()
    }

    fn telemetry(&self) -> TelemetrySnapshot {
        self.core.telemetry.snapshot()
    }

    fn terminate(&self, deadline: Duration) -> Result<(), DeviceError> {
        self.ask_to_terminate();
        let begin = Instant::now();
        let engine = self.core.quiet(deadline)?;
        // The dispatcher looks at the flag before anything else: there will be no further dispatch.
        self.core.control.has_terminated.store(1, Ordering::Relaxed);
        drop(engine);
        self.join(deadline.saturating_sub(begin.elapsed()));
        if self.core.leave_mesh(deadline.saturating_sub(begin.elapsed())) {
            return Ok(());
        }
        Err(DeviceError::Deadline { what: "the end of the running dispatch", deadline })
    }

    fn read_states(&self, first: u32, count: u32, out: &mut [u8]) -> Result<(), DeviceError> {
        let core = &self.core;
        let states = States::check(core.descriptor, core.instances, first, count, out.len())?;
        let engine = core.quiet(core.gpu.patience() * 2)?;
        core.read_states(&engine, states, out)
    }

    fn write_states(&self, first: u32, count: u32, bytes: &[u8]) -> Result<(), DeviceError> {
        let core = &self.core;
        let states = States::check(core.descriptor, core.instances, first, count, bytes.len())?;
        // What is written to the queue now comes before any later dispatch.
        let engine = core.quiet(core.gpu.patience() * 2)?;
        super::memory::write_states(
            &core.gpu,
            &engine.state,
            states.instances(),
            core.stride as usize,
            |instance, state| {
                state[..states.size()].copy_from_slice(&bytes[states.place(0, 1, instance)]);
            },
        )
    }

    fn heartbeat(&self, _shard: usize) -> u64 {
        // Requests count when they are taken, and what was in the mailbox once it was handled. Relaxed: figures.
        let handled = self.core.control.messages_processed.load(Ordering::Relaxed) as u64;
        self.core.port[0].requests.consumed().wrapping_add(handled)
    }

    fn is_busy(&self) -> bool {
        match self.core.engine.try_lock() {
            Ok(engine) => engine.sent < engine.replies.len(),
            Err(TryLockError::Poisoned(engine)) => engine.get_ref().sent < engine.get_ref().replies.len(),
            Err(TryLockError::WouldBlock) => true,
        }
    }

    fn connect(&self, route: usize, target: Target<'_>) -> Result<(), DeviceError> {
        self.core.connect(route, target)
    }

    fn set_peer(&self, number: KernelNumber, target: Target<'_>) -> Result<(), DeviceError> {
        self.core.set_peer(number, target)
    }

    fn set_subscribers(
        &self,
        topic: usize,
        subscribers: &[Subscriber],
        host: bool,
    ) -> Result<(), DeviceError> {
        self.core.set_subscribers(topic, subscribers, host)
    }

    fn missed(&self, topic: usize) -> Vec<u64> {
        self.core.missed(topic)
    }

    fn relay(&self, header: Header, payload: &[u8]) -> Sent {
        self.core.relay(header, payload)
    }

    fn relayed(&self, _shard: usize, receiver: KernelNumber) {
        self.core.relayed(receiver);
    }

    fn unanswered(&self) -> Vec<Correlation> {
        self.core.unanswered()
    }

    fn mailbox(&self) -> MailboxSnapshot {
        self.core.mailbox()
    }

    fn failure(&self) -> Option<DeviceError> {
        self.core.gpu.health.failure()
    }
}

impl WgpuKernel {
    fn ask_to_terminate(&self) {
        // Relaxed: the ring that follows releases it to the dispatcher.
        self.core.control.should_terminate.store(1, Ordering::Relaxed);
        self.core.ring();
    }

    /// Waits until the dispatcher has let go of the device. A process that ended while it still did so crashed in lavapipe, whose
    /// exit handlers do not expect another thread there.
    fn join(&self, patience: Duration) {
        let mut dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = dispatcher.take() else { return };
        // The dispatcher may be the one to drop the last handle; then it ends by itself.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        let deadline = Instant::now() + patience;
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                *dispatcher = Some(thread);
                return;
            }
            thread::sleep(Duration::from_micros(50));
        }
        // A panic of the dispatcher's has been reported where it happened.
        let _ = thread.join();
    }
}

impl Drop for WgpuKernel {
    fn drop(&mut self) {
        self.ask_to_terminate();
        self.join(FAREWELL);
        // One that cannot leave in time is left out by whoever looks at the mesh next.
        self.core.leave_mesh(FAREWELL);
    }
}
