//! Who has subscribed to what, and what is handed to whom.
//!
//! Filters are matched when somebody subscribes, leaves, or publishes on a topic for the first time. Then the topic has its list, and publishing is a
//! look at a table. A list that nobody misses is forgotten when there are too many; what is retained is not, and is bounded.
//!
//! Locks: `wiring` (see there) before `table`, and `retaining` before `table`. Nothing of the user's is called under any: wakers are woken after.

use super::actors::ActorInlet;
use super::error::{MAX_RETAINED, MAX_RETAINED_BYTES, PubSubError};
use super::index::Index;
use super::inlet::{Inlet, Offer};
use super::message::{Delivery, Message, Publisher, Stored};
use super::topic::{Topic, TopicError, TopicFilter};
use super::wiring::Wiring;
use crate::hlc::stamp;
use crate::live::LiveKernel;
use crate::{HlcTimestamp, RingKernelError};
use ringkernel_backends::abi::Header;
use ringkernel_backends::mesh::KernelNumber;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// So many lists of topics that retain nothing are kept.
const MOST_LISTS: usize = 1 << 14;

/// The topics of a runtime.
#[derive(Default)]
pub(crate) struct Broker {
    table: RwLock<Table>,
    pub(super) wiring: Mutex<Wiring>,
    /// Held while a message is retained and handed out, so that subscribers get those of a topic in the order in which they were retained.
    retaining: Mutex<()>,
    next: AtomicU64,
    not_retained: AtomicU64,
    unknown: AtomicU64,
}

#[derive(Default)]
struct Table {
    subscribers: Index<Subscriber>,
    topics: HashMap<Topic, Known>,
    /// How many of `topics` retain something, and how many bytes.
    retained: usize,
    bytes: usize,
    closed: bool,
}

/// A topic that was published on.
#[derive(Default)]
struct Known {
    /// `None` until somebody asks, and again when that may have changed.
    subscribers: Option<Arc<[Subscriber]>>,
    retained: Option<Arc<Stored>>,
}

#[derive(Clone)]
pub(super) enum Subscriber {
    Host(Arc<Inlet>),
    Actor(Arc<ActorInlet>),
}

impl Subscriber {
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Host(inlet) => inlet.id,
            Self::Actor(inlet) => inlet.id,
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Host(inlet) => inlet.is_closed(),
            Self::Actor(inlet) => inlet.is_closed(),
        }
    }

    pub(super) fn filter(&self) -> &TopicFilter {
        match self {
            Self::Host(inlet) => &inlet.filter,
            Self::Actor(inlet) => &inlet.filter,
        }
    }
}

/// Topics in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicsSnapshot {
    /// Subscriptions, of the host and of actors.
    pub subscriptions: usize,
    /// Topics that have a retained message.
    pub retained: usize,
    /// Bytes of these.
    pub retained_bytes: usize,
    /// Messages that handlers published to be retained when no more could be. They were handed out all the same.
    pub not_retained: u64,
    /// Messages that came from a device on a topic that its actor does not have: 0, but for a defect.
    pub unknown: u64,
}

/// A message that was handed to whom there was room for, and who else waits for it.
#[derive(Default)]
pub(super) struct Handed {
    pub(super) delivery: Delivery,
    pub(super) waiting: Vec<Arc<Inlet>>,
}

impl Handed {
    /// Counts how another took it.
    pub(super) fn count(&mut self, offer: Offer) {
        match offer {
            Offer::Taken => self.delivery.reached += 1,
            Offer::Missed => self.delivery.missed += 1,
            Offer::Full | Offer::Passed => {}
        }
    }
}

impl Table {
    fn list(&self, topic: &str) -> Arc<[Subscriber]> {
        let mut list = Vec::new();
        self.subscribers.each_match(topic, |subscriber| list.push(subscriber.clone()));
        list.into()
    }

    /// The topic's list, kept for the next time.
    fn listed(&mut self, topic: &Topic) -> Arc<[Subscriber]> {
        if let Some(list) = self.topics.get(topic).and_then(|known| known.subscribers.clone()) {
            return list;
        }
        let list = self.list(topic);
        self.known(topic).subscribers = Some(list.clone());
        list
    }

    /// The topic's place, made if it has none.
    fn known(&mut self, topic: &Topic) -> &mut Known {
        if self.topics.len() - self.retained >= MOST_LISTS && !self.topics.contains_key(topic) {
            self.topics.retain(|_, known| known.retained.is_some());
        }
        self.topics.entry(topic.clone()).or_default()
    }

