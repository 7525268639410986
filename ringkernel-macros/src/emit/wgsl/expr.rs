//! The table: which expression each operation is. `{a}`, `{b}`, `{c}` are the operands.

use super::{Writer, type_name};
use crate::ir::{BinOp, CmpOp, Const, Expr, MathFn, Operand, OverflowOp, Reg, Scalar, UnOp};
use crate::ir_visit;
use Scalar::*;

/// A constant. What has no literal (infinities, NaNs, subnormals, -0) goes through a function's parameter: as a constant expression, it
/// would be an error or the compiler's choice.
fn constant(c: Const) -> String {
    match c.ty {
        Bool => (c.bits != 0).to_string(),
        I8 | I16 | I32 => match c.as_i128() {
            value if value == i32::MIN as i128 => format!("i32({value})"),
            value => format!("{value}i"),
        },
        U8 | U16 | U32 => format!("{}u", c.bits),
        I64 => match c.as_i128() {
            value if value == i64::MIN as i128 => format!("({}li - 1li)", value + 1),
            value => format!("{value}li"),
        },
        U64 => format!("{}lu", c.bits),
        F32 => {
            let value = f32::from_bits(c.bits as u32);
            let plain = value.is_normal() || c.bits == 0;
            if plain { format!("{value:?}f") } else { format!("rk_f32(0x{:08x}u)", c.bits) }
        }
        F64 => {
            let value = f64::from_bits(c.bits);
            let plain = value.is_normal() || c.bits == 0;
            if plain {
                format!("{value:?}lf")
            } else {
                format!("rk_f64(0x{:x}u, 0x{:x}u)", c.bits as u32, c.bits >> 32)
            }
        }
    }
}

/// Brings an expression back into the range of its 8- or 16-bit type.
fn normalised(expr: &str, ty: Scalar) -> String {
    match ty {
        I8 | I16 => format!("extractBits({expr}, 0u, {}u)", ty.bits()),
        U8 => format!("(({expr}) & 0xffu)"),
        U16 => format!("(({expr}) & 0xffffu)"),
        _ => format!("({expr})"),
    }
}

fn unary(op: UnOp, ty: Scalar) -> String {
    match (op, ty) {
        (UnOp::Not, Bool) => "!{a}".into(),
        (UnOp::Not, _) => normalised("~{a}", ty),
        (UnOp::Neg, F32 | F64) => "-{a}".into(),
        // Unsigned types have no negation.
        (UnOp::Neg, U64) => "(0lu - {a})".into(),
        (UnOp::Neg, _) if !ty.is_signed() => normalised("0u - {a}", ty),
        (UnOp::Neg, I64) => "(0li - {a})".into(),
        (UnOp::Neg, _) => normalised("0i - {a}", ty),
    }
}

fn binary(op: BinOp, ty: Scalar) -> String {
    let infix = |symbol: &str| format!("{{a}} {symbol} {{b}}");
    match op {
        BinOp::Rem if ty.is_float() => format!("rk_fmod_{}({{a}}, {{b}})", ty.name()),
        BinOp::Add => normalised(&infix("+"), ty),
        BinOp::Sub => normalised(&infix("-"), ty),
        BinOp::Mul => normalised(&infix("*"), ty),
        BinOp::Shl => normalised(&infix("<<"), ty),
        BinOp::Div => format!("({})", infix("/")),
        BinOp::Rem => format!("({})", infix("%")),
        BinOp::And => format!("({})", infix("&")),
        BinOp::Or => format!("({})", infix("|")),
        BinOp::Xor if ty == Bool => format!("({})", infix("!=")),
        BinOp::Xor => format!("({})", infix("^")),
        BinOp::Shr => format!("({})", infix(">>")),
    }
}

