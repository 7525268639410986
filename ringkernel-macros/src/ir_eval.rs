//! What each IR operation computes, on constants: the one definition that the front end's constant folding and the tests'
//! interpreter share. It follows the essay in [`crate::ir`].

use crate::ir::{BinOp, CmpOp, Const, Expr, MathFn, Operand, OverflowOp, Scalar, UnOp};

impl Const {
    /// An integer or `bool` constant, wrapped into its type.
    pub fn int(ty: Scalar, value: i128) -> Self {
        let mask = if ty.bits() == 64 { u64::MAX } else { (1 << ty.bits()) - 1 };
        let mask = if ty == Scalar::Bool { 1 } else { mask };
        Self { ty, bits: value as u64 & mask }
    }

    /// An `f32` constant.
    pub fn f32(value: f32) -> Self {
        Self { ty: Scalar::F32, bits: value.to_bits() as u64 }
    }

    /// An `f64` constant.
    pub fn f64(value: f64) -> Self {
        Self { ty: Scalar::F64, bits: value.to_bits() }
    }

    /// A float constant of either type, from the double that holds it exactly (or its nearest).
    pub fn float(ty: Scalar, value: f64) -> Self {
        if ty == Scalar::F32 { Self::f32(value as f32) } else { Self::f64(value) }
    }

    /// The value as a double; an `f32` converts exactly.
    pub fn as_f64(self) -> f64 {
        match self.ty {
            Scalar::F32 => f32::from_bits(self.bits as u32) as f64,
            Scalar::F64 => f64::from_bits(self.bits),
            _ => self.as_i128() as f64,
        }
    }

    /// Whether it is `true` (or any bit is set).
    pub fn is_true(self) -> bool {
        self.bits != 0
    }
}

