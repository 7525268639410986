//! What is known of an integer: the least and the greatest value it can have.
//!
//! Why: most bounds checks are decided by what stands a few lines above: `table[(x & 7) as usize]`, `if i < 8 { cells[i] }`, an index that
//! was checked before. A check that cannot fail costs a compare and a branch, and in a loop it keeps ptxas from unrolling.

use super::scoped::{Mark, Scoped};
use crate::ir::{BinOp, CmpOp, Expr, MathFn, Operand, Reg, Scalar};
use std::collections::HashMap;

/// An inclusive range.
pub(super) type Range = (i128, i128);

/// The values of a type.
pub(super) fn of_type(ty: Scalar) -> Range {
    match (ty, ty.bits()) {
        (Scalar::Bool, _) => (0, 1),
        (_, bits) if ty.is_signed() => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        (_, bits) => (0, (1 << bits) - 1),
    }
}

fn within(inner: Range, outer: Range) -> bool {
    inner.0 >= outer.0 && inner.1 <= outer.1
}

/// The corners of an operation that is monotonic in each operand.
fn corners(f: impl Fn(i128, i128) -> Option<i128>, a: Range, b: Range) -> Option<Range> {
    let all = [f(a.0, b.0)?, f(a.0, b.1)?, f(a.1, b.0)?, f(a.1, b.1)?];
    Some((all.into_iter().min()?, all.into_iter().max()?))
}

/// The range of the exact result of an addition, subtraction or multiplication.
pub(super) fn exact(op: BinOp, a: Range, b: Range) -> Option<Range> {
    match op {
        BinOp::Add => Some((a.0 + b.0, a.1 + b.1)),
        BinOp::Sub => Some((a.0 - b.1, a.1 - b.0)),
        BinOp::Mul => corners(|x, y| x.checked_mul(y), a, b),
        _ => None,
    }
}

/// How far definitions are followed.
const DEPTH: u32 = 6;

/// What is known here.
pub(super) struct Bounds {
    /// Narrower than the type, thanks to conditions that hold here.
    narrowed: Scoped<Reg, Range>,
}

impl Bounds {
    pub(super) fn new() -> Self {
        Self { narrowed: Scoped::new() }
    }

    pub(super) fn mark(&self) -> Mark {
        self.narrowed.mark()
    }

    pub(super) fn rewind(&mut self, mark: Mark) {
        self.narrowed.rewind(mark);
    }

    /// The range of an integer or `bool` operand. `defined` is how registers got their values, `ty` the registers' types.
    pub(super) fn of(
        &self,
        operand: Operand,
        defined: &HashMap<Reg, Expr>,
        ty: &dyn Fn(Operand) -> Scalar,
    ) -> Range {
        self.follow(operand, defined, ty, DEPTH)
    }

    fn follow(
        &self,
        operand: Operand,
        defined: &HashMap<Reg, Expr>,
        ty: &dyn Fn(Operand) -> Scalar,
        depth: u32,
    ) -> Range {
        let reg = match operand {
            Operand::Const(c) => return (c.as_i128(), c.as_i128()),
            Operand::Reg(reg) => reg,
        };
        let full = of_type(ty(operand));
        let mut range = full;
        if depth > 0 {
            let of = |operand: &Operand| {
                let int = !ty(*operand).is_float();
                int.then(|| self.follow(*operand, defined, ty, depth - 1))
            };
            let found = defined.get(&reg).and_then(|expr| derived(expr, &of));
            range = found.filter(|found| within(*found, full)).unwrap_or(full);
        }
        if let Some(narrowed) = self.narrowed.get(&reg) {
            range = (range.0.max(narrowed.0), range.1.min(narrowed.1));
        }
        range
    }

