//! `syn` → [`ast`]. Whatever devices cannot run is reported here, all at once, each with what it is and what to write instead.
//!
//! Start at [`Parser::function`]; `expr` turns expressions, `control` the ones with blocks, `macros` the panicking macros.

pub(crate) mod ast;
mod control;
mod expr;
mod macros;
mod pat;
mod text;
mod ty;

pub(crate) use expr::NAMES_SOMEONE;

use crate::diag::Diagnostic;
use ast::*;
use proc_macro2::Span;
use syn::spanned::Spanned;

/// Turns `syn` items into [`ast`] and collects what it cannot.
#[derive(Default)]
pub(crate) struct Parser {
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Parser {
    /// Reports that `what` cannot run on devices.
    fn unsupported(&mut self, span: Span, what: &str, instead: &str) {
        self.error(span, format!("{what} cannot run on a device yet; {instead}"));
    }

    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(span, message));
    }

    /// A path without generic arguments.
    fn path(&mut self, path: &syn::Path) -> Path {
        for segment in &path.segments {
            if !matches!(segment.arguments, syn::PathArguments::None) {
                self.unsupported(
                    segment.arguments.span(),
                    "a generic argument",
                    "use a type or function without generics",
                );
            }
        }
        Path {
            span: path.span(),
            text: crate::collect::paths::path_key(path),
            segments: path.segments.iter().map(|s| s.ident.to_string()).collect(),
        }
    }

    fn label(&mut self, label: &Option<syn::Label>) -> Option<String> {
        label.as_ref().map(|label| label.name.ident.to_string())
    }

    /// `#[cfg]` is not evaluated before an attribute macro sees the body.
    fn attributes(&mut self, attrs: &[syn::Attribute]) {
        for attr in attrs {
            if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
                self.unsupported(attr.span(), "`#[cfg]` inside a body", "put it on the whole item");
            }
        }
    }

    /// A method of the impl, or a handler.
    pub(crate) fn method(&mut self, item: &syn::ImplItemFn) -> Function {
        self.function(&item.sig, &item.block)
    }

    /// A function: its signature and body.
    pub(crate) fn function(&mut self, sig: &syn::Signature, block: &syn::Block) -> Function {
        if let Some(asyncness) = &sig.asyncness {
            self.unsupported(
                asyncness.span(),
                "an `async` function",
                "a handler runs to its end: remove `async`",
            );
        }
        if !matches!(sig.safety, syn::Safety::Default) {
            self.unsupported(sig.safety.span(), "an `unsafe` function", "write it in safe code");
        }
        let generics = sig.generics.params.iter().filter(|p| !matches!(p, syn::GenericParam::Lifetime(_)));
        if let Some(param) = generics.into_iter().next() {
            self.unsupported(param.span(), "a generic function", "write one function for each type");
        }
        let mut receiver = None;
        let mut params = Vec::new();
        for input in &sig.inputs {
            match input {
                syn::FnArg::Receiver(this) => {
                    let mutable = match &this.kind {
                        syn::ReceiverKind::Reference(_, _, mutable) => mutable.is_some(),
                        _ => {
                            self.unsupported(
                                this.span(),
                                "taking `self` by value",
                                "take `&mut self` or `&self`",
                            );
                            false
                        }
                    };
                    receiver = Some(Receiver { span: this.self_token.span, mutable });
                }
                syn::FnArg::Typed(param) => params.push((self.pat(&param.pat), self.ty(&param.ty))),
            }
        }
        let ret = match &sig.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, ty) => Some(self.ty(ty)),
        };
        let body = self.block(block);
        Function { name: sig.ident.to_string(), span: sig.ident.span(), receiver, params, ret, body }
    }

    /// A constant.
    pub(crate) fn constant(&mut self, name: &syn::Ident, ty: &syn::Type, value: &syn::Expr) -> Const {
        Const { name: name.to_string(), ty: self.ty(ty), value: self.expr(value) }
    }
}
