//! The ring under loom: every interleaving and every reordering the memory model allows, on the very code that runs. Only the
//! memory and the reservation counter are exchanged, through the traits that the ring is generic over.
//!
//! The first word of each chunk carries data only and no sequence, and here it is plain memory, not an atomic: loom then also finds
//! a reader and a writer that nothing orders, where every value that was read happened to be right. So each of the ring's
//! orderings is needed, as the last tests show by weakening one at a time.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;
use ringkernel_backends::abi::ring::{Consumer, Cursor, Ring, RingMemory};
use ringkernel_backends::abi::slot::{Correlation, Header, SlotShape};
use std::sync::atomic::Ordering;

/// Which of the ring's orderings is weakened to relaxed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weak {
    None,
    SequenceStore,
    SequenceLoad,
    HeadStore,
    HeadLoad,
    SeenStore,
    SeenLoad,
}

struct Memory {
    /// The even words of the slot area.
    data: Vec<UnsafeCell<u64>>,
    /// The odd ones, with the sequences.
    sequences: Vec<AtomicU64>,
    head: AtomicU64,
    weak: Weak,
}

// SAFETY: whether threads take turns with `data` is the very question, and loom answers it: it panics before two threads access a
// cell in a way that nothing orders, and it runs one thread at a time.
unsafe impl Sync for Memory {}

impl Memory {
    fn order(&self, order: Ordering, weak: Weak) -> Ordering {
        if self.weak == weak { Ordering::Relaxed } else { order }
    }
}

impl RingMemory for Memory {
    fn load(&self, index: usize, order: Ordering) -> u64 {
        match index % 2 {
            // SAFETY: loom has checked the access when it hands out the pointer; see `impl Sync`.
            0 => self.data[index / 2].with(|word| unsafe { *word }),
            _ => self.sequences[index / 2].load(self.order(order, Weak::SequenceLoad)),
        }
    }
    fn store(&self, index: usize, value: u64, order: Ordering) {
        match index % 2 {
            // SAFETY: as in `load`.
            0 => self.data[index / 2].with_mut(|word| unsafe { *word = value }),
            _ => self.sequences[index / 2].store(value, self.order(order, Weak::SequenceStore)),
        }
    }
    fn load_head(&self, order: Ordering) -> u64 {
        self.head.load(self.order(order, Weak::HeadLoad))
    }
    fn store_head(&self, value: u64, order: Ordering) {
        self.head.store(value, self.order(order, Weak::HeadStore))
    }
}

/// A counter, and what is weak of it: of all counters' accesses, only those to the head as producers last saw it are ordered.
struct Tail(AtomicU64, Weak);

/// Rings that start here have such a counter. (A ring makes its counters itself, and all it tells them is where they start.)
const WEAK_SEEN_STORE: u64 = 1 << 40;
const WEAK_SEEN_LOAD: u64 = 1 << 41;

impl Cursor for Tail {
    fn new(value: u64) -> Self {
        let weak = match value {
            WEAK_SEEN_STORE => Weak::SeenStore,
            WEAK_SEEN_LOAD => Weak::SeenLoad,
            _ => Weak::None,
        };
        Self(AtomicU64::new(value), weak)
    }
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(if self.1 == Weak::SeenLoad { Ordering::Relaxed } else { order })
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, if self.1 == Weak::SeenStore { Ordering::Relaxed } else { order })
    }
    fn advance(&self, from: u64, to: u64) -> Result<(), u64> {
        // The orderings of `impl Cursor for std's AtomicU64`, which is what runs.
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).map(drop)
    }
}

type Modelled = Ring<Memory, Tail>;

fn ring(capacity: u32, start: u64) -> Arc<Modelled> {
    weak_ring(capacity, start, Weak::None)
}

fn weak_ring(capacity: u32, start: u64, weak: Weak) -> Arc<Modelled> {
    let shape = SlotShape::for_payload(8).unwrap();
    let chunks = capacity as usize * shape.chunks();
    let memory = Memory {
        data: (0..chunks).map(|_| UnsafeCell::new(0)).collect(),
        sequences: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
        head: AtomicU64::new(0),
        weak,
    };
    Arc::new(Ring::new(memory, capacity, shape, start))
}

