//! Instructions that touch memory.

use super::instruction::typed;
use super::operands::Width::{AtLeast, Exact};
use super::{Decoder, Result, Symbol};
use crate::machine::number;
use crate::machine::program::{Access, Base, Op, Reg, SINK};
use crate::ptx::{Instruction, Operand, Type};

/// What a load's or store's modifiers say beside its type.
#[derive(Default)]
struct Words {
    base: Option<Base>,
    /// `.param`: the entry's own, or what calls pass.
    param: bool,
    constant: bool,
    order: Option<&'static str>,
    scope: bool,
    count: u8,
}

fn base(word: &str) -> Option<Base> {
    Some(match word {
        "global" | "const" => Base::Global,
        "shared" | "shared::cta" => Base::Shared,
        "local" => Base::Local,
        "param" | "param::entry" | "param::func" => Base::Param,
        _ => return None,
    })
}

impl Words {
    /// From modifiers, as far as they are known.
    fn of(modifiers: &[&str]) -> Option<Self> {
        let mut words = Words { count: 1, ..Words::default() };
        for word in modifiers {
            let order = ["weak", "relaxed", "acquire", "release", "acq_rel", "volatile"];
            if let Some(order) = order.into_iter().find(|order| order == word) {
                if words.order.replace(order).is_some() {
                    return None;
                }
            } else if let Some(base) = base(word) {
                (words.param, words.constant) = (base == Base::Param, *word == "const");
                if words.base.replace(base).is_some() {
                    return None;
                }
            } else {
                match *word {
                    "cta" | "cluster" | "gpu" | "sys" if !words.scope => words.scope = true,
                    "v2" => words.count = 2,
                    "v4" => words.count = 4,
                    // Hints about caches, which there are none of.
                    "ca" | "cg" | "cs" | "lu" | "cv" | "wb" | "wt" | "nc" => {}
                    _ => return None,
                }
            }
        }
        Some(words)
    }

    fn releases(&self) -> bool {
        matches!(self.order, Some("release" | "acq_rel"))
    }

    fn acquires(&self) -> bool {
        matches!(self.order, Some("acquire" | "acq_rel"))
    }

    /// What PTX asks of these words together: a scope where there is an order that has one, and then no window that nobody shares.
    fn fits(&self, allowed: &[&str]) -> bool {
        let order = self.order.unwrap_or("weak");
        let scoped = matches!(order, "relaxed" | "acquire" | "release" | "acq_rel");
        let shared = matches!(self.base, None | Some(Base::Global | Base::Shared));
        allowed.contains(&order) && scoped == self.scope && (shared && !self.constant || order == "weak")
    }
}

impl Decoder {
    pub(super) fn touches(&mut self, i: &Instruction) -> Result<()> {
        match i.name.as_str() {
            "ld" => self.loads(i),
            "st" => self.stores(i),
            "atom" => self.atomics(i, true),
            "red" => self.atomics(i, false),
            "cvta" => self.generic(i),
            "isspacep" => self.within(i),
            _ => self.unknown(i),
        }
    }

    /// Base, register and offset of an address.
    fn address(&mut self, i: &Instruction, operand: &Operand, words: &Words) -> Result<(Base, Reg, i64)> {
        let space = match (words.base, words.param) {
            // What calls pass lies in the lane's window.
            (_, true) if !self.entry => Base::Local,
            (base, _) => base.unwrap_or(Base::Generic),
        };
        let Operand::Address(name, offset) = operand else { return self.bad(i, "an address is expected") };
        let none = self.constant(0);
        let Some(name) = name else { return Ok((space, none, *offset)) };
        match self.symbol(name) {
            Some(Symbol::Register(reg, 64)) => Ok((space, reg, *offset)),
            // Windows are small enough for addresses of 32 bits.
            Some(Symbol::Register(reg, 32)) if !matches!(space, Base::Generic | Base::Global) => {
                Ok((space, reg, *offset))
            }
            Some(Symbol::Memory(base, at, _)) => {
                let known = space == base
                    || words.param && matches!(base, Base::Local | Base::Param)
                    || space == Base::Generic && base == Base::Global;
                if !known {
                    return self.bad(i, format!("`{name}` is in another space"));
                }
                Ok((base, none, (at as i64).wrapping_add(*offset)))
            }
            Some(Symbol::Register(_, bits)) => self.bad(i, format!("an address of {bits} bits")),
            _ => self.bad(i, format!("`{name}` is no address")),
        }
    }

