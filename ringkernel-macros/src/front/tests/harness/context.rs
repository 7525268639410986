//! The context that handlers see natively: it keeps account of what they do, in the words of the interpreter's world.

use super::{Random, Wire, pad};
use crate::ir::Kernel;
use crate::ir_interp::{Deed, World};
use ringkernel_backends::abi::tag;
pub(in crate::front::tests) use ringkernel_backends::mesh::Sent;
use std::any::type_name;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::front::tests) struct HlcTimestamp(u64);

impl HlcTimestamp {
    pub(in crate::front::tests) const COUNTER_BITS: u32 = 12;

    pub(in crate::front::tests) fn from_u64(bits: u64) -> Self {
        Self(bits)
    }
    pub(in crate::front::tests) fn as_u64(self) -> u64 {
        self.0
    }
    pub(in crate::front::tests) fn micros(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }
    pub(in crate::front::tests) fn counter(self) -> u64 {
        self.0 & 0xfff
    }
}

impl Wire for HlcTimestamp {
    const ALIGN: usize = 8;
    fn random(random: &mut Random) -> Self {
        Self(u64::random(random))
    }
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn get(bytes: &[u8], at: &mut usize) -> Self {
        Self(u64::get(bytes, at))
    }
}

#[derive(Default)]
pub(in crate::front::tests) struct RingContext {
    world: World,
}

/// The last part of a type's name.
fn name<T>() -> &'static str {
    type_name::<T>().rsplit("::").next().unwrap_or_default()
}

fn tag_of<T>() -> u32 {
    match name::<T>() {
        "bool" => tag::BOOL,
        "u8" => tag::U8,
        "u32" => tag::U32,
        "i64" => tag::I64,
        "()" => tag::UNIT,
        name => tag::of_definition(name),
    }
}

/// Whole words.
fn words<T: Wire>(message: &T) -> Vec<u8> {
    let mut bytes = message.bytes();
    pad(&mut bytes, 4);
    bytes
}

impl RingContext {
    pub(in crate::front::tests) fn deeds(&self) -> Vec<Deed> {
        self.world.deeds.clone()
    }

    fn sent<M: Wire>(&mut self, how: &'static str, whom: &str, instance: u32, message: M) -> Sent {
        let (whom, tag, payload) = (whom.to_owned(), tag_of::<M>(), words(&message));
        match self.world.sent(Deed::Sent { how, whom, instance, tag, payload }) {
            0 => Sent::Ok,
            1 => Sent::Full,
            2 => Sent::Gone,
            3 => Sent::NoInstance,
            _ => Sent::NoSender,
        }
    }

    pub(in crate::front::tests) fn instance(&self) -> u32 {
        3
    }
    pub(in crate::front::tests) fn send<A>(&mut self, instance: u32, message: impl Wire) -> Sent {
        self.sent("send", name::<A>(), instance, message)
    }
    pub(in crate::front::tests) fn send_to_kernel(&mut self, id: &str, message: impl Wire) -> Sent {
        self.sent("send", id, 0, message)
    }
    pub(in crate::front::tests) fn send_to_instance(
        &mut self,
        id: &str,
        instance: u32,
        message: impl Wire,
    ) -> Sent {
        self.sent("send", id, instance, message)
    }
    pub(in crate::front::tests) fn reply(&mut self, message: impl Wire) -> Sent {
        self.sent("reply", "", 0, message)
    }
    pub(in crate::front::tests) fn forward<A>(&mut self, instance: u32, message: impl Wire) -> Sent {
        self.sent("forward", name::<A>(), instance, message)
    }
    pub(in crate::front::tests) fn enqueue_output(&mut self, message: impl Wire) -> Sent {
        self.sent("output", "", 0, message)
    }
    pub(in crate::front::tests) fn publish(&mut self, topic: &str, message: impl Wire) -> Sent {
        self.sent("publish", topic, 0, message)
    }
    pub(in crate::front::tests) fn publish_retained(&mut self, topic: &str, message: impl Wire) -> Sent {
        self.sent("publish retained", topic, 0, message)
    }
    pub(in crate::front::tests) fn try_receive_from_kernel<M: Wire>(&mut self, id: &str) -> Option<M> {
        let size = words(&M::random(&mut Random::new(1))).len();
        let bytes = self.world.received(Deed::Asked { whom: id.to_owned(), tag: tag_of::<M>() }, size)?;
        Some(M::get(&bytes, &mut 0))
    }
    pub(in crate::front::tests) fn has_sender(&self) -> bool {
        World::SENDER.is_some()
    }
    pub(in crate::front::tests) fn sender_instance(&self) -> u32 {
        World::SENDER.unwrap_or(0)
    }
    pub(in crate::front::tests) fn sent_at(&self) -> HlcTimestamp {
        HlcTimestamp(World::SENT_AT)
    }
    pub(in crate::front::tests) fn now(&mut self) -> HlcTimestamp {
        HlcTimestamp(self.world.clock("now", 0))
    }
    pub(in crate::front::tests) fn tick(&mut self) -> HlcTimestamp {
        HlcTimestamp(self.world.clock("tick", 0))
    }
    pub(in crate::front::tests) fn update_clock(&mut self, seen: HlcTimestamp) -> HlcTimestamp {
        HlcTimestamp(self.world.clock("update", seen.0))
    }
}

/// The deeds with numbers where the native context has names.
pub(super) fn numbered(deeds: &[Deed], kernel: &Kernel) -> Vec<Deed> {
    let mesh = &kernel.mesh;
    let route = |name: &str| {
        let own = if name == kernel.actor { &kernel.id } else { name };
        let at = mesh.routes.iter().position(|route| route.name == own);
        at.unwrap_or_else(|| panic!("no route {name}")).to_string()
    };
    let topic = |name: &str| {
        let at = mesh.topics.iter().position(|topic| topic == name);
        at.unwrap_or_else(|| panic!("no topic {name}")).to_string()
    };
    let mut deeds = deeds.to_vec();
    for deed in &mut deeds {
        match deed {
            Deed::Sent { how: "send" | "forward", whom, .. } | Deed::Asked { whom, .. } => {
                *whom = route(whom)
            }
            Deed::Sent { how: "publish" | "publish retained", whom, .. } => *whom = topic(whom),
            _ => {}
        }
    }
    deeds
}
