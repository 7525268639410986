//! Many messages in one call: [`ActorRef::tell_many`] and its kin.
//!
//! Messages are encoded into a block of some hundreds before room is reserved for any of them, so that nothing of the user's runs
//! while a ring's consumer waits for a reserved slot. A block is sorted by shard, and each shard's part goes into its ring by one
//! reservation.

use crate::arena::Arena;
use crate::hlc::HOST;
use crate::live::LiveKernel;
use crate::park::block_on;
use crate::requests::NotSent;
use crate::waiting::Lacks;
use crate::{Actor, ActorRef, Handles, PayloadTooLarge, RingKernelError, RingMessage};
use ringkernel_backends::abi::{Correlation, Header};
use ringkernel_backends::payload::Reference;
use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The most messages of a block.
const MESSAGES: usize = 512;
/// The most bytes, but for a block of one message.
const BYTES: usize = 32 << 10;

/// How long a sender looks for room itself where the device does not tell of it.
const PATIENCE: Duration = Duration::from_micros(50);
/// Looks before another task gets a turn.
const LOOKS: u32 = 16;

/// Some messages were handed over, then one could not be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("after {sent} messages were handed over: {reason}")]
pub struct TellManyError {
    /// How many were handed over. Messages to one instance are handed over in order; of those to several, these need not be the
    /// first.
    pub sent: u64,
    /// Why the next was not.
    #[source]
    pub reason: RingKernelError,
}

impl From<TellManyError> for RingKernelError {
    fn from(error: TellManyError) -> Self {
        error.reason
    }
}

/// A message that a block does not take.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no such instance.
    NoSuchInstance(u32),
    /// It was for this instance, and there is no room for its payload, now or ever.
    NotSent(u32, NotSent),
}

/// Messages on their way, encoded.
#[derive(Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    /// Where each ends, of those of variable size.
    ends: Vec<u32>,
    /// Whom each is for.
    instances: Vec<u32>,
    /// The messages' numbers, shard by shard.
    order: Vec<u16>,
    /// For each shard, where its part of `order` ends (and, while it is being handed over, where what is left of it begins).
    parts: Vec<(u32, u32)>,
    /// The kernel's arena, once there is a message that no slot carries: what it says is where the message lies.
    arena: Option<Arc<Arena>>,
    /// The numbers of those messages, ascending.
    large: Vec<(u32, Reference)>,
    /// The message for which there was no room in the arena, and whom it is for: the first of the next filling, unless given up.
    held: Option<(u32, Box<[u8]>)>,
}

/// Timestamps for what is handed over at one time, of one shard or of many: taken from the clock at once, when there is room for some of it.
pub(crate) struct Stamps {
    next: Option<u64>,
    count: u64,
}

impl Stamps {
    /// For what there is room for of one part.
    pub(crate) fn of_a_part() -> Self {
        Self { next: None, count: 0 }
    }

    /// For the next so many messages: gives the first.
    #[inline]
    fn take(&mut self, count: u64) -> u64 {
        let first = self.next.unwrap_or_else(|| HOST.stamps(self.count.max(count)));
        self.next = Some(first + count);
        first
    }
}

thread_local! {
    /// A block that was used before, so that the next call allocates nothing.
    static SPARE: Cell<Option<Block>> = const { Cell::new(None) };
}

