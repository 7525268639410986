//! What goes on at the same time: senders to three counting kernels (one that returns when idle), a thread that suspends, resumes and
//! looks into those, one that launches, saves, restores and terminates kernels, one whose handlers panic, one that drops futures.

use crate::common::checks::{Random, ensure, text};
use crate::common::counting::{Counting, bytes_24, bytes_60, bytes_200};
use crate::common::machine::eventually;
use crate::common::sender::{Sender, totals};
use crate::common::worker::{Busy, Echo, Fail, Worker};
use ringkernel::prelude::*;
use ringkernel::{ActorRef, Mode};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Messages of everybody.
pub static MESSAGES: AtomicU64 = AtomicU64::new(0);

fn count(messages: u64) {
    // Relaxed: a figure.
    MESSAGES.fetch_add(messages, Ordering::Relaxed);
}

fn launch(runtime: &RingKernel, options: LaunchOptions) -> Result<ActorRef<Worker>, String> {
    smol::block_on(ringkernel::__private::launch::<Worker>(runtime, options)).map_err(text)
}

/// Told to, and by, all threads.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    launched: AtomicU64,
}

/// What a thread does until it is told to stop.
type Job = Box<dyn FnOnce(&Shared) -> Result<(), String> + Send>;

impl Shared {
    fn goes_on(&self) -> bool {
        // Relaxed: it only has to be seen some time.
        !self.stop.load(Ordering::Relaxed)
    }
}

/// A counting kernel, its senders, and what must have been counted in the end.
struct Counted<A: Counting> {
    actor: ActorRef<A>,
    senders: Vec<JoinHandle<Result<Sender<A>, String>>>,
}

impl<A: Counting> Counted<A> {
    fn begin(
        runtime: &RingKernel,
        shared: &Arc<Shared>,
        options: LaunchOptions,
        senders: u32,
        pause: Duration,
    ) -> Result<Self, String> {
        let actor = smol::block_on(A::start(runtime, options)).map_err(text)?;
        let run = |id: u32| {
            let (actor, shared) = (actor.clone(), shared.clone());
            std::thread::spawn(move || {
                let mut random = Random(99 + id as u64 * 7);
                let mut sender = Sender::<A>::new(id, actor.instances());
                let most = if pause.is_zero() { 2000 } else { 10 };
                while shared.goes_on() {
                    let before = sender.sent;
                    sender.tell(&actor, random.below(most) as u32).map_err(text)?;
                    sender.ask(&actor, random.below(most / 4 + 1) as u32).map_err(text)?;
                    count(sender.sent - before);
                    if !pause.is_zero() {
                        std::thread::sleep(pause.mul_f64(random.below(200) as f64 / 100.0));
                    }
                }
                Ok(sender)
            })
        };
        Ok(Self { senders: (0..senders).map(run).collect(), actor })
    }

    fn all_run(&self) -> bool {
        self.senders.iter().all(|thread| !thread.is_finished())
    }

    /// Waits for the senders, and checks the books.
    fn end(self) -> Result<u64, String> {
        let (mut sent, mut checksum, mut wrong) = (0u64, 0u32, 0u64);
        for sender in self.senders {
            let sender = sender.join().map_err(|_| "a sender panicked")??;
            sent += sender.sent;
            checksum = checksum.wrapping_add(sender.checksum);
            wrong += sender.wrong_replies;
        }
        let counted = totals(&self.actor).map_err(text)?;
        let books = || format!("{} B: {sent} sent, {counted:?}, {wrong} wrong replies", A::BYTES);
        ensure(counted.processed == sent && counted.checksum == checksum, books)?;
        ensure(counted.is_clean() && wrong == 0, books)?;
        ensure(eventually(Duration::from_secs(5), || self.actor.pending() == 0), || {
            format!("{} B: {} pending", A::BYTES, self.actor.pending())
        })?;
        smol::block_on(self.actor.terminate()).map_err(text)?;
        Ok(sent)
    }
}

/// A run under way.
pub struct Soak {
    shared: Arc<Shared>,
    small: Counted<bytes_24::Counter>,
    large: Counted<bytes_200::Counter>,
    away: Counted<bytes_60::Counter>,
    others: Vec<(&'static str, JoinHandle<Result<(), String>>)>,
    worker: ActorRef<Worker>,
}

impl Soak {
    /// Starts everything; so many senders for the kernel of large messages, and one more for that of small ones.
    pub fn begin(runtime: &RingKernel, threads: u32) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let options = || LaunchOptions::default().queue_capacity(1024);
        let none = Duration::ZERO;
        let small = Counted::begin(runtime, &shared, options().instances(256), threads + 1, none)?;
        let large = Counted::begin(runtime, &shared, options().instances(16), threads, none)?;
        let event_driven = Mode::EventDriven { idle_after: Duration::from_millis(5) };
        let pause = Duration::from_millis(10);
        let away = Counted::begin(runtime, &shared, options().instances(8).mode(event_driven), 2, pause)?;
        let worker = launch(runtime, options().instances(32))?;
        let mut others = Vec::new();
        let mut spawn = |name, run: Job| {
            let shared = shared.clone();
            others.push((name, std::thread::spawn(move || run(&shared))));
        };
        let (a, b, c) = (small.actor.clone(), large.actor.clone(), away.actor.clone());
        spawn("suspending", Box::new(move |shared| suspending(shared, &a, &b, &c)));
        let on = runtime.clone();
        spawn("launching", Box::new(move |shared| launching(shared, &on)));
        let to = worker.clone();
        spawn("faulting", Box::new(move |shared| faulting(shared, &to)));
        let to = worker.clone();
        spawn("dropping", Box::new(move |shared| dropping(shared, &to)));
        Ok(Self { shared, small, large, away, others, worker })
    }

