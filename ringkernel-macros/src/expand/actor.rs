//! `#[ring_kernel] impl …`: the methods as they are, native dispatch, the proxy's methods, the descriptor.
//!
//! What needs no tokens but the impl's own is emitted at once or, if it relies on the struct half, when that half's carrier has answered. The
//! device code comes at the end of a second chain, through everything the handlers name; see [`super::kernel`].

use super::valid::{self, ActorImpl, Handler};
use super::{at, attr, kernel, report};
use crate::collect::carrier;
use crate::collect::paths::{Need, Paths, path_key};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, ItemImpl, Path};

/// The attribute.
pub fn attribute(args: TokenStream, item: ItemImpl) -> TokenStream {
    let source = item.to_token_stream();
    let mut errors = attr::no_args(args);
    let (actor, more) = valid::read(item);
    errors.extend(more);
    let mut tokens = report(&errors);
    actor.cleaned.to_tokens(&mut tokens);
    if actor.cleaned.trait_.is_some() || !actor.cleaned.generics.params.is_empty() {
        return tokens;
    }
    let path = &actor.path;
    let explained = quote_spanned! { at(path) =>
        const _: () = ::ringkernel::__private::assert_actor_state::<#path>();
    };
    tokens.extend(explained);
    let waiting = [implementation(&actor), proxy_methods(&actor)];
    tokens.extend(carrier::chain(
        path,
        &[],
        &quote!(::ringkernel::__private::__emit),
        &quote! { { #(#waiting)* } },
    ));
    if errors.is_empty() {
        let needs = needs(&actor);
        let keys = std::iter::once(path).chain(needs.iter().map(|need| &need.path)).map(path_key);
        tokens.extend(carrier::explained_chain(
            path,
            &needs,
            &quote!(::ringkernel::__private::__kernel),
            &quote! { { [#(#keys)*] #source } },
        ));
    } else {
        tokens.extend(kernel::nothing(path));
    }
    tokens
}

/// The definitions that the impl's tokens name, besides the actor's own.
fn needs(actor: &ActorImpl) -> Vec<Need> {
    let name = Path::from(actor.name());
    let mut paths = Paths::knowing(&[&actor.path, &name]);
    for constant in &actor.consts {
        paths.add_type(&constant.ty);
        paths.add_expr(&constant.expr);
    }
    for handler in &actor.handlers {
        paths.add_type(&handler.message);
        paths.add_type(&handler.reply);
    }
    for method in actor.handlers.iter().map(|handler| &handler.item).chain(&actor.methods) {
        paths.add_fn(&method.sig, &method.block);
    }
    paths.into_needs()
}

/// `impl Actor`, `impl Handles<M>`, the descriptor and its registration.
///
/// `impl Handles` is what fails to compile where a message or reply is none; everything else goes through `Exchange`, which does not
/// mind, so that rustc says it once.
fn implementation(actor: &ActorImpl) -> TokenStream {
    let path = &actor.path;
    let name = actor.name().to_string();
    let name = name.trim_start_matches("r#");
    let arms = actor.handlers.iter().map(|handler| {
        let (exchange, method) = (exchange(path, handler), &handler.item.sig.ident);
        quote_spanned! { at(&handler.message) =>
            if tag == #exchange::TAG {
                return #exchange::answer(payload, reply, |message| Self::#method(self, ctx, message));
            }
        }
    });
    let handles = actor.handlers.iter().map(|Handler { message, reply, .. }| {
        let reply = quote_spanned! { at(reply) => type Reply = #reply; };
        quote_spanned! { at(message) =>
            #[automatically_derived]
            impl ::ringkernel::__private::Handles<#message> for #path { #reply }
        }
    });
    let infos = actor.handlers.iter().map(|handler| {
        let (exchange, method) = (exchange(path, handler), handler.item.sig.ident.to_string());
        let method = method.trim_start_matches("r#");
        quote_spanned! { at(&handler.message) =>
            ::ringkernel::__private::HandlerInfo {
                name: #method,
                message: #exchange::MESSAGE,
                reply: #exchange::REPLY,
            }
        }
    });
    quote! {
        #(#handles)*

        const _: () = {
            #[allow(unused_imports)]
            use ::ringkernel::__private::{NoDefault as _, NoExchange as _, NoInPlace as _, NotCompiled as _};

            static DESCRIPTOR: ::ringkernel::__private::KernelDescriptor = ::ringkernel::__private::KernelDescriptor {
                id: <#path>::ID,
                actor: #name,
                group: ::ringkernel::__private::Group::Thread,
                state_size: <#path as ::ringkernel::__private::DeviceType>::SIZE,
                state_align: <#path as ::ringkernel::__private::DeviceType>::ALIGN,
                handlers: &[#(#infos),*],
                sites: <#path>::__DEVICE_CODE.sites,
                ptx: <#path>::__DEVICE_CODE.ptx,
                wgsl: <#path>::__DEVICE_CODE.wgsl,
                wgsl_needs: <#path>::__DEVICE_CODE.wgsl_needs,
                native_only: <#path>::__DEVICE_CODE.native_only,
                native: ::ringkernel::__private::native_shard::<#path>,
                default_state: ::ringkernel::__private::DefaultProbe::<#path>::DEFAULT_STATE,
                mesh: <#path>::__DEVICE_CODE.mesh,
            };

            ::ringkernel::__private::inventory::submit! {
                ::ringkernel::__private::Registration(&DESCRIPTOR)
            }

            #[automatically_derived]
            impl ::ringkernel::__private::Actor for #path {
                const DESCRIPTOR: &'static ::ringkernel::__private::KernelDescriptor = &DESCRIPTOR;

                fn dispatch(
                    &mut self,
                    ctx: &mut ::ringkernel::__private::RingContext,
                    tag: ::core::primitive::u32,
                    payload: &[::core::primitive::u8],
                    reply: &mut [::core::primitive::u8],
                ) -> ::core::result::Result<
                    (::core::primitive::u32, ::core::primitive::u32),
                    ::ringkernel::__private::FaultKind,
                > {
                    #(#arms)*
                    ::core::result::Result::Err(::ringkernel::__private::FaultKind::UnknownMessage)
                }
            }
        };
    }
}

fn exchange(path: &Path, Handler { message, reply, in_place, .. }: &Handler) -> TokenStream {
    let exchange = if *in_place { quote!(InPlace) } else { quote!(Exchange) };
    quote_spanned! { at(message) => ::ringkernel::__private::#exchange::<#path, #message, #reply> }
}

/// `impl AccountProxy { pub async fn deposit … }`
fn proxy_methods(actor: &ActorImpl) -> TokenStream {
    let mut proxy = actor.path.clone();
    if let Some(last) = proxy.segments.last_mut() {
        last.ident = format_ident!("{}Proxy", last.ident, span = last.ident.span());
    }
    let methods = actor.handlers.iter().map(|handler| {
        let Handler { item, message, reply, .. } = handler;
        let (exchange, method) = (exchange(&actor.path, handler), &item.sig.ident);
        let docs: Vec<&Attribute> = item.attrs.iter().filter(|attr| attr.path().is_ident("doc")).collect();
        let default = docs.is_empty().then(|| {
            let text = format!("Sends a message to the handler `{method}` and awaits its answer.");
            quote! { #[doc = #text] }
        });
        let errors = "When the handler faults, or the kernel ends before it answers.";
        let lints = item.attrs.iter().filter(|attr| attr.path().is_ident("deprecated"));
        quote_spanned! { at(method) =>
            #default
            #(#docs)*
            ///
            /// # Errors
            #[doc = #errors]
            #(#lints)*
            pub async fn #method(
                &self,
                message: #message,
            ) -> ::core::result::Result<#reply, ::ringkernel::__private::RingKernelError> {
                #[allow(unused_imports)]
                use ::ringkernel::__private::{NoExchange as _, NoInPlace as _};
                #exchange::ask(self, message).await
            }
        }
    });
    quote! {
        #[allow(dead_code, unreachable_pub, private_interfaces)]
        impl #proxy {
            #(#methods)*
        }
    }
}
