//! Arguments that name a text file, or `-` for stdin.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, stdin};
use std::path::Path;

use crate::failure::Usage;

/// Reads at most `max_bytes` of a file, or of stdin for `-`. `what` names the content in errors.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub(crate) fn read(path: &Path, max_bytes: u64, what: &str) -> anyhow::Result<String> {
    let text = match path.to_str() {
        Some("-") => io::read_to_string(stdin().take(max_bytes)),
        _ => File::open(path).and_then(|file| io::read_to_string(file.take(max_bytes))),
    };
    text.map_err(|error| match (error.kind(), path.display()) {
        (ErrorKind::InvalidData, path) => {
            Usage::new(format!("{path} is not UTF-8 text; save it as UTF-8")).into()
        }
        (_, path) => anyhow::Error::from(error).context(format!("cannot read the {what} from {path}")),
    })
}

/// Reads the first line, of at most `max_bytes`.
///
/// # Errors
/// As [`read`]; also if the line is empty.
pub(crate) fn read_line(path: &Path, max_bytes: u64, what: &str) -> anyhow::Result<String> {
    let mut text = read(path, max_bytes, what)?;
    text.truncate(text.lines().next().unwrap_or_default().len());
    anyhow::ensure!(!text.trim().is_empty(), "{} has no {what} on its first line", path.display());
    Ok(text)
}
