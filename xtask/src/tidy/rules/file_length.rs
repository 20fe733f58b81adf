//! Rust files remain short enough to be read in one sitting. Clippy checks the length of functions
//! (`clippy.toml`).

use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

/// Maximum lines of a file, without the test module at its end.
const MAX_FILE_LINES: usize = 400;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let lengths = tree.with_extension(".rs").map(|file| (file, production_lines(&file.text)));
    let too_long = lengths.filter(|(_, lines)| *lines > MAX_FILE_LINES).map(|(file, lines)| {
        let message = format!("has {lines} lines, {MAX_FILE_LINES} are allowed: split it");
        Violation::new(&file.path, 1, "file-length", message)
    });
    too_long.collect()
}

/// Returns the number of lines before the test module. Clippy rejects code after it (`items_after_test_module`).
fn production_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let starts_tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ");
    lines.windows(2).position(starts_tests).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_above_the_limit_are_reported() {
        for (lines, expected) in [(MAX_FILE_LINES, 0), (MAX_FILE_LINES + 1, 1)] {
            let text = "\n".repeat(lines) + "#[cfg(test)]\nmod tests {\n}\n";
            assert_eq!(check(&Tree::of(&[("a.rs", &text)])).len(), expected, "{lines}");
        }
    }

    #[test]
    fn only_the_test_module_is_excluded() {
        assert_eq!(production_lines("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(production_lines("#[cfg(test)]\nfn a() {}\n#[cfg(unix)]\nmod tests {\n}\n"), 5);
        assert_eq!(production_lines(""), 0);
    }
}
