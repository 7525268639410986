//! `for` loops, over ranges and arrays.

use super::Lower;
use super::value::{Dest, Target, Value};
use crate::front::typed::tree::{Expr, Iter, LoopId, Pat};
use crate::front::types::{Prim, Ty, unsigned};
use crate::ir::{self, BinOp, CmpOp, Const, Operand};
use crate::ir_eval::range;
use proc_macro2::Span;
use ringkernel_backends::abi::FaultKind;

/// A range whose ends are at hand.
struct Range {
    prim: Prim,
    low: Operand,
    high: Operand,
    inclusive: bool,
}

impl Lower<'_, '_> {
    pub(super) fn for_loop(&mut self, id: LoopId, pat: &Pat, iter: &Iter, body: &Expr) {
        match iter {
            Iter::Range { low, high, inclusive, reversed, step, reversed_after } => {
                let ty = self.ty(&low.ty);
                let prim = match ty.prim() {
                    Some(prim) if prim.is_int() => prim,
                    _ => return self.defer(low.span, "a range to loop over has integer ends"),
                };
                let low = self.operand(low);
                let high = self.operand(high);
                let range = Range { prim, low, high, inclusive: *inclusive };
                match step {
                    Some((step, span)) => {
                        let step = self.operand(step);
                        self.stepped(id, pat, range, *reversed, step, *reversed_after, *span, body);
                    }
                    None => self.plain(id, pat, range, *reversed != *reversed_after, body),
                }
            }
            Iter::Array { array, by_ref, reversed, enumerated } => {
                self.over_array(id, pat, array, *by_ref, *reversed, *enumerated, body);
            }
        }
    }

    /// One round: the item bound, the body run.
    fn round(&mut self, id: LoopId, label: ir::Label, pat: &Pat, item: Value, body: &Expr) {
        self.exit(id, label, Dest::Ignore, Ty::unit());
        self.bind(pat, Target::Value(item));
        self.eval(body, &Dest::Ignore);
    }

    /// A range without `step_by`.
    fn plain(&mut self, id: LoopId, pat: &Pat, range_: Range, reversed: bool, body: &Expr) {
        let Range { prim, low, mut high, mut inclusive } = range_;
        let ty = self.scalar(prim);
        let one = self.int(ty, 1);
        if let (true, Operand::Const(end)) = (inclusive, high)
            && end.as_i128() < range(ty).1
        {
            high = Operand::Const(Const::int(ty, end.as_i128() + 1));
            inclusive = false;
        }
        let counter = self.b.var(ty, "i");
        match (inclusive, reversed) {
            (false, false) => {
                self.set(counter, low);
                self.repeat(
                    |this, label| {
                        let i = this.read(counter);
                        let more = this.cmp(CmpOp::Lt, i, high);
                        this.break_unless(more, label);
                        this.round(id, label, pat, Value::Scalar(i), body);
                    },
                    |this| {
                        // Below `high`, so one more does not overflow.
                        let i = this.read(counter);
                        let next = this.bin(BinOp::Add, i, one);
                        this.set(counter, next);
                    },
                );
            }
            (false, true) => {
                self.set(counter, high);
                self.repeat(
                    |this, label| {
                        let above = this.read(counter);
                        let more = this.cmp(CmpOp::Gt, above, low);
                        this.break_unless(more, label);
                        let i = this.bin(BinOp::Sub, above, one);
                        this.set(counter, i);
                        this.round(id, label, pat, Value::Scalar(i), body);
                    },
                    |_| {},
                );
            }
            // Up to and with `high`, which may be the last number there is: a flag says when to stop.
            (true, _) => {
                let (first, last, op) =
                    if reversed { (high, low, BinOp::Sub) } else { (low, high, BinOp::Add) };
                let more = self.cmp(CmpOp::Le, low, high);
                let more = self.flag("more", more);
                self.set(counter, first);
                self.repeat(
                    |this, label| {
                        let go = this.read(more);
                        this.break_unless(go, label);
                        let i = this.read(counter);
                        this.round(id, label, pat, Value::Scalar(i), body);
                    },
                    |this| {
                        let i = this.read(counter);
                        let go = this.cmp(CmpOp::Ne, i, last);
                        this.set(more, go);
                        let next = this.bin(op, i, one);
                        this.set(counter, next);
                    },
                );
            }
        }
    }

