//! `usize` and `isize` inside handlers: arithmetic, casts, loops. (They may not be fields: their width is the device's.)
//!
//! `usize` is 64 bits on the CPU and on CUDA. On WebGPU it is 32, and a value beyond that is a fault, never a wrong answer; the
//! first actor stays within 32 bits, the second one's constant makes it 64 there too.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{three, two};
use ringkernel_tests::suite::{Conformance, Suite};

#[ring_kernel(id = "sizes")]
#[derive(Default)]
pub struct Sizes {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Flat {
    pub row: u16,
    pub column: u16,
    pub width: u16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Below {
    pub a: u8,
    pub b: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Signed {
    pub a: i16,
    pub b: i16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Walk {
    pub start: u8,
    pub stride: u8,
}

#[ring_kernel]
impl Sizes {
    #[handler]
    fn flat(&mut self, _ctx: &mut RingContext, msg: Flat) -> u32 {
        let width = msg.width as usize % 1000;
        let index = (msg.row as usize % 1000) * width + msg.column as usize;
        (index / 3 + index % 7) as u32
    }

    /// An unsigned difference below zero overflows, in 32 bits and in 64.
    #[handler]
    fn below(&mut self, _ctx: &mut RingContext, msg: Below) -> u8 {
        let room = msg.a as usize - msg.b as usize % 100;
        room.min(77) as u8
    }

    #[handler]
    fn signed(&mut self, _ctx: &mut RingContext, msg: Signed) -> i32 {
        let a = msg.a as isize;
        let b = msg.b as isize;
        let sum = (a + b) * 3 - a.abs();
        if sum < 0 { -1 - (sum as i32) } else { sum as i32 }
    }

    #[handler]
    fn walk(&mut self, _ctx: &mut RingContext, msg: Walk) -> u32 {
        let cells = [1u32, 10, 100, 1000, 10_000, 100_000, 1_000_000];
        let mut at = msg.start as usize % cells.len();
        let mut total = 0;
        for _ in 0..5 {
            total += cells[at];
            at = (at + msg.stride as usize) % cells.len();
        }
        for i in (0..cells.len()).rev().step_by(2) {
            total += i as u32;
        }
        total
    }
}

#[ring_kernel(id = "sizes_64")]
#[derive(Default)]
pub struct Sizes64 {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Large {
    pub a: u64,
    pub b: u64,
}

#[ring_kernel]
impl Sizes64 {
    #[handler]
    fn large(&mut self, _ctx: &mut RingContext, msg: Large) -> u64 {
        let page: usize = 0x1_0000_0000;
        let a = msg.a as usize;
        let b = msg.b as usize;
        (a / page).wrapping_mul(b % page) as u64
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let narrow = Suite::new("sizes", 1, |_| Sizes::default())
        .case("flat", three(|row, column, width| Flat { row, column, width }))
        // A release build wraps to a 64-bit value, which a 32-bit `usize` faults at instead: not asked for there.
        .case(
            "below",
            two(|a: u8, b: u8| Below { a: if cfg!(debug_assertions) { a } else { a.max(b % 100) }, b }),
        )
        .case("signed", two(|a, b| Signed { a, b }))
        .case("walk", two(|start, stride| Walk { start, stride }));
    let wide = Suite::new("sizes_64", 1, |_| Sizes64::default()).case("large", two(|a, b| Large { a, b }));
    vec![Box::new(narrow), Box::new(wide)]
}
