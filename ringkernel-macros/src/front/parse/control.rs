//! Blocks, statements, branches and loops.

use super::Parser;
use super::ast::{Adapter, Arm, Block, Expr, ExprKind, Iter, Pat, PatKind, Source, Stmt, StmtKind};
use super::expr::block_of;
use super::text::one_line;
use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;

impl Parser {
    /// The expressions that hold blocks, or leave them.
    pub(super) fn control(&mut self, expr: &syn::Expr, span: Span) -> Option<ExprKind> {
        Some(match expr {
            syn::Expr::If(branch) => self.branch(branch),
            syn::Expr::Match(choice) => {
                let scrutinee = Box::new(self.expr(&choice.expr));
                let arms = choice.arms.iter().map(|arm| self.arm(arm)).collect();
                ExprKind::Match { scrutinee, arms }
            }
            syn::Expr::Block(block) => {
                self.attributes(&block.attrs);
                ExprKind::Block { label: self.label(&block.label), block: self.block(&block.block) }
            }
            syn::Expr::While(repeat) => self.repeat(repeat, span),
            syn::Expr::Loop(repeat) => {
                ExprKind::Loop { label: self.label(&repeat.label), body: self.block(&repeat.body) }
            }
            syn::Expr::ForLoop(repeat) => ExprKind::For {
                label: self.label(&repeat.label),
                pat: self.pat(&repeat.pat),
                iter: Box::new(self.iter(&repeat.expr)),
                body: self.block(&repeat.body),
            },
            syn::Expr::Break(leave) => ExprKind::Break(
                leave.label.as_ref().map(|label| label.ident.to_string()),
                leave.expr.as_ref().map(|e| Box::new(self.expr(e))),
            ),
            syn::Expr::Continue(next) => ExprKind::Continue(next.label.as_ref().map(|l| l.ident.to_string())),
            syn::Expr::Return(ret) => ExprKind::Return(ret.expr.as_ref().map(|e| Box::new(self.expr(e)))),
            _ => return None,
        })
    }

    fn branch(&mut self, branch: &syn::ExprIf) -> ExprKind {
        let otherwise = |this: &mut Self| branch.else_branch.as_ref().map(|(_, e)| Box::new(this.expr(e)));
        if let syn::Expr::Let(test) = &*branch.cond {
            // `if let p = e { a } else { b }` is `match e { p => a, _ => b }`.
            let scrutinee = Box::new(self.expr(&test.expr));
            let pat = self.pat(&test.pat);
            let then = self.block(&branch.then_branch);
            let span = branch.if_token.span;
            let then = Expr { span, kind: ExprKind::Block { label: None, block: then } };
            let otherwise = otherwise(self).map_or_else(|| unit(span), |e| *e);
            let arms = vec![arm(pat, then), arm(Pat { span, kind: PatKind::Wild }, otherwise)];
            return ExprKind::Match { scrutinee, arms };
        }
        let condition = Box::new(self.expr(&branch.cond));
        let then = self.block(&branch.then_branch);
        ExprKind::If { condition, then, otherwise: otherwise(self) }
    }

    fn repeat(&mut self, repeat: &syn::ExprWhile, span: Span) -> ExprKind {
        let label = self.label(&repeat.label);
        if let syn::Expr::Let(test) = &*repeat.cond {
            // `while let p = e { body }` is `loop { match e { p => body, _ => break } }`.
            let scrutinee = Box::new(self.expr(&test.expr));
            let pat = self.pat(&test.pat);
            let body = self.block(&repeat.body);
            let body = Expr { span, kind: ExprKind::Block { label: None, block: body } };
            let leave = Expr { span, kind: ExprKind::Break(None, None) };
            let arms = vec![arm(pat, body), arm(Pat { span, kind: PatKind::Wild }, leave)];
            let choice = Expr { span, kind: ExprKind::Match { scrutinee, arms } };
            let source = Source { span, text: one_line(&repeat.to_token_stream()) };
            return ExprKind::Loop { label, body: block_of(choice, source) };
        }
        ExprKind::While {
            label,
            condition: Box::new(self.expr(&repeat.cond)),
            body: self.block(&repeat.body),
        }
    }

    fn arm(&mut self, arm: &syn::Arm) -> Arm {
        self.attributes(&arm.attrs);
        let (pat, guard) = match &arm.pat {
            syn::Pat::Guard(guarded) => (&*guarded.pat, Some(self.expr(&guarded.guard))),
            pat => (pat, None),
        };
        Arm { pat: self.pat(pat), guard, body: self.expr(&arm.body) }
    }

    /// A block.
    pub(super) fn block(&mut self, block: &syn::Block) -> Block {
        let mut stmts = Vec::new();
        let mut tail = None;
        for (i, stmt) in block.stmts.iter().enumerate() {
            let last = i + 1 == block.stmts.len();
            let source = Source { span: stmt.span(), text: one_line(stmt) };
            let kind = match stmt {
                syn::Stmt::Local(local) => self.local(local),
                syn::Stmt::Item(syn::Item::Const(item)) => {
                    StmtKind::Const(self.constant(&item.ident, &item.ty, &item.expr))
                }
                syn::Stmt::Item(syn::Item::Use(_)) => continue,
                syn::Stmt::Item(item) => {
                    self.unsupported(
                        item.span(),
                        "an item inside a body",
                        "put it outside, with `#[device_fn]` or `#[derive(DeviceType)]`",
                    );
                    continue;
                }
                syn::Stmt::Expr(expr, semi) => {
                    let expr = self.expr(expr);
                    if last && semi.is_none() {
                        tail = Some((Box::new(expr), source));
                        continue;
                    }
                    StmtKind::Expr(expr)
                }
                syn::Stmt::Macro(call) => {
                    self.attributes(&call.attrs);
                    let expr = self.macro_call(&call.mac, stmt.span());
                    if last && call.semi_token.is_none() {
                        tail = Some((Box::new(expr), source));
                        continue;
                    }
                    StmtKind::Expr(expr)
                }
            };
            stmts.push(Stmt { source, kind });
        }
        Block { stmts, tail }
    }

