//! A decoded program: one array of operations for all functions of a module.
//!
//! Every operand is a register, an index into the register file of a warp: immediates and special registers have registers of their own, which
//! are filled when a warp begins. Registers, locals and parameters of a function have one place each, for functions do not call themselves
//! here (the decoder refuses it); so a call moves nothing but the place in the text. A predicate is one word, a bit a lane.

use super::convert::Convert;
use super::memory::Store;
use std::collections::HashMap;

/// A register: 32 lanes of 64 bits. A narrower value is zero-extended; a `.b128` has two, the low half first.
pub(super) type Reg = u32;
/// Where nobody reads: the destination `_`.
pub(super) const SINK: Reg = 0;
/// The predicate that is always true, and the one that nobody reads.
pub(super) const TRUE: u32 = 0;
pub(super) const NOWHERE: u32 = 1;

/// A register's values.
pub(super) type Lanes = [u64; 32];

/// What an operation does with the values of a lane, and with those of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct One {
    pub(super) lane: fn(u64) -> u64,
    pub(super) all: fn(&Lanes) -> Lanes,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Two {
    pub(super) lane: fn(u64, u64) -> u64,
    pub(super) all: fn(&Lanes, &Lanes) -> Lanes,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Three {
    pub(super) lane: fn(u64, u64, u64) -> u64,
    pub(super) all: fn(&Lanes, &Lanes, &Lanes) -> Lanes,
}

/// As [`Two`], of what holds or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compare {
    pub(super) lane: fn(u64, u64) -> bool,
    pub(super) all: fn(&Lanes, &Lanes) -> u32,
}

/// A predicate, or its opposite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) pred: u32,
    /// All ones where the opposite is meant.
    pub(super) flip: u32,
}

impl Flag {
    pub(super) const ALWAYS: Flag = Flag { pred: TRUE, flip: 0 };

    /// The lanes for which it holds.
    #[inline(always)]
    pub(super) fn lanes(self, preds: &[u32]) -> u32 {
        preds[self.pred as usize] ^ self.flip
    }
}

/// How two predicates become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logic {
    /// The first alone.
    First,
    And,
    Or,
    Xor,
}

impl Logic {
    #[inline(always)]
    pub(super) fn of(self, a: u32, b: u32) -> u32 {
        match self {
            Logic::First => a,
            Logic::And => a & b,
            Logic::Or => a | b,
            Logic::Xor => a ^ b,
        }
    }
}

/// What an address is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Generic,
    Global,
    /// The block's shared window.
    Shared,
    /// The lane's own window: locals, and what calls pass.
    Local,
    /// What the launch passed.
    Param,
}

/// A load's or store's registers and place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) base: Base,
    /// Bytes of an element: 1 to 8, or 16.
    pub(super) size: u8,
    /// Elements.
    pub(super) count: u8,
    /// A load extends the sign.
    pub(super) signed: bool,
    /// It comes after everything that was written before.
    pub(super) release: bool,
    /// What comes after it sees what was written before what it reads.
    pub(super) acquire: bool,
    /// Nobody else writes there meanwhile: a load may find what it found before.
    pub(super) weak: bool,
    /// Bits of the registers.
    pub(super) width: u8,
    pub(super) at: Reg,
    pub(super) offset: i64,
    pub(super) regs: [Reg; 4],
}

/// What a clock tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Nanoseconds since the process began: a clock of 1 GHz.
    Cycles,
    CyclesLow,
    CyclesHigh,
    /// Nanoseconds of the time of day.
    Time,
    TimeLow,
    TimeHigh,
}

/// Which lane a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vote {
    All,
    Any,
    Uniform,
}

