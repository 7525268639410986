//! What the API's functions work on: devices, and everything that has a handle, behind one lock.
//!
//! The lock is held for moments: blocks run and copies are made without it. Two conditions go with it: `work` for the workers, who wait
//! for something to do, and `done` for callers, who wait for something to be over.

use super::device::{self, Multiprocessor};
use super::raw::Failure;
use super::region::{Region, View};
use super::schedule::{Grid, Sleeper, Task, work};
use super::settings::Settings;
use super::streams::{Event, Graph, Stream};
use crate::machine::{Entry, Module};
use cudarc::driver::sys::CUresult::{self, *};
use std::cell::RefCell;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Instant;

/// What stands for something of the driver's: a number that C code takes for a pointer. Never one twice.
pub(crate) type Handle = usize;

/// The process's driver.
pub(crate) struct System {
    pub(crate) settings: Settings,
    /// Each device's memory.
    pub(crate) memory: Vec<Region>,
    /// Host memory that every device maps.
    pub(crate) pinned: Region,
    state: Mutex<State>,
    pub(crate) work: Condvar,
    pub(crate) done: Condvar,
}

/// What changes.
pub(crate) struct State {
    last_handle: Handle,
    /// One a device: its primary context.
    pub(crate) contexts: Vec<Context>,
    pub(crate) streams: BTreeMap<Handle, Stream>,
    pub(crate) events: HashMap<Handle, Event>,
    pub(crate) modules: HashMap<Handle, Loaded>,
    pub(crate) functions: HashMap<Handle, Function>,
    pub(crate) graphs: HashMap<Handle, Graph>,
    /// The launchable ones.
    pub(crate) execs: HashMap<Handle, Graph>,
    pub(crate) pools: HashMap<Handle, Pool>,
    /// Running and waiting grids.
    pub(crate) grids: HashMap<u64, Grid>,
    pub(crate) last_grid: u64,
    pub(crate) ready: VecDeque<Task>,
    pub(crate) sleepers: BinaryHeap<Sleeper>,
    pub(crate) random: u64,
    /// Workers that are at something, without the lock.
    pub(crate) at_work: usize,
    /// The process exits: nothing begins any more.
    pub(crate) over: bool,
}

/// A device's primary context.
pub(crate) struct Context {
    /// 0 unless it is retained.
    pub(crate) handle: Handle,
    pub(crate) retained: u32,
    /// What ended it: every call that needs it says so from then on.
    pub(crate) lost: Option<CUresult>,
    pub(crate) default_stream: Handle,
    pub(crate) default_pool: Handle,
    /// It was allowed to reach the other device's memory.
    pub(crate) reaches: bool,
    /// Kernels that run or are queued.
    pub(crate) kernels: usize,
    pub(crate) multiprocessors: Vec<Multiprocessor>,
    /// Grids some of whose blocks have found no place yet, first come first.
    pub(crate) waiting: VecDeque<u64>,
    /// Grids with blocks on multiprocessors.
    pub(crate) resident: usize,
}

/// A module.
pub(crate) struct Loaded {
    pub(crate) device: usize,
    pub(crate) module: Arc<Module>,
}

/// A function of one.
pub(crate) struct Function {
    pub(crate) device: usize,
    pub(crate) module: Handle,
    pub(crate) name: String,
    pub(crate) entry: Entry,
    pub(crate) most_dynamic_shared: u32,
    pub(crate) carveout: i32,
    pub(crate) launched: bool,
}

/// A pool of device memory.
pub(crate) struct Pool {
    pub(crate) device: usize,
    /// The other device may reach it.
    pub(crate) shared: bool,
}

impl Context {
    fn new() -> Self {
        Self {
            handle: 0,
            retained: 0,
            lost: None,
            default_stream: 0,
            default_pool: 0,
            reaches: false,
            kernels: 0,
            multiprocessors: vec![Multiprocessor::EMPTY; device::MULTIPROCESSORS],
            waiting: VecDeque::new(),
            resident: 0,
        }
    }
}

