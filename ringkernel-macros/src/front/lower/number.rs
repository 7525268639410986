//! The methods of numbers: each what std's documentation says, as a few operations.

use super::Lower;
use crate::front::methods::NumMethod;
use crate::front::typed::tree::Expr;
use crate::front::types::{Prim, unsigned};
use crate::ir::{BinOp, CmpOp, MathFn, Operand, OverflowOp, Scalar, UnOp};
use crate::ir_eval::range;
use proc_macro2::Span;
use ringkernel_backends::abi::FaultKind;

/// A call whose operands are at hand; the receiver is the first.
pub(crate) struct MethodCall {
    pub(crate) prim: Prim,
    pub(crate) ty: Scalar,
    pub(crate) args: Vec<Operand>,
    pub(crate) span: Span,
}

/// What `pow` does when the result leaves the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// As the build profile says.
    Inherit,
    Wrap,
    Saturate,
}

/// Methods that mean the same on a 32-bit `usize`, as long as its value fits.
const NARROW: &[&str] = &[
    "min",
    "max",
    "clamp",
    "abs_diff",
    "count_ones",
    "is_power_of_two",
    "div_ceil",
    "is_multiple_of",
    "div_euclid",
    "rem_euclid",
    "ilog2",
    "isqrt",
    "signum",
    "is_positive",
    "is_negative",
    "to_le",
];

impl Lower<'_, '_> {
    /// A method of a number.
    pub(super) fn number(&mut self, method: &'static NumMethod, args: &[Expr], span: Span) -> Operand {
        let receiver = self.ty(&args[0].ty);
        let operands: Vec<Operand> = args.iter().map(|arg| self.operand(arg)).collect();
        let Some(prim) = receiver.prim() else { return operands[0] };
        if self.is_narrow(prim)
            && !NARROW.contains(&method.name)
            && !(method.name == "saturating_sub" && prim == Prim::Usize)
        {
            self.wants_wide = true;
        }
        let call = MethodCall { prim, ty: self.scalar(prim), args: operands, span };
        (method.lower)(self, &call)
    }

    pub(crate) fn math(&mut self, function: MathFn, call: &MethodCall) -> Operand {
        self.function(function, call.args.clone())
    }

    pub(crate) fn wrapping(&mut self, op: BinOp, call: &MethodCall) -> Operand {
        self.bin(op, call.args[0], call.args[1])
    }
}

type L<'l, 'e, 'p> = &'l mut Lower<'e, 'p>;

pub(crate) fn clamp(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (low, high) = (c.args[1], c.args[2]);
    let failed = l.cmp(CmpOp::Gt, low, high);
    l.check(failed, FaultKind::InvalidArgument, c.span);
    let at_most = l.function(MathFn::Min, vec![c.args[0], high]);
    l.function(MathFn::Max, vec![at_most, low])
}

pub(crate) fn float_clamp(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (low, high) = (c.args[1], c.args[2]);
    let ordered = l.cmp(CmpOp::Le, low, high);
    let failed = l.un(UnOp::Not, ordered);
    l.check(failed, FaultKind::InvalidArgument, c.span);
    let below = l.cmp(CmpOp::Lt, c.args[0], low);
    let x = l.select(below, low, c.args[0]);
    let above = l.cmp(CmpOp::Gt, x, high);
    l.select(above, high, x)
}

