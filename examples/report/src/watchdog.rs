//! Ends a report that hangs, and says where it hung.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long one figure may take. Every wait of a measurement gives up well before that.
const LIMIT: Duration = Duration::from_secs(90);

/// What is being done, and since when; `None` when nothing is.
type Doing = Option<(String, Instant)>;

/// A thread that watches the one that measures.
pub struct Watchdog {
    doing: Arc<Mutex<Doing>>,
}

impl Watchdog {
    /// Starts the thread. Where there is none to be had, nothing is watched.
    pub fn start() -> Self {
        let doing = Arc::new(Mutex::new(None));
        let seen = Arc::downgrade(&doing);
        let watch = move || {
            while let Some(doing) = seen.upgrade() {
                if let Some((what, since)) = &*lock(&doing)
                    && since.elapsed() > LIMIT
                {
                    eprintln!("{what}: no end after {LIMIT:?}; giving up");
                    process::exit(3);
                }
                drop(doing);
                thread::sleep(Duration::from_millis(200));
            }
        };
        if let Err(error) = thread::Builder::new().name("report-watchdog".into()).spawn(watch) {
            eprintln!("without a watchdog: {error}");
        }
        Self { doing }
    }

    /// Something new begins, and what went before has ended.
    pub fn watch(&self, what: String) {
        *lock(&self.doing) = Some((what, Instant::now()));
    }

    /// Everything has ended.
    pub fn stop(&self) {
        *lock(&self.doing) = None;
    }
}

fn lock(doing: &Mutex<Doing>) -> std::sync::MutexGuard<'_, Doing> {
    doing.lock().unwrap_or_else(PoisonError::into_inner)
}
