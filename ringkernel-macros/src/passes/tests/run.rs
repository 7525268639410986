//! Runs IR, so that what the passes made can be compared with what they were given.

use crate::ir::*;
use crate::ir_eval;
use ringkernel_backends::abi::FaultKind;
use std::collections::HashMap;

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Fault(FaultKind, SiteId),
    /// It took more steps than it was given.
    Exhausted,
}

enum Flow {
    Next,
    Break(Label),
    Continue(Label),
    End(End),
}

/// Memory and values.
pub(super) struct Machine<'a> {
    body: &'a Body,
    pub(super) state: Vec<u8>,
    pub(super) message: Vec<u8>,
    pub(super) reply: Vec<u8>,
    locals: Vec<Vec<u8>>,
    regs: HashMap<Reg, Const>,
    vars: HashMap<Var, Const>,
    fuel: u32,
}

impl<'a> Machine<'a> {
    pub(super) fn new(body: &'a Body, state: &[u8], message: &[u8]) -> Self {
        let locals = body.locals.iter().map(|local| vec![0; local.size as usize]).collect();
        Self {
            body,
            state: state.to_vec(),
            message: message.to_vec(),
            reply: vec![0; 256],
            locals,
            regs: HashMap::new(),
            vars: HashMap::new(),
            fuel: 20_000,
        }
    }

    pub(super) fn run(&mut self) -> End {
        let body = self.body;
        match self.block(&body.code) {
            Flow::End(end) => end,
            _ => panic!("the body ran off its end"),
        }
    }

    fn value(&self, operand: Operand) -> Const {
        match operand {
            Operand::Const(c) => c,
            Operand::Reg(reg) => self.regs[&reg],
        }
    }

    fn bytes(&mut self, place: &Place, len: u32) -> &mut [u8] {
        let mut at = place.offset as usize;
        for (index, stride) in &place.index {
            at += self.value(*index).bits as usize * *stride as usize;
        }
        let memory = match place.root {
            Root::State => &mut self.state,
            Root::Message => &mut self.message,
            Root::Reply => &mut self.reply,
            Root::Local(local) => &mut self.locals[local.0 as usize],
        };
        &mut memory[at..at + len as usize]
    }

    fn compute(&mut self, reg: Reg, expr: &Expr) -> Const {
        let ty = self.body.regs[reg.0 as usize].ty;
        match expr {
            Expr::Read(var) => self.vars[var],
            Expr::Instance => Const::u32(3),
            Expr::Load(place) => {
                let bytes = self.bytes(place, ty.bytes());
                let mut all = [0; 8];
                all[..bytes.len()].copy_from_slice(bytes);
                Const { ty, bits: u64::from_le_bytes(all) }
            }
            expr => {
                let mut expr = expr.clone();
                crate::ir_visit::expr_operands_mut(&mut expr, &mut |operand| {
                    *operand = Operand::Const(self.value(*operand));
                });
                ir_eval::eval(&expr, ty).unwrap_or_else(|| panic!("a precondition does not hold: {expr:?}"))
            }
        }
    }

    fn block(&mut self, code: &[Stmt]) -> Flow {
        for statement in code {
            if self.fuel == 0 {
                return Flow::End(End::Exhausted);
            }
            match self.statement(statement) {
                Flow::Next => {}
                flow => return flow,
            }
        }
        Flow::Next
    }

    fn statement(&mut self, statement: &Stmt) -> Flow {
        match statement {
            Stmt::Let(reg, expr) => {
                let value = self.compute(*reg, expr);
                assert_eq!(value.ty, self.body.regs[reg.0 as usize].ty, "{reg:?} = {expr:?}");
                self.regs.insert(*reg, value);
            }
            Stmt::Set(var, operand) => {
                let value = self.value(*operand);
                assert_eq!(value.ty, self.body.vars[var.0 as usize].ty);
                self.vars.insert(*var, value);
            }
            Stmt::Store(place, operand) => {
                let value = self.value(*operand);
                let len = value.ty.bytes();
                self.bytes(place, len).copy_from_slice(&value.bits.to_le_bytes()[..len as usize]);
            }
            Stmt::If { condition, then, otherwise } => {
                return self.block(if self.value(*condition).bits != 0 { then } else { otherwise });
            }
            Stmt::Loop { label, body, step } => loop {
                self.fuel = self.fuel.saturating_sub(1);
                match self.block(body) {
                    Flow::Next => {}
                    Flow::Continue(to) if to == *label => {}
                    Flow::Break(to) if to == *label => return Flow::Next,
                    flow => return flow,
                }
                match self.block(step) {
                    Flow::Next => {}
                    flow => return flow,
                }
            },
            Stmt::Block { label, body } => {
                return match self.block(body) {
                    Flow::Break(to) if to == *label => Flow::Next,
                    flow => flow,
                };
            }
            Stmt::Break(label) => return Flow::Break(*label),
            Stmt::Continue(label) => return Flow::Continue(*label),
            Stmt::Check { failed, kind, site } => {
                if self.value(*failed).bits != 0 {
                    return Flow::End(End::Fault(*kind, *site));
                }
            }
            Stmt::Fault { kind, site } => return Flow::End(End::Fault(*kind, *site)),
            Stmt::Finish => return Flow::End(End::Finished),
            Stmt::Source { .. } => {}
        }
        Flow::Next
    }
}
