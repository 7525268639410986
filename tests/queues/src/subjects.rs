//! The queues, each used as its own documentation shows.

use ringkernel::queue::{
    MessageQueue, MpmcQueue, MpscConsumer, MpscProducer, MpscQueue, PriorityQueue, SpscConsumer,
    SpscProducer, SpscQueue,
};
use std::sync::Arc;

/// An end where values go in.
pub trait Tx: Send {
    /// Puts in `first` (and, where it moves many at once, those that follow it, up to `count`): how many there was room for.
    fn send(&mut self, first: u64, count: u64) -> u64;
}

/// An end where values come out.
pub trait Rx: Send {
    /// Takes a value (or up to `count`): how many.
    fn receive(&mut self, count: u64, each: impl FnMut(u64)) -> u64;
}

pub trait Subject {
    type Tx: Tx;
    type Rx: Rx;
    fn make(capacity: usize, producers: usize, consumers: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>);
}

/// How many at once, where many at once are measured.
const BATCH: u64 = 64;

/// Ends that move one value at a time.
macro_rules! ends {
    ($($tx:ty, $rx:ty: $send:ident, $receive:ident;)*) => {$(
        impl Tx for $tx {
            #[inline]
            fn send(&mut self, first: u64, _: u64) -> u64 {
                self.$send(first).is_ok() as u64
            }
        }
        impl Rx for $rx {
            #[inline]
            fn receive(&mut self, _: u64, mut each: impl FnMut(u64)) -> u64 {
                self.$receive().into_iter().map(|value| each(value)).count() as u64
            }
        }
    )*};
}
ends! {
    SpscProducer<u64>, SpscConsumer<u64>: try_enqueue, try_dequeue;
    MpscProducer<u64>, MpscConsumer<u64>: try_enqueue, try_dequeue;
    rtrb::Producer<u64>, rtrb::Consumer<u64>: push, pop;
    crossbeam_channel::Sender<u64>, crossbeam_channel::Receiver<u64>: try_send, try_recv;
    Arc<crossbeam_queue::ArrayQueue<u64>>, Arc<crossbeam_queue::ArrayQueue<u64>>: push, pop;
    Arc<SpscQueue<u64>>, Arc<SpscQueue<u64>>: try_enqueue, try_dequeue;
    Arc<MpmcQueue<u64>>, Arc<MpmcQueue<u64>>: try_enqueue, try_dequeue;
    Arc<PriorityQueue<u64>>, Arc<PriorityQueue<u64>>: try_enqueue, try_dequeue;
}

fn copies<T: Clone>(end: T, count: usize) -> Vec<T> {
    vec![end; count]
}

/// A queue that is shared by reference.
macro_rules! shared {
    ($($subject:ident: $queue:ty, $new:expr;)*) => {$(
        pub struct $subject;
        impl Subject for $subject {
            type Tx = Arc<$queue>;
            type Rx = Arc<$queue>;
            fn make(capacity: usize, producers: usize, consumers: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
                let queue = Arc::new($new(capacity));
                (copies(queue.clone(), producers), copies(queue, consumers))
            }
        }
    )*};
}
shared! {
    OurSharedSpsc: SpscQueue<u64>, |capacity| SpscQueue::new(capacity).unwrap();
    OurMpmc: MpmcQueue<u64>, |capacity| MpmcQueue::new(capacity).unwrap();
    OurLanes: PriorityQueue<u64>, |capacity| PriorityQueue::new(4, capacity).unwrap();
    ArrayQueue: crossbeam_queue::ArrayQueue<u64>, crossbeam_queue::ArrayQueue::new;
}

pub struct OurSpsc;
impl Subject for OurSpsc {
    type Tx = SpscProducer<u64>;
    type Rx = SpscConsumer<u64>;
    fn make(capacity: usize, _: usize, _: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let (producer, consumer) = SpscQueue::new(capacity).unwrap().split();
        (vec![producer], vec![consumer])
    }
}

pub struct OurMpsc;
impl Subject for OurMpsc {
    type Tx = MpscProducer<u64>;
    type Rx = MpscConsumer<u64>;
    fn make(capacity: usize, producers: usize, _: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let (producer, consumer) = MpscQueue::new(capacity).unwrap().split();
        (copies(producer, producers), vec![consumer])
    }
}

