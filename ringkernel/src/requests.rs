//! The request path of a [`LiveKernel`]: what goes out, and what comes back.

use crate::delivery::Delivery;
use crate::encoded::Encoded;
use crate::flight::{Reply, Settled};
use crate::hlc::stamp;
use crate::lane::Lane;
use crate::live::{LiveKernel, wake};
use crate::message::with_buffer;
use crate::pending::{Owner, Refused};
use crate::ticket::Ticket;
use crate::waiting::Lacks;
use crate::{DecodeError, HandlerFault, PayloadTooLarge, RingKernelError, RingMessage};
use event_listener::EventListener;
use ringkernel_backends::abi::{Correlation, FaultKind, Full, Header, tag};
use ringkernel_backends::fork::forked;
use ringkernel_backends::kernel::Port;
use ringkernel_backends::payload::ArenaFull;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The largest reply that is decoded on the stack.
const ON_STACK: usize = 1024;
/// The largest message that is encoded or decoded without much ado.
const SMALL: usize = 64;

// Progress: what came back.

impl LiveKernel {
    /// Which shard an instance belongs to.
    #[inline]
    pub(crate) fn shard(&self, instance: u32) -> usize {
        let (instance, shards) = (instance as usize, self.lanes.len());
        // Devices choose a power of two, and a division costs as much as a good part of a message.
        match shards.is_power_of_two() {
            true => instance & (shards - 1),
            false => instance % shards,
        }
    }

    #[inline]
    pub(crate) fn lane(&self, shard: usize) -> (&Lane, &Port) {
        (&self.lanes[shard], &self.kernel.ports()[shard])
    }

    fn each_lane(&self) -> impl Iterator<Item = (&Lane, &Port)> {
        self.lanes.iter().zip(self.kernel.ports())
    }

    /// The device moved something, or was lost.
    pub(crate) fn progress(&self) {
        self.collect();
        self.check_device();
    }

    /// Delivers what came back, and wakes senders where there is room. Says whether anything had come back.
    fn collect(&self) -> bool {
        let mut moved = false;
        for (shard, (lane, port)) in self.each_lane().enumerate() {
            self.fetch_behind(shard);
            if lane.is_ready(port) {
                moved = true;
                lane.drain(port, &mut Delivery::to(self, shard));
            }
        }
        // See `Lane::announce_room`.
        fence(Ordering::SeqCst);
        moved |= self.retry_relays();
        self.each_lane().for_each(|(lane, port)| lane.announce_room(port));
        self.arena.iter().for_each(|arena| arena.announce());
        moved
    }

    /// Whether the bridge has something to look for.
    pub(crate) fn has_work(&self) -> bool {
        self.is_waited_for() && self.may_answer()
    }

    /// Whether there is a watched request or a waiting sender, be the kernel active or not. Of a kernel that has ended nobody waits for
    /// anything: those who did were told, and what they had raised is not lowered any more.
    pub(crate) fn is_waited_for(&self) -> bool {
        // Acquire pairs with the release in `raise_work`; see the bridge's text for why none is missed.
        self.work.load(Ordering::Acquire) > 0 && !self.has_ended()
    }

    /// Whether the kernel is active, as far as is known without a lock.
    pub(crate) fn may_answer(&self) -> bool {
        // Acquire pairs with the release in `set_active`.
        self.active.load(Ordering::Acquire)
    }

    /// Whether it may have something to say that nobody asked it for.
    pub(crate) fn may_speak(&self) -> bool {
        self.place.speaks() && !self.has_ended()
    }

    /// The bridge's look at every ring. Says whether a reply was there, or room for what waits on the host.
    pub(crate) fn look(&self) -> bool {
        self.collect()
    }

    /// How often the bridge has looked.
    #[cfg(test)]
    pub(crate) fn bridge_rounds(&self) -> Option<u64> {
        self.bridge.as_ref().map(|bridge| bridge.rounds.load(Ordering::Relaxed))
    }

    pub(crate) fn drain_all(&self) {
        let lanes = self.each_lane().enumerate();
        lanes.for_each(|(shard, (lane, port))| lane.drain(port, &mut Delivery::to(self, shard)));
    }

    /// Fetches what the looks at the rings behind a shard's need.
    #[inline]
    fn fetch_behind(&self, shard: usize) {
        let lane = |shard: usize| self.lanes.get(shard).zip(self.kernel.ports().get(shard));
        if let Some((lane, port)) = lane(shard + 2) {
            lane.fetch(port);
        }
        if let Some((lane, port)) = lane(shard + 1) {
            lane.fetch_many(port);
        }
    }

