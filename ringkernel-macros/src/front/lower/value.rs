//! Values and places while lowering: what is a scalar at hand, what lives in memory, and how one becomes the other.

use super::Lower;
use crate::front::types::{Arch, Prim, Ty};
use crate::ir::{Const, Expr, Layout, Operand, Place, Root, Scalar, Stmt, Var};
use crate::layout::{self, Packer};
use crate::program::TypeRole;
use proc_macro2::Span;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Operand),
    /// An aggregate in memory. Unless that memory is frozen it is only good until something is written.
    Memory(Place),
    /// An aggregate in pieces. Memory among them is frozen.
    Fields(Vec<Value>),
    /// An array of equal elements.
    Repeat(Box<Value>, u64),
    Ref(Box<Target>),
    Context,
}

/// Where a reference points, or what an expression for a place names.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Memory(Place),
    Var(Var),
    /// Something that cannot be written.
    Value(Value),
}

/// Where a result goes. Memory is fresh: the expression does not read it.
#[derive(Clone, Debug)]
pub(super) enum Dest {
    Ignore,
    Var(Var),
    Memory(Place),
}

/// Copies of up to this many scalars are written out, longer ones are loops.
const UNROLL: u64 = 16;

impl Lower<'_, '_> {
    /// The scalar of the IR for a primitive type.
    pub(super) fn scalar(&self, prim: Prim) -> Scalar {
        match prim {
            Prim::Scalar(s) => s,
            Prim::Usize => self.index,
            Prim::Isize if self.index == Scalar::U32 => Scalar::I32,
            prim => prim.wide(),
        }
    }

    /// Size and alignment, by C's rules.
    pub(super) fn layout(&mut self, ty: &Ty) -> (u32, u32) {
        let found = match ty {
            Ty::Prim(prim) => Some(layout::scalar(self.scalar(*prim))),
            Ty::Array(element, len) => {
                let (size, align) = self.layout(element);
                layout::array(Layout { size, align }, *len)
            }
            Ty::Archived(arch) if !matches!(arch, Arch::Struct(_)) => {
                let (size, align) = self.archived_layout(arch);
                Some(Layout { size, align })
            }
            Ty::Tuple(_) | Ty::Struct(_) | Ty::Archived(_) => {
                let mut packer = Packer::default();
                let fit = self.fields(ty).iter().all(|field| {
                    let (size, align) = self.layout(field);
                    packer.push(Layout { size, align }).is_some()
                });
                let mut whole = packer.finish().filter(|_| fit);
                if let (Ty::Archived(Arch::Struct(def)), Some(layout)) = (ty, &mut whole)
                    && let TypeRole::Variable { .. } = self.env.type_def(*def).role
                {
                    // A message's root is aligned to eight bytes.
                    *layout = Layout { size: layout.size.next_multiple_of(8), align: 8 };
                }
                whole
            }
            _ => Some(layout::UNIT),
        };
        match found {
            Some(Layout { size, align }) if size as u64 <= MAX_BYTES => (size, align),
            _ => {
                self.too_large = true;
                (0, 1)
            }
        }
    }

