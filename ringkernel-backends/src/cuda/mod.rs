//! The CUDA device: actors as kernels that stay resident on an NVIDIA GPU.
//!
//! A launch starts one block of one warp a shard, which polls the shard's request ring in mapped pinned memory until it is
//! told to return. No toolkit is needed: libcuda is opened at run time, and the PTX that the compiler emitted is joined with the
//! resident loop (`runtime/*.ptx`) and compiled by the driver.
//!
//! Start with `prepare` (what a kernel is made of) and `resident` (a launched kernel and its life), then `runtime/*.ptx` (what the GPU does, in the order in which a message goes through it). `driver` is the driver's
//! API behind owning types, `link` joins the texts (`paste` puts handlers and their calls into the loop), `links` knows a kernel's neighbours, `mailbox` what they send to it, `lobby` what of that waits aside, `payload` is memory for messages that no slot carries, `state` copies states, `registry` knows what is resident and makes room for calls that cannot be
//! made beside it, for which kernels go home for a moment (`pause`), `phase` what a kernel is up to, `clock` keeps the device's clock with the time of day, `exit` is about the end of the process, `baseline` times what we compare ourselves with.
//!
//! **What may be called beside a resident kernel.** `cuModuleLoadData`, `cuModuleUnload`, `cuMemFree`, `cuMemFreeHost` and
//! `cuCtxSynchronize` wait until the device is idle, which a resident kernel never lets it be, and so may `cuStreamCreate`. So
//! streams are made and every registered actor's module is
//! loaded when the device is first opened, device memory comes from a stream-ordered pool, pinned memory is kept for the
//! next kernel, and what still has to wait runs quiesced (`registry`): resident kernels return with their
//! state kept, the call is made, they are launched again. Users of the same process' primary context are under the same law.

#[cfg(test)]
mod assembling;
mod baseline;
mod clock;
mod driver;
mod exit;
mod link;
mod links;
mod lobby;
mod mailbox;
mod paste;
mod pause;
mod payload;
mod phase;
mod prepare;
mod registry;
mod resident;
mod state;

pub use baseline::{
    MOST_EVENTS, MOST_RINGS, four_launches, graph_launch_and_synchronize, launch_and_synchronize,
    launch_with_copies, ping_pong, quiesce, to_device, to_host,
};

use crate::kernel::{Device, DeviceError, Kernel, KernelDescriptor, LaunchSpec};
use driver::{Context, Function, MemoryPool, PinnedArena, StreamPool};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The text that is loaded for an actor on a device of compute capability `cc` (90 for 9.0): for tests that assemble it.
#[doc(hidden)]
pub fn module_text(descriptor: &KernelDescriptor, cc: u32) -> String {
    link::module_text(descriptor, cc)
}

/// Threads of a block: one warp.
const WARP: u32 = 32;

/// An NVIDIA GPU.
#[derive(Clone)]
pub struct CudaDevice {
    shared: Arc<Shared>,
}

/// What every runtime of the process shares about one GPU: opened once, never closed.
struct Shared {
    context: Arc<Context>,
    arena: Arc<PinnedArena>,
    pool: Arc<MemoryPool>,
    streams: Arc<StreamPool>,
    registry: registry::Registry,
    /// By the address of the descriptor. An actor whose code was rejected keeps the driver's log.
    functions: Mutex<HashMap<usize, Result<Function, String>>>,
    clock: clock::DeviceClock,
    /// The devices whose memory code here can reach, by ordinal, and those it cannot.
    reached: Mutex<HashMap<usize, bool>>,
}

static OPEN: Mutex<Option<HashMap<usize, Arc<Shared>>>> = Mutex::new(None);

impl CudaDevice {
    /// Opens GPU `ordinal` and loads the modules of `kernels`.
    ///
    /// Modules that are not loaded yet while kernels of this process are resident cost those a quiesce.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] says what is missing: the driver, a device of this number, a new enough driver or device.
    pub fn open(ordinal: usize, kernels: &[&'static KernelDescriptor]) -> Result<Self, DeviceError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        let shared = match open.get(&ordinal) {
            Some(shared) => shared.clone(),
            None => {
                let context = Arc::new(Context::open(ordinal)?);
                let pool = MemoryPool::new(&context, ordinal)?;
                let shared = Arc::new(Shared {
                    arena: PinnedArena::new(context.clone()),
                    pool,
                    // One more than grids: for launches that end by themselves.
                    streams: StreamPool::new(&context, registry::MOST_GRIDS + 1)?,
                    registry: registry::Registry::new(context.multiprocessors),
                    functions: Mutex::default(),
                    clock: clock::DeviceClock::default(),
                    reached: Mutex::default(),
                    context,
                });
                open.insert(ordinal, shared.clone());
                shared
            }
        };
        shared.load(kernels)?;
        Ok(Self { shared })
    }

