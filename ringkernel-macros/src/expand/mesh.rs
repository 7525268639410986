//! Whom an actor talks to, as its descriptor says it.
//!
//! Where there is device code the compiler knows it exactly, and routes and topics stand in the order that the code counts them by. An actor
//! that runs on the CPU only is not compiled by us; whom it names is read off its tokens ([`spoken`]).

use super::at;
use super::valid::{self, ActorImpl};
use crate::collect::paths::{MacroPart, for_macro_parts};
use crate::diag::Diagnostic;
use crate::front::NAMES_SOMEONE;
use crate::ir::{Mesh, Parcel, Route, Scalar};
use crate::program::Program;
use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, FnArg, GenericArgument, Lit, Pat, Signature, Type};

/// Whom the handlers talk to. A kernel's id comes from its type, where that is how the handler names it.
pub fn tokens(mesh: &Mesh) -> TokenStream {
    let parcels = |parcels: &[Parcel]| {
        let parcels = parcels.iter().map(|Parcel { name, tag, size }| {
            let (tag, size) = (Literal::u32_unsuffixed(*tag), Literal::u32_unsuffixed(*size));
            quote! { ::ringkernel::__private::MessageInfo::fixed(#name, #tag, #size) }
        });
        quote! { &[#(#parcels),*] }
    };
    whole(&mesh.routes, &mesh.topics, &parcels(&mesh.outgoing), &parcels(&mesh.receives))
}

fn whole(routes: &[Route], topics: &[String], outgoing: &TokenStream, receives: &TokenStream) -> TokenStream {
    let routes = routes.iter().map(|Route { name, path }| match path {
        Some(path) => quote! { ::ringkernel::__private::RouteInfo { id: <#path>::ID } },
        None => quote! { ::ringkernel::__private::RouteInfo { id: #name } },
    });
    let topics = topics.iter().map(|name| quote! { ::ringkernel::__private::TopicInfo { name: #name } });
    quote! {{
        #[allow(unused_imports)]
        use ::ringkernel::__private::NoActor as _;
        ::ringkernel::__private::Mesh {
            routes: &[#(#routes),*],
            topics: &[#(#topics),*],
            outgoing: #outgoing,
            receives: #receives,
        }
    }}
}

/// A handler that forwards lets the receiver answer, so both must answer alike.
pub fn forwards(actor: &ActorImpl, mesh: &Mesh) -> TokenStream {
    let checks = mesh.forwards.iter().map(|forwards| {
        let name = forwards.path.to_string().replace(' ', "");
        let own = forwards.path.to_string() == "Self";
        let path = if own { actor.path.to_token_stream() } else { forwards.path.clone() };
        let ((message, tag), (reply, reply_tag)) = (&forwards.message, &forwards.reply);
        let text = format!(
            "`{name}` answers `{message}` with another type than `{reply}`, which is what this handler answers: the receiver of a \
             forwarded message answers in the handler's place"
        );
        quote_spanned! { at(&forwards.path) =>
            assert!(::ringkernel::__private::Forwarding::<#path, #tag, #reply_tag>::ANSWERS_ALIKE, #text);
        }
    });
    quote! {
        const _: () = {
            #[allow(unused_imports)]
            use ::ringkernel::__private::NoForwarding as _;
            #(#checks)*
        };
    }
}

/// Whom the handlers of an actor without device code talk to. What they send is not known: any message that the impl names, and any
/// scalar.
pub fn spoken(actor: &ActorImpl, program: &Program) -> Result<TokenStream, Vec<Diagnostic>> {
    let mut found = Spoken {
        program,
        context: None,
        mesh: Mesh::default(),
        receives: Vec::new(),
        talks: false,
        errors: Vec::new(),
    };
    let own = actor.handlers.iter().map(|handler| &handler.item).chain(&actor.methods);
    let own = own.map(|method| (&method.sig, &method.block));
    for (signature, block) in own.chain(program.fns.values().map(|item| (&item.item.sig, &*item.item.block)))
    {
        found.context = context_name(signature);
        found.visit_block(block);
    }
    let Spoken { mesh, receives, talks, errors, .. } = found;
    if !errors.is_empty() {
        return Err(errors);
    }
    let info = |ty: &dyn ToTokens| quote! { ::ringkernel::__private::message_info::<#ty>() };
    let mut outgoing = Vec::new();
    if talks {
        use Scalar::*;
        for scalar in [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64] {
            let name = quote::format_ident!("{}", scalar.name());
            outgoing.push(info(&quote!(::core::primitive::#name)));
        }
        outgoing.push(info(&quote!(::ringkernel::__private::HlcTimestamp)));
        outgoing.push(info(&quote!(())));
        outgoing.extend(valid::named_messages(actor, program).iter().map(|path| info(path)));
    }
    let receives = receives.iter().map(|ty| info(ty));
    Ok(whole(&mesh.routes, &mesh.topics, &quote! { &[#(#outgoing),*] }, &quote! { &[#(#receives),*] }))
}

/// What the function calls its context.
fn context_name(signature: &Signature) -> Option<String> {
    signature.inputs.iter().find_map(|input| match input {
        FnArg::Typed(param) if param.ty.to_token_stream().to_string().contains("RingContext") => {
            match &*param.pat {
                Pat::Ident(name) => Some(name.ident.to_string()),
                _ => None,
            }
        }
        _ => None,
    })
}

/// What is said to a context, so far.
struct Spoken<'a> {
    program: &'a Program,
    context: Option<String>,
    mesh: Mesh,
    receives: Vec<Type>,
    talks: bool,
    errors: Vec<Diagnostic>,
}

impl Spoken<'_> {
    fn call(&mut self, call: &ExprMethodCall) {
        let method = call.method.to_string();
        let generic = call.turbofish.as_ref().and_then(|turbofish| match turbofish.args.first() {
            Some(GenericArgument::Type(ty)) => Some(ty),
            _ => None,
        });
        match (method.as_str(), generic) {
            ("send" | "forward", Some(ty)) => {
                self.talks = true;
                self.actor(ty);
            }
            ("reply" | "enqueue_output", None) => self.talks = true,
            (named, generic) if NAMES_SOMEONE.contains(&named) => {
                let is_topic = named.starts_with("publish");
                let Some(name) = call.args.first().and_then(|name| self.literal(name, is_topic)) else {
                    return;
                };
                if is_topic {
                    add(&mut self.mesh.topics, name, |a, b| a == b);
                } else {
                    self.route(name, None);
                }
                match generic {
                    Some(ty) => add(&mut self.receives, ty.clone(), |a, b| a == b),
                    None => self.talks = true,
                }
            }
            _ => {}
        }
    }

    fn actor(&mut self, ty: &Type) {
        let text = ty.to_token_stream().to_string().replace(' ', "");
        match self.program.own_id(&text) {
            Some(id) => self.route(id, None),
            None => self.route(text, Some(ty.to_token_stream())),
        }
    }

    fn route(&mut self, name: String, path: Option<TokenStream>) {
        let same = |a: &Route, b: &Route| a.name == b.name && a.path.is_some() == b.path.is_some();
        add(&mut self.mesh.routes, Route { name, path }, same);
    }

    fn literal(&mut self, expr: &Expr, is_topic: bool) -> Option<String> {
        if let Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) = expr {
            return Some(text.value());
        }
        self.errors.push(Diagnostic::new(expr.span(), crate::front::not_a_literal(is_topic)));
        None
    }
}

fn add<T>(list: &mut Vec<T>, item: T, same: impl Fn(&T, &T) -> bool) {
    if !list.iter().any(|other| same(other, &item)) {
        list.push(item);
    }
}

impl<'ast> Visit<'ast> for Spoken<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let Expr::Path(receiver) = &*call.receiver
            && receiver.path.get_ident().map(ToString::to_string) == self.context
            && self.context.is_some()
        {
            self.call(call);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        for_macro_parts(mac, |part| match part {
            MacroPart::Expr(expr) => Visit::visit_expr(self, &expr),
            MacroPart::Pat(_) => {}
        });
    }
}
