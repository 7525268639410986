//! Unification: what an expression's type is when only its use says so.

use crate::front::types::{Prim, Ty, VarKind};
use std::rc::Rc;

#[derive(Clone, Debug)]
enum VarState {
    Free(VarKind),
    Bound(Ty),
}

/// The inference variables of one body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    vars: Vec<VarState>,
}

impl Table {
    /// A new variable.
    pub(crate) fn fresh(&mut self, kind: VarKind) -> Ty {
        self.vars.push(VarState::Free(kind));
        Ty::Var(self.vars.len() as u32 - 1)
    }

    /// The type, if it is known at the top.
    pub(crate) fn shallow(&self, ty: &Ty) -> Ty {
        let mut ty = ty;
        while let Ty::Var(v) = ty {
            match &self.vars[*v as usize] {
                VarState::Bound(bound) => ty = bound,
                VarState::Free(_) => break,
            }
        }
        ty.clone()
    }

    /// What a type that is still a variable may become.
    pub(crate) fn kind(&self, ty: &Ty) -> Option<VarKind> {
        match self.shallow(ty) {
            Ty::Var(v) => match self.vars[v as usize] {
                VarState::Free(kind) => Some(kind),
                VarState::Bound(_) => None,
            },
            _ => None,
        }
    }

    /// The type with Rust's defaults for what is still open: `i32`, `f64`, `()`.
    pub(crate) fn deep(&self, ty: &Ty) -> Ty {
        let ty = self.shallow(ty);
        match &ty {
            Ty::Var(_) => match self.kind(&ty) {
                Some(VarKind::Int) => Ty::Prim(Prim::I32),
                Some(VarKind::Float) => Ty::Prim(Prim::F64),
                _ => Ty::unit(),
            },
            Ty::Array(element, len) => Ty::Array(Rc::new(self.deep(element)), *len),
            Ty::Tuple(elements) => Ty::Tuple(elements.iter().map(|e| self.deep(e)).collect()),
            Ty::Ref(mutable, inner) => Ty::Ref(*mutable, Rc::new(self.deep(inner))),
            _ => ty,
        }
    }

    /// Makes two types one; whether that is possible.
    pub(crate) fn unify(&mut self, a: &Ty, b: &Ty) -> bool {
        let (a, b) = (self.shallow(a), self.shallow(b));
        match (&a, &b) {
            (Ty::Error, _) | (_, Ty::Error) => true,
            (Ty::Var(x), Ty::Var(y)) if x == y => true,
            (Ty::Var(x), Ty::Var(y)) => {
                let (x, y) = (*x, *y);
                match (self.kind(&a), self.kind(&b)) {
                    (Some(VarKind::Any), _) => self.vars[x as usize] = VarState::Bound(b.clone()),
                    (_, Some(VarKind::Any)) => self.vars[y as usize] = VarState::Bound(a.clone()),
                    (p, q) if p == q => self.vars[x as usize] = VarState::Bound(b.clone()),
                    _ => return false,
                }
                true
            }
            (Ty::Var(v), other) | (other, Ty::Var(v)) => {
                let fits = match self.vars[*v as usize] {
                    VarState::Free(VarKind::Int) => other.prim().is_some_and(Prim::is_int),
                    VarState::Free(VarKind::Float) => other.prim().is_some_and(Prim::is_float),
                    _ => true,
                };
                if fits {
                    self.vars[*v as usize] = VarState::Bound((*other).clone());
                }
                fits
            }
            (Ty::Array(x, n), Ty::Array(y, m)) => n == m && self.unify(x, y),
            (Ty::Tuple(x), Ty::Tuple(y)) => {
                x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| self.unify(x, y))
            }
            (Ty::Ref(m, x), Ty::Ref(n, y)) => m == n && self.unify(x, y),
            _ => a == b,
        }
    }
}
