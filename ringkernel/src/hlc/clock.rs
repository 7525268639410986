//! The host's clock.

use super::HlcTimestamp;
use super::last::{Hand, Last};
use super::sync::{AtomicU64, Ordering};
use crate::RingKernel;
use ringkernel_backends::abi::clock::{self, is_credible, time_of_day};
use ringkernel_backends::ticks::ticks;
use std::cell::Cell;
use std::fmt;
use std::time::Duration;

/// For so many ticks, 7 to 33 us, a time of day that was read will do for messages.
const FRESH: u64 = 1 << 15;

/// The host's hybrid logical clock: one for all threads and runtimes of the process, [`RingKernel::clock`](crate::RingKernel::clock).
///
/// It reads the time of day, but never goes back, never gives a timestamp twice, and is past every timestamp it has seen. Messages are stamped
/// with it when they are handed over, and what comes back from a kernel moves it on, so that whatever was caused by something has the larger
/// timestamp, across threads, kernels and devices. The clocks of devices follow the same rules.
///
/// - A timestamp is past the one before it, and not before the time of day: `max(time of day, last + 1)`.
/// - Having seen another's timestamp, the last is `max(last, seen + 16, time of day + 16)`: so many, 4 ns of them, a thread that sends may have taken
///   and not given.
/// - One that is more than [`MAX_DRIFT`](Self::MAX_DRIFT) ahead of the time of day is not believed and moves nothing, so no stray clock can lead
///   this one away. Nor can causes be told from effects across such a gap: a clock that is set back while a program runs counts on from where it was until
///   the time of day has come there.
///
/// The rules are those of Kulkarni, Demirbas, Madappa, Avva and Leone, *Logical Physical Clocks and Consistent Snapshots in Globally
/// Distributed Databases* (2014), with both parts in one number. A message's stamp may be 33 us behind the time of day, since asking for the time
/// of day costs more than the rest of a stamp; [`now`](Self::now) and [`tick`](Self::tick) ask.
///
/// ```
/// use ringkernel::prelude::*;
/// use ringkernel::HlcTimestamp;
///
/// # smol::block_on(async {
/// let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// let clock = runtime.clock();
/// let (cause, effect) = (clock.tick(), clock.tick());
/// assert!(cause < effect);
///
/// // Something that came from another machine, by whatever way.
/// let theirs = HlcTimestamp::from_u64(clock.now().as_u64() + (7 << 12)); // its clock is 7 us ahead
/// clock.update(theirs).expect("near enough");
/// assert!(clock.tick() > theirs);
///
/// let stray = HlcTimestamp::from_u64(clock.now().as_u64() + (3_600_000_000 << 12)); // an hour
/// println!("{}", clock.update(stray).unwrap_err());
/// assert!(clock.tick() < stray);
/// # runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
// Every message writes it: no neighbours.
#[repr(align(128))]
pub struct Hlc {
    last: Last,
    /// The time of day when it was read last; `last` is not before it.
    read: AtomicU64,
    /// The ticks when it was.
    read_at: AtomicU64,
    ignored: AtomicU64,
}

/// A timestamp was further ahead of the time of day than is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the timestamp {seen} is {ahead:?} ahead of the time of day, and the most that is believed is {most:?}: the clock it comes from is wrong, or this \
     one", ahead = .seen.since(*.now), most = Hlc::MAX_DRIFT
)]
pub struct ClockDrift {
    /// The timestamp.
    pub seen: HlcTimestamp,
    /// The time of day here.
    pub now: HlcTimestamp,
}

/// The process's clock.
pub(crate) static HOST: Hlc = Hlc {
    last: Last(AtomicU64::new(0)),
    read: AtomicU64::new(0),
    read_at: AtomicU64::new(0),
    ignored: AtomicU64::new(0),
};

thread_local! {
    /// What this thread has in hand of [`HOST`]'s.
    static HAND: Cell<Hand> = const { Cell::new(Hand::EMPTY) };
}

/// A timestamp for a message that this thread hands over.
#[inline]
pub(crate) fn stamp() -> u64 {
    HAND.with(|hand| HOST.stamp(hand))
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hlc").field("last", &HlcTimestamp::from_u64(self.last.get())).finish_non_exhaustive()
    }
}

impl Hlc {
    /// How far ahead of the time of day a timestamp may be and still move the clock: 500 ms.
    pub const MAX_DRIFT: Duration = Duration::from_micros(clock::DRIFT_MICROS);

