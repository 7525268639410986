//! The states of a kernel and the steps between them.
//!
//! ```text
//! Launched ──activate──▶ Active ──deactivate, suspend──▶ Deactivated ──activate, resume──▶ Active
//! Launched, Active, Deactivated ──terminate──▶ Terminated
//! ```
//!
//! Messages sent to a launched or deactivated kernel wait for it; messages sent to a terminated one fail. Steps are taken one at
//! a time: a second one waits until the first has been taken by the device, and then sees the state it led to.
//!
//! Terminating [fails what waits, or drains it first](crate::TerminateOptions). A kernel that is being drained is active, and refuses
//! what is sent as a terminated one does. The other steps wait for the end of that; terminating again cuts it short.
//!
//! A kernel whose device is lost, or that was found to [hang](crate::RingKernelError::KernelHung), keeps the state it had and answers
//! nothing. It is terminated like any other, which waits for its device no longer than the deadline.
//!
//! States of instances are read and replaced between steps ([`snapshot_all`](crate::KernelHandle::snapshot_all),
//! [`restore`](crate::KernelHandle::restore), [`image`](crate::KernelHandle::image)): an active kernel stops for that long and goes on.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Where a kernel is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelState {
    /// On the device, not yet processing messages.
    Launched,
    /// Processing messages.
    Active,
    /// Keeping its state, not processing messages.
    Deactivated,
    /// Gone.
    Terminated,
}

impl fmt::Display for KernelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Launched => "launched",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Terminated => "terminated",
        })
    }
}

/// A step that can be asked of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// Start processing messages, for the first time or again.
    Activate,
    /// Stop processing messages.
    Deactivate,
    /// The same as [`Deactivate`](Self::Deactivate).
    Suspend,
    /// Start processing messages again.
    Resume,
    /// End.
    Terminate,
}

impl Transition {
    /// The states it can be asked in.
    pub const fn allowed_from(self) -> &'static [KernelState] {
        use KernelState::*;
        match self {
            Self::Activate => &[Launched, Deactivated],
            Self::Deactivate | Self::Suspend => &[Active],
            Self::Resume => &[Deactivated],
            Self::Terminate => &[Launched, Active, Deactivated],
        }
    }

    /// The state it leads to.
    pub const fn target(self) -> KernelState {
        match self {
            Self::Activate | Self::Resume => KernelState::Active,
            Self::Deactivate | Self::Suspend => KernelState::Deactivated,
            Self::Terminate => KernelState::Terminated,
        }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Activate => "activate",
            Self::Deactivate => "deactivate",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Terminate => "terminate",
        })
    }
}

/// A kernel's state, and who is changing it.
pub(crate) struct Lifecycle {
    inner: Mutex<Inner>,
    free: Condvar,
}

struct Inner {
    state: KernelState,
    busy: bool,
}

impl Lifecycle {
    pub(crate) fn new(state: KernelState) -> Self {
        Self { inner: Mutex::new(Inner { state, busy: false }), free: Condvar::new() }
    }

    pub(crate) fn state(&self) -> KernelState {
        self.lock().state
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else is changing the state, and keeps others from it until the turn is dropped.
    ///
    /// With a deadline, gives up waiting when it has passed, and goes ahead beside whoever is stuck: this is how a kernel
    /// whose device does not come back from a step is terminated all the same.
    pub(crate) fn turn(&self, deadline: Option<Instant>) -> Turn<'_> {
        let mut inner = self.lock();
        while inner.busy {
            inner = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.free.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.free.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        inner.busy = true;
        Turn { lifecycle: self }
    }
}

/// The right to change a kernel's state.
pub(crate) struct Turn<'a> {
    lifecycle: &'a Lifecycle,
}

impl Turn<'_> {
    pub(crate) fn state(&self) -> KernelState {
        self.lifecycle.state()
    }

    /// Says that the step has been taken. Nothing leads out of `Terminated`, whoever comes late.
    pub(crate) fn set(&self, state: KernelState) {
        let mut inner = self.lifecycle.lock();
        if inner.state != KernelState::Terminated {
            inner.state = state;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lifecycle.lock().busy = false;
        self.lifecycle.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn the_table_is_the_documented_one_and_no_more() {
        use KernelState::*;
        use Transition::*;
        let mut steps = Vec::new();
        for from in [Launched, Active, Deactivated, Terminated] {
            for action in [Activate, Deactivate, Suspend, Resume, Terminate] {
                if action.allowed_from().contains(&from) {
                    steps.push((from, action, action.target()));
                }
            }
        }
        assert_eq!(
            steps,
            [
                (Launched, Activate, Active),
                (Launched, Terminate, Terminated),
                (Active, Deactivate, Deactivated),
                (Active, Suspend, Deactivated),
                (Active, Terminate, Terminated),
                (Deactivated, Activate, Active),
                (Deactivated, Resume, Active),
                (Deactivated, Terminate, Terminated),
            ]
        );
    }

    #[test]
    fn turns_exclude_each_other() {
        let lifecycle = Lifecycle::new(KernelState::Launched);
        let inside = AtomicU32::new(0);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..200 {
                        let _turn = lifecycle.turn(None);
                        // Relaxed: the turn's mutex orders the accesses; this only counts.
                        assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::Relaxed);
                    }
                });
            }
        });
    }

    #[test]
    fn a_deadline_gets_past_a_turn_that_does_not_end_and_terminated_is_final() {
        let lifecycle = Lifecycle::new(KernelState::Active);
        let stuck = lifecycle.turn(None);
        let late = lifecycle.turn(Some(Instant::now() + Duration::from_millis(20)));
        late.set(KernelState::Terminated);
        drop(late);
        stuck.set(KernelState::Deactivated);
        drop(stuck);
        assert_eq!(lifecycle.state(), KernelState::Terminated);
    }
}
