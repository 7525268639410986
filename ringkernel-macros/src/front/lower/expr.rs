//! Values and places.

use super::value::{Dest, Target, Value};
use super::{Lower, Slot};
use crate::front::typed::tree::{ArrayMethod, ConstItem, ContextCall, Expr, Kind};
use crate::front::types::{Prim, Ty};
use crate::ir::{BinOp, CmpOp, Const, Operand, Scalar, UnOp};
use proc_macro2::Span;
use ringkernel_backends::abi::FaultKind;
use std::rc::Rc;

impl Lower<'_, '_> {
    /// Evaluates into a destination. Memory there is fresh: the expression does not read it.
    pub(super) fn eval(&mut self, expr: &Expr, dest: &Dest) {
        if self.b.dead() {
            return;
        }
        let ty = self.ty(&expr.ty);
        match &expr.kind {
            Kind::If { .. }
            | Kind::Match { .. }
            | Kind::Block { .. }
            | Kind::While { .. }
            | Kind::Loop { .. }
            | Kind::For { .. }
            | Kind::Break(..)
            | Kind::Continue(_)
            | Kind::Return(_) => self.control(expr, dest),
            Kind::Call(id, args) => self.call(*id, args, expr.span, dest),
            Kind::Panic(message) => self.fault(FaultKind::Panic, expr.span, message),
            Kind::Assert { condition, message, debug } => {
                if !debug || self.checked {
                    let holds = self.operand(condition);
                    let failed = self.un(UnOp::Not, holds);
                    self.check_with(failed, FaultKind::Panic, expr.span, message);
                }
            }
            Kind::Assign(place, value) => self.assign(place, value, expr.span),
            Kind::AssignOp(op, place, value) => {
                let amount = self.ty(&value.ty);
                let value = self.operand(value);
                let target = self.target(place);
                let ty = self.ty(&place.ty);
                let current = self.load_scalar(&target, &ty);
                let result = self.arith(*op, &ty, current, value, &amount, expr.span);
                self.store(&target, &ty, Value::Scalar(result), expr.span);
            }
            Kind::Swap(left, right) => self.swap(left, right),
            Kind::Array(method, args, span) => self.array_method(*method, args, *span),
            Kind::Aggregate { fields, base } => match dest {
                Dest::Memory(place) => {
                    let target = Target::Memory(place.clone());
                    let mut given = Vec::new();
                    for (i, field) in fields {
                        let to = match &ty {
                            Ty::Array(element, _) => {
                                let index = self.int(self.index, *i as i128);
                                self.element(&target, element, index)
                            }
                            _ => self.project(&target, &ty, *i),
                        };
                        if let Target::Memory(to) = to {
                            self.eval(field, &Dest::Memory(to));
                        }
                        given.push(*i);
                    }
                    if let Some(base) = base {
                        let base = self.target(base);
                        for (i, field) in self.fields(&ty).iter().enumerate() {
                            if !given.contains(&i) {
                                let from = self.project(&base, &ty, i);
                                let value = self.load(&from, field);
                                if let Target::Memory(to) = self.project(&target, &ty, i) {
                                    self.write(&to, field, value);
                                }
                            }
                        }
                    }
                }
                _ => {
                    self.value(expr);
                }
            },
            _ if ty.prim().is_some() => {
                let value = self.operand(expr);
                match dest {
                    Dest::Ignore => {}
                    Dest::Var(var) => self.set(*var, value),
                    Dest::Memory(place) => self.write(&place.clone(), &ty, Value::Scalar(value)),
                }
            }
            _ => {
                let value = self.value(expr);
                if let Dest::Memory(place) = dest {
                    self.write(&place.clone(), &ty, value);
                }
            }
        }
    }

