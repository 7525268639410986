//! Instructions against Rust, on random operands and on those at the edges.

mod support;

use proptest::prelude::*;
use support::compute;

/// What an instruction, or a few, should leave of three operands.
type Expected = fn(u64, u64, u64) -> u64;

const EDGES: [u64; 24] = [
    0,
    1,
    2,
    31,
    32,
    33,
    63,
    64,
    127,
    128,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ff80,
    0xffff_ffff_ffff_fffe,
    u64::MAX,
];

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![prop::sample::select(EDGES.to_vec()), any::<u64>(), any::<u64>().prop_map(|w| w & 0xff)]
}

fn s(value: u64) -> i32 {
    value as i32
}

fn u(value: u64) -> u32 {
    value as u32
}

fn l(value: u64) -> i64 {
    value as i64
}

/// A 32-bit result, as `cvt.u64.u32 %d, %w` leaves it.
fn r(value: i32) -> u64 {
    value as u32 as u64
}

const W: &str = "cvt.u64.u32 %d, %w;";
const H: &str = "cvt.u64.u16 %d, %h;";
const P: &str = "selp.u64 %d, 1, 0, %p;";

const INTEGERS: &[(&str, &str, Expected)] = &[
    ("add.u32 %w, %wa, %wb;", W, |a, b, _| u(a).wrapping_add(u(b)) as u64),
    ("add.s64 %d, %a, %b;", "", |a, b, _| a.wrapping_add(b)),
    ("add.sat.s32 %w, %wa, %wb;", W, |a, b, _| r(s(a).saturating_add(s(b)))),
    ("sub.sat.s32 %w, %wa, %wb;", W, |a, b, _| r(s(a).saturating_sub(s(b)))),
    ("add.u16 %h, %ha, %hb;", H, |a, b, _| (a as u16).wrapping_add(b as u16) as u64),
    ("sub.s32 %w, %wa, %wb;", W, |a, b, _| r(s(a).wrapping_sub(s(b)))),
    ("sub.u64 %d, %a, %b;", "", |a, b, _| a.wrapping_sub(b)),
    ("mul.lo.s32 %w, %wa, %wb;", W, |a, b, _| r(s(a).wrapping_mul(s(b)))),
    ("mul.lo.u64 %d, %a, %b;", "", |a, b, _| a.wrapping_mul(b)),
    ("mul.lo.s16 %h, %ha, %hb;", H, |a, b, _| (a as u16).wrapping_mul(b as u16) as u64),
    ("mul.hi.u32 %w, %wa, %wb;", W, |a, b, _| (u(a) as u64 * u(b) as u64) >> 32),
    ("mul.hi.s32 %w, %wa, %wb;", W, |a, b, _| r(((s(a) as i64 * s(b) as i64) >> 32) as i32)),
    ("mul.hi.u64 %d, %a, %b;", "", |a, b, _| ((a as u128 * b as u128) >> 64) as u64),
    ("mul.hi.s64 %d, %a, %b;", "", |a, b, _| ((l(a) as i128 * l(b) as i128) >> 64) as u64),
    ("mul.wide.u32 %d, %wa, %wb;", "", |a, b, _| u(a) as u64 * u(b) as u64),
    ("mul.wide.s32 %d, %wa, %wb;", "", |a, b, _| (s(a) as i64 * s(b) as i64) as u64),
    ("mul.wide.u16 %w, %ha, %hb;", W, |a, b, _| (a & 0xffff) * (b & 0xffff)),
    ("mad.lo.u32 %w, %wa, %wb, %wc;", W, |a, b, c| u(a).wrapping_mul(u(b)).wrapping_add(u(c)) as u64),
    ("mad.lo.s64 %d, %a, %b, %c;", "", |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
    ("mad.hi.s32 %w, %wa, %wb, %wc;", W, |a, b, c| {
        r((((s(a) as i64 * s(b) as i64) >> 32) as i32).wrapping_add(s(c)))
    }),
    ("mad.wide.u32 %d, %wa, %wb, %c;", "", |a, b, c| (u(a) as u64 * u(b) as u64).wrapping_add(c)),
    ("mad.wide.s32 %d, %wa, -3, %c;", "", |a, _, c| ((s(a) as i64 * -3) as u64).wrapping_add(c)),
    ("sad.s32 %w, %wa, %wb, %wc;", W, |a, b, c| s(a).abs_diff(s(b)).wrapping_add(u(c)) as u64),
    ("div.u32 %w, %wa, %wb;", W, |a, b, _| u(a).checked_div(u(b)).unwrap_or(u32::MAX) as u64),
    ("div.s32 %w, %wa, %wb;", W, |a, b, _| r(if s(b) == 0 { -1 } else { s(a).wrapping_div(s(b)) })),
    ("div.s64 %d, %a, %b;", "", |a, b, _| (if b == 0 { -1 } else { l(a).wrapping_div(l(b)) }) as u64),
    ("rem.u64 %d, %a, %b;", "", |a, b, _| a.checked_rem(b).unwrap_or(a)),
    ("rem.s32 %w, %wa, %wb;", W, |a, b, _| r(if s(b) == 0 { s(a) } else { s(a).wrapping_rem(s(b)) })),
    ("neg.s32 %w, %wa;", W, |a, _, _| r(s(a).wrapping_neg())),
    ("neg.s64 %d, %a;", "", |a, _, _| a.wrapping_neg()),
    ("abs.s32 %w, %wa;", W, |a, _, _| r(s(a).wrapping_abs())),
    ("min.s32 %w, %wa, %wb;", W, |a, b, _| r(s(a).min(s(b)))),
    ("min.u64 %d, %a, %b;", "", |a, b, _| a.min(b)),
    ("max.s64 %d, %a, %b;", "", |a, b, _| l(a).max(l(b)) as u64),
    ("max.u32 %w, %wa, -128;", W, |a, _, _| u(a).max(0xffff_ff80) as u64),
    ("max.s32 %w, %wa, -128;", W, |a, _, _| r(s(a).max(-128))),
    ("not.b32 %w, %wa;", W, |a, _, _| !u(a) as u64),
    ("not.b64 %d, %a;", "", |a, _, _| !a),
    ("xor.b64 %d, %a, %b;", "", |a, b, _| a ^ b),
    ("or.b32 %w, %wa, 0x80000000;", W, |a, _, _| u(a) as u64 | 1 << 31),
    ("and.b32 %w, %wa, %wb;", W, |a, b, _| (u(a) & u(b)) as u64),
    ("shl.b32 %w, %wa, %wb;", W, |a, b, _| u(a).checked_shl(u(b)).unwrap_or(0) as u64),
    ("shl.b64 %d, %a, %wb;", "", |a, b, _| a.checked_shl(u(b)).unwrap_or(0)),
    ("shr.u32 %w, %wa, %wb;", W, |a, b, _| u(a).checked_shr(u(b)).unwrap_or(0) as u64),
    ("shr.s32 %w, %wa, %wb;", W, |a, b, _| r(s(a) >> u(b).min(31))),
    ("shr.u64 %d, %a, %wb;", "", |a, b, _| a.checked_shr(u(b)).unwrap_or(0)),
    ("shr.s64 %d, %a, %wb;", "", |a, b, _| (l(a) >> u(b).min(63)) as u64),
    ("shl.b16 %h, %ha, %wb;", H, |a, b, _| if u(b) < 16 { a << u(b) & 0xffff } else { 0 }),
    ("shf.l.wrap.b32 %w, %wa, %wa, %wb;", W, |a, b, _| u(a).rotate_left(u(b) & 31) as u64),
    ("shf.r.wrap.b32 %w, %wa, %wa, %wb;", W, |a, b, _| u(a).rotate_right(u(b) & 31) as u64),
    ("shf.l.clamp.b32 %w, %wa, %wb, %wc;", W, |a, b, c| match u(c) {
        n @ 1..=31 => (u(b) << n | u(a) >> (32 - n)) as u64,
        0 => u(b) as u64,
        _ => u(a) as u64,
    }),
    ("shf.r.clamp.b32 %w, %wa, %wb, %wc;", W, |a, b, c| match u(c) {
        n @ 1..=31 => (u(b) << (32 - n) | u(a) >> n) as u64,
        0 => u(a) as u64,
        _ => u(b) as u64,
    }),
    ("popc.b32 %w, %wa;", W, |a, _, _| u(a).count_ones() as u64),
    ("popc.b64 %w, %a;", W, |a, _, _| a.count_ones() as u64),
    ("clz.b32 %w, %wa;", W, |a, _, _| u(a).leading_zeros() as u64),
    ("clz.b64 %w, %a;", W, |a, _, _| a.leading_zeros() as u64),
    ("brev.b32 %w, %wa;", W, |a, _, _| u(a).reverse_bits() as u64),
    ("brev.b64 %d, %a;", "", |a, _, _| a.reverse_bits()),
    ("bfind.u32 %w, %wa;", W, |a, _, _| u(a).checked_ilog2().unwrap_or(u32::MAX) as u64),
    ("bfind.s64 %w, %a;", W, |a, _, _| {
        let magnitude = if l(a) < 0 { !a } else { a };
        magnitude.checked_ilog2().unwrap_or(u32::MAX) as u64
    }),
    ("bfe.u32 %w, %wa, 5, 7;", W, |a, _, _| (u(a) >> 5 & 127) as u64),
    ("bfe.s32 %w, %wa, 5, 7;", W, |a, _, _| r((s(a) << 20) >> 25)),
    ("bfe.s32 %w, %wa, 28, 9;", W, |a, _, _| r(s(a) >> 28)),
    ("bfe.u64 %d, %a, 60, 9;", "", |a, _, _| a >> 60),
    ("prmt.b32 %w, %wa, 0, 0x0123;", W, |a, _, _| u(a).swap_bytes() as u64),
    ("prmt.b32 %w, %wa, 0, 0x4401;", W, |a, _, _| (a as u16).swap_bytes() as u64),
    ("prmt.b32 %w, %wa, %wb, 0xb7e2;", W, |a, b, _| {
        let (a, b) = (u(a).to_le_bytes(), u(b).to_le_bytes());
        let sign = |byte: u8| if byte >= 128 { 255 } else { 0 };
        u32::from_le_bytes([a[2], sign(b[2]), b[3], sign(a[3])]) as u64
    }),
    ("lop3.b32 %w, %wa, %wb, %wc, 0xca;", W, |a, b, c| (u(a) & u(b) | !u(a) & u(c)) as u64),
    ("setp.lt.s32 %p, %wa, %wb;", P, |a, b, _| (s(a) < s(b)) as u64),
    ("setp.lt.u32 %p, %wa, %wb;", P, |a, b, _| (u(a) < u(b)) as u64),
    ("setp.ge.s64 %p, %a, %b;", P, |a, b, _| (l(a) >= l(b)) as u64),
    ("setp.le.u64 %p, %a, %b;", P, |a, b, _| (a <= b) as u64),
    ("setp.eq.b32 %p, %wa, %wb;", P, |a, b, _| (u(a) == u(b)) as u64),
    ("setp.gt.s16 %p, %ha, %hb;", P, |a, b, _| (a as i16 > b as i16) as u64),
    ("setp.gt.u32 %q, %wb, %wc; setp.ne.and.u32 %p, %wa, 0, %q;", P, |a, b, c| {
        (u(a) != 0 && u(b) > u(c)) as u64
    }),
    ("setp.gt.u32 %q, %wb, %wc; setp.eq.or.s32 %p, %wa, 0, !%q;", P, |a, b, c| {
        (u(a) == 0 || u(b) <= u(c)) as u64
    }),
    ("setp.hi.u32 %q|%p, %wb, %wc;", P, |_, b, c| (u(b) <= u(c)) as u64),
    ("setp.lt.s32 %p, %wa, 0; not.pred %q, %p; xor.pred %p, %p, %q; and.pred %p, %p, %q;", P, |a, _, _| {
        (s(a) >= 0) as u64
    }),
    ("setp.lt.s32 %p, %wa, 0; selp.b64 %d, %b, -1, %p;", "", |a, b, _| if s(a) < 0 { b } else { u64::MAX }),
    ("set.lt.u32.s32 %w, %wa, %wb;", W, |a, b, _| if s(a) < s(b) { 0xffff_ffff } else { 0 }),
    ("mov.b64 {%w0, %w1}, %a; mov.b64 %d, {%w1, %w0};", "", |a, _, _| a.rotate_left(32)),
    ("mov.b64 {_, %w1}, %a; mov.b64 %d, {%w1, 7};", "", |a, _, _| a >> 32 | 7 << 32),
    ("mov.b32 %w, {%hb, %ha};", W, |a, b, _| (a & 0xffff) << 16 | b & 0xffff),
    (
        "{ .reg .b128 %q; mov.b128 %q, {%a, %b}; mov.b128 {%l0, %d}, %q; sub.u64 %d, %d, %l0; }",
        "",
        |a, b, _| b.wrapping_sub(a),
    ),
];

/// Conversions among integers.
const CONVERSIONS: &[(&str, &str, Expected)] = &[
    ("cvt.s32.s8 %w, %wa;", W, |a, _, _| r(a as i8 as i32)),
    ("cvt.s32.s16 %w, %wa;", W, |a, _, _| r(a as i16 as i32)),
    ("cvt.u32.u8 %w, %wa;", W, |a, _, _| a & 0xff),
    ("cvt.s8.s32 %w, %wa;", W, |a, _, _| r(a as i8 as i32)),
    ("cvt.sat.s8.s32 %w, %wa;", W, |a, _, _| r(s(a).clamp(-128, 127))),
    ("cvt.sat.u8.s32 %w, %wa;", W, |a, _, _| r(s(a).clamp(0, 255))),
    ("cvt.sat.u32.s64 %w, %a;", W, |a, _, _| l(a).clamp(0, u32::MAX as i64) as u64),
    ("cvt.sat.s32.u64 %w, %a;", W, |a, _, _| a.min(i32::MAX as u64)),
    ("cvt.s64.s32 %d, %wa;", "", |a, _, _| s(a) as i64 as u64),
    ("cvt.s64.s8 %d, %wa;", "", |a, _, _| a as i8 as i64 as u64),
    ("cvt.u64.s32 %d, %wa;", "", |a, _, _| s(a) as i64 as u64),
    ("cvt.u32.u64 %w, %a;", W, |a, _, _| u(a) as u64),
    ("cvt.rn.f32.s32 %w, %wa;", W, |a, _, _| (s(a) as f32).to_bits() as u64),
    ("cvt.rn.f32.u64 %w, %a;", W, |a, _, _| (a as f32).to_bits() as u64),
    ("cvt.rn.f64.s64 %d, %a;", "", |a, _, _| (l(a) as f64).to_bits()),
    ("cvt.rn.f64.u32 %d, %wa;", "", |a, _, _| (u(a) as f64).to_bits()),
    ("cvt.rn.f32.s8 %w, %wa;", W, |a, _, _| (a as i8 as f32).to_bits() as u64),
    // Towards an end: the value and what it is made of, compared exactly.
    ("cvt.rz.f32.s64 %w, %a;", W, |a, _, _| {
        let near = l(a) as f32;
        let far = near as i128 * (l(a) as i128).signum() > (l(a) as i128).abs();
        (if far { f32::from_bits(near.to_bits() - 1) } else { near }).to_bits() as u64
    }),
    ("cvt.rp.f64.u64 %d, %a;", "", |a, _, _| {
        let near = a as f64;
        (if (near as u128) < a as u128 { near.next_up() } else { near }).to_bits()
    }),
    ("cvt.rm.f64.s64 %d, %a;", "", |a, _, _| {
        let near = l(a) as f64;
        (if near as i128 > l(a) as i128 { near.next_down() } else { near }).to_bits()
    }),
];

/// Loads and stores of every width, through each space.
const ACCESSES: &[(&str, &str, Expected)] = &[
    ("st.global.u64 [%x+16], %a; ld.global.s8 %d, [%x+16];", "", |a, _, _| a as i8 as i64 as u64),
    ("st.u64 [%x+16], %a; ld.s16 %w, [%x+18];", W, |a, _, _| r((a >> 16) as i16 as i32)),
    ("st.u64 [%x+16], %a; ld.u8 %w, [%x+23];", W, |a, _, _| a >> 56),
    ("st.u64 [%x+16], %a; st.u16 [%x+18], %wb; ld.u64 %d, [%x+16];", "", |a, b, _| {
        a & !0xffff_0000 | (b & 0xffff) << 16
    }),
    ("st.u64 [%x+16], %a; st.b8 [%x+16], %b; ld.volatile.u64 %d, [%x+16];", "", |a, b, _| {
        a & !0xff | b & 0xff
    }),
    ("st.u64 [%x+16], %a; ld.s32 %d, [%x+20];", "", |a, _, _| (a >> 32) as i32 as i64 as u64),
    ("atom.global.add.u64 %l0, [%x+8], %c; ld.global.u64 %d, [%x+8]; sub.u64 %d, %d, %l0;", "", |_, _, c| c),
    (
        "atom.relaxed.sys.global.cas.b64 %d, [%x], %b, %c; ld.u64 %l0, [%x]; xor.b64 %d, %d, %l0;",
        "",
        |a, b, c| {
            if a == b { a ^ c } else { 0 }
        },
    ),
    ("red.global.max.s32 [%x], %wb; ld.u32 %w, [%x];", W, |a, b, _| r(s(a).max(s(b)))),
    ("atom.global.inc.u32 %w0, [%x], %wb; ld.u32 %w, [%x];", W, |a, b, _| {
        if u(a) >= u(b) { 0 } else { (a + 1) & 0xffff_ffff }
    }),
    ("atom.global.exch.b32 %w, [%x], %wb; ld.u32 %w0, [%x]; xor.b32 %w, %w, %w0;", W, |a, b, _| {
        (u(a) ^ u(b)) as u64
    }),
    (
        "{ .local .align 16 .b8 room[48]; st.local.v4.b32 [room+16], {%wa, 9, %wb, %wc};
        mov.u64 %l0, room; cvta.local.u64 %l1, %l0; ld.u64 %d, [%l1+24];
        ld.local.v2.b32 {%w0, %w1}, [%l0+16]; mov.b64 %l2, {%w0, %w1}; add.u64 %d, %d, %l2;
        cvta.to.local.u64 %l3, %l1; sub.u64 %l3, %l3, %l0; add.u64 %d, %d, %l3; }",
        "",
        |a, b, c| (u(b) as u64 | (u(c) as u64) << 32).wrapping_add(u(a) as u64 | 9 << 32),
    ),
    (
        "{ .shared .align 8 .b64 box[1024]; .reg .b32 %s; mov.u32 %s, box; mad.lo.u32 %s, %i, 8, %s;
        st.shared.u64 [%s], %a; red.shared.add.u64 [%s], %b; cvt.u64.u32 %l0, %s; cvta.shared.u64 %l0, %l0;
        ld.u64 %d, [%l0]; }",
        "",
        |a, b, _| a.wrapping_add(b),
    ),
];

