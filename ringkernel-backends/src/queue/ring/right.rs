//! Who may be at an end of a queue that is one thread's.

use super::Apart;
use crate::queue_sync::{AtomicBool, Ordering};

/// The right to be the only one, for a moment.
pub(in super::super) struct Right(Apart<AtomicBool>);

/// Who holds it gives it back by dropping this.
pub(in super::super) struct Held<'a>(&'a AtomicBool);

impl Right {
    pub(in super::super) fn new() -> Self {
        Self(Apart(AtomicBool::new(false)))
    }

    /// The right, if nobody has it.
    #[inline]
    pub(in super::super) fn take(&self) -> Option<Held<'_>> {
        let taken = &self.0.0;
        // Acquire: pairs with the release in `drop`, so that all that the last holder did at this end has happened.
        match taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Held(taken)),
            Err(_) => None,
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the acquire in `take`.
        self.0.store(false, Ordering::Release);
    }
}
