//! `f32` and `f64`: arithmetic, roots, rounding, the fused multiply-add. One operation a field, so that each has its own bound on
//! WebGPU; on the CPU and on CUDA all of them are bit for bit.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, three, two};
use ringkernel_tests::suite::{Conformance, Floats, Suite};
use ringkernel_tests::wgsl::{DIV, EXACT, FMA, MIN_MAX, SQRT};

/// Single precision.
#[ring_kernel(id = "floats_f32")]
#[derive(Default)]
pub struct FloatsF32 {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Arithmetic {
    pub a: f32,
    pub b: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ArithmeticDone {
    pub add: f32,
    pub sub: f32,
    pub mul: f32,
    pub div: f32,
    pub neg: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Remainder {
    pub a: f32,
    pub b: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Compound {
    pub a: f32,
    pub b: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Root {
    pub a: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Round {
    pub a: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Rounded {
    pub floor: f32,
    pub ceil: f32,
    pub trunc: f32,
    pub round: f32,
    pub round_ties_even: f32,
    pub abs: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Choose {
    pub a: f32,
    pub b: f32,
    pub c: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Chosen {
    pub smaller: f32,
    pub larger: f32,
    pub clamped: f32,
    pub signed: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Fuse {
    pub a: f32,
    pub b: f32,
    pub c: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct NotFused {
    pub a: f32,
    pub b: f32,
    pub c: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Bits {
    pub bits: u32,
}

#[ring_kernel]
impl FloatsF32 {
    #[handler]
    fn arithmetic(&mut self, _ctx: &mut RingContext, msg: Arithmetic) -> ArithmeticDone {
        ArithmeticDone {
            add: msg.a + msg.b,
            sub: msg.a - msg.b,
            mul: msg.a * msg.b,
            div: msg.a / msg.b,
            neg: -msg.a,
        }
    }

    #[handler]
    fn remainder(&mut self, _ctx: &mut RingContext, msg: Remainder) -> f32 {
        msg.a % msg.b
    }

    #[handler]
    fn compound(&mut self, _ctx: &mut RingContext, msg: Compound) -> f32 {
        let mut value = msg.a;
        value += 1.5;
        value *= msg.b;
        value -= 0.25;
        value
    }

    #[handler]
    fn root(&mut self, _ctx: &mut RingContext, msg: Root) -> f32 {
        msg.a.sqrt()
    }

    #[handler]
    fn round(&mut self, _ctx: &mut RingContext, msg: Round) -> Rounded {
        Rounded {
            floor: msg.a.floor(),
            ceil: msg.a.ceil(),
            trunc: msg.a.trunc(),
            round: msg.a.round(),
            round_ties_even: msg.a.round_ties_even(),
            abs: msg.a.abs(),
        }
    }

    /// `clamp` faults where `min > max` or either is a NaN.
    #[handler]
    fn choose(&mut self, _ctx: &mut RingContext, msg: Choose) -> Chosen {
        Chosen {
            smaller: msg.a.min(msg.b),
            larger: msg.a.max(msg.b),
            clamped: msg.a.clamp(msg.b, msg.c),
            signed: msg.a.copysign(msg.b),
        }
    }

    #[handler]
    fn fuse(&mut self, _ctx: &mut RingContext, msg: Fuse) -> f32 {
        msg.a.mul_add(msg.b, msg.c)
    }

    /// A product and a sum are two roundings on every device.
    #[handler]
    fn not_fused(&mut self, _ctx: &mut RingContext, msg: NotFused) -> f32 {
        msg.a * msg.b + msg.c
    }

    #[handler]
    fn bits(&mut self, _ctx: &mut RingContext, msg: Bits) -> u32 {
        let value = f32::from_bits(msg.bits & 0x7f7f_ffff);
        value.to_bits() ^ 0x8000_0000
    }
}

/// Double precision.
#[ring_kernel(id = "floats_f64")]
#[derive(Default)]
pub struct FloatsF64 {}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Arithmetic64 {
    pub a: f64,
    pub b: f64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ArithmeticDone64 {
    pub add: f64,
    pub sub: f64,
    pub mul: f64,
    pub div: f64,
    pub neg: f64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Functions64 {
    pub a: f64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct FunctionsDone64 {
    pub root: f64,
    pub floor: f64,
    pub ceil: f64,
    pub trunc: f64,
    pub round: f64,
    pub abs: f64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Choose64 {
    pub a: f64,
    pub b: f64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Chosen64 {
    pub smaller: f64,
    pub larger: f64,
    pub signed: f64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Polynomial64 {
    pub x: f64,
}

#[ring_kernel]
impl FloatsF64 {
    #[handler]
    fn arithmetic(&mut self, _ctx: &mut RingContext, msg: Arithmetic64) -> ArithmeticDone64 {
        ArithmeticDone64 {
            add: msg.a + msg.b,
            sub: msg.a - msg.b,
            mul: msg.a * msg.b,
            div: msg.a / msg.b,
            neg: -msg.a,
        }
    }

    #[handler]
    fn functions(&mut self, _ctx: &mut RingContext, msg: Functions64) -> FunctionsDone64 {
        FunctionsDone64 {
            root: msg.a.sqrt(),
            floor: msg.a.floor(),
            ceil: msg.a.ceil(),
            trunc: msg.a.trunc(),
            round: msg.a.round(),
            abs: msg.a.abs(),
        }
    }

    #[handler]
    fn choose(&mut self, _ctx: &mut RingContext, msg: Choose64) -> Chosen64 {
        Chosen64 { smaller: msg.a.min(msg.b), larger: msg.a.max(msg.b), signed: msg.a.copysign(msg.b) }
    }

    /// Horner's scheme: sums and products only, so exact everywhere.
    #[handler]
    fn polynomial(&mut self, _ctx: &mut RingContext, msg: Polynomial64) -> f64 {
        let x = msg.x;
        ((0.25 * x - 3.0) * x + 1e-3) * x - 7.5
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let single = Suite::new("floats_f32", 1, |_| FloatsF32::default())
        .ieee()
        .float_case(
            "arithmetic",
            two(|a, b| Arithmetic { a, b }),
            Floats::f32(&[0, 4], &[EXACT, EXACT, EXACT, DIV, EXACT]),
        )
        .float_case("remainder", two(|a, b| Remainder { a, b }), Floats::f32(&[0, 4], &[EXACT]))
        .float_case("compound", two(|a, b| Compound { a, b }), Floats::f32(&[0, 4], &[EXACT]))
        .float_case("root", one(|a| Root { a }), Floats::f32(&[0], &[SQRT]))
        .float_case("round", one(|a| Round { a }), Floats::f32(&[0], &[EXACT; 6]))
        .float_case(
            "choose",
            three(|a, b, c| Choose { a, b, c }),
            Floats::f32(&[0, 4, 8], &[MIN_MAX, MIN_MAX, MIN_MAX, EXACT]),
        )
        .inherited_case("fuse", three(|a, b, c| Fuse { a, b, c }), Floats::f32(&[0, 4, 8], &[FMA]), |msg| {
            msg.a * msg.b + msg.c
        })
        .float_case("not_fused", three(|a, b, c| NotFused { a, b, c }), Floats::f32(&[0, 4, 8], &[EXACT]))
        .case("bits", one(|bits| Bits { bits }));
    let double = Suite::new("floats_f64", 1, |_| FloatsF64::default())
        .ieee()
        .float_case(
            "arithmetic",
            two(|a, b| Arithmetic64 { a, b }),
            Floats::f64(&[EXACT, EXACT, EXACT, DIV, EXACT]),
        )
        .float_case(
            "functions",
            one(|a| Functions64 { a }),
            Floats::f64(&[SQRT, EXACT, EXACT, EXACT, EXACT, EXACT]),
        )
        .float_case("choose", two(|a, b| Choose64 { a, b }), Floats::f64(&[MIN_MAX, MIN_MAX, EXACT]))
        .float_case("polynomial", one(|x| Polynomial64 { x }), Floats::f64(&[EXACT]));
    vec![Box::new(single), Box::new(double)]
}
