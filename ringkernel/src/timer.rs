//! Deadlines for futures, on any executor, and for whoever else is to be woken at some time: one thread for the process, started
//! by the first deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// When, and a number that keeps equal instants apart.
pub(crate) type Slot = (Instant, u64);

struct Queue {
    wakers: BTreeMap<Slot, Waker>,
    next: u64,
    running: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { wakers: BTreeMap::new(), next: 0, running: false });
static EARLIER: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resolves when a duration has passed; never, where the clock cannot express that moment.
pub(crate) struct Sleep {
    at: Option<Instant>,
    slot: Option<Slot>,
}

impl Sleep {
    pub(crate) fn new(duration: Duration) -> Self {
        Self { at: Instant::now().checked_add(duration), slot: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if Instant::now() >= at {
            return Poll::Ready(());
        }
        let (slot, running) = insert(self.slot, at, cx.waker().clone());
        self.slot = Some(slot);
        if !running {
            // Without a thread to wake us there is only asking again, which keeps the promise at the price of a core.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.slot.take().into_iter().for_each(cancel);
    }
}

/// Wakes `waker` at that moment, unless it is cancelled before. Where no thread can be started for it, it does not.
pub(crate) fn wake_at(at: Instant, waker: Waker) -> Slot {
    insert(None, at, waker).0
}

/// Lets go of a waker. One that has been woken is gone already.
pub(crate) fn cancel(slot: Slot) {
    let waker = lock().wakers.remove(&slot);
    drop(waker);
}

/// Puts a waker in a slot, a new one unless given. Says whether there is a thread that will wake it.
fn insert(slot: Option<Slot>, at: Instant, waker: Waker) -> (Slot, bool) {
    let mut queue = lock();
    if !queue.running {
        queue.running = thread::Builder::new().name("ringkernel-timer".into()).spawn(run).is_ok();
    }
    let slot = slot.unwrap_or_else(|| {
        queue.next += 1;
        (at, queue.next)
    });
    let replaced = queue.wakers.insert(slot, waker);
    let first = queue.wakers.first_key_value().is_some_and(|(first, _)| *first == slot);
    let running = queue.running;
    drop(queue);
    // A waker may run its task's drop: with the lock let go.
    drop(replaced);
    if first {
        EARLIER.notify_one();
    }
    (slot, running)
}

fn run() {
    let mut queue = lock();
    loop {
        let now = Instant::now();
        let Some(first) = queue.wakers.first_entry() else {
            queue = EARLIER.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let at = first.key().0;
        if at > now {
            queue = EARLIER.wait_timeout(queue, at - now).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let waker = first.remove();
        drop(queue);
        // Somebody's waker that panics must not end everybody's deadlines.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        queue = lock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    #[test]
    fn deadlines_come_whatever_their_order_and_never_early() {
        let start = Instant::now();
        smol::block_on(join_all([30u64, 0, 10, 20, 10].map(|ms| async move {
            Sleep::new(Duration::from_millis(ms)).await;
            assert!(start.elapsed() >= Duration::from_millis(ms));
        })));
    }

    #[test]
    fn a_dropped_deadline_leaves_nothing_behind_and_an_endless_one_never_comes() {
        let mut sleeps: Vec<Sleep> = vec![Sleep::new(Duration::from_secs(3600)), Sleep::new(Duration::MAX)];
        let mut cx = Context::from_waker(Waker::noop());
        for sleep in &mut sleeps {
            assert!(Pin::new(sleep).poll(&mut cx).is_pending());
        }
        let slot = sleeps[0].slot.expect("registered");
        assert!(lock().wakers.contains_key(&slot));
        drop(sleeps);
        assert!(!lock().wakers.contains_key(&slot));
    }
}
