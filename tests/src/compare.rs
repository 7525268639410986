//! Whether a device's answer is the native one.

use crate::wgsl::Bound;
use ringkernel::FaultKind;
use std::fmt;

/// How a request ended.
#[derive(Clone, PartialEq)]
pub enum Answer {
    /// The reply's wire bytes, and how it prints.
    Reply {
        /// Wire bytes.
        bytes: Vec<u8>,
        /// `Debug` of the reply.
        text: String,
    },
    /// The handler faulted.
    Fault(Fault),
    /// Anything else, which no test expects.
    Error(String),
}

/// A fault, as the asker sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The file, as rustc names it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What a panic said; empty for the other kinds.
    pub message: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { bytes, text } => write!(f, "{text} {bytes:02x?}"),
            Self::Fault(Fault { kind, file, line, column, message }) => {
                write!(f, "fault: {kind} at {file}:{line}:{column} {message:?}")
            }
            Self::Error(error) => write!(f, "error: {error}"),
        }
    }
}

/// A floating-point number in a message or a reply.
#[derive(Clone, Copy, Debug)]
pub enum Lane {
    /// An `f32` at a byte offset.
    F32(usize),
    /// An `f64` at a byte offset.
    F64(usize),
}

/// Whether `got` is an acceptable answer where the native one is `expected`.
///
/// `floats` are the reply's floating-point numbers with their bounds; every other byte must be equal. `on_wgsl` grants what WGSL
/// grants.
pub fn same(expected: &Answer, got: &Answer, floats: &[(Lane, Bound)], on_wgsl: bool) -> Result<(), String> {
    match (expected, got) {
        (Answer::Reply { bytes: expected, .. }, Answer::Reply { bytes: got, .. }) => {
            same_bytes(expected, got, floats, on_wgsl)
        }
        (Answer::Fault(expected), Answer::Fault(got)) => {
            // Where `usize` has 32 bits, what becomes an index beyond them faults when it becomes one.
            let narrow = on_wgsl
                && (expected.kind, got.kind) == (FaultKind::IndexOutOfBounds, FaultKind::UsizeTooNarrow)
                && (&expected.file, expected.line) == (&got.file, got.line);
            if narrow { Ok(()) } else { same_fault(expected, got) }
        }
        // Where `usize` has 32 bits, arithmetic that leaves them faults, also in a build that lets it wrap.
        (Answer::Reply { .. }, Answer::Fault(Fault { kind: FaultKind::UsizeTooNarrow, .. }))
            if on_wgsl && !cfg!(debug_assertions) =>
        {
            Ok(())
        }
        _ => Err("one answered, the other did not".into()),
    }
}

fn same_fault(expected: &Fault, got: &Fault) -> Result<(), String> {
    if expected.kind != got.kind {
        return Err(format!("fault kind {:?} instead of {:?}", got.kind, expected.kind));
    }
    // A panic inside std (`i32::pow`, `clamp`) natively reports a place in std, a device the call in the user's source.
    if is_users(&expected.file) {
        if (&expected.file, expected.line, expected.column) != (&got.file, got.line, got.column) {
            return Err(format!(
                "fault at {}:{}:{} instead of {}:{}:{}",
                got.file, got.line, got.column, expected.file, expected.line, expected.column
            ));
        }
    } else if !is_users(&got.file) && got.file != expected.file {
        return Err(format!("fault in {}, which is not the user's", got.file));
    }
    // `assert_eq!` appends the two values on lines of their own, which a device does not format.
    let first_line = expected.message.lines().next().unwrap_or("");
    if expected.kind == FaultKind::Panic && got.message != expected.message && got.message != first_line {
        return Err(format!("message {:?} instead of {:?}", got.message, expected.message));
    }
    Ok(())
}

/// Whether a panic's file is the user's and not the standard library's.
pub fn is_users(file: &str) -> bool {
    !file.starts_with("/rustc/") && !file.contains("/library/core/") && !file.contains("/library/std/")
}

