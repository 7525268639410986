//! Messages that pass the host: to kernels that their sender's device does not reach, and those that found a mailbox full which
//! [spills](crate::Overflow::Spill).
//!
//! They come out of the sender's reply ring and go into the receiver at once, or, where that has no room, into its [`Backlog`] here, as
//! much as there is memory. While there is one, all later messages to that shard go behind it: what one sender sent stays in order. It is
//! tried again whenever the receiver has moved.

use super::arrivals::fail_if_forwarded;
use super::directory;
use crate::live::LiveKernel;
use ringkernel_backends::abi::{Correlation, Header};
use ringkernel_backends::mesh::{KernelNumber, Sent};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a kernel sent by way of the host, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelaySnapshot {
    /// Messages that were handed to their receiver.
    pub delivered: u64,
    /// Messages that wait until their receiver has room.
    pub waiting: u64,
    /// Messages that were not delivered: their receiver had ended, or has no such instance, or the host had no memory to keep
    /// them.
    pub dead: u64,
}

/// Words of a payload that is copied on the stack.
const FEW: usize = 64;

/// The same while it is counted.
#[derive(Default)]
pub(crate) struct Relays {
    taken: AtomicU64,
    delivered: AtomicU64,
    dead: AtomicU64,
}

impl Relays {
    pub(crate) fn snapshot(&self) -> RelaySnapshot {
        // Relaxed: figures. What was taken is counted first and read last.
        let (delivered, dead) = (self.delivered.load(Ordering::Relaxed), self.dead.load(Ordering::Relaxed));
        let waiting = self.taken.load(Ordering::Relaxed).saturating_sub(delivered + dead);
        RelaySnapshot { delivered, waiting, dead }
    }
}

/// Messages that wait for room in a kernel, a queue for each shard.
pub(crate) struct Backlog {
    /// Queues that are not empty.
    busy: AtomicUsize,
    shards: Box<[Waiting]>,
}

#[derive(Default)]
struct Waiting {
    /// Messages in the queue, to be looked at without the lock.
    count: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The kernel takes no more.
    closed: bool,
    messages: VecDeque<Message>,
    /// The payloads, one behind another.
    words: VecDeque<u32>,
    /// As if there were no memory.
    #[cfg(test)]
    starved: bool,
}

/// A message, and who is to be told of its arrival.
struct Message {
    header: Header,
    sender: KernelNumber,
    shard: u16,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    pub(crate) fn new(shards: usize) -> Self {
        Self { busy: AtomicUsize::new(0), shards: (0..shards).map(|_| Waiting::default()).collect() }
    }

    /// There is no memory for anything more, or there is again.
    #[cfg(test)]
    pub(crate) fn starve(&self, starved: bool) {
        self.shards.iter().for_each(|shard| shard.lock().starved = starved);
    }

    /// Messages in all queues.
    pub(crate) fn len(&self) -> u64 {
        // Relaxed: a figure, or looked at again.
        self.shards.iter().map(|shard| shard.count.load(Ordering::Relaxed) as u64).sum()
    }
}

impl Queue {
    /// Puts a message at the end; false where there is no memory.
    fn push(&mut self, message: Message, payload: &[u32]) -> bool {
        #[cfg(test)]
        if self.starved {
            return false;
        }
        if self.words.try_reserve(payload.len()).is_err() || self.messages.try_reserve(1).is_err() {
            return false;
        }
        let words = payload.len() as u16;
        self.messages.push_back(Message { header: Header { words, ..message.header }, ..message });
        self.words.extend(payload);
        true
    }
}

/// Offers a message to a kernel.
fn offer(receiver: &LiveKernel, header: Header, payload: &[u32]) -> Sent {
    let bytes = payload.iter().flat_map(|word| word.to_le_bytes());
    if payload.len() <= FEW {
        let mut few = [0; 4 * FEW];
        few.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        receiver.kernel.relay(header, &few[..4 * payload.len()])
    } else {
        receiver.kernel.relay(header, &bytes.collect::<Vec<_>>())
    }
}

/// A message came out of the reply ring of a shard of `sender`, and is for the kernel of that number.
pub(super) fn relay(sender: &LiveKernel, shard: usize, receiver: u32, header: Header, payload: &[u32]) {
    // One that no kernel can have, from a device that errs, is nobody's.
    let receiver = KernelNumber::try_from(receiver).unwrap_or(0);
    // Relaxed, here and below: figures.
    sender.relays.taken.fetch_add(1, Ordering::Relaxed);
    let message = Message { header, sender: sender.number(), shard: shard as u16 };
    let sent = directory::find(receiver).map_or(Sent::Gone, |receiver| receiver.take_in(message, payload));
    if sent != Sent::Full {
        sender.was_relayed(shard, receiver, header.correlation, sent.is_ok());
    }
}

