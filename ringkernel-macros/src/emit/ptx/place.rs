//! Memory: loads and stores, and the addresses they need.
//!
//! State, message and reply are generic (state may lie in shared memory, where it is small), local aggregates are local. No load is `.nc`: everything here may change
//! while the kernel lives.

use super::{Writer, names, table};
use crate::ir::{Operand, Place, Reg, Root, Scalar};

impl Writer<'_> {
    /// The state space suffix and the address, between brackets.
    fn address(&mut self, place: &Place) -> (&'static str, String) {
        let (space, base) = match place.root {
            Root::State => ("", "%state".to_string()),
            Root::Message => ("", "%message".to_string()),
            Root::Reply => ("", "%reply".to_string()),
            Root::Local(local) => (".local", names::local(self.body, local)),
        };
        let mut offset = place.offset as u64;
        let mut at = base;
        for (index, stride) in &place.index {
            let reg = match index {
                Operand::Const(c) => {
                    offset = offset.wrapping_add(c.bits.wrapping_mul(*stride as u64));
                    continue;
                }
                Operand::Reg(reg) => self.reg(*reg),
            };
            if !at.starts_with('%') {
                self.line(format!("mov.u64 %l3, {at};"));
                at = "%l3".into();
            }
            let wide = self.body.type_of(*index).bits() == 64;
            let mad = if wide { "mad.lo.u64" } else { "mad.wide.u32" };
            self.line(format!("{mad} %l3, {reg}, {stride}, {at};"));
            at = "%l3".into();
        }
        // The immediate part of an address has 32 bits, one of them the sign.
        if offset > i32::MAX as u64 {
            if !at.starts_with('%') {
                self.line(format!("mov.u64 %l3, {at};"));
                at = "%l3".into();
            }
            self.line(format!("add.u64 %l3, {at}, {offset};"));
            at = "%l3".into();
        } else if offset > 0 {
            at = format!("{at}+{offset}");
        }
        (space, at)
    }

    pub(super) fn load(&mut self, reg: Reg, place: &Place) {
        let (space, at) = self.address(place);
        let ty = self.body.regs[reg.0 as usize].ty;
        let d = self.reg(reg);
        if ty == Scalar::Bool {
            self.line(format!("ld{space}.u8 %w0, [{at}];"));
            self.line(format!("setp.ne.u32 {d}, %w0, 0;"));
        } else {
            self.line(format!("ld{space}.{} {d}, [{at}];", table::memory_suffix(ty)));
        }
    }

    pub(super) fn store(&mut self, place: &Place, value: Operand) {
        let ty = self.body.type_of(value);
        let (space, at) = self.address(place);
        let value = match value {
            Operand::Const(c) if ty.is_float() => table::constant(c),
            // The low bits are what is stored, whatever the sign.
            Operand::Const(c) => c.bits.to_string(),
            Operand::Reg(reg) if ty == Scalar::Bool => {
                let reg = self.reg(reg);
                self.line(format!("selp.u32 %w0, 1, 0, {reg};"));
                "%w0".into()
            }
            Operand::Reg(reg) => self.reg(reg),
        };
        let suffix = table::memory_suffix(ty).replace('s', "u");
        self.line(format!("st{space}.{suffix} [{at}], {value};"));
    }
}
