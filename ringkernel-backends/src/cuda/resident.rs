//! A launched kernel: its memory, its start, its pauses and its end.

use super::driver::{DeviceMemory, Function, LentStream, Pinned};
use super::links::{Links, Neighbour};
use super::lobby::Lobby;
use super::phase::{self, HasPhase, Held, Phase, Phases};
use super::prepare::{ACK, BEAT, CONTROL, SHARED_BYTES, SWITCH, TELEMETRY};
use super::state::Layout;
use super::{Shared, WARP};
use crate::abi::{
    ControlBlock, ControlSnapshot, Correlation, Header, TelemetryBuffer, TelemetrySnapshot, state_stride,
};
use crate::kernel::{DeviceError, Kernel, KernelDescriptor, Port};
use crate::mesh::{KernelNumber, MailboxSnapshot, Overflow, Sent, Subscriber, Target, as_kernel, relay_into};
use crate::payload::PayloadArena;
use crate::states::States;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a launched kernel may take to show up.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A kernel on the GPU, shared by its handle and the registry.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) descriptor: &'static KernelDescriptor,
    pub(super) function: Function,
    pub(super) stream: LentStream,
    pub(super) shards: u32,
    pub(super) multiprocessors: f64,
    /// Device address of the parameter blocks.
    pub(super) params: DeviceMemory,
    pub(super) payloads: Option<super::payload::Payloads>,
    /// Where others are, and its mailbox.
    pub(super) links: Links,
    pub(super) state: DeviceMemory,
    pub(super) saved: DeviceMemory,
    pub(super) pinned: Arc<Pinned>,
    pub(super) shard_bytes: usize,
    /// It leaves when it has had nothing to do for a while, and the next message brings it back.
    pub(super) event_driven: bool,
    pub(super) phases: Phases,
    pub(super) failure: OnceLock<DeviceError>,
    pub(super) launched: Instant,
    /// When the driver was last asked how the kernel does, in milliseconds since `launched`.
    pub(super) asked: AtomicU64,
    /// How often it was launched again.
    pub(super) relaunches: AtomicU64,
    /// It is at home because it was told to: a sign of life all the same.
    pub(super) away: AtomicBool,
    /// It was told to return, and did not in time. The request stands.
    pub(super) late: AtomicBool,
    /// What its parameters say is to be added to the device's clock. Written with the phase's lock held.
    pub(super) told: AtomicI64,
    /// The number of the last activation or suspension. Written with the phase's lock held.
    pub(super) switched: AtomicU32,
}

/// Starts a kernel that has been prepared, if it fits.
pub(super) fn start(
    core: Core,
    ports: Vec<Port>,
    instances: u32,
    active: bool,
) -> Result<Arc<dyn Kernel>, DeviceError> {
    let core = Arc::new(core);
    core.write_first_links()?;
    core.shared.registry.start(&core)?;
    core.shared.keep_clock();
    let per_shard = instances.div_ceil(core.shards) as usize;
    let state_stride = state_stride(core.descriptor.state_size, core.descriptor.state_align) as usize;
    let lobby = Lobby::new(core.descriptor, core.shards);
    let kernel = CudaKernel { core, ports, instances, per_shard, state_stride, lobby };
    kernel.core.wait_for_ack(active, START_DEADLINE)?;
    Ok(Arc::new(kernel))
}

