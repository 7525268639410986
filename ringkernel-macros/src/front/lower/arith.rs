//! Operators, comparisons and casts, with the checks that Rust makes.
//!
//! Where `usize` is 32 bits ([`Lower::is_narrow`]) a result that a 64-bit `usize` would hold and 32 bits do not is a fault in every profile:
//! [`FaultKind::UsizeTooNarrow`]. Nothing ever computes on with a wrong index.

use super::Lower;
use super::value::{Target, Value};
use crate::front::typed::tree::Expr;
use crate::front::types::{Prim, Ty, signed, unsigned};
use crate::ir::{BinOp, CmpOp, Operand, OverflowOp, Scalar, UnOp};
use crate::ir_eval::range;
use proc_macro2::Span;
use ringkernel_backends::abi::FaultKind;

/// Comparisons of aggregates of up to this many scalars are written out.
const COMPARE_LIMIT: u64 = 64;

impl Lower<'_, '_> {
    /// Whether the type is a `usize` or `isize` of 32 bits.
    pub(super) fn is_narrow(&self, prim: Prim) -> bool {
        matches!(prim, Prim::Usize | Prim::Isize) && self.index == Scalar::U32
    }

    /// `a op b`; `amount` is the type of `b`, which matters for shifts.
    pub(super) fn arith(
        &mut self,
        op: BinOp,
        ty: &Ty,
        a: Operand,
        b: Operand,
        amount: &Ty,
        span: Span,
    ) -> Operand {
        let Some(prim) = ty.prim() else { return a };
        let scalar = self.scalar(prim);
        if scalar.is_float() || scalar == Scalar::Bool {
            return self.bin(op, a, b);
        }
        match op {
            BinOp::Add => self.add_like(prim, op, OverflowOp::Add, a, b, span),
            BinOp::Sub => self.add_like(prim, op, OverflowOp::Sub, a, b, span),
            BinOp::Mul => self.add_like(prim, op, OverflowOp::Mul, a, b, span),
            BinOp::Div | BinOp::Rem => {
                self.check_division(prim, a, b, span);
                self.bin(op, a, b)
            }
            BinOp::And | BinOp::Or | BinOp::Xor => self.bin(op, a, b),
            BinOp::Shl | BinOp::Shr => match amount.prim() {
                Some(amount) => self.shift(op, prim, a, b, amount, span),
                None => a,
            },
        }
    }

    /// `+`, `-`, `*` on integers.
    pub(super) fn add_like(
        &mut self,
        prim: Prim,
        op: BinOp,
        overflow: OverflowOp,
        a: Operand,
        b: Operand,
        span: Span,
    ) -> Operand {
        let kind = if self.is_narrow(prim) {
            // Below zero is an overflow in 64 bits too.
            let below_zero = prim == Prim::Usize && overflow == OverflowOp::Sub;
            Some(if below_zero && self.checked { FaultKind::Overflow } else { FaultKind::UsizeTooNarrow })
        } else if self.checked {
            Some(FaultKind::Overflow)
        } else {
            None
        };
        if let Some(kind) = kind {
            let failed = self.overflows(overflow, a, b);
            self.check(failed, kind, span);
        }
        self.bin(op, a, b)
    }

    /// The checks in front of `/` and `%`: they hold in every profile.
    pub(super) fn check_division(&mut self, prim: Prim, a: Operand, b: Operand, span: Span) {
        let scalar = self.scalar(prim);
        let zero = self.int(scalar, 0);
        let failed = self.cmp(CmpOp::Eq, b, zero);
        self.check(failed, FaultKind::DivisionByZero, span);
        if scalar.is_signed() {
            let (low, minus_one) = (self.int(scalar, range(scalar).0), self.int(scalar, -1));
            // A constant divisor other than -1 needs no test of the dividend.
            let by_minus_one = self.cmp(CmpOp::Eq, b, minus_one);
            let lowest =
                if by_minus_one == self.truth(false) { by_minus_one } else { self.cmp(CmpOp::Eq, a, low) };
            let failed = self.bin(BinOp::And, by_minus_one, lowest);
            let narrow = self.is_narrow(prim);
            self.check(
                failed,
                if narrow { FaultKind::UsizeTooNarrow } else { FaultKind::DivisionOverflow },
                span,
            );
        }
    }

