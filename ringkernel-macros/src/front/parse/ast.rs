//! The surface language: what remains of Rust's syntax once everything that devices cannot run has been turned away.
//!
//! `if let`, `while let` and `matches!` are gone (they are `match`es), parentheses too; nothing has a type yet. A span is that of the leftmost
//! token, which is where rustc says a panic comes from.

use crate::collect::variable::Holder;
use crate::front::types::Prim;
use crate::ir;
use proc_macro2::Span;

/// A path as written.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// Where.
    pub(crate) span: Span,
    /// Its tokens without spaces: the key of `Uses`.
    pub(crate) text: String,
    /// Its segments.
    pub(crate) segments: Vec<String>,
}

impl Path {
    /// The only segment.
    pub(crate) fn single(&self) -> Option<&str> {
        if self.segments.len() == 1 { Some(&self.segments[0]) } else { None }
    }

    /// The last segment.
    pub(crate) fn last(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TypeExpr {
    pub(crate) span: Span,
    pub(crate) kind: TypeKind,
}

#[derive(Clone, Debug)]
pub(crate) enum TypeKind {
    Prim(Prim),
    Path(Path),
    SelfType,
    Array(Box<TypeExpr>, Box<Expr>),
    Tuple(Vec<TypeExpr>),
    Ref(bool, Box<TypeExpr>),
    Infer,
    Never,
    /// `RingContext`.
    Context,
    /// `Archived<T>`
    Archived(Box<TypeExpr>),
    /// `Vec<T>` and `Option<T>`, in messages of variable size.
    Held(Holder, Box<TypeExpr>),
    /// `String`, in messages of variable size.
    String,
    /// Reported.
    Error,
}

/// `.name` or `.0`.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) span: Span,
    pub(crate) name: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Pat {
    pub(crate) span: Span,
    pub(crate) kind: PatKind,
}

#[derive(Clone, Debug)]
pub(crate) enum PatKind {
    Wild,
    /// A name: a binding, or a constant if one has that name.
    Ident {
        name: String,
        mutable: bool,
        by_ref: bool,
        sub: Option<Box<Pat>>,
    },
    /// Elements, and where `..` stands among them.
    Tuple(Vec<Pat>, Option<usize>),
    Array(Vec<Pat>, Option<usize>),
    Struct {
        path: Path,
        fields: Vec<(Member, Pat)>,
    },
    TupleStruct {
        path: Path,
        elements: Vec<Pat>,
        rest: Option<usize>,
    },
    /// A literal or the path of a constant.
    Value(Box<Expr>),
    Range {
        low: Option<Box<Expr>>,
        high: Option<Box<Expr>>,
        inclusive: bool,
    },
    Or(Vec<Pat>),
    Ref(Box<Pat>),
    /// Reported.
    Error,
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) span: Span,
    pub(crate) kind: ExprKind,
}

/// What an operator does, once short-circuiting and comparing ones are set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Neg,
    Not,
    Deref,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Int(u128, Option<Prim>),
    /// The digits, and the suffix.
    Float(String, Option<Prim>),
    Bool(bool),
    Path(Path),
    Field(Box<Expr>, Member),
    Index(Box<Expr>, Box<Expr>),
    Unary(Unary, Box<Expr>),
    Ref(bool, Box<Expr>),
    Binary(ir::BinOp, Box<Expr>, Box<Expr>),
    Compare(ir::CmpOp, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// The left side may be a tuple of places, or `_` (see [`ExprKind::Underscore`]).
    Assign(Box<Expr>, Box<Expr>),
    AssignOp(ir::BinOp, Box<Expr>, Box<Expr>),
    Underscore,
    Cast(Box<Expr>, TypeExpr),
    Call(Path, Vec<Expr>),
    Method {
        receiver: Box<Expr>,
        name: Member,
        /// The one type between `::<` and `>`; only methods of a context have it.
        turbofish: Option<Box<Turbofish>>,
        args: Vec<Expr>,
    },
    /// A literal, as an argument of a method whose name a context's method has.
    Text(String),
    /// `(low..high).contains(&item)`
    RangeContains {
        range: Box<RangeExpr>,
        item: Box<Expr>,
    },
    Panic(String),
    Assert {
        condition: Box<Expr>,
        message: String,
        debug: bool,
    },
    AssertCompare {
        equal: bool,
        left: Box<Expr>,
        right: Box<Expr>,
        message: String,
        debug: bool,
    },
    If {
        condition: Box<Expr>,
        then: Block,
        otherwise: Option<Box<Expr>>,
    },
    Match {
        scrutinee: Box<Expr>,
        arms: Vec<Arm>,
    },
    Block {
        label: Option<String>,
        block: Block,
    },
    While {
        label: Option<String>,
        condition: Box<Expr>,
        body: Block,
    },
    Loop {
        label: Option<String>,
        body: Block,
    },
    For {
        label: Option<String>,
        pat: Pat,
        iter: Box<Iter>,
        body: Block,
    },
    Break(Option<String>, Option<Box<Expr>>),
    Continue(Option<String>),
    Return(Option<Box<Expr>>),
    Array(Vec<Expr>),
    Repeat(Box<Expr>, Box<Expr>),
    Tuple(Vec<Expr>),
    Struct {
        path: Path,
        fields: Vec<(Member, Expr)>,
        base: Option<Box<Expr>>,
    },
    /// Reported.
    Error,
}

/// The type between `::<` and `>`.
#[derive(Clone, Debug)]
pub(crate) struct Turbofish {
    pub(crate) span: Span,
    /// As it is written.
    pub(crate) written: syn::Type,
    /// As the language of devices sees it; only of a message, since an actor is no type there.
    pub(crate) ty: Option<TypeExpr>,
}

#[derive(Clone, Debug)]
pub(crate) struct RangeExpr {
    pub(crate) low: Option<Expr>,
    pub(crate) high: Option<Expr>,
    pub(crate) inclusive: bool,
}

/// What a `for` runs over.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // always boxed
pub(crate) enum Iter {
    Range {
        low: Expr,
        high: Expr,
        inclusive: bool,
        adapters: Vec<Adapter>,
    },
    /// An array, its `.iter()`, `.iter_mut()` or a reference to it.
    Array {
        array: Expr,
        /// `None`: by value or whatever the expression's type says; `Some(mutable)`: `.iter()`, `.iter_mut()`.
        by_ref: Option<bool>,
        reversed: bool,
        enumerated: bool,
    },
    /// Reported.
    Error,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one or two of them
pub(crate) enum Adapter {
    Rev,
    StepBy(Expr, Span),
}

#[derive(Clone, Debug)]
pub(crate) struct Arm {
    pub(crate) pat: Pat,
    pub(crate) guard: Option<Expr>,
    pub(crate) body: Expr,
}

/// A statement's line and text, for comments in the emitted code.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) span: Span,
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) stmts: Vec<Stmt>,
    /// The value.
    pub(crate) tail: Option<(Box<Expr>, Source)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Stmt {
    pub(crate) source: Source,
    pub(crate) kind: StmtKind,
}

#[derive(Clone, Debug)]
pub(crate) enum StmtKind {
    Let {
        pat: Pat,
        ty: Option<TypeExpr>,
        init: Option<Expr>,
        /// The block after `else`.
        otherwise: Option<Block>,
    },
    Const(Const),
    /// With a semicolon, or a block-like expression without.
    Expr(Expr),
}

#[derive(Clone, Debug)]
pub(crate) struct Const {
    pub(crate) name: String,
    pub(crate) ty: TypeExpr,
    pub(crate) value: Expr,
}

/// How a method takes `self`.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) span: Span,
    pub(crate) mutable: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) params: Vec<(Pat, TypeExpr)>,
    pub(crate) ret: Option<TypeExpr>,
    pub(crate) body: Block,
}
