//! Calls: of functions, of methods, of the few things of std that devices know.

use super::check::{Checker, Expect};
use super::context::Call;
use super::tree::{ArrayMethod, Expr, FnId, Kind, Pat, PatKind, Stmt, StmtKind};
use crate::front::methods::{self, NumMethod};
use crate::front::parse::ast::{self, Source};
use crate::front::types::{Prim, Ty, VarKind, unsigned};
use crate::ir::{CmpOp, Const};
use proc_macro2::Span;
use std::rc::Rc;

impl Checker<'_, '_> {
    /// `path(args)`
    pub(super) fn call(&mut self, path: &ast::Path, args: &[ast::Expr], span: Span, expect: &Expect) -> Expr {
        if let Some(id) = self.env.find_fn(self.owner, path) {
            return self.call_fn(id, None, args, span);
        }
        if self.env.find_type(self.owner, path).is_some()
            && let Some((def, info)) = self.struct_of(path)
        {
            // A tuple struct's constructor.
            let fields: Vec<_> = info
                .fields
                .iter()
                .zip(args)
                .map(|((_, ty), arg)| self.expr_of(arg, ty))
                .enumerate()
                .collect();
            self.arity(info.fields.len(), args.len(), span);
            return Expr { span, ty: Ty::Struct(def), kind: Kind::Aggregate { fields, base: None } };
        }
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        match &segments[..] {
            [.., "HlcTimestamp", name] => {
                if let Some(time) = self.timestamp_call(name, args, span) {
                    return time;
                }
                let message =
                    format!("`{}` cannot run on a device yet; use `from_u64` and methods", path.text);
                self.env.error(path.span, message);
            }
            ["std" | "core", prim, name] | [prim, name] if Prim::from_name(prim).is_some() => {
                let prim = Prim::from_name(prim).unwrap_or(Prim::I32);
                return self.prim_call(prim, name, args, path.span, span);
            }
            ["Default", "default"] => {
                if let Expect::Type(ty) = expect
                    && let Some(prim) = self.shallow(ty).prim()
                {
                    return zero(prim, span);
                }
                self.env.error(span, "`Default::default()` cannot run on a device yet; write the value");
            }
            [.., "cmp", name @ ("min" | "max")] if args.len() == 2 => {
                let left = self.expr(&args[0], expect);
                return self.number(left, name, path.span, &args[1..], span);
            }
            [.., "mem", "swap"] if args.len() == 2 => {
                let (left, right) =
                    (self.expr(&args[0], &Expect::Nothing), self.expr(&args[1], &Expect::Nothing));
                self.unify(&left.ty, &right.ty, span);
                return Expr { span, ty: Ty::unit(), kind: Kind::Swap(Box::new(left), Box::new(right)) };
            }
            [.., "mem", "replace"] if args.len() == 2 => {
                let place = self.expr(&args[0], &Expect::Nothing);
                if let Ty::Ref(_, ty) = self.shallow(&place.ty) {
                    let value = self.expr_of(&args[1], &ty);
                    return Expr {
                        span,
                        ty: (*ty).clone(),
                        kind: Kind::Replace(Box::new(place), Box::new(value)),
                    };
                }
            }
            [.., "default"] => {
                let message = format!("`{}` cannot run on a device yet; write the value", path.text);
                self.env.error(path.span, message);
            }
            _ => {
                let message = format!(
                    "`{}` is not a function that devices know; mark its definition `#[device_fn]`",
                    path.text
                );
                self.env.defer(path.span, message);
            }
        }
        for arg in args {
            self.expr(arg, &Expect::Nothing);
        }
        Expr { span, ty: Ty::Error, kind: Kind::Error }
    }

    fn arity(&mut self, expected: usize, given: usize, span: Span) {
        if expected != given {
            self.env.defer(span, format!("{expected} arguments expected, {given} given"));
        }
    }

