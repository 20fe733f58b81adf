//! Topics and patterns: tokens separated by dots; `*` matches one token, `>` all following tokens.

mod pattern;
pub mod system_topics;
mod trie;

pub use pattern::{Pattern, PatternError};
pub use trie::PatternTrie;

/// Returns whether `pattern` matches `topic`.
///
/// This is the reference for tests of the trie, with the semantics of DECNET's bus: `*` matches exactly one non-empty token, `>`
/// one or more trailing tokens, and tokens after `>` are ignored.
#[must_use]
pub fn matches(pattern: &str, topic: &str) -> bool {
    let mut tokens = topic.split('.');
    for expected in pattern.split('.') {
        match (expected, tokens.next()) {
            (">", token) => return token.is_some(),
            (_, None) | ("*", Some("")) => return false,
            ("*", Some(_)) => {}
            (expected, Some(token)) if expected == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matcher_has_the_semantics_of_the_bus() {
        for (pattern, topic, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("*.b", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.", false),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.", true),
            ("a.>.b", "a.x.y", true),
            (">", "", true),
            ("", "", true),
            ("a..b", "a..b", true),
        ] {
            assert_eq!(matches(pattern, topic), expected, "{pattern} against {topic}");
        }
    }
}
