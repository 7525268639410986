//! Division and remainder, which fault in every build: by zero, and `MIN / -1`.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// Quotients of every width.
#[ring_kernel(id = "division")]
#[derive(Default)]
pub struct Division {}

macro_rules! quotient {
    ($($ask:ident -> $reply:ident: $int:ty),+ $(,)?) => {$(
        #[derive(RingMessage, Clone, Copy, Debug)]
        pub struct $ask {
            pub a: $int,
            pub b: $int,
        }

        #[derive(RingMessage, Clone, Copy, Debug)]
        pub struct $reply {
            pub quotient: $int,
            pub remainder: $int,
        }
    )+};
}

quotient!(
    DivI8 -> QuotientI8: i8,
    DivI16 -> QuotientI16: i16,
    DivI32 -> QuotientI32: i32,
    DivI64 -> QuotientI64: i64,
    DivU8 -> QuotientU8: u8,
    DivU16 -> QuotientU16: u16,
    DivU32 -> QuotientU32: u32,
    DivU64 -> QuotientU64: u64,
    RemainderFirst -> Remainders: i32,
);

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ByConstant {
    pub a: u32,
    pub b: i32,
    pub c: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ByConstantDone {
    pub tens: u32,
    pub digit: u32,
    pub halves: i32,
    pub sevenths: i32,
    pub odd: i32,
    pub page: u64,
    pub offset: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ByMinusOne {
    pub a: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct WrapDivide {
    pub a: i16,
    pub b: i16,
}

#[ring_kernel]
impl Division {
    #[handler]
    fn div_i8(&mut self, _ctx: &mut RingContext, msg: DivI8) -> QuotientI8 {
        QuotientI8 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    #[handler]
    fn div_i16(&mut self, _ctx: &mut RingContext, msg: DivI16) -> QuotientI16 {
        QuotientI16 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    #[handler]
    fn div_i32(&mut self, _ctx: &mut RingContext, msg: DivI32) -> QuotientI32 {
        QuotientI32 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    #[handler]
    fn div_i64(&mut self, _ctx: &mut RingContext, msg: DivI64) -> QuotientI64 {
        QuotientI64 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    #[handler]
    fn div_u8(&mut self, _ctx: &mut RingContext, msg: DivU8) -> QuotientU8 {
        QuotientU8 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    #[handler]
    fn div_u16(&mut self, _ctx: &mut RingContext, msg: DivU16) -> QuotientU16 {
        QuotientU16 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    #[handler]
    fn div_u32(&mut self, _ctx: &mut RingContext, msg: DivU32) -> QuotientU32 {
        let mut quotient = msg.a;
        quotient /= msg.b;
        let mut remainder = msg.a;
        remainder %= msg.b;
        QuotientU32 { quotient, remainder }
    }

    #[handler]
    fn div_u64(&mut self, _ctx: &mut RingContext, msg: DivU64) -> QuotientU64 {
        QuotientU64 { quotient: msg.a / msg.b, remainder: msg.a % msg.b }
    }

    /// The remainder's own faults, which a quotient before it would hide.
    #[handler]
    fn remainder_first(&mut self, _ctx: &mut RingContext, msg: RemainderFirst) -> Remainders {
        let remainder = msg.a % msg.b;
        Remainders { remainder, quotient: msg.a / msg.b }
    }

    #[handler]
    fn by_constant(&mut self, _ctx: &mut RingContext, msg: ByConstant) -> ByConstantDone {
        ByConstantDone {
            tens: msg.a / 10,
            digit: msg.a % 10,
            halves: msg.b / 2,
            sevenths: msg.b / -7,
            odd: msg.b % 2,
            page: msg.c / 4096,
            offset: msg.c % 1_000_003,
        }
    }

    #[handler]
    fn by_minus_one(&mut self, _ctx: &mut RingContext, msg: ByMinusOne) -> i32 {
        msg.a / -1
    }

    #[handler]
    fn wrap_divide(&mut self, _ctx: &mut RingContext, msg: WrapDivide) -> i32 {
        let quotient = msg.a.wrapping_div(msg.b);
        let remainder = msg.a.wrapping_rem(msg.b);
        quotient as i32 * 65_536 + remainder as i32
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let suite = Suite::new("division", 2, |_| Division::default())
        .case("div_i8", two(|a, b| DivI8 { a, b }))
        .case("div_i16", two(|a, b| DivI16 { a, b }))
        .case("div_i32", two(|a, b| DivI32 { a, b }))
        .case("div_i64", two(|a, b| DivI64 { a, b }))
        .case("div_u8", two(|a, b| DivU8 { a, b }))
        .case("div_u16", two(|a, b| DivU16 { a, b }))
        .case("div_u32", two(|a, b| DivU32 { a, b }))
        .case("div_u64", two(|a, b| DivU64 { a, b }))
        .case("remainder_first", two(|a, b| RemainderFirst { a, b }))
        .case("by_constant", ringkernel_tests::inputs::three(|a, b, c| ByConstant { a, b, c }))
        .case("by_minus_one", one(|a| ByMinusOne { a }))
        .case("wrap_divide", two(|a, b| WrapDivide { a, b }));
    Box::new(suite)
}
