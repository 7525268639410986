//! What names mean: types, paths, fields, struct literals.

use super::check::{Checker, Expect, Name};
use super::env::StructInfo;
use super::tree::{Body, Expr, Kind};
use crate::front::lower;
use crate::front::parse::ast::{self, TypeKind};
use crate::front::types::{Prim, SENT, Ty, VarKind};
use crate::ir::{Const, Scalar};
use crate::program::DefId;
use proc_macro2::Span;
use std::rc::Rc;

impl Checker<'_, '_> {
    /// A type as written.
    pub(super) fn ty(&mut self, ty: &ast::TypeExpr) -> Ty {
        match &ty.kind {
            TypeKind::Prim(prim) => Ty::Prim(*prim),
            TypeKind::SelfType => {
                let path = ast::Path { span: ty.span, text: "Self".into(), segments: vec!["Self".into()] };
                match self.env.find_type(self.owner, &path) {
                    Some(def) => Ty::Struct(def),
                    None => {
                        self.env.defer(ty.span, "there is no `Self` here");
                        Ty::Error
                    }
                }
            }
            TypeKind::Path(path) => match self.env.find_type(self.owner, path) {
                Some(def) => Ty::Struct(def),
                None if path.last() == SENT => Ty::Prim(Prim::Sent),
                None => {
                    let message = format!(
                        "`{0}` is not a type that devices know; add `#[derive(DeviceType)]` to the struct and name it as `{0}`, \
                         not through a type alias",
                        path.text
                    );
                    self.env.defer(path.span, message);
                    Ty::Error
                }
            },
            TypeKind::Array(element, len) => {
                let element = self.ty(element);
                Ty::Array(Rc::new(element), self.array_len(len))
            }
            TypeKind::Tuple(elements) => Ty::Tuple(elements.iter().map(|ty| self.ty(ty)).collect()),
            TypeKind::Ref(mutable, inner) => match self.ty(inner) {
                Ty::Context => Ty::Context,
                inner => Ty::Ref(*mutable, Rc::new(inner)),
            },
            TypeKind::Archived(inner) => self.archived(inner),
            TypeKind::Held(holder, _) => self.only_archived(ty.span, Some(*holder)),
            TypeKind::String => self.only_archived(ty.span, None),
            TypeKind::Infer => self.table.fresh(VarKind::Any),
            TypeKind::Never => Ty::Never,
            TypeKind::Context => Ty::Context,
            TypeKind::Error => Ty::Error,
        }
    }

    /// The length of an array: a constant expression, evaluated now.
    pub(super) fn array_len(&mut self, len: &ast::Expr) -> u64 {
        if let ast::ExprKind::Int(value, _) = len.kind {
            return value as u64;
        }
        let scopes = self.const_scopes();
        let mut checker = Checker::new(self.env, self.owner);
        checker.scopes = scopes;
        let value = checker.expr_of(len, &Ty::usize());
        let (locals, table) = (checker.locals, checker.table);
        let body = Body { params: Vec::new(), locals, ret: Ty::usize(), value, table };
        match lower::constant(self.env, &body) {
            Some(len) => len.bits,
            None => {
                self.env.defer(
                    len.span,
                    "this length is not known when the macro runs; use a literal or a constant",
                );
                0
            }
        }
    }

    /// The struct a path names.
    pub(super) fn struct_of(&mut self, path: &ast::Path) -> Option<(DefId, Rc<StructInfo>)> {
        let def = self.env.find_type(self.owner, path);
        match def.and_then(|def| Some((def, self.env.struct_info(def)?))) {
            Some(found) => Some(found),
            None => {
                let message = format!(
                    "`{}` is not a type that devices know; add `#[derive(DeviceType)]` to it",
                    path.text
                );
                self.env.defer(path.span, message);
                None
            }
        }
    }

    /// A path as a value: a local, a constant, a struct without fields.
    pub(super) fn path_expr(&mut self, path: &ast::Path) -> Expr {
        let span = path.span;
        if let Some(name) = path.single() {
            match self.scopes.iter().rev().find_map(|scope| scope.get(name)) {
                Some(Name::Local(local)) => {
                    return Expr { span, ty: self.locals[local.0].ty.clone(), kind: Kind::Local(*local) };
                }
                Some(Name::Const(item)) => {
                    return Expr { span, ty: item.ty.clone(), kind: Kind::Named(item.clone()) };
                }
                None => {}
            }
        }
        if let Some(id) = self.env.find_const(self.owner, path) {
            return match self.env.constant(id) {
                Some(item) => Expr { span, ty: item.ty.clone(), kind: Kind::Named(item) },
                None => {
                    self.env.defer(span, "this constant needs its own value");
                    Expr { span, ty: Ty::Error, kind: Kind::Error }
                }
            };
        }
        if let Some(constant) = super::context::constant(path) {
            return constant;
        }
        if let Some((prim, value)) = std_const(path) {
            return Expr { span, ty: Ty::Prim(prim), kind: Kind::Constant(value) };
        }
        if self.env.find_type(self.owner, path).is_some()
            && let Some((def, info)) = self.struct_of(path)
            && info.fields.is_empty()
        {
            let kind = Kind::Aggregate { fields: Vec::new(), base: None };
            return Expr { span, ty: Ty::Struct(def), kind };
        }
        let what = &path.text;
        let message = if path.last().starts_with(|c: char| c.is_ascii_uppercase()) {
            format!("no constant `{what}` is visible here; mark its definition `#[device_const]`")
        } else {
            format!(
                "no variable `{what}` is visible here; a `static` or a function cannot be used as a value"
            )
        };
        self.env.defer(span, message);
        Expr { span, ty: Ty::Error, kind: Kind::Error }
    }

