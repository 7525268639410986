//! What cannot be compiled is one message each, which names what to write instead.

use super::harness::program;
use crate::diag::Diagnostic;
use crate::front::{Options, compile};

fn mistakes(code: &str) -> Vec<Diagnostic> {
    let types = "struct Actor { n: u32, a: [u32; 4], p: Point } struct Point { x: i32, y: i32 }";
    match compile(&program(types, code), Options { checked: true, usize_is_32: false }) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes,
    }
}

/// The one mistake in a handler with that body.
fn mistake(body: &str) -> Diagnostic {
    let code = format!(
        "fn helper(x: u32) -> u32 {{ x }} impl Actor {{ fn handle(&mut self, ctx: &mut RingContext, m: u32) -> u32 {{ {body} }} }}"
    );
    let mut found = mistakes(&code);
    let texts: Vec<_> = found.iter().map(|m| m.message.clone()).collect();
    assert_eq!(found.len(), 1, "{body}: {texts:#?}");
    found.remove(0)
}

#[test]
fn an_unsupported_construct_names_the_nearest_supported_spelling() {
    for (body, words) in [
        (
            "let f = |x: u32| x + 1; m",
            "a closure cannot run on a device yet; write its body where it is used, or make it a `#[device_fn]`",
        ),
        ("let s = \"text\"; m", "a string cannot run on a device yet; use numbers, or `[u8; N]`"),
        ("let c = 'x'; m", "use a byte, `b'x'`"),
        ("let v = vec![1, 2]; m", "heap memory cannot run on a device yet; use an array"),
        ("let v: Vec<u32> = make(); m", "heap memory cannot run on a device yet; use an array: `[T; N]`"),
        (
            "let o: Option<u32> = none(); m",
            "an enum cannot run on a device yet; use a `bool` beside the value",
        ),
        ("let x = Some(3); m", "an enum cannot run on a device yet"),
        ("let x: i128 = 1; m", "a 128-bit integer cannot run on a device yet; use `i64` or `u64`"),
        ("let x = 1u128; m", "a 128-bit integer"),
        ("let x = helper(m)?; m", "`?` cannot run on a device yet; test the value and `return` early"),
        ("unsafe { m }", "`unsafe` cannot run on a device yet"),
        ("let x = async { m }; m", "`async` code cannot run on a device yet"),
        ("println!(\"{}\", m); m", "printing cannot run on a device yet"),
        ("let s: &[u32] = all(); m", "a slice cannot run on a device yet; take an array: `&[T; N]`"),
        ("let s = &self.a[1..3]; m", "a range as a value cannot run on a device yet"),
        ("let r = 0..3; m", "a range as a value cannot run on a device yet; write it in the `for`"),
        (
            "for i in (0..3).map(twice) {} m",
            "`.map()` on a range cannot run on a device yet; use `.rev()` and `.step_by(n)`",
        ),
        ("for i in 0.. {} m", "a range without both ends"),
        (
            "for (a, b) in self.a.iter().zip(3) {} m",
            "`.zip()` here cannot run on a device yet; write `for i in 0..N`",
        ),
        (
            "let t = self.a.iter().sum(); m",
            "`iter` of an array cannot run on a device yet; an iterator stands in a `for` only",
        ),
        ("let x = 5u32.checked_add(m); m", "`checked_add` cannot run on a device yet; test first"),
        ("let x = 2.0f32.powi(2); m", "`powi` cannot run on a device yet; multiply: `x * x`"),
        ("let x = 2.0f32.sin(); m", "transcendental functions come later"),
        ("let x = m.to_le_bytes(); m", "shift and mask"),
        ("if let 1 = m && m > 3 { 1 } else { 2 }", "`let` inside a condition cannot run on a device yet"),
        (
            "let x = self.p + self.p; m",
            "operators on `Point` cannot run on a device yet; write a `#[device_fn]`",
        ),
        ("if self.p == self.p { 1 } else { 2 }", "`Point` cannot be compared on a device yet"),
        (
            "let x = self.p.length(); m",
            "methods of `Point` cannot run on a device yet; write a `#[device_fn]`",
        ),
        (
            "let p: Point = Default::default(); m",
            "`Default::default()` cannot run on a device yet; write the value",
        ),
        ("let p = Point::default(); m", "`Point::default` cannot run on a device yet; write the value"),
        (
            "let x = if m > 1 { &self.a } else { &self.a }; x[0]",
            "a reference that depends on control flow cannot run on a device yet",
        ),
        ("let mut r = &self.n; r = &m; *r", "a reference that changes cannot run on a device yet"),
        (
            "match (m, 1) { (1, x) | (x, 1) => x, _ => 0 }",
            "names inside `|` cannot run on a device yet; bind the whole",
        ),
        (
            "match m { LIMIT => 1, _ => 2 }",
            "`LIMIT` looks like a constant, but none is visible here: mark it `#[device_const]`",
        ),
        (
            "fn inner() {} m",
            "an item inside a body cannot run on a device yet; put it outside, with `#[device_fn]`",
        ),
        (
            "#[cfg(test)] let x = 1; m",
            "`#[cfg]` inside a body cannot run on a device yet; put it on the whole item",
        ),
        ("let x = m.into(); helper(3)", "the target of `.into()` is not known here; write `u64::from(x)`"),
        ("let x = <u32 as Default>::default(); m", "a trait cannot run on a device yet"),
        ("const { 3 }", "a `const` block cannot run on a device yet"),
        ("(helper)(m); (self.f)(m)", "a call of a value cannot run on a device yet"),
        ("let x: Box<dyn Fn()> = f(); m", "heap memory"),
    ] {
        let found = mistake(body);
        assert!(found.message.contains(words), "{body}:\n{}\ndoes not say\n{words}", found.message);
        assert!(!found.deferred, "{body}: {} is ours to report", found.message);
    }
}

