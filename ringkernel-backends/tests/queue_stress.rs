//! A million values through each queue, by real threads: none lost, none twice, each producer's in order.

use ringkernel_backends::queue::{MessageQueue, MpmcQueue, MpscQueue, PriorityQueue, SpscQueue};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const VALUES: u64 = 1_000_000;

/// The producer in the high bits, its count in the low ones.
fn value(producer: u64, number: u64) -> u64 {
    producer << 32 | number
}

fn until(mut attempt: impl FnMut() -> bool) {
    while !attempt() {
        thread::yield_now();
    }
}

/// What the consumers got.
struct Got {
    /// For each producer, a bit for each of its values.
    seen: Vec<Vec<AtomicU64>>,
    count: AtomicU64,
}

impl Got {
    fn new(producers: u64) -> Self {
        let words = (VALUES / producers).div_ceil(64) as usize;
        let row = || (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { seen: (0..producers).map(|_| row()).collect(), count: AtomicU64::new(0) }
    }

    /// Notes a value. `next` is this consumer's: the least number that each producer may still send it.
    fn note(&self, value: u64, next: &mut [u64]) {
        let (producer, number) = ((value >> 32) as usize, value & u32::MAX as u64);
        assert!(number >= next[producer], "producer {producer}: {number} after {}", next[producer] - 1);
        next[producer] = number + 1;
        let bit = 1 << (number % 64);
        let before = self.seen[producer][number as usize / 64].fetch_or(bit, Ordering::Relaxed);
        assert_eq!(before & bit, 0, "producer {producer}: {number} twice");
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Producers and consumers at one queue. Odd ones move many at once. A consumer may be told that it is not alone at its end: it tries again.
fn stress(queue: &dyn MessageQueue<u64>, producers: u64, consumers: u64) {
    let got = Got::new(producers);
    thread::scope(|threads| {
        for producer in 0..producers {
            threads.spawn(move || {
                let mut numbers = (0..VALUES / producers).map(|number| value(producer, number)).peekable();
                let mut batch = Vec::new();
                while numbers.peek().is_some() || !batch.is_empty() {
                    if producer % 2 == 0 {
                        let Some(value) = numbers.next() else { break };
                        until(|| queue.try_enqueue(value).is_ok());
                    } else {
                        let more = 37 - batch.len();
                        batch.extend(numbers.by_ref().take(more));
                        until(|| queue.enqueue_many(&mut batch).is_ok_and(|moved| moved > 0));
                    }
                }
            });
        }
        for consumer in 0..consumers {
            let got = &got;
            threads.spawn(move || {
                let mut next = vec![0; producers as usize];
                let mut out = Vec::new();
                while got.count.load(Ordering::Relaxed) < VALUES {
                    if consumer % 2 == 0 {
                        out.extend(queue.try_dequeue().ok());
                    } else {
                        let _ = queue.dequeue_many(&mut out, 23);
                    }
                    if out.is_empty() {
                        thread::yield_now();
                    }
                    out.drain(..).for_each(|value| got.note(value, &mut next));
                }
            });
        }
    });
    assert_eq!(got.count.into_inner(), VALUES);
    let stats = queue.stats();
    assert_eq!((stats.enqueued, stats.dequeued), (VALUES, VALUES));
    assert!((1..=queue.capacity() as u64).contains(&stats.high_water), "{stats:?}");
    assert!(queue.is_empty());
}

#[test]
fn a_million_through_the_two_ends_of_an_spsc() {
    let (mut producer, mut consumer) = SpscQueue::starting_at(64, u64::MAX - VALUES / 2).unwrap().split();
    let sender = thread::spawn(move || {
        (0..VALUES).for_each(|number| until(|| producer.try_enqueue(number.to_string()).is_ok()));
    });
    for number in 0..VALUES {
        until(|| match consumer.try_dequeue() {
            Ok(got) => {
                assert_eq!(got, number.to_string());
                true
            }
            Err(_) => false,
        });
    }
    sender.join().unwrap();
    assert!(consumer.is_empty());
}

#[test]
fn a_million_through_an_spsc_whose_ends_two_threads_share() {
    stress(&SpscQueue::starting_at(64, u64::MAX - VALUES / 2).unwrap(), 2, 2);
}

#[test]
fn a_million_from_four_producers_to_one_consumer() {
    stress(&MpscQueue::starting_at(64, u64::MAX - VALUES / 2).unwrap(), 4, 1);
}

#[test]
fn a_million_through_an_mpsc_whose_consumers_take_turns() {
    stress(&MpscQueue::starting_at(64, (1 << 63) - VALUES / 2).unwrap(), 2, 2);
}

#[test]
fn a_million_from_two_to_two() {
    stress(&MpmcQueue::starting_at(64, (1 << 63) - VALUES / 2).unwrap(), 2, 2);
}

#[test]
fn a_million_through_a_ring_of_one_slot() {
    stress(&MpmcQueue::starting_at(1, u64::MAX - VALUES / 2).unwrap(), 2, 2);
}

#[test]
fn a_million_through_lanes() {
    let queue = PriorityQueue::new(2, 64).unwrap();
    stress(&queue, 2, 2);
    assert_eq!(queue.lane_stats(0).map(|lane| lane.enqueued), Some(0));
}
