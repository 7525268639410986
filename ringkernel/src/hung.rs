//! Handlers that do not return: how those who wait find out, by their own deadline or by the kernel's.
//!
//! A shard's heartbeat moves while it is alive: with every request it finishes, and on CUDA while it polls. Where requests wait,
//! the kernel is active, and the heartbeat stands still, a handler does not return (or takes longer than anybody cares to wait: from
//! here the two look the same). Nothing on the request path looks at it but askers with a deadline, once when they hand their request
//! over and once when they give up.

use crate::live::{Ended, LiveKernel};
use crate::{RingKernelError, timer};
use ringkernel_backends::kernel::Kernel;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// A heartbeat that stood still for less proves nothing: a busy machine can keep a pool's thread waiting that long. Somebody who
/// meant to wait for less, and is late, was kept waiting himself.
const LEAST_EVIDENCE: Duration = Duration::from_millis(20);
/// The same where a shard polls and has nothing in its ring: it naps, and shows itself every 25 ms or so.
const LEAST_OF_A_NAPPER: Duration = Duration::from_millis(100);
/// How often a kernel's heartbeats are looked at, at least and at most.
const PERIOD: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(15)];

/// A shard's sign of life. Two that are equal: nothing happened in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pulse {
    heartbeat: u64,
    /// How often the kernel was activated. A kernel that obeys is alive.
    activations: u64,
}

/// What an asker with a deadline remembers of the moment at which its request was handed over.
#[derive(Default)]
pub(crate) struct HandedOver(OnceLock<(Pulse, Instant)>);

impl HandedOver {
    /// The request was handed over.
    pub(crate) fn note(&self, live: &LiveKernel, instance: u32) {
        let _ = self.0.set((live.pulse(live.shard(instance)), Instant::now()));
    }

    /// What to tell an asker whose deadline has passed.
    pub(crate) fn late(&self, live: &LiveKernel, instance: u32, after: Duration) -> RingKernelError {
        let id = live.id();
        let Some(&(pulse, since)) = self.0.get() else {
            return RingKernelError::Timeout { id, after, may_have_run: false };
        };
        if since.elapsed().min(after) >= LEAST_EVIDENCE
            && live.may_answer()
            && live.pulse(live.shard(instance)) == pulse
        {
            return RingKernelError::KernelHung { id, instance, after };
        }
        RingKernelError::Timeout { id, after, may_have_run: true }
    }
}

/// What a receiver with a deadline remembers of the moment at which it began to wait.
pub(crate) struct Waiting {
    since: Instant,
    /// Of the shards for which something waited.
    pulses: Vec<Option<Pulse>>,
}

impl Waiting {
    pub(crate) fn begin(live: &LiveKernel) -> Self {
        let shards = 0..live.lanes.len();
        let pulses = shards.map(|shard| live.owes(shard).then(|| live.pulse(shard))).collect();
        Self { since: Instant::now(), pulses }
    }

    /// What to tell a receiver whose deadline has passed.
    pub(crate) fn late(&self, live: &LiveKernel, after: Duration) -> RingKernelError {
        let id = live.id();
        let waited = self.since.elapsed().min(after);
        let still = |shard: &usize| live.owes(*shard) && self.pulses[*shard] == Some(live.pulse(*shard));
        let stuck = (0..self.pulses.len()).filter(still).filter(|&shard| live.is_evidence(shard, waited));
        match live.worst(stuck).filter(|_| live.may_answer()) {
            Some(instance) => RingKernelError::KernelHung { id, instance, after },
            None => RingKernelError::Timeout { id, after, may_have_run: true },
        }
    }
}

/// Looks after a kernel for callers without a deadline, from the thread of the [timers](crate::timer).
pub(crate) struct Watchdog {
    /// How long a heartbeat may stand still; `None`: for ever.
    after: Option<Duration>,
    state: Mutex<Watch>,
}

#[derive(Default)]
struct Watch {
    /// For each shard, since when it has shown this sign of life while something waited for it.
    seen: Vec<Option<(Pulse, Instant)>>,
    alarm: Option<timer::Slot>,
}

impl Watchdog {
    pub(crate) fn new(after: Duration) -> Self {
        // A moment that clocks cannot express does not come.
        let after = Instant::now().checked_add(after).map(|_| after);
        Self { after, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let alarm = self.lock().alarm.take();
        alarm.into_iter().for_each(timer::cancel);
    }
}

/// Wakes the kernel's watchdog.
struct Alarm(Weak<LiveKernel>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(live) = self.0.upgrade() {
            live.lock_out_if_hung();
            live.set_alarm(self);
        }
    }
}

impl LiveKernel {
    /// Starts the watchdog.
    pub(crate) fn watch_over(self: &Arc<Self>) {
        self.set_alarm(Arc::new(Alarm(Arc::downgrade(self))));
    }

    fn set_alarm(&self, alarm: Arc<Alarm>) {
        let Some(after) = self.watchdog.after.filter(|_| !self.has_ended()) else { return };
        let at = Instant::now() + (after / 4).clamp(PERIOD[0], PERIOD[1]);
        let slot = timer::wake_at(at, Waker::from(alarm));
        self.watchdog.lock().alarm = Some(slot);
    }

    fn pulse(&self, shard: usize) -> Pulse {
        // Relaxed: a count; the device's acknowledgement ordered what came of it.
        let activations = self.activations.load(Ordering::Relaxed);
        Pulse { heartbeat: self.kernel().heartbeat(shard), activations }
    }

    /// Whether a shard has something to do.
    fn owes(&self, shard: usize) -> bool {
        let kernel: &dyn Kernel = self.kernel();
        // Where the device says nothing of what it took, those who wait are counted.
        let taken = || if self.is_polled() { self.has_work() } else { kernel.is_busy() };
        !kernel.ports()[shard].requests.is_empty() || taken()
    }

    /// Of shards that stand still, the first with requests in its ring, if there is one; as the number of its first instance,
    /// which is the shard's.
    fn worst(&self, stuck: impl Iterator<Item = usize>) -> Option<u32> {
        let empty = |shard: &usize| self.kernel().ports()[*shard].requests.is_empty();
        stuck.min_by_key(empty).map(|shard| shard as u32)
    }

    /// Whether a heartbeat that stood still for so long proves anything.
    fn is_evidence(&self, shard: usize, still: Duration) -> bool {
        let naps = self.is_polled() && self.kernel().ports()[shard].requests.is_empty();
        still >= if naps { LEAST_OF_A_NAPPER } else { LEAST_EVIDENCE }
    }

    /// Ends the kernel if a shard has been stuck for too long.
    fn lock_out_if_hung(&self) {
        let Some(after) = self.watchdog.after else { return };
        // So that no shard waits for us.
        self.look();
        let now = Instant::now();
        let mut watch = self.watchdog.lock();
        watch.seen.resize(self.lanes.len(), None);
        let mut stuck = Vec::new();
        for (shard, seen) in watch.seen.iter_mut().enumerate() {
            let pulse = (self.may_answer() && self.owes(shard)).then(|| self.pulse(shard));
            match (pulse, &seen) {
                (Some(pulse), Some((before, since))) if pulse == *before => {
                    let still = now.saturating_duration_since(*since);
                    if still >= after && self.is_evidence(shard, still) {
                        stuck.push(shard);
                    }
                }
                (pulse, _) => *seen = pulse.map(|pulse| (pulse, now)),
            }
        }
        drop(watch);
        if let Some(instance) = self.worst(stuck.into_iter()) {
            self.end(Ended::Hung { instance, after });
        }
    }
}
