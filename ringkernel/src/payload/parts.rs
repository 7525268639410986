//! What a field of a message of variable size may be.

use crate::DeviceType;
use crate::expansion::Definition;

/// Part of a message of variable size: a scalar, `String`, `Vec<T>`, `Option<T>`, an array, a tuple (up to eight), or a struct with
/// `#[derive(Payload)]`.
///
/// ```
/// use ringkernel::prelude::*;
///
/// #[derive(Payload)]
/// struct Section {
///     heading: String,
///     lines: Vec<String>,
///     page: Option<u32>,
/// }
///
/// #[derive(RingMessage)]
/// struct Book {
///     sections: Vec<Section>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a message of variable size",
    label = "not a part of a message",
    note = "for your own struct, add `#[derive(Payload)]`",
    note = "`usize` and `isize` differ between devices: use `u32` or `u64`"
)]
pub trait Payload: Sized + Send + 'static {
    /// How the type is made up; tags are hashes of it.
    #[doc(hidden)]
    const DEFINITION: Definition;
}

macro_rules! fixed {
    ($($ty:ty),*) => {$(
        impl Payload for $ty {
            const DEFINITION: Definition = <$ty as DeviceType>::DEFINITION;
        }
    )*};
}
fixed!(bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, ());

impl Payload for String {
    const DEFINITION: Definition = Definition::Scalar { name: "String" };
}

impl<T: Payload> Payload for Vec<T> {
    const DEFINITION: Definition = Definition::Of { name: "Vec", part: &T::DEFINITION };
}

impl<T: Payload> Payload for Option<T> {
    const DEFINITION: Definition = Definition::Of { name: "Option", part: &T::DEFINITION };
}

impl<T: Payload, const N: usize> Payload for [T; N] {
    const DEFINITION: Definition = Definition::Array { element: &T::DEFINITION, len: N };
}

macro_rules! tuples {
    ($(($($t:ident),+))*) => {$(
        impl<$($t: Payload),+> Payload for ($($t,)+) {
            const DEFINITION: Definition = Definition::Tuple { parts: &[$($t::DEFINITION),+] };
        }
    )*};
}
tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H) }
