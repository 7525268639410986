//! The typed tree: every name resolved, every expression with its type, every dereference spelled out.
//!
//! Types may be inference variables of the body's [`Table`], which is finished when the body is: ask it.

use super::infer::Table;
use crate::front::methods::NumMethod;
use crate::front::parse::ast::Source;
use crate::front::types::Ty;
use crate::ir::{BinOp, CmpOp, Const, RouteId, TopicId};
use crate::program::DefId;
use proc_macro2::{Span, TokenStream};
use std::rc::Rc;

/// A local variable, by number within its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LocalId(pub(crate) usize);

/// A loop or labelled block, by number within its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LoopId(pub(crate) usize);

/// A function that can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FnId {
    /// A `#[device_fn]`.
    Free(DefId),
    /// A method of the impl without `#[handler]`.
    Method(usize),
    /// A handler.
    Handler(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct LocalInfo {
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) mutable: bool,
}

/// A function's or constant's body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// One pattern a parameter; `self` first.
    pub(crate) params: Vec<Pat>,
    pub(crate) locals: Vec<LocalInfo>,
    pub(crate) ret: Ty,
    pub(crate) value: Expr,
    pub(crate) table: Table,
}

/// A constant.
#[derive(Debug)]
pub(crate) struct ConstItem {
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) body: Rc<Body>,
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) span: Span,
    pub(crate) ty: Ty,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Int(u128),
    /// Its digits, so that an `f32` is rounded once.
    Float(String),
    Bool(bool),
    /// `u32::MAX`, `f32::consts::PI`: with `usize` as 64 bits.
    Constant(Const),
    Named(Rc<ConstItem>),
    Local(LocalId),
    /// A field of a struct or tuple, by position.
    Field(Box<Expr>, usize),
    Index(Box<Expr>, Box<Expr>),
    Deref(Box<Expr>),
    Ref(bool, Box<Expr>),
    Neg(Box<Expr>),
    Not(Box<Expr>),
    Binary(BinOp, Box<Expr>, Box<Expr>),
    Compare(CmpOp, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// To a place, a tuple or array of places, or nowhere ([`Kind::Underscore`]).
    Assign(Box<Expr>, Box<Expr>),
    AssignOp(BinOp, Box<Expr>, Box<Expr>),
    /// `_` on the left of `=`.
    Underscore,
    Cast(Box<Expr>),
    Call(FnId, Vec<Expr>),
    /// A method of a number; the receiver is the first argument. The span is the method's name.
    Number(&'static NumMethod, Vec<Expr>, Span),
    Array(ArrayMethod, Vec<Expr>, Span),
    /// `mem::swap`, `mem::replace`: places by reference, then the value.
    Swap(Box<Expr>, Box<Expr>),
    Replace(Box<Expr>, Box<Expr>),
    Instance,
    /// A method of the context that does something, with its arguments.
    Context(Box<ContextCall>, Vec<Expr>),
    /// What is asked of something in an archive.
    Archived(ArchivedOp, Box<Expr>),
    /// Elements of a tuple or array, or fields by position in the order written; what the base gives is left out.
    Aggregate {
        fields: Vec<(usize, Expr)>,
        base: Option<Box<Expr>>,
    },
    Repeat(Box<Expr>, u64),
    Panic(String),
    Assert {
        condition: Box<Expr>,
        message: String,
        debug: bool,
    },
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    Match {
        scrutinee: Box<Expr>,
        arms: Vec<Arm>,
    },
    Block {
        /// Where it can be left early.
        label: Option<LoopId>,
        stmts: Vec<Stmt>,
        tail: Option<(Box<Expr>, Source)>,
    },
    While {
        id: LoopId,
        condition: Box<Expr>,
        body: Box<Expr>,
    },
    Loop {
        id: LoopId,
        body: Box<Expr>,
    },
    For {
        id: LoopId,
        pat: Pat,
        iter: Box<Iter>,
        body: Box<Expr>,
    },
    Break(LoopId, Option<Box<Expr>>),
    Continue(LoopId),
    Return(Option<Box<Expr>>),
    /// Reported.
    Error,
}

/// What a handler does through its context, and what it asks it.
#[derive(Clone, Debug)]
pub(crate) enum ContextCall {
    /// Of an instance and a message.
    Send(RouteId),
    /// Of an instance and a message; the receiver's type as written.
    Forward(RouteId, TokenStream),
    /// Of a message.
    Reply,
    /// Of a message.
    Output,
    /// Of a message.
    Publish {
        topic: TopicId,
        retain: bool,
    },
    /// Its type is `(bool, M)`: whether there was one, and the message if so. Stands in a `match` only.
    Receive(RouteId),
    /// `now`, `tick`
    Now,
    Tick,
    /// Of a timestamp.
    UpdateClock,
    HasSender,
    SenderInstance,
    SentAt,
}

/// What can be asked of something in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchivedOp {
    /// A number's value.
    ToNative,
    /// Of a vector, a string or its bytes.
    Len,
    IsEmpty,
    /// The bytes of a string.
    AsBytes,
    /// Of an option.
    IsSome,
    IsNone,
    /// Its type is `(bool, &T)`, as an option's that was received.
    AsRef,
}

