//! Which other definitions some tokens need: the paths whose carriers must be asked.
//!
//! Tokens do not say what a name is, so this goes by position and by Rust's naming: a path in type position or before `{…}` is a struct, a
//! called lower-case path is a `#[device_fn]`, an UPPER_CASE path is a `#[device_const]`. What the language itself brings (primitives,
//! `Self::…`, `u32::MAX`, `std::…`) is left to the front end, and so is everything the language of devices does not have, which it
//! refuses with a better message than an unknown macro would be.

use super::variable;
use std::collections::HashSet;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, Pat, Path, Token, Type};

/// How a path is written in a [`Uses`] map: its text without spaces, generic arguments left out.
pub fn path_key(path: &Path) -> String {
    let mut key = String::new();
    if path.leading_colon.is_some() {
        key.push_str("::");
    }
    for (i, segment) in path.segments.iter().enumerate() {
        if i > 0 {
            key.push_str("::");
        }
        key.push_str(&segment.ident.to_string());
    }
    key
}

/// What a path stands for, by its position and its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A struct.
    Type,
    /// A called function.
    Fn,
    /// A constant.
    Const,
}

/// A path whose carrier is to be asked.
#[derive(Clone)]
pub struct Need {
    /// As written.
    pub path: Path,
    /// For what.
    pub kind: Kind,
}

/// The paths found, each once, in order of appearance.
#[derive(Default)]
pub struct Paths {
    found: Vec<Need>,
    keys: HashSet<String>,
    locals: HashSet<String>,
    /// Inside a function.
    in_fn: bool,
}

impl Paths {
    /// Needs nothing yet. Paths spelled like `known` will be left out (an actor's own type, which is asked for anyway).
    pub fn knowing(known: &[&Path]) -> Self {
        Self { keys: known.iter().map(|path| path_key(path)).collect(), ..Self::default() }
    }

    /// What a type needs.
    pub fn add_type(&mut self, ty: &Type) {
        self.visit_type(ty);
    }

    /// What a constant's value needs.
    pub fn add_expr(&mut self, expr: &Expr) {
        self.visit_expr(expr);
    }

    /// What a function needs.
    pub fn add_fn(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let mut locals = Locals::default();
        locals.visit_signature(signature);
        locals.visit_block(block);
        let outer = std::mem::replace(&mut self.locals, locals.names);
        self.in_fn = true;
        self.visit_signature(signature);
        self.visit_block(block);
        self.in_fn = false;
        self.locals = outer;
    }

    /// The paths, in order of appearance.
    pub fn into_vec(self) -> Vec<Path> {
        self.found.into_iter().map(|need| need.path).collect()
    }

    /// The paths with what they stand for.
    pub fn into_needs(self) -> Vec<Need> {
        self.found
    }

    fn need(&mut self, path: &Path, kind: Kind) {
        let generic = path.segments.iter().any(|segment| !segment.arguments.is_none());
        let local = path.get_ident().is_some_and(|ident| self.locals.contains(&ident.to_string()));
        if !generic && !local && !is_language(path) && self.keys.insert(path_key(path)) {
            self.found.push(Need { path: path.clone(), kind });
        }
    }

    fn need_value(&mut self, path: &Path) {
        match case(path) {
            _ if is_associated(path) => {}
            Case::Upper => self.need(path, Kind::Const),
            Case::Camel => self.need(path, Kind::Type),
            Case::Lower => {}
        }
    }
}

#[derive(PartialEq)]
enum Case {
    /// `deposit`
    Lower,
    /// `Deposit`
    Camel,
    /// `LIMIT`
    Upper,
}

/// How the last segment is written.
fn case(path: &Path) -> Case {
    let name = path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
    let name = name.trim_start_matches("r#").trim_start_matches('_');
    if !name.starts_with(|c: char| c.is_uppercase()) {
        Case::Lower
    } else if name.chars().any(char::is_lowercase) {
        Case::Camel
    } else {
        Case::Upper
    }
}

/// Whether the path goes through a type (`Point::new`, `Color::Red`) and not just through modules.
fn is_associated(path: &Path) -> bool {
    let count = path.segments.len();
    count > 1 && path.segments[count - 2].ident.to_string().starts_with(|c: char| c.is_uppercase())
}

/// `Sent`, as it is or with the library's name before it.
fn is_sent(path: &Path) -> bool {
    let mut names = path.segments.iter().rev();
    names.next().is_some_and(|last| last.ident == crate::front::SENT)
        && names.all(|first| first.ident == "ringkernel" || first.ident == "prelude")
}