/// Square and multiply, as std does it, so that overflow is seen where std sees it.
pub(crate) fn pow(l: L<'_, '_, '_>, c: &MethodCall, overflow: Overflow) -> Operand {
    let ty = c.ty;
    let multiply = |l: L<'_, '_, '_>, a: Operand, b: Operand| match overflow {
        Overflow::Inherit => l.add_like(c.prim, BinOp::Mul, OverflowOp::Mul, a, b, c.span),
        Overflow::Wrap => l.bin(BinOp::Mul, a, b),
        Overflow::Saturate => saturate(l, ty, OverflowOp::Mul, a, b),
    };
    let one = l.int(ty, 1);
    let (base, exponent) = (c.args[0], c.args[1]);
    if let Operand::Const(n) = exponent {
        let (mut base, mut n, mut acc) = (base, n.bits, None);
        while n > 0 {
            if n & 1 == 1 {
                acc = Some(acc.map_or(base, |acc| multiply(l, acc, base)));
            }
            n >>= 1;
            if n > 0 {
                base = multiply(l, base, base);
            }
        }
        return acc.unwrap_or(one);
    }
    let (zero32, one32) = (l.int(Scalar::U32, 0), l.int(Scalar::U32, 1));
    let (base_var, acc_var) = (l.b.var(ty, "base"), l.b.var(ty, "power"));
    let n_var = l.b.var(Scalar::U32, "exponent");
    l.set(base_var, base);
    l.set(acc_var, one);
    l.set(n_var, exponent);
    let some = l.cmp(CmpOp::Ne, exponent, zero32);
    l.branch(
        some,
        |l| {
            l.repeat(
                |l, label| {
                    let (n, base) = (l.read(n_var), l.read(base_var));
                    let low = l.bin(BinOp::And, n, one32);
                    let odd = l.cmp(CmpOp::Ne, low, zero32);
                    l.branch(
                        odd,
                        |l| {
                            let acc = l.read(acc_var);
                            let product = multiply(l, acc, base);
                            l.set(acc_var, product);
                            let more = l.cmp(CmpOp::Ne, n, one32);
                            l.break_unless(more, label);
                        },
                        |_| {},
                    );
                    let half = l.bin(BinOp::Shr, n, one32);
                    l.set(n_var, half);
                    let square = multiply(l, base, base);
                    l.set(base_var, square);
                },
                |_| {},
            );
        },
        |_| {},
    );
    l.read(acc_var)
}

pub(crate) fn wrapping_neg(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    l.un(UnOp::Neg, c.args[0])
}

pub(crate) fn wrapping_abs(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let zero = l.int(c.ty, 0);
    let negative = l.cmp(CmpOp::Lt, c.args[0], zero);
    let negated = l.un(UnOp::Neg, c.args[0]);
    l.select(negative, negated, c.args[0])
}

/// The amount modulo the width.
fn masked(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let mask = l.int(Scalar::U32, c.ty.bits() as i128 - 1);
    l.bin(BinOp::And, c.args[1], mask)
}

pub(crate) fn wrapping_shift(l: L<'_, '_, '_>, c: &MethodCall, op: BinOp) -> Operand {
    let amount = masked(l, c);
    l.bin(op, c.args[0], amount)
}

pub(crate) fn rotate(l: L<'_, '_, '_>, c: &MethodCall, function: MathFn) -> Operand {
    let amount = masked(l, c);
    l.function(function, vec![c.args[0], amount])
}

pub(crate) fn wrapping_divide(l: L<'_, '_, '_>, c: &MethodCall, op: BinOp) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    let zero = l.int(c.ty, 0);
    let failed = l.cmp(CmpOp::Eq, b, zero);
    l.check(failed, FaultKind::DivisionByZero, c.span);
    if !c.ty.is_signed() {
        return l.bin(op, a, b);
    }
    // Dividing by -1 is negating, which wraps; by 1 instead, the remainder is the same 0.
    let (minus_one, one) = (l.int(c.ty, -1), l.int(c.ty, 1));
    let by_minus_one = l.cmp(CmpOp::Eq, b, minus_one);
    let divisor = l.select(by_minus_one, one, b);
    let result = l.bin(op, a, divisor);
    if op == BinOp::Rem {
        return result;
    }
    let negated = l.un(UnOp::Neg, a);
    l.select(by_minus_one, negated, result)
}

pub(crate) fn saturating(l: L<'_, '_, '_>, c: &MethodCall, op: OverflowOp) -> Operand {
    saturate(l, c.ty, op, c.args[0], c.args[1])
}

