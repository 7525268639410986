//! The intermediate representation: what a handler *does*, in a form that every device's emitter can print.
//!
//! # The shape
//!
//! A [`Kernel`] is an actor's handlers. A [`Handler`] is one [`Body`]: everything the user's method does, with each
//! `#[device_fn]` it calls inlined, every aggregate taken apart into scalars, every type known. The body is a tree of
//! [`Stmt`]s with structured control flow.
//!
//! # Values, and when they are computed
//!
//! As in naga, **only statements have side effects, and an [`Expr`] is evaluated exactly where its [`Stmt::Let`] stands**, once,
//! in statement order. An expression never nests: its operands are [`Operand`]s, constants or registers. So there is no
//! question of evaluation order left by the time an emitter sees the code, and an emitter may print a `Let` as a variable,
//! a register or (where it is used once and nothing in between can change it) in place.
//!
//! - A [`Reg`] is assigned once, by one `Let`, before every use on every path, and read only in the block of its `Let` or
//!   blocks nested in it (so it can be a WGSL `let`).
//! - A [`Var`] is a mutable scalar: `Stmt::Set` writes it, `Expr::Read` reads it. Every path writes it before it reads it.
//! - What reaches beyond the handler is a [`Stmt::Effect`], which happens exactly where it stands, as often as control gets there, in the order of
//!   the statements. Its result is a register.
//! - Memory is four [`Root`]s of bytes: the instance's state, the message, the reply, and local aggregates. A [`Place`] names a
//!   scalar in one. Layout is C's (see [`crate::layout`]); the scalars at a place have one type through the whole body, and no two
//!   of different types overlap.
//!
//! # Meaning of the operations
//!
//! Integer arithmetic wraps. Where Rust would panic, the front end has put a [`Stmt::Check`] before the operation, so an
//! emitter needs no precondition beyond: the divisor is not 0, `MIN / -1` does not occur, a shift amount is below the width,
//! an index is in bounds. Floating-point operations are IEEE 754, each rounded to nearest on its own (never contracted). A
//! `bool` is 0 or 1, and one byte in memory. There is no `usize` here: the front end lowers it to `U64`, or to `U32` with checks
//! where a device's indices are 32 bits wide.
//!
//! # Control flow
//!
//! [`Stmt::Loop`] repeats until a [`Stmt::Break`] with its label. `Continue` runs the loop's `step` and starts over, and so does
//! reaching the end of `body`. [`Stmt::Block`] is left by its end or by a `Break` with its label (early returns of inlined functions
//! become that). [`Stmt::Finish`] ends the handler: the reply has been stored in [`Root::Reply`]. Every path ends in a
//! `Finish` or a fault. Statements after a `Break`, `Continue`, `Finish` or `Fault` in the same list do not occur.

mod effect;

pub use effect::*;
use ringkernel_backends::abi::FaultKind;

/// A scalar type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Scalar {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
}

impl Scalar {
    /// Width in bits; a `bool` counts as 8.
    pub fn bits(self) -> u32 {
        use Scalar::*;
        match self {
            Bool | I8 | U8 => 8,
            I16 | U16 => 16,
            I32 | U32 | F32 => 32,
            I64 | U64 | F64 => 64,
        }
    }

    /// Bytes in memory; also its alignment.
    pub fn bytes(self) -> u32 {
        self.bits() / 8
    }

    /// `i8` … `i64`.
    pub fn is_signed(self) -> bool {
        matches!(self, Scalar::I8 | Scalar::I16 | Scalar::I32 | Scalar::I64)
    }

    /// `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, Scalar::F32 | Scalar::F64)
    }

    /// An integer of any width; `bool` is not one.
    pub fn is_int(self) -> bool {
        !self.is_float() && self != Scalar::Bool
    }

    /// The name Rust gives it.
    pub fn name(self) -> &'static str {
        use Scalar::*;
        match self {
            Bool => "bool",
            I8 => "i8",
            I16 => "i16",
            I32 => "i32",
            I64 => "i64",
            U8 => "u8",
            U16 => "u16",
            U32 => "u32",
            U64 => "u64",
            F32 => "f32",
            F64 => "f64",
        }
    }

    /// The scalar Rust calls `name` (`usize` and `isize` are not scalars of the IR).
    pub fn from_name(name: &str) -> Option<Self> {
        use Scalar::*;
        [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64].into_iter().find(|s| s.name() == name)
    }
}

/// A constant: the low `ty.bits()` bits of `bits`, the rest zero (a negative `i8` is `0x00…00ff`; floats are IEEE bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Const {
    /// Its type.
    pub ty: Scalar,
    /// Its bits.
    pub bits: u64,
}

/// A register: assigned once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u32);

/// A mutable scalar variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

/// A local aggregate in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Local(pub u32);

/// Names a loop or block, unique in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub u32);

/// Index into [`Kernel::sites`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteId(pub u32);

impl SiteId {
    /// Nowhere in the user's source.
    pub const NONE: Self = Self(u32::MAX);
}

