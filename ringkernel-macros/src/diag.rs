//! What went wrong in the user's source, where, and what to write instead.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

/// One mistake.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The tokens it is about.
    pub span: Span,
    /// What is wrong and what to write instead.
    pub message: String,
    /// Whether rustc's own checks (types, borrows, names) will most likely report the same thing better. Such a diagnostic expands
    /// to something that only a late lint objects to, and lints run when everything else has passed: one mistake stays one error. (A
    /// constant that panics would not do: rustc evaluates constants whether or not other items have errors.)
    pub deferred: bool,
}

impl Diagnostic {
    /// A mistake that we are the ones to report.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), deferred: false }
    }

    /// Something that makes no sense to us, which rustc will most likely explain better.
    pub fn deferred(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), deferred: true }
    }

    /// The item that reports it.
    pub fn to_tokens(&self) -> TokenStream {
        let message = &self.message;
        if self.deferred {
            // At the user's own span, or rustc would not lint what a macro wrote.
            let name = Ident::new("NOT_COMPILED_FOR_DEVICES", self.span);
            quote! {
                const _: () = {
                    #[deny(dead_code, reason = #message)]
                    const #name: () = ();
                };
            }
        } else {
            quote_spanned! { self.span => ::core::compile_error! { #message } }
        }
    }
}

impl From<syn::Error> for Diagnostic {
    fn from(error: syn::Error) -> Self {
        Self::new(error.span(), error.to_string())
    }
}
