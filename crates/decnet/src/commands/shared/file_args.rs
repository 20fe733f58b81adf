//! Arguments that name a text file, or `-` for stdin.

use std::fs::File;
use std::io::{self, Read as _, stdin};
use std::path::Path;

/// Reads at most `max_bytes` of the file, or of stdin for `-`.
///
/// # Errors
/// The file cannot be read, or is not UTF-8 (`InvalidData`).
pub(crate) fn read(path: &Path, max_bytes: u64) -> io::Result<String> {
    if path == Path::new("-") {
        return io::read_to_string(stdin().take(max_bytes));
    }
    io::read_to_string(File::open(path)?.take(max_bytes))
}
