//! A GPU's clock and the time of day: what has to be added to the one to make it the other, kept right for as long as the process lives.
//!
//! Kernels are resident for weeks, a clock that is a millionth too fast is half a second off after six days, and the host's clock may be set. So the two
//! are compared again and again, in two ways:
//!
//! - **By a launch** ([`Shared::compare_clocks`]): a block that writes down the time and returns, between two readings of the time of day. Beside kernels
//!   that fill the GPU it would wait for ever; so it is done when modules are loaded, which is with nothing resident, and in the place of a kernel that is
//!   about to be launched (for the first time, after a quiesce, or because it had nothing to do and left), if that was not done in the last [`FRESH`].
//! - **By listening** ([`keep`]): a thread a GPU looks, once a second and for some milliseconds, at the times that resident kernels publish with their
//!   counters and, while idle, some forty times a second. [`estimate`] has what that says. Kernels do nothing for it, messages cost nothing, nothing is launched and
//!   none is woken; with no kernel there, the thread sleeps.
//!
//! An offset that turns out to be wrong by more than [`TOLERANCE`](estimate::TOLERANCE) is replaced, and every kernel is given the new one ([`Core::tell_clock`]): it is a
//! word of the parameters that its loop reads when it is activated, so it is suspended and activated, which takes microseconds. One whose handler does not
//! end in time is passed over, and told in a later second; one that is not on the GPU finds it when it comes back. Stamps never go back for it: a kernel's
//! hybrid clock is the larger of the time of day and what it gave or saw last, on the device as on the host.

mod estimate;

use super::Shared;
use super::WARP;
use super::driver::{Function, Pinned, Stream};
use super::exit;
use super::links::CLOCK_OFFSET;
use super::phase::Phase;
use super::prepare::{BEAT, CONTROL, SHARD_PARAMS, SHARED_BYTES};
use super::resident::{Core, wait};
use crate::abi::control::LAST_ACTIVITY_TICKS;
use crate::kernel::DeviceError;
use estimate::{Bounds, Round};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a comparison is younger than this, a launch makes none: programs may launch thousands of kernels a second.
const FRESH: Duration = Duration::from_secs(10);
/// Launches of the first comparison, and of a later one. The shortest says most.
const TRIES: [usize; 2] = [20, 3];
/// How long one may take, which takes microseconds where there is room. Somebody else in this process may have none left.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(1);

/// How often resident kernels are listened to, and how seldom where none publishes anything: all are away, or busy.
const EVERY: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(16);
/// Between two looks.
const GAP: Duration = Duration::from_millis(1);
/// How long a round lasts where nothing is published, and at most. An idle shard publishes every 25 ms or so.
const SILENCE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(300);
/// A round listens to so many kernels, and so many shards of each: one that publishes would do.
const MOST_KERNELS: usize = 16;
const MOST_SHARDS: u32 = 4;

/// A shard that has published nothing for so long has a handler in progress, which would not let go of it soon.
const SILENT: i64 = 250_000_000;
/// How long a kernel is given to suspend itself. Whoever ends or suspends it meanwhile waits for as long.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is known of a GPU's clock.
#[derive(Default)]
pub(super) struct DeviceClock {
    /// What makes it nanoseconds since 1970.
    offset: AtomicI64,
    compared: Mutex<Compared>,
    /// Who listens to resident kernels; none where there is no thread to be had, and then launches must do.
    keeper: OnceLock<Option<Thread>>,
}

#[derive(Default)]
struct Compared {
    at: Option<Instant>,
    /// Where the device writes what time it is.
    word: Option<Pinned>,
}

/// Nanoseconds since 1970.
fn nanos_of_day() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

impl Shared {
    /// What makes the device's clock the time of day, in nanoseconds.
    pub(super) fn clock_offset(&self) -> i64 {
        // Relaxed: nothing is read on the strength of it.
        self.clock.offset.load(Ordering::Relaxed)
    }

