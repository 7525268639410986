//! Archives: what a message of variable size is made of, and what handlers ask of it.
//!
//! The types are rkyv's archived ones. Those that are laid out like what they are an archive of (`bool`, bytes, arrays, tuples) are that type
//! here too.

use super::check::{Checker, Expect};
use super::context::Call;
use super::tree::{ArchivedOp, Expr, Kind};
use crate::collect::variable::Holder;
use crate::front::parse::ast::{self, TypeExpr, TypeKind};
use crate::front::types::{Arch, Prim, Ty};
use crate::ir::Scalar;
use proc_macro2::Span;
use std::rc::Rc;

impl Checker<'_, '_> {
    /// What a `T` is in an archive.
    pub(super) fn archived(&mut self, ty: &TypeExpr) -> Ty {
        match &ty.kind {
            TypeKind::Prim(Prim::Scalar(scalar)) => match scalar.bytes() {
                1 => Ty::Prim(Prim::Scalar(*scalar)),
                _ => Ty::Archived(Arch::Number(*scalar)),
            },
            TypeKind::String => Ty::Archived(Arch::String),
            TypeKind::Held(holder, part) => {
                let part = Rc::new(self.archived(part));
                Ty::Archived(match holder {
                    Holder::Vec => Arch::Vec(part),
                    Holder::Option => Arch::Option(part),
                })
            }
            TypeKind::Array(element, len) => {
                let element = self.archived(element);
                Ty::Array(Rc::new(element), self.array_len(len))
            }
            TypeKind::Tuple(elements) => Ty::Tuple(elements.iter().map(|ty| self.archived(ty)).collect()),
            TypeKind::Path(path) => match self.env.find_type(self.owner, path) {
                Some(def) => Ty::Archived(Arch::Struct(def)),
                None => {
                    let message = format!(
                        "`{0}` is not a type that devices know; add `#[derive(Payload)]` to the struct and name it as `{0}`, not through a \
                         type alias",
                        path.text
                    );
                    self.env.defer(path.span, message);
                    Ty::Error
                }
            },
            TypeKind::Error => Ty::Error,
            _ => {
                self.env.defer(ty.span, "this is not part of a message of variable size");
                Ty::Error
            }
        }
    }

    /// A type that only archives hold, where none is.
    pub(super) fn only_archived(&mut self, span: Span, holder: Option<Holder>) -> Ty {
        let message = match holder {
            None => "a string cannot run on a device yet; use numbers, or `[u8; N]`",
            Some(Holder::Vec) => "heap memory cannot run on a device yet; use an array: `[T; N]`",
            Some(Holder::Option) => {
                "an enum cannot run on a device yet; use a `bool` beside the value, or a value that means none"
            }
        };
        self.env.error(span, message);
        Ty::Error
    }

    /// A method of something in an archive.
    pub(super) fn archived_method(&mut self, receiver: Expr, arch: &Arch, call: &Call<'_>) -> Expr {
        let (name, span) = (call.name.name.as_str(), call.span);
        let reference = |ty: &Ty| Ty::Ref(false, Rc::new(ty.clone()));
        let same = |receiver: Expr| {
            let ty = reference(&receiver.ty);
            Expr { span, ty, kind: Kind::Ref(false, Box::new(receiver)) }
        };
        let sequence = matches!(arch, Arch::Vec(_) | Arch::String | Arch::Bytes);
        let (ty, op) = match (arch, name, call.args) {
            (Arch::Number(scalar), "to_native", []) => {
                (Ty::Prim(Prim::Scalar(*scalar)), ArchivedOp::ToNative)
            }
            (_, "len", []) if sequence => (Ty::usize(), ArchivedOp::Len),
            (_, "is_empty", []) if sequence => (Ty::bool(), ArchivedOp::IsEmpty),
            (Arch::String, "as_bytes", []) => (reference(&Ty::Archived(Arch::Bytes)), ArchivedOp::AsBytes),
            (Arch::String, "as_str", []) | (Arch::Vec(_), "as_slice", []) => return same(receiver),
            (Arch::Option(_), "is_some", []) => (Ty::bool(), ArchivedOp::IsSome),
            (Arch::Option(_), "is_none", []) => (Ty::bool(), ArchivedOp::IsNone),
            (Arch::Option(part), "as_ref", []) => {
                (Ty::Tuple(Rc::new([Ty::bool(), reference(part)])), ArchivedOp::AsRef)
            }
            _ => {
                for arg in call.args {
                    self.expr(arg, &Expect::Nothing);
                }
                let instead = match arch {
                    Arch::Number(_) => "`to_native()` gives its value",
                    Arch::Vec(_) => "use `len()`, an index, and `for x in v.iter()`",
                    Arch::String => "use `len()` and `as_bytes()`",
                    Arch::Bytes => "use `len()`, an index, and `for b in bytes.iter()`",
                    Arch::Option(_) => "use `is_some()`, and `if let Some(x) = option.as_ref()`",
                    Arch::Struct(_) => "write a `#[device_fn]` that takes it by reference",
                };
                self.env.error(
                    call.name.span,
                    format!("`{name}` of what an archive holds cannot run on a device yet; {instead}"),
                );
                return Expr { span, ty: Ty::Error, kind: Kind::Error };
            }
        };
        Expr { span, ty, kind: Kind::Archived(op, Box::new(receiver)) }
    }

    /// The elements of what can be indexed or looped over.
    pub(super) fn archived_elements(arch: &Arch) -> Option<Ty> {
        match arch {
            Arch::Vec(element) => Some((**element).clone()),
            Arch::Bytes => Some(Ty::Prim(Prim::Scalar(Scalar::U8))),
            _ => None,
        }
    }

    /// A number in an archive stands for its value as an operand.
    pub(super) fn native(&mut self, expr: Expr) -> Expr {
        match self.shallow(&expr.ty) {
            Ty::Archived(Arch::Number(scalar)) => {
                let (span, ty) = (expr.span, Ty::Prim(Prim::Scalar(scalar)));
                Expr { span, ty, kind: Kind::Archived(ArchivedOp::ToNative, Box::new(expr)) }
            }
            _ => expr,
        }
    }

    /// A field of a struct in an archive.
    pub(super) fn archived_field(&mut self, arch: &Arch, member: &ast::Member) -> Option<(usize, Ty)> {
        let Arch::Struct(def) = arch else { return None };
        let info = self.env.archived_info(*def)?;
        let i = info.field(&member.name)?;
        Some((i, info.fields[i].1.clone()))
    }
}
