//! Loads, stores and atomics, a lane at a time.

use super::FaultKind;
use super::late::Late;
use super::memory::Place;
use super::program::{Access, Base, Reg, SINK, Three};
use super::warp::{Context, Warp, each};

type Failed = (FaultKind, u32);

/// What a register gets of an element.
fn extended(value: u64, access: &Access) -> u64 {
    if !access.signed {
        return value;
    }
    let gone = 64 - 8 * access.size as u32;
    let value = ((value << gone) as i64 >> gone) as u64;
    if access.width < 64 { value & ((1 << access.width) - 1) } else { value }
}

/// Of so many stores that may be seen late, one is.
const SELDOM: u32 = 6;

impl Warp {
    /// The lanes whose stores or updates are made late: mostly none; of many, some.
    fn late(&self, context: &mut Context<'_>, access: &Access, active: u32) -> u32 {
        let seen = matches!(access.base, Base::Global | Base::Generic);
        if !context.late || !seen || access.release || context.random.below(SELDOM) != 0 {
            return 0;
        }
        let random = context.random.next();
        if active.count_ones() > 4 { random as u32 & (random >> 32) as u32 & active } else { active }
    }

    fn place(
        &mut self,
        context: &mut Context<'_>,
        access: &Access,
        lane: u32,
        load: bool,
    ) -> Result<Place, Failed> {
        let at = self.regs[access.at as usize][lane as usize].wrapping_add(access.offset as u64);
        // A vector is aligned as a whole.
        let bytes = access.size as u64 * access.count as u64;
        let place = match access.base {
            Base::Generic => context.view.check_generic(at, bytes, bytes, &self.window(lane)),
            Base::Global => context.view.check_global(at, bytes, bytes),
            Base::Shared => context.view.check_shared(at, bytes, bytes),
            Base::Local => self.window(lane).check(at, bytes, bytes),
            // The decoder lets nothing but loads get there, and those are made elsewhere.
            Base::Param => Err(FaultKind::IllegalAddress(at)),
        };
        let place = place.map_err(|kind| (kind, lane))?;
        if !self.kept.is_empty() {
            self.kept.before(context.random, place, bytes);
        }
        let weak = access.weak && load;
        if !weak && !self.seen.is_empty() {
            self.seen.forget(place.address(), bytes);
        }
        Ok(place)
    }

    pub(super) fn load(
        &mut self,
        context: &mut Context<'_>,
        access: Access,
        active: u32,
    ) -> Result<(), Failed> {
        if access.base == Base::Param {
            return self.parameter(context.params, access, active);
        }
        let mut left = active;
        while left != 0 {
            let lane = left.trailing_zeros();
            left &= left - 1;
            let place = self.place(context, &access, lane, true)?;
            // Of memory that others write: neither this lane's window nor the block's.
            let stale = context.late
                && access.weak
                && match access.base {
                    Base::Global => true,
                    Base::Generic => {
                        !self.window(lane).contains(place.address())
                            && !context.view.in_shared(place.address())
                    }
                    _ => false,
                };
            let lane = lane as usize;
            if access.size == 16 {
                let d = access.regs[0] as usize;
                (self.regs[d][lane], self.regs[d + 1][lane]) = place.load128();
                continue;
            }
            for (n, d) in access.regs[..access.count as usize].iter().enumerate() {
                let place = place.plus(access.size as u64 * n as u64);
                let now = || place.load(access.size);
                let value = match stale {
                    true => self.seen.load(context.random, place.address(), access.size, now),
                    false => now(),
                };
                self.regs[*d as usize][lane] = extended(value, &access);
            }
        }
        if access.acquire {
            self.seen.forget_all();
        }
        Ok(())
    }

