//! The mistakes a newcomer makes, each with the words rustc prints: one error, on the right tokens, that says what to do.
//!
//! The `.stderr` files are those of the pinned toolchain; `TRYBUILD=overwrite cargo test -p ringkernel-tests --test ui` rewrites them, to be
//! reviewed like code.

#[test]
fn every_mistake_is_one_error_that_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
