//! A launched kernel: its memory, its start, its pauses and its end.

use super::driver::{DeviceMemory, Function, LentStream, Pinned};
use super::state::Layout;
use super::{Shared, WARP};
use crate::abi::ring::RawMemory;
use crate::abi::{
    ControlBlock, ControlSnapshot, Ring, SlotShape, TelemetryBuffer, TelemetrySnapshot, state_stride,
};
use crate::kernel::{DeviceError, IdlePolicy, Kernel, KernelDescriptor, LaunchSpec, Port};
use crate::states::States;
use std::any::Any;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The most shards a kernel gets. Hand-written CUDA took 50 million slots a second from one host thread through one ring, over 200
/// through four, and more or fewer through sixteen depending on the machine; what our own rings take is not measured yet.
const MOST_SHARDS: u32 = 4;
/// A reply ring holds at least this many slots: a warp publishes up to 32 replies at once.
const LEAST_REPLIES: u32 = 64;
/// How long a launched kernel may take to show up.
const START_DEADLINE: Duration = Duration::from_secs(10);

// A shard's pinned block: control block, telemetry, a line the device writes (request head, acknowledgement), a line the
// host writes (reply head), then the slots of both rings.
const CONTROL: usize = 0;
const TELEMETRY: usize = 128;
const REQUEST_HEAD: usize = 192;
const ACK: usize = REQUEST_HEAD + 8;
const REPLY_HEAD: usize = 256;
const SLOTS: usize = 384;

/// The device-side save area of a shard: what a paused kernel goes on with.
const SAVED_BYTES: usize = 64;
/// Its running minimum, which starts at the largest value.
const SAVED_MIN: usize = 48;

/// What the resident loop reads when it starts; `runtime.ptx` knows these offsets.
#[repr(C, align(128))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ShardParams {
    control: u64,
    telemetry: u64,
    request_slots: u64,
    request_head: u64,
    reply_slots: u64,
    reply_head: u64,
    state: u64,
    saved: u64,
    ack: u64,
    request_mask: u32,
    request_bytes: u32,
    reply_mask: u32,
    reply_bytes: u32,
    instances: u32,
    shard_shift: u32,
    shard: u32,
    spin: u32,
    pad: [u32; 6],
}

const _: () = assert!(size_of::<ShardParams>() == 128 && std::mem::offset_of!(ShardParams, spin) == 100);

/// A kernel on the GPU, shared by its handle and the registry.
pub(super) struct Core {
    shared: Arc<Shared>,
    descriptor: &'static KernelDescriptor,
    function: Function,
    stream: LentStream,
    shards: u32,
    multiprocessors: f64,
    /// Device address of the parameter blocks.
    params: DeviceMemory,
    state: DeviceMemory,
    _saved: DeviceMemory,
    pinned: Arc<Pinned>,
    shard_bytes: usize,
    phase: Mutex<Phase>,
    failure: OnceLock<DeviceError>,
    launched: Instant,
    /// When the driver was last asked how the kernel does, in milliseconds since `launched`.
    asked: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not started yet.
    Prepared,
    Resident,
    /// It returned for good, or was lost with its device.
    Ended,
    /// It did not return when told to: its memory must never be used again.
    Stuck,
}

/// Proof that a kernel has returned with its state kept; it goes on when this is resumed.
pub(super) struct Paused<'a> {
    core: &'a Core,
    phase: MutexGuard<'a, Phase>,
}

