//! Puts blocks on multiprocessors, and runs them in slices.
//!
//! A grid's blocks are placed in order, grids first come first, as long as a multiprocessor has room: a grid that does not fit waits, silently.
//! Workers take what is ready in turns (now and then out of turn), run it for a slice and put it back. A block that naps is left alone until
//! its time; where many nap, each naps the longer, so that idle kernels do not eat the host. Real hardware promises neither order nor speed.

use super::device::{self, Need};
use super::streams::{Kernel, Transfer};
use super::system::{Handle, State, System};
use crate::machine::{Block, Fault, FaultKind, Launch, Progress};
use cudarc::driver::sys::CUresult::{self, *};
use std::cmp::Reverse;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Instructions of a slice: this, or twice, four times, … up to 128 times as many, so that blocks and host meet in all ways. 100 us at most, or so.
const SLICE: u32 = 16;
/// What a nap is prolonged by for every other block that naps, and the longest nap that comes of it.
const NAP: Duration = Duration::from_micros(20);
const LONGEST_NAP: Duration = Duration::from_millis(4);

/// A launched kernel.
pub(crate) struct Grid {
    device: usize,
    stream: Handle,
    kernel: Kernel,
    /// The next block that is to be placed, and how many there are.
    next: u64,
    blocks: u64,
    /// Those that are placed and not over.
    alive: u64,
}

/// What a worker does.
pub(crate) enum Task {
    Transfer { stream: Handle, device: usize, transfer: Transfer },
    Block(Box<Placed>),
}

/// A block on a multiprocessor.
pub(crate) struct Placed {
    device: usize,
    grid: u64,
    multiprocessor: usize,
    block: Block,
}

/// A block that naps until then.
pub(crate) struct Sleeper {
    until: Reverse<Instant>,
    placed: Box<Placed>,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.until.cmp(&other.until)
    }
}

/// A worker's life.
pub(crate) fn work(system: &'static System) {
    let mut state = system.lock();
    loop {
        let task;
        (task, state) = next(system, state);
        match task {
            Task::Transfer { stream, device, transfer } => {
                let mut usable = false;
                state = system.lock_after(state, || usable = transfer.run(system, device));
                if usable {
                    state.go_on(system, stream);
                } else {
                    let what =
                        "a copy or fill of device memory that is not usable at this place of its stream";
                    state.lose(system, device, CUDA_ERROR_ILLEGAL_ADDRESS, what);
                }
            }
            Task::Block(mut placed) => {
                if !state.grids.contains_key(&placed.grid) {
                    // Its context was lost.
                    continue;
                }
                let slice = SLICE << (state.random() % 8);
                let mut progress = Ok(Progress::Ran);
                let run = || progress = placed.block.run(&system.view(placed.device), slice);
                state = system.lock_after(state, run);
                state.put_back(system, placed, progress);
            }
        }
    }
}