    /// The value of an expression.
    pub(super) fn value(&mut self, expr: &Expr) -> Value {
        let ty = self.ty(&expr.ty);
        match &expr.kind {
            Kind::Ref(mutable, inner) => {
                let target = self.target(inner);
                let target = if *mutable { self.writable(target, inner) } else { target };
                return Value::Ref(Box::new(target));
            }
            Kind::Aggregate { fields, base } => return self.aggregate(&ty, fields, base.as_deref()),
            Kind::Repeat(element, len) => {
                let element_ty = self.ty(&element.ty);
                let value = self.value(element);
                let value = self.own(value, &element_ty);
                return Value::Repeat(Box::new(value), *len);
            }
            Kind::Named(item) if ty.prim().is_none() => return self.named(item),
            Kind::Context(call, _) if ty.prim().is_none() => {
                if let ContextCall::Receive(route) = **call {
                    return self.receive(route, &ty, expr.span);
                }
            }
            Kind::Archived(op, of) if ty.prim().is_none() => return self.archived_value(*op, of),
            Kind::Replace(place, value) => {
                let new = self.value(value);
                let new = self.own(new, &ty);
                let place = self.target_of_ref(place);
                let old = self.load(&place, &ty);
                let old = self.own(old, &ty);
                self.store(&place, &ty, new, expr.span);
                return old;
            }
            Kind::Call(id, args) if ty.prim().is_none() => {
                if let Some(value) = self.call_value(*id, args, expr.span) {
                    return value;
                }
            }
            Kind::Block { label: None, stmts, tail } if ty.prim().is_none() => {
                // References and pieces pass through a block.
                self.stmts(stmts);
                return match tail {
                    Some((tail, source)) => {
                        self.source(source);
                        self.value(tail)
                    }
                    None => Value::Fields(Vec::new()),
                };
            }
            _ if ty.prim().is_some() => return Value::Scalar(self.operand(expr)),
            Kind::Local(_) | Kind::Deref(_) | Kind::Field(..) | Kind::Index(..) => {
                let target = self.target(expr);
                return self.load(&target, &ty);
            }
            _ => {}
        }
        match ty {
            Ty::Never => {
                self.eval(expr, &Dest::Ignore);
                Value::Fields(Vec::new())
            }
            ty if ty.is_unit() => {
                self.eval(expr, &Dest::Ignore);
                Value::Fields(Vec::new())
            }
            Ty::Error => self.lost(),
            ty if self.is_opaque(&ty) => {
                if !self.b.dead() {
                    self.error(
                        expr.span,
                        "a reference that depends on control flow cannot run on a device yet; choose an index instead",
                    );
                }
                Value::Fields(Vec::new())
            }
            ty => {
                let place = self.memory(&ty, "value", true);
                self.eval(expr, &Dest::Memory(place.clone()));
                Value::Memory(place)
            }
        }
    }

    fn aggregate(&mut self, ty: &Ty, fields: &[(usize, Expr)], base: Option<&Expr>) -> Value {
        let types = match ty {
            Ty::Array(element, len) => vec![(**element).clone(); *len as usize],
            ty => self.fields(ty),
        };
        let mut values: Vec<Option<Value>> = vec![None; types.len()];
        for (i, field) in fields {
            let value = self.value(field);
            if let Some(slot) = values.get_mut(*i) {
                *slot = Some(self.own(value, &types[*i]));
            }
        }
        if let Some(base) = base {
            let base = self.target(base);
            for (i, field) in types.iter().enumerate() {
                if values[i].is_none() {
                    let from = self.project(&base, ty, i);
                    let value = self.load(&from, field);
                    values[i] = Some(self.own(value, field));
                }
            }
        }
        Value::Fields(values.into_iter().map(|v| v.unwrap_or_else(|| self.lost())).collect())
    }

