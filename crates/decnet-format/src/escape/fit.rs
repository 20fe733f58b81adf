//! Shortening of text to what a destination accepts.

use std::borrow::Cow;

/// An escaper.
pub(crate) type Escape = fn(&str, &mut String);

/// The length of the longest entity that the escapers write: `&quot;`.
const MAX_ENTITY_BYTES: usize = 6;
const ELLIPSIS: char = '…';
/// What is written in place of a text without visible characters, since most destinations refuse an empty text.
const EMPTY: char = '–';

/// Appends the escaped text, shortened so that at most `max` bytes are appended. Returns the number of bytes of the text that are left
/// out.
///
/// Limits of destinations are in characters or UTF-16 units. A limit in bytes is never above them.
pub(crate) fn fit(text: &str, max: usize, escape: Escape, out: &mut String) -> usize {
    let start = out.len();
    let mut taken = text.floor_char_boundary(max);
    loop {
        let is_cut = taken < text.len();
        escape(&text[..taken], out);
        if is_cut {
            out.push(ELLIPSIS);
        } else if out[start..].trim().is_empty() {
            out.push(EMPTY);
        }
        let length = out.len() - start;
        if length <= max || taken == 0 {
            return text.len() - taken;
        }
        out.truncate(start);
        // Proportional, and at least one byte less.
        taken = text.floor_char_boundary((taken * max / length).min(taken - 1));
    }
}

/// Returns text with markup, shortened to at most `max` bytes, and the number of bytes that are left out. An escape at the cut is
/// not split.
pub(crate) fn fit_markup(text: &str, max: usize) -> (Cow<'_, str>, usize) {
    let text = text.trim_end();
    if text.is_empty() {
        return (Cow::Owned(EMPTY.into()), 0);
    }
    if text.len() <= max {
        return (Cow::Borrowed(text), 0);
    }
    let kept = &text[..text.floor_char_boundary(max.saturating_sub(ELLIPSIS.len_utf8()))];
    let kept = match kept.rfind('&') {
        Some(entity) if kept.len() - entity < MAX_ENTITY_BYTES && !kept[entity..].contains(';') => {
            &kept[..entity]
        }
        _ => kept,
    };
    let backslashes = kept.bytes().rev().take_while(|byte| *byte == b'\\').count();
    let kept = &kept[..kept.len() - backslashes % 2];
    (Cow::Owned(format!("{kept}{ELLIPSIS}")), text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape;

    fn fitted(text: &str, max: usize) -> (String, usize) {
        let mut out = "before ".to_owned();
        let left_out = fit(text, max, escape::slack_plain, &mut out);
        (out.strip_prefix("before ").unwrap().to_owned(), left_out)
    }

    #[test]
    fn text_within_the_limit_is_whole() {
        assert_eq!(fitted("abc", 3), ("abc".into(), 0));
        assert_eq!(fitted("a<", 5), ("a&lt;".into(), 0));
    }

    #[test]
    fn longer_text_ends_with_an_ellipsis_and_is_counted() {
        assert_eq!(fitted("abcdef", 5), ("ab…".into(), 4));
        assert_eq!(fitted(&"é".repeat(10), 10), ("ééé…".into(), 14));
        assert_eq!(fitted("abc", 0), ("…".into(), 3), "an ellipsis is always written");
    }

    #[test]
    fn invisible_text_is_replaced_by_a_dash() {
        assert_eq!(fitted("\u{200b}\n", 10), ("–".into(), 0));
        assert_eq!(fitted("", 10), ("–".into(), 0));
    }

    #[test]
    fn markup_is_not_cut_within_an_escape() {
        for (text, max, kept) in [
            ("a&amp;b", 7, "a&amp;b"),
            ("a&amp;bcd", 8, "a…"),
            ("a&amp;bcd ", 9, "a&amp;bcd"),
            ("a\\[bcdef", 6, "a\\[…"),
            ("a\\[bcdef", 5, "a…"),
            ("a\\\\bcdef", 6, "a\\\\…"),
            ("éé&", 4, "…"),
            ("  \n", 9, "–"),
        ] {
            let (shortened, left_out) = fit_markup(text, max);
            assert_eq!(shortened, kept, "{text}");
            assert_eq!(left_out > 0, shortened.contains('…'), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn limit_holds_and_nothing_is_left_out_silently(text in "[<&a@b.:é🦀\u{200b}]{0,300}", max in 3_usize..400) {
            let (shortened, left_out) = fitted(&text, max);
            proptest::prop_assert!(shortened.len() <= max);
            proptest::prop_assert_eq!(left_out > 0, shortened.ends_with('…'));
        }
    }
}