    /// Compares the device's clock with the time of day, unless that was done a moment ago. There must be room for a block on the GPU, and nothing
    /// under way in the stream.
    pub(super) fn compare_clocks(&self, function: &Function, stream: &Stream) -> Result<(), DeviceError> {
        let mut compared = match self.clock.compared.try_lock() {
            Ok(compared) => compared,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread is at it.
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if compared.at.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let word = match compared.word.take() {
            Some(word) => word,
            None => self.arena.take(8)?,
        };
        let first = compared.at.replace(Instant::now()).is_none();
        let mut best: Option<Bounds> = None;
        for _ in 0..TRIES[usize::from(!first)] {
            // SAFETY: the block is ours, and the kernel that wrote to it has returned.
            unsafe { word.host(0).cast::<u64>().write_volatile(0) };
            let before = nanos_of_day();
            // SAFETY: with no shards the kernel writes the time to the given address, and returns.
            unsafe {
                let grid = (1, WARP, SHARED_BYTES);
                function.launch_with_shared(stream, grid, word.device(0), 0)
            }?;
            let done = wait(LAUNCH_DEADLINE, || match stream.is_idle() {
                Ok(idle) => idle.then_some(Ok(())),
                Err(error) => Some(Err(error)),
            });
            let Some(done) = done else {
                // It may still be written to: keep it for ever.
                std::mem::forget(word);
                return Ok(());
            };
            done?;
            let after = nanos_of_day();
            // SAFETY: as above.
            let device = unsafe { word.host(0).cast::<u64>().read_volatile() };
            let bounds = Bounds::new(before, device, after);
            best = Some(best.filter(|best| best.width() <= bounds.width()).unwrap_or(bounds));
        }
        compared.word = Some(word);
        if let Some(best) = best {
            let new = if first { Some(best.middle()) } else { best.correct(self.clock_offset()) };
            new.into_iter().for_each(|new| self.clock.offset.store(new, Ordering::Relaxed));
        }
        Ok(())
    }

    /// Has somebody listen to the resident kernels, of which there is a new one.
    pub(super) fn keep_clock(self: &Arc<Self>) {
        let keeper = self.clock.keeper.get_or_init(|| {
            if !exit::is_watched() {
                return None;
            }
            let shared = self.clone();
            let keeper = thread::Builder::new().name("ringkernel-clock".into()).spawn(move || keep(&shared));
            keeper.ok().map(|handle| handle.thread().clone())
        });
        keeper.iter().for_each(Thread::unpark);
    }
}

/// Listens to resident kernels, until the process exits: what it touches of them, it touches [inside](exit::inside).
fn keep(shared: &Shared) {
    let (mut pause, mut turn) = (EVERY, 0);
    loop {
        // A launch puts its kernel on the list before it leaves a token, so none is missed.
        match shared.registry.listed() {
            Some(kernels) if kernels.is_empty() => thread::park(),
            _ if pause == EVERY => thread::sleep(EVERY),
            _ => thread::park_timeout(pause),
        }
        // A list that is in use is that of a quiesce or of a launch, which do not wait for this.
        let Some(kernels) = shared.registry.listed() else { continue };
        turn += 1;
        let from = turn % kernels.len().max(1);
        let some = kernels[from..].iter().chain(&kernels[..from]).take(MOST_KERNELS);
        let words: Vec<_> = some.filter_map(|kernel| Some(Words::of(&*kernel.upgrade()?))).collect();
        let heard = listen(shared, &words);
        pause = if heard { EVERY } else { (2 * pause).min(SELDOM) };
        drop(words);
        for kernel in kernels.iter().filter_map(Weak::upgrade) {
            let _inside = exit::inside();
            // What goes wrong is told to those who wait for the kernel; it is tried again.
            let _ = kernel.tell_clock();
        }
    }
}

/// A round: looks until enough is known, and takes another offset where the present one cannot be. Whether anything was published meanwhile.
fn listen(shared: &Shared, words: &[Words]) -> bool {
    let (begin, mut round) = (Instant::now(), Round::default());
    let offset = shared.clock_offset();
    while !words.is_empty() && !round.is_enough(offset) {
        let before = nanos_of_day();
        let inside = exit::inside();
        let newest = words.iter().map(Words::newest).max().unwrap_or(0);
        drop(inside);
        round.look(before, newest, nanos_of_day());
        if begin.elapsed() >= if round.heard() { LONGEST } else { SILENCE } {
            break;
        }
        thread::sleep(GAP);
    }
    if let Some(new) = round.correct(offset) {
        // One that a launch has found meanwhile is as good. Relaxed: as in `clock_offset`.
        let _ = shared.clock.offset.compare_exchange(offset, new, Ordering::Relaxed, Ordering::Relaxed);
    }
    round.heard()
}

/// Where a kernel publishes its device's clock. It keeps the kernel's pinned memory, and nothing else of it.
struct Words {
    pinned: Arc<Pinned>,
    shard_bytes: usize,
    shards: u32,
}

impl Words {
    fn of(core: &Core) -> Self {
        Self { pinned: core.pinned.clone(), shard_bytes: core.shard_bytes, shards: core.shards }
    }