    /// The driver's CUDA version: `(13, 0)`.
    pub fn driver_version(&self) -> (i32, i32) {
        let version = self.shared.context.driver_version;
        (version / 1000, version % 1000 / 10)
    }

    /// Compute capability: `(9, 0)`.
    pub fn compute_capability(&self) -> (u32, u32) {
        (self.shared.context.cc / 10, self.shared.context.cc % 10)
    }
}

impl Shared {
    /// Compiles and loads what is not loaded yet.
    fn load(&self, kernels: &[&'static KernelDescriptor]) -> Result<(), DeviceError> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = kernels.to_vec();
        missing.retain(|kernel| kernel.native_only.is_none() && !functions.contains_key(&key(kernel)));
        if missing.is_empty() {
            return Ok(());
        }
        // Here, while whoever is resident goes on. The driver compiles below all the same: what `cuLinkComplete` would make here of a text is relocatable
        // code, which is slower for as long as the kernel runs.
        let texts: Vec<_> =
            missing.into_iter().map(|kernel| (kernel, link::module_text(kernel, self.context.cc))).collect();
        self.registry.quiesced(|| {
            // The driver compiles on the calling thread; a few at once, since a program may register dozens of actors.
            let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(8).min(texts.len());
            let next = std::sync::atomic::AtomicUsize::new(0);
            let loaded = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        // Relaxed: the counter only hands out indices.
                        let take = || texts.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                        while let Some((kernel, text)) = take() {
                            let function = Function::load(&self.context, text, link::ENTRY);
                            loaded
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push((key(kernel), function));
                        }
                    });
                }
            });
            let loaded = loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
            // The first launch of a function loads its code and may grow the context's local memory, and both wait for the
            // device. So launch each once with nothing to do, now.
            let stream = self.spare_stream()?;
            for (_, function) in &loaded {
                if let Ok(function) = function {
                    // SAFETY: with no shards the kernel returns without touching memory.
                    unsafe { function.launch(&stream, 1, WARP, 0, 0) }?;
                }
            }
            stream.synchronize()?;
            if let Some((_, Ok(function))) = loaded.iter().find(|(_, function)| function.is_ok()) {
                self.compare_clocks(function, &stream)?;
            }
            functions.extend(loaded);
            Ok(())
        })?
    }

    /// Whether kernels here can send to kernels there. The first time it is asked of two devices, both are quiesced.
    fn reaches(&self, other: &Self) -> Result<bool, DeviceError> {
        let (here, there) = (self.context.ordinal, other.context.ordinal);
        if here == there {
            return Ok(true);
        }
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = reached.get(&there) {
            return Ok(*known);
        }
        let can = self.context.can_reach(&other.context)?;
        if can {
            // Always in this order, so that two who ask at once do not wait for each other.
            let (first, second) = if here < there { (self, other) } else { (other, self) };
            let reach = || self.context.reach(&other.context, &other.pool);
            first.registry.quiesced(|| second.registry.quiesced(reach))???;
        }
        reached.insert(there, can);
        Ok(can)
    }

    fn spare_stream(&self) -> Result<driver::LentStream, DeviceError> {
        self.streams.take().ok_or_else(|| DeviceError::Capacity {
            detail: format!("all {} streams are taken by resident kernels", registry::MOST_GRIDS + 1),
        })
    }

    fn function(&self, descriptor: &'static KernelDescriptor) -> Result<Function, DeviceError> {
        self.load(&[descriptor])?;
        let functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        match functions.get(&key(descriptor)) {
            Some(Ok(function)) => Ok(*function),
            Some(Err(log)) => Err(DeviceError::BadCode { actor: descriptor.actor, log: log.clone() }),
            None => Err(DeviceError::BadCode { actor: descriptor.actor, log: "it was not loaded".into() }),
        }
    }
}

fn key(descriptor: &'static KernelDescriptor) -> usize {
    std::ptr::from_ref(descriptor).addr()
}

impl Device for CudaDevice {
    fn name(&self) -> String {
        self.shared.context.name.clone()
    }

    fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
        spec.descriptor.check_compiled(|| self.name())?;
        let function = self.shared.function(spec.descriptor)?;
        prepare::launch(self.shared.clone(), function, spec)
    }
}
