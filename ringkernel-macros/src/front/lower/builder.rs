//! Builds a body's statements: registers, variables, labels, and folding of what is constant.

use super::Lower;
use crate::diag::Diagnostic;
use crate::ir::{
    BinOp, CmpOp, Const, Effect, Expr, Label, Local, LocalInfo, MathFn, Operand, OverflowOp, Place, Reg,
    RegInfo, Root, Scalar, SiteId, Stmt, UnOp, Var, VarInfo,
};
use proc_macro2::Span;
use ringkernel_backends::abi::FaultKind;

/// A list of statements being written.
#[derive(Default)]
struct List {
    stmts: Vec<Stmt>,
    /// Control never reaches its end.
    dead: bool,
}

/// The body being built.
pub(super) struct Builder {
    pub(super) regs: Vec<RegInfo>,
    pub(super) vars: Vec<VarInfo>,
    pub(super) locals: Vec<LocalInfo>,
    /// Per local: nothing changes it once it is initialised.
    pub(super) frozen: Vec<bool>,
    pub(super) labels: u32,
    lists: Vec<List>,
    /// Runs before everything else.
    pub(super) prologue: Vec<Stmt>,
    statements: usize,
}

/// A body is inlined no further than this.
const LIMIT: usize = 100_000;

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            regs: Vec::new(),
            vars: Vec::new(),
            locals: Vec::new(),
            frozen: Vec::new(),
            labels: 0,
            lists: vec![List::default()],
            prologue: Vec::new(),
            statements: 0,
        }
    }

    fn list(&mut self) -> &mut List {
        if self.lists.is_empty() {
            self.lists.push(List::default());
        }
        let last = self.lists.len() - 1;
        &mut self.lists[last]
    }

    /// Whether control cannot get here.
    pub(super) fn dead(&self) -> bool {
        self.lists.last().is_some_and(|list| list.dead)
    }

    pub(super) fn push(&mut self, stmt: Stmt) {
        if self.dead() {
            return;
        }
        self.statements += 1;
        let ends = matches!(stmt, Stmt::Break(_) | Stmt::Continue(_) | Stmt::Finish | Stmt::Fault { .. });
        let list = self.list();
        list.stmts.push(stmt);
        list.dead |= ends;
    }

    pub(super) fn too_long(&self) -> bool {
        self.statements > LIMIT
    }

    pub(super) fn open(&mut self) {
        let dead = self.dead();
        self.lists.push(List { stmts: Vec::new(), dead });
    }

    /// Begins a list that control reaches wherever we are: the prologue.
    pub(super) fn open_live(&mut self) {
        self.lists.push(List::default());
    }

    /// Ends the list that `open` began: its statements, and whether control reaches its end.
    pub(super) fn close(&mut self) -> (Vec<Stmt>, bool) {
        let list = self.lists.pop().unwrap_or_default();
        (list.stmts, !list.dead)
    }

    /// Control does not get past what was pushed last.
    pub(super) fn stop(&mut self) {
        self.list().dead = true;
    }

    pub(super) fn append(&mut self, stmts: Vec<Stmt>) {
        stmts.into_iter().for_each(|stmt| self.push(stmt));
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub(super) fn var(&mut self, ty: Scalar, name: &str) -> Var {
        self.vars.push(VarInfo { ty, name: name.to_owned() });
        Var(self.vars.len() as u32 - 1)
    }

    /// Memory for an aggregate. `frozen`: it is written once, before it is read.
    pub(super) fn memory(&mut self, size: u32, align: u32, name: &str, frozen: bool) -> Place {
        self.locals.push(LocalInfo { size, align, name: name.to_owned() });
        self.frozen.push(frozen);
        Place { root: Root::Local(Local(self.locals.len() as u32 - 1)), offset: 0, index: Vec::new() }
    }

    fn reg(&mut self, ty: Scalar) -> Reg {
        self.regs.push(RegInfo { ty, name: None });
        Reg(self.regs.len() as u32 - 1)
    }
}

impl Lower<'_, '_> {
    pub(super) fn type_of(&self, operand: Operand) -> Scalar {
        match operand {
            Operand::Const(c) => c.ty,
            Operand::Reg(r) => self.b.regs[r.0 as usize].ty,
        }
    }