    fn newest(&self) -> u64 {
        (0..self.shards.min(MOST_SHARDS)).map(|shard| self.last_of(shard)).max().unwrap_or(0)
    }

    /// The newest time that a shard has published: when it was idle, or with its counters. 0: none yet.
    fn last_of(&self, shard: u32) -> u64 {
        let word = |at: usize| {
            let at = shard as usize * self.shard_bytes + at;
            // SAFETY: an aligned word of the pinned block, kept alive by `self`, which the device writes and the host reads as an atomic.
            unsafe { &*self.pinned.host(at).cast::<AtomicU64>() }
        };
        // Relaxed: a time, on whose strength nothing else is read.
        let [idle, active] = [BEAT, CONTROL + LAST_ACTIVITY_TICKS].map(|at| word(at).load(Ordering::Relaxed));
        idle.max(active)
    }
}

impl Core {
    /// Gives the kernel the clock's offset, if it has another and can be had at once.
    fn tell_clock(&self) -> Result<(), DeviceError> {
        // Somebody who holds it launches, suspends, pauses or ends the kernel, and may wait for a handler.
        let Some(phase) = self.try_phase() else { return Ok(()) };
        // Relaxed, all: written with the phase's lock held, but for `has_terminated`, of which an old value costs a try.
        let offset = self.shared.clock_offset();
        if *phase != Phase::Resident
            || self.told.load(Ordering::Relaxed) == offset
            || self.late.load(Ordering::Relaxed)
        {
            return Ok(());
        }
        // One that has left, or is about to, is told when it is launched again.
        let left = |shard| self.control(shard).has_terminated.load(Ordering::Relaxed) != 0;
        if (0..self.shards).any(left) {
            return Ok(());
        }
        if self.control(0).is_active.load(Ordering::Relaxed) == 0 {
            return self.write_clock(offset);
        }
        let (words, now) = (Words::of(self), nanos_of_day());
        let silence = |shard| now.wrapping_sub(words.last_of(shard).wrapping_add_signed(offset)) as i64;
        if (0..self.shards).any(|shard| silence(shard) > SILENT) {
            return Ok(());
        }
        let before = self.told.load(Ordering::Relaxed);
        self.write_clock(offset)?;
        let noted = self.switch_by(false, PATIENCE);
        let outcome = self.switch_by(true, PATIENCE);
        if noted.is_err() {
            // A handler is in progress, after which nobody looks: it is to be told again.
            self.told.store(before, Ordering::Relaxed);
        }
        outcome
    }

    /// Makes sure that a kernel finds the clock's offset when it is launched, for which the GPU has room. With the phase's lock held.
    pub(super) fn set_clock(&self) -> Result<(), DeviceError> {
        self.shared.compare_clocks(&self.function, &self.stream)?;
        let offset = self.shared.clock_offset();
        // Relaxed: written with the phase's lock held.
        if self.told.load(Ordering::Relaxed) == offset { Ok(()) } else { self.write_clock(offset) }
    }

    /// Writes the offset where the loop reads it when it is activated or suspended, and at no other time.
    fn write_clock(&self, offset: i64) -> Result<(), DeviceError> {
        // One copy for all: what lies between is read back first. Whoever changes it does so with the phase's lock held, as this does.
        let mut all = vec![0; SHARD_PARAMS * self.shards as usize];
        self.params.read(0, &mut all)?;
        for shard in all.chunks_exact_mut(SHARD_PARAMS) {
            shard[CLOCK_OFFSET..CLOCK_OFFSET + 8].copy_from_slice(&offset.to_le_bytes());
        }
        self.params.write(0, &all)?;
        // Relaxed: with the phase's lock held.
        self.told.store(offset, Ordering::Relaxed);
        Ok(())
    }
}