/// A value at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A constant.
    Const(Const),
    /// A register's value.
    Reg(Reg),
}

/// Where bytes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// The instance's state.
    State,
    /// The message, read-only.
    Message,
    /// The reply being built.
    Reply,
    /// A local aggregate.
    Local(Local),
}

/// A scalar's place in memory: `root + offset + Σ index × stride`, in bytes, always aligned for the scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The memory it is in.
    pub root: Root,
    /// Constant part of the byte offset.
    pub offset: u32,
    /// Dynamic part: index registers (of the body's index type, [`Body::index`]) and the bytes each step is worth. Each has
    /// been checked against its array's length.
    pub index: Vec<(Operand, u32)>,
}

/// One-operand arithmetic. The result has the operand's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnOp {
    /// `-a`: wrapping for integers, sign flip for floats.
    Neg,
    /// `!a`: bitwise, or logical for `bool`.
    Not,
}

/// Two-operand arithmetic on operands of one type, which is the result's (shifts: the amount is a `U32`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    /// Integers truncate toward zero.
    Div,
    /// The sign of the dividend; for floats, `fmod` (exact).
    Rem,
    /// Also on `bool`.
    And,
    /// Also on `bool`.
    Or,
    /// Also on `bool`.
    Xor,
    Shl,
    /// Arithmetic for signed types.
    Shr,
}

/// Comparison of two operands of one type; the result is a `Bool`. Floats compare as in Rust: false with a NaN, but for `Ne`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum CmpOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Operations that checked arithmetic tests for leaving the type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum OverflowOp {
    Add,
    Sub,
    Mul,
}

/// Functions the devices have instructions or short sequences for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MathFn {
    /// One integer → `U32`.
    CountOnes,
    /// One integer → `U32`; the width for 0.
    LeadingZeros,
    /// One integer → `U32`; the width for 0.
    TrailingZeros,
    /// One integer → the same type, bits in reverse order.
    ReverseBits,
    /// One integer → the same type, bytes in reverse order.
    SwapBytes,
    /// Integer and `U32` amount below the width.
    RotateLeft,
    /// Integer and `U32` amount below the width.
    RotateRight,
    /// Two integers of one type, the smaller. (Float `min` and `max` are [`MathFn::MinNum`], [`MathFn::MaxNum`].)
    Min,
    /// Two integers of one type, the larger.
    Max,
    /// Two floats: Rust's `min`, the other operand if one is a NaN. Of -0 and +0 either may come.
    MinNum,
    /// Two floats: Rust's `max`.
    MaxNum,
    /// One float, sign bit cleared.
    FloatAbs,
    /// One float, correctly rounded.
    Sqrt,
    /// One float, toward -∞.
    Floor,
    /// One float, toward +∞.
    Ceil,
    /// One float, toward zero.
    Trunc,
    /// One float, to nearest, ties away from zero (Rust's `round`).
    Round,
    /// One float, to nearest, ties to even.
    RoundTiesEven,
    /// Magnitude of the first, sign of the second.
    CopySign,
    /// `a * b + c`, rounded once.
    MulAdd,
}

/// How a register gets its value.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A copy of an operand (a name for a constant, mostly).
    Copy(Operand),
    /// The current value of a variable.
    Read(Var),
    /// The scalar at a place; its type is the register's.
    Load(Place),
    /// One-operand arithmetic.
    Unary(UnOp, Operand),
    /// Two-operand arithmetic.
    Binary(BinOp, Operand, Operand),
    /// A comparison.
    Compare(CmpOp, Operand, Operand),
    /// Whether the exact result leaves the integer operands' type. → `Bool`
    Overflows(OverflowOp, Operand, Operand),
    /// The high half of the double-width product of two integers of one type.
    MulHigh(Operand, Operand),
    /// Rust's `as`: to the register's type. Integers truncate or extend by the source's sign; float → integer saturates, NaN is 0;
    /// integer → float and float → float round to nearest even.
    Cast(Operand),
    /// The same bits as another type of the same width (`to_bits`, `from_bits`).
    Bitcast(Operand),
    /// `if c { a } else { b }` without branching; both have been computed.
    Select {
        /// The condition.
        condition: Operand,
        /// The value if it holds.
        yes: Operand,
        /// The value if not.
        no: Operand,
    },
    /// A function.
    Math(MathFn, Vec<Operand>),
    /// `ctx.instance()` → `U32`.
    Instance,
    /// How many words the message has → `U32`. Of one of variable size, nobody has looked at them yet.
    MessageWords,
    /// Whether a kernel sent the message → `Bool`.
    HasSender,
    /// The instance that sent the message → `U32`; any number where no kernel did.
    SenderInstance,
    /// When the message was sent, by its sender's clock → `U64`.
    SentAt,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// Evaluates an expression into a fresh register.
    Let(Reg, Expr),
    /// Writes a variable.
    Set(Var, Operand),
    /// Writes a scalar to memory (never to [`Root::Message`]).
    Store(Place, Operand),
    /// Does something beyond the handler, and puts what came of it into a fresh register.
    Effect(Reg, Effect),
    /// Two-way branch.
    If {
        /// A `Bool`.
        condition: Operand,
        /// Taken if it holds.
        then: Vec<Stmt>,
        /// Taken if not.
        otherwise: Vec<Stmt>,
    },
    /// Repeats until left.
    Loop {
        /// Its name.
        label: Label,
        /// The body.
        body: Vec<Stmt>,
        /// What `continue` and the body's end run before the next round. It may not `Break` or `Continue`; it may `Check`. It
        /// reads no register of the body, only variables and registers from outside the loop.
        step: Vec<Stmt>,
    },
    /// A block that can be left early.
    Block {
        /// Its name.
        label: Label,
        /// What it holds.
        body: Vec<Stmt>,
    },
    /// Leaves the loop or block with this label.
    Break(Label),
    /// Starts the next round of the loop with this label.
    Continue(Label),
    /// Ends the handler with a fault if the operand (a `Bool`) is true.
    Check {
        /// True means fault.
        failed: Operand,
        /// What to report.
        kind: FaultKind,
        /// Where.
        site: SiteId,
    },
    /// Ends the handler with a fault.
    Fault {
        /// What to report.
        kind: FaultKind,
        /// Where.
        site: SiteId,
    },
    /// Ends the handler; the reply is in place.
    Finish,
    /// The statements that follow come from this line of the user's source. For comments in the emitted code.
    Source {
        /// Line in the user's file.
        line: u32,
        /// The statement, shortened to one line.
        text: String,
    },
}

