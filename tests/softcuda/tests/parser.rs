//! The parser on every text that the project has.

use softcuda::ptx::{self, Operand, Statement};
use std::fs;
use std::path::{Path, PathBuf};

fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut all: Vec<(PathBuf, String)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ptx"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    all.sort();
    assert!(!all.is_empty(), "{}", folder.display());
    all
}

/// How many instructions there are, in all scopes.
fn instructions(statements: &[Statement]) -> usize {
    statements
        .iter()
        .map(|statement| match statement {
            Statement::Scope(inner) => instructions(inner),
            Statement::Instruction(_) => 1,
            _ => 0,
        })
        .sum()
}

#[test]
fn every_instruction_of_every_text_in_the_project_is_found() {
    for folder in [
        "tests/golden",
        "ringkernel-backends/src/cuda/baseline",
        "ringkernel-backends/tests/cuda",
        "ringkernel-macros/src/emit/golden",
        "tests/gpu/faults",
    ] {
        for (path, text) in texts(folder) {
            let parsed = ptx::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(parsed.version >= (6, 0) && parsed.target == "sm_70", "{}", path.display());
            let found: usize =
                parsed.functions.iter().filter_map(|f| f.body.as_deref()).map(instructions).sum();
            // An instruction a line, in all of them.
            let expected = text
                .lines()
                .filter_map(|line| line.split("//").next())
                .map(str::trim)
                .filter(|line| line.ends_with(';') && !line.starts_with('.'))
                .count();
            assert!(found == expected && found > 0, "{}: {found} of {expected}", path.display());
        }
    }
}

#[test]
fn what_is_not_ptx_is_refused_with_its_line() {
    let header = ".version 8.4\n.target sm_70\n.address_size 64\n";
    for (text, line, what) in [
        (".entry a() {\n mov.u32 %r %s;\n}", 5, "`,` is expected"),
        (".entry a() {\n ret; ", 5, "in the middle"),
        (".entry a() {\n mov.u32 %r, 0fZZ;\n}", 5, "not a float"),
        (".entry a() { .reg .c32 %r; }", 4, "a register's type"),
        ("\n\n.banana 3;", 6, "unknown directive .banana"),
        (".global .align 3 .b32 x;", 4, "an alignment of 3"),
        (".global .b32 x[2] = { 1, 2, 3 };", 4, "more values than elements"),
        (".entry a() { add.u32 %r, @, 3; }", 4, "an operand is expected"),
        ("/* never closed", 4, "a comment without its end"),
    ] {
        let error = ptx::parse(&format!("{header}{text}")).expect_err(text);
        assert!(error.what.contains(what), "{text}: {error}");
        assert_eq!(error.line, line, "{text}: {error}");
    }
}

#[test]
fn operands_are_what_they_look_like() {
    let text = ".version 8.4 .target sm_70 .address_size 64 .entry a() {
        @!%p foo.a.b::c {%a, _}, [%b+-24], -1, 0x10U, 0f3F800000, 1.5, %tid.x, !%q, p|q, (x, 017), rk+4; }";
    let parsed = ptx::parse(text).unwrap();
    let Some([Statement::Instruction(i)]) = parsed.functions[0].body.as_deref() else { panic!("{parsed:?}") };
    assert_eq!(i.opcode(), "foo.a.b::c");
    assert_eq!(i.guard, Some(("%p".into(), true)));
    let name = |name: &str| Operand::Name(name.into());
    assert_eq!(
        i.operands,
        [
            Operand::Vector(vec![name("%a"), name("_")]),
            Operand::Address(Some("%b".into()), -24),
            Operand::Bits(u64::MAX),
            Operand::Bits(16),
            Operand::Single(0x3f80_0000),
            Operand::Double(1.5),
            name("%tid.x"),
            Operand::Not("%q".into()),
            Operand::Pair("p".into(), "q".into()),
            Operand::List(vec![name("x"), Operand::Bits(15)]),
            Operand::Sum("rk".into(), 4),
        ]
    );
}
