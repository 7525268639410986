//! Constants and copies are propagated, values computed or loaded twice are so once, branches and checks whose outcome is known go.
//!
//! Why: lowering is simple because it may be wasteful: every `let` is a copy, every `&&` a variable, every index a check, every inlined
//! function a block. One walk in evaluation order, with what is known at each point, takes that out again. (ptxas folds constants but keeps
//! checks, and the text is meant to be read.)
//!
//! The walk follows the structure: what is learnt inside a nested list holds there; after it, variables that it sets are unknown. A loop's
//! body and step start from what held before the loop, less the variables the loop sets.

use super::algebra;
use super::bounds::{Bounds, Range};
use super::memory::Memory;
use super::promote::settle;
use super::scoped::Scoped;
use crate::ir::{Body, Const, Expr, Label, Operand, Reg, Scalar, Stmt, UnOp, Var};
use crate::ir_visit::{self, diverges};
use std::collections::{HashMap, VecDeque};

pub(super) fn run(body: &mut Body) {
    let code = std::mem::take(&mut body.code);
    let mut walk = Walk {
        body,
        values: Scoped::new(),
        vars: Scoped::new(),
        memory: Memory::new(),
        computed: Scoped::new(),
        bounds: Bounds::new(),
        defined: HashMap::new(),
    };
    let code = walk.block(code);
    body.code = code;
}

/// What [`algebra`] may ask.
pub(super) struct Known<'a> {
    body: &'a Body,
    bounds: &'a Bounds,
    defined: &'a HashMap<Reg, Expr>,
}

impl Known<'_> {
    pub(super) fn ty(&self, operand: Operand) -> Scalar {
        self.body.type_of(operand)
    }

    /// How a register got its value. Its operands can be used wherever the register can.
    pub(super) fn definition(&self, operand: Operand) -> Option<&Expr> {
        match operand {
            Operand::Const(_) => None,
            Operand::Reg(reg) => self.defined.get(&reg),
        }
    }

    /// The least and the greatest value of an integer.
    pub(super) fn range(&self, operand: Operand) -> Range {
        self.bounds.of(operand, self.defined, &|operand| self.body.type_of(operand))
    }
}

struct Walk<'a> {
    body: &'a mut Body,
    /// What a register may be replaced with here.
    values: Scoped<Reg, Operand>,
    /// What a variable holds here.
    vars: Scoped<Var, Operand>,
    /// What places hold here.
    memory: Memory,
    /// Registers that already hold an expression's value, by its text.
    computed: Scoped<String, Reg>,
    bounds: Bounds,
    /// How registers got their values. Never out of date, since they are assigned once.
    defined: HashMap<Reg, Expr>,
}

fn breaks(code: &[Stmt], label: Label) -> bool {
    let mut found = false;
    ir_visit::statements(code, &mut |statement| found |= *statement == Stmt::Break(label));
    found
}

/// Whether the code does nothing.
fn idle(code: &[Stmt]) -> bool {
    code.iter().all(|statement| matches!(statement, Stmt::Source { .. }))
}

/// A block's code without the breaks at its ends, where falling out means the same: `if c { …; break } rest; break` is `if c { … } else {
/// rest }`. `None` if a break is left.
fn unwrapped(label: Label, code: &[Stmt]) -> Option<Vec<Stmt>> {
    let mut code = code.to_vec();
    if code.last() == Some(&Stmt::Break(label)) {
        code.pop();
    }
    let split = code.iter().position(|statement| {
        ir_visit::blocks(statement).into_iter().any(|block| breaks(block, label))
            || *statement == Stmt::Break(label)
    });
    let Some(split) = split else { return Some(code) };
    let rest = code.split_off(split + 1);
    let Some(Stmt::If { condition, then, otherwise }) = code.pop() else { return None };
    let (then, otherwise) = match (diverges(&then), diverges(&otherwise)) {
        _ if rest.is_empty() => (then, otherwise),
        (true, true) => (then, otherwise),
        (true, false) => (then, otherwise.into_iter().chain(rest).collect()),
        (false, true) => (then.into_iter().chain(rest).collect(), otherwise),
        (false, false) => return None,
    };
    let (then, otherwise) = (unwrapped(label, &then)?, unwrapped(label, &otherwise)?);
    code.push(Stmt::If { condition, then, otherwise });
    Some(code)
}

