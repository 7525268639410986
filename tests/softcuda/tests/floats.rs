//! Floats against Rust: arithmetic, comparisons with NaNs, conversions with every rounding.

mod support;

use proptest::prelude::*;
use support::compute;

/// The one NaN that `.f32` arithmetic makes.
const NAN: u64 = 0x7fff_ffff;

/// What is expected; `None` for a NaN of whatever bits.
type Expected<F> = fn(F, F, F) -> Option<u64>;

trait Float: Copy {
    fn of(bits: u64) -> Self;
}

impl Float for f32 {
    fn of(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
}

impl Float for f64 {
    fn of(bits: u64) -> Self {
        f64::from_bits(bits)
    }
}

fn single(value: f32) -> Option<u64> {
    Some(if value.is_nan() { NAN } else { value.to_bits() as u64 })
}

fn double(value: f64) -> Option<u64> {
    (!value.is_nan()).then_some(value.to_bits())
}

const W: &str = "cvt.u64.u32 %d, %w;";
const P: &str = "selp.u64 %d, 1, 0, %p;";

fn smaller<F: Copy + PartialOrd>(a: F, b: F, nan: fn(F) -> bool, negative: fn(F) -> bool) -> F {
    match (nan(a), nan(b)) {
        (true, _) => b,
        (_, true) => a,
        _ if a < b || a == b && negative(a) => a,
        _ => b,
    }
}

const SINGLES: &[(&str, &str, Expected<f32>)] = &[
    ("add.rn.f32 %w, %wa, %wb;", W, |a, b, _| single(a + b)),
    ("add.f32 %w, %wa, 0f3F800000;", W, |a, _, _| single(a + 1.0)),
    ("add.f32 %w, %wa, 1.5;", W, |a, _, _| single(a + 1.5)),
    ("sub.rn.f32 %w, %wa, %wb;", W, |a, b, _| single(a - b)),
    ("mul.rn.f32 %w, %wa, %wb;", W, |a, b, _| single(a * b)),
    ("div.rn.f32 %w, %wa, %wb;", W, |a, b, _| single(a / b)),
    ("rcp.rn.f32 %w, %wa;", W, |a, _, _| single(1.0 / a)),
    ("sqrt.rn.f32 %w, %wa;", W, |a, _, _| single(a.sqrt())),
    ("fma.rn.f32 %w, %wa, %wb, %wc;", W, |a, b, c| single(a.mul_add(b, c))),
    ("min.f32 %w, %wa, %wb;", W, |a, b, _| single(smaller(a, b, f32::is_nan, f32::is_sign_negative))),
    ("max.f32 %w, %wa, %wb;", W, |a, b, _| single(-smaller(-a, -b, f32::is_nan, f32::is_sign_negative))),
    ("min.NaN.f32 %w, %wa, %wb;", W, |a, b, _| {
        single(if a.is_nan() || b.is_nan() {
            f32::NAN
        } else {
            smaller(a, b, f32::is_nan, f32::is_sign_negative)
        })
    }),
    ("neg.f32 %w, %wa;", W, |a, _, _| Some((-a).to_bits() as u64)),
    ("abs.f32 %w, %wa;", W, |a, _, _| Some(a.abs().to_bits() as u64)),
    ("copysign.f32 %w, %wb, %wa;", W, |a, b, _| Some(a.copysign(b).to_bits() as u64)),
    ("mov.f32 %w, %wa;", W, |a, _, _| Some(a.to_bits() as u64)),
    ("setp.eq.f32 %p, %wa, %wb;", P, |a, b, _| Some((a == b) as u64)),
    ("setp.ne.f32 %p, %wa, %wb;", P, |a, b, _| Some((a < b || b < a) as u64)),
    ("setp.neu.f32 %p, %wa, %wb;", P, |a, b, _| Some((a != b) as u64)),
    ("setp.equ.f32 %p, %wa, %wb;", P, |a, b, _| Some((a == b || a.is_nan() || b.is_nan()) as u64)),
    ("setp.lt.f32 %p, %wa, %wb;", P, |a, b, _| Some((a < b) as u64)),
    ("setp.le.f32 %p, %wa, %wb;", P, |a, b, _| Some((a <= b) as u64)),
    ("setp.gt.f32 %p, %wa, %wb;", P, |a, b, _| Some((a > b) as u64)),
    ("setp.ge.f32 %p, %wa, %wb;", P, |a, b, _| Some((a >= b) as u64)),
    ("setp.ltu.f32 %p, %wa, %wb;", P, |a, b, _| Some(a.partial_cmp(&b).is_none_or(|o| o.is_lt()) as u64)),
    ("setp.leu.f32 %p, %wa, %wb;", P, |a, b, _| Some(a.partial_cmp(&b).is_none_or(|o| o.is_le()) as u64)),
    ("setp.gtu.f32 %p, %wa, %wb;", P, |a, b, _| Some(a.partial_cmp(&b).is_none_or(|o| o.is_gt()) as u64)),
    ("setp.geu.f32 %p, %wa, %wb;", P, |a, b, _| Some(a.partial_cmp(&b).is_none_or(|o| o.is_ge()) as u64)),
    ("setp.num.f32 %p, %wa, %wb;", P, |a, b, _| Some((!a.is_nan() && !b.is_nan()) as u64)),
    ("setp.nan.f32 %p, %wa, %wb;", P, |a, b, _| Some((a.is_nan() || b.is_nan()) as u64)),
    ("testp.subnormal.f32 %p, %wa;", P, |a, _, _| Some(a.is_subnormal() as u64)),
    ("cvt.f64.f32 %d, %wa;", "", |a, _, _| double(a as f64)),
    ("cvt.rni.f32.f32 %w, %wa;", W, |a, _, _| single(a.round_ties_even())),
    ("cvt.rzi.f32.f32 %w, %wa;", W, |a, _, _| single(a.trunc())),
    ("cvt.rmi.f32.f32 %w, %wa;", W, |a, _, _| single(a.floor())),
    ("cvt.rpi.f32.f32 %w, %wa;", W, |a, _, _| single(a.ceil())),
    ("cvt.sat.f32.f32 %w, %wa;", W, |a, _, _| single(if a > 0.0 { a.min(1.0) } else { 0.0 })),
    // Without a NaN, as `as` does; a NaN is 0 to 32 bits, and the uppermost bit alone to 64.
    ("cvt.rzi.s32.f32 %w, %wa;", W, |a, _, _| Some(a as i32 as u32 as u64)),
    ("cvt.rzi.u32.f32 %w, %wa;", W, |a, _, _| Some(a as u32 as u64)),
    ("cvt.rzi.u8.f32 %w, %wa;", W, |a, _, _| Some(a as u8 as u64)),
    ("cvt.rzi.s8.f32 %w, %wa;", W, |a, _, _| Some(a as i8 as i32 as u32 as u64)),
    ("cvt.rni.s32.f32 %w, %wa;", W, |a, _, _| Some(a.round_ties_even() as i32 as u32 as u64)),
    ("cvt.rmi.s32.f32 %w, %wa;", W, |a, _, _| Some(a.floor() as i32 as u32 as u64)),
    ("cvt.rpi.u32.f32 %w, %wa;", W, |a, _, _| Some(a.ceil() as u32 as u64)),
    ("cvt.rzi.s64.f32 %d, %wa;", "", |a, _, _| Some(if a.is_nan() { 1 << 63 } else { a as i64 as u64 })),
    ("cvt.rzi.u64.f32 %d, %wa;", "", |a, _, _| Some(if a.is_nan() { 1 << 63 } else { a as u64 })),
];

const DOUBLES: &[(&str, &str, Expected<f64>)] = &[
    ("add.rn.f64 %d, %a, %b;", "", |a, b, _| double(a + b)),
    ("sub.rn.f64 %d, %a, %b;", "", |a, b, _| double(a - b)),
    ("mul.rn.f64 %d, %a, 0d4008000000000000;", "", |a, _, _| double(a * 3.0)),
    ("div.rn.f64 %d, %a, %b;", "", |a, b, _| double(a / b)),
    ("sqrt.rn.f64 %d, %a;", "", |a, _, _| double(a.sqrt())),
    ("fma.rn.f64 %d, %a, %b, %c;", "", |a, b, c| double(a.mul_add(b, c))),
    ("min.f64 %d, %a, %b;", "", |a, b, _| double(smaller(a, b, f64::is_nan, f64::is_sign_negative))),
    ("max.f64 %d, %a, %b;", "", |a, b, _| double(-smaller(-a, -b, f64::is_nan, f64::is_sign_negative))),
    ("neg.f64 %d, %a;", "", |a, _, _| Some((-a).to_bits())),
    ("copysign.f64 %d, %b, %a;", "", |a, b, _| Some(a.copysign(b).to_bits())),
    ("setp.lt.f64 %p, %a, %b;", P, |a, b, _| Some((a < b) as u64)),
    ("setp.geu.f64 %p, %a, %b;", P, |a, b, _| Some(a.partial_cmp(&b).is_none_or(|o| o.is_ge()) as u64)),
    ("cvt.rn.f32.f64 %w, %a;", W, |a, _, _| single(a as f32)),
    ("cvt.rz.f32.f64 %w, %a;", W, |a, _, _| {
        let near = a as f32;
        single(if (near as f64).abs() > a.abs() { f32::from_bits(near.to_bits() - 1) } else { near })
    }),
    ("cvt.rm.f32.f64 %w, %a;", W, |a, _, _| {
        let near = a as f32;
        single(if near as f64 > a { near.next_down() } else { near })
    }),
    ("cvt.rp.f32.f64 %w, %a;", W, |a, _, _| {
        let near = a as f32;
        single(if (near as f64) < a { near.next_up() } else { near })
    }),
    ("cvt.rni.f64.f64 %d, %a;", "", |a, _, _| double(a.round_ties_even())),
    ("cvt.rzi.f64.f64 %d, %a;", "", |a, _, _| double(a.trunc())),
    ("cvt.rzi.s32.f64 %w, %a;", W, |a, _, _| Some(if a.is_nan() { 1 << 31 } else { a as i32 as u32 as u64 })),
    ("cvt.rzi.u32.f64 %w, %a;", W, |a, _, _| Some(if a.is_nan() { 1 << 31 } else { a as u32 as u64 })),
    ("cvt.rzi.s64.f64 %d, %a;", "", |a, _, _| Some(if a.is_nan() { 1 << 63 } else { a as i64 as u64 })),
    ("cvt.rpi.u64.f64 %d, %a;", "", |a, _, _| Some(if a.is_nan() { 1 << 63 } else { a.ceil() as u64 })),
];

fn check<F: Float>(table: &[(&str, &str, Expected<F>)], inputs: &[[u64; 3]]) {
    for (instructions, rest, expected) in table {
        let found = compute(&format!("{instructions}\n{rest}"), inputs);
        for (input, found) in inputs.iter().zip(found) {
            let [a, b, c] = input.map(F::of);
            match expected(a, b, c) {
                Some(bits) => {
                    assert!(found == bits, "{instructions} of {input:x?}: {found:x}, not {bits:x}")
                }
                None => assert!(f64::from_bits(found).is_nan(), "{instructions} of {input:x?}: {found:x}"),
            }
        }
    }
}

fn f32s() -> Vec<u64> {
    let mut all = vec![0.0, 0.5, 1.0, 1.5, 2.5, 254.5, 2147483648.0, 4294967296.0, 1.8446744e19, 1e38, 1e-40];
    all.extend([f32::MIN_POSITIVE, f32::MAX, f32::EPSILON, f32::INFINITY, f32::NAN, 16777217.0, 0.49999997]);
    let negative: Vec<f32> = all.iter().map(|value| -value).collect();
    all.extend(negative);
    all.into_iter().map(|value| value.to_bits() as u64).chain([0x7f80_0001]).collect()
}

fn f64s() -> Vec<u64> {
    let mut all =
        vec![0.0, 0.5, 1.5, 2.5, 1e39, 3.5e38, 1e-46, 1e-40, 2147483647.5, 4294967296.0, 9.3e18, 1.9e19];
    all.extend([f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NAN, 9007199254740993.0, 0.1, 16777217.0]);
    let negative: Vec<f64> = all.iter().map(|value| -value).collect();
    all.extend(negative);
    all.into_iter().map(f64::to_bits).collect()
}

fn near(edges: Vec<u64>) -> impl Strategy<Value = Vec<[u64; 3]>> {
    let word = prop_oneof![prop::sample::select(edges), any::<u64>()];
    prop::collection::vec(prop::array::uniform3(word), 64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn single_precision_is_rusts_and_its_nan_is_the_machines(inputs in near(f32s())) {
        check(SINGLES, &inputs);
    }

    #[test]
    fn double_precision_is_rusts(inputs in near(f64s())) {
        check(DOUBLES, &inputs);
    }
}

#[test]
fn all_pairs_of_edges_are_rusts() {
    let pairs = |edges: Vec<u64>| -> Vec<[u64; 3]> {
        let all = edges.iter().flat_map(|a| edges.iter().map(|b| [*a, *b, *a])).collect::<Vec<_>>();
        all.into_iter().take(1024).collect()
    };
    check(SINGLES, &pairs(f32s()));
    check(DOUBLES, &pairs(f64s()));
}
