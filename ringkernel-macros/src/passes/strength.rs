//! Division by a power of two becomes shifts and masks.
//!
//! Why: ptxas does not do it (`x / 8` and `x % 8` cost as much as `x / y`), and neither do all WGSL compilers. Other constant divisors are
//! the PTX emitter's: a multiplication by a magic number pays only where the high half of a product is one instruction.

use crate::ir::{BinOp, Body, Const, Expr, Operand, Reg, RegInfo, Stmt, UnOp};
use crate::ir_visit;

pub(super) fn run(body: &mut Body) {
    let code = std::mem::take(&mut body.code);
    body.code = rewrite(code, body);
}

fn rewrite(code: Vec<Stmt>, body: &mut Body) -> Vec<Stmt> {
    let mut out = Vec::with_capacity(code.len());
    for mut statement in code {
        for block in ir_visit::blocks_mut(&mut statement) {
            *block = rewrite(std::mem::take(block), body);
        }
        match statement {
            Stmt::Let(reg, Expr::Binary(op @ (BinOp::Div | BinOp::Rem), a, Operand::Const(divisor)))
                if power(divisor).is_some() =>
            {
                divide(reg, op, a, divisor, body, &mut out);
            }
            statement => out.push(statement),
        }
    }
    out
}

/// The exponent of a power of two above 1 (of either sign, but for the least number).
fn power(divisor: Const) -> Option<u32> {
    if !divisor.ty.is_int() {
        return None;
    }
    let size = divisor.as_i128().unsigned_abs();
    let least = divisor.ty.is_signed() && size >> (divisor.ty.bits() - 1) != 0;
    (size.is_power_of_two() && size > 1 && !least).then(|| size.trailing_zeros())
}

fn divide(reg: Reg, op: BinOp, a: Operand, divisor: Const, body: &mut Body, out: &mut Vec<Stmt>) {
    let ty = divisor.ty;
    let Some(k) = power(divisor) else { return };
    let constant = |value: i128| Operand::Const(Const::int(ty, value));
    let amount = |bits: u32| Operand::Const(Const::u32(bits));
    let mut new = |expr: Expr, out: &mut Vec<Stmt>| {
        body.regs.push(RegInfo { ty, name: None });
        let reg = Reg(body.regs.len() as u32 - 1);
        out.push(Stmt::Let(reg, expr));
        Operand::Reg(reg)
    };
    let low = (1i128 << k) - 1;
    let result = match (op, ty.is_signed()) {
        (BinOp::Div, false) => Expr::Binary(BinOp::Shr, a, amount(k)),
        (_, false) => Expr::Binary(BinOp::And, a, constant(low)),
        (_, true) => {
            // A shift rounds down; a negative dividend has to be raised by the divisor less one to round toward zero.
            let sign = new(Expr::Binary(BinOp::Shr, a, amount(ty.bits() - 1)), out);
            let raise = new(Expr::Binary(BinOp::And, sign, constant(low)), out);
            let raised = new(Expr::Binary(BinOp::Add, a, raise), out);
            if op == BinOp::Rem {
                let multiple = new(Expr::Binary(BinOp::And, raised, constant(!low)), out);
                Expr::Binary(BinOp::Sub, a, multiple)
            } else {
                let quotient = Expr::Binary(BinOp::Shr, raised, amount(k));
                if divisor.as_i128() > 0 { quotient } else { Expr::Unary(UnOp::Neg, new(quotient, out)) }
            }
        }
    };
    out.push(Stmt::Let(reg, result));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Scalar;

    #[test]
    fn only_powers_of_two_above_one_are_shifts() {
        let of = |ty, value| power(Const::int(ty, value));
        assert_eq!(of(Scalar::U32, 8), Some(3));
        assert_eq!(of(Scalar::I8, -64), Some(6));
        assert_eq!(of(Scalar::I8, -128), None);
        assert_eq!(of(Scalar::U8, 128), Some(7));
        assert_eq!(of(Scalar::I32, 1), None);
        assert_eq!(of(Scalar::I32, 0), None);
        assert_eq!(of(Scalar::U64, 1 << 63), Some(63));
        assert_eq!(of(Scalar::I32, 10), None);
    }
}