fn saturate(l: L<'_, '_, '_>, ty: Scalar, op: OverflowOp, a: Operand, b: Operand) -> Operand {
    let overflows = l.overflows(op, a, b);
    let plain = match op {
        OverflowOp::Add => BinOp::Add,
        OverflowOp::Sub => BinOp::Sub,
        OverflowOp::Mul => BinOp::Mul,
    };
    let result = l.bin(plain, a, b);
    let (low, high) = (l.int(ty, range(ty).0), l.int(ty, range(ty).1));
    let end = if !ty.is_signed() {
        if op == OverflowOp::Sub { low } else { high }
    } else {
        let sign = if op == OverflowOp::Mul { l.bin(BinOp::Xor, a, b) } else { a };
        let zero = l.int(ty, 0);
        let negative = l.cmp(CmpOp::Lt, sign, zero);
        l.select(negative, low, high)
    };
    l.select(overflows, end, result)
}

pub(crate) fn div_euclid(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    l.check_division(c.prim, a, b, c.span);
    let quotient = l.bin(BinOp::Div, a, b);
    if !c.ty.is_signed() {
        return quotient;
    }
    let remainder = l.bin(BinOp::Rem, a, b);
    let (zero, one) = (l.int(c.ty, 0), l.int(c.ty, 1));
    let negative = l.cmp(CmpOp::Lt, remainder, zero);
    let up = l.cmp(CmpOp::Lt, b, zero);
    let (less, more) = (l.bin(BinOp::Sub, quotient, one), l.bin(BinOp::Add, quotient, one));
    let corrected = l.select(up, more, less);
    l.select(negative, corrected, quotient)
}

pub(crate) fn rem_euclid(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    l.check_division(c.prim, a, b, c.span);
    let remainder = l.bin(BinOp::Rem, a, b);
    if !c.ty.is_signed() {
        return remainder;
    }
    let zero = l.int(c.ty, 0);
    let negative = l.cmp(CmpOp::Lt, remainder, zero);
    let negative_divisor = l.cmp(CmpOp::Lt, b, zero);
    let (less, more) = (l.bin(BinOp::Sub, remainder, b), l.bin(BinOp::Add, remainder, b));
    let corrected = l.select(negative_divisor, less, more);
    l.select(negative, corrected, remainder)
}

pub(crate) fn abs_diff(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    let less = l.cmp(CmpOp::Lt, a, b);
    let (up, down) = (l.bin(BinOp::Sub, b, a), l.bin(BinOp::Sub, a, b));
    let distance = l.select(less, up, down);
    l.convert(distance, unsigned(c.ty))
}

pub(crate) fn abs(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    if l.checked {
        let low = l.int(c.ty, range(c.ty).0);
        let failed = l.cmp(CmpOp::Eq, c.args[0], low);
        l.check(failed, FaultKind::Overflow, c.span);
    }
    wrapping_abs(l, c)
}

pub(crate) fn unsigned_abs(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    l.magnitude(c.args[0])
}

pub(crate) fn signum(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (zero, one, minus_one) = (l.int(c.ty, 0), l.int(c.ty, 1), l.int(c.ty, -1));
    let (positive, negative) = (l.cmp(CmpOp::Gt, c.args[0], zero), l.cmp(CmpOp::Lt, c.args[0], zero));
    let low = l.select(negative, minus_one, zero);
    l.select(positive, one, low)
}

pub(crate) fn compare_zero(l: L<'_, '_, '_>, c: &MethodCall, op: CmpOp) -> Operand {
    let zero = l.int(c.ty, 0);
    l.cmp(op, c.args[0], zero)
}

pub(crate) fn is_power_of_two(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let ones = l.math(MathFn::CountOnes, c);
    let one = l.int(Scalar::U32, 1);
    l.cmp(CmpOp::Eq, ones, one)
}

pub(crate) fn next_power_of_two(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (zero, one) = (l.int(c.ty, 0), l.int(c.ty, 1));
    let small = l.cmp(CmpOp::Le, c.args[0], one);
    let below = l.bin(BinOp::Sub, c.args[0], one);
    let below = l.select(small, one, below);
    let zeros = l.function(MathFn::LeadingZeros, vec![below]);
    let all = l.int(c.ty, range(c.ty).1);
    let mask = l.bin(BinOp::Shr, all, zeros);
    let mask = l.select(small, zero, mask);
    l.add_like(c.prim, BinOp::Add, OverflowOp::Add, mask, one, c.span)
}

