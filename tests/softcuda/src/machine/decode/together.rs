//! Instructions about where lanes go, and what they do together.

use super::instruction::typed;
use super::operands::Width::Exact;
use super::{Decoder, Result};
use crate::machine::number;
use crate::machine::program::{NOWHERE, Op, Reg, SINK, Shuffle, Together, Vote};
use crate::ptx::{Instruction, Operand, Type};

impl Decoder {
    pub(super) fn flow(&mut self, i: &Instruction) -> Result<()> {
        let words: Vec<&str> = i.modifiers.iter().map(String::as_str).collect();
        match (i.name.as_str(), &words[..]) {
            ("bra", [] | ["uni"]) => {
                self.count(i, 1)?;
                let to = self.label(i, &i.operands[0])?;
                self.emit(i, Op::Branch { to })
            }
            ("call", _) => self.calls(i),
            ("ret", [] | ["uni"]) => {
                self.count(i, 0)?;
                let back = self.callees[self.current].back;
                self.emit(i, if self.entry { Op::Exit } else { Op::Return { back } })
            }
            ("exit", []) => {
                self.count(i, 0)?;
                self.emit(i, Op::Exit)
            }
            ("trap", []) => {
                self.count(i, 0)?;
                self.emit(i, Op::Trap)
            }
            ("nanosleep", ["u32"]) => {
                self.count(i, 1)?;
                let a = self.read(i, &i.operands[0], Type::U32)?;
                self.emit(i, Op::Nap { a })
            }
            ("fence", ["cta" | "cluster" | "gpu" | "sys"])
            | ("fence", ["sc" | "acq_rel", "cta" | "cluster" | "gpu" | "sys"])
            | ("membar", ["cta" | "gl" | "sys"]) => {
                self.count(i, 0)?;
                self.emit(i, Op::Fence)
            }
            ("bar", ["warp", "sync"]) => {
                self.count(i, 1)?;
                self.together(i, &i.operands[0], Together::Barrier)
            }
            ("bar" | "barrier", _) => self.barrier(i, &words),
            ("activemask", ["b32"]) => {
                self.count(i, 1)?;
                let d = self.written(i, &i.operands[0], 32, Exact)?;
                self.emit(i, Op::Active { d })
            }
            ("shfl", ["sync", how, "b32"]) => self.shuffles(i, how),
            ("vote", ["sync", how, ty]) => self.votes(i, how, ty),
            ("match", ["any", "sync", "b32" | "b64"]) => {
                self.count(i, 3)?;
                let d = self.written(i, &i.operands[0], 32, Exact)?;
                let a = self.matched(i)?;
                self.together(i, &i.operands[2], Together::MatchAny { d, a })
            }
            ("match", ["all", "sync", "b32" | "b64"]) => {
                self.count(i, 3)?;
                let (d, same) = self.with_predicate(i)?;
                let a = self.matched(i)?;
                self.together(i, &i.operands[2], Together::MatchAll { d, same, a })
            }
            ("redux", ["sync", op, _]) => {
                let Some((_, ty)) = typed(i) else { return self.unknown(i) };
                let Some(f) = number::reduce(op, ty) else { return self.unknown(i) };
                self.count(i, 3)?;
                let d = self.written(i, &i.operands[0], 32, Exact)?;
                let a = self.read(i, &i.operands[1], ty)?;
                self.together(i, &i.operands[2], Together::Reduce { f, d, a })
            }
            ("elect", ["sync"]) => {
                self.count(i, 2)?;
                let (d, p) = self.with_predicate(i)?;
                self.together(i, &i.operands[1], Together::Elect { d, p })
            }
            _ => self.unknown(i),
        }
    }

    fn together(&mut self, i: &Instruction, mask: &Operand, what: Together) -> Result<()> {
        let mask = self.read(i, mask, Type::B32)?;
        self.emit(i, Op::Together { what, mask })
    }

    fn matched(&mut self, i: &Instruction) -> Result<Reg> {
        let Some((_, ty)) = typed(i) else { return self.unknown(i) };
        self.read(i, &i.operands[1], ty)
    }

    /// `d|p`, or `d` alone.
    fn with_predicate(&self, i: &Instruction) -> Result<(Reg, u32)> {
        match &i.operands[0] {
            Operand::Pair(d, p) => {
                let d = if d == "_" { SINK } else { self.written(i, &Operand::Name(d.clone()), 32, Exact)? };
                Ok((d, self.flag_to(i, p)?))
            }
            d => Ok((self.written(i, d, 32, Exact)?, NOWHERE)),
        }
    }

    fn shuffles(&mut self, i: &Instruction, how: &str) -> Result<()> {
        let how = match how {
            "up" => Shuffle::Up,
            "down" => Shuffle::Down,
            "bfly" => Shuffle::Butterfly,
            "idx" => Shuffle::Index,
            _ => return self.unknown(i),
        };
        self.count(i, 5)?;
        let (d, valid) = self.with_predicate(i)?;
        let a = self.read(i, &i.operands[1], Type::B32)?;
        let b = self.read(i, &i.operands[2], Type::B32)?;
        let c = self.read(i, &i.operands[3], Type::B32)?;
        self.together(i, &i.operands[4], Together::Shuffle { how, d, valid, a, b, c })
    }

    fn votes(&mut self, i: &Instruction, how: &str, ty: &str) -> Result<()> {
        self.count(i, 3)?;
        let a = self.flag(i, &i.operands[1])?;
        if (how, ty) == ("ballot", "b32") {
            let d = self.written(i, &i.operands[0], 32, Exact)?;
            return self.together(i, &i.operands[2], Together::Ballot { d, a });
        }
        let how = match (how, ty) {
            ("all", "pred") => Vote::All,
            ("any", "pred") => Vote::Any,
            ("uni", "pred") => Vote::Uniform,
            _ => return self.unknown(i),
        };
        let Operand::Name(name) = &i.operands[0] else { return self.unknown(i) };
        let d = self.flag_to(i, name)?;
        self.together(i, &i.operands[2], Together::Vote { how, d, a })
    }

    /// `bar.sync a(, b)`, `barrier.arrive a, b` and the like.
    fn barrier(&mut self, i: &Instruction, words: &[&str]) -> Result<()> {
        let words: Vec<&str> = words.iter().copied().filter(|word| *word != "cta").collect();
        let wait = match (i.name.as_str(), &words[..]) {
            ("bar", ["sync"]) | ("barrier", ["sync"] | ["sync", "aligned"]) => true,
            ("bar", ["arrive"]) | ("barrier", ["arrive"] | ["arrive", "aligned"]) => false,
            _ => return self.unknown(i),
        };
        let threads = match i.operands.len() {
            1 if wait => None,
            2 => Some(self.read(i, &i.operands[1], Type::U32)?),
            _ => return self.bad(i, "a barrier, and how many threads it is for, are expected"),
        };
        let number = self.read(i, &i.operands[0], Type::U32)?;
        self.emit(i, Op::Barrier { number, threads, wait })
    }
}