    /// Every list that a filter has a say in is to be made anew.
    fn relist(&mut self, filter: &TopicFilter) {
        let matching = self.topics.iter_mut().filter(|(topic, _)| filter.matches(topic));
        matching.for_each(|(_, known)| known.subscribers = None);
    }

    fn retain(&mut self, message: Message<'_>) -> Result<(), PubSubError> {
        let (topics, bytes) = (self.retained, self.bytes);
        let known = self.known(message.topic);
        let old = known.retained.as_ref().map(|old| old.length());
        let after = bytes - old.unwrap_or(0) + message.bytes.len();
        if (old.is_none() && topics >= MAX_RETAINED) || after > MAX_RETAINED_BYTES {
            return Err(PubSubError::RetainedFull { topic: message.topic.clone(), topics, bytes });
        }
        match known.retained.as_mut().and_then(Arc::get_mut) {
            Some(old) => old.set(message),
            None => known.retained = Some(Arc::new(Stored::new(message))),
        }
        self.retained += usize::from(old.is_none());
        self.bytes = after;
        Ok(())
    }
}

impl Broker {
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells subscriptions apart.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self) -> TopicsSnapshot {
        let table = self.table();
        TopicsSnapshot {
            subscriptions: table.subscribers.len(),
            retained: table.retained,
            retained_bytes: table.bytes,
            not_retained: self.not_retained.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
        }
    }

    // Subscribers.

    /// Takes a subscriber in, with what is retained for it, unless it has gone already: who was to have it did not wait.
    pub(super) fn add(&self, new: &Subscriber) -> Result<(), PubSubError> {
        let mut table = self.table_mut();
        if new.is_closed() {
            return Ok(());
        }
        if table.closed {
            return Err(PubSubError::Shutdown);
        }
        table.subscribers.insert(new.filter(), new.clone());
        table.relist(new.filter());
        let matching = table.topics.iter().filter(|(topic, _)| new.filter().matches(topic));
        let retained = matching.filter_map(|(_, known)| known.retained.clone());
        match new {
            Subscriber::Host(inlet) => inlet.begin_with(retained.collect()),
            Subscriber::Actor(inlet) => retained.for_each(|message| {
                inlet.offer(message.message());
            }),
        }
        Ok(())
    }

    pub(super) fn remove(&self, id: u64, filter: &TopicFilter) -> Option<Subscriber> {
        let mut table = self.table_mut();
        let removed = table.subscribers.remove(filter, |subscriber| subscriber.id() == id);
        if removed.is_some() {
            table.relist(filter);
        }
        removed
    }

    /// The subscribers of a topic, without making it known.
    pub(super) fn subscribers_of(&self, topic: &str) -> Vec<Subscriber> {
        self.table().list(topic).to_vec()
    }

    /// The instances of this kernel that have subscribed.
    pub(super) fn actors_of(&self, number: KernelNumber) -> Vec<Arc<ActorInlet>> {
        let mut actors = Vec::new();
        self.each_actor(|inlet| {
            if inlet.number == number {
                actors.push(inlet.clone());
            }
        });
        actors
    }

    pub(super) fn each_actor(&self, mut call: impl FnMut(&Arc<ActorInlet>)) {
        self.table().subscribers.each(|subscriber| {
            if let Subscriber::Actor(inlet) = subscriber {
                call(inlet);
            }
        });
    }

    /// Ends all subscriptions, and takes no more.
    pub(crate) fn close(&self) {
        let mut table = self.table_mut();
        table.closed = true;
        let all = std::mem::take(&mut table.subscribers);
        (table.topics, table.retained, table.bytes) = (HashMap::new(), 0, 0);
        drop(table);
        all.each(|subscriber| {
            if let Subscriber::Host(inlet) = subscriber {
                inlet.close();
            }
        });
    }

    // Messages.

    /// A topic, and who has subscribed to it.
    fn find(&self, topic: &str) -> Result<(Topic, Arc<[Subscriber]>), RingKernelError> {
        let table = self.table();
        if table.closed {
            return Err(PubSubError::Shutdown.into());
        }
        let known = table.topics.get_key_value(topic);
        if let Some((topic, Known { subscribers: Some(list), .. })) = known {
            return Ok((topic.clone(), list.clone()));
        }
        drop(table);
        let topic = Topic::new(topic)?;
        let subscribers = self.table_mut().listed(&topic);
        Ok((topic, subscribers))
    }

    /// Publishes what the host has: a message with this tag, of these bytes. `patient`: who is to be waited for is given back, with the message.
    pub(super) fn publish(
        &self,
        topic: &str,
        retain: bool,
        patient: bool,
        (tag, bytes): (u32, &[u8]),
    ) -> Result<(Handed, Option<Stored>), RingKernelError> {
        let (topic, mut subscribers) = self.find(topic)?;
        let timestamp = HlcTimestamp::from_u64(stamp());
        let message = Message { topic: &topic, tag, bytes, timestamp, publisher: Publisher::Host };
        let turn = retain.then(|| self.retaining.lock().unwrap_or_else(PoisonError::into_inner));
        if retain {
            subscribers = self.retain(message)?;
        }
        let handed = hand_out(&subscribers, message, None, patient);
        drop(turn);
        wake(&subscribers, tag);
        let stored = (!handed.waiting.is_empty()).then(|| Stored::new(message));
        Ok((handed, stored))
    }

    /// Keeps a message, and says who is to have it now: later subscribers get it as retained.
    fn retain(&self, message: Message<'_>) -> Result<Arc<[Subscriber]>, RingKernelError> {
        let mut table = self.table_mut();
        if table.closed {
            return Err(PubSubError::Shutdown.into());
        }
        table.retain(message)?;
        Ok(table.listed(message.topic))
    }

    /// Forgets what is retained on the topics of a filter. Says of how many.
    pub(super) fn clear_retained(&self, filter: &TopicFilter) -> usize {
        let mut table = self.table_mut();
        let (mut cleared, mut bytes) = (0, 0);
        for (_, known) in table.topics.iter_mut().filter(|(topic, _)| filter.matches(topic)) {
            if let Some(message) = known.retained.take() {
                cleared += 1;
                bytes += message.length();
            }
        }
        table.retained -= cleared;
        table.bytes -= bytes;
        cleared
    }

    /// A handler published something, which its device gave to the host: `bytes` are its payload, without the prefix. Does not wait for anybody.
    pub(crate) fn published(&self, from: &LiveKernel, header: &Header, key: u32, retain: bool, bytes: &[u8]) {
        let topics = from.descriptor.mesh.topics;
        let found = topics
            .iter()
            .position(|topic| topic.key() == key)
            .map(|index| (index, self.find(topics[index].name)));
        let (index, topic, mut subscribers) = match found {
            Some((index, Ok((topic, subscribers)))) => (index, topic, subscribers),
            // The runtime is shut down: nobody listens.
            Some((_, Err(_))) => return,
            None => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        let (id, number, instance) = (from.id(), from.number(), header.instance);
        let stamp = if header.hlc == 0 { stamp() } else { header.hlc };
        let message = Message {
            topic: &topic,
            tag: header.tag,
            bytes,
            timestamp: HlcTimestamp::from_u64(stamp),
            publisher: Publisher::Kernel { id, number, instance },
        };
        let turn = retain.then(|| self.retaining.lock().unwrap_or_else(PoisonError::into_inner));
        if retain {
            match self.retain(message) {
                Ok(now) => subscribers = now,
                Err(_) => drop(self.not_retained.fetch_add(1, Ordering::Relaxed)),
            }
        }
        hand_out(&subscribers, message, Some((number, index)), false);
        drop(turn);
        wake(&subscribers, header.tag);
    }
}

