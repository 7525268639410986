//! What every integer width can do without a fault: wrapping, saturating, bits, comparisons. One page, stamped over the eight types
//! (so it is also the test that an actor may come out of a `macro_rules!`).

/// An actor of one integer type.
macro_rules! integer_actor {
    ($module:ident, $int:ident, $id:literal) => {
        pub mod $module {
            use ringkernel::prelude::*;
            use ringkernel_tests::inputs::{one, three, two};
            use ringkernel_tests::suite::{Conformance, Suite};

            #[ring_kernel(id = $id)]
            #[derive(Default)]
            pub struct Integers {}

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Wrap {
                pub a: $int,
                pub b: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Wrapped {
                pub add: $int,
                pub sub: $int,
                pub mul: $int,
                pub neg: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Power {
                pub base: $int,
                pub exponent: u32,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Saturate {
                pub a: $int,
                pub b: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Saturated {
                pub add: $int,
                pub sub: $int,
                pub mul: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Shift {
                pub a: $int,
                pub by: u32,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Shifted {
                pub left: $int,
                pub right: $int,
                pub rotated_left: $int,
                pub rotated_right: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Count {
                pub a: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Counted {
                pub ones: u32,
                pub zeros: u32,
                pub leading_zeros: u32,
                pub trailing_zeros: u32,
                pub leading_ones: u32,
                pub trailing_ones: u32,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Bits {
                pub a: $int,
                pub b: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct BitsDone {
                pub and: $int,
                pub or: $int,
                pub xor: $int,
                pub not: $int,
                pub swapped: $int,
                pub reversed: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Order {
                pub a: $int,
                pub b: $int,
                pub c: $int,
            }

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Ordered {
                pub less: bool,
                pub less_or_equal: bool,
                pub greater: bool,
                pub greater_or_equal: bool,
                pub equal: bool,
                pub unequal: bool,
                pub smaller: $int,
                pub larger: $int,
                pub clamped: $int,
                pub apart: $int,
            }

            #[ring_kernel]
            impl Integers {
                #[handler]
                fn wrap(&mut self, _ctx: &mut RingContext, msg: Wrap) -> Wrapped {
                    Wrapped {
                        add: msg.a.wrapping_add(msg.b),
                        sub: msg.a.wrapping_sub(msg.b),
                        mul: msg.a.wrapping_mul(msg.b),
                        neg: msg.a.wrapping_neg(),
                    }
                }

                #[handler]
                fn power(&mut self, _ctx: &mut RingContext, msg: Power) -> $int {
                    msg.base.wrapping_pow(msg.exponent % 70)
                }

                #[handler]
                fn saturate(&mut self, _ctx: &mut RingContext, msg: Saturate) -> Saturated {
                    Saturated {
                        add: msg.a.saturating_add(msg.b),
                        sub: msg.a.saturating_sub(msg.b),
                        mul: msg.a.saturating_mul(msg.b),
                    }
                }

                #[handler]
                fn shift(&mut self, _ctx: &mut RingContext, msg: Shift) -> Shifted {
                    Shifted {
                        left: msg.a.wrapping_shl(msg.by),
                        right: msg.a.wrapping_shr(msg.by),
                        rotated_left: msg.a.rotate_left(msg.by),
                        rotated_right: msg.a.rotate_right(msg.by),
                    }
                }

                #[handler]
                fn count(&mut self, _ctx: &mut RingContext, msg: Count) -> Counted {
                    Counted {
                        ones: msg.a.count_ones(),
                        zeros: msg.a.count_zeros(),
                        leading_zeros: msg.a.leading_zeros(),
                        trailing_zeros: msg.a.trailing_zeros(),
                        leading_ones: msg.a.leading_ones(),
                        trailing_ones: msg.a.trailing_ones(),
                    }
                }

                #[handler]
                fn bits(&mut self, _ctx: &mut RingContext, msg: Bits) -> BitsDone {
                    let mut mixed = msg.a & msg.b;
                    mixed |= msg.a;
                    mixed &= msg.b;
                    BitsDone {
                        and: mixed,
                        or: msg.a | msg.b,
                        xor: msg.a ^ msg.b,
                        not: !msg.a,
                        swapped: msg.a.swap_bytes(),
                        reversed: msg.a.reverse_bits(),
                    }
                }

                #[handler]
                fn order(&mut self, _ctx: &mut RingContext, msg: Order) -> Ordered {
                    let low = msg.b.min(msg.c);
                    let high = msg.b.max(msg.c);
                    Ordered {
                        less: msg.a < msg.b,
                        less_or_equal: msg.a <= msg.b,
                        greater: msg.a > msg.b,
                        greater_or_equal: msg.a >= msg.b,
                        equal: msg.a == msg.b,
                        unequal: msg.a != msg.b,
                        smaller: msg.a.min(msg.b),
                        larger: msg.a.max(msg.b),
                        clamped: msg.a.clamp(low, high),
                        apart: if msg.a > msg.b {
                            msg.a.wrapping_sub(msg.b)
                        } else {
                            msg.b.wrapping_sub(msg.a)
                        },
                    }
                }
            }

            /// What it is asked.
            pub fn suite() -> Box<dyn Conformance> {
                let suite = Suite::new(concat!("integers_", stringify!($int)), 3, |_| Integers::default())
                    .case("wrap", two(|a, b| Wrap { a, b }))
                    .case("power", two(|base, exponent| Power { base, exponent }))
                    .case("saturate", two(|a, b| Saturate { a, b }))
                    .case("shift", two(|a, by| Shift { a, by }))
                    .case("count", one(|a| Count { a }))
                    .case("bits", two(|a, b| Bits { a, b }))
                    .case("order", three(|a, b, c| Order { a, b, c }));
                Box::new(suite)
            }
        }
    };
}

integer_actor!(integers_i8, i8, "integers_i8");
integer_actor!(integers_i16, i16, "integers_i16");
integer_actor!(integers_i32, i32, "integers_i32");
integer_actor!(integers_i64, i64, "integers_i64");
integer_actor!(integers_u8, u8, "integers_u8");
integer_actor!(integers_u16, u16, "integers_u16");
integer_actor!(integers_u32, u32, "integers_u32");
integer_actor!(integers_u64, u64, "integers_u64");
