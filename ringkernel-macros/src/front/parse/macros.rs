//! The macros that device code may call: those that panic, and `matches!`.

use super::Parser;
use super::ast::{Arm, Expr, ExprKind, Pat, PatKind};
use super::control::{arm, unit};
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Token, spanned::Spanned};

type Args = Punctuated<syn::Expr, Token![,]>;

impl Parser {
    /// A macro call.
    pub(super) fn macro_call(&mut self, call: &syn::Macro, span: Span) -> Expr {
        let name = call.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let tokens = call.tokens.clone();
        let kind = match name.as_str() {
            "panic" => self.panic(tokens, "explicit panic", ""),
            "unreachable" => self.panic(
                tokens,
                "internal error: entered unreachable code",
                "internal error: entered unreachable code: ",
            ),
            "todo" => self.panic(tokens, "not yet implemented", "not yet implemented: "),
            "unimplemented" => self.panic(tokens, "not implemented", "not implemented: "),
            "assert" | "debug_assert" => self.assert(tokens, name.starts_with("debug")),
            "assert_eq" | "debug_assert_eq" => self.assert_compare(tokens, true, name.starts_with("debug")),
            "assert_ne" | "debug_assert_ne" => self.assert_compare(tokens, false, name.starts_with("debug")),
            "matches" => self.matches(tokens, span),
            _ => {
                let (what, instead) = match name.as_str() {
                    "println" | "print" | "eprintln" | "eprint" | "dbg" | "write" | "writeln" => {
                        ("printing", "put what you want to see into the reply or the state")
                    }
                    "format" | "concat" | "stringify" => ("a string", "use numbers, or `[u8; N]`"),
                    "vec" => ("heap memory", "use an array: `[T; N]`"),
                    _ => ("this macro", "write what it expands to, or a `#[device_fn]`"),
                };
                self.unsupported(call.path.span(), what, instead);
                ExprKind::Error
            }
        };
        Expr { span, kind }
    }

    fn args(&mut self, tokens: TokenStream) -> Option<Vec<syn::Expr>> {
        match Args::parse_terminated.parse2(tokens) {
            Ok(args) => Some(args.into_iter().collect()),
            Err(error) => {
                self.diagnostics.push(error.into());
                None
            }
        }
    }

    fn panic(&mut self, tokens: TokenStream, bare: &str, prefix: &str) -> ExprKind {
        match self.args(tokens) {
            Some(args) if args.is_empty() => ExprKind::Panic(bare.to_owned()),
            Some(args) => ExprKind::Panic(format!("{prefix}{}", message(&args[0]))),
            None => ExprKind::Error,
        }
    }

    fn assert(&mut self, tokens: TokenStream, debug: bool) -> ExprKind {
        let Some(args) = self.args(tokens) else { return ExprKind::Error };
        let Some(condition) = args.first() else {
            return ExprKind::Error; // rustc says what is missing
        };
        let message = match args.get(1) {
            Some(text) => message(text),
            None => format!("assertion failed: {}", super::text::one_line(condition)),
        };
        ExprKind::Assert { condition: Box::new(self.expr(condition)), message, debug }
    }

    fn assert_compare(&mut self, tokens: TokenStream, equal: bool, debug: bool) -> ExprKind {
        let Some(args) = self.args(tokens) else { return ExprKind::Error };
        let [left, right, rest @ ..] = &args[..] else { return ExprKind::Error };
        let mut text = format!("assertion `left {} right` failed", if equal { "==" } else { "!=" });
        if let Some(extra) = rest.first() {
            text = format!("{text}: {}", message(extra));
        }
        let (left, right) = (Box::new(self.expr(left)), Box::new(self.expr(right)));
        ExprKind::AssertCompare { equal, left, right, message: text, debug }
    }

    /// `matches!(e, p if g)` is `match e { p if g => true, _ => false }`.
    fn matches(&mut self, tokens: TokenStream, span: Span) -> ExprKind {
        let parse = |input: ParseStream| {
            let scrutinee: syn::Expr = input.parse()?;
            input.parse::<Token![,]>()?;
            let pat = syn::Pat::parse_multi_with_leading_vert(input)?;
            let guard = if input.peek(Token![if]) {
                input.parse::<Token![if]>()?;
                Some(input.parse::<syn::Expr>()?)
            } else {
                None
            };
            input.parse::<Option<Token![,]>>()?;
            Ok((scrutinee, pat, guard))
        };
        match parse.parse2(tokens) {
            Ok((scrutinee, pat, guard)) => {
                let truth = |value| Expr { span, kind: ExprKind::Bool(value) };
                let scrutinee = Box::new(self.expr(&scrutinee));
                let pat = self.pat(&pat);
                let guard = guard.map(|guard| self.expr(&guard));
                let arms = vec![
                    Arm { pat, guard, body: truth(true) },
                    arm(Pat { span, kind: PatKind::Wild }, truth(false)),
                ];
                ExprKind::Match { scrutinee, arms }
            }
            Err(error) => {
                self.diagnostics.push(error.into());
                unit(span).kind
            }
        }
    }
}

/// The text of a panic: the literal as written, with its `{{` and `}}` undone (arguments are not formatted on devices).
fn message(expr: &syn::Expr) -> String {
    match expr {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
            text.value().replace("{{", "{").replace("}}", "}")
        }
        syn::Expr::Group(group) => message(&group.expr),
        other => other.to_token_stream().to_string(),
    }
}
