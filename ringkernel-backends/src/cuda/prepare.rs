//! What a kernel is made of before it starts: its rings, its parameters, its state, in pinned and in device memory.

use super::driver::DeviceMemory;
use super::driver::Function;
use super::links::{LINK_PARAMS, Links};
use super::payload::Payloads;
use super::phase::Phases;
use super::resident::{self, Core};
use super::{Shared, WARP};
use crate::abi::ring::RawMemory;
use crate::abi::{ControlBlock, Ring, SlotShape, TelemetryBuffer, state_stride};
use crate::kernel::{DeviceError, IdlePolicy, Kernel, LaunchSpec, Mode, Port};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The shards a kernel gets unless told: one warp empties a ring at a rate that the bus round trip bounds, so a host thread that sends
/// as fast as it can keeps some eight warps busy; with more, each look finds less.
const SHARDS: u32 = 8;
/// The most it can be told to have.
const MOST_SHARDS: u32 = 1024;
/// A reply ring holds at least this many slots: a warp publishes up to 32 replies at once.
const LEAST_REPLIES: u32 = 64;

// A shard's pinned block: control block, telemetry, a line the device writes (request head, acknowledgement), a line the
// host writes (reply head, switch), then the slots of both rings.
pub(super) const CONTROL: usize = 0;
pub(super) const TELEMETRY: usize = 128;
const REQUEST_HEAD: usize = 192;
pub(super) const ACK: usize = REQUEST_HEAD + 8;
/// The device's clock at its last idle sign of life.
pub(super) const BEAT: usize = ACK + 8;
/// Messages taken from the mailbox.
pub(super) const RECEIVED: usize = ACK + 16;
/// Messages that have left the lobby.
pub(super) const LOBBY_LEFT: usize = ACK + 24;
const REPLY_HEAD: usize = 256;
/// The number of the last activation or suspension; its lowest bit says which of the two it was.
pub(super) const SWITCH: usize = REPLY_HEAD + 8;
const SLOTS: usize = 384;

/// The device-side save area of a shard: what a paused kernel goes on with.
pub(super) const SAVED_BYTES: usize = 128;
/// Its running minimum, which starts at the largest value.
const SAVED_MIN: usize = 48;
/// The next message of its mailbox.
pub(super) const SAVED_MAIL: usize = 56;
/// The first and the next message of its lobby.
pub(super) const SAVED_LOBBY: usize = 100;

/// Bytes of a shard's parameters: [`ShardParams`], and from [`PARAMS`] on where its neighbours are (`links`).
pub(super) const SHARD_PARAMS: usize = 256;
pub(super) const PARAMS: usize = size_of::<ShardParams>();
/// Where in them the address of what the loop knows of payloads is; 0 where it follows no references.
const PAYLOADS: usize = PARAMS + LINK_PARAMS;

/// What the resident loop reads when it starts; `runtime/entry.ptx` knows these offsets.
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
    /// Nanoseconds without a message after which the kernel leaves; 0: never.
    idle_after: u64,
    /// Messages after which it returns for good.
    stop_after: u64,
    /// Words of the shard's state that are kept in shared memory.
    cached: u32,
    pad: u32,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<ShardParams>() == 128 && offset_of!(ShardParams, spin) == 100);
    assert!(offset_of!(ShardParams, idle_after) == 104 && offset_of!(ShardParams, stop_after) == 112);
    assert!(offset_of!(ShardParams, cached) == 120 && PAYLOADS == 224 && PAYLOADS + 8 <= SHARD_PARAMS);
};

