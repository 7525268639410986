//! `as` between all scalars: truncation, sign extension, saturation of floats, NaN to 0, rounding to nearest even.

use ringkernel::prelude::*;
use ringkernel_tests::compare::Lane;
use ringkernel_tests::inputs::one;
use ringkernel_tests::suite::{Conformance, Floats, Suite};
use ringkernel_tests::wgsl::CAST;

/// Casts to every integer and to `f32`.
#[ring_kernel(id = "casts")]
#[derive(Default)]
pub struct Casts {}

/// A value as every integer.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct AsIntegers {
    pub u64: u64,
    pub i64: i64,
    pub u32: u32,
    pub i32: i32,
    pub u16: u16,
    pub i16: i16,
    pub u8: u8,
    pub i8: i8,
}

/// A value as every number but `f64`.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct AsNumbers {
    pub f32: f32,
    pub u64: u64,
    pub i64: i64,
    pub u32: u32,
    pub i32: i32,
    pub u16: u16,
    pub i16: i16,
    pub u8: u8,
    pub i8: i8,
}

macro_rules! from {
    ($($name:ident: $scalar:ty),+ $(,)?) => {$(
        #[derive(RingMessage, Clone, Copy, Debug)]
        pub struct $name {
            pub value: $scalar,
        }
    )+};
}

from!(
    FromI8: i8,
    FromI16: i16,
    FromI32: i32,
    FromI64: i64,
    FromU8: u8,
    FromU16: u16,
    FromU32: u32,
    FromU64: u64,
    FromF32: f32,
    FromBool: bool,
    ToBool: u8,
    Chain: i64,
);

#[ring_kernel]
impl Casts {
    #[handler]
    fn from_i8(&mut self, _ctx: &mut RingContext, msg: FromI8) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_i16(&mut self, _ctx: &mut RingContext, msg: FromI16) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_i32(&mut self, _ctx: &mut RingContext, msg: FromI32) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_i64(&mut self, _ctx: &mut RingContext, msg: FromI64) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_u8(&mut self, _ctx: &mut RingContext, msg: FromU8) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_u16(&mut self, _ctx: &mut RingContext, msg: FromU16) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_u32(&mut self, _ctx: &mut RingContext, msg: FromU32) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_u64(&mut self, _ctx: &mut RingContext, msg: FromU64) -> AsNumbers {
        AsNumbers {
            f32: msg.value as f32,
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_f32(&mut self, _ctx: &mut RingContext, msg: FromF32) -> AsIntegers {
        AsIntegers {
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    #[handler]
    fn from_bool(&mut self, _ctx: &mut RingContext, msg: FromBool) -> AsIntegers {
        AsIntegers {
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }

    /// There is no `as bool`; a comparison is the way.
    #[handler]
    fn to_bool(&mut self, _ctx: &mut RingContext, msg: ToBool) -> bool {
        msg.value & 1 != 0
    }

    /// Each step forgets something.
    #[handler]
    fn chain(&mut self, _ctx: &mut RingContext, msg: Chain) -> i64 {
        let narrow = msg.value as i8 as u16 as i32 as u8;
        (narrow as i8) as i64 * 1000 + (msg.value as u32 as i16) as i64
    }
}

/// Casts to and from `f64`, apart because a WebGPU adapter may lack it.
#[ring_kernel(id = "casts_f64")]
#[derive(Default)]
pub struct CastsF64 {}

from!(F64FromI32: i32, F64FromI64: i64, F64FromU32: u32, F64FromU64: u64, F64FromF32: f32, NarrowF64: f64, FromF64: f64);

#[ring_kernel]
impl CastsF64 {
    #[handler]
    fn f64_from_i32(&mut self, _ctx: &mut RingContext, msg: F64FromI32) -> f64 {
        msg.value as f64
    }

    #[handler]
    fn f64_from_i64(&mut self, _ctx: &mut RingContext, msg: F64FromI64) -> f64 {
        msg.value as f64
    }

    #[handler]
    fn f64_from_u32(&mut self, _ctx: &mut RingContext, msg: F64FromU32) -> f64 {
        msg.value as f64
    }

    #[handler]
    fn f64_from_u64(&mut self, _ctx: &mut RingContext, msg: F64FromU64) -> f64 {
        msg.value as f64
    }

    #[handler]
    fn f64_from_f32(&mut self, _ctx: &mut RingContext, msg: F64FromF32) -> f64 {
        msg.value as f64
    }

    #[handler]
    fn narrow_f64(&mut self, _ctx: &mut RingContext, msg: NarrowF64) -> f32 {
        msg.value as f32
    }

    #[handler]
    fn from_f64(&mut self, _ctx: &mut RingContext, msg: FromF64) -> AsIntegers {
        AsIntegers {
            u64: msg.value as u64,
            i64: msg.value as i64,
            u32: msg.value as u32,
            i32: msg.value as i32,
            u16: msg.value as u16,
            i16: msg.value as i16,
            u8: msg.value as u8,
            i8: msg.value as i8,
        }
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let float = || Floats::at(&[], &[(Lane::F32(0), CAST)]);
    let casts = Suite::new("casts", 1, |_| Casts::default())
        .float_case("from_i8", one(|value| FromI8 { value }), float())
        .float_case("from_i16", one(|value| FromI16 { value }), float())
        .float_case("from_i32", one(|value| FromI32 { value }), float())
        .float_case("from_i64", one(|value| FromI64 { value }), float())
        .float_case("from_u8", one(|value| FromU8 { value }), float())
        .float_case("from_u16", one(|value| FromU16 { value }), float())
        .float_case("from_u32", one(|value| FromU32 { value }), float())
        .float_case("from_u64", one(|value| FromU64 { value }), float())
        .float_case("from_f32", one(|value| FromF32 { value }), Floats::f32(&[0], &[]))
        .case("from_bool", one(|value| FromBool { value }))
        .case("to_bool", one(|value| ToBool { value }))
        .case("chain", one(|value| Chain { value }));
    let to_f64 = || Floats::f64(&[CAST]);
    let casts_f64 = Suite::new("casts_f64", 1, |_| CastsF64::default())
        .float_case("f64_from_i32", one(|value| F64FromI32 { value }), to_f64())
        .float_case("f64_from_i64", one(|value| F64FromI64 { value }), to_f64())
        .float_case("f64_from_u32", one(|value| F64FromU32 { value }), to_f64())
        .float_case("f64_from_u64", one(|value| F64FromU64 { value }), to_f64())
        .float_case(
            "f64_from_f32",
            one(|value| F64FromF32 { value }),
            Floats::at(&[0], &[(Lane::F64(0), CAST)]),
        )
        .float_case("narrow_f64", one(|value| NarrowF64 { value }), Floats::f32(&[], &[CAST]))
        .case("from_f64", one(|value| FromF64 { value }));
    vec![Box::new(casts), Box::new(casts_f64)]
}