pub(crate) fn div_ceil(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    l.check_division(c.prim, a, b, c.span);
    let (quotient, remainder) = (l.bin(BinOp::Div, a, b), l.bin(BinOp::Rem, a, b));
    let (zero, one) = (l.int(c.ty, 0), l.int(c.ty, 1));
    let some = l.cmp(CmpOp::Ne, remainder, zero);
    let more = l.bin(BinOp::Add, quotient, one);
    l.select(some, more, quotient)
}

pub(crate) fn next_multiple_of(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    l.check_division(c.prim, a, b, c.span);
    let remainder = l.bin(BinOp::Rem, a, b);
    let zero = l.int(c.ty, 0);
    let none = l.cmp(CmpOp::Eq, remainder, zero);
    let missing = l.bin(BinOp::Sub, b, remainder);
    let missing = l.select(none, zero, missing);
    l.add_like(c.prim, BinOp::Add, OverflowOp::Add, a, missing, c.span)
}

pub(crate) fn is_multiple_of(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let (a, b) = (c.args[0], c.args[1]);
    let (zero, one) = (l.int(c.ty, 0), l.int(c.ty, 1));
    let by_zero = l.cmp(CmpOp::Eq, b, zero);
    let divisor = l.select(by_zero, one, b);
    let remainder = l.bin(BinOp::Rem, a, divisor);
    let (divides, is_zero) = (l.cmp(CmpOp::Eq, remainder, zero), l.cmp(CmpOp::Eq, a, zero));
    l.select(by_zero, is_zero, divides)
}

pub(crate) fn ilog2(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let zero = l.int(c.ty, 0);
    let failed = l.cmp(CmpOp::Le, c.args[0], zero);
    l.check(failed, FaultKind::InvalidArgument, c.span);
    let zeros = l.math(MathFn::LeadingZeros, c);
    let top = l.int(Scalar::U32, c.ty.bits() as i128 - 1);
    l.bin(BinOp::Sub, top, zeros)
}

/// Digit by digit in base 4 (Warren, "Hacker's Delight", 11-1).
pub(crate) fn isqrt(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let zero = l.int(c.ty, 0);
    if c.ty.is_signed() {
        let failed = l.cmp(CmpOp::Lt, c.args[0], zero);
        l.check(failed, FaultKind::InvalidArgument, c.span);
    }
    let wide = unsigned(c.ty);
    let value = l.convert(c.args[0], wide);
    let (rest, root, bit) = (l.b.var(wide, "rest"), l.b.var(wide, "root"), l.b.var(wide, "bit"));
    let (zero, top) = (l.int(wide, 0), l.int(wide, 1 << (wide.bits() - 2)));
    let (one, two) = (l.int(Scalar::U32, 1), l.int(Scalar::U32, 2));
    l.set(rest, value);
    l.set(root, zero);
    l.set(bit, top);
    l.repeat(
        |l, label| {
            let b = l.read(bit);
            let more = l.cmp(CmpOp::Ne, b, zero);
            l.break_unless(more, label);
            let (x, r) = (l.read(rest), l.read(root));
            let trial = l.bin(BinOp::Or, r, b);
            let half = l.bin(BinOp::Shr, r, one);
            let fits = l.cmp(CmpOp::Ge, x, trial);
            let less = l.bin(BinOp::Sub, x, trial);
            let x = l.select(fits, less, x);
            let with_bit = l.bin(BinOp::Or, half, b);
            let r = l.select(fits, with_bit, half);
            l.set(rest, x);
            l.set(root, r);
        },
        |l| {
            let b = l.read(bit);
            let next = l.bin(BinOp::Shr, b, two);
            l.set(bit, next);
        },
    );
    let root = l.read(root);
    l.convert(root, c.ty)
}

pub(crate) fn whole_width(l: L<'_, '_, '_>, c: &MethodCall, function: MathFn) -> Operand {
    if function == MathFn::SwapBytes && c.ty.bits() == 8 {
        return c.args[0];
    }
    l.function(function, vec![c.args[0]])
}

