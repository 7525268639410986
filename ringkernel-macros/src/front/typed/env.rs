//! What exists outside the body being checked: structs, functions, constants, each parsed at once and typed when first needed.

use super::check::Checker;
use super::tree::{Body, ConstItem, FnId};
use crate::diag::Diagnostic;
use crate::front::parse::Parser;
use crate::front::parse::ast;
use crate::front::types::{Arch, Ty};
use crate::ir::{Forwards, Mesh, Parcel, Route, RouteId, TopicId};
use crate::program::{DefId, Program, TypeDef, Uses};
use proc_macro2::{Span, TokenStream};
use std::collections::HashMap;
use std::rc::Rc;

/// Whose tokens are being read: that decides what a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// The `#[ring_kernel] impl`.
    Impl,
    Type(DefId),
    Fn(DefId),
    Const(DefId),
}

/// A constant outside any body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConstId {
    /// A `#[device_const]`.
    Free(DefId),
    /// A `const` of the impl.
    Impl(usize),
}

/// A struct whose field types are known.
#[derive(Debug)]
pub(crate) struct StructInfo {
    pub(crate) name: String,
    pub(crate) fields: Vec<(String, Ty)>,
}

impl StructInfo {
    pub(crate) fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|(field, _)| field == name)
    }
}

/// The types of a function's parameters (`self` first) and result.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) params: Vec<Ty>,
    pub(crate) ret: Ty,
}

enum Lazy<T> {
    Busy,
    Done(Option<Rc<T>>),
}

/// Everything the bodies can name.
pub(crate) struct Env<'p> {
    pub(crate) program: &'p Program,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Whom the bodies talk to, as far as they have been typed and lowered.
    pub(crate) mesh: Mesh,
    functions: HashMap<FnId, (Rc<ast::Function>, Owner)>,
    methods: HashMap<String, FnId>,
    constants: HashMap<ConstId, (Rc<ast::Const>, Owner)>,
    impl_consts: HashMap<String, usize>,
    fields: HashMap<DefId, Rc<[(String, ast::TypeExpr)]>>,
    structs: HashMap<DefId, Lazy<StructInfo>>,
    archives: HashMap<DefId, Lazy<StructInfo>>,
    bodies: HashMap<FnId, Lazy<Body>>,
    consts: HashMap<ConstId, Lazy<ConstItem>>,
}

impl<'p> Env<'p> {
    /// Parses everything.
    pub(crate) fn new(program: &'p Program) -> Self {
        let mut parser = Parser::default();
        let mut functions = HashMap::new();
        let mut methods = HashMap::new();
        let handlers = program.handlers.iter().enumerate().map(|(i, item)| (FnId::Handler(i), item));
        for (id, item) in
            handlers.chain(program.methods.iter().enumerate().map(|(i, m)| (FnId::Method(i), m)))
        {
            methods.insert(item.sig.ident.to_string(), id);
            functions.insert(id, (Rc::new(parser.method(item)), Owner::Impl));
        }
        for (def, item) in sorted(&program.fns) {
            let function = parser.function(&item.item.sig, &item.item.block);
            functions.insert(FnId::Free(def), (Rc::new(function), Owner::Fn(def)));
        }
        let mut constants = HashMap::new();
        let mut impl_consts = HashMap::new();
        for (i, item) in program.impl_consts.iter().enumerate() {
            impl_consts.insert(item.ident.to_string(), i);
            let constant = parser.constant(&item.ident, &item.ty, &item.expr);
            constants.insert(ConstId::Impl(i), (Rc::new(constant), Owner::Impl));
        }
        for (def, item) in sorted(&program.consts) {
            let constant = parser.constant(&item.name, &item.ty, &item.value);
            constants.insert(ConstId::Free(def), (Rc::new(constant), Owner::Const(def)));
        }
        let mut fields = HashMap::new();
        for (def, item) in sorted(&program.types) {
            fields.insert(
                def,
                item.fields.iter().map(|(name, ty)| (name.clone(), parser.field_ty(ty))).collect(),
            );
        }
        Self {
            program,
            diagnostics: parser.diagnostics,
            mesh: Mesh::default(),
            functions,
            methods,
            constants,
            impl_consts,
            fields,
            structs: HashMap::new(),
            archives: HashMap::new(),
            bodies: HashMap::new(),
            consts: HashMap::new(),
        }
    }

