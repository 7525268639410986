//! `#[ring_kernel(id = "…")] struct …`: the state of an actor, its proxy, its control block.
//!
//! The attribute only reads its arguments and adds a derive, which does the rest: a derive sees the fields that `#[cfg]` leaves.

use super::{attr, device_type, report};
use crate::collect::fields;
use crate::diag::Diagnostic;
use crate::program::TypeRole;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, ItemStruct, LitStr, Visibility};

/// The attribute.
pub fn attribute(args: TokenStream, item: &ItemStruct) -> TokenStream {
    let (args, mut errors) = attr::kernel_args(args, &item.ident);
    for attr in &item.attrs {
        if let Some(path) = own_derive(attr) {
            errors.push(Diagnostic::new(
                path.span(),
                "`#[ring_kernel]` makes its struct a device type: remove this derive (a message is a struct of its own)",
            ));
            // With both there would be two impls; ours is left out.
            let errors = report(&errors);
            return quote!(#errors #item);
        }
    }
    let errors = report(&errors);
    let id = args.id;
    quote! {
        #errors
        #[derive(::ringkernel::__private::__ActorState)]
        #[__ringkernel_id(#id)]
        #item
    }
}

/// `DeviceType` or `RingMessage` in `#[derive(…)]`.
fn own_derive(attr: &Attribute) -> Option<syn::Path> {
    if !attr.path().is_ident("derive") {
        return None;
    }
    let mut found = None;
    let _ = attr.parse_nested_meta(|meta| {
        let last = meta.path.segments.last().map(|segment| segment.ident.to_string());
        if last.is_some_and(|name| name == "DeviceType" || name == "RingMessage") {
            found = Some(meta.path);
        }
        Ok(())
    });
    found
}

/// The derive that the attribute adds.
pub fn derive(input: &DeriveInput) -> TokenStream {
    let (item, errors) = fields::read(input);
    let mut tokens = report(&errors);
    if !input.generics.params.is_empty() {
        return tokens;
    }
    let id = input
        .attrs
        .iter()
        .find(|attr| attr.path().is_ident("__ringkernel_id"))
        .and_then(|attr| attr.parse_args::<LitStr>().ok())
        .unwrap_or_else(|| LitStr::new("", item.name.span()));
    tokens.extend(device_type::device_type(&item, errors.is_empty()));
    tokens.extend(device_type::carry(&item, TypeRole::Actor { id: id.value() }, input.to_token_stream()));
    tokens.extend(proxy(&item.name, &item.vis, &id));
    tokens.extend(control_block(&item.name, &item.vis));
    tokens
}

fn proxy(name: &Ident, vis: &Visibility, id: &LitStr) -> TokenStream {
    let proxy = format_ident!("{}Proxy", name, span = name.span());
    let text = proxy.to_string();
    let launch_doc = format!("Launches `{name}` on the runtime's device.");
    let launch_errors = "When the device cannot run it, or the options do not make sense.";
    let id_doc = format!("The id by which `RingKernel::launch` finds `{name}`.");
    let proxy_doc = format!(
        "A launched [`{name}`]: an async method for each message it handles, and everything of `ActorRef` and `KernelHandle`."
    );
    let at_doc = "The same kernel's instance number `instance`.";
    quote_spanned! { name.span() =>
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl ::ringkernel::__private::ActorState for #name {}

        #[allow(dead_code, unreachable_pub)]
        impl #name {
            #[doc = #id_doc]
            pub const ID: &'static ::core::primitive::str = #id;

            #[doc = #launch_doc]
            ///
            /// # Errors
            #[doc = #launch_errors]
            pub async fn launch(
                runtime: &::ringkernel::__private::RingKernel,
                options: ::ringkernel::__private::LaunchOptions,
            ) -> ::core::result::Result<#proxy, ::ringkernel::__private::RingKernelError> {
                let inner = ::ringkernel::__private::launch::<#name>(runtime, options).await?;
                ::core::result::Result::Ok(#proxy { inner })
            }
        }

        #[doc = #proxy_doc]
        #[allow(dead_code)]
        #vis struct #proxy {
            inner: ::ringkernel::__private::ActorRef<#name>,
        }

        #[allow(dead_code, unreachable_pub)]
        impl #proxy {
            #[doc = #at_doc]
            ///
            /// # Errors
            /// When there is no such instance.
            pub fn at(
                &self,
                instance: ::core::primitive::u32,
            ) -> ::core::result::Result<Self, ::ringkernel::__private::RingKernelError> {
                let inner = self.inner.at(instance)?;
                ::core::result::Result::Ok(Self { inner })
            }
        }

        #[automatically_derived]
        impl ::core::clone::Clone for #proxy {
            fn clone(&self) -> Self {
                Self { inner: ::core::clone::Clone::clone(&self.inner) }
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Debug for #proxy {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(#text).field("id", &<#name>::ID).finish_non_exhaustive()
            }
        }

        #[automatically_derived]
        impl ::core::ops::Deref for #proxy {
            type Target = ::ringkernel::__private::ActorRef<#name>;
            fn deref(&self) -> &Self::Target {
                &self.inner
            }
        }
    }
}

/// The actor's control block: the block that all kernels share, under the actor's name. The offsets of its fields are asserted where it is
/// defined, in `ringkernel_backends::abi`.
fn control_block(name: &Ident, vis: &Visibility) -> TokenStream {
    let block = format_ident!("{}ControlBlock", name, span = name.span());
    let doc = format!(
        "The control block of a launched [`{name}`]: 128 bytes through which host and device steer it, one for each shard."
    );
    quote_spanned! { name.span() =>
        #[doc = #doc]
        #[allow(dead_code)]
        #[repr(C, align(128))]
        #[derive(::core::fmt::Debug, ::core::default::Default)]
        #vis struct #block {
            /// The block itself.
            pub control: ::ringkernel::__private::ControlBlock,
        }

        const _: () = {
            assert!(::core::mem::size_of::<#block>() == 128);
            assert!(::core::mem::align_of::<#block>() == 128);
            assert!(::core::mem::offset_of!(#block, control) == 0);
        };
    }
}