pub(super) fn launch(
    shared: Arc<Shared>,
    function: Function,
    spec: LaunchSpec,
) -> Result<Arc<dyn Kernel>, DeviceError> {
    let descriptor = spec.descriptor;
    let too_large = |what: &str, bytes: u32| DeviceError::Capacity {
        detail: format!("{what} of `{}` has {bytes} bytes, more than a slot can carry", descriptor.actor),
    };
    let request_shape = SlotShape::for_payload(descriptor.message_size() as usize)
        .ok_or_else(|| too_large("a message", descriptor.message_size()))?;
    let reply_shape = SlotShape::for_payload(descriptor.reply_size() as usize)
        .ok_or_else(|| too_large("a reply", descriptor.reply_size()))?;

    // Shard numbers are the low bits of instance numbers, so their count is a power of two.
    let shards = 1 << spec.instances.min(MOST_SHARDS).ilog2();
    let (requests, replies) = (spec.queue_capacity, spec.queue_capacity.max(LEAST_REPLIES));
    let ring_bytes = |slots: u32, shape: SlotShape| (slots as usize).checked_mul(shape.bytes());
    let shard_bytes = ring_bytes(requests, request_shape)
        .zip(ring_bytes(replies, reply_shape))
        .and_then(|(a, b)| a.checked_add(b)?.checked_add(SLOTS))
        .and_then(|bytes| bytes.checked_next_multiple_of(128))
        .filter(|bytes| bytes.checked_mul(shards as usize).is_some_and(|all| all <= 1 << 36))
        .ok_or_else(|| DeviceError::OutOfMemory {
            bytes: u64::MAX,
            what: format!("rings of {requests} slots"),
        })?;

    let state_stride = state_stride(descriptor.state_size, descriptor.state_align) as usize;
    let per_shard = spec.instances.div_ceil(shards) as usize;
    let state_bytes = (per_shard * shards as usize).checked_mul(state_stride).ok_or_else(|| {
        DeviceError::OutOfMemory { bytes: u64::MAX, what: format!("{} instances", spec.instances) }
    })?;
    let state = DeviceMemory::zeroed(&shared.pool, state_bytes, "instance state")?;
    let saved = DeviceMemory::zeroed(&shared.pool, SAVED_BYTES * shards as usize, "kernel save areas")?;
    let params = DeviceMemory::zeroed(&shared.pool, 128 * shards as usize, "kernel parameters")?;
    let pinned = Arc::new(shared.arena.take(shard_bytes * shards as usize)?);
    let owner: Arc<dyn Any + Send + Sync> = pinned.clone();

    let mut ports = Vec::new();
    for shard in 0..shards {
        let base = shard as usize * shard_bytes;
        let request_slots = base + SLOTS;
        let reply_slots = request_slots + requests as usize * request_shape.bytes();
        let ring = |slots: usize, head: usize, capacity: u32, shape: SlotShape| {
            // SAFETY: both ranges lie in the pinned block (sizes were added up above), are 64-byte aligned, are kept alive by
            // `owner`, and host code reaches them through these atomics only.
            let memory = unsafe {
                RawMemory::new(
                    pinned.host(slots).cast(),
                    capacity as usize * shape.bytes() / 8,
                    pinned.host(head).cast(),
                    owner.clone(),
                )
            };
            Ring::new(memory, capacity, shape, 0)
        };
        ports.push(Port {
            requests: ring(request_slots, base + REQUEST_HEAD, requests, request_shape),
            replies: ring(reply_slots, base + REPLY_HEAD, replies, reply_shape),
        });

        let address = |offset: usize| pinned.device(base + offset);
        let instances = spec.instances / shards + u32::from(shard < spec.instances % shards);
        let block = ControlBlock {
            is_active: (spec.active as i32).into(),
            input_queue_head_ptr: address(REQUEST_HEAD),
            input_queue_buffer_ptr: pinned.device(request_slots),
            input_queue_capacity: requests as i32,
            input_queue_message_size: request_shape.bytes() as i32,
            output_queue_head_ptr: address(REPLY_HEAD),
            output_queue_tail_ptr: saved.address + (SAVED_BYTES * shard as usize) as u64 + 8,
            output_queue_buffer_ptr: pinned.device(reply_slots),
            output_queue_capacity: replies as i32,
            output_queue_message_size: reply_shape.bytes() as i32,
            ..ControlBlock::default()
        };
        // SAFETY: the offsets are inside the block and aligned for their types, and nothing else uses it yet.
        unsafe {
            pinned.host(base + CONTROL).cast::<ControlBlock>().write(block);
            pinned.host(base + TELEMETRY).cast::<TelemetryBuffer>().write(TelemetryBuffer::default());
            pinned.host(base + ACK).cast::<u32>().write(u32::MAX);
        }
        params.write(
            128 * shard as usize,
            bytemuck::bytes_of(&ShardParams {
                control: address(CONTROL),
                telemetry: address(TELEMETRY),
                request_slots: pinned.device(request_slots),
                request_head: address(REQUEST_HEAD),
                reply_slots: pinned.device(reply_slots),
                reply_head: address(REPLY_HEAD),
                state: state.address + (shard as usize * per_shard * state_stride) as u64,
                saved: saved.address + (SAVED_BYTES * shard as usize) as u64,
                ack: address(ACK),
                request_mask: requests - 1,
                request_bytes: request_shape.bytes() as u32,
                reply_mask: replies - 1,
                reply_bytes: reply_shape.bytes() as u32,
                instances,
                shard_shift: shards.ilog2(),
                shard,
                spin: (spec.idle == IdlePolicy::Spin) as u32,
                pad: [0; 6],
            }),
        )?;
        saved.write(SAVED_BYTES * shard as usize + SAVED_MIN, &u64::MAX.to_le_bytes())?;
    }
    write_initial_state(&spec, &state, shards, per_shard, state_stride)?;

    let fit = function.blocks_per_multiprocessor(WARP)?.max(1);
    let core = Arc::new(Core {
        stream: shared.spare_stream()?,
        descriptor,
        function,
        shards,
        multiprocessors: shards as f64 / fit as f64,
        params,
        state,
        _saved: saved,
        pinned,
        shard_bytes,
        phase: Mutex::new(Phase::Prepared),
        failure: OnceLock::new(),
        launched: Instant::now(),
        asked: AtomicU64::new(0),
        shared: shared.clone(),
    });
    shared.registry.start(&core)?;
    let kernel = CudaKernel { core, ports, instances: spec.instances, per_shard, state_stride };
    kernel.core.wait_for_ack(spec.active, START_DEADLINE)?;
    Ok(Arc::new(kernel))
}