impl Block {
    /// An empty block. Give it back with [`put_by`](Self::put_by).
    pub(crate) fn new() -> Self {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// Keeps the buffers for the thread's next block.
    pub(crate) fn put_by(mut self) {
        self.withdraw_large();
        self.held = None;
        // A thread that is ending has no next block.
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }

    /// Takes up to `most` messages. Stops before one that cannot be sent, and says why.
    #[inline]
    pub(crate) fn fill<M: RingMessage>(
        &mut self,
        live: &LiveKernel,
        messages: &mut impl Iterator<Item = (u32, M)>,
        most: usize,
    ) -> Result<(), Refused> {
        if M::VARIABLE {
            self.withdraw_large();
            return self.fill_variable(live, messages, most);
        }
        let size = M::SIZE as usize;
        let most = most.min(MESSAGES).min((BYTES / size.max(1)).max(1));
        self.instances.clear();
        if self.bytes.len() < most * size {
            self.bytes.resize(most * size, 0);
        }
        let mut at = 0;
        let result = loop {
            if self.instances.len() == most {
                break Ok(());
            }
            let Some((instance, message)) = messages.next() else { break Ok(()) };
            if instance >= live.instances {
                break Err(Refused::NoSuchInstance(instance));
            }
            message.encode(&mut self.bytes[at..at + size]);
            at += size;
            self.instances.push(instance);
        };
        self.sort(live.lanes.len());
        result
    }

    /// [`fill`](Self::fill) for messages that take as many bytes as they need.
    fn fill_variable<M: RingMessage>(
        &mut self,
        live: &LiveKernel,
        messages: &mut impl Iterator<Item = (u32, M)>,
        most: usize,
    ) -> Result<(), Refused> {
        self.instances.clear();
        self.bytes.clear();
        self.ends.clear();
        self.parts.clear();
        let result = loop {
            if self.instances.len() == most.min(MESSAGES) || self.bytes.len() >= BYTES {
                break Ok(());
            }
            let (instance, taken) = if let Some((instance, bytes)) = self.held.take() {
                let taken = self.put_large::<M>(live, &bytes);
                if let Err(NotSent::NoMemory(_)) = taken {
                    self.held = Some((instance, bytes));
                }
                (instance, taken)
            } else {
                let Some((instance, message)) = messages.next() else { break Ok(()) };
                if instance >= live.instances {
                    break Err(Refused::NoSuchInstance(instance));
                }
                let taken = message.with_large_bytes(|bytes| {
                    if bytes.len() <= M::SIZE as usize {
                        self.bytes.extend_from_slice(bytes);
                        return Ok(());
                    }
                    self.put_large::<M>(live, bytes).inspect_err(|reason| {
                        let full = matches!(reason, NotSent::NoMemory(_));
                        self.held = full.then(|| (instance, bytes.into()));
                    })
                });
                (instance, taken.map_err(NotSent::TooLarge).and_then(|taken| taken))
            };
            if let Err(reason) = taken {
                break Err(Refused::NotSent(instance, reason));
            }
            self.ends.push(self.bytes.len() as u32);
            self.instances.push(instance);
        };
        self.sort(live.lanes.len());
        result
    }

    /// Puts a message that no slot carries into the kernel's arena.
    #[cold]
    fn put_large<M: RingMessage>(&mut self, live: &LiveKernel, bytes: &[u8]) -> Result<(), NotSent> {
        if self.arena.is_none() {
            self.arena.clone_from(&live.arena);
        }
        let (length, most) = (bytes.len() as u64, u64::from(M::SIZE));
        let error = PayloadTooLarge { message: M::NAME, bytes: length, most };
        let arena = self.arena.as_ref().ok_or(NotSent::TooLarge(error))?;
        let reference = arena.put(bytes).map_err(NotSent::NoMemory)?;
        self.large.push((self.instances.len() as u32, reference));
        self.bytes.extend_from_slice(&reference.to_bytes());
        Ok(())
    }

    /// How many bytes the message has for which there was no room in the arena.
    pub(crate) fn lacks(&self) -> Option<u64> {
        self.held.as_ref().map(|(_, bytes)| bytes.len() as u64)
    }

    /// Gives up the message for which there was no room in the arena; whom it was for.
    pub(crate) fn give_up_held(&mut self) -> Option<u32> {
        self.held.take().map(|(instance, _)| instance)
    }

    /// Gives back what was put into the arena and is not handed over.
    fn withdraw_large(&mut self) {
        let Some(arena) = self.arena.take() else { return };
        if self.parts.is_empty() {
            // It was not filled to the end: the user's iterator panicked.
            self.large.iter().for_each(|(_, reference)| arena.withdraw(*reference));
        } else if !self.large.is_empty() {
            for (number, _) in self.left() {
                if let Ok(at) = self.large.binary_search_by_key(&(number as u32), |(number, _)| *number) {
                    arena.withdraw(self.large[at].1);
                }
            }
        }
        self.large.clear();
    }

    /// The bytes of a message.
    #[inline]
    fn message<M: RingMessage>(&self, number: usize) -> &[u8] {
        if M::VARIABLE {
            let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
            return &self.bytes[start..self.ends[number] as usize];
        }
        let size = M::SIZE as usize;
        &self.bytes[number * size..(number + 1) * size]
    }

    /// Counts the messages of each shard, then writes their numbers where the shard's part is.
    fn sort(&mut self, shards: usize) {
        let count = self.instances.len() as u32;
        self.parts.clear();
        if shards == 1 {
            self.parts.push((0, count));
            return;
        }
        self.parts.resize(shards, (0, 0));
        self.order.resize(MESSAGES, 0);
        // A remainder by what is not known beforehand is the slowest thing here, and most often not needed.
        if shards.is_power_of_two() {
            let mask = shards - 1;
            self.sort_by(|instance| instance as usize & mask);
        } else {
            self.sort_by(|instance| instance as usize % shards);
        }
    }

    #[inline]
    fn sort_by(&mut self, shard: impl Fn(u32) -> usize) {
        for &instance in &self.instances {
            self.parts[shard(instance)].1 += 1;
        }
        let mut start = 0;
        for (first, end) in &mut self.parts {
            let count = *end;
            (*first, *end) = (start, start);
            start += count;
        }
        for (number, &instance) in self.instances.iter().enumerate() {
            let end = &mut self.parts[shard(instance)].1;
            self.order[*end as usize] = number as u16;
            *end += 1;
        }
    }

    /// Messages it holds.
    pub(crate) fn len(&self) -> usize {
        self.instances.len()
    }

    /// Every message's number and instance.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, u32)> {
        self.instances.iter().copied().enumerate()
    }