    /// The value of a scalar expression.
    pub(super) fn operand(&mut self, expr: &Expr) -> Operand {
        let ty = self.ty(&expr.ty);
        if self.b.dead() {
            return self.zero(&ty);
        }
        let Some(prim) = ty.prim() else {
            self.eval(expr, &Dest::Ignore);
            if ty != Ty::Never && ty != Ty::Error {
                self.defer(expr.span, "a number or a `bool` is expected here");
            }
            return self.zero(&ty);
        };
        let scalar = self.scalar(prim);
        match &expr.kind {
            Kind::Int(value) => self.constant(prim, Const::int(prim.wide(), *value as i128)),
            Kind::Float(digits) => {
                // Each width is rounded from the digits once.
                Operand::Const(if scalar == Scalar::F32 {
                    Const::f32(digits.parse().unwrap_or(f32::NAN))
                } else {
                    Const::f64(digits.parse().unwrap_or(f64::NAN))
                })
            }
            Kind::Bool(value) => self.truth(*value),
            Kind::Constant(value) => self.constant(prim, *value),
            Kind::Named(item) => match self.named(item) {
                Value::Scalar(operand) => operand,
                _ => self.lost_scalar(&ty),
            },
            Kind::Local(_) | Kind::Field(..) | Kind::Index(..) | Kind::Deref(_) => {
                let target = self.target(expr);
                self.load_scalar(&target, &ty)
            }
            Kind::Neg(inner) => match &inner.kind {
                Kind::Int(value) => {
                    self.constant(prim, Const::int(prim.wide(), (*value as i128).wrapping_neg()))
                }
                _ => {
                    let value = self.operand(inner);
                    self.negate(prim, value, expr.span)
                }
            },
            Kind::Not(inner) => {
                if prim == Prim::Usize && self.index == Scalar::U32 {
                    self.wants_wide = true;
                }
                let value = self.operand(inner);
                self.un(UnOp::Not, value)
            }
            Kind::Binary(op, left, right) => {
                let amount = self.ty(&right.ty);
                let left = self.operand(left);
                let right = self.operand(right);
                self.arith(*op, &ty, left, right, &amount, expr.span)
            }
            Kind::Compare(op, left, right) => self.compare(*op, left, right),
            Kind::And(left, right) => self.short_circuit(left, right, true),
            Kind::Or(left, right) => self.short_circuit(left, right, false),
            Kind::Cast(inner) => {
                let from = self.ty(&inner.ty);
                let value = self.operand(inner);
                match from.prim() {
                    Some(from) => self.cast(value, from, prim, expr.span),
                    None => {
                        if from != Ty::Never && from != Ty::Error {
                            self.defer(expr.span, "only numbers and `bool` can be cast");
                        }
                        self.zero(&ty)
                    }
                }
            }
            Kind::Archived(op, of) => self.archived_scalar(*op, of, &ty),
            Kind::Number(method, args, span) => self.number(method, args, *span),
            Kind::Instance => self.emit(Scalar::U32, crate::ir::Expr::Instance),
            Kind::Context(call, args) => self.context(call, args, &ty, expr.span),
            Kind::Replace(..) => match self.value_of_replace(expr) {
                Value::Scalar(operand) => operand,
                _ => self.lost_scalar(&ty),
            },
            Kind::Block { label: None, stmts, tail } => {
                self.stmts(stmts);
                match tail {
                    Some((tail, source)) => {
                        self.source(source);
                        self.operand(tail)
                    }
                    None => self.zero(&ty),
                }
            }
            Kind::Call(id, args) => self.call_operand(*id, args, expr.span, scalar),
            Kind::Error => self.lost_scalar(&ty),
            _ => {
                let var = self.b.var(scalar, "value");
                self.eval(expr, &Dest::Var(var));
                self.read(var)
            }
        }
    }

    fn value_of_replace(&mut self, expr: &Expr) -> Value {
        let Kind::Replace(place, value) = &expr.kind else { return self.lost() };
        let ty = self.ty(&expr.ty);
        let place = self.target_of_ref(place);
        let new = self.operand(value);
        let old = self.load(&place, &ty);
        self.store(&place, &ty, Value::Scalar(new), expr.span);
        old
    }

