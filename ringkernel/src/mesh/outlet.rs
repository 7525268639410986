//! Where outputs wait until somebody takes them: a queue a type, of whole chunks, so that a lock is taken for each that a drain brings and not for
//! each message.
//!
//! Whoever drains a shard's ring gathers what it finds ([`Gathered`], one a shard, so the lock is never contended) and hands it over when it flushes.
//! A stream that is the only one of its type takes a chunk at a time and reads it by itself; where there are several, each takes one message.
//! Buffers go round: in the steady state nothing is allocated.

use crate::live::wake;
use ringkernel_backends::abi::Header;
use ringkernel_backends::abi::ring::{LINE_PAIRS, LINE_WORDS, Payload};
use ringkernel_backends::mesh::Mesh;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Messages of one type that are kept until somebody takes them.
pub const MOST_OUTPUTS: usize = 1 << 16;
/// And their words together, 16 MiB.
const MOST_WORDS: usize = 1 << 22;

/// 64-bit words in front of a message's payload: its instance and how many words of 32 bits it has, and its timestamp.
const HEAD: usize = 2;
/// A chunk of no more 64-bit words than this joins the one before it,
const SMALL: usize = 512;
/// as long as they have no more than this together.
const JOINED: usize = 2048;
/// Empty buffers that are kept: one for each of many shards,
const SPARE: usize = 64;
/// as long as they have no more 64-bit words than this together, 2 MiB.
const SPARE_WORDS: usize = 1 << 18;

/// Messages of one type, one behind another.
#[derive(Default)]
pub(crate) struct Chunk {
    /// A head each, then the payload, two words in each. Where that is in the first line of a slot it takes the room of all that fit there, so that
    /// it moves in one piece.
    words: Vec<u64>,
    /// Where the next one begins.
    at: usize,
    left: usize,
    /// Words of payloads that are left.
    payload: usize,
}

/// One of them.
pub(crate) struct Item<'a> {
    pub(crate) instance: u32,
    pub(crate) hlc: u64,
    /// Words of its payload,
    pub(crate) count: usize,
    /// and these, two in each. What lies behind the last is anything.
    pub(crate) pairs: &'a [u64],
}

/// 64-bit words that a payload takes in a chunk.
#[inline]
fn room_of(words: usize) -> usize {
    if words <= LINE_WORDS { LINE_PAIRS } else { words.div_ceil(2) }
}

impl Chunk {
    #[inline]
    fn count_in(&mut self, words: usize) {
        self.left += 1;
        self.payload += words;
    }

    /// Adds messages of at most [`LINE_WORDS`] words each, two of them in each of three.
    #[inline(always)]
    pub(crate) fn extend(&mut self, messages: impl Iterator<Item = (Header, [u64; LINE_PAIRS])>) {
        let (mut count, mut words) = (0, 0);
        for (header, [a, b, c]) in messages {
            self.words.extend_from_slice(&[head(header.instance, header.words.into()), header.hlc, a, b, c]);
            (count, words) = (count + 1, words + usize::from(header.words));
        }
        self.left += count;
        self.payload += words;
    }

    /// Adds a message as it lies in a ring.
    fn push(&mut self, header: Header, payload: &Payload<'_>) {
        let words = payload.words();
        self.words.extend([head(header.instance, words), header.hlc]);
        let mut room = room_of(words);
        self.words.reserve(room);
        for group in 0..room.div_ceil(LINE_PAIRS) {
            let pairs = payload.six(group);
            self.words.extend_from_slice(&pairs[..room.min(LINE_PAIRS)]);
            room = room.saturating_sub(LINE_PAIRS);
        }
        self.count_in(words);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The oldest.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<Item<'_>> {
        let [first, hlc, rest @ ..] = self.words.get(self.at..)? else { return None };
        let (instance, count) = (*first as u32, (*first >> 32) as usize);
        Some(Item { instance, hlc: *hlc, count, pairs: rest.get(..room_of(count))? })
    }

    /// Takes the oldest, which has so many words, in so much room.
    #[inline(always)]
    pub(crate) fn take_first(&mut self, words: usize, room: usize) {
        self.at += HEAD + room;
        self.left -= 1;
        self.payload -= words;
    }

    /// Takes the oldest.
    pub(crate) fn next(&mut self) -> Option<Item<'_>> {
        let Item { instance, hlc, count, pairs } = self.first()?;
        let (begin, room) = (self.at + HEAD, pairs.len());
        self.take_first(count, room);
        Some(Item { instance, hlc, count, pairs: self.words.get(begin..begin + room)? })
    }

    fn clear(&mut self) {
        (self.at, self.left, self.payload) = (0, 0, 0);
        self.words.clear();
    }
}

