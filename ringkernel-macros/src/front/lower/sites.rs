//! Places in the source that can fault, each once.

use crate::ir::{Site, SiteId};
use crate::location::{self, Location};
use proc_macro2::Span;
use std::collections::HashMap;

/// The sites of a kernel.
#[derive(Default)]
pub(crate) struct Sites {
    list: Vec<Site>,
    known: HashMap<(String, u32, u32, String), SiteId>,
}

impl Sites {
    /// The number of a place, with a message.
    pub(super) fn id(&mut self, span: Span, message: &str) -> SiteId {
        let Location { file, line, column } = location::of(span);
        let key = (file, line, column, message.to_owned());
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let id = SiteId(self.list.len() as u32);
        let (file, message) = (key.0.clone(), key.3.clone());
        self.list.push(Site { file, line, column, message });
        self.known.insert(key, id);
        id
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets all but the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
        self.known.retain(|_, id| (id.0 as usize) < len);
    }

    pub(crate) fn into_vec(self) -> Vec<Site> {
        self.list
    }
}