fn message(sender: u32, number: u64) -> (Header, [u8; 8]) {
    let header = Header { tag: 300, instance: sender, correlation: Correlation::NONE, words: 0, hlc: number };
    (header, (((sender as u64) << 32) | (number * 3)).to_le_bytes())
}

fn push(ring: &Modelled, sender: u32, number: u64) {
    let (header, payload) = message(sender, number);
    while ring.try_push(header, &payload).is_err() {
        thread::yield_now();
    }
}

fn take_in_a_row(consumer: &mut Consumer, ring: &Modelled, out: &mut [u32; 6]) -> Option<Header> {
    let mut run = consumer.run(ring);
    let (header, pairs) = run.look()?;
    *out = std::array::from_fn(|at| (pairs[at / 2] >> (at % 2 * 32)) as u32);
    run.advance();
    *consumer = run.consumer();
    Some(header)
}

/// Takes `count` messages and checks each against its sender's count: nothing lost, doubled, reordered or torn.
fn drain(ring: &Modelled, count: usize, senders: usize) {
    let mut consumer = ring.consumer();
    let mut next = vec![0; senders];
    let mut out = [0; 6];
    for taken in 0..count {
        let got = loop {
            // In turn in both ways in which small messages are taken.
            let got = match taken % 2 {
                0 => consumer.pop(ring, &mut out),
                _ => take_in_a_row(&mut consumer, ring, &mut out),
            };
            match got {
                Some(got) => break got,
                None => thread::yield_now(),
            }
        };
        let number = next[got.instance as usize];
        let (header, payload) = message(got.instance, number);
        assert_eq!(got, Header { words: 2, ..header });
        let expected = u64::from_le_bytes(payload);
        assert_eq!(out[..2], [expected as u32, (expected >> 32) as u32]);
        next[got.instance as usize] += 1;
        consumer.publish(ring);
    }
    assert!(consumer.pop(ring, &mut out).is_none());
}

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

#[test]
fn one_producer_and_one_consumer_over_two_laps_of_one_slot_whose_sequence_wraps() {
    model(|| {
        let ring = ring(1, u32::MAX as u64 - 1);
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || (0..3).for_each(|i| push(&ring, 0, i)))
        };
        drain(&ring, 3, 1);
        producer.join().unwrap();
    });
}

#[test]
fn two_producers_never_share_a_slot_nor_overwrite_one_that_is_being_read() {
    model(|| {
        let ring = ring(2, 0);
        let producers: Vec<_> = (0..2)
            .map(|sender| {
                let ring = ring.clone();
                thread::spawn(move || (0..2).for_each(|i| push(&ring, sender, i)))
            })
            .collect();
        drain(&ring, 4, 2);
        producers.into_iter().for_each(|p| p.join().unwrap());
    });
}

#[test]
fn a_ring_that_is_closed_while_producers_push_gives_out_exactly_what_they_were_told_it_took() {
    model(|| {
        let ring = ring(2, u64::MAX - 1);
        let producers: Vec<_> = (0..2)
            .map(|sender| {
                let ring = ring.clone();
                thread::spawn(move || {
                    let taken = |number: &u64| {
                        let (header, payload) = message(sender, *number);
                        ring.try_push(header, &payload).is_ok()
                    };
                    (0..2).take_while(taken).count()
                })
            })
            .collect();
        let taken = ring.close();
        drain(&ring, taken as usize, 2);
        let told: usize = producers.into_iter().map(|producer| producer.join().unwrap()).sum();
        assert_eq!((told as u64, ring.pushed(), ring.len()), (taken, taken, 0));
        let (header, payload) = message(0, 9);
        assert!(ring.try_push(header, &payload).is_err());
    });
}

/// Pushes the numbers in batches as large as there is room for.
fn push_batches(ring: &Modelled, sender: u32, numbers: std::ops::Range<u64>) {
    let mut number = numbers.start;
    while number < numbers.end {
        let Ok(mut batch) = ring.reserve((numbers.end - number) as usize) else {
            thread::yield_now();
            continue;
        };
        while batch.left() > 0 {
            let (header, payload) = message(sender, number);
            batch.push(header, &payload);
            number += 1;
        }
    }
}

