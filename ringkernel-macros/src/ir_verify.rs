//! Checks that IR keeps the promises of the essay in [`crate::ir`]: what emitters and passes rely on.

use crate::ir::*;
use crate::ir_visit;
use std::collections::HashSet;

/// What is wrong with a body, in words; empty if nothing is.
pub(crate) fn verify(body: &Body) -> Vec<String> {
    let mut checker = Checker {
        body,
        defined: vec![false; body.regs.len()],
        labels: HashSet::new(),
        open: Vec::new(),
        wrong: Vec::new(),
    };
    let mut visible = HashSet::new();
    if checker.list(&body.code, &mut visible) {
        checker.wrong.push("control reaches the end of the body".into());
    }
    checker.wrong
}

struct Checker<'a> {
    body: &'a Body,
    /// Which registers have been assigned, anywhere.
    defined: Vec<bool>,
    labels: HashSet<Label>,
    /// Labels around the statement, and whether each is a loop.
    open: Vec<(Label, bool)>,
    wrong: Vec<String>,
}

impl Checker<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn use_of(&mut self, operand: Operand, visible: &HashSet<Reg>) {
        match operand {
            Operand::Reg(reg) if !visible.contains(&reg) => {
                self.wrong(format!("{reg:?} is read where it has not been assigned"));
            }
            Operand::Const(c) => {
                let wrapped = if c.ty.is_float() { c.bits } else { Const::int(c.ty, c.bits as i128).bits };
                if wrapped != c.bits || (c.ty == Scalar::F32 && c.bits >> 32 != 0) {
                    self.wrong(format!("{c:?} has bits beyond its type"));
                }
            }
            Operand::Reg(_) => {}
        }
    }

    fn expect(&mut self, what: &str, expected: Scalar, found: Scalar) {
        if expected != found {
            self.wrong(format!("{what}: {found:?} where {expected:?} belongs"));
        }
    }

    fn place(&mut self, place: &Place, ty: Scalar) {
        for (index, _) in &place.index {
            let found = self.body.type_of(*index);
            self.expect("an index", self.body.index, found);
        }
        let steps = place.index.iter().map(|(_, stride)| *stride);
        if steps.chain([place.offset]).any(|bytes| !bytes.is_multiple_of(ty.bytes())) {
            self.wrong(format!("{place:?} is not aligned for {ty:?}"));
        }
        if let Root::Local(local) = place.root {
            match self.body.locals.get(local.0 as usize) {
                Some(info) if place.offset + ty.bytes() <= info.size => {}
                _ => self.wrong(format!("{place:?} is outside its local")),
            }
        }
    }

    fn expr(&mut self, reg: Reg, expr: &Expr) {
        let ty = self.body.regs[reg.0 as usize].ty;
        let of = |operand: &Operand| self.body.type_of(*operand);
        let pairs: Vec<(Scalar, Scalar)> = match expr {
            Expr::Copy(a) | Expr::Unary(_, a) => vec![(ty, of(a))],
            Expr::Read(var) => vec![(ty, self.body.vars[var.0 as usize].ty)],
            Expr::Load(place) => return self.place(&place.clone(), ty),
            Expr::Binary(BinOp::Shl | BinOp::Shr, a, b) => vec![(ty, of(a)), (Scalar::U32, of(b))],
            Expr::Binary(_, a, b) | Expr::MulHigh(a, b) => vec![(ty, of(a)), (ty, of(b))],
            Expr::Compare(_, a, b) | Expr::Overflows(_, a, b) => vec![(Scalar::Bool, ty), (of(a), of(b))],
            Expr::Cast(a) => {
                if ty == Scalar::Bool && of(a) != Scalar::Bool {
                    self.wrong("a cast to bool");
                }
                vec![]
            }
            Expr::Bitcast(a) => {
                if of(a).bits() != ty.bits() {
                    self.wrong("a bitcast between widths");
                }
                vec![]
            }
            Expr::Select { condition, yes, no } => {
                vec![(Scalar::Bool, of(condition)), (ty, of(yes)), (ty, of(no))]
            }
            Expr::Math(function, operands) => {
                use MathFn::*;
                let first = of(&operands[0]);
                let (count, float) = match function {
                    CountOnes | LeadingZeros | TrailingZeros | ReverseBits | SwapBytes => (1, false),
                    RotateLeft | RotateRight | Min | Max => (2, false),
                    FloatAbs | Sqrt | Floor | Ceil | Trunc | Round | RoundTiesEven => (1, true),
                    MinNum | MaxNum | CopySign => (2, true),
                    MulAdd => (3, true),
                };
                if operands.len() != count || first.is_float() != float || first == Scalar::Bool {
                    self.wrong(format!("{function:?} of {operands:?}"));
                }
                let counts = matches!(function, CountOnes | LeadingZeros | TrailingZeros);
                let rotates = matches!(function, RotateLeft | RotateRight);
                let mut pairs = vec![(if counts { Scalar::U32 } else { first }, ty)];
                for operand in &operands[1..] {
                    pairs.push((if rotates { Scalar::U32 } else { first }, of(operand)));
                }
                pairs
            }
            Expr::Instance | Expr::MessageWords | Expr::SenderInstance => vec![(Scalar::U32, ty)],
            Expr::HasSender => vec![(Scalar::Bool, ty)],
            Expr::SentAt => vec![(Scalar::U64, ty)],
        };
        for (expected, found) in pairs {
            self.expect(&format!("{expr:?}"), expected, found);
        }
    }

    fn effect(&mut self, reg: Reg, effect: &Effect) {
        let ty = self.body.regs[reg.0 as usize].ty;
        let result = if let Effect::Clock(_) = effect { Scalar::U64 } else { Scalar::U32 };
        self.expect(&format!("{effect:?}"), result, ty);
        let mut copy = Stmt::Effect(reg, *effect);
        let mut operands = Vec::new();
        ir_visit::own_operands_mut(&mut copy, &mut |operand| operands.push(*operand));
        for operand in operands {
            self.expect(&format!("an operand of {effect:?}"), result, self.body.type_of(operand));
        }
        if let Some(payload) = effect.payload() {
            match self.body.locals.get(payload.local.0 as usize) {
                Some(info) if payload.words * 4 <= info.size && info.align >= 4 => {}
                _ => self.wrong(format!("{effect:?} is larger than its local, or not aligned")),
            }
        }
    }

    /// Whether control reaches the list's end.
    fn list(&mut self, code: &[Stmt], visible: &mut HashSet<Reg>) -> bool {
        let mut live = true;
        let mut here = Vec::new();
        for stmt in code {
            if !live {
                self.wrong(format!("{stmt:?} follows a statement that does not end"));
                break;
            }
            let mut copy = stmt.clone();
            let mut operands = Vec::new();
            ir_visit::own_operands_mut(&mut copy, &mut |operand| operands.push(*operand));
            operands.into_iter().for_each(|operand| self.use_of(operand, visible));
            live = self.stmt(stmt, visible);
            if let Stmt::Let(reg, _) | Stmt::Effect(reg, _) = stmt {
                if std::mem::replace(&mut self.defined[reg.0 as usize], true) {
                    self.wrong(format!("{reg:?} is assigned twice"));
                }
                visible.insert(*reg);
                here.push(*reg);
            }
        }
        for reg in here {
            visible.remove(&reg);
        }
        live
    }

    fn nested(&mut self, code: &[Stmt], visible: &HashSet<Reg>) -> bool {
        self.list(code, &mut visible.clone())
    }

    fn open_label(&mut self, label: Label, is_loop: bool) {
        if !self.labels.insert(label) || label.0 >= self.body.labels {
            self.wrong(format!("{label:?} is used twice or not counted"));
        }
        self.open.push((label, is_loop));
    }

    fn stmt(&mut self, stmt: &Stmt, visible: &mut HashSet<Reg>) -> bool {
        match stmt {
            Stmt::Let(reg, expr) => self.expr(*reg, expr),
            Stmt::Effect(reg, effect) => self.effect(*reg, effect),
            Stmt::Set(var, operand) => {
                let (ty, found) = (self.body.vars[var.0 as usize].ty, self.body.type_of(*operand));
                self.expect("a variable's value", ty, found);
            }
            Stmt::Store(place, operand) => {
                if place.root == Root::Message {
                    self.wrong("the message is written");
                }
                self.place(&place.clone(), self.body.type_of(*operand));
            }
            Stmt::If { condition, then, otherwise } => {
                self.expect("a condition", Scalar::Bool, self.body.type_of(*condition));
                let then = self.nested(then, visible);
                let otherwise = self.nested(otherwise, visible);
                return then || otherwise;
            }
            Stmt::Loop { label, body, step } => {
                self.open_label(*label, true);
                self.nested(body, visible);
                self.open.pop();
                // A step leaves nothing.
                let around = std::mem::take(&mut self.open);
                self.nested(step, visible);
                self.open = around;
                return leaves(body, *label);
            }
            Stmt::Block { label, body } => {
                self.open_label(*label, false);
                let live = self.nested(body, visible);
                self.open.pop();
                return live || leaves(body, *label);
            }
            Stmt::Break(label) => {
                if !self.open.iter().any(|(open, _)| open == label) {
                    self.wrong(format!("{stmt:?} leaves nothing"));
                }
                return false;
            }
            Stmt::Continue(label) => {
                if !self.open.contains(&(*label, true)) {
                    self.wrong(format!("{stmt:?} is in no such loop"));
                }
                return false;
            }
            Stmt::Check { failed, .. } => {
                self.expect("a check", Scalar::Bool, self.body.type_of(*failed));
            }
            Stmt::Fault { .. } | Stmt::Finish => return false,
            Stmt::Source { .. } => {}
        }
        true
    }
}

fn leaves(code: &[Stmt], label: Label) -> bool {
    let mut found = false;
    ir_visit::statements(code, &mut |stmt| found |= matches!(stmt, Stmt::Break(to) if *to == label));
    found
}
