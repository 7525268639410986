//! The impl half as the macro understands it, and every reason to refuse it.

use crate::collect::fields::strip_groups;
use crate::collect::paths::{Paths, path_key};
use crate::collect::variable;
use crate::diag::Diagnostic;
use crate::ir::Scalar;
use crate::program::{Program, TypeRole};
use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, ImplItem, ImplItemConst, ImplItemFn, ItemImpl, Path, Receiver, ReceiverKind,
    ReturnType, Signature, Type, parse_quote, parse_quote_spanned,
};

/// A method marked `#[handler]`.
pub struct Handler {
    /// The method, without the attribute.
    pub item: ImplItemFn,
    /// What it takes.
    pub message: Type,
    /// Whether it takes that as it arrived, by `&Archived<…>`.
    pub in_place: bool,
    /// What it answers.
    pub reply: Type,
}

/// The impl half.
pub struct ActorImpl {
    /// The actor's type as written.
    pub path: Path,
    /// What stays in the user's program: the impl, each `#[handler]` marked as seen.
    pub cleaned: ItemImpl,
    /// The handlers whose signatures are in order.
    pub handlers: Vec<Handler>,
    /// The other methods.
    pub methods: Vec<ImplItemFn>,
    /// The constants.
    pub consts: Vec<ImplItemConst>,
}

impl ActorImpl {
    /// The actor's name.
    pub fn name(&self) -> Ident {
        self.path
            .segments
            .last()
            .map_or_else(|| Ident::new("Actor", Span::call_site()), |last| last.ident.clone())
    }
}

/// Reads an impl.
pub fn read(item: ItemImpl) -> (ActorImpl, Vec<Diagnostic>) {
    let mut errors = Vec::new();
    if let Some((path, _)) = &item.trait_ {
        errors.push(Diagnostic::new(
            path.span(),
            "handlers stand in the actor's own impl, `#[ring_kernel] impl Account { … }`, not in a trait's",
        ));
    }
    if !item.generics.params.is_empty() {
        errors.push(Diagnostic::new(
            item.generics.span(),
            "an actor cannot be generic: its handlers are compiled for devices here, with every type known",
        ));
    }
    for attr in item.attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
        errors.push(Diagnostic::new(
            attr.span(),
            "`#[cfg]` here would leave what `#[ring_kernel]` adds: put it above `#[ring_kernel]`",
        ));
    }
    let path = match strip_groups(&item.self_ty) {
        Type::Path(path) if path.qself.is_none() => path.path,
        other => {
            errors.push(Diagnostic::new(other.span(), "an actor is a struct: name it here"));
            parse_quote_spanned! { other.span() => Actor }
        }
    };
    let (mut handlers, mut methods, mut consts): (Vec<Handler>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    let mut cleaned = item;
    let mut marked = 0;
    for item in &mut cleaned.items {
        match item {
            ImplItem::Fn(method) => {
                let mut bare = method.clone();
                let Some(attr) = take_handler(&mut bare.attrs, &mut method.attrs) else {
                    methods.push(bare);
                    continue;
                };
                marked += 1;
                let before = errors.len();
                check_attrs(&attr, &bare, &mut errors);
                let signature = check_signature(&bare.sig, &mut errors);
                if let (Some((message, in_place, reply)), true) = (signature, errors.len() == before) {
                    handlers.push(Handler { item: bare, message, in_place, reply });
                }
                if method.sig.asyncness.take().is_some() {
                    // That has been said; what rustc makes of it would only be more.
                    method.block = parse_quote!({ ::core::unreachable!() });
                }
            }
            ImplItem::Const(constant) => {
                if ["PTX", "WGSL", "ID"].iter().any(|name| constant.ident == name) {
                    errors.push(Diagnostic::new(
                        constant.ident.span(),
                        format!(
                            "`#[ring_kernel]` adds a constant `{}` of its own: choose another name",
                            constant.ident
                        ),
                    ));
                }
                consts.push(constant.clone());
            }
            _ => {}
        }
    }
    if marked == 0 {
        errors.push(Diagnostic::new(
            cleaned.self_ty.span(),
            "this actor handles no message: mark a method with `#[handler]`",
        ));
    }
    check_duplicates(&mut handlers, &mut errors);
    (ActorImpl { path, cleaned, handlers, methods, consts }, errors)
}

