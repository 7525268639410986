//! What a report looks like: a table in Markdown (`table`), JSON (`json`), and pictures of the latencies (`picture`).

pub mod json;
pub mod picture;
pub mod table;
#[cfg(test)]
pub mod testing;

use crate::figure::Report;
use std::path::Path;
use std::{fs, io};

/// Writes report.md, report.json, and the pictures.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn write_files(report: &Report, markdown: &str, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut text = markdown.to_owned();
    for (name, svg) in picture::pictures(report).map_err(io::Error::other)? {
        fs::write(folder.join(&name), svg)?;
        text.push_str(&format!("\n![{name}]({name})\n"));
    }
    fs::write(folder.join("report.md"), text)?;
    fs::write(folder.join("report.json"), json::json(report).map_err(io::Error::other)?)
}
