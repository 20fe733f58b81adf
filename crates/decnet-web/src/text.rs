//! Text of foreign origin.

use std::fmt;

use decnet_core::text::{escape, is_hidden};
use serde::Deserialize;

/// Text that others have written. Displays hidden characters as escapes, so that text cannot reorder or hide what surrounds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Returns the text as it was written, for use in a URL or a form field.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Returns the text percent-encoded, as one segment of a path or one value of a query (RFC 3986, section 2.3).
    #[must_use]
    pub fn url(&self) -> String {
        encode(&self.0)
    }

    /// Returns whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text with hidden characters escaped, except line feeds.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut shown = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            match c {
                '\n' => shown.push('\n'),
                c if is_hidden(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        shown
    }
}

/// Percent-encodes everything except unreserved characters.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
                );
            }
        }
    }
    out
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_visible() {
        let text = Text::from("a\u{202e}b\nc\u{1b}[31m");
        assert_eq!(text.to_string(), "a\\u{202e}b\\nc\\u{1b}[31m");
        assert_eq!(text.lines(), "a\\u{202e}b\nc\\u{1b}[31m");
        assert_eq!(text.raw(), "a\u{202e}b\nc\u{1b}[31m");
    }

    #[test]
    fn only_unreserved_characters_stay_in_a_url() {
        assert_eq!(Text::from("a-1.~_/?&\"<é").url(), "a-1.~_%2F%3F%26%22%3C%C3%A9");
    }
}