/// Writes every instance's initial state, a few megabytes at a time.
fn write_initial_state(
    spec: &LaunchSpec,
    state: &DeviceMemory,
    shards: u32,
    per_shard: usize,
    stride: usize,
) -> Result<(), DeviceError> {
    let size = spec.descriptor.state_size as usize;
    let at_once = ((4 << 20) / stride).clamp(1, per_shard);
    let mut bytes = vec![0; at_once * stride];
    for shard in 0..shards {
        let count = (spec.instances / shards + u32::from(shard < spec.instances % shards)) as usize;
        for first in (0..count).step_by(at_once) {
            let some = at_once.min(count - first);
            for local in 0..some {
                let instance = (first + local) as u32 * shards + shard;
                (spec.initial)(instance, &mut bytes[local * stride..][..size]);
            }
            state.write((shard as usize * per_shard + first) * stride, &bytes[..some * stride])?;
        }
    }
    Ok(())
}

impl Core {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn actor(&self) -> &'static str {
        self.descriptor.actor
    }

    /// Share of the GPU's multiprocessors its blocks take.
    pub(super) fn multiprocessors(&self) -> f64 {
        self.multiprocessors
    }

    /// Whether it takes room on the GPU.
    pub(super) fn is_resident(&self) -> bool {
        matches!(*self.phase(), Phase::Prepared | Phase::Resident | Phase::Stuck)
    }

    fn control(&self, shard: u32) -> &ControlBlock {
        // SAFETY: written in `launch`, alive with `self`, and all-atomic where the device writes.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + CONTROL).cast() }
    }

    fn telemetry(&self, shard: u32) -> &TelemetryBuffer {
        // SAFETY: as for `control`.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + TELEMETRY).cast() }
    }

    fn ack(&self, shard: u32) -> &AtomicU32 {
        // SAFETY: as for `control`.
        unsafe { &*self.pinned.host(shard as usize * self.shard_bytes + ACK).cast() }
    }

    /// Puts the kernel on the GPU for the first time.
    pub(super) fn start(&self) -> Result<(), DeviceError> {
        let mut phase = self.phase();
        self.submit()?;
        *phase = Phase::Resident;
        Ok(())
    }

    /// Puts a kernel back that went home although it should be resident: one that was asked for a quiesce, was late, and saw the
    /// request just before it was taken back.
    fn put_back(&self) -> Result<(), DeviceError> {
        // A lock that is held means that the kernel is being paused or ended: then its absence is wanted.
        let Ok(phase) = self.phase.try_lock() else { return Ok(()) };
        if *phase == Phase::Resident && self.stream_is_idle()? { self.relaunch() } else { Ok(()) }
    }

    /// Launches a kernel again that has returned with its state kept.
    fn relaunch(&self) -> Result<(), DeviceError> {
        for shard in 0..self.shards {
            let control = self.control(shard);
            // Relaxed: the launch below makes everything before it visible to the kernel.
            control.should_terminate.store(0, Ordering::Relaxed);
            control.has_terminated.store(0, Ordering::Relaxed);
        }
        self.submit()
    }

    fn submit(&self) -> Result<(), DeviceError> {
        // SAFETY: `params` holds `shards` blocks whose addresses (pinned and device memory) belong to `self`, which outlives
        // the kernel: `CudaKernel::drop` ends it, or leaks a `Core` that is stuck.
        unsafe {
            self.function.launch(
                &self.shared.context,
                &self.stream,
                self.shards,
                WARP,
                self.params.address,
                self.shards,
            )
        }
    }

    /// Sends the kernel home with its state kept.
    pub(super) fn pause(&self, deadline: Duration) -> Result<Paused<'_>, DeviceError> {
        let phase = self.phase();
        if *phase == Phase::Resident {
            self.ask_to_return(2);
            if !self.wait_until_returned(deadline)? {
                self.ask_to_return(0);
                return Err(DeviceError::Deadline { what: "a quiesce", deadline });
            }
        }
        Ok(Paused { core: self, phase })
    }

    fn ask_to_return(&self, how: i32) {
        for shard in 0..self.shards {
            // Release: whoever sees the request sees what was written before it (nothing in particular; requests in the rings are
            // either taken or left, both are fine). Read by the device's relaxed poll.
            self.control(shard).should_terminate.store(how, Ordering::Release);
        }
    }

    /// Waits until the grid has left the GPU; false if it did not in time.
    fn wait_until_returned(&self, deadline: Duration) -> Result<bool, DeviceError> {
        wait(deadline, || match self.stream_is_idle() {
            Ok(idle) => idle.then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })
        .map_or(Ok(false), |done| done.map(|()| true))
    }

    fn stream_is_idle(&self) -> Result<bool, DeviceError> {
        self.shared.context.bind()?;
        self.stream.is_idle().inspect_err(|error| {
            let _ = self.failure.set(error.clone());
        })
    }

    /// Waits until every shard has taken note of `is_active`.
    fn wait_for_ack(&self, active: bool, deadline: Duration) -> Result<(), DeviceError> {
        let shown = wait(deadline, || {
            // Acquire pairs with the device's fence before it writes the acknowledgement: what handlers wrote is visible.
            let all = (0..self.shards).all(|s| self.ack(s).load(Ordering::Acquire) == active as u32);
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
        let mut phase = self.phase();
        match *phase {
            Phase::Prepared | Phase::Ended => return Ok(()),
            Phase::Resident | Phase::Stuck => {}
        }
        self.ask_to_return(1);
        match self.wait_until_returned(deadline) {
            Ok(true) => {
                *phase = Phase::Ended;
                Ok(())
            }
            Ok(false) => {
                *phase = Phase::Stuck;
                Err(DeviceError::Deadline { what: "terminate", deadline })
            }
            Err(error) => {
                // The context is gone, and the kernel with it.
                *phase = Phase::Ended;
                Err(error)
            }
        }
    }
}

impl Paused<'_> {
    /// Puts the kernel back.
    pub(super) fn resume(self) -> Result<(), DeviceError> {
        if *self.phase != Phase::Resident { Ok(()) } else { self.core.relaunch() }
    }
}