    fn local(&mut self, local: &syn::Local) -> StmtKind {
        self.attributes(&local.attrs);
        let (pat, ty) = match &local.pat {
            syn::Pat::Type(typed) => (&*typed.pat, Some(self.ty(&typed.ty))),
            pat => (pat, None),
        };
        let init = local.init.as_ref().map(|init| self.expr(&init.expr));
        let otherwise =
            local.init.as_ref().and_then(|init| init.diverge.as_ref()).map(|(_, block)| match &**block {
                syn::Expr::Block(block) => self.block(&block.block),
                other => {
                    let source = Source { span: other.span(), text: one_line(other) };
                    block_of(self.expr(other), source)
                }
            });
        StmtKind::Let { pat: self.pat(pat), ty, init, otherwise }
    }

    /// What a `for` runs over.
    fn iter(&mut self, expr: &syn::Expr) -> Iter {
        // Peels the adapters off, outermost first.
        let mut calls = Vec::new();
        let mut base = expr;
        loop {
            match base {
                syn::Expr::Paren(inner) => base = &inner.expr,
                syn::Expr::Group(inner) => base = &inner.expr,
                syn::Expr::MethodCall(call) if is_adapter(&call.method.to_string()) => {
                    calls.push(call);
                    base = &call.receiver;
                }
                _ => break,
            }
        }
        calls.reverse();
        if let syn::Expr::Range(range) = base {
            self.range(range, &calls)
        } else {
            self.over_array(base, &calls)
        }
    }

    fn range(&mut self, range: &syn::ExprRange, calls: &[&syn::ExprMethodCall]) -> Iter {
        let mut adapters = Vec::new();
        for call in calls {
            match (call.method.to_string().as_str(), call.args.first()) {
                ("rev", None) => adapters.push(Adapter::Rev),
                ("step_by", Some(step)) => {
                    adapters.push(Adapter::StepBy(self.expr(step), call.method.span()))
                }
                ("into_iter", None) => {}
                (name, _) => {
                    self.unsupported(
                        call.method.span(),
                        &format!("`.{name}()` on a range"),
                        "use `.rev()` and `.step_by(n)`, or compute it in the loop's body",
                    );
                    return Iter::Error;
                }
            }
        }
        if adapters.iter().filter(|a| matches!(a, Adapter::StepBy(..))).count() > 1 {
            self.unsupported(range.span(), "a second `.step_by(n)`", "multiply the steps");
            return Iter::Error;
        }
        let (Some(low), Some(high)) = (&range.start, &range.end) else {
            self.unsupported(
                range.span(),
                "a range without both ends",
                "write `a..b`, or `loop` with a counter",
            );
            return Iter::Error;
        };
        Iter::Range {
            low: self.expr(low),
            high: self.expr(high),
            inclusive: matches!(range.limits, syn::RangeLimits::Closed(_)),
            adapters,
        }
    }

    fn over_array(&mut self, base: &syn::Expr, calls: &[&syn::ExprMethodCall]) -> Iter {
        let mut by_ref = None;
        let (mut reversed, mut enumerated) = (false, false);
        for (i, call) in calls.iter().enumerate() {
            let name = call.method.to_string();
            match name.as_str() {
                "iter" if i == 0 => by_ref = Some(false),
                "iter_mut" if i == 0 => by_ref = Some(true),
                "into_iter" => {}
                "rev" if !enumerated => reversed = !reversed,
                "enumerate" if !enumerated && !reversed => enumerated = true,
                _ => {
                    self.unsupported(
                        call.method.span(),
                        &format!("`.{name}()` here"),
                        "write `for i in 0..N` and index the array, with what the iterator did in the body",
                    );
                    return Iter::Error;
                }
            }
        }
        Iter::Array { array: self.expr(base), by_ref, reversed, enumerated }
    }
}

/// Iterator methods that a `for` may end in; others belong to the expression.
fn is_adapter(name: &str) -> bool {
    [
        "iter",
        "iter_mut",
        "into_iter",
        "rev",
        "step_by",
        "enumerate",
        "zip",
        "map",
        "filter",
        "take",
        "skip",
        "take_while",
        "skip_while",
        "chain",
        "copied",
        "cloned",
        "windows",
        "chunks",
        "chunks_exact",
        "peekable",
        "cycle",
        "inspect",
        "flat_map",
        "filter_map",
        "scan",
    ]
    .contains(&name)
}

pub(super) fn unit(span: Span) -> Expr {
    Expr { span, kind: ExprKind::Tuple(Vec::new()) }
}

pub(super) fn arm(pat: Pat, body: Expr) -> Arm {
    Arm { pat, guard: None, body }
}
