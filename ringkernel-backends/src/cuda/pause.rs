//! How a kernel goes home for a moment, with its state kept, and comes back: quiesces, and kernels that were late for one.

use super::exit;
use super::phase::{Held, Phase};
use super::resident::Core;
use crate::kernel::DeviceError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Proof that a kernel has returned with its state kept; it goes on when this is resumed.
pub(super) struct Paused<'a> {
    core: &'a Core,
    phase: Held<'a, Core>,
    resumed: bool,
}

impl Core {
    /// Puts a kernel back that went home although it should be resident: one that was told to return for a quiesce, and was late.
    pub(super) fn put_back(&self) -> Result<(), DeviceError> {
        // A lock that is held means that the kernel is being paused or ended: then its absence is wanted.
        let Some(phase) = self.try_phase() else { return Ok(()) };
        // A shard that is done for good (`Tuning::stop_after`) stays so.
        let done =
            (0..self.shards).any(|shard| self.control(shard).has_terminated.load(Ordering::Relaxed) == 1);
        if *phase == Phase::Resident && !done && self.stream_is_idle()? { self.relaunch() } else { Ok(()) }
    }

    /// Brings a kernel back that was late for a quiesce, if it comes home in time. With the phase's lock held.
    pub(super) fn bring_back(&self, deadline: Duration) -> Result<(), DeviceError> {
        // Relaxed: written with the phase's lock held.
        if !self.late.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.wait_until_returned(deadline)? {
            return self.relaunch();
        }
        Err(DeviceError::Deadline { what: "a handler in progress", deadline })
    }

    /// Puts a kernel back that was late for a quiesce, once it is home, from a thread of its own: nobody may be looking after it.
    pub(super) fn see_back(self: &Arc<Self>) {
        /// How often it is looked after.
        const EVERY: Duration = Duration::from_millis(1);
        // Relaxed: this thread has just written it, if it is so.
        if !self.late.load(Ordering::Relaxed) || !exit::is_watched() {
            return;
        }
        let core = self.clone();
        let see = move || {
            let over = || core.try_phase().is_some_and(|phase| *phase != Phase::Resident);
            let is_late = || {
                let _inside = exit::inside();
                // Relaxed: seen a little later is soon enough.
                core.late.load(Ordering::Relaxed) && !over() && core.put_back().is_ok()
            };
            while is_late() {
                std::thread::sleep(EVERY);
            }
        };
        // Without a thread, whoever waits for a reply and asks for `failure` puts it back.
        let _ = std::thread::Builder::new().name("ringkernel-late".into()).spawn(see);
    }

    /// Sends the kernel home with its state kept.
    ///
    /// One that is late, because a handler of one of its shards does not come to its end, has to be [seen back](Self::see_back): other
    /// shards may have returned already, and come back only all together.
    pub(super) fn pause(&self, deadline: Duration) -> Result<Paused<'_>, DeviceError> {
        let mut phase = self.phase();
        match *phase {
            Phase::Resident => {
                self.ask_to_return(2);
                if !self.wait_until_returned(deadline)? {
                    // Relaxed: with the phase's lock held.
                    self.late.store(true, Ordering::Relaxed);
                    return Err(DeviceError::Deadline { what: "a quiesce", deadline });
                }
                // Relaxed: for `heartbeat`.
                self.away.store(true, Ordering::Relaxed);
            }
            // A kernel that was given up on may still be there, and what is to be done quiesced would wait for it for ever.
            Phase::Stuck if self.stream_is_idle()? => phase.becomes(Phase::Ended),
            Phase::Stuck => {
                return Err(DeviceError::Deadline {
                    what: "the end of a kernel that was terminated",
                    deadline,
                });
            }
            Phase::Prepared | Phase::Ended => {}
        }
        Ok(Paused { core: self, phase, resumed: false })
    }
}

impl Paused<'_> {
    /// Puts the kernel back.
    pub(super) fn resume(mut self) -> Result<(), DeviceError> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<(), DeviceError> {
        let resumed = std::mem::replace(&mut self.resumed, true);
        if resumed || *self.phase != Phase::Resident { Ok(()) } else { self.core.relaunch() }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        // A panic came in between. Should this fail, whoever waits for a reply tries again, by `failure`.
        let _ = self.put_back();
    }
}
