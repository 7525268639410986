//! The polling bridge: looks for replies where no thread of the device tells of them.
//!
//! A kernel resident on a GPU writes replies into mapped memory and says nothing. One thread a runtime looks at the rings of
//! the kernels that owe somebody a reply (or whose full queue somebody waits for), and sleeps when no kernel has *work*: a
//! watched request, or a waiting sender. How eagerly it looks while there is work is the program's choice: [`BridgePolicy`].
//!
//! **No wake-up is missed.** Whoever raises a kernel's work from 0 unparks the thread, and `park` consumes a token that an
//! earlier unpark left. The thread parks only after it read 0 (or an inactive kernel) everywhere; work raised after that read
//! has left a token. Work that is raised while there is other work finds the thread awake, or *dozing* between two looks and
//! then wakes it; should it miss that the thread begins to doze, it waits for the next look like the other work does.
//!
//! **Kernels that speak unasked are looked at as well.** What a handler gives out or publishes, what it sends by way of the host, and the answer to
//! what another kernel forwarded to it come out of rings for whose sake nobody raised the kernel's work. Where a kernel may do such things
//! ([`Place::speaks`](crate::mesh::Place::speaks)), every round looks at its rings, and the thread does not park beside it for longer than
//! [`LONGEST`].
//!
//! **A lost device is noticed by whoever looks, and told to all.** What waits for a kernel that is not active can only be told that its
//! device is lost, so for its sake the thread does not park but looks after the device now and then.

use crate::live::LiveKernel;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How eagerly a runtime looks for the replies of a device that does not tell of them (CUDA), while somebody waits for one. While
/// nobody does, its thread sleeps under every policy.
///
/// It is about the runtime's own thread, which wakes tasks. Whoever asks alone, and threads in `ask_blocking`, look for their reply
/// themselves for some microseconds first, as long as that pays; no policy changes that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BridgePolicy {
    /// Looks without a pause while anybody waits for anything: the lowest latency, at the price of a core.
    Spin,
    /// Looks without a pause for a fifth of a millisecond after the last reply, then after pauses of a sixteenth of the time that
    /// nothing came, 10 ms at most. So a slow handler costs a fraction of a percent of a core, and its reply is late by a few
    /// percent of the time it took.
    #[default]
    Adaptive,
    /// Never looks twice without a pause: 50 us at least, growing as under `Adaptive`. For programs that have many requests
    /// under way at a time, and other uses for the core.
    Park,
}

/// Rounds without a reply after which the thread yields between rounds, unless it spins.
const SPIN: u32 = 2_000;
/// How long it goes on looking without a pause, with or without work.
const LINGER: Duration = Duration::from_micros(200);
/// The shortest pause under [`BridgePolicy::Park`]: what the system adds (50 us on Linux) makes it twice as long.
const SHORTEST: Duration = Duration::from_micros(50);
/// The longest pause between rounds.
const LONGEST: Duration = Duration::from_millis(10);
/// How often the device is looked after while all that waits, waits for kernels that are not active.
const WATCH: Duration = Duration::from_millis(100);

pub(crate) struct Bridge {
    policy: BridgePolicy,
    kernels: Mutex<Vec<Weak<LiveKernel>>>,
    thread: OnceLock<Thread>,
    stop: AtomicBool,
    /// Between two looks, in a pause that new work ends.
    dozing: AtomicBool,
    #[cfg(test)]
    pub(crate) rounds: std::sync::atomic::AtomicU64,
    /// Where the system tells what the thread has used.
    #[cfg(test)]
    pub(crate) task: OnceLock<std::path::PathBuf>,
}

/// What the thread does after a round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// Another round.
    Look,
    /// Another round, after others have had their turn.
    Yield,
    /// Another round, after a pause.
    Pause(Duration),
    /// Sleep until there is work.
    Park,
}

impl BridgePolicy {
    /// After `rounds` rounds and a time in which nothing came.
    fn next(self, work: bool, rounds: u32, quiet: impl FnOnce() -> Duration) -> Next {
        match self {
            Self::Spin if work => return Next::Look,
            Self::Spin | Self::Adaptive if rounds < SPIN => return Next::Look,
            _ => {}
        }
        let quiet = quiet();
        match self {
            Self::Spin | Self::Adaptive if quiet < LINGER => Next::Yield,
            _ if !work => Next::Park,
            Self::Park => Next::Pause((quiet / 16).clamp(SHORTEST, LONGEST)),
            Self::Spin | Self::Adaptive => Next::Pause((quiet / 16).min(LONGEST)),
        }
    }
}

impl Bridge {
    /// Starts the thread.
    pub(crate) fn start(policy: BridgePolicy) -> std::io::Result<Arc<Self>> {
        let bridge = Arc::new(Self {
            policy,
            kernels: Mutex::default(),
            thread: OnceLock::new(),
            stop: AtomicBool::new(false),
            dozing: AtomicBool::new(false),
            #[cfg(test)]
            rounds: Default::default(),
            #[cfg(test)]
            task: OnceLock::new(),
        });
        let run = bridge.clone();
        let handle = thread::Builder::new().name("ringkernel-bridge".into()).spawn(move || run.run())?;
        let _ = bridge.thread.set(handle.thread().clone());
        Ok(bridge)
    }

