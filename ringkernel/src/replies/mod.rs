//! Many requests in one call: [`ActorRef::ask_many`], and the stream of their [`Replies`], which is where to start; `blocking` makes an iterator of it.

mod blocking;

pub use blocking::BlockingReplies;

use crate::block::{Block, Refused, Stamps};
use crate::flight::{Found, Held, MOST};
use crate::live::LiveKernel;
use crate::requests::read_exactly;
use crate::ticket::LOOKS_A_POLL;
use crate::waiting::{Lacks, Waiting};
use crate::{Actor, ActorRef, Handles, RingKernelError, RingMessage};
use event_listener::EventListener;
use futures::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Requests under way unless told.
const IN_FLIGHT: usize = 1024;

/// What [`ActorRef::ask_many`] returns: a stream of the replies, in the order of the messages.
///
/// Each item is what [`ask`](ActorRef::ask) would have given for that message, so a fault ends its own request and no other, and a kernel that
/// ends makes the rest of the items errors. Messages are taken from the iterator and handed over while the stream is polled, as
/// many as [`in_flight`](Self::in_flight) allows; nothing is sent before. Dropped, the stream discards the replies to what it handed
/// over, whose handlers run all the same.
///
/// At most 64 such streams of a kernel are under way at once; a further one waits until one is done.
#[must_use = "nothing is sent until the stream is polled"]
pub struct Replies<'a, I, R> {
    live: &'a LiveKernel,
    /// `None` when all messages were taken.
    messages: Option<I>,
    in_flight: usize,
    flight: Option<Held<'a>>,
    vacancy: Option<EventListener>,
    block: Option<Block>,
    /// What the messages of the block are, if it is not wholly handed over: the first one's position.
    block_first: u64,
    left_in_block: usize,
    /// The position of the next message to be taken from the iterator.
    next: u64,
    /// The position of the next reply to be given.
    taken: u64,
    /// When `taken` is here, messages are handed over.
    refill_at: u64,
    /// Messages that were not sent, by their positions: the rest of those that were refused are for instances that are not there.
    not_sent: VecDeque<(u64, RingKernelError)>,
    waiting: Option<Waiting<'a>>,
    looking: Option<Looking>,
    reply: PhantomData<fn() -> R>,
}

/// How a stream looks for its next reply before it sleeps.
struct Looking {
    nanos: u32,
    start: Option<Instant>,
}

// The iterator is never pinned.
impl<I, R> Unpin for Replies<'_, I, R> {}

impl<A: Actor> ActorRef<A> {
    /// Sends many messages to this instance and gives the replies as a stream, in the order of the messages: [`ask`](Self::ask), at a
    /// fraction of its price a message, with many requests under way at once.
    ///
    /// Nothing is sent until the stream is polled.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
    /// # #[derive(RingMessage, Clone, Copy, Debug, PartialEq)] pub struct Sum { pub n: u32 }
    /// # #[ring_kernel(id = "adders")] #[derive(Default)] pub struct Adders { n: u32 }
    /// # #[ring_kernel] impl Adders {
    /// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> Sum { self.n += msg.n; Sum { n: self.n } }
    /// # }
    /// use futures::TryStreamExt;
    ///
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let adders = Adders::launch(&runtime, LaunchOptions::default().instances(10)).await?;
    /// let sums: Vec<Sum> = adders.ask_many((1..=100).map(|n| Add { n })).try_collect().await?;
    /// assert_eq!((sums[0], sums[99]), (Sum { n: 1 }, Sum { n: 5050 }));
    ///
    /// // From threads outside any executor; each message to an instance of its own.
    /// let messages = (0..1000).map(|i| (i % 10, Add { n: 1 }));
    /// for sum in adders.ask_many_at(messages).in_flight(64).blocking() {
    ///     assert!(sum?.n > 0);
    /// }
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    ///
    /// # Errors
    /// Each item as `ask`.
    pub fn ask_many<M: RingMessage, I: IntoIterator<Item = M>>(
        &self,
        messages: I,
    ) -> Replies<'_, impl Iterator<Item = (u32, M)>, A::Reply>
    where
        A: Handles<M>,
    {
        let instance = self.instance();
        self.ask_many_at(messages.into_iter().map(move |message| (instance, message)))
    }

    /// [`ask_many`](Self::ask_many), each message with the number of the instance it is for.
    ///
    /// # Errors
    /// Each item as `ask`, and [`NoSuchInstance`](RingKernelError::NoSuchInstance).
    pub fn ask_many_at<M: RingMessage, I: IntoIterator<Item = (u32, M)>>(
        &self,
        messages: I,
    ) -> Replies<'_, I::IntoIter, A::Reply>
    where
        A: Handles<M>,
    {
        Replies {
            live: self.handle().live(),
            messages: Some(messages.into_iter()),
            in_flight: IN_FLIGHT,
            flight: None,
            vacancy: None,
            block: None,
            block_first: 0,
            left_in_block: 0,
            next: 0,
            taken: 0,
            refill_at: 0,
            not_sent: VecDeque::new(),
            waiting: None,
            looking: None,
            reply: PhantomData,
        }
    }
}

