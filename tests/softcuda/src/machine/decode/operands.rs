//! What instructions take and give.

use super::{Decoder, Result, Symbol};
use crate::machine::program::{Base, Clock, Flag, Instr, NOWHERE, Op, Reg, SINK, Special};
use crate::ptx::{Instruction, Operand, PtxError, Type};

/// What a special register is.
enum Read {
    Fixed(Special),
    Clock(Clock, u32),
}

fn special(name: &str) -> Option<Read> {
    use Read::Fixed;
    if let Some((name, axis)) = name.split_once('.') {
        let axis = ["x", "y", "z"].iter().position(|letter| *letter == axis)? as u8;
        return Some(Fixed(match name {
            "%tid" => Special::Tid(axis),
            "%ntid" => Special::Ntid(axis),
            "%ctaid" => Special::Ctaid(axis),
            "%nctaid" => Special::Nctaid(axis),
            _ => return None,
        }));
    }
    Some(match name {
        "%laneid" => Fixed(Special::Lane),
        "%warpid" => Fixed(Special::Warp),
        "%nwarpid" => Fixed(Special::Warps),
        "%smid" => Fixed(Special::Sm),
        "%nsmid" => Fixed(Special::Sms),
        "%gridid" => Fixed(Special::Grid),
        "%lanemask_eq" => Fixed(Special::MaskEq),
        "%lanemask_lt" => Fixed(Special::MaskLt),
        "%lanemask_le" => Fixed(Special::MaskLe),
        "%lanemask_gt" => Fixed(Special::MaskGt),
        "%lanemask_ge" => Fixed(Special::MaskGe),
        "%dynamic_smem_size" => Fixed(Special::DynamicShared),
        "%total_smem_size" => Fixed(Special::TotalShared),
        "%clock" => Read::Clock(Clock::CyclesLow, 32),
        "%clock_hi" => Read::Clock(Clock::CyclesHigh, 32),
        "%clock64" => Read::Clock(Clock::Cycles, 64),
        "%globaltimer" => Read::Clock(Clock::Time, 64),
        "%globaltimer_lo" => Read::Clock(Clock::TimeLow, 32),
        "%globaltimer_hi" => Read::Clock(Clock::TimeHigh, 32),
        _ => return None,
    })
}

/// Widths that may differ: only where a register may be wider than what goes through it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Exact,
    AtLeast,
}

impl Decoder {
    /// An error about an instruction.
    pub(super) fn bad<T>(&self, i: &Instruction, what: impl std::fmt::Display) -> Result<T> {
        Err(PtxError::new(i.line, format!("{}: {what}", i.opcode())))
    }

    /// An error: no such instruction, or not with this type and these modifiers.
    pub(super) fn unknown<T>(&self, i: &Instruction) -> Result<T> {
        let text = self.program.lines.get((i.line as usize).wrapping_sub(1)).map_or("", |line| line.trim());
        Err(PtxError::new(i.line, format!("unknown instruction {}: {text}", i.opcode())))
    }

    pub(super) fn emit(&mut self, i: &Instruction, op: Op) -> Result<()> {
        let guard = self.guard(i)?;
        self.program.code.push(Instr { op, guard, line: i.line });
        Ok(())
    }

    pub(super) fn guard(&self, i: &Instruction) -> Result<Flag> {
        match &i.guard {
            None => Ok(Flag::ALWAYS),
            Some((name, negated)) => self.predicate(i, name, *negated),
        }
    }

    /// That many operands.
    pub(super) fn count(&self, i: &Instruction, count: usize) -> Result<()> {
        if i.operands.len() == count {
            return Ok(());
        }
        self.bad(i, format!("{} operands, where there are {count}", i.operands.len()))
    }

    pub(super) fn symbol(&self, name: &str) -> Option<Symbol> {
        self.scopes.iter().rev().find_map(|scope| scope.symbols.get(name)).copied()
    }

    fn predicate(&self, i: &Instruction, name: &str, negated: bool) -> Result<Flag> {
        match self.symbol(name) {
            Some(Symbol::Predicate(pred)) => Ok(Flag { pred, flip: if negated { u32::MAX } else { 0 } }),
            _ => self.bad(i, format!("`{name}` is no predicate")),
        }
    }

    /// A predicate that is read.
    pub(super) fn flag(&self, i: &Instruction, operand: &Operand) -> Result<Flag> {
        match operand {
            Operand::Name(name) => self.predicate(i, name, false),
            Operand::Not(name) => self.predicate(i, name, true),
            Operand::Bits(bits @ 0..=1) => {
                Ok(Flag { pred: Flag::ALWAYS.pred, flip: if *bits == 1 { 0 } else { u32::MAX } })
            }
            _ => self.bad(i, "a predicate is expected"),
        }
    }

