//! Runs IR, so that what the front end made can be compared with the native handler, and what the passes made with what they were
//! given. What has no meaning (a variable read before it is written, an index out of bounds) is a panic.

use crate::ir::*;
use crate::ir_eval;
use ringkernel_backends::abi::FaultKind;

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Fault(FaultKind, SiteId),
    /// It took more steps than it was given.
    Exhausted,
}

/// Something a handler did beyond its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It sent a message.
    Sent {
        /// "send", "forward", "reply", "output", "publish", "publish retained".
        how: &'static str,
        /// Number of the route or topic, as text.
        whom: String,
        instance: u32,
        tag: u32,
        payload: Vec<u8>,
    },
    /// It asked for a message.
    Asked { whom: String, tag: u32 },
    /// It read or moved the clock.
    Clock { what: &'static str, seen: u64 },
}

/// What is around a handler: it keeps account of what the handler did, and answers by a fixed script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) deeds: Vec<Deed>,
}

impl World {
    pub(crate) const SENDER: Option<u32> = Some(17);
    pub(crate) const SENT_AT: u64 = 5 << 12 | 3;

    /// The number of a `Sent`.
    pub(crate) fn sent(&mut self, deed: Deed) -> u32 {
        self.deeds.push(deed);
        [0, 1, 0, 2, 3, 0, 4][self.deeds.len() % 7]
    }

    /// A message of so many bytes, any of which may be a `bool`; every third time there is none.
    pub(crate) fn received(&mut self, deed: Deed, bytes: usize) -> Option<Vec<u8>> {
        self.deeds.push(deed);
        let n = self.deeds.len();
        (!n.is_multiple_of(3)).then(|| (0..bytes).map(|i| ((n + i) % 2) as u8).collect())
    }

    pub(crate) fn clock(&mut self, what: &'static str, seen: u64) -> u64 {
        self.deeds.push(Deed::Clock { what, seen });
        seen.wrapping_add(self.deeds.len() as u64 * 4099)
    }
}

enum Flow {
    Next,
    Break(Label),
    Continue(Label),
    End(End),
}

