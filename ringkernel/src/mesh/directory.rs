//! The numbers of the kernels of this process, and which kernel has which.

use crate::live::LiveKernel;
use ringkernel_backends::mesh::{KernelNumber, MOST_KERNELS};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};

static DIRECTORY: RwLock<Directory> = RwLock::new(Directory { places: Vec::new(), next: FIRST });

/// 0 is nobody's, so that what was left at zero is nobody's.
const FIRST: usize = 1;

struct Directory {
    /// By number. `None`: free.
    places: Vec<Option<Weak<LiveKernel>>>,
    /// Where to look for a free number.
    next: usize,
}

fn write() -> RwLockWriteGuard<'static, Directory> {
    DIRECTORY.write().unwrap_or_else(PoisonError::into_inner)
}

/// A number that is this kernel's until it is dropped.
#[derive(Debug)]
pub(crate) struct Number {
    number: KernelNumber,
    retired: AtomicBool,
}

impl Number {
    /// A number that no kernel has, the one that was given back longest ago: what was sent under it has long been handled. `None` when all
    /// are taken.
    pub(crate) fn take() -> Option<Self> {
        let most = MOST_KERNELS as usize;
        let mut directory = write();
        let start = directory.next;
        let number = (0..most - FIRST)
            .map(|step| (start - FIRST + step) % (most - FIRST) + FIRST)
            .find(|&number| directory.places.get(number).is_none_or(Option::is_none))?;
        if directory.places.len() <= number {
            directory.places.resize(number + 1, None);
        }
        directory.places[number] = Some(Weak::new());
        directory.next = number + 1;
        Some(Self { number: number as KernelNumber, retired: AtomicBool::new(false) })
    }

    pub(crate) fn get(&self) -> KernelNumber {
        self.number
    }

    /// Whose it is.
    pub(crate) fn announce(&self, live: &Arc<LiveKernel>) {
        write().places[self.number as usize] = Some(Arc::downgrade(live));
    }

    /// Never gives it back: the device was given up on, and may still send under it.
    pub(crate) fn retire(&self) {
        // Relaxed: read by whoever drops it, which comes after.
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let left = if *self.retired.get_mut() { Some(Weak::new()) } else { None };
        write().places[self.number as usize] = left;
    }
}

/// The kernel of that number, if there is one.
pub(crate) fn find(number: KernelNumber) -> Option<Arc<LiveKernel>> {
    let directory = DIRECTORY.read().unwrap_or_else(PoisonError::into_inner);
    directory.places.get(number as usize)?.as_ref()?.upgrade()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_once_and_not_at_once_again() {
        let (one, two) = (Number::take().unwrap(), Number::take().unwrap());
        assert_ne!(one.get(), two.get());
        assert!(one.get() != 0 && u32::from(one.get()) < MOST_KERNELS);
        let gone = one.get();
        drop(one);
        assert_ne!(Number::take().unwrap().get(), gone);
        assert!(find(two.get()).is_none() && find(0).is_none() && find(u16::MAX).is_none());
    }
}