#[inline]
fn head(instance: u32, words: usize) -> u64 {
    instance as u64 | (words as u64) << 32
}

/// The types that a kernel's handlers may give out.
pub(crate) struct Outlets {
    pub(crate) types: Box<[Outlet]>,
    /// A shard's.
    gathered: Box<[Mutex<Gathered>]>,
}

/// What a drain of a shard's ring has found: a chunk a type.
#[derive(Default)]
pub(crate) struct Gathered {
    chunks: Vec<Chunk>,
}

pub(crate) struct Outlet {
    tag: u32,
    queue: Mutex<Queue>,
    missed: AtomicU64,
    /// How many take from it.
    streams: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    spare: Vec<Chunk>,
    /// Words that the spare ones have room for.
    spare_words: usize,
    outputs: usize,
    words: usize,
    /// Streams that found nothing, by their numbers.
    waiting: Vec<(u64, Waker)>,
    /// The number of the next stream.
    next: u64,
}

impl Outlets {
    pub(crate) fn new(mesh: &Mesh, shards: usize) -> Self {
        let outlet = |tag| Outlet {
            tag,
            queue: Mutex::default(),
            missed: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
        };
        Self {
            types: mesh.outgoing.iter().map(|message| outlet(message.tag)).collect(),
            gathered: (0..shards).map(|_| Mutex::default()).collect(),
        }
    }

    /// For whoever drains a shard's ring: there is one at a time, so this does not wait.
    pub(crate) fn gathered(&self, shard: usize) -> Option<MutexGuard<'_, Gathered>> {
        let mut gathered = self.gathered.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.chunks.len() < self.types.len() {
            gathered.chunks.resize_with(self.types.len(), Chunk::default);
        }
        Some(gathered)
    }

    /// Where messages of a tag are gathered.
    #[inline]
    pub(crate) fn chunk<'a>(&self, gathered: &'a mut Gathered, tag: u32) -> Option<&'a mut Chunk> {
        let of_type = |(outlet, _): &(&Outlet, _)| outlet.tag == tag;
        self.types.iter().zip(&mut gathered.chunks).find(of_type).map(|(_, chunk)| chunk)
    }

    /// A handler gave something out.
    pub(crate) fn gather(&self, gathered: &mut Gathered, header: Header, payload: &Payload<'_>) {
        // The compiler lists them all; another is a device's error.
        if let Some(chunk) = self.chunk(gathered, header.tag) {
            chunk.push(header, payload);
        }
    }

    /// What was gathered goes to those who take it.
    pub(crate) fn hand_over(&self, gathered: &mut Gathered) {
        for (outlet, chunk) in self.types.iter().zip(&mut gathered.chunks) {
            if chunk.left > 0 {
                outlet.push(chunk);
            }
        }
    }

    /// Nothing will come any more.
    pub(crate) fn end(&self) {
        self.types.iter().for_each(Outlet::wake);
    }
}

impl Outlet {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of a chunk's messages, and leaves it empty.
    fn push(&self, chunk: &mut Chunk) {
        let count = chunk.left;
        let mut queue = self.queue();
        queue.outputs += count;
        queue.words += chunk.payload;
        match queue.chunks.back_mut() {
            Some(last) if chunk.words.len() <= SMALL && last.words.len() + chunk.words.len() <= JOINED => {
                last.words.extend_from_slice(&chunk.words);
                last.left += count;
                last.payload += chunk.payload;
                chunk.clear();
            }
            _ => {
                let empty = queue.spare.pop().unwrap_or_default();
                queue.spare_words -= empty.words.capacity();
                queue.chunks.push_back(std::mem::replace(chunk, empty));
            }
        }
        let missed = queue.trim();
        let is_waited_for = !queue.waiting.is_empty();
        drop(queue);
        if missed > 0 {
            // Relaxed: a figure.
            self.missed.fetch_add(missed, Ordering::Relaxed);
        }
        if is_waited_for {
            self.wake();
        }
    }

    /// Wakes all that wait: which of them will look, nobody knows.
    fn wake(&self) {
        // Those who begin to wait meanwhile have looked after what is told here.
        let waiting = self.queue().waiting.len();
        for _ in 0..waiting {
            // Woken without the lock: what a waker does is its own affair.
            let Some((_, waker)) = self.queue().waiting.pop() else { break };
            wake(waker);
        }
    }

    /// Has a stream woken when there is something, unless there is already: then it says so.
    pub(crate) fn wait(&self, stream: u64, waker: &Waker) -> bool {
        let mut queue = self.queue();
        if queue.outputs > 0 {
            return false;
        }
        match queue.waiting.iter_mut().find(|(number, _)| *number == stream) {
            Some((_, known)) => known.clone_from(waker),
            None => queue.waiting.push((stream, waker.clone())),
        }
        true
    }