    /// A predicate that is written.
    pub(super) fn flag_to(&self, i: &Instruction, name: &str) -> Result<u32> {
        if name == "_" {
            return Ok(NOWHERE);
        }
        Ok(self.predicate(i, name, false)?.pred)
    }

    /// A register that is written.
    pub(super) fn written(&self, i: &Instruction, operand: &Operand, bits: u32, width: Width) -> Result<Reg> {
        let Operand::Name(name) = operand else { return self.bad(i, "a register is expected") };
        if name == "_" {
            return Ok(SINK);
        }
        match self.symbol(name) {
            Some(Symbol::Register(reg, has)) if has == bits || width == Width::AtLeast && has > bits => {
                Ok(reg)
            }
            Some(Symbol::Register(_, has)) => self.bad(i, format!("`{name}` has {has} bits, not {bits}")),
            _ => self.bad(i, format!("`{name}` is no register that can be written")),
        }
    }

    /// The bits of a register.
    pub(super) fn width(&self, operand: &Operand) -> Option<u32> {
        let Operand::Name(name) = operand else { return None };
        match self.symbol(name) {
            Some(Symbol::Register(_, bits)) => Some(bits),
            _ => None,
        }
    }

    /// A value of that type that is read.
    pub(super) fn read(&mut self, i: &Instruction, operand: &Operand, ty: Type) -> Result<Reg> {
        self.read_wide(i, operand, ty, Width::Exact)
    }

    pub(super) fn read_wide(
        &mut self,
        i: &Instruction,
        operand: &Operand,
        ty: Type,
        width: Width,
    ) -> Result<Reg> {
        let bits = ty.bits();
        let mask = if bits < 64 { (1 << bits) - 1 } else { u64::MAX };
        let (untyped, single, double) = (!ty.is_float(), bits == 32, bits == 64);
        let value = match operand {
            Operand::Bits(value) if untyped => value & mask,
            Operand::Single(value) if single => *value as u64,
            Operand::Double(value) if double => value.to_bits(),
            Operand::Double(value) if ty == Type::F32 => (*value as f32).to_bits() as u64,
            Operand::Name(name) if name == "WARP_SZ" && untyped => 32,
            Operand::Name(name) => return self.named(i, name, bits, width),
            Operand::Sum(name, more) => match self.symbol(name) {
                Some(Symbol::Memory(base, at, _)) if base != Base::Param => {
                    at.wrapping_add(*more as u64) & mask
                }
                _ => return self.bad(i, format!("`{name}` is no variable")),
            },
            _ => return self.bad(i, format!("no operand of {bits} bits: {operand:?}")),
        };
        Ok(self.constant(value))
    }

    fn named(&mut self, i: &Instruction, name: &str, bits: u32, width: Width) -> Result<Reg> {
        let fits = |has: u32| has == bits || width == Width::AtLeast && has > bits;
        match self.symbol(name) {
            Some(Symbol::Register(reg, has)) if fits(has) => return Ok(reg),
            Some(Symbol::Register(_, has)) => {
                return self.bad(i, format!("`{name}` has {has} bits, not {bits}"));
            }
            Some(Symbol::Predicate(_)) => return self.bad(i, format!("`{name}` is a predicate")),
            // An address in its space, where there are registers for it.
            Some(Symbol::Memory(base, at, _)) => {
                let small = matches!(base, Base::Shared | Base::Local | Base::Param);
                if bits == 64 || bits == 32 && small {
                    return Ok(self.constant(at));
                }
                return self.bad(i, format!("the address of `{name}` does not fit {bits} bits"));
            }
            None => {}
        }
        match special(name) {
            Some(Read::Fixed(special)) if bits == 32 => Ok(self.special(special)),
            Some(Read::Clock(which, has)) if bits == has => {
                let d = self.register(bits);
                self.program.code.push(Instr {
                    op: Op::Clock { which, d },
                    guard: Flag::ALWAYS,
                    line: i.line,
                });
                Ok(d)
            }
            Some(_) => self.bad(i, format!("`{name}` does not have {bits} bits")),
            None => self.bad(i, format!("unknown name `{name}`")),
        }
    }

    /// The registers of a vector, or the one.
    pub(super) fn several<'a>(&self, i: &Instruction, operand: &'a Operand) -> Result<&'a [Operand]> {
        match operand {
            Operand::Vector(parts) if (1..=4).contains(&parts.len()) => Ok(parts),
            Operand::Vector(_) => self.bad(i, "a vector has two or four elements"),
            one => Ok(std::slice::from_ref(one)),
        }
    }

    /// The label of that name, of these braces or those around.
    pub(super) fn label(&self, i: &Instruction, operand: &Operand) -> Result<u32> {
        if let Operand::Name(name) = operand
            && let Some(label) = self.scopes.iter().rev().find_map(|scope| scope.labels.get(name))
        {
            return Ok(*label);
        }
        self.bad(i, "a label of these braces, or of those around, is expected")
    }
}
