//! Types as the user knows them: Rust's scalars (with `usize` and `isize`), arrays, tuples, structs, references.

use crate::ir::Scalar;
use crate::program::DefId;
use std::rc::Rc;

/// The one type of the framework that is a scalar on devices.
pub(crate) const HLC: &str = "HlcTimestamp";

/// What sends return.
pub(crate) const SENT: &str = "Sent";

/// A primitive type, or one of the framework's that is a number on devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prim {
    /// One that exists in the IR.
    Scalar(Scalar),
    /// 64 bits, or 32 on a device whose indices are.
    Usize,
    /// 64 bits, or 32 on a device whose indices are.
    Isize,
    /// `HlcTimestamp`: 64 bits, compared as an unsigned integer.
    Hlc,
    /// `Sent`: the number of its variant in 32 bits. It does not cross to or from devices.
    Sent,
}

impl Prim {
    pub(crate) const BOOL: Prim = Prim::Scalar(Scalar::Bool);
    pub(crate) const I32: Prim = Prim::Scalar(Scalar::I32);
    pub(crate) const U64: Prim = Prim::Scalar(Scalar::U64);
    pub(crate) const U32: Prim = Prim::Scalar(Scalar::U32);
    pub(crate) const F64: Prim = Prim::Scalar(Scalar::F64);

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "usize" => Some(Self::Usize),
            "isize" => Some(Self::Isize),
            HLC => Some(Self::Hlc),
            name => Scalar::from_name(name).map(Self::Scalar),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scalar(s) => s.name(),
            Self::Usize => "usize",
            Self::Isize => "isize",
            Self::Hlc => HLC,
            Self::Sent => SENT,
        }
    }

    /// The scalar with Rust's full width: `usize` is 64 bits.
    pub(crate) fn wide(self) -> Scalar {
        match self {
            Self::Scalar(s) => s,
            Self::Usize | Self::Hlc => Scalar::U64,
            Self::Isize => Scalar::I64,
            Self::Sent => Scalar::U32,
        }
    }

    pub(crate) fn is_int(self) -> bool {
        !matches!(self, Self::Hlc | Self::Sent) && self.wide().is_int()
    }

    pub(crate) fn is_float(self) -> bool {
        self.wide().is_float()
    }

    pub(crate) fn is_signed(self) -> bool {
        self.wide().is_signed()
    }

    /// The unsigned integer of the same width.
    pub(crate) fn unsigned(self) -> Self {
        match self {
            Self::Usize | Self::Isize => Self::Usize,
            _ => Self::Scalar(unsigned(self.wide())),
        }
    }

    /// The signed integer of the same width.
    pub(crate) fn signed(self) -> Self {
        match self {
            Self::Usize | Self::Isize => Self::Isize,
            _ => Self::Scalar(signed(self.wide())),
        }
    }
}

/// The unsigned integer of the same width (also of a float: its bits).
pub(crate) fn unsigned(s: Scalar) -> Scalar {
    match s.bits() {
        8 => Scalar::U8,
        16 => Scalar::U16,
        32 => Scalar::U32,
        _ => Scalar::U64,
    }
}

/// The signed integer of the same width.
pub(crate) fn signed(s: Scalar) -> Scalar {
    match s.bits() {
        8 => Scalar::I8,
        16 => Scalar::I16,
        32 => Scalar::I32,
        _ => Scalar::I64,
    }
}

/// What an inference variable may still become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VarKind {
    /// Anything.
    Any,
    /// The type of an integer literal.
    Int,
    /// The type of a float literal.
    Float,
}

/// What only an archive holds: one of rkyv's archived types. What they hold is such a type in turn, as far as it differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arch {
    /// A number of two bytes or more.
    Number(Scalar),
    /// `ArchivedVec<T>`
    Vec(Rc<Ty>),
    /// `ArchivedString`
    String,
    /// `[u8]`: the bytes of a string.
    Bytes,
    /// `ArchivedOption<T>`
    Option(Rc<Ty>),
    /// A struct's own.
    Struct(DefId),
}

/// A type, or during inference a variable that stands for one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    Prim(Prim),
    Array(Rc<Ty>, u64),
    Tuple(Rc<[Ty]>),
    Struct(DefId),
    Ref(bool, Rc<Ty>),
    /// Something in an archive, behind a reference.
    Archived(Arch),
    /// `!`
    Never,
    /// `RingContext`, which is not a value of the device.
    Context,
    /// An inference variable.
    Var(u32),
    /// Something already reported.
    Error,
}

impl Ty {
    pub(crate) fn unit() -> Self {
        Self::Tuple(Rc::new([]))
    }

    pub(crate) fn bool() -> Self {
        Self::Prim(Prim::BOOL)
    }

    pub(crate) fn usize() -> Self {
        Self::Prim(Prim::Usize)
    }

    pub(crate) fn is_unit(&self) -> bool {
        matches!(self, Self::Tuple(elements) if elements.is_empty())
    }

    pub(crate) fn prim(&self) -> Option<Prim> {
        match self {
            Self::Prim(p) => Some(*p),
            _ => None,
        }
    }
}
