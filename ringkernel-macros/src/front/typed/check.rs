//! Expressions.

use super::context::Call;
use super::env::{Env, Owner, Signature};
use super::infer::Table;
use super::tree::{Body, ConstItem, Expr, Kind, LocalId, LocalInfo, LoopId, Pat, PatKind};
use crate::front::parse::ast::{self, ExprKind, Unary};
use crate::front::types::{Prim, Ty, VarKind};
use crate::ir::{BinOp, CmpOp};
use proc_macro2::Span;
use std::collections::HashMap;
use std::rc::Rc;

/// What is known about an expression's type from around it.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    Nothing,
    /// It must become this.
    Type(Ty),
    /// It will be cast to this: literals take it on, as in rustc.
    Cast(Prim),
}

/// What a name in scope is.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Local(LocalId),
    Const(Rc<ConstItem>),
}

pub(super) struct LoopCx {
    pub(super) label: Option<String>,
    pub(super) id: LoopId,
    /// A labelled block: an unlabelled `break` passes it by.
    pub(super) is_block: bool,
    /// The type of its value, where it can have one.
    pub(super) ty: Option<Ty>,
    pub(super) broken: bool,
}

/// Types one body.
pub(crate) struct Checker<'e, 'p> {
    pub(super) env: &'e mut Env<'p>,
    pub(super) owner: Owner,
    pub(super) table: Table,
    pub(super) locals: Vec<LocalInfo>,
    pub(super) scopes: Vec<HashMap<String, Name>>,
    pub(super) loops: Vec<LoopCx>,
    pub(super) loop_count: usize,
    pub(super) ret: Ty,
    /// Whether control cannot get here.
    pub(super) diverges: bool,
}

impl<'e, 'p> Checker<'e, 'p> {
    pub(super) fn new(env: &'e mut Env<'p>, owner: Owner) -> Self {
        Self {
            env,
            owner,
            table: Table::default(),
            locals: Vec::new(),
            scopes: vec![HashMap::new()],
            loops: Vec::new(),
            loop_count: 0,
            ret: Ty::unit(),
            diverges: false,
        }
    }

    /// A function's signature; `self` is a parameter like others.
    pub(super) fn signature(&mut self, function: &ast::Function) -> Signature {
        let mut params = Vec::new();
        if let Some(receiver) = &function.receiver {
            params.push(Ty::Ref(receiver.mutable, Rc::new(Ty::Struct(self.env.program.actor))));
        }
        params.extend(function.params.iter().map(|(_, ty)| self.ty(ty)));
        let ret = function.ret.as_ref().map_or_else(Ty::unit, |ty| self.ty(ty));
        Signature { params, ret }
    }

    /// A function's body.
    pub(super) fn function(mut self, function: &ast::Function) -> Body {
        let signature = self.signature(function);
        self.ret = signature.ret.clone();
        let mut types = signature.params.iter();
        let mut params = Vec::new();
        if let Some(receiver) = &function.receiver
            && let Some(ty) = types.next()
        {
            let local = self.declare("self", ty.clone(), false);
            let kind = PatKind::Bind { local, by_ref: false, sub: None };
            params.push(Pat { span: receiver.span, ty: ty.clone(), kind });
        }
        for ((pat, _), ty) in function.params.iter().zip(types) {
            params.push(self.pat(pat, ty));
        }
        let value = self.block_expr(&function.body, function.span, &Expect::Type(signature.ret.clone()));
        let value = self.coerce(value, &signature.ret);
        Body { params, locals: self.locals, ret: signature.ret, value, table: self.table }
    }

    /// A constant's value.
    pub(super) fn constant(mut self, item: &ast::Const) -> ConstItem {
        let ty = self.ty(&item.ty);
        let value = self.expr(&item.value, &Expect::Type(ty.clone()));
        let value = self.coerce(value, &ty);
        let body =
            Body { params: Vec::new(), locals: self.locals, ret: ty.clone(), value, table: self.table };
        ConstItem { name: item.name.clone(), ty, body: Rc::new(body) }
    }

    pub(super) fn shallow(&self, ty: &Ty) -> Ty {
        self.table.shallow(ty)
    }

