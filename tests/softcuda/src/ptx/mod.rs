//! The text of a PTX module, taken apart: directives, scopes, instructions and their operands, by name and unchecked.
//!
//! `lex` makes tokens, `parse` makes a [`Text`] of them. Nothing here knows what an instruction does: that is
//! [`machine`](crate::machine)'s decoder, which also refuses what it does not know. Source: PTX ISA, "Syntax".

mod lex;
mod parse;

use thiserror::Error;

/// Why a text cannot be run: where, and what is wrong there. It goes into the log of whoever loads the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct PtxError {
    /// The line, from 1; 0 where the text as a whole is meant.
    pub line: u32,
    /// What is wrong.
    pub what: String,
}

impl PtxError {
    pub(crate) fn new(line: u32, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Takes a text apart.
///
/// # Errors
/// What is not PTX, or is a directive that nothing here uses.
///
/// ```
/// let text = softcuda::ptx::parse(".version 8.4\n.target sm_70\n.address_size 64\n.visible .entry empty() { ret; }").unwrap();
/// assert_eq!(text.version, (8, 4));
/// assert_eq!(text.functions[0].name, "empty");
/// ```
pub fn parse(text: &str) -> Result<Text, PtxError> {
    parse::parse(text)
}

/// A module's text.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// `.version`
    pub version: (u32, u32),
    /// `.target`: the first of its words, `sm_90` say.
    pub target: String,
    /// Module variables.
    pub variables: Vec<Variable>,
    /// Functions and entries, those without a body (declarations) too.
    pub functions: Vec<Function>,
}

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Device memory.
    Global,
    /// Device memory that nobody writes.
    Const,
    /// A block's.
    Shared,
    /// A lane's.
    Local,
    /// What calls and launches pass.
    Param,
}

/// A fundamental type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F32,
    F64,
}

impl Type {
    /// The type of that name, without its dot.
    pub fn named(name: &str) -> Option<Self> {
        use Type::*;
        Some(match name {
            "pred" => Pred,
            "b8" => B8,
            "b16" => B16,
            "b32" => B32,
            "b64" => B64,
            "b128" => B128,
            "u8" => U8,
            "u16" => U16,
            "u32" => U32,
            "u64" => U64,
            "s8" => S8,
            "s16" => S16,
            "s32" => S32,
            "s64" => S64,
            "f16" => F16,
            "f32" => F32,
            "f64" => F64,
            _ => return None,
        })
    }

    /// How many bits a value has; 1 for a predicate.
    pub fn bits(self) -> u32 {
        use Type::*;
        match self {
            Pred => 1,
            B8 | U8 | S8 => 8,
            B16 | U16 | S16 | F16 => 16,
            B32 | U32 | S32 | F32 => 32,
            B64 | U64 | S64 | F64 => 64,
            B128 => 128,
        }
    }

    /// How many bytes a value has in memory; 0 for a predicate, which has no place there.
    pub fn bytes(self) -> u32 {
        self.bits() / 8
    }

    /// Whether it is a signed integer.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether it is a float.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F16 | Type::F32 | Type::F64)
    }
}

/// A variable in memory: of a module, of a function, or what is passed.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub space: Space,
    /// The type of its elements.
    pub ty: Type,
    /// How many elements it has; `None` for an array whose size the launch says.
    pub count: Option<u64>,
    /// Its alignment in bytes.
    pub align: u64,
    /// The values of its first elements; the rest is zero.
    pub init: Vec<Init>,
    /// `.extern`
    pub external: bool,
    /// Where it is declared.
    pub line: u32,
}

impl Variable {
    /// Its size in bytes; 0 where the launch says it.
    pub fn bytes(&self) -> u64 {
        self.count.unwrap_or(0).saturating_mul(self.ty.bytes() as u64)
    }
}

/// An element's first value.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Bits, of which the element takes as many as it has.
    Bits(u64),
    /// An `f32`'s bits.
    Single(u32),
    /// An `f64`.
    Double(f64),
    /// A variable's address and so many bytes.
    Address(String, i64),
}

/// A function or entry.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether a launch can name it.
    pub entry: bool,
    /// What it returns.
    pub returns: Vec<Variable>,
    /// What it takes.
    pub parameters: Vec<Variable>,
    /// Its statements; `None` for a declaration.
    pub body: Option<Vec<Statement>>,
    /// Where it begins.
    pub line: u32,
}

/// What stands in a body.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `NAME:`
    Label(String, u32),
    /// `.reg .b32 %a, %r<4>;`: names, and for those with angle brackets how many.
    Registers(Type, Vec<(String, Option<u32>)>, u32),
    /// `.local`, `.shared`, `.param` and the like.
    Variable(Variable),
    /// Braces, with names of their own.
    Scope(Vec<Statement>),
    /// An instruction.
    Instruction(Instruction),
}

/// An instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Where it stands.
    pub line: u32,
    /// `@p` or `@!p` (then true).
    pub guard: Option<(String, bool)>,
    /// Its first word: `ld`.
    pub name: String,
    /// The others, without their dots: `relaxed`, `sys`, `global`, `b128`.
    pub modifiers: Vec<String>,
    /// What it takes and gives, in order.
    pub operands: Vec<Operand>,
}

impl Instruction {
    /// The name with its modifiers, as in the text.
    pub fn opcode(&self) -> String {
        let mut text = self.name.clone();
        for modifier in &self.modifiers {
            text.push('.');
            text.push_str(modifier);
        }
        text
    }
}

/// What an instruction takes or gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a special register (`%tid.x`), a variable, a label or a function.
    Name(String),
    /// A variable's address and so many bytes, without brackets.
    Sum(String, i64),
    /// An integer's 64 bits.
    Bits(u64),
    /// `0f…`: an `f32`'s bits.
    Single(u32),
    /// `0d…`, or a decimal number.
    Double(f64),
    /// `!p`
    Not(String),
    /// `a|b`
    Pair(String, String),
    /// `{a, b}`
    Vector(Vec<Operand>),
    /// `[a+8]`; without a name, an address in numbers.
    Address(Option<String>, i64),
    /// `(a, b)` of a call.
    List(Vec<Operand>),
}