    /// The value of `expr`: a constant if it can be computed now, else a register.
    pub(super) fn emit(&mut self, ty: Scalar, expr: Expr) -> Operand {
        if self.b.dead() {
            return Operand::Const(Const { ty, bits: 0 });
        }
        if let Some(value) = crate::ir_eval::eval(&expr, ty) {
            return Operand::Const(value);
        }
        let reg = self.b.reg(ty);
        self.b.push(Stmt::Let(reg, expr));
        Operand::Reg(reg)
    }

    /// What comes of an effect.
    pub(super) fn effect(&mut self, effect: Effect) -> Operand {
        let ty = if let Effect::Clock(_) = effect { Scalar::U64 } else { Scalar::U32 };
        if self.b.dead() {
            return Operand::Const(Const { ty, bits: 0 });
        }
        let reg = self.b.reg(ty);
        self.b.push(Stmt::Effect(reg, effect));
        Operand::Reg(reg)
    }

    pub(super) fn int(&self, ty: Scalar, value: i128) -> Operand {
        Operand::Const(Const::int(ty, value))
    }

    pub(super) fn float(&self, ty: Scalar, value: f64) -> Operand {
        Operand::Const(Const::float(ty, value))
    }

    pub(super) fn truth(&self, value: bool) -> Operand {
        Operand::Const(Const::bool(value))
    }

    pub(super) fn bin(&mut self, op: BinOp, a: Operand, b: Operand) -> Operand {
        let ty = self.type_of(a);
        // Conditions are often half known.
        if ty == Scalar::Bool {
            match (op, a, b) {
                (BinOp::And, Operand::Const(c), x) | (BinOp::And, x, Operand::Const(c)) => {
                    return if c.is_true() { x } else { self.truth(false) };
                }
                (BinOp::Or, Operand::Const(c), x) | (BinOp::Or, x, Operand::Const(c)) => {
                    return if c.is_true() { self.truth(true) } else { x };
                }
                _ => {}
            }
        }
        self.emit(ty, Expr::Binary(op, a, b))
    }

    pub(super) fn un(&mut self, op: UnOp, a: Operand) -> Operand {
        let ty = self.type_of(a);
        self.emit(ty, Expr::Unary(op, a))
    }

    pub(super) fn cmp(&mut self, op: CmpOp, a: Operand, b: Operand) -> Operand {
        self.emit(Scalar::Bool, Expr::Compare(op, a, b))
    }

    pub(super) fn overflows(&mut self, op: OverflowOp, a: Operand, b: Operand) -> Operand {
        self.emit(Scalar::Bool, Expr::Overflows(op, a, b))
    }

    /// `as`, between scalars of the IR.
    pub(super) fn convert(&mut self, a: Operand, ty: Scalar) -> Operand {
        if self.type_of(a) == ty { a } else { self.emit(ty, Expr::Cast(a)) }
    }

    pub(super) fn bitcast(&mut self, a: Operand, ty: Scalar) -> Operand {
        self.emit(ty, Expr::Bitcast(a))
    }

    pub(super) fn select(&mut self, condition: Operand, yes: Operand, no: Operand) -> Operand {
        let ty = self.type_of(yes);
        match condition {
            Operand::Const(c) => {
                if c.is_true() {
                    yes
                } else {
                    no
                }
            }
            Operand::Reg(_) => self.emit(ty, Expr::Select { condition, yes, no }),
        }
    }

    pub(super) fn function(&mut self, function: MathFn, operands: Vec<Operand>) -> Operand {
        let counts = matches!(function, MathFn::CountOnes | MathFn::LeadingZeros | MathFn::TrailingZeros);
        let ty = if counts { Scalar::U32 } else { self.type_of(operands[0]) };
        self.emit(ty, Expr::Math(function, operands))
    }

    pub(super) fn read(&mut self, var: Var) -> Operand {
        let ty = self.b.vars[var.0 as usize].ty;
        self.emit(ty, Expr::Read(var))
    }

    pub(super) fn set(&mut self, var: Var, value: Operand) {
        self.b.push(Stmt::Set(var, value));
    }

    /// Gives an unnamed register the user's name.
    pub(super) fn name(&mut self, operand: Operand, name: &str) {
        if let Operand::Reg(reg) = operand {
            let info = &mut self.b.regs[reg.0 as usize];
            if info.name.is_none() && !name.is_empty() {
                info.name = Some(name.to_owned());
            }
        }
    }

    /// Faults if `failed`.
    pub(super) fn check(&mut self, failed: Operand, kind: FaultKind, span: Span) {
        self.check_with(failed, kind, span, "");
    }

