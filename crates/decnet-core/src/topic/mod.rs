//! Topics and patterns: dot-separated tokens, `*` for one token, `>` for all that follow.

pub mod own;
mod pattern;
mod trie;

pub use pattern::{Pattern, PatternError};
pub use trie::PatternTrie;

/// Does `pattern` match `topic`?
///
/// The reference that the trie is tested against, with the semantics of DECNET's bus: `*` is exactly one
/// non-empty token, `>` one or more trailing tokens, and whatever follows a `>` is ignored.
#[must_use]
pub fn matches(pattern: &str, topic: &str) -> bool {
    let mut tokens = topic.split('.');
    for wanted in pattern.split('.') {
        let token = tokens.next();
        match (wanted, token) {
            (">", token) => return token.is_some(),
            (_, None) | ("*", Some("")) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matcher_follows_the_bus() {
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
