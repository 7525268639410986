//! A kernel on WebGPU: its buffers, and the thread that turns waiting messages into dispatches.

use super::batch::{Batch, Plan, Reply};
use super::gpu::{Gpu, Watcher};
use super::program::{CONTROL_WORDS, COUNTER_WORDS, WORKGROUP, may_loop};
use crate::abi::{
    Consumer, ControlBlock, ControlSnapshot, TelemetryBuffer, TelemetrySnapshot, control, state_stride,
    telemetry,
};
use crate::host::{Shapes, control_block, lock_by};
use crate::kernel::{DeviceError, IdlePolicy, Kernel, KernelDescriptor, LaunchSpec, Port, Progress};
use crate::states::States;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use wgpu::BufferUsages as Usage;

/// The most messages of a dispatch.
const MOST_MESSAGES: usize = 4096;
/// The most bytes of slots that go up or down with a dispatch.
const MOST_BYTES: usize = 4 << 20;
/// The messages of the first dispatch: until it is known how long they take, not many.
const FIRST_LIMIT: usize = 64;
/// A full dispatch shorter than this lets the next one be larger, and one longer than `LONG` makes it smaller.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(50);
/// How long a full reply ring is left alone before the next try.
const RETRY: Duration = Duration::from_micros(100);
/// How much state is copied at a time.
const UPLOAD_BYTES: usize = 1 << 20;

/// What the dispatcher and the kernel's handle share.
struct Core {
    gpu: Arc<Gpu>,
    descriptor: &'static KernelDescriptor,
    instances: u32,
    /// Bytes from one instance's state to the next.
    stride: u64,
    idle: IdlePolicy,
    progress: Arc<dyn Progress>,
    port: [Port; 1],
    plan: Plan,
    control: ControlBlock,
    telemetry: TelemetryBuffer,
    epoch: Instant,
    /// The doorbell.
    rung: AtomicBool,
    /// The dispatcher, to be unparked.
    thread: OnceLock<Thread>,
    /// Held during a dispatch, and by whoever must know that there is none.
    engine: Mutex<Engine>,
}

/// What a dispatch works on.
struct Engine {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    state: wgpu::Buffer,
    inbox: wgpu::Buffer,
    outbox: wgpu::Buffer,
    readback: wgpu::Buffer,
    requests: Consumer,
    batch: Batch,
    /// For [`Consumer::pop`].
    payload: Vec<u32>,
    /// Replies of the last dispatch, their payloads, and how many have been pushed.
    replies: Vec<Reply>,
    reply_payloads: Vec<u32>,
    sent: usize,
    /// What came back.
    counters: [u32; COUNTER_WORDS],
    slots: Vec<u32>,
    /// The most messages of a dispatch that have been found to take a decent time.
    limit: usize,
}

/// What the dispatcher is to do after a step.
enum Step {
    /// Another step.
    More,
    /// Wait for the doorbell.
    Idle,
    /// Wait for room in the reply ring.
    Blocked,
    /// Nothing ever again.
    End,
}

