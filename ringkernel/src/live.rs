//! A kernel while it is launched: the request path, and what ends it.
//!
//! A request takes an entry of the slab ([`pending`](crate::pending)), goes into the ring of its instance's shard
//! ([`lane`](crate::lane)), and its reply comes back to that entry through whoever drains. Handles and proxies are thin
//! layers over [`LiveKernel`]; the runtime's registry keeps it until it is terminated.

use crate::bridge::Bridge;
use crate::inbox::Inbox;
use crate::lane::Lane;
use crate::lifecycle::{KernelState, Lifecycle, Transition};
use crate::options::Checked;
use crate::pending::{Delivered, Owner, Refused, Slab};
use crate::ticket::{Patience, Ticket};
use crate::{HandlerFault, RingKernelError, RingMessage};
use ringkernel_backends::abi::{Correlation, FaultKind, Full, Header, tag};
use ringkernel_backends::kernel::{
    Device, DeviceError, Kernel, KernelDescriptor, LaunchSpec, Port, Progress,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The kernels of a runtime that are not terminated.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) kernels: Mutex<Kernels>,
}

#[derive(Default)]
pub(crate) struct Kernels {
    pub(crate) live: Vec<Arc<LiveKernel>>,
    pub(crate) shut: bool,
}

impl Registry {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Kernels> {
        self.kernels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to launch, options checked.
pub(crate) struct Launch {
    pub(crate) descriptor: &'static KernelDescriptor,
    pub(crate) active: bool,
    pub(crate) options: Checked,
    /// How long terminating may take.
    pub(crate) deadline: Duration,
}

/// Why a kernel takes no more requests.
enum Ended {
    Terminated,
    Lost(String),
}

pub(crate) struct LiveKernel {
    pub(crate) descriptor: &'static KernelDescriptor,
    pub(crate) instances: u32,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) slab: Slab,
    pub(crate) inbox: Inbox,
    kernel: Arc<dyn Kernel>,
    lanes: Box<[Lane]>,
    ended: OnceLock<Ended>,
    /// Why the device did not come to an end when told to, if it did not.
    pub(crate) given_up: OnceLock<RingKernelError>,
    registry: Weak<Registry>,
    deadline: Duration,
    pub(crate) patience: Patience,
    /// Where the device does not tell of replies.
    bridge: Option<Arc<Bridge>>,
    /// Watched requests and waiting senders.
    work: AtomicUsize,
    /// Whether replies can come; for the bridge.
    active: AtomicBool,
}

/// What the device's threads call; the kernel is made before we are.
struct Hook(OnceLock<Weak<LiveKernel>>);

impl Progress for Hook {
    fn progress(&self) {
        if let Some(live) = self.0.get().and_then(Weak::upgrade) {
            live.progress();
        }
    }
}

impl LiveKernel {
    /// Launches, and waits for the device to say that it has.
    pub(crate) fn launch(
        device: &dyn Device,
        launch: Launch,
        registry: &Arc<Registry>,
        bridge: impl FnOnce() -> Result<Arc<Bridge>, DeviceError>,
    ) -> Result<Arc<Self>, RingKernelError> {
        let Launch { descriptor, active, options, deadline } = launch;
        let Checked { instances, queue_capacity, initial, idle, tuning, image: _ } = options;
        let device_error = |error| RingKernelError::from_device(descriptor.id, error);
        let hook = Arc::new(Hook(OnceLock::new()));
        let progress = hook.clone();
        let spec =
            LaunchSpec { descriptor, instances, queue_capacity, active, initial, idle, tuning, progress };
        let kernel = device.launch(spec).map_err(device_error)?;
        let bridge = if kernel.must_be_polled() { Some(bridge().map_err(device_error)?) } else { None };
        let live = Arc::new(Self {
            descriptor,
            instances,
            lifecycle: Lifecycle::new(if active { KernelState::Active } else { KernelState::Launched }),
            slab: Slab::new(),
            inbox: Inbox::default(),
            lanes: kernel.ports().iter().map(Lane::new).collect(),
            kernel,
            ended: OnceLock::new(),
            given_up: OnceLock::new(),
            registry: Arc::downgrade(registry),
            deadline,
            patience: Patience::new(),
            bridge,
            work: AtomicUsize::new(0),
            active: AtomicBool::new(active),
        });
        // Nothing was sent yet, so no progress was missed.
        let _ = hook.0.set(Arc::downgrade(&live));
        if let Some(bridge) = &live.bridge {
            bridge.add(&live);
        }
        Ok(live)
    }