    /// Takes note that the comparison came out as `holds`.
    pub(super) fn learn(
        &mut self,
        comparison: (CmpOp, Operand, Operand),
        holds: bool,
        defined: &HashMap<Reg, Expr>,
        ty: &dyn Fn(Operand) -> Scalar,
    ) {
        let (op, a, b) = comparison;
        if !ty(a).is_int() {
            return;
        }
        let op = if holds { op } else { opposite(op) };
        let (ra, rb) = (self.of(a, defined, ty), self.of(b, defined, ty));
        let (na, nb) = match op {
            CmpOp::Lt => ((ra.0, ra.1.min(rb.1 - 1)), (rb.0.max(ra.0 + 1), rb.1)),
            CmpOp::Le => ((ra.0, ra.1.min(rb.1)), (rb.0.max(ra.0), rb.1)),
            CmpOp::Gt => ((ra.0.max(rb.0 + 1), ra.1), (rb.0, rb.1.min(ra.1 - 1))),
            CmpOp::Ge => ((ra.0.max(rb.0), ra.1), (rb.0, rb.1.min(ra.1))),
            CmpOp::Eq => {
                let both = (ra.0.max(rb.0), ra.1.min(rb.1));
                (both, both)
            }
            CmpOp::Ne => (ra, rb),
        };
        for (operand, range) in [(a, na), (b, nb)] {
            // An empty range means that this is never reached; nothing is gained by saying so.
            if let Operand::Reg(reg) = operand
                && range.0 <= range.1
            {
                self.narrowed.insert(reg, range);
                // A cast that keeps the value narrows what it was cast from, and that is what other casts are made of.
                if let Some(Expr::Cast(from @ Operand::Reg(inner))) = defined.get(&reg)
                    && ty(*from).is_int()
                    && within(of_type(ty(*from)), of_type(ty(operand)))
                {
                    let known = self.of(*from, defined, ty);
                    let both = (range.0.max(known.0), range.1.min(known.1));
                    if both.0 <= both.1 {
                        self.narrowed.insert(*inner, both);
                    }
                }
            }
        }
    }
}

/// The comparison that holds when the first does not (of integers).
pub(super) fn opposite(op: CmpOp) -> CmpOp {
    match op {
        CmpOp::Eq => CmpOp::Ne,
        CmpOp::Ne => CmpOp::Eq,
        CmpOp::Lt => CmpOp::Ge,
        CmpOp::Le => CmpOp::Gt,
        CmpOp::Gt => CmpOp::Le,
        CmpOp::Ge => CmpOp::Lt,
    }
}

/// A range of an expression's value, from its operands'. It may leave the type: then the value wraps, and nothing is known.
fn derived(expr: &Expr, of: &dyn Fn(&Operand) -> Option<Range>) -> Option<Range> {
    match expr {
        Expr::Copy(a) | Expr::Cast(a) => of(a),
        Expr::Binary(op @ (BinOp::Add | BinOp::Sub | BinOp::Mul), a, b) => exact(*op, of(a)?, of(b)?),
        Expr::Binary(BinOp::And, a, b) => {
            // Bits can only go; one side that is not negative bounds the result.
            let (a, b) = (of(a)?, of(b)?);
            match (a.0 >= 0, b.0 >= 0) {
                (true, true) => Some((0, a.1.min(b.1))),
                (true, false) => Some((0, a.1)),
                (false, true) => Some((0, b.1)),
                (false, false) => None,
            }
        }
        Expr::Binary(BinOp::Rem, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            let most = b.0.abs().max(b.1.abs()) - 1;
            Some((if a.0 >= 0 { 0 } else { a.0.max(-most) }, if a.1 <= 0 { 0 } else { a.1.min(most) }))
        }
        Expr::Binary(BinOp::Div, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            if b.0 <= 0 { None } else { corners(|x, y| Some(x / y), a, b) }
        }
        Expr::Binary(BinOp::Shr, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            if b.1 >= 64 { None } else { corners(|x, y| Some(x >> y), a, b) }
        }
        Expr::Select { yes, no, .. } => {
            let (a, b) = (of(yes)?, of(no)?);
            Some((a.0.min(b.0), a.1.max(b.1)))
        }
        Expr::Math(MathFn::Min, operands) => {
            let (a, b) = (of(&operands[0])?, of(&operands[1])?);
            Some((a.0.min(b.0), a.1.min(b.1)))
        }
        Expr::Math(MathFn::Max, operands) => {
            let (a, b) = (of(&operands[0])?, of(&operands[1])?);
            Some((a.0.max(b.0), a.1.max(b.1)))
        }
        Expr::Math(MathFn::CountOnes | MathFn::LeadingZeros | MathFn::TrailingZeros, _) => Some((0, 64)),
        _ => None,
    }
}
