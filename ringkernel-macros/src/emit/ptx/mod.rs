//! PTX: one `.func` a handler, and `ringkernel_dispatch` over them.
//!
//! [`table`] says which instructions an operation is; [`stmt`] prints statements; [`place`] prints memory; [`fault`] the
//! out-of-line exits; [`effect`] what reaches beyond the handler; [`divide`] and [`fmod`] what no instruction computes (well). Every instruction used exists in PTX 6.0 on sm_70, the
//! floor of the framework, so that is what the text declares; the first one that needs more brings a table of what needs what.
//!
//! Registers are untyped (`.b32`, `.b64`, `.pred`): instructions carry the types. Integers of 8 and 16 bits live in `.b32`
//! registers, always sign- or zero-extended to all 32 bits, which is what [`table::normalise`] restores after arithmetic.
//! `%w`, `%l` and `%q` are scratch registers of 32 bits, 64 bits and one, dead from one IR statement to the next.

mod divide;
mod effect;
mod fault;
mod fmod;
mod place;
mod stmt;
mod table;

use super::names;
use crate::ir::{Body, Expr, Handler, Kernel, Operand, Reg, Scalar, Stmt};
use crate::ir_visit;
use ringkernel_backends::abi::{FaultKind, tag};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;

/// What a reply's tag and payload words look like in the 64 bits a handler returns.
fn result(tag: u32, bytes: u32) -> String {
    format!("0x{:x}", tag as u64 | (bytes.div_ceil(4) as u64) << 32)
}

/// The PTX of an actor's handlers.
pub(crate) fn emit(kernel: &Kernel) -> String {
    let mut functions = String::new();
    let mut used = fmod::Used::default();
    let mut callees = BTreeSet::new();
    for handler in &kernel.handlers {
        functions.push('\n');
        functions.push_str(&Writer::new(kernel, handler, &mut used, &mut callees).function());
    }
    let mut text = String::new();
    let _ =
        writeln!(text, "// {}, the actor \"{}\".", names::comment(&kernel.actor), names::comment(&kernel.id));
    for handler in &kernel.handlers {
        let _ = writeln!(
            text,
            "//   {}({}) -> {}",
            names::comment(&handler.name),
            names::comment(&handler.message),
            names::comment(&handler.reply)
        );
    }
    text.push_str(".version 6.0\n.target sm_70\n.address_size 64\n");
    effect::declarations(&callees, &mut text);
    fmod::functions(used, &mut text);
    text.push_str(&functions);
    dispatch(kernel, &mut text);
    text
}

const PARAMETERS: &str = ".param .b64 state, .param .b64 message, .param .b64 reply";

/// Whether a handler asks how long its message is; all are told then.
fn asks_for_words(kernel: &Kernel) -> bool {
    kernel.handlers.iter().any(ir_visit::asks_for_words)
}

