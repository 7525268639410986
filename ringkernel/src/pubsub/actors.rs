//! Actors that subscribe: an instance of a kernel, whose handler gets what is published.

use super::broker::Broker;
use super::inlet::Offer;
use super::message::{Message, Publisher};
use super::topic::TopicFilter;
use crate::live::LiveKernel;
use ringkernel_backends::abi::{Correlation, Header, Origin};
use ringkernel_backends::mesh::KernelNumber;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// An instance of a kernel that has subscribed.
pub(super) struct ActorInlet {
    pub(super) id: u64,
    pub(super) filter: TopicFilter,
    /// Messages of other types are not for this one.
    pub(super) tag: u32,
    /// The most words that such a message has.
    pub(super) words: usize,
    pub(super) live: Weak<LiveKernel>,
    pub(super) number: KernelNumber,
    pub(super) instance: u32,
    /// Whose messages it gets from the host, though a kernel published them: that kernel's number, and which of its topics.
    by_host: Mutex<Vec<(KernelNumber, usize)>>,
    /// The subscription was dropped.
    closed: AtomicBool,
    /// What it missed: of what the host handed it, and what devices had counted when they were last told of their subscribers.
    missed: AtomicU64,
    skipped: AtomicU64,
}

impl ActorInlet {
    pub(super) fn new(
        (id, filter): (u64, TopicFilter),
        (tag, words): (u32, usize),
        live: &Arc<LiveKernel>,
        instance: u32,
    ) -> Self {
        let (number, live) = (live.number(), Arc::downgrade(live));
        let (by_host, closed, zero) = (Mutex::default(), AtomicBool::new(false), || AtomicU64::new(0));
        let (missed, skipped) = (zero(), zero());
        Self { id, filter, tag, words, live, number, instance, by_host, closed, missed, skipped }
    }

    fn by_host(&self) -> MutexGuard<'_, Vec<(KernelNumber, usize)>> {
        self.by_host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what that kernel publishes on that topic of its gets here through the host.
    pub(super) fn is_by_host(&self, kernel: KernelNumber, topic: usize) -> bool {
        self.by_host().contains(&(kernel, topic))
    }

    /// It does from now on.
    pub(super) fn goes_by_host(&self, kernel: KernelNumber, topic: usize) {
        self.by_host().push((kernel, topic));
    }

    /// That kernel has ended.
    pub(super) fn forget(&self, kernel: KernelNumber) {
        self.by_host().retain(|&(of, _)| of != kernel);
    }

    /// Hands a message over, if there is room.
    pub(super) fn offer(&self, message: Message<'_>) -> Offer {
        // Relaxed, here and below: counters that order nothing.
        if message.tag != self.tag || message.bytes.len().div_ceil(4) > self.words {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return Offer::Passed;
        }
        let Some(live) = self.live.upgrade().filter(|live| live.check_open().is_ok()) else {
            return Offer::Passed;
        };
        let origin = match message.publisher {
            Publisher::Host => Origin::Nobody,
            Publisher::Kernel { number, instance, .. } => Origin::Kernel { kernel: number, instance },
        };
        let (tag, instance, hlc) = (self.tag, self.instance, message.timestamp.as_u64());
        let header = Header { tag, instance, correlation: Correlation::from(origin), words: 0, hlc };
        let shard = live.shard(instance);
        let (lane, port) = live.lane(shard);
        if lane.try_push(port, header, message.bytes).is_err() {
            self.has_missed(1);
            return Offer::Missed;
        }
        live.kernel.doorbell(shard);
        Offer::Taken
    }

    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: asked under a lock that whoever closed it takes afterwards.
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn has_missed(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
    }
}

/// That an actor has subscribed, from [`Topics::subscribe_actor`](super::Topics::subscribe_actor).
///
/// Dropping it ends the subscription; [`detach`](Self::detach) leaves it to the kernel, until that ends. It does not keep the kernel alive.
#[must_use = "dropping a subscription ends it; `detach` it to keep it for as long as the actor lives"]
pub struct ActorSubscription {
    inlet: Arc<ActorInlet>,
    broker: Arc<Broker>,
    detached: bool,
}

impl fmt::Debug for ActorSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorSubscription")
            .field("filter", &self.inlet.filter)
            .field("kernel", &self.inlet.number)
            .field("instance", &self.inlet.instance)
            .finish()
    }
}

impl ActorSubscription {
    pub(super) fn new(broker: Arc<Broker>, inlet: Arc<ActorInlet>) -> Self {
        Self { inlet, broker, detached: false }
    }

    /// Which topics.
    pub fn filter(&self) -> &TopicFilter {
        &self.inlet.filter
    }

    /// How many messages it missed so far, because its kernel's queue was full (of what came from the host) or its mailbox (of what other
    /// kernels of the device published).
    pub fn missed(&self) -> u64 {
        self.inlet.missed.load(Ordering::Relaxed) + self.broker.missed_on_devices(self.inlet.id)
    }

    /// How many messages that the host had for it were of another type. On a device, handlers get those as well, and answer with a fault, which
    /// is counted there.
    pub fn skipped(&self) -> u64 {
        self.inlet.skipped.load(Ordering::Relaxed)
    }

    /// Lets it last until the kernel ends.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for ActorSubscription {
    fn drop(&mut self) {
        if !self.detached {
            self.inlet.closed.store(true, Ordering::Relaxed);
            self.broker.leave(self.inlet.id, &self.inlet.filter);
        }
    }
}