    /// The types of a struct's or tuple's fields.
    pub(super) fn fields(&mut self, ty: &Ty) -> Vec<Ty> {
        match ty {
            Ty::Tuple(elements) => elements.to_vec(),
            Ty::Struct(def) => match self.env.struct_info(*def) {
                Some(info) => info.fields.iter().map(|(_, ty)| ty.clone()).collect(),
                None => Vec::new(),
            },
            Ty::Archived(Arch::Struct(def)) => match self.env.archived_info(*def) {
                Some(info) => info.fields.iter().map(|(_, ty)| ty.clone()).collect(),
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    pub(super) fn field_offset(&mut self, ty: &Ty, index: usize) -> u32 {
        let mut packer = Packer::default();
        let mut offset = None;
        for field in self.fields(ty).iter().take(index + 1) {
            let (size, align) = self.layout(field);
            offset = packer.push(Layout { size, align });
        }
        // Without one the type is too large, and has been reported.
        offset.unwrap_or(0)
    }

    /// Whether it holds references or the context, which have no bytes.
    pub(super) fn is_opaque(&mut self, ty: &Ty) -> bool {
        match ty {
            Ty::Ref(..) | Ty::Context => true,
            Ty::Array(element, _) => self.is_opaque(element),
            Ty::Tuple(elements) => elements.iter().any(|e| self.is_opaque(e)),
            _ => false,
        }
    }

    /// How many scalars it holds.
    pub(super) fn scalars(&mut self, ty: &Ty) -> u64 {
        match ty {
            Ty::Prim(_) => 1,
            Ty::Array(element, len) => self.scalars(element).saturating_mul(*len),
            // Never copied.
            Ty::Archived(_) => 0,
            _ => self.fields(ty).iter().map(|f| self.scalars(f)).fold(0, u64::saturating_add),
        }
    }

    /// A field of an aggregate.
    pub(super) fn project(&mut self, target: &Target, ty: &Ty, index: usize) -> Target {
        match target {
            Target::Memory(place) => {
                let offset = self.field_offset(ty, index);
                Target::Memory(Place { offset: place.offset + offset, ..place.clone() })
            }
            Target::Value(value) => self.project_value(value, ty, index),
            Target::Var(_) => Target::Value(self.lost()),
        }
    }

    fn project_value(&mut self, value: &Value, ty: &Ty, index: usize) -> Target {
        match value {
            Value::Memory(place) => self.project(&Target::Memory(place.clone()), ty, index),
            Value::Fields(fields) => Target::Value(fields.get(index).cloned().unwrap_or_else(|| self.lost())),
            Value::Repeat(element, _) => Target::Value((**element).clone()),
            other => Target::Value(other.clone()),
        }
    }

    /// An element of an array whose index has been checked.
    pub(super) fn element(&mut self, target: &Target, element: &Ty, index: Operand) -> Target {
        let (stride, _) = self.layout(element);
        match (target, index) {
            (Target::Value(Value::Memory(place)), _) => {
                self.element(&Target::Memory(place.clone()), element, index)
            }
            (Target::Memory(place), Operand::Const(c)) => {
                let offset = place.offset.wrapping_add((c.bits as u32).wrapping_mul(stride));
                Target::Memory(Place { offset, ..place.clone() })
            }
            (Target::Memory(place), Operand::Reg(_)) => {
                let mut place = place.clone();
                if stride > 0 {
                    place.index.push((index, stride));
                }
                Target::Memory(place)
            }
            (Target::Value(Value::Fields(elements)), Operand::Const(c)) => {
                Target::Value(elements.get(c.bits as usize).cloned().unwrap_or_else(|| self.lost()))
            }
            (Target::Value(Value::Repeat(element, _)), _) => Target::Value((**element).clone()),
            (Target::Value(value), Operand::Reg(_)) => {
                let len = match value {
                    Value::Fields(elements) => elements.len() as u64,
                    _ => 0,
                };
                let ty = Ty::Array(std::rc::Rc::new(element.clone()), len);
                let place = self.materialise(value.clone(), &ty, "array");
                self.element(&Target::Memory(place), element, index)
            }
            _ => target.clone(),
        }
    }

    /// The value at a place: loaded if it is a scalar.
    pub(super) fn load(&mut self, target: &Target, ty: &Ty) -> Value {
        match target {
            Target::Memory(place) => match ty {
                Ty::Prim(prim) => {
                    let scalar = self.scalar(*prim);
                    Value::Scalar(self.emit(scalar, Expr::Load(place.clone())))
                }
                _ => Value::Memory(place.clone()),
            },
            Target::Var(var) => Value::Scalar(self.read(*var)),
            Target::Value(value) => value.clone(),
        }
    }

    /// The scalar at a place.
    pub(super) fn load_scalar(&mut self, target: &Target, ty: &Ty) -> Operand {
        match self.load(target, ty) {
            Value::Scalar(operand) => operand,
            _ => self.lost_scalar(ty),
        }
    }

    /// Stands for a value where control does not get, or after a mistake that has been reported.
    pub(super) fn zero(&self, ty: &Ty) -> Operand {
        let scalar = ty.prim().map_or(Scalar::U32, |prim| self.scalar(prim));
        Operand::Const(Const { ty: scalar, bits: 0 })
    }

    /// Stands for a value that lowering has lost track of. Nothing should come here without a mistake having been reported; if it does,
    /// the handler is refused rather than compiled to something else than was written.
    pub(super) fn lost(&mut self) -> Value {
        self.confused |= !self.b.dead();
        Value::Fields(Vec::new())
    }

    /// The same, for a scalar.
    pub(super) fn lost_scalar(&mut self, ty: &Ty) -> Operand {
        self.confused |= !self.b.dead();
        self.zero(ty)
    }

    /// Whether nothing changes that memory any more.
    pub(super) fn is_frozen(&self, place: &Place) -> bool {
        match place.root {
            Root::Message => true,
            Root::Local(local) => self.b.frozen[local.0 as usize],
            Root::State | Root::Reply => false,
        }
    }

    /// Writes to a place.
    pub(super) fn store(&mut self, target: &Target, ty: &Ty, value: Value, span: Span) {
        match (target, value) {
            (Target::Var(var), Value::Scalar(operand)) => self.set(*var, operand),
            (Target::Memory(place), value) => self.write(place, ty, value),
            _ if self.b.dead() => {}
            _ => self.defer(span, "this cannot be assigned to"),
        }
    }

    /// Writes a value to memory.
    pub(super) fn write(&mut self, place: &Place, ty: &Ty, value: Value) {
        match (value, ty) {
            (Value::Scalar(operand), _) => self.b.push(Stmt::Store(place.clone(), operand)),
            (Value::Memory(from), _) => self.copy(place, &from, ty),
            (Value::Fields(elements), Ty::Array(element, _)) => {
                for (i, value) in elements.into_iter().enumerate() {
                    let index = self.int(self.index, i as i128);
                    if let Target::Memory(place) =
                        self.element(&Target::Memory(place.clone()), element, index)
                    {
                        self.write(&place, element, value);
                    }
                }
            }
            (Value::Fields(values), _) => {
                let types = self.fields(ty);
                for (i, (value, field)) in values.into_iter().zip(&types).enumerate() {
                    if let Target::Memory(place) = self.project(&Target::Memory(place.clone()), ty, i) {
                        self.write(&place, field, value);
                    }
                }
            }
            (Value::Repeat(value, len), Ty::Array(element, _)) => {
                self.each_element(len, element, &mut |this, index| {
                    if let Target::Memory(place) =
                        this.element(&Target::Memory(place.clone()), element, index)
                    {
                        this.write(&place, element, (*value).clone());
                    }
                });
            }
            _ => {}
        }
    }

    /// Runs `body` for each index: written out where the array is short.
    pub(super) fn each_element(&mut self, len: u64, element: &Ty, body: &mut dyn FnMut(&mut Self, Operand)) {
        if self.scalars(element).saturating_mul(len) <= UNROLL {
            for i in 0..len {
                let index = self.int(self.index, i as i128);
                body(self, index);
            }
        } else {
            self.each_index(len, |this, index| body(this, index));
        }
    }

    fn copy(&mut self, to: &Place, from: &Place, ty: &Ty) {
        if to == from {
            return;
        }
        let (to_target, from_target) = (Target::Memory(to.clone()), Target::Memory(from.clone()));
        match ty {
            Ty::Prim(_) => {
                let value = self.load_scalar(&from_target, ty);
                self.b.push(Stmt::Store(to.clone(), value));
            }
            Ty::Array(element, len) => {
                self.each_element(*len, element, &mut |this, index| {
                    let to = this.element(&to_target, element, index);
                    let from = this.element(&from_target, element, index);
                    if let (Target::Memory(to), Target::Memory(from)) = (to, from) {
                        this.copy(&to, &from, element);
                    }
                });
            }
            _ => {
                for (i, field) in self.fields(ty).iter().enumerate() {
                    let to = self.project(&to_target, ty, i);
                    let from = self.project(&from_target, ty, i);
                    if let (Target::Memory(to), Target::Memory(from)) = (to, from) {
                        self.copy(&to, &from, field);
                    }
                }
            }
        }
    }

    /// Fresh memory for a value of that type.
    pub(super) fn memory(&mut self, ty: &Ty, name: &str, frozen: bool) -> Place {
        let (size, align) = self.layout(ty);
        self.b.memory(size, align, name, frozen)
    }

    /// Puts a value into memory of its own.
    pub(super) fn materialise(&mut self, value: Value, ty: &Ty, name: &str) -> Place {
        let place = self.memory(ty, name, true);
        self.write(&place, ty, value);
        place
    }

    /// The value, safe from later writes.
    pub(super) fn own(&mut self, value: Value, ty: &Ty) -> Value {
        match value {
            Value::Memory(place) if !self.is_frozen(&place) => {
                Value::Memory(self.materialise(Value::Memory(place), ty, "copy"))
            }
            value => value,
        }
    }
}

/// Aggregates beyond this are a mistake.
const MAX_BYTES: u64 = 1 << 30;