static SYSTEM: OnceLock<Option<System>> = OnceLock::new();
/// The process exits, and the driver is taken down.
static OVER: AtomicBool = AtomicBool::new(false);
/// This process is a fork of one that had the driver.
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn in_child() {
    // Relaxed, and where it is read: a child is a copy of the one thread that wrote it.
    FORKED.store(true, Ordering::Relaxed);
}

/// Takes the driver down, as the process's exit does, and pinned memory with it.
#[cfg(unix)]
extern "C" fn at_exit() {
    let Some(Some(system)) = SYSTEM.get().filter(|_| !FORKED.load(Ordering::Relaxed)) else { return };
    OVER.store(true, Ordering::Relaxed);
    let mut state = system.lock();
    state.over = true;
    while state.at_work > 0 {
        state = system.done.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    drop(state);
    system.pinned.take_away();
    std::thread::sleep(system.settings.exit);
}

thread_local! {
    /// The contexts: the last is current.
    static STACK: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// Starts the driver, once.
pub(crate) fn start() -> Result<(), Failure> {
    if FORKED.load(Ordering::Relaxed) {
        return Err(CUDA_ERROR_NOT_INITIALIZED);
    }
    let system = SYSTEM.get_or_init(System::new).as_ref().ok_or(CUDA_ERROR_OPERATING_SYSTEM)?;
    static WORKERS: Once = Once::new();
    let mut threads = true;
    WORKERS.call_once(|| {
        #[cfg(unix)]
        super::raw::at_fork(in_child);
        #[cfg(unix)]
        if !system.settings.exit.is_zero() {
            super::raw::at_exit(at_exit);
        }
        for number in 0..system.settings.threads {
            let worker = std::thread::Builder::new().name(format!("softcuda-{number}"));
            threads &= worker.spawn(move || work(system)).is_ok();
        }
    });
    if threads { Ok(()) } else { Err(CUDA_ERROR_OPERATING_SYSTEM) }
}

/// Runs the body of a function of the API, if the driver was started in this process.
pub(crate) fn call(body: impl FnOnce(&'static System) -> Result<(), Failure>) -> CUresult {
    if FORKED.load(Ordering::Relaxed) {
        return CUDA_ERROR_NOT_INITIALIZED;
    }
    let Some(Some(system)) = SYSTEM.get() else { return CUDA_ERROR_NOT_INITIALIZED };
    // Relaxed: who calls while the process exits may be early or late by a call.
    if OVER.load(Ordering::Relaxed) {
        return CUDA_ERROR_DEINITIALIZED;
    }
    match catch_unwind(AssertUnwindSafe(|| body(system))) {
        Ok(Ok(())) => CUDA_SUCCESS,
        Ok(Err(failure)) => failure,
        // It has been said on standard error; nothing may unwind into C.
        Err(_) => CUDA_ERROR_UNKNOWN,
    }
}

/// The same of a function that needs the thread's current context, unharmed.
pub(crate) fn call_in_context(
    body: impl FnOnce(&'static System, usize, MutexGuard<'static, State>) -> Result<(), Failure>,
) -> CUresult {
    call(|system| {
        let state = system.lock();
        let device = state.current()?;
        body(system, device, state)
    })
}

/// The thread's current context; 0 for none.
pub(crate) fn current() -> Handle {
    STACK.with_borrow(|stack| stack.last().copied().unwrap_or(0))
}

/// Makes another the thread's current context, in its place; none where there is no other.
pub(crate) fn set_current(context: Handle) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        stack.extend((context != 0).then_some(context));
    });
}

/// Puts a context on top.
pub(crate) fn push_current(context: Handle) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

/// Takes the one on top.
pub(crate) fn pop_current() -> Option<Handle> {
    STACK.with_borrow_mut(Vec::pop)
}

