//! Shared pieces of the test suites.
//!
//! Reading order: [`suite`] is how a conformance suite is written down and run, and calls everything else. [`inputs`] makes
//! the messages (edge values always, random ones from proptest), [`oracle`] answers them natively, [`compare`] says whether
//! a device's answer is the same, with the accuracies WGSL grants in [`wgsl`]. [`machine`] finds out what this machine has
//! (backends, ptxas), and turns what it lacks into tests reported as ignored, or failed where
//! `RINGKERNEL_REQUIRE` names it.

pub mod carried;
pub mod compare;
pub mod inputs;
pub mod machine;
pub mod oracle;
pub mod suite;
pub mod wgsl;
