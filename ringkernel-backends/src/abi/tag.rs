//! Message tags: 32 bits that say what a slot's payload is.
//!
//! Tags below [`FIRST_USER`] are the framework's own. A user message's tag is a hash of its name and fields, made by
//! `#[derive(RingMessage)]`; see [`of_definition`].

/// An empty reply, `()`.
pub const UNIT: u32 = 1;
/// A fault. The payload is `[kind: u32, site: u32]`.
pub const FAULT: u32 = 2;
/// `bool` as a message or reply; the other scalars follow.
pub const BOOL: u32 = 16;
/// `i8`.
pub const I8: u32 = 17;
/// `i16`.
pub const I16: u32 = 18;
/// `i32`.
pub const I32: u32 = 19;
/// `i64`.
pub const I64: u32 = 20;
/// `u8`.
pub const U8: u32 = 21;
/// `u16`.
pub const U16: u32 = 22;
/// `u32`.
pub const U32: u32 = 23;
/// `u64`.
pub const U64: u32 = 24;
/// `f32`.
pub const F32: u32 = 25;
/// `f64`.
pub const F64: u32 = 26;
/// The lowest tag of a user's message.
pub const FIRST_USER: u32 = 256;

/// FNV-1a over the definition's text, moved above the reserved range.
///
/// Source: Fowler, Noll, Vo, "FNV-1a, 32 bit" (offset basis 2166136261, prime 16777619).
pub const fn of_definition(text: &str) -> u32 {
    finish(fold(START, text))
}

/// What [`fold`] begins with, where a definition's text comes in parts.
pub const START: u32 = 2_166_136_261;

/// Takes the next part of a definition's text.
pub const fn fold(mut hash: u32, part: &str) -> u32 {
    let bytes = part.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(16_777_619);
        i += 1;
    }
    hash
}

/// The tag, when all parts have been taken.
pub const fn finish(hash: u32) -> u32 {
    if hash < FIRST_USER { hash + FIRST_USER } else { hash }
}
