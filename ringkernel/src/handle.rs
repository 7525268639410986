//! [`KernelHandle`]: a launched kernel, whatever its actor.

use crate::hung::Waiting;
use crate::lifecycle::{KernelState, Transition};
use crate::live::LiveKernel;
use crate::request::Request;
use crate::timer::Sleep;
use crate::{RingKernelError, RingMessage};
use ringkernel_backends::abi::{ControlSnapshot, TelemetrySnapshot};
use ringkernel_backends::fork::forked;
use ringkernel_backends::kernel::HandlerInfo;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A launched kernel.
///
/// Clones are handles to the same kernel and share one inbox: a reply to any clone's [`send`](Self::send) is received by
/// whichever clone asks first. Dropping the last handle terminates the kernel.
///
/// Where the actor's type is known, its proxy (which dereferences to this) is the better way to talk to it.
///
/// ```
/// # use ringkernel::prelude::*;
/// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
/// # #[derive(RingMessage, Clone, Copy, Debug, PartialEq)] pub struct Sum { pub n: u32 }
/// # #[ring_kernel(id = "counter")] #[derive(Default, Debug, PartialEq)] pub struct Counter { n: u32 }
/// # #[ring_kernel] impl Counter {
/// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> Sum { self.n += msg.n; Sum { n: self.n } }
/// # }
/// # smol::block_on(async {
/// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// let kernel = runtime.launch("counter", LaunchOptions::default().without_auto_activate()).await?;
/// kernel.send(Add { n: 2 }).await?; // waits in the queue
/// assert_eq!(kernel.state(), KernelState::Launched);
/// kernel.activate().await?;
/// assert_eq!(kernel.receive::<Sum>().await?, Sum { n: 2 });
/// kernel.suspend().await?;
/// assert_eq!(kernel.snapshot::<Counter>(0).await?, Counter { n: 2 });
/// kernel.terminate().await?;
/// assert!(kernel.send(Add { n: 1 }).await.is_err());
/// # runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
#[derive(Clone)]
pub struct KernelHandle {
    owner: Arc<OwnerOf>,
}

/// What the handles of a kernel share; the last one to go ends the kernel.
struct OwnerOf {
    live: Arc<LiveKernel>,
}

impl Drop for OwnerOf {
    fn drop(&mut self) {
        if RingKernelError::check_process().is_err() {
            // Nothing of it may be touched in a fork, not even to be given back.
            std::mem::forget(self.live.clone());
        } else if self.live.lifecycle.state() != KernelState::Terminated {
            let live = self.live.clone();
            // Not here: it may take until the running handler ends. The registry keeps the kernel until then, so shutting the
            // runtime down waits for it. An error has nobody to go to: the kernel is given up either way.
            blocking::unblock(move || drop(live.terminate(Default::default()))).detach();
        }
    }
}

impl fmt::Debug for KernelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelHandle")
            .field("id", &self.id())
            .field("state", &self.state())
            .field("instances", &self.instances())
            .finish()
    }
}

impl KernelHandle {
    pub(crate) fn new(live: Arc<LiveKernel>) -> Self {
        Self { owner: Arc::new(OwnerOf { live }) }
    }

    pub(crate) fn live(&self) -> &Arc<LiveKernel> {
        &self.owner.live
    }

