//! `#[derive(RingMessage)]` of a message of variable size, and `#[derive(Payload)]` of its parts.
//!
//! rkyv's own derives do most of it, on a *shadow*: a struct of the same fields, which rkyv then archives "remotely" for the user's. So
//! neither does the user's crate name rkyv, nor does this one repeat what rkyv's derives know.

use super::device_type::{self, Derive};
use super::{at, report};
use crate::collect::definition::Types;
use crate::collect::fields::{Struct, with_true_primitives};
use crate::collect::variable::{self, Limits};
use crate::diag::Diagnostic;
use crate::program::{TypeRole, Uses};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Expr, Fields, Visibility};

/// The most bytes of a message that does not say: `ringkernel::payload::DEFAULT_MAX_BYTES`.
const DEFAULT_MAX_BYTES: u32 = 4096;
/// The most bytes of a message that travels in a slot: `ringkernel::payload::MAX_INLINE_BYTES`.
const MAX_INLINE_BYTES: u32 = 64 << 10;
/// The most bytes of any: offsets in an archive have 32 bits, one of them the sign.
const LARGEST: u32 = 1 << 30;

/// What the struct is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A message.
    Message,
    /// Part of one.
    Part,
}

/// Expands one of the two derives.
pub fn derive(input: &DeriveInput, what: What) -> TokenStream {
    let this = if what == What::Message { Derive::Variable } else { Derive::Part };
    let beside = device_type::beside(input, this);
    if let Some(error) = beside.error {
        return error.to_tokens();
    }
    let (item, mut errors) = variable::read(input);
    let limits = variable::limits(input, &mut errors);
    let (largest, inline) = bytes(&limits, &mut errors);
    if let (What::Part, Some(limit)) = (what, &limits.max) {
        errors.push(Diagnostic::new(
            at(limit),
            "a part of a message has no limit of its own: the message it is in has",
        ));
    }
    let mut tokens = report(&errors);
    if !errors.is_empty() {
        return tokens;
    }
    let archive = archive(&item, input, what);
    let part = part(&item);
    let message = if what == What::Message { message(&item, largest, inline) } else { TokenStream::new() };
    let checks = checks(&item);
    tokens.extend(quote! {
        const _: () = {
            #archive
            #part
            #message
            #checks
        };
    });
    let role =
        if what == What::Message { TypeRole::Variable { tag: 0, most: inline } } else { TypeRole::Device };
    if beside.carries {
        tokens.extend(device_type::carry(&item, role, input.to_token_stream()));
    }
    tokens
}

/// The most bytes of a message, and of one that a slot carries.
fn bytes(limits: &Limits, errors: &mut Vec<Diagnostic>) -> (u32, u32) {
    let mut number = |expr: &Option<Expr>, most: u32, what: &str| {
        let expr = expr.as_ref()?;
        let (types, consts) = Default::default();
        // Devices make room for so many bytes, so the number is needed now.
        let value = Types { types: &types, consts: &consts }.length(expr, &Uses::new());
        let value = value.ok().and_then(|value| u32::try_from(value).ok()).filter(|value| *value <= most);
        if value.is_none() {
            errors.push(Diagnostic::new(
                at(expr),
                format!("`{what}` is a number up to {most}, or arithmetic on numbers: devices make room when this is compiled"),
            ));
        }
        value
    };
    let largest = number(&limits.max, LARGEST, "max_bytes").unwrap_or(DEFAULT_MAX_BYTES);
    let inline = number(&limits.inline, MAX_INLINE_BYTES.min(largest), "inline_bytes");
    let usual = if largest > MAX_INLINE_BYTES { DEFAULT_MAX_BYTES } else { largest };
    (largest, inline.unwrap_or(usual))
}

/// The shadow, and rkyv's traits for the user's own struct by way of it.
fn archive(item: &Struct, input: &DeriveInput, what: What) -> TokenStream {
    let name = &item.name;
    let bare = name.to_string();
    let bare = bare.trim_start_matches("r#");
    let (archived, resolver) = (
        format_ident!("Archived{bare}", span = name.span()),
        format_ident!("{bare}Resolver", span = name.span()),
    );
    // The root of an archive comes last, and its length is to be a multiple of eight.
    let align = (what == What::Message).then(|| quote!(, attr(repr(align(8)))));
    let vis: Vec<&Visibility> = match &input.data {
        Data::Struct(data) => data.fields.iter().map(|field| &field.vis).collect(),
        _ => Vec::new(),
    };
    let types: Vec<_> = item.fields.iter().map(|field| &field.ty).collect();
    let members: Vec<_> = item.fields.iter().map(|field| &field.member).collect();
    let shadow = match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Unit) => quote! { pub struct __Shadow; },
        _ if item.is_tuple => quote! { pub struct __Shadow(#(#vis #types),*); },
        _ => quote! { pub struct __Shadow { #(#vis #members: #types),* } },
    };
    quote! {
        use ::ringkernel::__private::rkyv as __rkyv;

        #[derive(__rkyv::Archive, __rkyv::Serialize, __rkyv::Deserialize)]
        #[rkyv(
            crate = ::ringkernel::__private::rkyv,
            remote = #name,
            archived = #archived,
            resolver = #resolver
            #align
        )]
        #[allow(dead_code, missing_docs, unreachable_pub, clippy::all)]
        #shadow

        #[automatically_derived]
        impl ::core::convert::From<__Shadow> for #name {
            fn from(shadow: __Shadow) -> Self {
                Self { #(#members: shadow.#members),* }
            }
        }

        #[automatically_derived]
        impl __rkyv::Archive for #name {
            type Archived = #archived;
            type Resolver = #resolver;
            fn resolve(&self, resolver: Self::Resolver, out: __rkyv::Place<Self::Archived>) {
                <__Shadow as __rkyv::with::ArchiveWith<Self>>::resolve_with(self, resolver, out);
            }
        }

        #[automatically_derived]
        impl<S: __rkyv::rancor::Fallible + ?::core::marker::Sized> __rkyv::Serialize<S> for #name
        where
            __Shadow: __rkyv::with::SerializeWith<Self, S>,
        {
            fn serialize(&self, serializer: &mut S) -> ::core::result::Result<Self::Resolver, S::Error> {
                <__Shadow as __rkyv::with::SerializeWith<Self, S>>::serialize_with(self, serializer)
            }
        }

        #[automatically_derived]
        impl<D: __rkyv::rancor::Fallible + ?::core::marker::Sized> __rkyv::Deserialize<#name, D> for #archived
        where
            __Shadow: __rkyv::with::DeserializeWith<Self, #name, D>,
        {
            fn deserialize(&self, deserializer: &mut D) -> ::core::result::Result<#name, D::Error> {
                <__Shadow as __rkyv::with::DeserializeWith<Self, #name, D>>::deserialize_with(self, deserializer)
            }
        }
    }
}

