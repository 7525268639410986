//! Executes what [`ptx`](crate::ptx) has read.

use std::time::Duration;

/// What device code may touch. Device addresses are addresses of this process.
pub trait Memory: Send + Sync {
    /// Whether these bytes are memory of the device, or of the host and visible to it.
    fn allows(&self, address: u64, bytes: u64) -> bool;
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has executed as many instructions as it was to.
    Ran,
    /// Every lane that has not ended naps, the shortest for so long.
    Asleep(Duration),
    /// Every lane has ended.
    Done,
}
