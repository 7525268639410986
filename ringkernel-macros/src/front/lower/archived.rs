//! Archives: a message of variable size is validated as a whole before its handler runs, then read where it lies.
//!
//! Validation is rkyv's, to the letter, so that every device refuses what the CPU refuses: what a value refers to lies between what its
//! neighbours in front of it referred to and the value itself, aligned; `bool`s and tags of options are 0 or 1; text is UTF-8. So
//! nothing overlaps, nothing refers to itself, and the work is bounded by the message's length.
//!
//! A place in an archive begins at an offset that is known at run time only. It is kept as a count of the alignment's bytes, so that the
//! place is still seen to be aligned.

use super::value::{Target, Value};
use super::{Lower, Sites};
use crate::front::typed::env::Env;
use crate::front::typed::tree::{ArchivedOp, Expr, FnId};
use crate::front::types::{Arch, Prim, Ty};
use crate::ir::{self, BinOp, CmpOp, Operand, Place, Root, Scalar, SiteId, Stmt, Var};
use proc_macro2::Span;
use ringkernel_backends::abi::FaultKind;

/// Bytes of a string that lies in its own eight bytes.
const INLINE: u32 = 8;

/// A run of elements.
pub(super) struct Run {
    /// Where it begins: a byte offset in the message.
    base: Operand,
    /// How many elements, as an index.
    pub(super) len: Operand,
    element: Ty,
}

/// Bytes of the root of a handler's archive, if it takes one.
pub(crate) fn root_size(env: &mut Env<'_>, handler: usize) -> Option<u32> {
    let signature = env.signature(FnId::Handler(handler));
    let root = signature.params.iter().find_map(|ty| match ty {
        Ty::Ref(_, inner) if matches!(**inner, Ty::Archived(_)) => Some((**inner).clone()),
        _ => None,
    })?;
    let mut sites = Sites::default();
    Some(Lower::new(env, &mut sites, false, Scalar::U64).layout(&root).0)
}

impl Lower<'_, '_> {
    /// The message, of which nothing is believed yet: where its root is, once all of it has been validated.
    pub(super) fn archived_message(&mut self, ty: &Ty) -> Target {
        let (size, _) = self.layout(ty);
        let words = self.emit(Scalar::U32, ir::Expr::MessageWords);
        let (one, least) = (self.int(Scalar::U32, 1), self.int(Scalar::U32, i128::from(size / 4)));
        let odd = self.bin(BinOp::And, words, one);
        let none = self.int(Scalar::U32, 0);
        let odd = self.cmp(CmpOp::Ne, odd, none);
        let short = self.cmp(CmpOp::Lt, words, least);
        let wrong = self.bin(BinOp::Or, odd, short);
        self.malformed(wrong);
        let (four, size) = (self.int(Scalar::U32, 4), self.int(Scalar::U32, i128::from(size)));
        let bytes = self.bin(BinOp::Mul, words, four);
        let root = self.bin(BinOp::Sub, bytes, size);
        let root = self.convert(root, self.index);
        let place = self.based(root, 8);
        if self.can_be_wrong(ty) {
            let low = self.b.var(self.index, "low");
            let start = self.int(self.index, 0);
            self.set(low, start);
            self.validate(ty, &place, root, low);
        }
        Target::Memory(place)
    }

    /// The place that begins `base` bytes into the message, a multiple of `align`.
    fn based(&mut self, base: Operand, align: u32) -> Place {
        let shift = self.int(Scalar::U32, i128::from(align.trailing_zeros()));
        let count = if align == 1 { base } else { self.bin(BinOp::Shr, base, shift) };
        Place { root: Root::Message, offset: 0, index: vec![(count, align)] }
    }

    /// A place's byte offset.
    fn address(&mut self, place: &Place) -> Operand {
        let mut sum = self.int(self.index, i128::from(place.offset));
        for (count, stride) in &place.index {
            let stride = self.int(self.index, i128::from(*stride));
            let term = self.bin(BinOp::Mul, *count, stride);
            sum = self.bin(BinOp::Add, sum, term);
        }
        sum
    }

    fn load_at(&mut self, place: &Place, offset: u32, ty: Scalar) -> Operand {
        let place = Place { offset: place.offset + offset, ..place.clone() };
        self.emit(ty, ir::Expr::Load(place))
    }

