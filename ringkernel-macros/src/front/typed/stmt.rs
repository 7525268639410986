//! Blocks, branches and loops.

use super::check::{Checker, Expect, LoopCx, Name};
use super::tree::{Arm, Expr, Iter, Kind, LocalId, LocalInfo, LoopId, Stmt, StmtKind};
use crate::front::parse::ast::{self, Adapter, ExprKind};
use crate::front::types::{Ty, VarKind};
use proc_macro2::Span;
use std::collections::HashMap;
use std::rc::Rc;

impl Checker<'_, '_> {
    /// A new local variable, visible from here to the end of the scope.
    pub(super) fn declare(&mut self, name: &str, ty: Ty, mutable: bool) -> LocalId {
        let id = LocalId(self.locals.len());
        self.locals.push(LocalInfo { name: name.to_owned(), ty, mutable });
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), Name::Local(id));
        }
        id
    }

    pub(super) fn scoped<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(HashMap::new());
        let result = inner(self);
        self.scopes.pop();
        result
    }

    /// Expressions that hold blocks, or leave them.
    pub(super) fn control(&mut self, expr: &ast::Expr, expect: &Expect) -> Expr {
        let span = expr.span;
        let (ty, kind) = match &expr.kind {
            ExprKind::If { condition, then, otherwise } => {
                let condition = Box::new(self.expr_of(condition, &Ty::bool()));
                let before = self.diverges;
                let then = self.block_expr(then, span, expect);
                let after_then = std::mem::replace(&mut self.diverges, before);
                let mut ty = Ty::Never;
                let then = self.join(&mut ty, then);
                let otherwise = match otherwise {
                    Some(otherwise) => {
                        let otherwise = self.expr(otherwise, expect);
                        Some(self.join(&mut ty, otherwise))
                    }
                    None => {
                        if !matches!(ty, Ty::Never) {
                            self.unify(&Ty::unit(), &ty.clone(), span);
                        }
                        ty = Ty::unit();
                        None
                    }
                };
                self.diverges = before || (after_then && self.diverges);
                let (then, otherwise) = (Box::new(then), otherwise.map(Box::new));
                (ty, Kind::If { condition, then, otherwise })
            }
            ExprKind::Match { scrutinee, arms } => return self.choice(scrutinee, arms, span, expect),
            ExprKind::Block { label: None, block } => return self.block_expr(block, span, expect),
            ExprKind::Block { label: label @ Some(_), block } => {
                let ty = self.table.fresh(VarKind::Any);
                let before = self.diverges;
                let id = self.enter(label.clone(), true, Some(ty.clone()));
                let inner = self.block_expr(block, span, expect);
                let broken = self.leave();
                self.diverges = before || (self.diverges && !broken);
                let inner = self.coerce(inner, &ty);
                let ty = if broken || !matches!(inner.ty, Ty::Never) { ty } else { Ty::Never };
                let (stmts, tail) = match inner.kind {
                    Kind::Block { stmts, tail, .. } => (stmts, tail),
                    _ => (Vec::new(), None),
                };
                (ty, Kind::Block { label: Some(id), stmts, tail })
            }
            ExprKind::While { label, condition, body } => {
                let condition = Box::new(self.expr_of(condition, &Ty::bool()));
                let before = self.diverges;
                let id = self.enter(label.clone(), false, None);
                let body = self.block_expr(body, span, &Expect::Type(Ty::unit()));
                let body = Box::new(self.coerce(body, &Ty::unit()));
                self.leave();
                self.diverges = before;
                (Ty::unit(), Kind::While { id, condition, body })
            }
            ExprKind::Loop { label, body } => {
                let ty = match expect {
                    Expect::Type(ty) => ty.clone(),
                    _ => self.table.fresh(VarKind::Any),
                };
                let before = self.diverges;
                let id = self.enter(label.clone(), false, Some(ty.clone()));
                let body = self.block_expr(body, span, &Expect::Type(Ty::unit()));
                let body = Box::new(self.coerce(body, &Ty::unit()));
                let broken = self.leave();
                self.diverges = before || !broken;
                (if broken { ty } else { Ty::Never }, Kind::Loop { id, body })
            }
            ExprKind::For { label, pat, iter, body } => return self.for_loop(label, pat, iter, body, span),
            ExprKind::Break(label, value) => {
                let value = self.break_value(label, value, span);
                match self.find_loop(label.as_deref(), true, span) {
                    Some(i) => {
                        self.loops[i].broken = true;
                        (Ty::Never, Kind::Break(self.loops[i].id, value))
                    }
                    None => (Ty::Never, Kind::Error),
                }
            }
            ExprKind::Continue(label) => match self.find_loop(label.as_deref(), false, span) {
                Some(i) => (Ty::Never, Kind::Continue(self.loops[i].id)),
                None => (Ty::Never, Kind::Error),
            },
            ExprKind::Return(value) => {
                let ret = self.ret.clone();
                let value = match value {
                    Some(value) => Some(Box::new(self.expr_of(value, &ret))),
                    None => {
                        self.unify(&ret, &Ty::unit(), span);
                        None
                    }
                };
                (Ty::Never, Kind::Return(value))
            }
            _ => unreachable!("`Checker::kind` handles the other expressions"),
        };
        Expr { span, ty, kind }
    }

    /// Adds a branch's value to the type of the whole.
    fn join(&mut self, ty: &mut Ty, branch: Expr) -> Expr {
        if matches!(ty, Ty::Never) {
            *ty = branch.ty.clone();
            return branch;
        }
        self.coerce(branch, ty)
    }

    fn choice(&mut self, scrutinee: &ast::Expr, arms: &[ast::Arm], span: Span, expect: &Expect) -> Expr {
        let scrutinee = match self.received(scrutinee) {
            Some(received) => received,
            None => self.expr(scrutinee, &Expect::Nothing),
        };
        let before = self.diverges;
        let mut ty = Ty::Never;
        let mut all_diverge = true;
        let mut typed = Vec::new();
        for arm in arms {
            self.diverges = before;
            let arm = self.scoped(|this| {
                let pat = this.pat(&arm.pat, &scrutinee.ty);
                let guard = arm.guard.as_ref().map(|guard| this.expr_of(guard, &Ty::bool()));
                this.diverges = before;
                let body = this.expr(&arm.body, expect);
                Arm { pat, guard, body }
            });
            all_diverge &= self.diverges;
            let body = self.join(&mut ty, arm.body);
            typed.push(Arm { body, ..arm });
        }
        self.diverges = before || all_diverge;
        Expr { span, ty, kind: Kind::Match { scrutinee: Box::new(scrutinee), arms: typed } }
    }

    /// A block; its value is its tail.
    pub(super) fn block_expr(&mut self, block: &ast::Block, span: Span, expect: &Expect) -> Expr {
        self.scoped(|this| {
            for stmt in &block.stmts {
                if let ast::StmtKind::Const(item) = &stmt.kind {
                    this.local_const(item);
                }
            }
            let mut stmts = Vec::new();
            for stmt in &block.stmts {
                if let Some(kind) = this.stmt(stmt) {
                    stmts.push(Stmt { source: stmt.source.clone(), kind });
                }
            }
            let tail =
                block.tail.as_ref().map(|(tail, source)| (Box::new(this.expr(tail, expect)), source.clone()));
            let ty = match &tail {
                Some((tail, _)) => tail.ty.clone(),
                None if this.diverges => Ty::Never,
                None => Ty::unit(),
            };
            Expr { span, ty, kind: Kind::Block { label: None, stmts, tail } }
        })
    }

    fn stmt(&mut self, stmt: &ast::Stmt) -> Option<StmtKind> {
        match &stmt.kind {
            ast::StmtKind::Const(_) => None,
            ast::StmtKind::Let { pat, ty, init, otherwise } => {
                let ty = match ty {
                    Some(ty) => self.ty(ty),
                    None => self.table.fresh(VarKind::Any),
                };
                let init = init.as_ref().map(|init| {
                    let received = otherwise.as_ref().and_then(|_| self.received(init));
                    let init = received.unwrap_or_else(|| self.expr(init, &Expect::Type(ty.clone())));
                    self.coerce(init, &ty)
                });
                let otherwise = otherwise.as_ref().map(|otherwise| {
                    let before = self.diverges;
                    let otherwise = self.block_expr(otherwise, stmt.source.span, &Expect::Nothing);
                    self.diverges = before;
                    otherwise
                });
                let pat = self.pat(pat, &ty);
                Some(StmtKind::Let { pat, init, otherwise })
            }
            ast::StmtKind::Expr(expr) => Some(StmtKind::Expr(self.expr(expr, &Expect::Nothing))),
        }
    }

    /// A `const` inside a body sees other constants, not the locals.
    fn local_const(&mut self, item: &ast::Const) {
        let scopes = self.const_scopes();
        let mut checker = Checker::new(self.env, self.owner);
        checker.scopes = scopes;
        let typed = Name::Const(Rc::new(checker.constant(item)));
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(item.name.clone(), typed);
        }
    }

    /// The scopes with nothing but constants in them.
    pub(super) fn const_scopes(&self) -> Vec<HashMap<String, Name>> {
        let constants = |scope: &HashMap<String, Name>| {
            let names = scope.iter().filter(|(_, name)| matches!(name, Name::Const(_)));
            names.map(|(key, name)| (key.clone(), name.clone())).collect()
        };
        self.scopes.iter().map(constants).collect()
    }

    fn enter(&mut self, label: Option<String>, is_block: bool, ty: Option<Ty>) -> LoopId {
        let id = LoopId(self.loop_count);
        self.loop_count += 1;
        self.loops.push(LoopCx { label, id, is_block, ty, broken: false });
        id
    }

    /// Ends a loop; whether something breaks out of it.
    fn leave(&mut self) -> bool {
        self.loops.pop().is_some_and(|cx| cx.broken)
    }

    fn find_loop(&mut self, label: Option<&str>, is_break: bool, span: Span) -> Option<usize> {
        let found = self.loops.iter().rposition(|cx| match label {
            Some(label) => cx.label.as_deref() == Some(label) && (is_break || !cx.is_block),
            None => !cx.is_block,
        });
        if found.is_none() {
            self.env.defer(span, "there is no such loop around this");
        }
        found
    }

    fn break_value(
        &mut self,
        label: &Option<String>,
        value: &Option<Box<ast::Expr>>,
        span: Span,
    ) -> Option<Box<Expr>> {
        let ty = self.find_loop(label.as_deref(), true, span).and_then(|i| self.loops[i].ty.clone());
        match (value, ty) {
            (Some(value), Some(ty)) => Some(Box::new(self.expr_of(value, &ty))),
            (Some(value), None) => {
                self.env.defer(span, "`break` with a value leaves a `loop` or a labelled block only");
                Some(Box::new(self.expr(value, &Expect::Nothing)))
            }
            (None, Some(ty)) => {
                self.unify(&ty, &Ty::unit(), span);
                None
            }
            (None, None) => None,
        }
    }

    fn for_loop(
        &mut self,
        label: &Option<String>,
        pat: &ast::Pat,
        iter: &ast::Iter,
        body: &ast::Block,
        span: Span,
    ) -> Expr {
        let Some((iter, item)) = self.iter(iter) else {
            return Expr { span, ty: Ty::unit(), kind: Kind::Error };
        };
        let before = self.diverges;
        let id = self.enter(label.clone(), false, None);
        let (pat, body) = self.scoped(|this| {
            let pat = this.pat(pat, &item);
            let body = this.block_expr(body, span, &Expect::Type(Ty::unit()));
            (pat, this.coerce(body, &Ty::unit()))
        });
        self.leave();
        self.diverges = before;
        let kind = Kind::For { id, pat, iter: Box::new(iter), body: Box::new(body) };
        Expr { span, ty: Ty::unit(), kind }
    }

    /// What a `for` runs over, and the type of what it yields.
    fn iter(&mut self, iter: &ast::Iter) -> Option<(Iter, Ty)> {
        match iter {
            ast::Iter::Error => None,
            ast::Iter::Range { low, high, inclusive, adapters } => {
                let low = self.expr(low, &Expect::Nothing);
                let high = self.expr(high, &Expect::Type(low.ty.clone()));
                self.unify(&low.ty, &high.ty, high.span);
                if let Some(VarKind::Any) = self.table.kind(&low.ty) {
                    self.env.defer(low.span, "the type of this range must be known here");
                }
                let ty = low.ty.clone();
                let (mut reversed, mut reversed_after, mut step) = (false, false, None);
                for adapter in adapters {
                    match adapter {
                        Adapter::Rev if step.is_none() => reversed = !reversed,
                        Adapter::Rev => reversed_after = !reversed_after,
                        Adapter::StepBy(by, span) => step = Some((self.expr_of(by, &Ty::usize()), *span)),
                    }
                }
                Some((Iter::Range { low, high, inclusive: *inclusive, reversed, step, reversed_after }, ty))
            }
            ast::Iter::Array { array, by_ref, reversed, enumerated } => {
                let span = array.span;
                let array = self.expr(array, &Expect::Nothing);
                let mut by_ref = *by_ref;
                if let Ty::Ref(mutable, _) = self.shallow(&array.ty)
                    && by_ref.is_none()
                {
                    by_ref = Some(mutable);
                }
                let array = self.auto_deref(array);
                let element = match self.shallow(&array.ty) {
                    Ty::Array(element, _) => (*element).clone(),
                    Ty::Archived(ref arch) if Self::archived_elements(arch).is_some() => {
                        // They are behind a reference.
                        by_ref = Some(false);
                        Self::archived_elements(arch).unwrap_or(Ty::Error)
                    }
                    Ty::Error => return None,
                    other => {
                        let message = format!(
                            "a `for` over `{}` cannot run on a device; loop over a range, `for i in 0..n`, or an array",
                            self.name_of(&other)
                        );
                        self.env.defer(span, message);
                        return None;
                    }
                };
                let item = by_ref.map_or(element.clone(), |mutable| Ty::Ref(mutable, Rc::new(element)));
                let (reversed, enumerated) = (*reversed, *enumerated);
                let item = if enumerated { Ty::Tuple(Rc::new([Ty::usize(), item])) } else { item };
                Some((Iter::Array { array, by_ref, reversed, enumerated }, item))
            }
        }
    }
}
