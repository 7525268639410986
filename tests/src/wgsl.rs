//! How exact WGSL promises floating-point operations to be.
//!
//! Source: *WebGPU Shading Language*, W3C, section "Floating Point Accuracy" (15.7.4), the table of accuracies for `f32`. A
//! bound in ULP is the distance in units of the last place of the exact result. Besides, that section lets an implementation
//! replace any subnormal operand or result by a zero, and says nothing about NaNs and infinities (they may be assumed
//! absent); [`compare`](crate::compare) grants the first and does not use the second: NaNs and infinities must come out.
//!
//! `f64` is an extension of naga's, outside that specification. Vulkan's "Precision and Operation of SPIR-V Instructions" says
//! only that doubles are at least as exact as singles; the suite asks for the `f32` column in `f64` units, which is more.

/// How far a result may be from the native one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Bit for bit (of NaNs, only that it is one).
    Exact,
    /// Bit for bit, but either zero may come: `min(-0.0, 0.0)` may be either zero in Rust itself.
    EitherZero,
    /// On WebGPU, so many units in the last place; elsewhere bit for bit.
    WgslUlp(f64),
}

/// `x + y`, `x - y`, `x * y`, `-x`, `abs`, `floor`, `ceil`, `trunc`, `round`, comparisons: correctly rounded.
pub const EXACT: Bound = Bound::Exact;
/// `min`, `max`, `clamp`: correctly rounded; which zero of two is left open.
pub const MIN_MAX: Bound = Bound::EitherZero;
/// `x / y`: 2.5 ULP for `|y|` in 2^-126 … 2^126.
pub const DIV: Bound = Bound::WgslUlp(2.5);
/// `sqrt(x)`: inherited from `1.0 / inverseSqrt(x)`, and `inverseSqrt` has 2 ULP: 2 for the argument of the division, which
/// adds its own 2.5.
pub const SQRT: Bound = Bound::WgslUlp(4.5);
/// `fma(x, y, z)`, which `mul_add` becomes: inherited from `x * y + z`, so rounded once or twice. The suite says so with
/// [`Suite::inherited_case`](crate::suite::Suite::inherited_case).
pub const FMA: Bound = Bound::Exact;
/// Integer or wider float to float: correctly rounded.
pub const CAST: Bound = Bound::Exact;
