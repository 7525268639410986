//! Arithmetic that Rust checks: a debug build faults where a release build wraps, on every device.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// A sum that persists, so that what a fault leaves behind shows.
#[ring_kernel(id = "checked")]
#[derive(Default)]
pub struct Checked {
    total: i32,
    steps: u8,
}

macro_rules! pair {
    ($($name:ident: $int:ty),+ $(,)?) => {$(
        #[derive(RingMessage, Clone, Copy, Debug)]
        pub struct $name {
            pub a: $int,
            pub b: $int,
        }
    )+};
}

pair!(AddU8: u8, SubU16: u16, MulI8: i8, AddI16: i16, MixI32: i32, MulU32: u32, AddI64: i64, MulU64: u64);

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Negate {
    pub a: i32,
    pub b: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Negated {
    pub a: i32,
    pub b: i64,
    pub magnitude: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct PowI32 {
    pub base: i32,
    pub exponent: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Accumulate {
    pub by: i32,
}

#[ring_kernel]
impl Checked {
    #[handler]
    fn add_u8(&mut self, _ctx: &mut RingContext, msg: AddU8) -> u8 {
        msg.a + msg.b
    }

    #[handler]
    fn sub_u16(&mut self, _ctx: &mut RingContext, msg: SubU16) -> u16 {
        msg.a - msg.b
    }

    #[handler]
    fn mul_i8(&mut self, _ctx: &mut RingContext, msg: MulI8) -> i8 {
        msg.a * msg.b
    }

    #[handler]
    fn add_i16(&mut self, _ctx: &mut RingContext, msg: AddI16) -> i16 {
        let mut sum = msg.a;
        sum += msg.b;
        sum
    }

    /// Three operations on one line: the fault's column says which.
    #[handler]
    fn mix_i32(&mut self, _ctx: &mut RingContext, msg: MixI32) -> i32 {
        (msg.a + msg.b) * 3 - msg.b
    }

    #[handler]
    fn mul_u32(&mut self, _ctx: &mut RingContext, msg: MulU32) -> u32 {
        let mut product = msg.a;
        product *= msg.b;
        product -= 1;
        product
    }

    #[handler]
    fn add_i64(&mut self, _ctx: &mut RingContext, msg: AddI64) -> i64 {
        msg.a + msg.b - 1
    }

    #[handler]
    fn mul_u64(&mut self, _ctx: &mut RingContext, msg: MulU64) -> u64 {
        msg.a * msg.b
    }

    #[handler]
    fn negate(&mut self, _ctx: &mut RingContext, msg: Negate) -> Negated {
        Negated { a: -msg.a, b: -msg.b, magnitude: msg.b.abs() }
    }

    #[handler]
    fn pow_i32(&mut self, _ctx: &mut RingContext, msg: PowI32) -> i32 {
        msg.base.pow(msg.exponent % 40)
    }

    /// `steps` is counted before the sum faults, and stays counted.
    #[handler]
    fn accumulate(&mut self, _ctx: &mut RingContext, msg: Accumulate) -> i32 {
        self.steps = self.steps.wrapping_add(1);
        self.total += msg.by;
        self.total
    }
}

/// Shifts by amounts of several types; a debug build faults at the width.
#[ring_kernel(id = "shifts")]
#[derive(Default)]
pub struct Shifts {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftU8 {
    pub value: u8,
    pub by: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftI16 {
    pub value: i16,
    pub by: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftI32 {
    pub value: i32,
    pub by: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftU32 {
    pub value: u32,
    pub by: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftI64 {
    pub value: i64,
    pub by: i8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftU64 {
    pub value: u64,
    pub by: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShiftByConstant {
    pub narrow: i8,
    pub wide: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Both32 {
    pub left: i32,
    pub right: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Both64 {
    pub left: u64,
    pub right: u64,
}

#[ring_kernel]
impl Shifts {
    #[handler]
    fn shift_u8(&mut self, _ctx: &mut RingContext, msg: ShiftU8) -> u8 {
        (msg.value << msg.by) | (msg.value >> msg.by)
    }

    #[handler]
    fn shift_i16(&mut self, _ctx: &mut RingContext, msg: ShiftI16) -> i16 {
        (msg.value << msg.by) ^ (msg.value >> msg.by)
    }

    #[handler]
    fn shift_i32(&mut self, _ctx: &mut RingContext, msg: ShiftI32) -> Both32 {
        Both32 { left: msg.value << msg.by, right: msg.value >> msg.by }
    }

    #[handler]
    fn shift_u32(&mut self, _ctx: &mut RingContext, msg: ShiftU32) -> u32 {
        let mut value = msg.value;
        value >>= msg.by;
        value <<= msg.by;
        value
    }

    #[handler]
    fn shift_i64(&mut self, _ctx: &mut RingContext, msg: ShiftI64) -> i64 {
        (msg.value >> msg.by) - (msg.value >> 63)
    }

    #[handler]
    fn shift_u64(&mut self, _ctx: &mut RingContext, msg: ShiftU64) -> Both64 {
        Both64 { left: msg.value << msg.by, right: msg.value >> msg.by }
    }

    #[handler]
    fn shift_by_constant(&mut self, _ctx: &mut RingContext, msg: ShiftByConstant) -> Both64 {
        Both64 { left: msg.wide << 33, right: (msg.wide >> 40) ^ ((msg.narrow >> 3) as u64) }
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let checked = Suite::new("checked", 4, |_| Checked::default())
        .case("add_u8", two(|a, b| AddU8 { a, b }))
        .case("sub_u16", two(|a, b| SubU16 { a, b }))
        .case("mul_i8", two(|a, b| MulI8 { a, b }))
        .case("add_i16", two(|a, b| AddI16 { a, b }))
        .case("mix_i32", two(|a, b| MixI32 { a, b }))
        .case("mul_u32", two(|a, b| MulU32 { a, b }))
        .case("add_i64", two(|a, b| AddI64 { a, b }))
        .case("mul_u64", two(|a, b| MulU64 { a, b }))
        .case("negate", two(|a, b| Negate { a, b }))
        .case("pow_i32", two(|base, exponent| PowI32 { base, exponent }))
        .case("accumulate", one(|by| Accumulate { by }));
    let shifts = Suite::new("shifts", 1, |_| Shifts::default())
        .case("shift_u8", two(|value, by: u32| ShiftU8 { value, by: by % 11 }))
        .case("shift_i16", two(|value, by: i32| ShiftI16 { value, by: by % 20 }))
        .case("shift_i32", two(|value, by: u8| ShiftI32 { value, by: by % 40 }))
        .case("shift_u32", two(|value, by: i64| ShiftU32 { value, by: by % 35 }))
        .case("shift_i64", two(|value, by: i8| ShiftI64 { value, by: by % 68 }))
        .case("shift_u64", two(|value, by: u64| ShiftU64 { value, by: by % 70 }))
        .case("shift_by_constant", two(|narrow, wide| ShiftByConstant { narrow, wide }));
    vec![Box::new(checked), Box::new(shifts)]
}
