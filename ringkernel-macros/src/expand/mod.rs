//! What the macros expand to.
//!
//! Every path in an expansion begins with `::ringkernel::__private`; what can be ordinary code stands there, and an expansion is the
//! part that only a macro can write. Reading and refusing come first (`attr`, `valid`), then the expansions, one file each:
//!
//! - [`device_type`]: `#[derive(DeviceType)]`, `#[derive(RingMessage)]`: encode, decode, layout and tag.
//! - [`state`]: `#[ring_kernel(id = …)]` on the struct: the same for the state, the proxy, the control block.
//! - [`actor`]: `#[ring_kernel]` on the impl: native dispatch, the proxy's methods, the descriptor.
//! - [`kernel`]: the end of the impl's chain of carriers: PTX and WGSL, and assertions that tokens and types agree.
//! - [`items`]: `#[device_fn]` and `#[device_const]`.
//!
//! A mistake is reported once: an expansion with errors still emits what others rely on.

pub mod actor;
pub mod attr;
pub mod device_type;
pub mod items;
pub mod kernel;
pub mod state;
pub mod valid;

use crate::diag::Diagnostic;
use proc_macro2::TokenStream;
use quote::quote;

/// Where everything that expansions name lives.
pub fn private() -> TokenStream {
    quote!(::ringkernel::__private)
}

/// The items that report mistakes.
pub fn report(errors: &[Diagnostic]) -> TokenStream {
    errors.iter().map(Diagnostic::to_tokens).collect()
}
