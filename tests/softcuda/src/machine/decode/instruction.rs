//! Instructions: arithmetic, moves, comparisons, and what changes the place in the text.

use super::operands::Width::{AtLeast, Exact};
use super::{Decoder, Result, Symbol};
use crate::machine::convert::Convert;
use crate::machine::number;
use crate::machine::program::{Flag, Logic, NOWHERE, Op, SINK};
use crate::ptx::{Instruction, Operand, Type};

/// The type that ends an instruction's name, and what stands before it.
pub(super) fn typed(i: &Instruction) -> Option<(Vec<&str>, Type)> {
    let (last, rest) = i.modifiers.split_last()?;
    Some((rest.iter().map(String::as_str).collect(), Type::named(last)?))
}

fn logic(name: &str) -> Option<Logic> {
    Some(match name {
        "and" => Logic::And,
        "or" => Logic::Or,
        "xor" => Logic::Xor,
        _ => return None,
    })
}

impl Decoder {
    pub(super) fn instruction(&mut self, i: &Instruction) -> Result<()> {
        match i.name.as_str() {
            "bra" | "call" | "ret" | "exit" | "trap" | "nanosleep" | "fence" | "membar" | "bar"
            | "barrier" | "activemask" | "elect" | "shfl" | "vote" | "match" | "redux" => self.flow(i),
            "ld" | "ldu" | "st" | "atom" | "red" | "cvta" | "isspacep" => self.touches(i),
            _ => self.computes(i),
        }
    }

    fn computes(&mut self, i: &Instruction) -> Result<()> {
        let Some((modifiers, ty)) = typed(i) else { return self.unknown(i) };
        match (i.name.as_str(), &modifiers[..]) {
            ("mov", []) => self.moves(i, ty),
            ("not" | "and" | "or" | "xor", []) if ty == Type::Pred => self.flags(i),
            ("setp", _) => self.compares(i, &modifiers, ty),
            ("set", _) => self.sets(i, &modifiers, ty),
            ("selp", []) if ty.bits() >= 16 && ty.bits() <= 64 => {
                self.count(i, 4)?;
                let d = self.written(i, &i.operands[0], ty.bits(), Exact)?;
                let a = self.read(i, &i.operands[1], ty)?;
                let b = self.read(i, &i.operands[2], ty)?;
                let c = self.flag(i, &i.operands[3])?;
                self.emit(i, Op::Select { d, a, b, c })
            }
            ("testp", [test]) => {
                let Some(f) = number::test(test, ty) else { return self.unknown(i) };
                self.count(i, 2)?;
                let Operand::Name(name) = &i.operands[0] else { return self.unknown(i) };
                let p = self.flag_to(i, name)?;
                let a = self.read(i, &i.operands[1], ty)?;
                let (logic, c) = (Logic::First, Flag::ALWAYS);
                self.emit(i, Op::Compare { f, p, q: NOWHERE, a, b: a, logic, c })
            }
            ("cvt", _) => self.converts(i, &modifiers, ty),
            ("lop3", []) if ty == Type::B32 => {
                self.count(i, 5)?;
                let d = self.written(i, &i.operands[0], 32, Exact)?;
                let a = self.read(i, &i.operands[1], ty)?;
                let b = self.read(i, &i.operands[2], ty)?;
                let c = self.read(i, &i.operands[3], ty)?;
                let Operand::Bits(table @ 0..=255) = i.operands[4] else {
                    return self.bad(i, "the table is a number of eight bits");
                };
                self.emit(i, Op::Logic3 { table: table as u8, d, a, b, c })
            }
            _ => self.calculates(i, &modifiers, ty),
        }
    }

