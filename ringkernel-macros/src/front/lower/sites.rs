//! Places in the source that can fault, each once.

use crate::ir::{Site, SiteId};
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
        let (file, line, column) = location(span);
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

/// File, line and column of a span's first token; zeros where there is no compiler to ask.
pub(super) fn location(span: Span) -> (String, u32, u32) {
    if !proc_macro::is_available() {
        return (String::new(), 0, 0);
    }
    let span = span.unwrap();
    (span.file(), span.line() as u32, span.column() as u32)
}
