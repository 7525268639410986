//! What a handler does through its context, and the two types that only a context gives: `HlcTimestamp` and `Sent`.
//!
//! rustc checks the calls against the real methods, so what is refused here is what only devices mind: a kernel or topic must be named by a
//! literal, and an `Option` is taken apart where it comes from.

use super::check::{Checker, Expect};
use super::tree::{ContextCall, Expr, Kind};
use crate::front::methods;
use crate::front::parse::ast::{self, ExprKind};
use crate::front::types::{Prim, Ty};
use crate::ir::{BinOp, CmpOp, Const, RouteId, TopicId};
use proc_macro2::Span;
use quote::ToTokens;
use ringkernel_backends::mesh::Sent;
use std::rc::Rc;

/// What to say where a kernel or topic is named by something else than a literal.
pub(crate) fn not_a_literal(is_topic: bool) -> String {
    let (what, example) =
        if is_topic { ("a topic", "sensors/temperature") } else { ("a kernel's id", "ledger") };
    format!(
        "{what} is a string literal here, `\"{example}\"`: devices know it by its number, which is given out when the handler is compiled"
    )
}

/// A method call, as written.
pub(super) struct Call<'a> {
    pub(super) name: &'a ast::Member,
    pub(super) turbofish: Option<&'a ast::Turbofish>,
    pub(super) args: &'a [ast::Expr],
    pub(super) span: Span,
}

const RECEIVE: &str = "try_receive_from_kernel";

impl Checker<'_, '_> {
    /// `ctx.name(args)`
    pub(super) fn context_method(&mut self, call: &Call<'_>) -> Expr {
        let name = call.name.name.as_str();
        let sent = Ty::Prim(Prim::Sent);
        let time = Ty::Prim(Prim::Hlc);
        let span = call.span;
        match (name, call.args) {
            ("instance", []) => Expr { span, ty: Ty::Prim(Prim::U32), kind: Kind::Instance },
            ("send" | "forward", [instance, message]) => {
                let Some(turbofish) = call.turbofish else {
                    let message = format!("say whom: `ctx.{name}::<Ledger>(…)`, with the actor's type");
                    self.env.defer(call.name.span, message);
                    return self.lost_call(call);
                };
                let route = self.route_of(&turbofish.written);
                let instance = self.expr_of(instance, &Ty::Prim(Prim::U32));
                let message = self.expr(message, &Expect::Nothing);
                let what = if name == "send" {
                    ContextCall::Send(route)
                } else {
                    ContextCall::Forward(route, turbofish.written.to_token_stream())
                };
                act(what, vec![instance, message], sent, span)
            }
            ("send_to_kernel", [id, message]) => {
                let route = self.named_route(id);
                let zero = Expr { span: id.span, ty: Ty::Prim(Prim::U32), kind: Kind::Int(0) };
                let message = self.expr(message, &Expect::Nothing);
                act(ContextCall::Send(route), vec![zero, message], sent, span)
            }
            ("send_to_instance", [id, instance, message]) => {
                let route = self.named_route(id);
                let instance = self.expr_of(instance, &Ty::Prim(Prim::U32));
                let message = self.expr(message, &Expect::Nothing);
                act(ContextCall::Send(route), vec![instance, message], sent, span)
            }
            ("reply" | "enqueue_output", [message]) => {
                let message = self.expr(message, &Expect::Nothing);
                let what = if name == "reply" { ContextCall::Reply } else { ContextCall::Output };
                act(what, vec![message], sent, span)
            }
            ("publish" | "publish_retained", [topic, message]) => {
                let topic = match self.literal(topic, true) {
                    Some(name) => self.env.topic(name),
                    None => TopicId(0),
                };
                let message = self.expr(message, &Expect::Nothing);
                let retain = name == "publish_retained";
                act(ContextCall::Publish { topic, retain }, vec![message], sent, span)
            }
            (RECEIVE, [_]) => {
                let message = format!(
                    "the `Option` of `{RECEIVE}` is taken apart where it comes from: write `if let Some(job) = ctx.{RECEIVE}::<Job>(\"…\")`, \
                     `while let`, or a `match` on it"
                );
                self.env.error(call.name.span, message);
                Expr { span, ty: Ty::Error, kind: Kind::Error }
            }
            ("has_sender", []) => act(ContextCall::HasSender, vec![], Ty::bool(), span),
            ("sender_instance", []) => act(ContextCall::SenderInstance, vec![], Ty::Prim(Prim::U32), span),
            ("sent_at", []) => act(ContextCall::SentAt, vec![], time, span),
            ("now", []) => act(ContextCall::Now, vec![], time, span),
            ("tick", []) => act(ContextCall::Tick, vec![], time, span),
            ("update_clock", [seen]) => {
                let seen = self.expr_of(seen, &time);
                act(ContextCall::UpdateClock, vec![seen], time, span)
            }
            _ => {
                self.env.defer(call.name.span, format!("a context has no method `{name}` that takes this"));
                self.lost_call(call)
            }
        }
    }

