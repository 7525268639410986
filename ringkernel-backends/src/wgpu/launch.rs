//! Launching: checks, buffers, the dispatcher's thread.

use super::batch::{Batch, Plan};
use super::gpu::{Gpu, Watcher};
use super::handle::WgpuKernel;
use super::kernel::{Core, Engine};
use super::memory::write_states;
use super::mesh;
use super::payloads::Payloads;
use super::program::{self, COUNTER_WORDS};
use crate::abi::{TelemetryBuffer, state_stride};
use crate::host::{Shapes, control_block};
use crate::kernel::{DeviceError, Kernel, KernelDescriptor, LaunchSpec};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Instant;
use wgpu::BufferUsages as Usage;

/// The most messages of a dispatch.
const MOST_MESSAGES: usize = 4096;
/// The most bytes of slots that go up or down with a dispatch.
const MOST_BYTES: usize = 4 << 20;
/// The messages of the first dispatch: until it is known how long they take, not many.
const FIRST_LIMIT: usize = 64;
/// At least and at most so much goes to the host beside a batch's replies in one submission, if it fits.
const LEAST_EXPORTS: usize = 64;
const MOST_EXPORTS: usize = 1024;

pub(super) fn launch(gpu: &Arc<Gpu>, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
    gpu.health.check()?;
    let LaunchSpec { descriptor, instances, queue_capacity, active, .. } = spec;
    let shapes = Shapes::check(&spec, gpu.name())?;
    descriptor.check_compiled(|| gpu.name().to_owned())?;
    gpu.check_needs(descriptor)?;
    let stride = state_stride(descriptor.state_size, descriptor.state_align) as u64;
    let what = format!("{instances} instances of `{}`", descriptor.id);
    let both_ways = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let state = gpu.buffer(&what, stride * instances as u64, both_ways)?;
    shapes.check_memory(&spec, 1)?;

    let (reply, export) = (program::reply_words(descriptor), program::export_words(descriptor));
    let fit = MOST_BYTES / shapes.request.bytes().max(4 * export).max(4 * reply);
    let messages = fit.min(MOST_MESSAGES).min(queue_capacity as usize).max(1);
    let plan = Plan {
        request: shapes.request,
        reply,
        export,
        instances,
        messages,
        exports: messages.clamp(LEAST_EXPORTS, MOST_EXPORTS).min(fit).max(1),
        run: longest_run(gpu, descriptor, messages, spec.mesh.mailbox),
        rationed: gpu.loop_ration.is_some(),
        align: gpu.limits.min_storage_buffer_offset_alignment.max(64) as usize / 4,
    };
    let what = format!("the batches of `{}`", descriptor.id);
    let inbox = gpu.buffer(&what, 4 * plan.inbox_words() as u64, Usage::STORAGE | Usage::COPY_DST)?;
    let outbox = gpu.buffer(&what, 4 * plan.outbox_words() as u64, both_ways)?;
    let program = gpu.program(descriptor)?;
    let size = descriptor.state_size as usize;
    let initial = |instance, bytes: &mut [u8]| (spec.initial)(instance, &mut bytes[..size]);
    write_states(gpu, &state, 0..instances, stride as usize, initial)?;
    let mesh::Surroundings { exchange, table } = mesh::alone(gpu, descriptor, &spec.mesh, &plan)?;
    let port = shapes.port(queue_capacity);
    let payloads = Payloads::new(gpu, descriptor, spec.tuning.payload_memory)?;
    let bindings = bind(
        gpu,
        [&state, &inbox, &outbox, &exchange, &table],
        payloads.as_ref(),
        gpu.layout(descriptor)?,
        &plan,
    )?;
    let engine = Engine {
        program,
        bindings,
        state,
        inbox,
        outbox,
        exchange,
        host_box: mesh::ALONE,
        table,
        readback: Default::default(),
        requests: port.requests.consumer(),
        batch: Batch::default(),
        payload: vec![0; shapes.request.payload_words()],
        replies: Vec::new(),
        reply_payloads: Vec::new(),
        sent: 0,
        counters: [0; COUNTER_WORDS],
        slots: Default::default(),
        limit: FIRST_LIMIT.min(messages),
        mailed: Default::default(),
        exported: Default::default(),
        last: 0,
        mark: 0,
    };
    let core = Arc::new(Core {
        gpu: gpu.clone(),
        descriptor,
        instances,
        stride,
        idle: spec.idle,
        progress: spec.progress,
        plan,
        payloads,
        mesh: spec.mesh,
        is_member: AtomicBool::new(false),
        unanswered: Mutex::default(),
        control: control_block(&port, active),
        port: [port],
        telemetry: TelemetryBuffer::default(),
        epoch: Instant::now(),
        moved: AtomicBool::new(false),
        rung: AtomicBool::new(false),
        thread: OnceLock::new(),
        engine: Mutex::new(engine),
    });
    if !descriptor.mesh.receives.is_empty() {
        core.open_mailbox()?;
    }
    let dispatcher = core.clone();
    let thread = thread::Builder::new()
        .name("ringkernel-wgpu".into())
        .spawn(move || dispatcher.run())
        .map_err(|e| DeviceError::Driver { call: "starting a dispatcher", reason: e.to_string() })?;
    let _ = core.thread.set(thread.thread().clone());
    let watcher: Arc<dyn Watcher> = core.clone();
    gpu.health.watch(Arc::downgrade(&watcher));
    Ok(Arc::new(WgpuKernel { core, dispatcher: Mutex::new(Some(thread)) }))
}

/// How many messages an invocation may handle: all there are, or, where the driver rations its loop iterations, so many that
/// none has to go without: one, if the handlers loop.
fn longest_run(gpu: &Gpu, descriptor: &KernelDescriptor, messages: usize, mailbox: u32) -> usize {
    let Some(ration) = gpu.loop_ration else { return messages };
    if program::may_loop(descriptor.wgsl) {
        return 1;
    }
    (ration / 2 / program::iterations(descriptor, mailbox)).clamp(1, messages as u32) as usize
}

/// Binds a kernel's state, as much of its inbox as a round sees, its outbox, the exchange, its table, and its large payloads.
pub(super) fn bind(
    gpu: &Gpu,
    buffers: [&wgpu::Buffer; 5],
    payloads: Option<&Payloads>,
    layout: &wgpu::BindGroupLayout,
    plan: &Plan,
) -> Result<wgpu::BindGroup, DeviceError> {
    let window = 4 * plan.window_words() as u64;
    let entries: Vec<_> = buffers
        .into_iter()
        .chain(payloads.map(|payloads| &payloads.buffer))
        .zip(0..)
        .map(|(buffer, binding)| {
            let size = if binding == 1 { wgpu::BufferSize::new(window) } else { None };
            let buffer = wgpu::BufferBinding { buffer, offset: 0, size };
            wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) }
        })
        .collect();
    let descriptor = wgpu::BindGroupDescriptor { label: Some("ringkernel"), layout, entries: &entries };
    gpu.scoped(|| gpu.device.create_bind_group(&descriptor))?
        .map_err(|error| DeviceError::Driver { call: "create_bind_group", reason: error.to_string() })
}
