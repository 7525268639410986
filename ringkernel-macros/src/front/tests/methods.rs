//! The methods of numbers.

use super::harness::actor;

macro_rules! integers {
    ($($name:ident $t:ident $u:ident;)*) => {$(
        actor! {
            $name: 120 rounds;
            types {
                struct Nothing { unused: u8 }
                struct In { a: $t, b: $t, c: $t, n: u32 }
                struct Out { x: [$t; 20], u: [$u; 4], n: [u32; 10], f: [bool; 4] }
            }
            handlers {
                total(In) -> Out; power(In) -> $t; saturating_power(In) -> $t; bounded(In) -> $t; euclid_div(In) -> $t; euclid_rem(In) -> $t;
                wrap_div(In) -> $t; wrap_rem(In) -> $t; log(In) -> u32; square(In) -> $t; root(In) -> $t;
            }
            code {
                impl Nothing {
                    fn total(&mut self, _ctx: &mut RingContext, i: In) -> Out {
                        let In { a, b, c, n } = i;
                        Out {
                            x: [
                                a.min(b), a.max(b), a.wrapping_add(b), a.wrapping_sub(b), a.wrapping_mul(b), a.wrapping_neg(), a.wrapping_shl(n),
                                a.wrapping_shr(n), a.wrapping_pow(n % 11), a.saturating_add(b), a.saturating_sub(b), a.saturating_mul(b),
                                a.rotate_left(n), a.rotate_right(n), a.swap_bytes(), a.reverse_bits(), a.to_be(), a.to_le(),
                                $t::max(c, 3), std::cmp::min(a, 5),
                            ],
                            u: [a.abs_diff(b), b.abs_diff(c), 0, 1],
                            n: [
                                a.leading_zeros(), a.trailing_zeros(), a.leading_ones(), a.trailing_ones(), a.count_ones(), a.count_zeros(),
                                $t::BITS, b.leading_zeros(), 0.max(n), 1,
                            ],
                            f: [a > $t::MIN, (a..b).contains(&c), (a..=b).contains(&c), (..b).contains(&a)],
                        }
                    }
                    fn power(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.pow(i.n % 9) }
                    fn saturating_power(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.saturating_pow(i.n % 70) }
                    fn bounded(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.clamp(i.b, i.c) }
                    fn euclid_div(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.div_euclid(i.b) }
                    fn euclid_rem(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.rem_euclid(i.b) }
                    fn wrap_div(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.wrapping_div(i.b) }
                    fn wrap_rem(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.wrapping_rem(i.b) }
                    fn log(&mut self, _ctx: &mut RingContext, i: In) -> u32 { i.a.ilog2() }
                    fn square(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.pow(2) + i.b.pow(0) + i.c.pow(1) }
                    fn root(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.isqrt() }
                }
            }
        }
    )*};
}
integers! {
    of_i8 i8 u8;
    of_i16 i16 u16;
    of_i32 i32 u32;
    of_i64 i64 u64;
    of_u8 u8 u8;
    of_u16 u16 u16;
    of_u32 u32 u32;
    of_u64 u64 u64;
}

macro_rules! signed {
    ($($name:ident $t:ident $u:ident;)*) => {$(
        actor! {
            $name: 120 rounds;
            types { struct Nothing { unused: u8 } struct Out { a: $u, b: $t, c: $t, d: bool, e: bool, f: $u } }
            handlers { absolute($t) -> $t; others($t) -> Out; }
            code {
                impl Nothing {
                    fn absolute(&mut self, _ctx: &mut RingContext, a: $t) -> $t { a.abs() }
                    fn others(&mut self, _ctx: &mut RingContext, a: $t) -> Out {
                        Out { a: a.unsigned_abs(), b: a.signum(), c: a.wrapping_abs(), d: a.is_positive(), e: a.is_negative(), f: a.cast_unsigned() }
                    }
                }
            }
        }
    )*};
}
signed! { more_i8 i8 u8; more_i16 i16 u16; more_i32 i32 u32; more_i64 i64 u64; }

macro_rules! unsigned {
    ($($name:ident $t:ident;)*) => {$(
        actor! {
            $name: 120 rounds;
            types { struct Nothing { unused: u8 } struct In { a: $t, b: $t } }
            handlers { power_of_two($t) -> $t; is_power($t) -> bool; ceiling(In) -> $t; multiple(In) -> $t; is_multiple(In) -> bool; }
            code {
                impl Nothing {
                    fn power_of_two(&mut self, _ctx: &mut RingContext, a: $t) -> $t { a.next_power_of_two() }
                    fn is_power(&mut self, _ctx: &mut RingContext, a: $t) -> bool { a.is_power_of_two() }
                    fn ceiling(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.div_ceil(i.b) }
                    fn multiple(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.next_multiple_of(i.b) }
                    fn is_multiple(&mut self, _ctx: &mut RingContext, i: In) -> bool { i.a.is_multiple_of(i.b) }
                }
            }
        }
    )*};
}
unsigned! { more_u8 u8; more_u16 u16; more_u32 u32; more_u64 u64; }

macro_rules! floats {
    ($($name:ident $t:ident $u:ident;)*) => {$(
        actor! {
            $name: 300 rounds;
            types {
                struct Nothing { unused: u8 }
                struct In { a: $t, b: $t, c: $t }
                struct Out { x: [$t; 20], f: [bool; 5] }
            }
            handlers { total(In) -> Out; bounded(In) -> $t; bits($t) -> $u; from($u) -> bool; }
            code {
                impl Nothing {
                    fn total(&mut self, _ctx: &mut RingContext, i: In) -> Out {
                        let In { a, b, c } = i;
                        Out {
                            x: [
                                a.abs().sqrt(), a.mul_add(b, c), a.floor(), a.ceil(), a.trunc(), a.round(), a.round_ties_even(), a.fract(), a.abs(),
                                a.min(b) + 0.0, a.max(b) + 0.0, a.copysign(b), a.signum(), a.recip(), a.to_degrees(), a.to_radians(), a.rem_euclid(b),
                                a.div_euclid(b), $t::max(a, 1.5) % 2.0, $t::sqrt(c),
                            ],
                            f: [a.is_nan(), a.is_finite(), a.is_infinite(), a.is_sign_negative() && !a.is_nan(), a.is_sign_positive() && !a.is_nan()],
                        }
                    }
                    fn bounded(&mut self, _ctx: &mut RingContext, i: In) -> $t { i.a.clamp(i.b, i.c) }
                    fn bits(&mut self, _ctx: &mut RingContext, a: $t) -> $u { if a.is_nan() { 0 } else { a.to_bits() } }
                    fn from(&mut self, _ctx: &mut RingContext, a: $u) -> bool { $t::from_bits(a) < 1.0 }
                }
            }
        }
    )*};
}
floats! { of_f32 f32 u32; of_f64 f64 u64; }