fn same_bytes(expected: &[u8], got: &[u8], floats: &[(Lane, Bound)], on_wgsl: bool) -> Result<(), String> {
    if expected.len() != got.len() {
        return Err(format!("{} bytes instead of {}", got.len(), expected.len()));
    }
    let mut is_float = vec![false; expected.len()];
    for &(lane, bound) in floats {
        let (offset, ok) = match lane {
            Lane::F32(at) => {
                let read = |bytes: &[u8]| f32::from_le_bytes(word(bytes, at));
                is_float[at..at + 4].fill(true);
                (at, same_f32(read(expected), read(got), bound, on_wgsl))
            }
            Lane::F64(at) => {
                let read = |bytes: &[u8]| f64::from_le_bytes(word(bytes, at));
                is_float[at..at + 8].fill(true);
                (at, same_f64(read(expected), read(got), bound, on_wgsl))
            }
        };
        ok.map_err(|why| format!("the float at byte {offset} of the reply: {why}"))?;
    }
    match (0..expected.len()).find(|&i| !is_float[i] && expected[i] != got[i]) {
        Some(i) => Err(format!("byte {i} of the reply is {:#04x} instead of {:#04x}", got[i], expected[i])),
        None => Ok(()),
    }
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut word = [0; N];
    word.copy_from_slice(&bytes[at..at + N]);
    word
}

macro_rules! same_float {
    ($name:ident, $ty:ident, $hex:literal) => {
        #[doc = concat!("[`same`] for one `", stringify!($ty), "`.")]
        pub fn $name(expected: $ty, got: $ty, bound: Bound, on_wgsl: bool) -> Result<(), String> {
            let zeros = expected == 0.0 && got == 0.0;
            let same = expected.to_bits() == got.to_bits()
                || (expected.is_nan() && got.is_nan())
                || (zeros && (bound == Bound::EitherZero || on_wgsl && bound != Bound::Exact))
                || (on_wgsl && expected.is_subnormal() && got == 0.0);
            if same {
                return Ok(());
            }
            // As integers in the order of the floats, a unit in the last place apart each.
            let ordered = |value: $ty| {
                let magnitude = value.abs().to_bits() as i128;
                if value.is_sign_negative() { -magnitude } else { magnitude }
            };
            let apart = (ordered(expected) - ordered(got)).unsigned_abs() as f64;
            if let Bound::WgslUlp(ulp) = bound
                && on_wgsl
                && expected.is_finite()
                && got.is_finite()
                && apart <= ulp
            {
                return Ok(());
            }
            let (e, g) = (expected.to_bits(), got.to_bits());
            Err(format!(
                concat!("{:e} ({:#0", $hex, "x}) instead of {:e} ({:#0", $hex, "x})"),
                got, g, expected, e
            ))
        }
    };
}

same_float!(same_f32, f32, "10");
same_float!(same_f64, f64, "18");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wgsl::{DIV, EXACT, MIN_MAX};

    #[test]
    fn ulp_are_granted_to_wgsl_only_and_only_so_many() {
        let one = 1.0f32;
        let next = |n: u32| f32::from_bits(one.to_bits() + n);
        assert!(same_f32(one, next(2), DIV, true).is_ok());
        assert!(same_f32(one, next(3), DIV, true).is_err());
        assert!(same_f32(one, next(1), DIV, false).is_err());
        assert!(same_f32(one, next(1), EXACT, true).is_err());
    }

    #[test]
    fn nans_are_nans_and_zeros_keep_their_sign_unless_left_open() {
        assert!(same_f32(f32::NAN, -f32::NAN, EXACT, false).is_ok());
        assert!(same_f32(f32::NAN, 0.0, EXACT, false).is_err());
        assert!(same_f32(0.0, -0.0, EXACT, false).is_err());
        assert!(same_f32(0.0, -0.0, MIN_MAX, false).is_ok());
        assert!(same_f64(f64::INFINITY, f64::MAX, DIV, true).is_err());
    }

    #[test]
    fn subnormals_may_be_flushed_by_wgsl_only() {
        let tiny = f32::from_bits(1);
        assert!(same_f32(tiny, 0.0, EXACT, true).is_ok());
        assert!(same_f32(tiny, 0.0, EXACT, false).is_err());
    }
}
