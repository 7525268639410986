//! Memory: every root is an array of 32-bit words, and a place is some bits of one word, or two words.

use super::{Writer, names};
use crate::ir::{Operand, Place, Reg, Root, Scalar};

/// Where a scalar's bits are.
struct Spot {
    /// The array.
    array: String,
    /// Index of its (first) word.
    word: String,
    /// Index of its second word, if it is 64 bits wide.
    next: String,
    /// The lowest bit, for scalars of 8 and 16 bits.
    shift: String,
}

impl Writer<'_> {
    fn spot(&mut self, place: &Place, ty: Scalar) -> Spot {
        let (array, base) = match place.root {
            Root::State => ("rk_state".to_string(), "state + "),
            // Of variable size, it may be too large for memory of the invocation's own.
            Root::Message if self.in_place => ("rk_in".to_string(), ""),
            Root::Message => ("rk_message".to_string(), ""),
            Root::Reply => ("rk_reply".to_string(), ""),
            Root::Local(local) => (names::local(self.body, local), ""),
        };
        let mut offset = place.offset;
        let mut terms = Vec::new();
        for (operand, stride) in &place.index {
            match operand {
                Operand::Const(c) => offset = offset.wrapping_add((c.bits as u32).wrapping_mul(*stride)),
                Operand::Reg(reg) => {
                    let index = self.reg(*reg);
                    let wide = self.body.type_of(*operand).bits() == 64;
                    terms.push((if wide { format!("u32({index})") } else { index }, *stride));
                }
            }
        }
        let sum = |terms: &[(String, u32)], offset: u32, unit: u32| {
            let mut parts: Vec<String> =
                terms
                    .iter()
                    .map(|(index, stride)| {
                        if stride / unit == 1 {
                            index.clone()
                        } else {
                            format!("{index} * {}u", stride / unit)
                        }
                    })
                    .collect();
            if offset != 0 || parts.is_empty() {
                parts.push(format!("{}u", offset / unit));
            }
            parts.join(" + ")
        };
        if terms.is_empty() {
            let at = |word: u32| match (base, word) {
                ("", word) => word.to_string(),
                (_, 0) => "state".into(),
                (base, word) => format!("{base}{word}u"),
            };
            let (word, next) = (at(offset / 4), at(offset / 4 + 1));
            return Spot { array, word, next, shift: format!("{}u", offset % 4 * 8) };
        }
        let whole = ty.bits() >= 32
            && offset.is_multiple_of(4)
            && terms.iter().all(|(_, stride)| stride.is_multiple_of(4));
        let word = self.fresh("word");
        if whole {
            self.line(format!("let {word} = {base}{};", sum(&terms, offset, 4)));
            return Spot { array, next: format!("{word} + 1u"), word, shift: "0u".into() };
        }
        let byte = self.fresh("byte");
        self.line(format!("let {byte} = {};", sum(&terms, offset, 1)));
        self.line(format!("let {word} = {base}({byte} >> 2u);"));
        Spot { array, next: format!("{word} + 1u"), word, shift: format!("({byte} & 3u) * 8u") }
    }

    /// The expression that loads the scalar for `reg`.
    pub(super) fn load(&mut self, reg: Reg, place: &Place) -> String {
        let ty = self.body.regs[reg.0 as usize].ty;
        let Spot { array, word, next, shift } = self.spot(place, ty);
        let word_of = |word: &str| {
            if array == "rk_in" { format!("rk_in({word})") } else { format!("{array}[{word}]") }
        };
        let at = word_of(&word);
        let wide = format!("rk_u64({at}, {})", word_of(&next));
        match ty {
            Scalar::Bool => format!("(extractBits({at}, {shift}, 8u) != 0u)"),
            Scalar::U8 | Scalar::U16 => format!("extractBits({at}, {shift}, {}u)", ty.bits()),
            Scalar::I8 | Scalar::I16 => format!("extractBits(bitcast<i32>({at}), {shift}, {}u)", ty.bits()),
            Scalar::U32 => at,
            Scalar::I32 => format!("bitcast<i32>({at})"),
            Scalar::F32 => format!("bitcast<f32>({at})"),
            Scalar::U64 => wide,
            Scalar::I64 => format!("bitcast<i64>({wide})"),
            Scalar::F64 => format!("bitcast<f64>({wide})"),
        }
    }

    pub(super) fn store(&mut self, place: &Place, value: Operand) {
        let ty = self.body.type_of(value);
        let Spot { array, word, next, shift } = self.spot(place, ty);
        let at = format!("{array}[{word}]");
        if let Operand::Const(c) = value {
            // Its bits, as words.
            match ty.bits() {
                64 => {
                    self.line(format!("{at} = 0x{:x}u;", c.bits as u32));
                    self.line(format!("{array}[{next}] = 0x{:x}u;", (c.bits >> 32) as u32));
                }
                32 => self.line(format!("{at} = 0x{:x}u;", c.bits as u32)),
                bits => self.line(format!("{at} = insertBits({at}, {}u, {shift}, {bits}u);", c.bits)),
            }
            return;
        }
        let value = self.operand(value);
        let part = |bits: u32, value: &str| format!("{at} = insertBits({at}, {value}, {shift}, {bits}u);");
        match ty {
            Scalar::Bool => self.line(part(8, &format!("select(0u, 1u, {value})"))),
            Scalar::U8 | Scalar::U16 => self.line(part(ty.bits(), &value)),
            Scalar::I8 | Scalar::I16 => self.line(part(ty.bits(), &format!("bitcast<u32>({value})"))),
            Scalar::U32 => self.line(format!("{at} = {value};")),
            Scalar::I32 | Scalar::F32 => self.line(format!("{at} = bitcast<u32>({value});")),
            Scalar::U64 | Scalar::I64 | Scalar::F64 => {
                let bits = if ty == Scalar::U64 { value } else { format!("bitcast<u64>({value})") };
                self.line(format!("{at} = rk_low({bits});"));
                self.line(format!("{array}[{next}] = rk_high({bits});"));
            }
        }
    }
}
