//! Carriers: how the tokens of one definition reach the macro that needs them.
//!
//! A procedural macro sees the tokens it is given and nothing else: not the fields of a struct defined elsewhere, not the body of a
//! function it calls. So each of our attributes and derives also emits a *carrier*, a `macro_rules!` that holds the definition's
//! tokens and is re-exported under the definition's own name (the macro namespace is free for it). `use m::Deposit` then imports
//! the type and its tokens both.
//!
//! A carrier takes a list of who is still to be asked and what has been collected, adds its tokens, and calls the next:
//!
//! ```text
//! Deposit! { [ { m::Balance } { ::ringkernel::__private::build } ] { … } }
//!   → m::Balance! { [ { ::ringkernel::__private::build } ] { … } { Deposit's tokens } }
//!   → ::ringkernel::__private::build! { [] { … } { Deposit's tokens } { Balance's tokens } }
//! ```
//!
//! One expansion a definition; rustc's default recursion limit (128) allows some 120 in a chain. A path can be resolved only where it was
//! written, so a carrier brings along everything its definition names: a definition that names others first runs such a chain itself,
//! ending in [`carrier::carry`], and a payload is a flat list of definitions, each saying which paths lead to which.
//!
//! - [`fields`]: a struct as the derives see it, and what is wrong with it.
//! - [`variable`]: the same of a struct whose values have no one size.
//! - [`paths`]: which other definitions some tokens need.
//! - [`payload`]: definitions as tokens, and back.
//! - [`carrier`]: the `macro_rules!`, directly or through a chain.
//! - [`definition`]: what a definition is apart from where it stands: the text that tags are made of.
//! - [`program`]: from the payloads at the end of a chain to [`crate::program::Program`].

pub mod carrier;
pub mod definition;
pub mod fields;
pub mod paths;
pub mod payload;
pub mod program;
pub mod variable;
