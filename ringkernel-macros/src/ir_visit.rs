//! Walks over the statements and operands of a body, for the passes and the emitters.

use crate::ir::{Channel, Clock, Effect, Expr, Handler, Local, Operand, Place, Stmt};
use std::collections::HashSet;

/// Calls `f` on every statement, outer ones first, in order.
pub(crate) fn statements<'a>(code: &'a [Stmt], f: &mut dyn FnMut(&'a Stmt)) {
    for statement in code {
        f(statement);
        for block in blocks(statement) {
            statements(block, f);
        }
    }
}

/// The statement lists inside a statement.
pub(crate) fn blocks(statement: &Stmt) -> Vec<&[Stmt]> {
    match statement {
        Stmt::If { then, otherwise, .. } => vec![then, otherwise],
        Stmt::Loop { body, step, .. } => vec![body, step],
        Stmt::Block { body, .. } => vec![body],
        _ => Vec::new(),
    }
}

/// The statement lists inside a statement, to be changed.
pub(crate) fn blocks_mut(statement: &mut Stmt) -> Vec<&mut Vec<Stmt>> {
    match statement {
        Stmt::If { then, otherwise, .. } => vec![then, otherwise],
        Stmt::Loop { body, step, .. } => vec![body, step],
        Stmt::Block { body, .. } => vec![body],
        _ => Vec::new(),
    }
}

/// The operands of a place.
fn place_mut(place: &mut Place, f: &mut dyn FnMut(&mut Operand)) {
    place.index.iter_mut().for_each(|(operand, _)| f(operand));
}

/// Calls `f` on every operand of an expression.
pub(crate) fn expr_operands_mut(expr: &mut Expr, f: &mut dyn FnMut(&mut Operand)) {
    match expr {
        Expr::Read(_)
        | Expr::Instance
        | Expr::MessageWords
        | Expr::HasSender
        | Expr::SenderInstance
        | Expr::SentAt => {}
        Expr::Load(place) => place_mut(place, f),
        Expr::Copy(a) | Expr::Unary(_, a) | Expr::Cast(a) | Expr::Bitcast(a) => f(a),
        Expr::Binary(_, a, b) | Expr::Compare(_, a, b) | Expr::Overflows(_, a, b) | Expr::MulHigh(a, b) => {
            f(a);
            f(b);
        }
        Expr::Select { condition, yes, no } => {
            f(condition);
            f(yes);
            f(no);
        }
        Expr::Math(_, operands) => operands.iter_mut().for_each(f),
    }
}

/// The operand of an effect.
fn effect_operand_mut(effect: &mut Effect) -> Option<&mut Operand> {
    match effect {
        Effect::Send(Channel::Send { instance, .. } | Channel::Forward { instance, .. }, _) => Some(instance),
        Effect::Clock(Clock::Update(seen)) => Some(seen),
        Effect::Send(Channel::Reply | Channel::Output | Channel::Publish { .. }, _)
        | Effect::Receive(..)
        | Effect::Clock(Clock::Now | Clock::Tick) => None,
    }
}

/// The locals that messages leave from or arrive in: these need addresses.
pub(crate) fn payloads(code: &[Stmt]) -> HashSet<Local> {
    let mut locals = HashSet::new();
    statements(code, &mut |statement| {
        if let Stmt::Effect(_, effect) = statement {
            locals.extend(effect.payload().map(|payload| payload.local));
        }
    });
    locals
}

/// Calls `f` on the operands of one statement, not on those of statements inside it.
pub(crate) fn own_operands_mut(statement: &mut Stmt, f: &mut dyn FnMut(&mut Operand)) {
    match statement {
        Stmt::Let(_, expr) => expr_operands_mut(expr, f),
        Stmt::Set(_, operand) => f(operand),
        Stmt::Store(place, operand) => {
            place_mut(place, f);
            f(operand);
        }
        Stmt::Effect(_, effect) => {
            if let Some(operand) = effect_operand_mut(effect) {
                f(operand);
            }
        }
        Stmt::If { condition, .. } => f(condition),
        Stmt::Check { failed, .. } => f(failed),
        Stmt::Loop { .. }
        | Stmt::Block { .. }
        | Stmt::Break(_)
        | Stmt::Continue(_)
        | Stmt::Fault { .. }
        | Stmt::Finish
        | Stmt::Source { .. } => {}
    }
}

/// Calls `f` on every operand, in order.
pub(crate) fn operands(code: &[Stmt], f: &mut dyn FnMut(&Operand)) {
    let place =
        |place: &Place, f: &mut dyn FnMut(&Operand)| place.index.iter().for_each(|(operand, _)| f(operand));
    statements(code, &mut |statement| match statement {
        Stmt::Let(_, expr) => match expr {
            Expr::Read(_)
            | Expr::Instance
            | Expr::MessageWords
            | Expr::HasSender
            | Expr::SenderInstance
            | Expr::SentAt => {}
            Expr::Load(from) => place(from, f),
            Expr::Copy(a) | Expr::Unary(_, a) | Expr::Cast(a) | Expr::Bitcast(a) => f(a),
            Expr::Binary(_, a, b)
            | Expr::Compare(_, a, b)
            | Expr::Overflows(_, a, b)
            | Expr::MulHigh(a, b) => {
                f(a);
                f(b);
            }
            Expr::Select { condition, yes, no } => [condition, yes, no].into_iter().for_each(&mut *f),
            Expr::Math(_, operands) => operands.iter().for_each(&mut *f),
        },
        Stmt::Set(_, operand) => f(operand),
        Stmt::Store(to, operand) => {
            place(to, f);
            f(operand);
        }
        Stmt::Effect(_, effect) => {
            if let Some(operand) = effect_operand_mut(&mut effect.clone()) {
                f(operand);
            }
        }
        Stmt::If { condition, .. } => f(condition),
        Stmt::Check { failed, .. } => f(failed),
        _ => {}
    });
}

/// Whether the statements never run off their end.
pub(crate) fn diverges(code: &[Stmt]) -> bool {
    match code.last() {
        Some(Stmt::Break(_) | Stmt::Continue(_) | Stmt::Fault { .. } | Stmt::Finish) => true,
        Some(Stmt::If { then, otherwise, .. }) => diverges(then) && diverges(otherwise),
        _ => false,
    }
}

/// Whether a handler asks how long its message is: then that is of variable size.
pub(crate) fn asks_for_words(handler: &Handler) -> bool {
    let mut asks = false;
    statements(&handler.body.code, &mut |stmt| asks |= matches!(stmt, Stmt::Let(_, Expr::MessageWords)));
    asks
}
