//! What macro-generated code names as `::ringkernel::__private`. Not a public interface: it changes with the macros.

pub use crate::actor::{Actor, ActorRef, Handles};
pub use crate::expansion::{
    ActorState, Definition, DeviceCode, Exchange, FieldLayout, Forwarding, InPlace, NoActor, NoExchange,
    NoForwarding, NoInPlace, NotCompiled, assert_actor_state, message_info,
};
pub use crate::message::{check_length, decode_field, encode_field, layout};
pub use crate::native::native_shard;
pub use crate::runtime::launch;
pub use crate::{
    Archived, ControlBlock, DecodeError, DeviceType, HlcTimestamp, LaunchOptions, Payload, PayloadTooLarge,
    RingContext, RingKernel, RingKernelError, RingMessage, VariableMessage, payload,
};
pub use inventory;
pub use ringkernel_backends::abi::FaultKind;
pub use ringkernel_backends::kernel::{
    DeviceError, Group, HandlerInfo, KernelDescriptor, MessageInfo, NativeShard, NativeShardSpec, Needs, Site,
};
pub use ringkernel_backends::mesh::{Mesh, RouteInfo, TopicInfo};
pub use ringkernel_macros::{__ActorState, __carry, __emit, __kernel};
pub use rkyv;

use std::marker::PhantomData;

/// An actor that `RingKernel::launch` finds by its id.
///
/// The macro emits `::ringkernel::__private::inventory::submit! { ::ringkernel::__private::Registration(&DESCRIPTOR) }`.
pub struct Registration(pub &'static KernelDescriptor);
inventory::collect!(Registration);

/// Whether a type has a `Default`, as a constant.
///
/// `DefaultProbe::<Account>::DEFAULT_STATE` is `Some` where `Account: Default`, else `None`: the inherent constant exists only
/// under that bound and, where it does, shadows the one of [`NoDefault`]. That trait must be in scope, and the type concrete:
///
/// ```
/// use ringkernel::__private::{DefaultProbe, NoDefault as _};
///
/// static STATE: Option<fn(&mut [u8])> = DefaultProbe::<u32>::DEFAULT_STATE;
/// assert!(STATE.is_some());
///
/// struct Bare;
/// assert!(DefaultProbe::<Bare>::DEFAULT_STATE.is_none());
/// ```
pub struct DefaultProbe<T>(PhantomData<fn() -> T>);

impl<T: DeviceType + Default> DefaultProbe<T> {
    /// Writes the wire bytes of `T::default()`.
    pub const DEFAULT_STATE: Option<fn(&mut [u8])> = Some(|out| T::default().encode(out));
}

/// See [`DefaultProbe`].
pub trait NoDefault {
    /// `None`.
    const DEFAULT_STATE: Option<fn(&mut [u8])> = None;
}

impl<T> NoDefault for DefaultProbe<T> {}
