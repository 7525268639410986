//! What host and device share, in one place.
//!
//! Every offset, slot shape, tag and fault code that crosses the bus is defined in this folder and nowhere else; the
//! compiler and the device runtimes take the numbers from here. Start with [`slot`] (how a message lies in memory), then
//! [`ring`] (how slots are handed over). [`control`] and [`telemetry`] are the two live blocks of a kernel.

pub mod control;
pub mod fault;
pub mod ring;
pub mod slot;
pub mod tag;
pub mod telemetry;

pub use control::{ControlBlock, ControlSnapshot, HasTerminated};
pub use fault::FaultKind;
pub use ring::{Full, Ring, RingMemory};
pub use slot::{Correlation, Header, SlotShape};
pub use telemetry::{TelemetryBuffer, TelemetrySnapshot};
