//! The end of an impl's chain of carriers: everything its handlers name has been collected, and is compiled.
//!
//! Twice for each device language, because what faults follows the build profile: once with Rust's overflow checks, once without. Where
//! that makes no difference one text is emitted.

use super::valid::Handler;
use super::{at, mesh, report, valid};
use crate::collect::carrier::Collected;
use crate::collect::paths::path_key;
use crate::collect::program::Definitions;
use crate::diag::Diagnostic;
use crate::emit;
use crate::front;
use crate::ir::{Kernel, Site, SiteId, Stmt};
use crate::ir_visit;
use crate::location::{self, Location};
use crate::passes;
use crate::program::{Program, TypeRole};
use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{ItemImpl, LitStr, Path, Type, bracketed};

/// The start of the chain: how the paths that were asked are spelled (the actor's first), and the impl.
pub struct KernelState {
    keys: Vec<String>,
    item: ItemImpl,
}

impl Parse for KernelState {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let list;
        bracketed!(list in input);
        let mut keys = Vec::new();
        while !list.is_empty() {
            keys.push(list.parse::<LitStr>()?.value());
        }
        Ok(Self { keys, item: input.parse()? })
    }
}

/// The end of the chain.
pub fn build(collected: Collected<KernelState>) -> TokenStream {
    let Collected { state: KernelState { keys, item }, payloads } = collected;
    // What is wrong with the impl was reported when the chain began; it would not have begun.
    let (actor, _) = valid::read(item);
    let program = match program(&actor, keys, payloads) {
        Ok(program) => program,
        Err(errors) => return failed(&actor.path, &errors),
    };
    let native = match native_only(&actor, &program) {
        Ok(native) => native,
        Err(errors) => return failed(&actor.path, &errors),
    };
    if let Native::Only(reason) = &native {
        return without_device_code(&actor, &program, reason);
    }
    match compile(&program) {
        Ok(code) => {
            let mut tokens = constants(&actor.path, &code);
            tokens.extend(agreement(&actor, &code.checked.kernel));
            tokens.extend(archives_agree(&actor, &front::root_sizes(&program)));
            tokens.extend(mesh::forwards(&actor, &code.checked.kernel.mesh));
            tokens
        }
        // What reads messages of variable size may do more than devices know; it runs on the CPU then.
        Err(errors) if native == Native::Able => {
            let reason = errors.first().map_or_else(String::new, |error| {
                let Location { file, line, .. } = location::of(error.span);
                format!("{file}:{line}: {}", error.message)
            });
            without_device_code(&actor, &program, &reason)
        }
        Err(errors) => failed(&actor.path, &errors),
    }
}

fn failed(path: &Path, errors: &[Diagnostic]) -> TokenStream {
    let mut tokens = report(errors);
    tokens.extend(nothing(path));
    tokens
}

/// Where an actor can run that handles messages of variable size.
#[derive(PartialEq)]
enum Native {
    /// It handles none.
    No,
    /// Wherever its handlers compile.
    Able,
    /// On the CPU, for this reason.
    Only(String),
}

fn native_only(actor: &valid::ActorImpl, program: &Program) -> Result<Native, Vec<Diagnostic>> {
    let is_variable = |ty: &Type| {
        let Type::Path(path) = ty else { return false };
        let def = program.uses.get(&path_key(&path.path)).and_then(|id| program.types.get(id));
        def.is_some_and(|def| matches!(def.role, TypeRole::Variable { .. }))
    };
    let (mut errors, mut native) = (Vec::new(), Native::No);
    for Handler { item, message, in_place, reply } in &actor.handlers {
        let name = &item.sig.ident;
        if !in_place && is_variable(message) {
            let message_name = message.to_token_stream().to_string().replace(' ', "");
            errors.push(Diagnostic::new(
                at(message),
                format!("`{message_name}` is of variable size and is read where it lies: take `&Archived<{message_name}>`"),
            ));
        }
        if is_variable(reply) {
            native = Native::Only(format!("its handler `{name}` answers with a message of variable size"));
        } else if *in_place && native == Native::No {
            native = Native::Able;
        }
    }
    let mut named: Vec<_> = program.uses.iter().collect();
    named.sort();
    for (name, id) in named {
        let variable = program.types.get(id).is_some_and(|def| matches!(def.role, TypeRole::Variable { .. }));
        if variable && native == Native::No {
            native = Native::Only(format!("it has to do with `{name}`, a message of variable size"));
        }
    }
    if errors.is_empty() { Ok(native) } else { Err(errors) }
}

