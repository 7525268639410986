//! The methods of numbers: one table from a name to its types and its lowering.

use super::lower::number as n;
use super::lower::{Lower, number::MethodCall};
use super::types::{Prim, VarKind};
use crate::ir::{MathFn, Operand};

/// The receivers a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Int,
    Signed,
    Unsigned,
    Float,
}

/// The type of an argument or result, seen from the receiver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum T {
    /// The receiver's own.
    Same,
    U32,
    Bool,
    /// The unsigned integer of its width.
    Unsigned,
    /// The signed integer of its width.
    Signed,
}

/// One method.
pub(crate) struct NumMethod {
    pub(crate) name: &'static str,
    pub(crate) on: On,
    pub(crate) args: &'static [T],
    pub(crate) ret: T,
    pub(crate) lower: fn(&mut Lower<'_, '_>, &MethodCall) -> Operand,
}

impl std::fmt::Debug for NumMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl T {
    /// The type it stands for.
    pub(crate) fn of(self, receiver: Prim) -> Prim {
        match self {
            T::Same => receiver,
            T::U32 => Prim::U32,
            T::Bool => Prim::BOOL,
            T::Unsigned => receiver.unsigned(),
            T::Signed => receiver.signed(),
        }
    }
}

impl On {
    fn fits(self, prim: Prim) -> bool {
        match self {
            On::Int => prim.is_int(),
            On::Signed => prim.is_int() && prim.is_signed(),
            On::Unsigned => prim.is_int() && !prim.is_signed(),
            On::Float => prim.is_float(),
        }
    }
}

/// The method of that name on that type.
pub(crate) fn find(name: &str, prim: Prim) -> Option<&'static NumMethod> {
    METHODS.iter().find(|m| m.name == name && m.on.fits(prim))
}

/// The method of that name on a literal whose type is still open.
pub(crate) fn find_open(name: &str, kind: VarKind) -> Option<&'static NumMethod> {
    METHODS.iter().find(|m| m.name == name && (m.on == On::Float) == (kind == VarKind::Float))
}

/// What to write instead of a method of std that has no row.
pub(crate) fn instead(name: &str, prim: Prim) -> Option<&'static str> {
    let float = prim.is_float();
    Some(match name {
        "powi" | "powf" => "multiply: `x * x`",
        "sin" | "cos" | "tan" | "asin" | "acos" | "atan" | "atan2" | "sin_cos" | "sinh" | "cosh" | "tanh"
        | "asinh" | "acosh" | "atanh" | "exp" | "exp2" | "exp_m1" | "ln" | "ln_1p" | "log" | "log2"
        | "log10" | "cbrt" | "hypot"
            if float =>
        {
            "transcendental functions come later; use `sqrt`, `mul_add` and polynomials"
        }
        "total_cmp" | "partial_cmp" | "cmp" => "compare with `<`, `==` and `>`",
        "checked_add" | "overflowing_add" | "carrying_add" => {
            "test first (`a > T::MAX - b`), or use `wrapping_add` or `saturating_add`"
        }
        "checked_sub" | "overflowing_sub" | "borrowing_sub" => {
            "test first (`a < b`), or use `wrapping_sub` or `saturating_sub`"
        }
        "checked_mul" | "overflowing_mul" | "widening_mul" | "carrying_mul" => {
            "compute in a wider type, or use `wrapping_mul` or `saturating_mul`"
        }
        "checked_div" | "checked_rem" | "checked_div_euclid" | "checked_rem_euclid" | "overflowing_div"
        | "overflowing_rem" => "test the divisor first: `if b != 0 { a / b }`",
        "checked_shl" | "checked_shr" | "overflowing_shl" | "overflowing_shr" => {
            "test the amount first: `if n < T::BITS { a << n }`, or use `wrapping_shl`"
        }
        "checked_pow" | "overflowing_pow" => "use `wrapping_pow` or `saturating_pow`",
        "checked_neg" | "checked_abs" | "overflowing_neg" | "overflowing_abs" => {
            "use `wrapping_neg` or `wrapping_abs`"
        }
        "ilog" | "checked_ilog" | "checked_ilog2" | "checked_ilog10" | "ilog10" => "use `ilog2`, or a loop",
        "try_into" | "try_from" => "convert with `as` after testing the range",
        "to_string" => "use the number itself",
        "to_le_bytes" | "to_be_bytes" | "to_ne_bytes" | "from_le_bytes" | "from_be_bytes"
        | "from_ne_bytes" => "shift and mask: `(x >> 8) as u8`",
        "midpoint" => "write `a + (b - a) / 2`",
        "then" | "then_some" => "write `if`",
        "checked_next_power_of_two" | "checked_next_multiple_of" => "use the form without `checked_`",
        _ => return None,
    })
}

