//! The control block: 128 bytes through which host and kernel steer each other.

use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

/// Kernel-resident control state, 128 bytes, aligned to 128. One per shard of a kernel.
///
/// The host writes `is_active` and `should_terminate`; the device writes `has_terminated`, `errors_encountered`,
/// `messages_processed` and `last_activity_ticks`: each word has one writer, because the bus has no read-modify-write that
/// host and device agree on. (`has_terminated` is the host's for as long as the kernel is not on the device.) The queue descriptors are
/// written once, before launch.
///
/// The counts are exact once a kernel is idle or has returned. On CUDA they are written after the replies, so that an asker who reads
/// them at once may find its own request not counted yet.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct ControlBlock {
    /// 0: inactive (messages wait), 1: processing. Written by the host.
    pub is_active: AtomicI32,
    /// 0: run, 1: shut down for good, 2: return with the state kept (quiesce). Written by the host.
    pub should_terminate: AtomicI32,
    /// 0: running, 1: done, 2: returned and relaunchable. Written by the device.
    pub has_terminated: AtomicI32,
    /// Requests that ended in a fault. Written by the device.
    pub errors_encountered: AtomicI32,
    /// Requests taken and finished, faults included. Written by the device.
    pub messages_processed: AtomicI64,
    /// The device's clock when it last finished a request, in nanoseconds of that device's own clock.
    pub last_activity_ticks: AtomicI64,
    /// Device address of the request ring's head word (the consumer's position, written by the device).
    pub input_queue_head_ptr: u64,
    /// Device address of the request ring's tail word; 0 where positions are told by slot sequences alone.
    pub input_queue_tail_ptr: u64,
    /// Device address of the request ring's first slot.
    pub input_queue_buffer_ptr: u64,
    /// Slots in the request ring, a power of two.
    pub input_queue_capacity: i32,
    /// Bytes of one request slot, a multiple of 64.
    pub input_queue_message_size: i32,
    /// Device address of the reply ring's head word (the consumer's position, written by the host).
    pub output_queue_head_ptr: u64,
    /// Device address of the reply ring's tail word (the device's reservation counter).
    pub output_queue_tail_ptr: u64,
    /// Device address of the reply ring's first slot.
    pub output_queue_buffer_ptr: u64,
    /// Slots in the reply ring, a power of two.
    pub output_queue_capacity: i32,
    /// Bytes of one reply slot, a multiple of 64.
    pub output_queue_message_size: i32,
    /// Reserved, zero.
    pub reserved: [u64; 4],
}

/// Byte offset of [`ControlBlock::is_active`]. The device runtimes are written with these.
pub const IS_ACTIVE: usize = 0;
/// Byte offset of [`ControlBlock::should_terminate`].
pub const SHOULD_TERMINATE: usize = 4;
/// Byte offset of [`ControlBlock::has_terminated`].
pub const HAS_TERMINATED: usize = 8;
/// Byte offset of [`ControlBlock::errors_encountered`].
pub const ERRORS_ENCOUNTERED: usize = 12;
/// Byte offset of [`ControlBlock::messages_processed`].
pub const MESSAGES_PROCESSED: usize = 16;
/// Byte offset of [`ControlBlock::last_activity_ticks`].
pub const LAST_ACTIVITY_TICKS: usize = 24;

const _: () = {
    assert!(size_of::<ControlBlock>() == 128 && align_of::<ControlBlock>() == 128);
    assert!(offset_of!(ControlBlock, is_active) == IS_ACTIVE);
    assert!(offset_of!(ControlBlock, should_terminate) == SHOULD_TERMINATE);
    assert!(offset_of!(ControlBlock, has_terminated) == HAS_TERMINATED);
    assert!(offset_of!(ControlBlock, errors_encountered) == ERRORS_ENCOUNTERED);
    assert!(offset_of!(ControlBlock, messages_processed) == MESSAGES_PROCESSED);
    assert!(offset_of!(ControlBlock, last_activity_ticks) == LAST_ACTIVITY_TICKS);
    assert!(offset_of!(ControlBlock, input_queue_head_ptr) == 32);
    assert!(offset_of!(ControlBlock, input_queue_tail_ptr) == 40);
    assert!(offset_of!(ControlBlock, input_queue_buffer_ptr) == 48);
    assert!(offset_of!(ControlBlock, input_queue_capacity) == 56);
    assert!(offset_of!(ControlBlock, input_queue_message_size) == 60);
    assert!(offset_of!(ControlBlock, output_queue_head_ptr) == 64);
    assert!(offset_of!(ControlBlock, output_queue_tail_ptr) == 72);
    assert!(offset_of!(ControlBlock, output_queue_buffer_ptr) == 80);
    assert!(offset_of!(ControlBlock, output_queue_capacity) == 88);
    assert!(offset_of!(ControlBlock, output_queue_message_size) == 92);
    assert!(offset_of!(ControlBlock, reserved) == 96);
};

/// What `has_terminated` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HasTerminated {
    /// The kernel has not returned.
    #[default]
    Running,
    /// It returned for good.
    Done,
    /// It returned with its state kept and can be launched again.
    Relaunchable,
}

/// The live part of a control block, read field by field; over several shards, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlSnapshot {
    /// Whether messages are being processed.
    pub is_active: bool,
    /// Whether the host has asked the kernel to return.
    pub should_terminate: bool,
    /// Whether it has.
    pub has_terminated: HasTerminated,
    /// Requests that ended in a fault.
    pub errors_encountered: u64,
    /// Requests finished, faults included.
    pub messages_processed: u64,
    /// The newest activity, in nanoseconds of the device's own clock.
    pub last_activity_ticks: i64,
}

impl ControlBlock {
    /// Reads the live fields. Each is exact; together they are not one instant.
    pub fn snapshot(&self) -> ControlSnapshot {
        // Relaxed: counters and flags for people to read. Nothing else is read on the strength of them.
        ControlSnapshot {
            is_active: self.is_active.load(Ordering::Relaxed) != 0,
            should_terminate: self.should_terminate.load(Ordering::Relaxed) != 0,
            has_terminated: match self.has_terminated.load(Ordering::Relaxed) {
                0 => HasTerminated::Running,
                2 => HasTerminated::Relaunchable,
                _ => HasTerminated::Done,
            },
            errors_encountered: self.errors_encountered.load(Ordering::Relaxed) as u32 as u64,
            messages_processed: self.messages_processed.load(Ordering::Relaxed) as u64,
            last_activity_ticks: self.last_activity_ticks.load(Ordering::Relaxed),
        }
    }
}

impl ControlSnapshot {
    /// Folds another shard's block into this one.
    pub fn merge(self, other: Self) -> Self {
        use HasTerminated::*;
        Self {
            is_active: self.is_active && other.is_active,
            should_terminate: self.should_terminate || other.should_terminate,
            has_terminated: match (self.has_terminated, other.has_terminated) {
                (Running, _) | (_, Running) => Running,
                (Relaunchable, _) | (_, Relaunchable) => Relaunchable,
                (Done, Done) => Done,
            },
            errors_encountered: self.errors_encountered + other.errors_encountered,
            messages_processed: self.messages_processed + other.messages_processed,
            last_activity_ticks: self.last_activity_ticks.max(other.last_activity_ticks),
        }
    }
}
