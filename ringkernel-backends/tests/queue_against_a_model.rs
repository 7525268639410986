//! Every queue against `VecDeque`: random calls, small capacities, positions that wrap.

use proptest::prelude::*;
use ringkernel_backends::queue::{
    DequeueError, EnqueueError, InUse, MOST_CAPACITY, MOST_LANES, MessageQueue, MpmcQueue, MpscConsumer,
    MpscProducer, MpscQueue, PriorityQueue, QueueStats, SizeError, SpscConsumer, SpscProducer, SpscQueue,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Copy, Debug)]
enum Call {
    Enqueue,
    Dequeue,
    EnqueueMany(usize),
    DequeueMany(usize),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        3 => Just(Call::Enqueue),
        3 => Just(Call::Dequeue),
        1 => (0..12_usize).prop_map(Call::EnqueueMany),
        1 => (0..12_usize).prop_map(Call::DequeueMany),
    ];
    prop::collection::vec(call, 0..80)
}

/// Where positions start: so that they wrap soon, or that the doubled ones do.
fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        (0..40_u64).prop_map(|back| u64::MAX - back),
        (0..40_u64).prop_map(|back| (1 << 63) - back)
    ]
}

/// Two ends behind one reference, so that they can be put to the same test.
struct Ends<P, C>(Mutex<P>, Mutex<C>);

macro_rules! as_a_queue {
    ($producer:ident, $consumer:ident) => {
        impl<T: Send> MessageQueue<T> for Ends<$producer<T>, $consumer<T>> {
            fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>> {
                #[allow(unused_mut)]
                let mut producer = self.0.lock().unwrap();
                producer.try_enqueue(value)
            }
            fn try_dequeue(&self) -> Result<T, DequeueError> {
                self.1.lock().unwrap().try_dequeue()
            }
            fn enqueue_many(&self, values: &mut Vec<T>) -> Result<usize, InUse> {
                #[allow(unused_mut)]
                let mut producer = self.0.lock().unwrap();
                Ok(producer.enqueue_many(values))
            }
            fn dequeue_many(&self, out: &mut Vec<T>, most: usize) -> Result<usize, InUse> {
                Ok(self.1.lock().unwrap().dequeue_many(out, most))
            }
            fn len(&self) -> usize {
                self.0.lock().unwrap().len()
            }
            fn capacity(&self) -> usize {
                self.1.lock().unwrap().capacity()
            }
            fn stats(&self) -> QueueStats {
                self.1.lock().unwrap().stats()
            }
        }
    };
}
as_a_queue!(SpscProducer, SpscConsumer);
as_a_queue!(MpscProducer, MpscConsumer);

fn every_queue<T: Send + 'static>(capacity: usize, start: u64) -> [Box<dyn MessageQueue<T>>; 6] {
    let spsc = || SpscQueue::starting_at(capacity, start).unwrap();
    let mpsc = || MpscQueue::starting_at(capacity, start).unwrap();
    let (producer, consumer) = spsc().split();
    let (many, one) = mpsc().split();
    [
        Box::new(spsc()),
        Box::new(Ends(Mutex::new(producer), Mutex::new(consumer))),
        Box::new(mpsc()),
        Box::new(Ends(Mutex::new(many), Mutex::new(one))),
        Box::new(MpmcQueue::starting_at(capacity, start).unwrap()),
        Box::new(PriorityQueue::starting_at(1, capacity, start).unwrap()),
    ]
}

fn does_as_the_model(queue: &dyn MessageQueue<String>, calls: &[Call]) {
    let mut model = VecDeque::new();
    let mut stats = QueueStats::default();
    let mut names = (0..).map(|number: u32| number.to_string());
    for call in calls {
        let room = queue.capacity() - model.len();
        match *call {
            Call::Enqueue => {
                let name = names.next().unwrap();
                let refused = (room == 0).then(|| EnqueueError::Full(name.clone()));
                assert_eq!(queue.try_enqueue(name.clone()).err(), refused);
                match refused {
                    Some(_) => stats.refused += 1,
                    None => model.push_back(name),
                }
                stats.enqueued += (room > 0) as u64;
            }
            Call::Dequeue => {
                stats.dequeued += !model.is_empty() as u64;
                assert_eq!(queue.try_dequeue(), model.pop_front().ok_or(DequeueError::Empty));
            }
            Call::EnqueueMany(count) => {
                let mut values: Vec<_> = names.by_ref().take(count).collect();
                let expected: Vec<_> = values.clone();
                let moved = count.min(room);
                assert_eq!(queue.enqueue_many(&mut values), Ok(moved));
                assert_eq!(values, expected[moved..]);
                model.extend(expected.into_iter().take(moved));
                stats.enqueued += moved as u64;
                stats.refused += (count - moved) as u64;
            }
            Call::DequeueMany(most) => {
                let mut out = vec!["before".to_owned()];
                let moved = most.min(model.len());
                assert_eq!(queue.dequeue_many(&mut out, most), Ok(moved));
                assert_eq!(out[0], "before");
                assert_eq!(out[1..], model.drain(..moved).collect::<Vec<_>>());
                stats.dequeued += moved as u64;
            }
        }
        stats.high_water = stats.high_water.max(model.len() as u64);
        assert_eq!(queue.len(), model.len());
        assert_eq!(queue.is_empty(), model.is_empty());
        assert_eq!(queue.stats(), stats, "after {call:?}");
    }
}