    /// `-a`
    pub(super) fn negate(&mut self, prim: Prim, a: Operand, span: Span) -> Operand {
        let scalar = self.scalar(prim);
        if scalar.is_int() {
            let narrow = self.is_narrow(prim);
            if self.checked || narrow {
                let low = self.int(scalar, range(scalar).0);
                let failed = self.cmp(CmpOp::Eq, a, low);
                self.check(
                    failed,
                    if narrow { FaultKind::UsizeTooNarrow } else { FaultKind::Overflow },
                    span,
                );
            }
        }
        self.un(UnOp::Neg, a)
    }

    /// `a << b`, `a >> b`
    fn shift(&mut self, op: BinOp, prim: Prim, a: Operand, b: Operand, amount: Prim, span: Span) -> Operand {
        let width = prim.wide().bits();
        let amount_ty = self.scalar(amount);
        if self.checked {
            // As an unsigned number a negative amount is beyond any width.
            let bits = self.convert(b, unsigned(amount_ty));
            let width = self.int(unsigned(amount_ty), width as i128);
            let failed = self.cmp(CmpOp::Ge, bits, width);
            self.check(failed, FaultKind::ShiftOverflow, span);
        }
        let amount = self.convert(b, Scalar::U32);
        let amount = if self.checked {
            amount
        } else {
            let mask = self.int(Scalar::U32, width as i128 - 1);
            self.bin(BinOp::And, amount, mask)
        };
        if self.is_narrow(prim) {
            self.narrow_shift(op, prim, a, amount, span)
        } else {
            self.bin(op, a, amount)
        }
    }

    /// A shift of a 32-bit `usize` by up to 63.
    fn narrow_shift(&mut self, op: BinOp, prim: Prim, a: Operand, amount: Operand, span: Span) -> Operand {
        let scalar = self.scalar(prim);
        let (width, mask) = (self.int(Scalar::U32, 32), self.int(Scalar::U32, 31));
        let beyond = self.cmp(CmpOp::Ge, amount, width);
        let within = self.bin(BinOp::And, amount, mask);
        let zero = self.int(scalar, 0);
        if op == BinOp::Shr {
            let shifted = self.bin(op, a, within);
            let all = if scalar.is_signed() { self.bin(op, a, mask) } else { zero };
            return self.select(beyond, all, shifted);
        }
        let shifted = self.bin(BinOp::Shl, a, within);
        let back = self.bin(BinOp::Shr, shifted, within);
        let lost = self.cmp(CmpOp::Ne, back, a);
        let some = self.cmp(CmpOp::Ne, a, zero);
        let failed = self.select(beyond, some, lost);
        self.check(failed, FaultKind::UsizeTooNarrow, span);
        self.select(beyond, zero, shifted)
    }

    /// `a as T`
    pub(super) fn cast(&mut self, a: Operand, from: Prim, to: Prim, span: Span) -> Operand {
        let (source, target) = (self.scalar(from), self.scalar(to));
        if target == Scalar::Bool && source != Scalar::Bool {
            self.defer(span, "a number is cast to `bool` by comparing it: `x != 0`");
            return a;
        }
        let result = self.convert(a, target);
        if from != to && self.is_narrow(to) {
            let failed = self.leaves_narrow(a, from, to, result);
            self.check(failed, FaultKind::UsizeTooNarrow, span);
        }
        result
    }

