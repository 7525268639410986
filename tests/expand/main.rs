//! What the macros expand to, in every situation a definition can stand in.

#![deny(warnings, missing_docs, unreachable_pub)]

mod actors;
mod carriers;
mod mesh;
mod wire;
