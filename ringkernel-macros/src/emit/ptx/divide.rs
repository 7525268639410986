//! Division by a constant: a multiplication by a scaled reciprocal and a shift.
//!
//! Why here: ptxas does not do it (a 32-bit division by 10 is 23 instructions, this is 2 to 8), and it pays only where `mul.hi` is an
//! instruction. Source: Granlund and Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994.

use super::table;
use crate::ir::{BinOp, Const};

/// With N the register's width, `n / d = floor(n × m / 2^(N + shift))` for every `n` of the type (and one more for a negative `n`).
struct Magic {
    /// The factor; it may have N + 1 bits.
    m: u128,
    shift: u32,
}

/// The magic numbers for a divisor above 1 that is no power of two. `greatest` is the greatest magnitude of a dividend.
fn magic(divisor: u128, width: u32, greatest: u128) -> Option<Magic> {
    (0..width - 1).find_map(|shift| {
        let power = 1u128 << (width + shift);
        let m = power / divisor + 1;
        // m is too large by excess / divisor / power; the error of n × m must stay below the 1 / divisor that separates quotients.
        let excess = m * divisor - power;
        (excess.checked_mul(greatest)? < power).then_some(Magic { m, shift })
    })
}

/// The instructions for `{a} / divisor` or `{a} % divisor`; `None` where nothing is gained.
pub(super) fn by_constant(op: BinOp, divisor: Const) -> Option<String> {
    let ty = divisor.ty;
    if !ty.is_int() {
        return None;
    }
    let size = divisor.as_i128().unsigned_abs();
    if size < 3 || size.is_power_of_two() {
        return None;
    }
    // Narrow integers are extended to 32 bits.
    let width = ty.bits().max(32);
    let signed = ty.is_signed();
    let greatest = if signed { 1 << (width - 1) } else { (1 << width) - 1 };
    let Magic { m, shift } = magic(size, width, greatest)?;
    let (t, s) = (table::suffix(ty), if width == 64 { "%l" } else { "%w" });
    let mut text = if signed {
        let large = m >> (width - 1) != 0;
        // As a signed factor, m is m - 2^N, and n × 2^N / 2^N has to be put back.
        let factor = if large { m as i128 - (1 << width) } else { m as i128 };
        let add = if large { format!("add.{t} {s}0, {s}0, {{a}};") } else { String::new() };
        let (top, sign) = (width - 1, if divisor.as_i128() < 0 { "neg.{t} {d}, {d};" } else { "" });
        format!(
            "mul.hi.{t} {s}0, {{a}}, {factor};{add}shr.{t} {s}0, {s}0, {shift};shr.u{width} {s}1, {{a}}, {top};add.{t} {{d}}, {s}0, {s}1;{}",
            sign.replace("{t}", t)
        )
    } else if m >> width == 0 {
        format!("mul.hi.{t} {{d}}, {{a}}, {m};shr.{t} {{d}}, {{d}}, {shift};")
    } else {
        // N + 1 bits: n × m / 2^N = n + h, halved before it can overflow.
        let (low, rest) = (m - (1 << width), shift.checked_sub(1)?);
        format!(
            "mul.hi.{t} {s}0, {{a}}, {low};sub.{t} {s}1, {{a}}, {s}0;shr.{t} {s}1, {s}1, 1;add.{t} {s}0, {s}0, {s}1;shr.{t} {{d}}, {s}0, {rest};"
        )
    };
    if op == BinOp::Rem {
        text += &format!("mul.lo.{t} {s}0, {{d}}, {};sub.{t} {{d}}, {{a}}, {s}0;", divisor.as_i128());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Scalar;
    use std::collections::HashMap;

    /// Runs the few instructions that the templates use, on registers of the type's width.
    fn execute(template: &str, a: i128, ty: Scalar) -> i128 {
        let width = ty.bits().max(32);
        let signed = |value: i128| (value << (128 - width)) >> (128 - width);
        let unsigned = |value: i128| value & ((1 << width) - 1);
        let mut regs: HashMap<String, i128> = HashMap::from([("{a}".to_string(), a)]);
        for instruction in template.split_terminator(';') {
            let (name, rest) = instruction.split_once(' ').expect("an operation and its operands");
            let operands: Vec<&str> = rest.split(", ").collect();
            let of = |i: usize| {
                operands
                    .get(i)
                    .map(|o: &&str| regs.get(*o).copied().unwrap_or_else(|| o.parse().expect("a number")))
            };
            let (x, y) = (of(1).expect("an operand"), of(2).unwrap_or(0));
            let (operation, suffix) = name.rsplit_once('.').expect("a type suffix");
            let view = |value: i128| if suffix.starts_with('s') { signed(value) } else { unsigned(value) };
            let (x, y) = (view(x), view(y));
            let value = match operation {
                "add" => x + y,
                "sub" => x - y,
                "neg" => -x,
                "mul.lo" => x.wrapping_mul(y),
                "mul.hi" if suffix.starts_with('s') => (x * y) >> width,
                "mul.hi" => ((x as u128 * y as u128) >> width) as i128,
                "shr" => x >> y,
                other => panic!("{other}"),
            };
            let value = if ty.is_signed() { signed(value) } else { unsigned(value) };
            regs.insert(operands[0].to_string(), value);
        }
        regs["{d}"]
    }

    #[test]
    fn magic_numbers_divide_as_the_machine_does() {
        use Scalar::*;
        let mut seed = 0x0123_4567_89ab_cdefu64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for ty in [I8, U8, I16, U16, I32, U32, I64, U64] {
            let mut covered = 0;
            for round in 0..300u64 {
                let raw = if round < 130 { round } else { random() >> (random() % 64) };
                let divisor = Const::int(ty, if round % 2 == 1 { -(raw as i128) } else { raw as i128 });
                let d = divisor.as_i128();
                let Some(div) = by_constant(BinOp::Div, divisor) else { continue };
                let rem = by_constant(BinOp::Rem, divisor).expect("as for the quotient");
                covered += 1;
                let (low, high) = crate::ir_eval::range(ty);
                let k = random() as i128 % 1000;
                let edges = [
                    0,
                    1,
                    -1,
                    low,
                    low + 1,
                    high,
                    high - 1,
                    d,
                    -d,
                    d - 1,
                    k * d,
                    k * d - 1,
                    k * d + 1,
                    high / d * d,
                    high / d * d - 1,
                ];
                let more: Vec<i128> = (0..60)
                    .map(|_| Const::int(ty, (random() >> (random() % 64)) as i128).as_i128())
                    .collect();
                for a in edges.into_iter().chain(more).filter(|a| (low..=high).contains(a)) {
                    assert_eq!(execute(&div, a, ty), a / d, "{a} / {d} as {ty:?}: {div}");
                    assert_eq!(execute(&rem, a, ty), a % d, "{a} % {d} as {ty:?}: {rem}");
                }
            }
            assert!(covered > 30, "{ty:?}: {covered}");
        }
    }
}
