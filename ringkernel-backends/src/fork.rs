//! Whether this process is a fork of one that had a device open.
//!
//! A forked child has one thread, so nobody there runs handlers or looks for replies; memory that a GPU maps is not there at all, and
//! locks may be held by threads that do not exist. All that can be done is to notice, before anything is touched. A flag that the
//! child's side of `fork` sets makes that cheap enough to ask before every message.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// From now on, forks of this process are told what they are. To be called before a device is opened.
pub fn watch() {
    static ONCE: Once = Once::new();
    if forked() {
        return;
    }
    ONCE.call_once(|| {
        // Relaxed, here and below: a child is a copy of the thread that forked and of what that thread saw.
        PROCESS.store(std::process::id(), Ordering::Relaxed);
        #[cfg(unix)]
        unix::watch();
    });
}

/// Whether this process is a fork of one that called [`watch`].
#[inline]
pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// The process that called [`watch`] first: this one, or the one it is a fork of.
pub fn watched_process() -> u32 {
    PROCESS.load(Ordering::Relaxed)
}

#[cfg(unix)]
mod unix {
    use super::FORKED;
    use std::ffi::c_int;
    use std::sync::atomic::Ordering;

    type Handler = Option<extern "C" fn()>;

    // SAFETY: POSIX declares it so; every system that std supports under `unix` and that can fork has it in its C library.
    unsafe extern "C" {
        safe fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }

    extern "C" fn in_child() {
        // The one thing done there is async-signal-safe.
        FORKED.store(true, Ordering::Relaxed);
    }

    pub(super) fn watch() {
        // It fails where memory is out: then forks do not know what they are, which is how it is without us.
        let _ = pthread_atfork(None, None, Some(in_child));
    }
}
