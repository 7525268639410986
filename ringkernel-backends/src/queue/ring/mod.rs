//! The two rings, and with them all of the queues' `unsafe`: cells that hold a value or nothing, and positions that say which.
//!
//! [`spsc`]: one producer, one consumer, two positions. [`shared`]: many of either, and a sequence in every slot. [`right`]: who may be
//! at an end that is one thread's. Positions count values and wrap at 2⁶⁴; a slot's index is a position's low bits.

pub(super) mod right;
pub(super) mod shared;
pub(super) mod spsc;

use super::SizeError;

/// The largest capacity of a queue, or of a lane.
pub const MOST_CAPACITY: usize = 1 << 30;

/// A capacity as a power of two, at least as large.
fn round(asked: usize) -> Result<usize, SizeError> {
    match asked {
        0 => Err(SizeError::Zero),
        1..=MOST_CAPACITY => Ok(asked.next_power_of_two()),
        _ => Err(SizeError::TooLarge { asked, most: MOST_CAPACITY }),
    }
}

/// `count` slots, or the error that there is no memory for them.
fn slots<S>(count: usize, slot: impl FnMut(usize) -> S) -> Result<Box<[S]>, SizeError> {
    let mut slots = Vec::new();
    slots
        .try_reserve_exact(count)
        .map_err(|_| SizeError::NoMemory { slots: count, bytes: size_of::<S>() })?;
    slots.extend((0..count).map(slot));
    Ok(slots.into_boxed_slice())
}

/// How far `end` is ahead of `from`; nothing where it is behind.
#[inline]
fn ahead(end: u64, from: u64) -> u64 {
    let distance = end.wrapping_sub(from);
    if distance as i64 > 0 { distance } else { 0 }
}

/// Apart from what other threads write: two cache lines, since processors fetch them in pairs.
#[repr(align(128))]
struct Apart<T>(T);
