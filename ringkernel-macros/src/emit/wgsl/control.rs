//! Statements and control flow.
//!
//! WGSL has no labels: `break` and `continue` speak of the innermost loop. A labelled block is a loop that is run once. A jump that has
//! further to go sets `rk_leave` to where it wants and breaks; after each loop that such a jump comes out of, the next one outside looks
//! at `rk_leave` and jumps on, or takes the jump as its own and clears it.
//!
//! A loop's step goes into `continuing`, but for two cases. Where the body never says `continue`, it follows the body. Where the step can
//! fault, which `continuing` does not allow, it is repeated before each `continue`.

use super::{Writer, names};
use crate::ir::{Label, Operand, Stmt};
use crate::ir_visit;
use std::collections::BTreeSet;

/// A jump out of a construct: its label, and whether it continues instead of breaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Jump {
    label: Label,
    again: bool,
}

impl Jump {
    /// What `rk_leave` holds while the jump is under way; never 0.
    fn code(self) -> u32 {
        self.label.0 * 2 + 1 + self.again as u32
    }
}

/// A loop of the output around the current statement.
pub(super) struct Frame<'a> {
    label: Label,
    /// The step to repeat before each `continue`.
    step: Option<&'a [Stmt]>,
    /// The jumps inside that go further than this frame.
    through: BTreeSet<Jump>,
}

/// Whether something in the code ends the handler.
fn returns(code: &[Stmt]) -> bool {
    let mut found = false;
    ir_visit::statements(code, &mut |statement| {
        found |= matches!(statement, Stmt::Check { .. } | Stmt::Fault { .. } | Stmt::Finish);
    });
    found
}

fn continues(code: &[Stmt], label: Label) -> bool {
    let mut found = false;
    ir_visit::statements(code, &mut |statement| found |= *statement == Stmt::Continue(label));
    found
}

impl<'a> Writer<'a> {
    pub(super) fn statements(&mut self, code: &'a [Stmt]) {
        code.iter().for_each(|statement| self.statement(statement));
    }

    fn block(&mut self, code: &'a [Stmt]) {
        self.indent += 1;
        self.statements(code);
        self.indent -= 1;
    }

    fn statement(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Let(reg, expr) => self.define(*reg, expr),
            Stmt::Effect(reg, effect) => self.effect(*reg, effect),
            Stmt::Set(var, operand) => {
                let (var, value) = (self.var(*var), self.operand(*operand));
                self.line(format!("{var} = {value};"));
            }
            Stmt::Store(place, operand) => self.store(place, *operand),
            Stmt::If { condition: Operand::Const(c), then, otherwise } => {
                // A block, because of the names in it.
                self.line("{");
                self.block(if c.bits != 0 { then } else { otherwise });
                self.line("}");
            }
            Stmt::If { condition: Operand::Reg(reg), then, otherwise } => {
                let condition = self.reg(*reg);
                let (first, second) = if then.is_empty() { (otherwise, then) } else { (then, otherwise) };
                let not = if then.is_empty() { "!" } else { "" };
                self.line(format!("if ({not}{condition}) {{"));
                self.block(first);
                if !second.is_empty() {
                    self.line("} else {");
                    self.block(second);
                }
                self.line("}");
            }
            Stmt::Loop { label, body, step } => self.repeat(*label, body, step),
            Stmt::Block { label, body } => {
                self.line("loop {");
                self.frames.push(Frame { label: *label, step: None, through: BTreeSet::new() });
                self.block(body);
                if !ir_visit::diverges(body) {
                    self.indent += 1;
                    self.line("break;");
                    self.indent -= 1;
                }
                self.line("}");
                self.close();
            }
            Stmt::Break(label) => self.jump(Jump { label: *label, again: false }),
            Stmt::Continue(label) => self.jump(Jump { label: *label, again: true }),
            Stmt::Check { failed: Operand::Const(c), kind, site } if c.bits != 0 => {
                // What follows is not reached, but WGSL compilers may not know that they need not look at it.
                self.line(format!(
                    "if (true) {{ return rk_fault({}u, {}u); }} // {kind}",
                    *kind as u32, site.0
                ));
            }
            Stmt::Check { failed: Operand::Const(_), .. } => {}
            Stmt::Check { failed: Operand::Reg(reg), kind, site } => {
                let failed = self.reg(*reg);
                self.line(format!(
                    "if ({failed}) {{ return rk_fault({}u, {}u); }} // {kind}",
                    *kind as u32, site.0
                ));
            }
            Stmt::Fault { kind, site } => {
                self.line(format!("return rk_fault({}u, {}u); // {kind}", *kind as u32, site.0));
            }
            Stmt::Finish => {
                let (tag, words) = (self.handler.reply_tag, self.handler.reply_layout.size.div_ceil(4));
                self.line(format!("return vec2<u32>(0x{tag:x}u, {words}u);"));
            }
            Stmt::Source { line, text } => self.line(format!("// {line}: {}", names::comment(text))),
        }
    }

    fn repeat(&mut self, label: Label, body: &'a [Stmt], step: &'a [Stmt]) {
        let continues = continues(body, label);
        let repeated = continues && returns(step);
        self.line("loop {");
        let frame = Frame { label, step: repeated.then_some(step), through: BTreeSet::new() };
        self.frames.push(frame);
        self.block(body);
        let in_place = (!continues || repeated) && !ir_visit::diverges(body);
        if in_place {
            self.block(step);
        } else if continues && !repeated && !step.is_empty() {
            self.indent += 1;
            self.line("continuing {");
            self.block(step);
            self.line("}");
            self.indent -= 1;
        }
        self.line("}");
        self.close();
    }

    /// After a construct: sends the jumps that came out of it on.
    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let here = self.frames.last().map(|outer| outer.label);
        let mut further = false;
        for jump in frame.through {
            if Some(jump.label) == here {
                self.line(format!("if (rk_leave == {}u) {{", jump.code()));
                self.indent += 1;
                self.line("rk_leave = 0u;");
                self.jump(jump);
                self.indent -= 1;
                self.line("}");
            } else {
                further = true;
                if let Some(outer) = self.frames.last_mut() {
                    outer.through.insert(jump);
                }
            }
        }
        if further {
            self.line("if (rk_leave != 0u) { break; }");
        }
    }

    fn jump(&mut self, jump: Jump) {
        let Some(frame) = self.frames.last_mut() else { return };
        if frame.label != jump.label {
            frame.through.insert(jump);
            self.leaves = true;
            self.line(format!("rk_leave = {}u;", jump.code()));
            self.line("break;");
        } else if jump.again {
            if let Some(step) = frame.step {
                self.statements(step);
            }
            self.line("continue;");
        } else {
            self.line("break;");
        }
    }
}