/// Names that need no import, or come with the language.
fn is_language(path: &Path) -> bool {
    let Some(first) = path.segments.first().map(|segment| segment.ident.to_string()) else { return true };
    let Some(last) = path.segments.last().map(|segment| segment.ident.to_string()) else { return true };
    const PRIMITIVES: [&str; 17] = [
        "bool", "char", "str", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
        "usize", "f32", "f64",
    ];
    const PRELUDE: [&str; 12] =
        ["Self", "Some", "None", "Ok", "Err", "Option", "Result", "String", "Vec", "Box", "Default", "drop"];
    PRIMITIVES.contains(&first.as_str())
        || ["std", "core", "alloc", "Self"].contains(&first.as_str())
        || (path.segments.len() == 1 && PRELUDE.contains(&first.as_str()))
        || last == "RingContext"
        || last == crate::front::HLC
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_type_path(&mut self, ty: &'ast syn::TypePath) {
        if ty.qself.is_some() {
            return;
        }
        // What a send returns is called so, and has no carrier. Who has a message of that name shows it elsewhere: among the handlers' types,
        // in a struct's fields, before `{…}`.
        if !(self.in_fn && is_sent(&ty.path)) {
            self.need(&ty.path, Kind::Type);
        }
        let last = ty.path.segments.last();
        let generic = last.filter(|last| ["Vec", "Option", "Archived"].iter().any(|name| last.ident == name));
        if let Some(part) = generic.and_then(variable::only_argument) {
            self.visit_type(part);
        }
    }

    fn visit_expr_struct(&mut self, expr: &'ast syn::ExprStruct) {
        if expr.qself.is_none() && !is_associated(&expr.path) {
            self.need(&expr.path, Kind::Type);
        }
        for field in &expr.fields {
            self.visit_expr(&field.expr);
        }
        if let Some(rest) = &expr.rest {
            self.visit_expr(rest);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        match &*call.func {
            Expr::Path(func) if func.qself.is_none() => {
                if !is_associated(&func.path) {
                    let kind = if case(&func.path) == Case::Lower { Kind::Fn } else { Kind::Type };
                    self.need(&func.path, kind);
                }
            }
            func => self.visit_expr(func),
        }
        for arg in &call.args {
            self.visit_expr(arg);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.visit_expr(&call.receiver);
        // Whom a handler sends to is an actor: only its id is asked for, by its name.
        if call.method != "send"
            && call.method != "forward"
            && let Some(turbofish) = &call.turbofish
        {
            self.visit_angle_bracketed_generic_arguments(turbofish);
        }
        // A kernel or topic must be a literal. Of a constant the front end says so, better than its missing carrier would.
        let named = crate::front::NAMES_SOMEONE.iter().any(|method| call.method == method);
        let of_itself = matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self"));
        for arg in call.args.iter().skip((named && !of_itself).into()) {
            self.visit_expr(arg);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        if path.qself.is_none() {
            self.need_value(&path.path);
        }
    }

    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        if pat.by_ref.is_none() && pat.mutability.is_none() && pat.subpat.is_none() {
            self.need_value(&Path::from(pat.ident.clone()));
        }
        visit::visit_pat_ident(self, pat);
    }

    fn visit_pat_struct(&mut self, pat: &'ast syn::PatStruct) {
        if pat.qself.is_none() && !is_associated(&pat.path) {
            self.need(&pat.path, Kind::Type);
        }
        for field in &pat.fields {
            self.visit_pat(&field.pat);
        }
    }

    fn visit_pat_tuple_struct(&mut self, pat: &'ast syn::PatTupleStruct) {
        if pat.qself.is_none() && !is_associated(&pat.path) {
            self.need(&pat.path, Kind::Type);
        }
        for elem in &pat.elems {
            self.visit_pat(elem);
        }
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // The parsed arguments live shorter than `'ast`, hence the calls through the trait, which holds for every lifetime.
        for_macro_parts(mac, |part| match part {
            MacroPart::Expr(expr) => Visit::visit_expr(self, &expr),
            MacroPart::Pat(pat) => Visit::visit_pat(self, &pat),
        });
    }
}

/// A part of a macro's arguments that is code of the handler.
pub enum MacroPart {
    /// An expression.
    Expr(Expr),
    /// A pattern.
    Pat(Pat),
}

/// Parses the arguments of the macros a handler may use (`assert!` and its kin, `matches!`), which are code of the handler too.
pub fn for_macro_parts(mac: &syn::Macro, mut each: impl FnMut(MacroPart)) {
    let Some(name) = mac.path.segments.last().map(|segment| segment.ident.to_string()) else { return };
    if name == "matches" {
        let parser = |input: syn::parse::ParseStream<'_>| {
            let expr: Expr = input.parse()?;
            input.parse::<Token![,]>()?;
            let pat = Pat::parse_multi_with_leading_vert(input)?;
            let guard =
                if input.parse::<Option<Token![if]>>()?.is_some() { Some(input.parse()?) } else { None };
            input.parse::<Option<Token![,]>>()?;
            Ok((expr, pat, guard))
        };
        if let Ok((expr, pat, guard)) = parser.parse2(mac.tokens.clone()) {
            each(MacroPart::Expr(expr));
            each(MacroPart::Pat(pat));
            if let Some(guard) = guard {
                each(MacroPart::Expr(guard));
            }
        }
        return;
    }
    let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
    if let Ok(args) = parser.parse2(mac.tokens.clone()) {
        for arg in args {
            each(MacroPart::Expr(arg));
        }
    }
}

/// Names that a function binds: its variables, and items inside its body.
#[derive(Default)]
struct Locals {
    names: HashSet<String>,
}

impl<'ast> Visit<'ast> for Locals {
    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        let lower = case(&Path::from(pat.ident.clone())) == Case::Lower;
        if lower {
            self.names.insert(pat.ident.to_string());
        }
        visit::visit_pat_ident(self, pat);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        // `let N = 4;` binds, whatever its case; in a `match` it would be a constant.
        let pat = if let Pat::Type(typed) = &local.pat { &*typed.pat } else { &local.pat };
        if let Pat::Ident(pat) = pat {
            self.names.insert(pat.ident.to_string());
        }
        visit::visit_local(self, local);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Const(item) => drop(self.names.insert(item.ident.to_string())),
            syn::Item::Fn(item) => drop(self.names.insert(item.sig.ident.to_string())),
            syn::Item::Struct(item) => drop(self.names.insert(item.ident.to_string())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn of(item: syn::ItemFn) -> Vec<String> {
        let mut paths = Paths::default();
        paths.add_fn(&item.sig, &item.block);
        paths.into_vec().iter().map(path_key).collect()
    }

    #[test]
    fn types_are_found_wherever_they_are_written() {
        let found = of(parse_quote! {
            fn f(a: A, b: &mut [m::B; LEN], ctx: &mut RingContext, n: u32) -> (C, bool) {
                let d: D = e::E { x: 1, y: [F { z: 2 }; 4] };
                let g = G(1.0);
                match d { H { x, .. } => x, I(y) => y };
                (g, true)
            }
        });
        assert_eq!(found, ["A", "m::B", "LEN", "C", "D", "e::E", "F", "G", "H", "I"]);
    }

    #[test]
    fn functions_and_constants_are_found_and_the_language_is_left_out() {
        let found = of(parse_quote! {
            fn f(x: f32) -> f32 {
                let g = helper(x) + m::other(LIMIT) + self::m::RATE * crate::k::SCALE;
                let big = u32::MAX as f32 + f32::max(x, 2.0) + std::f32::consts::PI + Self::LOCAL + Self::method(x);
                let c = Some(3) == None || i64::from(2u8) > 1 || Color::Red == Point::new(Color::BLUE);
                match x { EDGE => 1.0, 0 | TOP => g, other => other };
                for i in 0..COUNT { big += i as f32; }
                big
            }
        });
        assert_eq!(
            found,
            ["helper", "m::other", "LIMIT", "self::m::RATE", "crate::k::SCALE", "EDGE", "TOP", "COUNT"]
        );
    }

    #[test]
    fn names_inside_assertions_are_found() {
        let found = of(parse_quote! {
            fn f(x: u32) {
                assert!(x < LIMIT, "too large: {}", SHOWN);
                debug_assert_eq!(scale(x), OTHER);
                if matches!(x, FIRST | 2 if x > SECOND) { panic!("never") }
            }
        });
        assert_eq!(found, ["LIMIT", "SHOWN", "scale", "OTHER", "FIRST", "SECOND"]);
    }

    #[test]
    fn whom_a_handler_talks_to_is_not_asked_for_and_what_it_says_is() {
        let found = of(parse_quote! {
            fn f(&mut self, ctx: &mut RingContext, at: HlcTimestamp) -> Sent {
                let sent: ringkernel::Sent = ctx.send::<m::Ledger>(0, Order { id: 1 });
                let _ = ctx.publish(TOPIC, LIMIT) == Sent::Full || ctx.forward::<Ledger>(1, at).is_ok();
                while let Some(job) = ctx.try_receive_from_kernel::<Job>("jobs") {}
                self.publish(OTHER);
                sent
            }
        });
        assert_eq!(found, ["Order", "LIMIT", "Job", "OTHER"]);
        let mut paths = Paths::default();
        paths.add_type(&parse_quote!(Sent));
        assert_eq!(paths.into_vec().len(), 1, "a message of the user's can be called so");
    }

    #[test]
    fn what_the_function_binds_itself_is_not_asked_for() {
        let found = of(parse_quote! {
            fn f(callback: u32) {
                const SIZE: u32 = 3;
                let N = 4;
                let local = |x| x;
                fn inner() {}
                let y = local(SIZE) + callback(N) + inner();
                let z = T;
            }
        });
        assert_eq!(found, ["T"]);
    }
}
