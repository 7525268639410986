//! What the macros expand to.
//!
//! Every path in an expansion begins with `::ringkernel::__private`; what can be ordinary code stands there, and an expansion is the
//! part that only a macro can write. Reading and refusing come first (`attr`, `valid`), then the expansions, one file each:
//!
//! - [`device_type`]: `#[derive(DeviceType)]`, `#[derive(RingMessage)]`: encode, decode, layout and tag.
//! - [`variable`]: `#[derive(RingMessage)]` of messages of variable size, `#[derive(Payload)]` of their parts.
//! - [`state`]: `#[ring_kernel(id = …)]` on the struct: the same for the state, the proxy, the control block.
//! - [`actor`]: `#[ring_kernel]` on the impl: native dispatch, the proxy's methods, the descriptor.
//! - [`kernel`]: the end of the impl's chain of carriers: PTX and WGSL, and assertions that tokens and types agree.
//! - [`mesh`]: whom the actor talks to, for the descriptor.
//! - [`items`]: `#[device_fn]` and `#[device_const]`.
//!
//! A mistake is reported once: an expansion with errors still emits what others rely on.

pub mod actor;
pub mod attr;
pub mod device_type;
pub mod items;
pub mod kernel;
pub mod mesh;
pub mod state;
pub mod valid;
pub mod variable;

use crate::diag::Diagnostic;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Item;
use syn::spanned::Spanned;

/// `#[ring_kernel]` on whatever it stands on.
pub fn ring_kernel(args: TokenStream, item: TokenStream) -> TokenStream {
    let (span, message) = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Impl(parsed)) => return actor::attribute(args, parsed),
        Ok(Item::Struct(parsed)) => return state::attribute(args, &parsed),
        Ok(Item::Enum(parsed)) => (
            parsed.enum_token.span(),
            "an actor's state is a struct: write one with a `u32` field that says which case it is",
        ),
        Ok(other) => (
            other.span(),
            "`#[ring_kernel(id = \"…\")]` goes on the struct that is an actor's state, and `#[ring_kernel]` on its impl",
        ),
        Err(error) => return with_error(&error.into(), &item),
    };
    with_error(&Diagnostic::new(span, message), &item)
}

/// What `#[ring_kernel]` leaves in the arguments of each `#[handler]` of its impl.
///
/// The attribute stays there and does nothing, so that `use ringkernel::handler` is a use that is used.
pub const SEEN: &str = "__in_ring_kernel";

/// `#[handler]`: by itself it has nothing to do, and without a `#[ring_kernel]` around it that is a mistake.
pub fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    if args.to_string() == SEEN {
        return item;
    }
    let message =
        "`#[handler]` marks a method inside a `#[ring_kernel] impl`: put `#[ring_kernel]` on the impl";
    match syn::parse2::<syn::ImplItemFn>(item.clone()) {
        // If only this half lacks the attribute, the other reports it, and one error is enough.
        Ok(mut method) => {
            let report = Diagnostic::deferred(method.sig.ident.span(), message).to_tokens();
            method.block.stmts.insert(0, syn::parse_quote!(#report));
            quote!(#method)
        }
        Err(_) => with_error(&Diagnostic::new(item.span(), message), &item),
    }
}

fn with_error(error: &Diagnostic, item: &TokenStream) -> TokenStream {
    let error = error.to_tokens();
    quote!(#error #item)
}

/// Where `tokens` stand, for tokens of ours: rustc points at the user's, and names in ours are still ours alone.
pub fn at(tokens: &impl Spanned) -> Span {
    tokens.span().resolved_at(Span::call_site())
}

/// The items that report mistakes.
pub fn report(errors: &[Diagnostic]) -> TokenStream {
    errors.iter().map(Diagnostic::to_tokens).collect()
}
