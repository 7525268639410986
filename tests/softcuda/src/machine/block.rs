//! A block: its warps, its shared window, its barriers.

use super::memory::{Store, View};
use super::program::Program;
use super::random::Random;
use super::warp::{Context, State, Warp};
use super::{Fault, FaultKind, Launch, Memory, Progress};
use std::sync::Arc;
use std::time::Instant;

/// Barriers of a block.
const BARRIERS: usize = 16;

/// One of them: how many threads have come, and of how many (0: all that have not ended).
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    came: u32,
    of: u32,
}

/// The block's barriers.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    slots: [Slot; BARRIERS],
    /// Somebody came or ended, so that one may be complete.
    pub(super) touched: bool,
}

impl Barriers {
    /// So many threads come, to a barrier for `of`.
    pub(super) fn come(&mut self, number: u64, of: u64, threads: u32) -> Result<(), FaultKind> {
        let slot = self.slots.get_mut(number as usize).ok_or(FaultKind::Misuse)?;
        if of > 1024 || !of.is_multiple_of(32) || slot.came > 0 && slot.of != of as u32 {
            return Err(FaultKind::Misuse);
        }
        (slot.of, slot.came) = (of as u32, slot.came + threads);
        self.touched = true;
        Ok(())
    }
}

/// One block of a launch.
pub struct Block {
    launch: Arc<Launch>,
    index: [u32; 3],
    warps: Vec<Warp>,
    shared: Store,
    shared_bytes: u64,
    barriers: Barriers,
    random: Random,
    late: bool,
    fault: Option<Fault>,
}

impl Block {
    /// The block of that index. The seed decides in which order its lanes run, and what lies where nobody has written.
    pub fn new(launch: &Arc<Launch>, index: [u32; 3], seed: u64) -> Self {
        let mut random = Random::new(seed);
        let program = &*launch.entry.program;
        let shared_bytes = match launch.shared_bytes {
            0 => program.shared as u64,
            dynamic => program.dynamic as u64 + dynamic as u64,
        };
        let shared = Store::new(shared_bytes, || random.next());
        let threads: u32 = launch.block.iter().product();
        let warps =
            (0..threads.div_ceil(32)).map(|number| Warp::new(launch, index, number, &mut random)).collect();
        let (launch, barriers) = (launch.clone(), Barriers::default());
        Self { launch, index, warps, shared, shared_bytes, barriers, random, late: true, fault: None }
    }

    /// Makes every access at once: what does not fail then and fails otherwise lacks a fence.
    pub fn in_order(mut self) -> Self {
        self.late = false;
        self
    }

    /// Runs so many instructions (of a warp: one for all of its lanes that are at the same place), or fewer if none can go on.
    ///
    /// # Errors
    /// What a GPU would end the launch for, or leave undefined. The block is dead then, and says the same again.
    pub fn run(&mut self, memory: &dyn Memory, instructions: u32) -> Result<Progress, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let launch = self.launch.clone();
        let result = self.go(&launch, memory, instructions);
        // What is kept back holds for one run; the dead do not write.
        for warp in &mut self.warps {
            match &result {
                Ok(_) => warp.kept.settle(&mut self.random),
                Err(_) => warp.kept.forget(),
            }
        }
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
        }
        result
    }

    fn go(&mut self, launch: &Launch, memory: &dyn Memory, instructions: u32) -> Result<Progress, Fault> {
        let program = &*launch.entry.program;
        let mut used = 0;
        let mut context = Context {
            program,
            view: View::new(memory, &program.data, &self.shared, self.shared_bytes),
            barriers: &mut self.barriers,
            random: &mut self.random,
            params: &launch.params,
            late: self.late,
        };
        let warps = &mut self.warps;
        while used < instructions {
            let count = warps.len() as u32;
            let mut first = if count > 1 { context.random.below(count) } else { 0 };
            let mut ran = 0;
            for _ in 0..count {
                let left = instructions - used;
                // Beside others, for a while only.
                let most = if count > 1 { left.min(1 + context.random.below(128)) } else { left };
                let warp = &mut warps[first as usize];
                ran = match warp.slice(&mut context, most) {
                    Ok(ran) => ran,
                    Err((kind, pc, lane)) => {
                        let place = place(program, self.index, pc, warp.number, lane);
                        return Err(Fault { kind, place });
                    }
                };
                if ran > 0 {
                    break;
                }
                first = (first + 1) % count;
            }
            used += ran;
            if std::mem::take(&mut context.barriers.touched) {
                complete(context.barriers, warps);
                continue;
            }
            if ran == 0 {
                return idle(warps, program, self.index);
            }
        }
        Ok(Progress::Ran)
    }
}

/// Lets go whom a barrier has been waiting for.
fn complete(barriers: &mut Barriers, warps: &mut [Warp]) {
    let live: u32 = warps.iter().map(|warp| warp.live().count_ones()).sum();
    for (number, slot) in barriers.slots.iter_mut().enumerate() {
        let of = if slot.of == 0 { live } else { slot.of };
        if slot.came > 0 && slot.came >= of {
            *slot = Slot::default();
            warps.iter_mut().for_each(|warp| warp.let_go(number as u32));
        }
    }
}

/// No lane can run: they have ended, or nap, or never will.
fn idle(warps: &[Warp], program: &Program, index: [u32; 3]) -> Result<Progress, Fault> {
    let groups = || warps.iter().flat_map(|warp| warp.groups().iter().map(move |group| (warp, group)));
    let naps = groups().filter_map(|(_, group)| match group.state {
        State::Asleep(until) => Some(until),
        _ => None,
    });
    if let Some(until) = naps.min() {
        return Ok(Progress::Asleep(until.saturating_duration_since(Instant::now())));
    }
    let mut waiting = groups();
    let Some((warp, first)) = waiting.next() else { return Ok(Progress::Done) };
    // Behind a barrier, a group has left its instruction.
    let pc = |state: State, pc: u32| if matches!(state, State::Barrier(_)) { pc - 1 } else { pc };
    let mut place = place(program, index, pc(first.state, first.pc), warp.number, None);
    place += &format!(", lanes 0x{:x}", first.mask);
    for (warp, group) in waiting.take(40) {
        let at = program.place(pc(group.state, group.pc));
        place += &format!("; warp {}, lanes 0x{:x} at {at}", warp.number, group.mask);
    }
    Err(Fault { kind: FaultKind::BarrierDeadlock, place })
}

fn place(program: &Program, index: [u32; 3], pc: u32, warp: u32, lane: Option<u32>) -> String {
    let [x, y, z] = index;
    let lane = lane.map_or(String::new(), |lane| format!("lane {lane} of "));
    format!("{}, {lane}warp {warp} of block ({x}, {y}, {z})", program.place(pc))
}