impl LiveKernel {
    /// One of this kernel's messages that the host had has arrived, or never will.
    fn was_relayed(&self, shard: usize, receiver: KernelNumber, correlation: Correlation, arrived: bool) {
        let count = if arrived { &self.relays.delivered } else { &self.relays.dead };
        count.fetch_add(1, Ordering::Relaxed);
        self.kernel.relayed(shard, receiver);
        if !arrived {
            fail_if_forwarded(correlation);
        }
    }

    /// Takes a message that another kernel sent, or keeps it until there is room: then it is `Full`, and its sender will be told.
    fn take_in(&self, message: Message, payload: &[u32]) -> Sent {
        let shard = self.shard(message.header.instance);
        let waiting = &self.backlog.shards[shard];
        let mut queue = waiting.lock();
        if queue.closed {
            return Sent::Gone;
        }
        if queue.messages.is_empty() {
            let sent = offer(self, message.header, payload);
            if sent != Sent::Full {
                return sent;
            }
            // Whoever waits for room is work for the bridge. Relaxed: the fence orders it.
            self.backlog.busy.fetch_add(1, Ordering::Relaxed);
            self.raise_work();
        }
        if !queue.push(message, payload) {
            if queue.messages.is_empty() {
                self.nothing_waits();
            }
            return Sent::Gone;
        }
        // Relaxed: the fence orders it.
        waiting.count.store(queue.messages.len(), Ordering::Relaxed);
        drop(queue);
        // Pairs with the fence in `collect`, and that of the device: either it sees that something waits, or we see the room.
        fence(Ordering::SeqCst);
        self.hand_over(shard);
        Sent::Full
    }

    /// A queue has become empty.
    fn nothing_waits(&self) {
        self.backlog.busy.fetch_sub(1, Ordering::Relaxed);
        if self.is_polled() {
            self.lower_work();
        }
    }

    /// Tries again what waits for room, where something does; whether there was room. The caller has made a `SeqCst` fence since it saw the device move.
    #[inline]
    pub(crate) fn retry_relays(&self) -> bool {
        let mut moved = false;
        if self.backlog.busy.load(Ordering::Relaxed) == 0 {
            return moved;
        }
        for (shard, waiting) in self.backlog.shards.iter().enumerate() {
            // Relaxed: see above.
            if waiting.count.load(Ordering::Relaxed) > 0 {
                moved |= self.hand_over(shard);
            }
        }
        moved
    }

    #[cold]
    fn hand_over(&self, shard: usize) -> bool {
        let waiting = &self.backlog.shards[shard];
        let (mut told, mut payload) = (Told::default(), Vec::new());
        let mut queue = waiting.lock();
        while let Some(message) = queue.messages.front() {
            let header = message.header;
            payload.clear();
            payload.extend(queue.words.iter().take(header.words.into()));
            let sent = offer(self, header, &payload);
            if sent == Sent::Full {
                break;
            }
            queue.words.drain(..payload.len());
            if let Some(message) = queue.messages.pop_front() {
                told.add(message, sent.is_ok());
            }
            if queue.messages.is_empty() {
                self.nothing_waits();
            }
        }
        waiting.count.store(queue.messages.len(), Ordering::Relaxed);
        drop(queue);
        let moved = !told.0.is_empty();
        told.tell(self.number());
        moved
    }

    /// Takes nothing more for shards for which nothing waits; whether that is all of them by now.
    pub(crate) fn try_close_backlog(&self) -> bool {
        let close = |all: bool, waiting: &Waiting| {
            let mut queue = waiting.lock();
            queue.closed |= queue.messages.is_empty();
            all & queue.closed
        };
        self.backlog.shards.iter().fold(true, close)
    }

    /// The kernel takes no more: what waits for room in it will not arrive.
    pub(crate) fn close_backlog(&self) {
        for waiting in &self.backlog.shards {
            let mut told = Told::default();
            let mut queue = waiting.lock();
            queue.closed = true;
            if !queue.messages.is_empty() {
                self.nothing_waits();
            }
            queue.messages.drain(..).for_each(|message| told.add(message, false));
            queue.words = VecDeque::new();
            waiting.count.store(0, Ordering::Relaxed);
            drop(queue);
            told.tell(self.number());
        }
    }
}

/// Whom to tell of what became of their messages, without the lock.
#[derive(Default)]
struct Told(Vec<(Message, bool)>);

impl Told {
    fn add(&mut self, message: Message, arrived: bool) {
        self.0.push((message, arrived));
    }

    fn tell(self, receiver: KernelNumber) {
        let mut last: Option<Arc<LiveKernel>> = None;
        for (message, arrived) in self.0 {
            let correlation = message.header.correlation;
            if last.as_ref().is_none_or(|last| last.number() != message.sender) {
                last = directory::find(message.sender);
            }
            match &last {
                Some(sender) => sender.was_relayed(message.shard.into(), receiver, correlation, arrived),
                None if !arrived => fail_if_forwarded(correlation),
                None => {}
            }
        }
    }
}