/// Makes a kernel and starts it.
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
    let reply_size = descriptor.reply_payload_size();
    let reply_shape =
        SlotShape::for_payload(reply_size as usize).ok_or_else(|| too_large("a reply", reply_size))?;

    let idle_after = idle_after(&shared, spec.tuning.mode);
    // Shard numbers are the low bits of instance numbers, so their count is a power of two. A kernel that leaves when it has nothing
    // to do decides so by itself, and two shards would have to agree: it has one.
    let wanted = spec.tuning.shards.unwrap_or(SHARDS).clamp(1, MOST_SHARDS);
    let shards = if idle_after.is_some() { 1 } else { 1 << spec.instances.min(wanted).ilog2() };
    let start = spec.tuning.first_position;
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
    let cached = Some(per_shard * state_stride).filter(|bytes| *bytes <= MOST_CACHED).unwrap_or(0);
    let state = DeviceMemory::zeroed(&shared.pool, state_bytes, "instance state")?;
    let saved = DeviceMemory::zeroed(&shared.pool, SAVED_BYTES * shards as usize, "kernel save areas")?;
    let links = Links::new(spec.mesh, request_shape, spec.instances, start);
    let clock_offset = shared.clock_offset();
    let link_params = links.first_params(clock_offset);
    let params = DeviceMemory::zeroed(&shared.pool, SHARD_PARAMS * shards as usize, "kernel parameters")?;
    let payloads = Payloads::for_launch(&shared, &spec, u64::from(requests) * u64::from(shards))?;
    let pinned = Arc::new(shared.arena.take(shard_bytes * shards as usize)?);
    let owner: Arc<dyn Any + Send + Sync> = pinned.clone();

    let mut ports = Vec::new();
    let mut all_params = vec![0; SHARD_PARAMS * shards as usize];
    let mut all_saved = vec![0; SAVED_BYTES * shards as usize];
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
            Ring::new(memory, capacity, shape, start)
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
            pinned.host(base + SWITCH).cast::<u32>().write(spec.active.into());
            // Neither the answer to this, nor that of an active kernel.
            pinned.host(base + ACK).cast::<u32>().write(!u32::from(spec.active));
            pinned.host(base + LOBBY_LEFT).cast::<u32>().write(0);
        }
        let mine = ShardParams {
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
            idle_after: idle_after.map_or(0, |after| after.as_nanos().clamp(1, u64::MAX.into()) as u64),
            stop_after: spec.tuning.stop_after.unwrap_or(u64::MAX),
            cached: cached as u32 / 4,
            pad: 0,
        };
        let bytes = &mut all_params[SHARD_PARAMS * shard as usize..][..SHARD_PARAMS];
        bytes[..PARAMS].copy_from_slice(bytemuck::bytes_of(&mine));
        bytes[PARAMS..PARAMS + link_params.len()].copy_from_slice(&link_params);
        let payloads = payloads.as_ref().map_or(0, Payloads::address);
        bytes[PAYLOADS..PAYLOADS + 8].copy_from_slice(&payloads.to_le_bytes());
        let area = &mut all_saved[SAVED_BYTES * shard as usize..][..SAVED_BYTES];
        for (at, value) in [(0, start), (8, start), (SAVED_MIN, u64::MAX), (SAVED_MAIL, start)] {
            area[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    params.write(0, &all_params)?;
    saved.write(0, &all_saved)?;
    write_initial_state(&spec, &state, shards, per_shard, state_stride)?;

    let fit = function.blocks_per_multiprocessor(&shared.context, WARP, SHARED_BYTES)?;
    if fit == 0 {
        let detail = format!("a block of `{}` does not fit a multiprocessor", descriptor.actor);
        return Err(DeviceError::Capacity { detail });
    }
    let core = Core {
        stream: shared.spare_stream()?,
        descriptor,
        function,
        shards,
        multiprocessors: shards as f64 / fit as f64,
        params,
        payloads,
        links,
        state,
        saved,
        pinned,
        shard_bytes,
        event_driven: idle_after.is_some(),
        phases: Phases::new(),
        failure: OnceLock::new(),
        launched: Instant::now(),
        asked: AtomicU64::new(0),
        relaunches: AtomicU64::new(0),
        away: AtomicBool::new(false),
        late: AtomicBool::new(false),
        told: AtomicI64::new(clock_offset),
        switched: AtomicU32::new(spec.active.into()),
        shared,
    };
    resident::start(core, ports, spec.instances, spec.active)
}

/// The largest state of a shard that is kept in shared memory while the kernel is active. Hundreds of kernels must fit side by side, and
/// what is larger belongs to many instances, whose loads hide each other's latency.
const MOST_CACHED: usize = 4096;

/// Dynamic shared memory of every block, whatever it keeps there: a multiprocessor that holds a resident block cannot change its division of shared memory
/// and cache, the driver chooses that by what a grid asks for, and a grid that wants another is queued silently.
pub(super) const SHARED_BYTES: usize = MOST_CACHED;

/// How long a kernel of that mode stays with nothing to do, if it does not stay for ever.
fn idle_after(shared: &Shared, mode: Mode) -> Option<Duration> {
    /// Where the system kills kernels that run for seconds.
    const UNDER_A_WATCHDOG: Duration = Duration::from_millis(100);
    match mode {
        Mode::EventDriven { idle_after } => Some(idle_after),
        Mode::Auto if shared.context.watchdog || shared.registry.is_crowded() => Some(UNDER_A_WATCHDOG),
        _ => None,
    }
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
