//! `if` and blocks as values, nesting, shadowing across branches, early return.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// Branches that write state on some paths only.
#[ring_kernel(id = "branches")]
#[derive(Default)]
pub struct Branches {
    taken: u32,
    level: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Pick {
    pub a: i32,
    pub b: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ladder {
    pub value: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Nested {
    pub a: u8,
    pub b: u8,
    pub c: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Early {
    pub value: i64,
    pub limit: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct EarlyDone {
    pub exit: u8,
    pub value: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Blocks {
    pub a: u32,
    pub b: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Late {
    pub a: bool,
    pub b: i16,
}

#[ring_kernel]
impl Branches {
    #[handler]
    fn pick(&mut self, _ctx: &mut RingContext, msg: Pick) -> i32 {
        let larger = if msg.a > msg.b { msg.a } else { msg.b };
        let sign = if larger > 0 {
            1
        } else if larger < 0 {
            -1
        } else {
            0
        };
        larger.wrapping_mul(2).wrapping_add(sign)
    }

    #[handler]
    fn ladder(&mut self, _ctx: &mut RingContext, msg: Ladder) -> i32 {
        if msg.value < -100 {
            self.level = self.level.wrapping_sub(2);
        } else if msg.value < 0 {
            self.level = self.level.wrapping_sub(1);
        } else if msg.value == 0 {
            self.level = 0;
        } else if msg.value % 2 == 0 {
            self.level = self.level.wrapping_add(1);
        } else {
            self.taken = self.taken.wrapping_add(1);
        }
        self.level
    }

    #[handler]
    fn nested(&mut self, _ctx: &mut RingContext, msg: Nested) -> u32 {
        let mut score = 0;
        if msg.a > 10 {
            if msg.b > 10 {
                score = if msg.c { 4 } else { 3 };
            } else if msg.c {
                score += 20;
            }
        } else {
            let a = msg.a as u32 + 1;
            if a > msg.b as u32 {
                score = a * 100;
            }
        }
        score
    }

    /// Three ways out, one of them after the state was written.
    #[handler]
    fn early(&mut self, _ctx: &mut RingContext, msg: Early) -> EarlyDone {
        if msg.limit < 0 {
            return EarlyDone { exit: 1, value: 0 };
        }
        self.taken = self.taken.wrapping_add(7);
        if msg.value > msg.limit {
            self.level = self.level.wrapping_sub(3);
            return EarlyDone { exit: 2, value: msg.limit };
        }
        EarlyDone { exit: 3, value: msg.value }
    }

    #[handler]
    fn blocks(&mut self, _ctx: &mut RingContext, msg: Blocks) -> u32 {
        let x = {
            let a = msg.a ^ 0xffff;
            let b = msg.b >> 3;
            a & b
        };
        let x = x | 1;
        {
            let x = 1000;
            self.taken = x;
        }
        x.wrapping_mul({
            let y = x & 0xff;
            y + 1
        })
    }

    /// A variable declared first and given its value later.
    #[handler]
    fn late(&mut self, _ctx: &mut RingContext, msg: Late) -> i16 {
        let value;
        let mut other: i16 = 5;
        if msg.a {
            value = msg.b;
            other = other.wrapping_add(value);
        } else {
            value = -1;
        }
        value ^ other
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let suite = Suite::new("branches", 4, |instance| Branches { taken: 0, level: instance as i32 })
        .case("pick", two(|a, b| Pick { a, b }))
        .case("ladder", one(|value| Ladder { value }))
        .case("nested", three(|a, b, c| Nested { a, b, c }))
        .case("early", two(|value, limit| Early { value, limit }))
        .case("blocks", two(|a, b| Blocks { a, b }))
        .case("late", two(|a, b| Late { a, b }));
    Box::new(suite)
}