impl Core {
    /// Its phase, locked, for which this waits.
    pub(super) fn phase(&self) -> Held<'_, Self> {
        phase::hold(self)
    }

    /// Its phase, if nobody is changing it.
    pub(super) fn try_phase(&self) -> Option<Held<'_, Self>> {
        phase::try_hold(self)
    }

    pub(super) fn actor(&self) -> &'static str {
        self.descriptor.actor
    }

    /// Share of the GPU's multiprocessors its blocks take.
    pub(super) fn multiprocessors(&self) -> f64 {
        self.multiprocessors
    }

    /// Share of a multiprocessor that one of its blocks takes.
    pub(super) fn block(&self) -> f64 {
        self.multiprocessors / self.shards as f64
    }

    /// Whether it takes room on the GPU. Known without the phase's lock, which may be held for as long as a handler takes.
    pub(super) fn is_resident(&self) -> bool {
        !self.phases.is_over()
    }

    pub(super) fn control(&self, shard: u32) -> &ControlBlock {
        // SAFETY: written in `launch`, alive with `self`, and all-atomic where the device writes.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + CONTROL).cast() }
    }

    pub(super) fn telemetry(&self, shard: u32) -> &TelemetryBuffer {
        // SAFETY: as for `control`.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + TELEMETRY).cast() }
    }

    /// The device's clock when the shard last polled in vain, now and then.
    fn beat(&self, shard: u32) -> u64 {
        // SAFETY: as for `control`.
        let beat =
            unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + BEAT).cast::<AtomicU64>() };
        // Relaxed: whether it moves is all that is asked.
        beat.load(Ordering::Relaxed)
    }

    /// Throws the switch, and waits until every shard has taken note. With the phase's lock held.
    pub(super) fn switch(&self, active: bool) -> Result<(), DeviceError> {
        self.switch_by(active, START_DEADLINE)
    }

    /// The same, for as long as the caller waits.
    pub(super) fn switch_by(&self, active: bool, deadline: Duration) -> Result<(), DeviceError> {
        let number = next_switch(self.switched.load(Ordering::Relaxed), active);
        // Relaxed, both: with the phase's lock held.
        self.switched.store(number, Ordering::Relaxed);
        for shard in 0..self.shards {
            // Release: nothing rides on it but the flag; the acknowledgement carries the ordering back.
            self.control(shard).is_active.store(active as i32, Ordering::Release);
            // Release pairs with the device's fence between reading this and looking at `is_active` again: it then sees no older one.
            self.switch_number(shard).store(number, Ordering::Release);
            if self.control(shard).has_terminated.load(Ordering::Relaxed) == 1 {
                return Err(DeviceError::Terminated);
            }
        }
        fence(Ordering::SeqCst);
        self.bring_back(deadline)?;
        self.wake()?;
        self.wait_for_ack(active, deadline)
    }

    fn switch_number(&self, shard: u32) -> &AtomicU32 {
        // SAFETY: as for `control`.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + SWITCH).cast() }
    }

    fn ack(&self, shard: u32) -> &AtomicU32 {
        // SAFETY: as for `control`.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + ACK).cast() }
    }

    /// Puts the kernel on the GPU for the first time.
    pub(super) fn start(&self) -> Result<(), DeviceError> {
        let mut phase = self.phase();
        self.submit()?;
        phase.becomes(Phase::Resident);
        Ok(())
    }

    /// Whether an event-driven kernel has said that it leaves. The caller has published what it wants seen and made a `SeqCst` fence
    /// since: that fence pairs with the one of the device between saying so and looking once more, so either it is seen
    /// here, or the device sees what was published and stays.
    fn is_leaving(&self) -> bool {
        self.event_driven && self.control(0).has_terminated.load(Ordering::Relaxed) == 2
    }

    /// Brings an event-driven kernel back that has left, or waits until it has changed its mind. With the phase's lock held.
    fn wake(&self) -> Result<(), DeviceError> {
        while self.is_leaving() {
            // It has looked once more and is gone in microseconds, or says that it stays.
            if self.stream_is_idle()? {
                return self.relaunch();
            }
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Launches a kernel again that has returned with its state kept. With the phase's lock held.
    pub(super) fn relaunch(&self) -> Result<(), DeviceError> {
        for shard in 0..self.shards {
            let control = self.control(shard);
            // Relaxed: the launch below makes everything before it visible to the kernel.
            control.should_terminate.store(0, Ordering::Relaxed);
            control.has_terminated.store(0, Ordering::Relaxed);
        }
        self.submit()?;
        // Relaxed, all: `late` is written with the phase's lock held, and the others are for `heartbeat`, a figure.
        self.late.store(false, Ordering::Relaxed);
        self.relaunches.fetch_add(1, Ordering::Relaxed);
        self.away.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn submit(&self) -> Result<(), DeviceError> {
        self.set_clock()?;
        // SAFETY: `params` holds `shards` blocks whose addresses (pinned and device memory) belong to `self`, which outlives
        // the kernel: `CudaKernel::drop` ends it, or leaks a `Core` that is stuck.
        unsafe {
            self.function.launch_with_shared(
                &self.stream,
                (self.shards, WARP, SHARED_BYTES),
                self.params.address,
                self.shards,
            )
        }
    }

    pub(super) fn ask_to_return(&self, how: i32) {
        for shard in 0..self.shards {
            // Release: whoever sees the request sees what was written before it (nothing in particular; requests in the rings are
            // either taken or left, both are fine). Read by the device's relaxed poll.
            self.control(shard).should_terminate.store(how, Ordering::Release);
        }
    }

    /// Waits until the grid has left the GPU; false if it did not in time.
    pub(super) fn wait_until_returned(&self, deadline: Duration) -> Result<bool, DeviceError> {
        wait(deadline, || match self.stream_is_idle() {
            Ok(idle) => idle.then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })
        .map_or(Ok(false), |done| done.map(|()| true))
    }

    pub(super) fn stream_is_idle(&self) -> Result<bool, DeviceError> {
        self.stream.is_idle().inspect_err(|error| {
            let _ = self.failure.set(error.clone());
        })
    }

    /// Waits until every shard has taken note of the last switch, which said `active`.
    ///
    /// A suspension is known by its number: of an earlier one that was taken back there may still come an answer. What an activation that comes behind such a
    /// suspension finds active may have been so all the time, and then nobody answers it.
    fn wait_for_ack(&self, active: bool, deadline: Duration) -> Result<(), DeviceError> {
        // Relaxed: with the phase's lock held, or before anybody else has the kernel.
        let number = self.switched.load(Ordering::Relaxed);
        let noted = |answer: u32| if active { answer & 1 == 1 } else { answer == number };
        let shown = wait(deadline, || {
            // Acquire pairs with the device's fence before it writes the acknowledgement: what handlers wrote is visible.
            let all = (0..self.shards).all(|s| noted(self.ack(s).load(Ordering::Acquire)));
            if all { Some(Ok(())) } else { self.died().map(Err) }
        });
        shown.unwrap_or(Err(DeviceError::Deadline { what: "the kernel's acknowledgement", deadline }))
    }

    /// Why the kernel is gone although nobody asked it to go.
    fn died(&self) -> Option<DeviceError> {
        if let Some(error) = self.failure.get() {
            return Some(error.clone());
        }
        self.stream_is_idle().err()
    }

    fn end(&self, deadline: Duration) -> Result<(), DeviceError> {
        // Somebody may hold the lock who waits for a handler: an activation, a quiesce.
        let until = Instant::now() + deadline;
        let Some(mut phase) = phase::hold_by(self, until) else {
            return Err(DeviceError::Deadline { what: "terminate", deadline });
        };
        match *phase {
            Phase::Prepared | Phase::Ended => return Ok(()),
            Phase::Resident | Phase::Stuck => {}
        }
        self.ask_to_return(1);
        match self.wait_until_returned(until.saturating_duration_since(Instant::now())) {
            Ok(true) => {
                phase.becomes(Phase::Ended);
                for shard in 0..self.shards {
                    // Relaxed: for people to read. The device's word, but the device is gone; an event-driven kernel that had left
                    // by itself could not know that it was for good.
                    self.control(shard).has_terminated.store(1, Ordering::Relaxed);
                }
                Ok(())
            }
            Ok(false) => {
                phase.becomes(Phase::Stuck);
                Err(DeviceError::Deadline { what: "terminate", deadline })
            }
            Err(error) => {
                // The context is gone, and the kernel with it.
                phase.becomes(Phase::Ended);
                Err(error)
            }
        }
    }
}

impl HasPhase for Core {
    fn phases(&self) -> &Phases {
        &self.phases
    }

    /// A message came for an event-driven kernel that has left, or is about to. Not if it is suspended, as in `doorbell`.
    fn answer(&self, phase: Phase) {
        if phase == Phase::Resident && self.control(0).is_active.load(Ordering::Relaxed) != 0 {
            // What goes wrong is kept, and told to those who wait.
            let _ = self.wake().inspect_err(|error| drop(self.failure.set(error.clone())));
        }
    }
}

/// The number of the switch behind that of this number: it counts on, and its lowest bit says whether the kernel is to be active.
fn next_switch(number: u32, active: bool) -> u32 {
    (number | 1).wrapping_add(1) | u32::from(active)
}

/// Polls until there is an answer or time is up: eagerly at first, then with short sleeps.
pub(super) fn wait<T>(deadline: Duration, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = poll() {
            return Some(answer);
        }
        let waited = begin.elapsed();
        if waited >= deadline {
            return None;
        }
        if waited < Duration::from_micros(500) {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The handle's side.
struct CudaKernel {
    core: Arc<Core>,
    ports: Vec<Port>,
    instances: u32,
    per_shard: usize,
    state_stride: usize,
    lobby: Lobby,
}

impl CudaKernel {
    /// Where a target is, seen from here.
    fn neighbour(&self, target: Target<'_>) -> Result<Neighbour, DeviceError> {
        match target {
            Target::Nobody => Ok(Neighbour::default()),
            Target::Host(number) => Ok(Neighbour::by_host(number)),
            Target::Kernel(kernel) => match as_kernel::<Self>(kernel) {
                Some(other) if self.core.shared.reaches(&other.core.shared)? => other.core.neighbour(),
                _ => Err(DeviceError::NotConnected {
                    reason: "the other kernel is on a device that this one cannot reach",
                }),
            },
        }
    }

    fn layout(&self) -> Layout<'_> {
        let (shards, stride) = (self.core.shards, self.state_stride);
        Layout { memory: &self.core.state, shards, per_shard: self.per_shard, stride }
    }
}

impl Kernel for CudaKernel {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn payloads(&self) -> Option<Arc<dyn PayloadArena>> {
        self.core.payloads.as_ref().map(|payloads| payloads.arena.clone() as _)
    }

    fn doorbell(&self, _shard: usize) {
        if !self.core.event_driven {
            return;
        }
        fence(Ordering::SeqCst);
        // A suspended kernel is brought back by being activated. Relaxed: whoever activates it looks for messages itself.
        if self.core.is_leaving() && self.core.control(0).is_active.load(Ordering::Relaxed) != 0 {
            // Who pauses or ends the kernel has the phase's lock, maybe for long: then that is who brings it back, when he is done.
            phase::ring(&*self.core);
        }
    }

    fn heartbeat(&self, shard: usize) -> u64 {
        let finished = self.ports.get(shard).map_or(0, |port| port.requests.consumed());
        let received = self.core.received(shard as u32 % self.core.shards);
        let beat = self.core.beat(shard as u32 % self.core.shards);
        // Relaxed: figures. A kernel that was sent home obeyed, so it is alive, however long what it waits for takes.
        let relaunches = self.core.relaunches.load(Ordering::Relaxed);
        let away = self.core.away.load(Ordering::Relaxed);
        let away = if away { self.core.launched.elapsed().as_nanos() as u64 } else { 0 };
        [received, beat, relaunches, away].into_iter().fold(finished, u64::wrapping_add)
    }

    fn must_be_polled(&self) -> bool {
        true
    }

    fn set_active(&self, active: bool) -> Result<(), DeviceError> {
        // Not while a quiesce is in progress: the lock is that of the phase.
        let phase = self.core.phase();
        if *phase != Phase::Resident {
            return Err(DeviceError::Terminated);
        }
        self.core.switch(active)
    }

    fn connect(&self, route: usize, target: Target<'_>) -> Result<(), DeviceError> {
        self.core.set_route(route, self.neighbour(target)?)
    }

    fn set_peer(&self, number: KernelNumber, target: Target<'_>) -> Result<(), DeviceError> {
        let counts = match target {
            Target::Kernel(kernel) if self.core.links.spec.overflow == Overflow::Spill => {
                as_kernel::<Self>(kernel)
                    .map_or(Ok(0), |sender| sender.core.counts_for(self.core.links.spec.number))?
            }
            _ => 0,
        };
        self.core.set_neighbour(number, self.neighbour(target)?, counts)
    }

    fn set_subscribers(
        &self,
        topic: usize,
        subscribers: &[Subscriber],
        host: bool,
    ) -> Result<(), DeviceError> {
        let who = subscribers.iter().map(|subscriber| {
            self.neighbour(Target::Kernel(&subscriber.kernel)).map(|to| to.at(subscriber.instance))
        });
        self.core.set_topic(topic, who.collect::<Result<_, _>>()?, host)
    }

    fn missed(&self, topic: usize) -> Vec<u64> {
        self.core.missed_of(topic)
    }

    fn relay(&self, header: Header, payload: &[u8]) -> Sent {
        // Here and not in the loop: whoever sent it has been told that it is on its way, and wants to know what becomes of it.
        match header.instance < self.instances {
            true => self.lobby.admit(&self.core, header.instance, || relay_into(self, header, payload)),
            false => Sent::NoInstance,
        }
    }

    fn unanswered(&self) -> Vec<Correlation> {
        let over = self.core.try_phase().is_some_and(|phase| *phase == Phase::Ended);
        if over { self.core.unanswered_mail() } else { Vec::new() }
    }

    fn mailbox(&self) -> MailboxSnapshot {
        self.core.mailbox_figures(&self.lobby)
    }

    fn control(&self) -> ControlSnapshot {
        let mut all = (0..self.core.shards).map(|shard| self.core.control(shard).snapshot());
        let first = all.next().unwrap_or_default();
        all.fold(first, ControlSnapshot::merge)
    }

    fn telemetry(&self) -> TelemetrySnapshot {
        let mut all = (0..self.core.shards).map(|shard| self.core.telemetry(shard).snapshot());
        let first = all.next().unwrap_or_default();
        all.fold(first, TelemetrySnapshot::merge)
    }

    fn terminate(&self, deadline: Duration) -> Result<(), DeviceError> {
        self.core.end(deadline)
    }

    fn read_states(&self, first: u32, count: u32, out: &mut [u8]) -> Result<(), DeviceError> {
        let states = States::check(self.core.descriptor, self.instances, first, count, out.len())?;
        // Orders the copy after the acknowledgement that the caller waited for.
        fence(Ordering::SeqCst);
        self.layout().read(states, out)
    }

    fn write_states(&self, first: u32, count: u32, bytes: &[u8]) -> Result<(), DeviceError> {
        let states = States::check(self.core.descriptor, self.instances, first, count, bytes.len())?;
        fence(Ordering::SeqCst);
        self.layout().write(states, bytes)
    }

    fn failure(&self) -> Option<DeviceError> {
        if let Some(error) = self.core.failure.get() {
            return Some(error.clone());
        }
        // Asking the driver costs microseconds: at most once in ten milliseconds.
        let now = self.core.launched.elapsed().as_millis() as u64;
        // Relaxed: a rate limit; being late or early by one is harmless.
        let (asked, relaxed) = (&self.core.asked, Ordering::Relaxed);
        let last = asked.load(relaxed);
        if now < last + 10 || asked.compare_exchange(last, now, relaxed, relaxed).is_err() {
            return None;
        }
        match self.core.stream_is_idle() {
            Ok(false) => None,
            // Gone because it had nothing to do, or is not to do it: whoever activates it brings it back. Relaxed: as in `doorbell`.
            Ok(true)
                if self.core.event_driven
                    && (self.core.control(0).is_active.load(Ordering::Relaxed) == 0
                        || self.ports.iter().all(|port| port.requests.is_empty())) =>
            {
                None
            }
            Ok(true) => self.core.put_back().err(),
            Err(error) => Some(error),
        }
    }
}

impl Drop for CudaKernel {
    fn drop(&mut self) {
        let over = |phase: &Phase| matches!(phase, Phase::Prepared | Phase::Ended);
        if self.core.end(Duration::from_secs(2)).is_err()
            && !self.core.try_phase().is_some_and(|phase| over(&phase))
        {
            // The GPU may still write to its memory: keep it for ever.
            std::mem::forget(self.core.clone());
        }
    }
}
