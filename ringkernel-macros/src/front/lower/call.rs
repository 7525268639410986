//! Calls: inlining.

use super::value::{Dest, Target, Value};
use super::{Lower, Return};
use crate::front::typed::tree::{Body, Expr, FnId};
use crate::ir::{self, Operand, Scalar};
use proc_macro2::Span;
use std::rc::Rc;

impl Lower<'_, '_> {
    /// Evaluates the arguments in the caller; the callee's body, or `None` after a mistake.
    fn enter_call(&mut self, id: FnId, args: &[Expr], span: Span) -> Option<(Rc<Body>, Vec<Value>)> {
        if self.calls.contains(&id) {
            let name = self.env.function(id).0.name.clone();
            self.error(
                span,
                format!(
                    "`{name}` calls itself, which cannot run on a device: functions are inlined; write a loop"
                ),
            );
            return None;
        }
        let body = self.env.body(id)?;
        let mut values = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            let value = self.value(arg);
            let later_writes = args[i + 1..].iter().any(Expr::writes);
            let ty = self.ty(&arg.ty);
            values.push(if later_writes { self.own(value, &ty) } else { value });
        }
        if self.b.dead() { None } else { Some((body, values)) }
    }

    /// Runs `inner` in the callee, with the parameters bound.
    fn inlined<T>(
        &mut self,
        id: FnId,
        body: &Rc<Body>,
        values: Vec<Value>,
        ret: Return,
        dest: &Dest,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let frame = self.new_frame(body.clone(), ret, dest.clone());
        self.frames.push(frame);
        self.calls.push(id);
        for (pat, value) in body.params.iter().zip(values) {
            self.bind(pat, Target::Value(value));
        }
        let result = inner(self);
        self.calls.pop();
        self.frames.pop();
        result
    }

    /// A call whose result goes somewhere.
    pub(super) fn call(&mut self, id: FnId, args: &[Expr], span: Span, dest: &Dest) {
        let Some((body, values)) = self.enter_call(id, args, span) else { return };
        let never = body.table.deep(&body.ret) == crate::front::types::Ty::Never;
        let dest = if body.ret.is_unit() { &Dest::Ignore } else { dest };
        if body.value.returns() {
            self.block(|this, label| {
                this.inlined(id, &body, values, Return::Break(label), dest, |this| {
                    this.eval(&body.value, dest)
                });
            });
        } else {
            self.inlined(id, &body, values, Return::Finish, dest, |this| this.eval(&body.value, dest));
        }
        if never && !self.b.dead() {
            self.b.stop();
        }
    }

    /// A call whose result is a scalar.
    pub(super) fn call_operand(&mut self, id: FnId, args: &[Expr], span: Span, ty: Scalar) -> Operand {
        let Some((body, values)) = self.enter_call(id, args, span) else {
            return Operand::Const(ir::Const { ty, bits: 0 });
        };
        if !body.value.returns() {
            return self
                .inlined(id, &body, values, Return::Finish, &Dest::Ignore, |this| this.operand(&body.value));
        }
        let name = self.env.function(id).0.name.clone();
        let var = self.b.var(ty, &name);
        let dest = Dest::Var(var);
        self.block(|this, label| {
            this.inlined(id, &body, values, Return::Break(label), &dest, |this| {
                this.eval(&body.value, &dest)
            });
        });
        self.read(var)
    }

    /// A call whose result is an aggregate or a reference, where it can be had without memory of its own; the arguments are not evaluated
    /// otherwise.
    pub(super) fn call_value(&mut self, id: FnId, args: &[Expr], span: Span) -> Option<Value> {
        let ret = self.env.signature(id).ret;
        if !self.is_opaque(&ret) {
            return None;
        }
        let Some((body, values)) = self.enter_call(id, args, span) else {
            return Some(Value::Fields(Vec::new()));
        };
        if body.value.returns() {
            self.error(
                span,
                "a function that returns a reference early cannot run on a device; return an index instead",
            );
            return Some(Value::Fields(Vec::new()));
        }
        Some(self.inlined(id, &body, values, Return::Finish, &Dest::Ignore, |this| this.value(&body.value)))
    }
}
