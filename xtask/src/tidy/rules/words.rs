//! Words that mark unfinished, disabled or machine-specific text. Clippy finds the corresponding macros.

use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

struct Word {
    text: &'static str,
    /// Whether the word must not be part of a longer word.
    is_whole: bool,
    advice: &'static str,
}

/// The forbidden words. Each is written in two halves, so that this file does not violate the rule.
const WORDS: &[Word] = &[
    Word { text: concat!("TO", "DO"), is_whole: true, advice: "do it, or describe what is missing" },
    Word { text: concat!("FIX", "ME"), is_whole: true, advice: "fix it, or describe what is wrong" },
    Word { text: concat!("#[ig", "nore"), is_whole: false, advice: "run the test or delete it" },
    Word { text: concat!("/wo", "rk"), is_whole: true, advice: "an absolute path of one machine" },
];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files().filter(|file| !file.path.ends_with(".lock")) {
        for (index, line) in file.text.lines().enumerate() {
            let found = WORDS.iter().filter(|word| word.is_in(line));
            let message = |word: &Word| format!("`{}`: {}", word.text, word.advice);
            violations.extend(found.map(|word| Violation::new(&file.path, index + 1, "word", message(word))));
        }
    }
    violations
}

impl Word {
    fn is_in(&self, line: &str) -> bool {
        line.match_indices(self.text).any(|(at, _)| {
            !self.is_whole
                || !line[..at].ends_with(continues_word)
                    && !line[at + self.text.len()..].starts_with(continues_word)
        })
    }
}

fn continues_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_reported_with_its_line() {
        for word in WORDS {
            let found = check(&Tree::of(&[("a.rs", &format!("x\n{} y\n", word.text))]));
            assert_eq!(found.len(), 1, "{}", word.text);
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
