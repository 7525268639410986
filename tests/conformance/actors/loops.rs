//! `while`, `loop` with a value, `for` over every kind of range, labels.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// Counts rounds in the state, so that a round too many shows.
#[ring_kernel(id = "loops")]
#[derive(Default)]
pub struct Loops {
    rounds: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Collatz {
    pub start: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Gcd {
    pub a: u64,
    pub b: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Find {
    pub needle: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Range {
    pub from: i32,
    pub to: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Inclusive {
    pub from: u8,
    pub to: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Backward {
    pub from: i16,
    pub to: i16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Stepped {
    pub from: u8,
    pub to: u8,
    pub step: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Labelled {
    pub target: u32,
    pub skip: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Primes {
    pub below: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ReturnInside {
    pub a: u32,
    pub b: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct LabelledBlock {
    pub a: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct FloatLoop {
    pub steps: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Extremes {
    pub back: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ExtremesDone {
    pub up: i64,
    pub down: u64,
    pub all: u32,
}

#[ring_kernel]
impl Loops {
    #[handler]
    fn collatz(&mut self, _ctx: &mut RingContext, msg: Collatz) -> u32 {
        let mut n = msg.start % 1000 + 1;
        let mut steps = 0;
        while n != 1 {
            n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        self.rounds = self.rounds.wrapping_add(steps);
        steps
    }

    #[handler]
    fn gcd(&mut self, _ctx: &mut RingContext, msg: Gcd) -> u64 {
        let mut a = msg.a;
        let mut b = msg.b;
        while b > 0 {
            let rest = a % b;
            a = b;
            b = rest;
        }
        a
    }

    /// A `loop` whose `break` carries the value.
    #[handler]
    fn find(&mut self, _ctx: &mut RingContext, msg: Find) -> u32 {
        let mut at = 0;
        let found = loop {
            if at * at >= msg.needle % 10_000 {
                break at;
            }
            at += 1;
            if at % 50 == 0 {
                self.rounds = self.rounds.wrapping_add(1);
                continue;
            }
        };
        found * 2
    }

    #[handler]
    fn range(&mut self, _ctx: &mut RingContext, msg: Range) -> i32 {
        let from = msg.from % 50;
        let to = msg.to % 50;
        let mut sum = 0;
        for i in from..to {
            sum += i * i;
        }
        for _ in 0..3 {
            sum += 1;
        }
        sum
    }

    /// Up to and with 255: the counter must not overflow.
    #[handler]
    fn inclusive(&mut self, _ctx: &mut RingContext, msg: Inclusive) -> u32 {
        let mut sum = 0u32;
        for i in msg.from..=msg.to {
            if i % 7 == 3 {
                continue;
            }
            sum += i as u32;
        }
        sum
    }

    #[handler]
    fn backward(&mut self, _ctx: &mut RingContext, msg: Backward) -> i32 {
        let from = msg.from % 40;
        let to = msg.to % 40;
        let mut value: i32 = 1;
        for i in (from..to).rev() {
            value = value.wrapping_mul(31).wrapping_add(i as i32);
        }
        for i in (from..=to).rev() {
            if i == 13 {
                break;
            }
            value = value.wrapping_mul(7).wrapping_sub(i as i32);
        }
        value
    }

    #[handler]
    fn stepped(&mut self, _ctx: &mut RingContext, msg: Stepped) -> u32 {
        let mut value = 0u32;
        for i in (msg.from..msg.to).step_by(7) {
            value = value.wrapping_mul(3).wrapping_add(i as u32);
        }
        for i in (msg.from..=msg.to).step_by(50) {
            value = value.wrapping_mul(5).wrapping_add(i as u32);
        }
        for i in (0..=100u32).rev().step_by((msg.step % 9 + 1) as usize) {
            value = value.wrapping_mul(5).wrapping_add(i);
        }
        value
    }

    #[handler]
    fn labelled(&mut self, _ctx: &mut RingContext, msg: Labelled) -> u32 {
        let target = msg.target % 300;
        let mut visited = 0;
        'rows: for row in 0..16u32 {
            let mut column = 0;
            'columns: while column < 16 {
                column += 1;
                visited += 1;
                for inner in 0..3 {
                    if inner == msg.skip % 5 {
                        continue 'columns;
                    }
                    if visited > 2 * target {
                        break 'rows;
                    }
                    if (row + column) % 11 == 10 {
                        continue 'rows;
                    }
                }
                if row * 16 + column >= target {
                    break 'columns;
                }
                visited += 100;
            }
        }
        visited
    }

    /// A sieve in a local array, nested loops.
    #[handler]
    fn primes(&mut self, _ctx: &mut RingContext, msg: Primes) -> u32 {
        let below = (msg.below % 64) as usize;
        let mut composite = [false; 64];
        let mut count = 0;
        for n in 2..below {
            if composite[n] {
                continue;
            }
            count += 1;
            let mut multiple = n * n;
            while multiple < below {
                composite[multiple] = true;
                multiple += n;
            }
        }
        count
    }

    #[handler]
    fn return_inside(&mut self, _ctx: &mut RingContext, msg: ReturnInside) -> u32 {
        for i in 0..20u32 {
            for j in 0..20u32 {
                if i * j == msg.a % 400 {
                    return i * 100 + j;
                }
                if i + j > msg.b % 60 {
                    break;
                }
            }
        }
        self.rounds = self.rounds.wrapping_add(1);
        7777
    }

    #[handler]
    fn labelled_block(&mut self, _ctx: &mut RingContext, msg: LabelledBlock) -> i32 {
        let value = 'found: {
            if msg.a < 0 {
                break 'found -1;
            }
            if msg.a % 2 == 0 {
                break 'found msg.a / 2;
            }
            msg.a.wrapping_mul(3)
        };
        value ^ 1
    }

    #[handler]
    fn float_loop(&mut self, _ctx: &mut RingContext, msg: FloatLoop) -> f32 {
        let mut x = 1.0;
        for _ in 0..msg.steps {
            x = x * 0.75 + 0.5;
        }
        x
    }

    /// Ranges that end where their type does.
    #[handler]
    fn extremes(&mut self, _ctx: &mut RingContext, msg: Extremes) -> ExtremesDone {
        let mut up = 0i64;
        for i in (i64::MAX - msg.back as i64)..=i64::MAX {
            up = up.wrapping_add(i);
        }
        let mut down = 0u64;
        for i in (0..=msg.back as u64).rev() {
            down = down.wrapping_mul(2) ^ i;
        }
        let mut all = 0u32;
        for i in i8::MIN..=i8::MAX {
            all = all.wrapping_mul(17).wrapping_add(i as u32);
        }
        ExtremesDone { up, down, all }
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let suite = Suite::new("loops", 2, |_| Loops::default())
        .case("collatz", one(|start| Collatz { start }))
        .case("gcd", two(|a, b| Gcd { a, b }))
        .case("find", one(|needle| Find { needle }))
        .case("range", two(|from, to| Range { from, to }))
        .case("inclusive", two(|from, to| Inclusive { from, to }))
        .case("backward", two(|from, to| Backward { from, to }))
        .case("stepped", three(|from, to, step| Stepped { from, to, step }))
        .case("labelled", two(|target, skip| Labelled { target, skip }))
        .case("primes", one(|below| Primes { below }))
        .case("return_inside", two(|a, b| ReturnInside { a, b }))
        .case("labelled_block", one(|a| LabelledBlock { a }))
        .case("float_loop", one(|steps| FloatLoop { steps }))
        .case("extremes", one(|back| Extremes { back }));
    Box::new(suite)
}