    /// Those that are not handed over.
    pub(crate) fn left(&self) -> impl Iterator<Item = (usize, u32)> {
        let sorted = self.parts.len() > 1;
        let left = self.parts.iter().flat_map(|&(first, end)| first as usize..end as usize);
        left.map(move |at| if sorted { self.order[at] as usize } else { at })
            .map(|number| (number, self.instances[number]))
    }

    /// Timestamps for all that is left: for who hands the parts over one after another, and waits for none.
    pub(crate) fn stamps(&self) -> Stamps {
        Stamps { next: None, count: self.parts.iter().map(|(first, end)| u64::from(end - first)).sum() }
    }

    /// Hands over what there is room for of a shard's part, through `correlation(number)`. Says how many; `None` where there is
    /// no room at all.
    #[inline]
    pub(crate) fn push<M: RingMessage>(
        &mut self,
        live: &LiveKernel,
        shard: usize,
        stamps: &mut Stamps,
        mut correlation: impl FnMut(usize) -> Correlation,
    ) -> Option<usize> {
        let (first, end) = self.parts[shard];
        if first == end {
            return Some(0);
        }
        let (lane, port) = live.lane(shard);
        let mut batch = lane.reserve(port, (end - first) as usize).ok()?;
        let count = batch.left();
        let sorted = self.parts.len() > 1;
        let stamp = stamps.take(count as u64);
        for (at, hlc) in (first as usize..first as usize + count).zip(stamp..) {
            let number = if sorted { self.order[at] as usize } else { at };
            let instance = self.instances[number];
            let header = Header { tag: M::TAG, instance, correlation: correlation(number), words: 0, hlc };
            batch.push(header, self.message::<M>(number));
        }
        drop(batch);
        live.kernel.doorbell(shard);
        self.parts[shard].0 += count as u32;
        Some(count)
    }

    /// Looks for a moment whether there is room for a good part of what is left of a shard's part.
    fn look_for_room(&self, live: &LiveKernel, shard: usize) -> bool {
        let (first, end) = self.parts[shard];
        let (_, port) = live.lane(shard);
        let enough = ((end - first) as u64).min((port.requests.capacity() / 8).max(1));
        (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            port.requests.capacity() - port.requests.len() >= enough
        })
    }

    /// Whether a shard's part is handed over.
    pub(crate) fn is_done(&self, shard: usize) -> bool {
        self.parts[shard].0 == self.parts[shard].1
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.withdraw_large();
    }
}