/// The function that looks at the tag.
fn dispatch(kernel: &Kernel, text: &mut String) {
    let none = u32::MAX;
    let with_words = |text: &'static str| if asks_for_words(kernel) { text } else { "" };
    let _ = write!(
        text,
        "\n.visible .func (.param .b64 result) ringkernel_dispatch({PARAMETERS}, .param .b32 tag, .param .b32 instance{})
{{
    .reg .b64 %state, %message, %reply, %result;
    .reg .b32 %tag, %instance, %byte{};
    .reg .pred %p;
    ld.param.b64 %state, [state];
    ld.param.b64 %message, [message];
    ld.param.b64 %reply, [reply];
    ld.param.b32 %tag, [tag];
    ld.param.b32 %instance, [instance];
{}",
        with_words(", .param .b32 words"),
        with_words(", %words"),
        with_words("    ld.param.b32 %words, [words];\n"),
    );
    for (i, handler) in kernel.handlers.iter().enumerate() {
        let _ = writeln!(text, "    setp.eq.u32 %p, %tag, 0x{:08x};", handler.tag);
        let _ = writeln!(text, "    @%p bra HANDLER_{i}; // {}", names::comment(&handler.message));
    }
    let _ = writeln!(
        text,
        "    st.u32 [%reply], {}; // {}",
        FaultKind::UnknownMessage as u32,
        FaultKind::UnknownMessage
    );
    text.push_str("    bra FAULT;\n");
    for (i, handler) in kernel.handlers.iter().enumerate() {
        let _ = writeln!(text, "HANDLER_{i}:");
        for offset in &handler.message_bools {
            let _ = writeln!(text, "    ld.u8 %byte, [%message+{offset}];");
            text.push_str("    setp.gt.u32 %p, %byte, 1;\n    @%p bra MALFORMED;\n");
        }
        let function = names::function(kernel, handler);
        let _ = write!(
            text,
            "    {{
        .param .b64 result_;
        .param .b64 state_;
        .param .b64 message_;
        .param .b64 reply_;
        .param .b32 instance_;
{}        st.param.b64 [state_], %state;
        st.param.b64 [message_], %message;
        st.param.b64 [reply_], %reply;
        st.param.b32 [instance_], %instance;
{}        call (result_), {function}, (state_, message_, reply_, instance_{});
        ld.param.b64 %result, [result_];
    }}
    st.param.b64 [result], %result;
    ret;
",
            with_words("        .param .b32 words_;\n"),
            with_words("        st.param.b32 [words_], %words;\n"),
            with_words(", words_"),
        );
    }
    if kernel.handlers.iter().any(|handler| !handler.message_bools.is_empty()) {
        let kind = FaultKind::Malformed;
        let _ = writeln!(text, "MALFORMED:\n    st.u32 [%reply], {}; // {kind}", kind as u32);
    }
    let result = result(tag::FAULT, 8);
    let _ = writeln!(
        text,
        "FAULT:\n    st.u32 [%reply+4], 0x{none:x};\n    st.param.b64 [result], {result};\n    ret;\n}}"
    );
}

/// Prints one handler.
struct Writer<'a> {
    kernel: &'a Kernel,
    handler: &'a Handler,
    body: &'a Body,
    used: &'a mut fmod::Used,
    callees: &'a mut BTreeSet<effect::Callee>,
    text: String,
    /// Comparisons that are printed as their opposite, because their one use is a branch around code.
    inverted: HashSet<Reg>,
    faults: fault::Faults,
    /// Numbers the labels of `If`s.
    joins: u32,
}

impl<'a> Writer<'a> {
    fn new(
        kernel: &'a Kernel,
        handler: &'a Handler,
        used: &'a mut fmod::Used,
        callees: &'a mut BTreeSet<effect::Callee>,
    ) -> Self {
        let body = &handler.body;
        let inverted = stmt::inverted(body);
        let faults = fault::Faults::default();
        Self { kernel, handler, body, used, callees, text: String::new(), inverted, faults, joins: 0 }
    }

    fn function(mut self) -> String {
        let body = self.body;
        self.statements(&body.code);
        if !ir_visit::diverges(&body.code) {
            self.line("ret;");
        }
        self.fault_exits();
        let name = names::function(self.kernel, self.handler);
        let mut text = format!("// {}\n", names::comment(&self.handler.name));
        let words = if asks_for_words(self.kernel) { ", .param .b32 words" } else { "" };
        let _ = writeln!(
            text,
            ".func (.param .b64 result) {name}({PARAMETERS}, .param .b32 instance{words})\n{{"
        );
        self.declarations(&mut text);
        text.push_str(&self.text);
        text.push_str("}\n");
        text
    }

