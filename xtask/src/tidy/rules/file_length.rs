//! Rust files remain short enough to be read in one sitting. Clippy checks the length of functions
//! (`clippy.toml`).

use crate::tidy::source::Sources;
use crate::tidy::violation::Violation;

/// Maximum lines of a file, without the test modules at its end.
const MAX_FILE_LINES: usize = 400;

pub(super) fn check(sources: &Sources) -> Vec<Violation> {
    let lengths = sources.iter().map(|(path, source)| (path, source.production_lines));
    let too_long = lengths.filter(|(_, lines)| *lines > MAX_FILE_LINES).map(|(path, lines)| {
        let message = format!("has {lines} lines, {MAX_FILE_LINES} are allowed: split it");
        Violation::new(path, 1, "file-length", message)
    });
    too_long.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_above_the_limit_are_reported() {
        for (lines, expected) in [(MAX_FILE_LINES, 0), (MAX_FILE_LINES + 1, 1)] {
            let text = "\n".repeat(lines);
            assert_eq!(check(&Sources::of(&[("a.rs", &text)])).len(), expected, "{lines}");
        }
    }
}
