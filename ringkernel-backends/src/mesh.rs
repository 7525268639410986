//! Kernels that talk to each other: what the compiler says of an actor's sends, what a device is told of its neighbours, and what a
//! native handler calls.
//!
//! A handler names whom it sends to by the actor's id, known when it is compiled: each id an actor names is one of its *routes*, and a
//! device keeps for each route of a kernel where that kernel's mailbox is. So finding it is one look at a table. The host sets
//! routes ([`Kernel::connect`]) as kernels come and go; a send along one that leads nowhere says [`Sent::Gone`].
//!
//! A kernel's *mailbox* is a ring a shard in the device's own memory, with the same slots as the rings of requests
//! ([`slot`](crate::abi::slot)), many producers and the shard as its consumer. It is made when the first route to the kernel is.
//!
//! What a kernel has to say to the host other than replies ([`slot::OUTPUT`](crate::abi::slot::OUTPUT), `RELAY`, `PUBLISHED`) goes through its reply rings.

use crate::abi::{Header, tag};
use crate::kernel::{Kernel, MessageInfo};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Says which kernel of a process a message came from: unique among those that are launched, below 2^14.
pub type KernelNumber = u16;
/// Kernel numbers are below this.
pub const MOST_KERNELS: u32 = 1 << crate::abi::slot::GENERATION_BITS;

/// An actor id that handlers send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// `#[ring_kernel(id = "…")]` of the receiver.
    pub id: &'static str,
}

impl RouteInfo {
    /// What a native handler's send looks the route up by: [`key_of`] the id.
    pub const fn key(&self) -> u32 {
        key_of(self.id)
    }
}

/// A topic that handlers publish on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// `"sensors/7/temperature"`.
    pub name: &'static str,
}

impl TopicInfo {
    /// What crosses the ring for it: [`key_of`] the name.
    pub const fn key(&self) -> u32 {
        key_of(self.name)
    }
}

/// The hash of an id or a topic's name: FNV-1a in 32 bits.
pub const fn key_of(name: &str) -> u32 {
    tag::fold(tag::START, name)
}

/// What an actor's handlers do beside answering.
#[derive(Clone, Copy, Debug)]
pub struct Mesh {
    /// Whom they send to. In device code a route is its index here.
    pub routes: &'static [RouteInfo],
    /// What they publish on. In device code a topic is its index here.
    pub topics: &'static [TopicInfo],
    /// What they send, forward, publish or give out: tag and size of each type.
    pub outgoing: &'static [MessageInfo],
    /// What they receive by `try_receive_from_kernel`: these lie in the mailbox until a handler takes them.
    pub receives: &'static [MessageInfo],
}

impl Mesh {
    /// Of an actor that only answers.
    pub const NONE: Self = Self { routes: &[], topics: &[], outgoing: &[], receives: &[] };

    /// Bytes of the largest message that leaves other than as a reply.
    pub fn outgoing_size(&self) -> u32 {
        self.outgoing.iter().map(|message| message.size).max().unwrap_or(0)
    }
}

/// What becomes of a message that finds a full mailbox: the receiver's choice, made at its launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The send says [`Sent::Full`] at once.
    #[default]
    Reject,
    /// The sender waits, no longer than this, then the send says [`Sent::Full`]. On a GPU a whole warp waits.
    ///
    /// On WebGPU nobody waits, and the send says [`Sent::Full`] at once. A handler runs within one dispatch, from its beginning to its end, and a
    /// receiver makes room in the next: that begins when this one has ended, with the handler that would have waited. Nor can the answer wait, for
    /// the handler goes on with it, and what it does then cannot be undone where the message finds no room after all.
    Block {
        /// How long.
        at_most: Duration,
    },
    /// The receiver discards its oldest messages to make room, and counts them.
    DropOldest,
    /// The message goes to the host, which hands it to the receiver when there is room, in the order in which it was sent.
    ///
    /// One that only `try_receive_from_kernel` takes, and that finds as many of those kept as the mailbox has slots, makes what other kernels sent after
    /// it wait, as it does in a mailbox; no request of the host waits for it.
    Spill,
}

/// A kernel's place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeshSpec {
    /// Its number.
    pub number: KernelNumber,
    /// Slots of each shard's mailbox, a power of two.
    pub mailbox: u32,
    /// What becomes of what does not fit.
    pub overflow: Overflow,
}

impl Default for MeshSpec {
    fn default() -> Self {
        Self { number: 0, mailbox: 1024, overflow: Overflow::Reject }
    }
}

/// How a send ended; a handler sees it as its `Sent`. The numbers are what device code returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[must_use = "a message that was not sent is gone: look whether it `is_ok()`"]
pub enum Sent {
    /// It lies in the receiver's mailbox, or on its way through the host.
    Ok = 0,
    /// There is no room.
    Full = 1,
    /// No such kernel is connected.
    Gone = 2,
    /// The receiver has no such instance.
    NoInstance = 3,
    /// `reply` to a message that no kernel sent.
    NoSender = 4,
    /// A message of variable size takes more bytes than it may. (In native handlers; device code sends none of these.)
    TooLarge = 5,
}

