//! The table: which instructions each operation is.
//!
//! A template names its destination `{d}` and its operands `{a}`, `{b}`, `{c}`; no template writes `{d}` before it has read every operand
//! for the last time, but where `{d}` is read back at once. `%w`, `%l`, `%q0` are scratch registers. Source: PTX ISA, "Instruction Set".

use crate::ir::{BinOp, CmpOp, Const, MathFn, OverflowOp, Scalar, UnOp};

/// The class of register a scalar lives in.
pub(super) fn class(ty: Scalar) -> &'static str {
    match ty {
        Scalar::Bool => "pred",
        ty if ty.bits() == 64 => "b64",
        _ => "b32",
    }
}

/// The type suffix of arithmetic on a scalar's register.
pub(super) fn suffix(ty: Scalar) -> &'static str {
    match ty {
        Scalar::Bool => "pred",
        Scalar::I8 | Scalar::I16 | Scalar::I32 => "s32",
        Scalar::U8 | Scalar::U16 | Scalar::U32 => "u32",
        Scalar::I64 => "s64",
        Scalar::U64 => "u64",
        Scalar::F32 => "f32",
        Scalar::F64 => "f64",
    }
}

/// The type suffix of a load or store.
pub(super) fn memory_suffix(ty: Scalar) -> &'static str {
    match ty {
        Scalar::Bool | Scalar::U8 => "u8",
        Scalar::I8 => "s8",
        Scalar::I16 => "s16",
        Scalar::U16 => "u16",
        ty => suffix(ty),
    }
}

/// A constant as an operand (not a `bool`: predicates have no immediates).
pub(super) fn constant(c: Const) -> String {
    match c.ty {
        Scalar::F32 => format!("0f{:08X}", c.bits as u32),
        Scalar::F64 => format!("0d{:016X}", c.bits),
        _ => c.as_i128().to_string(),
    }
}

/// Puts `{t}` (type suffix), `{u}` (untyped class), `{m}` (mask of an 8- or 16-bit type) and `{w}` (width) into a template.
fn typed(template: &str, ty: Scalar) -> String {
    let mask = if ty.bits() < 64 { (1u64 << ty.bits()) - 1 } else { u64::MAX };
    template
        .replace("{t}", suffix(ty))
        .replace("{u}", class(ty))
        .replace("{m}", &mask.to_string())
        .replace("{w}", &ty.bits().to_string())
}

/// Brings a register back into the range of its 8- or 16-bit type, after `template`.
fn normalised(template: &str, ty: Scalar) -> String {
    format!("{}{}", typed(template, ty), normalise(ty))
}

/// The instruction that does so for `{d}`; nothing for the wider types.
pub(super) fn normalise(ty: Scalar) -> &'static str {
    match ty {
        Scalar::I8 => "cvt.s32.s8 {d}, {d};",
        Scalar::U8 => "and.b32 {d}, {d}, 255;",
        Scalar::I16 => "cvt.s32.s16 {d}, {d};",
        Scalar::U16 => "and.b32 {d}, {d}, 65535;",
        _ => "",
    }
}

/// `mov`, which also takes a `bool` constant.
pub(super) fn copy(ty: Scalar) -> String {
    match ty {
        Scalar::F32 | Scalar::F64 => typed("mov.{t} {d}, {a};", ty),
        _ => typed("mov.{u} {d}, {a};", ty),
    }
}

pub(super) fn unary(op: UnOp, ty: Scalar) -> String {
    match (op, ty) {
        // neg.f32 of a NaN is unspecified; Rust flips the sign.
        (UnOp::Neg, Scalar::F32) => "mov.f32 {d}, {a};xor.b32 {d}, {d}, 0x80000000;".into(),
        (UnOp::Neg, Scalar::F64) => "mov.f64 {d}, {a};xor.b64 {d}, {d}, 0x8000000000000000;".into(),
        (UnOp::Neg, _) if ty.bits() == 64 => "neg.s64 {d}, {a};".into(),
        (UnOp::Neg, _) => normalised("neg.s32 {d}, {a};", ty),
        (UnOp::Not, _) => normalised("not.{u} {d}, {a};", ty),
    }
}

