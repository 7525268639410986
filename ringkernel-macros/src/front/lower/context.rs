//! What a handler does through its context: effects, and the messages that they carry.
//!
//! A message that leaves is built in a local of its own, padding zeroed, so that what crosses is the same bytes on every device. One that is
//! taken arrives in such a local.

use super::Lower;
use super::value::{Dest, Target, Value};
use crate::front::typed::tree::{ContextCall, Expr};
use crate::front::types::Ty;
use crate::ir::{self, Channel, Clock, CmpOp, Const, Effect, Layout, Operand, Place, Root, RouteId, Scalar};
use proc_macro2::Span;

impl Lower<'_, '_> {
    /// Everything but [`Lower::receive`].
    pub(super) fn context(&mut self, call: &ContextCall, args: &[Expr], ty: &Ty, span: Span) -> Operand {
        match (call, args) {
            (ContextCall::Send(route), [instance, message]) => {
                let instance = self.operand(instance);
                self.send(Channel::Send { route: *route, instance }, message)
            }
            (ContextCall::Forward(route, path), [instance, message]) => {
                let instance = self.operand(instance);
                let message_ty = self.ty(&message.ty);
                if let (Some((name, tag, _)), Some(reply)) =
                    (self.wire(&message_ty, message.span), self.answer.clone())
                {
                    let path = path.clone();
                    self.env.forwards(ir::Forwards { route: *route, path, message: (name, tag), reply });
                }
                self.send(Channel::Forward { route: *route, instance }, message)
            }
            (ContextCall::Reply, [message]) => self.send(Channel::Reply, message),
            (ContextCall::Output, [message]) => self.send(Channel::Output, message),
            (ContextCall::Publish { topic, retain }, [message]) => {
                self.send(Channel::Publish { topic: *topic, retain: *retain }, message)
            }
            (ContextCall::Now, []) => self.effect(Effect::Clock(Clock::Now)),
            (ContextCall::Tick, []) => self.effect(Effect::Clock(Clock::Tick)),
            (ContextCall::UpdateClock, [seen]) => {
                let seen = self.operand(seen);
                self.effect(Effect::Clock(Clock::Update(seen)))
            }
            (ContextCall::HasSender, []) => self.emit(Scalar::Bool, ir::Expr::HasSender),
            (ContextCall::SenderInstance, []) => {
                let has = self.emit(Scalar::Bool, ir::Expr::HasSender);
                let instance = self.emit(Scalar::U32, ir::Expr::SenderInstance);
                let none = self.int(Scalar::U32, 0);
                self.select(has, instance, none)
            }
            (ContextCall::SentAt, []) => self.emit(Scalar::U64, ir::Expr::SentAt),
            _ => {
                self.defer(span, "this call has not the arguments it takes");
                self.zero(ty)
            }
        }
    }

    fn send(&mut self, channel: Channel, message: &Expr) -> Operand {
        let nothing = Operand::Const(Const::u32(0));
        let ty = self.ty(&message.ty);
        if ty == Ty::Never {
            self.eval(message, &Dest::Ignore);
            return nothing;
        }
        let Some((name, tag, layout)) = self.wire(&ty, message.span) else { return nothing };
        self.env.outgoing(ir::Parcel { name, tag, size: layout.size });
        let (place, payload) = self.parcel(tag, layout, "sent");
        self.blank(&place, &ty, layout.size.next_multiple_of(4));
        let dest = if ty.is_unit() { Dest::Ignore } else { Dest::Memory(place) };
        self.eval(message, &dest);
        self.effect(Effect::Send(channel, payload))
    }

    /// Takes a message: whether there was one, and the message.
    pub(super) fn receive(&mut self, route: RouteId, ty: &Ty, span: Span) -> Value {
        let Ty::Tuple(parts) = ty else { return self.lost() };
        let [_, message] = &parts[..] else { return self.lost() };
        let Some((name, tag, layout)) = self.wire(message, span) else {
            return Value::Fields(vec![Value::Scalar(self.truth(false)), Value::Scalar(self.zero(message))]);
        };
        self.env.receives(ir::Parcel { name, tag, size: layout.size });
        let (place, payload) = self.parcel(tag, layout, "received");
        let found = self.effect(Effect::Receive(route, payload));
        let none = self.int(Scalar::U32, 0);
        let found = self.cmp(CmpOp::Ne, found, none);
        let message = self.load(&Target::Memory(place), message);
        Value::Fields(vec![Value::Scalar(found), message])
    }

    /// Memory for a message.
    fn parcel(&mut self, tag: u32, layout: Layout, name: &str) -> (Place, ir::Payload) {
        let words = layout.size.div_ceil(4);
        let place = self.b.memory(words * 4, layout.align.max(4), name, true);
        let Root::Local(local) = place.root else { unreachable!("memory is local") };
        (place, ir::Payload { tag, local, words })
    }

    /// Zeroes the bytes of a value's memory that belong to no scalar in it, up to `end`.
    fn blank(&mut self, place: &Place, ty: &Ty, end: u32) {
        let mut covered = 0;
        match ty {
            Ty::Prim(_) => covered = self.layout(ty).0,
            Ty::Array(element, len) => {
                let (size, _) = self.layout(element);
                covered = size.saturating_mul(*len as u32);
                if self.has_padding(element) {
                    let array = Target::Memory(place.clone());
                    self.each_element(*len, element, &mut |this, index| {
                        if let Target::Memory(place) = this.element(&array, element, index) {
                            this.blank(&place, element, size);
                        }
                    });
                }
            }
            _ => {
                for (i, field) in self.fields(ty).iter().enumerate() {
                    let (offset, size) = (self.field_offset(ty, i), self.layout(field).0);
                    self.zero_bytes(place, covered, offset);
                    let field_place = Place { offset: place.offset + offset, ..place.clone() };
                    self.blank(&field_place, field, size);
                    covered = offset + size;
                }
            }
        }
        self.zero_bytes(place, covered, end);
    }

    fn has_padding(&mut self, ty: &Ty) -> bool {
        match ty {
            Ty::Prim(_) => false,
            Ty::Array(element, _) => self.has_padding(element),
            _ => {
                let fields = self.fields(ty);
                let sum: u64 = fields.iter().map(|field| u64::from(self.layout(field).0)).sum();
                sum != u64::from(self.layout(ty).0) || fields.iter().any(|field| self.has_padding(field))
            }
        }
    }

    /// Zeroes bytes in as few stores as their alignment allows.
    fn zero_bytes(&mut self, place: &Place, mut from: u32, to: u32) {
        while from < to {
            let fits = |ty: &Scalar| from.is_multiple_of(ty.bytes()) && ty.bytes() <= to - from;
            let Some(ty) = [Scalar::U32, Scalar::U16, Scalar::U8].into_iter().find(fits) else { return };
            let at = Place { offset: place.offset + from, ..place.clone() };
            let zero = self.int(ty, 0);
            self.b.push(ir::Stmt::Store(at, zero));
            from += ty.bytes();
        }
    }
}
