//! The ring beside a queue of the standard library: random sequences of pushes, pops and publishes, from positions whose
//! 32-bit or 64-bit counter wraps on the way, must do to both the same.
//!
//! `PROPTEST_CASES` sets how many sequences (256). A failure prints the shortest sequence that fails.

use proptest::prelude::*;
use ringkernel_backends::abi::ring::{Consumer, Full, LINE_WORDS, RawMemory, Ring};
use ringkernel_backends::abi::slot::{Correlation, Header, SlotShape};
use std::collections::VecDeque;

/// What a sequence is made of.
#[derive(Clone, Debug)]
enum Step {
    /// A message of so many bytes.
    Push(usize),
    /// Reserve room for so many messages, and write so many of them, of so many bytes; the rest is filled up by the ring.
    Batch(usize, usize, usize),
    /// Take so many.
    Pop(usize),
    /// Give back what was taken.
    Publish,
    /// Push until the ring refuses, then take and give back all.
    FillAndDrain,
}

fn step(largest: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..=largest).prop_map(Step::Push),
        3 => (0usize..12, 0usize..12, 0..=largest).prop_map(|(want, write, bytes)| Step::Batch(want, write, bytes)),
        4 => (1usize..8).prop_map(Step::Pop),
        2 => Just(Step::Publish),
        1 => Just(Step::FillAndDrain),
    ]
}

/// Positions that lie so little before a wrap that the sequence crosses it, and some that do not.
fn start() -> impl Strategy<Value = u64> {
    let before = |wrap: u64| (0u64..80).prop_map(move |steps| wrap.wrapping_sub(steps));
    prop_oneof![Just(0), before(1 << 32), before(u32::MAX as u64), before(1 << 63), before(0), any::<u64>()]
}

type Sent = (Header, Vec<u8>);

/// A ring, what ought to be in it, and the counts that go with it.
struct Pair {
    ring: Ring,
    consumer: Consumer,
    queue: VecDeque<Sent>,
    pushed: u64,
    taken: u64,
    published: u64,
}

impl Pair {
    fn new(capacity: u32, largest: usize, start: u64) -> Self {
        let shape = SlotShape::for_payload(largest).expect("a small payload");
        let ring = Ring::new(RawMemory::heap(capacity, shape), capacity, shape, start);
        let consumer = ring.consumer();
        Self { ring, consumer, queue: VecDeque::new(), pushed: 0, taken: 0, published: 0 }
    }

    /// A message that no other is like.
    fn message(&self, bytes: usize) -> Sent {
        let n = self.pushed as u32;
        let header = Header {
            tag: n.wrapping_mul(2_654_435_761),
            instance: n ^ 0x5555_5555,
            correlation: Correlation { index: n, generation: n as u16 ^ 0xaaaa },
            words: bytes.div_ceil(4) as u16,
            hlc: (n as u64) << 40 | n as u64,
        };
        (header, (0..bytes).map(|k| (n as usize * 31 + k * 7 + 1) as u8).collect())
    }

    fn push(&mut self, bytes: usize) -> Result<(), TestCaseError> {
        let (header, payload) = self.message(bytes);
        let full = self.pushed - self.published >= self.ring.capacity();
        // The ring counts the words itself.
        let result = self.ring.try_push(Header { words: 0x7777, ..header }, &payload);
        prop_assert_eq!(result, if full { Err(Full) } else { Ok(()) });
        if !full {
            self.queue.push_back((header, payload));
            self.pushed += 1;
        }
        Ok(())
    }

    fn batch(&mut self, want: usize, write: usize, bytes: usize) -> Result<(), TestCaseError> {
        let room = self.ring.capacity() - (self.pushed - self.published);
        let expected = room.min(want.max(1) as u64) as usize;
        let first = self.pushed;
        let messages: Vec<Sent> = (0..write as u64)
            .map(|i| {
                self.pushed = first + i;
                self.message(bytes)
            })
            .collect();
        self.pushed = first;
        let Ok(mut batch) = self.ring.reserve(want) else {
            prop_assert_eq!(expected, 0, "refused with room for {}", room);
            return Ok(());
        };
        prop_assert_eq!(batch.left(), expected);
        for (header, payload) in messages.into_iter().take(expected) {
            batch.push(header, &payload);
            self.queue.push_back((header, payload));
        }
        let unwritten = batch.left();
        drop(batch);
        let nothing = Header { tag: 0, instance: 0, correlation: Correlation::NONE, words: 0, hlc: 0 };
        self.queue.extend((0..unwritten).map(|_| (nothing, vec![])));
        self.pushed += expected as u64;
        Ok(())
    }