    /// Whether nobody has given up.
    pub fn all_run(&self) -> bool {
        let others = self.others.iter().all(|(_, thread)| !thread.is_finished());
        others && self.small.all_run() && self.large.all_run() && self.away.all_run()
    }

    pub fn pending(&self) -> usize {
        let counting = self.small.actor.pending() + self.large.actor.pending() + self.away.actor.pending();
        counting + self.worker.pending()
    }

    pub fn launched(&self) -> u64 {
        // Relaxed: a figure.
        self.shared.launched.load(Ordering::Relaxed)
    }

    /// Stops everybody and checks the books.
    pub fn end(self) -> Result<String, String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let launched = self.launched();
        for (name, thread) in self.others {
            let result = thread.join().unwrap_or_else(|_| Err("it panicked".into()));
            result.map_err(|why| format!("{name}: {why}"))?;
        }
        let sums = [self.small.end()?, self.large.end()?, self.away.end()?];
        let begin = Instant::now();
        while self.worker.pending() > 0 && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        ensure(self.worker.pending() == 0, || {
            format!("{} requests are still pending", self.worker.pending())
        })?;
        let sum: u64 = sums.iter().sum();
        Ok(format!("{sum} messages counted, none lost, none twice; {launched} kernels launched"))
    }
}

/// Suspends and resumes, and looks into the states, of kernels under load.
fn suspending(
    shared: &Shared,
    small: &ActorRef<bytes_24::Counter>,
    large: &ActorRef<bytes_200::Counter>,
    away: &ActorRef<bytes_60::Counter>,
) -> Result<(), String> {
    let mut random = Random(31);
    let mut last = 0;
    while shared.goes_on() {
        let handle = [small.handle(), large.handle(), away.handle()][random.below(3) as usize];
        smol::block_on(handle.suspend()).map_err(text)?;
        let stopped = handle.control().messages_processed;
        std::thread::sleep(Duration::from_millis(random.below(4)));
        let later = handle.control().messages_processed;
        ensure(later == stopped, || format!("suspended, it went on from {stopped} to {later}"))?;
        smol::block_on(handle.resume()).map_err(text)?;
        let states = smol::block_on(small.snapshot_all::<bytes_24::Counter>()).map_err(text)?;
        let counted: Vec<_> = states.iter().map(bytes_24::Counter::counted).collect();
        let seen: u64 = counted.iter().map(|counted| counted.processed).sum();
        ensure(seen >= last, || format!("the states counted {last} and then {seen}"))?;
        ensure(counted.iter().all(|counted| counted.is_clean()), || "a state counts errors".into())?;
        last = seen;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Launches, uses, saves, restores and terminates kernels.
fn launching(shared: &Shared, runtime: &RingKernel) -> Result<(), String> {
    let mut random = Random(71);
    while shared.goes_on() {
        let instances = 1 + random.below(500) as u32;
        let worker = launch(runtime, LaunchOptions::default().instances(instances).queue_capacity(64))?;
        let asked = 1 + random.below(50) as u32;
        let instance = instances - 1;
        let to = worker.at(instance).map_err(text)?;
        for n in 0..asked {
            let answer = to.ask_blocking(Echo { n }).map_err(text)?;
            ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
        }
        let states = smol::block_on(async {
            let saved = worker.image().await?;
            worker.restore(instance, Worker { handled: 1_000_000, noise: 1 }).await?;
            let restored = worker.snapshot::<Worker>(instance).await?;
            worker.terminate().await?;
            let options = LaunchOptions::from_image(saved);
            let again = ringkernel::__private::launch::<Worker>(runtime, options).await?;
            let kept = again.snapshot::<Worker>(instance).await?;
            // Every other one ends by its last handle.
            if asked.is_multiple_of(2) {
                again.terminate().await?;
            }
            Ok::<_, RingKernelError>((restored.handled, kept.handled))
        })
        .map_err(text)?;
        ensure(states == (1_000_000, asked as u64), || format!("after {asked} asks: {states:?}"))?;
        // Relaxed: a figure.
        shared.launched.fetch_add(2, Ordering::Relaxed);
        count(asked as u64);
        std::thread::sleep(Duration::from_millis(random.below(10)));
    }
    Ok(())
}

/// Handlers that panic, between some that do not.
fn faulting(shared: &Shared, worker: &ActorRef<Worker>) -> Result<(), String> {
    let mut n = 0;
    while shared.goes_on() {
        n += 1;
        let to = worker.at(n % 8).map_err(text)?;
        let fault = to.ask_blocking(Fail {});
        ensure(matches!(fault, Err(RingKernelError::HandlerFault(_))), || format!("a panic: {fault:?}"))?;
        let answer = to.ask_blocking(Echo { n }).map_err(text)?;
        ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
        count(2);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Futures dropped before they are polled, after they were, and while they wait.
fn dropping(shared: &Shared, worker: &ActorRef<Worker>) -> Result<(), String> {
    let mut random = Random(53);
    let mut context = Context::from_waker(Waker::noop());
    let mut n = 0;
    while shared.goes_on() {
        for _ in 0..50 {
            n += 1;
            let to = worker.at(8 + n % 24).map_err(text)?;
            let mut ask = pin!(to.ask(Busy { rounds: random.below(100) as u32 }));
            for _ in 0..random.below(3) {
                if ask.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        count(25);
        let limit = Duration::from_micros(random.below(100));
        match smol::block_on(worker.ask_timeout(Echo { n }, limit)) {
            Ok(_) | Err(RingKernelError::Timeout { .. } | RingKernelError::KernelHung { .. }) => {}
            Err(other) => return Err(text(other)),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