pub(super) fn launch(gpu: &Arc<Gpu>, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
    gpu.health.check()?;
    let LaunchSpec { descriptor, instances, queue_capacity, active, .. } = spec;
    let shapes = Shapes::check(&spec, gpu.name())?;
    descriptor.check_compiled(|| gpu.name().to_owned())?;
    gpu.check_needs(descriptor)?;
    let stride = state_stride(descriptor.state_size, descriptor.state_align) as u64;
    let what = format!("{instances} instances of `{}`", descriptor.id);
    let state_usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let state = gpu.buffer(&what, stride * instances as u64, state_usage)?;
    shapes.check_memory(&spec, 1)?;

    let fit = MOST_BYTES / shapes.request.bytes().max(shapes.reply.bytes());
    let messages = fit.min(MOST_MESSAGES).min(queue_capacity as usize).max(1);
    let plan = Plan {
        request: shapes.request,
        reply: shapes.reply,
        instances,
        messages,
        run: longest_run(gpu, descriptor, messages),
        rationed: gpu.loop_ration.is_some(),
        align: gpu.limits.min_storage_buffer_offset_alignment.max(64) as usize / 4,
    };
    let what = format!("the batches of `{}`", descriptor.id);
    let inbox_bytes = 4 * plan.inbox_words() as u64;
    let outbox_bytes = 4 * plan.outbox_words(messages) as u64;
    let inbox = gpu.buffer(&what, inbox_bytes, Usage::STORAGE | Usage::COPY_DST)?;
    let outbox = gpu.buffer(&what, outbox_bytes, state_usage)?;
    let readback = gpu.buffer(&what, outbox_bytes, Usage::MAP_READ | Usage::COPY_DST)?;
    let pipeline = gpu.pipeline(descriptor)?;
    let size = descriptor.state_size as usize;
    let initial = |instance, bytes: &mut [u8]| (spec.initial)(instance, &mut bytes[..size]);
    write_states(gpu, &state, 0..instances, stride as usize, initial)?;
    let bindings = bind(gpu, [&state, &inbox, &outbox], 4 * plan.window_words() as u64)?;
    let port = shapes.port(queue_capacity);
    let engine = Engine {
        pipeline,
        bindings,
        state,
        inbox,
        outbox,
        readback,
        requests: port.requests.consumer(),
        batch: Batch::default(),
        payload: vec![0; shapes.request.payload_words()],
        replies: Vec::new(),
        reply_payloads: Vec::new(),
        sent: 0,
        counters: [0; COUNTER_WORDS],
        slots: Vec::new(),
        limit: FIRST_LIMIT.min(messages),
    };
    let core = Arc::new(Core {
        gpu: gpu.clone(),
        descriptor,
        instances,
        stride,
        idle: spec.idle,
        progress: spec.progress,
        plan,
        control: control_block(&port, active),
        port: [port],
        telemetry: TelemetryBuffer::default(),
        epoch: Instant::now(),
        rung: AtomicBool::new(false),
        thread: OnceLock::new(),
        engine: Mutex::new(engine),
    });
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
fn longest_run(gpu: &Gpu, descriptor: &KernelDescriptor, messages: usize) -> usize {
    let Some(ration) = gpu.loop_ration else { return messages };
    if may_loop(descriptor.wgsl) {
        return 1;
    }
    // Iterations of the device runtime for one message, generously.
    let words = descriptor.message_size().max(descriptor.reply_size()).div_ceil(4);
    (ration / 2 / (16 + words)).clamp(1, messages as u32) as usize
}

/// Binds a kernel's state, as much of its inbox as a round sees, and its outbox.
fn bind(gpu: &Gpu, buffers: [&wgpu::Buffer; 3], window: u64) -> Result<wgpu::BindGroup, DeviceError> {
    let entry = |i: usize| {
        let size = if i == 1 { wgpu::BufferSize::new(window) } else { None };
        let binding = wgpu::BufferBinding { buffer: buffers[i], offset: 0, size };
        wgpu::BindGroupEntry { binding: i as u32, resource: wgpu::BindingResource::Buffer(binding) }
    };
    let descriptor = wgpu::BindGroupDescriptor {
        label: Some("ringkernel"),
        layout: &gpu.layout,
        entries: &[entry(0), entry(1), entry(2)],
    };
    gpu.scoped(|| gpu.device.create_bind_group(&descriptor))?
        .map_err(|error| DeviceError::Driver { call: "create_bind_group", reason: error.to_string() })
}

/// Writes the states of `instances`, piece by piece: `write(instance, bytes)` gives each.
fn write_states(
    gpu: &Gpu,
    state: &wgpu::Buffer,
    instances: Range<u32>,
    stride: usize,
    write: impl Fn(u32, &mut [u8]),
) -> Result<(), DeviceError> {
    let at_a_time = (UPLOAD_BYTES / stride).max(1);
    let mut piece = Vec::new();
    for first in instances.clone().step_by(at_a_time) {
        let some = first..instances.end.min(first.saturating_add(at_a_time as u32));
        piece.clear();
        piece.resize(some.len() * stride, 0);
        some.zip(piece.chunks_exact_mut(stride)).for_each(|(instance, bytes)| write(instance, bytes));
        gpu.guarded(|| {
            gpu.queue.write_buffer(state, first as u64 * stride as u64, &piece);
            let submission = gpu.queue.submit([]);
            // So that pieces do not pile up in host memory.
            let wait =
                wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(gpu.patience()) };
            gpu.device.poll(wait).map(drop).map_err(|error| gpu.health.lose(error.to_string()))
        })?;
    }
    Ok(())
}

