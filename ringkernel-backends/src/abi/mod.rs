//! What host and device share, in one place.
//!
//! Every offset, slot shape, tag and fault code that crosses the bus is defined in this folder and nowhere else; the
//! compiler and the device runtimes take the numbers from here. Start with [`slot`] (how a message lies in memory), then
//! [`ring`] (how slots are handed over). [`control`] and [`telemetry`] are the two live blocks of a kernel, [`clock`] is how timestamps
//! are given.

pub mod clock;
pub mod control;
pub mod fault;
pub mod ring;
pub mod slot;
pub mod tag;
pub mod telemetry;

pub use control::{ControlBlock, ControlSnapshot, HasTerminated};
pub use fault::FaultKind;
pub use ring::{Batch, Consumer, Full, Ring, RingMemory};
pub use slot::{Correlation, Header, Origin, SlotShape};
pub use telemetry::{TelemetryBuffer, TelemetrySnapshot};

/// Bytes from one instance's state to the next in device memory: the size rounded up to the alignment, to at least 8 and never 0,
/// so that no two instances share a 32-bit word.
pub const fn state_stride(size: u32, align: u32) -> u32 {
    let align = if align > 8 { align } else { 8 };
    let size = if size == 0 { 1 } else { size };
    size.next_multiple_of(align)
}