pub struct Rtrb;
impl Subject for Rtrb {
    type Tx = rtrb::Producer<u64>;
    type Rx = rtrb::Consumer<u64>;
    fn make(capacity: usize, _: usize, _: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity);
        (vec![producer], vec![consumer])
    }
}

pub struct Channel;
impl Subject for Channel {
    type Tx = crossbeam_channel::Sender<u64>;
    type Rx = crossbeam_channel::Receiver<u64>;
    fn make(capacity: usize, producers: usize, consumers: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        (copies(sender, producers), copies(receiver, consumers))
    }
}

/// An end, and the block from or into which it moves many at once.
pub struct Batch<E>(E, Vec<u64>);

fn batch<E>(end: E) -> Vec<Batch<E>> {
    vec![Batch(end, Vec::with_capacity(BATCH as usize))]
}

impl<E> Batch<E> {
    /// The values that a block begins with: as many as a batch has, from `first` on.
    fn fill(&mut self, first: u64, count: u64) {
        self.1.clear();
        self.1.extend(first..first + count.min(BATCH));
    }

    fn give(&mut self, mut each: impl FnMut(u64)) -> u64 {
        let count = self.1.len() as u64;
        self.1.drain(..).for_each(&mut each);
        count
    }
}

pub struct OurSpscBatches;
impl Subject for OurSpscBatches {
    type Tx = Batch<SpscProducer<u64>>;
    type Rx = Batch<SpscConsumer<u64>>;
    fn make(capacity: usize, _: usize, _: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let (producer, consumer) = SpscQueue::new(capacity).unwrap().split();
        (batch(producer), batch(consumer))
    }
}

impl Tx for Batch<SpscProducer<u64>> {
    fn send(&mut self, first: u64, count: u64) -> u64 {
        self.fill(first, count);
        self.0.enqueue_many(&mut self.1) as u64
    }
}

impl Rx for Batch<SpscConsumer<u64>> {
    fn receive(&mut self, count: u64, each: impl FnMut(u64)) -> u64 {
        self.0.dequeue_many(&mut self.1, count.min(BATCH) as usize);
        self.give(each)
    }
}

pub struct OurMpmcBatches;
impl Subject for OurMpmcBatches {
    type Tx = Batch<Arc<MpmcQueue<u64>>>;
    type Rx = OurMpmcBatch;
    fn make(capacity: usize, _: usize, _: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let queue = Arc::new(MpmcQueue::new(capacity).unwrap());
        (batch(queue.clone()), batch(queue).into_iter().map(OurMpmcBatch).collect())
    }
}

/// The other end of the same type.
pub struct OurMpmcBatch(Batch<Arc<MpmcQueue<u64>>>);

impl Tx for Batch<Arc<MpmcQueue<u64>>> {
    fn send(&mut self, first: u64, count: u64) -> u64 {
        self.fill(first, count);
        self.0.enqueue_many(&mut self.1).unwrap() as u64
    }
}

impl Rx for OurMpmcBatch {
    fn receive(&mut self, count: u64, each: impl FnMut(u64)) -> u64 {
        self.0.0.dequeue_many(&mut self.0.1, count.min(BATCH) as usize).unwrap();
        self.0.give(each)
    }
}

pub struct RtrbBatches;
impl Subject for RtrbBatches {
    type Tx = Batch<rtrb::Producer<u64>>;
    type Rx = Batch<rtrb::Consumer<u64>>;
    fn make(capacity: usize, _: usize, _: usize) -> (Vec<Self::Tx>, Vec<Self::Rx>) {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity);
        (batch(producer), batch(consumer))
    }
}

impl Tx for Batch<rtrb::Producer<u64>> {
    fn send(&mut self, first: u64, count: u64) -> u64 {
        self.fill(first, count);
        self.0.push_partial_slice(&self.1).0.len() as u64
    }
}

impl Rx for Batch<rtrb::Consumer<u64>> {
    fn receive(&mut self, count: u64, each: impl FnMut(u64)) -> u64 {
        self.1.resize(count.min(BATCH) as usize, 0);
        let got = self.0.pop_partial_slice(&mut self.1).0.len();
        self.1.truncate(got);
        self.give(each)
    }
}