    /// What [`number`] has in its tables.
    fn calculates(&mut self, i: &Instruction, modifiers: &[&str], ty: Type) -> Result<()> {
        let name = i.name.as_str();
        // What differs from the type's width: results, and the amounts of shifts and fields.
        let narrow = matches!(name, "popc" | "clz" | "bfind");
        let wide = modifiers == ["wide"];
        let result = if narrow { 32 } else { ty.bits() << wide as u32 };
        if let Some(f) = number::one(name, modifiers, ty) {
            self.count(i, 2)?;
            let d = self.written(i, &i.operands[0], result, Exact)?;
            let a = self.read(i, &i.operands[1], ty)?;
            return self.emit(i, Op::One { f, d, a });
        }
        if let Some(f) = number::two(name, modifiers, ty) {
            self.count(i, 3)?;
            let d = self.written(i, &i.operands[0], result, Exact)?;
            let a = self.read(i, &i.operands[1], ty)?;
            let second = if matches!(name, "shl" | "shr") { Type::U32 } else { ty };
            let b = self.read(i, &i.operands[2], second)?;
            return self.emit(i, Op::Two { f, d, a, b });
        }
        if let Some(f) = number::three(name, modifiers, ty) {
            self.count(i, 4)?;
            let d = self.written(i, &i.operands[0], result, Exact)?;
            let a = self.read(i, &i.operands[1], ty)?;
            let field = name == "bfe";
            let b = self.read(i, &i.operands[2], if field { Type::U32 } else { ty })?;
            let third = match (wide, ty) {
                _ if field => Type::U32,
                (true, Type::U16) => Type::U32,
                (true, Type::S16) => Type::S32,
                (true, Type::U32) => Type::U64,
                (true, _) => Type::S64,
                _ => ty,
            };
            let c = self.read(i, &i.operands[3], third)?;
            return self.emit(i, Op::Three { f, d, a, b, c });
        }
        self.unknown(i)
    }

    fn moves(&mut self, i: &Instruction, ty: Type) -> Result<()> {
        self.count(i, 2)?;
        let (to, from) = (&i.operands[0], &i.operands[1]);
        let pack = matches!(ty, Type::B16 | Type::B32 | Type::B64 | Type::B128);
        match (to, from) {
            (Operand::Name(name), _) if ty == Type::Pred => {
                let d = self.flag_to(i, name)?;
                let a = self.flag(i, from)?;
                self.emit(i, Op::Flags { logic: Logic::First, d, a, b: Flag::ALWAYS })
            }
            (Operand::Vector(_), Operand::Vector(_)) => self.unknown(i),
            (Operand::Name(_), Operand::Vector(parts)) if pack => {
                let (each, bits) = self.part(i, parts.len(), ty)?;
                let d = self.written(i, to, ty.bits(), Exact)?;
                let mut regs = [SINK; 4];
                for (reg, part) in regs.iter_mut().zip(parts) {
                    *reg = self.read(i, part, each)?;
                }
                if ty == Type::B128 {
                    self.emit(i, Op::Copy { d, a: regs[0] })?;
                    return self.emit(i, Op::Copy { d: d + 1, a: regs[1] });
                }
                // Registers of another width than their parts', so none is written before it is read.
                self.emit(i, Op::Two { f: number::join(bits), d, a: regs[0], b: regs[1] })?;
                if parts.len() == 4 {
                    let upper = self.register(ty.bits() / 2);
                    self.emit(i, Op::Two { f: number::join(bits), d: upper, a: regs[2], b: regs[3] })?;
                    self.emit(i, Op::Two { f: number::join(2 * bits), d, a: d, b: upper })?;
                }
                Ok(())
            }
            (Operand::Vector(parts), Operand::Name(_)) if pack => {
                let (each, bits) = self.part(i, parts.len(), ty)?;
                let a = self.read(i, from, ty)?;
                let mut regs = [SINK; 4];
                for (reg, part) in regs.iter_mut().zip(parts) {
                    *reg = self.written(i, part, each.bits(), Exact)?;
                }
                if ty == Type::B128 {
                    self.emit(i, Op::Copy { d: regs[0], a })?;
                    return self.emit(i, Op::Copy { d: regs[1], a: a + 1 });
                }
                for (n, d) in regs[..parts.len()].iter().enumerate().filter(|(_, d)| **d != SINK) {
                    self.emit(i, Op::One { f: number::part(bits, n), d: *d, a })?;
                }
                Ok(())
            }
            (Operand::Name(_), _) if ty == Type::B128 => {
                let d = self.written(i, to, 128, Exact)?;
                let a = self.read(i, from, ty)?;
                self.emit(i, Op::Copy { d, a })?;
                self.emit(i, Op::Copy { d: d + 1, a: a + 1 })
            }
            (Operand::Name(_), _) if ty.bits() >= 16 && ty != Type::F16 => {
                let d = self.written(i, to, ty.bits(), Exact)?;
                let a = self.read(i, from, ty)?;
                self.emit(i, Op::Copy { d, a })
            }
            _ => self.unknown(i),
        }
    }

