//! Golden device code: what the compiler prints for a dozen small actors, committed as `<id>.ptx` and `<id>.wgsl` here.
//!
//! The committed text is the *checked* variant, the one a debug build takes (`cfg!(debug_assertions)`): it has every check, so it
//! shows more. A release build of this test skips the comparison, by name, and still assembles and validates its own variant.
//!
//! After a change to the compiler, `RINGKERNEL_BLESS=1 cargo test -p ringkernel-tests --test golden` rewrites the files; read the
//! difference before committing it.

#![allow(missing_docs, unreachable_pub)]

mod actors;

use actors::*;
use ringkernel::Actor;
use ringkernel_backends::cuda::module_text;
use ringkernel_tests::machine::{Collection, Stop, assemble, validate_wgsl};
use std::path::Path;
use std::process::ExitCode;

/// Architectures: the oldest that current toolkits still assemble for, and the two data-centre generations after it.
const ARCHITECTURES: [&str; 3] = ["sm_75", "sm_80", "sm_90"];

fn main() -> ExitCode {
    let actors = [
        (account::Account::ID, account::Account::PTX, account::Account::WGSL),
        (smallest::Smallest::ID, smallest::Smallest::PTX, smallest::Smallest::WGSL),
        (narrow::Narrow::ID, narrow::Narrow::PTX, narrow::Narrow::WGSL),
        (division::Division::ID, division::Division::PTX, division::Division::WGSL),
        (casts::Casts::ID, casts::Casts::PTX, casts::Casts::WGSL),
        (floats::Floats::ID, floats::Floats::PTX, floats::Floats::WGSL),
        (ranges::Ranges::ID, ranges::Ranges::PTX, ranges::Ranges::WGSL),
        (labels::Labels::ID, labels::Labels::PTX, labels::Labels::WGSL),
        (matches::Matches::ID, matches::Matches::PTX, matches::Matches::WGSL),
        (arrays::Arrays::ID, arrays::Arrays::PTX, arrays::Arrays::WGSL),
        (nested::Nested::ID, nested::Nested::PTX, nested::Nested::WGSL),
        (functions::Functions::ID, functions::Functions::PTX, functions::Functions::WGSL),
        (talker::Talker::ID, talker::Talker::PTX, talker::Talker::WGSL),
        (panics::Panics::ID, panics::Panics::PTX, panics::Panics::WGSL),
    ];
    let mut tests = Collection::default();
    for (id, ptx, wgsl) in actors {
        for (extension, text) in [("ptx", ptx), ("wgsl", wgsl)] {
            tests.add(format!("golden::{id}::{extension}_is_as_committed"), move |_| {
                as_committed(&format!("{id}.{extension}"), text)
            });
        }
        for arch in ARCHITECTURES {
            tests.add(format!("golden::{id}::ptx_assembles_for_{arch}"), move |machine| {
                Ok(assemble(&machine.ptxas()?, id, ptx, arch)?)
            });
        }
        tests.add(format!("golden::{id}::wgsl_validates"), move |_| validate_wgsl(wgsl));
    }
    // What is loaded: the resident loop with everything that handlers call.
    for descriptor in [account::Account::DESCRIPTOR, talker::Talker::DESCRIPTOR, talker::Ledger::DESCRIPTOR] {
        for (cc, arch) in [(75, "sm_75"), (80, "sm_80"), (90, "sm_90")] {
            tests.add(format!("golden::{}::the_loop_assembles_for_{arch}", descriptor.id), move |machine| {
                Ok(assemble(&machine.ptxas()?, descriptor.id, &module_text(descriptor, cc), arch)?)
            });
        }
    }
    tests.run()
}

fn as_committed(file: &str, text: &str) -> Result<(), Stop> {
    if !cfg!(debug_assertions) {
        let why = "the committed text is the checked variant, which a debug build has".into();
        return Err(Stop::Missing { what: "debug", why });
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    if std::env::var_os("RINGKERNEL_BLESS").is_some() {
        return Ok(std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if !path.exists() && !Path::new(env!("CARGO_MANIFEST_DIR")).exists() {
        let why = format!("{} is on the machine that built this test", path.display());
        return Err(Stop::Missing { what: "source", why });
    }
    let committed = std::fs::read_to_string(&path)
        .map_err(|error| format!("{}: {error}; RINGKERNEL_BLESS=1 writes it", path.display()))?;
    // A checkout may have turned the line ends.
    let committed = committed.replace("\r\n", "\n");
    if committed == text {
        return Ok(());
    }
    let (mut line, mut was, mut is) = (0, "", "");
    for (i, pair) in
        committed.lines().map(Some).chain([None]).zip(text.lines().map(Some).chain([None])).enumerate()
    {
        if pair.0 != pair.1 {
            (line, was, is) = (i + 1, pair.0.unwrap_or("(end)"), pair.1.unwrap_or("(end)"));
            break;
        }
    }
    Err(format!(
        "tests/golden/{file} line {line}:\n  committed: {was}\n  now:       {is}\n\
         RINGKERNEL_BLESS=1 cargo test -p ringkernel-tests --test golden rewrites it"
    )
    .into())
}
