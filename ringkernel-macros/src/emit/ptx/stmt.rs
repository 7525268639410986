//! Statements and control flow.
//!
//! Every branch out of the straight path is taken on a *positive* predicate: a loop whose exit is `@p bra` is unrolled by ptxas, one whose
//! exit is `@!p bra` is not. So a comparison whose only use is to branch around code is printed as its opposite.

use super::{Writer, divide, names, result, table};
use crate::ir::{BinOp, Body, Expr, Label, Operand, Reg, Scalar, Stmt};
use crate::ir_visit;
use std::collections::HashSet;

/// How an `If` is laid out.
enum Shape<'a> {
    /// The branch taken when the condition holds is a jump: `@p bra target`, and the rest falls through.
    JumpIf(&'a Stmt, &'a [Stmt]),
    /// The branch taken when it does not hold is a jump.
    JumpUnless(&'a Stmt, &'a [Stmt]),
    /// Anything else: branch around `then`.
    Around,
}

fn shape<'a>(then: &'a [Stmt], otherwise: &'a [Stmt]) -> Shape<'a> {
    let jump = |code: &'a [Stmt]| match code {
        [.., Stmt::Source { .. }] => None,
        code => match code.iter().filter(|s| !matches!(s, Stmt::Source { .. })).collect::<Vec<_>>()[..] {
            [only @ (Stmt::Break(_) | Stmt::Continue(_) | Stmt::Fault { .. })] => Some(only),
            _ => None,
        },
    };
    match (jump(then), jump(otherwise)) {
        (Some(to), _) => Shape::JumpIf(to, otherwise),
        (None, Some(to)) => Shape::JumpUnless(to, then),
        // `if c {} else { … }` branches around `otherwise`.
        _ => Shape::Around,
    }
}

/// The comparisons to print as their opposites.
pub(super) fn inverted(body: &Body) -> HashSet<Reg> {
    let uses = super::uses(body);
    let comparisons = super::comparisons(body);
    let mut inverted = HashSet::new();
    ir_visit::statements(&body.code, &mut |statement| {
        if let Stmt::If { condition: Operand::Reg(reg), then, otherwise } = statement {
            let negative = match shape(then, otherwise) {
                Shape::JumpIf(..) => false,
                Shape::JumpUnless(..) => true,
                Shape::Around => !then.is_empty(),
            };
            if negative && uses.get(reg) == Some(&1) && comparisons.contains(reg) {
                inverted.insert(*reg);
            }
        }
    });
    inverted
}

fn next(label: Label) -> String {
    format!("NEXT_{}", label.0)
}

fn end(label: Label) -> String {
    format!("END_{}", label.0)
}

