//! What is resident on a GPU: how much of it is taken, and how to send everything home for a moment.

use super::pause::Paused;
use super::resident::Core;
use crate::kernel::DeviceError;
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::Duration;

/// Grids that can be resident at once (128 since compute capability 7.0, but for the embedded 7.2). One more would be queued and never
/// start.
pub(super) const MOST_GRIDS: usize = 128;

/// How long resident kernels are given to return for a quiesce: a handler in progress finishes first.
const QUIESCE_DEADLINE: Duration = Duration::from_secs(10);

/// The kernels resident on one GPU.
pub(super) struct Registry {
    multiprocessors: u32,
    kernels: Mutex<Vec<Weak<Core>>>,
}

impl Registry {
    pub(super) fn new(multiprocessors: u32) -> Self {
        Self { multiprocessors, kernels: Mutex::default() }
    }

    /// Whether so many kernels are launched that the next had better not stay for nothing.
    pub(super) fn is_crowded(&self) -> bool {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        retain_resident(&mut kernels);
        kernels.len() >= MOST_GRIDS * 3 / 4
    }

    /// The kernels that were started and may still be there; `None` while somebody launches or makes a call quiesced.
    pub(super) fn listed(&self) -> Option<Vec<Weak<Core>>> {
        let mut kernels = match self.kernels.try_lock() {
            Ok(kernels) => kernels,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        kernels.retain(|kernel| kernel.strong_count() > 0);
        Some(kernels.clone())
    }

    /// Starts `core`, if it fits next to what is resident, and remembers it.
    ///
    /// A grid that does not fit would be queued silently and never start, so room is counted first: see [`fits`].
    pub(super) fn start(&self, core: &Arc<Core>) -> Result<(), DeviceError> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        retain_resident(&mut kernels);
        let resident: Vec<_> = kernels.iter().filter_map(Weak::upgrade).collect();
        // An empty sum is -0.
        let taken = resident.iter().fold(0.0, |taken, kernel| taken + kernel.multiprocessors());
        let wanted = core.multiprocessors();
        if resident.len() >= MOST_GRIDS || !fits(self.multiprocessors, taken, wanted, core.block()) {
            let mut detail = format!(
                "`{}` wants {wanted:.2} of {} multiprocessors; {} kernels are resident (at most {MOST_GRIDS}) and take {taken:.2}",
                core.actor(),
                self.multiprocessors,
                resident.len()
            );
            for kernel in resident.iter().take(4) {
                detail.push_str(&format!("; `{}` {:.2}", kernel.actor(), kernel.multiprocessors()));
            }
            return Err(DeviceError::Capacity { detail });
        }
        core.start()?;
        kernels.push(Arc::downgrade(core));
        Ok(())
    }

    /// Runs `call` while nothing is resident: every kernel returns with its state kept, and is launched again afterwards.
    ///
    /// # Errors
    /// [`DeviceError::Deadline`] if a handler does not come to its end; the kernels that had returned go on, and the one whose handler it
    /// is does when the handler has ended. The same, without waiting, beside a kernel that was given up on.
    pub(super) fn quiesced<T>(&self, call: impl FnOnce() -> T) -> Result<T, DeviceError> {
        // Held throughout, so that nothing is launched meanwhile.
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        retain_resident(&mut kernels);
        let resident: Vec<_> = kernels.iter().filter_map(Weak::upgrade).collect();
        let mut paused = Vec::new();
        let mut outcome = Ok(());
        for kernel in &resident {
            match kernel.pause(QUIESCE_DEADLINE) {
                Ok(guard) => paused.push(guard),
                Err(error) => {
                    kernel.see_back();
                    outcome = Err(error);
                    break;
                }
            }
        }
        let result = outcome.map(|()| call());
        // One that fails keeps none of the others: they are put back when their guards are dropped.
        paused.into_iter().try_for_each(Paused::resume)?;
        result
    }
}

/// Forgets the kernels that are gone.
fn retain_resident(kernels: &mut Vec<Weak<Core>>) {
    kernels.retain(|kernel| kernel.upgrade().is_some_and(|kernel| kernel.is_resident()));
}

/// Whether blocks that take `wanted` multiprocessors together, and `block` of one each, surely find room where `taken` are taken.
///
/// Blocks of other sizes leave gaps: with less than `block` free everywhere, there is none for this one although the gaps add up. So the last block of
/// it finds a place as long as what is taken before does not leave less than `block` on every multiprocessor. Where nothing is taken, there are
/// no gaps.
fn fits(multiprocessors: u32, taken: f64, wanted: f64, block: f64) -> bool {
    let all = multiprocessors as f64;
    let room = if taken > 0.0 { all * (1.0 - block) + block } else { all };
    block <= 1.0 && taken + wanted <= room
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn gaps_that_are_each_too_small_are_no_room() {
        // 132 multiprocessors, 16 blocks each.
        let block = 1.0 / 16.0;
        assert!(fits(132, 0.0, block, block));
        assert!(fits(132, 123.0, block, block));
        // All but a little less than a block of each may be taken by blocks of another size.
        assert!(!fits(132, 132.0 * (1.0 - block) + 0.01, block, block));
        // A block that needs a multiprocessor for itself, and one that needs more.
        assert!(fits(132, 0.0, 1.0, 1.0) && !fits(132, 0.1, 1.0, 1.0));
        assert!(!fits(132, 0.0, 1.1, 1.1));
        // Alone, blocks of one size leave no gaps.
        assert!(fits(132, 0.0, 132.0, 1.0 / 8.0) && !fits(132, 0.0, 132.125, 1.0 / 8.0));
        assert!(!fits(132, block, 128.0, 1.0 / 8.0));
    }
}