macro_rules! methods {
    ($( $on:ident $name:ident($($arg:ident),*) -> $ret:ident = $lower:expr; )*) => {
        &[$( NumMethod {
            name: stringify!($name),
            on: On::$on,
            args: &[$(T::$arg),*],
            ret: T::$ret,
            lower: $lower,
        } ),*]
    };
}

static METHODS: &[NumMethod] = methods! {
    Int min(Same) -> Same = |l, c| l.math(MathFn::Min, c);
    Int max(Same) -> Same = |l, c| l.math(MathFn::Max, c);
    Int clamp(Same, Same) -> Same = n::clamp;
    Int pow(U32) -> Same = |l, c| n::pow(l, c, n::Overflow::Inherit);
    Int wrapping_add(Same) -> Same = |l, c| l.wrapping(crate::ir::BinOp::Add, c);
    Int wrapping_sub(Same) -> Same = |l, c| l.wrapping(crate::ir::BinOp::Sub, c);
    Int wrapping_mul(Same) -> Same = |l, c| l.wrapping(crate::ir::BinOp::Mul, c);
    Int wrapping_neg() -> Same = n::wrapping_neg;
    Int wrapping_shl(U32) -> Same = |l, c| n::wrapping_shift(l, c, crate::ir::BinOp::Shl);
    Int wrapping_shr(U32) -> Same = |l, c| n::wrapping_shift(l, c, crate::ir::BinOp::Shr);
    Int wrapping_pow(U32) -> Same = |l, c| n::pow(l, c, n::Overflow::Wrap);
    Int wrapping_div(Same) -> Same = |l, c| n::wrapping_divide(l, c, crate::ir::BinOp::Div);
    Int wrapping_rem(Same) -> Same = |l, c| n::wrapping_divide(l, c, crate::ir::BinOp::Rem);
    Signed wrapping_abs() -> Same = n::wrapping_abs;
    Int saturating_add(Same) -> Same = |l, c| n::saturating(l, c, crate::ir::OverflowOp::Add);
    Int saturating_sub(Same) -> Same = |l, c| n::saturating(l, c, crate::ir::OverflowOp::Sub);
    Int saturating_mul(Same) -> Same = |l, c| n::saturating(l, c, crate::ir::OverflowOp::Mul);
    Int saturating_pow(U32) -> Same = |l, c| n::pow(l, c, n::Overflow::Saturate);
    Int div_euclid(Same) -> Same = n::div_euclid;
    Int rem_euclid(Same) -> Same = n::rem_euclid;
    Int abs_diff(Same) -> Unsigned = n::abs_diff;
    Signed abs() -> Same = n::abs;
    Signed unsigned_abs() -> Unsigned = n::unsigned_abs;
    Signed signum() -> Same = n::signum;
    Signed is_positive() -> Bool = |l, c| n::compare_zero(l, c, crate::ir::CmpOp::Gt);
    Signed is_negative() -> Bool = |l, c| n::compare_zero(l, c, crate::ir::CmpOp::Lt);
    Unsigned is_power_of_two() -> Bool = n::is_power_of_two;
    Unsigned next_power_of_two() -> Same = n::next_power_of_two;
    Unsigned div_ceil(Same) -> Same = n::div_ceil;
    Unsigned next_multiple_of(Same) -> Same = n::next_multiple_of;
    Unsigned is_multiple_of(Same) -> Bool = n::is_multiple_of;
    Int ilog2() -> U32 = n::ilog2;
    Int isqrt() -> Same = n::isqrt;
    Int rotate_left(U32) -> Same = |l, c| n::rotate(l, c, MathFn::RotateLeft);
    Int rotate_right(U32) -> Same = |l, c| n::rotate(l, c, MathFn::RotateRight);
    Int swap_bytes() -> Same = |l, c| n::whole_width(l, c, MathFn::SwapBytes);
    Int reverse_bits() -> Same = |l, c| n::whole_width(l, c, MathFn::ReverseBits);
    Int to_be() -> Same = |l, c| n::whole_width(l, c, MathFn::SwapBytes);
    Int to_le() -> Same = |_, c| c.args[0];
    Int count_ones() -> U32 = |l, c| n::count(l, c, MathFn::CountOnes, false);
    Int count_zeros() -> U32 = |l, c| n::count(l, c, MathFn::CountOnes, true);
    Int leading_zeros() -> U32 = |l, c| n::count(l, c, MathFn::LeadingZeros, false);
    Int leading_ones() -> U32 = |l, c| n::count(l, c, MathFn::LeadingZeros, true);
    Int trailing_zeros() -> U32 = |l, c| n::count(l, c, MathFn::TrailingZeros, false);
    Int trailing_ones() -> U32 = |l, c| n::count(l, c, MathFn::TrailingZeros, true);
    Unsigned cast_signed() -> Signed = n::recast;
    Signed cast_unsigned() -> Unsigned = n::recast;

    Float sqrt() -> Same = |l, c| l.math(MathFn::Sqrt, c);
    Float mul_add(Same, Same) -> Same = |l, c| l.math(MathFn::MulAdd, c);
    Float floor() -> Same = |l, c| l.math(MathFn::Floor, c);
    Float ceil() -> Same = |l, c| l.math(MathFn::Ceil, c);
    Float trunc() -> Same = |l, c| l.math(MathFn::Trunc, c);
    Float round() -> Same = |l, c| l.math(MathFn::Round, c);
    Float round_ties_even() -> Same = |l, c| l.math(MathFn::RoundTiesEven, c);
    Float fract() -> Same = n::fract;
    Float abs() -> Same = |l, c| l.math(MathFn::FloatAbs, c);
    Float min(Same) -> Same = |l, c| l.math(MathFn::MinNum, c);
    Float max(Same) -> Same = |l, c| l.math(MathFn::MaxNum, c);
    Float clamp(Same, Same) -> Same = n::float_clamp;
    Float copysign(Same) -> Same = |l, c| l.math(MathFn::CopySign, c);
    Float signum() -> Same = n::float_signum;
    Float recip() -> Same = n::recip;
    Float to_bits() -> Unsigned = n::to_bits;
    Float is_nan() -> Bool = n::is_nan;
    Float is_finite() -> Bool = n::is_finite;
    Float is_infinite() -> Bool = n::is_infinite;
    Float is_sign_negative() -> Bool = |l, c| n::sign_bit(l, c, crate::ir::CmpOp::Lt);
    Float is_sign_positive() -> Bool = |l, c| n::sign_bit(l, c, crate::ir::CmpOp::Ge);
    Float to_degrees() -> Same = n::to_degrees;
    Float to_radians() -> Same = n::to_radians;
    Float rem_euclid(Same) -> Same = n::float_rem_euclid;
    Float div_euclid(Same) -> Same = n::float_div_euclid;
};