impl System {
    fn new() -> Option<Self> {
        let settings = Settings::read()?;
        let memory =
            (0..settings.devices).map(|_| Region::new(device::MEMORY)).collect::<Option<Vec<_>>>()?;
        let state = State {
            last_handle: 0x1000,
            contexts: (0..settings.devices).map(|_| Context::new()).collect(),
            streams: BTreeMap::new(),
            events: HashMap::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            graphs: HashMap::new(),
            execs: HashMap::new(),
            pools: HashMap::new(),
            grids: HashMap::new(),
            last_grid: 0,
            ready: VecDeque::new(),
            sleepers: BinaryHeap::new(),
            // Never 0.
            random: settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            at_work: 0,
            over: false,
        };
        Some(Self {
            settings,
            memory,
            pinned: Region::new(device::PINNED)?,
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `task` without the lock, and takes it again.
    pub(crate) fn lock_after(
        &self,
        mut state: MutexGuard<'_, State>,
        task: impl FnOnce(),
    ) -> MutexGuard<'_, State> {
        state.at_work += 1;
        drop(state);
        task();
        let mut state = self.lock();
        state.at_work -= 1;
        if state.over {
            self.done.notify_all();
        }
        state
    }

    /// Waits until `over` holds of a context that is unharmed.
    pub(crate) fn wait(
        &self,
        mut state: MutexGuard<'_, State>,
        device: usize,
        over: impl Fn(&State) -> bool,
    ) -> Result<(), Failure> {
        loop {
            state.unharmed(device)?;
            if over(&state) {
                return Ok(());
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until no kernel runs on the device, as `call` does; and ends the process when that takes for ever.
    pub(crate) fn idle<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        device: usize,
        call: &str,
    ) -> MutexGuard<'a, State> {
        let begin = Instant::now();
        while state.contexts[device].kernels > 0 {
            let left = self.settings.patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                eprintln!(
                    "softcuda: {call} waits until nothing runs on device {device}, where {} kernels have been running or queued for {:?}: on a \
                     GPU it would hang",
                    state.contexts[device].kernels, self.settings.patience
                );
                std::process::abort();
            }
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Whether the range is pinned memory.
    pub(crate) fn is_pinned(&self, address: u64, bytes: u64) -> bool {
        self.pinned.holds(address, bytes)
    }

    /// What kernels of a device see.
    pub(crate) fn view(&self, device: usize) -> View<'_> {
        let other = self.memory.iter().enumerate().find(|(which, _)| *which != device);
        View { own: &self.memory[device], pinned: &self.pinned, other: other.map(|(_, region)| region) }
    }
}

impl State {
    /// A handle that nothing else has, had or will have.
    pub(crate) fn new_handle(&mut self) -> Handle {
        self.last_handle += 0x10;
        self.last_handle
    }

    /// The device whose context is current on this thread, and unharmed.
    pub(crate) fn current(&self) -> Result<usize, Failure> {
        let device = self.device_of(current()).ok_or(CUDA_ERROR_INVALID_CONTEXT)?;
        self.unharmed(device)?;
        Ok(device)
    }

    /// The device of a context.
    pub(crate) fn device_of(&self, context: Handle) -> Option<usize> {
        self.contexts.iter().position(|known| known.handle == context).filter(|_| context != 0)
    }

    pub(crate) fn unharmed(&self, device: usize) -> Result<(), Failure> {
        self.contexts[device].lost.map_or(Ok(()), Err)
    }

    /// The next random number.
    pub(crate) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Makes a device's primary context, or keeps it once more.
    pub(crate) fn retain(&mut self, device: usize) -> Handle {
        self.contexts[device].retained += 1;
        if self.contexts[device].retained == 1 {
            let (handle, stream, pool) = (self.new_handle(), self.new_handle(), self.new_handle());
            self.streams.insert(stream, Stream::new(device));
            self.pools.insert(pool, Pool { device, shared: false });
            let context = &mut self.contexts[device];
            (context.handle, context.default_stream, context.default_pool) = (handle, stream, pool);
        }
        self.contexts[device].handle
    }

    /// Forgets everything of a device's primary context. Nothing runs there.
    pub(crate) fn end_context(&mut self, system: &System, device: usize) {
        self.streams.retain(|_, stream| stream.device != device);
        self.modules.retain(|_, module| module.device != device);
        self.functions.retain(|_, function| function.device != device);
        self.pools.retain(|_, pool| pool.device != device);
        let lost = self.contexts[device].lost;
        // A context that was lost takes its process with it.
        self.contexts[device] = Context { lost, ..Context::new() };
        system.memory[device].give_back_all();
        system.memory[device].share(None, false);
    }
}
