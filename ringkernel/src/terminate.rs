//! How a kernel ends: at once, or after what waits has been answered.

use crate::lifecycle::{KernelState, Transition};
use crate::live::{Ended, LiveKernel};
use crate::mesh::wiring;
use crate::waiting::Work;
use crate::{KernelHandle, RingKernelError};
use ringkernel_backends::kernel::{DeviceError, Port};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Longer deadlines are as good as this one, and clocks can express it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// What a device is given to come to its end after draining used the deadline up, and others to deliver what they drain.
const GRACE: Duration = Duration::from_secs(1);

/// How to terminate a kernel. The default fails what waits, by the runtime's deadline.
///
/// ```
/// # use ringkernel::prelude::*;
/// # use std::time::Duration;
/// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
/// # #[ring_kernel(id = "drained")] #[derive(Default, Debug, PartialEq)] pub struct Counter { n: u32 }
/// # #[ring_kernel] impl Counter {
/// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> u32 { self.n += msg.n; self.n }
/// # }
/// # smol::block_on(async {
/// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// let counter = Counter::launch(&runtime, LaunchOptions::default()).await?;
/// for _ in 0..1000 {
///     counter.tell(Add { n: 1 }).await?;
/// }
/// counter.terminate_with(TerminateOptions::default().drain().deadline(Duration::from_secs(5))).await?;
/// assert_eq!(counter.snapshot::<Counter>(0).await?, Counter { n: 1000 });
/// # runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminateOptions {
    drain: bool,
    deadline: Option<Duration>,
}

impl TerminateOptions {
    /// No new requests are taken: senders get [`Terminated`](RingKernelError::Terminated) at once, those included who wait for
    /// room in a full queue; kernels that send to it get [`Gone`](crate::Sent::Gone), itself included. What is in the queues and the mailboxes is
    /// handled (messages for `try_receive_from_kernel` aside, which nobody may ever ask for), its replies are delivered, what its handlers
    /// send meanwhile is sent, and then the kernel ends.
    ///
    /// If that is not done by the deadline, the rest fails, and the error says how much it was
    /// ([`NotDrained`](RingKernelError::NotDrained)). Another [`terminate`](KernelHandle::terminate) meanwhile cuts it short, and so
    /// does shutting the runtime down. What waits for a kernel that is not active cannot be handled: it fails, as under `fail`.
    pub fn drain(mut self) -> Self {
        self.drain = true;
        self
    }

    /// What waits gets [`Terminated`](RingKernelError::Terminated). The default. Messages from other kernels that wait in its mailbox are
    /// lost; who waits for the answer to one that was forwarded is told ([`NotDelivered`](crate::FaultKind::NotDelivered)).
    pub fn fail(mut self) -> Self {
        self.drain = false;
        self
    }

    /// How long it may take, draining included;
    /// [`RingKernelBuilder::terminate_deadline`](crate::RingKernelBuilder::terminate_deadline) unless told.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

impl KernelHandle {
    /// Ends the kernel, from any state but terminated. The message being handled is finished; requests that wait get
    /// [`Terminated`](RingKernelError::Terminated).
    ///
    /// # Errors
    /// As [`activate`](Self::activate). Where the device does not come to an end in time
    /// ([`terminate_deadline`](crate::RingKernelBuilder::terminate_deadline)), the kernel counts as terminated all the same.
    pub async fn terminate(&self) -> Result<(), RingKernelError> {
        self.terminate_with(TerminateOptions::default()).await
    }