/// The next task; waits for one.
fn next<'a>(system: &'static System, mut state: MutexGuard<'a, State>) -> (Task, MutexGuard<'a, State>) {
    loop {
        while state.over {
            state = system.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let now = Instant::now();
        while state.sleepers.peek().is_some_and(|sleeper| sleeper.until.0 <= now) {
            let awake = state.sleepers.pop().map(|sleeper| Task::Block(sleeper.placed));
            state.ready.extend(awake);
        }
        // Now and then out of turn.
        let random = state.random();
        let out_of_turn = (random.is_multiple_of(8) && state.ready.len() > 1)
            .then(|| (random >> 8) as usize % state.ready.len())
            .and_then(|at| state.ready.swap_remove_front(at));
        if let Some(task) = out_of_turn.or_else(|| state.ready.pop_front()) {
            if !state.ready.is_empty() {
                system.work.notify_one();
            }
            return (task, state);
        }
        state = match state.sleepers.peek().map(|sleeper| sleeper.until.0 - now) {
            Some(nap) => system.work.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0,
            None => system.work.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

impl State {
    /// A kernel's turn in its stream has come.
    pub(crate) fn begin(&mut self, system: &System, device: usize, stream: Handle, kernel: Kernel) {
        self.last_grid += 1;
        let blocks = kernel.launch.grid.iter().map(|count| u64::from(*count)).product();
        let grid = Grid { device, stream, kernel, next: 0, blocks, alive: 0 };
        self.grids.insert(self.last_grid, grid);
        self.contexts[device].waiting.push_back(self.last_grid);
        self.place(system, device);
    }

    /// Places blocks as long as there is room.
    fn place(&mut self, system: &System, device: usize) {
        while let Some(number) = self.contexts[device].waiting.front().copied() {
            let seed = self.random();
            let context = &mut self.contexts[device];
            let Some(grid) = self.grids.get_mut(&number) else {
                context.waiting.pop_front();
                continue;
            };
            if grid.next == 0 && context.resident == device::MOST_GRIDS {
                return;
            }
            let need = grid.kernel.need;
            // The emptiest, as hardware spreads blocks.
            let roomiest =
                context.multiprocessors.iter().enumerate().max_by_key(|(_, place)| place.fit(need));
            let Some((multiprocessor, _)) = roomiest.filter(|(_, place)| place.fit(need) > 0) else { return };
            context.multiprocessors[multiprocessor].take(need);
            context.resident += usize::from(grid.next == 0);
            let launch = &grid.kernel.launch;
            let block = Block::new(launch, index(launch, grid.next), seed);
            self.ready.push_back(Task::Block(Box::new(Placed {
                device,
                grid: number,
                multiprocessor,
                block,
            })));
            (grid.next, grid.alive) = (grid.next + 1, grid.alive + 1);
            if grid.next == grid.blocks {
                context.waiting.pop_front();
            }
            system.work.notify_one();
        }
    }

    /// A block has run for a while.
    fn put_back(&mut self, system: &System, placed: Box<Placed>, progress: Result<Progress, Fault>) {
        let Some(grid) = self.grids.get_mut(&placed.grid) else { return };
        match progress {
            Ok(Progress::Ran) => self.ready.push_back(Task::Block(placed)),
            Ok(Progress::Asleep(nap)) => {
                let crowd = (NAP * self.sleepers.len() as u32).min(LONGEST_NAP);
                self.sleepers.push(Sleeper { until: Reverse(Instant::now() + nap.max(crowd)), placed });
            }
            Ok(Progress::Done) => {
                let device = placed.device;
                let context = &mut self.contexts[device];
                context.multiprocessors[placed.multiprocessor].give_back(grid.kernel.need);
                grid.alive -= 1;
                if grid.alive == 0 && grid.next == grid.blocks {
                    let stream = grid.stream;
                    context.kernels -= 1;
                    context.resident -= 1;
                    self.grids.remove(&placed.grid);
                    self.go_on(system, stream);
                }
                self.place(system, device);
            }
            Err(fault) => {
                let code = code(&fault);
                self.lose(system, placed.device, code, &fault.to_string());
            }
        }
    }

    /// Ends a device's context: what runs there is gone, and every call says so from now on.
    pub(crate) fn lose(&mut self, system: &System, device: usize, code: CUresult, what: &str) {
        eprintln!("softcuda: device {device} is lost: {what}");
        let context = &mut self.contexts[device];
        context.lost.get_or_insert(code);
        context.waiting.clear();
        (context.kernels, context.resident) = (0, 0);
        context.multiprocessors.fill(device::Multiprocessor::EMPTY);
        // Their blocks go as workers come by them.
        self.grids.retain(|_, grid| grid.device != device);
        self.give_up_streams(device);
        system.done.notify_all();
    }
}

/// What the driver says of a fault.
fn code(fault: &Fault) -> CUresult {
    match fault.kind {
        FaultKind::IllegalAddress(_) => CUDA_ERROR_ILLEGAL_ADDRESS,
        FaultKind::Misaligned(_) => CUDA_ERROR_MISALIGNED_ADDRESS,
        _ => CUDA_ERROR_LAUNCH_FAILED,
    }
}

/// The place of the block of that number in its grid.
fn index(launch: &Launch, number: u64) -> [u32; 3] {
    let [x, y, _] = launch.grid.map(u64::from);
    [(number % x) as u32, (number / x % y) as u32, (number / x / y) as u32]
}

/// What a block of a launch takes.
pub(crate) fn need(launch: &Launch) -> Need {
    let threads = launch.block.iter().product();
    Need { threads, shared: launch.entry.shared_bytes() + launch.shared_bytes }
}

/// A launch, with what its blocks take.
pub(crate) fn kernel(launch: Launch) -> Kernel {
    let need = need(&launch);
    Kernel { launch: Arc::new(launch), need }
}