    /// The type of so many parts of a type.
    fn part(&self, i: &Instruction, parts: usize, ty: Type) -> Result<(Type, u8)> {
        Ok(match (ty, parts) {
            (Type::B128, 2) => (Type::B64, 64),
            (Type::B64, 2) => (Type::B32, 32),
            (Type::B64, 4) | (Type::B32, 2) => (Type::B16, 16),
            (Type::B32, 4) | (Type::B16, 2) => (Type::B8, 8),
            _ => return self.bad(i, format!("{parts} parts")),
        })
    }

    fn flags(&mut self, i: &Instruction) -> Result<()> {
        let Some(Operand::Name(name)) = i.operands.first() else { return self.unknown(i) };
        let d = self.flag_to(i, name)?;
        if i.name == "not" {
            self.count(i, 2)?;
            let mut a = self.flag(i, &i.operands[1])?;
            a.flip = !a.flip;
            return self.emit(i, Op::Flags { logic: Logic::First, d, a, b: Flag::ALWAYS });
        }
        self.count(i, 3)?;
        let Some(logic) = logic(&i.name) else { return self.unknown(i) };
        let (a, b) = (self.flag(i, &i.operands[1])?, self.flag(i, &i.operands[2])?);
        self.emit(i, Op::Flags { logic, d, a, b })
    }

    fn compares(&mut self, i: &Instruction, modifiers: &[&str], ty: Type) -> Result<()> {
        let (how, combined) = match modifiers {
            [how] => (how, Logic::First),
            [how, with] => match logic(with) {
                Some(logic) => (how, logic),
                None => return self.unknown(i),
            },
            _ => return self.unknown(i),
        };
        let Some(f) = number::compare(how, ty) else { return self.unknown(i) };
        self.count(i, if combined == Logic::First { 3 } else { 4 })?;
        let (p, q) = match &i.operands[0] {
            Operand::Name(name) => (self.flag_to(i, name)?, NOWHERE),
            Operand::Pair(p, q) => (self.flag_to(i, p)?, self.flag_to(i, q)?),
            _ => return self.bad(i, "a predicate is expected"),
        };
        let (a, b) = (self.read(i, &i.operands[1], ty)?, self.read(i, &i.operands[2], ty)?);
        let c = if combined == Logic::First { Flag::ALWAYS } else { self.flag(i, &i.operands[3])? };
        self.emit(i, Op::Compare { f, p, q, a, b, logic: combined, c })
    }

    /// `set.lt.u32.s32`: all ones (or 1.0) where it holds.
    fn sets(&mut self, i: &Instruction, modifiers: &[&str], ty: Type) -> Result<()> {
        let [how, to] = modifiers else { return self.unknown(i) };
        let (Some(f), Some(to)) = (number::compare(how, ty), Type::named(to)) else { return self.unknown(i) };
        let yes = match to {
            Type::U32 | Type::S32 => u32::MAX as u64,
            Type::F32 => 1f32.to_bits() as u64,
            _ => return self.unknown(i),
        };
        self.count(i, 3)?;
        let d = self.written(i, &i.operands[0], 32, Exact)?;
        let (a, b) = (self.read(i, &i.operands[1], ty)?, self.read(i, &i.operands[2], ty)?);
        self.program.preds += 1;
        let p = self.program.preds - 1;
        self.emit(i, Op::Compare { f, p, q: NOWHERE, a, b, logic: Logic::First, c: Flag::ALWAYS })?;
        let (a, b) = (self.constant(yes), self.constant(0));
        self.emit(i, Op::Select { d, a, b, c: Flag { pred: p, flip: 0 } })
    }