    /// Faults if `failed`, as a message that cannot be read does: nowhere in the user's source.
    fn malformed(&mut self, failed: Operand) {
        let (kind, site) = (FaultKind::Malformed, SiteId::NONE);
        match failed {
            Operand::Const(c) if !c.is_true() => {}
            Operand::Const(_) => self.b.push(Stmt::Fault { kind, site }),
            Operand::Reg(_) => self.b.push(Stmt::Check { failed, kind, site }),
        }
    }

    /// Where a relative offset in `word` leads from a place; it wraps.
    fn far(&mut self, place: &Place, word: Operand) -> Operand {
        let from = self.address(place);
        let mut distance = word;
        if self.index == Scalar::U64 {
            let signed = self.bitcast(word, Scalar::I32);
            let wide = self.convert(signed, Scalar::I64);
            distance = self.bitcast(wide, Scalar::U64);
        }
        self.bin(BinOp::Add, from, distance)
    }

    /// The two words of a string, and whether its text lies elsewhere.
    fn string_words(&mut self, place: &Place) -> (Operand, Operand, Operand) {
        let (low, high) = (self.load_at(place, 0, Scalar::U32), self.load_at(place, 4, Scalar::U32));
        let (mask, mark) = (self.int(Scalar::U32, 0xc0), self.int(Scalar::U32, 0x80));
        let top = self.bin(BinOp::And, low, mask);
        let elsewhere = self.cmp(CmpOp::Eq, top, mark);
        (low, high, elsewhere)
    }

    /// The length of text that lies elsewhere: all but two bits of the word.
    fn far_length(&mut self, low: Operand) -> Operand {
        let (below, above) = (self.int(Scalar::U32, 0x3f), self.int(Scalar::U32, 0xffff_ff00));
        let two = self.int(Scalar::U32, 2);
        let (below, above) = (self.bin(BinOp::And, low, below), self.bin(BinOp::And, low, above));
        let above = self.bin(BinOp::Shr, above, two);
        self.bin(BinOp::Or, below, above)
    }

    /// The length of text in its own eight bytes: up to the first 0xff.
    fn near_length(&mut self, low: Operand, high: Operand) -> Operand {
        let (end, mask) = (self.int(Scalar::U32, 0xff), self.int(Scalar::U32, 0xff));
        let mut length = self.int(Scalar::U32, i128::from(INLINE));
        for k in (0..INLINE).rev() {
            let shift = self.int(Scalar::U32, i128::from(k % 4 * 8));
            let byte = self.bin(BinOp::Shr, if k < 4 { low } else { high }, shift);
            let byte = self.bin(BinOp::And, byte, mask);
            let ends = self.cmp(CmpOp::Eq, byte, end);
            let here = self.int(Scalar::U32, i128::from(k));
            length = self.select(ends, here, length);
        }
        length
    }

    fn string_length(&mut self, place: &Place) -> Operand {
        let (low, high, elsewhere) = self.string_words(place);
        let (far, near) = (self.far_length(low), self.near_length(low, high));
        let length = self.select(elsewhere, far, near);
        self.convert(length, self.index)
    }

    /// Whether there is anything to be validated in it.
    fn can_be_wrong(&mut self, ty: &Ty) -> bool {
        match ty {
            Ty::Prim(prim) => *prim == Prim::BOOL,
            Ty::Array(element, len) => *len > 0 && self.can_be_wrong(element),
            Ty::Archived(Arch::Number(_)) => false,
            Ty::Archived(Arch::Struct(_)) | Ty::Tuple(_) => {
                self.fields(ty).iter().any(|field| self.can_be_wrong(field))
            }
            _ => true,
        }
    }

    /// Validates what lies at a place. What it refers to must lie in front of `high` and behind `low`, which moves on.
    fn validate(&mut self, ty: &Ty, place: &Place, high: Operand, low: Var) {
        if !self.can_be_wrong(ty) || self.b.dead() {
            return;
        }
        let target = Target::Memory(place.clone());
        match ty {
            Ty::Prim(_) => drop(self.at_most_one(place)),
            Ty::Array(element, len) => {
                self.each_element(*len, element, &mut |this, index| {
                    if let Target::Memory(place) = this.element(&target, element, index) {
                        this.validate(element, &place, high, low);
                    }
                });
            }
            Ty::Archived(Arch::Option(part)) => {
                let tag = self.at_most_one(place);
                if self.can_be_wrong(part) {
                    let none = self.int(Scalar::U8, 0);
                    let there = self.cmp(CmpOp::Ne, tag, none);
                    let inner = self.inside(place, part);
                    self.branch(there, |this| this.validate(part, &inner, high, low), |_| {});
                }
            }
            Ty::Archived(Arch::Vec(element)) => self.validate_vec(place, element, high, low),
            Ty::Archived(Arch::String) => self.validate_string(place, high, low),
            _ => {
                for (i, field) in self.fields(ty).iter().enumerate() {
                    if let Target::Memory(place) = self.project(&target, ty, i) {
                        self.validate(field, &place, high, low);
                    }
                }
            }
        }
    }

