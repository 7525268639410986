//! Messages and replies that are plain scalars, and handlers that answer nothing.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{of, one};
use ringkernel_tests::suite::{Conformance, Floats, Suite};
use ringkernel_tests::wgsl::EXACT;

#[ring_kernel(id = "scalars")]
#[derive(Default)]
pub struct Scalars {}

#[ring_kernel]
impl Scalars {
    #[handler]
    fn byte(&mut self, _ctx: &mut RingContext, msg: u8) -> i8 {
        msg as i8
    }

    #[handler]
    fn signed_byte(&mut self, _ctx: &mut RingContext, msg: i8) -> u8 {
        !(msg as u8)
    }

    #[handler]
    fn short(&mut self, _ctx: &mut RingContext, msg: u16) -> u16 {
        msg.rotate_left(4)
    }

    #[handler]
    fn signed_short(&mut self, _ctx: &mut RingContext, msg: i16) -> i16 {
        msg.wrapping_neg()
    }

    #[handler]
    fn word(&mut self, _ctx: &mut RingContext, msg: u32) -> u64 {
        msg as u64 * msg as u64
    }

    #[handler]
    fn signed_word(&mut self, _ctx: &mut RingContext, msg: i32) -> i64 {
        msg as i64 * -3
    }

    #[handler]
    fn long(&mut self, _ctx: &mut RingContext, msg: u64) -> u32 {
        (msg >> 32) as u32
    }

    #[handler]
    fn signed_long(&mut self, _ctx: &mut RingContext, msg: i64) -> bool {
        msg < 0
    }

    #[handler]
    fn truth(&mut self, _ctx: &mut RingContext, msg: bool) -> bool {
        !msg
    }

    #[handler]
    fn float(&mut self, _ctx: &mut RingContext, msg: f32) -> f32 {
        msg * 2.0
    }

    #[handler]
    fn double(&mut self, _ctx: &mut RingContext, msg: f64) -> f64 {
        msg - 1.0
    }
}

/// Handlers without an answer, seen through one that has one.
#[ring_kernel(id = "units")]
#[derive(Default)]
pub struct Units {
    count: i32,
    resets: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Add {
    pub by: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Reset {}

#[ring_kernel]
impl Units {
    #[handler]
    fn add(&mut self, _ctx: &mut RingContext, msg: Add) {
        if msg.by == 0 {
            return;
        }
        self.count = self.count.wrapping_add(msg.by);
    }

    #[handler]
    fn reset(&mut self, _ctx: &mut RingContext, _msg: Reset) -> u8 {
        self.count = 0;
        self.resets = self.resets.wrapping_add(1);
        self.resets
    }

    #[handler]
    fn read(&mut self, _ctx: &mut RingContext, _msg: ()) -> i32 {
        self.count
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let scalars = Suite::new("scalars", 2, |_| Scalars::default())
        .case("byte", one(|msg: u8| msg))
        .case("signed_byte", one(|msg: i8| msg))
        .case("short", one(|msg: u16| msg))
        .case("signed_short", one(|msg: i16| msg))
        .case("word", one(|msg: u32| msg))
        .case("signed_word", one(|msg: i32| msg))
        .case("long", one(|msg: u64| msg))
        .case("signed_long", one(|msg: i64| msg))
        .case("truth", one(|msg: bool| msg))
        .float_case("float", one(|msg: f32| msg), Floats::f32(&[0], &[EXACT]))
        .float_case("double", one(|msg: f64| msg), Floats::f64(&[EXACT]));
    let units = Suite::new("units", 3, |_| Units::default())
        .case("add", one(|by| Add { by }))
        .case("reset", of(vec![Reset {}], proptest::strategy::LazyJust::new(|| Reset {})))
        .case("read", of(vec![()], proptest::strategy::Just(())));
    vec![Box::new(scalars), Box::new(units)]
}