fn compare(op: CmpOp, ty: Scalar, same: bool) -> String {
    let (eq, float) = (matches!(op, CmpOp::Eq), ty.is_float());
    if float && same {
        // A test for NaN, most likely. Compilers that assume there are none would fold the comparison away.
        let nan = format!("rk_is_nan_{}({{a}})", ty.name());
        return match op {
            CmpOp::Ne => nan,
            CmpOp::Eq | CmpOp::Le | CmpOp::Ge => format!("!{nan}"),
            CmpOp::Lt | CmpOp::Gt => "false".into(),
        };
    }
    match op {
        CmpOp::Eq | CmpOp::Ne if !float => format!("({{a}} {} {{b}})", if eq { "==" } else { "!=" }),
        CmpOp::Eq => "({a} == {b})".into(),
        // `!=` is false with a NaN in some translations.
        CmpOp::Ne => "!({a} == {b})".into(),
        CmpOp::Lt | CmpOp::Le | CmpOp::Gt | CmpOp::Ge => {
            let symbol = match op {
                CmpOp::Lt => "<",
                CmpOp::Le => "<=",
                CmpOp::Gt => ">",
                _ => ">=",
            };
            if ty == Bool {
                format!("(u32({{a}}) {symbol} u32({{b}}))")
            } else {
                format!("({{a}} {symbol} {{b}})")
            }
        }
    }
}

fn overflows(op: OverflowOp, ty: Scalar) -> String {
    use OverflowOp::*;
    let t = type_name(ty);
    if ty.bits() < 32 {
        // 32 bits hold every exact result (65535 × 65535 as an unsigned number); does it fit?
        let symbol = match op {
            Add => "+",
            Sub => "-",
            Mul => "*",
        };
        let exact = format!("{{a}} {symbol} {{b}}");
        let fits = normalised(&exact, ty);
        return format!("(({exact}) != {fits})");
    }
    match (op, ty.is_signed()) {
        (Add, false) => "({a} + {b} < {a})".into(),
        (Sub, false) => "({a} < {b})".into(),
        (Mul, false) => format!("(rk_mul_high_{t}({{a}}, {{b}}) != {})", constant(Const { ty, bits: 0 })),
        (Add, true) => format!("rk_add_overflows_{t}({{a}}, {{b}})"),
        (Sub, true) => format!("rk_sub_overflows_{t}({{a}}, {{b}})"),
        (Mul, true) => format!("rk_mul_overflows_{t}({{a}}, {{b}})"),
    }
}

fn mul_high(ty: Scalar) -> String {
    match ty.bits() {
        8 => "(({a} * {b}) >> 8u)".into(),
        16 => "(({a} * {b}) >> 16u)".into(),
        _ => format!("rk_mul_high_{}({{a}}, {{b}})", type_name(ty)),
    }
}

/// `a`, an integer in the register type of `from`, in the register type of `to`, bits kept or cut off, extended by the sign of `from`.
fn resized(a: &str, from: Scalar, to: Scalar) -> String {
    let (f, t) = (type_name(from), type_name(to));
    if f == t {
        return a.to_string();
    }
    // Width first, then sign: a conversion that changes both is read differently here and there.
    let (width, sign) = ((from.bits() == 64) != (to.bits() == 64), from.is_signed() != to.is_signed());
    let middle = match (to.bits() == 64, from.is_signed()) {
        (true, true) => "i64",
        (true, false) => "u64",
        (false, true) => "i32",
        (false, false) => "u32",
    };
    let cut = match (from.bits() == 64 && width, from.is_signed()) {
        // Out-of-range values keep their low 32 bits by being put together from them.
        (true, true) => "bitcast<i32>(rk_low(bitcast<u64>({})))".replace("{}", a),
        (true, false) => format!("rk_low({a})"),
        (false, true) if width => format!("rk_widen({a})"),
        (false, false) if width => format!("{middle}({a})"),
        (false, _) => a.to_string(),
    };
    if sign { format!("bitcast<{t}>({cut})") } else { cut }
}

fn cast(from: Scalar, to: Scalar) -> String {
    match (from, to) {
        (from, to) if from == to => "{a}".into(),
        (Bool, _) => {
            let one = match to {
                F32 => 1f32.to_bits() as u64,
                F64 => 1f64.to_bits(),
                _ => 1,
            };
            let [no, yes] = [0, one].map(|bits| constant(Const { ty: to, bits }));
            format!("select({no}, {yes}, {{a}})")
        }
        (_, Bool) => format!("!({{a}} == {})", constant(Const { ty: from, bits: 0 })),
        (F32 | F64, F32 | F64) => format!("{}({{a}})", type_name(to)),
        (F32 | F64, _) => {
            let whole = format!("rk_{}_to_{}({{a}})", from.name(), type_name(to));
            match to {
                I8 => format!("clamp({whole}, -128i, 127i)"),
                I16 => format!("clamp({whole}, -32768i, 32767i)"),
                U8 => format!("min({whole}, 255u)"),
                U16 => format!("min({whole}, 65535u)"),
                _ => whole,
            }
        }
        (_, F32 | F64) => format!("{}({{a}})", type_name(to)),
        _ => {
            let fits = from.bits() <= to.bits() && from.is_signed() == to.is_signed()
                || from.bits() < to.bits() && !from.is_signed();
            let bits = resized("{a}", from, to);
            if fits || to.bits() >= 32 { bits } else { normalised(&bits, to) }
        }
    }
}