    /// A constant, given with `usize` as 64 bits.
    pub(super) fn constant(&mut self, prim: Prim, value: Const) -> Operand {
        let scalar = self.scalar(prim);
        if scalar == value.ty {
            return Operand::Const(value);
        }
        let narrow = Const::int(scalar, value.as_i128());
        if narrow.as_i128() != value.as_i128() {
            self.wants_wide = true;
        }
        Operand::Const(narrow)
    }

    /// The value of a constant item: folded from its expression.
    fn named(&mut self, item: &Rc<ConstItem>) -> Value {
        if self.frames.len() > 64 {
            return self.lost(); // it needs itself
        }
        let body = item.body.clone();
        let frame = self.new_frame(body.clone(), super::Return::Finish, Dest::Ignore);
        self.frames.push(frame);
        let value = self.value(&body.value);
        self.frames.pop();
        value
    }

    /// A constant array in memory, filled before anything else runs.
    fn table(&mut self, item: &Rc<ConstItem>) -> crate::ir::Place {
        let key = Rc::as_ptr(item) as usize;
        if let Some(place) = self.tables.get(&key) {
            return place.clone();
        }
        let place = self.memory(&item.ty, &item.name, true);
        self.b.open_live();
        let value = self.named(item);
        self.write(&place, &item.ty, value);
        let (stmts, _) = self.b.close();
        self.b.prologue.extend(stmts);
        self.tables.insert(key, place.clone());
        place
    }

    /// The place that an expression names, or its value if it names none.
    pub(super) fn target(&mut self, expr: &Expr) -> Target {
        match &expr.kind {
            Kind::Local(id) => match self.frame().slots[id.0].clone() {
                Slot::Value(value) => Target::Value(value),
                Slot::Var(var) => Target::Var(var),
                Slot::Memory(place) => Target::Memory(place),
                Slot::Unset => Target::Value(self.lost()),
            },
            Kind::Deref(inner) => self.target_of_ref(inner),
            Kind::Field(base, index) => {
                let ty = self.ty(&base.ty);
                let base = self.target(base);
                self.project(&base, &ty, *index)
            }
            Kind::Index(base, index) => {
                let (element, len) = match self.ty(&base.ty) {
                    Ty::Array(element, len) => (element, len),
                    Ty::Archived(arch) => return self.archived_index(base, &arch, index, expr.span),
                    _ => return Target::Value(self.lost()),
                };
                let mut target = if let Kind::Named(_) = base.kind { None } else { Some(self.target(base)) };
                let index = self.operand(index);
                self.check_index(index, len, expr.span);
                if let Kind::Named(item) = &base.kind {
                    target = Some(match index {
                        Operand::Const(_) => Target::Value(self.named(item)),
                        Operand::Reg(_) => Target::Memory(self.table(item)),
                    });
                }
                match target {
                    Some(target) if !self.b.dead() => self.element(&target, &element, index),
                    _ => self.nowhere(&element),
                }
            }
            _ => Target::Value(self.value(expr)),
        }
    }

    /// A value that is never looked at: control does not get there.
    fn nowhere(&mut self, ty: &Ty) -> Target {
        Target::Value(if ty.prim().is_some() {
            Value::Scalar(self.zero(ty))
        } else {
            Value::Fields(Vec::new())
        })
    }

    /// The place that a reference points to.
    pub(super) fn target_of_ref(&mut self, expr: &Expr) -> Target {
        match self.value(expr) {
            Value::Ref(target) => *target,
            other => Target::Value(other),
        }
    }

    /// A temporary that `&mut` may change.
    fn writable(&mut self, target: Target, expr: &Expr) -> Target {
        match target {
            Target::Value(value) if !matches!(value, Value::Ref(_) | Value::Context) => {
                let ty = self.ty(&expr.ty);
                if let (Value::Scalar(operand), Some(prim)) = (&value, ty.prim()) {
                    let scalar = self.scalar(prim);
                    let var = self.b.var(scalar, "value");
                    self.set(var, *operand);
                    return Target::Var(var);
                }
                let place = self.memory(&ty, "value", false);
                self.write(&place, &ty, value);
                Target::Memory(place)
            }
            target => target,
        }
    }

