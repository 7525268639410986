//! `#[derive(DeviceType)]` and `#[derive(RingMessage)]`.

use super::{at, report};
use crate::collect::carrier;
use crate::collect::fields::{self, Struct, with_true_primitives};
use crate::collect::paths::Paths;
use crate::collect::payload::Definition;
use crate::collect::variable;
use crate::diag::Diagnostic;
use crate::location;
use crate::program::{TypeDef, TypeRole, Uses};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use syn::{DeriveInput, Path};

/// Expands one of the two derives.
pub fn derive(input: &DeriveInput, role: TypeRole) -> TokenStream {
    let is_message = role != TypeRole::Device;
    if is_message && variable::is_variable(input) {
        return super::variable::derive(input, super::variable::What::Message);
    }
    let beside = beside(input, if is_message { Derive::Message } else { Derive::Device });
    if let Some(error) = beside.error {
        return error.to_tokens();
    }
    let (item, errors) = fields::read(input);
    let mut tokens = report(&errors);
    if !input.generics.params.is_empty() {
        // No impl of ours would fit; rustc has nothing to add to our report either, because nothing else was emitted.
        return tokens;
    }
    tokens.extend(device_type(&item, errors.is_empty()));
    if is_message {
        tokens.extend(ring_message(&item));
    }
    if beside.carries {
        tokens.extend(carry(&item, role, input.to_token_stream()));
    }
    tokens
}

/// The carrier of a struct.
pub fn carry(item: &Struct, role: TypeRole, source: TokenStream) -> TokenStream {
    let mut paths = Paths::default();
    for field in &item.fields {
        paths.add_type(&field.ty);
    }
    let definition = Definition::Type(TypeDef {
        def: carrier::identity(&item.name, &source),
        name: item.name.clone(),
        role,
        fields: item
            .fields
            .iter()
            .map(|field| (field.member.to_token_stream().to_string(), field.ty.clone()))
            .collect(),
        is_tuple: item.is_tuple,
        uses: Uses::new(),
    });
    let paths: Vec<Path> = paths.into_vec();
    carrier::emit(&definition, &item.vis, &paths)
}

