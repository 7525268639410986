//! Patterns.

use super::check::{Checker, Expect, Name};
use super::tree::{Expr, Kind, Pat, PatKind};
use crate::front::parse::ast;
use crate::front::types::{Ty, VarKind};
use proc_macro2::Span;
use std::rc::Rc;

impl Checker<'_, '_> {
    /// A pattern for values of type `ty`.
    pub(super) fn pat(&mut self, pat: &ast::Pat, ty: &Ty) -> Pat {
        self.pat_in(pat, ty, None)
    }

    /// `mode`: the pattern has looked through a reference, so its names are references (to something mutable or not).
    fn pat_in(&mut self, pat: &ast::Pat, ty: &Ty, mode: Option<bool>) -> Pat {
        let span = pat.span;
        let known = self.shallow(ty);
        // A pattern that is not itself a reference, a name or `_` looks through references.
        if let Ty::Ref(mutable, inner) = &known {
            let transparent = match &pat.kind {
                ast::PatKind::Wild | ast::PatKind::Ref(_) | ast::PatKind::Error => false,
                ast::PatKind::Ident { name, sub, .. } => sub.is_none() && self.pat_const(name).is_some(),
                ast::PatKind::Or(_) => false,
                _ => true,
            };
            if transparent {
                let mutable = *mutable && mode != Some(false);
                let inner = self.pat_in(pat, &inner.clone(), Some(mutable));
                return Pat { span, ty: known, kind: PatKind::Deref(Box::new(inner)) };
            }
        }
        let kind = match &pat.kind {
            ast::PatKind::Wild | ast::PatKind::Error => PatKind::Wild,
            kind if is_none(kind) => match self.optional(&known, span) {
                Some(_) => PatKind::Fields(vec![(0, flag(false, span))]),
                None => PatKind::Wild,
            },
            ast::PatKind::Ident { name, mutable, by_ref, sub } => {
                if sub.is_none() && !*mutable && !*by_ref {
                    if let Some(value) = self.pat_const(name) {
                        self.unify(ty, &value.ty.clone(), span);
                        return Pat {
                            span,
                            ty: ty.clone(),
                            kind: PatKind::Value(Box::new(Expr { span, ..value })),
                        };
                    }
                    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                        self.env.error(
                            span,
                            format!(
                                "`{name}` looks like a constant, but none is visible here: mark it `#[device_const]`, \
                                 or write a variable in lower case"
                            ),
                        );
                    }
                }
                let by_ref = if *by_ref { Some(false) } else { mode };
                let local_ty = match by_ref {
                    Some(mutable) => Ty::Ref(mutable, Rc::new(ty.clone())),
                    None => ty.clone(),
                };
                let local = self.declare(name, local_ty, *mutable);
                let sub = sub.as_ref().map(|sub| Box::new(self.pat_in(sub, ty, mode)));
                PatKind::Bind { local, by_ref: by_ref.is_some(), sub }
            }
            ast::PatKind::Tuple(elements, rest) => {
                if let (Some(VarKind::Any), None) = (self.table.kind(ty), rest) {
                    let fresh: Vec<Ty> = elements.iter().map(|_| self.table.fresh(VarKind::Any)).collect();
                    self.unify(ty, &Ty::Tuple(fresh.into()), span);
                }
                match self.shallow(ty) {
                    Ty::Tuple(types) => {
                        let places = self.positions(elements.len(), *rest, types.len(), span);
                        let fields = places.zip(elements).map(|(i, p)| (i, self.pat_in(p, &types[i], mode)));
                        PatKind::Fields(fields.collect())
                    }
                    other => self.mismatch(&other, span, "is not a tuple"),
                }
            }
            ast::PatKind::Array(elements, rest) => match self.shallow(ty) {
                Ty::Array(element, len) => {
                    let places = self.positions(elements.len(), *rest, len as usize, span);
                    let fields =
                        places.zip(elements).map(|(i, p)| (i as u64, self.pat_in(p, &element, mode)));
                    PatKind::Elements(fields.collect())
                }
                other => self.mismatch(&other, span, "is not an array"),
            },
            ast::PatKind::Struct { path, fields } => {
                let Some(info) = self.struct_of(path) else { return wild(span, ty) };
                self.unify(ty, &Ty::Struct(info.0), span);
                let mut typed = Vec::new();
                for (member, pat) in fields {
                    match info.1.field(&member.name) {
                        Some(i) => typed.push((i, self.pat_in(pat, &info.1.fields[i].1, mode))),
                        None => {
                            let message = format!("`{}` has no field `{}`", info.1.name, member.name);
                            self.env.defer(member.span, message);
                        }
                    }
                }
                PatKind::Fields(typed)
            }
            ast::PatKind::TupleStruct { path, elements, rest: None }
                if path.last() == "Some" && elements.len() == 1 =>
            {
                match self.optional(&known, span) {
                    Some(message) => {
                        let there = self.pat_in(&elements[0], &message, mode);
                        PatKind::Fields(vec![(0, flag(true, span)), (1, there)])
                    }
                    None => PatKind::Wild,
                }
            }
            ast::PatKind::TupleStruct { path, elements, rest } => {
                let Some(info) = self.struct_of(path) else { return wild(span, ty) };
                self.unify(ty, &Ty::Struct(info.0), span);
                let places = self.positions(elements.len(), *rest, info.1.fields.len(), span);
                let fields =
                    places.zip(elements).map(|(i, p)| (i, self.pat_in(p, &info.1.fields[i].1, mode)));
                PatKind::Fields(fields.collect())
            }
            ast::PatKind::Value(value) => {
                // A path can be a struct without fields, too.
                if let ast::ExprKind::Path(path) = &value.kind
                    && let Some(def) = self.env.find_type(self.owner, path)
                {
                    self.unify(ty, &Ty::Struct(def), span);
                    return wild(span, ty);
                }
                let value = self.expr(value, &Expect::Type(ty.clone()));
                self.unify(ty, &value.ty.clone(), span);
                PatKind::Value(Box::new(value))
            }
            ast::PatKind::Range { low, high, inclusive } => {
                let mut end = |e: &Option<Box<ast::Expr>>| {
                    e.as_ref().map(|e| {
                        let e = self.expr(e, &Expect::Type(ty.clone()));
                        self.unify(ty, &e.ty.clone(), span);
                        Box::new(e)
                    })
                };
                PatKind::Range { low: end(low), high: end(high), inclusive: *inclusive }
            }
            ast::PatKind::Or(cases) => {
                let before = self.locals.len();
                let cases = cases.iter().map(|case| self.pat_in(case, ty, mode)).collect();
                if self.locals.len() > before {
                    self.env.error(
                        span,
                        "names inside `|` cannot run on a device yet; bind the whole with `x @ (…|…)`, or write one arm for each",
                    );
                }
                PatKind::Or(cases)
            }
            ast::PatKind::Ref(inner) => match &known {
                Ty::Ref(_, target) => PatKind::Deref(Box::new(self.pat_in(inner, &target.clone(), None))),
                // `&x` under a pattern that already looked through a reference.
                _ if mode.is_some() => return self.pat_in(inner, ty, None),
                other => self.mismatch(other, span, "is not a reference"),
            },
        };
        Pat { span, ty: ty.clone(), kind }
    }

    /// The constant a bare name in a pattern stands for.
    fn pat_const(&mut self, name: &str) -> Option<Expr> {
        let local = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        if let Some(Name::Const(item)) = local {
            return Some(Expr {
                span: Span::call_site(),
                ty: item.ty.clone(),
                kind: Kind::Named(item.clone()),
            });
        }
        let path =
            ast::Path { span: Span::call_site(), text: name.to_owned(), segments: vec![name.to_owned()] };
        let id = self.env.find_const(self.owner, &path)?;
        let item = self.env.constant(id)?;
        Some(Expr { span: Span::call_site(), ty: item.ty.clone(), kind: Kind::Named(item) })
    }

    /// The positions that a pattern's elements stand for, with `..` before the `rest`-th.
    fn positions(
        &mut self,
        given: usize,
        rest: Option<usize>,
        len: usize,
        span: Span,
    ) -> impl Iterator<Item = usize> + use<> {
        let fits = if rest.is_some() { given <= len } else { given == len };
        if !fits {
            self.env.defer(span, format!("this pattern has {given} elements, the value {len}"));
        }
        let skip = len.saturating_sub(given);
        (0..if fits { given } else { 0 })
            .map(move |i| if rest.is_some_and(|rest| i >= rest) { i + skip } else { i })
    }

    /// The message of an `Option` that has just been received: whether it is there stands before it.
    fn optional(&mut self, ty: &Ty, span: Span) -> Option<Ty> {
        match ty {
            Ty::Tuple(parts) if parts.len() == 2 && parts[0] == Ty::bool() => Some(parts[1].clone()),
            Ty::Error => None,
            _ => {
                self.env.error(
                    span,
                    "an `Option` is matched where it comes from, `if let Some(job) = ctx.try_receive_from_kernel::<Job>(\"…\")`, and \
                     cannot run on a device elsewhere; use a `bool` beside the value",
                );
                None
            }
        }
    }

    fn mismatch(&mut self, ty: &Ty, span: Span, what: &str) -> PatKind {
        self.no_type(ty, span, what);
        PatKind::Wild
    }
}

/// `None`, however it is written.
fn is_none(pat: &ast::PatKind) -> bool {
    match pat {
        ast::PatKind::Ident { name, mutable: false, by_ref: false, sub: None } => name == "None",
        ast::PatKind::Value(value) => {
            matches!(&value.kind, ast::ExprKind::Path(path) if path.last() == "None")
        }
        _ => false,
    }
}

/// A `bool` that must be this.
fn flag(value: bool, span: Span) -> Pat {
    let expr = Expr { span, ty: Ty::bool(), kind: Kind::Bool(value) };
    Pat { span, ty: Ty::bool(), kind: PatKind::Value(Box::new(expr)) }
}

fn wild(span: Span, ty: &Ty) -> Pat {
    Pat { span, ty: ty.clone(), kind: PatKind::Wild }
}