impl Core {
    fn ring(&self) {
        // Release pairs with the acquire swap in `run`: the dispatcher that takes this ring sees what came before it. Only
        // the first ring since then has to wake it; unparking a thread that is awake makes its next `park` return at once.
        if !self.rung.swap(true, Ordering::Release)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// The dispatcher.
    fn run(self: Arc<Self>) {
        loop {
            // Acquire pairs with the release swap in `ring`. A ring after this one sets the flag again, and unparks.
            if !self.rung.swap(false, Ordering::Acquire) {
                self.wait();
                continue;
            }
            loop {
                let (step, moved) = {
                    let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
                    self.step(&mut engine)
                };
                // Without the lock, for the host may do anything here, even terminate the kernel. A panic of its is not ours.
                if moved {
                    let _ = catch_unwind(AssertUnwindSafe(|| self.progress.progress()));
                }
                match step {
                    Step::More => {}
                    Step::Idle => break,
                    Step::Blocked => thread::sleep(RETRY),
                    Step::End => {
                        let gpu = self.gpu.clone();
                        drop(self);
                        // Gives back what the kernel had, if this was its last user.
                        let _ = gpu.guarded(|| Ok(gpu.device.poll(wgpu::PollType::Poll).is_ok()));
                        return;
                    }
                }
            }
        }
    }

    /// Until the doorbell rings.
    fn wait(&self) {
        let budget = match self.idle {
            IdlePolicy::Spin => Duration::from_micros(200),
            IdlePolicy::Backoff => Duration::from_micros(10),
        };
        let start = Instant::now();
        while start.elapsed() < budget {
            // Relaxed: the caller's swap acquires.
            if self.rung.load(Ordering::Relaxed) {
                return;
            }
            std::hint::spin_loop();
        }
        thread::park();
    }

    /// Pushes replies, then dispatches what waits; also says whether replies or request slots moved.
    fn step(&self, engine: &mut Engine) -> (Step, bool) {
        if self.gpu.health.failure().is_some() {
            return (Step::End, true);
        }
        let before = engine.sent;
        let pushed = self.push_replies(engine);
        let mut moved = engine.sent > before || !pushed;
        // Relaxed, both flags: a caller that must know takes the engine's lock after it switched.
        if self.control.should_terminate.load(Ordering::Relaxed) != 0 {
            self.control.has_terminated.store(1, Ordering::Relaxed);
            return (Step::End, moved);
        }
        if !pushed {
            return (Step::Blocked, true);
        }
        if self.control.is_active.load(Ordering::Relaxed) == 0 {
            return (Step::Idle, moved);
        }
        let port = &self.port[0];
        let depth = i32::try_from(port.requests.len()).unwrap_or(i32::MAX);
        let start = Instant::now();
        let limit = engine.limit;
        let count =
            engine.batch.take(&self.plan, &mut engine.requests, &port.requests, limit, &mut engine.payload);
        if count == 0 {
            return (Step::Idle, moved);
        }
        moved = true;
        self.telemetry.queue_depth.store(depth, Ordering::Relaxed);
        // The slots have been copied: senders need not wait for the dispatch.
        engine.requests.publish(&port.requests);
        let answered = self.gpu.guarded(|| self.dispatch(engine));
        if answered.is_err() {
            return (Step::End, true);
        }
        let took = start.elapsed();
        if took > LONG {
            engine.limit = (engine.limit / 2).max(1);
        } else if took < SHORT && count == engine.limit {
            engine.limit = (engine.limit * 2).min(self.plan.messages);
        }
        self.count(engine, took);
        self.push_replies(engine);
        (Step::More, moved)
    }

    /// Runs the batch on the device and takes its replies and counters.
    fn dispatch(&self, engine: &mut Engine) -> Result<(), DeviceError> {
        let Gpu { device, queue, .. } = &*self.gpu;
        queue.write_buffer(&engine.inbox, 0, bytemuck::cast_slice(&engine.batch.inbox));
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&engine.pipeline);
            for round in &engine.batch.rounds {
                pass.set_bind_group(0, &engine.bindings, &[4 * round.start as u32]);
                pass.dispatch_workgroups(round.runs.div_ceil(WORKGROUP as usize) as u32, 1, 1);
            }
        }
        let bytes = 4 * self.plan.outbox_words(engine.batch.len()) as u64;
        encoder.copy_buffer_to_buffer(&engine.outbox, 0, &engine.readback, 0, bytes);
        let before = processed(&engine.counters);
        let (counters, slots) = (&mut engine.counters, &mut engine.slots);
        self.gpu.submit_and_read(encoder.finish(), &engine.readback, bytes, |bytes| {
            let (head, tail) = bytes.split_at(4 * COUNTER_WORDS);
            bytemuck::cast_slice_mut(counters).copy_from_slice(head);
            slots.clear();
            slots.extend(tail.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
        })?;
        engine.sent = 0;
        let complete = engine.batch.replies(
            &engine.slots,
            self.plan.reply,
            &mut engine.replies,
            &mut engine.reply_payloads,
        );
        // Both are what a driver that kills a dispatch half way leaves behind.
        let counted = processed(&engine.counters).wrapping_sub(before);
        if complete.is_none() || counted != engine.batch.len() as u64 {
            engine.replies.clear();
            let reason = format!("a dispatch of {} messages finished {counted}", engine.batch.len());
            return Err(self.gpu.health.lose(reason));
        }
        Ok(())
    }