impl<'a, I, R> Replies<'a, I, R> {
    /// How many requests are under way at most: handed over, and their reply not yet taken from the stream. The default is 1024, the
    /// most 65536, the least 1. More than a queue has slots brings nothing.
    ///
    /// It counts before the stream is first polled, not after.
    pub fn in_flight(mut self, requests: usize) -> Self {
        if self.flight.is_none() {
            self.in_flight = requests.clamp(1, MOST);
        }
        self
    }

    /// The replies as an iterator, for threads outside any executor: looks for them itself, then sleeps until the next is there. On
    /// an executor's thread it would keep every other task waiting.
    pub fn blocking(self) -> BlockingReplies<'a, I, R> {
        BlockingReplies(self)
    }

    /// Looks at every ring for replies.
    fn drain(&self) {
        self.live.try_drain_all();
    }

    /// The first shard for which the block holds messages that are not handed over.
    fn shard_in_need(&self) -> Option<usize> {
        let block = self.block.as_ref().filter(|_| self.left_in_block > 0)?;
        (0..self.live.lanes.len()).find(|shard| !block.is_done(*shard))
    }

    /// The kernel takes no more: what the block still holds will not be sent.
    fn withdraw_block(&mut self) {
        let (Some(block), Some(flight)) = (&self.block, &self.flight) else { return };
        for (number, instance) in block.left() {
            flight.withdraw(self.block_first + number as u64, instance);
        }
        self.left_in_block = 0;
    }
}

