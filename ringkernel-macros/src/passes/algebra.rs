//! One expression at a time: constants are computed, and operations that do nothing go.

use super::bounds::{self, opposite};
use super::simplify::Known;
use crate::ir::{BinOp, CmpOp, Const, Expr, MathFn, Operand, OverflowOp, Scalar, UnOp};
use crate::ir_eval;

fn constant(ty: Scalar, value: i128) -> Expr {
    Expr::Copy(Operand::Const(Const::int(ty, value)))
}

fn bool_(value: bool) -> Expr {
    Expr::Copy(Operand::Const(Const::bool(value)))
}

/// The value of an integer or `bool` constant.
fn int(operand: &Operand) -> Option<i128> {
    match operand {
        Operand::Const(c) if !c.ty.is_float() => Some(c.as_i128()),
        _ => None,
    }
}

/// A simpler expression with the same value, of type `ty`.
pub(super) fn simplify(expr: Expr, ty: Scalar, known: &Known<'_>) -> Expr {
    if let Some(value) = ir_eval::eval(&expr, ty) {
        let nan = match ty {
            Scalar::F32 => f32::from_bits(value.bits as u32).is_nan(),
            Scalar::F64 => f64::from_bits(value.bits).is_nan(),
            _ => false,
        };
        // Which NaN comes out of an operation is the device's business.
        if !nan || matches!(expr, Expr::Copy(_)) {
            return Expr::Copy(Operand::Const(value));
        }
        return expr;
    }
    let simpler = match &expr {
        Expr::Unary(UnOp::Not, a) => not(*a, known),
        Expr::Binary(op, a, b) => binary(*op, *a, *b, ty),
        Expr::Compare(op, a, b) => compare(*op, *a, *b, known),
        Expr::Overflows(op, a, b) => overflows(*op, *a, *b, known),
        Expr::Cast(a) | Expr::Bitcast(a) if known.ty(*a) == ty => Some(Expr::Copy(*a)),
        Expr::Select { condition, yes, no } => match (condition, int(yes), int(no)) {
            (Operand::Const(c), ..) => Some(Expr::Copy(if c.bits != 0 { *yes } else { *no })),
            _ if yes == no => Some(Expr::Copy(*yes)),
            (_, Some(1), Some(0)) if ty == Scalar::Bool => Some(Expr::Copy(*condition)),
            (_, Some(0), Some(1)) if ty == Scalar::Bool => Some(Expr::Unary(UnOp::Not, *condition)),
            (_, Some(0), None) if ty == Scalar::Bool => None,
            (_, Some(1), None) if ty == Scalar::Bool => Some(Expr::Binary(BinOp::Or, *condition, *no)),
            (_, None, Some(0)) if ty == Scalar::Bool => Some(Expr::Binary(BinOp::And, *condition, *yes)),
            _ => None,
        },
        Expr::Math(MathFn::Min | MathFn::Max, operands) if operands[0] == operands[1] => {
            Some(Expr::Copy(operands[0]))
        }
        Expr::Math(MathFn::RotateLeft | MathFn::RotateRight, operands) if int(&operands[1]) == Some(0) => {
            Some(Expr::Copy(operands[0]))
        }
        _ => None,
    };
    simpler.unwrap_or(expr)
}

fn not(a: Operand, known: &Known<'_>) -> Option<Expr> {
    match known.definition(a)? {
        Expr::Unary(UnOp::Not, inner) => Some(Expr::Copy(*inner)),
        // Not for floats: !(a < b) holds for a NaN, a >= b does not.
        Expr::Compare(op, x, y) if !known.ty(*x).is_float() => Some(Expr::Compare(opposite(*op), *x, *y)),
        Expr::Compare(CmpOp::Eq, x, y) => Some(Expr::Compare(CmpOp::Ne, *x, *y)),
        Expr::Compare(CmpOp::Ne, x, y) => Some(Expr::Compare(CmpOp::Eq, *x, *y)),
        _ => None,
    }
}

fn binary(op: BinOp, a: Operand, b: Operand, ty: Scalar) -> Option<Expr> {
    use BinOp::*;
    // Of floats, x + 0 may change a zero's sign and x * 1 a NaN.
    if ty.is_float() {
        return None;
    }
    let (first, second) = (Some(Expr::Copy(a)), Some(Expr::Copy(b)));
    // All bits set: -1, the greatest unsigned number, or true.
    let ones = |value: Option<i128>| value.is_some_and(|v| v == Const::int(ty, -1).as_i128());
    match (op, int(&a), int(&b)) {
        (Add | Sub | Or | Xor | Shl | Shr, _, Some(0)) => first,
        (Add | Or | Xor, Some(0), _) => second,
        (And | Mul, _, Some(0)) | (And | Mul | Shl | Shr, Some(0), _) => Some(constant(ty, 0)),
        (Mul | Div, _, Some(1)) => first,
        (Mul, Some(1), _) => second,
        (Rem, _, Some(1)) => Some(constant(ty, 0)),
        (And, _, value) if ones(value) => first,
        (And, value, _) if ones(value) => second,
        (Or, _, value) | (Or, value, _) if ones(value) => Some(constant(ty, -1)),
        (Xor, _, value) if ones(value) => Some(Expr::Unary(UnOp::Not, a)),
        (Xor, value, _) if ones(value) => Some(Expr::Unary(UnOp::Not, b)),
        (And | Or, ..) if a == b => first,
        (Sub | Xor, ..) if a == b => Some(constant(ty, 0)),
        _ => None,
    }
}

fn compare(op: CmpOp, a: Operand, b: Operand, known: &Known<'_>) -> Option<Expr> {
    use CmpOp::*;
    let ty = known.ty(a);
    if ty.is_float() {
        return None;
    }
    if a == b {
        return Some(bool_(matches!(op, Eq | Le | Ge)));
    }
    if ty == Scalar::Bool {
        let (operand, value) = match (int(&a), int(&b)) {
            (None, Some(value)) => (a, value != 0),
            (Some(value), None) => (b, value != 0),
            _ => return None,
        };
        return match (op, value) {
            (Eq, true) | (Ne, false) => Some(Expr::Copy(operand)),
            (Eq, false) | (Ne, true) => Some(Expr::Unary(UnOp::Not, operand)),
            _ => None,
        };
    }
    let (x, y) = (known.range(a), known.range(b));
    let (below, not_above) = (x.1 < y.0, x.1 <= y.0);
    let (above, not_below) = (x.0 > y.1, x.0 >= y.1);
    let (always, never) = match op {
        Lt => (below, not_below),
        Le => (not_above, above),
        Gt => (above, not_above),
        Ge => (not_below, below),
        Eq => (false, below || above),
        Ne => (below || above, false),
    };
    if always || never { Some(bool_(always)) } else { None }
}

fn overflows(op: OverflowOp, a: Operand, b: Operand, known: &Known<'_>) -> Option<Expr> {
    let op = match op {
        OverflowOp::Add => BinOp::Add,
        OverflowOp::Sub => BinOp::Sub,
        OverflowOp::Mul => BinOp::Mul,
    };
    let exact = bounds::exact(op, known.range(a), known.range(b))?;
    let full = bounds::of_type(known.ty(a));
    let never = exact.0 >= full.0 && exact.1 <= full.1;
    let always = exact.0 > full.1 || exact.1 < full.0;
    if always || never { Some(bool_(always)) } else { None }
}