/// The constants of an actor that runs on the CPU only.
fn without_device_code(actor: &valid::ActorImpl, program: &Program, reason: &str) -> TokenStream {
    let path = &actor.path;
    let mesh = match mesh::spoken(actor, program) {
        Ok(mesh) => mesh,
        Err(errors) => return failed(path, &errors),
    };
    quote! {
        #[allow(dead_code, unreachable_pub)]
        impl #path {
            /// No code for CUDA: this actor runs on the CPU only.
            pub const PTX: &'static ::core::primitive::str = "";
            /// No code for WebGPU: this actor runs on the CPU only.
            pub const WGSL: &'static ::core::primitive::str = "";
            #[doc(hidden)]
            pub const __DEVICE_CODE: ::ringkernel::__private::DeviceCode = ::ringkernel::__private::DeviceCode {
                ptx: Self::PTX,
                wgsl: Self::WGSL,
                wgsl_needs: ::ringkernel::__private::Needs { int64: false, float64: false },
                native_only: ::core::option::Option::Some(#reason),
                mesh: #mesh,
                sites: &[],
            };
        }
    }
}

/// The constants of an actor that did not compile.
pub fn nothing(path: &Path) -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[allow(dead_code, missing_docs, unreachable_pub)]
        impl #path {
            pub const PTX: &'static ::core::primitive::str = "";
            pub const WGSL: &'static ::core::primitive::str = "";
        }
    }
}

fn program(
    actor: &valid::ActorImpl,
    keys: Vec<String>,
    payloads: Vec<crate::collect::payload::Payload>,
) -> Result<Program, Vec<Diagnostic>> {
    let Some(id) = payloads.first().map(|payload| payload.root().id()) else {
        return Err(vec![Diagnostic::new(
            at(&actor.path),
            "the chain of carriers ended without the actor's own",
        )]);
    };
    let Definitions { types, fns, consts, mut uses } = Definitions::gather(keys, payloads)?;
    if !types.get(&id).is_some_and(|def| matches!(def.role, TypeRole::Actor { .. })) {
        return Err(vec![Diagnostic::deferred(
            at(&actor.path),
            "this struct is not a kernel's state: put `#[ring_kernel(id = \"…\")]` on it",
        )]);
    }
    uses.insert(actor.name().to_string(), id);
    let handlers = actor.handlers.iter().map(|handler| handler.item.clone()).collect();
    let (methods, impl_consts) = (actor.methods.clone(), actor.consts.clone());
    Ok(Program { actor: id, types, fns, consts, handlers, methods, impl_consts, uses })
}

/// One build profile's code.
struct Variant {
    kernel: Kernel,
    ptx: String,
    wgsl: emit::wgsl::Wgsl,
    sites: Vec<Site>,
}

struct Code {
    checked: Variant,
    wrapping: Variant,
}

fn compile(program: &Program) -> Result<Code, Vec<Diagnostic>> {
    Ok(Code { checked: variant(program, true)?, wrapping: variant(program, false)? })
}

fn variant(program: &Program, checked: bool) -> Result<Variant, Vec<Diagnostic>> {
    let mut kernel = front::compile(program, front::Options { checked, usize_is_32: false })?;
    same_tags(program, &kernel)?;
    let mut narrow = front::compile(program, front::Options { checked, usize_is_32: true })?;
    passes::run(&mut kernel);
    passes::run(&mut narrow);
    let sites = share_sites(&mut kernel, &mut narrow);
    let (ptx, wgsl) = (emit::ptx::emit(&kernel), emit::wgsl::emit(&narrow));
    Ok(Variant { kernel, ptx, wgsl, sites })
}

/// One table of sites for both kernels: a descriptor has one, whatever device faults.
fn share_sites(first: &mut Kernel, second: &mut Kernel) -> Vec<Site> {
    let mut sites = first.sites.clone();
    let moved: Vec<SiteId> = second
        .sites
        .iter()
        .map(|site| {
            let at = sites.iter().position(|other| other == site).unwrap_or_else(|| {
                sites.push(site.clone());
                sites.len() - 1
            });
            SiteId(at as u32)
        })
        .collect();
    for handler in &mut second.handlers {
        move_sites(&mut handler.body.code, &moved);
    }
    first.sites.clone_from(&sites);
    second.sites.clone_from(&sites);
    sites
}

fn move_sites(code: &mut [Stmt], moved: &[SiteId]) {
    for statement in code {
        if let Stmt::Check { site, .. } | Stmt::Fault { site, .. } = statement {
            // What stands nowhere stays there.
            *site = moved.get(site.0 as usize).copied().unwrap_or(*site);
        }
        for block in ir_visit::blocks_mut(statement) {
            move_sites(block, moved);
        }
    }
}