    /// [`terminate`](Self::terminate), with a say in what becomes of the requests that wait, and by when.
    ///
    /// # Errors
    /// As `terminate`, and [`NotDrained`](RingKernelError::NotDrained).
    pub async fn terminate_with(&self, options: TerminateOptions) -> Result<(), RingKernelError> {
        RingKernelError::check_process()?;
        let live = self.live().clone();
        blocking::unblock(move || live.terminate(options)).await
    }
}

impl LiveKernel {
    /// Ends the kernel, and waits until the device has let go of it or is given up on.
    pub(crate) fn terminate(&self, options: TerminateOptions) -> Result<(), RingKernelError> {
        let deadline = options.deadline.unwrap_or(self.deadline).min(LONGEST);
        let until = Instant::now() + deadline;
        if !options.drain {
            // Relaxed: whoever drains looks again and again.
            self.hurry.store(true, Ordering::Relaxed);
        }
        let action = Transition::Terminate;
        let turn = self.lifecycle.turn(Some(until));
        let (id, from, to) = (self.id(), turn.state(), KernelState::Terminated);
        if !action.allowed_from().contains(&from) {
            return Err(RingKernelError::InvalidTransition { id, action, from, to });
        }
        // First, so that nobody sends to what is about to go; and so that what is to be drained comes to an end.
        wiring::cut_by(self.number(), until);
        self.topics.kernel_ends(self.number(), until);
        let drained = match from {
            KernelState::Active if options.drain => self.drain(until),
            _ => Ok(()),
        };
        let left = until.saturating_duration_since(Instant::now());
        let result = self.kernel().terminate(if options.drain { left.max(GRACE) } else { left });
        // What was answered is delivered before the rest is told that it will not be.
        self.drain_to_the_end(GRACE);
        turn.set(to);
        // Release pairs with the acquire in `may_answer`.
        self.active.store(false, Ordering::Release);
        self.end(Ended::Terminated);
        // A device that is lost sends nothing any more.
        let given_up = matches!(&result, Err(error) if !matches!(error, DeviceError::Lost { .. }));
        wiring::leave_by(self.number(), given_up, until);
        if result.is_ok() {
            // Where a handler may still be running, it may still answer.
            self.fail_forwarded();
        }
        self.topics.kernel_gone(self.number(), given_up);
        if let Some(registry) = self.registry.upgrade() {
            registry.lock().live.retain(|live| !std::ptr::eq(&**live, self));
        }
        let result = result.map_err(|error| {
            if given_up {
                self.place.number.retire();
            }
            let error = RingKernelError::from_device(id, error);
            let _ = self.given_up.set(error.clone());
            error
        });
        match drained {
            Ok(()) => result,
            Err(left) => Err(RingKernelError::NotDrained { id, left, deadline }),
        }
    }

    /// Takes no more requests, and waits until what was taken has been handled and answered; else says how much was not.
    fn drain(&self, until: Instant) -> Result<(), u64> {
        // First the slab, so that a sender that finds a ring closed, and looks why, is told.
        self.slab.refuse();
        // What others had sent by way of the host is in their rings of replies, where nobody may be looking.
        wiring::everybody(until).iter().for_each(|other| other.drain_all());
        let ports = self.kernel().ports();
        let mut ends: Option<Vec<u64>> = None;
        let _work = Work::of(self);
        let mut pause = Duration::from_micros(10);
        loop {
            // What waits on the host may have to go through the rings, so those are closed behind it.
            if ends.is_none() && self.try_close_backlog() {
                ends = Some(ports.iter().map(|port| port.requests.close()).collect());
            }
            for lane in &self.lanes {
                lane.room.call(|_| true);
            }
            self.arena.iter().for_each(|arena| arena.end());
            let waiting = |(shard, port): (usize, &Port)| match &ends {
                Some(ends) => ends[shard].wrapping_sub(port.requests.consumed()),
                None => port.requests.len(),
            };
            let waiting = ports.iter().enumerate().map(waiting).sum::<u64>();
            // Those that were taken have a reply to come, if nothing else.
            let sent = self.kernel().mailbox().waiting + self.backlog.len() + u64::from(ends.is_none());
            let left = waiting + sent + u64::from(self.kernel().is_busy());
            self.look();
            self.check_device();
            if left == 0 {
                return Ok(());
            }
            if self.has_ended() || self.hurry.load(Ordering::Relaxed) || Instant::now() >= until {
                return Err(left);
            }
            thread::sleep(pause.min(until.saturating_duration_since(Instant::now())));
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }
}