    pub(super) fn name_of(&self, ty: &Ty) -> String {
        match self.table.kind(ty) {
            Some(VarKind::Int) => "integer".into(),
            Some(VarKind::Float) => "float".into(),
            Some(VarKind::Any) => "_".into(),
            None => self.env.type_name(&self.shallow(ty)),
        }
    }

    pub(super) fn unify(&mut self, expected: &Ty, found: &Ty, span: Span) {
        if !self.table.unify(expected, found) {
            let message = format!("expected `{}`, found `{}`", self.name_of(expected), self.name_of(found));
            self.env.defer(span, message);
        }
    }

    /// Makes the expression one of type `to`, by Rust's coercions.
    pub(super) fn coerce(&mut self, expr: Expr, to: &Ty) -> Expr {
        match (self.shallow(&expr.ty), self.shallow(to)) {
            (Ty::Never, _) => {}
            (Ty::Ref(true, inner), Ty::Ref(false, target)) => {
                self.unify(&target, &inner, expr.span);
                return Expr { ty: Ty::Ref(false, inner), ..expr };
            }
            (found, expected) => self.unify(&expected, &found, expr.span),
        }
        expr
    }

    /// Types an expression and makes it one of type `to`.
    pub(super) fn expr_of(&mut self, expr: &ast::Expr, to: &Ty) -> Expr {
        let expr = self.expr(expr, &Expect::Type(to.clone()));
        self.coerce(expr, to)
    }