#[test]
fn what_rustc_rejects_too_is_left_to_rustc() {
    for (body, words) in [
        ("let x: u32 = true; m", "expected `u32`, found `bool`"),
        ("self.missing", "`Actor` has no field `missing`"),
        ("unknown", "no variable `unknown` is visible here"),
        ("unknown(m)", "`unknown` is not a function that devices know; mark its definition `#[device_fn]`"),
        ("m.frobnicate()", "`u32` has no method `frobnicate` that devices know"),
        ("break; m", "there is no such loop around this"),
        ("let p = Point { x: 1 }; m", "not every field of `Point` has a value"),
        ("m as bool as u32", "a number is cast to `bool` by comparing it"),
        ("ctx.send(m); m", "a context has no method `send` that takes this"),
        ("helper(m, m)", "1 arguments expected, 2 given"),
        ("let a = [0; m]; m", "no variable `m` is visible here"),
    ] {
        let all = mistakes(&format!(
            "fn helper(x: u32) -> u32 {{ x }} impl Actor {{ fn handle(&mut self, ctx: &mut RingContext, m: u32) -> u32 {{ {body} }} }}"
        ));
        let texts: Vec<_> = all.iter().map(|m| m.message.clone()).collect();
        assert!(texts.iter().any(|text| text.contains(words)), "{body}: {texts:#?}");
        assert!(all.iter().all(|m| m.deferred), "{body}: {texts:#?}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let found = mistakes(
        "fn helper(s: &str) -> u32 { 1 } impl Actor {
            fn one(&mut self, ctx: &mut RingContext, m: u32) -> u32 { let f = |x| x; let s = \"\"; m }
            fn two(&mut self, ctx: &mut RingContext, m: u32) -> u32 { m.await }
        }",
    );
    assert_eq!(found.len(), 4);
}

#[test]
fn a_function_that_calls_itself_is_refused() {
    let found = mistakes(
        "fn f(x: u32) -> u32 { if x == 0 { 0 } else { g(x - 1) } } fn g(x: u32) -> u32 { f(x) }
        impl Actor { fn handle(&mut self, ctx: &mut RingContext, m: u32) -> u32 { f(m) } }",
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .message
            .contains("calls itself, which cannot run on a device: functions are inlined; write a loop")
    );
}

#[test]
fn a_mistake_in_a_helper_is_reported_once_however_often_it_is_called() {
    let found = mistakes(
        "fn f(c: bool) -> u32 { let a = [1u32; 2]; let r = if c { &a } else { &a }; r[0] }
        impl Actor {
            fn one(&mut self, ctx: &mut RingContext, m: u32) -> u32 { f(true) + f(m > 1) }
            fn two(&mut self, ctx: &mut RingContext, m: i32) -> u32 { f(m > 1) }
        }",
    );
    assert_eq!(found.len(), 1);
}
