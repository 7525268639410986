//! Conformance: what a handler computes is what Rust computes, on every backend.
//!
//! Tests are named `conformance::<actor>::<backend>`, and `conformance::<actor>::device_code` assembles the actor's PTX with the real
//! ptxas and validates its WGSL with naga. What the machine lacks is ignored by name (see `ringkernel_tests::machine`).
//!
//! - `RINGKERNEL_CASES`: random messages a handler, besides all edge values (64).
//! - `RINGKERNEL_SEED`: of the random messages; a failure prints the one it had.
//! - `RINGKERNEL_REQUIRE`: a comma list of `wgpu`, `cuda`, `ptxas` whose absence is a failure.
//!
//! The actors are in `actors/`; how they are asked and compared is `ringkernel_tests::suite`.

#![allow(missing_docs, unreachable_pub)]

mod actors;

use ringkernel_tests::machine::{BACKENDS, Collection, assemble, backend_name, validate_wgsl};
use ringkernel_tests::suite::Conformance;
use std::process::ExitCode;
use std::sync::Mutex;

/// One runtime of a backend serves all suites, and one suite at a time uses it: a failure is its own.
static IN_USE: [Mutex<()>; BACKENDS.len()] = [const { Mutex::new(()) }; BACKENDS.len()];

fn suites() -> Vec<Box<dyn Conformance>> {
    use actors::*;
    let mut all = vec![
        integers::integers_i8::suite(),
        integers::integers_i16::suite(),
        integers::integers_i32::suite(),
        integers::integers_i64::suite(),
        integers::integers_u8::suite(),
        integers::integers_u16::suite(),
        integers::integers_u32::suite(),
        integers::integers_u64::suite(),
        arithmetic::suite(),
        logic::suite(),
        branches::suite(),
        matches::suite(),
        loops::suite(),
        arrays::suite(),
        aggregates::suite(),
        functions::suite(),
        panics::suite(),
        patterns::suite(),
    ];
    all.extend(checked::suites());
    all.extend(casts::suites());
    all.extend(numbers::suites());
    all.extend(floats::suites());
    all.extend(state::suites());
    all.extend(sizes::suites());
    all.extend(scalars::suites());
    all
}

fn suite(name: &str) -> Result<Box<dyn Conformance>, String> {
    suites().into_iter().find(|suite| suite.name() == name).ok_or_else(|| format!("no suite {name}"))
}

fn main() -> ExitCode {
    let mut tests = Collection::default();
    for suite_name in suites().iter().map(|suite| suite.name()) {
        for (i, backend) in BACKENDS.into_iter().enumerate() {
            let name = format!("conformance::{suite_name}::{}", backend_name(backend));
            tests.add(name, move |machine| {
                let runtime = machine.runtime(backend)?;
                let _turn = IN_USE[i].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                suite(suite_name)?.run(&runtime)
            });
        }
        tests.add(format!("conformance::{suite_name}::device_code_validates"), move |_| {
            validate_wgsl(suite(suite_name)?.descriptor().wgsl)
        });
        tests.add(format!("conformance::{suite_name}::device_code_assembles"), move |machine| {
            let ptxas = machine.ptxas()?;
            let descriptor = suite(suite_name)?.descriptor();
            for arch in ["sm_75", "sm_80", "sm_90"] {
                assemble(&ptxas, descriptor.id, descriptor.ptx, arch)?;
            }
            // As it is loaded: pasted into the resident loop.
            let joined = ringkernel_backends::cuda::module_text(descriptor, 90);
            assemble(&ptxas, &format!("{}-joined", descriptor.id), &joined, "sm_90")?;
            Ok(())
        });
    }
    tests.add("conformance::covers_the_language_with_at_least_60_handlers".into(), |_| {
        let handlers: usize = suites().iter().map(|suite| suite.descriptor().handlers.len()).sum();
        if handlers < 60 { Err(format!("{handlers} handlers").into()) } else { Ok(()) }
    });
    tests.run()
}