    fn check_index(&mut self, index: Operand, len: u64, span: Span) {
        let len = self.int(self.index, len as i128);
        let failed = self.cmp(CmpOp::Ge, index, len);
        self.check(failed, FaultKind::IndexOutOfBounds, span);
    }

    fn assign(&mut self, place: &Expr, value: &Expr, span: Span) {
        let ty = self.ty(&place.ty);
        if let Kind::Underscore = place.kind {
            return self.eval(value, &Dest::Ignore);
        }
        if ty.prim().is_some() {
            let value = self.operand(value);
            let target = self.target(place);
            return self.store(&target, &ty, Value::Scalar(value), span);
        }
        let mut result = self.value(value);
        if place.writes() || matches!(place.kind, Kind::Aggregate { .. }) {
            // `(a, b) = (b, a)`: the right side is complete before anything is written.
            result = self.own(result, &ty);
        }
        self.assign_value(place, &Target::Value(result), span);
    }

    /// Assigns to a place, or to each of several.
    fn assign_value(&mut self, place: &Expr, from: &Target, span: Span) {
        let ty = self.ty(&place.ty);
        match &place.kind {
            Kind::Underscore => {}
            Kind::Aggregate { fields, base: None } => {
                for (i, part) in fields {
                    let from = match &ty {
                        Ty::Array(element, _) => {
                            let index = self.int(self.index, *i as i128);
                            self.element(from, element, index)
                        }
                        _ => self.project(from, &ty, *i),
                    };
                    self.assign_value(part, &from, span);
                }
            }
            _ => {
                let value = self.load(from, &ty);
                let target = self.target(place);
                self.store(&target, &ty, value, span);
            }
        }
    }

    fn swap(&mut self, left: &Expr, right: &Expr) {
        let Ty::Ref(_, ty) = self.ty(&left.ty) else { return };
        let (left_target, right_target) = (self.target_of_ref(left), self.target_of_ref(right));
        self.exchange(&left_target, &right_target, &ty, left.span);
    }

    fn exchange(&mut self, left: &Target, right: &Target, ty: &Ty, span: Span) {
        let (a, b) = (self.load(left, ty), self.load(right, ty));
        let a = self.own(a, ty);
        self.store(left, ty, b, span);
        self.store(right, ty, a, span);
    }

    fn array_method(&mut self, method: ArrayMethod, args: &[Expr], span: Span) {
        let Ty::Array(element, len) = self.ty(&args[0].ty) else { return };
        let array = self.target(&args[0]);
        match method {
            ArrayMethod::Swap => {
                let (i, j) = (self.operand(&args[1]), self.operand(&args[2]));
                self.check_index(i, len, span);
                self.check_index(j, len, span);
                if !self.b.dead() {
                    let (left, right) =
                        (self.element(&array, &element, i), self.element(&array, &element, j));
                    self.exchange(&left, &right, &element, span);
                }
            }
            ArrayMethod::Fill => {
                let value = self.value(&args[1]);
                let value = self.own(value, &element);
                self.each_element(len, &element, &mut |this, index| {
                    let target = this.element(&array, &element, index);
                    this.store(&target, &element, value.clone(), span);
                });
            }
        }
    }

    fn short_circuit(&mut self, left: &Expr, right: &Expr, is_and: bool) -> Operand {
        let left = self.operand(left);
        if let Operand::Const(c) = left {
            return if c.is_true() == is_and { self.operand(right) } else { left };
        }
        if right.is_speculable() {
            let right = self.operand(right);
            return self.bin(if is_and { BinOp::And } else { BinOp::Or }, left, right);
        }
        let var = self.b.var(Scalar::Bool, if is_and { "and" } else { "or" });
        self.set(var, left);
        let compute = |this: &mut Self| {
            let right = this.operand(right);
            this.set(var, right);
        };
        if is_and {
            self.branch(left, compute, |_| {});
        } else {
            self.branch(left, |_| {}, compute);
        }
        self.read(var)
    }
}
