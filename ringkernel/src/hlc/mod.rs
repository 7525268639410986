//! Hybrid logical clocks: [`HlcTimestamp`], which every message carries, and [`Hlc`], the host's clock.
//!
//! The rules are `abi::clock`'s, which the devices share; `last` is the number that a clock is, shared by threads; `clock` brings the time of day.

mod clock;
mod last;
mod sync;
#[cfg(test)]
mod tests;

pub use clock::{ClockDrift, Hlc};
pub(crate) use clock::{HOST, stamp};

use crate::expansion::Definition;
use crate::{DecodeError, DeviceType, RingMessage};
use ringkernel_backends::abi;
use std::fmt;
use std::time::Duration;

/// A moment by a hybrid logical clock: microseconds since 1970 in the upper 52 bits, and in the lower 12 a count that tells apart what happens within
/// one. Timestamps of cause and effect are in order, and near the time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HlcTimestamp(u64);

impl HlcTimestamp {
    /// Bits of the count.
    pub const COUNTER_BITS: u32 = abi::clock::COUNTER_BITS;

    /// From the 64 bits that [`as_u64`](Self::as_u64) gives.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }
    /// The 64 bits, which are in the order of the timestamps.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
    /// Microseconds since 1970.
    pub const fn micros(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }
    /// The count within the microsecond.
    pub const fn counter(self) -> u64 {
        self.0 & ((1 << Self::COUNTER_BITS) - 1)
    }
    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros().saturating_sub(earlier.micros()))
    }
}

impl fmt::Display for HlcTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}+{}", self.micros() / 1_000_000, self.micros() % 1_000_000, self.counter())
    }
}

impl DeviceType for HlcTimestamp {
    const NAME: &'static str = "HlcTimestamp";
    const SIZE: u32 = 8;
    const ALIGN: u32 = 8;
    const DEFINITION: Definition = Definition::Scalar { name: Self::NAME };
    fn encode(&self, out: &mut [u8]) {
        self.0.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        u64::decode(bytes).map(Self)
    }
}

impl RingMessage for HlcTimestamp {
    const TAG: u32 = abi::tag::of_definition("HlcTimestamp");
}
