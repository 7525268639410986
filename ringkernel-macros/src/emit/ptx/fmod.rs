//! `%` on floats: exact, by long division of the significands, as in every C library (musl's `fmod.c` is the readable one).
//!
//! No instruction computes it, and `a - trunc(a / b) * b` is wrong as soon as the quotient has more bits than the significand. The
//! two functions differ only in widths, so they come from one text; it is emitted only where `%` is used.

use super::{Writer, table};
use crate::ir::{Operand, Scalar};

/// Which of the functions are called.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    f32: bool,
    f64: bool,
}

/// `{b}` is the width; `{m}` the significand's stored bits; `{n}` the zeros before a normalised significand; `{abs}`, `{sign}`, `{inf}`, `{one}`
/// (the implicit bit) and `{nan}` are patterns.
const TEXT: &str = "
// a % b, exact: the significands are divided bit by bit.
.func (.param .b{b} result) ringkernel_fmod_f{b}(.param .b{b} first, .param .b{b} second)
{
    .reg .b{b} %a, %b, %sign, %x, %y, %t;
    .reg .b32 %ex, %ey, %n;
    .reg .pred %p;
    ld.param.b{b} %a, [first];
    ld.param.b{b} %b, [second];
    and.b{b} %sign, %a, {sign};
    and.b{b} %x, %a, {abs};
    and.b{b} %y, %b, {abs};
    setp.ge.u{b} %p, %x, {inf}; // infinity or NaN
    @%p bra INVALID;
    setp.eq.u{b} %p, %y, 0;
    @%p bra INVALID;
    setp.gt.u{b} %p, %y, {inf}; // NaN
    @%p bra INVALID;
    setp.lt.u{b} %p, %x, %y;
    @%p bra SMALLER;
    shr.u{b} %t, %x, {m};
    cvt.u32.u{b} %ex, %t;
    and.b{b} %x, %x, {significand};
    setp.ne.u32 %p, %ex, 0;
    @%p bra NORMAL_X;
    clz.b{b} %n, %x;
    sub.u32 %n, %n, {n};
    shl.b{b} %x, %x, %n;
    sub.s32 %ex, 1, %n;
    bra READY_X;
NORMAL_X:
    or.b{b} %x, %x, {one};
READY_X:
    shr.u{b} %t, %y, {m};
    cvt.u32.u{b} %ey, %t;
    and.b{b} %y, %y, {significand};
    setp.ne.u32 %p, %ey, 0;
    @%p bra NORMAL_Y;
    clz.b{b} %n, %y;
    sub.u32 %n, %n, {n};
    shl.b{b} %y, %y, %n;
    sub.s32 %ey, 1, %n;
    bra DIVIDE;
NORMAL_Y:
    or.b{b} %y, %y, {one};
DIVIDE:
    setp.le.s32 %p, %ex, %ey;
    @%p bra LAST;
    setp.ge.u{b} %p, %x, %y;
    @%p sub.u{b} %x, %x, %y;
    shl.b{b} %x, %x, 1;
    sub.s32 %ex, %ex, 1;
    bra DIVIDE;
LAST:
    setp.ge.u{b} %p, %x, %y;
    @%p sub.u{b} %x, %x, %y;
    setp.eq.u{b} %p, %x, 0;
    @%p bra DONE;
    clz.b{b} %n, %x;
    sub.u32 %n, %n, {n};
    shl.b{b} %x, %x, %n;
    sub.s32 %ex, %ex, %n;
    setp.le.s32 %p, %ex, 0;
    @%p bra SUBNORMAL;
    sub.u{b} %x, %x, {one};
    cvt.u{b}.u32 %t, %ex;
    shl.b{b} %t, %t, {m};
    or.b{b} %x, %x, %t;
    bra DONE;
SUBNORMAL:
    sub.s32 %n, 1, %ex;
    shr.u{b} %x, %x, %n;
DONE:
    or.b{b} %x, %x, %sign;
    st.param.b{b} [result], %x;
    ret;
SMALLER:
    st.param.b{b} [result], %a;
    ret;
INVALID:
    mov.b{b} %x, {nan};
    st.param.b{b} [result], %x;
    ret;
}
";

/// Appends the functions that are used.
pub(super) fn functions(used: Used, text: &mut String) {
    if used.f32 {
        text.push_str(&function(32, 23));
    }
    if used.f64 {
        text.push_str(&function(64, 52));
    }
}

