//! `#[device_fn]` and `#[device_const]`: the item as it is, its carrier, and a check that its signature's names are types.

use super::{at, report};
use crate::collect::carrier;
use crate::collect::fields::with_true_primitives;
use crate::collect::paths::Paths;
use crate::collect::payload::Definition;
use crate::diag::Diagnostic;
use crate::program::{ConstDef, FnDef, Uses};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, Item, ItemConst, ItemFn, ReturnType, Type, Visibility};

/// `#[device_fn] fn …`
pub fn device_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Fn(parsed)) => parsed,
        Ok(other) => return refuse(other.span(), "`#[device_fn]` goes on a free function", item),
        // A method parses as no item; and rustc will explain what does not parse at all.
        Err(_) => {
            let message = "`#[device_fn]` goes on a free function; methods of a `#[ring_kernel] impl` need no attribute";
            return match syn::parse2::<syn::ImplItemFn>(item.clone()) {
                Ok(method) => refuse(method.sig.ident.span(), message, item),
                Err(_) => item,
            };
        }
    };
    let mut errors = no_args("device_fn", args);
    errors.extend(fn_errors(&parsed));
    let mut tokens = report(&errors);
    tokens.extend(quote!(#parsed));
    let mut paths = Paths::default();
    if errors.is_empty() {
        tokens.extend(signature_check(&parsed));
        paths.add_fn(&parsed.sig, &parsed.block);
    }
    let mut carried = parsed.clone();
    carried.attrs.clear();
    carried.vis = Visibility::Inherited;
    let name = carried.sig.ident.clone();
    let def = carrier::identity(&name, &item);
    // A recursive call leads to the function itself; the front end says what it thinks of that.
    let needs: Vec<_> = paths.into_vec().into_iter().filter(|path| !path.is_ident(&name)).collect();
    let uses = Uses::from([(name.to_string(), def)]);
    tokens.extend(carrier::emit(&Definition::Fn(FnDef { def, item: carried, uses }), &parsed.vis, &needs));
    tokens
}

/// `#[device_const] const …`
pub fn device_const(args: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Const(parsed)) => parsed,
        Ok(other) => return refuse(other.span(), "`#[device_const]` goes on a `const` item", item),
        Err(_) => return item,
    };
    let mut errors = no_args("device_const", args);
    if !parsed.generics.params.is_empty() {
        errors.push(Diagnostic::new(parsed.generics.span(), "a constant for devices cannot be generic"));
    }
    if parsed.ident == "_" {
        errors
            .push(Diagnostic::new(parsed.ident.span(), "a constant for devices needs a name to be used by"));
        let errors = report(&errors);
        return quote!(#errors #parsed);
    }
    let mut tokens = report(&errors);
    tokens.extend(quote!(#parsed));
    let ItemConst { ident, ty, expr, vis, .. } = &parsed;
    let mut paths = Paths::default();
    if errors.is_empty() {
        let truth = with_true_primitives(ty);
        tokens.extend(quote_spanned! { at(ty) => const _: &#truth = &#ident; });
        paths.add_type(ty);
        paths.add_expr(expr);
    }
    let definition = Definition::Const(ConstDef {
        def: carrier::identity(ident, &item),
        name: ident.clone(),
        ty: (**ty).clone(),
        value: (**expr).clone(),
        uses: Uses::new(),
    });
    tokens.extend(carrier::emit(&definition, vis, &paths.into_vec()));
    tokens
}

fn refuse(span: proc_macro2::Span, message: &str, item: TokenStream) -> TokenStream {
    let error = Diagnostic::new(span, message).to_tokens();
    quote!(#error #item)
}

fn no_args(name: &str, args: TokenStream) -> Vec<Diagnostic> {
    if args.is_empty() {
        return Vec::new();
    }
    vec![Diagnostic::new(args.span(), format!("`#[{name}]` takes no arguments"))]
}

/// What of a signature no device function can have. Its types are the front end's to judge.
fn fn_errors(item: &ItemFn) -> Vec<Diagnostic> {
    let sig = &item.sig;
    let mut errors = Vec::new();
    let mut refuse = |span, message: &str| errors.push(Diagnostic::new(span, message));
    if let Some(asyncness) = &sig.asyncness {
        refuse(asyncness.span(), "a device function runs to its end and cannot await: remove `async`");
    }
    if let syn::Safety::Unsafe(token) = &sig.safety {
        refuse(token.span(), "a device function is safe code: remove `unsafe`");
    }
    if let Some(abi) = &sig.abi {
        refuse(abi.span(), "a device function has no `extern` ABI: remove it");
    }
    if !sig.generics.params.is_empty() {
        refuse(
            sig.generics.span(),
            "a device function cannot be generic yet: write one for each type it is used with",
        );
    }
    for input in &sig.inputs {
        if let FnArg::Receiver(receiver) = input {
            refuse(
                receiver.span(),
                "`#[device_fn]` goes on a free function; methods of a `#[ring_kernel] impl` need no attribute",
            );
        }
    }
    errors
}

/// `const _: fn(A) -> B = name;` with true primitives.
fn signature_check(item: &ItemFn) -> TokenStream {
    let name = &item.sig.ident;
    let truth = |ty: &Type| match ty {
        Type::Reference(reference) => {
            let (and, mutability, elem) =
                (reference.and_token, &reference.mutability, with_true_primitives(&reference.elem));
            quote!(#and #mutability #elem)
        }
        ty => with_true_primitives(ty),
    };
    let inputs = item.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(truth(&typed.ty)),
        FnArg::Receiver(_) => None,
    });
    let output = match &item.sig.output {
        ReturnType::Default => quote!(),
        ReturnType::Type(arrow, ty) => {
            let ty = truth(ty);
            quote!(#arrow #ty)
        }
    };
    quote_spanned! { at(name) => const _: fn(#(#inputs),*) #output = #name; }
}
