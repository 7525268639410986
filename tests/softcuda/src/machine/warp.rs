//! A warp: its registers, and groups of lanes at the same place of the text.

use super::block::Barriers;
use super::late::Kept;
use super::memory::{Store, View, Window};
use super::program::{Instr, Op, Program, Special, TRUE};
use super::random::Random;
use super::stale::Remembered;
use super::{FaultKind, Launch, MULTIPROCESSORS};
use std::time::{Duration, Instant};

/// A fault: what, at which operation, in which lane.
pub(super) type Failed = (FaultKind, u32, Option<u32>);

/// What an operation needs beside the warp.
pub(super) struct Context<'a> {
    pub(super) program: &'a Program,
    pub(super) view: View<'a>,
    pub(super) barriers: &'a mut Barriers,
    pub(super) random: &'a mut Random,
    pub(super) params: &'a [u8],
    /// Stores may be seen late, and weak loads find what was there before.
    pub(super) late: bool,
}

/// What a group of lanes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// Waits at a `.sync` instruction for the other lanes of that mask.
    Together {
        mask: u32,
        barrier: bool,
    },
    /// Has come to that barrier of the block, and stands behind it.
    Barrier(u32),
    Asleep(Instant),
}

/// Lanes at the same place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) pc: u32,
    pub(super) mask: u32,
    pub(super) state: State,
}

/// Up to 32 lanes.
pub(super) struct Warp {
    pub(super) number: u32,
    pub(super) regs: Vec<[u64; 32]>,
    pub(super) preds: Vec<u32>,
    groups: Vec<Group>,
    live: u32,
    local: Store,
    stride: u64,
    pub(super) kept: Kept,
    pub(super) seen: Remembered,
}

/// How a group goes on.
enum Next {
    /// To that operation.
    At(u32),
    /// It has been put away, or is no more.
    Left,
}

impl Warp {
    pub(super) fn new(launch: &Launch, index: [u32; 3], number: u32, random: &mut Random) -> Self {
        let program = &*launch.entry.program;
        let [x, y, z] = launch.block;
        let threads = x * y * z;
        let lanes = (threads - number * 32).min(32);
        let live = if lanes == 32 { u32::MAX } else { (1 << lanes) - 1 };
        let mut regs: Vec<[u64; 32]> = program
            .widths
            .iter()
            .map(|width| {
                let (noise, mask) = (random.next(), if *width < 64 { (1 << width) - 1 } else { u64::MAX });
                std::array::from_fn(|lane| noise.rotate_left(lane as u32) & mask)
            })
            .collect();
        for (reg, value) in &program.constants {
            regs[*reg as usize] = [*value; 32];
        }
        let row = |[_, y, z]: [u32; 3]| z.wrapping_mul(launch.grid[1]).wrapping_add(y);
        let linear = |i: [u32; 3]| row(i).wrapping_mul(launch.grid[0]).wrapping_add(i[0]);
        for (reg, special) in &program.specials {
            regs[*reg as usize] = std::array::from_fn(|lane| {
                let (lane, thread) = (lane as u32, number * 32 + lane as u32);
                let value = match *special {
                    Special::Tid(0) => thread % x,
                    Special::Tid(1) => thread / x % y,
                    Special::Tid(_) => thread / (x * y),
                    Special::Ntid(axis) => launch.block[axis as usize],
                    Special::Ctaid(axis) => index[axis as usize],
                    Special::Nctaid(axis) => launch.grid[axis as usize],
                    Special::Lane => lane,
                    Special::Warp => number,
                    Special::Warps => threads.div_ceil(32),
                    Special::Sm => linear(index) % MULTIPROCESSORS,
                    Special::Sms => MULTIPROCESSORS,
                    Special::Grid => 1,
                    Special::MaskEq => 1 << lane,
                    Special::MaskLt => (1 << lane) - 1,
                    Special::MaskLe => u32::MAX >> (31 - lane),
                    Special::MaskGt => !(u32::MAX >> (31 - lane)),
                    Special::MaskGe => u32::MAX << lane,
                    Special::DynamicShared => launch.shared_bytes,
                    Special::TotalShared => program.shared + launch.shared_bytes,
                };
                value as u64
            });
        }
        let mut preds: Vec<u32> = (0..program.preds).map(|_| random.next() as u32).collect();
        preds[TRUE as usize] = u32::MAX;
        let stride = program.local as u64;
        let local = Store::new(stride * 32, || random.next());
        let groups = vec![Group { pc: launch.entry.start().pc, mask: live, state: State::Ready }];
        Self {
            number,
            regs,
            preds,
            groups,
            live,
            local,
            stride,
            kept: Kept::default(),
            seen: Remembered::default(),
        }
    }

