//! The adapter, the device, and turning what wgpu reports by callback or panic into errors.

use super::mesh::SharedMesh;
use super::program::{self, Program};
use super::{AdapterKind, probe};
use crate::kernel::{DeviceError, KernelDescriptor};
use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a dispatch may take before the device counts as lost. Batches grow only while they take milliseconds, but the
/// first dispatch may find the driver still compiling.
const PATIENCE: Duration = Duration::from_secs(30);
/// Part of an adapter's name, to choose that one.
const ADAPTER_VARIABLE: &str = "RINGKERNEL_WGPU_ADAPTER";

/// Buffers of a kernel that takes messages which no slot carries.
const MOST_BUFFERS: u32 = 6;

/// An open device.
pub(super) struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    layout: wgpu::BindGroupLayout,
    /// The same with large payloads, if so many buffers can be bound.
    large_layout: Option<wgpu::BindGroupLayout>,
    pub(super) limits: wgpu::Limits,
    pub(super) health: Arc<Health>,
    /// How many loop iterations the driver lets an invocation have in all; `None` where it does not count.
    pub(super) loop_ration: Option<u32>,
    /// How long a dispatch may take, in nanoseconds.
    patience: AtomicU64,
    features: wgpu::Features,
    name: String,
    description: String,
    /// The kernels that reach each other.
    pub(super) mesh: SharedMesh,
    /// By the descriptor's address: a descriptor is a `static`.
    programs: Mutex<HashMap<usize, Arc<Program>>>,
}

/// Whether the device still works; who must know when it does not.
#[derive(Default)]
pub(super) struct Health {
    lost: AtomicBool,
    state: Mutex<HealthState>,
}

#[derive(Default)]
struct HealthState {
    reason: String,
    watchers: Vec<Weak<dyn Watcher>>,
}

/// Told once when the device is lost.
pub(super) trait Watcher: Send + Sync {
    fn lost(&self);
}

impl Health {
    /// The first reason stays.
    pub(super) fn lose(&self, reason: impl Into<String>) -> DeviceError {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watchers = Vec::new();
        if !self.lost.load(Ordering::Relaxed) {
            state.reason = reason.into();
            // Release pairs with the acquire load in `failure`.
            self.lost.store(true, Ordering::Release);
            watchers = std::mem::take(&mut state.watchers);
        }
        let error = DeviceError::Lost { reason: state.reason.clone() };
        drop(state);
        watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.lost());
        error
    }

    pub(super) fn failure(&self) -> Option<DeviceError> {
        // Acquire pairs with the release store in `lose`.
        if !self.lost.load(Ordering::Acquire) {
            return None;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Some(DeviceError::Lost { reason: state.reason.clone() })
    }

    pub(super) fn check(&self) -> Result<(), DeviceError> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Has `watcher` told; at once if it is too late.
    pub(super) fn watch(&self, watcher: Weak<dyn Watcher>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.watchers.retain(|watcher| watcher.strong_count() > 0);
        if !self.lost.load(Ordering::Relaxed) {
            state.watchers.push(watcher);
            return;
        }
        drop(state);
        if let Some(watcher) = watcher.upgrade() {
            watcher.lost();
        }
    }
}

impl Gpu {
    pub(super) fn open(kind: AdapterKind) -> Result<Arc<Self>, DeviceError> {
        let backend = kind.backend();
        let unavailable = |reason: String| DeviceError::Unavailable { backend, reason };
        // Drivers are other people's code: a panic on the way to them is a reason, not the end.
        catch_unwind(AssertUnwindSafe(|| Self::open_best(kind)))
            .unwrap_or_else(|panic| Err(panic_text(panic)))
            .map(Arc::new)
            .map_err(unavailable)
    }

