//! A topic pattern that is known to be valid.

use std::fmt;

use crate::limits::{MAX_PATTERN_BYTES, MAX_PATTERN_TOKENS};

/// A pattern that matches at least one topic and fits into one `SUB` frame.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing but an empty text.
    #[error("an empty pattern matches nothing")]
    Empty,
    /// Longer than a bus frame carries.
    #[error("longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// More tokens than any topic has.
    #[error("more than {MAX_PATTERN_TOKENS} tokens")]
    TooManyTokens,
    /// Topics are printable ASCII without spaces.
    #[error("only printable ASCII without spaces may stand in a pattern, found {0:?}")]
    Character(char),
    /// Two dots in a row, or one at an end.
    #[error("empty token: remove the surplus dot")]
    EmptyToken,
    /// `*` and `>` stand alone between dots.
    #[error("`{0}` mixes a wildcard with text; a wildcard is a whole token")]
    PartialWildcard(Box<str>),
    /// `>` is only meaningful at the end.
    #[error("`>` must be the last token")]
    TrailingTokens,
}

impl Pattern {
    /// Validates a pattern that somebody writes now.
    ///
    /// # Errors
    /// The first rule it breaks, see [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::stored(text)?;
        if let Some(token) = text.split('.').find(|token| token.len() > 1 && token.contains(['*', '>'])) {
            return Err(PatternError::PartialWildcard(token.into()));
        }
        if text.split('.').any(str::is_empty) {
            return Err(PatternError::EmptyToken);
        }
        if pattern.0.len() != text.len() {
            return Err(PatternError::TrailingTokens);
        }
        Ok(pattern)
    }

    /// Accepts what an older writer may have stored, with the meaning that DECNET's matcher gives it: what
    /// follows a `>` is dropped, empty tokens and wildcards within a token are literal.
    ///
    /// # Errors
    /// What cannot be sent in a `SUB` frame or could never match: empty, too long, not printable ASCII.
    pub fn stored(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        if text.split('.').count() > MAX_PATTERN_TOKENS {
            return Err(PatternError::TooManyTokens);
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(PatternError::Character(bad));
        }
        let end = text.split('.').position(|token| token == ">");
        let kept = end
            .map_or(text.len(), |n| text.split('.').take(n).map(|token| token.len() + 1).sum::<usize>() + 1);
        Ok(Self(text[..kept].into()))
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, in order.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Does every topic that `other` matches match this one too?
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.tokens();
        for mine in self.tokens() {
            match (mine, theirs.next()) {
                (">", token) => return token.is_some(),
                (_, None | Some(">")) | ("*", Some("")) => return false,
                ("*", Some(_)) => {}
                (mine, Some(token)) if mine == token => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Does it contain `*` or `>`?
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.tokens().any(|token| matches!(token, "*" | ">"))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_patterns_are_strict() {
        let refused = |text: &str| Pattern::new(text).unwrap_err();
        assert_eq!(refused(""), PatternError::Empty);
        assert_eq!(refused("a..b"), PatternError::EmptyToken);
        assert_eq!(refused("a.>.b"), PatternError::TrailingTokens);
        assert_eq!(refused("a b"), PatternError::Character(' '));
        assert_eq!(refused("ä"), PatternError::Character('ä'));
        assert_eq!(refused("a.b*"), PatternError::PartialWildcard("b*".into()));
        assert_eq!(refused(&"a".repeat(MAX_PATTERN_BYTES + 1)), PatternError::TooLong);
        assert_eq!(refused(&"a.".repeat(MAX_PATTERN_TOKENS)), PatternError::TooManyTokens);
        assert_eq!(Pattern::new("decky.*.state").map(|p| p.to_string()), Ok("decky.*.state".into()));
    }

    #[test]
    fn stored_patterns_keep_their_meaning() {
        assert_eq!(Pattern::stored("a.>.b").map(|p| p.to_string()), Ok("a.>".into()));
        assert_eq!(Pattern::stored("a..b").map(|p| p.to_string()), Ok("a..b".into()));
        assert_eq!(Pattern::stored(""), Err(PatternError::Empty));
        assert_eq!(Pattern::stored("a\nb"), Err(PatternError::Character('\n')));
    }

    #[test]
    fn covering_is_inclusion() {
        let covers = |a, b| Pattern::new(a).unwrap().covers(&Pattern::new(b).unwrap());
        assert!(covers(">", "a.b"));
        assert!(covers("a.>", "a.*.c"));
        assert!(covers("a.*", "a.b"));
        assert!(covers("a.>", "a.>"));
        assert!(!covers("a.*", "a.>"));
        assert!(!covers("a.>", "a"));
        assert!(!covers("a.b", "a.*"));
        assert!(!covers("*.b", "a.>"));
    }
}
