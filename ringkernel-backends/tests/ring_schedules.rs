//! The ring under thousands of random schedules: rings and numbers of threads that loom cannot go through (`ring_model.rs`), on
//! the very code that runs, with shuttle's atomics in the place of the machine's.
//!
//! shuttle interleaves threads and knows no reordering; orderings are loom's to check. Every test has a fixed seed, so a failure
//! is found again; `RINGKERNEL_SEED` takes another and `RINGKERNEL_SCHEDULES` more schedules. A failure prints its seed, and its
//! schedule for `shuttle::replay`.
//!
//! That these tests can see what they are for is tested as well: the last one runs them over a ring with a defect put into its
//! memory or its counter, and each must be found. Others were put into the ring's own source, by hand, and taken out again:
//!
//! | defect | `ring_against_a_model` | here | `ring_model` |
//! | --- | --- | --- | --- |
//! | the consumer compares two bits of a sequence | found | found | not: its rings have few laps |
//! | it does not check the chunks after the header | not: one thread | found | found |
//! | the producer does not look at `head` | found | found | found |
//! | it takes a ring of `n` slots for one of `n + 1` | found | found | found |
//! | it compares `tail` and `head` without wrapping | found | not: no wrap of 64 bits | not |

use ringkernel_backends::abi::ring::{Cursor, Ring, RingMemory};
use ringkernel_backends::abi::slot::{Correlation, Header, SlotShape};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Arc;
use shuttle::sync::atomic::AtomicU64;
use shuttle::{Config, FailurePersistence, Runner, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// What is wrong with a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    /// Nothing.
    None,
    /// A chunk's sequence is stored before its first word.
    SequenceFirst,
    /// The reader reads a chunk's first word before its sequence.
    DataFirst,
    /// Producers see a head that is one further than it is.
    HeadAhead,
    /// Producers reserve by a load and a store.
    LostReservation,
}

struct Memory {
    words: Vec<AtomicU64>,
    head: AtomicU64,
    defect: Defect,
    /// For the two defects of order: the first word of each chunk as it waits to be stored, or as it was read too early.
    aside: Vec<AtomicU64>,
}

// The odd words of the slot area are those with the sequences.
impl RingMemory for Memory {
    fn load(&self, index: usize, order: Ordering) -> u64 {
        match self.defect {
            Defect::DataFirst if !index.is_multiple_of(2) => {
                self.aside[index - 1].store(self.words[index - 1].load(order), Ordering::SeqCst);
                self.words[index].load(order)
            }
            Defect::DataFirst => self.aside[index].load(order),
            _ => self.words[index].load(order),
        }
    }
    fn store(&self, index: usize, value: u64, order: Ordering) {
        match self.defect {
            Defect::SequenceFirst if index.is_multiple_of(2) => self.aside[index].store(value, order),
            Defect::SequenceFirst => {
                let first = self.aside[index - 1].load(Ordering::SeqCst);
                self.words[index].store(value, order);
                self.words[index - 1].store(first, order);
            }
            _ => self.words[index].store(value, order),
        }
    }
    fn load_head(&self, order: Ordering) -> u64 {
        self.head.load(order).wrapping_add((self.defect == Defect::HeadAhead) as u64)
    }
    fn store_head(&self, value: u64, order: Ordering) {
        self.head.store(value, order)
    }
}

/// The high bit says that it is defective: positions in these tests do not reach it.
struct Tail(AtomicU64);

const DEFECTIVE: u64 = 1 << 63;

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
        if from & DEFECTIVE != 0 {
            let now = self.0.load(Ordering::Relaxed);
            return if now == from {
                self.0.store(to, Ordering::Relaxed);
                Ok(())
            } else {
                Err(now)
            };
        }
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).map(drop)
    }
}

/// What a test sends through a ring.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    capacity: u32,
    producers: u32,
    each: u32,
    start: u64,
    /// The consumer gives slots back once it has taken so many, or finds nothing.
    publish_every: u32,
    defect: Defect,
}

const WORDS: usize = 10;

fn message(sender: u32, number: u32) -> (Header, [u8; 4 * WORDS]) {
    let correlation = Correlation { index: sender, generation: number as u16 };
    let header = Header { tag: 300, instance: sender, correlation, words: WORDS as u16, hlc: number as u64 };
    let mut payload = [0; 4 * WORDS];
    for (k, word) in payload.chunks_mut(4).enumerate() {
        word.copy_from_slice(&(sender * 1_000_003 + number * 101 + k as u32).to_le_bytes());
    }
    (header, payload)
}

