//! The front end: what the carriers collected ([`Program`]) to what the emitters print ([`ir::Kernel`]).
//!
//! [`parse`] turns `syn` items into the surface language and reports everything that devices cannot run; [`typed`] resolves names and
//! infers types; [`lower`] inlines, inserts the checks and writes IR. Each stage runs only if the one before found nothing, and each reports
//! everything it finds. [`methods`] is the table of what numbers can do, shared by the last two.
//!
//! [`compile`] is the place to start.

mod lower;
mod methods;
mod parse;
#[cfg(test)]
mod tests;
mod typed;
mod types;

use crate::diag::Diagnostic;
use crate::ir::Kernel;
use crate::program::{Program, TypeRole};
pub(crate) use parse::NAMES_SOMEONE;
use proc_macro2::Span;
pub(crate) use typed::context::not_a_literal;
use typed::env::Env;
pub(crate) use types::{HLC, SENT};

/// How to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether arithmetic that leaves its type is a fault (the debug profile), or wraps.
    pub(crate) checked: bool,
    /// Whether the device's `usize` is 32 bits wide.
    pub(crate) usize_is_32: bool,
}

/// Bytes of the root of each handler's archive, for those that take one.
pub(crate) fn root_sizes(program: &Program) -> Vec<Option<u32>> {
    let mut env = Env::new(program);
    (0..program.handlers.len()).map(|handler| lower::root_size(&mut env, handler)).collect()
}

/// Compiles an actor's handlers.
pub(crate) fn compile(program: &Program, options: Options) -> Result<Kernel, Vec<Diagnostic>> {
    let mut env = Env::new(program);
    if !env.diagnostics.is_empty() {
        return Err(env.diagnostics);
    }
    env.check_all();
    if !env.diagnostics.is_empty() {
        return Err(unique(env.diagnostics));
    }
    let Some(actor) = program.types.get(&program.actor) else {
        return Err(vec![Diagnostic::new(Span::call_site(), "the actor's struct was not found")]);
    };
    let id = match &actor.role {
        TypeRole::Actor { id } => id.clone(),
        _ => actor.name.to_string(),
    };
    let state = lower::state_layout(&mut env);
    let mut mistakes = std::mem::take(&mut env.diagnostics);
    let mut sites = lower::Sites::default();
    let mut handlers = Vec::new();
    for index in 0..program.handlers.len() {
        match lower::handler(&mut env, &mut sites, options, index) {
            Ok(handler) => handlers.push(handler),
            Err(found) => mistakes.extend(found),
        }
    }
    match state {
        Some(state) if mistakes.is_empty() => {
            let (actor, mesh) = (actor.name.to_string(), std::mem::take(&mut env.mesh));
            Ok(Kernel { actor, id, state, handlers, sites: sites.into_vec(), mesh })
        }
        _ => Err(unique(mistakes)),
    }
}

/// The same mistake in a helper is found once for each handler that inlines it.
fn unique(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut kept: Vec<Diagnostic> = Vec::new();
    for diagnostic in diagnostics {
        let same = |d: &Diagnostic| {
            d.message == diagnostic.message && format!("{:?}", d.span) == format!("{:?}", diagnostic.span)
        };
        if !kept.iter().any(same) {
            kept.push(diagnostic);
        }
    }
    kept
}