/// `count_ones` and its kin; `inverted` counts the zeros.
pub(crate) fn count(l: L<'_, '_, '_>, c: &MethodCall, function: MathFn, inverted: bool) -> Operand {
    let value = if inverted { l.un(UnOp::Not, c.args[0]) } else { c.args[0] };
    l.function(function, vec![value])
}

pub(crate) fn recast(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let target = if c.ty.is_signed() { unsigned(c.ty) } else { crate::front::types::signed(c.ty) };
    l.convert(c.args[0], target)
}

pub(crate) fn fract(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let whole = l.math(MathFn::Trunc, c);
    l.bin(BinOp::Sub, c.args[0], whole)
}

pub(crate) fn float_signum(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let one = l.float(c.ty, 1.0);
    let sign = l.function(MathFn::CopySign, vec![one, c.args[0]]);
    let nan = is_nan(l, c);
    l.select(nan, c.args[0], sign)
}

pub(crate) fn recip(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let one = l.float(c.ty, 1.0);
    l.bin(BinOp::Div, one, c.args[0])
}

pub(crate) fn to_bits(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    l.bitcast(c.args[0], unsigned(c.ty))
}

pub(crate) fn from_bits(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let float = if c.ty.bits() == 32 { Scalar::F32 } else { Scalar::F64 };
    l.bitcast(c.args[0], float)
}

pub(crate) fn is_nan(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    l.cmp(CmpOp::Ne, c.args[0], c.args[0])
}

pub(crate) fn is_finite(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let magnitude = l.math(MathFn::FloatAbs, c);
    let infinity = l.float(c.ty, f64::INFINITY);
    l.cmp(CmpOp::Lt, magnitude, infinity)
}

pub(crate) fn is_infinite(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let magnitude = l.math(MathFn::FloatAbs, c);
    let infinity = l.float(c.ty, f64::INFINITY);
    l.cmp(CmpOp::Eq, magnitude, infinity)
}

pub(crate) fn sign_bit(l: L<'_, '_, '_>, c: &MethodCall, op: CmpOp) -> Operand {
    let bits = l.as_signed(c.args[0]);
    let zero = l.int(l.type_of(bits), 0);
    l.cmp(op, bits, zero)
}

/// std multiplies `f32` by the decimal constant and `f64` by the quotient.
pub(crate) fn to_degrees(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let factor = if c.ty == Scalar::F32 {
        l.float(c.ty, 57.295_78_f32 as f64)
    } else {
        l.float(c.ty, 180.0 / std::f64::consts::PI)
    };
    l.bin(BinOp::Mul, c.args[0], factor)
}

pub(crate) fn to_radians(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let factor = if c.ty == Scalar::F32 {
        l.float(c.ty, (std::f32::consts::PI / 180.0) as f64)
    } else {
        l.float(c.ty, std::f64::consts::PI / 180.0)
    };
    l.bin(BinOp::Mul, c.args[0], factor)
}

pub(crate) fn float_rem_euclid(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let remainder = l.bin(BinOp::Rem, c.args[0], c.args[1]);
    let zero = l.float(c.ty, 0.0);
    let negative = l.cmp(CmpOp::Lt, remainder, zero);
    let magnitude = l.function(MathFn::FloatAbs, vec![c.args[1]]);
    let corrected = l.bin(BinOp::Add, remainder, magnitude);
    l.select(negative, corrected, remainder)
}

pub(crate) fn float_div_euclid(l: L<'_, '_, '_>, c: &MethodCall) -> Operand {
    let quotient = l.bin(BinOp::Div, c.args[0], c.args[1]);
    let quotient = l.function(MathFn::Trunc, vec![quotient]);
    let remainder = l.bin(BinOp::Rem, c.args[0], c.args[1]);
    let (zero, one) = (l.float(c.ty, 0.0), l.float(c.ty, 1.0));
    let negative = l.cmp(CmpOp::Lt, remainder, zero);
    let down = l.cmp(CmpOp::Gt, c.args[1], zero);
    let (less, more) = (l.bin(BinOp::Sub, quotient, one), l.bin(BinOp::Add, quotient, one));
    let corrected = l.select(down, less, more);
    l.select(negative, corrected, quotient)
}