    /// Faults if `failed`, with a message.
    pub(super) fn check_with(&mut self, failed: Operand, kind: FaultKind, span: Span, message: &str) {
        match failed {
            _ if self.b.dead() => {}
            Operand::Const(c) if !c.is_true() => {}
            Operand::Const(_) => {
                // A constant that 32 bits do not hold: the handler gets all 64.
                self.wants_wide |= kind == FaultKind::UsizeTooNarrow;
                self.fault(kind, span, message);
            }
            Operand::Reg(_) => {
                let site = self.site(span, message);
                self.b.push(Stmt::Check { failed, kind, site });
            }
        }
    }

    /// Faults.
    pub(super) fn fault(&mut self, kind: FaultKind, span: Span, message: &str) {
        if !self.b.dead() {
            let site = self.site(span, message);
            self.b.push(Stmt::Fault { kind, site });
        }
    }

    /// The number of a place in the source.
    fn site(&mut self, span: Span, message: &str) -> SiteId {
        self.sites.id(span, message)
    }

    /// Two-way branch.
    pub(super) fn branch(
        &mut self,
        condition: Operand,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        if self.b.dead() {
            return;
        }
        if let Operand::Const(c) = condition {
            return if c.is_true() { then(self) } else { otherwise(self) };
        }
        self.b.open();
        then(self);
        let (then, then_ends) = self.b.close();
        self.b.open();
        otherwise(self);
        let (otherwise, otherwise_ends) = self.b.close();
        if then.is_empty() && otherwise.is_empty() {
            return;
        }
        self.b.push(Stmt::If { condition, then, otherwise });
        if !then_ends && !otherwise_ends {
            self.b.stop();
        }
    }

    /// Repeats `body` until something in it breaks; `step` runs between rounds.
    pub(super) fn repeat(&mut self, body: impl FnOnce(&mut Self, Label), step: impl FnOnce(&mut Self)) {
        if self.b.dead() {
            return;
        }
        let label = self.b.label();
        self.b.open();
        body(self, label);
        let (body, _) = self.b.close();
        self.b.open();
        step(self);
        let (step, _) = self.b.close();
        let leaves = breaks_to(&body, label);
        self.b.push(Stmt::Loop { label, body, step });
        if !leaves {
            self.b.stop();
        }
    }

    /// A block that can be left early; none is made if nothing leaves it.
    pub(super) fn block(&mut self, body: impl FnOnce(&mut Self, Label)) {
        if self.b.dead() {
            return;
        }
        let label = self.b.label();
        self.b.open();
        body(self, label);
        let (mut body, ends) = self.b.close();
        // Leaving by the last statement is no leaving.
        if body.last() == Some(&Stmt::Break(label)) {
            body.pop();
            if !breaks_to(&body, label) {
                return self.b.append(body);
            }
        } else if !breaks_to(&body, label) {
            self.b.append(body);
            if !ends {
                self.b.stop();
            }
            return;
        }
        self.b.push(Stmt::Block { label, body });
    }

    /// Leaves the loop or block unless `condition` holds.
    pub(super) fn break_unless(&mut self, condition: Operand, label: Label) {
        self.branch(condition, |_| {}, |this| this.b.push(Stmt::Break(label)));
    }

    /// Runs `body` for each index of an array.
    pub(super) fn each_index(&mut self, len: u64, body: impl FnOnce(&mut Self, Operand)) {
        let ty = self.index;
        let var = self.b.var(ty, "k");
        let (zero, end, one) = (self.int(ty, 0), self.int(ty, len as i128), self.int(ty, 1));
        self.set(var, zero);
        self.repeat(
            |this, label| {
                let k = this.read(var);
                let more = this.cmp(CmpOp::Lt, k, end);
                this.break_unless(more, label);
                body(this, k);
            },
            |this| {
                let k = this.read(var);
                let next = this.bin(BinOp::Add, k, one);
                this.set(var, next);
            },
        );
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.env.diagnostics.push(Diagnostic::new(span, message));
    }

    pub(super) fn defer(&mut self, span: Span, message: impl Into<String>) {
        self.env.diagnostics.push(Diagnostic::deferred(span, message));
    }
}

/// Whether something in the statements leaves to the label.
pub(super) fn breaks_to(stmts: &[Stmt], label: Label) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Break(to) => *to == label,
        Stmt::If { then, otherwise, .. } => breaks_to(then, label) || breaks_to(otherwise, label),
        Stmt::Loop { body, .. } | Stmt::Block { body, .. } => breaks_to(body, label),
        _ => false,
    })
}
