//! Functions that WGSL lacks. Each is appended to the text only if something calls it.

use std::collections::BTreeSet;

/// Name and text. A helper may call others.
const HELPERS: &[(&str, &str)] = &[
    ("rk_f32", "fn rk_f32(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}
"),
    ("rk_f64", "fn rk_f64(low: u32, high: u32) -> f64 {
    return bitcast<f64>(rk_u64(low, high));
}
"),
    ("rk_u64", "fn rk_u64(low: u32, high: u32) -> u64 {
    return u64(low) | (u64(high) << 32u);
}
"),
    // Mesa 22.3 (`nir_opt_algebraic`) takes `i64(x)` out of a comparison with a constant, and orders the rest wrongly.
    ("rk_widen", "// i64(x), in words that drivers do not see through.
fn rk_widen(x: i32) -> i64 {
    return bitcast<i64>(u64(bitcast<u32>(x)) ^ 0x80000000lu) - 0x80000000li;
}
"),
    ("rk_low", "fn rk_low(x: u64) -> u32 {
    return u32(x & 0xfffffffflu);
}
"),
    ("rk_high", "fn rk_high(x: u64) -> u32 {
    return u32(x >> 32u);
}
"),
    ("rk_is_nan_f32", "fn rk_is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
"),
    ("rk_is_nan_f64", "fn rk_is_nan_f64(x: f64) -> bool {
    return (bitcast<u64>(x) & 0x7ffffffffffffffflu) > 0x7ff0000000000000lu;
}
"),
    ("rk_mul_high_u32", "// The high half of a product, by 16-bit halves.
fn rk_mul_high_u32(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let m = a1 * b0 + ((a0 * b0) >> 16u);
    let n = a0 * b1 + (m & 0xffffu);
    return a1 * b1 + (m >> 16u) + (n >> 16u);
}
"),
    ("rk_mul_high_i32", "fn rk_mul_high_i32(a: i32, b: i32) -> i32 {
    let high = bitcast<i32>(rk_mul_high_u32(bitcast<u32>(a), bitcast<u32>(b)));
    return high - select(0i, b, a < 0i) - select(0i, a, b < 0i);
}
"),
    ("rk_mul_high_u64", "// The high half of a product, by 32-bit halves.
fn rk_mul_high_u64(a: u64, b: u64) -> u64 {
    let a0 = a & 0xfffffffflu;
    let a1 = a >> 32u;
    let b0 = b & 0xfffffffflu;
    let b1 = b >> 32u;
    let m = a1 * b0 + ((a0 * b0) >> 32u);
    let n = a0 * b1 + (m & 0xfffffffflu);
    return a1 * b1 + (m >> 32u) + (n >> 32u);
}
"),
    ("rk_mul_high_i64", "fn rk_mul_high_i64(a: i64, b: i64) -> i64 {
    let high = bitcast<i64>(rk_mul_high_u64(bitcast<u64>(a), bitcast<u64>(b)));
    return high - select(0li, b, a < 0li) - select(0li, a, b < 0li);
}
"),
    ("rk_add_overflows_i32", "fn rk_add_overflows_i32(a: i32, b: i32) -> bool {
    let sum = a + b;
    return ((sum ^ a) & (sum ^ b)) < 0i;
}
"),
    ("rk_sub_overflows_i32", "fn rk_sub_overflows_i32(a: i32, b: i32) -> bool {
    let difference = a - b;
    return ((a ^ b) & (difference ^ a)) < 0i;
}
"),
    ("rk_mul_overflows_i32", "fn rk_mul_overflows_i32(a: i32, b: i32) -> bool {
    return rk_mul_high_i32(a, b) != ((a * b) >> 31u);
}
"),
    ("rk_add_overflows_i64", "fn rk_add_overflows_i64(a: i64, b: i64) -> bool {
    let sum = a + b;
    return ((sum ^ a) & (sum ^ b)) < 0li;
}
"),
    ("rk_sub_overflows_i64", "fn rk_sub_overflows_i64(a: i64, b: i64) -> bool {
    let difference = a - b;
    return ((a ^ b) & (difference ^ a)) < 0li;
}
"),
    ("rk_mul_overflows_i64", "fn rk_mul_overflows_i64(a: i64, b: i64) -> bool {
    return rk_mul_high_i64(a, b) != ((a * b) >> 63u);
}
"),
    ("rk_count_ones", "fn rk_count_ones(x: u64) -> u32 {
    return countOneBits(rk_low(x)) + countOneBits(rk_high(x));
}
"),
    ("rk_leading_zeros", "fn rk_leading_zeros(x: u64) -> u32 {
    let high = rk_high(x);
    return select(countLeadingZeros(high), 32u + countLeadingZeros(rk_low(x)), high == 0u);
}
"),
    ("rk_trailing_zeros", "fn rk_trailing_zeros(x: u64) -> u32 {
    let low = rk_low(x);
    return select(countTrailingZeros(low), 32u + countTrailingZeros(rk_high(x)), low == 0u);
}
"),
    ("rk_reverse_bits", "fn rk_reverse_bits(x: u64) -> u64 {
    return rk_u64(reverseBits(rk_high(x)), reverseBits(rk_low(x)));
}
"),
    ("rk_swap_bytes", "fn rk_swap_bytes(x: u32) -> u32 {
    return (x << 24u) | ((x & 0xff00u) << 8u) | ((x >> 8u) & 0xff00u) | (x >> 24u);
}
"),
    ("rk_swap_bytes_u64", "fn rk_swap_bytes_u64(x: u64) -> u64 {
    return rk_u64(rk_swap_bytes(rk_high(x)), rk_swap_bytes(rk_low(x)));
}
"),
    ("rk_copysign_f32", "fn rk_copysign_f32(x: f32, sign: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(sign) & 0x80000000u));
}
"),
    ("rk_copysign_f64", "fn rk_copysign_f64(x: f64, sign: f64) -> f64 {
    return bitcast<f64>((bitcast<u64>(x) & 0x7ffffffffffffffflu) | (bitcast<u64>(sign) & 0x8000000000000000lu));
}
"),
];

/// Helpers that exist for `f32` and `f64`: `{t}` the type, `{s}` the suffix of its literals.
const FLOAT_HELPERS: &[(&str, &str)] = &[
    (
        "rk_min_{t}",
        "fn rk_min_{t}(a: {t}, b: {t}) -> {t} {
    if (rk_is_nan_{t}(a)) { return b; }
    if (rk_is_nan_{t}(b)) { return a; }
    return select(a, b, b < a);
}
",
    ),
    (
        "rk_max_{t}",
        "fn rk_max_{t}(a: {t}, b: {t}) -> {t} {
    if (rk_is_nan_{t}(a)) { return b; }
    if (rk_is_nan_{t}(b)) { return a; }
    return select(a, b, b > a);
}
",
    ),
    (
        "rk_round_{t}",
        "// To nearest, ties away from zero.
fn rk_round_{t}(x: {t}) -> {t} {
    let whole = trunc(x);
    return select(whole, whole + rk_copysign_{t}(1.0{s}, x), abs(x - whole) >= 0.5{s});
}
",
    ),
];

/// Float to integer: `{f}` and `{s}` the float's name and literal suffix, `{t}` the integer; then its bounds: `{past}` the first float
/// beyond its largest value, `{bottom}` the float that is its smallest, `{max}` and `{min}`.
const CONVERSION: &str = "// As Rust's `as`: saturates, and a NaN is 0.
fn rk_{f}_to_{t}(x: {f}) -> {t} {
    if (rk_is_nan_{f}(x)) { return {zero}; }
    if (x >= {past}{s}) { return {max}; }
    if (x <= {bottom}{s}) { return {min}; }
    return {t}(x);
}
";

/// Float to 64-bit integer, from the float's own bits: drivers differ in what their conversion makes of values beyond 32 bits
/// (NVIDIA's 580 turns the `f32` 4294967296 into the `u64` 8589934591). `{u}` is the integer of the float's width.
const WIDE_CONVERSION: &str = "// As Rust's `as`: saturates, and a NaN is 0.
fn rk_{f}_to_{t}(x: {f}) -> {t} {
    if (rk_is_nan_{f}(x)) { return {zero}; }
    if (x >= {past}{s}) { return {max}; }
    if (x <= {bottom}{s}) { return {min}; }
    let bits = bitcast<{u}>(x);
    let exponent = i32((bits >> {m}u) & {biased}{l}) - {bias}i;
    var whole = u64((bits & {significand}{l}) | {one}{l});
    if (exponent >= 0i) {
        whole = whole << u32(exponent);
    } else if (exponent > -64i) {
        whole = whole >> u32(-exponent);
    } else {
        whole = 0lu;
    }
    return {signed};
}
";

/// The exact remainder of the significands, bit by bit: `{u}` is the integer of the float's width, `{l}` its literals' suffix.
const REMAINDER: &str = "// a % b, exact: the significands are divided bit by bit.
fn rk_fmod_{t}(a: {t}, b: {t}) -> {t} {
    let sign = bitcast<{u}>(a) & {sign}{l};
    var x = bitcast<{u}>(a) & {abs}{l};
    var y = bitcast<{u}>(b) & {abs}{l};
    if (x >= {inf}{l} || y == 0{l} || y > {inf}{l}) { return {nan}; }
    if (x < y) { return a; }
    var ex = i32(x >> {m}u);
    x = x & {significand}{l};
    if (ex == 0i) {
        let n = {clz}(x) - {n}u;
        x = x << n;
        ex = 1i - i32(n);
    } else {
        x = x | {one}{l};
    }
    var ey = i32(y >> {m}u);
    y = y & {significand}{l};
    if (ey == 0i) {
        let n = {clz}(y) - {n}u;
        y = y << n;
        ey = 1i - i32(n);
    } else {
        y = y | {one}{l};
    }
    loop {
        if (ex <= ey) { break; }
        if (x >= y) { x = x - y; }
        x = x << 1u;
        ex = ex - 1i;
    }
    if (x >= y) { x = x - y; }
    if (x != 0{l}) {
        let n = {clz}(x) - {n}u;
        x = x << n;
        ex = ex - i32(n);
        if (ex > 0i) {
            x = (x - {one}{l}) | ({u}(ex) << {m}u);
        } else {
            x = x >> u32(1i - ex);
        }
    }
    return bitcast<{t}>(x | sign);
}
";

/// Every helper there is.
fn all() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        HELPERS.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    for (t, s) in [("f32", "f"), ("f64", "lf")] {
        let fill = |text: &str| text.replace("{t}", t).replace("{s}", s);
        let (bits, stored): (u32, u32) = if t == "f32" { (32, 23) } else { (64, 52) };
        let (u, l) = if t == "f32" { ("u32", "u") } else { ("u64", "lu") };
        let (sign, one) = (1u64 << (bits - 1), 1u64 << stored);
        let hex = |value: u64| format!("0x{value:x}");
        all.extend(FLOAT_HELPERS.iter().map(|(name, text)| (fill(name), fill(text))));
        for (int, zero, past, bottom, max, min) in [
            ("i32", "0i", "2147483648.0", "-2147483648.0", "2147483647i", "i32(-2147483648)"),
            ("u32", "0u", "4294967296.0", "0.0", "4294967295u", "0u"),
            (
                "i64",
                "0li",
                "9223372036854775808.0",
                "-9223372036854775808.0",
                "9223372036854775807li",
                "(-9223372036854775807li - 1li)",
            ),
            ("u64", "0lu", "18446744073709551616.0", "0.0", "18446744073709551615lu", "0lu"),
        ] {
            let wide = int.ends_with("64");
            let signed = if int == "i64" {
                "select(bitcast<i64>(whole), -bitcast<i64>(whole), x < 0.0{s})"
            } else {
                "whole"
            };
            let text = if wide { WIDE_CONVERSION } else { CONVERSION }
                .replace("{signed}", signed)
                .replace("{f}", t)
                .replace("{s}", s)
                .replace("{t}", int)
                .replace("{zero}", zero)
                .replace("{past}", past)
                .replace("{bottom}", bottom)
                .replace("{max}", max)
                .replace("{min}", min)
                .replace("{u}", u)
                .replace("{l}", l)
                .replace("{m}", &stored.to_string())
                .replace("{biased}", &hex((1 << (bits - 1 - stored)) - 1))
                .replace("{bias}", &((1 << (bits - 2 - stored)) - 1 + stored).to_string())
                .replace("{significand}", &hex(one - 1))
                .replace("{one}", &hex(one));
            all.push((format!("rk_{t}_to_{int}"), text));
        }
        let text = REMAINDER
            .replace("{t}", t)
            .replace("{u}", u)
            .replace("{l}", l)
            .replace("{clz}", if bits == 32 { "countLeadingZeros" } else { "rk_leading_zeros" })
            .replace("{nan}", if bits == 32 { "rk_f32(0x7fc00000u)" } else { "rk_f64(0u, 0x7ff80000u)" })
            .replace("{sign}", &hex(sign))
            .replace("{abs}", &hex(sign - 1))
            .replace("{inf}", &hex(sign - one))
            .replace("{one}", &hex(one))
            .replace("{significand}", &hex(one - 1))
            .replace("{m}", &stored.to_string())
            .replace("{n}", &(bits - 1 - stored).to_string());
        all.push((format!("rk_fmod_{t}"), text));
    }
    all
}

/// The text of the helpers that `tokens` names, and of those that they name.
pub(super) fn needed(tokens: &BTreeSet<String>) -> String {
    let all = all();
    let mut wanted = tokens.clone();
    let mut taken = vec![false; all.len()];
    while let Some(i) = (0..all.len()).find(|&i| !taken[i] && wanted.contains(&all[i].0)) {
        taken[i] = true;
        wanted.extend(super::tokens(&all[i].1));
    }
    all.iter().zip(taken).filter(|(_, taken)| *taken).map(|((_, text), _)| format!("\n{text}")).collect()
}