/// Float `Rem` is not here: [`super::fmod`] has it.
pub(super) fn binary(op: BinOp, ty: Scalar) -> String {
    let float = ty.is_float();
    let template = match op {
        BinOp::Add if float => "add.rn.{t} {d}, {a}, {b};",
        BinOp::Sub if float => "sub.rn.{t} {d}, {a}, {b};",
        BinOp::Mul if float => "mul.rn.{t} {d}, {a}, {b};",
        BinOp::Div if float => "div.rn.{t} {d}, {a}, {b};",
        BinOp::Add => "add.{t} {d}, {a}, {b};",
        BinOp::Sub => "sub.{t} {d}, {a}, {b};",
        BinOp::Mul => "mul.lo.{t} {d}, {a}, {b};",
        // Of values in range, the results of these are in range.
        BinOp::Div => return typed("div.{t} {d}, {a}, {b};", ty),
        BinOp::Rem => return typed("rem.{t} {d}, {a}, {b};", ty),
        BinOp::And => return typed("and.{u} {d}, {a}, {b};", ty),
        BinOp::Or => return typed("or.{u} {d}, {a}, {b};", ty),
        BinOp::Xor => return typed("xor.{u} {d}, {a}, {b};", ty),
        BinOp::Shr => return typed("shr.{t} {d}, {a}, {b};", ty),
        BinOp::Shl => "shl.{u} {d}, {a}, {b};",
    };
    normalised(template, ty)
}

/// The comparison, or its opposite: for floats the opposite is true when an operand is a NaN.
pub(super) fn compare(op: CmpOp, ty: Scalar, opposite: bool) -> String {
    use CmpOp::*;
    let float = ty.is_float();
    let name = match (op, opposite) {
        (Eq, false) => "eq",
        (Ne, true) => "eq",
        (Ne, false) | (Eq, true) if float => "neu",
        (Ne, false) | (Eq, true) => "ne",
        (Lt, false) => "lt",
        (Le, false) => "le",
        (Gt, false) => "gt",
        (Ge, false) => "ge",
        (Ge, true) if float => "ltu",
        (Gt, true) if float => "leu",
        (Le, true) if float => "gtu",
        (Lt, true) if float => "geu",
        (Ge, true) => "lt",
        (Gt, true) => "le",
        (Le, true) => "gt",
        (Lt, true) => "ge",
    };
    if ty == Scalar::Bool {
        // Predicates cannot be compared.
        return format!(
            "selp.u32 %w0, 1, 0, {{a}};selp.u32 %w1, 1, 0, {{b}};setp.{name}.u32 {{d}}, %w0, %w1;"
        );
    }
    format!("setp.{name}.{} {{d}}, {{a}}, {{b}};", suffix(ty))
}

pub(super) fn overflows(op: OverflowOp, ty: Scalar) -> String {
    use OverflowOp::*;
    let (signed, narrow) = (ty.is_signed(), ty.bits() < 32);
    if narrow {
        // 32 bits hold every exact result (65535 × 65535 as an unsigned number); does it fit?
        let exact = match op {
            Add => "add.{t} %w0, {a}, {b};",
            Sub => "sub.{t} %w0, {a}, {b};",
            Mul => "mul.lo.{t} %w0, {a}, {b};",
        };
        let test = match (signed, ty.bits()) {
            (true, 8) => "cvt.s32.s8 %w1, %w0;setp.ne.s32 {d}, %w0, %w1;",
            (true, _) => "cvt.s32.s16 %w1, %w0;setp.ne.s32 {d}, %w0, %w1;",
            (false, _) => "setp.gt.u32 {d}, %w0, {m};",
        };
        return typed(&format!("{exact}{test}"), ty);
    }
    // `%s` is the scratch of the width.
    let template = match (op, signed) {
        (Add, false) => "add.{t} %s0, {a}, {b};setp.lt.{t} {d}, %s0, {a};",
        (Sub, false) => "setp.lt.{t} {d}, {a}, {b};",
        (Mul, false) => "mul.hi.{t} %s0, {a}, {b};setp.ne.{t} {d}, %s0, 0;",
        // The sum's sign differs from both operands'.
        (Add, true) => {
            "add.{t} %s0, {a}, {b};xor.{u} %s1, %s0, {a};xor.{u} %s2, %s0, {b};and.{u} %s1, %s1, %s2;setp.lt.{t} {d}, %s1, 0;"
        }
        // The operands' signs differ, and the difference's from the first's.
        (Sub, true) => {
            "sub.{t} %s0, {a}, {b};xor.{u} %s1, {a}, {b};xor.{u} %s2, %s0, {a};and.{u} %s1, %s1, %s2;setp.lt.{t} {d}, %s1, 0;"
        }
        // The high half is not the low half's sign.
        (Mul, true) if ty.bits() == 32 => {
            "mul.wide.s32 %l0, {a}, {b};cvt.s64.s32 %l1, %l0;setp.ne.s64 {d}, %l0, %l1;"
        }
        (Mul, true) => {
            "mul.lo.s64 %l0, {a}, {b};mul.hi.s64 %l1, {a}, {b};shr.s64 %l0, %l0, 63;setp.ne.s64 {d}, %l0, %l1;"
        }
    };
    typed(&template.replace("%s", if ty.bits() == 64 { "%l" } else { "%w" }), ty)
}

