//! Blocks, branches, matches, loops, and what leaves them.

use super::value::{Dest, Target, Value};
use super::{Exit, Lower, Return, Slot};
use crate::front::parse::ast::Source;
use crate::front::typed::tree::{Arm, Expr, Kind, LoopId, Pat, PatKind, Stmt, StmtKind};
use crate::front::types::Ty;
use crate::ir::{self, BinOp, Operand, Scalar};

/// Matches of more arms are a list of tests, not a nest of branches: devices limit how deep those go.
const NEST: usize = 8;

impl Lower<'_, '_> {
    /// Notes which of the user's lines follows.
    pub(super) fn source(&mut self, source: &Source) {
        if !source.text.is_empty() && !source.text.starts_with('{') {
            let line = crate::location::of(source.span).line;
            self.b.push(ir::Stmt::Source { line, text: source.text.clone() });
        }
    }

    pub(super) fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if self.b.dead() || self.b.too_long() {
                return;
            }
            self.source(&stmt.source);
            match &stmt.kind {
                StmtKind::Expr(expr) => self.eval(expr, &Dest::Ignore),
                StmtKind::Let { pat, init: Some(init), otherwise: Some(otherwise) } => {
                    self.let_else(pat, init, otherwise);
                }
                StmtKind::Let { pat, init, .. } => self.let_stmt(pat, init.as_ref()),
            }
        }
    }

    fn let_stmt(&mut self, pat: &Pat, init: Option<&Expr>) {
        let Some(init) = init else { return self.declare(pat) };
        if let PatKind::Bind { local, by_ref: false, sub: None } = &pat.kind {
            let info = self.frame().body.locals[local.0].clone();
            let ty = self.ty(&info.ty);
            if ty.prim().is_none() && !self.is_opaque(&ty) && self.scalars(&ty) > 0 && !init.is_place() {
                // Built where it will live.
                let place = self.memory(&ty, &info.name, !info.mutable);
                self.eval(init, &Dest::Memory(place.clone()));
                self.frame().slots[local.0] = Slot::Memory(place);
                return;
            }
        }
        if let PatKind::Bind { local, by_ref: false, sub: None } = &pat.kind
            && init.is_control()
            && let Some(prim) = self.ty(&pat.ty).prim()
        {
            // The branches set the user's own variable.
            let info = self.frame().body.locals[local.0].clone();
            let scalar = self.scalar(prim);
            let var = self.b.var(scalar, &info.name);
            self.eval(init, &Dest::Var(var));
            self.frame().slots[local.0] = if info.mutable {
                Slot::Var(var)
            } else {
                let value = self.read(var);
                self.name(value, &info.name);
                Slot::Value(Value::Scalar(value))
            };
            return;
        }
        let target = if init.is_place() && !matches!(pat.kind, PatKind::Bind { by_ref: false, .. }) {
            self.target(init)
        } else {
            Target::Value(self.value(init))
        };
        self.bind(pat, target);
    }

    /// `let pat = init else { otherwise };`
    fn let_else(&mut self, pat: &Pat, init: &Expr, otherwise: &Expr) {
        let subject = if init.is_place() { self.target(init) } else { Target::Value(self.value(init)) };
        if self.b.dead() {
            return;
        }
        let matches = self.test(pat, &subject);
        self.branch(matches, |_| {}, |this| this.eval(otherwise, &Dest::Ignore));
        self.bind(pat, subject);
    }

    /// A `let` without a value: room for one.
    fn declare(&mut self, pat: &Pat) {
        match &pat.kind {
            PatKind::Bind { local, .. } => {
                let info = self.frame().body.locals[local.0].clone();
                let ty = self.ty(&info.ty);
                self.frame().slots[local.0] = match ty.prim() {
                    Some(prim) => {
                        let scalar = self.scalar(prim);
                        Slot::Var(self.b.var(scalar, &info.name))
                    }
                    None if self.is_opaque(&ty) => Slot::Unset,
                    None if self.scalars(&ty) == 0 => Slot::Value(Value::Fields(Vec::new())),
                    None => Slot::Memory(self.memory(&ty, &info.name, false)),
                };
            }
            PatKind::Fields(fields) => fields.iter().for_each(|(_, p)| self.declare(p)),
            _ => {}
        }
    }

    /// Evaluates a control expression into a destination.
    pub(super) fn control(&mut self, expr: &Expr, dest: &Dest) {
        match &expr.kind {
            Kind::Block { label: None, stmts, tail } => {
                self.stmts(stmts);
                if let Some((tail, source)) = tail {
                    if !(stmts.is_empty() && tail.is_speculable()) {
                        self.source(source);
                    }
                    self.eval(tail, dest);
                }
            }
            Kind::Block { label: Some(id), stmts, tail } => {
                let ty = self.ty(&expr.ty);
                self.b_block(*id, ty, dest, |this| {
                    this.stmts(stmts);
                    if let Some((tail, source)) = tail {
                        this.source(source);
                        this.eval(tail, dest);
                    }
                });
            }
            Kind::If { condition, then, otherwise } => {
                let condition = self.operand(condition);
                self.branch(
                    condition,
                    |this| this.eval(then, dest),
                    |this| {
                        if let Some(otherwise) = otherwise {
                            this.eval(otherwise, dest);
                        }
                    },
                );
            }
            Kind::Match { scrutinee, arms } => self.matching(scrutinee, arms, dest),
            Kind::While { id, condition, body } => {
                self.repeat(
                    |this, label| {
                        this.exit(*id, label, Dest::Ignore, Ty::unit());
                        let condition = this.operand(condition);
                        this.break_unless(condition, label);
                        this.eval(body, &Dest::Ignore);
                    },
                    |_| {},
                );
            }
            Kind::Loop { id, body } => {
                let ty = self.ty(&expr.ty);
                self.repeat(
                    |this, label| {
                        this.exit(*id, label, dest.clone(), ty);
                        this.eval(body, &Dest::Ignore);
                    },
                    |_| {},
                );
            }
            Kind::For { id, pat, iter, body } => self.for_loop(*id, pat, iter, body),
            Kind::Break(id, value) => {
                let Some(exit) = self.frame().exits.get(id).cloned() else { return };
                if let Some(value) = value {
                    self.eval_as(value, &exit.ty, &exit.dest);
                }
                self.b.push(ir::Stmt::Break(exit.label));
            }
            Kind::Continue(id) => {
                let Some(exit) = self.frame().exits.get(id).cloned() else { return };
                self.b.push(ir::Stmt::Continue(exit.label));
            }
            Kind::Return(value) => {
                let dest = self.frame().dest.clone();
                if let Some(value) = value {
                    let ret = self.frame().body.ret.clone();
                    self.eval_as(value, &ret, &dest);
                }
                let stmt = match self.frame().ret {
                    Return::Finish => ir::Stmt::Finish,
                    Return::Break(label) => ir::Stmt::Break(label),
                };
                self.b.push(stmt);
            }
            _ => {}
        }
    }

    /// Evaluates into a destination, if a value of the type has anything to be written.
    fn eval_as(&mut self, value: &Expr, ty: &Ty, dest: &Dest) {
        let dest = if ty.is_unit() { &Dest::Ignore } else { dest };
        self.eval(value, dest);
    }

    fn b_block(&mut self, id: LoopId, ty: Ty, dest: &Dest, body: impl FnOnce(&mut Self)) {
        let dest = dest.clone();
        self.block(|this, label| {
            this.exit(id, label, dest, ty);
            body(this);
        });
    }

    /// Says where `break` of a loop goes.
    pub(super) fn exit(&mut self, id: LoopId, label: ir::Label, dest: Dest, ty: Ty) {
        self.frame().exits.insert(id, Exit { label, dest, ty });
    }

    fn matching(&mut self, scrutinee: &Expr, arms: &[Arm], dest: &Dest) {
        let ty = self.ty(&scrutinee.ty);
        let subject = if scrutinee.is_place() {
            let target = self.target(scrutinee);
            let by_ref = arms.iter().any(|arm| binds_by_ref(&arm.pat));
            if ty.prim().is_some() && !by_ref { Target::Value(self.load(&target, &ty)) } else { target }
        } else {
            Target::Value(self.value(scrutinee))
        };
        if self.b.dead() {
            return;
        }
        if arms.is_empty() {
            return self.b.stop(); // a match on a value that cannot exist
        }
        if arms.len() <= NEST && arms.iter().all(|arm| arm.guard.is_none()) {
            return self.nested(&subject, arms, dest);
        }
        self.block(|this, label| {
            for (i, arm) in arms.iter().enumerate() {
                let last = i + 1 == arms.len() && arm.guard.is_none();
                let test = if last { this.truth(true) } else { this.test(&arm.pat, &subject) };
                let taken = |this: &mut Self| {
                    this.bind(&arm.pat, subject.clone());
                    match &arm.guard {
                        Some(guard) => {
                            let guard = this.operand(guard);
                            this.branch(
                                guard,
                                |this| {
                                    this.eval(&arm.body, dest);
                                    this.b.push(ir::Stmt::Break(label));
                                },
                                |_| {},
                            );
                        }
                        None => {
                            this.eval(&arm.body, dest);
                            this.b.push(ir::Stmt::Break(label));
                        }
                    }
                };
                this.branch(test, taken, |_| {});
            }
            // The arms are exhaustive: rustc has seen to that.
            if !this.b.dead() {
                this.b.stop();
            }
        });
    }

    /// A chain of branches; the last arm needs no test.
    fn nested(&mut self, subject: &Target, arms: &[Arm], dest: &Dest) {
        let [arm, rest @ ..] = arms else { return };
        let test = if rest.is_empty() { self.truth(true) } else { self.test(&arm.pat, subject) };
        self.branch(
            test,
            |this| {
                this.bind(&arm.pat, subject.clone());
                this.eval(&arm.body, dest);
            },
            |this| this.nested(subject, rest, dest),
        );
    }

    /// `a && b` of two conditions at hand.
    pub(super) fn both(&mut self, a: Operand, b: Operand) -> Operand {
        self.bin(BinOp::And, a, b)
    }

    /// A fresh flag.
    pub(super) fn flag(&mut self, name: &str, value: Operand) -> ir::Var {
        let var = self.b.var(Scalar::Bool, name);
        self.set(var, value);
        var
    }
}

fn binds_by_ref(pat: &Pat) -> bool {
    match &pat.kind {
        PatKind::Bind { by_ref, sub, .. } => *by_ref || sub.as_deref().is_some_and(binds_by_ref),
        PatKind::Fields(fields) => fields.iter().any(|(_, p)| binds_by_ref(p)),
        PatKind::Elements(elements) => elements.iter().any(|(_, p)| binds_by_ref(p)),
        PatKind::Or(cases) => cases.iter().any(binds_by_ref),
        PatKind::Deref(inner) => binds_by_ref(inner),
        PatKind::Wild | PatKind::Value(_) | PatKind::Range { .. } => false,
    }
}
