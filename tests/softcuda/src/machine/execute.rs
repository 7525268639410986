//! Operations on registers, a lane at a time.

use super::FaultKind;
use super::clock;
use super::program::{Base, Lanes, Op};
use super::warp::{Context, Warp, each};

/// From so many lanes on, all are computed: registers hold values of their width, whoever they belong to.
const FEW: u32 = 6;

/// Puts the values of some lanes into a register.
#[inline(always)]
fn put(d: &mut Lanes, active: u32, new: &Lanes) {
    if active == u32::MAX {
        *d = *new;
        return;
    }
    for (lane, (d, new)) in d.iter_mut().zip(new).enumerate() {
        *d = if active >> lane & 1 == 1 { *new } else { *d };
    }
}

impl Warp {
    /// Executes what neither moves lanes nor waits; the lane that failed.
    #[inline]
    pub(super) fn execute(
        &mut self,
        context: &mut Context<'_>,
        op: &Op,
        active: u32,
    ) -> Result<(), (FaultKind, u32)> {
        let regs = &mut self.regs[..];
        match *op {
            Op::Copy { d, a } => {
                let (d, a) = (d as usize, a as usize);
                if active == u32::MAX {
                    regs[d] = regs[a];
                } else {
                    each(active, |lane| regs[d][lane] = regs[a][lane]);
                }
            }
            Op::One { f, d, a } => {
                let (d, a) = (d as usize, a as usize);
                if active.count_ones() < FEW {
                    each(active, |lane| regs[d][lane] = (f.lane)(regs[a][lane]));
                } else {
                    let new = (f.all)(&regs[a]);
                    put(&mut regs[d], active, &new);
                }
            }
            Op::Two { f, d, a, b } => {
                let (d, a, b) = (d as usize, a as usize, b as usize);
                if active.count_ones() < FEW {
                    each(active, |lane| regs[d][lane] = (f.lane)(regs[a][lane], regs[b][lane]));
                } else {
                    let new = (f.all)(&regs[a], &regs[b]);
                    put(&mut regs[d], active, &new);
                }
            }
            Op::Three { f, d, a, b, c } => {
                let (d, a, b, c) = (d as usize, a as usize, b as usize, c as usize);
                if active.count_ones() < FEW {
                    each(active, |lane| {
                        regs[d][lane] = (f.lane)(regs[a][lane], regs[b][lane], regs[c][lane])
                    });
                } else {
                    let new = (f.all)(&regs[a], &regs[b], &regs[c]);
                    put(&mut regs[d], active, &new);
                }
            }
            Op::Convert { how, d, a } => {
                let (d, a) = (d as usize, a as usize);
                each(active, |lane| regs[d][lane] = how.of(regs[a][lane]));
            }
            Op::Logic3 { table, d, a, b, c } => {
                let (d, a, b, c) = (d as usize, a as usize, b as usize, c as usize);
                each(active, |lane| {
                    regs[d][lane] = logic3(table, regs[a][lane], regs[b][lane], regs[c][lane])
                });
            }
            Op::Compare { f, p, q, a, b, logic, c } => {
                let (a, b) = (&regs[a as usize], &regs[b as usize]);
                let mut holds = 0;
                if active.count_ones() < FEW {
                    each(active, |lane| holds |= ((f.lane)(a[lane], b[lane]) as u32) << lane);
                } else {
                    holds = (f.all)(a, b);
                }
                let c = c.lanes(&self.preds);
                let (yes, no) = (logic.of(holds, c), logic.of(!holds, c));
                let preds = &mut self.preds;
                preds[p as usize] = preds[p as usize] & !active | yes & active;
                preds[q as usize] = preds[q as usize] & !active | no & active;
            }
            Op::Select { d, a, b, c } => {
                let (d, a, b) = (d as usize, a as usize, b as usize);
                let c = c.lanes(&self.preds);
                if active.count_ones() < FEW {
                    each(active, |lane| {
                        regs[d][lane] = if c >> lane & 1 == 1 { regs[a][lane] } else { regs[b][lane] }
                    });
                } else {
                    let mut new = regs[b];
                    put(&mut new, c, &regs[a]);
                    put(&mut regs[d], active, &new);
                }
            }
            Op::Flags { logic, d, a, b } => {
                let value = logic.of(a.lanes(&self.preds), b.lanes(&self.preds));
                let d = &mut self.preds[d as usize];
                *d = *d & !active | value & active;
            }
            Op::Clock { which, d } => {
                let now = clock::read(which);
                each(active, |lane| regs[d as usize][lane] = now);
            }
            Op::Active { d } => each(active, |lane| regs[d as usize][lane] = active as u64),
            Op::Fence => {
                self.kept.settle(context.random);
                self.seen.forget_all();
                std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            }
            Op::Generic { base, d, a } => {
                each(active, |lane| {
                    let start = self.start(context, base, lane as u32);
                    self.regs[d as usize][lane] = self.regs[a as usize][lane].wrapping_add(start);
                });
            }
            Op::Window { base, d, a } => {
                each(active, |lane| {
                    let start = self.start(context, base, lane as u32);
                    self.regs[d as usize][lane] = self.regs[a as usize][lane].wrapping_sub(start);
                });
            }
            Op::Within { base, p, a } => {
                let mut holds = 0;
                each(active, |lane| {
                    let address = self.regs[a as usize][lane];
                    let local = self.window(lane as u32).contains(address);
                    let shared = context.view.in_shared(address);
                    let within = match base {
                        Base::Local => local,
                        Base::Shared => shared,
                        _ => !local && !shared,
                    };
                    holds |= (within as u32) << lane;
                });
                let p = &mut self.preds[p as usize];
                *p = *p & !active | holds & active;
            }
            Op::Load(access) => return self.load(context, access, active),
            Op::Store(access) => return self.store(context, access, active),
            Op::Atomic { f, access, b, c } => return self.update(context, access, active, f, [b, c]),
            Op::Pass { from, to, bytes } => return self.pass(context, active, from, to, bytes),
            // What moves lanes or waits never comes here.
            Op::Branch { .. }
            | Op::Call { .. }
            | Op::Return { .. }
            | Op::Exit
            | Op::Trap
            | Op::Nap { .. }
            | Op::Together { .. }
            | Op::Barrier { .. } => return Err((FaultKind::Trap, active.trailing_zeros())),
        }
        Ok(())
    }

    /// Where a window begins, as a generic address.
    fn start(&self, context: &Context<'_>, base: Base, lane: u32) -> u64 {
        match base {
            Base::Shared => context.view.shared.start(),
            Base::Local => self.window(lane).start,
            _ => 0,
        }
    }
}

/// Each bit is the table's at the number that the three bits make.
fn logic3(table: u8, a: u64, b: u64, c: u64) -> u64 {
    (0..8)
        .filter(|n| table >> n & 1 == 1)
        .map(|n| {
            let pick = |value: u64, bit: u32| if n >> bit & 1 == 1 { value } else { !value };
            pick(a, 2) & pick(b, 1) & pick(c, 0)
        })
        .fold(0, |all, term| all | term)
        & u32::MAX as u64
}
