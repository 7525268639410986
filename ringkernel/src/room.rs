//! Senders that wait for room in a ring, first come, first woken.
//!
//! A sender takes a [`Place`], tries once more, and sleeps until its place is called. The queue has a lock, which only those
//! take who found the ring full, and who makes room while somebody waits; nobody allocates once the queue has grown to the
//! number of senders that wait together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

#[derive(Default)]
pub(crate) struct Room {
    /// Places there are.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    next: u64,
    /// Those not called yet, in the order of their numbers.
    places: VecDeque<(u64, Option<Waker>)>,
    /// Places that were called and have not noticed.
    called: usize,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at the end of the queue. Make a `SeqCst` fence and try once more before sleeping: see [`Room::call`].
    pub(crate) fn enter(&self) -> Place<'_> {
        // Relaxed: the fence that follows orders it.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut queue = self.lock();
        queue.next += 1;
        let number = queue.next;
        queue.places.push_back((number, None));
        Place { room: self, number: Some(number) }
    }

    /// Calls places until `room()` of them are called. The caller has made a `SeqCst` fence since it last saw slots given back.
    ///
    /// That fence pairs with the sender's, between taking its place and trying once more: either we see its place, or it sees
    /// the room.
    pub(crate) fn call(&self, room: impl FnOnce() -> usize) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.call_waiting(room());
        }
    }

    #[cold]
    fn call_waiting(&self, room: usize) {
        loop {
            let mut queue = self.lock();
            if queue.called >= room {
                return;
            }
            let Some((_, waker)) = queue.places.pop_front() else { return };
            queue.called += 1;
            // A waker may do anything, even come here again.
            drop(queue);
            waker.into_iter().for_each(crate::live::wake);
        }
    }
}

/// A sender's place in the queue.
pub(crate) struct Place<'a> {
    room: &'a Room,
    /// `None` once it noticed that it was called.
    number: Option<u64>,
}

impl Place<'_> {
    /// Whether the place was called; else `waker` will be woken when it is.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let Some(number) = self.number else { return Poll::Ready(()) };
        let mut new = Some(waker.clone());
        let mut queue = self.room.lock();
        match queue.places.binary_search_by_key(&number, |place| place.0) {
            Ok(at) => {
                std::mem::swap(&mut queue.places[at].1, &mut new);
                drop(queue);
                // The old waker goes without the lock: dropping it may drop another sender.
                drop(new);
                Poll::Pending
            }
            Err(_) => {
                queue.called -= 1;
                self.number = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            self.room.waiting.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        let mut queue = self.room.lock();
        let removed = match queue.places.binary_search_by_key(&number, |place| place.0) {
            Ok(at) => queue.places.remove(at),
            Err(_) => {
                // It was called and does not come: the next one does.
                queue.called -= 1;
                let called = queue.called;
                drop(queue);
                self.room.call_waiting(called + 1);
                self.room.waiting.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        };
        drop(queue);
        self.room.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            // Relaxed: read on the same thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wakers<const N: usize>() -> ([Arc<Count>; N], [Waker; N]) {
        let counts: [_; N] = std::array::from_fn(|_| Arc::new(Count(AtomicUsize::new(0))));
        let wakers = std::array::from_fn(|i| Waker::from(counts[i].clone()));
        (counts, wakers)
    }

    #[test]
    fn places_are_called_in_the_order_they_were_taken_and_no_more_than_there_is_room_for() {
        let room = Room::default();
        let (counts, wakers) = wakers::<4>();
        let mut places: Vec<_> = wakers.iter().map(|_| room.enter()).collect();
        assert!(places.iter_mut().zip(&wakers).all(|(place, waker)| place.poll(waker).is_pending()));
        room.call(|| 2);
        room.call(|| 2);
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken(), [1, 1, 0, 0], "two are on their way already");
        assert!(places[0].poll(&wakers[0]).is_ready() && places[2].poll(&wakers[2]).is_pending());
        assert!(places[0].poll(&wakers[0]).is_ready(), "and stays called");
        room.call(|| 2);
        assert_eq!(woken(), [1, 1, 1, 0]);
        drop(places);
        assert_eq!(room.waiting.load(Ordering::Relaxed), 0);
        assert_eq!(room.lock().called, 0);
    }

    #[test]
    fn a_place_that_was_called_and_is_dropped_calls_the_next_and_one_that_was_not_does_not() {
        let room = Room::default();
        let (counts, wakers) = wakers::<3>();
        let [mut first, mut second, mut third] = [(); 3].map(|()| room.enter());
        assert!(first.poll(&wakers[0]).is_pending() && third.poll(&wakers[2]).is_pending());
        assert!(second.poll(&wakers[1]).is_pending());
        drop(second);
        room.call(|| 1);
        drop(first);
        let woken = counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 0, 1]);
        assert!(third.poll(&wakers[2]).is_ready());
        room.call(|| usize::MAX);
    }
}
