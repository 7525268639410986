//! The ordinary half of what the macros expand to: code that a macro need not write out each time.

use crate::{Actor, ActorRef, Archived, DeviceType, Handles, RingKernelError, RingMessage, VariableMessage};
use ringkernel_backends::abi::{FaultKind, tag};
use ringkernel_backends::kernel::{MessageInfo, Needs, Site};
use ringkernel_backends::mesh::Mesh;
use std::marker::PhantomData;
use std::ops::Range;

/// How a type is made up: names, fields and lengths, and nothing of where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// A scalar.
    Scalar {
        /// `i64`.
        name: &'static str,
    },
    /// An array.
    Array {
        /// Of what.
        element: &'static Definition,
        /// How many.
        len: usize,
    },
    /// `Vec<part>` or `Option<part>`.
    Of {
        /// `Vec`.
        name: &'static str,
        /// Of what.
        part: &'static Definition,
    },
    /// A tuple, or `()`.
    Tuple {
        /// Its parts.
        parts: &'static [Definition],
    },
    /// A struct.
    Struct {
        /// Its name.
        name: &'static str,
        /// Name and type of each field; a tuple struct's are called `0`, `1`, ….
        fields: &'static [(&'static str, Definition)],
    },
}

impl Definition {
    /// The tag of a message that is so defined: [`tag::of_definition`] of its canonical text, `Name{field:type,…}` with structs spelled
    /// out wherever they occur, `[type;len]`, `(type,type)`, and no spaces.
    pub const fn tag(self) -> u32 {
        tag::finish(self.fold(tag::START))
    }

    const fn fold(self, mut hash: u32) -> u32 {
        match self {
            Self::Scalar { name } => tag::fold(hash, name),
            Self::Array { element, len } => {
                hash = element.fold(tag::fold(hash, "["));
                tag::fold(fold_number(tag::fold(hash, ";"), len), "]")
            }
            Self::Of { name, part } => {
                hash = part.fold(tag::fold(tag::fold(hash, name), "<"));
                tag::fold(hash, ">")
            }
            Self::Tuple { parts } => {
                hash = tag::fold(hash, "(");
                let mut i = 0;
                while i < parts.len() {
                    hash = parts[i].fold(if i > 0 { tag::fold(hash, ",") } else { hash });
                    i += 1;
                }
                tag::fold(hash, ")")
            }
            Self::Struct { name, fields } => {
                hash = tag::fold(tag::fold(hash, name), "{");
                let mut i = 0;
                while i < fields.len() {
                    hash = tag::fold(if i > 0 { tag::fold(hash, ",") } else { hash }, fields[i].0);
                    hash = fields[i].1.fold(tag::fold(hash, ":"));
                    i += 1;
                }
                tag::fold(hash, "}")
            }
        }
    }
}

