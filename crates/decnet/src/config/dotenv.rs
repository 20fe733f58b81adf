//! `.env.local` and `.env`: `NAME=value` lines as the shell and python-dotenv write them.

/// One `NAME=value`, and its line from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Splits a file into its entries, and the lines that are none.
///
/// `export` before a name, single quotes (as it stands), double quotes (with `\n`, `\"` and `\\`) and `#`
/// comments are understood. A value stays on its line, and `${NAME}` stands for itself.
pub(crate) fn parse(text: &str) -> (Vec<Entry>, Vec<usize>) {
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    for (line, content) in (1..).zip(text.lines().map(str::trim)) {
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match entry(content) {
            Some((name, value)) => entries.push(Entry { name, value, line }),
            None => bad.push(line),
        }
    }
    (entries, bad)
}

fn entry(content: &str) -> Option<(String, String)> {
    let content = content.strip_prefix("export ").unwrap_or(content);
    let (name, value) = content.split_once('=')?;
    Some((name.trim().to_owned(), self::value(value.trim())?))
}

/// `None` for a quote that does not end.
fn value(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('\'') {
        return Some(rest.split_once('\'')?.0.to_owned());
    }
    if let Some(rest) = text.strip_prefix('"') {
        return unescape(rest);
    }
    let end = text.find(" #").unwrap_or(text.len());
    Some(text[..end].trim_end().to_owned())
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
        let (entries, bad) = parse(text);
        let shown: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.value.as_str())).collect();
        assert_eq!(
            shown,
            [("A", "1"), ("B", "two words"), ("C", "it # stands"), ("D", "a\"b\nc"), ("E", ""), ("F", "a#b")]
        );
        assert!(bad.is_empty());
        assert_eq!(parse("A=1\nnonsense\nB='open\n").1, [2, 3]);
    }
}
