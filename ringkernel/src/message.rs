//! What can cross the bus: [`DeviceType`], and [`RingMessage`] for what a handler takes or answers.
//!
//! The wire layout is C's: scalars little endian at their natural alignment, `bool` one byte, fields in order, sizes rounded
//! up to the alignment. It does not depend on how rustc lays a type out in memory, because values are encoded and decoded
//! field by field; [`layout`] computes the offsets for both, at compile time.

use crate::PayloadTooLarge;
use crate::expansion::Definition;
use ringkernel_backends::abi::tag;
use std::cell::Cell;
use std::fmt;

/// A type with a fixed wire layout: a field of a message, or an actor's state.
///
/// Implemented for `bool`, the integers of 8 to 64 bits, `f32`, `f64`, `()`, arrays and tuples (up to eight) of these, and
/// for your structs by `#[derive(DeviceType)]`.
///
/// ```
/// use ringkernel::DeviceType;
///
/// assert_eq!(<(u8, u32)>::SIZE, 8);
/// let mut wire = [0; 8];
/// (7u8, 0x0102_0304u32).encode(&mut wire);
/// assert_eq!(wire, [7, 0, 0, 0, 4, 3, 2, 1]);
/// assert_eq!(<(u8, u32)>::decode(&wire), Ok((7, 0x0102_0304)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross to a device: it has no wire layout",
    label = "not a device type",
    note = "for your own struct, add `#[derive(DeviceType)]` (or `#[derive(RingMessage)]` where it is a whole message)",
    note = "`usize` and `isize` differ between devices: use `u32` or `u64`"
)]
pub trait DeviceType: Sized + Send + 'static {
    /// The type's name as the user wrote it.
    const NAME: &'static str;
    /// Bytes on the wire, a multiple of [`ALIGN`](Self::ALIGN).
    const SIZE: u32;
    /// Alignment on the wire, a power of two; 0 of a message of variable size, which cannot be a field.
    const ALIGN: u32;
    /// How the type is made up; tags are hashes of it.
    #[doc(hidden)]
    const DEFINITION: Definition = Definition::Scalar { name: Self::NAME };
    /// Writes exactly [`SIZE`](Self::SIZE) bytes at the front of `out`, padding zeroed.
    ///
    /// # Panics
    /// If `out` is shorter than that.
    fn encode(&self, out: &mut [u8]);
    /// Reads a value from exactly [`SIZE`](Self::SIZE) bytes.
    ///
    /// # Errors
    /// When the length is another, or a byte is not a value of its type (a `bool` that is neither 0 nor 1).
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A whole message: what a handler takes, or answers.
///
/// Derive it. Scalars and `()` are messages too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "add `#[derive(RingMessage)]` to `{Self}`"
)]
pub trait RingMessage: DeviceType {
    /// Tells the message's type on the wire: a hash of its name and fields.
    const TAG: u32;
    /// Whether each takes as many bytes as it needs, up to [`SIZE`](DeviceType::SIZE); see [`payload`](crate::payload).
    const VARIABLE: bool = false;

    /// The most bytes of one that the host sends to a device with memory for what no slot carries.
    #[doc(hidden)]
    const LARGEST: u64 = Self::SIZE as u64;

    /// [`with_bytes`](Self::with_bytes), up to [`LARGEST`](Self::LARGEST).
    #[doc(hidden)]
    fn with_large_bytes<R>(&self, call: impl FnOnce(&[u8]) -> R) -> Result<R, PayloadTooLarge> {
        self.with_bytes(call)
    }

    /// Calls with the message's wire bytes, as a slot carries them.
    ///
    /// # Errors
    /// [`PayloadTooLarge`] when a message of variable size takes more than it may; nothing was called then.
    #[doc(hidden)]
    fn with_bytes<R>(&self, call: impl FnOnce(&[u8]) -> R) -> Result<R, PayloadTooLarge> {
        let size = Self::SIZE as usize;
        if size <= FEW {
            let mut bytes = [0; FEW];
            self.encode(&mut bytes[..size]);
            return Ok(call(&bytes[..size]));
        }
        Ok(with_buffer(size, |bytes| {
            self.encode(bytes);
            call(bytes)
        }))
    }
}

