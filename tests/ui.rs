//! The mistakes a newcomer makes, each with the words rustc prints: one error, on the right tokens, that says what to do.
//!
//! Other versions of rustc word theirs differently, so the comparison is made with the one that wrote the `.stderr` files, and reported as
//! skipped elsewhere (with `ui` in `RINGKERNEL_REQUIRE`, as failed). `TRYBUILD=overwrite cargo test -p ringkernel-tests --test ui` rewrites
//! them, to be reviewed like code.

use std::process::Command;

/// The compiler whose words stand in the `.stderr` files.
const WRITTEN_WITH: &str = "rustc 1.95.";

#[test]
fn every_mistake_is_one_error_that_says_what_to_do() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = match Command::new(&rustc).arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => format!("no {rustc}: {error}"),
    };
    if !version.starts_with(WRITTEN_WITH) {
        let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "ui"), "ui needs {WRITTEN_WITH}x, this is {version}");
        eprintln!("skipped: ui (the words are those of {WRITTEN_WITH}x, this is {version})");
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
