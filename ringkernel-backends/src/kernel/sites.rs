//! Native panic locations, interned so that they fit a word.

use super::Site;
use std::sync::{Mutex, PoisonError};

static SITES: Mutex<Vec<Site>> = Mutex::new(Vec::new());

/// Remembers a native panic's location and message; equal ones share an index.
///
/// At most 4096 are kept apart (a message can hold run-time values); later ones keep their place and lose their text.
pub fn intern_site(file: &str, line: u32, column: u32, message: &str) -> u32 {
    let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    let full = sites.len() >= 4096;
    let message = if full { "" } else { message };
    if let Some(i) = sites
        .iter()
        .position(|s| s.line == line && s.column == column && s.message == message && s.file == file)
    {
        return i as u32;
    }
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    sites.push(Site { file: leak(file), line, column, message: leak(message) });
    sites.len() as u32 - 1
}

/// What [`intern_site`] remembered.
pub fn native_site(index: u32) -> Option<Site> {
    SITES.lock().unwrap_or_else(PoisonError::into_inner).get(index as usize).copied()
}