thread_local! {
    /// A buffer for messages that are too large for the stack.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls with so many bytes, whatever they are: the thread's, so that the next call allocates nothing.
pub(crate) fn with_buffer<R>(size: usize, call: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = SPARE.try_with(Cell::take).unwrap_or_default();
    buffer.resize(size.max(buffer.len()), 0);
    let result = call(&mut buffer[..size]);
    // A thread that is ending has no next call.
    let _ = SPARE.try_with(|spare| spare.set(buffer));
    result
}

/// The most bytes of a message that is encoded on the stack.
const FEW: usize = 256;

/// Bytes that are not a value of the type they were read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not a `{type_name}`: {reason}")]
pub struct DecodeError {
    /// The type.
    pub type_name: &'static str,
    /// What is wrong with the bytes.
    pub reason: String,
}

impl DecodeError {
    /// An error about `type_name`.
    pub fn new(type_name: &'static str, reason: impl fmt::Display) -> Self {
        Self { type_name, reason: reason.to_string() }
    }
}

/// Checks that `bytes` has the length of a `T`.
#[inline]
pub fn check_length<T: DeviceType>(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() == T::SIZE as usize {
        return Ok(());
    }
    Err(DecodeError::new(T::NAME, format_args!("{} bytes where {} were expected", bytes.len(), T::SIZE)))
}

/// Writes a field at its offset.
#[inline]
pub fn encode_field<T: DeviceType>(value: &T, out: &mut [u8], offset: u32) {
    value.encode(&mut out[offset as usize..(offset + T::SIZE) as usize]);
}

/// Reads a field at its offset. The caller has checked the whole's length.
#[inline]
pub fn decode_field<T: DeviceType>(bytes: &[u8], offset: u32) -> Result<T, DecodeError> {
    match bytes.get(offset as usize..(offset + T::SIZE) as usize) {
        Some(field) => T::decode(field),
        None => Err(DecodeError::new(T::NAME, format_args!("{} bytes do not reach it", bytes.len()))),
    }
}

pub mod layout {
    //! C's struct layout over `(size, align)` pairs, in const fns.

    /// Messages of variable size say that they are aligned to 0.
    const fn has_one_size(align: u32) {
        assert!(
            align != 0,
            "a message of variable size cannot be a field here: this type is to have one size (in a message, `#[derive(Payload)]` the part)"
        );
    }

    /// Where field `index` starts.
    pub const fn offset(fields: &[(u32, u32)], index: usize) -> u32 {
        let (mut end, mut i) = (0u32, 0);
        loop {
            let (size, align) = fields[i];
            has_one_size(align);
            let start = end.next_multiple_of(align);
            if i == index {
                return start;
            }
            end = start + size;
            i += 1;
        }
    }

    /// Size and alignment of the whole; no fields take no bytes.
    pub const fn of(fields: &[(u32, u32)]) -> (u32, u32) {
        let (mut end, mut align, mut i) = (0u32, 1, 0);
        while i < fields.len() {
            has_one_size(fields[i].1);
            end = end.next_multiple_of(fields[i].1) + fields[i].0;
            if fields[i].1 > align {
                align = fields[i].1;
            }
            i += 1;
        }
        (end.next_multiple_of(align), align)
    }
}

macro_rules! scalars {
    ($($ty:ident $tag:ident),*) => {$(
        impl DeviceType for $ty {
            const NAME: &'static str = stringify!($ty);
            const SIZE: u32 = size_of::<$ty>() as u32;
            const ALIGN: u32 = Self::SIZE;
            #[inline]
            fn encode(&self, out: &mut [u8]) {
                out[..size_of::<$ty>()].copy_from_slice(&self.to_le_bytes());
            }
            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                match bytes.try_into() {
                    Ok(bytes) => Ok(Self::from_le_bytes(bytes)),
                    Err(_) => check_length::<Self>(bytes).map(|()| Self::default()),
                }
            }
        }
        impl RingMessage for $ty {
            const TAG: u32 = tag::$tag;
        }
    )*};
}
scalars!(i8 I8, i16 I16, i32 I32, i64 I64, u8 U8, u16 U16, u32 U32, u64 U64, f32 F32, f64 F64);

impl DeviceType for bool {
    const NAME: &'static str = "bool";
    const SIZE: u32 = 1;
    const ALIGN: u32 = 1;
    fn encode(&self, out: &mut [u8]) {
        out[0] = *self as u8;
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_length::<Self>(bytes)?;
        match bytes[0] {
            0 => Ok(false),
            1 => Ok(true),
            byte => Err(DecodeError::new("bool", format_args!("byte {byte} is neither 0 nor 1"))),
        }
    }
}

impl RingMessage for bool {
    const TAG: u32 = tag::BOOL;
}

impl DeviceType for () {
    const NAME: &'static str = "()";
    const SIZE: u32 = 0;
    const ALIGN: u32 = 1;
    const DEFINITION: Definition = Definition::Tuple { parts: &[] };
    fn encode(&self, _: &mut [u8]) {}
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_length::<Self>(bytes)
    }
}

impl RingMessage for () {
    const TAG: u32 = tag::UNIT;
}

