//! Definitions as tokens, and back.
//!
//! A payload is `{ definition definition … }`, the carrier's own definition first. A definition is one of
//!
//! ```text
//! { type 12u64 message ["m::Point" 7u64] Deposit { cents: i64, at: m::Point } }      // or `variable 4096`, or `device`, or `actor "id"`; or `Name(…)`
//! { const 13u64 [] const LIMIT: u32 = 5; }
//! { fn 14u64 ["LIMIT" 13u64] fn capped(x: u32) -> u32 { … } }
//! ```
//!
//! with its identity, then what the paths in it lead to, then the item without attributes.

use crate::program::{ConstDef, DefId, FnDef, TypeDef, TypeRole, Uses};
use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitInt, LitStr, Token, Type, braced, bracketed, parenthesized, token};

/// A definition that travels.
#[derive(Clone, Debug)]
pub enum Definition {
    /// A struct.
    Type(TypeDef),
    /// A `#[device_const]`.
    Const(ConstDef),
    /// A `#[device_fn]`.
    Fn(FnDef),
}

impl Definition {
    /// Its identity.
    pub fn id(&self) -> DefId {
        match self {
            Self::Type(def) => def.def,
            Self::Const(def) => def.def,
            Self::Fn(def) => def.def,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Ident {
        match self {
            Self::Type(def) => &def.name,
            Self::Const(def) => &def.name,
            Self::Fn(def) => &def.item.sig.ident,
        }
    }

    /// What the paths in it lead to.
    pub fn uses_mut(&mut self) -> &mut Uses {
        match self {
            Self::Type(def) => &mut def.uses,
            Self::Const(def) => &mut def.uses,
            Self::Fn(def) => &mut def.uses,
        }
    }
}

/// What one carrier brings.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Its own definition first, then all that it leads to.
    pub definitions: Vec<Definition>,
}

impl Payload {
    /// The carrier's own definition.
    pub fn root(&self) -> &Definition {
        &self.definitions[0]
    }
}

impl ToTokens for Payload {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let definitions = &self.definitions;
        tokens.extend(quote! { { #(#definitions)* } });
    }
}

impl Parse for Payload {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let content;
        braced!(content in input);
        let mut definitions = vec![content.parse()?];
        while !content.is_empty() {
            definitions.push(content.parse()?);
        }
        Ok(Self { definitions })
    }
}

fn uses_tokens(uses: &Uses) -> TokenStream {
    let mut uses: Vec<_> = uses.iter().collect();
    uses.sort();
    let pairs = uses.into_iter().map(|(path, id)| {
        let (path, id) = (Literal::string(path), Literal::u64_suffixed(*id));
        quote! { #path #id }
    });
    quote! { [#(#pairs)*] }
}

fn parse_id(input: ParseStream<'_>) -> syn::Result<DefId> {
    input.parse::<LitInt>()?.base10_parse()
}

fn parse_uses(input: ParseStream<'_>) -> syn::Result<Uses> {
    let content;
    bracketed!(content in input);
    let mut uses = Uses::new();
    while !content.is_empty() {
        uses.insert(content.parse::<LitStr>()?.value(), parse_id(&content)?);
    }
    Ok(uses)
}

impl ToTokens for Definition {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let id = Literal::u64_suffixed(self.id());
        tokens.extend(match self {
            Self::Type(def) => {
                let role = match &def.role {
                    TypeRole::Actor { id } => quote! { actor #id },
                    TypeRole::Message { .. } => quote! { message },
                    TypeRole::Variable { most, .. } => {
                        let most = Literal::u32_unsuffixed(*most);
                        quote! { variable #most }
                    }
                    TypeRole::Device => quote! { device },
                };
                let (uses, name) = (uses_tokens(&def.uses), &def.name);
                let types = def.fields.iter().map(|(_, ty)| ty);
                let body = if def.is_tuple {
                    quote! { (#(#types),*) }
                } else {
                    let names = def.fields.iter().map(|(name, _)| field_ident(name, def.name.span()));
                    quote! { { #(#names: #types),* } }
                };
                quote! { { type #id #role #uses #name #body } }
            }
            Self::Const(def) => {
                let ConstDef { name, ty, value, uses, .. } = def;
                let uses = uses_tokens(uses);
                quote! { { const #id #uses const #name: #ty = #value; } }
            }
            Self::Fn(def) => {
                let (uses, item) = (uses_tokens(&def.uses), &def.item);
                quote! { { fn #id #uses #item } }
            }
        });
    }
}

fn field_ident(name: &str, span: proc_macro2::Span) -> Ident {
    match name.strip_prefix("r#") {
        Some(raw) => Ident::new_raw(raw, span),
        None => Ident::new(name, span),
    }
}

impl Parse for Definition {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let content;
        braced!(content in input);
        let input = &content;
        if input.parse::<Option<Token![const]>>()?.is_some() {
            let (def, uses) = (parse_id(input)?, parse_uses(input)?);
            let item: syn::ItemConst = input.parse()?;
            return Ok(Self::Const(ConstDef {
                def,
                name: item.ident,
                ty: *item.ty,
                value: *item.expr,
                uses,
            }));
        }
        if input.parse::<Option<Token![fn]>>()?.is_some() {
            let (def, uses) = (parse_id(input)?, parse_uses(input)?);
            return Ok(Self::Fn(FnDef { def, item: input.parse()?, uses }));
        }
        input.parse::<Token![type]>()?;
        let def = parse_id(input)?;
        let role: Ident = input.parse()?;
        let role = match role.to_string().as_str() {
            "actor" => TypeRole::Actor { id: input.parse::<LitStr>()?.value() },
            // Known when all that its fields name has been collected; see `program`.
            "message" => TypeRole::Message { tag: 0 },
            "variable" => TypeRole::Variable { tag: 0, most: input.parse::<LitInt>()?.base10_parse()? },
            _ => TypeRole::Device,
        };
        let uses = parse_uses(input)?;
        let name: Ident = input.parse()?;
        let mut fields = Vec::new();
        let is_tuple = input.peek(token::Paren);
        let body;
        if is_tuple {
            parenthesized!(body in input);
            for (i, ty) in body.parse_terminated(Type::parse, Token![,])?.into_iter().enumerate() {
                fields.push((i.to_string(), ty));
            }
        } else {
            braced!(body in input);
            while !body.is_empty() {
                let field: Ident = body.parse()?;
                body.parse::<Token![:]>()?;
                fields.push((field.to_string(), body.parse()?));
                body.parse::<Option<Token![,]>>()?;
            }
        }
        Ok(Self::Type(TypeDef { def, name, role, fields, is_tuple, uses }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn a_payload_survives_being_printed_and_parsed() {
        let payload: Payload = parse_quote! { {
            { type 12u64 message ["N" 13u64 "m::Point" 7u64] Deposit { cents: i64, r#type: [m::Point; N] } }
            { type 7u64 device [] Point(f32, f32) }
            { type 8u64 actor "bank" [] Bank {} }
            { const 13u64 [] const N: usize = 4; }
            { fn 14u64 ["N" 13u64] fn last(x: [u32; N]) -> u32 { x[N - 1] } }
        } };
        assert_eq!(payload.definitions.len(), 5);
        assert_eq!(payload.root().name(), "Deposit");
        let again: Payload = syn::parse2(payload.to_token_stream()).unwrap();
        assert_eq!(again.to_token_stream().to_string(), payload.to_token_stream().to_string());
        let Definition::Type(bank) = &again.definitions[2] else { panic!("not a type") };
        assert_eq!(bank.role, TypeRole::Actor { id: "bank".into() });
    }
}