/// `impl Payload`.
fn part(item: &Struct) -> TokenStream {
    let name = &item.name;
    let text = name.to_string();
    let text = text.trim_start_matches("r#");
    let definitions = item.fields.iter().map(|field| {
        let (ty, member) = (&field.ty, field.member.to_token_stream().to_string());
        let member = member.trim_start_matches("r#");
        quote_spanned! { at(ty) => (#member, <#ty as ::ringkernel::__private::Payload>::DEFINITION) }
    });
    quote! {
        #[automatically_derived]
        impl ::ringkernel::__private::Payload for #name {
            const DEFINITION: ::ringkernel::__private::Definition = ::ringkernel::__private::Definition::Struct {
                name: #text,
                fields: &[#(#definitions),*],
            };
        }
    }
}

/// `impl DeviceType`, `RingMessage` and `VariableMessage`.
fn message(item: &Struct, largest: u32, inline: u32) -> TokenStream {
    let name = &item.name;
    let text = name.to_string();
    let text = text.trim_start_matches("r#");
    quote! {
        #[automatically_derived]
        impl ::ringkernel::__private::DeviceType for #name {
            const NAME: &'static ::core::primitive::str = #text;
            const SIZE: ::core::primitive::u32 = ::ringkernel::__private::payload::layout::most(
                #inline,
                ::core::mem::size_of::<<Self as __rkyv::Archive>::Archived>(),
            );
            const ALIGN: ::core::primitive::u32 = 0;
            const DEFINITION: ::ringkernel::__private::Definition =
                <Self as ::ringkernel::__private::Payload>::DEFINITION;

            fn encode(&self, out: &mut [::core::primitive::u8]) {
                ::ringkernel::__private::payload::encode(
                    self,
                    &mut out[..<Self as ::ringkernel::__private::DeviceType>::SIZE as ::core::primitive::usize],
                );
            }

            fn decode(
                bytes: &[::core::primitive::u8],
            ) -> ::core::result::Result<Self, ::ringkernel::__private::DecodeError> {
                ::ringkernel::__private::payload::decode(bytes)
            }
        }

        #[automatically_derived]
        impl ::ringkernel::__private::RingMessage for #name {
            const TAG: ::core::primitive::u32 = <Self as ::ringkernel::__private::DeviceType>::DEFINITION.tag();
            const VARIABLE: ::core::primitive::bool = true;
            const LARGEST: ::core::primitive::u64 = (#largest / 8 * 8) as ::core::primitive::u64;

            fn with_large_bytes<R>(
                &self,
                call: impl ::core::ops::FnOnce(&[::core::primitive::u8]) -> R,
            ) -> ::core::result::Result<R, ::ringkernel::__private::PayloadTooLarge> {
                ::ringkernel::__private::payload::with_large_bytes(self, call)
            }

            fn with_bytes<R>(
                &self,
                call: impl ::core::ops::FnOnce(&[::core::primitive::u8]) -> R,
            ) -> ::core::result::Result<R, ::ringkernel::__private::PayloadTooLarge> {
                ::ringkernel::__private::payload::with_bytes(self, call)
            }
        }

        #[automatically_derived]
        impl ::ringkernel::__private::VariableMessage for #name {}

        // A limit that makes no sense is an error whether or not the message is used.
        const _: ::core::primitive::u32 = <#name as ::ringkernel::__private::DeviceType>::SIZE;
    }
}

/// What holds tokens and types together.
fn checks(item: &Struct) -> TokenStream {
    let name = &item.name;
    let truths = item.fields.iter().map(|field| {
        let (member, truth) = (&field.member, with_true_primitives(&field.ty));
        quote_spanned! { at(&field.ty) => let _: &#truth = &value.#member; }
    });
    let mut elements = TokenStream::new();
    for field in &item.fields {
        variable::elements(&field.ty, &mut |element| {
            elements.extend(quote_spanned! { at(element) =>
                const _: () = ::ringkernel::__private::payload::layout::element(
                    ::core::mem::size_of::<<#element as __rkyv::Archive>::Archived>(),
                );
            });
        });
    }
    quote! {
        // Devices take the fields' types by name, so the names must mean what they say.
        #[allow(dead_code, unused_variables)]
        fn names_are_types(value: &#name) {
            #(#truths)*
        }

        #elements
    }
}
