//! The replies of a batch, under loom, on the file that runs: see `pending_model.rs`.

use loom::sync::{Arc, Notify};
use loom::thread;
use std::task::{Wake, Waker};

#[path = "../src/flight/cells.rs"]
#[allow(dead_code)]
mod cells;

/// What `cells` takes its atomics from.
mod sync {
    use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    use std::task::Waker;

    /// What `futures::task::AtomicWaker` promises, by a lock.
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(None))
        }
        pub(crate) fn register(&self, waker: &Waker) {
            let old = self.0.lock().unwrap().replace(waker.clone());
            drop(old);
        }
        pub(crate) fn take(&self) -> Option<Waker> {
            self.0.lock().unwrap().take()
        }
    }
}

use cells::{Cells, Found, Settled, shape};
use sync::Ordering;

struct Nudge(std::sync::Arc<Notify>);
impl Wake for Nudge {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

fn task() -> (std::sync::Arc<Notify>, Waker) {
    let notify = std::sync::Arc::new(Notify::new());
    (notify.clone(), Waker::from(std::sync::Arc::new(Nudge(notify))))
}

fn settled(settled: Settled) -> bool {
    settled.waker.into_iter().for_each(Waker::wake);
    settled.vacated
}

/// A reply of two words of 64 bits.
fn put(pairs: &[sync::AtomicU64], position: u64) {
    pairs.iter().zip([position, !position]).for_each(|(pair, word)| pair.store(word, Ordering::Relaxed));
}

/// Delivers the replies to some positions as one drain does, which settles once. Says whether the flight became free.
fn drain(cells: &Cells, positions: std::ops::Range<u64>) -> bool {
    let count = positions.end - positions.start;
    for position in positions {
        let (cell, lap) = cells.place(position);
        let fill = |pairs: &[_]| put(pairs, position);
        assert!(cells.deliver(cell, lap, shape(300, 4), fill));
        assert!(!cells.deliver(cell, lap, shape(300, 4), |pairs| put(pairs, 7)), "a second reply");
    }
    settled(cells.settle(count as usize))
}

/// Waits for the reply to a position as the stream does.
fn wait(cells: &Cells, position: u64) {
    let (notify, waker) = task();
    while cells.look(position) == Found::Waiting {
        cells.sleep(&waker, false);
        if cells.look(position) == Found::Waiting {
            notify.wait();
        }
    }
    assert_eq!(cells.look(position), Found::Ready);
    let (instance, reply) = cells.reply(position);
    assert_eq!((instance, reply.shape), (position as u32 + 100, shape(300, 4)));
    let words: Vec<u64> = reply.pairs.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    assert_eq!(words, [position, !position], "a torn reply");
}

fn depart(cells: &Cells, positions: std::ops::Range<u64>) {
    cells.departing((positions.end - positions.start) as usize);
    positions.for_each(|position| cells.expect(position, position as u32 + 100));
}

fn model(run: impl Fn() + Sync + Send + 'static) {
    // Some of these have more interleavings than a test may take: then as many as fit the time, depth first.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 100_000;
    builder.max_duration = Some(std::time::Duration::from_secs(5));
    builder.checkpoint_interval = 200;
    builder.check(run);
}

#[test]
fn a_drain_wakes_the_holder_once_for_all_it_delivered() {
    model(|| {
        let cells = Arc::new(Cells::new(2, 4));
        assert!(cells.hold());
        depart(&cells, 0..2);
        let drainer = {
            let cells = cells.clone();
            thread::spawn(move || drain(&cells, 0..2))
        };
        (0..2).for_each(|position| wait(&cells, position));
        drainer.join().unwrap();
        assert_eq!(cells.outstanding(), 0);
    });
}

#[test]
fn two_drainers_of_one_flight_lose_no_wake() {
    model(|| {
        let cells = Arc::new(Cells::new(2, 4));
        assert!(cells.hold());
        depart(&cells, 0..2);
        let drainers = [0, 1].map(|position| {
            let cells = cells.clone();
            thread::spawn(move || drain(&cells, position..position + 1))
        });
        (0..2).for_each(|position| wait(&cells, position));
        drainers.into_iter().for_each(|drainer| assert!(!drainer.join().unwrap(), "it is held"));
        assert_eq!(cells.outstanding(), 0);
    });
}

#[test]
fn a_cell_is_used_again_by_the_next_lap_without_a_reply_being_torn() {
    model(|| {
        let cells = Arc::new(Cells::new(1, 4));
        assert!(cells.hold());
        depart(&cells, 0..1);
        let first = {
            let cells = cells.clone();
            thread::spawn(move || drain(&cells, 0..1))
        };
        wait(&cells, 0);
        depart(&cells, 1..2);
        let second = {
            let cells = cells.clone();
            thread::spawn(move || drain(&cells, 1..2))
        };
        wait(&cells, 1);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_flight_that_was_let_go_is_free_once_whoever_comes_last() {
    model(|| {
        let cells = Arc::new(Cells::new(2, 4));
        assert!(cells.hold());
        depart(&cells, 0..2);
        let drainers = [0, 1].map(|position| {
            let cells = cells.clone();
            thread::spawn(move || drain(&cells, position..position + 1))
        });
        let (_, waker) = task();
        cells.sleep(&waker, true);
        let (mine, _) = cells.let_go(true, false);
        let mut freed = settled(mine) as usize;
        for drainer in drainers {
            freed += drainer.join().unwrap() as usize;
        }
        assert_eq!(freed, 1);
        assert!(cells.hold() && cells.outstanding() == 0);
    });
}

#[test]
fn the_next_holder_is_woken_although_the_last_drainer_may_still_be_at_the_waker() {
    model(|| {
        let cells = Arc::new(Cells::new(1, 4));
        assert!(cells.hold());
        depart(&cells, 0..1);
        let first = {
            let cells = cells.clone();
            thread::spawn(move || drain(&cells, 0..1))
        };
        wait(&cells, 0);
        let _ = settled(cells.let_go(false, false).0);
        let held = cells.hold();
        if held {
            depart(&cells, 1..2);
            let second = {
                let cells = cells.clone();
                thread::spawn(move || drain(&cells, 1..2))
            };
            wait(&cells, 1);
            second.join().unwrap();
        }
        first.join().unwrap();
    });
}
