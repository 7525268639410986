//! The end of the process, and the threads that are nobody's: the clock's keeper, and those that see a late kernel back.
//!
//! When a process exits, the driver is taken down while other threads go on, and the pinned memory of kernels that are still there (because they hang, or
//! because nobody dropped them) is the driver's: for all that is documented, it may be unmapped then. Whoever calls us at that time does so on a thread of the
//! program's, which is the program's business. Our own threads must not be caught reading. So they touch pinned memory, and call the driver, only
//! [`inside`], and a handler of the process's exit closes the door: it waits until everybody is out, and lets nobody in again.
//!
//! Why the driver is there until then: handlers that were registered with `atexit` run in the reverse order, before any destructor of a library, and
//! ours is registered when the driver has long been started and a kernel launched. On Windows the system ends all other threads before a library is told, and no handler
//! is needed. A process that ends without running handlers (a signal, `_exit`) takes its threads and its memory in one go.
//!
//! The exit waits for what a thread does inside: a look at some words, or suspending and activating a kernel for its clock, which has a deadline of milliseconds.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Whether it is closed.
static DOOR: RwLock<bool> = RwLock::new(false);

/// Has the door closed when the process exits; false where the system does not take that on, and then there can be no threads that count on it.
pub(super) fn is_watched() -> bool {
    #[cfg(unix)]
    {
        unix::is_watched()
    }
    #[cfg(not(unix))]
    true
}

/// Proof that the process is not exiting, and will not while this lives. Held for moments only.
pub(super) struct Inside {
    _door: RwLockReadGuard<'static, bool>,
}

/// Goes inside. Once the process is exiting, this does not return.
pub(super) fn inside() -> Inside {
    let door = DOOR.read().unwrap_or_else(PoisonError::into_inner);
    if !*door {
        return Inside { _door: door };
    }
    drop(door);
    loop {
        std::thread::park();
    }
}

#[cfg(unix)]
mod unix {
    use super::DOOR;
    use std::ffi::c_int;
    use std::sync::{OnceLock, PoisonError};

    /// The process that has the threads, where the handler is registered.
    static PROCESS: OnceLock<Option<u32>> = OnceLock::new();

    // SAFETY: C declares it so, and it may be called at any time.
    unsafe extern "C" {
        safe fn atexit(handler: extern "C" fn()) -> c_int;
    }

    extern "C" fn close() {
        // A fork has a copy of the door, maybe with somebody inside who is not there to leave it; and none of the threads.
        if PROCESS.get().copied().flatten() == Some(std::process::id()) {
            *DOOR.write().unwrap_or_else(PoisonError::into_inner) = true;
        }
    }

    pub(super) fn is_watched() -> bool {
        PROCESS.get_or_init(|| (atexit(close) == 0).then(std::process::id)).is_some()
    }
}