fn function(bits: u32, stored: u32) -> String {
    let sign = 1u64 << (bits - 1);
    let one = 1u64 << stored;
    let infinity = sign - one;
    let hex = |value: u64| format!("0x{value:x}");
    TEXT.replace("{b}", &bits.to_string())
        .replace("{m}", &stored.to_string())
        .replace("{n}", &(bits - 1 - stored).to_string())
        .replace("{abs}", &hex(sign - 1))
        .replace("{sign}", &hex(sign))
        .replace("{inf}", &hex(infinity))
        .replace("{one}", &hex(one))
        .replace("{significand}", &hex(one - 1))
        .replace("{nan}", &hex(infinity | one >> 1))
        // A conversion to the same width is a move.
        .replace("cvt.u32.u32", "mov.b32")
}

impl Writer<'_> {
    /// Calls the function.
    pub(super) fn float_remainder(&mut self, d: &str, ty: Scalar, a: Operand, b: Operand) {
        match ty {
            Scalar::F32 => self.used.f32 = true,
            _ => self.used.f64 = true,
        }
        let (suffix, class) = (table::suffix(ty), table::class(ty));
        let (a, b) = (self.operand(a, 1), self.operand(b, 2));
        self.line("{");
        self.line(format!(".param .{class} result_;"));
        self.line(format!(".param .{class} first_;"));
        self.line(format!(".param .{class} second_;"));
        self.line(format!("st.param.{suffix} [first_], {a};"));
        self.line(format!("st.param.{suffix} [second_], {b};"));
        self.line(format!("call (result_), ringkernel_fmod_{}, (first_, second_);", ty.name()));
        self.line(format!("ld.param.{class} {d}, [result_];"));
        self.line("}");
    }
}

#[cfg(test)]
mod tests {
    /// The algorithm of [`super::TEXT`], line by line.
    fn fmod(a: u64, b: u64, bits: u32, stored: u32) -> u64 {
        let clz = |value: u64| value.leading_zeros() - (64 - bits);
        let mask = u64::MAX >> (64 - bits);
        let (top, one) = (1u64 << (bits - 1), 1u64 << stored);
        let infinity = top - one;
        let (sign, mut x, mut y) = (a & top, a & (top - 1), b & (top - 1));
        if x >= infinity || y == 0 || y > infinity {
            return infinity | one >> 1;
        }
        if x < y {
            return a;
        }
        let open = |value: &mut u64| -> i32 {
            let exponent = (*value >> stored) as i32;
            *value &= one - 1;
            if exponent != 0 {
                *value |= one;
                return exponent;
            }
            let n = clz(*value) - (bits - 1 - stored);
            *value <<= n;
            1 - n as i32
        };
        let (mut ex, ey) = (open(&mut x), open(&mut y));
        while ex > ey {
            if x >= y {
                x -= y;
            }
            x = (x << 1) & mask;
            ex -= 1;
        }
        if x >= y {
            x -= y;
        }
        if x == 0 {
            return sign;
        }
        let n = clz(x) - (bits - 1 - stored);
        x <<= n;
        ex -= n as i32;
        let x = if ex <= 0 { x >> (1 - ex) } else { (x - one) | (ex as u64) << stored };
        x | sign
    }

    #[test]
    fn the_remainder_is_the_same_as_rusts() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let special = [
            0u64,
            1,
            2,
            0x007f_ffff,
            0x0080_0000,
            0x3f80_0000,
            0x7f7f_ffff,
            0x7f80_0000,
            0x7fc0_0000,
            0xbf80_0000,
        ];
        for i in 0..20_000 {
            let mut pick =
                || if i < 4000 { special[random() as usize % special.len()] } else { random() & 0xffff_ffff };
            let (a, b) = (pick(), pick());
            let expected = f32::from_bits(a as u32) % f32::from_bits(b as u32);
            let found = f32::from_bits(fmod(a, b, 32, 23) as u32);
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{a:x} % {b:x}"
            );
            // Exponents close to one another, so that the loop is not always 2000 rounds.
            let near = |v: u64| {
                (v & 0x803f_ffff_ffff_ffff) | (0x3f00 + (v >> 48 & 0xff)) << 48 & 0x7fff_0000_0000_0000
            };
            let (a, b) = (near(random()), if i % 3 == 0 { random() } else { near(random()) });
            let expected = f64::from_bits(a) % f64::from_bits(b);
            let found = f64::from_bits(fmod(a, b, 64, 52));
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{a:x} % {b:x}"
            );
        }
    }
}