#[test]
fn batches_of_two_producers_are_whole_and_in_order_although_the_head_is_looked_at_by_one_of_them() {
    // The second producer may find its room by the head that the first one saw: its writes must still come after the
    // consumer's reads.
    model(|| {
        let ring = ring(2, u64::MAX - 1);
        let producers: Vec<_> = (0..2)
            .map(|sender| {
                let ring = ring.clone();
                thread::spawn(move || push_batches(&ring, sender, 0..2))
            })
            .collect();
        drain(&ring, 4, 2);
        producers.into_iter().for_each(|p| p.join().unwrap());
    });
}

#[test]
fn a_batch_and_single_messages_share_a_ring() {
    model(|| {
        let ring = ring(2, u32::MAX as u64);
        let producers = [
            {
                let ring = ring.clone();
                thread::spawn(move || push_batches(&ring, 0, 0..3))
            },
            {
                let ring = ring.clone();
                thread::spawn(move || push(&ring, 1, 0))
            },
        ];
        drain(&ring, 4, 2);
        producers.into_iter().for_each(|p| p.join().unwrap());
    });
}

#[test]
fn a_full_ring_refuses_without_losing_its_place() {
    model(|| {
        let ring = ring(1, 0);
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || {
                push(&ring, 0, 0);
                let (header, payload) = message(0, 1);
                // Refused or not, depending on the consumer; sent in the end.
                if ring.try_push(header, &payload).is_err() {
                    push(&ring, 0, 1);
                }
            })
        };
        drain(&ring, 2, 1);
        producer.join().unwrap();
    });
}

/// Whether loom finds something wrong with two messages through a ring of one slot.
fn is_found(weak: Weak) -> bool {
    let run = move || {
        model(move || {
            let ring = weak_ring(1, 0, weak);
            let producer = {
                let ring = ring.clone();
                thread::spawn(move || (0..2).for_each(|i| push(&ring, 0, i)))
            };
            drain(&ring, 2, 1);
            producer.join().unwrap();
        });
    };
    std::panic::catch_unwind(run).is_err()
}

/// Whether loom finds something wrong with two producers that each try once while a full ring of two is emptied: one may find its
/// room by the head that the other saw.
fn is_found_by_two(start: u64) -> bool {
    let run = move || {
        model(move || {
            let ring = ring(2, start);
            (0..2).for_each(|i| push(&ring, 0, i));
            let producers = [1, 2].map(|sender| {
                let ring = ring.clone();
                thread::spawn(move || {
                    let (header, payload) = message(sender, 0);
                    ring.try_push(header, &payload).is_ok()
                })
            });
            let mut consumer = ring.consumer();
            let mut out = [0; 6];
            for _ in 0..2 {
                assert_eq!(consumer.pop(&ring, &mut out).map(|header| header.instance), Some(0));
            }
            consumer.publish(&ring);
            let sent = producers.map(|p| p.join().unwrap()).into_iter().filter(|sent| *sent).count();
            let got = std::iter::from_fn(|| consumer.pop(&ring, &mut out)).count();
            assert_eq!(got, sent);
        });
    };
    std::panic::catch_unwind(run).is_err()
}

#[test]
fn a_ring_with_all_its_orderings_passes_where_the_weakened_ones_fail() {
    assert!(!is_found(Weak::None));
    assert!(!is_found_by_two(0));
}

#[test]
fn without_release_on_the_sequence_data_is_read_before_it_is_written() {
    assert!(is_found(Weak::SequenceStore));
}

#[test]
fn without_acquire_on_the_sequence_data_is_read_before_it_is_written() {
    assert!(is_found(Weak::SequenceLoad));
}

#[test]
fn without_release_on_the_head_a_slot_is_overwritten_while_it_is_read() {
    assert!(is_found(Weak::HeadStore));
}

#[test]
fn without_acquire_on_the_head_a_slot_is_overwritten_while_it_is_read() {
    assert!(is_found(Weak::HeadLoad));
}

#[test]
fn without_release_on_the_head_as_it_was_seen_another_producer_overwrites_a_slot_while_it_is_read() {
    assert!(is_found_by_two(WEAK_SEEN_STORE));
}

#[test]
fn without_acquire_on_the_head_as_it_was_seen_another_producer_overwrites_a_slot_while_it_is_read() {
    assert!(is_found_by_two(WEAK_SEEN_LOAD));
}
