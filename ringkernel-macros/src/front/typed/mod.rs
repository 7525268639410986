//! [`ast`](super::parse::ast) → [`tree`]: names resolved, every type known.
//!
//! Inference is unification with variables for literals, and Rust's defaults; expected types flow down, as in rustc, and a method's
//! receiver must be known when the method is. rustc checks the same code, so a mistake in types is reported as `deferred`.
//!
//! Start at [`env::Env`] (what a body can name), then [`check`] (expressions), `pat`, `calls`, `context`, `names`.

mod archived;
mod calls;
mod check;
pub(crate) mod context;
pub(crate) mod env;
pub(crate) mod infer;
mod names;
mod pat;
mod stmt;
pub(crate) mod tree;
mod visit;