    /// What the clock says: the last timestamp, or the time of day where that is later. The clock is not moved.
    pub fn now(&self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.last.get().max(time_of_day()))
    }

    /// A timestamp for an event. Nobody gets it twice, and it is past all that happened before.
    pub fn tick(&self) -> HlcTimestamp {
        HlcTimestamp::from_u64(self.last.stamp(time_of_day(), 1))
    }

    /// Moves the clock to a timestamp that was seen, if it is not there already, and says what it is then; the next [`tick`](Self::tick) is past it. Those
    /// of messages and replies are seen without this.
    ///
    /// # Errors
    /// [`ClockDrift`] where it is more than [`MAX_DRIFT`](Self::MAX_DRIFT) ahead of the time of day, or that of someone who had not
    /// known better. The clock is where it was.
    pub fn update(&self, seen: HlcTimestamp) -> Result<HlcTimestamp, ClockDrift> {
        let now = time_of_day();
        if self.last.pass(seen.as_u64()).is_some() {
            self.last.merge(0, now);
        } else if is_credible(seen.as_u64(), now) {
            self.last.saw(seen.as_u64(), now);
        } else {
            return Err(ClockDrift { seen, now: HlcTimestamp::from_u64(now) });
        }
        Ok(HlcTimestamp::from_u64(self.last.get()))
    }

    /// How many replies had a timestamp that was too far ahead to be believed: 0, unless a device's clock and the host's differ by more than
    /// [`MAX_DRIFT`](Self::MAX_DRIFT), because the host's was set back, say.
    pub fn disbelieved(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Timestamps for as many messages, one after another, at once: gives the first.
    #[inline]
    pub(crate) fn stamps(&self, count: u64) -> u64 {
        if !self.is_fresh() {
            self.read();
        }
        self.last.next(count)
    }

    /// A timestamp for a message of a thread that may send more of them.
    #[inline]
    pub(crate) fn stamp(&self, hand: &Cell<Hand>) -> u64 {
        if !self.is_fresh() {
            self.read();
        }
        self.last.one(hand)
    }

    /// A reply's timestamp was seen. Says what of others need not be seen, since every stamp is past it; or, of one that is not to be believed, that one.
    ///
    /// `again`: one was seen a moment ago, and there may be more. The clock then moves on to the time of day, past those that were stamped before.
    #[inline]
    pub(crate) fn seen(&self, stamp: u64, again: bool) -> u64 {
        match self.last.pass(stamp) {
            Some(past) => past,
            None => self.move_to(stamp, again),
        }
    }

    fn move_to(&self, stamp: u64, again: bool) -> u64 {
        // Relaxed: an older one believes a little less.
        let mut now = self.read.load(Ordering::Relaxed);
        let believed = is_credible(stamp, now);
        if again || !believed {
            now = self.read();
        }
        if !believed && !is_credible(stamp, now) {
            self.ignored.fetch_add(1, Ordering::Relaxed);
            return stamp;
        }
        self.last.saw(stamp, now)
    }

    /// Whether the time of day was read a moment ago.
    #[inline]
    fn is_fresh(&self) -> bool {
        // Relaxed: whoever wrote it moved `last` first, but all that depends on it is how near to the time of day a stamp is.
        ticks().is_some_and(|ticks| ticks.wrapping_sub(self.read_at.load(Ordering::Relaxed)) < FRESH)
    }

    /// Reads the time of day, and moves on to it.
    #[cold]
    fn read(&self) -> u64 {
        let (at, now) = (ticks(), time_of_day());
        self.last.merge(0, now);
        // Relaxed, as where they are read. Of two threads that come here at once either may be the later to write.
        self.read.store(now, Ordering::Relaxed);
        self.read_at.store(at.unwrap_or(0), Ordering::Relaxed);
        now
    }
}

impl RingKernel {
    /// The host's hybrid logical clock, by which messages are stamped. All runtimes of a process have the same.
    pub fn clock(&self) -> &'static Hlc {
        &HOST
    }
}

#[cfg(test)]
mod tests {
    use super::super::last::HAND;
    use super::*;
    use std::time::Instant;

    fn clock() -> Hlc {
        let zero = || AtomicU64::new(0);
        Hlc { last: Last(zero()), read: zero(), read_at: zero(), ignored: zero() }
    }

    #[test]
    fn messages_are_stamped_near_the_time_of_day_however_seldom_there_are_any() {
        let clock = clock();
        for pause in [0, 0, 3, 0, 20, 1] {
            std::thread::sleep(Duration::from_millis(pause));
            // A thread that loses its core in between makes no stamp wrong.
            let hand = Cell::new(Hand::EMPTY);
            for stamp in [&|| clock.stamps(1), &|| clock.stamp(&hand)] as [&dyn Fn() -> u64; 2] {
                let near = (0..100).any(|_| {
                    let before = time_of_day();
                    let stamp = stamp();
                    stamp >= before.saturating_sub(clock::physical(200)) && stamp <= time_of_day() + 1000
                });
                assert!(near, "after {pause} ms");
            }
        }
    }

    #[test]
    fn stamps_of_a_batch_follow_each_other_and_precede_the_next() {
        let clock = clock();
        let (first, next) = (clock.stamps(512), clock.stamps(1));
        assert!(next >= first + 512);
        assert!(clock.tick().as_u64() > next);
        assert!(clock.now().as_u64() > next);
    }

