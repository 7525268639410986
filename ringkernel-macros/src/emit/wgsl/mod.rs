//! WGSL: one function a handler, and `ringkernel_dispatch` over them.
//!
//! [`expr`] is the table of operations, [`place`] prints memory (all of it arrays of 32-bit words), [`control`] structured control flow,
//! [`effect`] what reaches beyond the handler, [`helpers`] the functions that WGSL lacks; those that the text calls are appended to it. Integers of 8 and 16 bits live in `i32` and
//! `u32`, always in range. 64-bit integers and `f64` are naga's extensions; whether any occurs is read off the finished text.
//!
//! Rust's semantics are kept against three habits of WGSL compilers: constant expressions that overflow are errors (so no operation
//! has only constants for operands), NaNs may be assumed away (so they are recognised by their bits), and `continuing` may not return (so a
//! step that can fault is not put there).

mod control;
mod effect;
mod expr;
mod helpers;
mod place;

use super::names;
use crate::ir::{Body, Handler, Kernel, Local, Reg, Scalar, Var};
use crate::ir_visit;
use ringkernel_backends::abi::{FaultKind, tag};
use std::collections::BTreeSet;
use std::fmt::Write;

/// WGSL and what it needs of the adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wgsl {
    /// The module.
    pub(crate) text: String,
    /// Whether 64-bit integers occur.
    pub(crate) int64: bool,
    /// Whether `f64` occurs.
    pub(crate) float64: bool,
}

/// The WGSL of an actor's handlers.
pub(crate) fn emit(kernel: &Kernel) -> Wgsl {
    let words = |bytes: Option<u32>, least: u32| bytes.unwrap_or(0).div_ceil(4).max(least);
    let (in_place, copied): (Vec<_>, Vec<_>) =
        kernel.handlers.iter().partition(|handler| ir_visit::asks_for_words(handler));
    let message = words(copied.iter().map(|h| h.message_layout.size).max(), 1);
    let reply = words(kernel.handlers.iter().map(|h| h.reply_layout.size).max(), 2);
    let out = effect::out_words(kernel)
        .map_or_else(String::new, |words| format!("var<private> rk_out: array<u32, {words}>;\n"));
    let length = if !in_place.is_empty() { "var<private> rk_message_words: u32;\n" } else { "" };
    let mut text =
        format!("// {}, the actor \"{}\".\n", names::comment(&kernel.actor), names::comment(&kernel.id));
    for handler in &kernel.handlers {
        let [name, message, reply] =
            [&handler.name, &handler.message, &handler.reply].map(|text| names::comment(text));
        let _ = writeln!(text, "//   {name}({message}) -> {reply}");
    }
    let _ = write!(
        text,
        "
@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, {message}>;
var<private> rk_reply: array<u32, {reply}>;
{out}{length}
fn rk_fault(kind: u32, site: u32) -> vec2<u32> {{
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>({}u, 2u);
}}
",
        tag::FAULT
    );
    for handler in &kernel.handlers {
        text.push('\n');
        text.push_str(&Writer::new(kernel, handler).function());
    }
    dispatch(kernel, &mut text);
    let helpers = helpers::needed(&tokens(&text));
    text.push_str(&helpers);
    let tokens = tokens(&text);
    let literal = |suffix: [&str; 2]| {
        tokens
            .iter()
            .any(|t| t.starts_with(|c: char| c.is_ascii_digit()) && suffix.iter().any(|s| t.ends_with(s)))
    };
    let int64 = tokens.contains("i64") || tokens.contains("u64") || literal(["li", "lu"]);
    let float64 = tokens.contains("f64") || literal(["lf", "lf"]);
    Wgsl { int64, float64, text }
}

/// The words of the code, without its comments. The user's names all end in a number or hold one after `_`, so none is mistaken for a type.
fn tokens(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split("//").next())
        .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .map(str::to_owned)
        .collect()
}