pub(super) fn mul_high(ty: Scalar) -> String {
    let wide = ty.bits() >= 32;
    typed(
        if wide { "mul.hi.{t} {d}, {a}, {b};" } else { "mul.lo.{t} {d}, {a}, {b};shr.{t} {d}, {d}, {w};" },
        ty,
    )
}

pub(super) fn cast(from: Scalar, to: Scalar) -> String {
    use Scalar::*;
    let d64 = to.bits() == 64;
    match (from, to) {
        (from, to) if from == to => copy(to),
        (Bool, F32) => "selp.f32 {d}, 0f3F800000, 0f00000000, {a};".into(),
        (Bool, F64) => "selp.f64 {d}, 0d3FF0000000000000, 0d0000000000000000, {a};".into(),
        (Bool, _) => typed("selp.{u} {d}, 1, 0, {a};", to),
        (F32 | F64, Bool) => {
            format!("setp.neu.{} {{d}}, {{a}}, {};", suffix(from), constant(Const { ty: from, bits: 0 }))
        }
        (_, Bool) => typed("setp.ne.{t} {d}, {a}, 0;", from),
        (F32, F64) => "cvt.f64.f32 {d}, {a};".into(),
        (F64, F32) => "cvt.rn.f32.f64 {d}, {a};".into(),
        (F32 | F64, _) => {
            // cvt.rzi saturates. A NaN becomes 0 by itself only from f32 to 32 bits.
            let mut text = format!("cvt.rzi.{}.{} {{d}}, {{a}};", suffix(to), suffix(from));
            text.push_str(match to {
                I8 => "max.s32 {d}, {d}, -128;min.s32 {d}, {d}, 127;",
                I16 => "max.s32 {d}, {d}, -32768;min.s32 {d}, {d}, 32767;",
                U8 => "min.u32 {d}, {d}, 255;",
                U16 => "min.u32 {d}, {d}, 65535;",
                _ => "",
            });
            if from == F64 || d64 {
                text += &format!(
                    "setp.nan.{} %q0, {{a}}, {{a}};selp.{} {{d}}, 0, {{d}}, %q0;",
                    suffix(from),
                    class(to)
                );
            }
            text
        }
        (_, F32 | F64) => format!("cvt.rn.{}.{} {{d}}, {{a}};", suffix(to), suffix(from)),
        _ => match (from.bits() == 64, d64) {
            (true, true) => "mov.b64 {d}, {a};".into(),
            (false, true) if from.is_signed() => "cvt.s64.s32 {d}, {a};".into(),
            (false, true) => "cvt.u64.u32 {d}, {a};".into(),
            (true, false) => format!("cvt.u32.u64 {{d}}, {{a}};{}", normalise(to)),
            (false, false) => {
                // Every value of `from` is one of `to`?
                let fits = if from.is_signed() == to.is_signed() {
                    from.bits() <= to.bits()
                } else {
                    from.bits() < to.bits()
                };
                let fits = fits && (to.is_signed() || !from.is_signed());
                format!("mov.b32 {{d}}, {{a}};{}", if fits { "" } else { normalise(to) })
            }
        },
    }
}

/// The same bits; 8- and 16-bit integers may have to be extended the other way.
pub(super) fn bitcast(from: Scalar, to: Scalar) -> String {
    match (from.is_float(), to.is_float()) {
        (true, _) => copy(from),
        (_, true) => typed("mov.{u} {d}, {a};", to),
        _ => cast(from, to),
    }
}

pub(super) fn select(ty: Scalar) -> String {
    match ty {
        // `{a}` is the condition. selp has no predicate form.
        Scalar::Bool => "selp.u32 %w0, 1, 0, {b};selp.u32 %w1, 1, 0, {c};selp.u32 %w0, %w0, %w1, {a};setp.ne.u32 {d}, %w0, 0;".into(),
        Scalar::F32 | Scalar::F64 => typed("selp.{t} {d}, {b}, {c}, {a};", ty),
        _ => typed("selp.{u} {d}, {b}, {c}, {a};", ty),
    }
}