impl Sent {
    /// Whether the message was taken.
    pub fn is_ok(self) -> bool {
        self == Self::Ok
    }
    /// Whether there was no room.
    pub fn is_full(self) -> bool {
        self == Self::Full
    }
    /// Whether there is no such receiver: kernel, instance or sender.
    pub fn is_gone(self) -> bool {
        !matches!(self, Self::Ok | Self::Full | Self::TooLarge)
    }
}

/// Where a route leads.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// Nowhere.
    Nobody,
    /// To a kernel of the same device.
    Kernel(&'a Arc<dyn Kernel>),
    /// To the host, which hands the message on to this kernel: one on another device or backend.
    Host(KernelNumber),
}

/// Who gets what is published on a topic, besides the host.
#[derive(Clone)]
pub struct Subscriber {
    /// A kernel of the same device. It handles the type that is published; others it will answer with a fault, which is counted.
    pub kernel: Arc<dyn Kernel>,
    /// The instance.
    pub instance: u32,
}

/// What a native handler can do beside answering. Implemented by whoever runs it. Payloads are wire bytes; keys are [`key_of`]
/// ids and topics.
pub trait Outbox {
    /// Sends along a route.
    fn send(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent;
    /// Sends to the instance whose message is being handled.
    fn reply(&mut self, tag: u32, payload: &[u8]) -> Sent;
    /// Sends along a route, and the receiver's answer goes to who waits for ours. After [`Sent::Ok`], what the handler returns is dropped.
    fn forward(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent;
    /// Gives a message to the host, beside replies.
    fn output(&mut self, tag: u32, payload: &[u8]) -> Sent;
    /// Publishes on a topic; [`Sent::Full`] if some subscriber had no room. A retained message is kept for later subscribers.
    fn publish(&mut self, topic: u32, retain: bool, tag: u32, payload: &[u8]) -> Sent;
    /// Takes the oldest message of this type that the kernel of this id sent to this instance and that lies in the mailbox; the length of `out` is
    /// the type's. False where there is none.
    fn receive(&mut self, key: u32, tag: u32, out: &mut [u8]) -> bool;
    /// Which kernel and instance sent the message being handled, if one did.
    fn sender(&self) -> Option<(KernelNumber, u32)>;
    /// When the message being handled was sent, by the sender's clock; 0 if nobody said.
    fn sent_at(&self) -> u64;
    /// The clock, without moving it.
    fn now(&mut self) -> u64;
    /// Moves the clock, as for an event of one's own.
    fn tick(&mut self) -> u64;
    /// Moves the clock past a timestamp that was seen elsewhere, unless that is further ahead than the drift bound allows
    /// ([`clock`](crate::abi::clock)), and says what it is.
    fn update_clock(&mut self, seen: u64) -> u64;
}

/// Stands where there is nobody to send to: a handler that is called directly.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutbox;

impl Outbox for NoOutbox {
    fn send(&mut self, _: u32, _: u32, _: u32, _: &[u8]) -> Sent {
        Sent::Gone
    }
    fn reply(&mut self, _: u32, _: &[u8]) -> Sent {
        Sent::NoSender
    }
    fn forward(&mut self, _: u32, _: u32, _: u32, _: &[u8]) -> Sent {
        Sent::Gone
    }
    fn output(&mut self, _: u32, _: &[u8]) -> Sent {
        Sent::Gone
    }
    fn publish(&mut self, _: u32, _: bool, _: u32, _: &[u8]) -> Sent {
        Sent::Gone
    }
    fn receive(&mut self, _: u32, _: u32, _: &mut [u8]) -> bool {
        false
    }
    fn sender(&self) -> Option<(KernelNumber, u32)> {
        None
    }
    fn sent_at(&self) -> u64 {
        0
    }
    fn now(&mut self) -> u64 {
        0
    }
    fn tick(&mut self) -> u64 {
        0
    }
    fn update_clock(&mut self, _: u64) -> u64 {
        0
    }
}

/// A kernel's mailbox in figures, over all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxSnapshot {
    /// Messages that lie in it for a handler to take; not those that only `try_receive_from_kernel` takes. 0 once the last was handled: what a
    /// shard has in hand counts.
    pub waiting: u64,
    /// Messages taken out of it.
    pub received: u64,
    /// Sends that found it full and were told so.
    pub full: u64,
    /// Messages discarded to make room ([`Overflow::DropOldest`]).
    pub dropped: u64,
}

/// Puts a relayed message into the ring of requests of its instance's shard: what [`Kernel::relay`] does where a device has nothing better.
pub(crate) fn relay_into<K: Kernel + ?Sized>(kernel: &K, header: Header, payload: &[u8]) -> Sent {
    let ports = kernel.ports();
    let shard = header.instance as usize % ports.len().max(1);
    let Some(port) = ports.get(shard) else { return Sent::Gone };
    if payload.len().div_ceil(4) > port.requests.shape().payload_words() {
        return Sent::Gone;
    }
    match port.requests.try_push(header, payload) {
        Ok(()) => {
            kernel.doorbell(shard);
            Sent::Ok
        }
        Err(_) => Sent::Full,
    }
}

/// A kernel as its backend knows it; what [`Kernel::as_any`] is for.
pub fn as_kernel<T: Any>(kernel: &Arc<dyn Kernel>) -> Option<&T> {
    kernel.as_any().downcast_ref()
}