    /// Shows the device's counters, and the host's clock around the dispatch.
    fn count(&self, engine: &Engine, took: Duration) {
        let counters = &engine.counters;
        let wide = |word: usize| counters[word] as u64 | (counters[word + 1] as u64) << 32;
        let (control, telemetry) = (&self.control, &self.telemetry);
        let now = self.epoch.elapsed().as_nanos() as i64;
        let service = took.as_nanos() as u64;
        // Relaxed, and load + store: the dispatcher is the only writer. An asker sees the counts because the reply it waits
        // for is pushed after them, with release.
        control.errors_encountered.store(counters[control::ERRORS_ENCOUNTERED / 4] as i32, Ordering::Relaxed);
        control.messages_processed.store(processed(counters) as i64, Ordering::Relaxed);
        control.last_activity_ticks.store(now, Ordering::Relaxed);
        let word = |offset: usize| CONTROL_WORDS + offset / 4;
        telemetry.messages_processed.store(wide(word(telemetry::PROCESSED)), Ordering::Relaxed);
        telemetry.messages_dropped.store(wide(word(telemetry::DROPPED)), Ordering::Relaxed);
        telemetry.error_code.store(counters[word(telemetry::ERROR_CODE)] as i32, Ordering::Relaxed);
        telemetry.last_processed_timestamp.store(now, Ordering::Relaxed);
        let total = telemetry.total_latency_nanos.load(Ordering::Relaxed);
        let total = total + service * engine.batch.len() as u64;
        telemetry.total_latency_nanos.store(total, Ordering::Relaxed);
        let most = telemetry.max_latency_nanos.load(Ordering::Relaxed);
        telemetry.max_latency_nanos.store(most.max(service), Ordering::Relaxed);
        let least = telemetry.min_latency_nanos.load(Ordering::Relaxed);
        telemetry.min_latency_nanos.store(least.min(service), Ordering::Relaxed);
    }

    /// Pushes what the reply ring has room for; whether that was everything.
    fn push_replies(&self, engine: &mut Engine) -> bool {
        while let Some(reply) = engine.replies.get(engine.sent) {
            let payload = bytemuck::cast_slice(&engine.reply_payloads[reply.payload.clone()]);
            if self.port[0].replies.try_push(reply.header, payload).is_err() {
                return false;
            }
            engine.sent += 1;
        }
        true
    }

    /// Copies states out, piece by piece.
    fn read_states(&self, engine: &Engine, states: States, out: &mut [u8]) -> Result<(), DeviceError> {
        let (instances, stride) = (states.instances(), self.stride as usize);
        let at_a_time = (UPLOAD_BYTES / stride).clamp(1, instances.len().max(1));
        let bytes = (at_a_time * stride) as u64;
        let staging = self.gpu.buffer("a snapshot", bytes, Usage::MAP_READ | Usage::COPY_DST)?;
        for first in instances.clone().step_by(at_a_time) {
            let some = first..instances.end.min(first.saturating_add(at_a_time as u32));
            let bytes = some.len() as u64 * self.stride;
            self.gpu.guarded(|| {
                let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                let from = first as u64 * self.stride;
                encoder.copy_buffer_to_buffer(&engine.state, from, &staging, 0, bytes);
                self.gpu.submit_and_read(encoder.finish(), &staging, bytes, |bytes| {
                    for (instance, state) in some.zip(bytes.chunks_exact(stride)) {
                        out[states.place(0, 1, instance)].copy_from_slice(&state[..states.size()]);
                    }
                })
            })?;
        }
        Ok(())
    }

    /// The engine while no dispatch runs.
    fn quiet(&self, patience: Duration) -> Result<MutexGuard<'_, Engine>, DeviceError> {
        let late = DeviceError::Deadline { what: "the end of the running dispatch", deadline: patience };
        lock_by(&self.engine, Instant::now() + patience).ok_or(late)
    }
}

/// Messages the device says it has finished.
fn processed(counters: &[u32; COUNTER_WORDS]) -> u64 {
    let word = control::MESSAGES_PROCESSED / 4;
    counters[word] as u64 | (counters[word + 1] as u64) << 32
}

impl Watcher for Core {
    fn lost(&self) {
        self.ring();
    }
}

/// How long the last handle waits for the dispatcher when it is dropped.
const FAREWELL: Duration = Duration::from_secs(2);

/// The handle.
struct WgpuKernel {
    core: Arc<Core>,
    dispatcher: Mutex<Option<JoinHandle<()>>>,
}

impl Kernel for WgpuKernel {
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
        Ok(())
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
        write_states(&core.gpu, &engine.state, states.instances(), core.stride as usize, |instance, state| {
            state[..states.size()].copy_from_slice(&bytes[states.place(0, 1, instance)]);
        })
    }

    fn is_busy(&self) -> bool {
        match self.core.engine.try_lock() {
            Ok(engine) => engine.sent < engine.replies.len(),
            Err(TryLockError::Poisoned(engine)) => engine.get_ref().sent < engine.get_ref().replies.len(),
            Err(TryLockError::WouldBlock) => true,
        }
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
    }
}
