//! The rules of each kind of markup.

use std::borrow::Cow;

use decnet_core::text::is_hidden;

use super::defang;

/// The rules of one kind of markup.
pub(super) struct Markup {
    /// What is written before and after a character that is defanged: `[` and `]`, escaped.
    brackets: [&'static str; 2],
    /// Returns the replacement of an ASCII character that has a meaning in the markup.
    replace: fn(Spot<'_>) -> Option<&'static str>,
}

/// A character of a text, with its surroundings.
#[derive(Clone, Copy)]
pub(super) struct Spot<'t> {
    /// The text.
    pub(super) text: &'t str,
    /// The position of the character in bytes.
    pub(super) at: usize,
}

impl Spot<'_> {
    pub(super) fn byte(self) -> u8 {
        self.text.as_bytes()[self.at]
    }

    /// Returns the text after the character, which must be ASCII.
    pub(super) fn rest(&self) -> &str {
        &self.text[self.at + 1..]
    }

    pub(super) fn before(self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    pub(super) fn after(self) -> Option<char> {
        self.rest().chars().next()
    }

    fn is_first(self) -> bool {
        self.at == 0
    }

    /// Returns whether the character is between two letters or digits, where most markups do not interpret it.
    fn is_in_word(self) -> bool {
        self.before().is_some_and(char::is_alphanumeric) && self.after().is_some_and(char::is_alphanumeric)
    }

    /// Returns whether the character ends the number of an ordered list: `1. `, `1) `.
    fn ends_list_number(self) -> bool {
        // A number has at most nine digits (CommonMark 0.31, section 5.2).
        (1..10).contains(&self.at)
            && self.text[..self.at].bytes().all(|byte| byte.is_ascii_digit())
            && self.after().is_none_or(|c| c == ' ')
    }
}

impl Markup {
    /// Appends the escaped text, without leading blanks: four of them would begin a block of code in Markdown.
    pub(super) fn escape(&self, text: &str, out: &mut String) {
        let line = one_line(text);
        let text = line.trim_start();
        let mut copied = 0;
        for (at, byte) in text.bytes().enumerate() {
            if is_ordinary(byte) {
                continue;
            }
            let spot = Spot { text, at };
            if let Some(length) = defang::active(spot) {
                let [open, close] = self.brackets;
                out.extend([&text[copied..at], open, &text[at..at + length], close]);
                copied = at + length;
            } else if byte.is_ascii()
                && let Some(replacement) = (self.replace)(spot)
            {
                out.extend([&text[copied..at], replacement]);
                copied = at + 1;
            }
        }
        out.push_str(&text[copied..]);
    }
}

/// Returns whether a byte has no meaning in any markup and is never defanged.
fn is_ordinary(byte: u8) -> bool {
    const ORDINARY: [bool; 256] = {
        let mut ordinary = [true; 256];
        let special = b"\"#$&')*+-.:<=>@[\\]_`{|~";
        let mut index = 0;
        while index < special.len() {
            ordinary[special[index] as usize] = false;
            index += 1;
        }
        // The first bytes of the dots that are not ASCII.
        ordinary[0xe3] = false;
        ordinary[0xef] = false;
        ordinary
    };
    ORDINARY[usize::from(byte)]
}

/// Returns a text without hidden characters, and with spaces in place of line ends and tabs.
fn one_line(text: &str) -> Cow<'_, str> {
    let is_visible_ascii = text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    if is_visible_ascii || !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let visible = |c: char| match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        c if is_hidden(c) => None,
        c => Some(c),
    };
    text.chars().filter_map(visible).collect()
}

pub(super) const PLAIN: Markup = Markup { brackets: ["[", "]"], replace: mention };

pub(super) const HTML: Markup = Markup {
    brackets: ["[", "]"],
    replace: |spot| match spot.byte() {
        b'\'' => Some("&#39;"),
        byte => entity(byte).or((byte == b'"').then_some("&quot;")),
    },
};

pub(super) const SLACK: Markup = Markup {
    brackets: ["[", "]"],
    replace: |spot| match spot.byte() {
        // Slack renders `&gt;` at the beginning of a line as a quotation.
        b'>' if spot.is_first() => Some("›"),
        b'*' if !spot.is_in_word() => Some("∗"),
        b'_' if !spot.is_in_word() => Some("＿"),
        b'~' if !spot.is_in_word() => Some("∼"),
        b'`' => Some("'"),
        byte => entity(byte),
    },
};

pub(super) const SLACK_PLAIN: Markup = Markup { brackets: ["[", "]"], replace: |spot| entity(spot.byte()) };

pub(super) const DISCORD: Markup = Markup { brackets: ["\\[", "\\]"], replace: markdown };

pub(super) const MATTERMOST: Markup = Markup {
    brackets: ["\\[", "\\]"],
    replace: |spot| match spot.byte() {
        // `~name` is a link to a channel, and `$…$` is a formula. Neither has an escape.
        b'~' => Some(if spot.after().is_some_and(char::is_alphanumeric) { "\\[\\~\\]" } else { "\\~" }),
        b'$' if spot.after().is_some_and(|c| c != ' ') => Some("\\[$\\]"),
        b'=' if spot.is_first() => Some("&#61;"),
        byte => entity(byte).or_else(|| markdown(spot)),
    },
};

pub(super) const TEAMS: Markup = Markup {
    brackets: ["\\[", "\\]"],
    replace: |spot| match spot.byte() {
        // `{{DATE(…)}}` is replaced by a date.
        b'{' => Some("\\{"),
        byte => entity(byte).or_else(|| markdown(spot)),
    },
};

pub(super) const TEAMS_PLAIN: Markup = Markup {
    brackets: ["[", "]"],
    replace: |spot| match (spot.byte(), spot.after()) {
        (b'{', Some('{')) => Some("[{]"),
        _ => mention(spot),
    },
};

/// Returns the replacement of the beginning of a mention of Slack, `<!channel>`, which some destinations read in any text.
fn mention(spot: Spot<'_>) -> Option<&'static str> {
    (spot.byte() == b'<' && matches!(spot.after(), Some('!' | '@' | '#'))).then_some("[<]")
}

fn entity(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        _ => None,
    }
}

/// Returns the replacement of a character with a meaning in Markdown: the character after a backslash
/// (<https://spec.commonmark.org/0.31.2/#backslash-escapes>).
fn markdown(spot: Spot<'_>) -> Option<&'static str> {
    Some(match spot.byte() {
        b'\\' => "\\\\",
        b'`' => "\\`",
        b'*' => "\\*",
        b'_' => "\\_",
        b'~' => "\\~",
        b'|' => "\\|",
        b'[' => "\\[",
        b']' => "\\]",
        b'<' => "\\<",
        b'>' => "\\>",
        b'#' => "\\#",
        b'-' if spot.is_first() => "\\-",
        b'+' if spot.is_first() => "\\+",
        b'=' if spot.is_first() => "\\=",
        b'.' if spot.ends_list_number() => "\\.",
        b')' if spot.ends_list_number() => "\\)",
        _ => return None,
    })
}