    /// The id it was launched by.
    pub fn id(&self) -> &'static str {
        self.live().id()
    }

    /// The actor's name.
    pub fn actor(&self) -> &'static str {
        self.live().descriptor.actor
    }

    /// The handlers it has.
    pub fn handlers(&self) -> &'static [HandlerInfo] {
        self.live().descriptor.handlers
    }

    /// How many instances it was launched with.
    pub fn instances(&self) -> u32 {
        self.live().instances
    }

    // Messages.

    /// Sends a message to instance 0. Its reply, or its fault, will be in the inbox: see [`receive`](Self::receive).
    ///
    /// Returns when the message is in the queue; waits while that is full, or the memory for what [no slot carries](crate::payload), and while about
    /// a million replies wait to be received. Messages to a kernel that is launched or deactivated wait in the queue until it is active. A future that is
    /// dropped while it waits has sent nothing.
    ///
    /// # Errors
    /// [`NotHandled`](RingKernelError::NotHandled), [`Terminated`](RingKernelError::Terminated),
    /// [`DeviceLost`](RingKernelError::DeviceLost), and for messages of variable size as [`ask`](crate::ActorRef::ask).
    pub async fn send<M: RingMessage>(&self, message: M) -> Result<(), RingKernelError> {
        self.send_to(0, message).await
    }

    /// [`send`](Self::send), to the given instance.
    ///
    /// # Errors
    /// As `send`, and [`NoSuchInstance`](RingKernelError::NoSuchInstance).
    pub async fn send_to<M: RingMessage>(&self, instance: u32, message: M) -> Result<(), RingKernelError> {
        let live = self.live();
        live.check_open()?;
        self.check_instance(instance)?;
        self.check_handled::<M>()?;
        Request::send(live, instance, message).await
    }

    /// Takes the oldest reply from the inbox; waits for it.
    ///
    /// With nothing sent, it waits for what will be sent. A handler without a return value answers `()`.
    ///
    /// # Errors
    /// [`HandlerFault`](RingKernelError::HandlerFault) when the message's handler faulted (this takes it from the inbox).
    /// [`UnexpectedReply`](RingKernelError::UnexpectedReply) when the oldest reply is of another type; it stays the oldest.
    /// [`Terminated`](RingKernelError::Terminated) or [`DeviceLost`](RingKernelError::DeviceLost) when no reply is left and none
    /// will come.
    pub async fn receive<T: RingMessage>(&self) -> Result<T, RingKernelError> {
        RingKernelError::check_process()?;
        let live = self.live();
        live.inbox.receive(live).await
    }

    /// [`receive`](Self::receive), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// As `receive`, and [`Timeout`](RingKernelError::Timeout); a reply that comes later can still be received.
    /// [`KernelHung`](RingKernelError::KernelHung) where requests waited all the while and nothing has moved on a shard of theirs.
    pub async fn receive_timeout<T: RingMessage>(&self, timeout: Duration) -> Result<T, RingKernelError> {
        RingKernelError::check_process()?;
        let waiting = Waiting::begin(self.live());
        match within(timeout, self.receive()).await {
            Some(reply) => reply,
            None => Err(waiting.late(self.live(), timeout)),
        }
    }

    /// Takes the oldest reply from the inbox, if there is one.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn try_receive<T: RingMessage>(&self) -> Result<Option<T>, RingKernelError> {
        RingKernelError::check_process()?;
        let live = self.live();
        live.check_device();
        let ended = live.has_ended();
        match live.inbox.try_receive(live) {
            Some(reply) => reply.map(Some),
            None if ended => Err(live.ended_error(true)),
            None => Ok(None),
        }
    }

    pub(crate) fn check_instance(&self, instance: u32) -> Result<(), RingKernelError> {
        let (id, instances) = (self.id(), self.instances());
        if instance < instances {
            Ok(())
        } else {
            Err(RingKernelError::NoSuchInstance { id, instance, instances })
        }
    }

    fn check_handled<M: RingMessage>(&self) -> Result<(), RingKernelError> {
        let descriptor = self.live().descriptor;
        match descriptor.handler(M::TAG) {
            // The size as well: it is what the queue's slots were made for.
            Some(handler) if handler.message.size == M::SIZE => Ok(()),
            _ => Err(RingKernelError::NotHandled {
                actor: descriptor.actor,
                message: M::NAME,
                handled: descriptor.handlers.iter().map(|handler| handler.message.name).collect(),
            }),
        }
    }

    /// Requests that hold memory on the host: those that wait for a reply, whether or not anybody still wants it, and those
    /// whose reply waits in the inbox. 0 when everything has been answered and received.
    pub fn pending(&self) -> usize {
        self.live().slab.live() + self.live().flights.outstanding()
    }

    // Lifecycle.

    /// Where the kernel is in its life.
    pub fn state(&self) -> KernelState {
        self.live().lifecycle.state()
    }

    /// Whether it processes messages.
    pub fn is_active(&self) -> bool {
        self.state() == KernelState::Active
    }

    /// Starts the processing of messages. From launched or deactivated.
    ///
    /// Like every step, it is taken to its end once begun, even if the future is dropped; steps that are asked for at the
    /// same time are taken one after another.
    ///
    /// # Errors
    /// [`InvalidTransition`](RingKernelError::InvalidTransition), or what the device reports.
    pub async fn activate(&self) -> Result<(), RingKernelError> {
        self.step(Transition::Activate).await
    }

    /// Stops the processing of messages: when this returns, no handler runs. Messages wait, the state is kept. From active.
    ///
    /// # Errors
    /// As [`activate`](Self::activate).
    pub async fn deactivate(&self) -> Result<(), RingKernelError> {
        self.step(Transition::Deactivate).await
    }

    /// The same as [`deactivate`](Self::deactivate).
    ///
    /// # Errors
    /// As [`activate`](Self::activate).
    pub async fn suspend(&self) -> Result<(), RingKernelError> {
        self.step(Transition::Suspend).await
    }

    /// Starts the processing of messages again. From deactivated.
    ///
    /// # Errors
    /// As [`activate`](Self::activate).
    pub async fn resume(&self) -> Result<(), RingKernelError> {
        self.step(Transition::Resume).await
    }

    async fn step(&self, action: Transition) -> Result<(), RingKernelError> {
        RingKernelError::check_process()?;
        let live = self.live().clone();
        blocking::unblock(move || live.step(action)).await
    }

    // Looking in.

    /// The live telemetry buffer, over all shards.
    pub fn telemetry(&self) -> TelemetrySnapshot {
        if forked() { TelemetrySnapshot::default() } else { self.live().kernel().telemetry() }
    }

    /// The live control block, over all shards.
    pub fn control(&self) -> ControlSnapshot {
        if forked() { ControlSnapshot::default() } else { self.live().kernel().control() }
    }
}

/// A future's output, or `None` when it takes longer.
pub(crate) async fn within<F: Future>(timeout: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(Sleep::new(timeout));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}
