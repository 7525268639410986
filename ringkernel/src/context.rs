//! What a handler is told besides its message, and what it can do besides answering.

use crate::{Actor, Handles, HlcTimestamp, RingMessage};
use ringkernel_backends::mesh::{NoOutbox, Outbox, Sent, key_of};
use std::fmt;

/// The second parameter of every handler.
///
/// ```
/// use ringkernel::RingContext;
///
/// // Handlers are ordinary methods; a unit test can call them with a context of its own.
/// let ctx = RingContext::detached(3);
/// assert_eq!(ctx.instance(), 3);
/// ```
pub struct RingContext<'a> {
    instance: u32,
    outbox: &'a mut dyn Outbox,
}

impl fmt::Debug for RingContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingContext").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// A message that the actor `A` handles. Implemented for all of them.
#[diagnostic::on_unimplemented(
    message = "`{A}` does not handle `{Self}`",
    label = "no `#[handler]` of `{A}` takes this"
)]
pub trait MessageOf<A>: RingMessage {}

impl<A: Handles<M>, M: RingMessage> MessageOf<A> for M {}

impl RingContext<'static> {
    /// A context that belongs to no kernel, for calling handlers directly (in a unit test, say). Whom they send to is [`Sent::Gone`].
    pub fn detached(instance: u32) -> Self {
        // Of a type without a size, so nothing is allocated.
        Self { instance, outbox: Box::leak(Box::new(NoOutbox)) }
    }
}

impl<'a> RingContext<'a> {
    pub(crate) fn new(instance: u32, outbox: &'a mut dyn Outbox) -> Self {
        Self { instance, outbox }
    }

    /// Which instance of the kernel handles the message, from 0.
    pub fn instance(&self) -> u32 {
        self.instance
    }

    /// Sends a message to an instance of the actor `A`: to the kernel of that type which this one is connected to.
    pub fn send<A: Actor>(&mut self, instance: u32, message: impl MessageOf<A>) -> Sent {
        let key = key_of(A::DESCRIPTOR.id);
        encoded(&message, |tag, payload| self.outbox.send(key, instance, tag, payload))
    }

    /// Sends a message to instance 0 of the kernel with this id, which is to be a literal. Whether that kernel handles the message shows when it
    /// arrives; [`send`](Self::send) knows when it is compiled.
    pub fn send_to_kernel(&mut self, id: &str, message: impl RingMessage) -> Sent {
        self.send_to_instance(id, 0, message)
    }

    /// [`send_to_kernel`](Self::send_to_kernel), to any of its instances.
    pub fn send_to_instance(&mut self, id: &str, instance: u32, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.send(key_of(id), instance, tag, payload))
    }

    /// Sends a message to the instance that sent the one being handled.
    pub fn reply(&mut self, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.reply(tag, payload))
    }

    /// Hands the duty to answer to an instance of the actor `A`, whose handler must return what this one returns. If it is
    /// [`Sent::Ok`], what this handler returns goes nowhere.
    pub fn forward<A: Actor>(&mut self, instance: u32, message: impl MessageOf<A>) -> Sent {
        let key = key_of(A::DESCRIPTOR.id);
        encoded(&message, |tag, payload| self.outbox.forward(key, instance, tag, payload))
    }

    /// Gives a message to the host, beside replies: `KernelHandle::outputs` has them.
    pub fn enqueue_output(&mut self, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.output(tag, payload))
    }

    /// Publishes a message on a topic, which is to be a literal.
    pub fn publish(&mut self, topic: &str, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.publish(key_of(topic), false, tag, payload))
    }

    /// [`publish`](Self::publish), and the host keeps the message for those who subscribe later.
    pub fn publish_retained(&mut self, topic: &str, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.publish(key_of(topic), true, tag, payload))
    }

    /// Takes the oldest message of type `M` that the kernel with this id sent to this instance and that no handler of this actor takes.
    pub fn try_receive_from_kernel<M: RingMessage>(&mut self, id: &str) -> Option<M> {
        const { assert!(!M::VARIABLE, "a message of variable size is handled by a `#[handler]`, not received") };
        let mut bytes = vec![0; M::SIZE as usize];
        if !self.outbox.receive(key_of(id), M::TAG, &mut bytes) {
            return None;
        }
        M::decode(&bytes).ok()
    }

    /// Whether a kernel sent the message being handled.
    pub fn has_sender(&self) -> bool {
        self.outbox.sender().is_some()
    }

    /// The instance that sent the message being handled, of whichever kernel; 0 where none did.
    pub fn sender_instance(&self) -> u32 {
        self.outbox.sender().map_or(0, |(_, instance)| instance)
    }

    /// When the message being handled was sent, by its sender's clock.
    pub fn sent_at(&self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.sent_at())
    }

    /// The hybrid logical clock, which is past every message that has been handled.
    pub fn now(&mut self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.now())
    }

    /// Moves the clock for an event of the handler's own; no timestamp is given twice to one instance.
    pub fn tick(&mut self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.tick())
    }

    /// Moves the clock past a timestamp seen elsewhere, in a message's field, say. One too far ahead of the time of day
    /// (more than half a second) does not move it.
    pub fn update_clock(&mut self, seen: HlcTimestamp) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.update_clock(seen.as_u64()))
    }
}

/// Calls with the message's tag and wire bytes.
fn encoded<M: RingMessage>(message: &M, call: impl FnOnce(u32, &[u8]) -> Sent) -> Sent {
    message.with_bytes(|bytes| call(M::TAG, bytes)).unwrap_or(Sent::TooLarge)
}