/// The range of an integer type.
pub fn range(ty: Scalar) -> (i128, i128) {
    let bits = ty.bits();
    if ty.is_signed() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// The value of a pure expression whose operands are constants, as type `ty`; `None` where it needs more than its operands, or
/// where its precondition does not hold (a zero divisor, an oversized shift).
pub fn eval(expr: &Expr, ty: Scalar) -> Option<Const> {
    fn known(operand: Operand) -> Option<Const> {
        match operand {
            Operand::Const(c) => Some(c),
            Operand::Reg(_) => None,
        }
    }
    match expr {
        Expr::Copy(a) => known(*a),
        Expr::Unary(op, a) => Some(unary(*op, known(*a)?)),
        Expr::Binary(op, a, b) => binary(*op, known(*a)?, known(*b)?),
        Expr::Compare(op, a, b) => Some(compare(*op, known(*a)?, known(*b)?)),
        Expr::Overflows(op, a, b) => Some(Const::bool(overflows(*op, known(*a)?, known(*b)?))),
        Expr::MulHigh(a, b) => {
            let (a, b) = (known(*a)?, known(*b)?);
            Some(Const::int(ty, (a.as_i128().wrapping_mul(b.as_i128())) >> a.ty.bits()))
        }
        Expr::Cast(a) => Some(cast(known(*a)?, ty)),
        Expr::Bitcast(a) => Some(Const { ty, bits: known(*a)?.bits }),
        Expr::Select { condition, yes, no } => known(if known(*condition)?.is_true() { *yes } else { *no }),
        Expr::Math(function, operands) => {
            let operands: Option<Vec<_>> = operands.iter().map(|o| known(*o)).collect();
            Some(math(*function, &operands?))
        }
        Expr::Read(_)
        | Expr::Load(_)
        | Expr::Instance
        | Expr::MessageWords
        | Expr::HasSender
        | Expr::SenderInstance
        | Expr::SentAt => None,
    }
}

/// One-operand arithmetic.
pub fn unary(op: UnOp, a: Const) -> Const {
    match (op, a.ty) {
        (UnOp::Neg, Scalar::F32) => Const { bits: a.bits ^ (1 << 31), ..a },
        (UnOp::Neg, Scalar::F64) => Const { bits: a.bits ^ (1 << 63), ..a },
        (UnOp::Neg, ty) => Const::int(ty, -a.as_i128()),
        (UnOp::Not, Scalar::Bool) => Const::bool(!a.is_true()),
        (UnOp::Not, ty) => Const::int(ty, !a.as_i128()),
    }
}

/// Two-operand arithmetic; `None` where the operation is undefined.
pub fn binary(op: BinOp, a: Const, b: Const) -> Option<Const> {
    use BinOp::*;
    let ty = a.ty;
    if ty == Scalar::F32 {
        let (x, y) = (f32::from_bits(a.bits as u32), f32::from_bits(b.bits as u32));
        return Some(Const::f32(match op {
            Add => x + y,
            Sub => x - y,
            Mul => x * y,
            Div => x / y,
            Rem => x % y,
            _ => return None,
        }));
    }
    if ty == Scalar::F64 {
        let (x, y) = (f64::from_bits(a.bits), f64::from_bits(b.bits));
        return Some(Const::f64(match op {
            Add => x + y,
            Sub => x - y,
            Mul => x * y,
            Div => x / y,
            Rem => x % y,
            _ => return None,
        }));
    }
    let (x, y) = (a.as_i128(), b.as_i128());
    if matches!(op, Div | Rem) && (y == 0 || (ty.is_signed() && y == -1 && x == range(ty).0)) {
        return None;
    }
    if matches!(op, Shl | Shr) && y >= ty.bits() as i128 {
        return None;
    }
    Some(Const::int(
        ty,
        match op {
            Add => x + y,
            Sub => x - y,
            Mul => x.wrapping_mul(y),
            Div => x / y,
            Rem => x % y,
            And => x & y,
            Or => x | y,
            Xor => x ^ y,
            Shl => x << y,
            Shr => x >> y,
        },
    ))
}

/// A comparison.
pub fn compare(op: CmpOp, a: Const, b: Const) -> Const {
    use std::cmp::Ordering::*;
    let order = if a.ty.is_float() {
        a.as_f64().partial_cmp(&b.as_f64())
    } else {
        Some(a.as_i128().cmp(&b.as_i128()))
    };
    Const::bool(match op {
        CmpOp::Eq => order == Some(Equal),
        CmpOp::Ne => order != Some(Equal),
        CmpOp::Lt => order == Some(Less),
        CmpOp::Le => matches!(order, Some(Less | Equal)),
        CmpOp::Gt => order == Some(Greater),
        CmpOp::Ge => matches!(order, Some(Greater | Equal)),
    })
}

/// Whether the exact result leaves the operands' type.
pub fn overflows(op: OverflowOp, a: Const, b: Const) -> bool {
    let (x, y) = (a.as_i128(), b.as_i128());
    let exact = match op {
        OverflowOp::Add => x.checked_add(y),
        OverflowOp::Sub => x.checked_sub(y),
        OverflowOp::Mul => x.checked_mul(y),
    };
    let (low, high) = range(a.ty);
    exact.is_none_or(|exact| exact < low || exact > high)
}

/// Rust's `as`.
pub fn cast(a: Const, ty: Scalar) -> Const {
    match (a.ty, ty) {
        (Scalar::F32, Scalar::F32) | (Scalar::F64, Scalar::F64) => a,
        (Scalar::F32, Scalar::F64) => Const::f64(f32::from_bits(a.bits as u32) as f64),
        (Scalar::F64, Scalar::F32) => Const::f32(f64::from_bits(a.bits) as f32),
        (from, to) if from.is_float() => {
            let (low, high) = range(to);
            // Saturates in i128 first, so that one clamp suits every target.
            Const::int(to, (a.as_f64() as i128).clamp(low, high))
        }
        (_, Scalar::F32) => Const::f32(a.as_i128() as f32),
        (_, Scalar::F64) => Const::f64(a.as_i128() as f64),
        (_, to) => Const::int(to, a.as_i128()),
    }
}

/// A function.
pub fn math(function: MathFn, operands: &[Const]) -> Const {
    let a = operands[0];
    let ty = a.ty;
    let bits = ty.bits();
    if ty == Scalar::F32 {
        let x: Vec<f32> = operands.iter().map(|c| f32::from_bits(c.bits as u32)).collect();
        return Const::f32(float_math_f32(function, &x));
    }
    if ty == Scalar::F64 {
        let x: Vec<f64> = operands.iter().map(|c| f64::from_bits(c.bits)).collect();
        return Const::f64(float_math_f64(function, &x));
    }
    let rotate = |amount: u64| {
        let n = amount as u32 % bits;
        let wide = a.bits as u128;
        Const::int(ty, ((wide << n) | (wide >> (bits - n))) as i128)
    };
    match function {
        MathFn::CountOnes => Const::u32(a.bits.count_ones()),
        MathFn::LeadingZeros => Const::u32(a.bits.leading_zeros() - (64 - bits)),
        MathFn::TrailingZeros => Const::u32(a.bits.trailing_zeros().min(bits)),
        MathFn::ReverseBits => Const { ty, bits: a.bits.reverse_bits() >> (64 - bits) },
        MathFn::SwapBytes => Const { ty, bits: a.bits.swap_bytes() >> (64 - bits) },
        MathFn::RotateLeft => rotate(operands[1].bits),
        MathFn::RotateRight => rotate((bits - operands[1].bits as u32 % bits) as u64),
        MathFn::Min => Const::int(ty, a.as_i128().min(operands[1].as_i128())),
        MathFn::Max => Const::int(ty, a.as_i128().max(operands[1].as_i128())),
        _ => unreachable!("{function:?} is a function of floats"),
    }
}

macro_rules! float_math {
    ($name:ident, $float:ident) => {
        fn $name(function: MathFn, x: &[$float]) -> $float {
            match function {
                MathFn::MinNum => x[0].min(x[1]),
                MathFn::MaxNum => x[0].max(x[1]),
                MathFn::FloatAbs => x[0].abs(),
                MathFn::Sqrt => x[0].sqrt(),
                MathFn::Floor => x[0].floor(),
                MathFn::Ceil => x[0].ceil(),
                MathFn::Trunc => x[0].trunc(),
                MathFn::Round => x[0].round(),
                MathFn::RoundTiesEven => x[0].round_ties_even(),
                MathFn::CopySign => x[0].copysign(x[1]),
                MathFn::MulAdd => x[0].mul_add(x[1], x[2]),
                _ => unreachable!("{function:?} is a function of integers"),
            }
        }
    };
}
float_math!(float_math_f32, f32);
float_math!(float_math_f64, f64);
