//! [`Request`]: a message that is sent when the future is awaited, and what comes back.

use crate::encoded::Encoded;
use crate::hung::HandedOver;
use crate::live::LiveKernel;
use crate::pending::Owner;
use crate::ticket::{Looking, Read, Ticket};
use crate::timer::Sleep;
use crate::waiting::Waiting;
use crate::{RingKernelError, RingMessage};
use event_listener::EventListener;
use ringkernel_backends::abi::{Correlation, tag};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What [`ActorRef::ask`](crate::ActorRef::ask) and its kin return: a future of the reply.
///
/// It names nothing but the reply, so that asking for a message that the actor does not handle is one compile error and not one for each
/// place the future passes through. It holds the encoded message: making and awaiting one allocates nothing, unless the message is larger
/// than some hundred bytes.
#[must_use = "nothing is sent until the future is awaited"]
pub struct Request<'a, R> {
    live: &'a LiveKernel,
    instance: u32,
    tag: u32,
    message: Encoded,
    read: Read<R>,
    stage: Stage<'a>,
    limit: Option<Box<Limit>>,
}

enum Stage<'a> {
    /// A message without a reply, on its way into the ring.
    Telling(Option<Waiting<'a>>),
    /// In need of an entry.
    Opening(Owner, Option<EventListener>),
    /// On its way into the ring.
    Sending {
        ticket: Ticket<'a>,
        owner: Owner,
        alone: bool,
        waiting: Option<Waiting<'a>>,
    },
    /// Handed over.
    Asking(Ticket<'a>, Looking),
    Done,
}

/// How long the reply may take, from the first poll.
struct Limit {
    after: Duration,
    sleep: Option<Sleep>,
    handed_over: HandedOver,
}

impl<'a, R: RingMessage> Request<'a, R> {
    pub(crate) fn ask<M: RingMessage>(
        live: &'a LiveKernel,
        instance: u32,
        message: M,
        limit: Option<Duration>,
    ) -> Self {
        let limit =
            limit.map(|after| Box::new(Limit { after, sleep: None, handed_over: HandedOver::default() }));
        Self::new(live, instance, message, Stage::Opening(Owner::Asker, None), limit)
    }

    #[inline]
    fn new<M: RingMessage>(
        live: &'a LiveKernel,
        instance: u32,
        message: M,
        stage: Stage<'a>,
        limit: Option<Box<Limit>>,
    ) -> Self {
        let message = Encoded::new(&message);
        Self { live, instance, tag: M::TAG, message, read: LiveKernel::read_reply::<R>, stage, limit }
    }
}

impl<'a> Request<'a, ()> {
    /// Without a reply.
    #[inline]
    pub(crate) fn tell<M: RingMessage>(live: &'a LiveKernel, instance: u32, message: M) -> Self {
        // What is told has no reply to be read.
        let read = |_: &_, _, _, _: &[_]| Ok(());
        Self { read, ..Self::new(live, instance, message, Stage::Telling(None), None) }
    }

    /// With a reply that belongs to the inbox.
    pub(crate) fn send<M: RingMessage>(live: &'a LiveKernel, instance: u32, message: M) -> Self {
        Self::new(live, instance, message, Stage::Opening(Owner::Inbox, None), None)
    }
}

impl<R> Request<'_, R> {
    fn proceed(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, RingKernelError>> {
        let Self { live, instance, tag: message_tag, ref message, read, ref mut stage, ref limit } = *self;
        let shard = live.shard(instance);
        if let Err(error) = message.check(|| live.arena.is_some()) {
            return Poll::Ready(Err(error.into()));
        }
        // What a message without a reply, or with one that is another's, ends with.
        let sent = || read(live, instance, tag::UNIT, &[]);
        loop {
            match stage {
                Stage::Telling(waiting) => {
                    let push = || live.push_encoded(instance, message_tag, Correlation::NONE, message);
                    return live
                        .poll_room(shard, waiting, cx.waker(), push)
                        .map(|pushed| pushed.and_then(|sent| sent).and_then(|()| sent()));
                }
                Stage::Opening(owner, vacancy) => {
                    // A request that is the kernel's only one looks for its reply itself; the others sleep, and the bridge looks.
                    let (owner, alone) = (*owner, *owner == Owner::Asker && live.slab.live() == 0);
                    let Poll::Ready(opened) = live.poll_open((owner, instance, !alone), vacancy, cx) else {
                        return Poll::Pending;
                    };
                    match opened {
                        Ok(ticket) => *stage = Stage::Sending { ticket, owner, alone, waiting: None },
                        Err(ended) => return Poll::Ready(Err(ended)),
                    }
                }
                Stage::Sending { ticket, owner, alone, waiting } => {
                    let correlation = ticket.correlation();
                    let push = || live.push_encoded(instance, message_tag, correlation, message);
                    let Poll::Ready(pushed) = live.poll_room(shard, waiting, cx.waker(), push) else {
                        return Poll::Pending;
                    };
                    if let Err(ended) = pushed.and_then(|sent| sent) {
                        return Poll::Ready(Err(ended));
                    }
                    let (owner, alone) = (*owner, *alone);
                    ticket.sent();
                    let Stage::Sending { ticket, .. } = std::mem::replace(stage, Stage::Done) else {
                        return Poll::Pending;
                    };
                    if owner == Owner::Inbox {
                        ticket.leave_to_inbox();
                        return Poll::Ready(sent());
                    }
                    if let Some(limit) = limit {
                        limit.handed_over.note(live, instance);
                    }
                    let looking = ticket.wait(alone);
                    *stage = Stage::Asking(ticket, looking);
                }
                Stage::Asking(ticket, looking) => return ticket.poll(looking, cx, read),
                Stage::Done => panic!("a request was polled after it gave its result"),
            }
        }
    }
}

impl<R> Request<'_, R> {
    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, RingKernelError>> {
        let mut result = self.proceed(cx);
        if let (Poll::Pending, Some(limit)) = (&result, &mut self.limit) {
            let after = limit.after;
            let sleep = limit.sleep.get_or_insert_with(|| Sleep::new(after));
            if Pin::new(sleep).poll(cx).is_ready() {
                result = Poll::Ready(Err(limit.handed_over.late(self.live, self.instance, after)));
            }
        }
        if result.is_ready() {
            // What it still holds (an entry, a place in a queue) is given back now.
            self.stage = Stage::Done;
            self.limit = None;
        }
        result
    }
}

impl<R> Future for Request<'_, R> {
    type Output = Result<R, RingKernelError>;

    // Inlined, so that a message that is told is made where it is awaited, and goes from there into the ring.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Stage::Telling(None) = this.stage
            && this.message.is_in_place()
            && this.live.check_open().is_ok()
            && this.live.push_bytes(this.instance, this.tag, Correlation::NONE, this.message.bytes()).is_ok()
        {
            // As most do that are told: there was room at once, and nothing is held that must be given back.
            std::mem::forget(std::mem::replace(&mut this.stage, Stage::Done));
            return Poll::Ready((this.read)(this.live, this.instance, tag::UNIT, &[]));
        }
        this.poll_on(cx)
    }
}

impl<R> fmt::Debug for Request<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}
