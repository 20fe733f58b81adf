//! `.env.local` and `.env`: `NAME=value` lines as the shell and python-dotenv write them, and as systemd reads them.

/// Whose rules a file is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// python-dotenv's: `export` may stand before a name, and ` #` begins a comment.
    Python,
    /// Those of `EnvironmentFile=` (systemd.exec(5), as src/basic/env-file.c carries them out): it does neither, a line may
    /// begin with `;` to be a comment, and what stands behind a quoted part belongs to the value.
    Systemd,
}

/// One `NAME=value`, and its line from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
    /// Something behind the value looks like a comment, and is part of it.
    pub(crate) takes_comment: bool,
}

/// Splits a file into its entries, and the lines that are none.
///
/// Single quotes (as it stands), double quotes (with `\"` and `\\`; `\n` is a new line for python-dotenv alone) and lines that
/// are a comment are understood. A value stays on its line, and `${NAME}` stands for itself.
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

/// `None` for what is no assignment, or has a quote that does not end.
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

/// What is quoted, or all up to a comment.
fn python(text: &str) -> Option<String> {
    let mut value = String::new();
    match quote(text) {
        Some(quote) => unquote(&text[1..], quote, Dialect::Python, &mut value).map(|_| value),
        None => Some(text[..text.find(" #").unwrap_or(text.len())].trim_end().to_owned()),
    }
}

/// Quoted parts and what follows them, without the blanks between; and whether that takes in what looks like a comment.
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

/// The quote that a text begins with, if it begins with one.
fn quote(text: &str) -> Option<char> {
    text.chars().next().filter(|first| matches!(first, '\'' | '"'))
}

/// Adds a quoted part to a value; what stands behind the quote that ends it.
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

/// Adds what a `\` and a character stand for within double quotes.
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
    fn quotes_exports_and_comments() {
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
    fn systemd_knows_neither_export_nor_a_comment_behind_a_value() {
        let text = "; all\nexport A=1\nB=true # why\nC='it # stands' # x\nD='it # stands'\nE=#1\n";
        let (entries, bad) = parse(text, Dialect::Systemd);
        let shown: Vec<_> = entries.iter().map(|e| (e.value.as_str(), e.takes_comment)).collect();
        let expected =
            [("true # why", true), ("it # stands# x", true), ("it # stands", false), ("#1", false)];
        assert_eq!(shown, expected);
        assert_eq!(bad, [2]);
    }

    #[test]
    fn systemd_joins_quoted_parts_and_keeps_a_backslash_before_what_needs_none() {
        let value =
            |text: &str| parse(&format!("A={text}"), Dialect::Systemd).0.pop().map(|entry| entry.value);
        for (text, expected) in
            [(r#""a\nb\\\"\$" 'c\' d"#, r#"a\nb\"$c\d"#), (r#"a "b" \'c"#, r#"a "b" 'c"#), ("''", "")]
        {
            assert_eq!(value(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!((value("'a' \"b"), value("a\\")), (None, None), "they go on in the next line");
    }
}