/// Takes `#[handler]` off the copy that is compiled, and returns it. On the method that stays in the program it is marked as seen.
fn take_handler(bare: &mut Vec<Attribute>, kept: &mut [Attribute]) -> Option<Attribute> {
    let at = bare
        .iter()
        .position(|attr| attr.path().segments.last().is_some_and(|segment| segment.ident == "handler"))?;
    let attr = bare.remove(at);
    let (path, seen) = (attr.path(), Ident::new(super::SEEN, attr.span()));
    kept[at].meta = parse_quote!(#path(#seen));
    Some(attr)
}

/// Methods of proxies, which a handler of the same name would hide or be hidden by.
const TAKEN: [&str; 30] = [
    "ask",
    "tell",
    "try_tell",
    "ask_timeout",
    "ask_blocking",
    "at",
    "instance",
    "instances",
    "launch",
    "clone",
    "deref",
    "fmt",
    "send",
    "send_to",
    "receive",
    "receive_timeout",
    "try_receive",
    "state",
    "is_active",
    "activate",
    "deactivate",
    "suspend",
    "resume",
    "terminate",
    "telemetry",
    "control",
    "snapshot",
    "id",
    "encode",
    "decode",
];

fn check_attrs(attr: &Attribute, method: &ImplItemFn, errors: &mut Vec<Diagnostic>) {
    let mut refuse = |span, message: String| errors.push(Diagnostic::new(span, message));
    if !matches!(attr.meta, syn::Meta::Path(_)) {
        refuse(attr.meta.span(), "`#[handler]` takes no arguments".into());
    }
    for other in &method.attrs {
        if other.path().is_ident("cfg") || other.path().is_ident("cfg_attr") {
            refuse(
                other.span(),
                "`#[cfg]` on one handler would leave the device code without it: put it on the whole impl, or inside".into(),
            );
        }
    }
    let name = method.sig.ident.to_string();
    if TAKEN.contains(&name.as_str()) {
        refuse(
            method.sig.ident.span(),
            format!("a proxy has a method `{name}` already: give this handler another name"),
        );
    }
}

/// The message (and whether it is read in place) and the reply of `fn name(&mut self, ctx: &mut RingContext, msg: M) -> R`.
fn check_signature(sig: &Signature, errors: &mut Vec<Diagnostic>) -> Option<(Type, bool, Type)> {
    let name = &sig.ident;
    let mut refuse = |span: Span, message: String| errors.push(Diagnostic::new(span, message));
    if let Some(asyncness) = &sig.asyncness {
        refuse(
            asyncness.span(),
            "a handler runs to its end on the device and cannot await: remove `async`".into(),
        );
    }
    if let Some(constness) = &sig.constness {
        refuse(constness.span(), "a handler is called at run time: remove `const`".into());
    }
    if let syn::Safety::Unsafe(token) = &sig.safety {
        refuse(token.span(), "a handler is safe code: remove `unsafe`".into());
    }
    if let Some(abi) = &sig.abi {
        refuse(abi.span(), "a handler has no `extern` ABI: remove it".into());
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        let clause = sig.generics.where_clause.as_ref().map(Spanned::span);
        let span = if sig.generics.params.is_empty() { clause } else { Some(sig.generics.span()) };
        refuse(
            span.unwrap_or_else(|| name.span()),
            "a handler cannot be generic: write one for each message type".into(),
        );
    }
    let mut inputs = sig.inputs.iter();
    let shape = format!("`fn {name}(&mut self, ctx: &mut RingContext, msg: Message) -> Reply`");
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if by_reference(receiver) => {}
        Some(FnArg::Receiver(receiver)) => {
            refuse(
                receiver.span(),
                "the state stays on the device: take `&mut self`, or `&self` to only read it".into(),
            );
        }
        first => {
            let span = first.map_or_else(|| name.span(), Spanned::span);
            refuse(span, format!("a handler takes its actor's state first: {shape}"));
            return None;
        }
    }
    let inputs: Vec<_> =
        inputs.filter_map(|input| if let FnArg::Typed(typed) = input { Some(typed) } else { None }).collect();
    let message = match inputs[..] {
        [ctx, message] if is_context(&ctx.ty) => message,
        [ctx, _] => {
            refuse(
                ctx.ty.span(),
                format!("a handler's second parameter is the context, `&mut RingContext`: {shape}"),
            );
            return None;
        }
        [only] if is_context(&only.ty) => {
            refuse(only.span(), format!("a handler takes one message after its context: {shape}"));
            return None;
        }
        [only] => {
            refuse(only.span(), format!("a handler takes its context before the message: {shape}"));
            return None;
        }
        [] => {
            refuse(name.span(), format!("a handler takes a context and a message: {shape}"));
            return None;
        }
        [_, _, extra, ..] => {
            refuse(
                extra.span(),
                "a handler takes one message: put the values into one struct with `#[derive(RingMessage)]`"
                    .into(),
            );
            return None;
        }
    };
    let taken = strip_groups(&message.ty);
    let archived = variable::archived(&taken);
    let (in_place, message) = (archived.is_some(), archived.unwrap_or(taken));
    let reply = match &sig.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => strip_groups(ty),
    };
    check_message(&message, "a message", errors);
    if !matches!(&reply, Type::Tuple(tuple) if tuple.elems.is_empty()) {
        check_message(&reply, "a reply", errors);
    }
    Some((message, in_place, reply))
}