    /// What the launch passed.
    fn parameter(&mut self, params: &[u8], access: Access, active: u32) -> Result<(), Failed> {
        let mut left = active;
        while left != 0 {
            let lane = left.trailing_zeros();
            left &= left - 1;
            let at = self.regs[access.at as usize][lane as usize].wrapping_add(access.offset as u64);
            let words = if access.size == 16 { 2 } else { access.count as usize };
            let size = (access.size as usize).min(8);
            for n in 0..words {
                let from = (at as usize).wrapping_add(n * size);
                let bytes = from.checked_add(size).and_then(|end| params.get(from..end));
                let Some(bytes) = bytes else { return Err((FaultKind::IllegalAddress(at), lane)) };
                let mut word = [0; 8];
                word[..size].copy_from_slice(bytes);
                let d = if access.size == 16 { access.regs[0] + n as u32 } else { access.regs[n] };
                self.regs[d as usize][lane as usize] = extended(u64::from_le_bytes(word), &access);
            }
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        context: &mut Context<'_>,
        access: Access,
        active: u32,
    ) -> Result<(), Failed> {
        if access.release {
            self.kept.settle(context.random);
        }
        let late = self.late(context, &access, active);
        // Of lanes that write the same place, PTX does not say whose value stays.
        let turn = context.random.below(32);
        let mut left = active.rotate_right(turn);
        while left != 0 {
            let lane = (left.trailing_zeros() + turn) & 31;
            left &= left - 1;
            let place = self.place(context, &access, lane, false)?;
            let lane = lane as usize;
            if access.size == 16 {
                let a = access.regs[0] as usize;
                let (low, high) = (self.regs[a][lane], self.regs[a + 1][lane]);
                if late >> lane & 1 == 1 {
                    self.kept.keep(context.random, place, 16, Late::Store128(low, high));
                } else {
                    place.store128(low, high);
                }
                continue;
            }
            for (n, a) in access.regs[..access.count as usize].iter().enumerate() {
                let value = self.regs[*a as usize][lane];
                let place = place.plus(access.size as u64 * n as u64);
                if late >> lane & 1 == 1 {
                    self.kept.keep(context.random, place, access.size, Late::Store(value));
                } else {
                    place.store(access.size, value);
                }
            }
        }
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        context: &mut Context<'_>,
        access: Access,
        active: u32,
        f: Three,
        [b, c]: [Reg; 2],
    ) -> Result<(), Failed> {
        if access.release {
            self.kept.settle(context.random);
        }
        // Of a `red` nobody waits for the answer.
        let late = if access.regs[0] == SINK { self.late(context, &access, active) } else { 0 };
        // Nor in which order they get there.
        let turn = context.random.below(32);
        let mut left = active.rotate_right(turn);
        while left != 0 {
            let lane = (left.trailing_zeros() + turn) & 31;
            left &= left - 1;
            let place = self.place(context, &access, lane, false)?;
            let lane = lane as usize;
            let (b, c) = (self.regs[b as usize][lane], self.regs[c as usize][lane]);
            if late >> lane & 1 == 1 {
                self.kept.keep(context.random, place, access.size, Late::Update(f, b, c));
                continue;
            }
            let old = place.update(access.size, |old| (f.lane)(old, b, c));
            self.regs[access.regs[0] as usize][lane] = old;
        }
        if access.acquire {
            self.seen.forget_all();
        }
        Ok(())
    }

    /// Copies within each lane's window.
    pub(super) fn pass(
        &mut self,
        context: &mut Context<'_>,
        active: u32,
        from: u32,
        to: u32,
        bytes: u32,
    ) -> Result<(), Failed> {
        self.kept.settle(context.random);
        let mut failed = None;
        each(active, |lane| {
            let window = self.window(lane as u32);
            // Variables of a word and more are aligned to one.
            let size = if (from | to | bytes).is_multiple_of(4) { 4 } else { 1 };
            for at in (0..bytes).step_by(size as usize) {
                let places = (
                    window.check((from + at) as u64, size as u64, size as u64),
                    window.check((to + at) as u64, size as u64, size as u64),
                );
                match places {
                    (Ok(from), Ok(to)) => to.store(size, from.load(size)),
                    (Err(kind), _) | (_, Err(kind)) => failed = Some((kind, lane as u32)),
                }
            }
        });
        failed.map_or(Ok(()), Err)
    }
}
