//! Words that mark unfinished, disabled or machine-specific text. Clippy finds the corresponding macros.

use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

/// The forbidden words, and the advice. Each word is written in two halves, so that this file does not violate the rule.
const WORDS: [(&str, &str); 4] = [
    (concat!("TO", "DO"), "do it, or describe what is missing"),
    (concat!("FIX", "ME"), "fix it, or describe what is wrong"),
    (concat!("#[ig", "nore"), "run the test or delete it"),
    (concat!("/wo", "rk"), "an absolute path of one machine"),
];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files().filter(|file| !file.path.ends_with(".lock")) {
        for (index, line) in file.text.lines().enumerate() {
            let found = WORDS.iter().filter(|(word, _)| contains(line, word));
            let messages = found.map(|(word, advice)| format!("`{word}`: {advice}"));
            violations.extend(messages.map(|message| Violation::new(&file.path, index + 1, "word", message)));
        }
    }
    violations
}

/// Returns whether a line contains a word, not as a part of a longer word.
fn contains(line: &str, word: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
    let mut found = line.match_indices(word).map(|(at, _)| (&line[..at], &line[at + word.len()..]));
    found.any(|(before, after)| !before.ends_with(continues) && !after.starts_with(continues))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_reported_with_its_line() {
        for (word, _) in WORDS {
            let found = check(&Tree::of(&[("a.rs", &format!("x\n{word} y\n"))]));
            assert_eq!(found.len(), 1, "{word}");
            assert!(found[0].to_string().starts_with("a.rs:2: word: "));
        }
    }

    #[test]
    fn longer_words_and_relative_paths_are_allowed() {
        for text in
            [concat!("MASTO", "DON"), concat!("src/wo", "rk/a"), concat!("https://x/wo", "rker"), "#[expect("]
        {
            assert!(check(&Tree::of(&[("a.md", text)])).is_empty(), "{text}");
        }
        assert!(check(&Tree::of(&[("Cargo.lock", concat!("TO", "DO"))])).is_empty());
    }
}