const fn fold_number(hash: u32, number: usize) -> u32 {
    let hash = if number >= 10 { fold_number(hash, number / 10) } else { hash };
    tag::fold(hash, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"][number % 10])
}

/// Where a struct's `N` fields lie on the wire, by C's rules.
#[derive(Clone, Copy, Debug)]
pub struct FieldLayout<const N: usize> {
    /// Bytes of the whole.
    pub size: u32,
    /// Its alignment.
    pub align: u32,
    fields: [(u32, u32); N],
}

impl<const N: usize> FieldLayout<N> {
    /// Lays out fields of these sizes and alignments.
    pub const fn new(fields: [(u32, u32); N]) -> Self {
        let (size, align) = crate::message::layout::of(&fields);
        let mut ranges = fields;
        let mut i = 0;
        while i < N {
            let start = crate::message::layout::offset(&fields, i);
            ranges[i] = (start, start + fields[i].0);
            i += 1;
        }
        Self { size, align, fields: ranges }
    }

    /// The bytes of field `index`.
    pub const fn range(&self, index: usize) -> Range<usize> {
        self.fields[index].0 as usize..self.fields[index].1 as usize
    }
}

/// A handler of the actor `A`, by what it takes and what it answers.
pub struct Exchange<A, M, R>(PhantomData<fn(A, M) -> R>);

impl<A: Handles<M, Reply = R>, M: RingMessage, R: RingMessage> Exchange<A, M, R> {
    /// The message's tag.
    pub const TAG: u32 = M::TAG;
    /// What the runtime knows of the message.
    pub const MESSAGE: MessageInfo = message_info::<M>();
    /// What the runtime knows of the reply.
    pub const REPLY: MessageInfo = message_info::<R>();

    /// Runs the handler on a message's bytes and encodes what it answers: the reply's tag and its length.
    ///
    /// # Errors
    /// [`FaultKind::Malformed`] when the bytes are not an `M`.
    #[inline]
    pub fn answer(
        payload: &[u8],
        reply: &mut [u8],
        handler: impl FnOnce(M) -> R,
    ) -> Result<(u32, u32), FaultKind> {
        let message = M::decode(payload).map_err(|_| FaultKind::Malformed)?;
        Ok(write_reply(&handler(message), reply))
    }

    /// Asks a launched actor.
    ///
    /// # Errors
    /// As [`ActorRef::ask`].
    pub async fn ask(actor: &ActorRef<A>, message: M) -> Result<R, RingKernelError> {
        actor.ask(message).await
    }
}

/// Encodes what a handler answers: its tag and its length.
#[inline]
fn write_reply<R: RingMessage>(value: &R, reply: &mut [u8]) -> (u32, u32) {
    if !R::VARIABLE {
        value.encode(reply);
        return (R::TAG, R::SIZE);
    }
    let written = value.with_bytes(|bytes| {
        reply[..bytes.len()].copy_from_slice(bytes);
        bytes.len() as u32
    });
    match written {
        Ok(bytes) => (R::TAG, bytes),
        // A fault, with these words: the caller runs handlers where panics are caught.
        Err(error) => panic!("{error}"),
    }
}

/// A handler of the actor `A` that reads a message of variable size where it lies.
pub struct InPlace<A, M, R>(PhantomData<fn(A, M) -> R>);

impl<A: Handles<M, Reply = R>, M: VariableMessage, R: RingMessage> InPlace<A, M, R> {
    /// The message's tag.
    pub const TAG: u32 = M::TAG;
    /// What the runtime knows of the message.
    pub const MESSAGE: MessageInfo = Exchange::<A, M, R>::MESSAGE;
    /// What the runtime knows of the reply.
    pub const REPLY: MessageInfo = Exchange::<A, M, R>::REPLY;

    /// Runs the handler on a message's archive and encodes what it answers: the reply's tag and its length.
    ///
    /// # Errors
    /// [`FaultKind::Malformed`] when the bytes are no archive of an `M`.
    #[inline]
    pub fn answer(
        payload: &[u8],
        reply: &mut [u8],
        handler: impl FnOnce(&Archived<M>) -> R,
    ) -> Result<(u32, u32), FaultKind> {
        crate::payload::access::<M, _>(payload, |message| write_reply(&handler(message), reply))
            .map_err(|_| FaultKind::Malformed)
    }

    /// Asks a launched actor.
    ///
    /// # Errors
    /// As [`ActorRef::ask`].
    pub async fn ask(actor: &ActorRef<A>, message: M) -> Result<R, RingKernelError> {
        actor.ask(message).await
    }
}

/// Stands in for what [`InPlace`] lacks where `M` is no message of variable size; see [`NoExchange`].
pub trait NoInPlace<A, M, R>: Sized {
    /// No tag.
    const TAG: u32 = 0;
    /// No message.
    const MESSAGE: MessageInfo = MessageInfo::fixed("", 0, 0);
    /// No reply.
    const REPLY: MessageInfo = MessageInfo::fixed("", 0, 0);

    /// Does not run.
    ///
    /// # Errors
    /// Always.
    fn answer<H>(_payload: &[u8], _reply: &mut [u8], _handler: H) -> Result<(u32, u32), FaultKind> {
        Err(FaultKind::UnknownMessage)
    }

    /// Does not run.
    fn ask(_actor: &ActorRef<A>, _message: M) -> std::future::Pending<Result<R, RingKernelError>> {
        std::future::pending()
    }
}

impl<A, M, R> NoInPlace<A, M, R> for InPlace<A, M, R> {}

/// Stands in for what [`Exchange`] lacks where `M` or `R` is no message. The expansion that names it here also implements [`Handles`] for
/// them, which does not compile then: so rustc says it once, and none of this ever runs.
pub trait NoExchange<A, M, R>: Sized {
    /// No tag.
    const TAG: u32 = 0;
    /// No message.
    const MESSAGE: MessageInfo = MessageInfo::fixed("", 0, 0);
    /// No reply.
    const REPLY: MessageInfo = MessageInfo::fixed("", 0, 0);

    /// Does not run.
    ///
    /// # Errors
    /// Always.
    fn answer(
        _payload: &[u8],
        _reply: &mut [u8],
        _handler: impl FnOnce(M) -> R,
    ) -> Result<(u32, u32), FaultKind> {
        Err(FaultKind::UnknownMessage)
    }

    /// Does not run.
    fn ask(_actor: &ActorRef<A>, _message: M) -> std::future::Pending<Result<R, RingKernelError>> {
        std::future::pending()
    }
}

impl<A, M, R> NoExchange<A, M, R> for Exchange<A, M, R> {}

/// What the compiler made of an actor's handlers.
#[derive(Clone, Copy, Debug)]
pub struct DeviceCode {
    /// For CUDA.
    pub ptx: &'static str,
    /// For WebGPU.
    pub wgsl: &'static str,
    /// What the WGSL asks of an adapter.
    pub wgsl_needs: Needs,
    /// Why there is none, where there is none.
    pub native_only: Option<&'static str>,
    /// The places a fault can come from.
    pub sites: &'static [Site],
    /// Whom the handlers talk to.
    pub mesh: Mesh,
}

/// Stands in for the constants of an actor whose compilation did not come to its end, which rustc has been told: so the descriptor that
/// names them is not one more mistake. The constants themselves, inherent, go before these.
pub trait NotCompiled {
    /// Nothing.
    const __DEVICE_CODE: DeviceCode = DeviceCode {
        ptx: "",
        wgsl: "",
        wgsl_needs: Needs { int64: false, float64: false },
        native_only: None,
        sites: &[],
        mesh: Mesh::NONE,
    };
}

impl<T> NotCompiled for T {}

/// What the runtime knows of a message's type.
pub const fn message_info<M: RingMessage>() -> MessageInfo {
    // Offsets in archives have 32 bits, so no message is as long as that.
    let largest = if M::LARGEST > u32::MAX as u64 { u32::MAX } else { M::LARGEST as u32 };
    MessageInfo { name: M::NAME, tag: M::TAG, size: M::SIZE, variable: M::VARIABLE, largest }
}

/// Stands in for the id of a type that is no actor and that a handler sends to: rustc says so at the call. The `ID` of an actor, inherent,
/// goes before this.
pub trait NoActor {
    /// No id.
    const ID: &'static str = "";
}

impl<T> NoActor for T {}

/// A message with this tag that a handler forwards to the actor `A`, where the handler answers with the type of tag `REPLY`.
pub struct Forwarding<A, const TAG: u32, const REPLY: u32>(PhantomData<fn(A)>);

impl<A: Actor, const TAG: u32, const REPLY: u32> Forwarding<A, TAG, REPLY> {
    /// Whether the receiver answers with that type too, if it takes the message at all.
    pub const ANSWERS_ALIKE: bool = {
        let handlers = A::DESCRIPTOR.handlers;
        let (mut alike, mut i) = (true, 0);
        while i < handlers.len() {
            alike = alike && (handlers[i].message.tag != TAG || handlers[i].reply.tag == REPLY);
            i += 1;
        }
        alike
    };
}

/// Stands in for what [`Forwarding`] lacks where `A` is no actor, which rustc says at the call.
pub trait NoForwarding {
    /// Nobody answers at all.
    const ANSWERS_ALIKE: bool = true;
}

impl<A, const TAG: u32, const REPLY: u32> NoForwarding for Forwarding<A, TAG, REPLY> {}

/// The struct half of an actor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the state of a kernel",
    label = "this struct has no `#[ring_kernel(id = \"…\")]`",
    note = "put `#[ring_kernel(id = \"…\")]` on `struct {Self}`, too: the attribute goes on both halves"
)]
pub trait ActorState: DeviceType {}

