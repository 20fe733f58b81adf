//! `.env.local` and `.env`: `NAME=value` lines as the shell and python-dotenv write them.

/// Whose rules a file is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// python-dotenv's: `export` may stand before a name, and ` #` begins a comment.
    Python,
    /// Those of `EnvironmentFile=` (systemd.exec(5)): it does neither, and a line may begin with `;` to be a comment.
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
/// Single quotes (as it stands), double quotes (with `\n`, `\"` and `\\`) and lines that are a comment are understood. A value
/// stays on its line, and `${NAME}` stands for itself.
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
    let is_python = dialect == Dialect::Python;
    let content = content.strip_prefix("export ").filter(|_| is_python).unwrap_or(content);
    let (name, text) = content.split_once('=')?;
    let (name, text) = (name.trim(), text.trim());
    if name.contains(char::is_whitespace) {
        return None;
    }
    let entry = |value, takes_comment| Some(Entry { name: name.to_owned(), value, line, takes_comment });
    if let Some(rest) = text.strip_prefix('\'') {
        return entry(rest.split_once('\'')?.0.to_owned(), false);
    }
    if let Some(rest) = text.strip_prefix('"') {
        return entry(unescape(rest)?, false);
    }
    match text.find(" #") {
        Some(end) if is_python => entry(text[..end].trim_end().to_owned(), false),
        comment => entry(text.to_owned(), comment.is_some()),
    }
}

fn unescape(quoted: &str) -> Option<String> {
    let (mut value, mut rest) = (String::new(), quoted.chars());
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => value.push(match rest.next()? {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            other => value.push(other),
        }
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
        let text = "; all\nexport A=1\nB=true # why\nC='it # stands' # x\n";
        let (entries, bad) = parse(text, Dialect::Systemd);
        let shown: Vec<_> = entries.iter().map(|e| (e.value.as_str(), e.takes_comment)).collect();
        assert_eq!(shown, [("true # why", true), ("it # stands", false)]);
        assert_eq!(bad, [2]);
    }
}
