//! `match` on integers and bools: literals, ranges, or-patterns, bindings, guards, and as a value.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// A small machine with modes.
#[ring_kernel(id = "matches")]
#[derive(Default)]
pub struct Matches {
    mode: u8,
    count: u16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Literal {
    pub value: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Signed {
    pub value: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Wide {
    pub value: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Bound {
    pub value: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Guards {
    pub a: i16,
    pub b: i16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Truth {
    pub a: bool,
    pub b: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Step {
    pub input: u8,
}

#[ring_kernel]
impl Matches {
    #[handler]
    fn literal(&mut self, _ctx: &mut RingContext, msg: Literal) -> u32 {
        match msg.value {
            0 => 100,
            1 | 2 | 3 => 200,
            255 => 300,
            0x8000_0000 => 400,
            _ => msg.value / 2,
        }
    }

    #[handler]
    fn signed(&mut self, _ctx: &mut RingContext, msg: Signed) -> i32 {
        match msg.value {
            i32::MIN..=-100 => -3,
            -99..=-1 => -2,
            0 => 0,
            1..10 | 20..=29 => 1,
            10..=19 => 2,
            _ => 3,
        }
    }

    #[handler]
    fn wide(&mut self, _ctx: &mut RingContext, msg: Wide) -> i64 {
        match msg.value {
            -4_294_967_296 => 1,
            ..=-1 => 2,
            0..=4_294_967_295 => 3,
            4_294_967_296.. => 4,
        }
    }

    #[handler]
    fn bound(&mut self, _ctx: &mut RingContext, msg: Bound) -> u32 {
        match msg.value {
            digit @ b'0'..=b'9' => (digit - b'0') as u32,
            letter @ (b'a'..=b'f' | b'A'..=b'F') => (letter & 0x0f) as u32 + 9,
            other => other as u32 + 1000,
        }
    }

    #[handler]
    fn guards(&mut self, _ctx: &mut RingContext, msg: Guards) -> i32 {
        let sum = msg.a.wrapping_add(msg.b);
        match sum {
            x if x == msg.a => 1,
            x if x > 0 && x % 3 == 0 => x as i32,
            0..=50 if msg.b > 25 => 2,
            0..=50 => 3,
            x => -(x as i32),
        }
    }

    #[handler]
    fn truth(&mut self, _ctx: &mut RingContext, msg: Truth) -> u8 {
        match msg.a {
            true => match msg.b {
                true => 3,
                false => 2,
            },
            false if msg.b => 1,
            _ => 0,
        }
    }

    /// Arms that are statements, one that returns, and nested matches.
    #[handler]
    fn step(&mut self, _ctx: &mut RingContext, msg: Step) -> u16 {
        match self.mode {
            0 => {
                if msg.input == 0 {
                    return 9999;
                }
                self.mode = 1;
            }
            1 | 2 => match msg.input & 3 {
                0 => self.mode = 0,
                1 => self.mode = 3 - self.mode,
                n => self.count = self.count.wrapping_add(n as u16),
            },
            _ => self.mode = 0,
        }
        self.count
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let suite = Suite::new("matches", 3, |instance| Matches { mode: instance as u8, count: 0 })
        .case("literal", one(|value| Literal { value }))
        .case("signed", one(|value| Signed { value }))
        .case("wide", one(|value| Wide { value }))
        .case("bound", one(|value| Bound { value }))
        .case("guards", two(|a, b| Guards { a, b }))
        .case("truth", two(|a, b| Truth { a, b }))
        .case("step", one(|input| Step { input }));
    Box::new(suite)
}
