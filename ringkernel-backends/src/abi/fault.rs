//! Fault codes: why a handler did not answer.

/// What went wrong in a handler. The code is what crosses the bus, in the first payload word of a [`FAULT`](super::tag::FAULT)
/// reply; the second word is the index of the source site in the actor's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
#[non_exhaustive]
pub enum FaultKind {
    /// `a + b`, `a - b`, `a * b`, `-a` or a conversion out of range, where the build checks overflow.
    Overflow = 1,
    /// `a / 0` or `a % 0`.
    DivisionByZero = 2,
    /// `MIN / -1` or `MIN % -1`.
    DivisionOverflow = 3,
    /// A shift by at least the width, where the build checks overflow.
    ShiftOverflow = 4,
    /// An index at or beyond the length.
    IndexOutOfBounds = 5,
    /// `panic!`, `assert!`, `unreachable!` and their kin.
    Panic = 6,
    /// `clamp` with `min > max` (or a NaN bound), a zero `step_by`, and other arguments std documents as a panic.
    InvalidArgument = 7,
    /// The actor has no handler for the slot's tag.
    UnknownMessage = 8,
    /// The slot's bytes are not a value of the message's type (a `bool` that is neither 0 nor 1, a wrong length).
    Malformed = 9,
    /// The instance number is not one of the kernel's.
    UnknownInstance = 10,
    /// `usize` arithmetic left 32 bits on a device whose `usize` is 32 bits wide (WebGPU).
    UsizeTooNarrow = 11,
    /// The driver ended a loop before it was done. llvmpipe allows an invocation about 65,000 iterations in all and then goes on
    /// behind the loop; the state is what the handler made of that.
    LoopCutShort = 12,
    /// The request was forwarded, and no handler saw it: the kernel it was forwarded to ended before that, or discarded it
    /// ([`Overflow::DropOldest`](crate::mesh::Overflow::DropOldest)).
    NotDelivered = 13,
}

impl FaultKind {
    /// Every kind, in code order.
    pub const ALL: [FaultKind; 13] = [
        Self::Overflow,
        Self::DivisionByZero,
        Self::DivisionOverflow,
        Self::ShiftOverflow,
        Self::IndexOutOfBounds,
        Self::Panic,
        Self::InvalidArgument,
        Self::UnknownMessage,
        Self::Malformed,
        Self::UnknownInstance,
        Self::UsizeTooNarrow,
        Self::LoopCutShort,
        Self::NotDelivered,
    ];

    /// The kind a device wrote, or `None` for a code no device writes.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == code)
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Overflow => "arithmetic overflow",
            Self::DivisionByZero => "division by zero",
            Self::DivisionOverflow => "division overflow (MIN / -1)",
            Self::ShiftOverflow => "shift by at least the width of the type",
            Self::IndexOutOfBounds => "index out of bounds",
            Self::Panic => "panic",
            Self::InvalidArgument => "invalid argument",
            Self::UnknownMessage => "no handler for this message",
            Self::Malformed => "malformed message",
            Self::UnknownInstance => "no such instance",
            Self::UsizeTooNarrow => "usize beyond 32 bits on this device",
            Self::LoopCutShort => "the driver ended a loop early",
            Self::NotDelivered => {
                "forwarded to a kernel that ended, or discarded the message, before it was handled"
            }
        })
    }
}

/// Payload words of a fault reply: kind, site.
pub const FAULT_WORDS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_code() {
        for (i, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as u32, i as u32 + 1);
            assert_eq!(FaultKind::from_code(kind as u32), Some(kind));
        }
        assert_eq!(FaultKind::from_code(0), None);
        assert_eq!(FaultKind::from_code(14), None);
    }
}