fn bitcast(from: Scalar, to: Scalar) -> String {
    let float = from.is_float() || to.is_float();
    if float && from != to { format!("bitcast<{}>({{a}})", type_name(to)) } else { cast(from, to) }
}

fn math(f: MathFn, ty: Scalar) -> String {
    use MathFn::*;
    let bits = ty.bits();
    let (t, wide) = (type_name(ty), bits == 64);
    // The integer as unsigned bits, zero-extended.
    let unsigned = match ty {
        I64 => "bitcast<u64>({a})".to_string(),
        I32 => "bitcast<u32>({a})".to_string(),
        I16 => "(bitcast<u32>({a}) & 0xffffu)".to_string(),
        I8 => "(bitcast<u32>({a}) & 0xffu)".to_string(),
        _ => "{a}".to_string(),
    };
    // And back, from bits of which the low ones count.
    let back = |expr: String| match ty {
        I64 => format!("bitcast<i64>({expr})"),
        I32 => format!("bitcast<i32>({expr})"),
        I16 | I8 => normalised(&format!("bitcast<i32>({expr})"), ty),
        ty => normalised(&expr, ty),
    };
    match f {
        CountOnes if wide => format!("rk_count_ones({unsigned})"),
        CountOnes => format!("countOneBits({unsigned})"),
        LeadingZeros if wide => format!("rk_leading_zeros({unsigned})"),
        LeadingZeros if bits == 32 => format!("countLeadingZeros({unsigned})"),
        LeadingZeros => format!("(countLeadingZeros({unsigned}) - {}u)", 32 - bits),
        TrailingZeros if wide => format!("rk_trailing_zeros({unsigned})"),
        TrailingZeros if bits == 32 => format!("countTrailingZeros({unsigned})"),
        TrailingZeros => format!("countTrailingZeros({unsigned} | {}u)", 1u32 << bits),
        ReverseBits if wide => back(format!("rk_reverse_bits({unsigned})")),
        ReverseBits if bits == 32 => back(format!("reverseBits({unsigned})")),
        ReverseBits => back(format!("(reverseBits({unsigned}) >> {}u)", 32 - bits)),
        SwapBytes if wide => back(format!("rk_swap_bytes_u64({unsigned})")),
        SwapBytes if bits == 32 => back(format!("rk_swap_bytes({unsigned})")),
        SwapBytes if bits == 16 => back(format!("(rk_swap_bytes({unsigned}) >> 16u)")),
        SwapBytes => "{a}".into(),
        RotateLeft | RotateRight => {
            let (there, other) = if f == RotateLeft { ("<<", ">>") } else { (">>", "<<") };
            // An amount of 0 may not become a shift by the width; below 32 bits, that one is harmless.
            let rest = if bits < 32 {
                format!("{bits}u - {{b}}")
            } else {
                format!("({bits}u - {{b}}) & {}u", bits - 1)
            };
            back(format!("({unsigned} {there} {{b}}) | ({unsigned} {other} ({rest}))"))
        }
        Min if wide => "select({a}, {b}, {b} < {a})".into(),
        Max if wide => "select({a}, {b}, {b} > {a})".into(),
        Min => "min({a}, {b})".into(),
        Max => "max({a}, {b})".into(),
        MinNum => format!("rk_min_{t}({{a}}, {{b}})"),
        MaxNum => format!("rk_max_{t}({{a}}, {{b}})"),
        FloatAbs => "abs({a})".into(),
        Sqrt => "sqrt({a})".into(),
        Floor => "floor({a})".into(),
        Ceil => "ceil({a})".into(),
        Trunc => "trunc({a})".into(),
        RoundTiesEven => "round({a})".into(),
        Round => format!("rk_round_{t}({{a}})"),
        CopySign => format!("rk_copysign_{t}({{a}}, {{b}})"),
        MulAdd => "fma({a}, {b}, {c})".into(),
    }
}

