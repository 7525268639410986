//! What reaches beyond the handler: calls of functions that the runtime brings along.
//!
//! A message goes through the private array `rk_out`, which is declared where any of these functions is called:
//!
//! ```text
//! rk_send(route: u32, instance: u32, tag: u32, words: u32) -> u32        and rk_forward
//! rk_send_reply(tag: u32, words: u32) -> u32                             and rk_output
//! rk_publish(topic: u32, retain: u32, tag: u32, words: u32) -> u32
//! rk_receive(route: u32, tag: u32, words: u32) -> u32                    1 if the message is in rk_out now
//! rk_clock(what: u32, seen: u64) -> u64                                  0 now, 1 tick, 2 update, 3 sent at
//! rk_sender() -> vec2<u32>                                               the instance, and 1 if a kernel sent the message
//! ```

use super::{Writer, names};
use crate::ir::{Channel, Clock, Effect, Kernel, Payload, Reg, Stmt};
use crate::ir_visit;

/// Payloads of up to this many words are copied word by word.
const UNROLL: u32 = 16;

/// Words of `rk_out`, whole chunks of three, if the actor needs it.
pub(super) fn out_words(kernel: &Kernel) -> Option<u32> {
    use crate::ir::Expr;
    let mut words = None;
    for handler in &kernel.handlers {
        ir_visit::statements(&handler.body.code, &mut |statement| {
            let more = match statement {
                Stmt::Effect(_, effect) => effect.payload().map_or(0, |payload| payload.words),
                Stmt::Let(_, Expr::HasSender | Expr::SenderInstance | Expr::SentAt) => 0,
                _ => return,
            };
            words = words.max(Some(more.max(1).next_multiple_of(3)));
        });
    }
    words
}

impl Writer<'_> {
    pub(super) fn effect(&mut self, reg: Reg, effect: &Effect) {
        let d = self.reg(reg);
        match effect {
            Effect::Send(channel, payload) => {
                self.copy(payload, true);
                let call = match channel {
                    Channel::Send { route, instance } => {
                        format!("rk_send({}u, {}, ", route.0, self.operand(*instance))
                    }
                    Channel::Forward { route, instance } => {
                        format!("rk_forward({}u, {}, ", route.0, self.operand(*instance))
                    }
                    Channel::Reply => "rk_send_reply(".into(),
                    Channel::Output => "rk_output(".into(),
                    Channel::Publish { topic, retain } => {
                        format!("rk_publish({}u, {}u, ", topic.0, u32::from(*retain))
                    }
                };
                self.line(format!("let {d} = {call}0x{:x}u, {}u);", payload.tag, payload.words));
            }
            Effect::Receive(route, payload) => {
                let Payload { tag, words, .. } = payload;
                self.line(format!("let {d} = rk_receive({}u, 0x{tag:x}u, {words}u);", route.0));
                if *words > 0 {
                    self.line(format!("if ({d} != 0u) {{"));
                    self.indent += 1;
                    self.copy(payload, false);
                    self.indent -= 1;
                    self.line("}");
                }
            }
            Effect::Clock(clock) => {
                let (what, seen) = match clock {
                    Clock::Now => (0, "0lu".into()),
                    Clock::Tick => (1, "0lu".into()),
                    Clock::Update(seen) => (2, self.operand(*seen)),
                };
                self.line(format!("let {d} = rk_clock({what}u, {seen});"));
            }
        }
    }

    /// Between a local and `rk_out`.
    fn copy(&mut self, Payload { local, words, .. }: &Payload, out: bool) {
        let local = names::local(self.body, *local);
        let (to, from) = if out { ("rk_out", local.as_str()) } else { (local.as_str(), "rk_out") };
        if *words <= UNROLL {
            for word in 0..*words {
                self.line(format!("{to}[{word}] = {from}[{word}];"));
            }
            return;
        }
        let i = self.fresh("word");
        self.line(format!("for (var {i} = 0u; {i} < {words}u; {i} = {i} + 1u) {{"));
        self.line(format!("    {to}[{i}] = {from}[{i}];"));
        self.line("}");
    }
}