/// Wakes those who were offered a message with this tag, after the locks are gone.
fn wake(subscribers: &[Subscriber], tag: u32) {
    for subscriber in subscribers {
        if let Subscriber::Host(inlet) = subscriber {
            inlet.wake(tag);
        }
    }
}

/// Offers a message to everybody who is to have it from the host; [`wake`] is to follow. `from`: which kernel published it, on which of its topics.
fn hand_out(
    subscribers: &[Subscriber],
    message: Message<'_>,
    from: Option<(KernelNumber, usize)>,
    patient: bool,
) -> Handed {
    let mut handed = Handed::default();
    for subscriber in subscribers {
        let offer = match subscriber {
            Subscriber::Host(inlet) => {
                let offer = inlet.offer(message, patient);
                if offer == Offer::Full {
                    handed.waiting.push(inlet.clone());
                }
                offer
            }
            // Others got it from the device.
            Subscriber::Actor(inlet)
                if from.is_none_or(|(kernel, topic)| inlet.is_by_host(kernel, topic)) =>
            {
                inlet.offer(message)
            }
            Subscriber::Actor(_) => Offer::Passed,
        };
        handed.count(offer);
    }
    handed
}

/// Whether each topic of an actor can be one.
pub(super) fn check_topics(live: &LiveKernel) -> Result<(), TopicError> {
    live.descriptor.mesh.topics.iter().try_for_each(|topic| Topic::new(topic.name).map(drop))
}
