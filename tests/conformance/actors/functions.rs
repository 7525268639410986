//! Helper functions and methods, constants.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, two};
use ringkernel_tests::suite::{Conformance, Suite};

#[device_const]
const MODULUS: u64 = 1_000_000_007;

#[device_const]
const TABLE_SIZE: u32 = 8;

#[device_const]
const HALF: f32 = 0.5;

#[device_const]
const TWICE: u32 = TABLE_SIZE * 2;

/// `base ^ exponent` modulo a prime, by squaring.
#[device_fn]
fn power_mod(base: u64, exponent: u32) -> u64 {
    let mut result = 1;
    let mut factor = base % MODULUS;
    let mut left = exponent;
    while left > 0 {
        if left & 1 == 1 {
            result = result * factor % MODULUS;
        }
        factor = factor * factor % MODULUS;
        left >>= 1;
    }
    result
}

/// Ways out in the middle.
#[device_fn]
fn classify(value: i32) -> u8 {
    if value < 0 {
        return 1;
    }
    for divisor in 2..12 {
        if value % divisor == 0 {
            return divisor as u8;
        }
    }
    0
}

/// Changes what the caller lends it.
#[device_fn]
fn advance(seed: &mut u32, by: u32) -> u32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *seed ^= by;
    *seed >> 16
}

/// Nothing to return: all it does is through its parameters.
#[device_fn]
fn order(a: &mut i64, b: &mut i64) {
    if *a <= *b {
        return;
    }
    let held = *a;
    *a = *b;
    *b = held;
}

#[derive(DeviceType, Clone, Copy, Debug, Default)]
pub struct Complex {
    pub re: i32,
    pub im: i32,
}

#[device_fn]
fn multiply(a: Complex, b: Complex) -> Complex {
    Complex {
        re: a.re.wrapping_mul(b.re).wrapping_sub(a.im.wrapping_mul(b.im)),
        im: a.re.wrapping_mul(b.im).wrapping_add(a.im.wrapping_mul(b.re)),
    }
}

#[device_fn]
fn square(a: Complex) -> Complex {
    multiply(a, a)
}

#[device_fn]
fn sum(items: &[u16; 6], from: usize) -> u32 {
    let mut total = 0;
    for i in from..items.len() {
        total += items[i] as u32;
    }
    total
}

#[device_fn]
fn fill(items: &mut [u32; 8], value: u32) {
    for i in 0..8 {
        items[i] = value.rotate_left(i as u32);
    }
}

#[ring_kernel(id = "functions")]
#[derive(Default)]
pub struct Functions {
    seed: u32,
    low: i64,
    high: i64,
    place: Complex,
    table: [u32; 8],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Power {
    pub base: u64,
    pub exponent: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Classify {
    pub value: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Random {
    pub by: u32,
    pub local: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Widen {
    pub a: i64,
    pub b: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Bounds {
    pub low: i64,
    pub high: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Rotate {
    pub by: Complex,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Place {
    pub place: Complex,
    pub squared: Complex,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sum {
    pub items: [u16; 6],
    pub from: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Fill {
    pub value: u32,
    pub at: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Scale {
    pub value: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Method {
    pub a: i32,
    pub b: i32,
}

#[ring_kernel]
impl Functions {
    const LIMIT: i32 = 100;
    const MASK: u32 = 0b1010_1010;

    #[handler]
    fn power(&mut self, _ctx: &mut RingContext, msg: Power) -> u64 {
        power_mod(msg.base, msg.exponent)
    }

    #[handler]
    fn classify(&mut self, _ctx: &mut RingContext, msg: Classify) -> u32 {
        classify(msg.value) as u32 + 100 * classify(msg.value / 2) as u32
    }

    /// `&mut` of a state field, and of a local.
    #[handler]
    fn random(&mut self, _ctx: &mut RingContext, msg: Random) -> u32 {
        let mut local = msg.local;
        let first = advance(&mut self.seed, msg.by);
        let second = advance(&mut local, first);
        first ^ second.wrapping_mul(3) ^ local
    }

    #[handler]
    fn widen(&mut self, _ctx: &mut RingContext, msg: Widen) -> Bounds {
        let mut a = msg.a;
        let mut b = msg.b;
        order(&mut a, &mut b);
        self.low = self.low.min(a);
        self.high = self.high.max(b);
        Bounds { low: a, high: self.high }
    }

    #[handler]
    fn rotate(&mut self, _ctx: &mut RingContext, msg: Rotate) -> Place {
        self.place = multiply(self.place, msg.by);
        Place { place: self.place, squared: square(self.place) }
    }

    #[handler]
    fn sum(&mut self, _ctx: &mut RingContext, msg: Sum) -> u32 {
        sum(&msg.items, msg.from as usize)
    }

    #[handler]
    fn fill(&mut self, _ctx: &mut RingContext, msg: Fill) -> u32 {
        fill(&mut self.table, msg.value);
        self.table[(msg.at % TABLE_SIZE) as usize] & Self::MASK
    }

    #[handler]
    fn scale(&mut self, _ctx: &mut RingContext, msg: Scale) -> f32 {
        let rounded = (msg.value * HALF).floor().clamp(-1000.0, 1000.0);
        if rounded > 0.0 { rounded } else { 0.25 + TWICE as f32 }
    }

    #[handler]
    fn method(&mut self, _ctx: &mut RingContext, msg: Method) -> i32 {
        self.remember(msg.a);
        let limited = Self::limit(msg.b) + self.distance(msg.a);
        limited.clamp(-Self::LIMIT, i32::MAX)
    }

    fn remember(&mut self, value: i32) {
        self.low = self.low.wrapping_add(value as i64);
    }

    fn distance(&self, from: i32) -> i32 {
        let apart = self.low.wrapping_sub(from as i64);
        (apart % 1000) as i32
    }

    fn limit(value: i32) -> i32 {
        value.clamp(-Self::LIMIT, Self::LIMIT)
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let initial =
        |instance| Functions { seed: instance, place: Complex { re: 1, im: 1 }, ..Functions::default() };
    let suite = Suite::new("functions", 4, initial)
        .case("power", two(|base, exponent| Power { base, exponent }))
        .case("classify", one(|value| Classify { value }))
        .case("random", two(|by, local| Random { by, local }))
        .case("widen", two(|a, b| Widen { a, b }))
        .case("rotate", two(|re, im| Rotate { by: Complex { re, im } }))
        .case("sum", two(|item: u16, from: u32| Sum { items: [1, 2, item, 4, item, 6], from: from % 9 }))
        .case("fill", two(|value, at| Fill { value, at }))
        .case("scale", one(|value| Scale { value }))
        .case("method", two(|a, b| Method { a, b }));
    Box::new(suite)
}
