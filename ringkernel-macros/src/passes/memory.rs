//! What is in memory: a load of what was just stored or loaded is not needed.
//!
//! Why: `self.n += 1; Reply { n: self.n }` loads the field three times as lowered, and ptxas keeps the loads apart: for all it knows, the
//! reply's address is the field's. Here the roots are known to be apart, and no one else writes them while the handler runs, unless it takes a
//! message.

use super::scoped::{Mark, Scoped};
use crate::ir::{Effect, Operand, Place, Root, Stmt};
use crate::ir_visit;

/// What is known of places without indices. Scalars at one place have one type, and none overlaps another.
pub(super) struct Memory {
    known: Scoped<(Root, u32), Operand>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { known: Scoped::new() }
    }

    pub(super) fn mark(&self) -> Mark {
        self.known.mark()
    }

    pub(super) fn rewind(&mut self, mark: Mark) {
        self.known.rewind(mark);
    }

    /// What a load from here gives.
    pub(super) fn at(&self, place: &Place) -> Option<Operand> {
        if place.index.is_empty() { self.known.get(&(place.root, place.offset)).copied() } else { None }
    }

    /// Takes note of what a load gave.
    pub(super) fn loaded(&mut self, place: &Place, value: Operand) {
        if place.index.is_empty() {
            self.known.insert((place.root, place.offset), value);
        }
    }

    /// Takes note of a store.
    pub(super) fn stored(&mut self, place: &Place, value: Operand) {
        self.clobber(place);
        self.loaded(place, value);
    }

    /// Forgets what a store to this place may change.
    fn clobber(&mut self, place: &Place) {
        if place.index.is_empty() {
            self.known.remove((place.root, place.offset));
        } else {
            self.known.remove_where(|(root, _)| *root == place.root);
        }
    }

    /// Takes note of an effect: a message that is taken overwrites its local.
    pub(super) fn happened(&mut self, effect: &Effect) {
        if let Effect::Receive(_, payload) = effect {
            self.known.remove_where(|(root, _)| *root == Root::Local(payload.local));
        }
    }

    /// Forgets what this code may change.
    pub(super) fn forget(&mut self, code: &[Stmt]) {
        ir_visit::statements(code, &mut |statement| match statement {
            Stmt::Store(place, _) => self.clobber(place),
            Stmt::Effect(_, effect) => self.happened(effect),
            _ => {}
        });
    }
}