    /// A byte that is 0 or 1.
    fn at_most_one(&mut self, place: &Place) -> Operand {
        let byte = self.load_at(place, 0, Scalar::U8);
        let one = self.int(Scalar::U8, 1);
        let more = self.cmp(CmpOp::Gt, byte, one);
        self.malformed(more);
        byte
    }

    /// `len` elements from `base` on lie between `low` and `high`, and `low` is their end from now on; `inside` comes in between.
    fn claim(
        &mut self,
        base: Operand,
        (len, stride, align): (Operand, u32, u32),
        high: Operand,
        low: Var,
        inside: impl FnOnce(&mut Self),
    ) {
        let start = self.read(low);
        let before = self.cmp(CmpOp::Lt, base, start);
        let behind = self.cmp(CmpOp::Gt, base, high);
        let mut wrong = self.bin(BinOp::Or, before, behind);
        if align > 1 {
            let (mask, none) = (self.int(self.index, i128::from(align - 1)), self.int(self.index, 0));
            let rest = self.bin(BinOp::And, base, mask);
            let unaligned = self.cmp(CmpOp::Ne, rest, none);
            wrong = self.bin(BinOp::Or, wrong, unaligned);
        }
        self.malformed(wrong);
        let room = self.bin(BinOp::Sub, high, base);
        let stride = self.int(self.index, i128::from(stride));
        let most = self.bin(BinOp::Div, room, stride);
        let longer = self.cmp(CmpOp::Gt, len, most);
        self.malformed(longer);
        inside(self);
        let length = self.bin(BinOp::Mul, len, stride);
        let end = self.bin(BinOp::Add, base, length);
        self.set(low, end);
    }

    fn validate_vec(&mut self, place: &Place, element: &Ty, high: Operand, low: Var) {
        let run = self.vec_run(place, element);
        let (stride, align) = self.layout(element);
        if stride == 0 {
            // Refused where the message is defined.
            return;
        }
        let inner = self.can_be_wrong(element);
        self.claim(run.base, (run.len, stride, align), high, low, |this| {
            if inner {
                let (base, len) = (run.base, run.len);
                let first = this.based(base, align);
                this.each_below(len, |this, k| {
                    let mut place = first.clone();
                    place.index.push((k, stride));
                    this.validate(element, &place, base, low);
                });
            }
        });
    }

    fn validate_string(&mut self, place: &Place, high: Operand, low: Var) {
        let (first, second, elsewhere) = self.string_words(place);
        let length = self.b.var(self.index, "length");
        let base = self.b.var(self.index, "text");
        self.branch(
            elsewhere,
            |this| {
                let len = this.far_length(first);
                let inline = this.int(Scalar::U32, i128::from(INLINE));
                let short = this.cmp(CmpOp::Le, len, inline);
                this.malformed(short);
                let len = this.convert(len, this.index);
                let at = this.far(place, second);
                this.claim(at, (len, 1, 1), high, low, |_| {});
                this.set(length, len);
                this.set(base, at);
            },
            |this| {
                let len = this.near_length(first, second);
                let len = this.convert(len, this.index);
                let at = this.address(place);
                this.set(length, len);
                this.set(base, at);
            },
        );
        let (base, length) = (self.read(base), self.read(length));
        self.validate_text(base, length);
    }