    fn pop(&mut self) -> Result<bool, TestCaseError> {
        prop_assert_eq!(self.consumer.is_ready(&self.ring), !self.queue.is_empty());
        let mut words = vec![0xdead_beef; self.ring.shape().payload_words()];
        let mut looked = words.clone();
        let peeked = self.consumer.peek(&self.ring).map(|(header, payload)| {
            payload.copy_to(&mut looked);
            (header, payload.words())
        });
        // What takes many in a row finds the same, where it is in the first line of its slot.
        let run = self.consumer.run(&self.ring);
        let small = run.look().map(|(header, pairs)| {
            let pairs = pairs.iter().flat_map(|pair| [*pair as u32, (pair >> 32) as u32]);
            (header, pairs.take(header.words.into()).collect::<Vec<u32>>())
        });
        let expected = peeked.filter(|(_, words)| *words <= LINE_WORDS);
        prop_assert_eq!(small, expected.map(|(header, words)| (header, looked[..words].to_vec())));
        let got = self.consumer.pop(&self.ring, &mut words);
        let mut ahead = run;
        ahead.advance();
        prop_assert_eq!(ahead.consumer().position(), run.consumer().position().wrapping_add(1));
        prop_assert_eq!(
            run.correlation_ahead(1),
            self.queue.get(1).map(|(header, _)| header.correlation.index)
        );
        prop_assert_eq!(peeked, got.map(|header| (header, header.words as usize)));
        let Some((header, payload)) = self.queue.pop_front() else {
            prop_assert_eq!(got, None);
            return Ok(false);
        };
        prop_assert_eq!(got, Some(header));
        let length = header.words as usize;
        prop_assert_eq!(&looked[..length], &words[..length]);
        prop_assert!(looked[length..].iter().all(|word| *word == 0xdead_beef), "copied too much");
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        // Chunks are copied whole: what lies behind the message in its last one is anything, and what lies behind that is untouched.
        let behind = bytes.split_off(bytes.len().min(payload.len().next_multiple_of(12)));
        bytes.truncate(payload.len().next_multiple_of(4));
        let padding = bytes.split_off(payload.len());
        prop_assert_eq!(bytes, payload);
        prop_assert!(padding.iter().all(|byte| *byte == 0), "padding is not zero");
        prop_assert!(behind.chunks(4).all(|word| word == 0xdead_beef_u32.to_le_bytes()), "wrote too much");
        self.taken += 1;
        Ok(true)
    }

    fn publish(&mut self) {
        self.consumer.publish(&self.ring);
        self.published = self.taken;
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.ring.pushed(), self.pushed);
        prop_assert_eq!(self.ring.consumed(), self.published);
        prop_assert_eq!(self.ring.len(), self.pushed - self.published);
        prop_assert_eq!(self.ring.is_empty(), self.pushed == self.published);
        Ok(())
    }
}

proptest! {
    #[test]
    fn any_sequence_of_steps_does_to_the_ring_what_it_does_to_a_queue(
        log_capacity in 0u32..7,
        start in start(),
        (largest, steps) in (0usize..=200)
            .prop_flat_map(|largest| (Just(largest), proptest::collection::vec(step(largest), 1..200))),
    ) {
        let mut pair = Pair::new(1 << log_capacity, largest, start);
        for step in steps {
            match step {
                Step::Push(bytes) => pair.push(bytes)?,
                Step::Batch(want, write, bytes) => pair.batch(want, write, bytes)?,
                Step::Pop(count) => for _ in 0..count { pair.pop()?; },
                Step::Publish => pair.publish(),
                Step::FillAndDrain => {
                    for bytes in 0..=pair.ring.capacity() as usize {
                        pair.push(bytes * 5 % (largest + 1))?;
                    }
                    while pair.pop()? {}
                    pair.publish();
                }
            }
            pair.agree()?;
        }
        // Closed, it takes nothing more and gives out what it took.
        prop_assert_eq!(pair.ring.close(), pair.pushed);
        let (header, payload) = pair.message(0);
        prop_assert_eq!(pair.ring.try_push(header, &payload), Err(Full));
        pair.agree()?;
        while pair.pop()? {}
        pair.publish();
        prop_assert!(pair.ring.reserve(1).is_err(), "emptied, a closed ring has room again");
        pair.agree()?;
    }

    #[test]
    fn a_slot_of_an_earlier_lap_is_never_taken_for_a_new_one(
        log_capacity in 0u32..7,
        start in start(),
        laps in 1u64..4,
    ) {
        let mut pair = Pair::new(1 << log_capacity, 60, start);
        for _ in 0..laps {
            for _ in 0..pair.ring.capacity() {
                // Long messages leave chunks behind that the next lap's short ones do not write.
                pair.push(60)?;
                prop_assert!(pair.pop()?);
                pair.publish();
                prop_assert!(!pair.pop()?);
            }
            for _ in 0..pair.ring.capacity() {
                pair.push(0)?;
                prop_assert!(pair.pop()?);
                pair.publish();
                prop_assert!(!pair.pop()?);
            }
        }
    }
}