impl Walk<'_> {
    /// Runs `f` and forgets what it learnt.
    fn scope<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let marks = (self.values.mark(), self.vars.mark(), self.computed.mark(), self.bounds.mark());
        let memory = self.memory.mark();
        let out = f(self);
        self.values.rewind(marks.0);
        self.vars.rewind(marks.1);
        self.computed.rewind(marks.2);
        self.bounds.rewind(marks.3);
        self.memory.rewind(memory);
        out
    }

    /// Forgets what this code may change.
    fn forget(&mut self, code: &[Stmt]) {
        ir_visit::statements(code, &mut |statement| {
            if let Stmt::Set(var, _) = statement {
                self.vars.remove(*var);
            }
        });
        self.memory.forget(code);
    }

    /// From here on, the register has this value: a branch or a check has seen to it.
    fn learn(&mut self, condition: Operand, value: bool) {
        let Operand::Reg(reg) = condition else { return };
        self.values.insert(reg, Operand::Const(Const::bool(value)));
        match self.defined.get(&reg) {
            Some(Expr::Unary(UnOp::Not, inner)) => self.learn(*inner, !value),
            Some(Expr::Compare(op, a, b)) => {
                let (body, defined) = (&*self.body, &self.defined);
                self.bounds.learn((*op, *a, *b), value, defined, &|operand| body.type_of(operand));
            }
            _ => {}
        }
    }

    fn replaced(&self, operand: Operand) -> Operand {
        match operand {
            Operand::Reg(reg) => self.values.get(&reg).copied().unwrap_or(operand),
            operand => operand,
        }
    }

    fn block(&mut self, code: Vec<Stmt>) -> Vec<Stmt> {
        let mut out = Vec::new();
        let mut queue = VecDeque::from(code);
        while let Some(mut statement) = queue.pop_front() {
            ir_visit::own_operands_mut(&mut statement, &mut |operand| *operand = self.replaced(*operand));
            match statement {
                Stmt::Let(reg, expr) => self.define(reg, expr, &mut out),
                Stmt::Set(var, operand) => {
                    if self.vars.get(&var) != Some(&operand) {
                        self.vars.insert(var, operand);
                        out.push(Stmt::Set(var, operand));
                    }
                }
                Stmt::If { condition: Operand::Const(c), then, otherwise } => {
                    let taken = if c.bits != 0 { then } else { otherwise };
                    let ends = diverges(&taken);
                    if ends {
                        queue.clear();
                    }
                    taken.into_iter().rev().for_each(|statement| queue.push_front(statement));
                }
                Stmt::If { condition, then, otherwise } => {
                    if self.branch(condition, then, otherwise, &mut out) {
                        return out;
                    }
                }
                Stmt::Loop { label, body, step } => {
                    self.forget(&body);
                    self.forget(&step);
                    let body = self.scope(|walk| walk.block(body));
                    let step = self.scope(|walk| walk.block(step));
                    let ends = !breaks(&body, label);
                    out.push(Stmt::Loop { label, body, step });
                    if ends {
                        return out;
                    }
                }
                Stmt::Block { label, body } => {
                    if let Some(plain) = unwrapped(label, &body) {
                        plain.into_iter().rev().for_each(|statement| queue.push_front(statement));
                        continue;
                    }
                    let body = self.scope(|walk| walk.block(body));
                    self.forget(&body);
                    out.push(Stmt::Block { label, body });
                }
                Stmt::Check { failed: Operand::Const(c), kind, site } => {
                    if c.bits != 0 {
                        out.push(Stmt::Fault { kind, site });
                        return out;
                    }
                }
                Stmt::Check { failed, .. } => {
                    out.push(statement);
                    self.learn(failed, false);
                }
                Stmt::Break(_) | Stmt::Continue(_) | Stmt::Fault { .. } | Stmt::Finish => {
                    out.push(statement);
                    return out;
                }
                Stmt::Store(mut place, value) => {
                    settle(&mut place);
                    if self.memory.at(&place) != Some(value) {
                        self.memory.stored(&place, value);
                        out.push(Stmt::Store(place, value));
                    }
                }
                Stmt::Effect(_, effect) => {
                    self.memory.happened(&effect);
                    out.push(statement);
                }
                Stmt::Source { .. } => out.push(statement),
            }
        }
        out
    }

    fn define(&mut self, reg: Reg, mut expr: Expr, out: &mut Vec<Stmt>) {
        let ty = self.body.regs[reg.0 as usize].ty;
        if let Expr::Load(place) = &mut expr {
            settle(place);
        }
        let known = Known { body: self.body, bounds: &self.bounds, defined: &self.defined };
        let expr = algebra::simplify(expr, ty, &known);
        match &expr {
            Expr::Copy(operand) => return self.alias(reg, *operand),
            Expr::Read(var) => match self.vars.get(var) {
                Some(value) => return self.alias(reg, *value),
                None => self.vars.insert(*var, Operand::Reg(reg)),
            },
            Expr::Load(place) => match self.memory.at(place) {
                Some(value) => return self.alias(reg, value),
                None => self.memory.loaded(place, Operand::Reg(reg)),
            },
            expr => {
                let text = format!("{ty:?} {expr:?}");
                if let Some(first) = self.computed.get(&text) {
                    return self.alias(reg, Operand::Reg(*first));
                }
                self.computed.insert(text, reg);
            }
        }
        self.defined.insert(reg, expr.clone());
        out.push(Stmt::Let(reg, expr));
    }

    /// Replaces `reg` by `value` from here on; a name that would be lost goes to the value.
    fn alias(&mut self, reg: Reg, value: Operand) {
        let value = self.replaced(value);
        self.values.insert(reg, value);
        if let Operand::Reg(source) = value {
            let name = self.body.regs[reg.0 as usize].name.clone();
            let slot = &mut self.body.regs[source.0 as usize].name;
            *slot = slot.take().or(name);
        }
    }

    /// Says whether nothing comes after it.
    fn branch(
        &mut self,
        condition: Operand,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
        out: &mut Vec<Stmt>,
    ) -> bool {
        let (mut condition, mut then, mut otherwise) = (condition, then, otherwise);
        while let Operand::Reg(reg) = condition
            && let Some(Expr::Unary(UnOp::Not, inner)) = self.defined.get(&reg)
        {
            condition = *inner;
            std::mem::swap(&mut then, &mut otherwise);
        }
        let arm = |walk: &mut Self, code: Vec<Stmt>, holds: bool| {
            walk.scope(|walk| {
                walk.learn(condition, holds);
                walk.block(code)
            })
        };
        let then = arm(self, then, true);
        let otherwise = arm(self, otherwise, false);
        if idle(&then) && idle(&otherwise) {
            return false;
        }
        let ends = (diverges(&then), diverges(&otherwise));
        if !ends.0 {
            self.forget(&then);
        }
        if !ends.1 {
            self.forget(&otherwise);
        }
        out.push(Stmt::If { condition, then, otherwise });
        match ends {
            (true, true) => return true,
            (true, false) => self.learn(condition, false),
            (false, true) => self.learn(condition, true),
            (false, false) => {}
        }
        false
    }
}
