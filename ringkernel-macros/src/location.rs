//! Where tokens stand in the user's files.

use proc_macro2::Span;

/// A place in a source file. Outside a macro (in unit tests) all of it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file as the compiler was given it.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
}

/// Where a span begins.
pub fn of(span: Span) -> Location {
    if !proc_macro::is_available() {
        return Location::default();
    }
    let span = span.unwrap();
    Location { file: span.file(), line: span.line() as u32, column: span.column() as u32 }
}
