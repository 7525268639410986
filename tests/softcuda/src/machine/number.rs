//! What instructions do with numbers: the tables from a name and a type to a function on registers.
//!
//! Registers hold 64 bits, a narrower value zero-extended. Integer division by zero, which PTX leaves to the machine, gives all
//! ones and the dividend. `.f32` results that are NaN are the one that NVIDIA's machines make. Source: PTX ISA, "Instruction Set".

use super::program::{Compare, One, Three, Two};
use crate::ptx::Type;
use Type::*;

/// The one NaN of single precision.
const NAN: u64 = 0x7fff_ffff;

/// A value as a register holds it.
pub(super) trait Bits {
    fn bits(self) -> u64;
}

macro_rules! bits {
    ($($ty:ident as $unsigned:ident),+) => {$(
        impl Bits for $ty {
            fn bits(self) -> u64 {
                self as $unsigned as u64
            }
        }
    )+};
}
bits!(u16 as u16, i16 as u16, u32 as u32, i32 as u32, u64 as u64, i64 as u64);

impl Bits for f32 {
    fn bits(self) -> u64 {
        if self.is_nan() { NAN } else { self.to_bits() as u64 }
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// An operation from an expression on the values of a lane: for one lane, and for all at once, which the compiler makes vectors of.
macro_rules! op {
    ($a:ident => $body:expr) => {
        One {
            lane: |$a: u64| $body,
            all: |a| {
                let mut d = [0; 32];
                for (d, a) in d.iter_mut().zip(a) {
                    let $a: u64 = *a;
                    *d = $body;
                }
                d
            },
        }
    };
    ($a:ident, $b:ident => $body:expr) => {
        Two {
            lane: |$a: u64, $b: u64| $body,
            all: |a, b| {
                let mut d = [0; 32];
                for (d, (a, b)) in d.iter_mut().zip(a.iter().zip(b)) {
                    let ($a, $b): (u64, u64) = (*a, *b);
                    *d = $body;
                }
                d
            },
        }
    };
    ($a:ident, $b:ident, $c:ident => $body:expr) => {
        Three {
            lane: |$a: u64, $b: u64, $c: u64| $body,
            all: |a, b, c| {
                let mut d = [0; 32];
                for (d, ((a, b), c)) in d.iter_mut().zip(a.iter().zip(b).zip(c)) {
                    let ($a, $b, $c): (u64, u64, u64) = (*a, *b, *c);
                    *d = $body;
                }
                d
            },
        }
    };
}

/// The same for what is true or not: a bit a lane.
macro_rules! compares {
    ($a:ident, $b:ident => $body:expr) => {
        Compare {
            lane: |$a: u64, $b: u64| $body,
            all: |a, b| {
                let mut holds = 0;
                for (lane, (a, b)) in a.iter().zip(b).enumerate() {
                    let ($a, $b): (u64, u64) = (*a, *b);
                    holds |= ($body as u32) << lane;
                }
                holds
            },
        }
    };
}

/// A function on registers from an expression on integers, one for each type.
macro_rules! of_int {
    ($ty:ident, $($arg:ident),+ => $body:expr) => {
        match $ty {
            U16 | B16 => op!($($arg),+ => { $(let $arg = $arg as u16;)+ Bits::bits($body) }),
            S16 => op!($($arg),+ => { $(let $arg = $arg as i16;)+ Bits::bits($body) }),
            U32 | B32 => op!($($arg),+ => { $(let $arg = $arg as u32;)+ Bits::bits($body) }),
            S32 => op!($($arg),+ => { $(let $arg = $arg as i32;)+ Bits::bits($body) }),
            U64 | B64 => op!($($arg),+ => { $(let $arg = $arg;)+ Bits::bits($body) }),
            S64 => op!($($arg),+ => { $(let $arg = $arg as i64;)+ Bits::bits($body) }),
            _ => return None,
        }
    };
}

macro_rules! of_float {
    ($ty:ident, $($arg:ident),+ => $body:expr) => {
        match $ty {
            F32 => op!($($arg),+ => { $(let $arg = f32::from_bits($arg as u32);)+ Bits::bits($body) }),
            F64 => op!($($arg),+ => { $(let $arg = f64::from_bits($arg);)+ Bits::bits($body) }),
            _ => return None,
        }
    };
}

/// The smaller; of a number and a NaN the number; `-0` is smaller than `+0`.
macro_rules! pick {
    ($name:ident, $float:ident, $better:tt, $sign:expr) => {
        fn $name(a: $float, b: $float) -> $float {
            if a.is_nan() {
                b
            } else if b.is_nan() || a $better b {
                a
            } else if a == b && a.is_sign_negative() == $sign {
                a
            } else {
                b
            }
        }
    };
}
pick!(min_f32, f32, <, true);
pick!(min_f64, f64, <, true);
pick!(max_f32, f32, >, false);
pick!(max_f64, f64, >, false);

/// `op d, a`
pub(super) fn one(name: &str, modifiers: &[&str], ty: Type) -> Option<One> {
    Some(match (name, modifiers) {
        ("neg", []) => match ty {
            S16 => op!(a => (a as i16).wrapping_neg().bits()),
            S32 => op!(a => (a as i32).wrapping_neg().bits()),
            S64 => op!(a => a.wrapping_neg()),
            F32 => op!(a => a ^ 1 << 31),
            F64 => op!(a => a ^ 1 << 63),
            _ => return None,
        },
        ("abs", []) => match ty {
            S16 => op!(a => (a as i16).wrapping_abs().bits()),
            S32 => op!(a => (a as i32).wrapping_abs().bits()),
            S64 => op!(a => (a as i64).wrapping_abs().bits()),
            F32 => op!(a => a & !(1 << 31)),
            F64 => op!(a => a & !(1 << 63)),
            _ => return None,
        },
        ("not", []) => match ty {
            B16 => op!(a => !a & 0xffff),
            B32 => op!(a => !a & 0xffff_ffff),
            B64 => op!(a => !a),
            _ => return None,
        },
        ("cnot", []) if matches!(ty, B16 | B32 | B64) => op!(a => (a == 0) as u64),
        ("popc", []) if matches!(ty, B32 | B64) => op!(a => a.count_ones() as u64),
        ("clz", []) => match ty {
            B32 => op!(a => (a as u32).leading_zeros() as u64),
            B64 => op!(a => a.leading_zeros() as u64),
            _ => return None,
        },
        ("brev", []) => match ty {
            B32 => op!(a => (a as u32).reverse_bits() as u64),
            B64 => op!(a => a.reverse_bits()),
            _ => return None,
        },
        // The highest bit that differs from the sign; all ones where there is none.
        ("bfind", []) => match ty {
            U32 => op!(a => (31 - (a as u32).leading_zeros() as i32) as u32 as u64),
            U64 => op!(a => (63 - a.leading_zeros() as i32) as u32 as u64),
            S32 => {
                op!(a => (31 - ((a as i32 ^ (a as i32 >> 31)) as u32).leading_zeros() as i32) as u32 as u64)
            }
            S64 => {
                op!(a => (63 - ((a as i64 ^ (a as i64 >> 63)) as u64).leading_zeros() as i32) as u32 as u64)
            }
            _ => return None,
        },
        ("sqrt", ["rn"]) => of_float!(ty, a => a.sqrt()),
        ("rcp", ["rn"]) => of_float!(ty, a => 1.0 / a),
        _ => return None,
    })
}

/// `op d, a, b`
pub(super) fn two(name: &str, modifiers: &[&str], ty: Type) -> Option<Two> {
    let numeric = !matches!(ty, B16 | B32 | B64);
    Some(match (name, modifiers) {
        ("add", ["rn"] | []) if ty.is_float() => of_float!(ty, a, b => a + b),
        ("sub", ["rn"] | []) if ty.is_float() => of_float!(ty, a, b => a - b),
        ("mul", ["rn"] | []) if ty.is_float() => of_float!(ty, a, b => a * b),
        ("div", ["rn"]) => of_float!(ty, a, b => a / b),
        ("add", []) if numeric => of_int!(ty, a, b => a.wrapping_add(b)),
        ("sub", []) if numeric => of_int!(ty, a, b => a.wrapping_sub(b)),
        ("add", ["sat"]) if ty == S32 => op!(a, b => (a as i32).saturating_add(b as i32).bits()),
        ("sub", ["sat"]) if ty == S32 => op!(a, b => (a as i32).saturating_sub(b as i32).bits()),
        ("mul", ["lo"]) if numeric => of_int!(ty, a, b => a.wrapping_mul(b)),
        ("mul", ["hi"]) => high(ty)?,
        ("mul", ["wide"]) => match ty {
            U16 => op!(a, b => a * b),
            S16 => op!(a, b => (a as i16 as i32 * b as i16 as i32).bits()),
            U32 => op!(a, b => a * b),
            S32 => op!(a, b => (a as i32 as i64 * b as i32 as i64).bits()),
            _ => return None,
        },
        ("div", []) if numeric => of_int!(ty, a, b => if b == 0 { !b } else { a.wrapping_div(b) }),
        ("rem", []) if numeric => of_int!(ty, a, b => if b == 0 { a } else { a.wrapping_rem(b) }),
        ("min", []) if ty == F32 => op!(a, b => min_f32(single(a), single(b)).bits()),
        ("max", []) if ty == F32 => op!(a, b => max_f32(single(a), single(b)).bits()),
        ("min", []) if ty == F64 => op!(a, b => min_f64(f64::from_bits(a), f64::from_bits(b)).bits()),
        ("max", []) if ty == F64 => op!(a, b => max_f64(f64::from_bits(a), f64::from_bits(b)).bits()),
        ("min", ["NaN"]) if ty == F32 => {
            op!(a, b => if either_nan(a, b) { NAN } else { min_f32(single(a), single(b)).bits() })
        }
        ("max", ["NaN"]) if ty == F32 => {
            op!(a, b => if either_nan(a, b) { NAN } else { max_f32(single(a), single(b)).bits() })
        }
        ("min", []) if numeric => of_int!(ty, a, b => a.min(b)),
        ("max", []) if numeric => of_int!(ty, a, b => a.max(b)),
        ("and", []) if !numeric => op!(a, b => a & b),
        ("or", []) if !numeric => op!(a, b => a | b),
        ("xor", []) if !numeric => op!(a, b => a ^ b),
        ("shl", []) => match ty {
            B16 => op!(a, b => if b < 16 { a << b & 0xffff } else { 0 }),
            B32 => op!(a, b => if b < 32 { a << b & 0xffff_ffff } else { 0 }),
            B64 => op!(a, b => if b < 64 { a << b } else { 0 }),
            _ => return None,
        },
        ("shr", []) => match ty {
            U16 | B16 | U32 | B32 | U64 | B64 => op!(a, b => if b < 64 { a >> b } else { 0 }),
            S16 => op!(a, b => (a as i16 >> b.min(15)).bits()),
            S32 => op!(a, b => (a as i32 >> b.min(31)).bits()),
            S64 => op!(a, b => (a as i64 >> b.min(63)).bits()),
            _ => return None,
        },
        // The sign of the first, the rest of the second.
        ("copysign", []) => match ty {
            F32 => op!(a, b => a & 1 << 31 | b & !(1 << 31)),
            F64 => op!(a, b => a & 1 << 63 | b & !(1 << 63)),
            _ => return None,
        },
        _ => return None,
    })
}

fn single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn either_nan(a: u64, b: u64) -> bool {
    single(a).is_nan() || single(b).is_nan()
}

/// The upper half of a product.
fn high(ty: Type) -> Option<Two> {
    Some(match ty {
        U16 => op!(a, b => (a * b) >> 16),
        S16 => op!(a, b => (((a as i16 as i32 * b as i16 as i32) >> 16) as i16).bits()),
        U32 => op!(a, b => (a * b) >> 32),
        S32 => op!(a, b => (((a as i32 as i64 * b as i32 as i64) >> 32) as i32).bits()),
        U64 => op!(a, b => ((a as u128 * b as u128) >> 64) as u64),
        S64 => op!(a, b => ((a as i64 as i128 * b as i64 as i128) >> 64) as u64),
        _ => return None,
    })
}

/// `op d, a, b, c`
pub(super) fn three(name: &str, modifiers: &[&str], ty: Type) -> Option<Three> {
    let numeric = !matches!(ty, B16 | B32 | B64);
    Some(match (name, modifiers) {
        ("fma", ["rn"]) => of_float!(ty, a, b, c => a.mul_add(b, c)),
        ("mad", ["rn"]) => of_float!(ty, a, b, c => a.mul_add(b, c)),
        ("mad", ["lo"]) if numeric => of_int!(ty, a, b, c => a.wrapping_mul(b).wrapping_add(c)),
        ("mad", ["hi"]) => match ty {
            U16 => op!(a, b, c => ((a * b) >> 16).wrapping_add(c) & 0xffff),
            S16 => {
                op!(a, b, c => (((a as i16 as i32 * b as i16 as i32) >> 16) as i16).wrapping_add(c as i16).bits())
            }
            U32 => op!(a, b, c => ((a * b) >> 32).wrapping_add(c) & 0xffff_ffff),
            S32 => {
                op!(a, b, c => (((a as i32 as i64 * b as i32 as i64) >> 32) as i32).wrapping_add(c as i32).bits())
            }
            U64 => op!(a, b, c => (((a as u128 * b as u128) >> 64) as u64).wrapping_add(c)),
            S64 => op!(a, b, c => (((a as i64 as i128 * b as i64 as i128) >> 64) as u64).wrapping_add(c)),
            _ => return None,
        },
        ("mad", ["wide"]) => match ty {
            U16 => op!(a, b, c => (a * b).wrapping_add(c) & 0xffff_ffff),
            S16 => op!(a, b, c => (a as i16 as i32 * b as i16 as i32).wrapping_add(c as i32).bits()),
            U32 => op!(a, b, c => (a * b).wrapping_add(c)),
            S32 => op!(a, b, c => (a as i32 as i64 * b as i32 as i64).wrapping_add(c as i64).bits()),
            _ => return None,
        },
        ("sad", []) if numeric => match ty {
            U16 => op!(a, b, c => a.abs_diff(b).wrapping_add(c) & 0xffff),
            U32 => op!(a, b, c => a.abs_diff(b).wrapping_add(c) & 0xffff_ffff),
            U64 => op!(a, b, c => a.abs_diff(b).wrapping_add(c)),
            S16 => op!(a, b, c => (a as i16).abs_diff(b as i16).wrapping_add(c as u16).bits()),
            S32 => op!(a, b, c => (a as i32).abs_diff(b as i32).wrapping_add(c as u32).bits()),
            S64 => op!(a, b, c => (a as i64).abs_diff(b as i64).wrapping_add(c)),
            _ => return None,
        },
        // The funnel: `b` above `a`, shifted.
        ("shf", ["l", "wrap"]) if ty == B32 => op!(a, b, c => (b << 32 | a) << (c & 31) >> 32 & 0xffff_ffff),
        ("shf", ["r", "wrap"]) if ty == B32 => op!(a, b, c => (b << 32 | a) >> (c & 31) & 0xffff_ffff),
        ("shf", ["l", "clamp"]) if ty == B32 => {
            op!(a, b, c => ((b << 32 | a) as u128).wrapping_shl(c.min(32) as u32) as u64 >> 32)
        }
        ("shf", ["r", "clamp"]) if ty == B32 => op!(a, b, c => (b << 32 | a) >> c.min(32) & 0xffff_ffff),
        // Bytes of `b` above `a`, each chosen by four bits of `c`; the fourth says that only its sign counts.
        ("prmt", []) if ty == B32 => op!(a, b, c => {
            let bytes = (b << 32 | a).to_le_bytes();
            let picked = [0, 4, 8, 12].map(|shift| {
                let choice = (c >> shift) as usize;
                let byte = bytes[choice & 7];
                if choice & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 }
            });
            u32::from_le_bytes(picked) as u64
        }),
        // `c` bits from bit `b` on; beyond the end the sign, or 0.
        ("bfe", []) => match ty {
            U32 => op!(a, b, c => field(a, b & 255, c & 255)),
            U64 => op!(a, b, c => field(a, b & 255, c & 255)),
            S32 => op!(a, b, c => signed_field(a as i32 as i64, b & 255, c & 255, 31) as u32 as u64),
            S64 => op!(a, b, c => signed_field(a as i64, b & 255, c & 255, 63) as u64),
            _ => return None,
        },
        _ => return None,
    })
}

fn ones(count: u64) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

fn field(a: u64, position: u64, length: u64) -> u64 {
    if position < 64 { a >> position & ones(length) } else { 0 }
}

/// The sign bit is the field's uppermost, or the value's where the field ends beyond it.
fn signed_field(a: i64, position: u64, length: u64, top: u64) -> i64 {
    if length == 0 {
        return 0;
    }
    let sign = a >> (position + length - 1).min(top) & 1;
    let bits = field(a as u64, position.min(63), length);
    let known = ones(length.min((top + 1).saturating_sub(position)));
    if sign == 1 { (bits & known | !known) as i64 } else { (bits & known) as i64 }
}

fn unordered(a: f64, b: f64) -> bool {
    a.is_nan() || b.is_nan()
}

/// `setp.op.type`
pub(super) fn compare(name: &str, ty: Type) -> Option<Compare> {
    if !ty.is_float() {
        return compare_ints(name, ty);
    }
    macro_rules! floats {
        ($a:ident, $b:ident => $body:expr) => {
            match ty {
                F32 => compares!($a, $b => {
                    let ($a, $b) = (single($a), single($b));
                    $body
                }),
                F64 => compares!($a, $b => {
                    let ($a, $b) = (f64::from_bits($a), f64::from_bits($b));
                    $body
                }),
                _ => return None,
            }
        };
    }
    // What ends in `u` holds where an operand is a NaN, nothing else does.
    Some(match name {
        "eq" => floats!(a, b => a == b),
        "ne" => floats!(a, b => a != b && !unordered(a as f64, b as f64)),
        "lt" => floats!(a, b => a < b),
        "le" => floats!(a, b => a <= b),
        "gt" => floats!(a, b => a > b),
        "ge" => floats!(a, b => a >= b),
        "equ" => floats!(a, b => a == b || unordered(a as f64, b as f64)),
        "neu" => floats!(a, b => a != b),
        "ltu" => floats!(a, b => a < b || unordered(a as f64, b as f64)),
        "leu" => floats!(a, b => a <= b || unordered(a as f64, b as f64)),
        "gtu" => floats!(a, b => a > b || unordered(a as f64, b as f64)),
        "geu" => floats!(a, b => a >= b || unordered(a as f64, b as f64)),
        "num" => floats!(a, b => !unordered(a as f64, b as f64)),
        "nan" => floats!(a, b => unordered(a as f64, b as f64)),
        _ => return None,
    })
}

fn compare_ints(name: &str, ty: Type) -> Option<Compare> {
    macro_rules! ordered {
        ($a:ident, $b:ident => $body:expr) => {
            match ty {
                U16 | U32 | U64 => compares!($a, $b => $body),
                S16 => compares!($a, $b => {
                    let ($a, $b) = ($a as i16, $b as i16);
                    $body
                }),
                S32 => compares!($a, $b => {
                    let ($a, $b) = ($a as i32, $b as i32);
                    $body
                }),
                S64 => compares!($a, $b => {
                    let ($a, $b) = ($a as i64, $b as i64);
                    $body
                }),
                _ => return None,
            }
        };
    }
    let unsigned = matches!(ty, U16 | U32 | U64);
    Some(match name {
        "eq" if ty != Pred => compares!(a, b => a == b),
        "ne" if ty != Pred => compares!(a, b => a != b),
        "lt" => ordered!(a, b => a < b),
        "le" => ordered!(a, b => a <= b),
        "gt" => ordered!(a, b => a > b),
        "ge" => ordered!(a, b => a >= b),
        "lo" if unsigned => compares!(a, b => a < b),
        "ls" if unsigned => compares!(a, b => a <= b),
        "hi" if unsigned => compares!(a, b => a > b),
        "hs" if unsigned => compares!(a, b => a >= b),
        _ => return None,
    })
}

/// `testp.op.type` on a value and its type's bits.
pub(super) fn test(name: &str, ty: Type) -> Option<Compare> {
    macro_rules! floats {
        ($a:ident => $body:expr) => {
            match ty {
                F32 => compares!($a, _b => {
                    let $a = single($a);
                    $body
                }),
                F64 => compares!($a, _b => {
                    let $a = f64::from_bits($a);
                    $body
                }),
                _ => return None,
            }
        };
    }
    Some(match name {
        "finite" => floats!(a => a.is_finite()),
        "infinite" => floats!(a => a.is_infinite()),
        "number" => floats!(a => !a.is_nan()),
        "notanumber" => floats!(a => a.is_nan()),
        "normal" => floats!(a => a.is_normal()),
        "subnormal" => floats!(a => a.is_subnormal()),
        _ => return None,
    })
}

/// `atom.op.type`: from what is there and two operands to what is to be there.
pub(super) fn atomic(name: &str, ty: Type) -> Option<Three> {
    Some(match name {
        "add" if ty.is_float() => of_float!(ty, a, b, _c => a + b),
        "add" if matches!(ty, U32 | S32 | U64) => of_int!(ty, a, b, _c => a.wrapping_add(b)),
        "min" if matches!(ty, U32 | S32 | U64 | S64) => of_int!(ty, a, b, _c => a.min(b)),
        "max" if matches!(ty, U32 | S32 | U64 | S64) => of_int!(ty, a, b, _c => a.max(b)),
        "inc" if ty == U32 => op!(a, b, _c => if a >= b { 0 } else { a + 1 }),
        "dec" if ty == U32 => op!(a, b, _c => if a == 0 || a > b { b } else { a - 1 }),
        "and" if matches!(ty, B32 | B64) => op!(a, b, _c => a & b),
        "or" if matches!(ty, B32 | B64) => op!(a, b, _c => a | b),
        "xor" if matches!(ty, B32 | B64) => op!(a, b, _c => a ^ b),
        "exch" if matches!(ty, B32 | B64) => op!(_a, b, _c => b),
        "cas" if matches!(ty, B32 | B64) => op!(a, b, c => if a == b { c } else { a }),
        _ => return None,
    })
}

/// `mov` of two parts of so many bits into one.
pub(super) fn join(bits: u8) -> Two {
    match bits {
        8 => op!(a, b => a | b << 8),
        16 => op!(a, b => a | b << 16),
        _ => op!(a, b => a | b << 32),
    }
}

/// The part of that number, from the lowest on.
pub(super) fn part(bits: u8, number: usize) -> One {
    match (bits, number) {
        (8, 0) => op!(a => a & 0xff),
        (8, 1) => op!(a => a >> 8 & 0xff),
        (8, 2) => op!(a => a >> 16 & 0xff),
        (8, _) => op!(a => a >> 24),
        (16, 0) => op!(a => a & 0xffff),
        (16, 1) => op!(a => a >> 16 & 0xffff),
        (16, 2) => op!(a => a >> 32 & 0xffff),
        (16, _) => op!(a => a >> 48),
        (_, 0) => op!(a => a & 0xffff_ffff),
        _ => op!(a => a >> 32),
    }
}

/// `cvt` among integers without saturation, where it is no more than an extension: to a register of so many bits.
pub(super) fn extend(from: Type, to: Type, width: u32) -> Option<One> {
    let narrow = if from.bits() < to.bits() { from } else { to };
    Some(match (narrow, width) {
        (U32, _) | (S32, 32) => op!(a => a as u32 as u64),
        (S32, _) => op!(a => a as i32 as i64 as u64),
        (U64 | S64, _) => op!(a => a),
        (U16, _) => op!(a => a as u16 as u64),
        (U8, _) => op!(a => a as u8 as u64),
        (S16, 32) => op!(a => a as i16 as i32 as u32 as u64),
        (S8, 32) => op!(a => a as i8 as i32 as u32 as u64),
        _ => return None,
    })
}

/// `redux.sync.op.type`
pub(super) fn reduce(name: &str, ty: Type) -> Option<Two> {
    match (name, ty) {
        ("add" | "min" | "max", U32 | S32) => two(name, &[], ty),
        ("and" | "or" | "xor", B32) => two(name, &[], ty),
        _ => None,
    }
}
