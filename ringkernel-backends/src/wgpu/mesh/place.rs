//! A kernel's place among the others, and the table that tells its device code of it. `mesh.wgsl` has the layout.

use super::super::batch::Plan;
use crate::kernel::KernelDescriptor;
use crate::mesh::KernelNumber;
use std::collections::BTreeSet;

/// What a table is made of.
pub(super) type Entry = [u32; 4];

/// Entries in front of the routes'.
const HEADER: usize = 5;

/// Whom a kernel reaches.
pub(super) struct Place {
    number: KernelNumber,
    routes: Vec<Option<KernelNumber>>,
    peers: BTreeSet<KernelNumber>,
    topics: Vec<Topic>,
    neighbours: Vec<Neighbour>,
}

/// A kernel that is reached.
#[derive(Clone, Copy)]
struct Neighbour {
    number: KernelNumber,
    /// Its mailbox, or `None` where the host hands messages on.
    mailbox: Option<Receiver>,
    /// How many messages for it went through the host, as the device counts, and how many of these have arrived.
    spilled: u32,
    arrived: u32,
}

struct Topic {
    key: u32,
    host: bool,
    subscribers: Vec<Subscription>,
}

#[derive(Clone, Copy)]
struct Subscription {
    number: KernelNumber,
    instance: u32,
    missed: u32,
}

/// A box in the exchange, as a sender knows it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Receiver {
    /// What becomes of what does not fit, in the device's code.
    pub(super) policy: u32,
    /// Its header, in words of the exchange.
    pub(super) at: u32,
    pub(super) instances: u32,
    /// Words of a slot.
    pub(super) slot: u32,
    /// What a position is to be masked with.
    pub(super) mask: u32,
    /// The first slot.
    pub(super) slots: u32,
}

impl Receiver {
    fn shape(&self) -> Entry {
        [self.instances, self.slot, self.mask, self.slots]
    }
}

/// What else the table says.
pub(super) struct Around {
    /// The kernel's own mailbox.
    pub(super) mailbox: Option<Receiver>,
    /// What takes messages for the host.
    pub(super) host: Receiver,
    /// Where its own words in the exchange begin.
    pub(super) desk: u32,
}

impl Place {
    /// Of a kernel that reaches nobody.
    pub(super) fn new(descriptor: &KernelDescriptor, number: KernelNumber) -> Self {
        let topic =
            |topic: &crate::mesh::TopicInfo| Topic { key: topic.key(), host: false, subscribers: Vec::new() };
        Self {
            number,
            routes: vec![None; descriptor.mesh.routes.len()],
            peers: BTreeSet::new(),
            topics: descriptor.mesh.topics.iter().map(topic).collect(),
            neighbours: Vec::new(),
        }
    }

    /// Points a route somewhere, or nowhere; whether there is such a route.
    pub(super) fn set_route(&mut self, route: usize, to: Option<KernelNumber>) -> bool {
        let Some(place) = self.routes.get_mut(route) else { return false };
        *place = to;
        self.forget_strangers();
        true
    }

    /// Makes a kernel that sends to this one known, or not.
    pub(super) fn set_peer(&mut self, number: KernelNumber, known: bool) {
        if known {
            self.peers.insert(number);
        } else {
            self.peers.remove(&number);
            self.forget_strangers();
        }
    }

    /// Who gets what is published on a topic; whether there is such a topic.
    pub(super) fn set_subscribers(
        &mut self,
        topic: usize,
        subscribers: impl Iterator<Item = (KernelNumber, u32)>,
        host: bool,
    ) -> bool {
        let Some(topic) = self.topics.get_mut(topic) else { return false };
        topic.host = host;
        topic.subscribers =
            subscribers.map(|(number, instance)| Subscription { number, instance, missed: 0 }).collect();
        self.forget_strangers();
        true
    }

    /// Makes a neighbour of a kernel: of its mailbox, or through the host.
    pub(super) fn meet(&mut self, number: KernelNumber, mailbox: Option<Receiver>) {
        match self.neighbours.iter_mut().find(|neighbour| neighbour.number == number) {
            Some(neighbour) => neighbour.mailbox = mailbox,
            None => self.neighbours.push(Neighbour { number, mailbox, spilled: 0, arrived: 0 }),
        }
    }

    /// A kernel's mailbox is no more; whether this one knew it.
    pub(super) fn forget(&mut self, mailbox: u32) -> bool {
        let is_it = |to: &Neighbour| to.mailbox.is_some_and(|receiver| receiver.at == mailbox);
        let Some(index) = self.neighbours.iter().position(is_it) else { return false };
        let number = self.neighbours.remove(index).number;
        self.routes.iter_mut().filter(|route| **route == Some(number)).for_each(|route| *route = None);
        self.peers.remove(&number);
        for topic in &mut self.topics {
            topic.subscribers.retain(|subscriber| subscriber.number != number);
        }
        true
    }

