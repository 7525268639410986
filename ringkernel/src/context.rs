//! What a handler is told besides its message, and what it can do besides answering.

use crate::{Actor, Handles, HlcTimestamp, RingMessage};
use ringkernel_backends::mesh::{NoOutbox, Outbox, Sent, key_of};
use std::fmt;

/// The second parameter of every handler: who it is, whom it sends to, and what time it is.
///
/// # Sending
/// A kernel that is launched is connected to those of its runtime whose ids its handlers name, as soon as they are there
/// ([`RingKernel::connect`](crate::RingKernel::connect) has the rest). What a handler sends goes from device to device memory, not by way of the
/// host, unless the two are on different devices. Messages from one instance to another arrive in the order in which they were sent, each at most
/// once, and none that was [`Sent::Ok`] is lost; but a kernel that is terminated leaves behind what lies in its mailbox, and one launched with
/// [`Overflow::DropOldest`](crate::mesh::Overflow::DropOldest) discards, and counts, its oldest.
///
/// No send fails silently. Each says
/// - [`Sent::Ok`]: the message was taken.
/// - [`Sent::Full`]: the receiver has no room (if it was launched to block, there was none in all that time). The handler may drop the message, or
///   remember it in its state for the next time; it should not try again and again, for on a device nobody may make room meanwhile.
/// - [`Sent::Gone`]: no such kernel is connected. [`Sent::NoInstance`]: it has no such instance. [`Sent::NoSender`]: nobody to reply to.
///
/// Ids and topics are literals, known when a handler is compiled. Messages that are sent have a fixed size.
///
/// # Tests
/// Handlers are ordinary methods. A unit test calls them with a context of its own, [`detached`](Self::detached) or one that
/// [records](crate::Recorder) what is sent.
///
/// ```
/// use ringkernel::RingContext;
///
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
    /// A context that belongs to no kernel, for calling handlers directly (in a unit test, say). Whom they send to is [`Sent::Gone`], there is nobody to
    /// reply to, and the clock stands at 0. A [`Recorder`](crate::Recorder) has contexts that can do more.
    ///
    /// ```
    /// use ringkernel::mesh::Sent;
    /// use ringkernel::prelude::*;
    ///
    /// let mut ctx = RingContext::detached(0);
    /// assert_eq!(ctx.send_to_kernel("ledger", 5u32), Sent::Gone);
    /// assert_eq!(ctx.reply(5u32), Sent::NoSender);
    /// ```
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

    /// Sends a message to an instance of the actor `A`: to the kernel of that type which this one is connected to. That `A` handles such a message is
    /// checked when the handler is compiled.
    ///
    /// How it ended is what it returns; see [Sending](Self#sending).
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Deposit { pub cents: i64 }
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Entry { pub cents: i64 }
    ///
    /// #[ring_kernel(id = "sent_ledger")]
    /// #[derive(Default, Debug, PartialEq)]
    /// pub struct Ledger { sum: i64 }
    ///
    /// #[ring_kernel]
    /// impl Ledger {
    ///     #[handler]
    ///     fn enter(&mut self, _ctx: &mut RingContext, msg: Entry) {
    ///         self.sum += msg.cents;
    ///     }
    /// }
    ///
    /// #[ring_kernel(id = "sending_account")]
    /// #[derive(Default)]
    /// pub struct Account { cents: i64, lost: u32 }
    ///
    /// #[ring_kernel]
    /// impl Account {
    ///     #[handler]
    ///     fn deposit(&mut self, ctx: &mut RingContext, msg: Deposit) -> i64 {
    ///         self.cents += msg.cents;
    ///         if !ctx.send::<Ledger>(0, Entry { cents: msg.cents }).is_ok() {
    ///             self.lost += 1;
    ///         }
    ///         self.cents
    ///     }
    /// }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let ledger = Ledger::launch(&runtime, LaunchOptions::default()).await?;
    /// let account = Account::launch(&runtime, LaunchOptions::default().instances(3)).await?;
    /// for instance in 0..3 {
    ///     assert_eq!(account.at(instance)?.deposit(Deposit { cents: 5 }).await?, 5);
    /// }
    /// ledger.terminate_with(TerminateOptions::default().drain()).await?;
    /// assert_eq!(ledger.snapshot::<Ledger>(0).await?, Ledger { sum: 15 });
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn send<A: Actor>(&mut self, instance: u32, message: impl MessageOf<A>) -> Sent {
        let key = key_of(A::DESCRIPTOR.id);
        encoded(&message, |tag, payload| self.outbox.send(key, instance, tag, payload))
    }

    /// Sends a message to instance 0 of the kernel with this id, which is to be a literal. Whether that kernel handles the message shows when it
    /// arrives (if not, that is a fault of the receiver's, which it counts); [`send`](Self::send) knows when it is compiled. The sender need not
    /// know the receiver's type.
    ///
    /// How it ended is what it returns; see [Sending](Self#sending).
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # use ringkernel::mesh::Sent;
    /// # #[ring_kernel(id = "told_counter")] #[derive(Default, Debug, PartialEq)] pub struct Counter { count: u32 }
    /// # #[ring_kernel] impl Counter {
    /// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, by: u32) { self.count += by; }
    /// # }
    /// # #[ring_kernel(id = "front")] #[derive(Default)] pub struct Front { seen: u32 }
    /// # #[ring_kernel] impl Front {
    /// #[handler]
    /// fn seen(&mut self, ctx: &mut RingContext, by: u32) -> bool {
    ///     self.seen += by;
    ///     ctx.send_to_kernel("told_counter", by) == Sent::Ok
    /// }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let front = Front::launch(&runtime, LaunchOptions::default()).await?;
    /// assert!(!front.seen(7).await?, "there is no `told_counter`");
    /// let counter = Counter::launch(&runtime, LaunchOptions::default()).await?;
    /// assert!(front.seen(7).await?);
    /// # counter.terminate_with(TerminateOptions::default().drain()).await?;
    /// # assert_eq!(counter.snapshot::<Counter>(0).await?, Counter { count: 7 });
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn send_to_kernel(&mut self, id: &str, message: impl RingMessage) -> Sent {
        self.send_to_instance(id, 0, message)
    }

    /// [`send_to_kernel`](Self::send_to_kernel), to any of its instances.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # use ringkernel::Recorder;
    /// fn pass_on(ctx: &mut RingContext, number: u32) -> bool {
    ///     ctx.send_to_instance("counter", number % 4, number).is_ok()
    /// }
    ///
    /// let mut recorder = Recorder::new();
    /// assert!(pass_on(&mut recorder.context(0), 7));
    /// assert_eq!(recorder.sent::<u32>("counter"), [(3, 7)]);
    /// ```
    pub fn send_to_instance(&mut self, id: &str, instance: u32, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.send(key_of(id), instance, tag, payload))
    }

    /// Sends a message to the instance that sent the one being handled: [`Sent::NoSender`] if the host did, [`Sent::Gone`] if the kernel that did has ended.
    /// What the handler returns is not sent to a kernel; this is.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Query { pub n: u32 }
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Answer { pub square: u32 }
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Start { pub n: u32 }
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Read {}
    ///
    /// # #[ring_kernel(id = "replying_squares")] #[derive(Default)] pub struct Squares { asked: u32 }
    /// # #[ring_kernel] impl Squares {
    /// #[handler]
    /// fn query(&mut self, ctx: &mut RingContext, msg: Query) {
    ///     self.asked += 1;
    ///     let _ = ctx.reply(Answer { square: msg.n * msg.n });
    /// }
    /// # }
    /// # #[ring_kernel(id = "pupil")] #[derive(Default)] pub struct Pupil { sum: u32 }
    /// # #[ring_kernel] impl Pupil {
    /// #     #[handler] fn start(&mut self, ctx: &mut RingContext, msg: Start) -> bool {
    /// #         ctx.send::<Squares>(0, Query { n: msg.n }).is_ok()
    /// #     }
    /// #[handler]
    /// fn answer(&mut self, _ctx: &mut RingContext, msg: Answer) {
    ///     self.sum += msg.square;
    /// }
    /// #     #[handler] fn read(&mut self, _ctx: &mut RingContext, _msg: Read) -> u32 { self.sum }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// # let squares = Squares::launch(&runtime, LaunchOptions::default()).await?;
    /// # let pupil = Pupil::launch(&runtime, LaunchOptions::default()).await?;
    /// // The pupil sends a query to the squares, and gets an answer.
    /// assert!(pupil.start(Start { n: 5 }).await?);
    /// while pupil.read(Read {}).await? != 25 {}
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn reply(&mut self, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.reply(tag, payload))
    }

    /// Hands the duty to answer to an instance of the actor `A`, whose handler must return what this one returns. If it is
    /// [`Sent::Ok`], what this handler returns goes nowhere, and who asked waits for the other's answer. If the receiver ends, or discards the message, before
    /// it is handled, that is a fault of the request: [`NotDelivered`](crate::FaultKind::NotDelivered).
    ///
    /// A request has one answer, so it can be forwarded once: a second time is [`Sent::NoSender`]. A message that nobody waits for the answer to is
    /// sent on as it is, with its sender.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Job { pub n: u32 }
    ///
    /// # #[ring_kernel(id = "worker")] #[derive(Default)] pub struct Worker { done: u32 }
    /// # #[ring_kernel] impl Worker {
    /// #[handler]
    /// fn work(&mut self, ctx: &mut RingContext, msg: Job) -> u32 {
    ///     self.done += 1;
    ///     100 * ctx.instance() + msg.n
    /// }
    /// # }
    /// # #[ring_kernel(id = "desk")] #[derive(Default)] pub struct Desk { next: u32 }
    /// # #[ring_kernel] impl Desk {
    /// #[handler]
    /// fn job(&mut self, ctx: &mut RingContext, msg: Job) -> u32 {
    ///     self.next = (self.next + 1) % 4;
    ///     if !ctx.forward::<Worker>(self.next, msg).is_ok() {
    ///         return u32::MAX; // Nobody has room.
    ///     }
    ///     0
    /// }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let workers = Worker::launch(&runtime, LaunchOptions::default().instances(4)).await?;
    /// let desk = Desk::launch(&runtime, LaunchOptions::default()).await?;
    /// assert_eq!(desk.job(Job { n: 7 }).await?, 107);
    /// assert_eq!(desk.job(Job { n: 7 }).await?, 207);
    /// # drop(workers);
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn forward<A: Actor>(&mut self, instance: u32, message: impl MessageOf<A>) -> Sent {
        let key = key_of(A::DESCRIPTOR.id);
        encoded(&message, |tag, payload| self.outbox.forward(key, instance, tag, payload))
    }

    /// Gives a message to the host, beside replies: [`KernelHandle::outputs`](crate::KernelHandle::outputs) has them. [`Sent::Full`] where the
    /// host does not take them as fast as the kernel's handlers give them out; a handler's own reply always has room.
    ///
    /// [`Outputs`](crate::mesh::Outputs) has an example with a host; this is one without.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # use ringkernel::Recorder;
    /// let mut recorder = Recorder::new();
    /// assert!(recorder.context(0).enqueue_output(95.5f32).is_ok());
    /// assert_eq!(recorder.outputs::<f32>(), [95.5]);
    /// ```
    pub fn enqueue_output(&mut self, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.output(tag, payload))
    }

    /// Publishes a message on a topic, which is to be a literal: to the kernels and the streams of the host that have
    /// [subscribed](crate::pubsub) to it. [`Sent::Full`] where one of them had no room (it is told what it missed); the others got it.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// use futures::StreamExt;
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Reading { pub celsius: f32 }
    /// # #[ring_kernel(id = "sensor")] #[derive(Default)] pub struct Sensor { read: u32 }
    /// # #[ring_kernel] impl Sensor {
    /// #[handler]
    /// fn reading(&mut self, ctx: &mut RingContext, msg: Reading) {
    ///     self.read += 1;
    ///     let _ = ctx.publish("sensors/7/temperature", msg);
    /// }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let sensor = Sensor::launch(&runtime, LaunchOptions::default()).await?;
    /// let mut readings = runtime.topics().subscribe::<Reading>("sensors/+/temperature").await?;
    /// sensor.reading(Reading { celsius: 21.5 }).await?;
    /// let reading = readings.next().await.expect("the runtime is there");
    /// assert_eq!(reading.message.celsius, 21.5);
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn publish(&mut self, topic: &str, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.publish(key_of(topic), false, tag, payload))
    }

    /// [`publish`](Self::publish), and the host keeps the message for those who subscribe later: they begin with it. [`Sent::Full`] also
    /// where the host had no room for it, and so has not kept it.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # use ringkernel::Recorder;
    /// let mut recorder = Recorder::new();
    /// assert!(recorder.context(0).publish_retained("sensors/7/state", true).is_ok());
    /// assert_eq!(recorder.published::<bool>("sensors/7/state"), [true]);
    /// ```
    pub fn publish_retained(&mut self, topic: &str, message: impl RingMessage) -> Sent {
        encoded(&message, |tag, payload| self.outbox.publish(key_of(topic), true, tag, payload))
    }

    /// Takes the oldest message of type `M` that the kernel with this id sent to this instance. Such messages lie in the mailbox until a handler asks for
    /// them, if no handler of this actor takes their type; those that nobody asks for fill it, and senders are then told [`Sent::Full`]. What was sent
    /// before the kernel ended, or was disconnected, can still be received until another has taken its place.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Part { pub weight: u32 }
    /// #[derive(RingMessage, Clone, Copy, Debug)]
    /// pub struct Assemble {}
    ///
    /// # #[ring_kernel(id = "parts")] #[derive(Default)] pub struct Parts { made: u32 }
    /// # #[ring_kernel] impl Parts {
    /// #     #[handler] fn make(&mut self, ctx: &mut RingContext, weight: u32) -> bool {
    /// #         self.made += 1;
    /// #         ctx.send_to_kernel("assembly", Part { weight }).is_ok()
    /// #     }
    /// # }
    /// # #[ring_kernel(id = "assembly")] #[derive(Default)] pub struct Assembly { weight: u32 }
    /// # #[ring_kernel] impl Assembly {
    /// #[handler]
    /// fn assemble(&mut self, ctx: &mut RingContext, _msg: Assemble) -> u32 {
    ///     while let Some(part) = ctx.try_receive_from_kernel::<Part>("parts") {
    ///         self.weight += part.weight;
    ///     }
    ///     self.weight
    /// }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// # let assembly = Assembly::launch(&runtime, LaunchOptions::default()).await?;
    /// # let parts = Parts::launch(&runtime, LaunchOptions::default()).await?;
    /// assert!(parts.make(3).await? && parts.make(4).await?);
    /// assert_eq!(assembly.assemble(Assemble {}).await?, 7);
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn try_receive_from_kernel<M: RingMessage>(&mut self, id: &str) -> Option<M> {
        const { assert!(!M::VARIABLE, "a message of variable size is handled by a `#[handler]`, not received") };
        let mut bytes = vec![0; M::SIZE as usize];
        if !self.outbox.receive(key_of(id), M::TAG, &mut bytes) {
            return None;
        }
        M::decode(&bytes).ok()
    }

    /// Whether a kernel sent the message being handled, so that there is somebody to [`reply`](Self::reply) to.
    ///
    /// ```
    /// use ringkernel::Recorder;
    ///
    /// assert!(!Recorder::new().context(0).has_sender());
    /// assert!(Recorder::new().from_instance(7).context(0).has_sender());
    /// ```
    pub fn has_sender(&self) -> bool {
        self.outbox.sender().is_some()
    }

    /// The instance that sent the message being handled, of whichever kernel; 0 where none did.
    ///
    /// ```
    /// use ringkernel::Recorder;
    ///
    /// assert_eq!(Recorder::new().from_instance(7).context(0).sender_instance(), 7);
    /// ```
    pub fn sender_instance(&self) -> u32 {
        self.outbox.sender().map_or(0, |(_, instance)| instance)
    }

    /// When the message being handled was sent, by its sender's clock.
    ///
    /// ```
    /// use ringkernel::{HlcTimestamp, Recorder};
    ///
    /// let at = HlcTimestamp::from_u64(5 << HlcTimestamp::COUNTER_BITS);
    /// let mut recorder = Recorder::new().sent_at(at);
    /// assert_eq!(recorder.context(0).sent_at().micros(), 5);
    /// ```
    pub fn sent_at(&self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.sent_at())
    }

    /// The hybrid logical clock, which is not before any message that has been handled, without moving it on. What is sent next has a later timestamp, or the
    /// same time of day.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # #[ring_kernel(id = "clock")] #[derive(Default)] pub struct Clock { asked: u32 }
    /// # #[ring_kernel] impl Clock {
    /// #[handler]
    /// fn time(&mut self, ctx: &mut RingContext, _msg: ()) -> HlcTimestamp {
    ///     self.asked += 1;
    ///     ctx.now()
    /// }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// # let clock = Clock::launch(&runtime, LaunchOptions::default()).await?;
    /// let (first, second) = (clock.time(()).await?, clock.time(()).await?);
    /// assert!(first <= second);
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn now(&mut self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.now())
    }

    /// Moves the clock for an event of the handler's own; no timestamp is given twice to one instance.
    ///
    /// ```
    /// use ringkernel::Recorder;
    ///
    /// let mut recorder = Recorder::new();
    /// let mut ctx = recorder.context(0);
    /// let (before, event) = (ctx.now(), ctx.tick());
    /// assert!(before < event && event <= ctx.now());
    /// ```
    pub fn tick(&mut self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.tick())
    }

    /// Moves the clock past a timestamp seen elsewhere, in a message's field, say. One too far ahead of the time of day
    /// (more than half a second) does not move it.
    ///
    /// ```
    /// use ringkernel::{HlcTimestamp, Recorder};
    ///
    /// let mut recorder = Recorder::new();
    /// let mut ctx = recorder.context(0);
    /// let in_a_moment = HlcTimestamp::from_u64(ctx.now().as_u64() + (100_000 << HlcTimestamp::COUNTER_BITS));
    /// assert_eq!(ctx.update_clock(in_a_moment), in_a_moment);
    /// assert!(ctx.tick() > in_a_moment);
    /// assert!(ctx.update_clock(HlcTimestamp::from_u64(u64::MAX)) < HlcTimestamp::from_u64(u64::MAX));
    /// ```
    pub fn update_clock(&mut self, seen: HlcTimestamp) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.outbox.update_clock(seen.as_u64()))
    }
}

/// Calls with the message's tag and wire bytes.
fn encoded<M: RingMessage>(message: &M, call: impl FnOnce(u32, &[u8]) -> Sent) -> Sent {
    message.with_bytes(|bytes| call(M::TAG, bytes)).unwrap_or(Sent::TooLarge)
}