/// `Post` of `ArchivedPost`.
fn archive_of(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?.ident.to_string();
    last.strip_prefix("Archived").filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The messages that the impl names, as it spells them.
pub fn named_messages(actor: &ActorImpl, program: &Program) -> Vec<Path> {
    let mut paths = Paths::default();
    for method in actor.handlers.iter().map(|handler| &handler.item).chain(&actor.methods) {
        paths.add_fn(&method.sig, &method.block);
    }
    let is_message = |path: &Path| {
        let def = program.uses.get(&path_key(path)).and_then(|id| program.types.get(id));
        def.is_some_and(|def| matches!(def.role, TypeRole::Message { .. } | TypeRole::Variable { .. }))
    };
    paths.into_vec().into_iter().filter(is_message).collect()
}

fn by_reference(receiver: &Receiver) -> bool {
    matches!(receiver.kind, ReceiverKind::Reference(..))
}

fn is_context(ty: &Type) -> bool {
    match strip_groups(ty) {
        Type::Reference(reference) if reference.mutability.is_some() => match strip_groups(&reference.elem) {
            Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "RingContext"),
            _ => false,
        },
        _ => false,
    }
}

/// A message, or a reply, is a scalar or a named struct.
fn check_message(ty: &Type, what: &str, errors: &mut Vec<Diagnostic>) {
    let mut refuse = |message: String| errors.push(Diagnostic::new(ty.span(), message));
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            let name = path_key(&path.path);
            let scalar = Scalar::from_name(&name).is_some();
            match name.as_str() {
                "usize" | "isize" => {
                    refuse(format!("`{name}` has another width on each device: use `u32` or `u64`"))
                }
                "String" | "str" | "Vec" => refuse(format!(
                    "{what} has a name: put the `{name}` in a struct with `#[derive(RingMessage)]`"
                )),
                "Option" | "Result" => refuse(format!(
                    "{what} cannot be `{name}` yet: write a struct with a `bool` or `u32` that says which it is, and \
                     `#[derive(RingMessage)]`"
                )),
                "Archived" => refuse("an archive is read where it lies: take `&Archived<…>`".into()),
                _ if !scalar && path.path.segments.iter().any(|s| !s.arguments.is_none()) => {
                    refuse(format!("{what} cannot be generic: name a struct with `#[derive(RingMessage)]`"));
                }
                _ => {}
            }
        }
        Type::Reference(reference) => refuse(match archive_of(&reference.elem) {
            Some(name) => format!("{what} of variable size is taken as `&Archived<{name}>`"),
            None => format!(
                "{what} is handed over by value: remove the `&` (or, of variable size, take it as `&Archived<…>`)"
            ),
        }),
        // `()` is a message like any scalar: one that says no more than that it was sent.
        Type::Tuple(tuple) if tuple.elems.is_empty() => {}
        Type::Array(_) | Type::Tuple(_) => refuse(format!(
            "{what} has a name: wrap `{}` in a struct with `#[derive(RingMessage)]`",
            ty.to_token_stream().to_string().replace(" ;", ";").replace(" ,", ",")
        )),
        Type::Never(_) => refuse("a handler answers: its caller waits for it".into()),
        _ => refuse(format!("{what} is a scalar or a struct with `#[derive(RingMessage)]`")),
    }
}