    /// Types an expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr, expect: &Expect) -> Expr {
        let typed = self.kind(expr, expect);
        if matches!(self.shallow(&typed.ty), Ty::Never) {
            self.diverges = true;
        }
        typed
    }

    fn kind(&mut self, expr: &ast::Expr, expect: &Expect) -> Expr {
        let span = expr.span;
        let (ty, kind) = match &expr.kind {
            ExprKind::Int(value, suffix) => {
                let ty = suffix.map_or_else(|| self.literal_type(VarKind::Int, expect), Ty::Prim);
                (ty, Kind::Int(*value))
            }
            ExprKind::Float(digits, suffix) => {
                let ty = suffix.map_or_else(|| self.literal_type(VarKind::Float, expect), Ty::Prim);
                (ty, Kind::Float(digits.clone()))
            }
            ExprKind::Bool(value) => (Ty::bool(), Kind::Bool(*value)),
            ExprKind::Path(path) => return self.path_expr(path),
            ExprKind::Field(base, member) => return self.field(base, member, span),
            ExprKind::Index(base, index) => {
                let base = self.expr(base, &Expect::Nothing);
                let base = self.auto_deref(base);
                let index = self.expr_of(index, &Ty::usize());
                match self.shallow(&base.ty) {
                    Ty::Array(element, _) => {
                        ((*element).clone(), Kind::Index(Box::new(base), Box::new(index)))
                    }
                    Ty::Archived(ref arch) if Self::archived_elements(arch).is_some() => {
                        let element = Self::archived_elements(arch).unwrap_or(Ty::Error);
                        (element, Kind::Index(Box::new(base), Box::new(index)))
                    }
                    other => {
                        self.no_type(&other, span, "cannot be indexed");
                        (Ty::Error, Kind::Error)
                    }
                }
            }
            ExprKind::Unary(op, inner) => return self.unary(*op, inner, span, expect),
            ExprKind::Ref(mutable, inner) => {
                let expected = match expect {
                    Expect::Type(ty) => match self.shallow(ty) {
                        Ty::Ref(_, inner) => Expect::Type((*inner).clone()),
                        _ => Expect::Nothing,
                    },
                    _ => Expect::Nothing,
                };
                let inner = self.expr(inner, &expected);
                (Ty::Ref(*mutable, Rc::new(inner.ty.clone())), Kind::Ref(*mutable, Box::new(inner)))
            }
            ExprKind::Binary(op, left, right) => {
                let (left, right) = self.operands(*op, left, right, expect);
                (left.ty.clone(), Kind::Binary(*op, Box::new(left), Box::new(right)))
            }
            ExprKind::Compare(op, left, right) => {
                let (left, right) = self.compared(*op, left, right);
                (Ty::bool(), Kind::Compare(*op, Box::new(left), Box::new(right)))
            }
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                let left = Box::new(self.expr_of(left, &Ty::bool()));
                let before = self.diverges;
                let right = Box::new(self.expr_of(right, &Ty::bool()));
                self.diverges = before;
                let is_and = matches!(expr.kind, ExprKind::And(..));
                (Ty::bool(), if is_and { Kind::And(left, right) } else { Kind::Or(left, right) })
            }
            ExprKind::Assign(place, value) => self.assign(place, value, span),
            ExprKind::AssignOp(op, place, value) => {
                // rustc types the right side first for builtin operands; with unification the order does not matter.
                let place = self.expr(place, &Expect::Nothing);
                let value = self.expr(value, &Expect::Nothing);
                let value = self.value_of_ref(value);
                self.numeric(*op, &place.ty, span);
                if !matches!(op, BinOp::Shl | BinOp::Shr) {
                    self.unify(&place.ty, &value.ty, value.span);
                }
                (Ty::unit(), Kind::AssignOp(*op, Box::new(place), Box::new(value)))
            }
            ExprKind::Underscore => {
                self.env.defer(span, "`_` stands only on the left of `=`");
                (Ty::Error, Kind::Error)
            }
            ExprKind::Cast(inner, ty) => {
                let ty = self.ty(ty);
                let hint = self.shallow(&ty).prim().map_or(Expect::Nothing, Expect::Cast);
                let inner = self.expr(inner, &hint);
                if self.table.kind(&ty) == Some(VarKind::Any) {
                    self.unify(&inner.ty.clone(), &ty, span); // `as _`: rustc knows more rarely than never
                }
                (ty, Kind::Cast(Box::new(inner)))
            }
            ExprKind::Call(path, args) => return self.call(path, args, span, expect),
            ExprKind::Method { receiver, name, turbofish, args } => {
                return self.method(
                    receiver,
                    Call { name, turbofish: turbofish.as_deref(), args, span },
                    expect,
                );
            }
            ExprKind::Text(_) => {
                self.env.error(span, "a string cannot run on a device yet; use numbers, or `[u8; N]`");
                (Ty::Error, Kind::Error)
            }
            ExprKind::RangeContains { range, item } => return self.range_contains(range, item, span),
            ExprKind::Panic(text) => (Ty::Never, Kind::Panic(text.clone())),
            ExprKind::Assert { condition, message, debug } => {
                let condition = Box::new(self.expr_of(condition, &Ty::bool()));
                (Ty::unit(), Kind::Assert { condition, message: message.clone(), debug: *debug })
            }
            ExprKind::AssertCompare { equal, left, right, message, debug } => {
                let op = if *equal { CmpOp::Eq } else { CmpOp::Ne };
                let (left, right) = self.compared(op, left, right);
                let kind = Kind::Compare(op, Box::new(left), Box::new(right));
                let condition = Box::new(Expr { span, ty: Ty::bool(), kind });
                (Ty::unit(), Kind::Assert { condition, message: message.clone(), debug: *debug })
            }
            ExprKind::Array(elements) => {
                let element = match expect {
                    Expect::Type(ty) => match self.shallow(ty) {
                        Ty::Array(element, _) => (*element).clone(),
                        _ => self.table.fresh(VarKind::Any),
                    },
                    _ => self.table.fresh(VarKind::Any),
                };
                let fields: Vec<_> = elements.iter().map(|e| self.expr_of(e, &element)).enumerate().collect();
                (Ty::Array(Rc::new(element), fields.len() as u64), Kind::Aggregate { fields, base: None })
            }
            ExprKind::Repeat(element, len) => {
                let expected = match expect {
                    Expect::Type(ty) => match self.shallow(ty) {
                        Ty::Array(element, _) => Expect::Type((*element).clone()),
                        _ => Expect::Nothing,
                    },
                    _ => Expect::Nothing,
                };
                let len = self.array_len(len);
                let element = self.expr(element, &expected);
                (Ty::Array(Rc::new(element.ty.clone()), len), Kind::Repeat(Box::new(element), len))
            }
            ExprKind::Tuple(elements) => {
                let expected = match expect {
                    Expect::Type(ty) => self.shallow(ty),
                    _ => Ty::Error,
                };
                let mut fields = Vec::new();
                for (i, element) in elements.iter().enumerate() {
                    let typed = match &expected {
                        Ty::Tuple(types) if types.len() == elements.len() => self.expr_of(element, &types[i]),
                        _ => self.expr(element, &Expect::Nothing),
                    };
                    fields.push((i, typed));
                }
                let types: Vec<Ty> = fields.iter().map(|(_, e)| e.ty.clone()).collect();
                (Ty::Tuple(types.into()), Kind::Aggregate { fields, base: None })
            }
            ExprKind::Struct { path, fields, base } => return self.struct_literal(path, fields, base, span),
            ExprKind::Error => (Ty::Error, Kind::Error),
            _ => return self.control(expr, expect),
        };
        Expr { span, ty, kind }
    }

    /// The type of an unsuffixed literal.
    fn literal_type(&mut self, kind: VarKind, expect: &Expect) -> Ty {
        let fits = |prim: Prim| if kind == VarKind::Int { prim.is_int() } else { prim.is_float() };
        match expect {
            Expect::Cast(prim) if fits(*prim) => Ty::Prim(*prim),
            Expect::Type(ty) => match self.shallow(ty) {
                Ty::Prim(prim) if fits(prim) => Ty::Prim(prim),
                _ => self.table.fresh(kind),
            },
            _ => self.table.fresh(kind),
        }
    }

    fn unary(&mut self, op: Unary, inner: &ast::Expr, span: Span, expect: &Expect) -> Expr {
        if op == Unary::Deref {
            let inner = self.expr(inner, &Expect::Nothing);
            return match self.shallow(&inner.ty) {
                Ty::Ref(_, target) => {
                    Expr { span, ty: (*target).clone(), kind: Kind::Deref(Box::new(inner)) }
                }
                other => {
                    self.no_type(&other, span, "cannot be dereferenced");
                    Expr { span, ty: Ty::Error, kind: Kind::Error }
                }
            };
        }
        let inner = self.expr(inner, expect);
        let inner = self.value_of_ref(inner);
        let ty = inner.ty.clone();
        if let known @ (Ty::Struct(_) | Ty::Array(..) | Ty::Tuple(_)) = self.shallow(&ty) {
            let message = format!(
                "operators on `{}` cannot run on a device yet; write a `#[device_fn]` and call it",
                self.name_of(&known)
            );
            self.env.error(span, message);
        }
        let inner = Box::new(inner);
        Expr { span, ty, kind: if op == Unary::Neg { Kind::Neg(inner) } else { Kind::Not(inner) } }
    }

    /// The two operands of an arithmetic operator: of one type, but for shifts.
    fn operands(&mut self, op: BinOp, left: &ast::Expr, right: &ast::Expr, expect: &Expect) -> (Expr, Expr) {
        // A result type seen from outside is the left operand's too; a cast is not.
        let expect = match expect {
            Expect::Type(ty) if self.shallow(ty).prim().is_some() => expect.clone(),
            _ => Expect::Nothing,
        };
        let left = self.expr(left, &expect);
        let left = self.value_of_ref(left);
        let shift = matches!(op, BinOp::Shl | BinOp::Shr);
        let expect = if shift { Expect::Nothing } else { Expect::Type(left.ty.clone()) };
        let right = self.expr(right, &expect);
        let right = self.value_of_ref(right);
        self.numeric(op, &left.ty, left.span);
        if !shift {
            self.unify(&left.ty, &right.ty, right.span);
        }
        (left, right)
    }

    /// Reports operators that only a trait could give.
    fn numeric(&mut self, op: BinOp, ty: &Ty, span: Span) {
        match self.shallow(ty) {
            known @ (Ty::Struct(_) | Ty::Array(..) | Ty::Tuple(_)) => {
                let message = format!(
                    "operators on `{}` cannot run on a device yet; write a `#[device_fn]` and call it",
                    self.name_of(&known)
                );
                self.env.error(span, message);
            }
            Ty::Prim(prim) => {
                let fits = match op {
                    BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div | BinOp::Rem => prim != Prim::BOOL,
                    BinOp::And | BinOp::Or | BinOp::Xor => !prim.is_float(),
                    BinOp::Shl | BinOp::Shr => prim.is_int(),
                };
                if !fits {
                    let message = format!("`{}` has no such operator", prim.name());
                    self.env.defer(span, message);
                }
            }
            _ => {}
        }
    }

    /// The two operands of a comparison.
    fn compared(&mut self, op: CmpOp, left: &ast::Expr, right: &ast::Expr) -> (Expr, Expr) {
        let left = self.expr(left, &Expect::Nothing);
        let left = self.value_of_ref(left);
        let right = self.expr(right, &Expect::Type(left.ty.clone()));
        let right = self.value_of_ref(right);
        self.unify(&left.ty, &right.ty, right.span);
        self.comparable(op, &left.ty.clone(), left.span);
        (left, right)
    }

    fn comparable(&mut self, op: CmpOp, ty: &Ty, span: Span) {
        match self.shallow(ty) {
            known @ Ty::Struct(_) => {
                let message = format!(
                    "`{}` cannot be compared on a device yet (its `PartialEq` is not visible here); compare its fields",
                    self.name_of(&known)
                );
                self.env.error(span, message);
            }
            Ty::Array(..) | Ty::Tuple(_) if !matches!(op, CmpOp::Eq | CmpOp::Ne) => {
                self.env.error(
                    span,
                    "arrays and tuples cannot be ordered on a device yet; compare their elements",
                );
            }
            Ty::Array(element, _) => self.comparable(op, &element, span),
            Ty::Tuple(elements) => elements.iter().for_each(|e| self.comparable(op, e, span)),
            _ => {}
        }
    }

    fn assign(&mut self, place: &ast::Expr, value: &ast::Expr, span: Span) -> (Ty, Kind) {
        let place = self.assignee(place);
        let value = self.expr_of(value, &place.ty.clone());
        if let Ty::Ref(..) = self.shallow(&place.ty) {
            self.env.error(
                span,
                "a reference that changes cannot run on a device yet; bind each with its own `let`, or use an index",
            );
        }
        (Ty::unit(), Kind::Assign(Box::new(place), Box::new(value)))
    }

    /// The left side of `=`: a place, or a tuple or array of those and `_`.
    fn assignee(&mut self, place: &ast::Expr) -> Expr {
        let span = place.span;
        let parts = match &place.kind {
            ExprKind::Underscore => {
                return Expr { span, ty: self.table.fresh(VarKind::Any), kind: Kind::Underscore };
            }
            ExprKind::Tuple(parts) | ExprKind::Array(parts) => parts,
            _ => return self.expr(place, &Expect::Nothing),
        };
        let fields: Vec<(usize, Expr)> = parts.iter().map(|part| self.assignee(part)).enumerate().collect();
        let ty = if let ExprKind::Tuple(_) = place.kind {
            Ty::Tuple(fields.iter().map(|(_, part)| part.ty.clone()).collect())
        } else {
            let element = self.table.fresh(VarKind::Any);
            for (_, part) in &fields {
                self.unify(&element, &part.ty, part.span);
            }
            Ty::Array(Rc::new(element), fields.len() as u64)
        };
        Expr { span, ty, kind: Kind::Aggregate { fields, base: None } }
    }

    /// Looks through references to what has fields, elements or methods.
    pub(super) fn auto_deref(&mut self, mut expr: Expr) -> Expr {
        while let Ty::Ref(_, target) = self.shallow(&expr.ty) {
            expr = Expr { span: expr.span, ty: (*target).clone(), kind: Kind::Deref(Box::new(expr)) };
        }
        expr
    }

    /// An operand: std implements the operators for references to numbers too.
    fn value_of_ref(&mut self, expr: Expr) -> Expr {
        let expr = self.auto_deref(expr);
        self.native(expr)
    }

    /// Reports a use of a type that has no such thing.
    pub(super) fn no_type(&mut self, ty: &Ty, span: Span, what: &str) {
        match ty {
            Ty::Error => {}
            Ty::Var(_) if self.table.kind(ty) == Some(VarKind::Any) => {
                self.env.defer(span, "the type must be known here: write it in the `let`");
            }
            _ => {
                let message = format!("`{}` {what}", self.name_of(ty));
                self.env.defer(span, message);
            }
        }
    }
}
