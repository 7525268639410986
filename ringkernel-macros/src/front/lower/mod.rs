//! Typed tree → [`ir`](crate::ir): evaluation order, checks, memory.
//!
//! Functions are inlined where they are called, references are resolved to the places they point to, aggregates are built where they
//! are wanted. What Rust would panic for becomes a check in front of the operation.
//!
//! Start at [`handler`]; `expr` lowers values and places, `control` branches and loops, `iter` the `for`s, `pat` patterns, `call` calls,
//! `context` what reaches beyond the handler, `arith` operators and casts, [`number`] the methods of numbers, `value` says what values are, `builder` writes statements.

mod archived;
mod arith;
mod builder;
mod call;
mod context;
mod control;
mod expr;
mod iter;
pub(crate) mod number;
mod pat;
mod sites;
mod value;

use super::Options;
use super::typed::env::Env;
use super::typed::tree::{Body, FnId, LoopId};
use super::types::{Arch, HLC, Prim, Ty};
use crate::diag::Diagnostic;
use crate::ir::{self, Const, Label, Operand, Place, Root, Scalar, Stmt};
pub(crate) use archived::root_size;
use builder::Builder;
use proc_macro2::Span;
pub(crate) use sites::Sites;
use std::collections::HashMap;
use std::rc::Rc;
use value::{Dest, Target, Value};

/// What a local variable of the user is.
#[derive(Clone, Debug)]
enum Slot {
    Unset,
    Value(Value),
    Var(ir::Var),
    Memory(Place),
}

/// Where `break` goes.
#[derive(Clone, Debug)]
struct Exit {
    label: Label,
    dest: Dest,
    /// The type of the value it carries.
    ty: Ty,
}

/// Where `return` goes.
#[derive(Clone, Debug)]
enum Return {
    /// Ends the handler.
    Finish,
    /// Ends an inlined function.
    Break(Label),
}

/// A body being lowered; inlining stacks them.
struct Frame {
    body: Rc<Body>,
    slots: Vec<Slot>,
    exits: HashMap<LoopId, Exit>,
    ret: Return,
    dest: Dest,
}

/// Lowers one handler.
pub(crate) struct Lower<'e, 'p> {
    env: &'e mut Env<'p>,
    b: Builder,
    sites: &'e mut Sites,
    checked: bool,
    /// The type of an index: what `usize` is.
    index: Scalar,
    frames: Vec<Frame>,
    /// The functions being inlined, outermost first.
    calls: Vec<FnId>,
    /// Something needs all 64 bits of a `usize`.
    wants_wide: bool,
    too_large: bool,
    /// See [`Lower::lost`].
    confused: bool,
    /// Name and tag of what the handler answers.
    answer: Option<(String, u32)>,
    /// Constant arrays that are indexed, in memory, by the constant's address.
    tables: HashMap<usize, Place>,
}

impl<'e, 'p> Lower<'e, 'p> {
    fn new(env: &'e mut Env<'p>, sites: &'e mut Sites, checked: bool, index: Scalar) -> Self {
        Self {
            env,
            b: Builder::new(),
            sites,
            checked,
            index,
            frames: Vec::new(),
            calls: Vec::new(),
            wants_wide: false,
            too_large: false,
            confused: false,
            answer: None,
            tables: HashMap::new(),
        }
    }

    fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// The type of an expression of the body being lowered.
    fn ty(&self, ty: &Ty) -> Ty {
        match self.frames.last() {
            Some(frame) => frame.body.table.deep(ty),
            None => ty.clone(),
        }
    }

    fn new_frame(&self, body: Rc<Body>, ret: Return, dest: Dest) -> Frame {
        let slots = vec![Slot::Unset; body.locals.len()];
        Frame { body, slots, exits: HashMap::new(), ret, dest }
    }
}

/// The value of a constant expression, if it has one; `usize` is 64 bits.
pub(crate) fn constant(env: &mut Env<'_>, body: &Body) -> Option<Const> {
    let mut sites = Sites::default();
    let before = env.diagnostics.len();
    let mut lower = Lower::new(env, &mut sites, true, Scalar::U64);
    let body = Rc::new(body.clone());
    let frame = lower.new_frame(body.clone(), Return::Finish, Dest::Ignore);
    lower.frames.push(frame);
    let value = lower.operand(&body.value);
    let (stmts, _) = lower.b.close();
    let clean = env.diagnostics.len() == before;
    match value {
        Operand::Const(value) if clean && !stmts.iter().any(|s| !matches!(s, Stmt::Source { .. })) => {
            Some(value)
        }
        _ => None,
    }
}

