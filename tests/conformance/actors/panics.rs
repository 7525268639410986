//! Panics and assertions: the asker gets the place in this file and the text, on every device.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// `entered` is counted before each panic: nothing is rolled back.
#[ring_kernel(id = "panics")]
#[derive(Default)]
pub struct Panics {
    entered: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Panic {
    pub code: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Assert {
    pub a: i32,
    pub b: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Unreachable {
    pub value: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Clamp {
    pub value: i32,
    pub low: i32,
    pub high: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct InLoop {
    pub from: u8,
    pub at: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct InFunction {
    pub value: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Constant {
    pub index: u16,
}

#[device_fn]
fn checked_half(value: i64) -> i64 {
    assert!(value % 2 == 0, "odd");
    if value < -1000 {
        panic!("too far below zero");
    }
    value / 2
}

#[ring_kernel]
impl Panics {
    #[handler]
    fn panics(&mut self, _ctx: &mut RingContext, msg: Panic) -> u32 {
        self.entered = self.entered.wrapping_add(1);
        match msg.code {
            0 => panic!("code zero"),
            1 => panic!(),
            2 => panic!("braces {{}} and \"quotes\""),
            3 => {
                panic!("in a block")
            }
            _ => self.entered,
        }
    }

    #[handler]
    fn asserts(&mut self, _ctx: &mut RingContext, msg: Assert) -> i32 {
        self.entered ^= 1;
        assert!(msg.a != 7);
        assert!(msg.a < msg.b || msg.a > 1000, "a is too large");
        debug_assert!(msg.b != 255, "only where debug assertions are on");
        msg.b.wrapping_sub(msg.a)
    }

    #[handler]
    fn unreachables(&mut self, _ctx: &mut RingContext, msg: Unreachable) -> u8 {
        match msg.value % 5 {
            0 => 10,
            1 => 11,
            2 => unreachable!(),
            3 => unreachable!("three"),
            _ => 14,
        }
    }

    #[handler]
    fn clamps(&mut self, _ctx: &mut RingContext, msg: Clamp) -> i32 {
        msg.value.clamp(msg.low, msg.high)
    }

    /// The state shows how far the loop came.
    #[handler]
    fn in_loop(&mut self, _ctx: &mut RingContext, msg: InLoop) -> u32 {
        for i in (msg.from % 32)..32 {
            self.entered = self.entered.wrapping_add(i as u32);
            if i == msg.at % 64 {
                panic!("reached");
            }
        }
        self.entered
    }

    #[handler]
    fn in_function(&mut self, _ctx: &mut RingContext, msg: InFunction) -> i64 {
        let half = checked_half(msg.value);
        checked_half(half)
    }

    #[handler]
    fn bounds(&mut self, _ctx: &mut RingContext, msg: Constant) -> u16 {
        let table = [3u16, 1, 4, 1, 5];
        let first = table[(msg.index % 6) as usize];
        first + table[(msg.index / 6 % 6) as usize]
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let suite = Suite::new("panics", 3, |_| Panics::default())
        .case("panics", one(|code: u8| Panic { code: code % 6 }))
        .case("asserts", two(|a, b| Assert { a, b }))
        .case("unreachables", one(|value| Unreachable { value }))
        .case("clamps", three(|value, low, high| Clamp { value, low, high }))
        .case("in_loop", two(|from, at| InLoop { from, at }))
        .case("in_function", one(|value| InFunction { value }))
        .case("bounds", one(|index| Constant { index }));
    Box::new(suite)
}
