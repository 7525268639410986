//! What the devices that keep their rings in host memory share: the shapes of the rings and whether they fit, the control
//! block that describes them, and locks with a deadline.

use crate::abi::{ControlBlock, Ring, SlotShape, ring::RawMemory};
use crate::kernel::{DeviceError, LaunchSpec, Port};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// The slots of a kernel's rings.
#[derive(Clone, Copy)]
pub(crate) struct Shapes {
    pub(crate) request: SlotShape,
    pub(crate) reply: SlotShape,
    /// The position both begin at.
    pub(crate) first_position: u64,
}

impl Shapes {
    /// The shapes for a launch, if it makes sense.
    pub(crate) fn check(spec: &LaunchSpec, device: &str) -> Result<Self, DeviceError> {
        let &LaunchSpec { descriptor, instances, queue_capacity, .. } = spec;
        if instances == 0 || !queue_capacity.is_power_of_two() {
            let detail = format!(
                "`{}` was to be launched with {instances} instances and {queue_capacity} slots a queue; there must be an \
                 instance, and the slots must be a power of two",
                descriptor.id
            );
            return Err(DeviceError::Capacity { detail });
        }
        let shape = |bytes: u32| {
            SlotShape::for_payload(bytes as usize).ok_or_else(|| DeviceError::Unsupported {
                actor: descriptor.actor,
                what: format!("messages of {bytes} bytes"),
                device: device.to_owned(),
            })
        };
        Ok(Self {
            request: shape(descriptor.message_size())?,
            reply: shape(descriptor.reply_payload_size())?,
            first_position: spec.tuning.first_position,
        })
    }

    /// Whether the rings of `shards` shards fit; their bytes.
    pub(crate) fn check_memory(self, spec: &LaunchSpec, shards: u32) -> Result<u64, DeviceError> {
        let slots = spec.queue_capacity as u64 * shards as u64;
        let bytes = slots * (self.request.bytes() + self.reply.bytes()) as u64;
        check_memory(bytes, &format!("the rings of `{}`", spec.descriptor.id))?;
        Ok(bytes)
    }

    /// A shard's rings.
    pub(crate) fn port(self, capacity: u32) -> Port {
        let ring = |shape| Ring::new(RawMemory::heap(capacity, shape), capacity, shape, self.first_position);
        Port { requests: ring(self.request), replies: ring(self.reply) }
    }
}

/// A control block that says where a shard's rings lie. Tails are 0: positions are told by slot sequences alone.
pub(crate) fn control_block(port: &Port, active: bool) -> ControlBlock {
    let (requests, replies) = (port.requests.memory(), port.replies.memory());
    ControlBlock {
        is_active: (active as i32).into(),
        input_queue_head_ptr: requests.head_address(),
        input_queue_buffer_ptr: requests.slots_address(),
        input_queue_capacity: port.requests.capacity() as i32,
        input_queue_message_size: port.requests.shape().bytes() as i32,
        output_queue_head_ptr: replies.head_address(),
        output_queue_buffer_ptr: replies.slots_address(),
        output_queue_capacity: port.replies.capacity() as i32,
        output_queue_message_size: port.replies.shape().bytes() as i32,
        ..ControlBlock::default()
    }
}

/// Whether `bytes` of host memory can be had, as far as can be told without touching them: an allocation that fails later
/// would end the process.
pub(crate) fn check_memory(bytes: u64, what: &str) -> Result<(), DeviceError> {
    let refused = || DeviceError::OutOfMemory { bytes, what: what.to_owned() };
    if available().is_some_and(|available| bytes > available) {
        return Err(refused());
    }
    // An overcommitting system still refuses what it could never give.
    let length = usize::try_from(bytes).map_err(|_| refused())?;
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| refused())
}

/// Bytes that can be used without swapping, where the system says (Linux).
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Takes a lock that is held for as long as a batch of handlers runs, or gives up at the deadline.
///
/// A holder that panicked has left nothing half done that the next one would not see: poison is ignored.
pub(crate) fn lock_by<T>(mutex: &Mutex<T>, deadline: Instant) -> Option<MutexGuard<'_, T>> {
    let mut tries = 0;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
            Err(TryLockError::WouldBlock) if tries < 100 => thread::yield_now(),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_micros(100)),
        }
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_and_a_page_is_not() {
        assert!(check_memory(4096, "a page").is_ok());
        assert_eq!(
            check_memory(1 << 60, "an exbibyte"),
            Err(DeviceError::OutOfMemory { bytes: 1 << 60, what: "an exbibyte".to_owned() })
        );
    }

    #[test]
    fn a_lock_that_is_held_is_given_up_on_and_one_that_is_free_is_taken() {
        let mutex = Mutex::new(5);
        let held = mutex.lock();
        thread::scope(|s| {
            s.spawn(|| assert!(lock_by(&mutex, Instant::now() + Duration::from_millis(5)).is_none()));
        });
        drop(held);
        assert_eq!(lock_by(&mutex, Instant::now()).as_deref(), Some(&5));
    }
}