/// Of two handlers for one message type, the later is reported and left out.
fn check_duplicates(handlers: &mut Vec<Handler>, errors: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(String, String)> = Vec::new();
    handlers.retain(|handler| {
        let key = handler.message.to_token_stream().to_string();
        let name = handler.item.sig.ident.to_string();
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == key) {
            errors.push(Diagnostic::new(
                handler.message.span(),
                format!("`{first}` and `{name}` both handle `{key}`: an actor has one handler for each message type"),
            ));
            return false;
        }
        seen.push((key, name));
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(item: ItemImpl) -> Vec<String> {
        read(item).1.into_iter().map(|error| error.message).collect()
    }

    fn handler(method: ImplItemFn) -> Vec<String> {
        errors(parse_quote! { impl Account { #[handler] #method } })
    }

    #[test]
    fn handlers_methods_and_constants_are_told_apart() {
        let (actor, errors) = read(parse_quote! {
            impl bank::Account {
                const LIMIT: u32 = 5;
                #[handler] fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> m::Balance { todo!() }
                #[ringkernel::handler] fn peek(&self, _: &mut ringkernel::RingContext, _: u32) {}
                fn helper(&self) -> u32 { 3 }
            }
        });
        assert!(errors.is_empty());
        assert_eq!(actor.name(), "Account");
        assert_eq!((actor.handlers.len(), actor.methods.len(), actor.consts.len()), (2, 1, 1));
        assert_eq!(
            actor.cleaned.to_token_stream().to_string().matches("handler (__in_ring_kernel)").count(),
            2
        );
        assert!(actor.handlers.iter().all(|handler| handler.item.attrs.is_empty()));
        assert_eq!(actor.handlers[1].reply, parse_quote!(()));
    }

    #[test]
    fn each_bad_signature_is_one_error_that_says_what_to_write() {
        let cases: [(ImplItemFn, &str); 15] = [
            (parse_quote! { async fn a(&mut self, ctx: &mut RingContext, msg: M) {} }, "remove `async`"),
            (
                parse_quote! { fn a<T>(&mut self, ctx: &mut RingContext, msg: M) {} },
                "one for each message type",
            ),
            (parse_quote! { fn a(self, ctx: &mut RingContext, msg: M) {} }, "`&mut self`"),
            (parse_quote! { fn a(ctx: &mut RingContext, msg: M) {} }, "state first"),
            (parse_quote! { fn a() {} }, "state first"),
            (parse_quote! { fn a(&mut self) {} }, "a context and a message"),
            (parse_quote! { fn a(&mut self, msg: M) {} }, "before the message"),
            (parse_quote! { fn a(&mut self, ctx: &mut RingContext) {} }, "one message after"),
            (parse_quote! { fn a(&mut self, msg: M, ctx: &mut RingContext) {} }, "second parameter"),
            (parse_quote! { fn a(&mut self, ctx: &mut RingContext, a: M, b: M) {} }, "into one struct"),
            (parse_quote! { fn a(&mut self, ctx: &mut RingContext, a: &M) {} }, "by value"),
            (parse_quote! { fn a(&mut self, ctx: &mut RingContext, a: M) -> usize {} }, "`u32` or `u64`"),
            (
                parse_quote! { fn a(&mut self, ctx: &mut RingContext, a: M) -> Option<u32> {} },
                "cannot be `Option` yet",
            ),
            (parse_quote! { fn a(&mut self, ctx: &mut RingContext, a: (u32, u32)) {} }, "wrap `(u32, u32)`"),
            (parse_quote! { fn tell(&mut self, ctx: &mut RingContext, a: M) {} }, "another name"),
        ];
        for (method, part) in cases {
            let found = handler(method);
            assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:#?}");
        }
    }

    #[test]
    fn an_impl_that_cannot_be_an_actor_is_refused() {
        let found = errors(parse_quote! { impl Account { fn a(&self) {} } });
        assert!(found.len() == 1 && found[0].contains("handles no message"), "{found:#?}");
        let found = errors(parse_quote! {
            #[cfg(unix)]
            impl Account { #[handler] fn a(&self, ctx: &mut RingContext, msg: M) {} }
        });
        assert!(found.len() == 1 && found[0].contains("above `#[ring_kernel]`"), "{found:#?}");
        let found = errors(parse_quote! {
            impl Account {
                #[handler] fn a(&mut self, ctx: &mut RingContext, msg: M) {}
                #[handler] fn b(&mut self, ctx: &mut RingContext, msg: M) {}
            }
        });
        assert!(found.len() == 1 && found[0].contains("`a` and `b` both handle `M`"), "{found:#?}");
    }
}
