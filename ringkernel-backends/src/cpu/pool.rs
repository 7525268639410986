//! The threads that run shards.
//!
//! One queue of jobs under one lock. A worker with nothing to do spins for a moment on the queue's length (a request that
//! follows the last one closely then costs no system call), then parks. At most half of the workers spin at a time.
//!
//! **No wake-up is missed**: queueing a job, deciding to park, and counting spinners all happen under the lock, and whoever
//! takes a job while others wait wakes the next worker.
//!
//! **A handler that does not return** keeps its thread. A watcher notices that jobs wait while no worker has taken one for a
//! tick, gives up on one worker and starts another in its place; the one given up on ends if its handler ever returns. The
//! watcher sleeps while the pool is idle. A handler that is known to wait does not wait for the watcher ([`Shared::stand_in`]).

use super::shard::{Job, Next};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the watcher looks, and so about how long jobs wait behind handlers that do not return.
const TICK: Duration = Duration::from_millis(10);
/// Idle ticks after which the watcher sleeps.
const LINGER: u32 = 20;
/// How many workers may have been given up on at a time.
const MOST_LOST: usize = 64;
/// How long a job whose reply ring is full waits for another try, at least.
const RETRY: Duration = Duration::from_micros(100);
/// Every so many jobs, those with a full reply ring get a turn even if others are ready.
const RETRY_EVERY: u32 = 61;

/// A handle on the threads; dropping the last one ends them.
pub(super) struct Pool {
    shared: Arc<Shared>,
    started: Mutex<bool>,
}

/// What workers, the watcher and doorbells share.
pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    watch: Condvar,
    /// The length of `state.ready`, for spinning workers to look at without the lock.
    ready: AtomicUsize,
    threads: usize,
    spinners: usize,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Job>,
    /// Jobs whose reply ring was full.
    blocked: Vec<Job>,
    workers: Vec<Arc<Worker>>,
    parked: usize,
    spinning: usize,
    /// Jobs taken so far.
    taken: u64,
    /// Workers given up on whose handler has not returned.
    lost: usize,
    watcher_sleeps: bool,
    closing: bool,
}

/// A pool thread, as the watcher sees it.
struct Worker {
    /// Set by the watcher under the state's lock when it starts another in this one's place.
    lost: AtomicBool,
}

