//! The places in a text at which clients create links, mentions and emoji without any markup.

use super::markup::Spot;

/// The maximum length of the name of an emoji that is looked for, in bytes. Slack's and Mattermost's limits are 100 and 64.
const MAX_EMOJI_BYTES: usize = 128;
/// The maximum number of digits and dots after a dot that are looked at.
const MAX_NUMBER_BYTES: usize = 32;
/// Schemes whose links have no `//`.
const SCHEMES: [&str; 8] = ["callto", "data", "javascript", "mailto", "sip", "sips", "sms", "tel"];
/// The dots that IDNA treats as dots (RFC 3490 section 3.1).
const WIDE_DOTS: [char; 3] = ['。', '．', '｡'];

/// Returns the length in bytes of the character at this place if clients could interpret it together with its surroundings.
pub(super) fn active(spot: Spot<'_>) -> Option<usize> {
    let is_active = match spot.byte() {
        b'.' => is_in_host(spot),
        b':' => spot.rest().starts_with("//") || ends_scheme(spot) || begins_emoji(spot),
        b'@' => spot.after().is_some_and(|c| !c.is_whitespace()),
        b'#' => is_word(spot.after()) && !spot.before().is_some_and(char::is_alphanumeric),
        0x80.. => return wide_dot(spot),
        _ => false,
    };
    is_active.then_some(1)
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Returns whether a dot could be in the name of a host: before a letter, or in an IPv4 address with a path or a further label. A
/// bare IPv4 address, a version and a decimal fraction are not changed.
fn is_in_host(spot: Spot<'_>) -> bool {
    let Some(after) = spot.after() else { return false };
    let follows_label = spot.before().is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ']'));
    if !follows_label || !after.is_ascii_digit() {
        return follows_label && (after.is_alphanumeric() || matches!(after, '-' | '_'));
    }
    let number = spot.rest().bytes().take(MAX_NUMBER_BYTES + 1);
    let length = number.take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let next = spot.rest()[length..].chars().next();
    length > MAX_NUMBER_BYTES || next == Some('/') || is_word(next)
}

fn wide_dot(spot: Spot<'_>) -> Option<usize> {
    let mut chars = spot.text.get(spot.at..)?.chars();
    let dot = chars.next().filter(|c| WIDE_DOTS.contains(c))?;
    let is_in_host =
        [spot.before(), chars.next()].iter().all(|c| c.is_some_and(|c| c.is_ascii_alphanumeric()));
    is_in_host.then_some(dot.len_utf8())
}

/// Returns whether a colon ends one of [`SCHEMES`] and is followed by the rest of a URL.
fn ends_scheme(spot: Spot<'_>) -> bool {
    let before = &spot.text[..spot.at];
    let ends_with = |scheme: &&str| {
        let start = before.len().checked_sub(scheme.len());
        start.and_then(|start| before.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(scheme))
    };
    spot.after().is_some_and(|c| !c.is_whitespace()) && SCHEMES.iter().any(ends_with)
}

/// Returns whether a colon begins the name of an emoji, as in `:tada:`. Groups of hexadecimal digits, as in IPv6 and hardware addresses
/// and in times, are left alone: `:ab:` is a harmless picture.
fn begins_emoji(spot: Spot<'_>) -> bool {
    let mut is_hexadecimal = true;
    for (length, c) in spot.rest().char_indices() {
        match c {
            ':' => return length > 0 && !is_hexadecimal,
            c if c.is_whitespace() || length > MAX_EMOJI_BYTES => return false,
            c => is_hexadecimal &= c.is_ascii_hexdigit(),
        }
    }
    false
}
