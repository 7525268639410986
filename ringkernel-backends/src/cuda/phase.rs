//! What a kernel is up to: changed under a lock, which is held for as long as a start, a pause or an end takes, and what others have to know without
//! waiting for that.
//!
//! Two of them must not wait. A launch asks every kernel whether it still takes room ([`Phases::is_over`]). And whoever sends to an event-driven kernel that
//! has left has it brought back, on his own thread ([`ring`]): where the lock is taken, he leaves word, and its holder does it when he lets go.

use crate::host::lock_by;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started yet.
    Prepared,
    Resident,
    /// It returned for good, or was lost with its device.
    Ended,
    /// It did not return when told to: its memory must never be used again.
    Stuck,
}

/// A kernel's phase, from `Prepared` on.
pub(super) struct Phases {
    lock: Mutex<Phase>,
    /// It has ended, and stays so.
    over: AtomicBool,
    /// Somebody rang, and nobody has answered yet.
    rung: AtomicBool,
}

/// Who has a phase, and answers where somebody rang.
pub(super) trait HasPhase {
    fn phases(&self) -> &Phases;

    /// Does what whoever rang wants done. With the lock held.
    fn answer(&self, phase: Phase);
}

impl Phases {
    pub(super) fn new() -> Self {
        let (over, rung) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { lock: Mutex::new(Phase::Prepared), over, rung }
    }

    /// Whether the kernel has ended, and takes no room on the GPU. Never waits.
    pub(super) fn is_over(&self) -> bool {
        // Acquire pairs with the release in `Held::becomes`: whoever sees that it is over, and has something take its place, does that after the driver has said
        // that its grid is gone.
        self.over.load(Ordering::Acquire)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Phase>> {
        match self.lock.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Waits for the lock.
pub(super) fn hold<T: HasPhase>(of: &T) -> Held<'_, T> {
    let phase = of.phases().lock.lock().unwrap_or_else(PoisonError::into_inner);
    Held { of, phase: Some(phase) }
}

/// Takes the lock if nobody has it.
pub(super) fn try_hold<T: HasPhase>(of: &T) -> Option<Held<'_, T>> {
    of.phases().try_lock().map(|phase| Held { of, phase: Some(phase) })
}

/// Waits for the lock until then.
pub(super) fn hold_by<T: HasPhase>(of: &T, until: Instant) -> Option<Held<'_, T>> {
    lock_by(&of.phases().lock, until).map(|phase| Held { of, phase: Some(phase) })
}

/// Has it answered, here and now, or by whoever has the lock when he lets go of it. Never waits for the lock.
pub(super) fn ring<T: HasPhase>(of: &T) {
    // Release pairs with the exchange in `answer`: who answers sees what whoever rang had seen. That it is seen at all is for the fence there.
    of.phases().rung.store(true, Ordering::Release);
    answer(of);
}

/// Answers if somebody rang and nobody has the lock, for who has it will do this when he lets go of it.
///
/// That nobody's ring is lost: one who rings writes `rung`, makes the fence, and then finds the lock taken; one who lets go of the lock does that, makes the
/// fence, and then reads `rung`. Of the two fences (`SeqCst`, so they have an order) one is first. If it is the ringer's, the other sees `rung`. If it
/// is the other's, the ringer finds the lock free, or taken once more by somebody who has yet to let go of it.
fn answer<T: HasPhase>(of: &T) {
    let phases = of.phases();
    loop {
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence; the exchange below is what answers.
        if !phases.rung.load(Ordering::Relaxed) {
            return;
        }
        let Some(phase) = phases.try_lock() else { return };
        // Acquire pairs with the release in `ring`. A ring that comes after this is answered by another round.
        if phases.rung.swap(false, Ordering::Acquire) {
            of.answer(*phase);
        }
    }
}

/// The lock, held.
pub(super) struct Held<'a, T: HasPhase> {
    of: &'a T,
    /// There until it is let go of.
    phase: Option<MutexGuard<'a, Phase>>,
}

impl<T: HasPhase> Held<'_, T> {
    /// Changes the phase.
    pub(super) fn becomes(&mut self, next: Phase) {
        if let Some(phase) = &mut self.phase {
            **phase = next;
        }
        // Release pairs with the acquire in `is_over`. Nothing leaves `Ended`.
        self.of.phases().over.store(next == Phase::Ended, Ordering::Release);
    }
}

impl<T: HasPhase> Deref for Held<'_, T> {
    type Target = Phase;

    fn deref(&self) -> &Phase {
        // It is there: only `drop` takes it.
        self.phase.as_deref().unwrap_or(&Phase::Ended)
    }
}

impl<T: HasPhase> Drop for Held<'_, T> {
    fn drop(&mut self) {
        drop(self.phase.take());
        answer(self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    struct Door {
        phases: Phases,
        answers: AtomicU32,
        phase: Mutex<Option<Phase>>,
    }

    impl HasPhase for Door {
        fn phases(&self) -> &Phases {
            &self.phases
        }

        fn answer(&self, phase: Phase) {
            self.answers.fetch_add(1, Ordering::Relaxed);
            *self.phase.lock().unwrap() = Some(phase);
        }
    }

    fn door() -> Door {
        Door { phases: Phases::new(), answers: AtomicU32::new(0), phase: Mutex::default() }
    }

    #[test]
    fn whoever_rings_does_not_wait_for_the_lock_and_its_holder_answers_when_he_lets_go() {
        let door = door();
        ring(&door);
        assert_eq!(door.answers.load(Ordering::Relaxed), 1);
        let mut held = hold(&door);
        // This would not return if it waited.
        ring(&door);
        ring(&door);
        assert_eq!(door.answers.load(Ordering::Relaxed), 1);
        held.becomes(Phase::Resident);
        drop(held);
        // Both at once, and with the phase as it was left.
        assert_eq!(door.answers.load(Ordering::Relaxed), 2);
        assert_eq!(*door.phase.lock().unwrap(), Some(Phase::Resident));
        drop(hold(&door));
        assert_eq!(door.answers.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn that_a_kernel_is_over_is_known_while_others_hold_the_lock() {
        let door = door();
        let mut held = hold(&door);
        for phase in [Phase::Resident, Phase::Stuck] {
            held.becomes(phase);
            assert!(!door.phases.is_over() && *held == phase);
        }
        held.becomes(Phase::Ended);
        assert!(door.phases.is_over());
        assert!(try_hold(&door).is_none() && hold_by(&door, Instant::now()).is_none());
    }

    #[test]
    fn no_ring_is_lost_however_the_lock_changes_hands() {
        const RINGS: u32 = 20_000;
        let (door, asked) = (door(), AtomicU32::new(0));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        drop(hold(&door));
                    }
                });
            }
            for _ in 0..RINGS {
                let before = door.answers.load(Ordering::Relaxed);
                asked.fetch_add(1, Ordering::Relaxed);
                ring(&door);
                // By whoever has the lock, and soon.
                let begin = Instant::now();
                while door.answers.load(Ordering::Relaxed) == before {
                    assert!(begin.elapsed().as_secs() < 20, "nobody answers");
                    std::thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(door.answers.load(Ordering::Relaxed), asked.load(Ordering::Relaxed));
    }
}
