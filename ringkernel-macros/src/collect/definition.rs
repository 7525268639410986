//! Canonical text: what a definition is, apart from where it stands. Message tags are made of it.

use super::paths::path_key;
use super::variable;
use crate::diag::Diagnostic;
use crate::front::HLC;
use crate::ir::Scalar;
use crate::program::{ConstDef, DefId, TypeDef, Uses};
use std::collections::HashMap;
use syn::spanned::Spanned;
use syn::{BinOp, Expr, Lit, Path, Type, UnOp};

/// The scalar a type is, if it is spelled as one.
fn as_scalar(ty: &Type) -> Option<Scalar> {
    match ty {
        Type::Path(path) if path.qself.is_none() => Scalar::from_name(&path.path.get_ident()?.to_string()),
        Type::Group(group) => as_scalar(&group.elem),
        Type::Paren(paren) => as_scalar(&paren.elem),
        _ => None,
    }
}

/// Whether a type is `HlcTimestamp`, by whatever path: a scalar too.
pub fn is_timestamp(ty: &Type) -> bool {
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().is_some_and(|last| last.ident == HLC)
        }
        Type::Group(group) => is_timestamp(&group.elem),
        Type::Paren(paren) => is_timestamp(&paren.elem),
        _ => false,
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
        if is_timestamp(ty) {
            text.push_str(HLC);
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
            Type::Path(path) if variable::is_string(path) => text.push_str("String"),
            Type::Path(path) => match variable::held(path) {
                Some((holder, part)) => {
                    text.push_str(holder.name());
                    text.push('<');
                    self.define_type(part, uses, text, depth + 1)?;
                    text.push('>');
                }
                None => {
                    let def = self.find(&path.path, uses).ok_or_else(|| unknown(ty, &path.path))?;
                    self.define(def, text, depth)?;
                }
            },
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

fn unknown(ty: &Type, path: &Path) -> Diagnostic {
    Diagnostic::deferred(
        ty.span(),
        format!("`{}` is not a device type: add `#[derive(DeviceType)]` to it", path_key(path)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::TypeRole;
    use syn::parse_quote;

    fn def(id: DefId, item: syn::ItemStruct, uses: &[(&str, DefId)]) -> TypeDef {
        TypeDef {
            def: id,
            name: item.ident.clone(),
            role: TypeRole::Device,
            is_tuple: matches!(item.fields, syn::Fields::Unnamed(_)),
            fields: item
                .fields
                .iter()
                .enumerate()
                .map(|(i, f)| (f.ident.as_ref().map_or(i.to_string(), |n| n.to_string()), f.ty.clone()))
                .collect(),
            uses: uses.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
        }
    }

    fn constant(id: DefId, item: syn::ItemConst, uses: &[(&str, DefId)]) -> ConstDef {
        ConstDef {
            def: id,
            name: item.ident,
            ty: *item.ty,
            value: *item.expr,
            uses: uses.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
        }
    }

    struct World {
        types: HashMap<DefId, TypeDef>,
        consts: HashMap<DefId, ConstDef>,
    }

    impl World {
        fn types(&self) -> Types<'_> {
            Types { types: &self.types, consts: &self.consts }
        }
    }

    fn world() -> World {
        let types = [
            def(1, parse_quote! { struct Point { x: f32, on: bool, y: f64 } }, &[]),
            def(2, parse_quote! { struct Pair(u8, m::Point, [u16; 3]); }, &[("m::Point", 1)]),
            def(
                3,
                parse_quote! { struct Grid { flags: [(bool, u32); N], tail: Pair } },
                &[("N", 10), ("Pair", 2)],
            ),
            def(4, parse_quote! { struct Empty; }, &[]),
        ];
        let consts = [
            constant(10, parse_quote! { const N: usize = 2 * HALF as usize; }, &[("HALF", 11)]),
            constant(11, parse_quote! { const HALF: u32 = (1 << 3) / 8; }, &[]),
        ];
        World {
            types: types.into_iter().map(|t| (t.def, t)).collect(),
            consts: consts.into_iter().map(|c| (c.def, c)).collect(),
        }
    }

    #[test]
    fn a_definition_spells_out_what_it_contains() {
        let world = world();
        assert_eq!(
            world.types().definition(&world.types[&3]).unwrap(),
            "Grid{flags:[(bool,u32);2],tail:Pair{0:u8,1:Point{x:f32,on:bool,y:f64},2:[u16;3]}}"
        );
    }

    #[test]
    fn lengths_that_are_no_numbers_and_unknown_types_are_reported() {
        let world = world();
        let uses = Uses::from([("N".to_owned(), 10)]);
        assert_eq!(world.types().length(&parse_quote!((N << 2) - 1), &uses).unwrap(), 7);
        assert!(world.types().length(&parse_quote!(2 - 3), &uses).unwrap_err().deferred);
        assert!(world.types().length(&parse_quote!(1 / 0), &uses).unwrap_err().deferred);
        assert!(!world.types().length(&parse_quote!(f(1)), &uses).unwrap_err().deferred);
        let broken = def(9, parse_quote! { struct Broken { x: Missing } }, &[]);
        let error = world.types().definition(&broken).unwrap_err();
        assert!(error.deferred && error.message.contains("`Missing`"), "{}", error.message);
    }
}