    /// `.reg` lines, the local aggregates and the parameters.
    fn declarations(&self, text: &mut String) {
        let regs = self.body.regs.iter().enumerate().map(|(i, info)| (info.ty, self.reg(Reg(i as u32))));
        let vars = self.body.vars.iter().enumerate();
        let vars =
            vars.map(|(i, info)| (info.ty, format!("%{}", names::var(self.body, crate::ir::Var(i as u32)))));
        let mut all: Vec<(Scalar, String)> = regs.chain(vars).collect();
        // A pass may have left registers without a definition behind.
        let words: HashSet<&str> = self
            .text
            .lines()
            .filter_map(|line| line.split("//").next())
            .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '%')))
            .collect();
        all.retain(|(_, name)| words.contains(name.as_str()));
        text.push_str("    .reg .b64 %state, %message, %reply;\n    .reg .b32 %instance");
        text.push_str(if asks_for_words(self.kernel) { ", %words;\n" } else { ";\n" });
        text.push_str("    .reg .b32 %w<4>;\n    .reg .b64 %l<4>;\n    .reg .pred %q<4>;\n");
        for class in ["pred", "b32", "b64"] {
            let names: Vec<&str> = all
                .iter()
                .filter(|(ty, _)| table::class(*ty) == class)
                .map(|(_, name)| name.as_str())
                .collect();
            for names in names.chunks(8) {
                let _ = writeln!(text, "    .reg .{class} {};", names.join(", "));
            }
        }
        let payloads = ir_visit::payloads(&self.body.code);
        for (i, info) in self.body.locals.iter().enumerate() {
            let local = crate::ir::Local(i as u32);
            let name = names::local(self.body, local);
            if words.contains(name.as_str()) {
                let size = if payloads.contains(&local) {
                    effect::payload_bytes(info.size)
                } else {
                    info.size.max(1)
                };
                let _ = writeln!(text, "    .local .align 8 .b8 {name}[{size}];");
            }
        }
        let parameters =
            [("state", "b64"), ("message", "b64"), ("reply", "b64"), ("instance", "b32"), ("words", "b32")];
        for (name, class) in parameters {
            if words.contains(format!("%{name}").as_str()) {
                let _ = writeln!(text, "    ld.param.{class} %{name}, [{name}];");
            }
        }
    }

    /// One line of code.
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str("    ");
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// A label on a line of its own.
    fn label(&mut self, label: &str) {
        self.text.push_str(label);
        self.text.push_str(":\n");
    }

    fn reg(&self, reg: Reg) -> String {
        let name = names::reg(self.body, reg);
        // `%pm0_64`, `%reserved_smem_offset_2` and the like are PTX's own.
        let special = name.starts_with("pm") || name.starts_with("reserved_smem");
        format!("%{}{name}", if special { "_" } else { "" })
    }

    fn var(&self, var: crate::ir::Var) -> String {
        format!("%{}", names::var(self.body, var))
    }

    /// An operand as an instruction takes it. A `bool` constant has to be put into predicate `scratch` first.
    fn operand(&mut self, operand: Operand, scratch: usize) -> String {
        match operand {
            Operand::Reg(reg) => self.reg(reg),
            Operand::Const(c) if c.ty == Scalar::Bool => {
                self.line(format!("mov.pred %q{scratch}, {};", c.bits));
                format!("%q{scratch}")
            }
            Operand::Const(c) => table::constant(c),
        }
    }

    /// Fills a template of [`table`] in: `{d}` the destination, `{a}`, `{b}`, `{c}` the operands.
    fn fill(&mut self, template: &str, d: &str, operands: &[Operand]) {
        let mut text = template.replace("{d}", d);
        for (i, (name, operand)) in ["{a}", "{b}", "{c}"].into_iter().zip(operands).enumerate() {
            // Scratch predicates 1 to 3 hold constants; `%q0` is the templates'.
            let operand = self.operand(*operand, i + 1);
            text = text.replace(name, &operand);
        }
        for instruction in text.split_inclusive(';') {
            self.line(instruction.trim());
        }
    }
}

/// How often each register is read.
fn uses(body: &Body) -> HashMap<Reg, u32> {
    let mut uses = HashMap::new();
    crate::ir_visit::operands(&body.code, &mut |operand| {
        if let Operand::Reg(reg) = operand {
            *uses.entry(*reg).or_default() += 1;
        }
    });
    uses
}

/// The expression of each register that a comparison defines.
fn comparisons(body: &Body) -> HashSet<Reg> {
    let mut found = HashSet::new();
    crate::ir_visit::statements(&body.code, &mut |statement| {
        if let Stmt::Let(reg, Expr::Compare(..)) = statement {
            found.insert(*reg);
        }
    });
    found
}
