//! The polling bridge: looks for replies where no thread of the device tells of them.
//!
//! A kernel resident on a GPU writes replies into mapped memory and says nothing. One thread a runtime looks at the rings of
//! the kernels that owe somebody a reply (or whose full queue somebody waits for), eagerly at first, then less and less
//! often, and sleeps when no kernel has *work*: a watched request, or a waiting sender.
//!
//! **No wake-up is missed.** Whoever raises a kernel's work from 0 unparks the thread, and `park` consumes a token that an
//! earlier unpark left. The thread parks only after it read 0 (or an inactive kernel) everywhere; work raised after that read
//! has left a token.

use crate::live::LiveKernel;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Rounds without a reply after which the thread yields between rounds.
const SPIN: u32 = 2_000;
/// How long it goes on spinning and yielding, with or without work, before it sleeps between rounds or parks.
const LINGER: Duration = Duration::from_micros(200);
/// The longest sleep between rounds.
const LONGEST: Duration = Duration::from_millis(1);

pub(crate) struct Bridge {
    kernels: Mutex<Vec<Weak<LiveKernel>>>,
    thread: OnceLock<Thread>,
    stop: AtomicBool,
    #[cfg(test)]
    pub(crate) rounds: std::sync::atomic::AtomicU64,
}

impl Bridge {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Arc<Self>> {
        let bridge = Arc::new(Self {
            kernels: Mutex::default(),
            thread: OnceLock::new(),
            stop: AtomicBool::new(false),
            #[cfg(test)]
            rounds: Default::default(),
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
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        // Release pairs with the acquire load in `run`; nothing else is read on its strength.
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn run(&self) {
        let mut quiet_since = Instant::now();
        let mut rounds = 0u32;
        let mut pause = Duration::from_micros(10);
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
            let (mut work, mut moved) = (false, false);
            for kernel in kernels.iter().filter_map(Weak::upgrade).filter(|kernel| kernel.has_work()) {
                work = true;
                moved |= kernel.look();
                if rounds >= SPIN {
                    kernel.check_device();
                }
            }
            if moved {
                (rounds, quiet_since, pause) = (0, Instant::now(), Duration::from_micros(10));
                continue;
            }
            rounds = rounds.saturating_add(1);
            if rounds < SPIN {
                std::hint::spin_loop();
            } else if quiet_since.elapsed() < LINGER {
                thread::yield_now();
            } else if work {
                // `park_timeout`, so that new work (or the end) does not wait for the pause.
                thread::park_timeout(pause);
                pause = (pause * 2).min(LONGEST);
            } else {
                thread::park();
                (rounds, quiet_since, pause) = (0, Instant::now(), Duration::from_micros(10));
            }
        }
    }
}
