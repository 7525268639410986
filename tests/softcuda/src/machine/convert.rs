//! `cvt`: between integers and floats of all widths, with every rounding, and saturation.

use crate::ptx::Type;
use Type::*;

/// Towards where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// To the nearest; of two, to the even one.
    Nearest,
    Zero,
    Down,
    Up,
}

/// A conversion that the decoder has found to be one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convert {
    pub(super) from: Type,
    pub(super) to: Type,
    pub(super) round: Option<Round>,
    /// A float is rounded to an integer: `.rni` and its like.
    pub(super) integral: bool,
    pub(super) saturate: bool,
    /// Bits of the destination register, to which the sign is extended.
    pub(super) width: u32,
}

impl Convert {
    /// Of these types, with these modifiers, where there is such a conversion.
    pub(super) fn new(modifiers: &[&str], to: Type, from: Type, width: u32) -> Option<Self> {
        let mut it = Self { from, to, round: None, integral: false, saturate: false, width };
        for modifier in modifiers {
            let (round, integral) = match *modifier {
                "rn" => (Round::Nearest, false),
                "rz" => (Round::Zero, false),
                "rm" => (Round::Down, false),
                "rp" => (Round::Up, false),
                "rni" => (Round::Nearest, true),
                "rzi" => (Round::Zero, true),
                "rmi" => (Round::Down, true),
                "rpi" => (Round::Up, true),
                "sat" if !it.saturate => {
                    it.saturate = true;
                    continue;
                }
                _ => return None,
            };
            if it.round.is_some() || it.saturate {
                return None;
            }
            (it.round, it.integral) = (Some(round), integral);
        }
        let known = |ty| !matches!(ty, Pred | F16 | B8 | B16 | B32 | B64 | B128);
        let fits = match (from.is_float(), to.is_float()) {
            (false, false) => it.round.is_none(),
            (false, true) => it.round.is_some() && !it.integral,
            (true, false) => it.integral,
            (true, true) if from == to => it.round.is_none() || it.integral,
            (true, true) if from == F32 => it.round.is_none(),
            (true, true) => it.round.is_some() && !it.integral,
        };
        (known(from) && known(to) && fits).then_some(it)
    }

    /// Converts a register's value.
    pub(super) fn of(self, a: u64) -> u64 {
        let value = if !self.from.is_float() {
            let value = integer(a, self.from);
            match self.to {
                F32 => self.saturated(exact_f32(value, self.nearest()) as f64),
                F64 => self.saturated(exact_f64(value, self.nearest())),
                to if self.saturate => clamp(value, to) as u64,
                to => integer(value as u64, to) as u64,
            }
        } else {
            let value = if self.from == F32 { f32::from_bits(a as u32) as f64 } else { f64::from_bits(a) };
            if self.to.is_float() { self.float(value, a) } else { self.truncated(value) as u64 }
        };
        if self.width < 64 { value & ((1 << self.width) - 1) } else { value }
    }

    fn nearest(self) -> Round {
        self.round.unwrap_or(Round::Nearest)
    }

    fn integral(self, value: f64) -> f64 {
        match self.nearest() {
            Round::Nearest => value.round_ties_even(),
            Round::Zero => value.trunc(),
            Round::Down => value.floor(),
            Round::Up => value.ceil(),
        }
    }

    /// To an integer: what lies beyond the range becomes its end. A NaN is 0 from `.f32` to 32 bits and less, else the uppermost bit alone.
    fn truncated(self, value: f64) -> i128 {
        if value.is_nan() {
            let zero = self.from == F32 && !matches!(self.to, U64 | S64);
            return if zero { 0 } else { integer(1 << (self.to.bits() - 1), self.to) };
        }
        // `as` clamps, and 128 bits hold both ends.
        clamp(self.integral(value) as i128, self.to)
    }

    fn float(self, value: f64, bits: u64) -> u64 {
        if value.is_nan() {
            return match (self.saturate, self.to) {
                (true, _) => 0,
                (_, F32) => 0x7fff_ffff,
                // Single precision has one NaN, double precision keeps what there is.
                _ if self.from == F64 => bits,
                _ => 0x7fff_ffff_e000_0000,
            };
        }
        let value = if self.integral { self.integral(value) } else { value };
        if self.to == F32 && self.from == F64 {
            return self.saturated(narrow(value, self.nearest()) as f64);
        }
        self.saturated(value)
    }

    /// The bits of a value that the type holds, between 0 and 1 if so.
    fn saturated(self, value: f64) -> u64 {
        let value = if !self.saturate {
            value
        } else if value > 0.0 {
            value.min(1.0)
        } else {
            0.0
        };
        if self.to == F32 { (value as f32).to_bits() as u64 } else { value.to_bits() }
    }
}

/// A register's value as the type reads it.
fn integer(a: u64, ty: Type) -> i128 {
    match ty {
        U8 => a as u8 as i128,
        S8 => a as i8 as i128,
        U16 => a as u16 as i128,
        S16 => a as i16 as i128,
        U32 => a as u32 as i128,
        S32 => a as i32 as i128,
        S64 => a as i64 as i128,
        _ => a as i128,
    }
}

fn clamp(value: i128, ty: Type) -> i128 {
    let (low, high) = match ty.is_signed() {
        true => (-1i128 << (ty.bits() - 1), (1i128 << (ty.bits() - 1)) - 1),
        false => (0, (1i128 << ty.bits()) - 1),
    };
    value.clamp(low, high)
}

/// Moves a value that was rounded to the nearest where the rounding says; `above` says on which side of the exact one it is.
macro_rules! directed {
    ($near:expr, $above:expr, $negative:expr, $round:expr) => {{
        let (near, above): (_, std::cmp::Ordering) = ($near, $above);
        let down = match $round {
            Round::Nearest => return near,
            Round::Zero => !$negative,
            Round::Down => true,
            Round::Up => false,
        };
        match (above, down) {
            (std::cmp::Ordering::Greater, true) => near.next_down(),
            (std::cmp::Ordering::Less, false) => near.next_up(),
            _ => near,
        }
    }};
}

fn exact_f32(value: i128, round: Round) -> f32 {
    let near = value as f32;
    directed!(near, (near as i128).cmp(&value), value < 0, round)
}

fn exact_f64(value: i128, round: Round) -> f64 {
    let near = value as f64;
    directed!(near, (near as i128).cmp(&value), value < 0, round)
}

fn narrow(value: f64, round: Round) -> f32 {
    let near = value as f32;
    // Neither is a NaN.
    let above = (near as f64).partial_cmp(&value).unwrap_or(std::cmp::Ordering::Equal);
    directed!(near, above, value.is_sign_negative(), round)
}