    /// A neighbour that nothing leads to any more is one no longer, once all that was spilled to it has arrived.
    fn forget_strangers(&mut self) {
        let Self { routes, peers, topics, neighbours, .. } = self;
        neighbours.retain(|neighbour| {
            let number = neighbour.number;
            neighbour.spilled != neighbour.arrived
                || peers.contains(&number)
                || routes.contains(&Some(number))
                || topics.iter().any(|topic| topic.subscribers.iter().any(|to| to.number == number))
        });
    }

    /// A message that went through the host has arrived, or never will; whether one was on its way.
    pub(super) fn arrived(&mut self, number: KernelNumber) -> bool {
        let on_their_way =
            |neighbour: &&mut Neighbour| neighbour.number == number && neighbour.spilled != neighbour.arrived;
        let Some(neighbour) = self.neighbours.iter_mut().find(on_their_way) else { return false };
        neighbour.arrived = neighbour.arrived.wrapping_add(1);
        true
    }

    /// How many messages each of a topic's subscribers missed.
    pub(super) fn missed(&self, topic: usize) -> Vec<u64> {
        let subscribers = self.topics.get(topic).map_or(&[][..], |topic| &topic.subscribers);
        subscribers.iter().map(|subscriber| subscriber.missed as u64).collect()
    }

    /// Its words in the exchange.
    pub(super) fn desk(&self) -> Vec<u32> {
        let spilled = self.neighbours.iter().map(|neighbour| neighbour.spilled);
        let subscribers = self.topics.iter().flat_map(|topic| &topic.subscribers);
        spilled.chain(subscribers.map(|subscriber| subscriber.missed)).collect()
    }

    /// Takes what the device made of them.
    pub(super) fn learn(&mut self, desk: &[u32]) {
        let spilled = self.neighbours.iter_mut().map(|neighbour| &mut neighbour.spilled);
        let subscribers = self.topics.iter_mut().flat_map(|topic| &mut topic.subscribers);
        let words = spilled.chain(subscribers.map(|subscriber| &mut subscriber.missed));
        words.zip(desk).for_each(|(word, &is)| *word = is);
    }

    /// The table.
    pub(super) fn table(&self, plan: &Plan, around: &Around) -> Vec<Entry> {
        let Around { mailbox, host, desk } = around;
        let peers_at = HEADER + 2 * self.routes.len() + self.topics.len();
        let mut subscribers_at = peers_at + 2 * self.peers.len();
        let mut missed = desk + self.neighbours.len() as u32;

        let own = mailbox.unwrap_or(Receiver { policy: 0, at: 0, instances: 0, slot: 0, mask: 0, slots: 0 });
        let number = (self.number as u32) << 8;
        let mut table = vec![
            [self.number as u32, own.at, plan.run as u32, plan.messages as u32],
            [1 | own.policy << 2 | number, own.at, self.peers.len() as u32, 0],
            own.shape(),
            [THROUGH_HOST, host.at, 0, 0],
            host.shape(),
        ];
        table.extend(self.routes.iter().flat_map(|&to| self.receiver(to, around)));
        for topic in &self.topics {
            let count = topic.subscribers.len();
            table.push([topic.key, topic.host as u32, subscribers_at as u32, count as u32]);
            subscribers_at += 3 * count;
        }
        table.extend(self.peers.iter().flat_map(|&peer| self.receiver(Some(peer), around)));
        for to in self.topics.iter().flat_map(|topic| &topic.subscribers) {
            table.push([to.instance, missed, 0, 0]);
            table.extend(self.receiver(Some(to.number), around));
            missed += 1;
        }
        table
    }

    fn receiver(&self, number: Option<KernelNumber>, around: &Around) -> [Entry; 2] {
        let known = |to: &Neighbour| Some(to.number) == number;
        let Some(index) = self.neighbours.iter().position(known) else { return [[0; 4]; 2] };
        let Neighbour { number, mailbox, arrived, .. } = self.neighbours[index];
        let (number, counted) = ((number as u32) << 8, around.desk + index as u32);
        match mailbox {
            None => [[THROUGH_HOST | number, around.host.at, counted, arrived], around.host.shape()],
            Some(receiver) => {
                let own = around.mailbox.is_some_and(|own| own.at == receiver.at);
                let policy = if own && receiver.policy == DROP { DROP_NOT_MINE } else { receiver.policy };
                [[1 | policy << 2 | number, receiver.at, counted, arrived], receiver.shape()]
            }
        }
    }
}

/// A receiver's kind: the host hands on what it is sent.
const THROUGH_HOST: u32 = 2;
/// What becomes of what does not fit.
pub(super) const DROP: u32 = 1;
pub(super) const SPILL: u32 = 2;
const DROP_NOT_MINE: u32 = 3;