/// The code of the `index`-th handler.
pub(crate) fn handler(
    env: &mut Env<'_>,
    sites: &mut Sites,
    options: Options,
    index: usize,
) -> Result<ir::Handler, Vec<Diagnostic>> {
    let narrow = if options.usize_is_32 { Scalar::U32 } else { Scalar::U64 };
    let (before, known) = (env.diagnostics.len(), sites.len());
    let mut lower = Lower::new(env, sites, options.checked, narrow);
    let mut handler = lower.handler(index);
    let mut confused = lower.confused;
    if lower.wants_wide && narrow == Scalar::U32 {
        // A constant or an operation needs 64 bits: start again with a `usize` that has them.
        env.diagnostics.truncate(before);
        sites.truncate(known);
        let mut lower = Lower::new(env, sites, options.checked, Scalar::U64);
        handler = lower.handler(index);
        confused = lower.confused;
    }
    if confused && env.diagnostics.len() == before {
        let span = env.function(FnId::Handler(index)).0.span;
        env.defer(span, "something in this handler cannot be compiled for devices; please report what it is");
    }
    let mistakes = env.diagnostics.split_off(before);
    match handler {
        Some(handler) if mistakes.is_empty() => Ok(handler),
        _ => Err(mistakes),
    }
}

impl Lower<'_, '_> {
    fn handler(&mut self, index: usize) -> Option<ir::Handler> {
        let id = FnId::Handler(index);
        let (function, _) = self.env.function(id);
        let span = function.span;
        let signature = self.env.signature(id);
        let body = self.env.body(id)?;
        if function.receiver.is_none() {
            self.error(span, "a handler takes `&mut self`, `ctx: &mut RingContext` and one message");
            return None;
        }
        let messages: Vec<&Ty> = signature.params.iter().skip(1).filter(|ty| **ty != Ty::Context).collect();
        let [message] = messages[..] else {
            self.error(span, "a handler takes `&mut self`, `ctx: &mut RingContext` and one message");
            return None;
        };
        let message = message.clone();
        let reply = if signature.ret == Ty::Never { Ty::unit() } else { signature.ret.clone() };
        let archive = match &message {
            Ty::Ref(false, inner) => match &**inner {
                Ty::Archived(Arch::Struct(def)) => Some(*def),
                _ => None,
            },
            _ => None,
        };
        let message_info = match archive {
            Some(def) => self.archive_wire(def, span)?,
            None => self.wire(&message, span)?,
        };
        let reply_info = self.wire(&reply, span)?;
        self.answer = Some((reply_info.0.clone(), reply_info.1));
        let reply_place = Place { root: Root::Reply, offset: 0, index: Vec::new() };
        let dest = if reply.is_unit() { Dest::Ignore } else { Dest::Memory(reply_place) };
        let frame = self.new_frame(body.clone(), Return::Finish, dest.clone());
        self.frames.push(frame);
        self.calls.push(id);
        for (pat, ty) in body.params.iter().zip(&signature.params) {
            let root = |root| Target::Memory(Place { root, offset: 0, index: Vec::new() });
            let value = match ty {
                Ty::Context => Value::Context,
                Ty::Ref(_, inner) if matches!(**inner, Ty::Archived(_)) => {
                    Value::Ref(Box::new(self.archived_message(inner)))
                }
                Ty::Ref(..) => Value::Ref(Box::new(root(Root::State))),
                ty => self.load(&root(Root::Message), ty),
            };
            self.bind(pat, Target::Value(value));
        }
        self.eval(&body.value, &dest);
        self.b.push(Stmt::Finish);
        if self.too_large {
            self.error(span, "an array here has more than 2^30 bytes");
        }
        if self.b.too_long() {
            self.error(
                span,
                "this handler is too long once its functions are inlined; call fewer, or use loops",
            );
        }
        let mut code = std::mem::take(&mut self.b.prologue);
        code.extend(self.b.close().0);
        let mut message_bools = Vec::new();
        if archive.is_none() {
            self.bools(&message, 0, &mut message_bools);
        }
        let builder = std::mem::replace(&mut self.b, Builder::new());
        Some(ir::Handler {
            name: function.name.clone(),
            message: message_info.0,
            tag: message_info.1,
            message_layout: message_info.2,
            reply: reply_info.0,
            reply_tag: reply_info.1,
            reply_layout: reply_info.2,
            message_bools,
            body: ir::Body {
                regs: builder.regs,
                vars: builder.vars,
                locals: builder.locals,
                labels: builder.labels,
                index: self.index,
                code,
            },
        })
    }