/// `impl DeviceType`. For a struct with mistakes (`sound` is false) it is there so that nothing else complains of its absence.
pub fn device_type(item: &Struct, sound: bool) -> TokenStream {
    let name = &item.name;
    let text = name.to_string();
    let text = text.trim_start_matches("r#");
    // Everything asked of a field's type stands at that type, so that rustc reports a type that is none of ours once.
    let layouts = item.fields.iter().map(|field| {
        let ty = &field.ty;
        quote_spanned! { at(ty) =>
            (<#ty as ::ringkernel::__private::DeviceType>::SIZE, <#ty as ::ringkernel::__private::DeviceType>::ALIGN)
        }
    });
    let definitions = item.fields.iter().map(|field| {
        let (ty, member) = (&field.ty, field.member.to_token_stream().to_string());
        let member = member.trim_start_matches("r#");
        quote_spanned! { at(ty) => (#member, <#ty as ::ringkernel::__private::DeviceType>::DEFINITION) }
    });
    let encode = item.fields.iter().enumerate().map(|(i, field)| {
        let (ty, member) = (&field.ty, &field.member);
        quote_spanned! { at(ty) =>
            <#ty as ::ringkernel::__private::DeviceType>::encode(&self.#member, &mut out[__FIELDS.range(#i)]);
        }
    });
    let decode = item.fields.iter().enumerate().map(|(i, field)| {
        let (ty, member) = (&field.ty, &field.member);
        quote_spanned! { at(ty) => #member: <#ty as ::ringkernel::__private::DeviceType>::decode(&bytes[__FIELDS.range(#i)])? }
    });
    let decoded = if sound {
        quote! { ::core::result::Result::Ok(Self { #(#decode),* }) }
    } else {
        quote! { ::core::unreachable!() }
    };
    let truths = item.fields.iter().map(|field| {
        let (member, truth) = (&field.member, with_true_primitives(&field.ty));
        quote_spanned! { at(&field.ty) => let _: &#truth = &value.#member; }
    });
    let count = item.fields.len();
    let unused = if count == 0 { quote!(#[allow(dead_code)]) } else { quote!() };
    quote! {
        const _: () = {
            #unused
            const __FIELDS: ::ringkernel::__private::FieldLayout<#count> = ::ringkernel::__private::FieldLayout::new([#(#layouts),*]);

            #[automatically_derived]
            impl ::ringkernel::__private::DeviceType for #name {
                const NAME: &'static ::core::primitive::str = #text;
                const SIZE: ::core::primitive::u32 = __FIELDS.size;
                const ALIGN: ::core::primitive::u32 = __FIELDS.align;
                const DEFINITION: ::ringkernel::__private::Definition = ::ringkernel::__private::Definition::Struct {
                    name: #text,
                    fields: &[#(#definitions),*],
                };

                #[inline]
                fn encode(&self, out: &mut [::core::primitive::u8]) {
                    out[..__FIELDS.size as ::core::primitive::usize].fill(0);
                    #(#encode)*
                }

                #[inline]
                fn decode(
                    bytes: &[::core::primitive::u8],
                ) -> ::core::result::Result<Self, ::ringkernel::__private::DecodeError> {
                    ::ringkernel::__private::check_length::<Self>(bytes)?;
                    #decoded
                }
            }

            // Devices take the fields' types by name, so the names must mean what they say.
            #[allow(dead_code, unused_variables)]
            fn names_are_types(value: &#name) {
                #(#truths)*
            }
        };
    }
}

/// `impl RingMessage`.
fn ring_message(item: &Struct) -> TokenStream {
    let name = &item.name;
    quote! {
        #[automatically_derived]
        impl ::ringkernel::__private::RingMessage for #name {
            const TAG: ::core::primitive::u32 = <Self as ::ringkernel::__private::DeviceType>::DEFINITION.tag();
        }
    }
}

/// The derives that a struct may have, as far as they get in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derive {
    /// `DeviceType`.
    Device,
    /// `RingMessage`.
    Message,
    /// `RingMessage`, of variable size.
    Variable,
    /// `Payload`.
    Part,
}

/// What becomes of a derive beside those that the struct has had so far.
pub struct Beside {
    /// Whether this one emits the carrier.
    pub carries: bool,
    /// Two that implement the same.
    pub error: Option<Diagnostic>,
}

/// Two derives on one struct may implement the same trait, and each would emit a carrier. They are expanded one after the other and do not
/// see each other; so this remembers which there were.
pub fn beside(input: &DeriveInput, derive: Derive) -> Beside {
    static SEEN: Mutex<Option<HashMap<String, Vec<Derive>>>> = Mutex::new(None);
    let place = location::of(input.ident.span());
    if place.file.is_empty() {
        return Beside { carries: true, error: None };
    }
    let place = format!("{}:{}:{}:{}", place.file, place.line, place.column, input.ident);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_default().entry(place).or_default();
    // A second expansion of the same (a `macro_rules!` that stamps structs out) is of another struct.
    let others: Vec<Derive> = seen.iter().copied().filter(|other| *other != derive).collect();
    let carries = others.is_empty();
    if !seen.contains(&derive) {
        seen.push(derive);
    }
    let message = others.iter().find_map(|&other| clash(derive, other).or_else(|| clash(other, derive)));
    let error = message.map(|message| Diagnostic::new(input.ident.span(), message));
    Beside { carries, error }
}

fn clash(one: Derive, other: Derive) -> Option<&'static str> {
    match (one, other) {
        (Derive::Message, Derive::Device) => {
            Some("`#[derive(RingMessage)]` makes it a device type too: remove `DeviceType` from the derives")
        }
        (Derive::Variable, Derive::Device) => Some(
            "a message of variable size has no one layout, as a device type has: remove `DeviceType` from the derives",
        ),
        (Derive::Variable, Derive::Part) => Some(
            "a message of variable size can be part of another as it is: remove `Payload` from the derives",
        ),
        _ => None,
    }
}
