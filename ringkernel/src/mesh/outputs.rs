//! What handlers give out beside replies, on its way to whoever takes it: [`Outputs`].

use super::outlet::{Chunk, Item, Outlet};
use crate::live::LiveKernel;
use crate::park::block_on;
use crate::requests::{Words, read_exactly};
use crate::{DecodeError, HlcTimestamp, KernelHandle, RingKernelError, RingMessage};
use futures::{Stream, StreamExt};
use ringkernel_backends::fork::forked;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

impl Words for Item<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }
    fn word(&self, at: usize) -> Option<u32> {
        let pair = self.pairs.get(at / 2).filter(|_| at < self.count)?;
        Some((pair >> (at % 2 * 32)) as u32)
    }
    #[inline]
    fn copy_to(&self, bytes: &mut [u8]) {
        let eights = bytes.chunks_exact_mut(8);
        eights.zip(self.pairs).for_each(|(eight, pair)| eight.copy_from_slice(&pair.to_le_bytes()));
    }
    #[inline(always)]
    fn pairs<const N: usize>(&self) -> Option<[u64; N]> {
        self.pairs.first_chunk().copied()
    }
}

/// A message that a handler gave out.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Output<T> {
    /// The instance that did.
    pub instance: u32,
    /// When, by the clock of the kernel.
    pub at: HlcTimestamp,
    /// The message.
    pub message: T,
}

/// What a kernel's handlers give out of one type ([`enqueue_output`](crate::RingContext::enqueue_output)), as a `Stream`: those of one
/// instance in the order in which it gave them out. It ends when the kernel has.
///
/// It does not keep the kernel alive. Of several streams of a type, each message goes to one; one that is alone takes what lies ready in one
/// go, and leaves to others what it has not given when it is dropped. What was given out before there was a
/// stream, and while nobody takes it, is kept: the last [`MOST_OUTPUTS`](crate::mesh::MOST_OUTPUTS) messages of the type, as long as they are less
/// than 16 MiB. Older ones are discarded, and [counted](Self::missed). Other types stay for their own streams.
///
/// An item is an error where bytes are not a value of the type, which is a defect of the device or its code.
///
/// ```
/// # use ringkernel::prelude::*;
/// use futures::StreamExt;
/// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Reading { pub celsius: f32 }
/// # #[derive(RingMessage, Clone, Copy, Debug, PartialEq)] pub struct Alarm { pub celsius: f32 }
/// # #[ring_kernel(id = "thermometer")] #[derive(Default)] pub struct Thermometer { worst: f32 }
/// # #[ring_kernel] impl Thermometer {
/// #[handler]
/// fn reading(&mut self, ctx: &mut RingContext, msg: Reading) {
///     if msg.celsius > 90.0 {
///         let _ = ctx.enqueue_output(Alarm { celsius: msg.celsius });
///     }
/// }
/// # }
/// # smol::block_on(async {
/// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// let kernel = Thermometer::launch(&runtime, LaunchOptions::default()).await?;
/// let mut alarms = kernel.outputs::<Alarm>()?;
/// kernel.tell(Reading { celsius: 20.0 }).await?;
/// kernel.tell(Reading { celsius: 95.0 }).await?;
/// let alarm = alarms.next().await.expect("the kernel is there")?;
/// assert_eq!((alarm.instance, alarm.message), (0, Alarm { celsius: 95.0 }));
/// # runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
pub struct Outputs<T> {
    live: Arc<LiveKernel>,
    outlet: usize,
    /// What it has taken and not given yet.
    chunk: Chunk,
    /// Its number among the streams of the type.
    number: u64,
    /// Whether it counts as somebody who waits, for the bridge.
    waits: bool,
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Outputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").field("kernel", &self.live.id()).field("missed", &self.missed()).finish()
    }
}

impl KernelHandle {
    /// What its handlers give out of type `T`.
    ///
    /// # Errors
    /// [`NotGivenOut`](RingKernelError::NotGivenOut) where no handler gives out, sends or publishes a `T`.
    pub fn outputs<T: RingMessage>(&self) -> Result<Outputs<T>, RingKernelError> {
        let (live, outgoing) = (self.live().clone(), self.live().descriptor.mesh.outgoing);
        match outgoing.iter().position(|message| message.tag == T::TAG) {
            Some(outlet) => {
                let number = live.outlets.types[outlet].join();
                Ok(Outputs { live, outlet, chunk: Chunk::default(), number, waits: false, of: PhantomData })
            }
            None => Err(RingKernelError::NotGivenOut {
                actor: live.descriptor.actor,
                message: T::NAME,
                given: outgoing.iter().map(|message| message.name).collect(),
            }),
        }
    }
}

impl<T> Outputs<T> {
    fn outlet(&self) -> &Outlet {
        &self.live.outlets.types[self.outlet]
    }

