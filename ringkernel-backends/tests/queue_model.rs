//! The queues under loom: every interleaving and every reordering the memory model allows, on the very files that run, all of the
//! folder `queue`. Their atomics and cells come from `queue_sync`, which here is loom's; a cell that two threads access in a way that
//! nothing orders is found even where every value is right.
//!
//! The last tests weaken one ordering at a time, to show that each is needed.

#[path = "../src/queue/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub)]
mod queue;

/// What `queue` takes its atomics from.
mod queue_sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::AtomicBool;
    use std::cell::Cell;
    pub(crate) use std::sync::atomic::Ordering;

    /// An ordering that is relaxed: of one of a ring's atomics, in the order in which they are made.
    pub(crate) type Weak = (usize, Ordering);

    thread_local! {
        /// loom runs all of a model's threads on one.
        pub(crate) static WEAK: Cell<Option<Weak>> = const { Cell::new(None) };
        /// How many atomics the model has made so far.
        pub(crate) static MADE: Cell<usize> = const { Cell::new(0) };
    }

    /// loom's, with orderings that may be weakened.
    pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64, usize);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            MADE.set(MADE.get() + 1);
            Self(loom::sync::atomic::AtomicU64::new(value), MADE.get() - 1)
        }
        fn order(&self, ordering: Ordering) -> Ordering {
            if WEAK.get() == Some((self.1, ordering)) { Ordering::Relaxed } else { ordering }
        }
        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            self.0.load(self.order(ordering))
        }
        pub(crate) fn store(&self, value: u64, ordering: Ordering) {
            self.0.store(value, self.order(ordering));
        }
        pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
            self.0.fetch_add(value, ordering)
        }
        pub(crate) fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
            self.0.fetch_max(value, ordering)
        }
        pub(crate) fn compare_exchange_weak(
            &self,
            from: u64,
            to: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange_weak(from, to, success, failure)
        }
    }
}

use loom::sync::Arc;
use loom::thread;
use queue::{
    DequeueError, EnqueueError, MessageQueue, MpmcQueue, MpscProducer, MpscQueue, PriorityQueue, SpscQueue,
};
use std::sync::atomic::Ordering;

/// Positions and sequences wrap within each model.
const START: u64 = u64::MAX;

fn model(run: impl Fn() + Sync + Send + 'static) {
    // Some of these have more interleavings than a test may take: then as many as fit the time, depth first.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 100_000;
    builder.max_duration = Some(std::time::Duration::from_secs(5));
    // How often it looks at the clock.
    builder.checkpoint_interval = 200;
    builder.check(run);
}

/// A sender, and its count. On the heap, so that what is moved has a destructor.
type Value = Box<(usize, u32)>;

fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        match attempt() {
            Some(done) => return done,
            None => thread::yield_now(),
        }
    }
}

fn enqueue(mut attempt: impl FnMut(Value) -> Result<(), EnqueueError<Value>>, sender: usize, number: u32) {
    let mut value = Some(Box::new((sender, number)));
    until(|| match attempt(value.take().unwrap()) {
        Ok(()) => Some(()),
        Err(refused) => {
            value = Some(refused.into_inner());
            None
        }
    });
}

/// That each sender's numbers come in order.
#[derive(Default)]
struct Order([u32; 2]);

impl Order {
    fn check(&mut self, value: (usize, u32)) {
        assert_eq!(value.1, self.0[value.0], "lost, twice, or out of order");
        self.0[value.0] += 1;
    }
}

fn one_to_one(capacity: usize, values: u32) {
    let (mut producer, mut consumer) = SpscQueue::starting_at(capacity, START).unwrap().split();
    let sender = thread::spawn(move || {
        (0..values).for_each(|number| enqueue(|value| producer.try_enqueue(value), 0, number));
    });
    let mut order = Order::default();
    (0..values).for_each(|_| order.check(*until(|| consumer.try_dequeue().ok())));
    sender.join().unwrap();
    let stats = consumer.stats();
    assert_eq!((stats.enqueued, stats.dequeued), (values.into(), values.into()));
    assert!(stats.high_water <= capacity as u64);
}