/// Memory and values.
pub(crate) struct Machine<'a> {
    body: &'a Body,
    pub(crate) state: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    /// `None` where nothing has been written.
    locals: Vec<Vec<Option<u8>>>,
    instance: u32,
    regs: Vec<Option<Const>>,
    vars: Vec<Option<Const>>,
    fuel: u32,
    pub(crate) world: World,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(body: &'a Body, state: &[u8], message: &[u8]) -> Self {
        let locals = body.locals.iter().map(|local| vec![None; local.size as usize]).collect();
        Self {
            body,
            state: state.to_vec(),
            message: message.to_vec(),
            reply: vec![0; 256],
            locals,
            instance: 3,
            regs: vec![None; body.regs.len()],
            vars: vec![None; body.vars.len()],
            fuel: 20_000,
            world: World::default(),
        }
    }

    pub(crate) fn run(&mut self) -> End {
        let body = self.body;
        match self.block(&body.code) {
            Flow::End(end) => end,
            _ => panic!("the body ran off its end"),
        }
    }

    fn value(&self, operand: Operand) -> Const {
        match operand {
            Operand::Const(c) => c,
            Operand::Reg(reg) => {
                self.regs[reg.0 as usize].unwrap_or_else(|| panic!("{reg:?} is read before it is assigned"))
            }
        }
    }

    fn address(&self, place: &Place) -> usize {
        let dynamic =
            place.index.iter().map(|(index, stride)| self.value(*index).bits as usize * *stride as usize);
        place.offset as usize + dynamic.sum::<usize>()
    }

    fn load(&self, place: &Place, ty: Scalar) -> Const {
        let at = self.address(place);
        let range = at..at + ty.bytes() as usize;
        let mut bytes = [0; 8];
        let used = &mut bytes[..ty.bytes() as usize];
        match place.root {
            Root::State => used.copy_from_slice(&self.state[range]),
            Root::Message => used.copy_from_slice(&self.message[range]),
            Root::Reply => used.copy_from_slice(&self.reply[range]),
            Root::Local(local) => {
                for (byte, stored) in used.iter_mut().zip(&self.locals[local.0 as usize][range]) {
                    *byte = stored.unwrap_or_else(|| panic!("{place:?} is read before it is written"));
                }
            }
        }
        Const { ty, bits: u64::from_le_bytes(bytes) }
    }

    fn store(&mut self, place: &Place, value: Const) {
        let at = self.address(place);
        let bytes = &value.bits.to_le_bytes()[..value.ty.bytes() as usize];
        let range = at..at + bytes.len();
        match place.root {
            Root::State => self.state[range].copy_from_slice(bytes),
            Root::Message => panic!("the message is written"),
            Root::Reply => self.reply[range].copy_from_slice(bytes),
            Root::Local(local) => {
                for (stored, byte) in self.locals[local.0 as usize][range].iter_mut().zip(bytes) {
                    *stored = Some(*byte);
                }
            }
        }
    }

    fn compute(&mut self, reg: Reg, expr: &Expr) -> Const {
        let ty = self.body.regs[reg.0 as usize].ty;
        match expr {
            Expr::Read(var) => {
                self.vars[var.0 as usize].unwrap_or_else(|| panic!("{var:?} is read before it is written"))
            }
            Expr::Instance => Const::u32(self.instance),
            Expr::MessageWords => Const::u32(self.message.len() as u32 / 4),
            Expr::HasSender => Const::bool(World::SENDER.is_some()),
            Expr::SenderInstance => Const::u32(World::SENDER.unwrap_or(0xdead)),
            Expr::SentAt => Const { ty: Scalar::U64, bits: World::SENT_AT },
            Expr::Load(place) => self.load(place, ty),
            expr => {
                let mut expr = expr.clone();
                crate::ir_visit::expr_operands_mut(&mut expr, &mut |operand| {
                    *operand = Operand::Const(self.value(*operand));
                });
                ir_eval::eval(&expr, ty).unwrap_or_else(|| panic!("a precondition does not hold: {expr:?}"))
            }
        }
    }

    fn effect(&mut self, effect: &Effect) -> Const {
        match effect {
            Effect::Send(channel, Payload { tag, local, words }) => {
                let bytes = &self.locals[local.0 as usize][..*words as usize * 4];
                let payload =
                    bytes.iter().map(|byte| byte.expect("every byte that is sent has been written"));
                let payload = payload.collect();
                let (how, whom, instance) = match channel {
                    Channel::Send { route, instance } => ("send", Some(route.0), Some(*instance)),
                    Channel::Forward { route, instance } => ("forward", Some(route.0), Some(*instance)),
                    Channel::Reply => ("reply", None, None),
                    Channel::Output => ("output", None, None),
                    Channel::Publish { topic, retain: false } => ("publish", Some(topic.0), None),
                    Channel::Publish { topic, retain: true } => ("publish retained", Some(topic.0), None),
                };
                let whom = whom.map_or_else(String::new, |whom| whom.to_string());
                let instance = instance.map_or(0, |instance| self.value(instance).bits as u32);
                Const::u32(self.world.sent(Deed::Sent { how, whom, instance, tag: *tag, payload }))
            }
            Effect::Receive(route, Payload { tag, local, words }) => {
                let deed = Deed::Asked { whom: route.0.to_string(), tag: *tag };
                let found = self.world.received(deed, *words as usize * 4);
                let there = found.is_some();
                // Without one the bytes are anybody's guess.
                let found = found.unwrap_or_else(|| vec![0; *words as usize * 4]);
                for (byte, new) in self.locals[local.0 as usize].iter_mut().zip(found) {
                    *byte = Some(new);
                }
                Const::u32(there.into())
            }
            Effect::Clock(clock) => {
                let (what, seen) = match clock {
                    Clock::Now => ("now", 0),
                    Clock::Tick => ("tick", 0),
                    Clock::Update(seen) => ("update", self.value(*seen).bits),
                };
                Const { ty: Scalar::U64, bits: self.world.clock(what, seen) }
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
                self.regs[reg.0 as usize] = Some(value);
            }
            Stmt::Effect(reg, effect) => {
                let value = self.effect(effect);
                self.regs[reg.0 as usize] = Some(value);
            }
            Stmt::Set(var, operand) => {
                let value = self.value(*operand);
                assert_eq!(value.ty, self.body.vars[var.0 as usize].ty);
                self.vars[var.0 as usize] = Some(value);
            }
            Stmt::Store(place, operand) => {
                let value = self.value(*operand);
                self.store(place, value);
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
