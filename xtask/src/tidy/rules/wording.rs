//! The mechanical part of the writing style (CONTRIBUTING.md, "Language"): phrases and openings that a reader has to
//! translate, in Rust files and in the documentation.

use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

/// Phrases, in lower case, each with its replacement.
const PHRASES: &[(&str, &str)] = &[
    (concat!("is ", "no "), "is not a …, does not …"),
    (concat!("are ", "no "), "are not …"),
    (concat!("was ", "no "), "was not a …"),
    (concat!("is ", "none"), "is not …, does not exist"),
    (concat!("lets ", "go"), "releases"),
    (concat!("let ", "go of"), "release"),
    (concat!("is ", "told"), "is notified, is reported"),
    (concat!("are ", "told"), "are notified, are reported"),
    (concat!("as it ", "should be"), "name what is wrong"),
];

/// The text around a phrase that makes it ordinary English: `there is no`, `is no longer`.
const ORDINARY: [(&str, &str); 2] = [("there ", ""), ("", "longer")];

/// First words of a documentation comment that need an antecedent, which rustdoc does not show.
const OPENINGS: [&str; 10] =
    ["It ", "Its ", "Of ", "The same", "None", "Such ", "They ", "Them ", "So many", "Those "];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.with_extension(".rs").chain(tree.with_extension(".md")) {
        let mut in_documentation = false;
        for (index, line) in file.text.lines().enumerate() {
            let documentation = documentation(line);
            let opening = documentation.filter(|_| !in_documentation).and_then(opening);
            let messages = phrases(line).into_iter().chain(opening);
            violations
                .extend(messages.map(|message| Violation::new(&file.path, index + 1, "wording", message)));
            in_documentation = documentation.is_some();
        }
    }
    violations
}

/// Returns the text of a documentation comment.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start)
}

fn opening(first: &str) -> Option<String> {
    if let Some(opening) = OPENINGS.iter().find(|opening| first.starts_with(**opening)) {
        return Some(format!("documentation begins with `{}`: name the thing", opening.trim()));
    }
    let sentence = first.split_inclusive(['.', '?']).next();
    let is_question = sentence.is_some_and(|sentence| sentence.ends_with('?') && !sentence.contains('`'));
    is_question.then(|| "documentation begins with a question: `Returns whether …`".to_owned())
}

fn phrases(line: &str) -> Vec<String> {
    let line = line.to_lowercase();
    let found = PHRASES.iter().filter(|(phrase, _)| contains(&line, phrase));
    found.map(|(phrase, instead)| format!("`{}`: write `{instead}`", phrase.trim())).collect()
}

/// Returns whether `text` has `phrase` between word boundaries, and not as part of an ordinary phrase.
fn contains(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + phrase.len()..]);
        let is_word = !before.ends_with(char::is_alphanumeric)
            && (phrase.ends_with(' ') || !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
        // At the start of a line, the words before it are not known.
        let is_continued = !before.contains(char::is_alphanumeric);
        let is_ordinary = is_continued
            || ORDINARY.iter().any(|(left, right)| before.ends_with(left) && after.starts_with(right));
        is_word && !is_ordinary
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&Tree::of(&[("a.rs", text)])).len()
    }

    #[test]
    fn phrases_are_found_in_comments_messages_and_prose() {
        for text in [
            concat!("// the body is ", "no JSON"),
            concat!("    #[error(\"`{0}` is ", "no duration\")]"),
            concat!("//! The reader is ", "told later."),
        ] {
            assert_eq!(found(text), 1, "{text}");
        }
        assert_eq!(check(&Tree::of(&[("a.md", concat!("It is ", "no file."))])).len(), 1);
    }

    #[test]
    fn ordinary_english_passes() {
        for text in [
            concat!("// there is ", "no bus"),
            concat!("// is ", "no place for it"),
            concat!("// it is ", "no longer used"),
            "/// Returns whether the lane is open. It never blocks.\n/// It is cheap.",
            "/// Matches `a?b`.",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
    }

    #[test]
    fn documentation_begins_with_a_noun_or_a_verb() {
        assert_eq!(found("/// It is over.\nfn a() {}"), 1);
        assert_eq!(found("/// Has it been read?\nfn a() {}"), 1);
        assert_eq!(found("/// The same for people.\nfn a() {}"), 1);
        assert_eq!(found("/// Ends.\n/// It is over.\nfn a() {}"), 0);
    }
}