    fn kernels(&self) -> MutexGuard<'_, Vec<Weak<LiveKernel>>> {
        self.kernels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after a kernel from now on, for as long as it is there.
    pub(crate) fn add(&self, kernel: &Arc<LiveKernel>) {
        self.kernels().push(Arc::downgrade(kernel));
        self.wake();
    }

    /// Work was raised from 0, or a kernel became active.
    pub(crate) fn wake(&self) {
        // Relaxed: the token that unparking leaves is what counts; this tells the thread what it was woken for.
        self.dozing.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Work was raised where there was some: if the thread dozes, it is to look now.
    #[inline]
    pub(crate) fn nudge(&self) {
        // Relaxed: see the module's text for what may be missed.
        if self.dozing.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        // Release pairs with the acquire load in `run`; nothing else is read on its strength.
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Notices a lost device, which is that of all kernels here.
    fn check_device(&self, kernel: &LiveKernel) {
        if let Some(reason) = kernel.check_device() {
            // Not under the lock: it wakes tasks.
            let all: Vec<_> = self.kernels().iter().filter_map(Weak::upgrade).collect();
            all.iter().for_each(|other| other.device_is_lost(reason.clone()));
        }
    }

    fn run(&self) {
        #[cfg(test)]
        let _ = self.task.set(std::fs::read_link("/proc/thread-self").unwrap_or_default());
        let mut quiet_since = Instant::now();
        let mut rounds = 0u32;
        let mut kernels: Vec<Weak<LiveKernel>> = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            #[cfg(test)]
            self.rounds.fetch_add(1, Ordering::Relaxed);
            kernels.clear();
            {
                let mut all = self.kernels();
                all.retain(|kernel| kernel.strong_count() > 0);
                kernels.extend(all.iter().cloned());
            }
            let (mut work, mut moved, mut watch, mut speak) = (false, false, false, false);
            for kernel in kernels.iter().filter_map(Weak::upgrade) {
                let (waited_for, speaks) = (kernel.is_waited_for(), kernel.may_speak());
                if !kernel.may_answer() {
                    watch |= waited_for;
                    continue;
                }
                if !waited_for && !speaks {
                    continue;
                }
                work |= waited_for;
                speak |= speaks;
                moved |= kernel.look();
                if rounds >= SPIN || self.policy == BridgePolicy::Park {
                    self.check_device(&kernel);
                }
            }
            rounds = rounds.saturating_add(1);
            if moved {
                (rounds, quiet_since) = (0, Instant::now());
            }
            match self.policy.next(work, rounds, || quiet_since.elapsed()) {
                Next::Look => std::hint::spin_loop(),
                Next::Yield => thread::yield_now(),
                Next::Pause(pause) => {
                    self.dozing.store(true, Ordering::Relaxed);
                    // `park_timeout`, so that new work (or the end) does not wait for the pause.
                    thread::park_timeout(pause);
                    if !self.dozing.swap(false, Ordering::Relaxed) {
                        (rounds, quiet_since) = (0, Instant::now());
                    }
                }
                Next::Park if watch || speak => {
                    self.dozing.store(true, Ordering::Relaxed);
                    thread::park_timeout(if speak { LONGEST } else { WATCH });
                    if !self.dozing.swap(false, Ordering::Relaxed) {
                        (rounds, quiet_since) = (0, Instant::now());
                    }
                    let all = kernels.iter().filter_map(Weak::upgrade);
                    all.filter(|kernel| kernel.is_waited_for()).for_each(|kernel| self.check_device(&kernel));
                }
                Next::Park => {
                    thread::park();
                    (rounds, quiet_since) = (0, Instant::now());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: [BridgePolicy; 3] = [BridgePolicy::Spin, BridgePolicy::Adaptive, BridgePolicy::Park];

    fn next(policy: BridgePolicy, work: bool, rounds: u32, micros: u64) -> Next {
        policy.next(work, rounds, || Duration::from_micros(micros))
    }

    #[test]
    fn nobody_waits_and_every_policy_sleeps_soon() {
        for policy in POLICIES {
            assert_eq!(next(policy, false, u32::MAX, 300), Next::Park);
        }
        assert_eq!(next(BridgePolicy::Park, false, 1, 0), Next::Park);
        assert_eq!(next(BridgePolicy::Adaptive, false, SPIN, 100), Next::Yield);
    }

    #[test]
    fn spin_never_pauses_while_somebody_waits_and_park_always_does() {
        for micros in [0, 100, 10_000, 100_000_000] {
            assert_eq!(next(BridgePolicy::Spin, true, u32::MAX, micros), Next::Look);
            assert!(
                matches!(next(BridgePolicy::Park, true, 1, micros), Next::Pause(pause) if pause >= SHORTEST)
            );
        }
    }

    #[test]
    fn pauses_are_a_small_part_of_the_time_waited_and_bounded() {
        assert_eq!(next(BridgePolicy::Adaptive, true, 1, 0), Next::Look);
        for policy in [BridgePolicy::Adaptive, BridgePolicy::Park] {
            for (micros, pause) in [(1600, 100), (16_000, 1000), (160_000, 10_000), (10_000_000, 10_000)] {
                assert_eq!(next(policy, true, SPIN, micros), Next::Pause(Duration::from_micros(pause)));
            }
        }
    }
}