    /// UTF-8 (RFC 3629): what may follow a leading byte, and no character in more bytes than it needs.
    fn validate_text(&mut self, base: Operand, len: Operand) {
        let word = |this: &Self, value: u32| this.int(Scalar::U32, i128::from(value));
        let (left, from, to) =
            (self.b.var(Scalar::U32, "left"), self.b.var(Scalar::U32, "from"), self.b.var(Scalar::U32, "to"));
        let (none, one) = (word(self, 0), word(self, 1));
        let (usual_from, usual_to) = (word(self, 0x80), word(self, 0xbf));
        self.set(left, none);
        self.set(from, usual_from);
        self.set(to, usual_to);
        let text = Place { root: Root::Message, offset: 0, index: vec![(base, 1)] };
        self.each_below(len, |this, k| {
            let mut place = text.clone();
            place.index.push((k, 1));
            let byte = this.emit(Scalar::U8, ir::Expr::Load(place));
            let byte = this.convert(byte, Scalar::U32);
            let expected = this.read(left);
            let leads = this.cmp(CmpOp::Eq, expected, none);
            this.branch(
                leads,
                |this| {
                    let within = |this: &mut Self, low: u32, high: u32| {
                        let (low, high) = (word(this, low), word(this, high));
                        let above = this.cmp(CmpOp::Ge, byte, low);
                        let below = this.cmp(CmpOp::Le, byte, high);
                        this.bin(BinOp::And, above, below)
                    };
                    let end = word(this, 0x80);
                    let single = this.cmp(CmpOp::Lt, byte, end);
                    let (two, three, four) =
                        (within(this, 0xc2, 0xdf), within(this, 0xe0, 0xef), within(this, 0xf0, 0xf4));
                    let mut some = this.bin(BinOp::Or, single, two);
                    some = this.bin(BinOp::Or, some, three);
                    some = this.bin(BinOp::Or, some, four);
                    let wrong = this.un(ir::UnOp::Not, some);
                    this.malformed(wrong);
                    let (w2, w3) = (word(this, 2), word(this, 3));
                    let follow = this.select(four, w3, none);
                    let follow = this.select(three, w2, follow);
                    let follow = this.select(two, one, follow);
                    this.set(left, follow);
                    let pick = |this: &mut Self, cases: [(u32, u32); 2], usual: Operand| {
                        let mut value = usual;
                        for (lead, bound) in cases {
                            let (lead, bound) = (word(this, lead), word(this, bound));
                            let is = this.cmp(CmpOp::Eq, byte, lead);
                            value = this.select(is, bound, value);
                        }
                        value
                    };
                    let low = pick(this, [(0xe0, 0xa0), (0xf0, 0x90)], usual_from);
                    let high = pick(this, [(0xed, 0x9f), (0xf4, 0x8f)], usual_to);
                    this.set(from, low);
                    this.set(to, high);
                },
                |this| {
                    let (low, high) = (this.read(from), this.read(to));
                    let below = this.cmp(CmpOp::Lt, byte, low);
                    let above = this.cmp(CmpOp::Gt, byte, high);
                    let wrong = this.bin(BinOp::Or, below, above);
                    this.malformed(wrong);
                    let fewer = this.bin(BinOp::Sub, expected, one);
                    this.set(left, fewer);
                    this.set(from, usual_from);
                    this.set(to, usual_to);
                },
            );
        });
        let left = self.read(left);
        let broken = self.cmp(CmpOp::Ne, left, none);
        self.malformed(broken);
    }

    /// Runs `body` for each index below `len`.
    fn each_below(&mut self, len: Operand, body: impl FnOnce(&mut Self, Operand)) {
        let ty = self.index;
        let var = self.b.var(ty, "k");
        let (zero, one) = (self.int(ty, 0), self.int(ty, 1));
        self.set(var, zero);
        self.repeat(
            |this, label| {
                let k = this.read(var);
                let more = this.cmp(CmpOp::Lt, k, len);
                this.break_unless(more, label);
                body(this, k);
            },
            |this| {
                let k = this.read(var);
                let next = this.bin(BinOp::Add, k, one);
                this.set(var, next);
            },
        );
    }

    // Reading what has been validated.

    fn vec_run(&mut self, place: &Place, element: &Ty) -> Run {
        let offset = self.load_at(place, 0, Scalar::U32);
        let len = self.load_at(place, 4, Scalar::U32);
        let base = self.far(place, offset);
        Run { base, len: self.convert(len, self.index), element: element.clone() }
    }

    /// What an option's value, if it has one, has for a place.
    fn inside(&mut self, place: &Place, part: &Ty) -> Place {
        let (_, align) = self.layout(part);
        Place { offset: place.offset + align, ..place.clone() }
    }

