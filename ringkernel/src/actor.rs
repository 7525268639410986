//! What `#[ring_kernel]` makes of a struct and its impl: [`Actor`] and [`Handles`].

use crate::{DeviceType, RingContext, RingMessage};
use ringkernel_backends::abi::FaultKind;
use ringkernel_backends::kernel::KernelDescriptor;

/// A struct with handlers. Implemented by `#[ring_kernel]` on its impl.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an actor",
    label = "not an actor",
    note = "put `#[ring_kernel(id = \"…\")]` on the struct and `#[ring_kernel]` on the impl with its `#[handler]` methods"
)]
pub trait Actor: DeviceType {
    /// Everything a device must know of the actor.
    const DESCRIPTOR: &'static KernelDescriptor;

    /// Runs the handler for `tag` natively: decodes `payload` (exactly the message's bytes), calls the method, and encodes
    /// its answer at the front of `reply`. Returns the reply's tag and its length in bytes.
    ///
    /// # Errors
    /// [`FaultKind::UnknownMessage`] when no handler takes `tag`, [`FaultKind::Malformed`] when `payload` is not such a
    /// message. What else goes wrong in a handler is a panic.
    fn dispatch(
        &mut self,
        ctx: &mut RingContext,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
    ) -> Result<(u32, u32), FaultKind>;
}

/// `A: Handles<M>` where the actor `A` has a handler for the message `M`. Implemented by `#[ring_kernel]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "no `#[handler]` of this actor takes `{M}`"
)]
pub trait Handles<M: RingMessage>: Actor {
    /// What the handler answers.
    type Reply: RingMessage;
}