/// Polls until there is an answer or time is up: eagerly at first, then with short sleeps.
fn wait<T>(deadline: Duration, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
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
}

impl CudaKernel {
    fn layout(&self) -> Layout<'_> {
        let (shards, stride) = (self.core.shards, self.state_stride);
        Layout { memory: &self.core.state, shards, per_shard: self.per_shard, stride }
    }
}

impl Kernel for CudaKernel {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn doorbell(&self, _shard: usize) {}

    fn must_be_polled(&self) -> bool {
        true
    }

    fn set_active(&self, active: bool) -> Result<(), DeviceError> {
        // Not while a quiesce is in progress: the lock is that of the phase.
        let phase = self.core.phase();
        if *phase != Phase::Resident {
            return Err(DeviceError::Terminated);
        }
        for shard in 0..self.core.shards {
            // Release: nothing rides on it but the flag; the acknowledgement carries the ordering back.
            self.core.control(shard).is_active.store(active as i32, Ordering::Release);
        }
        self.core.wait_for_ack(active, START_DEADLINE)
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
            Ok(true) => self.core.put_back().err(),
            Err(error) => Some(error),
        }
    }
}

impl Drop for CudaKernel {
    fn drop(&mut self) {
        if self.core.end(Duration::from_secs(2)).is_err() && *self.core.phase() == Phase::Stuck {
            // The GPU may still write to its memory: keep it for ever.
            std::mem::forget(self.core.clone());
        }
    }
}
