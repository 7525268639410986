//! The RingKernel compiler.

// Entry points are added by `collect` and `expand`; until every stage is joined, parts are unused.
#![allow(dead_code)]

mod diag;
mod emit;
mod ir;
mod program;