impl Writer<'_> {
    pub(super) fn statements(&mut self, code: &[Stmt]) {
        code.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Let(reg, expr) => self.define(*reg, expr),
            Stmt::Effect(reg, effect) => self.effect(*reg, effect),
            Stmt::Set(var, operand) => {
                let d = self.var(*var);
                self.copy(&d, *operand);
            }
            Stmt::Store(place, operand) => self.store(place, *operand),
            Stmt::If { condition, then, otherwise } => self.branch(*condition, then, otherwise),
            Stmt::Loop { label, body, step } => {
                self.label(&format!("LOOP_{}", label.0));
                self.statements(body);
                self.label(&next(*label));
                self.statements(step);
                self.line(format!("bra LOOP_{};", label.0));
                self.label(&end(*label));
            }
            Stmt::Block { label, body } => {
                self.statements(body);
                self.label(&end(*label));
            }
            Stmt::Break(_) | Stmt::Continue(_) | Stmt::Fault { .. } => {
                let target = self.target(statement);
                self.line(format!("bra {target};"));
            }
            Stmt::Check { failed, kind, site } => {
                let target = self.fault_label(*kind, *site);
                match failed {
                    Operand::Const(c) if c.bits == 0 => {}
                    Operand::Const(_) => self.line(format!("bra {target};")),
                    Operand::Reg(reg) => {
                        let p = self.reg(*reg);
                        self.line(format!("@{p} bra {target};"));
                    }
                }
            }
            Stmt::Finish => {
                let result = result(self.handler.reply_tag, self.handler.reply_layout.size);
                self.line(format!("st.param.b64 [result], {result};"));
                self.line("ret;");
            }
            Stmt::Source { line, text } => self.line(format!("// {line}: {}", names::comment(text))),
        }
    }

    /// Where a jump goes.
    fn target(&mut self, jump: &Stmt) -> String {
        match jump {
            Stmt::Break(label) => end(*label),
            Stmt::Continue(label) => next(*label),
            Stmt::Fault { kind, site } => self.fault_label(*kind, *site),
            other => unreachable!("not a jump: {other:?}"),
        }
    }

    fn branch(&mut self, condition: Operand, then: &[Stmt], otherwise: &[Stmt]) {
        let reg = match condition {
            Operand::Const(c) => return self.statements(if c.bits != 0 { then } else { otherwise }),
            Operand::Reg(reg) => reg,
        };
        let p = self.reg(reg);
        let unless = if self.inverted.contains(&reg) { format!("@{p}") } else { format!("@!{p}") };
        match shape(then, otherwise) {
            Shape::JumpIf(jump, rest) => {
                let target = self.target(jump);
                self.line(format!("@{p} bra {target};"));
                self.statements(rest);
            }
            Shape::JumpUnless(jump, rest) => {
                let target = self.target(jump);
                self.line(format!("{unless} bra {target};"));
                self.statements(rest);
            }
            Shape::Around => {
                let n = self.joins;
                self.joins += 1;
                let (first, second) = if then.is_empty() { (otherwise, then) } else { (then, otherwise) };
                let around = if then.is_empty() { format!("@{p}") } else { unless };
                if second.is_empty() {
                    self.line(format!("{around} bra JOIN_{n};"));
                    self.statements(first);
                } else {
                    self.line(format!("{around} bra ELSE_{n};"));
                    self.statements(first);
                    if !ir_visit::diverges(first) {
                        self.line(format!("bra JOIN_{n};"));
                    }
                    self.label(&format!("ELSE_{n}"));
                    self.statements(second);
                }
                self.label(&format!("JOIN_{n}"));
            }
        }
    }

    fn copy(&mut self, d: &str, operand: Operand) {
        let ty = self.body.type_of(operand);
        match operand {
            // The one instruction that takes a predicate's constant.
            Operand::Const(c) if ty == Scalar::Bool => self.line(format!("mov.pred {d}, {};", c.bits)),
            operand => self.fill(&table::copy(ty), d, &[operand]),
        }
    }

    fn define(&mut self, reg: Reg, expr: &Expr) {
        let ty = self.body.regs[reg.0 as usize].ty;
        let d = self.reg(reg);
        let of = |operand: &Operand| self.body.type_of(*operand);
        if let Expr::Binary(op @ (BinOp::Div | BinOp::Rem), a, Operand::Const(c)) = expr
            && let Some(template) = divide::by_constant(*op, *c)
        {
            return self.fill(&template, &d, &[*a]);
        }
        let (template, operands) = match expr {
            Expr::Copy(a) => return self.copy(&d, *a),
            Expr::Read(var) => {
                let var = self.var(*var);
                return self.line(format!("mov.{} {d}, {var};", table::class(ty)));
            }
            Expr::Load(place) => return self.load(reg, place),
            Expr::Instance => return self.line(format!("mov.b32 {d}, %instance;")),
            Expr::MessageWords => return self.line(format!("mov.b32 {d}, %words;")),
            Expr::HasSender => return self.has_sender(&d),
            Expr::SenderInstance => return self.sender_instance(&d),
            Expr::SentAt => return self.sent_at(&d),
            Expr::Binary(BinOp::Rem, a, b) if ty.is_float() => return self.float_remainder(&d, ty, *a, *b),
            Expr::Unary(op, a) => (table::unary(*op, ty), vec![*a]),
            Expr::Binary(op, a, b) => (table::binary(*op, ty), vec![*a, *b]),
            Expr::Compare(op, a, b) => {
                (table::compare(*op, of(a), self.inverted.contains(&reg)), vec![*a, *b])
            }
            Expr::Overflows(op, a, b) => (table::overflows(*op, of(a)), vec![*a, *b]),
            Expr::MulHigh(a, b) => (table::mul_high(ty), vec![*a, *b]),
            Expr::Cast(a) => (table::cast(of(a), ty), vec![*a]),
            Expr::Bitcast(a) => (table::bitcast(of(a), ty), vec![*a]),
            Expr::Select { condition, yes, no } => (table::select(ty), vec![*condition, *yes, *no]),
            Expr::Math(f, operands) => (table::math(*f, of(&operands[0])), operands.clone()),
        };
        self.fill(&template, &d, &operands);
    }
}
