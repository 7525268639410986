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

use last::{HAND, Hand, Last};
use std::cell::Cell;
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

#[test]
fn what_a_thread_has_in_hand_is_not_given_after_what_another_did_that_it_has_heard_of() {
    // The other stamps; sees a timestamp that the clock has passed already, but not what is in hand, or one that it has not; or gives one of its own hand.
    for other_does in 0..4 {
        loom::model(move || {
            let (clock, told) = (clock(), Arc::new(AtomicU64::new(0)));
            let hand = Cell::new(Hand::EMPTY);
            let first = clock.one(&hand);
            let (other, tell) = (clock.clone(), told.clone());
            let thread = thread::spawn(move || {
                let hand = Cell::new(Hand::EMPTY);
                let news = match other_does {
                    0 => other.next(2),
                    1 => first + HAND / 2,
                    2 => first + 3 * HAND,
                    _ => other.one(&hand),
                };
                if let 1 | 2 = other_does {
                    let past = other.pass(news).unwrap_or_else(|| other.saw(news, physical(0)));
                    assert!(past >= news);
                }
                // Release pairs with the acquire below: news by another way than the clock.
                tell.store(news, Ordering::Release);
                let after = other.one(&hand);
                assert!(after > news && after > first);
                after
            });
            let second = clock.one(&hand);
            let news = told.load(Ordering::Acquire);
            let third = clock.one(&hand);
            assert!(first < second && second < third);
            assert!(third > news, "{third} after {news}");
            let theirs = thread.join().unwrap();
            assert!(theirs != second && theirs != third);
            assert!(clock.one(&hand) > theirs);
        });
    }
}