    /// Messages of the type that were discarded because nobody took them in time.
    pub fn missed(&self) -> u64 {
        self.outlet().missed()
    }

    fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.waits) && self.live.is_polled() {
            self.live.lower_work();
        }
    }
}

impl<T: RingMessage> Outputs<T> {
    /// The next message, if it is there.
    #[inline]
    pub fn try_next_output(&mut self) -> Option<Result<Output<T>, RingKernelError>> {
        match self.at_once() {
            Some(output) => Some(Ok(output)),
            None => self.look(),
        }
    }

    /// The next message, if it lies ready and is one: what most are.
    // By itself, so that it is handed on in registers: with an error beside it, it is too large for that.
    #[inline(always)]
    fn at_once(&mut self) -> Option<Output<T>> {
        if forked() {
            return None;
        }
        let item = self.chunk.first()?;
        let (instance, at) = (item.instance, HlcTimestamp::from_u64(item.hlc));
        let message = read_exactly(T::TAG, &item)?.ok()?;
        let (words, room) = (item.count, item.pairs.len());
        self.chunk.take_first(words, room);
        Some(Output { instance, at, message })
    }

    /// The next one, looked for in the rings as well, where nobody else does that at once.
    #[inline(never)]
    fn look(&mut self) -> Option<Result<Output<T>, RingKernelError>> {
        if let Some(output) = self.oldest() {
            return Some(output);
        }
        if self.live.is_polled() && !self.live.has_ended() {
            self.live.look();
        }
        self.oldest()
    }

    /// The same messages, for threads that may block: an iterator that ends when the kernel has.
    pub fn blocking(self) -> BlockingOutputs<T> {
        BlockingOutputs(self)
    }

    fn oldest(&mut self) -> Option<Result<Output<T>, RingKernelError>> {
        if forked() {
            return None;
        }
        if self.chunk.is_empty() && !self.live.outlets.types[self.outlet].take(&mut self.chunk) {
            return None;
        }
        let item = self.chunk.next()?;
        let (instance, at) = (item.instance, HlcTimestamp::from_u64(item.hlc));
        Some(match read_exactly(T::TAG, &item) {
            Some(Ok(message)) => Ok(Output { instance, at, message }),
            Some(Err(error)) => Err(RingKernelError::MalformedReply { id: self.live.id(), error }),
            None => Err(not_a::<T>(self.live.id(), item.count)),
        })
    }
}

/// So many words are no `T`.
#[cold]
fn not_a<T: RingMessage>(id: &'static str, words: usize) -> RingKernelError {
    let found = format_args!("{words} words where {} bytes were expected", T::SIZE);
    RingKernelError::MalformedReply { id, error: DecodeError::new(T::NAME, found) }
}

impl<T: RingMessage> Stream for Outputs<T> {
    type Item = Result<Output<T>, RingKernelError>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if !this.waits
            && let Some(output) = this.at_once()
        {
            return Poll::Ready(Some(Ok(output)));
        }
        this.poll_slowly(cx)
    }
}

impl<T: RingMessage> Outputs<T> {
    #[inline(never)]
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Output<T>, RingKernelError>>> {
        let this = self;
        loop {
            // Before the look: what came before the end is still taken.
            let ended = this.live.has_ended();
            if let Some(output) = this.oldest() {
                this.stop_waiting();
                return Poll::Ready(Some(output));
            }
            if ended {
                this.stop_waiting();
                return Poll::Ready(None);
            }
            // The end is told after it is there: who is not in the queue by then finds it here.
            if this.outlet().wait(this.number, cx.waker()) && !this.live.has_ended() {
                if !std::mem::replace(&mut this.waits, true) {
                    this.live.raise_work();
                }
                return Poll::Pending;
            }
        }
    }
}

impl<T> Drop for Outputs<T> {
    fn drop(&mut self) {
        self.stop_waiting();
        let left = std::mem::take(&mut self.chunk);
        self.outlet().leave(self.number, left);
    }
}

/// [`Outputs`], for threads that may block. See [`Outputs::blocking`].
pub struct BlockingOutputs<T>(Outputs<T>);

impl<T> fmt::Debug for BlockingOutputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: RingMessage> BlockingOutputs<T> {
    #[inline(never)]
    fn next_slowly(&mut self) -> Option<Result<Output<T>, RingKernelError>> {
        // Looks itself before it sleeps: what lies ready needs no other thread.
        self.0.look().or_else(|| block_on(self.0.next()))
    }
}

impl<T: RingMessage> Iterator for BlockingOutputs<T> {
    type Item = Result<Output<T>, RingKernelError>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.0.at_once() {
            Some(output) => Some(Ok(output)),
            None => self.next_slowly(),
        }
    }
}
