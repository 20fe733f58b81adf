//! Markup as text: escapes are undone, links are written out, and characters that only format are left out.

/// Returns text in Slack's `mrkdwn` without markup (<https://docs.slack.dev/messaging/formatting-message-text>). A mention is shown as
/// `@channel`, and an asterisk within a word is not markup.
pub(super) fn slack(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '*', '`']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = &from[1..];
        if from.starts_with('<') {
            let Some((link, after)) = rest.split_once('>') else {
                out.push('<');
                continue;
            };
            match link.strip_prefix('!') {
                Some(mention) => out.extend(["@", mention]),
                None => push_link(link.split_once('|').unwrap_or((link, "")), &mut out),
            }
            rest = after;
        } else if from.starts_with('*') && is_in_word(&out, rest) {
            out.push('*');
        }
    }
    out.push_str(rest);
    entities(&out)
}

/// Returns whether a character between these texts is between two letters or digits.
fn is_in_word(before: &str, after: &str) -> bool {
    let is_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    is_of_word(before.chars().next_back()) && is_of_word(after.chars().next())
}

/// Returns Markdown without markup, but with its entities (<https://spec.commonmark.org/0.31.2/#backslash-escapes>).
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '*', '`', '[']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = &from[1..];
        if from.starts_with('\\') {
            let escaped = rest.chars().next().filter(char::is_ascii_punctuation);
            out.push(escaped.unwrap_or('\\'));
            rest = &rest[escaped.map_or(0, char::len_utf8)..];
        } else if let Some((label, url, after)) = link(from) {
            push_link((url, label), &mut out);
            rest = after;
        } else if from.starts_with('[') {
            out.push('[');
        }
    }
    out.push_str(rest);
    out
}

/// Splits text that begins with `[label](url)` into its label, its URL and the rest.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (url, after) = rest.split_once(')')?;
    let is_link = url.starts_with("http") && !label.contains(['[', ']', '\n']);
    is_link.then_some((label, url, after))
}

fn push_link((url, label): (&str, &str), out: &mut String) {
    if label.is_empty() { out.push_str(url) } else { out.extend([label, " <", url, ">"]) }
}

/// Replaces the entities that the formats write. Discord has none.
pub(super) fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&#61;", "=").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_markup_becomes_text() {
        assert_eq!(slack("*HIGH* a &lt;!b&gt; &amp;lt; `c` d*e"), "HIGH a <!b> &lt; c d*e");
        assert_eq!(
            slack("<https://d.example/e|Open event> · <https://x.example>"),
            "Open event <https://d.example/e> · https://x.example"
        );
        assert_eq!(slack("<!here> a < b"), "@here a < b");
    }

    #[test]
    fn markdown_becomes_text() {
        assert_eq!(entities(&markdown("\\*a&lt;b&gt; &amp;amp;")), "*a<b> &amp;");
        assert_eq!(markdown("**HIGH** a\\_b \\[.\\] `c` \\\\ &amp;"), "HIGH a_b [.] c \\ &amp;");
        assert_eq!(
            markdown("[12:30:00](https://d.example/e) **LOW** x"),
            "12:30:00 <https://d.example/e> LOW x"
        );
        assert_eq!(markdown("[a] é\\"), "[a] é\\");
    }
}