/// The function that looks at the tag.
fn dispatch(kernel: &Kernel, text: &mut String) {
    text.push_str("\nfn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {\n");
    for handler in &kernel.handlers {
        let _ = writeln!(
            text,
            "    if (tag == 0x{:08x}u) {{ // {}",
            handler.tag,
            names::comment(&handler.message)
        );
        for offset in &handler.message_bools {
            let byte = format!("extractBits(rk_message[{}], {}u, 8u)", offset / 4, offset % 4 * 8);
            let kind = FaultKind::Malformed;
            let _ = writeln!(
                text,
                "        if ({byte} > 1u) {{\n            return rk_fault({}u, 0xffffffffu); // {kind}\n        }}",
                kind as u32
            );
        }
        let _ =
            writeln!(text, "        return {}(state, instance);\n    }}", names::function(kernel, handler));
    }
    let kind = FaultKind::UnknownMessage;
    let _ = writeln!(text, "    return rk_fault({}u, 0xffffffffu); // {kind}\n}}", kind as u32);
}

/// The type a scalar is kept in.
fn type_name(ty: Scalar) -> &'static str {
    match ty {
        Scalar::Bool => "bool",
        Scalar::I8 | Scalar::I16 | Scalar::I32 => "i32",
        Scalar::U8 | Scalar::U16 | Scalar::U32 => "u32",
        Scalar::I64 => "i64",
        Scalar::U64 => "u64",
        Scalar::F32 => "f32",
        Scalar::F64 => "f64",
    }
}

/// Prints one handler.
struct Writer<'a> {
    kernel: &'a Kernel,
    handler: &'a Handler,
    body: &'a Body,
    text: String,
    indent: usize,
    /// The constructs around the current statement that `break` and `continue` speak of.
    frames: Vec<control::Frame<'a>>,
    /// Whether a jump leaves more than one construct anywhere.
    leaves: bool,
    /// Numbers auxiliary names.
    auxiliary: u32,
    /// Whether it reads its message where that lies.
    in_place: bool,
}

impl<'a> Writer<'a> {
    fn new(kernel: &'a Kernel, handler: &'a Handler) -> Self {
        let (text, frames) = (String::new(), Vec::new());
        let (body, in_place) = (&handler.body, ir_visit::asks_for_words(handler));
        Self { kernel, handler, body, text, indent: 1, frames, leaves: false, auxiliary: 0, in_place }
    }

    fn function(mut self) -> String {
        let body = self.body;
        self.statements(&body.code);
        if !matches!(body.code.last(), Some(crate::ir::Stmt::Finish | crate::ir::Stmt::Fault { .. })) {
            // Not reached: every path has ended. WGSL wants to see a return at the end.
            self.line("return vec2<u32>(0u, 0u);");
        }
        let name = names::function(self.kernel, self.handler);
        let mut text = format!("// {}\n", names::comment(&self.handler.name));
        let _ = writeln!(text, "fn {name}(state: u32, instance: u32) -> vec2<u32> {{");
        let words = tokens(&self.text);
        for (i, info) in body.vars.iter().enumerate() {
            let name = names::var(body, Var(i as u32));
            if words.contains(&name) {
                let _ = writeln!(text, "    var {name}: {};", type_name(info.ty));
            }
        }
        for (i, info) in body.locals.iter().enumerate() {
            let name = names::local(body, Local(i as u32));
            if words.contains(&name) {
                let _ = writeln!(text, "    var {name}: array<u32, {}>;", info.size.div_ceil(4).max(1));
            }
        }
        if self.leaves {
            text.push_str("    var rk_leave: u32;\n");
        }
        text.push_str(&self.text);
        text.push_str("}\n");
        text
    }

    /// One line of code.
    fn line(&mut self, line: impl AsRef<str>) {
        for _ in 0..self.indent {
            self.text.push_str("    ");
        }
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    fn reg(&self, reg: Reg) -> String {
        names::reg(self.body, reg)
    }

    fn var(&self, var: Var) -> String {
        names::var(self.body, var)
    }

    /// A fresh name.
    fn fresh(&mut self, stem: &str) -> String {
        self.auxiliary += 1;
        format!("rk_{stem}{}", self.auxiliary)
    }
}