proptest! {
    #[test]
    fn every_queue_does_as_a_deque_does(capacity in 1..=9_usize, start in starts(), calls in calls()) {
        for queue in every_queue(capacity, start) {
            prop_assert_eq!(queue.capacity(), capacity.next_power_of_two());
            does_as_the_model(&*queue, &calls);
        }
    }

    #[test]
    fn lanes_come_out_by_priority_and_in_order(
        lanes in 1..5_usize, start in starts(), calls in prop::collection::vec((any::<bool>(), 0..5_usize), 0..80),
    ) {
        let queue = PriorityQueue::starting_at(lanes, 4, start).unwrap();
        let mut model = vec![VecDeque::new(); lanes];
        for (number, (enqueue, lane)) in calls.into_iter().enumerate() {
            if enqueue {
                let expected = match model.get_mut(lane) {
                    None => Err(EnqueueError::NoSuchLane { value: number, lane, lanes }),
                    Some(full) if full.len() == 4 => Err(EnqueueError::Full(number)),
                    Some(has_room) => {
                        has_room.push_back(number);
                        Ok(())
                    }
                };
                prop_assert_eq!(queue.try_enqueue_at(lane, number), expected);
            } else if lane == 4 {
                // Now and then all at once.
                let mut out = Vec::new();
                prop_assert_eq!(queue.dequeue_many(&mut out, 100), Ok(out.len()));
                prop_assert_eq!(out, model.iter_mut().flat_map(|lane| lane.drain(..)).collect::<Vec<_>>());
            } else {
                let expected = model.iter_mut().find_map(VecDeque::pop_front).ok_or(DequeueError::Empty);
                prop_assert_eq!(queue.try_dequeue(), expected);
            }
            for (lane, model) in model.iter().enumerate() {
                let stats = queue.lane_stats(lane).unwrap();
                prop_assert_eq!(stats.enqueued - stats.dequeued, model.len() as u64);
            }
        }
    }

    #[test]
    fn whatever_happens_every_value_is_dropped_once(capacity in 1..=9_usize, start in starts(), calls in calls()) {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        for queue in every_queue(capacity, start) {
            let (dropped, mut made) = (Arc::new(AtomicUsize::new(0)), 0);
            let mut make = || {
                made += 1;
                Counted(dropped.clone())
            };
            for call in &calls {
                match *call {
                    Call::Enqueue => drop(queue.try_enqueue(make())),
                    Call::Dequeue => drop(queue.try_dequeue()),
                    Call::EnqueueMany(count) => drop(queue.enqueue_many(&mut (0..count).map(|_| make()).collect())),
                    Call::DequeueMany(most) => drop(queue.dequeue_many(&mut Vec::new(), most)),
                }
            }
            let inside = queue.len();
            prop_assert_eq!(dropped.load(Ordering::Relaxed), made - inside);
            drop(queue);
            prop_assert_eq!(dropped.load(Ordering::Relaxed), made);
        }
    }
}

#[test]
fn a_size_that_cannot_be_is_an_error() {
    assert_eq!(SpscQueue::<u8>::new(0).unwrap_err(), SizeError::Zero);
    assert_eq!(MpscQueue::<u8>::new(0).unwrap_err(), SizeError::Zero);
    assert_eq!(MpmcQueue::<u8>::new(0).unwrap_err(), SizeError::Zero);
    for asked in [MOST_CAPACITY + 1, usize::MAX] {
        let error = SizeError::TooLarge { asked, most: MOST_CAPACITY };
        assert_eq!(SpscQueue::<u8>::new(asked).unwrap_err(), error);
        assert_eq!(MpmcQueue::<u8>::new(asked).unwrap_err(), error);
    }
    // 2⁶⁰ bytes: no machine has them, and asking must not abort.
    assert!(matches!(SpscQueue::<[u8; 1 << 30]>::new(MOST_CAPACITY), Err(SizeError::NoMemory { .. })));
    assert!(matches!(MpmcQueue::<[u8; 1 << 30]>::new(MOST_CAPACITY), Err(SizeError::NoMemory { .. })));
    for asked in [0, MOST_LANES + 1] {
        assert_eq!(
            PriorityQueue::<u8>::new(asked, 1).unwrap_err(),
            SizeError::Lanes { asked, most: MOST_LANES }
        );
    }
}

#[test]
fn what_is_in_a_queue_outlives_its_split_and_one_of_its_ends() {
    let queue = SpscQueue::new(4).unwrap();
    queue.try_enqueue("before").unwrap();
    let (mut producer, mut consumer) = queue.split();
    producer.try_enqueue("after").unwrap();
    drop(producer);
    assert_eq!([consumer.try_dequeue(), consumer.try_dequeue()], [Ok("before"), Ok("after")]);
}

#[test]
fn values_without_size_are_counted_too() {
    for queue in every_queue(2, u64::MAX) {
        assert_eq!(queue.enqueue_many(&mut vec![(); 3]), Ok(2));
        assert_eq!(queue.try_enqueue(()), Err(EnqueueError::Full(())));
        assert_eq!([(); 3].map(|()| queue.try_dequeue()), [Ok(()), Ok(()), Err(DequeueError::Empty)]);
    }
}

#[test]
fn errors_and_queues_print_without_the_values() {
    struct Silent;
    let queue = MpmcQueue::new(1).unwrap();
    queue.try_enqueue(Silent).unwrap();
    let error = queue.try_enqueue(Silent).unwrap_err();
    assert_eq!(
        format!("{error:?}: {error}"),
        "Full(..): the queue is full: dequeue, wait, or drop the value"
    );
    assert!(format!("{queue:?}").starts_with("MpmcQueue { capacity: 1, stats: QueueStats { enqueued: 1,"));
}
