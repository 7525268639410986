//! More methods of numbers: Euclidean division, powers, roots, logarithms, signs.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, two};
use ringkernel_tests::suite::{Conformance, Floats, Suite};
use ringkernel_tests::wgsl::{DIV, EXACT};

#[ring_kernel(id = "numbers")]
#[derive(Default)]
pub struct Numbers {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Euclid {
    pub a: i32,
    pub b: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Euclid8 {
    pub a: i8,
    pub b: i8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Euclid64 {
    pub a: i64,
    pub b: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Apart {
    pub a: i16,
    pub b: i16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ApartDone {
    pub difference: u16,
    pub magnitude: u16,
    pub sign: i16,
    pub positive: bool,
    pub negative: bool,
    pub wrapped: i16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Powers {
    pub a: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct PowersDone {
    pub is_power: bool,
    pub root: u32,
    pub multiple: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct NextPower {
    pub a: u16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ceiling {
    pub a: u32,
    pub b: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Multiple {
    pub a: u8,
    pub b: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Logarithm {
    pub a: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Root64 {
    pub a: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct SaturatingPower {
    pub base: i16,
    pub exponent: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Power8 {
    pub base: u8,
    pub exponent: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Magnitude {
    pub a: i8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Between {
    pub a: i32,
    pub b: i32,
}

#[ring_kernel]
impl Numbers {
    #[handler]
    fn euclid(&mut self, _ctx: &mut RingContext, msg: Euclid) -> i64 {
        msg.a.div_euclid(msg.b) as i64 * 7 + msg.a.rem_euclid(msg.b) as i64
    }

    #[handler]
    fn euclid8(&mut self, _ctx: &mut RingContext, msg: Euclid8) -> i16 {
        msg.a.rem_euclid(msg.b) as i16 + msg.a.div_euclid(msg.b) as i16 * 100
    }

    #[handler]
    fn euclid64(&mut self, _ctx: &mut RingContext, msg: Euclid64) -> i64 {
        msg.a.div_euclid(msg.b) ^ msg.a.rem_euclid(msg.b)
    }

    #[handler]
    fn apart(&mut self, _ctx: &mut RingContext, msg: Apart) -> ApartDone {
        ApartDone {
            difference: msg.a.abs_diff(msg.b),
            magnitude: msg.a.unsigned_abs(),
            sign: msg.a.signum(),
            positive: msg.a.is_positive(),
            negative: msg.b.is_negative(),
            wrapped: msg.a.wrapping_abs(),
        }
    }

    #[handler]
    fn powers(&mut self, _ctx: &mut RingContext, msg: Powers) -> PowersDone {
        PowersDone {
            is_power: msg.a.is_power_of_two(),
            root: msg.a.isqrt(),
            multiple: msg.a.is_multiple_of(12),
        }
    }

    /// Beyond the largest power of two a debug build faults and a release build answers 0.
    #[handler]
    fn next_power(&mut self, _ctx: &mut RingContext, msg: NextPower) -> u16 {
        msg.a.next_power_of_two()
    }

    #[handler]
    fn ceiling(&mut self, _ctx: &mut RingContext, msg: Ceiling) -> u32 {
        msg.a.div_ceil(msg.b)
    }

    #[handler]
    fn multiple(&mut self, _ctx: &mut RingContext, msg: Multiple) -> u8 {
        msg.a.next_multiple_of(msg.b)
    }

    /// The logarithm of zero, or of less, panics.
    #[handler]
    fn logarithm(&mut self, _ctx: &mut RingContext, msg: Logarithm) -> u32 {
        msg.a.ilog2()
    }

    #[handler]
    fn root64(&mut self, _ctx: &mut RingContext, msg: Root64) -> u64 {
        msg.a.isqrt()
    }

    #[handler]
    fn saturating_power(&mut self, _ctx: &mut RingContext, msg: SaturatingPower) -> i16 {
        msg.base.saturating_pow(msg.exponent % 20)
    }

    #[handler]
    fn power8(&mut self, _ctx: &mut RingContext, msg: Power8) -> u8 {
        msg.base.pow(msg.exponent % 10)
    }

    #[handler]
    fn magnitude(&mut self, _ctx: &mut RingContext, msg: Magnitude) -> i8 {
        msg.a.abs()
    }

    #[handler]
    fn between(&mut self, _ctx: &mut RingContext, msg: Between) -> u8 {
        let half_open = (0..100).contains(&msg.a);
        let closed = (msg.a..=msg.b).contains(&10);
        half_open as u8 + 2 * closed as u8
    }
}

/// More of `f32`.
#[ring_kernel(id = "more_floats")]
#[derive(Default)]
pub struct MoreFloats {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Parts {
    pub a: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct PartsDone {
    pub fraction: f32,
    pub sign: f32,
    pub reciprocal: f32,
    pub radians: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Kind {
    pub a: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct KindDone {
    pub nan: bool,
    pub finite: bool,
    pub infinite: bool,
    pub negative: bool,
    pub positive: bool,
    pub bits: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct EuclidF32 {
    pub a: f32,
    pub b: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Constants {
    pub a: f32,
}

#[ring_kernel]
impl MoreFloats {
    #[handler]
    fn parts(&mut self, _ctx: &mut RingContext, msg: Parts) -> PartsDone {
        PartsDone {
            fraction: msg.a.fract(),
            sign: msg.a.signum(),
            reciprocal: msg.a.recip(),
            radians: msg.a.to_radians(),
        }
    }

    #[handler]
    fn kind(&mut self, _ctx: &mut RingContext, msg: Kind) -> KindDone {
        KindDone {
            nan: msg.a.is_nan(),
            finite: msg.a.is_finite(),
            infinite: msg.a.is_infinite(),
            negative: msg.a.is_sign_negative(),
            positive: msg.a.is_sign_positive(),
            bits: if msg.a.is_nan() { 1 } else { msg.a.to_bits() },
        }
    }

    #[handler]
    fn euclid_f32(&mut self, _ctx: &mut RingContext, msg: EuclidF32) -> f32 {
        msg.a.rem_euclid(msg.b)
    }

    #[handler]
    fn constants(&mut self, _ctx: &mut RingContext, msg: Constants) -> f32 {
        if msg.a > f32::MAX * 0.5 {
            return f32::INFINITY;
        }
        if msg.a < f32::MIN_POSITIVE { f32::EPSILON } else { msg.a * 3.5e-2 - 1_000.0 }
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let numbers = Suite::new("numbers", 1, |_| Numbers::default())
        .case("euclid", two(|a, b| Euclid { a, b }))
        .case("euclid8", two(|a, b| Euclid8 { a, b }))
        .case("euclid64", two(|a, b| Euclid64 { a, b }))
        .case("apart", two(|a, b| Apart { a, b }))
        .case("powers", one(|a| Powers { a }))
        .case("next_power", one(|a| NextPower { a }))
        .case("ceiling", two(|a, b| Ceiling { a, b }))
        .case("multiple", two(|a, b| Multiple { a, b }))
        .case("logarithm", one(|a| Logarithm { a }))
        .case("root64", one(|a| Root64 { a }))
        .case("saturating_power", two(|base, exponent| SaturatingPower { base, exponent }))
        .case("power8", two(|base, exponent| Power8 { base, exponent }))
        .case("magnitude", one(|a| Magnitude { a }))
        .case("between", two(|a, b| Between { a, b }));
    let floats = Suite::new("more_floats", 1, |_| MoreFloats::default())
        .ieee()
        .float_case("parts", one(|a| Parts { a }), Floats::f32(&[0], &[EXACT, EXACT, DIV, EXACT]))
        .case("kind", one(|a| Kind { a }))
        .float_case("euclid_f32", two(|a, b| EuclidF32 { a, b }), Floats::f32(&[0, 4], &[EXACT]))
        .float_case("constants", one(|a| Constants { a }), Floats::f32(&[0], &[EXACT]));
    vec![Box::new(numbers), Box::new(floats)]
}