/// Methods of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrayMethod {
    Swap,
    Fill,
}

#[derive(Clone, Debug)]
pub(crate) struct Arm {
    pub(crate) pat: Pat,
    pub(crate) guard: Option<Expr>,
    pub(crate) body: Expr,
}

#[derive(Clone, Debug)]
pub(crate) struct Stmt {
    pub(crate) source: Source,
    pub(crate) kind: StmtKind,
}

#[derive(Clone, Debug)]
pub(crate) enum StmtKind {
    /// With the block of `let … else`, which control does not leave.
    Let {
        pat: Pat,
        init: Option<Expr>,
        otherwise: Option<Expr>,
    },
    Expr(Expr),
}

/// What a `for` runs over.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // always boxed
pub(crate) enum Iter {
    Range {
        low: Expr,
        high: Expr,
        inclusive: bool,
        /// `.rev()` before `.step_by`.
        reversed: bool,
        step: Option<(Expr, Span)>,
        /// `.rev()` after `.step_by`.
        reversed_after: bool,
    },
    Array {
        array: Expr,
        /// `None`: the elements by value.
        by_ref: Option<bool>,
        reversed: bool,
        enumerated: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Pat {
    #[allow(dead_code, reason = "for diagnostics to come; every node has one")]
    pub(crate) span: Span,
    pub(crate) ty: Ty,
    pub(crate) kind: PatKind,
}

#[derive(Clone, Debug)]
pub(crate) enum PatKind {
    Wild,
    Bind {
        local: LocalId,
        /// `ref`, `ref mut`, or a name under a pattern that looks through a reference.
        by_ref: bool,
        sub: Option<Box<Pat>>,
    },
    /// Fields of a tuple or struct by position.
    Fields(Vec<(usize, Pat)>),
    /// Elements of an array by position.
    Elements(Vec<(u64, Pat)>),
    Value(Box<Expr>),
    Range {
        low: Option<Box<Expr>>,
        high: Option<Box<Expr>>,
        inclusive: bool,
    },
    Or(Vec<Pat>),
    Deref(Box<Pat>),
}

impl Pat {
    /// Whether it binds no name.
    pub(crate) fn binds_nothing(&self) -> bool {
        match &self.kind {
            PatKind::Wild | PatKind::Value(_) | PatKind::Range { .. } => true,
            PatKind::Bind { .. } => false,
            PatKind::Fields(fields) => fields.iter().all(|(_, p)| p.binds_nothing()),
            PatKind::Elements(elements) => elements.iter().all(|(_, p)| p.binds_nothing()),
            PatKind::Or(cases) => cases.iter().all(Pat::binds_nothing),
            PatKind::Deref(inner) => inner.binds_nothing(),
        }
    }
}