impl Pool {
    pub(super) fn new(threads: usize) -> Self {
        // On one processor, spinning only keeps the sender from sending.
        let alone = thread::available_parallelism().map_or(1, |n| n.get()) == 1;
        let shared = Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
            ready: AtomicUsize::new(0),
            threads,
            spinners: if alone { 0 } else { threads.div_ceil(2) },
        };
        Self { shared: Arc::new(shared), started: Mutex::new(false) }
    }

    pub(super) fn threads(&self) -> usize {
        self.shared.threads
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts the threads if this is the first call that gets so far.
    pub(super) fn start(&self) -> io::Result<()> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !*started {
            let missing = self.shared.threads - self.shared.lock().workers.len();
            for _ in 0..missing {
                Shared::add_worker(&self.shared)?;
            }
            let shared = self.shared.clone();
            thread::Builder::new().name("ringkernel-watch".into()).spawn(move || shared.watch())?;
            *started = true;
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Nobody is waited for: this may run on a worker, as the last thing a kernel's owner does.
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        self.shared.watch.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job.
    pub(super) fn schedule(&self, job: Job) {
        let mut state = self.lock();
        state.ready.push_back(job);
        self.mirror(&state);
        let wake_worker = state.spinning == 0 && state.parked > 0;
        let wake_watcher = std::mem::take(&mut state.watcher_sleeps);
        drop(state);
        if wake_worker {
            self.work.notify_one();
        }
        if wake_watcher {
            self.watch.notify_one();
        }
    }

    /// Tells spinning workers how much is ready.
    fn mirror(&self, state: &State) {
        // Relaxed: a hint. A worker that sees it takes the lock and looks for itself, and none parks without doing so.
        self.ready.store(state.ready.len(), Ordering::Relaxed);
    }

    /// Whether jobs are ready that no worker has taken yet; a hint.
    pub(super) fn others_wait(&self) -> bool {
        self.ready.load(Ordering::Relaxed) > 0
    }

    fn add_worker(self: &Arc<Self>) -> io::Result<()> {
        let worker = Arc::new(Worker { lost: AtomicBool::new(false) });
        let (shared, me) = (self.clone(), worker.clone());
        let mut state = self.lock();
        // Under the lock, so that the worker is in the list before it can look for itself there.
        thread::Builder::new().name("ringkernel-cpu".into()).spawn(move || shared.work(&me))?;
        state.workers.push(worker);
        Ok(())
    }

    fn work(&self, me: &Arc<Worker>) {
        let mut spin = Duration::ZERO;
        // Relaxed: the watcher sets it once; seeing it a job later is as good.
        let lost = || me.lost.load(Ordering::Relaxed);
        while let Some(job) = self.next(spin) {
            spin = job.spin();
            let next = loop {
                match job.run() {
                    // Nobody else's turn: the queue, and a worker woken for it, would be for nothing.
                    Next::Again if !self.others_wait() && !lost() => {}
                    next => break next,
                }
            };
            match next {
                Next::Idle => drop(job),
                Next::Again => self.schedule(job),
                Next::Blocked => self.lock().blocked.push(job),
            }
            if lost() {
                break;
            }
        }
        let mut state = self.lock();
        state.workers.retain(|worker| !Arc::ptr_eq(worker, me));
        if lost() {
            state.lost -= 1;
        }
    }

    /// The next job, after waiting for one; `None` when the pool closes and nothing is left to run.
    fn next(&self, mut spin: Duration) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.taken.is_multiple_of(RETRY_EVERY as u64) {
                state.unblock();
            }
            if let Some(job) = state.ready.pop_front() {
                state.taken += 1;
                self.mirror(&state);
                // Doorbells that saw this worker spin woke nobody.
                let more = !state.ready.is_empty() && state.spinning == 0 && state.parked > 0;
                drop(state);
                if more {
                    self.work.notify_one();
                }
                return Some(job);
            }
            if state.closing && state.blocked.is_empty() {
                return None;
            }
            if !spin.is_zero() && state.spinning < self.spinners {
                state.spinning += 1;
                drop(state);
                self.spin(spin);
                spin = Duration::ZERO;
                state = self.lock();
                state.spinning -= 1;
                continue;
            }
            state.parked += 1;
            if state.blocked.is_empty() {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let waited = self.work.wait_timeout(state, RETRY);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.unblock();
                self.mirror(&state);
            }
            state.parked -= 1;
        }
    }

    fn spin(&self, budget: Duration) {
        let start = Instant::now();
        while start.elapsed() < budget {
            for _ in 0..16 {
                if self.others_wait() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
    }

    fn watch(self: &Arc<Self>) {
        let mut state = self.lock();
        let (mut seen, mut idle) = (state.taken, 0);
        while !state.closing {
            let busy = state.workers.len() - state.lost - state.parked.min(state.workers.len() - state.lost);
            let quiet = busy == 0 && state.ready.is_empty() && state.blocked.is_empty();
            idle = if quiet { idle + 1 } else { 0 };
            if idle > LINGER {
                state.watcher_sleeps = true;
                state = self.watch.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.watcher_sleeps = false;
                (seen, idle) = (state.taken, 0);
                continue;
            }
            let waited = self.watch.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let waiting = !state.ready.is_empty() || !state.blocked.is_empty();
            let stuck = waiting && state.taken == seen && state.parked == 0 && state.spinning == 0;
            seen = state.taken;
            if stuck && !state.closing {
                state = self.replace_one(state);
            }
        }
    }

    /// A worker waits, for what a job that is ready may have to do first: unless another is free for that, one is started, as for a handler
    /// that does not return. There are as many as before once one has done its job.
    pub(super) fn stand_in(self: &Arc<Self>) {
        let state = self.lock();
        if !state.ready.is_empty() && state.parked == 0 && state.spinning == 0 && !state.closing {
            drop(self.replace_one(state));
        }
    }

    /// Gives up on a worker and starts another.
    fn replace_one<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let stuck = state.workers.iter().find(|worker| !worker.lost.load(Ordering::Relaxed)).cloned();
        let Some(stuck) = stuck.filter(|_| state.lost < MOST_LOST) else { return state };
        drop(state);
        let added = self.add_worker();
        state = self.lock();
        // Where no thread is to be had, the next tick tries again.
        if added.is_ok() {
            stuck.lost.store(true, Ordering::Relaxed);
            state.lost += 1;
        }
        state
    }
}

impl State {
    fn unblock(&mut self) {
        let blocked = std::mem::take(&mut self.blocked);
        self.ready.extend(blocked);
    }
}
