//! Waiting for a future without an executor: the blocking half of `ask_blocking`, and of shutting down on drop.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        // Release pairs with the acquire swap in `block_on`: the poll that follows sees what was done before the wake.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// What wakes this thread, kept so that blocking again allocates nothing. Absent while it is in use.
    static SPARE: Cell<Option<(Arc<Unpark>, Waker)>> = const { Cell::new(None) };
}

/// Runs a future to its end on this thread, which sleeps while there is nothing to do.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    let (unpark, waker) = spare.unwrap_or_else(|| {
        let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
        (unpark.clone(), Waker::from(unpark))
    });
    let mut context = Context::from_waker(&waker);
    let output = {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                break output;
            }
            // A token left by somebody else's unpark ends `park` early; the flag tells.
            while !unpark.woken.swap(false, Ordering::Acquire) {
                thread::park();
            }
        }
    };
    // A wake that is still to come for the future that is done makes the next one be polled once more than it must.
    let _ = SPARE.try_with(|spare| spare.set(Some((unpark, waker))));
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[test]
    fn it_sleeps_until_woken_and_a_stray_unpark_does_not_poll_again() {
        let mut polls = 0;
        let (send, receive) = std::sync::mpsc::channel::<Waker>();
        let this = thread::current();
        let helper = thread::spawn(move || {
            let waker = receive.recv().unwrap();
            this.unpark();
            thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            send.send(cx.waker().clone()).unwrap();
            Poll::Pending
        }));
        helper.join().unwrap();
        assert_eq!(polls, 2);
    }
}
