//! `as`, `from`, `into`, literals and constants of std.

use super::harness::actor;

macro_rules! all_casts {
    ($($name:ident $from:ident)*) => {
        actor! {
            casts: 300 rounds;
            types {
                struct Nothing { unused: u8 }
                struct All { a: i8, b: i16, c: i32, d: i64, e: u8, f: u16, g: u32, h: u64, i: f32, j: f64, k: i64, l: u64 }
            }
            handlers { $( $name($from) -> All; )* small(u8) -> i64; flags(bool) -> All; narrow(u64) -> u64; floats(f64) -> u64; }
            code {
                impl Nothing {
                    $(
                        fn $name(&mut self, _ctx: &mut RingContext, x: $from) -> All {
                            All {
                                a: x as i8, b: x as i16, c: x as i32, d: x as i64, e: x as u8, f: x as u16, g: x as u32, h: x as u64,
                                i: x as f32, j: x as f64, k: x as isize as i64, l: x as usize as u64,
                            }
                        }
                    )*
                    fn small(&mut self, _ctx: &mut RingContext, x: u8) -> i64 {
                        let y = x as usize;
                        let z: i64 = i64::from(x) + i64::from(y as u32) + i64::from(true);
                        let w: u32 = x.into();
                        let v = u64::from(w) as i64;
                        z + v + (x as i8) as i64 + (w as isize - 300) as i64
                    }
                    fn flags(&mut self, _ctx: &mut RingContext, x: bool) -> All {
                        All {
                            a: x as i8, b: x as i16, c: x as i32, d: x as i64, e: x as u8, f: x as u16, g: x as u32, h: x as u64,
                            i: x as u8 as f32, j: f64::from(x as i32), k: x as isize as i64, l: x as usize as u64,
                        }
                    }
                    fn narrow(&mut self, _ctx: &mut RingContext, x: u64) -> u64 {
                        let a = x as usize;
                        let b = (a >> 3) + 1;
                        let c = b * 7 % 1000;
                        let d = (c << 2) | 1;
                        (d - 1) as u64 + a as u64
                    }
                    fn floats(&mut self, _ctx: &mut RingContext, x: f64) -> u64 {
                        (x as f32 as u8) as u64 + (x as f32) as i32 as u32 as u64
                    }
                }
            }
        }
    };
}
all_casts! {
    from_i8 i8
    from_i16 i16
    from_i32 i32
    from_i64 i64
    from_u8 u8
    from_u16 u16
    from_u32 u32
    from_u64 u64
    from_f32 f32
    from_f64 f64
}

actor! {
    literals: 3 rounds;
    types {
        struct Nothing { unused: u8 }
        struct Ints { a: i64, b: i64, c: u64, d: u8, e: i8, f: u32 }
        struct Floats { a: f32, b: f64, c: f64, d: f32, e: f64, f: f32 }
    }
    handlers { ints(u8) -> Ints; floats(u8) -> Floats; std_consts(u8) -> Floats; limits(u8) -> Ints; inferred(i64) -> Ints; }
    code {
        impl Nothing {
            fn ints(&mut self, _ctx: &mut RingContext, _x: u8) -> Ints {
                Ints { a: -9_223_372_036_854_775_808, b: 0x7f, c: 0xffff_ffff_ffff_ffff, d: b'x', e: -128, f: 1_000 as u32 }
            }
            fn floats(&mut self, _ctx: &mut RingContext, _x: u8) -> Floats {
                Floats { a: 0.1, b: 0.1, c: 1e-310, d: 16777217.0 as f32, e: 3f64, f: -1.5e3 }
            }
            fn std_consts(&mut self, _ctx: &mut RingContext, _x: u8) -> Floats {
                Floats {
                    a: std::f32::consts::PI,
                    b: core::f64::consts::TAU,
                    c: f64::EPSILON,
                    d: f32::NEG_INFINITY,
                    e: f64::MAX,
                    f: f32::MIN_POSITIVE,
                }
            }
            fn limits(&mut self, _ctx: &mut RingContext, _x: u8) -> Ints {
                let half = usize::BITS / 2;
                Ints { a: i64::MIN, b: i32::MAX as i64, c: u64::MAX, d: u8::MAX, e: i8::MIN, f: u16::BITS + half }
            }
            fn inferred(&mut self, _ctx: &mut RingContext, x: i64) -> Ints {
                let mut total = 0;
                let step = 2;
                total += x % 100;
                let shifted: u64 = 1 << 40;
                let small = 200;
                let same = small + 10u8;
                let by = 3;
                let y = total << by;
                Ints { a: y, b: -step, c: shifted, d: same, e: (1 << 3) - 20, f: 7 / 2 }
            }
        }
    }
}
