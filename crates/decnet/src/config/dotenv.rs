//! A parser of `.env.local` and `.env` (`NAME=value` lines), by the rules of python-dotenv or of systemd.

/// The rules by which a file is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// python-dotenv: `export` may precede a name, and ` #` begins a comment.
    Python,
    /// `EnvironmentFile=` (systemd.exec(5), as implemented in systemd's src/basic/env-file.c): `export` and comments after a
    /// value are not supported, a line that begins with `;` is a comment, and text after a quoted part belongs to the value.
    Systemd,
}

/// One `NAME=value` and its line number, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
    /// Whether the value contains text that looks like a trailing comment.
    pub(crate) takes_comment: bool,
}

/// Parses a file into its entries and the numbers of invalid lines, from 1.
///
/// Supports comment lines, single quotes (verbatim) and double quotes (with `\"` and `\\`; `\n` is a newline only for
/// python-dotenv). Values do not span lines, and `${NAME}` is not expanded.
pub(crate) fn parse(text: &str, dialect: Dialect) -> (Vec<Entry>, Vec<usize>) {
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    let is_comment =
        |line: &str| line.starts_with('#') || dialect == Dialect::Systemd && line.starts_with(';');
    for (line, content) in (1..).zip(text.lines().map(str::trim)) {
        if content.is_empty() || is_comment(content) {
            continue;
        }
        match entry(content, line, dialect) {
            Some(entry) => entries.push(entry),
            None => bad.push(line),
        }
    }
    (entries, bad)
}

/// Parses a line; `None` if it is not an assignment or has an unterminated quote.
fn entry(content: &str, line: usize, dialect: Dialect) -> Option<Entry> {
    let exported = content.strip_prefix("export ").filter(|_| dialect == Dialect::Python);
    let (name, text) = exported.unwrap_or(content).split_once('=')?;
    let (name, text) = (name.trim(), text.trim());
    if name.contains(char::is_whitespace) {
        return None;
    }
    let (value, takes_comment) = match dialect {
        Dialect::Python => (python(text)?, false),
        Dialect::Systemd => systemd(text)?,
    };
    Some(Entry { name: name.to_owned(), value, line, takes_comment })
}

/// Returns the quoted part, or the text before a comment.
fn python(text: &str) -> Option<String> {
    let mut value = String::new();
    match quote(text) {
        Some(quote) => unquote(&text[1..], quote, Dialect::Python, &mut value).map(|_| value),
        None => Some(text[..text.find(" #").unwrap_or(text.len())].trim_end().to_owned()),
    }
}

/// Returns quoted parts and the text after them, without whitespace between them, and whether the value contains text that
/// looks like a comment.
fn systemd(text: &str) -> Option<(String, bool)> {
    let (mut value, mut rest) = (String::new(), text);
    while let Some(quote) = quote(rest) {
        rest = unquote(&rest[1..], quote, Dialect::Systemd, &mut value)?.trim_start();
    }
    let is_behind_quotes = rest.len() < text.len();
    let takes_comment = rest.contains(" #") || is_behind_quotes && rest.starts_with('#');
    let mut plain = rest.chars();
    while let Some(character) = plain.next() {
        value.push(if character == '\\' { plain.next()? } else { character });
    }
    Some((value, takes_comment))
}

/// Returns the quote that the text begins with, if any.
fn quote(text: &str) -> Option<char> {
    text.chars().next().filter(|first| matches!(first, '\'' | '"'))
}

/// Appends a quoted part to `value` and returns the text after the closing quote.
fn unquote<'a>(text: &'a str, quote: char, dialect: Dialect, value: &mut String) -> Option<&'a str> {
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            end if end == quote => return Some(rest.as_str()),
            '\\' if quote == '"' => unescape(rest.next()?, dialect, value),
            other => value.push(other),
        }
    }
}

/// Appends the meaning of `\` followed by `escaped` within double quotes.
fn unescape(escaped: char, dialect: Dialect, value: &mut String) {
    match (dialect, escaped) {
        (Dialect::Python, 'n') => value.push('\n'),
        (Dialect::Python, 't') => value.push('\t'),
        (Dialect::Python, _) | (Dialect::Systemd, '"' | '\\' | '`' | '$') => value.push(escaped),
        (Dialect::Systemd, _) => value.extend(['\\', escaped]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_exports_and_comments_are_parsed() {
        let text =
            "# all\nA=1\nexport B = two words # why\nC='it # stands'\nD=\"a\\\"b\\nc\" # x\nE=\nF=a#b\n";
        let (entries, bad) = parse(text, Dialect::Python);
        let shown: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.value.as_str())).collect();
        assert_eq!(
            shown,
            [("A", "1"), ("B", "two words"), ("C", "it # stands"), ("D", "a\"b\nc"), ("E", ""), ("F", "a#b")]
        );
        assert!(bad.is_empty());
        assert_eq!(parse("A=1\nnonsense\nB='open\n", Dialect::Python).1, [2, 3]);
    }

    #[test]
    fn systemd_supports_neither_export_nor_trailing_comments() {
        let text = "; all\nexport A=1\nB=true # why\nC='it # stands' # x\nD='it # stands'\nE=#1\n";
        let (entries, bad) = parse(text, Dialect::Systemd);
        let shown: Vec<_> = entries.iter().map(|e| (e.value.as_str(), e.takes_comment)).collect();
        let expected =
            [("true # why", true), ("it # stands# x", true), ("it # stands", false), ("#1", false)];
        assert_eq!(shown, expected);
        assert_eq!(bad, [2]);
    }

    #[test]
    fn systemd_joins_quoted_parts_and_keeps_needless_backslashes() {
        let value =
            |text: &str| parse(&format!("A={text}"), Dialect::Systemd).0.pop().map(|entry| entry.value);
        for (text, expected) in
            [(r#""a\nb\\\"\$" 'c\' d"#, r#"a\nb\"$c\d"#), (r#"a "b" \'c"#, r#"a "b" 'c"#), ("''", "")]
        {
            assert_eq!(value(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!((value("'a' \"b"), value("a\\")), (None, None), "continued on the next line");
    }
}
