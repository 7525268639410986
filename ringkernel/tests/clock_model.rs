//! The clock that threads share, under loom: every interleaving and every reordering the memory model allows, on the very file that runs. It takes its
//! atomics from a module beside it, which here is loom's.

use loom::sync::Arc;
use loom::thread;
use ringkernel_backends::abi::clock::physical;

#[path = "../src/hlc/last.rs"]
mod last;

/// What `last` takes its atomics from.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use last::Last;
use sync::{AtomicU64, Ordering};

fn clock() -> Arc<Last> {
    Arc::new(Last(AtomicU64::new(0)))
}

#[test]
fn no_two_threads_get_the_same_stamp_and_each_gets_larger_ones() {
    loom::model(|| {
        let clock = clock();
        let other = clock.clone();
        // One whose time of day is behind, and one whose time goes on; a batch on one side.
        let thread = thread::spawn(move || [other.stamp(physical(1), 2), other.stamp(physical(3), 1)]);
        let ours = [clock.stamp(physical(2), 1), clock.next(1)];
        let theirs = thread.join().unwrap();
        assert!(ours[0] >= physical(2) && theirs[1] >= physical(3));
        assert!(ours[0] < ours[1] && theirs[0] + 1 < theirs[1]);
        let mut all = [ours[0], ours[1], theirs[0], theirs[0] + 1, theirs[1]];
        all.sort_unstable();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        assert!(clock.get() == all[4]);
    });
}

#[test]
fn what_one_thread_has_seen_is_past_for_whoever_hears_of_it() {
    loom::model(|| {
        let (clock, told) = (clock(), Arc::new(AtomicU64::new(0)));
        let (other, tell) = (clock.clone(), told.clone());
        let seen = physical(7);
        let thread = thread::spawn(move || {
            other.merge(seen, physical(5));
            // Release pairs with the acquire below: news by another way than the clock.
            tell.store(other.stamp(physical(5), 1), Ordering::Release);
        });
        let before = clock.stamp(physical(6), 1);
        let news = told.load(Ordering::Acquire);
        let after = clock.stamp(physical(6), 1);
        assert!(before < after);
        if news != 0 {
            assert!(news > seen && after > news);
        }
        thread.join().unwrap();
        assert!(clock.get() > seen);
    });
}