#[test]
fn spsc_over_three_laps_of_one_slot() {
    model(|| one_to_one(1, 3));
}

#[test]
fn spsc_over_two_laps_of_two_slots() {
    model(|| one_to_one(2, 4));
}

#[test]
fn spsc_batches_and_what_is_left_in_the_queue_is_dropped() {
    model(|| {
        let (mut producer, mut consumer) = SpscQueue::starting_at(2, START).unwrap().split();
        let sender = thread::spawn(move || {
            let mut values: Vec<Value> = (0..3).map(|number| Box::new((0, number))).collect();
            producer.enqueue_many(&mut values);
            producer.enqueue_many(&mut values);
            producer.stats().enqueued
        });
        let (mut order, mut out) = (Order::default(), Vec::new());
        let first = consumer.dequeue_many(&mut out, 3);
        let second = consumer.dequeue_many(&mut out, 1);
        assert_eq!(out.len(), first + second);
        out.into_iter().for_each(|value| order.check(*value));
        assert!((2..=3).contains(&sender.join().unwrap()));
    });
}

#[test]
fn spsc_shared_by_reference_lets_one_thread_at_a_time_to_each_end() {
    model(|| {
        let queue = Arc::new(SpscQueue::starting_at(2, START).unwrap());
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                let sent = queue.try_enqueue(Box::new((0, 0))).is_ok();
                (sent, queue.try_dequeue())
            })
        };
        let sent = queue.try_enqueue(Box::new((1, 0))).is_ok();
        let mine = queue.try_dequeue();
        let (also_sent, theirs) = other.join().unwrap();
        assert!(sent || also_sent, "one of two that come at once is not refused");
        let received = [&mine, &theirs].iter().filter(|got| got.is_ok()).count();
        let left = std::iter::from_fn(|| queue.try_dequeue().ok()).count();
        assert_eq!(received + left, sent as usize + also_sent as usize);
        assert_ne!((&mine, &theirs), (&Err(DequeueError::InUse), &Err(DequeueError::InUse)));
    });
}

#[test]
fn mpsc_with_two_producers() {
    for capacity in [1, 2] {
        model(move || {
            let (producer, mut consumer) = MpscQueue::starting_at(capacity, START).unwrap().split();
            let send = |producer: MpscProducer<Value>, sender| {
                thread::spawn(move || {
                    (0..2).for_each(|number| enqueue(|value| producer.try_enqueue(value), sender, number));
                })
            };
            let senders = [send(producer.clone(), 0), send(producer, 1)];
            let mut order = Order::default();
            (0..4).for_each(|_| order.check(*until(|| consumer.try_dequeue().ok())));
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            assert_eq!(consumer.try_dequeue(), Err(DequeueError::Empty));
            assert_eq!(consumer.stats().dequeued, 4);
        });
    }
}

#[test]
fn mpsc_batches_of_two_producers_are_not_mixed() {
    model(|| {
        let (producer, mut consumer) = MpscQueue::starting_at(4, START).unwrap().split();
        let send = |producer: MpscProducer<Value>, sender| {
            thread::spawn(move || {
                producer.enqueue_many(&mut vec![Box::new((sender, 0)), Box::new((sender, 1))])
            })
        };
        let senders = [send(producer.clone(), 0), send(producer, 1)];
        let mut out = Vec::new();
        until(|| {
            consumer.dequeue_many(&mut out, 4);
            (out.len() == 4).then_some(())
        });
        senders.into_iter().for_each(|sender| assert_eq!(sender.join().unwrap(), 2));
        let first = out[0].0;
        assert_eq!(
            out.iter().map(|value| **value).collect::<Vec<_>>(),
            [(first, 0), (first, 1), (1 - first, 0), (1 - first, 1)]
        );
    });
}

#[test]
fn mpsc_shared_by_reference_lets_one_thread_at_a_time_dequeue() {
    model(|| {
        let queue = Arc::new(MpscQueue::starting_at(2, START).unwrap());
        (0..2).for_each(|number| queue.try_enqueue(Box::new((0, number))).unwrap());
        let other = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_dequeue())
        };
        let got = [queue.try_dequeue(), other.join().unwrap()];
        let taken = got.iter().flatten().count();
        assert!(taken > 0);
        assert_eq!(taken + queue.len(), 2);
    });
}

