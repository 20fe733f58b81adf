//! Arguments that name a file, or `-` for stdin.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

/// Opens the file, or stdin for `-`. The reader ends after `max_bytes`.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn open(path: &Path, max_bytes: u64) -> std::io::Result<impl Read> {
    let source: Box<dyn Read> =
        if path == Path::new("-") { Box::new(stdin()) } else { Box::new(File::open(path)?) };
    Ok(source.take(max_bytes))
}
