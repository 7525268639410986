//! The RingKernel compiler.

// Entry points are added by `collect` and `expand`; until every stage is joined, parts are unused.
#![allow(dead_code)]
// A proc-macro crate exports only macros; `pub` here marks what a module offers to the others.
#![allow(unreachable_pub)]

extern crate proc_macro;

mod collect;
mod diag;
mod emit;
mod ir;
mod ir_visit;
mod layout;
mod location;
mod program;
