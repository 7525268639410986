//! Who waits for which reply, under loom: every interleaving and every reordering the memory model allows, on the very files that run.
//! They take their atomics from a module beside them, which here is loom's.

use loom::sync::Arc;
use loom::thread;
use std::task::{Wake, Waker};

#[path = "../src/pending/cell.rs"]
#[allow(dead_code)]
mod cell;

/// What `cell` takes its atomics from.
mod sync {
    use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
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

use cell::{Cell, Delivered, Look};
use sync::{AtomicU32, Ordering};

/// A task that sleeps until it is woken.
struct Task(loom::sync::Notify);

// A loom primitive behind a standard waker: the model's threads all live while it runs.
struct Nudge(std::sync::Arc<Task>);
impl Wake for Nudge {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.0.notify();
    }
}

fn task() -> (std::sync::Arc<Task>, Waker) {
    let task = std::sync::Arc::new(Task(loom::sync::Notify::new()));
    (task.clone(), Waker::from(std::sync::Arc::new(Nudge(task))))
}

struct Entry {
    cell: Cell,
    place: [AtomicU32; 2],
    /// How often it went back to the free list.
    freed: AtomicU32,
}

impl Entry {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cell: Cell::new(),
            place: [AtomicU32::new(0), AtomicU32::new(0)],
            freed: AtomicU32::new(0),
        })
    }

    fn open(&self, instance: u32) -> u16 {
        self.cell.open(false, instance, false)
    }

    /// Delivers as a drainer does.
    fn deliver(&self, of: u16, mark: u32) -> bool {
        match self.cell.deliver(of, 300, &[mark, !mark], &self.place).0 {
            Delivered::Asker(waker) => waker.into_iter().for_each(Waker::wake),
            Delivered::Inbox => unreachable!("nothing was opened for the inbox"),
            Delivered::Discarded => self.went_back(),
            Delivered::Unknown => return false,
        }
        true
    }

    fn went_back(&self) {
        self.freed.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what the owner found: the reply's mark, or that none will come.
    fn take(&self, look: Look) -> Option<u32> {
        match look {
            Look::Ready => {
                let (_, tag, words) = self.cell.reply();
                assert_eq!((tag, words), (300, 2));
                let mark = self.place[0].load(Ordering::Relaxed);
                assert_eq!(self.place[1].load(Ordering::Relaxed), !mark, "a torn reply");
                self.cell.free();
                self.went_back();
                Some(mark)
            }
            Look::Closed => {
                self.cell.free();
                self.went_back();
                None
            }
            Look::Gone | Look::Waiting => panic!("{look:?}"),
        }
    }

    /// Waits as a future does: sleeps, and looks when it is woken.
    fn wait(&self, of: u16) -> Option<u32> {
        let (task, waker) = task();
        loop {
            match self.cell.sleep(of, &waker) {
                Look::Waiting => task.0.wait(),
                found => return self.take(found),
            }
        }
    }

    fn close(&self) {
        match self.cell.close() {
            Some(Ok(waker)) => waker.into_iter().for_each(Waker::wake),
            Some(Err(())) => self.went_back(),
            None => {}
        }
    }
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
fn a_reply_wakes_the_asker_that_sleeps_and_is_whole() {
    model(|| {
        let entry = Entry::new();
        let of = entry.open(7);
        let drainer = {
            let entry = entry.clone();
            thread::spawn(move || assert!(entry.deliver(of, 5)))
        };
        assert_eq!(entry.wait(of), Some(5));
        drainer.join().unwrap();
        assert_eq!(entry.freed.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_asker_that_changes_its_waker_is_woken_by_the_last_one() {
    model(|| {
        let entry = Entry::new();
        let of = entry.open(7);
        let drainer = {
            let entry = entry.clone();
            thread::spawn(move || assert!(entry.deliver(of, 5)))
        };
        let (_, first) = task();
        let reply = match entry.cell.sleep(of, &first) {
            Look::Waiting => entry.wait(of),
            found => entry.take(found),
        };
        assert_eq!(reply, Some(5));
        drainer.join().unwrap();
    });
}

#[test]
fn an_entry_used_again_at_once_is_woken_although_the_last_drainer_may_still_be_at_its_waker() {
    model(|| {
        let entry = Entry::new();
        let of = entry.open(7);
        let first = {
            let entry = entry.clone();
            thread::spawn(move || assert!(entry.deliver(of, 5)))
        };
        assert_eq!(entry.wait(of), Some(5));
        let of = entry.open(8);
        let second = {
            let entry = entry.clone();
            thread::spawn(move || assert!(entry.deliver(of, 6)))
        };
        assert_eq!(entry.wait(of), Some(6));
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(entry.freed.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn an_abandoned_entry_goes_back_once_whether_the_reply_or_the_end_comes_first() {
    model(|| {
        let entry = Entry::new();
        let of = entry.open(7);
        let (_, waker) = task();
        let look = entry.cell.sleep(of, &waker);
        assert_eq!(look, Look::Waiting);
        let drainer = {
            let entry = entry.clone();
            thread::spawn(move || entry.deliver(of, 5))
        };
        let closer = {
            let entry = entry.clone();
            thread::spawn(move || entry.close())
        };
        if entry.cell.abandon(of, true).is_some() {
            entry.went_back();
        }
        drainer.join().unwrap();
        closer.join().unwrap();
        assert_eq!(entry.freed.load(Ordering::Relaxed), 1);
        assert_eq!(entry.cell.look(of), Look::Gone);
    });
}

#[test]
fn the_end_wakes_an_asker_whose_reply_does_not_come_first() {
    model(|| {
        let entry = Entry::new();
        let of = entry.open(7);
        let drainer = {
            let entry = entry.clone();
            thread::spawn(move || entry.deliver(of, 5))
        };
        let closer = {
            let entry = entry.clone();
            thread::spawn(move || entry.close())
        };
        let reply = entry.wait(of);
        let delivered = drainer.join().unwrap();
        closer.join().unwrap();
        assert_eq!(reply, delivered.then_some(5));
        assert_eq!(entry.freed.load(Ordering::Relaxed), 1);
    });
}