pub(super) fn math(f: MathFn, ty: Scalar) -> String {
    use MathFn::*;
    let bits = ty.bits();
    let narrow = bits < 32;
    let template = match f {
        CountOnes if narrow => "and.b32 %w0, {a}, {m};popc.b32 {d}, %w0;",
        CountOnes => "popc.{u} {d}, {a};",
        LeadingZeros if narrow => {
            return typed("and.b32 %w0, {a}, {m};clz.b32 {d}, %w0;sub.u32 {d}, {d}, {x};", ty)
                .replace("{x}", &(32 - bits).to_string());
        }
        LeadingZeros => "clz.{u} {d}, {a};",
        // A bit set just above the value stops the count at the width.
        TrailingZeros if narrow => {
            return typed("or.b32 %w0, {a}, {x};brev.b32 %w0, %w0;clz.b32 {d}, %w0;", ty)
                .replace("{x}", &(1u32 << bits).to_string());
        }
        TrailingZeros if bits == 32 => "brev.b32 %w0, {a};clz.b32 {d}, %w0;",
        TrailingZeros => "brev.b64 %l0, {a};clz.b64 {d}, %l0;",
        // The shift drops the garbage and extends.
        ReverseBits if narrow => {
            return typed("brev.b32 {d}, {a};shr.{t} {d}, {d}, {x};", ty)
                .replace("{x}", &(32 - bits).to_string());
        }
        ReverseBits => "brev.{u} {d}, {a};",
        SwapBytes if bits == 8 => "mov.b32 {d}, {a};",
        SwapBytes if bits == 16 => return normalised("prmt.b32 {d}, {a}, 0, 0x4401;", ty),
        SwapBytes if bits == 32 => "prmt.b32 {d}, {a}, 0, 0x0123;",
        SwapBytes => {
            "mov.b64 %l0, {a};mov.b64 {%w0, %w1}, %l0;prmt.b32 %w0, %w0, 0, 0x0123;prmt.b32 %w1, %w1, 0, 0x0123;mov.b64 {d}, {%w1, %w0};"
        }
        RotateLeft | RotateRight if bits == 32 => {
            if f == RotateLeft {
                "shf.l.wrap.b32 {d}, {a}, {a}, {b};"
            } else {
                "shf.r.wrap.b32 {d}, {a}, {a}, {b};"
            }
        }
        // A shift by the whole width gives 0 in PTX, so an amount of 0 needs no care.
        RotateLeft | RotateRight if narrow => {
            let (there, back) = if f == RotateLeft { ("shl", "shr") } else { ("shr", "shl") };
            let text = format!(
                "and.b32 %w0, {{a}}, {{m}};{there}.b32 %w1, %w0, {{b}};sub.u32 %w2, {{w}}, {{b}};{back}.b32 %w0, %w0, %w2;or.b32 {{d}}, %w0, %w1;"
            );
            return normalised(&text.replace("shr.b32", "shr.u32"), ty);
        }
        RotateLeft => {
            "shl.b64 %l0, {a}, {b};sub.u32 %w0, 64, {b};shr.u64 %l1, {a}, %w0;or.b64 {d}, %l0, %l1;"
        }
        RotateRight => {
            "shr.u64 %l0, {a}, {b};sub.u32 %w0, 64, {b};shl.b64 %l1, {a}, %w0;or.b64 {d}, %l0, %l1;"
        }
        // Of two numbers; the other operand if one is a NaN, for floats.
        Min | MinNum => "min.{t} {d}, {a}, {b};",
        Max | MaxNum => "max.{t} {d}, {a}, {b};",
        // abs.f32 of a NaN is unspecified; Rust clears the sign.
        FloatAbs if bits == 32 => "mov.f32 {d}, {a};and.b32 {d}, {d}, 0x7fffffff;",
        FloatAbs => "mov.f64 {d}, {a};and.b64 {d}, {d}, 0x7fffffffffffffff;",
        Sqrt => "sqrt.rn.{t} {d}, {a};",
        Floor => "cvt.rmi.{t}.{t} {d}, {a};",
        Ceil => "cvt.rpi.{t}.{t} {d}, {a};",
        Trunc => "cvt.rzi.{t}.{t} {d}, {a};",
        RoundTiesEven => "cvt.rni.{t}.{t} {d}, {a};",
        // trunc(a), and one more away from zero if what it dropped is at least a half. The difference is exact.
        Round if bits == 32 => {
            "cvt.rzi.f32.f32 {d}, {a};sub.rn.f32 %w0, {a}, {d};abs.f32 %w0, %w0;setp.ge.f32 %q0, %w0, 0f3F000000;copysign.f32 %w1, {a}, 0f3F800000;add.rn.f32 %w1, {d}, %w1;selp.f32 {d}, %w1, {d}, %q0;"
        }
        Round => {
            "cvt.rzi.f64.f64 {d}, {a};sub.rn.f64 %l0, {a}, {d};abs.f64 %l0, %l0;setp.ge.f64 %q0, %l0, 0d3FE0000000000000;copysign.f64 %l1, {a}, 0d3FF0000000000000;add.rn.f64 %l1, {d}, %l1;selp.f64 {d}, %l1, {d}, %q0;"
        }
        // The instruction takes the sign from its first operand.
        CopySign => "copysign.{t} {d}, {b}, {a};",
        MulAdd => "fma.rn.{t} {d}, {a}, {b}, {c};",
    };
    typed(template, ty)
}