fn check(table: &[(&str, &str, Expected)], inputs: &[[u64; 3]]) {
    for (instructions, rest, expected) in table {
        let found = compute(&format!("{instructions}\n{rest}"), inputs);
        for ([a, b, c], found) in inputs.iter().zip(found) {
            let expected = expected(*a, *b, *c);
            assert!(found == expected, "{instructions} of {a:x}, {b:x}, {c:x}: {found:x}, not {expected:x}");
        }
    }
}

fn operands() -> impl Strategy<Value = Vec<[u64; 3]>> {
    prop::collection::vec(prop::array::uniform3(word()), 64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn integers_are_rusts(inputs in operands()) {
        check(INTEGERS, &inputs);
    }

    #[test]
    fn conversions_of_integers_are_rusts(inputs in operands()) {
        check(CONVERSIONS, &inputs);
    }

    #[test]
    fn what_is_stored_in_a_space_is_loaded_from_it_as_the_type_says(inputs in operands()) {
        check(ACCESSES, &inputs);
    }
}

#[test]
fn all_pairs_of_edges_are_rusts() {
    let pairs: Vec<[u64; 3]> =
        EDGES.iter().flat_map(|a| EDGES.iter().map(move |b| [*a, *b, a.rotate_left(7) ^ b])).collect();
    check(INTEGERS, &pairs);
    check(CONVERSIONS, &pairs);
    check(ACCESSES, &pairs);
}
