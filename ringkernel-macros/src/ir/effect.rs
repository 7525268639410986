//! What reaches beyond a handler: messages to other kernels and the host, and the clock.
//!
//! A message leaves from a local of its own and arrives in one, because devices hand them on by address. Whom it goes to is a number: the
//! index of a route or topic in the actor's [`Mesh`], which the descriptor lists in the same order.

use super::{Local, Operand};
use proc_macro2::TokenStream;

/// Index into [`Mesh::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// Index into [`Mesh::topics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u32);

/// A message in a local aggregate of its own: all its words, the padding zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payload {
    /// The message's tag.
    pub tag: u32,
    /// Where it lies, from the start.
    pub local: Local,
    /// How many words of 4 bytes.
    pub words: u32,
}

/// Whom a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// An instance of another kernel.
    Send {
        /// Which kernel.
        route: RouteId,
        /// A `U32`.
        instance: Operand,
    },
    /// The same, and the receiver answers in the handler's place.
    Forward {
        /// Which kernel.
        route: RouteId,
        /// A `U32`.
        instance: Operand,
    },
    /// The instance that sent the message being handled.
    Reply,
    /// The host, beside replies.
    Output,
    /// Whoever subscribed.
    Publish {
        /// To what.
        topic: TopicId,
        /// Whether it is kept for later subscribers.
        retain: bool,
    },
}

/// What to do with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Read it.
    Now,
    /// Move it for an event.
    Tick,
    /// Move it past a timestamp, a `U64`.
    Update(Operand),
}

/// What reaches beyond the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Sends the message that lies in the payload's local. → `U32`, one of `ringkernel_backends::mesh::Sent`
    Send(Channel, Payload),
    /// Takes the oldest message with the payload's tag that came along the route and puts it into the payload's local. → `U32`, 1 if there was one; else 0,
    /// and what the local then holds is anybody's guess.
    Receive(RouteId, Payload),
    /// → `U64`
    Clock(Clock),
}

impl Effect {
    /// The message it sends or takes.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Send(_, payload) | Self::Receive(_, payload) => Some(payload),
            Self::Clock(_) => None,
        }
    }
}

/// A kernel that handlers send to or take from.
#[derive(Clone, Debug)]
pub struct Route {
    /// How the user named it: an id, or the path of an actor's type without spaces.
    pub name: String,
    /// The path, where it is one: its `ID` is the id.
    pub path: Option<TokenStream>,
}

/// A type of message that handlers send or take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its name.
    pub name: String,
    /// Its tag.
    pub tag: u32,
    /// Its bytes.
    pub size: u32,
}

/// A handler that lets a receiver answer in its place: both must answer with the same type.
#[derive(Clone, Debug)]
pub struct Forwards {
    /// The receiver.
    pub route: RouteId,
    /// Its type as written at the call.
    pub path: TokenStream,
    /// What is forwarded: name and tag.
    pub message: (String, u32),
    /// What the handler answers: name and tag.
    pub reply: (String, u32),
}

/// What an actor's handlers do beside answering.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Whom they send to.
    pub routes: Vec<Route>,
    /// What they publish on.
    pub topics: Vec<String>,
    /// What they send.
    pub outgoing: Vec<Parcel>,
    /// What they take.
    pub receives: Vec<Parcel>,
    /// What they forward.
    pub forwards: Vec<Forwards>,
}