    fn converts(&mut self, i: &Instruction, modifiers: &[&str], from: Type) -> Result<()> {
        let Some((to, modifiers)) = modifiers.split_last() else { return self.unknown(i) };
        let Some(to) = Type::named(to) else { return self.unknown(i) };
        self.count(i, 2)?;
        let d = self.written(i, &i.operands[0], to.bits(), if to.is_float() { Exact } else { AtLeast })?;
        let width = self.width(&i.operands[0]).unwrap_or(64);
        let Some(how) = Convert::new(modifiers, to, from, width) else { return self.unknown(i) };
        let wide = if from.is_float() { Exact } else { AtLeast };
        let a = self.read_wide(i, &i.operands[1], from, wide)?;
        if !from.is_float()
            && !to.is_float()
            && modifiers.is_empty()
            && let Some(f) = number::extend(from, to, width)
        {
            return self.emit(i, Op::One { f, d, a });
        }
        self.emit(i, Op::Convert { how, d, a })
    }

    /// `call (result_), name, (first_, second_);`
    pub(super) fn calls(&mut self, i: &Instruction) -> Result<()> {
        if !matches!(&i.modifiers[..], [] | [_]) || i.modifiers.iter().any(|modifier| modifier != "uni") {
            return self.unknown(i);
        }
        let (results, name, arguments) = match &i.operands[..] {
            [Operand::Name(name)] => (&[][..], name, &[][..]),
            [Operand::Name(name), Operand::List(arguments)] => (&[][..], name, &arguments[..]),
            [Operand::List(results), Operand::Name(name)] => (&results[..], name, &[][..]),
            [Operand::List(results), Operand::Name(name), Operand::List(arguments)] => {
                (&results[..], name, &arguments[..])
            }
            _ => return self.bad(i, "a call of a function by its name is expected"),
        };
        let Some(index) = self.names.get(name).copied() else {
            return self.bad(i, format!("function `{name}` is defined nowhere"));
        };
        let callee = &self.callees[index];
        let (returns, parameters, back) = (callee.returns.clone(), callee.parameters.clone(), callee.back);
        if returns.len() != results.len() || parameters.len() != arguments.len() {
            return self.bad(i, format!("`{name}` takes {} and gives {}", parameters.len(), returns.len()));
        }
        for (argument, (to, bytes)) in arguments.iter().zip(parameters) {
            self.passes(i, argument, to, bytes, true)?;
        }
        let here = self.current;
        self.callees[here].calls.push((index, i.line));
        self.emit(i, Op::Call { to: index as u32, back })?;
        for (result, (from, bytes)) in results.iter().zip(returns) {
            self.passes(i, result, from, bytes, false)?;
        }
        Ok(())
    }

    /// Between a caller's variable and the callee's.
    fn passes(
        &mut self,
        i: &Instruction,
        operand: &Operand,
        theirs: u32,
        bytes: u32,
        there: bool,
    ) -> Result<()> {
        let Operand::Name(name) = operand else { return self.bad(i, "calls pass .param variables here") };
        match self.symbol(name) {
            Some(Symbol::Memory(crate::machine::program::Base::Local, at, has)) if has == bytes as u64 => {
                let (from, to) = if there { (at as u32, theirs) } else { (theirs, at as u32) };
                self.emit(i, Op::Pass { from, to, bytes })
            }
            Some(Symbol::Memory(_, _, has)) => self.bad(i, format!("`{name}` has {has} bytes, not {bytes}")),
            _ => self.bad(i, format!("`{name}` is no .param variable")),
        }
    }
}