    /// Fills an empty chunk for a stream; says whether there was anything.
    pub(crate) fn take(&self, into: &mut Chunk) -> bool {
        let mut queue = self.queue();
        // Relaxed: it is about who gets what, and the queue's lock orders the rest.
        let taken = if self.streams.load(Ordering::Relaxed) > 1 {
            queue.take_one(into)
        } else {
            queue.take_chunk(into)
        };
        let Some((outputs, words)) = taken else { return false };
        queue.outputs -= outputs;
        queue.words -= words;
        true
    }

    /// Somebody takes from it, and has this number.
    pub(crate) fn join(&self) -> u64 {
        // Relaxed: see `take`.
        self.streams.fetch_add(1, Ordering::Relaxed);
        let mut queue = self.queue();
        queue.next += 1;
        queue.next
    }

    /// Somebody does so no more; what he had taken and not given comes first for the others.
    pub(crate) fn leave(&self, stream: u64, left: Chunk) {
        // Relaxed: see `take`.
        self.streams.fetch_sub(1, Ordering::Relaxed);
        let mut queue = self.queue();
        queue.waiting.retain(|(number, _)| *number != stream);
        if !left.is_empty() {
            queue.outputs += left.left;
            queue.words += left.payload;
            queue.chunks.push_front(left);
        }
        let is_empty = queue.outputs == 0;
        drop(queue);
        if !is_empty {
            self.wake();
        }
    }