/// An instruction that the lanes of a mask execute together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Together {
    Barrier,
    Shuffle { how: Shuffle, d: Reg, valid: u32, a: Reg, b: Reg, c: Reg },
    Vote { how: Vote, d: u32, a: Flag },
    Ballot { d: Reg, a: Flag },
    MatchAny { d: Reg, a: Reg },
    MatchAll { d: Reg, same: u32, a: Reg },
    Reduce { f: Two, d: Reg, a: Reg },
    Elect { d: Reg, p: u32 },
}

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Copy {
        d: Reg,
        a: Reg,
    },
    One {
        f: One,
        d: Reg,
        a: Reg,
    },
    Two {
        f: Two,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Three {
        f: Three,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Convert {
        how: Convert,
        d: Reg,
        a: Reg,
    },
    /// `lop3`
    Logic3 {
        table: u8,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Compare {
        f: Compare,
        p: u32,
        q: u32,
        a: Reg,
        b: Reg,
        logic: Logic,
        c: Flag,
    },
    Select {
        d: Reg,
        a: Reg,
        b: Reg,
        c: Flag,
    },
    Flags {
        logic: Logic,
        d: u32,
        a: Flag,
        b: Flag,
    },
    Clock {
        which: Clock,
        d: Reg,
    },
    Active {
        d: Reg,
    },
    Load(Access),
    Store(Access),
    /// `atom`, and `red` with its destination nowhere: `f` of what is there, `b` and `c` gets there.
    Atomic {
        f: Three,
        access: Access,
        b: Reg,
        c: Reg,
    },
    Fence,
    /// From a window's address to a generic one.
    Generic {
        base: Base,
        d: Reg,
        a: Reg,
    },
    /// And back.
    Window {
        base: Base,
        d: Reg,
        a: Reg,
    },
    Within {
        base: Base,
        p: u32,
        a: Reg,
    },
    /// Bytes of the lane's window: what calls pass.
    Pass {
        from: u32,
        to: u32,
        bytes: u32,
    },
    Branch {
        to: u32,
    },
    Call {
        to: u32,
        back: Reg,
    },
    Return {
        back: Reg,
    },
    Exit,
    Trap,
    Nap {
        a: Reg,
    },
    Together {
        what: Together,
        mask: Reg,
    },
    /// The block's barrier of that number, for so many threads (0: all); without waiting, if so.
    Barrier {
        number: Reg,
        threads: Option<Reg>,
        wait: bool,
    },
}

/// An operation, for whom, and where it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instr {
    pub(super) op: Op,
    pub(super) guard: Flag,
    pub(super) line: u32,
}

/// What a warp fills in when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    Lane,
    Warp,
    Warps,
    Sm,
    Sms,
    Grid,
    MaskEq,
    MaskLt,
    MaskLe,
    MaskGt,
    MaskGe,
    DynamicShared,
    TotalShared,
}

/// An entry: where it begins, and what it takes.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) name: String,
    pub(super) pc: u32,
    /// Offset and size of each parameter.
    pub(super) params: Vec<(u32, u32)>,
    pub(super) param_bytes: u32,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) code: Vec<Instr>,
    /// The bits of every register that is not filled in; what nobody has written is noise of that width.
    pub(super) widths: Vec<u8>,
    pub(super) preds: u32,
    pub(super) constants: Vec<(Reg, u64)>,
    pub(super) specials: Vec<(Reg, Special)>,
    pub(super) entries: Vec<Start>,
    /// Names of `.global` and `.const` variables, with address and size.
    pub(super) globals: HashMap<String, (u64, u64)>,
    /// Their memory.
    pub(super) data: Store,
    /// Static shared memory, and where a launch's own begins.
    pub(super) shared: u32,
    pub(super) dynamic: u32,
    /// A lane's window.
    pub(super) local: u32,
    /// The text, for messages.
    pub(super) lines: Vec<String>,
    /// Names of functions, and where they begin, in order.
    pub(super) functions: Vec<(u32, String)>,
}

impl Program {
    /// Where an operation stands, for a person.
    pub(super) fn place(&self, pc: u32) -> String {
        let line = self.code.get(pc as usize).map_or(0, |instr| instr.line);
        let text = self.lines.get((line as usize).wrapping_sub(1)).map_or("", |line| line.trim());
        let function = self.functions.iter().rev().find(|(start, _)| *start <= pc);
        let name = function.map_or("", |(_, name)| name.as_str());
        format!("line {line} (in {name}): {text}")
    }
}
