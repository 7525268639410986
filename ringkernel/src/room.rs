//! Senders that wait for room in a ring, or in a payload arena, first come, first woken.
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
    places: VecDeque<Entry>,
    /// What those need together that were called and have not noticed.
    called: u64,
}

struct Entry {
    number: u64,
    /// How much it needs: slots, or bytes.
    need: u64,
    waker: Option<Waker>,
}

impl Queue {
    fn find(&self, number: u64) -> Option<usize> {
        self.places.binary_search_by_key(&number, |entry| entry.number).ok()
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at the end of the queue, of who needs so much. Make a `SeqCst` fence and try once more before sleeping: see [`Room::call`].
    pub(crate) fn enter(&self, need: u64) -> Place<'_> {
        // Relaxed: the fence that follows orders it.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut queue = self.lock();
        queue.next += 1;
        let number = queue.next;
        queue.places.push_back(Entry { number, need, waker: None });
        Place { room: self, need, number: Some(number) }
    }

    /// Calls places, as many as `has_room` for what all that are called need together. The caller has made a `SeqCst` fence since it last
    /// saw room being made.
    ///
    /// That fence pairs with the sender's, between taking its place and trying once more: either we see its place, or it sees
    /// the room.
    pub(crate) fn call(&self, has_room: impl Fn(u64) -> bool) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.call_waiting(has_room);
        }
    }

    #[cold]
    fn call_waiting(&self, has_room: impl Fn(u64) -> bool) {
        loop {
            let mut queue = self.lock();
            let Some(first) = queue.places.front() else { return };
            let called = queue.called.saturating_add(first.need);
            if !has_room(called) {
                return;
            }
            queue.called = called;
            let entry = queue.places.pop_front();
            // A waker may do anything, even come here again.
            drop(queue);
            entry.and_then(|entry| entry.waker).into_iter().for_each(crate::live::wake);
        }
    }
}

/// A sender's place in the queue.
pub(crate) struct Place<'a> {
    room: &'a Room,
    need: u64,
    /// `None` once it noticed that it was called.
    number: Option<u64>,
}

impl Place<'_> {
    /// Whether the place was called; else `waker` will be woken when it is.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let Some(number) = self.number else { return Poll::Ready(()) };
        let mut new = Some(waker.clone());
        let mut queue = self.room.lock();
        match queue.find(number) {
            Some(at) => {
                std::mem::swap(&mut queue.places[at].waker, &mut new);
                drop(queue);
                // The old waker goes without the lock: dropping it may drop another sender.
                drop(new);
                Poll::Pending
            }
            None => {
                queue.called = queue.called.saturating_sub(self.need);
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
        let removed = match queue.find(number) {
            Some(at) => queue.places.remove(at),
            None => {
                // It was called and does not come: the next one does.
                let room = queue.called;
                queue.called = room.saturating_sub(self.need);
                drop(queue);
                self.room.call_waiting(|called| called <= room);
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
        let mut places: Vec<_> = wakers.iter().map(|_| room.enter(1)).collect();
        assert!(places.iter_mut().zip(&wakers).all(|(place, waker)| place.poll(waker).is_pending()));
        room.call(|called| called <= 2);
        room.call(|called| called <= 2);
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken(), [1, 1, 0, 0], "two are on their way already");
        assert!(places[0].poll(&wakers[0]).is_ready() && places[2].poll(&wakers[2]).is_pending());
        assert!(places[0].poll(&wakers[0]).is_ready(), "and stays called");
        room.call(|called| called <= 2);
        assert_eq!(woken(), [1, 1, 1, 0]);
        drop(places);
        assert_eq!(room.waiting.load(Ordering::Relaxed), 0);
        assert_eq!(room.lock().called, 0);
    }

    #[test]
    fn a_place_that_was_called_and_is_dropped_calls_the_next_and_one_that_was_not_does_not() {
        let room = Room::default();
        let (counts, wakers) = wakers::<3>();
        let [mut first, mut second, mut third] = [(); 3].map(|()| room.enter(1));
        assert!(first.poll(&wakers[0]).is_pending() && third.poll(&wakers[2]).is_pending());
        assert!(second.poll(&wakers[1]).is_pending());
        drop(second);
        room.call(|called| called <= 1);
        drop(first);
        let woken = counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 0, 1]);
        assert!(third.poll(&wakers[2]).is_ready());
        room.call(|_| true);
    }

    #[test]
    fn who_needs_much_is_not_passed_by_who_came_later_and_needs_little() {
        let room = Room::default();
        let (counts, wakers) = wakers::<3>();
        let mut places = [60, 30, 50].map(|bytes| room.enter(bytes));
        assert!(places.iter_mut().zip(&wakers).all(|(place, waker)| place.poll(waker).is_pending()));
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        room.call(|called| called <= 40);
        assert_eq!(woken(), [0, 0, 0]);
        room.call(|called| called <= 100);
        assert_eq!(woken(), [1, 1, 0], "90 of a hundred are spoken for");
        assert!(places[1].poll(&wakers[1]).is_ready());
        room.call(|called| called <= 100);
        assert_eq!(woken(), [1, 1, 0], "60 are");
        let [first, second, third] = places;
        drop(first);
        assert_eq!(woken(), [1, 1, 1], "it has no use for its 60");
        drop((second, third));
        assert_eq!((room.waiting.load(Ordering::Relaxed), room.lock().called), (0, 0));
    }
}
