//! `bool`: comparisons, connectives, and that `&&` and `||` stop as soon as they know.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{three, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// Counts what the right-hand sides did.
#[ring_kernel(id = "logic")]
#[derive(Default)]
pub struct Logic {
    evaluated: u32,
    last: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Connect {
    pub a: bool,
    pub b: bool,
    pub c: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Connected {
    pub and: bool,
    pub or: bool,
    pub xor: bool,
    pub not: bool,
    pub equal: bool,
    pub less: bool,
    pub all: bool,
    pub any: bool,
    pub majority: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShortAnd {
    pub a: bool,
    pub b: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ShortOr {
    pub a: bool,
    pub b: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Guarded {
    pub a: i32,
    pub b: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Remember {
    pub a: u8,
    pub b: u8,
    pub keep: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct CompareFloats {
    pub a: f32,
    pub b: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct FloatsCompared {
    pub less: bool,
    pub less_or_equal: bool,
    pub greater: bool,
    pub greater_or_equal: bool,
    pub equal: bool,
    pub unequal: bool,
    pub nan: bool,
}

/// Widened values against constants, which drivers like to compare in the narrow type.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Widened {
    pub a: i16,
    pub b: i32,
    pub c: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct WidenedDone {
    pub signs: [bool; 6],
    pub near: [bool; 6],
    pub far: [bool; 6],
}

#[ring_kernel]
impl Logic {
    #[handler]
    fn connect(&mut self, _ctx: &mut RingContext, msg: Connect) -> Connected {
        let mut majority = msg.a & msg.b;
        majority |= msg.b & msg.c;
        majority |= msg.a & msg.c;
        Connected {
            and: msg.a & msg.b,
            or: msg.a | msg.b,
            xor: msg.a ^ msg.b,
            not: !msg.a,
            equal: msg.a == msg.b,
            less: msg.a < msg.b,
            all: msg.a && msg.b && msg.c,
            any: msg.a || msg.b || msg.c,
            majority,
        }
    }

    #[handler]
    fn short_and(&mut self, _ctx: &mut RingContext, msg: ShortAnd) -> bool {
        msg.a && {
            self.evaluated = self.evaluated.wrapping_add(1);
            msg.b
        }
    }

    #[handler]
    fn short_or(&mut self, _ctx: &mut RingContext, msg: ShortOr) -> bool {
        msg.a || {
            self.evaluated = self.evaluated.wrapping_add(100);
            msg.b
        }
    }

    /// The division runs only where it may.
    #[handler]
    fn guarded(&mut self, _ctx: &mut RingContext, msg: Guarded) -> bool {
        msg.b != 0 && msg.b != -1 && msg.a / msg.b > 3 || msg.a == 7
    }

    #[handler]
    fn remember(&mut self, _ctx: &mut RingContext, msg: Remember) -> bool {
        let before = self.last;
        let now = (msg.a > msg.b) == msg.keep;
        self.last = if msg.keep { now ^ self.last } else { now };
        before != self.last
    }

    #[handler]
    fn compare_floats(&mut self, _ctx: &mut RingContext, msg: CompareFloats) -> FloatsCompared {
        FloatsCompared {
            less: msg.a < msg.b,
            less_or_equal: msg.a <= msg.b,
            greater: msg.a > msg.b,
            greater_or_equal: msg.a >= msg.b,
            equal: msg.a == msg.b,
            unequal: msg.a != msg.b,
            nan: msg.a != msg.a || msg.b.is_nan(),
        }
    }

    #[handler]
    fn widened(&mut self, _ctx: &mut RingContext, msg: Widened) -> WidenedDone {
        let a = msg.a as i64;
        let b = msg.b as i64;
        let c = msg.c as u64;
        WidenedDone {
            signs: [a < 0, a <= 0, a > 0, b >= 0, 0 < b, 0 > b],
            near: [a < -129, a == 255, b > 65_535, b < -32_769, c < 256, c >= 0x8000_0000],
            far: [a < 5_000_000_000, b > -5_000_000_000, c > 5_000_000_000, a < b, b <= a, a + 1 == b],
        }
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let suite = Suite::new("logic", 3, |instance| Logic { evaluated: instance, last: instance == 1 })
        .ieee()
        .case("connect", three(|a, b, c| Connect { a, b, c }))
        .case("short_and", two(|a, b| ShortAnd { a, b }))
        .case("short_or", two(|a, b| ShortOr { a, b }))
        .case("guarded", two(|a, b| Guarded { a, b }))
        .case("remember", three(|a, b, keep| Remember { a, b, keep }))
        .case("compare_floats", two(|a, b| CompareFloats { a, b }))
        .case("widened", three(|a, b, c| Widened { a, b, c }));
    Box::new(suite)
}
