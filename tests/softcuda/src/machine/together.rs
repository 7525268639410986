//! What lanes of a mask do together.

use super::FaultKind;
use super::program::{Reg, Shuffle, Together, Vote};
use super::random::Random;
use super::warp::{Group, State, Warp, each};

impl Warp {
    /// A group comes to a `.sync` instruction. Whether everybody is there, then in the group; if not, it has been put where it waits.
    pub(super) fn meet(
        &mut self,
        what: Together,
        mask: Reg,
        group: &mut Group,
    ) -> Result<bool, (FaultKind, Option<u32>)> {
        let first = group.mask.trailing_zeros();
        let masks = &self.regs[mask as usize];
        let mask = masks[first as usize] as u32;
        let mut others = 0;
        each(group.mask, |lane| others |= ((masks[lane] as u32 != mask) as u32) << lane);
        if others != 0 {
            self.put(Group { mask: others, ..*group });
            group.mask &= !others;
        }
        if group.mask & !mask != 0 {
            return Err((FaultKind::Misuse, Some((group.mask & !mask).trailing_zeros())));
        }
        let barrier = matches!(what, Together::Barrier);
        let (pc, needed) = (group.pc, mask & self.live());
        // Barriers of one mask are one barrier; anything else has to be the same instruction.
        let state = State::Together { mask, barrier };
        let waits = move |other: &Group| other.state == state && (other.pc == pc || barrier);
        let came = self.groups().iter().filter(|other| waits(other));
        let came = came.fold(group.mask, |all, other| all | other.mask);
        if came & needed != needed {
            self.put(Group { state, ..*group });
            return Ok(false);
        }
        // Those at other barriers go on from there; those here are of this group now.
        for other in self.groups_mut().iter_mut().filter(|other| waits(other) && other.pc != pc) {
            (other.pc, other.state) = (other.pc + 1, State::Ready);
        }
        self.groups_mut().retain(|other| {
            let joins = other.pc == pc && waits(other);
            if joins {
                group.mask |= other.mask;
            }
            !joins
        });
        Ok(true)
    }

    /// Executes what everybody has come to.
    pub(super) fn together(&mut self, random: &mut Random, what: Together, active: u32) {
        match what {
            Together::Barrier => {}
            Together::Shuffle { how, d, valid, a, b, c } => {
                let (from, which, clamps) =
                    (self.regs[a as usize], self.regs[b as usize], self.regs[c as usize]);
                let mut good = 0;
                each(active, |lane| {
                    let (source, found) = source(how, lane as u32, which[lane] as u32, clamps[lane] as u32);
                    good |= (found as u32) << lane;
                    // What a lane holds that does not take part, PTX does not say.
                    let takes_part = active >> source & 1 == 1;
                    self.regs[d as usize][lane] =
                        if takes_part { from[source as usize] } else { random.next() as u32 as u64 };
                });
                self.set(valid, active, good);
            }
            Together::Vote { how, d, a } => {
                let yes = a.lanes(&self.preds) & active;
                let holds = match how {
                    Vote::All => yes == active,
                    Vote::Any => yes != 0,
                    Vote::Uniform => yes == active || yes == 0,
                };
                self.set(d, active, if holds { active } else { 0 });
            }
            Together::Ballot { d, a } => {
                let yes = a.lanes(&self.preds) & active;
                self.all(d, active, yes as u64);
            }
            Together::MatchAny { d, a } => {
                let values = self.regs[a as usize];
                each(active, |lane| {
                    let mut same = 0;
                    each(active, |other| same |= ((values[other] == values[lane]) as u32) << other);
                    self.regs[d as usize][lane] = same as u64;
                });
            }
            Together::MatchAll { d, same, a } => {
                let values = self.regs[a as usize];
                let first = values[active.trailing_zeros() as usize];
                let mut equal = true;
                each(active, |lane| equal &= values[lane] == first);
                self.all(d, active, if equal { active as u64 } else { 0 });
                self.set(same, active, if equal { active } else { 0 });
            }
            Together::Reduce { f, d, a } => {
                let values = self.regs[a as usize];
                let mut result = None;
                each(active, |lane| {
                    result = Some(result.map_or(values[lane], |sum| (f.lane)(sum, values[lane])))
                });
                self.all(d, active, result.unwrap_or(0));
            }
            Together::Elect { d, p } => {
                let leader = active.trailing_zeros();
                self.all(d, active, leader as u64);
                self.set(p, active, 1 << leader);
            }
        }
    }

    /// The predicate of those lanes.
    fn set(&mut self, pred: u32, lanes: u32, value: u32) {
        let pred = &mut self.preds[pred as usize];
        *pred = *pred & !lanes | value & lanes;
    }

    /// The register of those lanes, the same for all.
    fn all(&mut self, d: Reg, lanes: u32, value: u64) {
        each(lanes, |lane| self.regs[d as usize][lane] = value);
    }
}

/// The lane that is read, and whether it is in range. Source: PTX ISA, "shfl.sync".
fn source(how: Shuffle, lane: u32, which: u32, clamp: u32) -> (u32, bool) {
    let (segment, clamp, which) = (clamp >> 8 & 31, clamp & 31, which & 31);
    let most = lane & segment | clamp & !segment;
    let (j, good) = match how {
        Shuffle::Up => (lane.wrapping_sub(which), lane as i32 - which as i32 >= most as i32),
        Shuffle::Down => (lane + which, lane + which <= most),
        Shuffle::Butterfly => (lane ^ which, lane ^ which <= most),
        Shuffle::Index => {
            let j = lane & segment | which & !segment;
            (j, j <= most)
        }
    };
    if good { (j & 31, true) } else { (lane, false) }
}
