//! The telemetry buffer: 64 bytes a kernel updates while it runs.

use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

/// Live figures of one shard, 64 bytes, aligned to 64. The device writes them, the host reads them.
///
/// Latencies are service times: from the moment the device takes a request to the moment its reply is published, by the
/// device's own clock; on CUDA, of the batch a request was taken in, and on WebGPU, of the dispatch by the host's clock. On the CPU, up to
/// 32 messages of a stream that takes under 2 us share their time evenly; longer ones are timed each. With nothing processed,
/// `min_latency_nanos` is `u64::MAX`.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct TelemetryBuffer {
    /// Requests finished, faults included.
    pub messages_processed: AtomicU64,
    /// Slots whose header could not be believed (it claimed more than a slot holds). CUDA answers these with a fault like any other and
    /// counts them as errors only.
    pub messages_dropped: AtomicU64,
    /// The device's clock at the last finished request, nanoseconds.
    pub last_processed_timestamp: AtomicI64,
    /// Requests seen waiting when the last batch was taken.
    pub queue_depth: AtomicI32,
    /// Sum of service times, nanoseconds.
    pub total_latency_nanos: AtomicU64,
    /// Longest service time, nanoseconds.
    pub max_latency_nanos: AtomicU64,
    /// Shortest service time, nanoseconds.
    pub min_latency_nanos: AtomicU64,
    /// The [`FaultKind`](super::FaultKind) of the last fault, 0 if there was none.
    pub error_code: AtomicI32,
}

/// Byte offset of [`TelemetryBuffer::messages_processed`].
pub const PROCESSED: usize = 0;
/// Byte offset of [`TelemetryBuffer::messages_dropped`].
pub const DROPPED: usize = 8;
/// Byte offset of [`TelemetryBuffer::last_processed_timestamp`].
pub const LAST_TIMESTAMP: usize = 16;
/// Byte offset of [`TelemetryBuffer::queue_depth`].
pub const QUEUE_DEPTH: usize = 24;
/// Byte offset of [`TelemetryBuffer::total_latency_nanos`].
pub const TOTAL_LATENCY: usize = 32;
/// Byte offset of [`TelemetryBuffer::max_latency_nanos`].
pub const MAX_LATENCY: usize = 40;
/// Byte offset of [`TelemetryBuffer::min_latency_nanos`].
pub const MIN_LATENCY: usize = 48;
/// Byte offset of [`TelemetryBuffer::error_code`].
pub const ERROR_CODE: usize = 56;

const _: () = {
    assert!(size_of::<TelemetryBuffer>() == 64 && align_of::<TelemetryBuffer>() == 64);
    assert!(offset_of!(TelemetryBuffer, messages_processed) == PROCESSED);
    assert!(offset_of!(TelemetryBuffer, messages_dropped) == DROPPED);
    assert!(offset_of!(TelemetryBuffer, last_processed_timestamp) == LAST_TIMESTAMP);
    assert!(offset_of!(TelemetryBuffer, queue_depth) == QUEUE_DEPTH);
    assert!(offset_of!(TelemetryBuffer, total_latency_nanos) == TOTAL_LATENCY);
    assert!(offset_of!(TelemetryBuffer, max_latency_nanos) == MAX_LATENCY);
    assert!(offset_of!(TelemetryBuffer, min_latency_nanos) == MIN_LATENCY);
    assert!(offset_of!(TelemetryBuffer, error_code) == ERROR_CODE);
};

impl Default for TelemetryBuffer {
    fn default() -> Self {
        Self {
            messages_processed: AtomicU64::new(0),
            messages_dropped: AtomicU64::new(0),
            last_processed_timestamp: AtomicI64::new(0),
            queue_depth: AtomicI32::new(0),
            total_latency_nanos: AtomicU64::new(0),
            max_latency_nanos: AtomicU64::new(0),
            min_latency_nanos: AtomicU64::new(u64::MAX),
            error_code: AtomicI32::new(0),
        }
    }
}

/// A telemetry buffer as the host read it; over several shards, folded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetrySnapshot {
    /// Requests finished, faults included.
    pub messages_processed: u64,
    /// Slots whose header could not be believed.
    pub messages_dropped: u64,
    /// The device's clock at the last finished request, nanoseconds.
    pub last_processed_timestamp: i64,
    /// Requests seen waiting when the last batch was taken.
    pub queue_depth: u64,
    /// Sum of service times, nanoseconds.
    pub total_latency_nanos: u64,
    /// Longest service time, nanoseconds.
    pub max_latency_nanos: u64,
    /// Shortest service time, nanoseconds; `u64::MAX` when nothing was processed.
    pub min_latency_nanos: u64,
    /// Code of the last fault, 0 if there was none.
    pub error_code: i32,
}

impl Default for TelemetrySnapshot {
    fn default() -> Self {
        TelemetryBuffer::default().snapshot()
    }
}

impl TelemetryBuffer {
    /// Reads every field. Each is exact; together they are not one instant.
    pub fn snapshot(&self) -> TelemetrySnapshot {
        // Relaxed: figures for people to read; nothing is read on the strength of them.
        TelemetrySnapshot {
            messages_processed: self.messages_processed.load(Ordering::Relaxed),
            messages_dropped: self.messages_dropped.load(Ordering::Relaxed),
            last_processed_timestamp: self.last_processed_timestamp.load(Ordering::Relaxed),
            queue_depth: self.queue_depth.load(Ordering::Relaxed).max(0) as u64,
            total_latency_nanos: self.total_latency_nanos.load(Ordering::Relaxed),
            max_latency_nanos: self.max_latency_nanos.load(Ordering::Relaxed),
            min_latency_nanos: self.min_latency_nanos.load(Ordering::Relaxed),
            error_code: self.error_code.load(Ordering::Relaxed),
        }
    }

    /// Accounts for the time that `count` requests took together, each an equal share of it. For a device whose only writer is the
    /// calling thread.
    pub fn record_times(&self, now: i64, nanos: u64, count: u64) {
        // Relaxed throughout, and load + store instead of fetch_add: this thread is the only writer.
        let total = self.total_latency_nanos.load(Ordering::Relaxed);
        self.total_latency_nanos.store(total + nanos, Ordering::Relaxed);
        self.last_processed_timestamp.store(now, Ordering::Relaxed);
        let each = nanos / count.max(1);
        if each > self.max_latency_nanos.load(Ordering::Relaxed) {
            self.max_latency_nanos.store(each, Ordering::Relaxed);
        }
        if each < self.min_latency_nanos.load(Ordering::Relaxed) {
            self.min_latency_nanos.store(each, Ordering::Relaxed);
        }
    }
}

impl TelemetrySnapshot {
    /// Folds another shard's figures into this one.
    pub fn merge(self, other: Self) -> Self {
        Self {
            messages_processed: self.messages_processed + other.messages_processed,
            messages_dropped: self.messages_dropped + other.messages_dropped,
            last_processed_timestamp: self.last_processed_timestamp.max(other.last_processed_timestamp),
            queue_depth: self.queue_depth + other.queue_depth,
            total_latency_nanos: self.total_latency_nanos + other.total_latency_nanos,
            max_latency_nanos: self.max_latency_nanos.max(other.max_latency_nanos),
            min_latency_nanos: self.min_latency_nanos.min(other.min_latency_nanos),
            error_code: if other.error_code != 0 { other.error_code } else { self.error_code },
        }
    }
}