    /// Reports something that rustc reports too, most likely.
    pub(crate) fn defer(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::deferred(span, message));
    }

    /// Reports a mistake.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(span, message));
    }

    /// The number of a kernel, by its id or its type.
    pub(crate) fn route(&mut self, name: String, path: Option<TokenStream>) -> RouteId {
        let same = |route: &Route| route.name == name && route.path.is_some() == path.is_some();
        let routes = &mut self.mesh.routes;
        let index = routes.iter().position(same).unwrap_or_else(|| {
            routes.push(Route { name, path });
            routes.len() - 1
        });
        RouteId(index as u32)
    }

    /// The number of a topic.
    pub(crate) fn topic(&mut self, name: String) -> TopicId {
        let topics = &mut self.mesh.topics;
        let index = topics.iter().position(|topic| *topic == name).unwrap_or_else(|| {
            topics.push(name);
            topics.len() - 1
        });
        TopicId(index as u32)
    }

    /// Takes note of a type that is sent.
    pub(crate) fn outgoing(&mut self, parcel: Parcel) {
        if !self.mesh.outgoing.contains(&parcel) {
            self.mesh.outgoing.push(parcel);
        }
    }

    /// Takes note of a type that is taken.
    pub(crate) fn receives(&mut self, parcel: Parcel) {
        if !self.mesh.receives.contains(&parcel) {
            self.mesh.receives.push(parcel);
        }
    }

    /// Takes note of what is forwarded.
    pub(crate) fn forwards(&mut self, new: Forwards) {
        let same =
            |old: &Forwards| (old.route, &old.message, &old.reply) == (new.route, &new.message, &new.reply);
        if !self.mesh.forwards.iter().any(same) {
            self.mesh.forwards.push(new);
        }
    }

    /// What the tokens of `owner` name.
    fn uses(&self, owner: Owner) -> Option<&'p Uses> {
        match owner {
            Owner::Impl => Some(&self.program.uses),
            Owner::Type(def) => self.program.types.get(&def).map(|t| &t.uses),
            Owner::Fn(def) => self.program.fns.get(&def).map(|f| &f.uses),
            Owner::Const(def) => self.program.consts.get(&def).map(|c| &c.uses),
        }
    }

    fn lookup(&self, owner: Owner, path: &ast::Path) -> Option<DefId> {
        let uses = self.uses(owner)?;
        uses.get(&path.text).or_else(|| uses.get(path.text.strip_prefix("::")?)).copied()
    }

    /// The struct a path names.
    pub(crate) fn find_type(&self, owner: Owner, path: &ast::Path) -> Option<DefId> {
        if let Some(def) = self.lookup(owner, path)
            && self.program.types.contains_key(&def)
        {
            return Some(def);
        }
        let actor = self.program.types.get(&self.program.actor)?;
        let is_self = path.single() == Some("Self") && matches!(owner, Owner::Impl | Owner::Type(_));
        let itself = match owner {
            Owner::Type(def) if is_self => Some(def),
            Owner::Impl if is_self || actor.name == path.last() && path.segments.len() == 1 => {
                Some(self.program.actor)
            }
            _ => None,
        };
        itself.filter(|def| self.program.types.contains_key(def))
    }

    /// The function a path names: a `#[device_fn]`, or `Self::method`.
    pub(crate) fn find_fn(&self, owner: Owner, path: &ast::Path) -> Option<FnId> {
        if let Some(def) = self.lookup(owner, path)
            && self.program.fns.contains_key(&def)
        {
            return Some(FnId::Free(def));
        }
        if self.is_actor(owner, path) { self.methods.get(path.last()).copied() } else { None }
    }

    /// The constant a path names: a `#[device_const]`, or `Self::NAME`.
    pub(crate) fn find_const(&self, owner: Owner, path: &ast::Path) -> Option<ConstId> {
        if let Some(def) = self.lookup(owner, path)
            && self.program.consts.contains_key(&def)
        {
            return Some(ConstId::Free(def));
        }
        if self.is_actor(owner, path) {
            return self.impl_consts.get(path.last()).map(|i| ConstId::Impl(*i));
        }
        None
    }

    /// Whether the path is `Self::something` of the actor.
    fn is_actor(&self, owner: Owner, path: &ast::Path) -> bool {
        let actor = self.program.types.get(&self.program.actor);
        owner == Owner::Impl
            && path.segments.len() == 2
            && (path.segments[0] == "Self" || actor.is_some_and(|a| a.name == path.segments[0]))
    }

    /// The impl's method of that name.
    pub(crate) fn find_method(&self, name: &str) -> Option<FnId> {
        self.methods.get(name).copied()
    }

    pub(crate) fn function(&self, id: FnId) -> (Rc<ast::Function>, Owner) {
        let (function, owner) = &self.functions[&id];
        (function.clone(), *owner)
    }

    /// The definition of a struct.
    pub(crate) fn type_def(&self, def: DefId) -> &'p TypeDef {
        &self.program.types[&def]
    }

    /// A struct's name, for messages.
    pub(crate) fn type_name(&self, ty: &Ty) -> String {
        match ty {
            Ty::Prim(prim) => prim.name().to_owned(),
            Ty::Array(element, len) => format!("[{}; {len}]", self.type_name(element)),
            Ty::Tuple(elements) => {
                let names: Vec<_> = elements.iter().map(|e| self.type_name(e)).collect();
                if let [one] = &names[..] { format!("({one},)") } else { format!("({})", names.join(", ")) }
            }
            Ty::Struct(def) => self.program.types.get(def).map_or_else(String::new, |t| t.name.to_string()),
            Ty::Ref(true, inner) => format!("&mut {}", self.type_name(inner)),
            Ty::Ref(false, inner) => format!("&{}", self.type_name(inner)),
            Ty::Archived(arch) => match arch {
                Arch::Number(scalar) => format!("{}_le", scalar.name()),
                Arch::Vec(part) => format!("ArchivedVec<{}>", self.type_name(part)),
                Arch::String => "ArchivedString".to_owned(),
                Arch::Bytes => "[u8]".to_owned(),
                Arch::Option(part) => format!("ArchivedOption<{}>", self.type_name(part)),
                Arch::Struct(def) => format!("Archived<{}>", self.type_name(&Ty::Struct(*def))),
            },
            Ty::Never => "!".to_owned(),
            Ty::Context => "RingContext".to_owned(),
            Ty::Var(_) | Ty::Error => "_".to_owned(),
        }
    }

    /// A struct with its field types, or `None` if it contains itself.
    pub(crate) fn struct_info(&mut self, def: DefId) -> Option<Rc<StructInfo>> {
        match self.structs.get(&def) {
            Some(Lazy::Done(info)) => return info.clone(),
            Some(Lazy::Busy) => return None,
            None => {}
        }
        self.structs.insert(def, Lazy::Busy);
        let item = self.program.types.get(&def)?;
        let fields = self.fields.get(&def).cloned()?;
        let mut checker = Checker::new(self, Owner::Type(def));
        let fields = fields.iter().map(|(name, ty)| (name.clone(), checker.ty(ty))).collect();
        let info = Rc::new(StructInfo { name: item.name.to_string(), fields });
        self.structs.insert(def, Lazy::Done(Some(info.clone())));
        Some(info)
    }

    /// A struct's archive with its fields' types, or `None` if it contains itself.
    pub(crate) fn archived_info(&mut self, def: DefId) -> Option<Rc<StructInfo>> {
        match self.archives.get(&def) {
            Some(Lazy::Done(info)) => return info.clone(),
            Some(Lazy::Busy) => return None,
            None => {}
        }
        self.archives.insert(def, Lazy::Busy);
        let item = self.program.types.get(&def)?;
        let fields = self.fields.get(&def).cloned()?;
        let mut checker = Checker::new(self, Owner::Type(def));
        let fields = fields.iter().map(|(name, ty)| (name.clone(), checker.archived(ty))).collect();
        let info = Rc::new(StructInfo { name: item.name.to_string(), fields });
        self.archives.insert(def, Lazy::Done(Some(info.clone())));
        Some(info)
    }

    /// A function's signature.
    pub(crate) fn signature(&mut self, id: FnId) -> Signature {
        let (function, owner) = self.function(id);
        Checker::new(self, owner).signature(&function)
    }

    /// A function's typed body; `None` if it is being typed right now (it calls itself in a constant).
    pub(crate) fn body(&mut self, id: FnId) -> Option<Rc<Body>> {
        match self.bodies.get(&id) {
            Some(Lazy::Done(body)) => return body.clone(),
            Some(Lazy::Busy) => return None,
            None => {}
        }
        self.bodies.insert(id, Lazy::Busy);
        let (function, owner) = self.function(id);
        let body = Rc::new(Checker::new(self, owner).function(&function));
        self.bodies.insert(id, Lazy::Done(Some(body.clone())));
        Some(body)
    }

    /// A typed constant; `None` if it needs itself.
    pub(crate) fn constant(&mut self, id: ConstId) -> Option<Rc<ConstItem>> {
        match self.consts.get(&id) {
            Some(Lazy::Done(item)) => return item.clone(),
            Some(Lazy::Busy) => return None,
            None => {}
        }
        self.consts.insert(id, Lazy::Busy);
        let (item, owner) = {
            let (item, owner) = &self.constants[&id];
            (item.clone(), *owner)
        };
        let typed = Rc::new(Checker::new(self, owner).constant(&item));
        self.consts.insert(id, Lazy::Done(Some(typed.clone())));
        Some(typed)
    }

    /// Types everything, so that every mistake is found whether called or not.
    pub(crate) fn check_all(&mut self) {
        let mut ids: Vec<ConstId> = self.constants.keys().copied().collect();
        ids.sort_by_key(|id| match id {
            ConstId::Impl(i) => (0, *i as u64),
            ConstId::Free(def) => (1, *def),
        });
        for id in ids {
            self.constant(id);
        }
        for i in 0..self.program.handlers.len() {
            self.body(FnId::Handler(i));
        }
        for i in 0..self.program.methods.len() {
            self.body(FnId::Method(i));
        }
        for (def, _) in sorted(&self.program.fns) {
            self.body(FnId::Free(def));
        }
    }
}

/// In the order of their ids, so that what we print does not change from run to run.
fn sorted<T>(map: &HashMap<DefId, T>) -> Vec<(DefId, &T)> {
    let mut items: Vec<_> = map.iter().map(|(id, item)| (*id, item)).collect();
    items.sort_by_key(|(id, _)| *id);
    items
}