    /// The same of a message of variable size: its most bytes.
    fn archive_wire(&mut self, def: crate::program::DefId, span: Span) -> Option<(String, u32, ir::Layout)> {
        let name = self.env.type_name(&Ty::Struct(def));
        match self.env.type_def(def).role {
            crate::program::TypeRole::Variable { tag, most } => {
                Some((name, tag, ir::Layout { size: most / 8 * 8, align: 8 }))
            }
            _ => {
                self.defer(span, format!("`{name}` is not a message of variable size"));
                None
            }
        }
    }

    /// A message's name, tag and layout.
    fn wire(&mut self, ty: &Ty, span: Span) -> Option<(String, u32, ir::Layout)> {
        use crate::program::TypeRole;
        use ringkernel_backends::abi::tag;
        let name = self.env.type_name(ty);
        let tag = match ty {
            Ty::Prim(Prim::Scalar(scalar)) => match scalar {
                Scalar::Bool => tag::BOOL,
                Scalar::I8 => tag::I8,
                Scalar::I16 => tag::I16,
                Scalar::I32 => tag::I32,
                Scalar::I64 => tag::I64,
                Scalar::U8 => tag::U8,
                Scalar::U16 => tag::U16,
                Scalar::U32 => tag::U32,
                Scalar::U64 => tag::U64,
                Scalar::F32 => tag::F32,
                Scalar::F64 => tag::F64,
            },
            Ty::Prim(Prim::Hlc) => tag::of_definition(HLC),
            ty if ty.is_unit() => tag::UNIT,
            Ty::Struct(def) => match self.env.type_def(*def).role {
                TypeRole::Message { tag } => tag,
                _ => {
                    self.defer(
                        span,
                        format!("`{name}` is not a message; add `#[derive(RingMessage)]` to it"),
                    );
                    return None;
                }
            },
            Ty::Error => return None,
            _ => {
                self.defer(
                    span,
                    format!("`{name}` cannot be a message or a reply; put it in a struct with `#[derive(RingMessage)]`"),
                );
                return None;
            }
        };
        Some((name, tag, self.wire_layout(ty, span)?))
    }

    /// The layout of something that crosses the bus; it holds no `usize`.
    fn wire_layout(&mut self, ty: &Ty, span: Span) -> Option<ir::Layout> {
        if self.has_usize(ty) {
            let name = self.env.type_name(ty);
            self.defer(span, format!("a field of `{name}` is `usize` or `isize`; use `u32` or `u64`"));
            return None;
        }
        let (size, align) = self.layout(ty);
        Some(ir::Layout { size, align })
    }

    fn has_usize(&mut self, ty: &Ty) -> bool {
        match ty {
            Ty::Prim(prim) => matches!(prim, Prim::Usize | Prim::Isize),
            Ty::Array(element, _) => self.has_usize(element),
            _ => self.fields(ty).iter().any(|f| self.has_usize(f)),
        }
    }

    /// The byte offsets of every `bool`.
    fn bools(&mut self, ty: &Ty, offset: u32, out: &mut Vec<u32>) {
        match ty {
            Ty::Prim(prim) if *prim == Prim::BOOL => out.push(offset),
            Ty::Array(element, len) => {
                let (stride, _) = self.layout(element);
                for i in 0..*len as u32 {
                    self.bools(element, offset + i * stride, out);
                }
            }
            _ => {
                for (i, field) in self.fields(ty).iter().enumerate() {
                    let at = self.field_offset(ty, i);
                    self.bools(field, offset + at, out);
                }
            }
        }
    }
}

/// The state's layout.
pub(crate) fn state_layout(env: &mut Env<'_>) -> Option<ir::Layout> {
    let (actor, span) = (env.program.actor, Span::call_site());
    let mut sites = Sites::default();
    Lower::new(env, &mut sites, false, Scalar::U64).wire_layout(&Ty::Struct(actor), span)
}
