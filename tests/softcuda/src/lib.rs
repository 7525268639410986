//! A CUDA device in software, for tests on machines without a GPU.
//!
//! What the compiler emits and what the CUDA backend makes of it is PTX; where there is no GPU, ptxas can say that it is legal, and nobody that it
//! is right. This crate runs it. [`ptx`] reads the text, [`machine`] executes it: warps whose lanes diverge freely, in schedules
//! that a seed chooses, on the memory of this very process, with real atomics. It models what PTX promises, and some of
//! what it does not promise (stores that nothing orders are seen late, weak loads may be old); of any chip it models nothing, timing least of all.
//!
//! Start with [`machine`].

pub mod driver;
pub mod machine;
pub mod ptx;
