//! Literals: numbers and strings.

use crate::error::{Mistake, quote};

/// The value of a literal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i128),
    Double(f64),
    Text(Box<str>),
}

/// Returns whether a string literal begins here, with or without a prefix.
pub(super) fn is_string(rest: &str) -> bool {
    let unprefixed = rest.trim_start_matches(['r', 'R', 'b', 'B']);
    rest.len() - unprefixed.len() <= 2 && unprefixed.starts_with(['"', '\''])
}

/// Parses the number at the beginning of `rest`, and returns its length. The suffix of a uint is accepted.
pub(super) fn number(rest: &str) -> Result<(usize, Literal), Mistake> {
    let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
    let length = if is_hex { word(rest) } else { decimal(rest) };
    let text = &rest[..length];
    let digits = text.strip_suffix(['u', 'U']).unwrap_or(text);
    let literal = if is_hex {
        i128::from_str_radix(&digits[2..], 16).ok().map(Literal::Int)
    } else if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok().map(Literal::Int)
    } else {
        text.parse().ok().filter(|value: &f64| value.is_finite()).map(Literal::Double)
    };
    let literal = literal.ok_or_else(|| {
        Mistake::new(0, format!("`{}` is not a number, or is too large; write text in quotes", quote(text)))
    })?;
    Ok((length, literal))
}

/// Returns the number of letters, digits and underscores at the beginning.
fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
}

/// Returns the length of a decimal number, with letters and further fractions that make it invalid, such as those of an address.
fn decimal(rest: &str) -> usize {
    let mut end = word(rest);
    while rest[end..].strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())) {
        end += 1 + word(&rest[end + 1..]);
    }
    let has_sign = rest[end..].starts_with(['+', '-']) && rest[..end].ends_with(['e', 'E']);
    if has_sign { end + 1 + word(&rest[end + 1..]) } else { end }
}

/// Parses the string at the beginning of `rest`, and returns its length.
pub(super) fn string(rest: &str) -> Result<(usize, Literal), Mistake> {
    let start = rest.find(['"', '\'']).unwrap_or_default();
    let prefix = &rest[..start];
    if prefix.contains(['b', 'B']) {
        return Err(Mistake::new(0, "bytes are not supported; write a string without the prefix `b`"));
    }
    let is_raw = !prefix.is_empty();
    let body = &rest[start..];
    let quote =
        [r#"""""#, "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote)).unwrap_or("\"");
    let mut scan = StringScan { body, at: quote.len(), text: String::new() };
    while !scan.rest().starts_with(quote) {
        let c = scan.rest().chars().next();
        match c.filter(|c| quote.len() > 1 || !matches!(c, '\n' | '\r')) {
            None => return Err(Mistake::new(start, format!("the string is not closed with `{quote}`"))),
            Some('\\') if !is_raw => scan.escape(start)?,
            Some(c) => scan.push(c, c.len_utf8()),
        }
    }
    Ok((start + scan.at + quote.len(), Literal::Text(scan.text.into())))
}

struct StringScan<'s> {
    body: &'s str,
    at: usize,
    text: String,
}

impl StringScan<'_> {
    fn rest(&self) -> &str {
        &self.body[self.at..]
    }

    /// Appends a character, which has this length in the source.
    fn push(&mut self, c: char, length: usize) {
        self.text.push(c);
        self.at += length;
    }

    /// Decodes the escape that begins here. The body is at the offset `start`.
    fn escape(&mut self, start: usize) -> Result<(), Mistake> {
        let Some(kind) = self.rest().chars().nth(1) else {
            return Err(Mistake::new(start, "the string is not closed"));
        };
        let simple = match kind {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            '\\' | '\'' | '"' | '`' | '?' => Some(kind),
            _ => None,
        };
        let decoded = simple.map(|c| (c, 2)).or_else(|| self.code_point(kind));
        let (c, length) = decoded.ok_or_else(|| {
            let escape = quote(&format!("\\{kind}"));
            let problem =
                format!("`{escape}` is not an escape; write `\\{escape}`, or a raw string such as r\"…\"");
            Mistake::new(start + self.at, problem)
        })?;
        self.push(c, length);
        Ok(())
    }

    /// Decodes an escape with digits.
    fn code_point(&self, kind: char) -> Option<(char, usize)> {
        let (skipped, digits, radix) = match kind {
            'x' | 'X' => (2, 2, 16),
            'u' => (2, 4, 16),
            'U' => (2, 8, 16),
            '0'..='3' => (1, 3, 8),
            _ => return None,
        };
        let text = self.rest().get(skipped..skipped + digits)?;
        let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(text, radix).ok().filter(|_| is_plain)?;
        Some((char::from_u32(code)?, skipped + digits))
    }
}
