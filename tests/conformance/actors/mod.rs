//! The actors the suite runs, by theme. Together their handlers are the list of what a handler may be written with.
//!
//! Each file holds plain actors first, as a user would write them, and a `suite()` at its end that says what they are asked.

// Every form of the language is here, also those that clippy would write in another way.
#![allow(clippy::all)]

pub mod aggregates;
pub mod arithmetic;
pub mod arrays;
pub mod branches;
pub mod casts;
pub mod checked;
pub mod floats;
pub mod functions;
pub mod integers;
pub mod logic;
pub mod loops;
pub mod matches;
pub mod numbers;
pub mod panics;
pub mod patterns;
pub mod scalars;
pub mod sizes;
pub mod state;