    /// [`drain_all`](Self::drain_all), and waits for whoever drains already, who may have been interrupted with a reply in his hands. Not for ever: he
    /// calls wakers, which may do anything, even wait for us.
    pub(crate) fn drain_to_the_end(&self, patience: Duration) {
        self.drain_all();
        let (since, mut pause) = (Instant::now(), Duration::from_micros(10));
        while !self.lanes.iter().all(Lane::is_quiet) && since.elapsed() < patience {
            std::thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_millis(1));
        }
    }

    /// Drains every ring in which something is, and which nobody drains: for who asked many.
    pub(crate) fn try_drain_all(&self) {
        for (shard, (lane, port)) in self.each_lane().enumerate() {
            self.fetch_behind(shard);
            if lane.is_ready(port) {
                lane.try_drain(port, &mut Delivery::to_asker(self, shard));
            }
        }
    }

    /// Drains a shard's ring, if something is there and nobody does.
    #[inline]
    pub(crate) fn try_drain(&self, shard: usize) {
        let (lane, port) = self.lane(shard);
        if lane.is_ready(port) {
            lane.try_drain(port, &mut Delivery::to(self, shard));
        }
    }

    pub(crate) fn raise_work(&self) {
        if let Some(bridge) = &self.bridge {
            // Release pairs with the acquire in `is_waited_for`. The read-modify-write finds 0 for exactly one of those who raise it.
            if self.work.fetch_add(1, Ordering::Release) == 0 {
                bridge.wake();
            } else {
                bridge.nudge();
            }
        }
    }

    pub(crate) fn lower_work(&self) {
        self.work.fetch_sub(1, Ordering::Release);
    }

    /// Does what a flight's change asks for.
    pub(crate) fn settled(&self, settled: Settled) {
        if settled.unwatched {
            self.lower_work();
        }
        if settled.vacated {
            self.flights.vacancy().notify(1);
        }
        settled.waker.into_iter().for_each(wake);
    }

    // Requests.

    /// An entry for a request, if there is one.
    pub(crate) fn try_open(&self, owner: Owner, instance: u32, watched: bool) -> Result<Ticket<'_>, Refused> {
        if forked() {
            return Err(Refused::Closed);
        }
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

    /// Tries to have an entry for a request, and again whenever one may have become free.
    pub(crate) fn poll_open(
        &self,
        (owner, instance, watched): (Owner, u32, bool),
        vacancy: &mut Option<EventListener>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket<'_>, RingKernelError>> {
        loop {
            match self.try_open(owner, instance, watched) {
                Ok(ticket) => return Poll::Ready(Ok(ticket)),
                Err(Refused::Closed) => return Poll::Ready(Err(self.ended_error(false))),
                Err(Refused::Exhausted) => {}
            }
            match vacancy {
                None => *vacancy = Some(self.slab.vacancy().listen()),
                Some(listener) => match Pin::new(listener).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => *vacancy = None,
                },
            }
        }
    }

    /// Hands a request over, if there is room.
    #[inline]
    pub(crate) fn try_push<M: RingMessage>(
        &self,
        instance: u32,
        correlation: Correlation,
        message: &M,
    ) -> Result<(), NotSent> {
        let size = M::SIZE as usize;
        if M::VARIABLE {
            let push = |bytes: &[u8]| match bytes.len() {
                length if length > size => {
                    let error = PayloadTooLarge { message: M::NAME, bytes: length as u64, most: size as u64 };
                    self.push_large(instance, M::TAG, correlation, bytes, error)
                }
                _ => Ok(self.push_bytes(instance, M::TAG, correlation, bytes)?),
            };
            return message.with_large_bytes(push).map_err(NotSent::TooLarge)?;
        }
        if size <= SMALL {
            let mut bytes = [0; SMALL];
            message.encode(&mut bytes[..size]);
            Ok(self.push_bytes(instance, M::TAG, correlation, &bytes[..size])?)
        } else {
            Ok(self.push_bytes(instance, M::TAG, correlation, Encoded::new(message).bytes())?)
        }
    }

    /// Hands a request over, if there is room in the ring, and for its payload; an error if there never is.
    #[inline]
    pub(crate) fn push_encoded(
        &self,
        instance: u32,
        tag: u32,
        correlation: Correlation,
        message: &Encoded,
    ) -> Result<Result<(), RingKernelError>, Lacks> {
        let pushed = match message {
            Encoded::Large(bytes, error) => self.push_large(instance, tag, correlation, bytes, *error),
            message => self.push_bytes(instance, tag, correlation, message.bytes()).map_err(NotSent::from),
        };
        match pushed {
            Ok(()) => Ok(Ok(())),
            Err(reason) => match reason.lacks() {
                Some(lacks) => Err(lacks),
                None => Ok(Err(self.not_sent(instance, reason))),
            },
        }
    }

    /// Puts a payload into the kernel's arena and hands over where it is, if there is room for both.
    #[cold]
    fn push_large(
        &self,
        instance: u32,
        tag: u32,
        correlation: Correlation,
        bytes: &[u8],
        error: PayloadTooLarge,
    ) -> Result<(), NotSent> {
        let Some(arena) = &self.arena else { return Err(NotSent::TooLarge(error)) };
        let (_, port) = self.lane(self.shard(instance));
        // Before all of it is copied.
        if port.requests.len() == port.requests.capacity() {
            return Err(NotSent::Full);
        }
        let reference = arena.put(bytes).map_err(NotSent::NoMemory)?;
        self.push_bytes(instance, tag, correlation, &reference.to_bytes()).map_err(|full| {
            arena.withdraw(reference);
            full.into()
        })
    }

    /// The error for a message that was not handed over.
    #[cold]
    pub(crate) fn not_sent(&self, instance: u32, reason: NotSent) -> RingKernelError {
        match reason {
            NotSent::Full => self.queue_full(instance),
            NotSent::TooLarge(error) => error.into(),
            NotSent::NoMemory(error) => RingKernelError::PayloadMemory { id: self.id(), error },
        }
    }

    /// Hands an encoded request over, if there is room.
    #[inline]
    pub(crate) fn push_bytes(
        &self,
        instance: u32,
        tag: u32,
        correlation: Correlation,
        bytes: &[u8],
    ) -> Result<(), Full> {
        let shard = self.shard(instance);
        let (lane, port) = self.lane(shard);
        let hlc = stamp();
        lane.try_push(port, Header { tag, instance, correlation, words: 0, hlc }, bytes)?;
        self.kernel.doorbell(shard);
        Ok(())
    }

    /// An error if the kernel takes no more requests. Whether the device is lost is not asked here, where speed matters: those
    /// who wait for it notice.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<(), RingKernelError> {
        if self.slab.is_closed() || forked() { Err(self.ended_error(false)) } else { Ok(()) }
    }

    /// How full the request ring of an instance's shard may get.
    pub(crate) fn queue_full(&self, instance: u32) -> RingKernelError {
        let (_, port) = self.lane(self.shard(instance));
        RingKernelError::QueueFull { id: self.id(), capacity: port.requests.capacity() }
    }

    /// Reads a reply as an `R`.
    #[inline]
    pub(crate) fn read_reply<R: RingMessage>(
        &self,
        instance: u32,
        reply_tag: u32,
        words: &(impl Words + ?Sized),
    ) -> Result<R, RingKernelError> {
        match read_exactly(reply_tag, words) {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(error)) => Err(RingKernelError::MalformedReply { id: self.id(), error }),
            None => Err(self.read_other::<R>(instance, reply_tag, words)),
        }
    }

    /// What a reply is that is not an `R`.
    #[cold]
    fn read_other<R: RingMessage>(
        &self,
        instance: u32,
        reply_tag: u32,
        words: &(impl Words + ?Sized),
    ) -> RingKernelError {
        let id = self.id();
        let word = |at: usize| words.word(at);
        if reply_tag == R::TAG {
            let reason = format_args!("{} words where {} bytes were expected", words.count(), R::SIZE);
            return RingKernelError::MalformedReply { id, error: DecodeError::new(R::NAME, reason) };
        }
        if reply_tag != tag::FAULT {
            return RingKernelError::UnexpectedReply { expected: R::NAME, got: self.reply_name(reply_tag) };
        }
        match (word(0).and_then(FaultKind::from_code), word(1)) {
            (Some(kind), Some(site)) => {
                HandlerFault::from_words(self.descriptor, instance, kind, site).into()
            }
            _ => {
                let reason = format_args!("{:?} names no kind", word(0));
                RingKernelError::MalformedReply { id, error: DecodeError::new("fault", reason) }
            }
        }
    }

    fn reply_name(&self, tag: u32) -> String {
        match self.descriptor.handlers.iter().find(|handler| handler.reply.tag == tag) {
            Some(handler) => handler.reply.name.to_owned(),
            None => format!("value of an unknown type (tag {tag:#010x})"),
        }
    }
}