    /// A call of a `#[device_fn]` or a method, with `self` if there is one.
    fn call_fn(&mut self, id: FnId, this: Option<Expr>, args: &[ast::Expr], span: Span) -> Expr {
        let signature = self.env.signature(id);
        let mut types = signature.params.iter();
        let mut typed = Vec::new();
        if let Some(this) = this
            && let Some(ty) = types.next()
        {
            typed.push(self.coerce(this, ty));
        }
        self.arity(types.len(), args.len(), span);
        for (arg, ty) in args.iter().zip(types) {
            typed.push(self.expr_of(arg, ty));
        }
        if typed.len() != signature.params.len() {
            return Expr { span, ty: signature.ret, kind: Kind::Error };
        }
        Expr { span, ty: signature.ret, kind: Kind::Call(id, typed) }
    }

    /// `u32::from(x)`, `f32::from_bits(x)`, `u32::max(a, b)`.
    fn prim_call(&mut self, prim: Prim, name: &str, args: &[ast::Expr], name_span: Span, span: Span) -> Expr {
        match (name, args) {
            ("from", [arg]) => {
                let arg = self.expr(arg, &Expect::Cast(prim));
                self.convertible(&arg, prim);
                Expr { span, ty: Ty::Prim(prim), kind: Kind::Cast(Box::new(arg)) }
            }
            ("default", []) => zero(prim, span),
            ("from_bits", [arg]) if prim.is_float() => {
                let bits = Ty::Prim(Prim::Scalar(unsigned(prim.wide())));
                let arg = self.expr_of(arg, &bits);
                Expr { span, ty: Ty::Prim(prim), kind: Kind::Number(&FROM_BITS, vec![arg], name_span) }
            }
            (_, [this, rest @ ..]) => {
                let this = self.expr(this, &Expect::Type(Ty::Prim(prim)));
                let this = self.auto_deref(this);
                self.unify(&Ty::Prim(prim), &this.ty.clone(), this.span);
                self.number(this, name, name_span, rest, span)
            }
            (_, []) => {
                let message = format!("`{}::{name}` is not a function that devices know", prim.name());
                self.env.defer(span, message);
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
        }
    }

    /// `From` loses nothing; rustc sees to that, but for a literal that has no type yet.
    fn convertible(&mut self, arg: &Expr, _target: Prim) {
        if let known @ (Ty::Struct(_) | Ty::Tuple(_) | Ty::Array(..)) = self.shallow(&arg.ty) {
            self.no_type(&known, arg.span, "cannot be converted on a device; write a `#[device_fn]`");
        }
    }

    /// `receiver.name(args)`
    pub(super) fn method(&mut self, receiver: &ast::Expr, call: Call<'_>, expect: &Expect) -> Expr {
        let Call { name, turbofish, args, span } = call;
        let receiver = self.expr(receiver, &Expect::Nothing);
        let receiver = self.auto_deref(receiver);
        let ty = self.shallow(&receiver.ty);
        match (&ty, name.name.as_str()) {
            (Ty::Error, _) => {
                for arg in args {
                    self.expr(arg, &Expect::Nothing);
                }
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
            (Ty::Context, _) => self.context_method(&call),
            (Ty::Archived(arch), _) if turbofish.is_none() => {
                let arch = arch.clone();
                self.archived_method(receiver, &arch, &call)
            }
            _ if turbofish.is_some() => {
                let span = turbofish.map_or(span, |turbofish| turbofish.span);
                self.env.error(
                    span,
                    "a generic argument cannot run on a device yet; use a method without generics",
                );
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
            (_, "clone" | "to_owned") if args.is_empty() => Expr { span, ..receiver },
            (Ty::Prim(Prim::Hlc), _) => self.timestamp_method(receiver, &call),
            (Ty::Prim(Prim::Sent), _) => self.sent_method(receiver, &call),
            (_, "into") if args.is_empty() => self.convert_call(receiver, name.span, span, expect),
            (Ty::Array(element, len), _) => {
                let (element, len) = (element.clone(), *len);
                self.array_method(receiver, &element, len, name, args, span)
            }
            (Ty::Struct(def), _) if *def == self.env.program.actor => {
                match self.env.find_method(&name.name) {
                    Some(id) => {
                        let mutable = matches!(self.env.signature(id).params.first(), Some(Ty::Ref(true, _)));
                        let this = Expr {
                            span: receiver.span,
                            ty: Ty::Ref(mutable, Rc::new(ty.clone())),
                            kind: Kind::Ref(mutable, Box::new(receiver)),
                        };
                        self.call_fn(id, Some(this), args, span)
                    }
                    None => self.no_method(&ty, name, span),
                }
            }
            (Ty::Struct(_), _) => {
                let message = format!(
                    "methods of `{}` cannot run on a device yet; write a `#[device_fn]` that takes it as an argument",
                    self.name_of(&ty)
                );
                self.env.error(name.span, message);
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
            _ => self.number(receiver, &name.name, name.span, args, span),
        }
    }

    fn no_method(&mut self, ty: &Ty, name: &ast::Member, span: Span) -> Expr {
        self.no_type(ty, name.span, &format!("has no method `{}` that devices know", name.name));
        Expr { span, ty: Ty::Error, kind: Kind::Error }
    }

    fn convert_call(&mut self, receiver: Expr, name: Span, span: Span, expect: &Expect) -> Expr {
        let target = match expect {
            Expect::Type(ty) => self.shallow(ty).prim(),
            _ => None,
        };
        match target {
            Some(prim) => {
                self.convertible(&receiver, prim);
                Expr { span, ty: Ty::Prim(prim), kind: Kind::Cast(Box::new(receiver)) }
            }
            None => {
                self.env.error(
                    name,
                    "the target of `.into()` is not known here; write `u64::from(x)` or `x as u64`",
                );
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
        }
    }

    /// A method of a number.
    fn number(
        &mut self,
        receiver: Expr,
        name: &str,
        name_span: Span,
        args: &[ast::Expr],
        span: Span,
    ) -> Expr {
        let ty = self.shallow(&receiver.ty);
        let found: Option<(&'static NumMethod, Ty)> = match &ty {
            Ty::Prim(prim) => methods::find(name, *prim).map(|m| (m, ty.clone())),
            Ty::Var(_) => match self.table.kind(&ty) {
                Some(kind @ (VarKind::Int | VarKind::Float)) => {
                    methods::find_open(name, kind).map(|m| (m, ty.clone()))
                }
                _ => None,
            },
            _ => None,
        };
        let Some((method, this)) = found else {
            for arg in args {
                self.expr(arg, &Expect::Nothing);
            }
            let instead = self.table.deep(&ty).prim().and_then(|prim| methods::instead(name, prim));
            match instead {
                Some(instead) => {
                    self.env.error(name_span, format!("`{name}` cannot run on a device yet; {instead}"));
                }
                None => self.no_type(&ty, name_span, &format!("has no method `{name}` that devices know")),
            }
            return Expr { span, ty: Ty::Error, kind: Kind::Error };
        };
        self.arity(method.args.len(), args.len(), span);
        // `Same` keeps an open literal open; the others fix it, as rustc would have demanded.
        let of = |t: methods::T, this: &Ty, table: &super::infer::Table| match (t, this) {
            (methods::T::Same, this) => this.clone(),
            (t, this) => Ty::Prim(t.of(table.deep(this).prim().unwrap_or(Prim::I32))),
        };
        let mut typed = vec![receiver];
        for (arg, t) in args.iter().zip(method.args) {
            let expected = of(*t, &this, &self.table);
            let arg = self.expr(arg, &Expect::Type(expected.clone()));
            typed.push(self.coerce(arg, &expected));
        }
        if typed.len() != method.args.len() + 1 {
            return Expr { span, ty: Ty::Error, kind: Kind::Error };
        }
        let ret = of(method.ret, &this, &self.table);
        Expr { span, ty: ret, kind: Kind::Number(method, typed, name_span) }
    }

    fn array_method(
        &mut self,
        array: Expr,
        element: &Ty,
        len: u64,
        name: &ast::Member,
        args: &[ast::Expr],
        span: Span,
    ) -> Expr {
        let usize_const = |value| Kind::Constant(Const { ty: crate::ir::Scalar::U64, bits: value });
        match (name.name.as_str(), args) {
            ("len", []) => Expr { span, ty: Ty::usize(), kind: usize_const(len) },
            ("is_empty", []) => Expr { span, ty: Ty::bool(), kind: Kind::Bool(len == 0) },
            ("swap", [i, j]) => {
                let (i, j) = (self.expr_of(i, &Ty::usize()), self.expr_of(j, &Ty::usize()));
                Expr {
                    span,
                    ty: Ty::unit(),
                    kind: Kind::Array(ArrayMethod::Swap, vec![array, i, j], name.span),
                }
            }
            ("fill", [value]) => {
                let value = self.expr_of(value, element);
                Expr {
                    span,
                    ty: Ty::unit(),
                    kind: Kind::Array(ArrayMethod::Fill, vec![array, value], name.span),
                }
            }
            (other, _) => {
                let instead = match other {
                    "iter" | "iter_mut" | "into_iter" => {
                        "an iterator stands in a `for` only: `for x in array`, or `for i in 0..N`"
                    }
                    "get" | "get_mut" | "first" | "last" => "test the index and write `array[i]`",
                    "map" => "write a `for` loop that fills another array",
                    "copy_from_slice" | "clone_from_slice" => "assign the array",
                    "as_slice" | "as_mut_slice" | "split_at" => "use the array and indices",
                    _ => "write a `for` loop over its elements",
                };
                self.env
                    .error(name.span, format!("`{other}` of an array cannot run on a device yet; {instead}"));
                for arg in args {
                    self.expr(arg, &Expect::Nothing);
                }
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
        }
    }

    /// `(low..high).contains(&item)` is two comparisons, of values computed once and in that order.
    pub(super) fn range_contains(&mut self, range: &ast::RangeExpr, item: &ast::Expr, span: Span) -> Expr {
        let mut stmts = Vec::new();
        let low = range.low.as_ref().map(|e| self.operand_once(e, &mut stmts));
        let high = range.high.as_ref().map(|e| self.operand_once(e, &mut stmts));
        let item = self.operand_once(item, &mut stmts);
        let ends = [(low, CmpOp::Ge), (high, if range.inclusive { CmpOp::Le } else { CmpOp::Lt })];
        let mut whole = Expr { span, ty: Ty::bool(), kind: Kind::Bool(true) };
        for (end, op) in ends {
            let Some(end) = end else { continue };
            self.unify(&item.ty.clone(), &end.ty.clone(), end.span);
            let kind = Kind::Compare(op, Box::new(item.clone()), Box::new(end));
            let test = Expr { span, ty: Ty::bool(), kind };
            whole = Expr { span, ty: Ty::bool(), kind: Kind::And(Box::new(whole), Box::new(test)) };
        }
        let source = Source { span, text: String::new() };
        let kind = Kind::Block { label: None, stmts, tail: Some((Box::new(whole), source)) };
        Expr { span, ty: Ty::bool(), kind }
    }

    /// An expression that may be used more than once: computed by a statement in front, unless that makes no difference.
    fn operand_once(&mut self, expr: &ast::Expr, stmts: &mut Vec<Stmt>) -> Expr {
        let expr = self.expr(expr, &Expect::Nothing);
        let mut expr = self.auto_deref(expr);
        if let Kind::Deref(inner) = expr.kind {
            // `&x` looked through is `x`.
            expr = match inner.kind {
                Kind::Ref(_, inner) => *inner,
                kind => Expr { kind: Kind::Deref(Box::new(Expr { kind, ..*inner })), ..expr },
            };
        }
        if expr.is_speculable() {
            return expr;
        }
        let (span, ty) = (expr.span, expr.ty.clone());
        let local = self.declare("", ty.clone(), false);
        let pat = Pat { span, ty: ty.clone(), kind: PatKind::Bind { local, by_ref: false, sub: None } };
        let source = Source { span, text: String::new() };
        stmts.push(Stmt { source, kind: StmtKind::Let { pat, init: Some(expr), otherwise: None } });
        Expr { span, ty, kind: Kind::Local(local) }
    }
}

static FROM_BITS: NumMethod = NumMethod {
    name: "from_bits",
    on: methods::On::Unsigned,
    args: &[],
    ret: methods::T::Same,
    lower: crate::front::lower::number::from_bits,
};

fn zero(prim: Prim, span: Span) -> Expr {
    let kind = if prim == Prim::BOOL {
        Kind::Bool(false)
    } else if prim.is_float() {
        Kind::Float("0".into())
    } else {
        Kind::Int(0)
    };
    Expr { span, ty: Ty::Prim(prim), kind }
}
