//! Patterns: whether a value matches, and what its names are bound to.

use super::value::{Target, Value};
use super::{Lower, Slot};
use crate::front::typed::tree::{LocalId, Pat, PatKind};
use crate::front::types::Ty;
use crate::ir::{BinOp, CmpOp, Operand};
use crate::ir_eval::range;

impl Lower<'_, '_> {
    /// Whether the value at `subject` matches.
    pub(super) fn test(&mut self, pat: &Pat, subject: &Target) -> Operand {
        let ty = self.ty(&pat.ty);
        match &pat.kind {
            PatKind::Wild => self.truth(true),
            PatKind::Bind { sub, .. } => match sub {
                Some(sub) => self.test(sub, subject),
                None => self.truth(true),
            },
            PatKind::Fields(fields) => {
                let mut whole = self.truth(true);
                for (i, field) in fields {
                    let part = self.project(subject, &ty, *i);
                    let part = self.test(field, &part);
                    whole = self.both(whole, part);
                }
                whole
            }
            PatKind::Elements(elements) => {
                let mut whole = self.truth(true);
                for (i, pat) in elements {
                    let element = self.ty(&pat.ty);
                    let index = self.int(self.index, *i as i128);
                    let part = self.element(subject, &element, index);
                    let part = self.test(pat, &part);
                    whole = self.both(whole, part);
                }
                whole
            }
            PatKind::Value(value) => {
                let value = self.value(value);
                self.equal(subject, &Target::Value(value), &ty)
            }
            PatKind::Range { low, high, inclusive } => {
                let value = self.load_scalar(subject, &ty);
                let low = low.as_ref().map(|low| self.operand(low));
                let high = high.as_ref().map(|high| self.operand(high));
                let above = match low {
                    Some(low) if !is_end(low, false) => self.cmp(CmpOp::Ge, value, low),
                    _ => self.truth(true),
                };
                let below = match high {
                    Some(high) if !(*inclusive && is_end(high, true)) => {
                        self.cmp(if *inclusive { CmpOp::Le } else { CmpOp::Lt }, value, high)
                    }
                    _ => self.truth(true),
                };
                self.both(above, below)
            }
            PatKind::Or(cases) => {
                let mut whole = self.truth(false);
                for case in cases {
                    let case = self.test(case, subject);
                    whole = self.bin(BinOp::Or, whole, case);
                }
                whole
            }
            PatKind::Deref(inner) => {
                let target = self.through(subject, &ty);
                self.test(inner, &target)
            }
        }
    }

    /// What the reference at `subject` points to.
    fn through(&mut self, subject: &Target, ty: &Ty) -> Target {
        match self.load(subject, ty) {
            Value::Ref(target) => *target,
            other => Target::Value(other),
        }
    }

    /// Binds a pattern's names; the value matches.
    pub(super) fn bind(&mut self, pat: &Pat, subject: Target) {
        if self.b.dead() || pat.binds_nothing() {
            return;
        }
        let ty = self.ty(&pat.ty);
        match &pat.kind {
            PatKind::Wild | PatKind::Value(_) | PatKind::Range { .. } | PatKind::Or(_) => {}
            PatKind::Bind { local, by_ref, sub } => {
                if let Some(sub) = sub {
                    self.bind(sub, subject.clone());
                }
                if *by_ref {
                    self.frame().slots[local.0] = Slot::Value(Value::Ref(Box::new(subject)));
                } else {
                    let value = self.load(&subject, &ty);
                    self.bind_local(*local, value, &ty);
                }
            }
            PatKind::Fields(fields) => {
                for (i, field) in fields {
                    let part = self.project(&subject, &ty, *i);
                    self.bind(field, part);
                }
            }
            PatKind::Elements(elements) => {
                for (i, pat) in elements {
                    let element = self.ty(&pat.ty);
                    let index = self.int(self.index, *i as i128);
                    let part = self.element(&subject, &element, index);
                    self.bind(pat, part);
                }
            }
            PatKind::Deref(inner) => {
                let target = self.through(&subject, &ty);
                self.bind(inner, target);
            }
        }
    }

    fn bind_local(&mut self, local: LocalId, value: Value, ty: &Ty) {
        let info = self.frame().body.locals[local.0].clone();
        let slot = match value {
            Value::Scalar(operand) if info.mutable => {
                let scalar = self.type_of(operand);
                let var = self.b.var(scalar, &info.name);
                self.set(var, operand);
                Slot::Var(var)
            }
            Value::Scalar(operand) => {
                self.name(operand, &info.name);
                Slot::Value(Value::Scalar(operand))
            }
            Value::Ref(_) | Value::Context => Slot::Value(value),
            value if self.is_opaque(ty) || self.scalars(ty) == 0 => Slot::Value(value),
            Value::Memory(place) if !info.mutable && self.is_frozen(&place) => Slot::Memory(place),
            value => {
                let place = self.memory(ty, &info.name, !info.mutable);
                self.write(&place, ty, value);
                Slot::Memory(place)
            }
        };
        self.frame().slots[local.0] = slot;
    }
}

/// Whether it is the lowest or highest value of its type, so that nothing lies beyond.
fn is_end(operand: Operand, high: bool) -> bool {
    match operand {
        Operand::Const(c) if c.ty.is_int() => {
            let (low, top) = range(c.ty);
            c.as_i128() == if high { top } else { low }
        }
        _ => false,
    }
}
