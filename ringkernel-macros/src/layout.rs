//! Sizes, alignments and offsets of device types: C's rules, whatever rustc does with the type on the host.
//!
//! Scalars are naturally aligned, a `bool` is one byte, arrays, tuples and structs lay their parts out in order, and a size is a
//! multiple of its alignment. The arithmetic is at the top ([`scalar`], [`array`], [`Packer`]); [`Types`] applies it to the
//! types that the carriers collected, and also spells out a type's definition, which is what message tags are made of.

use crate::diag::Diagnostic;
use crate::ir::{Layout, Scalar};
use crate::program::{ConstDef, DefId, TypeDef, Uses};
use proc_macro2::Span;
use std::collections::HashMap;
use syn::spanned::Spanned;
use syn::{BinOp, Expr, Lit, Path, Type, UnOp};

/// The layout of `()` and of structs without fields.
pub const UNIT: Layout = Layout { size: 0, align: 1 };

/// A scalar's layout.
pub fn scalar(scalar: Scalar) -> Layout {
    Layout { size: scalar.bytes(), align: scalar.bytes() }
}

/// `[element; len]`, unless it is 4 GiB or more.
pub fn array(element: Layout, len: u64) -> Option<Layout> {
    let size = u64::from(element.size).checked_mul(len)?;
    Some(Layout { size: u32::try_from(size).ok()?, align: element.align })
}

/// Lays fields out one after another.
#[derive(Clone, Copy, Debug)]
pub struct Packer {
    end: u32,
    align: u32,
}

impl Default for Packer {
    fn default() -> Self {
        Self { end: 0, align: 1 }
    }
}

impl Packer {
    /// Adds a field and returns its offset, unless the whole would be 4 GiB or more.
    pub fn push(&mut self, field: Layout) -> Option<u32> {
        let offset = self.end.checked_next_multiple_of(field.align)?;
        self.end = offset.checked_add(field.size)?;
        self.align = self.align.max(field.align);
        Some(offset)
    }

    /// The layout of all fields together.
    pub fn finish(self) -> Option<Layout> {
        Some(Layout { size: self.end.checked_next_multiple_of(self.align)?, align: self.align })
    }
}

/// A struct's or tuple's layout with the offset of each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Of the whole.
    pub layout: Layout,
    /// Of each field, in order.
    pub fields: Vec<u32>,
}

/// How a path is written in a [`Uses`] map: its text without spaces, generic arguments left out.
pub fn path_key(path: &Path) -> String {
    let mut key = String::new();
    if path.leading_colon.is_some() {
        key.push_str("::");
    }
    for (i, segment) in path.segments.iter().enumerate() {
        if i > 0 {
            key.push_str("::");
        }
        key.push_str(&segment.ident.to_string());
    }
    key
}

/// The scalar a type is, if it is spelled as one.
pub fn as_scalar(ty: &Type) -> Option<Scalar> {
    match ty {
        Type::Path(path) if path.qself.is_none() => Scalar::from_name(&path.path.get_ident()?.to_string()),
        Type::Group(group) => as_scalar(&group.elem),
        Type::Paren(paren) => as_scalar(&paren.elem),
        _ => None,
    }
}

/// The types and constants that a program or a carrier brings along.
#[derive(Clone, Copy)]
pub struct Types<'a> {
    /// Structs.
    pub types: &'a HashMap<DefId, TypeDef>,
    /// Free constants.
    pub consts: &'a HashMap<DefId, ConstDef>,
}

/// Nesting deeper than this is taken for a type that contains itself.
const MAX_DEPTH: u32 = 64;