    /// Whether replies appear without a word, so that whoever waits does well to look.
    pub(crate) fn is_polled(&self) -> bool {
        self.bridge.is_some()
    }

    pub(crate) fn id(&self) -> &'static str {
        self.descriptor.id
    }

    pub(crate) fn kernel(&self) -> &dyn Kernel {
        &*self.kernel
    }

    fn lane(&self, instance: u32) -> (&Lane, &Port, usize) {
        let shard = instance as usize % self.lanes.len();
        (&self.lanes[shard], &self.kernel.ports()[shard], shard)
    }

    // Progress: what came back.

    /// The device moved something, or was lost.
    fn progress(&self) {
        self.collect();
        self.check_device();
    }

    /// Delivers what came back, and wakes senders where there is room.
    fn collect(&self) {
        for (lane, port) in self.lanes.iter().zip(self.kernel.ports()) {
            if lane.is_outstanding() {
                lane.drain(port, |header, words| self.deliver(lane, header, words));
            }
        }
        // See `Lane::announce_room`.
        fence(Ordering::SeqCst);
        for (lane, port) in self.lanes.iter().zip(self.kernel.ports()) {
            lane.announce_room(port);
        }
    }

    /// Whether the bridge has something to look for.
    pub(crate) fn has_work(&self) -> bool {
        // Acquire pairs with the release in `raise_work`; see the bridge's text for why none is missed.
        self.work.load(Ordering::Acquire) > 0 && self.may_answer()
    }

    /// Whether the kernel is active, as far as is known without a lock.
    pub(crate) fn may_answer(&self) -> bool {
        // Acquire pairs with the release in `set_active`.
        self.active.load(Ordering::Acquire)
    }

    /// The bridge's look at every ring. Says whether a reply was there.
    pub(crate) fn look(&self) -> bool {
        // Relaxed: a hint for the bridge's pace.
        let before = self.work.load(Ordering::Relaxed);
        self.collect();
        self.work.load(Ordering::Relaxed) != before
    }

    /// How often the bridge has looked.
    #[cfg(test)]
    pub(crate) fn bridge_rounds(&self) -> Option<u64> {
        self.bridge.as_ref().map(|bridge| bridge.rounds.load(Ordering::Relaxed))
    }

    fn drain_all(&self) {
        for (lane, port) in self.lanes.iter().zip(self.kernel.ports()) {
            lane.drain(port, |header, words| self.deliver(lane, header, words));
        }
    }

    /// Drains the ring of an instance's shard, if nobody does.
    pub(crate) fn try_drain(&self, instance: u32) {
        let (lane, port, _) = self.lane(instance);
        lane.try_drain(port, |header, words| self.deliver(lane, header, words));
    }

    fn deliver(&self, lane: &Lane, header: Header, words: &[u32]) {
        if !header.correlation.is_some() {
            return;
        }
        let (delivered, watched) = self.slab.deliver(header.correlation, header.tag, words);
        if watched {
            self.lower_work();
        }
        match delivered {
            Delivered::Unknown => return,
            Delivered::Asker(waker) => waker.into_iter().for_each(wake),
            Delivered::Inbox(key) => self.inbox.push(key),
            Delivered::Discarded => {}
        }
        lane.answered();
    }

    pub(crate) fn raise_work(&self) {
        if let Some(bridge) = &self.bridge {
            // Release pairs with the acquire in `has_work`. The read-modify-write finds 0 for exactly one of those who raise it.
            if self.work.fetch_add(1, Ordering::Release) == 0 {
                bridge.wake();
            }
        }
    }

    pub(crate) fn lower_work(&self) {
        self.work.fetch_sub(1, Ordering::Release);
    }

    // Requests.