/// Hands a block over, waiting for room where there is none; counts what was.
async fn hand_over<M: RingMessage>(
    live: &LiveKernel,
    block: &mut Block,
    sent: &mut u64,
) -> Result<(), RingKernelError> {
    live.check_open()?;
    // Each shard gets what it has room for before any is waited for.
    let mut stamps = block.stamps();
    for shard in 0..live.lanes.len() {
        *sent += block.push::<M>(live, shard, &mut stamps, |_| Correlation::NONE).unwrap_or(0) as u64;
    }
    for shard in 0..live.lanes.len() {
        while !block.is_done(shard) {
            let (mut waiting, mut start) = (None, None);
            let pushed = poll_fn(|cx| {
                // A resident kernel makes room within microseconds, and says nothing of it; being woken by who looks for us takes longer.
                if live.is_polled() && live.may_answer() && waiting.is_none() {
                    if block.look_for_room(live, shard) {
                        start = None;
                    } else if start.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                live.poll_room(shard, &mut waiting, cx.waker(), || {
                    block
                        .push::<M>(live, shard, &mut Stamps::of_a_part(), |_| Correlation::NONE)
                        .ok_or(Lacks::Slot)
                })
            });
            *sent += pushed.await? as u64;
        }
    }
    Ok(())
}

impl<A: Actor> ActorRef<A> {
    /// Sends many messages to this instance and does not wait for their handlers: [`tell`](Self::tell), at a fraction of its
    /// price a message. While the queue is full, or the memory for what [no slot carries](crate::payload), it waits for room.
    ///
    /// The messages are handed over in order. They are taken from the iterator some hundreds at a time; dropped while it waits,
    /// the future has handed over some of them.
    ///
    /// # Errors
    /// As `tell`, with how many were handed over.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
    /// # #[derive(RingMessage, Clone, Copy, Debug, PartialEq)] pub struct Sum { pub n: u32 }
    /// # #[ring_kernel(id = "sums")] #[derive(Default)] pub struct Sums { n: u32 }
    /// # #[ring_kernel] impl Sums {
    /// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> Sum { self.n += msg.n; Sum { n: self.n } }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let sums = Sums::launch(&runtime, LaunchOptions::default().instances(10)).await?;
    /// sums.tell_many((0..1000).map(|_| Add { n: 1 })).await?;
    /// assert_eq!(sums.ask(Add { n: 0 }).await?, Sum { n: 1000 });
    ///
    /// sums.tell_many_at((0..1000).map(|i| (i % 10, Add { n: i }))).await?;
    /// assert_eq!(sums.at(9)?.ask(Add { n: 0 }).await?, Sum { n: (0..100).map(|i| 10 * i + 9).sum() });
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub async fn tell_many<M: RingMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), TellManyError>
    where
        A: Handles<M>,
    {
        let instance = self.instance();
        self.tell_many_at(messages.into_iter().map(|message| (instance, message))).await
    }

    /// [`tell_many`](Self::tell_many), each message with the number of the instance it is for.
    ///
    /// Messages to one instance are handed over in order.
    ///
    /// # Errors
    /// As `tell_many`, and [`NoSuchInstance`](RingKernelError::NoSuchInstance), when all messages before that one have been handed over.
    pub async fn tell_many_at<M: RingMessage>(
        &self,
        messages: impl IntoIterator<Item = (u32, M)>,
    ) -> Result<(), TellManyError>
    where
        A: Handles<M>,
    {
        let live = self.handle().live();
        let mut messages = messages.into_iter();
        let mut sent = 0;
        let mut block = Block::new();
        let result = loop {
            let filled = block.fill(live, &mut messages, MESSAGES);
            if let Err(reason) = hand_over::<M>(live, &mut block, &mut sent).await {
                break Err(reason);
            }
            match filled {
                Err(Refused::NoSuchInstance(instance)) => break self.handle().check_instance(instance),
                Err(Refused::NotSent(instance, reason)) => {
                    let Some(Lacks::Memory(bytes)) = reason.lacks() else {
                        break Err(live.not_sent(instance, reason));
                    };
                    // It is the first of the next filling.
                    let mut waiting = None;
                    if let Err(ended) = poll_fn(|cx| live.poll_memory(bytes, &mut waiting, cx.waker())).await
                    {
                        break Err(ended);
                    }
                }
                Ok(()) if block.len() == 0 => break Ok(()),
                Ok(()) => {}
            }
        };
        block.put_by();
        result.map_err(|reason| TellManyError { sent, reason })
    }

    /// [`tell`](Self::tell) for threads outside any executor: sleeps while there is no room.
    ///
    /// # Errors
    /// As `tell`.
    pub fn tell_blocking<M: RingMessage>(&self, message: M) -> Result<(), RingKernelError>
    where
        A: Handles<M>,
    {
        let live = self.handle().live();
        live.check_open()?;
        match live.try_push(self.instance(), Correlation::NONE, &message) {
            Ok(()) => Ok(()),
            Err(_) => block_on(self.tell(message)),
        }
    }

    /// [`tell_many`](Self::tell_many) for threads outside any executor: sleeps while there is no room.
    ///
    /// # Errors
    /// As `tell_many`.
    pub fn tell_many_blocking<M: RingMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), TellManyError>
    where
        A: Handles<M>,
    {
        block_on(self.tell_many(messages))
    }

    /// [`tell_many_at`](Self::tell_many_at) for threads outside any executor: sleeps while there is no room.
    ///
    /// # Errors
    /// As `tell_many_at`.
    pub fn tell_many_at_blocking<M: RingMessage>(
        &self,
        messages: impl IntoIterator<Item = (u32, M)>,
    ) -> Result<(), TellManyError>
    where
        A: Handles<M>,
    {
        block_on(self.tell_many_at(messages))
    }
}
