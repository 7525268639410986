//! The IR as text, for tests and for people who debug the compiler.

use crate::ir::{
    Body, Channel, Clock, Const, Effect, Expr, Operand, Payload, Place, Reg, Root, Scalar, Stmt,
};
use std::fmt::Write;

/// A body's statements, one a line.
pub(crate) fn body(body: &Body) -> String {
    let mut text = String::new();
    list(body, &body.code, 0, &mut text);
    text
}

fn reg(body: &Body, reg: Reg) -> String {
    match &body.regs[reg.0 as usize].name {
        Some(name) => format!("%{}.{name}", reg.0),
        None => format!("%{}", reg.0),
    }
}

fn constant(c: Const) -> String {
    match c.ty {
        Scalar::Bool => (c.bits != 0).to_string(),
        Scalar::F32 => format!("{:?}_f32", f32::from_bits(c.bits as u32)),
        Scalar::F64 => format!("{:?}_f64", f64::from_bits(c.bits)),
        ty => format!("{}_{}", c.as_i128(), ty.name()),
    }
}

fn operand(body: &Body, operand: Operand) -> String {
    match operand {
        Operand::Const(c) => constant(c),
        Operand::Reg(r) => reg(body, r),
    }
}

fn place(body: &Body, place: &Place) -> String {
    let mut text = match place.root {
        Root::State => "state".to_string(),
        Root::Message => "message".to_string(),
        Root::Reply => "reply".to_string(),
        Root::Local(local) => format!("${}", body.locals[local.0 as usize].name),
    };
    let _ = write!(text, "[{}", place.offset);
    for (index, stride) in &place.index {
        let _ = write!(text, " + {} * {stride}", operand(body, *index));
    }
    text + "]"
}

fn expr(body: &Body, expr: &Expr) -> String {
    let of = |o: &Operand| operand(body, *o);
    let lower = |name: &dyn std::fmt::Debug| format!("{name:?}").to_lowercase();
    match expr {
        Expr::Copy(a) => of(a),
        Expr::Read(var) => format!("read {}", body.vars[var.0 as usize].name),
        Expr::Load(from) => format!("load {}", place(body, from)),
        Expr::Unary(op, a) => format!("{} {}", lower(op), of(a)),
        Expr::Binary(op, a, b) => format!("{} {}, {}", lower(op), of(a), of(b)),
        Expr::Compare(op, a, b) => format!("{} {}, {}", lower(op), of(a), of(b)),
        Expr::Overflows(op, a, b) => format!("overflows {} {}, {}", lower(op), of(a), of(b)),
        Expr::MulHigh(a, b) => format!("mulhigh {}, {}", of(a), of(b)),
        Expr::Cast(a) => format!("cast {}", of(a)),
        Expr::Bitcast(a) => format!("bitcast {}", of(a)),
        Expr::Select { condition, yes, no } => format!("select {} ? {} : {}", of(condition), of(yes), of(no)),
        Expr::Math(f, operands) => {
            format!("{} {}", lower(f), operands.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        Expr::Instance => "instance".into(),
        Expr::MessageWords => "message_words".into(),
        Expr::HasSender => "has_sender".into(),
        Expr::SenderInstance => "sender_instance".into(),
        Expr::SentAt => "sent_at".into(),
    }
}

fn effect(body: &Body, effect: &Effect) -> String {
    let of = |o: &Operand| operand(body, *o);
    let payload = |Payload { tag, local, words }: &Payload| {
        format!("0x{tag:x} ${} * {words}", body.locals[local.0 as usize].name)
    };
    match effect {
        Effect::Send(channel, parcel) => {
            let how = match channel {
                Channel::Send { route, instance } => format!("send {} {}", route.0, of(instance)),
                Channel::Forward { route, instance } => format!("forward {} {}", route.0, of(instance)),
                Channel::Reply => "reply".into(),
                Channel::Output => "output".into(),
                Channel::Publish { topic, retain } => {
                    format!("publish {}{}", topic.0, if *retain { " retained" } else { "" })
                }
            };
            format!("{how}, {}", payload(parcel))
        }
        Effect::Receive(route, parcel) => format!("receive {}, {}", route.0, payload(parcel)),
        Effect::Clock(Clock::Now) => "now".into(),
        Effect::Clock(Clock::Tick) => "tick".into(),
        Effect::Clock(Clock::Update(seen)) => format!("update_clock {}", of(seen)),
    }
}

fn list(body: &Body, code: &[Stmt], depth: usize, text: &mut String) {
    for statement in code {
        let indent = "  ".repeat(depth);
        let mut line = |line: String| {
            let _ = writeln!(text, "{indent}{line}");
        };
        match statement {
            Stmt::Let(r, e) => {
                line(format!("{}: {} = {}", reg(body, *r), body.regs[r.0 as usize].ty.name(), expr(body, e)));
            }
            Stmt::Effect(r, e) => {
                line(format!(
                    "{}: {} = {}",
                    reg(body, *r),
                    body.regs[r.0 as usize].ty.name(),
                    effect(body, e)
                ));
            }
            Stmt::Set(var, value) => {
                line(format!("{} := {}", body.vars[var.0 as usize].name, operand(body, *value)))
            }
            Stmt::Store(to, value) => line(format!("store {}, {}", place(body, to), operand(body, *value))),
            Stmt::Break(label) => line(format!("break L{}", label.0)),
            Stmt::Continue(label) => line(format!("continue L{}", label.0)),
            Stmt::Check { failed, kind, site } => {
                line(format!("check not {}: {kind:?} at {}", operand(body, *failed), site.0));
            }
            Stmt::Fault { kind, site } => line(format!("fault {kind:?} at {}", site.0)),
            Stmt::Finish => line("finish".into()),
            Stmt::Source { line: number, text } => line(format!("// {number}: {text}")),
            Stmt::If { condition, then, otherwise } => {
                line(format!("if {}", operand(body, *condition)));
                list(body, then, depth + 1, text);
                if !otherwise.is_empty() {
                    let _ = writeln!(text, "{indent}else");
                    list(body, otherwise, depth + 1, text);
                }
            }
            Stmt::Loop { label, body: inner, step } => {
                line(format!("loop L{}", label.0));
                list(body, inner, depth + 1, text);
                if !step.is_empty() {
                    let _ = writeln!(text, "{indent}step");
                    list(body, step, depth + 1, text);
                }
            }
            Stmt::Block { label, body: inner } => {
                line(format!("block L{}", label.0));
                list(body, inner, depth + 1, text);
            }
        }
    }
}