    /// An entry for a request, if there is one.
    pub(crate) fn try_open(&self, owner: Owner, instance: u32, watched: bool) -> Result<Ticket<'_>, Refused> {
        let watched = watched && self.bridge.is_some();
        if watched {
            self.raise_work();
        }
        match self.slab.insert(owner, instance, watched) {
            Ok(key) => Ok(Ticket::new(self, key, instance)),
            Err(refused) => {
                if watched {
                    self.lower_work();
                }
                Err(refused)
            }
        }
    }

    /// An entry for a request; waits while all are in use.
    pub(crate) async fn open(
        &self,
        owner: Owner,
        instance: u32,
        watched: bool,
    ) -> Result<Ticket<'_>, RingKernelError> {
        loop {
            match self.try_open(owner, instance, watched) {
                Ok(ticket) => return Ok(ticket),
                Err(Refused::Closed) => return Err(self.ended_error(false)),
                Err(Refused::Exhausted) => {}
            }
            let vacancy = self.slab.vacancy().listen();
            match self.try_open(owner, instance, watched) {
                Ok(ticket) => return Ok(ticket),
                Err(Refused::Closed) => return Err(self.ended_error(false)),
                Err(Refused::Exhausted) => vacancy.await,
            }
        }
    }

    /// Hands a request over, if there is room.
    pub(crate) fn try_push<M: RingMessage>(
        &self,
        instance: u32,
        correlation: Correlation,
        message: &M,
    ) -> Result<(), Full> {
        const ON_STACK: usize = 256;
        let size = M::SIZE as usize;
        if size <= ON_STACK {
            let mut bytes = [0; ON_STACK];
            message.encode(&mut bytes[..size]);
            self.push_bytes::<M>(instance, correlation, &bytes[..size])
        } else {
            let mut bytes = vec![0; size];
            message.encode(&mut bytes);
            self.push_bytes::<M>(instance, correlation, &bytes)
        }
    }

    fn push_bytes<M: RingMessage>(
        &self,
        instance: u32,
        correlation: Correlation,
        bytes: &[u8],
    ) -> Result<(), Full> {
        let (lane, port, shard) = self.lane(instance);
        lane.try_push(port, Header { tag: M::TAG, instance, correlation, words: 0, hlc: 0 }, bytes)?;
        self.kernel.doorbell(shard);
        Ok(())
    }

    /// Hands a request over; waits for room. Dropped while it waits, it has handed nothing over.
    pub(crate) async fn push<M: RingMessage>(
        &self,
        instance: u32,
        correlation: Correlation,
        message: M,
    ) -> Result<(), RingKernelError> {
        let (lane, ..) = self.lane(instance);
        loop {
            self.check_open()?;
            if self.try_push(instance, correlation, &message).is_ok() {
                return Ok(());
            }
            let _waiting = (lane.wait(), Work::of(self));
            let room = lane.room().listen();
            // Pairs with the fence in `collect`: see `Lane::announce_room`.
            fence(Ordering::SeqCst);
            self.check_device();
            self.check_open()?;
            if self.try_push(instance, correlation, &message).is_ok() {
                return Ok(());
            }
            room.await;
        }
    }

    /// An error if the kernel takes no more requests. Whether the device is lost is not asked here, where speed matters: those
    /// who wait for it notice.
    pub(crate) fn check_open(&self) -> Result<(), RingKernelError> {
        if self.slab.is_closed() { Err(self.ended_error(false)) } else { Ok(()) }
    }

    /// How full the request ring of an instance's shard may get.
    pub(crate) fn queue_full(&self, instance: u32) -> RingKernelError {
        RingKernelError::QueueFull { id: self.id(), capacity: self.lane(instance).1.requests.capacity() }
    }

    /// Reads a reply as an `R`.
    pub(crate) fn read_reply<R: RingMessage>(
        &self,
        instance: u32,
        reply_tag: u32,
        bytes: &[u8],
    ) -> Result<R, RingKernelError> {
        let malformed = |error| RingKernelError::MalformedReply { id: self.id(), error };
        if reply_tag == R::TAG {
            let size = R::SIZE as usize;
            // The last word may be padding.
            let exact = bytes.get(..size).filter(|_| bytes.len() - size < 4).unwrap_or(bytes);
            return R::decode(exact).map_err(malformed);
        }
        if reply_tag == tag::FAULT {
            let word =
                |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
            let kind = word(0).and_then(FaultKind::from_code);
            let (Some(kind), Some(site)) = (kind, word(4)) else {
                return Err(malformed(crate::DecodeError::new(
                    "fault",
                    format_args!("{bytes:?} names no kind"),
                )));
            };
            return Err(HandlerFault::from_words(self.descriptor, instance, kind, site).into());
        }
        Err(RingKernelError::UnexpectedReply { expected: R::NAME, got: self.reply_name(reply_tag) })
    }

    fn reply_name(&self, tag: u32) -> String {
        match self.descriptor.handlers.iter().find(|handler| handler.reply.tag == tag) {
            Some(handler) => handler.reply.name.to_owned(),
            None => format!("value of an unknown type (tag {tag:#010x})"),
        }
    }

    // Lifecycle.

    /// Takes a step, and waits for the device to have taken it.
    pub(crate) fn step(&self, action: Transition) -> Result<(), RingKernelError> {
        let until = Instant::now() + self.deadline;
        let turn = self.lifecycle.turn((action == Transition::Terminate).then_some(until));
        let (id, from, to) = (self.id(), turn.state(), action.target());
        if !action.allowed_from().contains(&from) {
            return Err(RingKernelError::InvalidTransition { id, action, from, to });
        }
        let result = match to {
            KernelState::Terminated => {
                let result = self.kernel.terminate(until.saturating_duration_since(Instant::now()));
                // What was answered is delivered before the rest is told that it will not be.
                self.drain_all();
                turn.set(to);
                self.active.store(false, Ordering::Release);
                self.end(Ended::Terminated);
                if let Some(registry) = self.registry.upgrade() {
                    registry.lock().live.retain(|live| !std::ptr::eq(&**live, self));
                }
                return result.map_err(|error| {
                    let error = RingKernelError::from_device(id, error);
                    let _ = self.given_up.set(error.clone());
                    error
                });
            }
            KernelState::Active => self.set_active(true),
            _ => self.set_active(false),
        };
        if result.is_ok() {
            turn.set(to);
        }
        result
    }

    pub(crate) fn set_active(&self, active: bool) -> Result<(), RingKernelError> {
        let result = self.kernel.set_active(active);
        if result.is_ok() {
            if !active {
                self.drain_all();
            }
            // Release pairs with the acquire in `has_work`; a bridge that read the old value finds the token.
            self.active.store(active, Ordering::Release);
            if let Some(bridge) = self.bridge.as_ref().filter(|_| active) {
                bridge.wake();
            }
        } else if !active {
            // A handler that does not end: what the state says, that messages are processed, stays true.
            let _ = self.kernel.set_active(true);
        }
        self.check_device();
        result.map_err(|error| RingKernelError::from_device(self.id(), error))
    }

    // The end.

    /// Notices a lost device.
    pub(crate) fn check_device(&self) {
        if let Some(error) = self.kernel.failure() {
            let reason = match error {
                DeviceError::Lost { reason } => reason,
                DeviceError::Terminated => return,
                other => other.to_string(),
            };
            self.end(Ended::Lost(reason));
        }
    }

    /// Tells everybody who waits that there is nothing to wait for.
    fn end(&self, why: Ended) {
        if self.ended.set(why).is_err() {
            return;
        }
        self.slab.close().into_iter().for_each(wake);
        for lane in &self.lanes {
            lane.room().notify(usize::MAX);
        }
        self.inbox.arrived().notify(usize::MAX);
    }

    /// Why the kernel takes no more requests, for a request that was handed over or was not.
    pub(crate) fn ended_error(&self, may_have_run: bool) -> RingKernelError {
        let id = self.id();
        match self.ended.get() {
            Some(Ended::Lost(reason)) => {
                RingKernelError::DeviceLost { id, reason: reason.clone(), may_have_run }
            }
            Some(Ended::Terminated) | None => RingKernelError::Terminated { id },
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.slab.is_closed()
    }
}

impl Drop for LiveKernel {
    fn drop(&mut self) {
        if self.lifecycle.state() != KernelState::Terminated {
            // Only a launch that was given up before it was registered comes here; dropping the kernel ends it.
            self.end(Ended::Terminated);
        }
    }
}

/// Counts as work for the bridge until dropped.
struct Work<'a>(&'a LiveKernel);

impl<'a> Work<'a> {
    fn of(live: &'a LiveKernel) -> Option<Self> {
        live.bridge.as_ref()?;
        live.raise_work();
        Some(Self(live))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.lower_work();
    }
}

/// Wakes a task. Its panics are its own, and must not keep others from being woken.
fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}