/// Sends and takes everything; panics if a message was lost, doubled, reordered or torn.
fn exchange(traffic: Traffic) {
    let shape = SlotShape::for_payload(4 * WORDS).expect("a small payload");
    let count = traffic.capacity as usize * shape.bytes() / 8;
    let zeroed = || (0..count).map(|_| AtomicU64::new(0)).collect();
    let start = traffic.start | if traffic.defect == Defect::LostReservation { DEFECTIVE } else { 0 };
    let memory = Memory { words: zeroed(), head: AtomicU64::new(0), defect: traffic.defect, aside: zeroed() };
    let ring: Arc<Ring<Memory, Tail>> = Arc::new(Ring::new(memory, traffic.capacity, shape, start));
    let producers: Vec<_> = (0..traffic.producers)
        .map(|sender| {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut number = 0;
                while number < traffic.each {
                    // One at a time, or what there is room for, by turns.
                    let want =
                        if (number / 3 + sender).is_multiple_of(2) { 1 } else { traffic.each - number };
                    let Ok(mut batch) = ring.reserve(want as usize) else {
                        thread::yield_now();
                        continue;
                    };
                    while batch.left() > 0 {
                        let (header, payload) = message(sender, number);
                        batch.push(header, &payload);
                        number += 1;
                    }
                }
            })
        })
        .collect();

    let mut consumer = ring.consumer();
    let mut next = vec![0u32; traffic.producers as usize];
    let mut words = [0; WORDS + 8];
    let (mut left, mut idle) = (traffic.producers * traffic.each, 0);
    while left > 0 {
        let Some(header) = consumer.pop(&ring, &mut words) else {
            consumer.publish(&ring);
            idle += 1;
            assert!(idle < 100_000, "{left} messages do not come: lost, or their slots were overwritten");
            thread::yield_now();
            continue;
        };
        idle = 0;
        let number = next[header.instance as usize];
        let (expected, payload) = message(header.instance, number);
        assert_eq!(header, expected, "lost, doubled or reordered");
        let expected = payload.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        assert!(words.iter().copied().zip(expected).all(|(got, sent)| got == sent), "torn");
        next[header.instance as usize] += 1;
        left -= 1;
        if left % traffic.publish_every == 0 {
            consumer.publish(&ring);
        }
    }
    assert!(consumer.pop(&ring, &mut words).is_none(), "one too many");
    producers.into_iter().for_each(|producer| producer.join().expect("a producer"));
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs it under that many schedules, half of them wholly random, half of few preemptions at random places.
fn explore(traffic: Traffic, schedules: usize, persistence: FailurePersistence) {
    let seed = setting("RINGKERNEL_SEED", 20_241_113);
    let mut config = Config::new();
    config.failure_persistence = persistence;
    config.max_steps = shuttle::MaxSteps::FailAfter(5_000_000);
    let random = RandomScheduler::new_from_seed(seed, schedules.div_ceil(2));
    Runner::new(random, config.clone()).run(move || exchange(traffic));
    let few = PctScheduler::new_from_seed(seed, 4, schedules / 2);
    Runner::new(few, config).run(move || exchange(traffic));
}

fn check(traffic: Traffic, schedules: u64) {
    let schedules = setting("RINGKERNEL_SCHEDULES", schedules) as usize;
    println!(
        "{traffic:?}: {schedules} schedules, RINGKERNEL_SEED={}",
        setting("RINGKERNEL_SEED", 20_241_113)
    );
    explore(traffic, schedules, FailurePersistence::Print);
}

#[test]
fn three_producers_over_many_laps_of_a_ring_of_four() {
    let (capacity, producers, each, start) = (4, 3, 12, 0);
    check(Traffic { capacity, producers, each, start, publish_every: 1, defect: Defect::None }, 200);
}

#[test]
fn eight_producers_crowd_a_ring_of_two_whose_sequence_wraps() {
    let (capacity, producers, each, start) = (2, 8, 4, u32::MAX as u64 - 7);
    check(Traffic { capacity, producers, each, start, publish_every: 1, defect: Defect::None }, 150);
}

#[test]
fn six_producers_and_a_consumer_that_gives_slots_back_late() {
    let (capacity, producers, each, start) = (32, 6, 20, 1 << 40);
    check(Traffic { capacity, producers, each, start, publish_every: 13, defect: Defect::None }, 60);
}

#[test]
fn two_producers_in_a_ring_that_never_fills() {
    let (capacity, producers, each, start) = (64, 2, 30, 0);
    check(Traffic { capacity, producers, each, start, publish_every: 7, defect: Defect::None }, 60);
}

#[test]
fn every_defect_put_into_the_ring_is_found() {
    use Defect::*;
    // Their panics are what we want; there is no need to see them.
    let hook = std::panic::take_hook();
    let quiet = std::sync::Mutex::new(());
    std::panic::set_hook(Box::new(move |info| {
        let _quiet = quiet.lock();
        if std::thread::current().name() != Some("every_defect_put_into_the_ring_is_found") {
            hook(info);
        }
    }));
    for defect in [None, SequenceFirst, DataFirst, HeadAhead, LostReservation] {
        let traffic = Traffic { capacity: 4, producers: 3, each: 12, start: 0, publish_every: 1, defect };
        let run = || explore(traffic, 100, FailurePersistence::None);
        let found = catch_unwind(AssertUnwindSafe(run)).is_err();
        assert_eq!(found, defect != None, "{defect:?}");
    }
}
