//! The doorbell and the ring under loom: the lines that run, over loom's atomics.
//!
//! loom takes `SeqCst` accesses for acquire and release, and knows `SeqCst` fences only. What the argument of `doorbell.rs` needs
//! of the tail's `SeqCst` advance is its place in the one order before the load of the word that follows; a fence behind the
//! exchange gives just that and orders nothing else that the argument uses: the slot is written after it. (So a shard that looked
//! at its slot instead of the tail before it leaves is caught: the last test shows that.)
//!
//! A shard with a mailbox has two rings, and the argument holds for each: the advance of whichever tail comes before the look at the word, and
//! the shard looks at both tails behind its fence. What is new is that a mailbox is opened while the shard may be on its way to idle.

use super::doorbell::{Doorbell, Word, give_back};
use crate::abi::ring::{Consumer, Cursor, Ring, RingMemory};
use crate::abi::{Correlation, Header, SlotShape};
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::sync::atomic::Ordering;

impl Word for AtomicU32 {
    fn new(value: u32) -> Self {
        AtomicU32::new(value)
    }
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }
    fn fence() {
        fence(Ordering::SeqCst)
    }
}

struct Memory {
    words: Vec<AtomicU64>,
    head: AtomicU64,
}

impl RingMemory for Memory {
    fn load(&self, index: usize, order: Ordering) -> u64 {
        self.words[index].load(order)
    }
    fn store(&self, index: usize, value: u64, order: Ordering) {
        self.words[index].store(value, order)
    }
    fn load_head(&self, order: Ordering) -> u64 {
        self.head.load(order)
    }
    fn store_head(&self, value: u64, order: Ordering) {
        self.head.store(value, order)
    }
}

struct Tail(AtomicU64);

impl Cursor for Tail {
    fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order)
    }
    fn advance(&self, from: u64, to: u64) -> Result<(), u64> {
        let moved = self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).map(drop);
        // In place of `SeqCst`: see above.
        fence(Ordering::SeqCst);
        moved
    }
}

/// A shard and the pool's queue, with room for this one job.
struct Shard {
    doorbell: Doorbell<AtomicU32>,
    ring: Ring<Memory, Tail>,
    /// Whether there is a mailbox, as `OnceLock` would say.
    open: AtomicBool,
    mailbox: Ring<Memory, Tail>,
    active: AtomicBool,
    /// The ends of both rings, and how many messages were handled.
    body: Mutex<(Consumer, Consumer, u32)>,
    /// Whether it is queued, and whether all is done.
    queue: Mutex<(bool, bool)>,
    queued: Condvar,
    /// A sender that waits for room.
    waiting: AtomicBool,
    room: Mutex<bool>,
    told: Condvar,
}

impl Shard {
    fn new(capacity: u32, active: bool) -> Arc<Self> {
        let shape = SlotShape::for_payload(0).unwrap();
        let ring = |capacity: u32| {
            let words = (0..capacity as usize * shape.bytes() / 8).map(|_| AtomicU64::new(0)).collect();
            Ring::new(Memory { words, head: AtomicU64::new(0) }, capacity, shape, 0)
        };
        let (ring, mailbox) = (ring(capacity), ring(1));
        let body = Mutex::new((ring.consumer(), mailbox.consumer(), 0));
        Arc::new(Self {
            doorbell: Doorbell::new(),
            ring,
            open: AtomicBool::new(false),
            mailbox,
            active: AtomicBool::new(active),
            body,
            queue: Mutex::default(),
            queued: Condvar::new(),
            waiting: AtomicBool::new(false),
            room: Mutex::default(),
            told: Condvar::new(),
        })
    }

    fn schedule(&self) {
        let mut queue = self.queue.lock().unwrap();
        assert!(!std::mem::replace(&mut queue.0, true), "a shard is queued once at most");
        self.queued.notify_one();
    }

    fn try_send(&self) -> bool {
        self.try_push(&self.ring)
    }

    fn try_push(&self, ring: &Ring<Memory, Tail>) -> bool {
        let header = Header { tag: 300, instance: 0, correlation: Correlation::NONE, words: 0, hlc: 0 };
        let pushed = ring.try_push(header, &[]).is_ok();
        if pushed && self.doorbell.ring() {
            self.schedule();
        }
        pushed
    }

    fn send(&self) {
        assert!(self.try_send(), "the ring is full");
    }

    /// What a handler of another kernel does.
    fn mail(&self) {
        assert!(self.try_push(&self.mailbox), "the mailbox is full");
    }

    /// The first route leads here.
    fn open_mailbox(&self) {
        self.open.store(true, Ordering::Release);
        if self.doorbell.ring_after() {
            self.schedule();
        }
    }

    /// As `ringkernel` waits for room: counts itself among those who wait, makes a fence, and tries once more before it sleeps.
    fn send_patiently(&self) {
        while !self.try_send() {
            self.waiting.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.try_send() {
                return;
            }
            let mut room = self.room.lock().unwrap();
            while !std::mem::take(&mut *room) {
                room = self.told.wait(room).unwrap();
            }
        }
    }