/// A register's type and, where it has one, the user's name for it.
#[derive(Clone, Debug)]
pub struct RegInfo {
    /// Its type.
    pub ty: Scalar,
    /// The user's name.
    pub name: Option<String>,
}

/// A variable's type and name.
#[derive(Clone, Debug)]
pub struct VarInfo {
    /// Its type.
    pub ty: Scalar,
    /// The user's name, or what it is for.
    pub name: String,
}

/// A local aggregate.
#[derive(Clone, Debug)]
pub struct LocalInfo {
    /// Bytes.
    pub size: u32,
    /// Alignment.
    pub align: u32,
    /// The user's name, or what it is for.
    pub name: String,
}

/// The code of one handler.
#[derive(Clone, Debug)]
pub struct Body {
    /// Registers, by number.
    pub regs: Vec<RegInfo>,
    /// Variables, by number.
    pub vars: Vec<VarInfo>,
    /// Local aggregates, by number.
    pub locals: Vec<LocalInfo>,
    /// How many labels there are.
    pub labels: u32,
    /// The type of index registers: `U64`, or `U32` where the device's `usize` is 32 bits.
    pub index: Scalar,
    /// The statements.
    pub code: Vec<Stmt>,
}

/// A type's size and alignment in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Bytes, a multiple of `align`.
    pub size: u32,
    /// Alignment, a power of two.
    pub align: u32,
}

/// One handler.
#[derive(Clone, Debug)]
pub struct Handler {
    /// The method's name.
    pub name: String,
    /// The message type's name.
    pub message: String,
    /// The message's tag.
    pub tag: u32,
    /// The message's layout.
    pub message_layout: Layout,
    /// The reply type's name.
    pub reply: String,
    /// The reply's tag.
    pub reply_tag: u32,
    /// The reply's layout.
    pub reply_layout: Layout,
    /// The message's `bool` fields, by byte offset: a device checks that each byte is 0 or 1 before it runs the handler.
    pub message_bools: Vec<u32>,
    /// The code.
    pub body: Body,
}

/// A place in the user's source that can fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Text of a `panic!` or `assert!`.
    pub message: String,
}

/// An actor's handlers, ready to be printed.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The struct's name.
    pub actor: String,
    /// Its id.
    pub id: String,
    /// The state's layout.
    pub state: Layout,
    /// The handlers, in the order written.
    pub handlers: Vec<Handler>,
    /// Where faults come from.
    pub sites: Vec<Site>,
    /// Whom they talk to.
    pub mesh: Mesh,
}

impl Body {
    /// The type of an operand.
    pub fn type_of(&self, operand: Operand) -> Scalar {
        match operand {
            Operand::Const(c) => c.ty,
            Operand::Reg(r) => self.regs[r.0 as usize].ty,
        }
    }
}

impl Const {
    /// A `U32`.
    pub fn u32(value: u32) -> Self {
        Self { ty: Scalar::U32, bits: value as u64 }
    }

    /// A `Bool`.
    pub fn bool(value: bool) -> Self {
        Self { ty: Scalar::Bool, bits: value as u64 }
    }

    /// The value as a signed number (of an integer type).
    pub fn as_i128(self) -> i128 {
        let shift = 64 - self.ty.bits();
        if self.ty.is_signed() { ((self.bits << shift) as i64 >> shift) as i128 } else { self.bits as i128 }
    }
}