    /// What a call that makes no sense is typed as; its arguments are looked at all the same.
    fn lost_call(&mut self, call: &Call<'_>) -> Expr {
        for arg in call.args.iter().filter(|arg| !matches!(arg.kind, ExprKind::Text(_))) {
            self.expr(arg, &Expect::Nothing);
        }
        Expr { span: call.span, ty: Ty::Error, kind: Kind::Error }
    }

    /// `ctx.try_receive_from_kernel::<M>("id")` as what a `match` looks at: whether there is a message, and the message.
    pub(super) fn received(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let ExprKind::Method { receiver, name, turbofish, args } = &expr.kind else { return None };
        if name.name != RECEIVE {
            return None;
        }
        let receiver = self.expr(receiver, &Expect::Nothing);
        let receiver = self.auto_deref(receiver);
        let ([id], Ty::Context) = (&args[..], self.shallow(&receiver.ty)) else { return None };
        let route = self.named_route(id);
        let message = match turbofish.as_ref().and_then(|turbofish| turbofish.ty.as_ref()) {
            Some(ty) => self.ty(ty),
            None => {
                let message = format!("say which type of message is taken: `ctx.{RECEIVE}::<Job>(\"…\")`");
                self.env.error(name.span, message);
                Ty::Error
            }
        };
        let ty = Ty::Tuple(Rc::new([Ty::bool(), message]));
        Some(act(ContextCall::Receive(route), vec![], ty, expr.span))
    }

    /// The kernel that a type names.
    fn route_of(&mut self, ty: &syn::Type) -> RouteId {
        let text = ty.to_token_stream().to_string().replace(' ', "");
        match self.env.program.own_id(&text) {
            Some(id) => self.env.route(id, None),
            None => self.env.route(text, Some(ty.to_token_stream())),
        }
    }

    /// The kernel that a literal names.
    fn named_route(&mut self, id: &ast::Expr) -> RouteId {
        match self.literal(id, false) {
            Some(id) => self.env.route(id, None),
            None => RouteId(0),
        }
    }

    fn literal(&mut self, expr: &ast::Expr, is_topic: bool) -> Option<String> {
        if let ExprKind::Text(text) = &expr.kind {
            return Some(text.clone());
        }
        self.env.error(expr.span, not_a_literal(is_topic));
        None
    }