    /// The lanes that have not ended.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(super) fn put(&mut self, group: Group) {
        self.groups.push(group);
    }

    pub(super) fn groups_mut(&mut self) -> &mut Vec<Group> {
        &mut self.groups
    }

    /// A lane's own window.
    pub(super) fn window(&self, lane: u32) -> Window<'_> {
        Window {
            store: &self.local,
            start: self.local.start() + lane as u64 * self.stride,
            bytes: self.stride,
        }
    }

    /// A barrier of the block is complete.
    pub(super) fn let_go(&mut self, barrier: u32) {
        for group in self.groups.iter_mut().filter(|group| group.state == State::Barrier(barrier)) {
            group.state = State::Ready;
            self.seen.forget_all();
        }
    }

    /// Who runs next, how long, and up to where, so that lanes meet again.
    fn choose(&mut self, random: &mut Random, most: u32) -> Option<(Group, u32, u32)> {
        if let [only] = self.groups[..]
            && only.state == State::Ready
        {
            self.groups.clear();
            return Some((only, most, u32::MAX));
        }
        if self.groups.iter().any(|group| matches!(group.state, State::Asleep(_))) {
            let now = Instant::now();
            for group in &mut self.groups {
                if matches!(group.state, State::Asleep(until) if until <= now) {
                    group.state = State::Ready;
                }
            }
        }
        // Those at the same place become one, and the lowest place is found.
        let mut ready = 0;
        let (mut lowest, mut second, mut at) = (u32::MAX, u32::MAX, 0);
        let mut index = 0;
        while index < self.groups.len() {
            let Group { pc, mask, state } = self.groups[index];
            if state == State::Ready {
                let same = |other: &Group| other.state == State::Ready && other.pc == pc;
                if let Some(first) = self.groups[..index].iter().position(same) {
                    self.groups[first].mask |= mask;
                    self.groups.remove(index);
                    continue;
                }
                ready += 1;
                if pc < lowest {
                    (second, lowest, at) = (lowest, pc, index);
                } else {
                    second = second.min(pc);
                }
            }
            index += 1;
        }
        if ready == 0 {
            return None;
        }
        let dice = random.next() as u32;
        let alone = ready == 1;
        // Mostly who is behind, so that they meet; but now and then anybody, so that none starves and orders differ.
        if alone || !dice.is_multiple_of(4) {
            let most = most.min(if alone { 256 } else { 1 + (dice >> 8) % 64 });
            return Some((self.groups.swap_remove(at), most, second));
        }
        let mut chosen = random.below(ready);
        let index = self.groups.iter().position(|group| {
            let found = group.state == State::Ready && chosen == 0;
            chosen = chosen.wrapping_sub((group.state == State::Ready) as u32);
            found
        });
        Some((self.groups.swap_remove(index.unwrap_or(at)), most.min(1 + (dice >> 8) % 16), u32::MAX))
    }

    /// Runs one group for a while; how many operations it was. None: no group can run.
    pub(super) fn slice(&mut self, context: &mut Context<'_>, most: u32) -> Result<u32, Failed> {
        let Some((mut group, most, until)) = self.choose(context.random, most) else { return Ok(0) };
        let program = context.program;
        let code = &program.code[..];
        let mut used = 0;
        while used < most {
            let pc = group.pc;
            let instr = &code[pc as usize];
            used += 1;
            let active = instr.guard.lanes(&self.preds) & group.mask;
            match self.step(context, instr, active, &mut group) {
                Ok(Next::At(pc)) => group.pc = pc,
                Ok(Next::Left) => return Ok(used),
                Err((kind, lane)) => return Err((kind, pc, lane)),
            }
            if group.pc >= until {
                break;
            }
        }
        self.groups.push(group);
        self.kept.some(context.random);
        Ok(used)
    }

    /// Takes those out of a group that go on without the others.
    pub(super) fn part(&mut self, group: &mut Group, active: u32) {
        if active != group.mask {
            self.groups.push(Group { pc: group.pc + 1, mask: group.mask & !active, state: State::Ready });
            group.mask = active;
        }
    }

    fn step(
        &mut self,
        context: &mut Context<'_>,
        instr: &Instr,
        active: u32,
        group: &mut Group,
    ) -> Result<Next, (FaultKind, Option<u32>)> {
        let next = group.pc + 1;
        if active == 0 {
            return Ok(Next::At(next));
        }
        let first = active.trailing_zeros() as usize;
        match instr.op {
            Op::Branch { to } => {
                if active == group.mask {
                    return Ok(Next::At(to));
                }
                self.part(group, active);
                self.groups.push(Group { pc: to, ..*group });
                Ok(Next::Left)
            }
            Op::Call { to, back } => {
                each(active, |lane| self.regs[back as usize][lane] = next as u64);
                self.part(group, active);
                Ok(Next::At(to))
            }
            Op::Return { back } => {
                self.part(group, active);
                let to = self.regs[back as usize][first];
                let mut others = 0;
                each(active, |lane| others |= ((self.regs[back as usize][lane] != to) as u32) << lane);
                if others != 0 {
                    self.groups.push(Group { mask: others, ..*group });
                    group.mask &= !others;
                }
                Ok(Next::At(to as u32))
            }
            Op::Exit => {
                self.live &= !active;
                self.kept.settle(context.random);
                // Whoever waited for these does no longer.
                context.barriers.touched = true;
                for group in self.groups.iter_mut().filter(|g| matches!(g.state, State::Together { .. })) {
                    group.state = State::Ready;
                }
                group.mask &= !active;
                Ok(if group.mask == 0 { Next::Left } else { Next::At(next) })
            }
            Op::Trap => Err((FaultKind::Trap, Some(first as u32))),
            Op::Nap { a } => {
                self.part(group, active);
                let mut longest = 0;
                each(active, |lane| longest = longest.max(self.regs[a as usize][lane]));
                if longest == 0 {
                    return Ok(Next::At(next));
                }
                let state = State::Asleep(Instant::now() + Duration::from_nanos(longest));
                self.groups.push(Group { pc: next, state, ..*group });
                Ok(Next::Left)
            }
            Op::Together { what, mask } => {
                self.part(group, active);
                let all = self.meet(what, mask, group)?;
                if !all {
                    return Ok(Next::Left);
                }
                self.together(context.random, what, group.mask);
                Ok(Next::At(next))
            }
            Op::Barrier { number, threads, wait } => {
                self.kept.settle(context.random);
                // Each of them by itself, where lanes name different ones.
                self.part(group, active);
                let value = |reg: u32, lane: usize| self.regs[reg as usize][lane];
                let (number, of) = (value(number, first), threads.map_or(0, |reg| value(reg, first)));
                let same = |lane| match instr.op {
                    Op::Barrier { number: n, threads: t, .. } => {
                        value(n, lane) == number && t.map_or(0, |reg| value(reg, lane)) == of
                    }
                    _ => true,
                };
                let mut others = 0;
                each(active, |lane| others |= (!same(lane) as u32) << lane);
                if others != 0 {
                    self.groups.push(Group { mask: others, ..*group });
                    group.mask &= !others;
                }
                let misuse = |kind| (kind, Some(first as u32));
                context.barriers.come(number, of, group.mask.count_ones()).map_err(misuse)?;
                if !wait {
                    return Ok(Next::At(next));
                }
                self.groups.push(Group { pc: next, state: State::Barrier(number as u32), ..*group });
                Ok(Next::Left)
            }
            _ => {
                self.execute(context, &instr.op, active).map_err(|(kind, lane)| (kind, Some(lane)))?;
                Ok(Next::At(next))
            }
        }
    }
}

/// For each lane of a mask.
#[inline(always)]
pub(super) fn each(mut mask: u32, mut what: impl FnMut(usize)) {
    if mask == u32::MAX {
        (0..32).for_each(what);
        return;
    }
    while mask != 0 {
        // Below 32 whatever the mask is, which the compiler does not see.
        what(mask.trailing_zeros() as usize & 31);
        mask &= mask - 1;
    }
}