impl<M: RingMessage, I: Iterator<Item = (u32, M)>, R: RingMessage> Replies<'_, I, R> {
    /// Hands requests over now, as many as may be under way and as there is room for, and waits for nothing. Says how many are under way.
    ///
    /// Polling the stream does so as well. This is for those who want the requests on their way before they have time for the replies.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Square { pub n: u32 }
    /// # #[ring_kernel(id = "squares")] #[derive(Default)] pub struct Squares { seen: u32 }
    /// # #[ring_kernel] impl Squares {
    /// #     #[handler] fn square(&mut self, _ctx: &mut RingContext, msg: Square) -> u32 { self.seen += 1; msg.n * msg.n }
    /// # }
    /// use futures::TryStreamExt;
    ///
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let squares = Squares::launch(&runtime, LaunchOptions::default()).await?;
    /// let mut replies = squares.ask_many((0..100).map(|n| Square { n }));
    /// assert_eq!(replies.hand_over(), 100);
    /// // … something else, while the kernel works …
    /// let all: Vec<u32> = replies.try_collect().await?;
    /// assert_eq!(all[9], 81);
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    pub fn hand_over(&mut self) -> usize {
        if self.poll_begin(&mut Context::from_waker(Waker::noop())).is_pending() || self.flight.is_none() {
            return 0;
        }
        self.refill();
        (self.next.wrapping_sub(self.taken) as usize).saturating_sub(self.left_in_block)
    }

    /// The next reply, if it is there, is one, and nothing else is to be done: what most items are.
    #[inline]
    fn next_at_once(&mut self) -> Option<R> {
        if self.taken == self.refill_at || self.taken == self.next {
            return None;
        }
        let found = self.flight.as_ref()?.ready(self.taken)?;
        let reply = read_exactly::<R>(found.shape as u32, &found)?.ok()?;
        self.taken = self.taken.wrapping_add(1);
        self.looking = None;
        Some(reply)
    }

    /// The next item, if it is there. Hands messages over where it is time to.
    fn next_there(&mut self) -> Option<Result<R, RingKernelError>> {
        if self.taken == self.refill_at {
            self.refill();
        }
        if self.taken == self.next {
            return None;
        }
        let flight = self.flight.as_ref()?;
        let item = match flight.look(self.taken) {
            Found::Waiting => return None,
            Found::Ready => {
                let (instance, reply) = flight.reply(self.taken);
                self.live.read_reply(instance, reply.shape as u32, &reply)
            }
            Found::NoSuchInstance if self.not_sent.front().is_some_and(|(at, _)| *at == self.taken) => {
                match self.not_sent.pop_front() {
                    Some((_, error)) => Err(error),
                    None => Err(self.live.ended_error(false)),
                }
            }
            Found::NoSuchInstance => {
                let (id, instances) = (self.live.id(), self.live.instances);
                let (instance, _) = flight.reply(self.taken);
                Err(RingKernelError::NoSuchInstance { id, instance, instances })
            }
            Found::NotSent => Err(self.live.ended_error(false)),
        };
        self.taken = self.taken.wrapping_add(1);
        Some(item)
    }

    /// Takes messages and hands them over, as many as may be under way and as there is room for.
    #[inline(never)]
    fn refill(&mut self) {
        let Some(flight) = &self.flight else { return };
        let live = self.live;
        // It is for a block that is about to change.
        self.waiting = None;
        loop {
            if self.left_in_block > 0 {
                if live.check_open().is_err() {
                    return self.withdraw_block();
                }
                let Some(block) = &mut self.block else { return };
                let mut stamps = block.stamps();
                for shard in 0..live.lanes.len() {
                    let first = self.block_first;
                    let correlation = |number| flight.correlation(first.wrapping_add(number as u64));
                    self.left_in_block -= block.push::<M>(live, shard, &mut stamps, correlation).unwrap_or(0);
                }
            }
            let under_way = self.next.wrapping_sub(self.taken) as usize;
            let room = self.in_flight.saturating_sub(under_way);
            if self.left_in_block > 0 {
                // Full rings: again when some replies were taken, or when there is nothing else to do.
                self.refill_at = self.taken.wrapping_add((under_way as u64 / 2).max(1));
                return;
            }
            let Some(messages) = self.messages.as_mut() else {
                self.refill_at = self.taken.wrapping_sub(1);
                return;
            };
            if room == 0 {
                // Some at a time: a reservation and a doorbell each.
                let some = (self.in_flight / 4).clamp(1, 512) as u64;
                self.refill_at = self.taken.wrapping_add(some);
                return;
            }
            if live.check_open().is_err() {
                // One at a time from here: each message an error.
                if under_way == 0 {
                    let held = self.block.as_mut().and_then(Block::give_up_held);
                    match held.or_else(|| messages.next().map(|(instance, _)| instance)) {
                        Some(instance) => {
                            flight.departing(1);
                            flight.withdraw(self.next, instance);
                            self.next = self.next.wrapping_add(1);
                        }
                        None => self.messages = None,
                    }
                }
                self.refill_at = self.taken.wrapping_add(under_way.max(1) as u64);
                return;
            }
            let block = self.block.get_or_insert_with(Block::new);
            let filled = block.fill(live, messages, room);
            let count = block.len();
            self.block_first = self.next;
            self.left_in_block = count;
            flight.departing(count);
            for (number, instance) in block.all() {
                flight.expect(self.next.wrapping_add(number as u64), instance);
            }
            self.next = self.next.wrapping_add(count as u64);
            match filled {
                Err(Refused::NotSent(_, reason))
                    if block.lacks().is_some() && (under_way + count > 0 || reason.lacks().is_some()) =>
                {
                    // Who has a reply has the room of what it asked with: again when the next one is taken, or when others make room
                    // where nothing is under way.
                    self.refill_at = self.taken.wrapping_add(1);
                    if count == 0 {
                        return;
                    }
                }
                Err(refused) => {
                    block.give_up_held();
                    let instance = match refused {
                        Refused::NoSuchInstance(instance) => instance,
                        Refused::NotSent(instance, reason) => {
                            self.not_sent.push_back((self.next, live.not_sent(instance, reason)));
                            instance
                        }
                    };
                    flight.refuse(self.next, instance);
                    self.next = self.next.wrapping_add(1);
                }
                Ok(()) if count == 0 => self.messages = None,
                Ok(()) => {}
            }
        }
    }

    /// Takes a flight, once. Without one when the kernel takes no more requests.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.flight.is_none() && self.live.check_open().is_ok() {
            if let Some(flight) = self.live.flights.hold(self.in_flight) {
                self.in_flight = self.in_flight.min(flight.capacity());
                let first = flight.first();
                (self.next, self.taken, self.refill_at) = (first, first, first);
                self.flight = Some(flight);
                break;
            }
            match &mut self.vacancy {
                None => self.vacancy = Some(self.live.flights.vacancy().listen()),
                Some(vacancy) => match Pin::new(vacancy).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => self.vacancy = None,
                },
            }
        }
        self.vacancy = None;
        Poll::Ready(())
    }

    /// Whether everything was given.
    fn is_done(&self) -> bool {
        self.messages.is_none() && self.taken == self.next
    }

    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, RingKernelError>>> {
        let live = self.live;
        loop {
            if self.is_done() {
                self.finish();
                return Poll::Ready(None);
            }
            if self.poll_begin(cx).is_pending() {
                return Poll::Pending;
            }
            if self.flight.is_none() {
                let message = self.messages.as_mut().and_then(Iterator::next);
                if message.is_none() {
                    self.messages = None;
                }
                return Poll::Ready(message.map(|_| Err(live.ended_error(false))));
            }
            if let Some(item) = self.next_there() {
                return Poll::Ready(Some(item));
            }
            if self.is_done() {
                continue;
            }
            if self.taken == self.next {
                // Nothing is under way, and there are messages.
                if let Some(bytes) = self.block.as_ref().and_then(Block::lacks) {
                    let mut waiting = self.waiting.take();
                    if live.poll_memory(bytes, &mut waiting, cx.waker()).is_pending() {
                        self.waiting = waiting;
                        return Poll::Pending;
                    }
                }
                self.refill_at = self.taken;
                self.refill();
                let lacks = self.block.as_ref().is_some_and(|block| block.lacks().is_some());
                if self.taken != self.next || self.messages.is_none() || lacks {
                    continue;
                }
            }
            // Before the last look: what was delivered before the end is still given.
            let ended = live.has_ended();
            self.drain();
            if let Some(item) = self.next_there() {
                return Poll::Ready(Some(item));
            }
            if ended {
                self.withdraw_block();
                if let Some(item) = self.next_there() {
                    return Poll::Ready(Some(item));
                }
                if self.taken != self.next {
                    self.taken = self.taken.wrapping_add(1);
                    return Poll::Ready(Some(Err(live.ended_error(true))));
                }
                continue;
            }
            if let Some(shard) = self.shard_in_need() {
                let mut waiting = self.waiting.take();
                let (before, first) = (self.left_in_block, self.block_first);
                let polled = live.poll_room(shard, &mut waiting, cx.waker(), || {
                    let (Some(block), Some(flight)) = (&mut self.block, &self.flight) else { return Ok(0) };
                    let correlation = |number| flight.correlation(first.wrapping_add(number as u64));
                    block.push::<M>(live, shard, &mut Stamps::of_a_part(), correlation).ok_or(Lacks::Slot)
                });
                match polled {
                    Poll::Ready(Ok(sent)) => {
                        self.left_in_block = before - sent;
                        continue;
                    }
                    Poll::Ready(Err(_)) => {
                        self.withdraw_block();
                        continue;
                    }
                    Poll::Pending => self.waiting = waiting,
                }
            }
            let Some(flight) = &self.flight else { continue };
            // As a single request does: see `Ticket::poll`.
            let looking = self.looking.get_or_insert_with(|| Looking {
                nanos: if live.may_answer() { live.patience.take().unwrap_or(0) } else { 0 },
                start: None,
            });
            if looking.nanos > 0 {
                if looking.start.get_or_insert_with(Instant::now).elapsed()
                    <= Duration::from_nanos(looking.nanos as u64)
                {
                    for _ in 0..LOOKS_A_POLL {
                        live.try_drain_all();
                        if flight.look(self.taken) != Found::Waiting {
                            live.patience.paid(looking.nanos);
                            break;
                        }
                        if !live.is_polled() {
                            std::hint::spin_loop();
                        }
                    }
                    if flight.look(self.taken) != Found::Waiting {
                        self.looking = None;
                        continue;
                    }
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                live.patience.did_not_pay(looking.nanos);
                looking.nanos = 0;
            }
            if live.is_polled() {
                live.raise_work();
            }
            if !flight.sleep(cx.waker(), live.is_polled()) && live.is_polled() {
                live.lower_work();
            }
            if flight.look(self.taken) == Found::Waiting && !live.has_ended() {
                return Poll::Pending;
            }
            self.looking = None;
        }
    }
}

impl<I, R> Replies<'_, I, R> {
    /// Lets go of the flight.
    fn finish(&mut self) {
        self.messages = None;
        self.withdraw_block();
        self.waiting = None;
        self.block.take().into_iter().for_each(Block::put_by);
        let Some(flight) = self.flight.take() else { return };
        let live = self.live;
        let watch = live.is_polled();
        if watch {
            live.raise_work();
        }
        let (settled, fresh) = flight.let_go(self.next, watch, live.has_ended());
        if watch && !fresh {
            live.lower_work();
        }
        live.settled(settled);
        (self.next, self.taken, self.refill_at) = (0, 0, 1);
    }
}

impl<I, R> Drop for Replies<'_, I, R> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<M: RingMessage, I: Iterator<Item = (u32, M)>, R: RingMessage> Stream for Replies<'_, I, R> {
    type Item = Result<R, RingKernelError>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(reply) = this.next_at_once() {
            return Poll::Ready(Some(Ok(reply)));
        }
        let polled = this.poll_slowly(cx);
        if polled.is_ready() {
            this.looking = None;
        }
        polled
    }
}

impl<I, R> fmt::Debug for Replies<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("kernel", &self.live.id())
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