    /// A range with `step_by`, reversed before it or after it or neither.
    #[allow(clippy::too_many_arguments)]
    fn stepped(
        &mut self,
        id: LoopId,
        pat: &Pat,
        range_: Range,
        reversed: bool,
        step: Operand,
        reversed_after: bool,
        span: Span,
        body: &Expr,
    ) {
        let Range { prim, low, high, inclusive } = range_;
        let zero = self.int(self.index, 0);
        let failed = self.cmp(CmpOp::Eq, step, zero);
        self.check(failed, FaultKind::InvalidArgument, span);
        let ty = self.scalar(prim);
        let one = self.int(ty, 1);
        // With both ends included; the flag guards what wraps where the range is empty.
        let some = self.cmp(if inclusive { CmpOp::Le } else { CmpOp::Lt }, low, high);
        let high = if inclusive { high } else { self.bin(BinOp::Sub, high, one) };
        // Distances are unsigned, and as wide as the wider of the number and the step.
        let wide = if ty.bits() > self.index.bits() { unsigned(ty) } else { self.index };
        let step_wide = self.convert(step, wide);
        let step_own = self.convert(step, ty);
        let distance = |this: &mut Self, from: Operand, to: Operand| {
            let (from, to) = (this.convert(from, unsigned(ty)), this.convert(to, unsigned(ty)));
            let distance = this.bin(BinOp::Sub, to, from);
            this.convert(distance, wide)
        };
        let (first, last, down) = match (reversed, reversed_after) {
            (false, false) => (low, high, false),
            (true, false) => (high, low, true),
            // The last number that the forward loop reaches, and from there back.
            (before, true) => {
                let span = distance(self, low, high);
                let past = self.bin(BinOp::Rem, span, step_wide);
                let past = self.convert(past, ty);
                if before {
                    (self.bin(BinOp::Add, low, past), high, false)
                } else {
                    (self.bin(BinOp::Sub, high, past), low, true)
                }
            }
        };
        let counter = self.b.var(ty, "i");
        let more = self.flag("more", some);
        self.set(counter, first);
        self.repeat(
            |this, label| {
                let go = this.read(more);
                this.break_unless(go, label);
                let i = this.read(counter);
                this.round(id, label, pat, Value::Scalar(i), body);
            },
            |this| {
                let i = this.read(counter);
                let left = if down { distance(this, last, i) } else { distance(this, i, last) };
                let go = this.cmp(CmpOp::Ge, left, step_wide);
                this.set(more, go);
                let next = this.bin(if down { BinOp::Sub } else { BinOp::Add }, i, step_own);
                this.set(counter, next);
            },
        );
    }

    #[allow(clippy::too_many_arguments)]
    fn over_array(
        &mut self,
        id: LoopId,
        pat: &Pat,
        array: &Expr,
        by_ref: Option<bool>,
        reversed: bool,
        enumerated: bool,
        body: &Expr,
    ) {
        let ty = self.ty(&array.ty);
        if let Ty::Archived(arch) = &ty {
            if let Some(run) = self.run(array, arch) {
                let item = |this: &mut Self, k: Operand| Value::Ref(Box::new(this.element_of(&run, k)));
                self.over(id, pat, (run.len, reversed), enumerated, item, body);
            }
            return;
        }
        let Ty::Array(element, len) = ty.clone() else { return };
        let target = match by_ref {
            Some(_) => self.target(array),
            // By value: the loop runs over the array as it was.
            None => {
                let value = self.value(array);
                Target::Value(if body.writes() { self.own(value, &ty) } else { value })
            }
        };
        // Pieces are put into memory, so that they can be indexed.
        let target = match target {
            Target::Value(value @ (Value::Fields(_) | Value::Repeat(..))) if !self.is_opaque(&ty) => {
                Target::Memory(self.materialise(value, &ty, "array"))
            }
            target => target,
        };
        let high = self.int(self.index, len as i128);
        let item = |this: &mut Self, k: Operand| {
            let place = this.element(&target, &element, k);
            match by_ref {
                Some(_) => Value::Ref(Box::new(place)),
                None => this.load(&place, &element),
            }
        };
        self.over(id, pat, (high, reversed), enumerated, item, body);
    }

    /// Runs over the items from 0 to `high`, or back.
    fn over(
        &mut self,
        id: LoopId,
        pat: &Pat,
        (high, reversed): (Operand, bool),
        enumerated: bool,
        item: impl Fn(&mut Self, Operand) -> Value,
        body: &Expr,
    ) {
        let index = self.index;
        let low = self.int(index, 0);
        let one = self.int(index, 1);
        let counter = self.b.var(index, "k");
        let item = |this: &mut Self, k: Operand| {
            let item = item(this, k);
            if enumerated { Value::Fields(vec![Value::Scalar(k), item]) } else { item }
        };
        self.set(counter, if reversed { high } else { low });
        self.repeat(
            |this, label| {
                let k = this.read(counter);
                let k = if reversed {
                    let more = this.cmp(CmpOp::Gt, k, low);
                    this.break_unless(more, label);
                    let k = this.bin(BinOp::Sub, k, one);
                    this.set(counter, k);
                    k
                } else {
                    let more = this.cmp(CmpOp::Lt, k, high);
                    this.break_unless(more, label);
                    k
                };
                let item = item(this, k);
                this.round(id, label, pat, item, body);
            },
            |this| {
                if !reversed {
                    let k = this.read(counter);
                    let next = this.bin(BinOp::Add, k, one);
                    this.set(counter, next);
                }
            },
        );
    }
}