#[test]
fn mpmc_with_two_of_each() {
    for capacity in [1, 2] {
        model(move || {
            let queue = Arc::new(MpmcQueue::starting_at(capacity, START).unwrap());
            let senders = [0, 1].map(|sender| {
                let queue = queue.clone();
                thread::spawn(move || enqueue(|value| queue.try_enqueue(value), sender, 0))
            });
            let other = {
                let queue = queue.clone();
                thread::spawn(move || until(|| queue.try_dequeue().ok()))
            };
            let mut order = Order::default();
            order.check(*until(|| queue.try_dequeue().ok()));
            order.check(*other.join().unwrap());
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            assert_eq!(order.0, [1, 1]);
            assert!(queue.is_empty());
        });
    }
}

#[test]
fn mpmc_batches_of_two_consumers_share_what_is_there() {
    model(|| {
        let queue = Arc::new(MpmcQueue::starting_at(4, START).unwrap());
        let take = |queue: Arc<MpmcQueue<Value>>| {
            let mut out = Vec::new();
            let taken = queue.dequeue_many(&mut out, 2).unwrap();
            assert_eq!(taken, out.len());
            assert!(out.is_sorted(), "each consumer finds them in order");
            out
        };
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.enqueue_many(&mut (0..3).map(|number| Box::new((0, number))).collect()).unwrap()
            })
        };
        let other = {
            let queue = queue.clone();
            thread::spawn(move || take(queue))
        };
        let mut all = take(queue.clone());
        all.extend(other.join().unwrap());
        assert_eq!(sender.join().unwrap(), 3);
        all.extend(std::iter::from_fn(|| queue.try_dequeue().ok()));
        all.sort();
        assert_eq!(all.iter().map(|value| value.1).collect::<Vec<_>>(), [0, 1, 2]);
    });
}

#[test]
fn priority_lanes_lose_nothing_between_them() {
    model(|| {
        let queue = Arc::new(PriorityQueue::starting_at(2, 1, START).unwrap());
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.try_enqueue_at(1, Box::new((1, 0))).unwrap();
                queue.try_enqueue_at(0, Box::new((0, 0))).unwrap();
            })
        };
        let mut order = Order::default();
        (0..2).for_each(|_| order.check(*until(|| queue.try_dequeue().ok())));
        sender.join().unwrap();
    });
}

/// Whether loom finds something wrong where one of the orderings is relaxed.
fn found_without(weak: queue_sync::Weak, run: fn()) -> bool {
    let found = std::panic::catch_unwind(move || {
        model(move || {
            queue_sync::MADE.set(0);
            queue_sync::WEAK.set(Some(weak));
            run();
        });
    });
    queue_sync::WEAK.set(None);
    found.is_err()
}

#[test]
fn without_any_of_the_orderings_of_an_spsc_values_are_torn() {
    const TAIL: usize = 0;
    const HEAD: usize = 4;
    for atomic in [TAIL, HEAD] {
        for ordering in [Ordering::Acquire, Ordering::Release] {
            assert!(found_without((atomic, ordering), || one_to_one(1, 2)), "{atomic} without {ordering:?}");
        }
    }
}

#[test]
fn without_the_orderings_of_a_slots_sequence_values_are_torn() {
    // After the tail, the head, what producers keep of both, and the count of those refused.
    const SEQUENCE: usize = 5;
    let run = || {
        let queue = Arc::new(MpmcQueue::new(1).unwrap());
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || {
                (0..2).for_each(|number| enqueue(|value| queue.try_enqueue(value), 0, number))
            })
        };
        let mut order = Order::default();
        (0..2).for_each(|_| order.check(*until(|| queue.try_dequeue().ok())));
        sender.join().unwrap();
    };
    for ordering in [Ordering::Acquire, Ordering::Release] {
        assert!(found_without((SEQUENCE, ordering), run), "without {ordering:?}");
    }
    // The head orders nothing, and nothing is found.
    assert!(!found_without((1, Ordering::Acquire), run));
}