    /// Whether a cast to a 64-bit `usize` would give a value beyond 32 bits.
    fn leaves_narrow(&mut self, a: Operand, from: Prim, to: Prim, result: Operand) -> Operand {
        let (source, target) = (self.scalar(from), self.scalar(to));
        let zero = self.int(source, 0);
        match source {
            Scalar::Bool => self.truth(false),
            s if s.is_float() => {
                let (low, high) = range(target);
                let end = self.float(s, (high + 1) as f64);
                let above = self.cmp(CmpOp::Ge, a, end);
                if to == Prim::Usize {
                    return above; // what is below zero saturates to 0 in either width
                }
                let below = if s == Scalar::F32 {
                    let end = self.float(s, low as f64);
                    self.cmp(CmpOp::Lt, a, end)
                } else {
                    let end = self.float(s, (low - 1) as f64);
                    self.cmp(CmpOp::Le, a, end)
                };
                self.bin(BinOp::Or, above, below)
            }
            s if s.bits() == 64 => {
                let back = self.convert(result, s);
                self.cmp(CmpOp::Ne, back, a)
            }
            s if s.is_signed() && to == Prim::Usize => self.cmp(CmpOp::Lt, a, zero),
            Scalar::U32 if to == Prim::Isize => {
                let zero = self.int(target, 0);
                self.cmp(CmpOp::Lt, result, zero)
            }
            _ => self.truth(false),
        }
    }

    /// A comparison.
    pub(super) fn compare(&mut self, op: CmpOp, left: &Expr, right: &Expr) -> Operand {
        let ty = self.ty(&left.ty);
        if ty.prim().is_some() {
            let left = self.operand(left);
            let right = self.operand(right);
            return self.cmp(op, left, right);
        }
        if self.scalars(&ty) > COMPARE_LIMIT {
            self.error(
                left.span,
                format!("arrays of more than {COMPARE_LIMIT} elements are compared in a loop"),
            );
            return self.truth(false);
        }
        let a = self.value(left);
        let a = if right.writes() { self.own(a, &ty) } else { a };
        let b = self.value(right);
        let equal = self.equal(&Target::Value(a), &Target::Value(b), &ty);
        if op == CmpOp::Ne { self.un(UnOp::Not, equal) } else { equal }
    }

    /// Whether two values are equal, element by element.
    pub(super) fn equal(&mut self, a: &Target, b: &Target, ty: &Ty) -> Operand {
        if let Ty::Ref(_, inner) = ty {
            let (a, b) = (self.load(a, ty), self.load(b, ty));
            if let (Value::Ref(a), Value::Ref(b)) = (a, b) {
                return self.equal(&a, &b, inner);
            }
        }
        if ty.prim().is_some() {
            let (a, b) = (self.load_scalar(a, ty), self.load_scalar(b, ty));
            return self.cmp(CmpOp::Eq, a, b);
        }
        let mut whole = self.truth(true);
        match ty {
            Ty::Array(element, len) => {
                for i in 0..*len {
                    let index = self.int(self.index, i as i128);
                    let (a, b) = (self.element(a, element, index), self.element(b, element, index));
                    let equal = self.equal(&a, &b, element);
                    whole = self.bin(BinOp::And, whole, equal);
                }
            }
            _ => {
                for (i, field) in self.fields(ty).iter().enumerate() {
                    let (a, b) = (self.project(a, ty, i), self.project(b, ty, i));
                    let equal = self.equal(&a, &b, field);
                    whole = self.bin(BinOp::And, whole, equal);
                }
            }
        }
        whole
    }

    /// `|a|` as an unsigned number.
    pub(super) fn magnitude(&mut self, a: Operand) -> Operand {
        let scalar = self.type_of(a);
        let zero = self.int(scalar, 0);
        let negative = self.cmp(CmpOp::Lt, a, zero);
        let negated = self.un(UnOp::Neg, a);
        let value = self.select(negative, negated, a);
        self.convert(value, unsigned(scalar))
    }

    /// The bits of a number as the signed type of its width.
    pub(super) fn as_signed(&mut self, a: Operand) -> Operand {
        let scalar = self.type_of(a);
        if scalar.is_float() { self.bitcast(a, signed(scalar)) } else { self.convert(a, signed(scalar)) }
    }
}
