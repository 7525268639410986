//! Where the queues' atomics and cells come from. The model that loom runs has another of these.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A cell whose accesses are calls, as loom's are.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    #[inline(always)]
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// A pointer to read through.
    #[inline(always)]
    pub(crate) fn with<R>(&self, run: impl FnOnce(*const T) -> R) -> R {
        run(self.0.get())
    }

    /// A pointer to write through.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, run: impl FnOnce(*mut T) -> R) -> R {
        run(self.0.get())
    }
}
