//! What the carriers collected, before anything is understood: the whole program one `#[ring_kernel] impl` sees.
//!
//! `collect` (the carriers) makes a [`Program`], `front` (parse, typed, lower) reads it. Types are still `syn` types here; how a
//! path as spelled in one place leads to a definition is in each definition's `uses`.

use std::collections::HashMap;
use syn::{Ident, ImplItemFn, ItemFn, Type};

/// Identity of a definition: a hash of its tokens and where it stands.
pub type DefId = u64;

/// How the paths written in one definition (token text without spaces, e.g. `m::Point`) lead to other definitions.
pub type Uses = HashMap<String, DefId>;

/// What kind of thing a struct is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRole {
    /// `#[ring_kernel(id = …)]`: an actor's state.
    Actor {
        /// The kernel's id.
        id: String,
    },
    /// `#[derive(RingMessage)]`.
    Message {
        /// Its tag.
        tag: u32,
    },
    /// `#[derive(RingMessage)]`, of variable size.
    Variable {
        /// Its tag.
        tag: u32,
        /// The most bytes of one.
        most: u32,
    },
    /// `#[derive(DeviceType)]` or `#[derive(Payload)]`.
    Device,
}

/// A struct.
#[derive(Clone, Debug)]
pub struct TypeDef {
    /// Identity.
    pub def: DefId,
    /// Name, with the span of its definition.
    pub name: Ident,
    /// What it is.
    pub role: TypeRole,
    /// Fields in order: name (or its index as text, for tuple structs) and type.
    pub fields: Vec<(String, Type)>,
    /// Whether it is a tuple struct.
    pub is_tuple: bool,
    /// The types and constants its fields name.
    pub uses: Uses,
}

/// A `#[device_fn]`.
#[derive(Clone, Debug)]
pub struct FnDef {
    /// Identity.
    pub def: DefId,
    /// The function.
    pub item: ItemFn,
    /// What its signature and body name.
    pub uses: Uses,
}

/// A `#[device_const]` (a `const` item marked so that its value travels).
#[derive(Clone, Debug)]
pub struct ConstDef {
    /// Identity.
    pub def: DefId,
    /// Its name.
    pub name: Ident,
    /// Its type, as written.
    pub ty: Type,
    /// Its value.
    pub value: syn::Expr,
    /// What its value names.
    pub uses: Uses,
}

/// Everything a kernel's compilation needs.
#[derive(Clone, Debug)]
pub struct Program {
    /// The actor's own struct, one of `types`.
    pub actor: DefId,
    /// Structs.
    pub types: HashMap<DefId, TypeDef>,
    /// Free functions.
    pub fns: HashMap<DefId, FnDef>,
    /// Free constants.
    pub consts: HashMap<DefId, ConstDef>,
    /// The `#[handler]` methods.
    pub handlers: Vec<ImplItemFn>,
    /// Methods of the impl without `#[handler]`: helpers that handlers call as `self.name(…)` or `Self::name(…)`.
    pub methods: Vec<ImplItemFn>,
    /// `const`s of the impl.
    pub impl_consts: Vec<syn::ImplItemConst>,
    /// What the impl's tokens name.
    pub uses: Uses,
}

impl Program {
    /// The actor's own id, if the type, written without spaces, is the actor.
    pub fn own_id(&self, ty: &str) -> Option<String> {
        let actor = self.types.get(&self.actor)?;
        match &actor.role {
            TypeRole::Actor { id } if ty == "Self" || actor.name == ty => Some(id.clone()),
            _ => None,
        }
    }
}