    #[test]
    fn what_is_seen_moves_the_clock_unless_it_is_too_far_ahead() {
        let clock = clock();
        let ahead = |micros: u64| time_of_day() + clock::physical(micros);
        let near = ahead(400_000);
        assert_eq!(clock.seen(near, false), near);
        let next = near + HAND + 1;
        assert_eq!(clock.stamps(1), next);
        clock.seen(ahead(900_000), true);
        assert_eq!(clock.seen(u64::MAX, false), u64::MAX);
        assert_eq!((clock.stamps(1), clock.disbelieved()), (next + 1, 2));
        assert_eq!(clock.seen(0, false), next + 1 - HAND);
        assert_eq!(clock.update(HlcTimestamp::from_u64(near)).map(HlcTimestamp::as_u64), Ok(next + 1));
        let far = HlcTimestamp::from_u64(ahead(3_600_000_000));
        let error = clock.update(far).unwrap_err();
        assert_eq!(error.seen, far);
        assert!(
            error.to_string().contains("ahead of the time of day, and the most that is believed is 500ms")
        );
        assert_eq!(clock.stamps(1), next + 2);
    }

    #[test]
    fn what_a_thread_has_in_hand_is_given_until_somebody_else_stamps_or_sees() {
        let (clock, hand, other) = (clock(), Cell::new(Hand::EMPTY), Cell::new(Hand::EMPTY));
        // Far enough ahead that the time of day moves nothing.
        clock.seen(time_of_day() + clock::physical(400_000), false);
        let first = clock.stamp(&hand);
        assert_eq!([(); 15].map(|()| clock.stamp(&hand)), std::array::from_fn(|n| first + 1 + n as u64));
        let second = clock.stamp(&hand);
        assert!(second > first + 15);
        // Another's stamp, an event, a timestamp from elsewhere (even one that is not past the clock): what comes next is past it.
        let theirs = clock.stamp(&other);
        assert!(theirs > second);
        let third = clock.stamp(&hand);
        assert!(third > theirs && third < clock.stamp(&other));
        let fourth = clock.stamp(&hand);
        let event = clock.tick().as_u64();
        let fifth = clock.stamp(&hand);
        assert!(fourth > third && event > fourth && fifth > event);
        for ahead in [0, 1, 14, 15, 16, 17, 40] {
            let stamp = clock.stamp(&hand);
            assert!(clock.seen(stamp + ahead, false) >= stamp + ahead);
            assert!(clock.stamp(&hand) > stamp + ahead, "one seen {ahead} ahead");
            let stamp = clock.stamp(&other);
            clock.update(HlcTimestamp::from_u64(stamp + ahead)).expect("near enough");
            assert!(clock.stamp(&other) > stamp + ahead, "one told {ahead} ahead");
        }
    }

    #[test]
    fn replies_are_believed_while_the_clock_counts_on_from_where_it_was_before_it_was_set_back() {
        let (clock, hand) = (clock(), Cell::new(Hand::EMPTY));
        // An hour.
        clock.last.0.store(time_of_day() + clock::physical(3_600_000_000), Ordering::Relaxed);
        for ahead in [1, 14] {
            let stamp = clock.stamp(&hand);
            assert!(clock.seen(stamp + ahead, false) >= stamp + ahead);
            assert!(clock.stamp(&hand) > stamp + ahead, "one seen {ahead} ahead");
            let stamp = clock.stamp(&hand);
            clock.update(HlcTimestamp::from_u64(stamp + ahead)).expect("the clock was there before");
            assert!(clock.stamp(&hand) > stamp + ahead, "one told {ahead} ahead");
        }
        assert_eq!(clock.disbelieved(), 0);
    }

    #[test]
    fn threads_that_share_a_clock_never_get_the_same_stamp() {
        let clock = clock();
        let stamps = |count: u64| {
            let (mut all, hand) = (Vec::new(), Cell::new(Hand::EMPTY));
            for n in 0..2000 {
                let (first, count) = match n % 100 {
                    0 => (clock.tick().as_u64(), 1),
                    1..60 => (clock.stamp(&hand), 1),
                    _ => (clock.stamps(count), count),
                };
                all.extend(first..first + count);
            }
            all
        };
        let mut all = std::thread::scope(|scope| {
            let threads = [1, 3, 7].map(|count| scope.spawn(move || stamps(count)));
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(all.iter().all(|of_one| of_one.is_sorted_by(|a, b| a < b)));
        let mut all: Vec<u64> = all.iter_mut().flat_map(|of_one| of_one.drain(..)).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    /// `cargo test -p ringkernel --release --lib what_a_stamp_costs -- --nocapture`
    #[test]
    fn what_a_stamp_costs() {
        let clock = clock();
        let time = |what: &str, work: &dyn Fn() -> u64| {
            let count = 200_000;
            let best = (0..5).map(|_| {
                let start = Instant::now();
                let sum = (0..count).fold(0, |sum: u64, _| sum.wrapping_add(work()));
                std::hint::black_box(sum);
                start.elapsed().as_nanos() as f64 / f64::from(count)
            });
            println!("{what}: {:.1} ns", best.fold(f64::MAX, f64::min));
        };
        time("the time of day", &time_of_day);
        time("a tick", &|| clock.tick().as_u64());
        let hand = Cell::new(Hand::EMPTY);
        time("a message's stamp", &|| clock.stamp(&hand));
        time("one of a batch", &|| clock.stamps(1));
        time("a reply seen", &|| clock.seen(std::hint::black_box(1), false));
    }
}