impl<'a> Types<'a> {
    /// The struct that a path spelled in a place with these `uses` names.
    pub fn find(self, path: &Path, uses: &Uses) -> Option<&'a TypeDef> {
        self.types.get(uses.get(&path_key(path))?)
    }

    /// The layout of a type as spelled in a place with these `uses`.
    pub fn layout(self, ty: &Type, uses: &Uses) -> Result<Layout, Diagnostic> {
        self.layout_at(ty, uses, 0)
    }

    /// The layout of a struct, with its fields' offsets.
    pub fn offsets(self, def: &TypeDef) -> Result<Offsets, Diagnostic> {
        self.offsets_at(def, 0)
    }

    fn offsets_at(self, def: &TypeDef, depth: u32) -> Result<Offsets, Diagnostic> {
        self.pack(def.fields.iter().map(|(_, ty)| ty), &def.uses, def.name.span(), depth)
    }

    fn pack<'t>(
        self,
        fields: impl Iterator<Item = &'t Type>,
        uses: &Uses,
        span: Span,
        depth: u32,
    ) -> Result<Offsets, Diagnostic> {
        let mut packer = Packer::default();
        let mut offsets = Vec::new();
        for ty in fields {
            offsets.push(packer.push(self.layout_at(ty, uses, depth)?).ok_or_else(|| too_large(span))?);
        }
        Ok(Offsets { layout: packer.finish().ok_or_else(|| too_large(span))?, fields: offsets })
    }

    fn layout_at(self, ty: &Type, uses: &Uses, depth: u32) -> Result<Layout, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(Diagnostic::deferred(ty.span(), "a device type cannot contain itself"));
        }
        if let Some(s) = as_scalar(ty) {
            return Ok(scalar(s));
        }
        match ty {
            Type::Group(group) => self.layout_at(&group.elem, uses, depth),
            Type::Paren(paren) => self.layout_at(&paren.elem, uses, depth),
            Type::Array(a) => {
                let element = self.layout_at(&a.elem, uses, depth + 1)?;
                array(element, self.length(&a.len, uses)?).ok_or_else(|| too_large(ty.span()))
            }
            Type::Tuple(tuple) => Ok(self.pack(tuple.elems.iter(), uses, ty.span(), depth + 1)?.layout),
            Type::Path(path) => match self.find(&path.path, uses) {
                Some(def) => Ok(self.offsets_at(def, depth + 1)?.layout),
                None => Err(unknown(ty, &path.path)),
            },
            _ => Err(Diagnostic::new(ty.span(), "this type has no fixed layout on a device")),
        }
    }

    /// The byte offsets of the `bool`s in a type, for devices to check.
    pub fn bools(self, ty: &Type, uses: &Uses) -> Result<Vec<u32>, Diagnostic> {
        let mut found = Vec::new();
        self.bools_at(ty, uses, 0, &mut found)?;
        Ok(found)
    }

    fn bools_at(self, ty: &Type, uses: &Uses, base: u32, found: &mut Vec<u32>) -> Result<(), Diagnostic> {
        if let Some(s) = as_scalar(ty) {
            if s == Scalar::Bool {
                found.push(base);
            }
            return Ok(());
        }
        match ty {
            Type::Group(group) => self.bools_at(&group.elem, uses, base, found)?,
            Type::Paren(paren) => self.bools_at(&paren.elem, uses, base, found)?,
            Type::Array(a) => {
                let size = self.layout(&a.elem, uses)?.size;
                let before = found.len();
                if self.length(&a.len, uses)? > 0 {
                    self.bools_at(&a.elem, uses, base, found)?;
                }
                let first: Vec<u32> = found[before..].to_vec();
                if !first.is_empty() {
                    for i in 1..self.length(&a.len, uses)? as u32 {
                        found.extend(first.iter().map(|offset| offset + i * size));
                    }
                }
            }
            Type::Tuple(tuple) => {
                let offsets = self.pack(tuple.elems.iter(), uses, ty.span(), 0)?;
                for (elem, offset) in tuple.elems.iter().zip(offsets.fields) {
                    self.bools_at(elem, uses, base + offset, found)?;
                }
            }
            Type::Path(path) => {
                let def = self.find(&path.path, uses).ok_or_else(|| unknown(ty, &path.path))?;
                for ((_, field), offset) in def.fields.iter().zip(self.offsets(def)?.fields) {
                    self.bools_at(field, &def.uses, base + offset, found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The canonical text of a struct's definition: `Name{field:type,…}`, with nested structs spelled out, array lengths as numbers and
    /// no spaces. It says nothing of where the struct stands, so that two programs agree on it.
    pub fn definition(self, def: &TypeDef) -> Result<String, Diagnostic> {
        let mut text = String::new();
        self.define(def, &mut text, 0)?;
        Ok(text)
    }

    fn define(self, def: &TypeDef, text: &mut String, depth: u32) -> Result<(), Diagnostic> {
        text.push_str(&unraw(&def.name.to_string()));
        text.push('{');
        for (i, (name, ty)) in def.fields.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            text.push_str(&unraw(name));
            text.push(':');
            self.define_type(ty, &def.uses, text, depth + 1)?;
        }
        text.push('}');
        Ok(())
    }

    fn define_type(self, ty: &Type, uses: &Uses, text: &mut String, depth: u32) -> Result<(), Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(Diagnostic::deferred(ty.span(), "a device type cannot contain itself"));
        }
        if let Some(s) = as_scalar(ty) {
            text.push_str(s.name());
            return Ok(());
        }
        match ty {
            Type::Group(group) => self.define_type(&group.elem, uses, text, depth)?,
            Type::Paren(paren) => self.define_type(&paren.elem, uses, text, depth)?,
            Type::Array(a) => {
                text.push('[');
                self.define_type(&a.elem, uses, text, depth + 1)?;
                text.push_str(&format!(";{}]", self.length(&a.len, uses)?));
            }
            Type::Tuple(tuple) => {
                text.push('(');
                for (i, elem) in tuple.elems.iter().enumerate() {
                    if i > 0 {
                        text.push(',');
                    }
                    self.define_type(elem, uses, text, depth + 1)?;
                }
                text.push(')');
            }
            Type::Path(path) => {
                let def = self.find(&path.path, uses).ok_or_else(|| unknown(ty, &path.path))?;
                self.define(def, text, depth)?;
            }
            _ => return Err(Diagnostic::new(ty.span(), "this type has no definition that could travel")),
        }
        Ok(())
    }

    /// The value of an array's length.
    pub fn length(self, expr: &Expr, uses: &Uses) -> Result<u64, Diagnostic> {
        let value = self.constant(expr, uses, 0)?;
        u64::try_from(value)
            .map_err(|_| Diagnostic::deferred(expr.span(), "an array's length is not negative"))
    }

    /// Evaluates a constant integer expression: literals, `#[device_const]`s and arithmetic on them.
    fn constant(self, expr: &Expr, uses: &Uses, depth: u32) -> Result<i128, Diagnostic> {
        let not_constant = || {
            Diagnostic::new(
                expr.span(),
                "an array's length must be a number, a `#[device_const]`, or arithmetic (`+ - * / % << >>`) on those",
            )
        };
        if depth > MAX_DEPTH {
            return Err(Diagnostic::deferred(expr.span(), "a constant cannot be made of itself"));
        }
        let value = |e: &Expr| self.constant(e, uses, depth + 1);
        match expr {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Int(int) => int.base10_parse::<i128>().map_err(Diagnostic::from),
                _ => Err(not_constant()),
            },
            Expr::Paren(paren) => value(&paren.expr),
            Expr::Group(group) => value(&group.expr),
            Expr::Cast(cast) => value(&cast.expr),
            Expr::Block(block) => match &block.block.stmts[..] {
                [syn::Stmt::Expr(inner, None)] => value(inner),
                _ => Err(not_constant()),
            },
            Expr::Unary(unary) => match unary.op {
                UnOp::Neg(_) => Ok(-value(&unary.expr)?),
                _ => Err(not_constant()),
            },
            Expr::Path(path) if path.qself.is_none() => {
                let def = uses.get(&path_key(&path.path)).and_then(|id| self.consts.get(id));
                match def {
                    Some(def) => self.constant(&def.value, &def.uses, depth + 1),
                    None => Err(not_constant()),
                }
            }
            Expr::Binary(binary) => {
                let (a, b) = (value(&binary.left)?, value(&binary.right)?);
                let shift = u32::try_from(b).ok();
                match binary.op {
                    BinOp::Add(_) => a.checked_add(b),
                    BinOp::Sub(_) => a.checked_sub(b),
                    BinOp::Mul(_) => a.checked_mul(b),
                    BinOp::Div(_) => a.checked_div(b),
                    BinOp::Rem(_) => a.checked_rem(b),
                    BinOp::Shl(_) => shift.and_then(|s| a.checked_mul(1i128.checked_shl(s)?)),
                    BinOp::Shr(_) => shift.and_then(|s| a.checked_shr(s)),
                    _ => return Err(not_constant()),
                }
                .ok_or_else(|| Diagnostic::deferred(expr.span(), "this constant overflows"))
            }
            _ => Err(not_constant()),
        }
    }
}

/// `r#type` is called `type` in canonical text.
fn unraw(name: &str) -> String {
    name.strip_prefix("r#").unwrap_or(name).to_owned()
}

fn too_large(span: Span) -> Diagnostic {
    Diagnostic::new(span, "this type is 4 GiB or more; devices address a value with 32 bits")
}

fn unknown(ty: &Type, path: &Path) -> Diagnostic {
    Diagnostic::deferred(
        ty.span(),
        format!("`{}` is not a device type: add `#[derive(DeviceType)]` to it", path_key(path)),
    )
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
