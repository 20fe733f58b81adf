//! Valid topic patterns.

use std::fmt;

use super::matches;
use crate::limits::{MAX_PATTERN_BYTES, MAX_PATTERN_TOKENS};

/// A pattern that matches at least one topic and fits into one `SUB` frame.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

/// The reason why a pattern is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("an empty pattern matches nothing")]
    Empty,
    /// The pattern does not fit a bus frame.
    #[error("longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// There are too many tokens.
    #[error("more than {MAX_PATTERN_TOKENS} tokens")]
    TooManyTokens,
    /// The pattern contains a character that does not occur in topics.
    #[error("only printable ASCII without spaces is valid in a pattern, found {0:?}")]
    Character(char),
    /// There are two consecutive dots, or a dot at the beginning or the end.
    #[error("empty token: remove the surplus dot")]
    EmptyToken,
    /// `*` or `>` is only a part of a token.
    #[error("`{0}` contains `*` or `>`, which are wildcards and valid only as a whole token")]
    PartialWildcard(Box<str>),
    /// `>` is not the last token.
    #[error("`>` must be the last token")]
    TrailingTokens,
}

impl Pattern {
    /// Validates a new pattern.
    ///
    /// # Errors
    /// See [`PatternError`]; the first violated rule.
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

    /// Validates a stored pattern, which an older writer may have accepted. As in DECNET's matcher, tokens after `>` are
    /// dropped, and empty tokens and wildcards within a token are literal.
    ///
    /// # Errors
    /// The pattern does not fit a `SUB` frame or can never match: it is empty, too long, or not printable ASCII.
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

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tokens, in order.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Returns whether this pattern matches every topic that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // Only a pattern with `>` matches topics of any length.
        let is_open = |pattern: &Self| pattern.tokens().next_back() == Some(">");
        (is_open(self) || !is_open(other)) && matches(&self.0, &other.0)
    }

    /// Returns whether the pattern contains `*` or `>`.
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
    fn new_patterns_are_validated_strictly() {
        let error = |text: &str| Pattern::new(text).unwrap_err();
        assert_eq!(error(""), PatternError::Empty);
        assert_eq!(error("a..b"), PatternError::EmptyToken);
        assert_eq!(error("a.>.b"), PatternError::TrailingTokens);
        assert_eq!(error("a b"), PatternError::Character(' '));
        assert_eq!(error("ä"), PatternError::Character('ä'));
        assert_eq!(error("a.b*"), PatternError::PartialWildcard("b*".into()));
        assert_eq!(error(&"a".repeat(MAX_PATTERN_BYTES + 1)), PatternError::TooLong);
        assert_eq!(error(&"a.".repeat(MAX_PATTERN_TOKENS)), PatternError::TooManyTokens);
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
    fn wider_patterns_cover_narrower_ones() {
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