/// Why a message was not handed over at once.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// There is no room now.
    Full,
    /// There never is.
    TooLarge(PayloadTooLarge),
    /// There is none for its payload, which is too large for a slot.
    NoMemory(ArenaFull),
}

impl From<Full> for NotSent {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// The words of a reply, wherever they lie. The look that found it acquired them.
pub(crate) trait Words {
    /// How many there are.
    fn count(&self) -> usize;
    /// One of them.
    fn word(&self, at: usize) -> Option<u32>;
    /// Copies them to `bytes`, a multiple of eight.
    fn copy_to(&self, bytes: &mut [u8]);
    /// The first `2 * N` of them, two in each, where they lie like that. Those beyond the end may be anything.
    #[inline]
    fn pairs<const N: usize>(&self) -> Option<[u64; N]> {
        None
    }
}

impl Words for [AtomicU32] {
    #[inline]
    fn count(&self) -> usize {
        self.len()
    }
    fn word(&self, at: usize) -> Option<u32> {
        self.get(at).map(|word| word.load(Ordering::Relaxed))
    }
    #[inline]
    fn copy_to(&self, bytes: &mut [u8]) {
        for (four, word) in bytes.chunks_exact_mut(4).zip(self) {
            four.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
    }
}

impl Words for Reply<'_> {
    #[inline]
    fn count(&self) -> usize {
        (self.shape >> 32) as usize
    }
    fn word(&self, at: usize) -> Option<u32> {
        let pair = self.pairs.get(at / 2).filter(|_| at < self.count())?.load(Ordering::Relaxed);
        Some((pair >> (at % 2 * 32)) as u32)
    }
    #[inline]
    fn copy_to(&self, bytes: &mut [u8]) {
        for (eight, pair) in bytes.chunks_exact_mut(8).zip(self.pairs) {
            eight.copy_from_slice(&pair.load(Ordering::Relaxed).to_le_bytes());
        }
    }
    #[inline(always)]
    fn pairs<const N: usize>(&self) -> Option<[u64; N]> {
        let first = self.pairs.first_chunk::<N>()?;
        Some(std::array::from_fn(|at| first[at].load(Ordering::Relaxed)))
    }
}

/// Reads a reply of the tag and length of an `R`.
#[inline]
pub(crate) fn read_exactly<R: RingMessage>(
    reply_tag: u32,
    words: &(impl Words + ?Sized),
) -> Option<Result<R, DecodeError>> {
    let (most, count) = ((R::SIZE as usize).div_ceil(4), words.count());
    let fits = reply_tag == R::TAG && (count == most || (R::VARIABLE && count < most));
    let size = if R::VARIABLE { 4 * count } else { R::SIZE as usize };
    if !fits {
        return None;
    }
    // Most are small, and moved in registers: the compiler knows which of these it is.
    if !R::VARIABLE && size <= 24 {
        if size <= 8 {
            if let Some([a]) = words.pairs() {
                return Some(R::decode(&a.to_le_bytes()[..size]));
            }
        } else if size <= 16 {
            if let Some([a, b]) = words.pairs() {
                return Some(R::decode(&in_a_row([a, b, 0])[..size]));
            }
        } else if let Some(three) = words.pairs() {
            return Some(R::decode(&in_a_row(three)[..size]));
        }
    }
    Some(with_bytes(size, words, R::decode))
}

/// The bytes of some words.
#[inline(always)]
fn in_a_row(words: [u64; 3]) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes.chunks_exact_mut(8).zip(words).for_each(|(eight, word)| eight.copy_from_slice(&word.to_le_bytes()));
    bytes
}

/// The first `size` bytes of a reply, to be read.
#[inline]
fn with_bytes<R>(size: usize, words: &(impl Words + ?Sized), read: impl FnOnce(&[u8]) -> R) -> R {
    let copy = |bytes: &mut [u8]| words.copy_to(bytes);
    // The last words may be padding.
    let whole = size.next_multiple_of(8);
    if size <= SMALL {
        let mut bytes = [0; SMALL];
        copy(&mut bytes[..whole]);
        read(&bytes[..size])
    } else if size <= ON_STACK {
        let mut bytes = [0; ON_STACK];
        copy(&mut bytes[..whole]);
        read(&bytes[..size])
    } else {
        with_buffer(whole, |bytes| {
            copy(bytes);
            read(&bytes[..size])
        })
    }
}