impl<T: DeviceType, const N: usize> DeviceType for [T; N] {
    const NAME: &'static str = name::Array::<T, N>::NAME;
    const SIZE: u32 = {
        let size = T::SIZE as u64 * N as u64;
        assert!(size <= u32::MAX as u64, "an array of more than 4 GiB has no wire layout");
        size as u32
    };
    const ALIGN: u32 = T::ALIGN;
    const DEFINITION: Definition = Definition::Array { element: &T::DEFINITION, len: N };
    fn encode(&self, out: &mut [u8]) {
        for (i, element) in self.iter().enumerate() {
            encode_field(element, out, i as u32 * T::SIZE);
        }
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_length::<Self>(bytes)?;
        let mut failed = None;
        let elements: [Option<T>; N] = std::array::from_fn(|i| {
            decode_field(bytes, i as u32 * T::SIZE).map_err(|error| failed = Some(error)).ok()
        });
        match failed {
            Some(error) => Err(error),
            // Without an error every element is `Some`.
            None => Ok(elements.map(|element| element.expect("an element that did not fail"))),
        }
    }
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),+))*) => {$(
        impl<$($t: DeviceType),+> Fields for ($($t,)+) {
            const FIELDS: &'static [(u32, u32)] = &[$(($t::SIZE, $t::ALIGN)),+];
            const NAMES: &'static [&'static str] = &[$($t::NAME),+];
        }
        impl<$($t: DeviceType),+> DeviceType for ($($t,)+) {
            const NAME: &'static str = name::Tuple::<Self>::NAME;
            const SIZE: u32 = layout::of(Self::FIELDS).0;
            const ALIGN: u32 = layout::of(Self::FIELDS).1;
            const DEFINITION: Definition = Definition::Tuple { parts: &[$($t::DEFINITION),+] };
            fn encode(&self, out: &mut [u8]) {
                out[..Self::SIZE as usize].fill(0);
                $(encode_field(&self.$i, out, const { layout::offset(Self::FIELDS, $i) });)+
            }
            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                check_length::<Self>(bytes)?;
                Ok(($(decode_field::<$t>(bytes, const { layout::offset(Self::FIELDS, $i) })?,)+))
            }
        }
    )*};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// A tuple's fields: `(size, align)` and name of each.
trait Fields {
    const FIELDS: &'static [(u32, u32)];
    const NAMES: &'static [&'static str];
}

mod name {
    //! The names of arrays and tuples, put together at compile time.
    use super::{DeviceType, Fields};
    use std::marker::PhantomData;

    /// Room for a name; a longer one is abbreviated.
    const ROOM: usize = 128;

    #[derive(Clone, Copy)]
    struct Text {
        bytes: [u8; ROOM],
        len: usize,
        overflowed: bool,
    }

    impl Text {
        const fn new() -> Self {
            Self { bytes: [0; ROOM], len: 0, overflowed: false }
        }
        const fn push(mut self, text: &str) -> Self {
            if self.len + text.len() > ROOM {
                self.overflowed = true;
                return self;
            }
            let mut i = 0;
            while i < text.len() {
                self.bytes[self.len + i] = text.as_bytes()[i];
                i += 1;
            }
            self.len += text.len();
            self
        }
        const fn push_number(self, number: usize) -> Self {
            let text = if number >= 10 { self.push_number(number / 10) } else { self };
            text.push(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"][number % 10])
        }
        const fn as_str(&self, abbreviated: &'static str) -> &str {
            match std::str::from_utf8(self.bytes.split_at(self.len).0) {
                Ok(text) if !self.overflowed => text,
                _ => abbreviated,
            }
        }
    }

    pub(super) struct Array<T, const N: usize>(PhantomData<T>);
    impl<T: DeviceType, const N: usize> Array<T, N> {
        const TEXT: &'static Text = &Text::new().push("[").push(T::NAME).push("; ").push_number(N).push("]");
        pub(super) const NAME: &'static str = Self::TEXT.as_str("[…]");
    }

    pub(super) struct Tuple<T>(PhantomData<T>);
    impl<T: Fields> Tuple<T> {
        const TEXT: &'static Text = &{
            let mut text = Text::new().push("(");
            let mut i = 0;
            while i < T::NAMES.len() {
                if i > 0 {
                    text = text.push(", ");
                }
                text = text.push(T::NAMES[i]);
                i += 1;
            }
            text.push(if i == 1 { ",)" } else { ")" })
        };
        pub(super) const NAME: &'static str = Self::TEXT.as_str("(…)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Debug;

    /// A C struct with the fields of the tuple of the same name: rustc's own repr(C) is the oracle.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Mixed(u8, u64, bool, i16, f32, [u16; 3], f64, i8);
    type MixedTuple = (u8, u64, bool, i16, f32, [u16; 3], f64, i8);