    /// What the host does when it is told of progress.
    fn progress(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) {
            *self.room.lock().unwrap() = true;
            self.told.notify_one();
        }
    }

    fn activate(&self) {
        self.active.store(true, Ordering::Relaxed);
        if self.doorbell.ring_after() {
            self.schedule();
        }
    }

    /// What a run of the shard does: handles what is there. How much it has handled so far.
    fn batch(&self) -> u32 {
        let mut body = self.body.lock().unwrap();
        let (consumer, mail, handled) = &mut *body;
        let mut was_full = false;
        if self.active.load(Ordering::Relaxed) && self.open.load(Ordering::Acquire) {
            while mail.pop(&self.mailbox, &mut []).is_some() {
                *handled += 1;
                was_full |= give_back::<AtomicU32, _, _>(mail, &self.mailbox);
            }
        }
        while self.active.load(Ordering::Relaxed) && consumer.pop(&self.ring, &mut []).is_some() {
            *handled += 1;
            was_full |= give_back::<AtomicU32, _, _>(consumer, &self.ring);
        }
        let handled = *handled;
        drop(body);
        if was_full {
            self.progress();
        }
        handled
    }

    /// A worker with the job, until the shard has handled `count`. Sleeps while the shard is idle: loom reports it if nobody
    /// wakes it.
    fn work(&self, count: u32, wanted: fn(&Self) -> bool) {
        while self.batch() < count {
            if !self.doorbell.leave(|| wanted(self)) {
                // A position is reserved whose slot is on its way.
                thread::yield_now();
            } else if !self.take_job() {
                return;
            }
        }
        self.queue.lock().unwrap().1 = true;
        self.queued.notify_all();
    }

    /// Waits until the shard is queued; false when all is done.
    fn take_job(&self) -> bool {
        let mut queue = self.queue.lock().unwrap();
        loop {
            match *queue {
                (_, true) => return false,
                (true, _) => break,
                _ => queue = self.queued.wait(queue).unwrap(),
            }
        }
        queue.0 = false;
        true
    }

    fn wanted(&self) -> bool {
        let has_mail = || self.open.load(Ordering::Acquire) && !self.mailbox.is_empty();
        self.active.load(Ordering::Relaxed) && (!self.ring.is_empty() || has_mail())
    }
}

fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 100_000;
    builder.max_duration = Some(std::time::Duration::from_secs(5));
    builder.check(run);
}

/// A shard that is scheduled and about to leave, and senders: all they send is handled.
fn all_is_handled(senders: u32, each: u32, wanted: fn(&Shard) -> bool) {
    let shard = Shard::new((senders * each).next_power_of_two(), true);
    shard.doorbell.ring();
    let senders: Vec<_> = (0..senders)
        .map(|_| {
            let shard = shard.clone();
            thread::spawn(move || (0..each).for_each(|_| shard.send()))
        })
        .collect();
    shard.work(senders.len() as u32 * each, wanted);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_message_sent_while_the_shard_goes_idle_is_handled() {
    check(|| all_is_handled(1, 1, Shard::wanted));
}

#[test]
fn two_messages_in_a_row_are_handled_whenever_the_shard_leaves() {
    check(|| all_is_handled(1, 2, Shard::wanted));
}

#[test]
fn of_two_senders_one_at_most_queues_the_shard_and_both_are_heard() {
    check(|| all_is_handled(2, 1, Shard::wanted));
}

#[test]
fn a_shard_that_is_switched_on_while_it_goes_idle_handles_what_waited() {
    check(|| {
        let shard = Shard::new(1, false);
        shard.send();
        assert!(shard.take_job());
        let host = {
            let shard = shard.clone();
            thread::spawn(move || shard.activate())
        };
        shard.work(1, Shard::wanted);
        host.join().unwrap();
    });
}

#[test]
fn a_message_and_mail_sent_while_the_shard_goes_idle_are_both_handled() {
    check(|| {
        let shard = Shard::new(1, true);
        shard.open.store(true, Ordering::Relaxed);
        shard.doorbell.ring();
        let senders = [Shard::send, Shard::mail].map(|send| {
            let shard = shard.clone();
            thread::spawn(move || send(&shard))
        });
        shard.work(2, Shard::wanted);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn mail_to_a_mailbox_that_is_opened_while_the_shard_goes_idle_is_handled() {
    check(|| {
        let shard = Shard::new(1, true);
        shard.doorbell.ring();
        let host = {
            let shard = shard.clone();
            thread::spawn(move || {
                shard.open_mailbox();
                shard.mail();
            })
        };
        shard.work(1, Shard::wanted);
        host.join().unwrap();
    });
}

#[test]
fn a_job_that_left_may_be_run_by_another_worker_at_once() {
    check(|| {
        let shard = Shard::new(2, true);
        shard.doorbell.ring();
        let other = {
            let shard = shard.clone();
            thread::spawn(move || {
                if shard.take_job() {
                    shard.work(1, Shard::wanted);
                }
            })
        };
        let sender = {
            let shard = shard.clone();
            thread::spawn(move || shard.send())
        };
        shard.work(1, Shard::wanted);
        sender.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_sender_that_found_the_ring_full_is_told_of_room() {
    check(|| {
        let shard = Shard::new(1, true);
        shard.send();
        assert!(shard.take_job());
        let sender = {
            let shard = shard.clone();
            thread::spawn(move || shard.send_patiently())
        };
        shard.work(2, Shard::wanted);
        sender.join().unwrap();
    });
}

#[test]
fn a_shard_that_looked_at_its_slot_before_it_leaves_would_miss_one() {
    // In a process of its own: loom's panic ends it.
    const ALONE: &str = "RINGKERNEL_TEST_MISSED";
    if std::env::var_os(ALONE).is_some() {
        let looks = |shard: &Shard| shard.body.lock().unwrap().0.is_ready(&shard.ring);
        return check(move || all_is_handled(1, 1, looks));
    }
    let me = std::env::current_exe().unwrap();
    let name = "cpu::model::a_shard_that_looked_at_its_slot_before_it_leaves_would_miss_one";
    let child =
        std::process::Command::new(me).args(["--exact", name, "--nocapture"]).env(ALONE, "1").output();
    let child = child.unwrap();
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success() && text.contains("deadlock"), "{text}");
}
