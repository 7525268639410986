//! Where the clock's atomics come from. The model that loom runs has another of these.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