    fn access(&mut self, i: &Instruction, load: bool) -> Result<(Access, Type)> {
        let Some((modifiers, ty)) = typed(i) else { return self.unknown(i) };
        let Some(words) = Words::of(&modifiers) else { return self.unknown(i) };
        let orders: &[&str] = if load {
            &["weak", "volatile", "relaxed", "acquire"]
        } else {
            &["weak", "volatile", "relaxed", "release"]
        };
        let nowhere = !load && (words.constant || words.param && self.entry && self.passes_nothing(i));
        if !words.fits(orders) || nowhere || matches!(ty, Type::Pred | Type::F16) {
            return self.unknown(i);
        }
        if ty == Type::B128 {
            self.require_128(i.line)?;
        }
        let size = ty.bytes() as u8;
        if words.count as u32 * ty.bytes() > 16 {
            return self.bad(i, "more than 16 bytes at once");
        }
        self.count(i, 2)?;
        let (value, place) = if load { (0, 1) } else { (1, 0) };
        let (base, at, offset) = self.address(i, &i.operands[place], &words)?;
        let parts = self.several(i, &i.operands[value])?;
        if parts.len() != words.count as usize {
            return self.bad(i, format!("{} registers, where there are {}", parts.len(), words.count));
        }
        let mut regs = [SINK; 4];
        let mut width = ty.bits();
        for (reg, part) in regs.iter_mut().zip(parts) {
            // Without a sign to extend, registers may be wider, floats' excepted.
            let wide = if ty.is_float() { Exact } else { AtLeast };
            *reg = if load {
                self.written(i, part, ty.bits(), wide)?
            } else {
                self.read_wide(i, part, ty, wide)?
            };
            width = width.max(self.width(part).unwrap_or(0));
        }
        let count = words.count;
        let (signed, width) = (ty.is_signed(), width.min(64) as u8);
        let (release, acquire) = (words.releases(), words.acquires());
        let weak = matches!(words.order, None | Some("weak"));
        Ok((Access { base, size, count, signed, release, acquire, weak, width, at, offset, regs }, ty))
    }

    /// Whether the address is none of a variable for calls: an entry's own parameters are not written.
    fn passes_nothing(&self, i: &Instruction) -> bool {
        let Some(Operand::Address(Some(name), _)) = i.operands.first() else { return true };
        !matches!(self.symbol(name), Some(Symbol::Memory(Base::Local, ..)))
    }

    fn loads(&mut self, i: &Instruction) -> Result<()> {
        let (access, _) = self.access(i, true)?;
        self.emit(i, Op::Load(access))
    }

    fn stores(&mut self, i: &Instruction) -> Result<()> {
        let (access, _) = self.access(i, false)?;
        self.emit(i, Op::Store(access))
    }

    /// `atom.order.scope.space.op.type d, [a], b(, c)`, and `red` without `d`.
    fn atomics(&mut self, i: &Instruction, gives: bool) -> Result<()> {
        let Some((modifiers, ty)) = typed(i) else { return self.unknown(i) };
        let Some((op, modifiers)) = modifiers.split_last() else { return self.unknown(i) };
        let (Some(f), Some(words)) = (number::atomic(op, ty), Words::of(modifiers)) else {
            return self.unknown(i);
        };
        let order = matches!(words.order, None | Some("relaxed" | "acquire" | "release" | "acq_rel"));
        let known = matches!(words.base, None | Some(Base::Global | Base::Shared)) && !words.constant;
        let swaps = matches!(*op, "cas" | "exch");
        if !order || !known || words.count != 1 || !gives && swaps {
            return self.unknown(i);
        }
        self.count(i, 2 + gives as usize + (*op == "cas") as usize)?;
        let mut operands = i.operands.iter();
        let mut regs = [SINK; 4];
        if gives && let Some(d) = operands.next() {
            regs[0] = self.written(i, d, ty.bits(), Exact)?;
        }
        let (Some(place), Some(b)) = (operands.next(), operands.next()) else { return self.unknown(i) };
        let (base, at, offset) = self.address(i, place, &words)?;
        let b = self.read(i, b, ty)?;
        let c = match operands.next() {
            Some(c) => self.read(i, c, ty)?,
            None => SINK,
        };
        let (size, width) = (ty.bytes() as u8, ty.bits() as u8);
        let (release, acquire) = (words.releases(), words.acquires());
        let (count, signed, weak) = (1, false, false);
        let access = Access { base, size, count, signed, release, acquire, weak, width, at, offset, regs };
        self.emit(i, Op::Atomic { f, access, b, c })
    }

    /// `cvta.local.u64`, `cvta.to.local.u64`
    fn generic(&mut self, i: &Instruction) -> Result<()> {
        let Some((modifiers, Type::U64)) = typed(i) else { return self.unknown(i) };
        let (back, space) = match modifiers[..] {
            ["to", space] => (true, space),
            [space] => (false, space),
            _ => return self.unknown(i),
        };
        let Some(base @ (Base::Global | Base::Shared | Base::Local)) = base(space) else {
            return self.unknown(i);
        };
        self.count(i, 2)?;
        let d = self.written(i, &i.operands[0], 64, Exact)?;
        let a = self.read(i, &i.operands[1], Type::U64)?;
        self.emit(i, if back { Op::Window { base, d, a } } else { Op::Generic { base, d, a } })
    }

    fn within(&mut self, i: &Instruction) -> Result<()> {
        let [space] = &i.modifiers[..] else { return self.unknown(i) };
        let Some(base @ (Base::Global | Base::Shared | Base::Local)) = base(space) else {
            return self.unknown(i);
        };
        self.count(i, 2)?;
        let Operand::Name(name) = &i.operands[0] else { return self.unknown(i) };
        let p = self.flag_to(i, name)?;
        let a = self.read(i, &i.operands[1], Type::U64)?;
        self.emit(i, Op::Within { base, p, a })
    }
}
