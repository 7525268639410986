//! Bounded queues between host threads: [`MessageQueue`], and the rings behind it.
//!
//! | queue | producers | consumers | beyond the trait |
//! | --- | --- | --- | --- |
//! | [`SpscQueue`] | one | one | [`split`](SpscQueue::split) into two ends, which then check nothing |
//! | [`MpscQueue`] | many | one | [`split`](MpscQueue::split) into producers that can be cloned and one consumer |
//! | [`MpmcQueue`] | many | many | |
//! | [`PriorityQueue`] | many | many | lanes: the most urgent first |
//!
//! They hold values of any type, in memory of this process. The rings that cross to a device are `abi::ring`'s: those hold slots of
//! bytes that both sides lay out alike, and these are not for them.
//!
//! Nothing here waits, locks, or allocates after it was made. A call does what it can at once or says why not, and whoever wants to
//! wait does so in the way that suits the program.
//!
//! Start reading at the trait, then `ring/spsc.rs` and `ring/shared.rs`, where all of the `unsafe` is; the other files are the safe
//! surface. Everything atomic comes through `crate::queue_sync`: `tests/queue_model.rs` compiles this folder with another of
//! these, whose atomics are loom's.

mod ends;
mod error;
mod mpmc;
mod mpsc;
mod priority;
mod ring;
mod spsc;
mod stats;

pub use error::{DequeueError, EnqueueError, InUse, SizeError};
pub use mpmc::MpmcQueue;
pub use mpsc::{MpscConsumer, MpscProducer, MpscQueue};
pub use priority::{MOST_LANES, PriorityQueue};
pub use ring::MOST_CAPACITY;
pub use spsc::{SpscConsumer, SpscProducer, SpscQueue};
pub use stats::QueueStats;

/// A bounded queue of `T` that threads share by reference.
///
/// The values of one producer come out in the order in which it put them in; each comes out once, or is dropped with the queue.
/// What a thread did before it enqueued a value has happened for the thread that dequeues it.
///
/// A queue with one producer or one consumer ([`SpscQueue`], [`MpscQueue`]) checks at every call through this trait that nobody else
/// is at that end at that moment. Who comes second is refused with `InUse` and nothing happens. The calls may come from different
/// threads, one after another.
///
/// # Examples
///
/// A pipeline does not need to know which queue it was given:
///
/// ```
/// use ringkernel_backends::queue::{DequeueError, EnqueueError, MessageQueue, MpmcQueue, SpscQueue};
///
/// fn relay(from: &dyn MessageQueue<u32>, to: &dyn MessageQueue<u32>) -> Result<(), EnqueueError<u32>> {
///     while let Ok(value) = from.try_dequeue() {
///         to.try_enqueue(value)?;
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (first, second) = (SpscQueue::new(4)?, MpmcQueue::new(2)?);
///
/// // Many at once. What finds no room stays in the vector.
/// let mut values = vec![1, 2, 3, 4, 5];
/// assert_eq!(first.enqueue_many(&mut values)?, 4);
/// assert_eq!(values, [5]);
///
/// // A full queue gives the value back: the third of the four.
/// match relay(&first, &second) {
///     Err(EnqueueError::Full(value)) => assert_eq!(value, 3),
///     other => panic!("{other:?}"),
/// }
///
/// // The queue has counted all that.
/// let stats = second.stats();
/// assert_eq!((stats.enqueued, stats.dequeued, stats.refused, stats.high_water), (2, 0, 1, 2));
///
/// // Room again; and an empty queue says that it is empty.
/// assert_eq!((second.try_dequeue(), second.try_dequeue()), (Ok(1), Ok(2)));
/// assert_eq!(second.try_dequeue(), Err(DequeueError::Empty));
/// relay(&first, &second)?;
/// assert_eq!(second.try_dequeue(), Ok(4));
/// # Ok(())
/// # }
/// ```
pub trait MessageQueue<T>: Send + Sync {
    /// Puts `value` at the end.
    ///
    /// # Errors
    /// With the value, where there is no room or (where there may be one producer only) another thread is enqueueing.
    fn try_enqueue(&self, value: T) -> Result<(), EnqueueError<T>>;

    /// Takes the oldest value.
    ///
    /// # Errors
    /// Where there is none, or (where there may be one consumer only) another thread is dequeueing.
    fn try_dequeue(&self) -> Result<T, DequeueError>;

    /// Moves as many values as there is room for from the front of `values` to the end of the queue, in order, and says how many.
    /// The rest stays. The rings take each run of them behind one reservation, so that no other producer's come between.
    ///
    /// # Errors
    /// Where there may be one producer only and another thread is enqueueing. Nothing was moved.
    fn enqueue_many(&self, values: &mut Vec<T>) -> Result<usize, InUse>;

    /// Moves up to `most` of the oldest values to the end of `out`, in order, and says how many.
    ///
    /// # Errors
    /// Where there may be one consumer only and another thread is dequeueing. Nothing was moved.
    fn dequeue_many(&self, out: &mut Vec<T>, most: usize) -> Result<usize, InUse>;

    /// How many values are in the queue. While others use it, it was so a moment ago.
    fn len(&self) -> usize;

    /// How many values it holds at most.
    fn capacity(&self) -> usize;

    /// Whether nothing is in the queue; see [`len`](Self::len).
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far; see [`QueueStats`].
    fn stats(&self) -> QueueStats;
}
