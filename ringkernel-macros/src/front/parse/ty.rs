//! Types.

use super::Parser;
use super::ast::{TypeExpr, TypeKind};
use crate::collect::variable;
use crate::front::types::{HLC, Prim};
use syn::Type;
use syn::spanned::Spanned;

impl Parser {
    /// A type as written.
    pub(crate) fn ty(&mut self, ty: &Type) -> TypeExpr {
        let span = ty.span();
        let kind = match ty {
            Type::Path(path) if path.qself.is_none() => self.type_path(path),
            Type::Array(array) => {
                TypeKind::Array(Box::new(self.ty(&array.elem)), Box::new(self.expr(&array.len)))
            }
            Type::Tuple(tuple) => TypeKind::Tuple(tuple.elems.iter().map(|ty| self.ty(ty)).collect()),
            Type::Reference(reference) => match &*reference.elem {
                Type::Slice(_) => {
                    self.unsupported(span, "a slice", "take an array: `&[T; N]`");
                    TypeKind::Error
                }
                Type::Path(path) if path.path.is_ident("str") => {
                    self.unsupported(span, "a string", "use numbers, or `[u8; N]`");
                    TypeKind::Error
                }
                elem => TypeKind::Ref(reference.mutability.is_some(), Box::new(self.ty(elem))),
            },
            Type::Paren(inner) => return self.ty(&inner.elem),
            Type::Group(inner) => return self.ty(&inner.elem),
            Type::Infer(_) => TypeKind::Infer,
            Type::Never(_) => TypeKind::Never,
            _ => {
                self.unsupported(
                    span,
                    "this type",
                    "use integers, floats, `bool`, arrays, tuples, and structs with `#[derive(DeviceType)]`",
                );
                TypeKind::Error
            }
        };
        TypeExpr { span, kind }
    }

    /// The type of a struct's field. Those of messages of variable size may be what nothing else on a device is.
    pub(crate) fn field_ty(&mut self, ty: &Type) -> TypeExpr {
        let span = ty.span();
        let kind = match ty {
            Type::Path(path) if variable::is_string(path) => TypeKind::String,
            Type::Path(path) => match variable::held(path) {
                Some((holder, part)) => TypeKind::Held(holder, Box::new(self.field_ty(part))),
                None => return self.ty(ty),
            },
            Type::Array(array) => {
                TypeKind::Array(Box::new(self.field_ty(&array.elem)), Box::new(self.expr(&array.len)))
            }
            Type::Tuple(tuple) => TypeKind::Tuple(tuple.elems.iter().map(|ty| self.field_ty(ty)).collect()),
            Type::Paren(inner) => return self.field_ty(&inner.elem),
            Type::Group(inner) => return self.field_ty(&inner.elem),
            _ => return self.ty(ty),
        };
        TypeExpr { span, kind }
    }

    fn type_path(&mut self, ty: &syn::TypePath) -> TypeKind {
        let span = ty.span();
        let Some(last) = ty.path.segments.last() else { return TypeKind::Error };
        let name = last.ident.to_string();
        if name == "RingContext" {
            return TypeKind::Context;
        }
        if name == "Archived"
            && let Some(of) = variable::only_argument(last)
        {
            return TypeKind::Archived(Box::new(self.field_ty(of)));
        }
        if name == HLC {
            return TypeKind::Prim(Prim::Hlc);
        }
        if ty.path.is_ident("Self") {
            return TypeKind::SelfType;
        }
        let qualified = ty.path.segments.len() > 1
            && ty
                .path
                .segments
                .iter()
                .any(|s| s.ident == "primitive" || s.ident == "std" || s.ident == "core");
        if (ty.path.segments.len() == 1 || qualified)
            && let Some(prim) = Prim::from_name(&name)
        {
            return TypeKind::Prim(prim);
        }
        let (what, instead) = match name.as_str() {
            "i128" | "u128" => ("a 128-bit integer", "use `i64` or `u64`, or two of them"),
            "char" => ("`char`", "use `u32`"),
            "str" | "String" => ("a string", "use numbers, or `[u8; N]`"),
            "Vec" | "VecDeque" | "Box" | "Rc" | "Arc" => ("heap memory", "use an array: `[T; N]`"),
            "Option" | "Result" => ("an enum", "use a `bool` beside the value, or a value that means none"),
            "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet" => ("a map", "use arrays of keys and values"),
            _ => return TypeKind::Path(self.path(&ty.path)),
        };
        self.unsupported(span, what, instead);
        TypeKind::Error
    }
}