/// Two message types of one name and one shape (from different modules) could not be told apart on the wire.
fn same_tags(program: &Program, kernel: &Kernel) -> Result<(), Vec<Diagnostic>> {
    let mut errors = Vec::new();
    for (i, handler) in kernel.handlers.iter().enumerate() {
        if let Some(first) = kernel.handlers[..i].iter().find(|other| other.tag == handler.tag) {
            let span =
                program.handlers.get(i).map_or_else(proc_macro2::Span::call_site, |item| at(&item.sig.ident));
            errors.push(Diagnostic::new(
                span,
                format!(
                    "the messages of `{}` and `{}` are both called `{}` and have the same fields, so a device could not tell them \
                     apart: rename one",
                    first.name, handler.name, handler.message
                ),
            ));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// `PTX`, `WGSL`, and what the descriptor takes.
fn constants(path: &Path, code: &Code) -> TokenStream {
    let Code { checked, wrapping } = code;
    let ptx = by_profile(text_literal(&checked.ptx), text_literal(&wrapping.ptx));
    let wgsl = by_profile(text_literal(&checked.wgsl.text), text_literal(&wrapping.wgsl.text));
    let sites = by_profile(site_table(&checked.sites), site_table(&wrapping.sites));
    let mesh = by_profile(mesh::tokens(&checked.kernel.mesh), mesh::tokens(&wrapping.kernel.mesh));
    let needs = by_profile(wgsl_needs(&checked.wgsl), wgsl_needs(&wrapping.wgsl));
    quote! {
        #[allow(dead_code, unreachable_pub)]
        impl #path {
            /// The handlers as PTX, for CUDA: with overflow checks in a build that has them.
            pub const PTX: &'static ::core::primitive::str = #ptx;
            /// The handlers as WGSL, for WebGPU: with overflow checks in a build that has them.
            pub const WGSL: &'static ::core::primitive::str = #wgsl;
            #[doc(hidden)]
            pub const __DEVICE_CODE: ::ringkernel::__private::DeviceCode = ::ringkernel::__private::DeviceCode {
                ptx: Self::PTX,
                wgsl: Self::WGSL,
                wgsl_needs: #needs,
                native_only: ::core::option::Option::None,
                sites: #sites,
                mesh: #mesh,
            };
        }
    }
}

fn by_profile(checked: TokenStream, wrapping: TokenStream) -> TokenStream {
    if checked.to_string() == wrapping.to_string() {
        return checked;
    }
    quote! { if ::core::cfg!(debug_assertions) { #checked } else { #wrapping } }
}

/// A text as a raw string literal, which `cargo expand` shows line by line.
fn text_literal(text: &str) -> TokenStream {
    let mut fence = String::new();
    while text.contains(&format!("\"{fence}")) {
        fence.push('#');
    }
    // What no raw literal can hold (a carriage return) is escaped instead.
    format!("r{fence}\"{text}\"{fence}").parse().unwrap_or_else(|_| Literal::string(text).to_token_stream())
}

fn site_table(sites: &[Site]) -> TokenStream {
    let sites = sites.iter().map(|Site { file, line, column, message }| {
        let (line, column) = (Literal::u32_unsuffixed(*line), Literal::u32_unsuffixed(*column));
        quote! {
            ::ringkernel::__private::Site { file: #file, line: #line, column: #column, message: #message }
        }
    });
    quote! { &[#(#sites),*] }
}

fn wgsl_needs(wgsl: &emit::wgsl::Wgsl) -> TokenStream {
    let (int64, float64) = (wgsl.int64, wgsl.float64);
    quote! { ::ringkernel::__private::Needs { int64: #int64, float64: #float64 } }
}

/// The device code was made from tokens; rustc compiles types. These assertions hold them together.
fn agreement(actor: &valid::ActorImpl, kernel: &Kernel) -> TokenStream {
    let path = &actor.path;
    let (size, align) = (kernel.state.size, kernel.state.align);
    let state = quote_spanned! { at(path) =>
        assert!(
            <#path as ::ringkernel::__private::DeviceType>::SIZE == #size
                && <#path as ::ringkernel::__private::DeviceType>::ALIGN == #align,
            "the state on devices differs from the struct: a field's type, or a constant in it, is not what its name says"
        );
    };
    let messages = actor.handlers.iter().zip(&kernel.handlers).flat_map(|(handler, compiled)| {
        [
            (&handler.message, compiled.tag, compiled.message_layout),
            (&handler.reply, compiled.reply_tag, compiled.reply_layout),
        ]
        .map(|(ty, tag, layout)| {
            let (size, tag) = (layout.size, Literal::u32_unsuffixed(tag));
            quote_spanned! { at(ty) =>
                assert!(
                    <#ty as ::ringkernel::__private::RingMessage>::TAG == #tag
                        && <#ty as ::ringkernel::__private::DeviceType>::SIZE == #size,
                    "this type on devices differs from the one on the host: it is not what its name says"
                );
            }
        })
    });
    quote! {
        const _: () = {
            #state
            #(#messages)*
        };
    }
}

/// The same of the roots of archives. What they hold lies where C would put it; `ringkernel::payload` asserts that of what rkyv brings.
fn archives_agree(actor: &valid::ActorImpl, sizes: &[Option<u32>]) -> TokenStream {
    let checks = actor.handlers.iter().zip(sizes).filter_map(|(handler, size)| {
        let (message, size) = (&handler.message, Literal::u32_unsuffixed((*size)?));
        Some(quote_spanned! { at(message) =>
            const _: () = assert!(
                ::core::mem::size_of::<::ringkernel::__private::Archived<#message>>() == #size,
                "this message's archive on devices differs from the one on the host: a field's type is not what its name says"
            );
        })
    });
    checks.collect()
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