    fn open_best(kind: AdapterKind) -> Result<Self, String> {
        let backends = match kind {
            AdapterKind::Any => wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12,
            AdapterKind::Metal => wgpu::Backends::METAL,
        };
        if (wgpu::Instance::enabled_backend_features() & backends).is_empty() {
            return Err("this system has no such API".to_owned());
        }
        let mut options = wgpu::InstanceDescriptor::new_without_display_handle();
        options.backends = backends;
        options.flags = wgpu::InstanceFlags::empty().with_env();
        let instance = wgpu::Instance::new(options);
        let mut adapters = block_on(instance.enumerate_adapters(backends));
        adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Cpu => 3,
            wgpu::DeviceType::Other => 4,
        });
        let wanted = std::env::var(ADAPTER_VARIABLE).unwrap_or_default().to_lowercase();
        let mut seen = Vec::new();
        for adapter in adapters {
            let description = describe(&adapter.get_info());
            let why = if !description.to_lowercase().contains(&wanted) {
                format!("does not match {ADAPTER_VARIABLE}={wanted}")
            } else if !adapter
                .get_downlevel_capabilities()
                .flags
                .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
            {
                "has no compute shaders".to_owned()
            } else {
                match Self::open_adapter(&adapter) {
                    Ok(gpu) => return Ok(gpu),
                    Err(error) => error,
                }
            };
            seen.push(format!("{description}: {why}"));
        }
        if seen.is_empty() {
            return Err(
                "no WebGPU adapter was found (is a Vulkan, DX12 or Metal driver installed?)".to_owned()
            );
        }
        Err(format!("no adapter will do; seen: {}", seen.join("; ")))
    }

    fn open_adapter(adapter: &wgpu::Adapter) -> Result<Self, String> {
        let info = adapter.get_info();
        let features = adapter.features() & (wgpu::Features::SHADER_INT64 | wgpu::Features::SHADER_F64);
        let limits = adapter.limits();
        let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("ringkernel"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        }))
        .map_err(|e| e.to_string())?;
        let health = Arc::new(Health::default());
        let told = health.clone();
        device.on_uncaptured_error(Arc::new(move |error| drop(told.lose(error.to_string()))));
        let told = Arc::downgrade(&health);
        device.set_device_lost_callback(move |reason, message| {
            // `Destroyed` is the ordinary end.
            if let (wgpu::DeviceLostReason::Unknown, Some(health)) = (reason, told.upgrade()) {
                let message =
                    if message.is_empty() { "the driver gave no reason".to_owned() } else { message };
                let _ = health.lose(message);
            }
        });
        let mut gpu = Self {
            layout: program::layout(&device, false),
            large_layout: (limits.max_storage_buffers_per_shader_stage >= MOST_BUFFERS)
                .then(|| program::layout(&device, true)),
            mesh: SharedMesh::default(),
            device,
            queue,
            limits,
            health,
            loop_ration: None,
            patience: AtomicU64::new(PATIENCE.as_nanos() as u64),
            features,
            name: info.name.clone(),
            description: describe(&info),
            programs: Mutex::default(),
        };
        gpu.loop_ration = probe::loop_ration(&gpu).map_err(|e| e.to_string())?;
        Ok(gpu)
    }

    /// How long a dispatch may take.
    pub(super) fn patience(&self) -> Duration {
        // Relaxed: a setting.
        Duration::from_nanos(self.patience.load(Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(super) fn set_patience(&self, patience: Duration) {
        self.patience.store(patience.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// Whether the adapter has what the actor needs.
    pub(super) fn check_needs(&self, descriptor: &KernelDescriptor) -> Result<(), DeviceError> {
        self.check_features(descriptor, self.features)
    }

    /// Whether these features are what the actor needs.
    pub(super) fn check_features(
        &self,
        descriptor: &KernelDescriptor,
        features: wgpu::Features,
    ) -> Result<(), DeviceError> {
        let lacks = |feature| !features.contains(feature);
        let needs = descriptor.wgsl_needs;
        let mut missing = Vec::new();
        if needs.int64 && lacks(wgpu::Features::SHADER_INT64) {
            missing.push("64-bit integers (SHADER_INT64)");
        }
        if needs.float64 && lacks(wgpu::Features::SHADER_F64) {
            missing.push("64-bit floats (SHADER_F64)");
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(DeviceError::Unsupported {
            actor: descriptor.actor,
            what: missing.join(" and "),
            device: self.description.clone(),
        })
    }

    /// The layout of its kernels' bindings.
    pub(super) fn layout(
        &self,
        descriptor: &KernelDescriptor,
    ) -> Result<&wgpu::BindGroupLayout, DeviceError> {
        if !descriptor.takes_large() {
            return Ok(&self.layout);
        }
        self.large_layout.as_ref().ok_or_else(|| DeviceError::Unsupported {
            actor: descriptor.actor,
            what: format!("{MOST_BUFFERS} storage buffers, for messages that no slot carries"),
            device: self.description.clone(),
        })
    }

    /// The actor's code, compiled at its first launch.
    pub(super) fn program(&self, descriptor: &'static KernelDescriptor) -> Result<Arc<Program>, DeviceError> {
        let key = std::ptr::from_ref(descriptor) as usize;
        let lock = || self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = lock().get(&key) {
            return Ok(program.clone());
        }
        // Unlocked meanwhile: of two first launches at once, one compiles in vain.
        let program = Arc::new(Program::compile(self, descriptor)?);
        lock().insert(key, program.clone());
        Ok(program)
    }

    /// Runs wgpu calls; the outer error is a lost device, the inner one what they reported.
    pub(super) fn scoped<T>(&self, calls: impl FnOnce() -> T) -> Result<Result<T, wgpu::Error>, DeviceError> {
        self.guarded(|| {
            let filters =
                [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal];
            let mut scopes = filters.map(|filter| Some(self.device.push_error_scope(filter)));
            let made = calls();
            // Innermost first.
            let errors = scopes.iter_mut().rev().filter_map(Option::take).map(|scope| block_on(scope.pop()));
            Ok(match errors.fold(None, |first, error| first.or(error)) {
                Some(error) => Err(error),
                None => Ok(made),
            })
        })
    }

    /// Runs wgpu calls on a device that is not lost. wgpu panics where a lost device leaves it no way to report it.
    pub(super) fn guarded<T>(
        &self,
        calls: impl FnOnce() -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        self.health.check()?;
        let result = catch_unwind(AssertUnwindSafe(calls));
        let result = result.unwrap_or_else(|panic| Err(self.health.lose(panic_text(panic))));
        // What was reported by callback meanwhile counts more than what came out.
        self.health.check().and(result)
    }

    /// Makes a buffer, or says that there is no memory for it.
    pub(super) fn buffer(
        &self,
        what: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, DeviceError> {
        let size = bytes.next_multiple_of(16).max(16);
        let most = if usage.contains(wgpu::BufferUsages::STORAGE) {
            self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
        } else {
            self.limits.max_buffer_size
        };
        if size > most {
            let what = format!("{what} (buffers of {} hold at most {most} bytes)", self.description);
            return Err(DeviceError::OutOfMemory { bytes: size, what });
        }
        let descriptor =
            wgpu::BufferDescriptor { label: Some("ringkernel"), size, usage, mapped_at_creation: false };
        self.scoped(|| self.device.create_buffer(&descriptor))?.map_err(|error| match error {
            wgpu::Error::OutOfMemory { .. } => {
                DeviceError::OutOfMemory { bytes: size, what: what.to_owned() }
            }
            error => DeviceError::Driver { call: "create_buffer", reason: error.to_string() },
        })
    }

    /// Submits the commands and waits until they are done and `range` of `buffer` can be read; gives its bytes to `read`.
    ///
    /// A device that takes longer than its patience is lost; a driver that computes inside `submit`, as llvmpipe does, is found
    /// out afterwards. To be called inside [`guarded`](Self::guarded).
    pub(super) fn submit_and_read<T>(
        &self,
        commands: wgpu::CommandBuffer,
        buffer: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, DeviceError> {
        let start = Instant::now();
        let late = || self.health.lose(format!("a dispatch did not end within {:?}", self.patience()));
        let submission = self.queue.submit([commands]);
        let (done, mapped) = mpsc::sync_channel(1);
        // A send that fails found nobody waiting any more.
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| drop(done.try_send(result)));
        let mapped = loop {
            match mapped.try_recv() {
                Ok(result) => break result,
                Err(mpsc::TryRecvError::Disconnected) => break Err(wgpu::BufferAsyncError),
                Err(mpsc::TryRecvError::Empty) => {}
            }
            self.health.check()?;
            // The whole of the patience at once: where a wait times out while another thread polls, wgpu 30 asserts what need
            // not hold. A wait that does time out is the end of the device in any case.
            let Some(left) = self.patience().checked_sub(start.elapsed()) else { return Err(late()) };
            let wait =
                wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(left) };
            match self.device.poll(wait) {
                // Done, but another thread is about to run the callback.
                Ok(_) => thread::yield_now(),
                Err(wgpu::PollError::Timeout) => return Err(late()),
                Err(error) => return Err(self.health.lose(error.to_string())),
            }
        };
        mapped.map_err(|error| self.health.lose(error.to_string()))?;
        let out = {
            let view =
                buffer.get_mapped_range(0..bytes).map_err(|error| self.health.lose(error.to_string()))?;
            read(&view)
        };
        buffer.unmap();
        Ok(out)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.health.failure().is_some() {
            // Dropping the last handle waits for the queue to be idle, which on a lost device may be never.
            std::mem::forget((self.device.clone(), self.queue.clone()));
        }
    }
}

fn describe(info: &wgpu::AdapterInfo) -> String {
    let driver = [info.driver.as_str(), info.driver_info.as_str()].join(" ");
    format!("{} ({:?}, {:?}, {})", info.name, info.device_type, info.backend, driver.trim())
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("wgpu panicked").trim().to_owned()
}

/// Waits for a future of wgpu's. On native systems they are ready when made.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