    pub(crate) fn missed(&self) -> u64 {
        // Relaxed: a figure.
        self.missed.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// Discards the oldest messages that are too many; says how many those are.
    fn trim(&mut self) -> u64 {
        let mut missed = 0;
        while self.outputs > MOST_OUTPUTS || self.words > MOST_WORDS {
            let Some(oldest) = self.chunks.front_mut() else { break };
            if let Some(item) = oldest.next() {
                self.words -= item.count;
                self.outputs -= 1;
                missed += 1;
            } else if let Some(empty) = self.chunks.pop_front() {
                self.recycle(empty);
            }
        }
        missed
    }

    /// The oldest chunk, for an empty one.
    fn take_chunk(&mut self, into: &mut Chunk) -> Option<(usize, usize)> {
        loop {
            // One whose messages were all taken one by one is still there.
            let chunk = self.chunks.pop_front()?;
            if !chunk.is_empty() {
                self.recycle(std::mem::replace(into, chunk));
                return Some((into.left, into.payload));
            }
            self.recycle(chunk);
        }
    }

    /// The oldest message, into an empty chunk.
    fn take_one(&mut self, into: &mut Chunk) -> Option<(usize, usize)> {
        into.clear();
        loop {
            let oldest = self.chunks.front_mut()?;
            let Some(Item { instance, hlc, count, pairs }) = oldest.next() else {
                let empty = self.chunks.pop_front()?;
                self.recycle(empty);
                continue;
            };
            into.words.extend([head(instance, count), hlc]);
            into.words.extend_from_slice(pairs);
            into.count_in(count);
            return Some((1, count));
        }
    }

    fn recycle(&mut self, mut chunk: Chunk) {
        let room = chunk.words.capacity();
        if room > 0 && self.spare.len() < SPARE && self.spare_words + room <= SPARE_WORDS {
            chunk.clear();
            self.spare_words += room;
            self.spare.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringkernel_backends::abi::ring::RawMemory;
    use ringkernel_backends::abi::{Correlation, Ring, SlotShape};

    fn outlet() -> Outlet {
        let (missed, streams) = (AtomicU64::new(0), AtomicUsize::new(0));
        Outlet { tag: 1, queue: Mutex::default(), missed, streams }
    }

    fn words_of(item: &Item<'_>) -> Vec<u32> {
        let words = item.pairs.iter().flat_map(|pair| [*pair as u32, (pair >> 32) as u32]);
        words.take(item.count).collect()
    }

    /// What a message is made of.
    type Message = (u32, u64, Vec<u32>);

    #[derive(Clone, Debug)]
    enum Step {
        /// A drain hands over so many messages, of so many words each.
        Push(Vec<usize>),
        Join,
        /// One of the streams gives so many messages, and takes more where it has none.
        Give(usize, usize),
        /// One of them leaves.
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let sizes = prop::collection::vec(prop_oneof![4 => 0..8usize, 1 => 0..3000usize], 0..12);
        let step = prop_oneof![
            4 => sizes.prop_map(Step::Push),
            1 => Just(Step::Join),
            4 => (0..3usize, 1..20usize).prop_map(|(stream, count)| Step::Give(stream, count)),
            1 => (0..3usize).prop_map(Step::Leave),
        ];
        prop::collection::vec(step, 0..60)
    }

    #[test]
    fn what_nobody_takes_is_bounded_in_bytes_as_well_and_the_oldest_go_first() {
        const WORDS: usize = 3000;
        let (outlet, shape) = (outlet(), SlotShape::for_payload(4 * WORDS).unwrap());
        let ring: Ring = Ring::new(RawMemory::heap(2, shape), 2, shape, 0);
        let mut consumer = ring.consumer();
        let (kept, mut gathered) = ((MOST_WORDS / WORDS) as u64, Chunk::default());
        for hlc in 0..kept + 100 {
            let header = Header { tag: 1, instance: 0, correlation: Correlation::NONE, words: 0, hlc };
            ring.try_push(header, &[1; 4 * WORDS]).unwrap();
            let (header, payload) = consumer.peek(&ring).unwrap();
            gathered.push(header, &payload);
            consumer.advance();
            consumer.publish(&ring);
            outlet.push(&mut gathered);
            assert_eq!(outlet.missed(), (hlc + 1).saturating_sub(kept));
        }
        outlet.join();
        let mut first = Chunk::default();
        assert!(outlet.take(&mut first));
        assert_eq!(first.next().map(|item| item.hlc), Some(100));
    }

    proptest! {
        /// Each message is given once, to one; a stream's in the order they came, and to a lone one every next is the oldest.
        #[test]
        fn nothing_is_lost_doubled_or_overtaken(steps in steps()) {
            let outlet = outlet();
            let shape = SlotShape::for_payload(4 * 3000).unwrap();
            let ring: Ring = Ring::new(RawMemory::heap(2, shape), 2, shape, 0);
            let mut consumer = ring.consumer();
            let (mut gathered, mut next) = (Chunk::default(), 0);
            let mut streams: Vec<(u64, Chunk, u64)> = Vec::new();
            let mut given: Vec<Message> = Vec::new();
            let mut pushed: Vec<Message> = Vec::new();
            let mut always_one = true;
            for step in steps {
                match step {
                    Step::Push(sizes) => {
                        for size in sizes {
                            next += 1;
                            let message = (next as u32 % 7, next, vec![next as u32; size]);
                            let bytes: Vec<u8> = message.2.iter().flat_map(|word| word.to_le_bytes()).collect();
                            let (instance, hlc) = (message.0, message.1);
                            let header = Header { tag: 1, instance, correlation: Correlation::NONE, words: 0, hlc };
                            ring.try_push(header, &bytes).unwrap();
                            // As whoever drains does: many that are small go another way.
                            match consumer.run(&ring).look() {
                                Some(small) => gathered.extend([small].into_iter()),
                                None => {
                                    let (header, payload) = consumer.peek(&ring).unwrap();
                                    gathered.push(header, &payload);
                                }
                            }
                            consumer.advance();
                            consumer.publish(&ring);
                            pushed.push(message);
                        }
                        if gathered.left > 0 {
                            outlet.push(&mut gathered);
                        }
                        prop_assert!(gathered.is_empty() && gathered.words.is_empty());
                    }
                    Step::Join => {
                        streams.push((outlet.join(), Chunk::default(), 0));
                        always_one &= streams.len() == 1;
                    }
                    Step::Give(stream, count) => {
                        let Some((_, chunk, last)) = streams.get_mut(stream) else { continue };
                        for _ in 0..count {
                            if chunk.is_empty() && !outlet.take(chunk) {
                                break;
                            }
                            let item = chunk.next().unwrap();
                            prop_assert!(item.hlc > *last || !always_one);
                            *last = item.hlc;
                            given.push((item.instance, item.hlc, words_of(&item)));
                        }
                    }
                    Step::Leave(stream) => {
                        if stream < streams.len() {
                            let (number, chunk, _) = streams.remove(stream);
                            outlet.leave(number, chunk);
                        }
                    }
                }
            }
            if always_one {
                prop_assert_eq!(&given[..], &pushed[..given.len()]);
            }
            for (number, chunk, _) in streams.drain(..) {
                outlet.leave(number, chunk);
            }
            outlet.join();
            let mut rest = Chunk::default();
            while outlet.take(&mut rest) {
                while let Some(item) = rest.next() {
                    given.push((item.instance, item.hlc, words_of(&item)));
                }
            }
            given.sort_by_key(|message| message.1);
            prop_assert_eq!(given, pushed);
            let queue = outlet.queue();
            prop_assert_eq!((queue.outputs, queue.words, queue.chunks.len()), (0, 0, 0));
            prop_assert!(queue.spare.len() <= SPARE && queue.spare_words <= SPARE_WORDS);
            prop_assert_eq!(queue.spare.iter().map(|chunk| chunk.words.capacity()).sum::<usize>(), queue.spare_words);
        }
    }
}
