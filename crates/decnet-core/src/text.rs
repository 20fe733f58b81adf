//! Escaping of control characters and invisible characters in foreign text before it is displayed.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// U+FEFF, which some editors write at the beginning of a text.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// The characters of the general categories Cc (control), Cf (format), Zl and Zp (separators of lines and paragraphs) of Unicode
/// 16.0, and the letters and marks that are never drawn (Default_Ignorable_Code_Point, without variation selectors), as inclusive
/// ranges in ascending order. They include terminal controls, changes of the text direction, and characters without width.
const HIDDEN: [(char, char); 27] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Returns whether a terminal may interpret a character as a control, or show nothing in its place.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let after = HIDDEN.partition_point(|(first, _)| *first <= c);
    after > 0 && c <= HIDDEN[after - 1].1
}

/// Escapes every hidden character of one line, including line ends: `\n`, `\u{1b}`.
#[must_use]
pub fn escape(line: &str) -> Cow<'_, str> {
    replace(line, |c, escaped| escaped.extend(c.escape_default()))
}

/// Escapes every hidden character of valid JSON without changing its value: `\u001b` in strings, and a space for tabs and
/// carriage returns, which occur between tokens. Line feeds are kept.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    replace(json, |c, escaped| match c {
        '\n' => escaped.push('\n'),
        '\t' | '\r' => escaped.push(' '),
        _ => write_utf16(c, escaped).expect("writing to a string does not fail"),
    })
}

fn write_utf16(c: char, escaped: &mut String) -> fmt::Result {
    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(escaped, "\\u{unit:04x}"))
}

/// Replaces every hidden character by the text that `write` appends for it.
fn replace(text: &str, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { write(c, &mut escaped) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Returns the name of the byte order mark at the beginning of `bytes`, if there is one (The Unicode Standard, section 23.8).
#[must_use]
pub fn byte_order_mark(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some("byte order mark (U+FEFF)"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("byte order mark of UTF-16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_bidi_and_zero_width_characters_are_hidden() {
        let hidden =
            ["\0\x07\x08\t\n\r\x1b\x1f", "\x7f\u{80}\u{9b}\u{9f}", "\u{202a}\u{202e}\u{2066}\u{2069}"];
        let invisible = [
            "\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{61c}\u{2060}\u{feff}",
            "\u{ad}\u{e0041}\u{2028}\u{34f}\u{3164}",
        ];
        for text in hidden.into_iter().chain(invisible) {
            assert!(text.chars().all(is_hidden), "{}", text.escape_unicode());
        }
        let visible =
            " ~\u{a0}é\u{ae}e\u{301}ÄЖ中ﷺ\u{2010}\u{202f}\u{205f}\u{2070}\u{fffd}🦀\u{e0080}\u{10ffff}";
        for c in visible.chars() {
            assert!(!is_hidden(c), "{}", c.escape_unicode());
        }
    }

    #[test]
    fn ranges_ascend_and_do_not_touch() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn hidden_characters_of_a_line_are_escaped() {
        assert_eq!(escape("größe \\ \"x\""), Cow::Borrowed("größe \\ \"x\""));
        assert_eq!(escape("a\x1b[2J\nb\u{9b}\u{202e}\t"), "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}\\t");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let json = "{\"a\u{9b}\u{7f}\": [1,\t\"\u{202e}\u{e0041}\u{feff}x\"],\r\n \"é\": \"\\u001b\"}";
        let escaped = escape_json(json);
        assert!(!escaped.replace('\n', "").contains(is_hidden), "{escaped}");
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&escaped), read(json));
        assert!(escaped.contains("\\u202e\\udb40\\udc41\\ufeffx"), "{escaped}");
        assert_eq!(escape_json("{}\n"), Cow::Borrowed("{}\n"));
    }

    #[test]
    fn byte_order_marks_are_recognized() {
        assert_eq!(byte_order_mark("\u{feff}{}".as_bytes()), Some("byte order mark (U+FEFF)"));
        assert_eq!(byte_order_mark(b"\xff\xfe{\0"), Some("byte order mark of UTF-16"));
        assert_eq!(byte_order_mark(b"{}"), None);
        assert_eq!(BYTE_ORDER_MARK.to_string().as_bytes(), b"\xef\xbb\xbf");
    }
}