impl Writer<'_> {
    pub(super) fn operand(&mut self, operand: Operand) -> String {
        match operand {
            Operand::Const(c) => constant(c),
            Operand::Reg(reg) => self.reg(reg),
        }
    }

    pub(super) fn define(&mut self, reg: Reg, expr: &Expr) {
        let ty = self.body.regs[reg.0 as usize].ty;
        let of = |operand: &Operand| self.body.type_of(*operand);
        let template = match expr {
            Expr::Copy(_) => "{a}".into(),
            Expr::Read(var) => self.var(*var),
            Expr::Load(place) => self.load(reg, place),
            Expr::Instance => "instance".into(),
            Expr::MessageWords => "rk_message_words".into(),
            Expr::HasSender => "(rk_sender().y != 0u)".into(),
            Expr::SenderInstance => "rk_sender().x".into(),
            Expr::SentAt => "rk_clock(3u, 0lu)".into(),
            Expr::Unary(op, _) => unary(*op, ty),
            Expr::Binary(op, ..) => binary(*op, ty),
            Expr::Compare(op, a, b) => compare(*op, of(a), a == b),
            Expr::Overflows(op, a, _) => overflows(*op, of(a)),
            Expr::MulHigh(..) => mul_high(ty),
            Expr::Cast(a) => cast(of(a), ty),
            Expr::Bitcast(a) => bitcast(of(a), ty),
            Expr::Select { .. } => "select({c}, {b}, {a})".into(),
            Expr::Math(f, operands) => math(*f, of(&operands[0])),
        };
        let name = self.reg(reg);
        if matches!(expr, Expr::Load(_) | Expr::Read(_)) {
            return self.line(format!("let {name} = {template};"));
        }
        let mut operands = Vec::new();
        ir_visit::expr_operands_mut(&mut expr.clone(), &mut |operand| operands.push(*operand));
        self.unreachable_divisor(expr, &mut operands);
        let constant = operands.iter().all(|operand| matches!(operand, Operand::Const(_)));
        let mut text = template;
        for (i, (slot, operand)) in ["{a}", "{b}", "{c}"].into_iter().zip(&operands).enumerate() {
            let mut operand = self.operand(*operand);
            if i == 0 && constant && !matches!(expr, Expr::Copy(_)) {
                // An operation on constants alone would be a constant expression, in which an overflow is an error.
                let name = self.fresh("constant");
                self.line(format!("var {name} = {operand};"));
                operand = name;
            }
            text = text.replace(slot, &operand);
        }
        self.line(format!("let {name} = {text};"));
    }

    /// A constant divisor of 0 or a constant shift beyond the width follows a check that always fails, so it is never reached;
    /// but WGSL refuses it wherever it stands.
    fn unreachable_divisor(&self, expr: &Expr, operands: &mut [Operand]) {
        if let (Expr::Binary(op, a, _), [_, Operand::Const(c)]) = (expr, operands) {
            let ty = self.body.type_of(*a);
            match op {
                BinOp::Div | BinOp::Rem if ty.is_int() && c.bits == 0 => c.bits = 1,
                BinOp::Shl | BinOp::Shr if c.bits >= ty.bits() as u64 => c.bits = 0,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_literals_or_bits() {
        let of = |ty, bits| constant(Const { ty, bits });
        assert_eq!(of(I8, 0xff), "-1i");
        assert_eq!(of(I32, 0x8000_0000), "i32(-2147483648)");
        assert_eq!(of(I64, 1 << 63), "(-9223372036854775807li - 1li)");
        assert_eq!(of(U64, u64::MAX), "18446744073709551615lu");
        assert_eq!(of(F32, 1e-7f32.to_bits() as u64), "1e-7f");
        assert_eq!(of(F32, f32::NAN.to_bits() as u64), "rk_f32(0x7fc00000u)");
        assert_eq!(of(F64, 1.5f64.to_bits()), "1.5lf");
        assert_eq!(of(F64, f64::INFINITY.to_bits()), "rk_f64(0x0u, 0x7ff00000u)");
    }
}