    /// A method of an `HlcTimestamp`.
    pub(super) fn timestamp_method(&mut self, receiver: Expr, call: &Call<'_>) -> Expr {
        let span = call.span;
        let name = call.name.name.as_str();
        let bits = cast(receiver, Prim::U64);
        let with = |op: BinOp, amount: u64, ty: Prim, bits: Expr| {
            let right = Expr { span, ty: Ty::Prim(ty), kind: Kind::Int(amount.into()) };
            Expr { span, ty: Ty::Prim(Prim::U64), kind: Kind::Binary(op, Box::new(bits), Box::new(right)) }
        };
        match (name, call.args) {
            ("as_u64", []) => bits,
            ("micros", []) => with(BinOp::Shr, COUNTER_BITS, Prim::U32, bits),
            ("counter", []) => with(BinOp::And, (1 << COUNTER_BITS) - 1, Prim::U64, bits),
            ("max" | "min", [other]) => {
                let other = self.expr_of(other, &Ty::Prim(Prim::Hlc));
                let Some(method) = methods::find(name, Prim::U64) else { return self.lost_call(call) };
                let operands = vec![bits, cast(other, Prim::U64)];
                let kind = Kind::Number(method, operands, call.name.span);
                cast(Expr { span, ty: Ty::Prim(Prim::U64), kind }, Prim::Hlc)
            }
            ("since", _) => {
                self.env.error(
                    call.name.span,
                    "`since` cannot run on a device yet; subtract the microseconds: `a.micros() - b.micros()`",
                );
                self.lost_call(call)
            }
            _ => {
                let message = format!("`HlcTimestamp` has no method `{name}` that devices know");
                self.env.defer(call.name.span, message);
                self.lost_call(call)
            }
        }
    }

    /// A method of a `Sent`.
    pub(super) fn sent_method(&mut self, receiver: Expr, call: &Call<'_>) -> Expr {
        let span = call.span;
        let (op, than) = match (call.name.name.as_str(), call.args) {
            ("is_ok", []) => (CmpOp::Eq, Sent::Ok),
            ("is_full", []) => (CmpOp::Eq, Sent::Full),
            ("is_gone", []) => (CmpOp::Gt, Sent::Full),
            (name, _) => {
                self.env.defer(call.name.span, format!("`Sent` has no method `{name}` that devices know"));
                return self.lost_call(call);
            }
        };
        let kind = Kind::Compare(op, Box::new(receiver), Box::new(variant(than, span)));
        Expr { span, ty: Ty::bool(), kind }
    }

    /// `HlcTimestamp::from_u64(x)`, `HlcTimestamp::default()`
    pub(super) fn timestamp_call(&mut self, name: &str, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let bits = match (name, args) {
            ("from_u64", [bits]) => self.expr_of(bits, &Ty::Prim(Prim::U64)),
            ("default", []) => Expr { span, ty: Ty::Prim(Prim::U64), kind: Kind::Int(0) },
            _ => return None,
        };
        Some(cast(Expr { span, ..bits }, Prim::Hlc))
    }
}

/// Bits of a timestamp's count, as in `ringkernel::HlcTimestamp`.
const COUNTER_BITS: u64 = 12;

/// `Sent::Full`, `HlcTimestamp::COUNTER_BITS`
pub(super) fn constant(path: &ast::Path) -> Option<Expr> {
    let [.., ty, name] = &path.segments[..] else { return None };
    let sent = match (ty.as_str(), name.as_str()) {
        ("HlcTimestamp", "COUNTER_BITS") => {
            let kind = Kind::Int(COUNTER_BITS.into());
            return Some(Expr { span: path.span, ty: Ty::Prim(Prim::U32), kind });
        }
        ("Sent", "Ok") => Sent::Ok,
        ("Sent", "Full") => Sent::Full,
        ("Sent", "Gone") => Sent::Gone,
        ("Sent", "NoInstance") => Sent::NoInstance,
        ("Sent", "NoSender") => Sent::NoSender,
        ("Sent", "TooLarge") => Sent::TooLarge,
        _ => return None,
    };
    Some(variant(sent, path.span))
}

fn variant(sent: Sent, span: Span) -> Expr {
    Expr { span, ty: Ty::Prim(Prim::Sent), kind: Kind::Constant(Const::u32(sent as u32)) }
}

fn act(what: ContextCall, args: Vec<Expr>, ty: Ty, span: Span) -> Expr {
    Expr { span, ty, kind: Kind::Context(Box::new(what), args) }
}

/// The same bits as another type of that width.
fn cast(expr: Expr, to: Prim) -> Expr {
    Expr { span: expr.span, ty: Ty::Prim(to), kind: Kind::Cast(Box::new(expr)) }
}