/// Fails to compile with an explanation where the struct half is missing.
pub const fn assert_actor_state<A: ActorState>() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_hash_of_the_canonical_text() {
        const POINT: Definition = Definition::Struct {
            name: "Point",
            fields: &[("x", <f32 as DeviceType>::DEFINITION), ("at", <(u8, bool)>::DEFINITION)],
        };
        const PATH: Definition = Definition::Struct {
            name: "Path",
            fields: &[("points", Definition::Array { element: &POINT, len: 120 }), ("end", <()>::DEFINITION)],
        };
        const _: () = assert!(PATH.tag() != POINT.tag());
        assert_eq!(PATH.tag(), tag::of_definition("Path{points:[Point{x:f32,at:(u8,bool)};120],end:()}"));
        assert_eq!(<[i8; 3]>::DEFINITION.tag(), tag::of_definition("[i8;3]"));
    }

    #[test]
    fn fields_lie_where_c_puts_them() {
        const LAYOUT: FieldLayout<3> = FieldLayout::new([(1, 1), (8, 8), (2, 2)]);
        assert_eq!((LAYOUT.size, LAYOUT.align), (24, 8));
        assert_eq!([LAYOUT.range(0), LAYOUT.range(1), LAYOUT.range(2)], [0..1, 8..16, 16..18]);
    }
}
