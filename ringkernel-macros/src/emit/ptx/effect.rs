//! What reaches beyond the handler: calls of functions that the resident loop brings along.
//!
//! They are declared `.extern` so that the text assembles by itself. Each call stands in braces of its own, a statement a line, so that the
//! loop can put the function's text in its place. A message is passed by its generic address; the callee may read whole chunks of 12 bytes, so the local
//! has room for one more than the message needs.

use super::{Writer, names};
use crate::ir::{Channel, Clock, Effect, Operand, Payload, Reg};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A function of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Callee {
    Send,
    Forward,
    Reply,
    Output,
    Publish,
    Receive,
    Clock,
    Sender,
}

/// A parameter: its type and name.
type Parameter = (&'static str, &'static str);

const TAG: Parameter = ("b32", "tag");
const PAYLOAD: Parameter = ("b64", "payload");
const WORDS: Parameter = ("b32", "words");
const ROUTE: Parameter = ("b32", "route");

impl Callee {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "ringkernel_send",
            Self::Forward => "ringkernel_forward",
            Self::Reply => "ringkernel_reply",
            Self::Output => "ringkernel_output",
            Self::Publish => "ringkernel_publish",
            Self::Receive => "ringkernel_receive",
            Self::Clock => "ringkernel_clock",
            Self::Sender => "ringkernel_sender",
        }
    }

    fn result(self) -> Parameter {
        match self {
            Self::Send | Self::Forward | Self::Reply | Self::Output | Self::Publish => ("b32", "sent"),
            Self::Receive => ("b32", "found"),
            Self::Clock => ("b64", "time"),
            Self::Sender => ("b64", "who"),
        }
    }

    fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::Send | Self::Forward => &[ROUTE, ("b32", "instance"), TAG, PAYLOAD, WORDS],
            Self::Reply | Self::Output => &[TAG, PAYLOAD, WORDS],
            Self::Publish => &[("b32", "topic"), ("b32", "retain"), TAG, PAYLOAD, WORDS],
            Self::Receive => &[ROUTE, TAG, PAYLOAD, WORDS],
            Self::Clock => &[("b32", "what"), ("b64", "seen")],
            Self::Sender => &[],
        }
    }
}

/// The declarations of what is called.
pub(super) fn declarations(used: &BTreeSet<Callee>, text: &mut String) {
    for callee in used {
        let list: Vec<_> =
            callee.parameters().iter().map(|(ty, name)| format!(".param .{ty} {name}")).collect();
        let (ty, result) = callee.result();
        let _ =
            writeln!(text, ".extern .func (.param .{ty} {result}) {}({});", callee.name(), list.join(", "));
    }
}

/// Bytes of a local that a message of so many words leaves from or arrives in.
pub(super) fn payload_bytes(size: u32) -> u32 {
    (size.next_multiple_of(12) + 12).max(24)
}

impl Writer<'_> {
    pub(super) fn effect(&mut self, reg: Reg, effect: &Effect) {
        let d = self.reg(reg);
        match effect {
            Effect::Send(channel, payload) => {
                let (callee, mut arguments) = match channel {
                    Channel::Send { route, instance } => {
                        (Callee::Send, vec![route.0.to_string(), self.argument(*instance)])
                    }
                    Channel::Forward { route, instance } => {
                        (Callee::Forward, vec![route.0.to_string(), self.argument(*instance)])
                    }
                    Channel::Reply => (Callee::Reply, vec![]),
                    Channel::Output => (Callee::Output, vec![]),
                    Channel::Publish { topic, retain } => {
                        (Callee::Publish, vec![topic.0.to_string(), u32::from(*retain).to_string()])
                    }
                };
                arguments.extend(self.payload(payload));
                self.call(callee, &arguments, &d);
            }
            Effect::Receive(route, payload) => {
                let mut arguments = vec![route.0.to_string()];
                arguments.extend(self.payload(payload));
                self.call(Callee::Receive, &arguments, &d);
            }
            Effect::Clock(clock) => {
                let (what, seen) = match clock {
                    Clock::Now => (0, "0".into()),
                    Clock::Tick => (1, "0".into()),
                    Clock::Update(seen) => (2, self.argument(*seen)),
                };
                self.call(Callee::Clock, &[format!("{what}"), seen], &d);
            }
        }
    }

    /// `sent_at`
    pub(super) fn sent_at(&mut self, d: &str) {
        self.call(Callee::Clock, &["3".into(), "0".into()], d);
    }

    /// The instance that sent the message is the low word, whether a kernel did is in the high one.
    pub(super) fn has_sender(&mut self, d: &str) {
        self.call(Callee::Sender, &[], "%l0");
        self.line("setp.gt.u64 %q0, %l0, 0xffffffff;");
        self.line(format!("mov.pred {d}, %q0;"));
    }

    pub(super) fn sender_instance(&mut self, d: &str) {
        self.call(Callee::Sender, &[], "%l0");
        self.line(format!("cvt.u32.u64 {d}, %l0;"));
    }

    fn argument(&mut self, operand: Operand) -> String {
        self.operand(operand, 1)
    }

    /// Tag, address and words.
    fn payload(&mut self, Payload { tag, local, words }: &Payload) -> [String; 3] {
        let name = names::local(self.body, *local);
        self.line(format!("mov.u64 %l3, {name};"));
        self.line("cvta.local.u64 %l3, %l3;");
        [format!("0x{tag:x}"), "%l3".into(), words.to_string()]
    }

    fn call(&mut self, callee: Callee, arguments: &[String], d: &str) {
        self.callees.insert(callee);
        let (result, _) = callee.result();
        self.line("{");
        self.line(format!("    .param .{result} result_;"));
        for (ty, name) in callee.parameters() {
            self.line(format!("    .param .{ty} {name}_;"));
        }
        for ((ty, name), argument) in callee.parameters().iter().zip(arguments) {
            self.line(format!("    st.param.{ty} [{name}_], {argument};"));
        }
        let names: Vec<_> = callee.parameters().iter().map(|(_, name)| format!("{name}_")).collect();
        self.line(format!("    call (result_), {}, ({});", callee.name(), names.join(", ")));
        self.line(format!("    ld.param.{result} {d}, [result_];"));
        self.line("}");
    }
}
