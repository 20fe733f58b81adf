//! Tokens.

use super::literal::{self, Literal};
use crate::error::{Mistake, quote};

/// The symbols; a symbol precedes its prefixes.
const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]",
    "{", "}", ",", ".", ";",
];

/// Characters that are often written by mistake, and what to write instead.
const ADVICE: [(&str, &str); 5] = [
    ("=", "to compare, write `==`"),
    ("&", "write `&&`"),
    ("|", "write `||`"),
    ("“”„‘’‚«»", "write a straight quotation mark, `\"` or `'`"),
    ("$@#^~\\", "a filter is an expression such as `payload.port == 22`"),
];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'s> {
    /// A name or keyword.
    Name(&'s str),
    /// A field name in backticks, without them.
    Quoted(&'s str),
    Literal(Literal),
    Symbol(&'static str),
    End,
}

pub(super) struct Lexer<'s> {
    source: &'s str,
    /// The offset of the next token or of the space before it.
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, at: 0 }
    }

    /// Returns the next token and its offset.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'s>), Mistake> {
        self.skip_space();
        let (start, rest) = (self.at, &self.source[self.at..]);
        let Some(first) = rest.chars().next() else { return Ok((start, Token::End)) };
        let (length, token) = match first {
            '0'..='9' => literal::number(rest).map(|(length, number)| (length, Token::Literal(number))),
            '`' => quoted(rest),
            _ if literal::is_string(rest) => {
                literal::string(rest).map(|(length, text)| (length, Token::Literal(text)))
            }
            'a'..='z' | 'A'..='Z' | '_' => Ok(name(rest)),
            _ => symbol(rest, first),
        }
        .map_err(|mistake| Mistake { at: start + mistake.at, ..mistake })?;
        self.at += length;
        Ok((start, token))
    }

    /// Skips whitespace and comments.
    fn skip_space(&mut self) {
        loop {
            let rest = &self.source[self.at..];
            let text = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - text.len();
            if !text.starts_with("//") {
                break;
            }
            self.at += text.find('\n').unwrap_or(text.len());
        }
    }
}

fn name(rest: &str) -> (usize, Token<'_>) {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end, Token::Name(&rest[..end]))
}

/// Parses a field name in backticks.
fn quoted(rest: &str) -> Result<(usize, Token<'_>), Mistake> {
    let end =
        rest[1..].find('`').ok_or_else(|| Mistake::new(0, "a field name in backticks is not closed"))?;
    Ok((end + 2, Token::Quoted(&rest[1..=end])))
}

fn symbol(rest: &str, first: char) -> Result<(usize, Token<'_>), Mistake> {
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((symbol.len(), Token::Symbol(symbol)));
    }
    let advice = ADVICE.iter().find(|(characters, _)| characters.contains(first));
    let advice = advice.map(|(_, advice)| format!("; {advice}")).unwrap_or_default();
    Err(Mistake::new(0, format!("unexpected character `{}`{advice}", quote(&first.to_string()))))
}