    /// The elements of what can be indexed or looped over.
    pub(super) fn run(&mut self, of: &Expr, arch: &Arch) -> Option<Run> {
        let target = self.target(of);
        match (arch, target) {
            (Arch::Vec(element), target) => {
                let place = self.place_of(target)?;
                Some(self.vec_run(&place, element))
            }
            // See `AsBytes`.
            (Arch::Bytes, Target::Value(Value::Fields(parts))) => match parts[..] {
                [Value::Scalar(base), Value::Scalar(len)] => {
                    Some(Run { base, len, element: Ty::Prim(Prim::Scalar(Scalar::U8)) })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn place_of(&mut self, target: Target) -> Option<Place> {
        match target {
            Target::Memory(place) | Target::Value(Value::Memory(place)) => Some(place),
            Target::Value(_) | Target::Var(_) => {
                self.lost();
                None
            }
        }
    }

    pub(super) fn element_of(&mut self, run: &Run, k: Operand) -> Target {
        let (stride, align) = self.layout(&run.element);
        let mut place = self.based(run.base, align);
        place.index.push((k, stride));
        Target::Memory(place)
    }

    /// `base[index]`
    pub(super) fn archived_index(&mut self, base: &Expr, arch: &Arch, index: &Expr, span: Span) -> Target {
        let Some(run) = self.run(base, arch) else { return Target::Value(self.lost()) };
        let k = self.operand(index);
        let failed = self.cmp(CmpOp::Ge, k, run.len);
        self.check(failed, FaultKind::IndexOutOfBounds, span);
        self.element_of(&run, k)
    }

    /// What is asked of something in an archive, where the answer is a scalar.
    pub(super) fn archived_scalar(&mut self, op: ArchivedOp, of: &Expr, ty: &Ty) -> Operand {
        let Ty::Archived(arch) = self.ty(&of.ty) else { return self.lost_scalar(ty) };
        if op == ArchivedOp::ToNative {
            let target = self.target(of);
            let (Some(place), Some(prim)) = (self.place_of(target), ty.prim()) else {
                return self.lost_scalar(ty);
            };
            return self.load_at(&place, 0, prim.wide());
        }
        if let ArchivedOp::IsSome | ArchivedOp::IsNone = op {
            let target = self.target(of);
            let Some(place) = self.place_of(target) else { return self.lost_scalar(ty) };
            let tag = self.load_at(&place, 0, Scalar::U8);
            let none = self.int(Scalar::U8, 0);
            return self.cmp(if op == ArchivedOp::IsSome { CmpOp::Ne } else { CmpOp::Eq }, tag, none);
        }
        let len = match arch {
            Arch::String => {
                let target = self.target(of);
                let Some(place) = self.place_of(target) else { return self.lost_scalar(ty) };
                self.string_length(&place)
            }
            arch => match self.run(of, &arch) {
                Some(run) => run.len,
                None => return self.lost_scalar(ty),
            },
        };
        match op {
            ArchivedOp::Len => len,
            ArchivedOp::IsEmpty => {
                let none = self.int(self.index, 0);
                self.cmp(CmpOp::Eq, len, none)
            }
            _ => self.lost_scalar(ty),
        }
    }

    /// The same, where it is a reference or an option of one.
    pub(super) fn archived_value(&mut self, op: ArchivedOp, of: &Expr) -> Value {
        let arch = self.ty(&of.ty);
        let target = self.target(of);
        let Some(place) = self.place_of(target) else { return self.lost() };
        match (op, arch) {
            // Where its text begins, and how long it is.
            (ArchivedOp::AsBytes, Ty::Archived(Arch::String)) => {
                let (low, high, elsewhere) = self.string_words(&place);
                let (far, near) = (self.far_length(low), self.near_length(low, high));
                let length = self.select(elsewhere, far, near);
                let length = self.convert(length, self.index);
                let (there, here) = (self.far(&place, high), self.address(&place));
                let base = self.select(elsewhere, there, here);
                let parts = vec![Value::Scalar(base), Value::Scalar(length)];
                Value::Ref(Box::new(Target::Value(Value::Fields(parts))))
            }
            (ArchivedOp::AsRef, Ty::Archived(Arch::Option(part))) => {
                let tag = self.load_at(&place, 0, Scalar::U8);
                let none = self.int(Scalar::U8, 0);
                let there = self.cmp(CmpOp::Ne, tag, none);
                let inner = self.inside(&place, &part);
                let inner = Value::Ref(Box::new(Target::Memory(inner)));
                Value::Fields(vec![Value::Scalar(there), inner])
            }
            _ => self.lost(),
        }
    }

    /// Size and alignment of rkyv's archived types, but for structs.
    pub(super) fn archived_layout(&mut self, arch: &Arch) -> (u32, u32) {
        match arch {
            Arch::Number(scalar) => (scalar.bytes(), scalar.bytes()),
            Arch::Vec(_) | Arch::String => (8, 4),
            Arch::Option(part) => {
                let (size, align) = self.layout(part);
                ((align + size).next_multiple_of(align), align)
            }
            Arch::Bytes | Arch::Struct(_) => (0, 1),
        }
    }
}
