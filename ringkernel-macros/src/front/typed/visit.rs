//! Walks over the typed tree, for the questions that lowering asks before it decides.

use super::tree::{ArchivedOp, Expr, Iter, Kind, Pat, PatKind, StmtKind};

impl Expr {
    /// Calls `f` on the expression and everything inside it.
    pub(crate) fn walk(&self, f: &mut dyn FnMut(&Expr)) {
        f(self);
        match &self.kind {
            Kind::Int(_)
            | Kind::Float(_)
            | Kind::Bool(_)
            | Kind::Constant(_)
            | Kind::Named(_)
            | Kind::Local(_)
            | Kind::Underscore
            | Kind::Instance
            | Kind::Panic(_)
            | Kind::Continue(_)
            | Kind::Error => {}
            Kind::Field(e, _)
            | Kind::Deref(e)
            | Kind::Ref(_, e)
            | Kind::Neg(e)
            | Kind::Not(e)
            | Kind::Cast(e)
            | Kind::Archived(_, e)
            | Kind::Repeat(e, _)
            | Kind::Assert { condition: e, .. }
            | Kind::Loop { body: e, .. } => e.walk(f),
            Kind::Index(a, b)
            | Kind::Binary(_, a, b)
            | Kind::Compare(_, a, b)
            | Kind::And(a, b)
            | Kind::Or(a, b)
            | Kind::Assign(a, b)
            | Kind::AssignOp(_, a, b)
            | Kind::Swap(a, b)
            | Kind::Replace(a, b)
            | Kind::While { condition: a, body: b, .. } => {
                a.walk(f);
                b.walk(f);
            }
            Kind::Call(_, args)
            | Kind::Number(_, args, _)
            | Kind::Array(_, args, _)
            | Kind::Context(_, args) => {
                args.iter().for_each(|e| e.walk(f));
            }
            Kind::Aggregate { fields, base } => {
                fields.iter().for_each(|(_, e)| e.walk(f));
                base.iter().for_each(|e| e.walk(f));
            }
            Kind::If { condition, then, otherwise } => {
                condition.walk(f);
                then.walk(f);
                otherwise.iter().for_each(|e| e.walk(f));
            }
            Kind::Match { scrutinee, arms } => {
                scrutinee.walk(f);
                for arm in arms {
                    arm.pat.walk(f);
                    arm.guard.iter().for_each(|e| e.walk(f));
                    arm.body.walk(f);
                }
            }
            Kind::Block { stmts, tail, .. } => {
                for stmt in stmts {
                    match &stmt.kind {
                        StmtKind::Let { pat, init, otherwise } => {
                            init.iter().chain(otherwise).for_each(|e| e.walk(f));
                            pat.walk(f);
                        }
                        StmtKind::Expr(e) => e.walk(f),
                    }
                }
                tail.iter().for_each(|(e, _)| e.walk(f));
            }
            Kind::For { iter, body, .. } => {
                match &**iter {
                    Iter::Range { low, high, step, .. } => {
                        low.walk(f);
                        high.walk(f);
                        step.iter().for_each(|(e, _)| e.walk(f));
                    }
                    Iter::Array { array, .. } => array.walk(f),
                }
                body.walk(f);
            }
            Kind::Break(_, value) | Kind::Return(value) => value.iter().for_each(|e| e.walk(f)),
        }
    }

    fn any(&self, test: impl Fn(&Expr) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |e| found |= test(e));
        found
    }

    /// Whether a `return` stands in it.
    pub(crate) fn returns(&self) -> bool {
        self.any(|e| matches!(e.kind, Kind::Return(_)))
    }

    /// Whether it may change memory or variables that exist outside it. (It may fault.)
    pub(crate) fn writes(&self) -> bool {
        self.any(|e| {
            matches!(
                e.kind,
                Kind::Assign(..)
                    | Kind::AssignOp(..)
                    | Kind::Swap(..)
                    | Kind::Replace(..)
                    | Kind::Array(..)
                    | Kind::Ref(true, _)
                    | Kind::Call(..)
            )
        })
    }

    /// Whether computing it when its value may not be needed is harmless and cheap: it cannot fault, and is short.
    pub(crate) fn is_speculable(&self) -> bool {
        let mut nodes = 0;
        let mut harmless = true;
        self.walk(&mut |e| {
            nodes += 1;
            harmless &= matches!(
                e.kind,
                Kind::Int(_)
                    | Kind::Float(_)
                    | Kind::Bool(_)
                    | Kind::Constant(_)
                    | Kind::Local(_)
                    | Kind::Field(..)
                    | Kind::Deref(_)
                    | Kind::Compare(..)
                    | Kind::Not(_)
                    | Kind::Archived(ArchivedOp::ToNative, _)
                    | Kind::And(..)
                    | Kind::Or(..)
            );
        });
        harmless && nodes <= 12
    }

    /// Whether its value comes out of branches or loops.
    pub(crate) fn is_control(&self) -> bool {
        match &self.kind {
            Kind::If { .. } | Kind::Match { .. } | Kind::Loop { .. } | Kind::Block { label: Some(_), .. } => {
                true
            }
            Kind::Block { label: None, tail: Some((tail, _)), stmts } => {
                stmts.is_empty() && tail.is_control()
            }
            _ => false,
        }
    }

    /// Whether it names a place: something that has an address already.
    pub(crate) fn is_place(&self) -> bool {
        match &self.kind {
            Kind::Local(_) | Kind::Deref(_) => true,
            Kind::Field(base, _) | Kind::Index(base, _) => base.is_place(),
            _ => false,
        }
    }
}

impl Pat {
    fn walk(&self, f: &mut dyn FnMut(&Expr)) {
        match &self.kind {
            PatKind::Wild => {}
            PatKind::Bind { sub, .. } => sub.iter().for_each(|p| p.walk(f)),
            PatKind::Fields(fields) => fields.iter().for_each(|(_, p)| p.walk(f)),
            PatKind::Elements(elements) => elements.iter().for_each(|(_, p)| p.walk(f)),
            PatKind::Value(e) => e.walk(f),
            PatKind::Range { low, high, .. } => {
                low.iter().for_each(|e| e.walk(f));
                high.iter().for_each(|e| e.walk(f));
            }
            PatKind::Or(cases) => cases.iter().for_each(|p| p.walk(f)),
            PatKind::Deref(inner) => inner.walk(f),
        }
    }
}
