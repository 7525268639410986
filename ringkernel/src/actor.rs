//! Actors by their type: what `#[ring_kernel]` makes of a struct and its impl ([`Actor`], [`Handles`]), and the typed reference
//! to a launched one ([`ActorRef`]).

use crate::handle::KernelHandle;
use crate::live::LiveKernel;
use crate::park::block_on;
use crate::pending::Owner;
pub use crate::request::Request;
use crate::{DeviceType, RingContext, RingKernelError, RingMessage, TrySendError};
use ringkernel_backends::abi::{Correlation, FaultKind};
use ringkernel_backends::kernel::KernelDescriptor;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

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

/// One instance of a launched actor, typed: what a proxy holds.
///
/// ```
/// # use ringkernel::prelude::*;
/// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
/// # #[derive(RingMessage, Clone, Copy, Debug, PartialEq)] pub struct Sum { pub n: u32 }
/// # #[ring_kernel(id = "counters")] #[derive(Default, Debug, PartialEq)] pub struct Counter { n: u32 }
/// # #[ring_kernel] impl Counter {
/// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> Sum { self.n += msg.n; Sum { n: self.n } }
/// # }
/// # smol::block_on(async {
/// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// let counters = Counter::launch(&runtime, LaunchOptions::default().instances(1000)).await?;
/// let seventh = counters.at(7)?;
/// seventh.tell(Add { n: 1 }).await?;
/// assert_eq!(seventh.ask(Add { n: 1 }).await?, Sum { n: 2 });
/// assert_eq!(seventh.ask_timeout(Add { n: 1 }, std::time::Duration::from_secs(5)).await?, Sum { n: 3 });
/// if let Err(refused) = seventh.try_tell(Add { n: 1 }) {
///     println!("{}: {:?} comes back", refused.reason, refused.message);
/// }
/// assert_eq!(counters.at(1000).unwrap_err().to_string(), "kernel `counters` has no instance 1000: it was launched with 1000, numbered from 0");
/// # runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
///
/// It dereferences to the kernel's [`KernelHandle`]. Clones, and the references that [`at`](Self::at) gives, are of the same
/// kernel; the last one to go terminates it.
///
/// A future that is dropped cancels its request: while it waits for room the message is not sent; once handed over, its
/// handler may run, and the reply is discarded.
pub struct ActorRef<A> {
    handle: KernelHandle,
    instance: u32,
    actor: PhantomData<fn() -> A>,
}

impl<A> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), instance: self.instance, actor: PhantomData }
    }
}

impl<A> Deref for ActorRef<A> {
    type Target = KernelHandle;
    fn deref(&self) -> &KernelHandle {
        &self.handle
    }
}

impl<A> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorRef")
            .field("actor", &self.handle.actor())
            .field("instance", &self.instance)
            .field("state", &self.handle.state())
            .finish()
    }
}

// Without `A: Actor`: where its impl half is missing, `launch` says so, and that is enough.
impl<A> ActorRef<A> {
    pub(crate) fn new(handle: KernelHandle) -> Self {
        Self { handle, instance: 0, actor: PhantomData }
    }

    /// The kernel's handle.
    pub fn handle(&self) -> &KernelHandle {
        &self.handle
    }

    /// Which instance this is.
    pub fn instance(&self) -> u32 {
        self.instance
    }

    /// Another instance of the same kernel.
    ///
    /// # Errors
    /// [`NoSuchInstance`](RingKernelError::NoSuchInstance).
    pub fn at(&self, instance: u32) -> Result<Self, RingKernelError> {
        self.handle.check_instance(instance)?;
        Ok(Self { instance, ..self.clone() })
    }
}

impl<A: Actor> ActorRef<A> {
    /// Sends a message and waits for the reply. While the queue is full, or the memory for what [no slot carries](crate::payload), it waits for room first.
    ///
    /// A request that is the kernel's only one asks to be polled again for some microseconds before it sleeps, while replies do
    /// come that fast: being woken would take longer.
    ///
    /// # Errors
    /// [`HandlerFault`](RingKernelError::HandlerFault), [`Terminated`](RingKernelError::Terminated),
    /// [`DeviceLost`](RingKernelError::DeviceLost). For a message of variable size that is larger than it may be, or than all of the memory for what no slot
    /// carries, [`PayloadTooLarge`](RingKernelError::PayloadTooLarge) and [`PayloadMemory`](RingKernelError::PayloadMemory).
    pub fn ask<M: RingMessage>(&self, message: M) -> Request<'_, A::Reply>
    where
        A: Handles<M>,
    {
        Request::ask(self.handle.live(), self.instance, message, None)
    }

    /// [`ask`](Self::ask), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// As `ask`, and [`Timeout`](RingKernelError::Timeout), which says whether the handler may still run;
    /// [`KernelHung`](RingKernelError::KernelHung) where nothing at all has moved since the request was handed over.
    pub fn ask_timeout<M: RingMessage>(&self, message: M, timeout: Duration) -> Request<'_, A::Reply>
    where
        A: Handles<M>,
    {
        Request::ask(self.handle.live(), self.instance, message, Some(timeout))
    }

    /// [`ask`](Self::ask) for threads outside any executor: looks for the reply itself for a moment, then sleeps until it is
    /// there. On an executor's thread it would keep every other task waiting.
    ///
    /// # Errors
    /// As `ask`.
    pub fn ask_blocking<M: RingMessage>(&self, message: M) -> Result<A::Reply, RingKernelError>
    where
        A: Handles<M>,
    {
        let live = self.handle.live();
        let Ok(mut ticket) = live.try_open(Owner::Asker, self.instance, false) else {
            return block_on(self.ask(message));
        };
        if live.try_push(self.instance, ticket.correlation(), &message).is_err() {
            drop(ticket);
            return block_on(self.ask(message));
        }
        ticket.sent();
        let read = LiveKernel::read_reply::<A::Reply>;
        if let Some(reply) = ticket.spin(read) {
            return reply;
        }
        let mut looking = ticket.wait(false);
        block_on(poll_fn(|cx| ticket.poll(&mut looking, cx, read)))
    }

    /// Sends a message and does not wait for its handler. What the handler answers is dropped; a fault is only counted.
    /// While the queue is full, or the memory for what [no slot carries](crate::payload), it waits for room.
    ///
    /// # Errors
    /// [`Terminated`](RingKernelError::Terminated), [`DeviceLost`](RingKernelError::DeviceLost), and for messages of variable size as [`ask`](Self::ask).
    #[inline]
    pub fn tell<M: RingMessage>(&self, message: M) -> Request<'_, ()>
    where
        A: Handles<M>,
    {
        Request::tell(self.handle.live(), self.instance, message)
    }

    /// [`tell`](Self::tell), but never waits: where it cannot send, it gives the message back.
    ///
    /// # Errors
    /// As `tell`, and [`QueueFull`](RingKernelError::QueueFull) or [`PayloadMemory`](RingKernelError::PayloadMemory) where `tell` would wait.
    pub fn try_tell<M: RingMessage>(&self, message: M) -> Result<(), TrySendError<M>>
    where
        A: Handles<M>,
    {
        let live = self.handle.live();
        if let Err(reason) = live.check_open() {
            return Err(TrySendError { message, reason });
        }
        match live.try_push(self.instance, Correlation::NONE, &message) {
            Ok(()) => Ok(()),
            Err(reason) => {
                let reason = live.not_sent(self.instance, reason);
                Err(TrySendError { message, reason })
            }
        }
    }
}
