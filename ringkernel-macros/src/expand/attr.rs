//! The arguments of `#[ring_kernel(…)]`.

use crate::diag::Diagnostic;
use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Meta, Token, punctuated::Punctuated, spanned::Spanned};

/// What `#[ring_kernel(…)]` on a struct says.
pub struct KernelArgs {
    /// The id; a stand-in after an error.
    pub id: LitStr,
}

/// Reads the arguments on a struct. `name` is the struct's, for suggestions.
pub fn kernel_args(args: TokenStream, name: &Ident) -> (KernelArgs, Vec<Diagnostic>) {
    let mut errors = Vec::new();
    let mut id = None;
    for (key, span, value) in pairs(args, &mut errors) {
        match key.as_str() {
            "id" => match string(&value) {
                Some(text) if text.value().trim().is_empty() => {
                    errors.push(Diagnostic::new(text.span(), "a kernel's id cannot be empty"));
                    id = Some(text);
                }
                Some(text) => id = Some(text),
                None => {
                    errors.push(Diagnostic::new(span, format!("write the id as a string: `id = \"{}\"`", suggested(name))));
                    id = Some(LitStr::new(&suggested(name), span));
                }
            },
            "group" => match string(&value).map(|text| (text.value(), text.span())) {
                Some((group, _)) if group == "thread" => {}
                Some((group, span)) if group == "block" || group == "grid" => errors.push(Diagnostic::new(
                    span,
                    format!(
                        "`group = \"{group}\"` is not available yet: leave it out, and one GPU thread handles each message \
                         (`group = \"thread\"`)"
                    ),
                )),
                other => errors.push(Diagnostic::new(
                    other.map_or(span, |(_, span)| span),
                    "a group is `\"thread\"`: one GPU thread handles each message",
                )),
            },
            "block_size" => errors.push(Diagnostic::new(
                span,
                "`block_size` belongs to `group = \"block\"`, which is not available yet: remove it",
            )),
            _ => errors.push(Diagnostic::new(
                span,
                format!("`#[ring_kernel]` has no option `{key}`; on a struct it takes `id = \"…\"` and `group = \"thread\"`"),
            )),
        }
    }
    let id = id.unwrap_or_else(|| {
        if errors.is_empty() {
            errors.push(Diagnostic::new(
                Span::call_site(),
                format!(
                    "a kernel needs an id, by which `runtime.launch` finds it: `#[ring_kernel(id = \"{}\")]`",
                    suggested(name)
                ),
            ));
        }
        LitStr::new(&suggested(name), name.span())
    });
    (KernelArgs { id }, errors)
}

/// On the impl there is nothing to say.
pub fn no_args(args: TokenStream) -> Vec<Diagnostic> {
    if args.is_empty() {
        return Vec::new();
    }
    vec![Diagnostic::new(
        args.span(),
        "the id and other options stand on the struct's `#[ring_kernel(…)]`; on the impl write `#[ring_kernel]`",
    )]
}

fn pairs(args: TokenStream, errors: &mut Vec<Diagnostic>) -> Vec<(String, Span, Option<Expr>)> {
    let parser = |input: ParseStream<'_>| Punctuated::<Meta, Token![,]>::parse_terminated(input);
    match parser.parse2(args) {
        Ok(metas) => metas
            .into_iter()
            .map(|meta| {
                let path = meta.path();
                let key = path.get_ident().map(Ident::to_string).unwrap_or_default();
                let span = path.span();
                match meta {
                    Meta::NameValue(pair) => (key, span, Some(pair.value)),
                    _ => (key, span, None),
                }
            })
            .collect(),
        Err(error) => {
            errors.push(Diagnostic::new(error.span(), "write `#[ring_kernel(id = \"…\")]`"));
            Vec::new()
        }
    }
}

fn string(value: &Option<Expr>) -> Option<LitStr> {
    match value {
        Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Some(text.clone()),
        Some(Expr::Group(group)) => string(&Some((*group.expr).clone())),
        _ => None,
    }
}

/// `BankAccount` → `bank_account`.
fn suggested(name: &Ident) -> String {
    let mut id = String::new();
    for c in name.to_string().trim_start_matches("r#").chars() {
        if c.is_uppercase() && !id.is_empty() {
            id.push('_');
        }
        id.extend(c.to_lowercase());
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{format_ident, quote};

    fn read(args: TokenStream) -> (String, Vec<String>) {
        let (args, errors) = kernel_args(args, &format_ident!("BankAccount"));
        (args.id.value(), errors.into_iter().map(|error| error.message).collect())
    }

    #[test]
    fn an_id_and_the_default_group_are_accepted() {
        assert_eq!(read(quote!(id = "bank", group = "thread")), ("bank".into(), vec![]));
    }

    #[test]
    fn each_bad_argument_says_what_to_write() {
        for (args, part) in [
            (quote!(), "#[ring_kernel(id = \"bank_account\")]"),
            (quote!(id = ""), "empty"),
            (quote!(id = 4), "id = \"bank_account\""),
            (quote!(id = "a", group = "block"), "not available yet"),
            (quote!(id = "a", block_size = 256), "remove it"),
            (quote!(id = "a", speed = 9), "no option `speed`"),
            (quote!("a"), "id = \"…\""),
        ] {
            let (_, errors) = read(args);
            assert!(errors.len() == 1 && errors[0].contains(part), "{errors:#?}");
        }
    }
}
