//! Local aggregates whose places are all known become variables.
//!
//! Why: a tuple, a small array or a struct that the front end could not take apart lives in memory, where ptxas has to prove that no
//! address escapes before it may use registers, and WGSL compilers often do not try. Once its places are constant it is a handful of scalars.
//! A message that is sent or taken stays in memory: its address does escape.

use crate::ir::{Body, Expr, Local, Operand, Place, Root, Scalar, Stmt, Var, VarInfo};
use crate::ir_visit;
use std::collections::{HashMap, HashSet};

pub(super) fn run(body: &mut Body) {
    let mut fixed = HashSet::new();
    let mut moving = HashSet::new();
    places(&mut body.code, &mut |place| {
        settle(place);
        if let Root::Local(local) = place.root {
            if place.index.is_empty() { &mut fixed } else { &mut moving }.insert(local);
        }
    });
    let payloads = ir_visit::payloads(&body.code);
    fixed.retain(|local| !moving.contains(local) && !payloads.contains(local));
    if fixed.is_empty() {
        return;
    }
    let mut code = std::mem::take(&mut body.code);
    let mut vars = Vars { body, known: HashMap::new(), fixed: &fixed };
    rewrite(&mut code, &mut vars);
    body.code = code;
}

/// Moves constant indices into the offset.
pub(super) fn settle(place: &mut Place) {
    let mut offset = place.offset;
    place.index.retain(|(operand, stride)| match operand {
        Operand::Const(c) => {
            offset = offset.wrapping_add((c.bits as u32).wrapping_mul(*stride));
            false
        }
        Operand::Reg(_) => true,
    });
    place.offset = offset;
}

/// Calls `f` on every place.
fn places(code: &mut [Stmt], f: &mut dyn FnMut(&mut Place)) {
    for statement in code {
        match statement {
            Stmt::Let(_, Expr::Load(place)) | Stmt::Store(place, _) => f(place),
            _ => ir_visit::blocks_mut(statement).into_iter().for_each(|block| places(block, f)),
        }
    }
}

/// The variable of each scalar.
struct Vars<'a> {
    body: &'a mut Body,
    known: HashMap<(Local, u32, Scalar), Var>,
    fixed: &'a HashSet<Local>,
}

impl Vars<'_> {
    fn of(&mut self, place: &Place, ty: Scalar) -> Option<Var> {
        let Root::Local(local) = place.root else { return None };
        if !self.fixed.contains(&local) {
            return None;
        }
        let Self { body, known, .. } = self;
        Some(*known.entry((local, place.offset, ty)).or_insert_with(|| {
            let name = format!("{}_at{}", body.locals[local.0 as usize].name, place.offset);
            body.vars.push(VarInfo { ty, name });
            Var(body.vars.len() as u32 - 1)
        }))
    }
}

fn rewrite(code: &mut [Stmt], vars: &mut Vars<'_>) {
    for statement in code {
        match statement {
            Stmt::Let(reg, expr) => {
                let ty = vars.body.regs[reg.0 as usize].ty;
                if let Expr::Load(place) = expr
                    && let Some(var) = vars.of(place, ty)
                {
                    *expr = Expr::Read(var);
                }
            }
            Stmt::Store(place, value) => {
                let ty = vars.body.type_of(*value);
                if let Some(var) = vars.of(place, ty) {
                    *statement = Stmt::Set(var, *value);
                }
            }
            _ => ir_visit::blocks_mut(statement).into_iter().for_each(|block| rewrite(block, vars)),
        }
    }
}