    /// `base.member`
    pub(super) fn field(&mut self, base: &ast::Expr, member: &ast::Member, span: Span) -> Expr {
        let base = self.expr(base, &Expect::Nothing);
        let base = self.auto_deref(base);
        let found = match self.shallow(&base.ty) {
            Ty::Struct(def) => self.env.struct_info(def).and_then(|info| {
                let i = info.field(&member.name)?;
                Some((i, info.fields[i].1.clone()))
            }),
            Ty::Tuple(elements) => {
                member.name.parse::<usize>().ok().and_then(|i| Some((i, elements.get(i)?.clone())))
            }
            Ty::Archived(arch) => self.archived_field(&arch, member),
            _ => None,
        };
        match found {
            Some((i, ty)) => Expr { span, ty, kind: Kind::Field(Box::new(base), i) },
            None => {
                let ty = self.shallow(&base.ty);
                self.no_type(&ty, member.span, &format!("has no field `{}`", member.name));
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
        }
    }

    /// `Path { a: 1, ..base }`
    pub(super) fn struct_literal(
        &mut self,
        path: &ast::Path,
        fields: &[(ast::Member, ast::Expr)],
        base: &Option<Box<ast::Expr>>,
        span: Span,
    ) -> Expr {
        let Some((def, info)) = self.struct_of(path) else {
            return Expr { span, ty: Ty::Error, kind: Kind::Error };
        };
        let mut typed: Vec<(usize, Expr)> = Vec::new();
        for (member, value) in fields {
            match info.field(&member.name) {
                Some(i) => {
                    let value = self.expr_of(value, &info.fields[i].1);
                    typed.push((i, value));
                }
                None => {
                    let message = format!("`{}` has no field `{}`", info.name, member.name);
                    self.env.defer(member.span, message);
                }
            }
        }
        let base = base.as_ref().map(|base| Box::new(self.expr_of(base, &Ty::Struct(def))));
        if base.is_none() && typed.len() < info.fields.len() {
            self.env.defer(span, format!("not every field of `{}` has a value", info.name));
            return Expr { span, ty: Ty::Error, kind: Kind::Error };
        }
        Expr { span, ty: Ty::Struct(def), kind: Kind::Aggregate { fields: typed, base } }
    }
}

/// `u32::MAX`, `std::f32::consts::PI` and the like.
fn std_const(path: &ast::Path) -> Option<(Prim, Const)> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    match &segments[..] {
        [.., float @ ("f32" | "f64"), "consts", name] => {
            let prim = Prim::from_name(float)?;
            Some((prim, Const::float(prim.wide(), math_const(name)?)))
        }
        ["std" | "core", prim, name] | [prim, name] => {
            let prim = Prim::from_name(prim)?;
            assoc_const(prim, name)
        }
        _ => None,
    }
}

fn assoc_const(prim: Prim, name: &str) -> Option<(Prim, Const)> {
    let ty = prim.wide();
    if prim.is_int() {
        let (low, high) = crate::ir_eval::range(ty);
        return Some(match name {
            "MIN" => (prim, Const::int(ty, low)),
            "MAX" => (prim, Const::int(ty, high)),
            "BITS" => (Prim::U32, Const::u32(ty.bits())),
            _ => return None,
        });
    }
    macro_rules! of {
        ($($const:ident)*) => {
            match (ty, name) {
                $(
                    (Scalar::F32, stringify!($const)) => Const::f32(f32::$const),
                    (Scalar::F64, stringify!($const)) => Const::f64(f64::$const),
                )*
                (Scalar::F32, "MANTISSA_DIGITS") => return Some((Prim::U32, Const::u32(f32::MANTISSA_DIGITS))),
                (Scalar::F64, "MANTISSA_DIGITS") => return Some((Prim::U32, Const::u32(f64::MANTISSA_DIGITS))),
                _ => return None,
            }
        };
    }
    Some((prim, of!(MIN MAX MIN_POSITIVE EPSILON INFINITY NEG_INFINITY NAN)))
}

/// Each is the double nearest to the real number, and std's `f32` constant is that double rounded.
fn math_const(name: &str) -> Option<f64> {
    use std::f64::consts as c;
    Some(match name {
        "PI" => c::PI,
        "TAU" => c::TAU,
        "E" => c::E,
        "SQRT_2" => c::SQRT_2,
        "FRAC_1_SQRT_2" => c::FRAC_1_SQRT_2,
        "FRAC_1_PI" => c::FRAC_1_PI,
        "FRAC_2_PI" => c::FRAC_2_PI,
        "FRAC_2_SQRT_PI" => c::FRAC_2_SQRT_PI,
        "FRAC_PI_2" => c::FRAC_PI_2,
        "FRAC_PI_3" => c::FRAC_PI_3,
        "FRAC_PI_4" => c::FRAC_PI_4,
        "FRAC_PI_6" => c::FRAC_PI_6,
        "FRAC_PI_8" => c::FRAC_PI_8,
        "LN_2" => c::LN_2,
        "LN_10" => c::LN_10,
        "LOG2_E" => c::LOG2_E,
        "LOG2_10" => c::LOG2_10,
        "LOG10_2" => c::LOG10_2,
        "LOG10_E" => c::LOG10_E,
        _ => return None,
    })
}