    fn round_trip<T: DeviceType + PartialEq + Debug>(value: T) -> Vec<u8> {
        let mut wire = vec![0xa5; T::SIZE as usize];
        value.encode(&mut wire);
        assert_eq!(T::decode(&wire).as_ref(), Ok(&value));
        for wrong in [0, wire.len().wrapping_sub(1), wire.len() + 1]
            .into_iter()
            .filter(|&n| n != wire.len() && n < 1 << 20)
        {
            let error = T::decode(&vec![0; wrong]).expect_err("a wrong length");
            assert_eq!(error.type_name, T::NAME);
        }
        wire
    }

    proptest! {
        #[test]
        fn every_value_survives_the_wire(
            a: u8, b: u64, c: bool, d: i16, e in proptest::num::f32::NORMAL, f: [u16; 3], g in proptest::num::f64::NORMAL, h: i8,
            i: i32, j: i64, k: u16, l: u32,
        ) {
            round_trip(a); round_trip(b); round_trip(c); round_trip(d); round_trip(e); round_trip(f); round_trip(g); round_trip(h);
            round_trip(i); round_trip(j); round_trip(k); round_trip(l);
            round_trip(((a, b), [(c, d); 4], ()));
            let wire = round_trip::<MixedTuple>((a, b, c, d, e, f, g, h));
            let at = |offset: usize, bytes: &[u8]| assert_eq!(&wire[offset..offset + bytes.len()], bytes);
            use std::mem::offset_of;
            at(offset_of!(Mixed, 0), &a.to_le_bytes());
            at(offset_of!(Mixed, 1), &b.to_le_bytes());
            at(offset_of!(Mixed, 2), &[c as u8]);
            at(offset_of!(Mixed, 3), &d.to_le_bytes());
            at(offset_of!(Mixed, 4), &e.to_le_bytes());
            at(offset_of!(Mixed, 5), &f[0].to_le_bytes());
            at(offset_of!(Mixed, 6), &g.to_le_bytes());
            at(offset_of!(Mixed, 7), &h.to_le_bytes());
        }

        #[test]
        fn bytes_that_are_no_bool_are_refused_wherever_they_stand(byte in 2u8.., at in 0usize..4) {
            prop_assert!(bool::decode(&[byte]).is_err());
            let mut wire = [0; 4];
            wire[at] = byte;
            let error = <[bool; 4]>::decode(&wire).unwrap_err();
            prop_assert_eq!(error.to_string(), format!("these bytes are not a `bool`: byte {byte} is neither 0 nor 1"));
        }
    }

    #[test]
    fn sizes_and_alignments_follow_c() {
        assert_eq!(
            (MixedTuple::SIZE, MixedTuple::ALIGN),
            (size_of::<Mixed>() as u32, align_of::<Mixed>() as u32)
        );
        assert_eq!((<()>::SIZE, <()>::ALIGN), (0, 1));
        assert_eq!((<[u64; 0]>::SIZE, <[u64; 0]>::ALIGN), (0, 8));
        assert_eq!((<(u8, [u64; 0])>::SIZE, <(u8, [u64; 0])>::ALIGN), (8, 8));
        assert_eq!(layout::of(&[]), (0, 1));
        assert_eq!(layout::offset(&[(1, 1), (4, 4), (2, 2), (8, 8)], 3), 16);
    }

    #[test]
    fn padding_is_zeroed() {
        let mut wire = [0xff; 8];
        (1u8, 2u32).encode(&mut wire);
        assert_eq!(wire, [1, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn names_are_what_the_user_wrote() {
        assert_eq!(<[f32; 16]>::NAME, "[f32; 16]");
        assert_eq!(<(u8, [(i64,); 105])>::NAME, "(u8, [(i64,); 105])");
        type Long = ([u64; 1000], [u64; 1001], [u64; 1002], [u64; 1003]);
        assert_eq!(<(Long, Long, Long)>::NAME, "(…)");
    }

    #[test]
    fn floats_keep_every_bit() {
        for bits in [0x7fc0_1234u32, 0xff80_0001, 0x8000_0000, 1] {
            let mut wire = [0; 4];
            f32::from_bits(bits).encode(&mut wire);
            assert_eq!(wire, bits.to_le_bytes());
            assert_eq!(f32::decode(&wire).map(f32::to_bits), Ok(bits));
        }
    }

    #[test]
    fn scalars_and_unit_are_messages_with_distinct_reserved_tags() {
        let mut tags = vec![
            <()>::TAG,
            bool::TAG,
            i8::TAG,
            i16::TAG,
            i32::TAG,
            i64::TAG,
            u8::TAG,
            u16::TAG,
            u32::TAG,
            u64::TAG,
            f32::TAG,
            f64::TAG,
        ];
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 12);
        assert!(tags.iter().all(|&tag| tag < ringkernel_backends::abi::tag::FIRST_USER));
    }
}
