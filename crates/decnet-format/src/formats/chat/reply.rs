//! The parts of replies of chat services that judges use.

use decnet_core::delivery::{Reason, Verdict};
use decnet_core::text::is_hidden;

use crate::reply::{Judgement, Reply};

/// The maximum length of the reason of a destination in characters.
const MAX_REASON_CHARS: usize = 200;
/// The number of bytes of a reply that are searched for a reason.
const MAX_READ_BYTES: usize = 4096;
/// The body with which Slack and Mattermost accept a message.
const OK: &[u8] = b"ok";
/// What replaces a URL in a reason: it may contain the secret of the webhook.
const URL: &str = "(URL)";

/// Returns the judgement on a request that was accepted. The destination may ask for a pause.
pub(in crate::formats) fn accepted(reply: &Reply<'_>) -> Judgement {
    Judgement { pause: reply.retry_after, ..Judgement::whole(Verdict::Delivered) }
}

/// Returns whether a reply accepts a message with the body `ok`.
pub(in crate::formats) fn is_ok(reply: &Reply<'_>) -> bool {
    reply.body.trim_ascii() == OK
}

/// Returns the judgement on a success whose body is not `ok`. If the connection ended before the body, the message may not have
/// arrived, and is sent again.
pub(in crate::formats) fn not_ok(reply: &Reply<'_>) -> Judgement {
    let is_cut_off = !reply.is_complete && OK.starts_with(reply.body);
    Judgement::whole(if is_cut_off {
        Verdict::Retry { reason: Reason::Disconnected, after: None }
    } else {
        Verdict::Reject(Reason::Refused)
    })
}

/// Adds the reason of the destination to a judgement, if there is one.
pub(in crate::formats) fn explained(judgement: Judgement, reason: &[u8]) -> Judgement {
    match detail(reason) {
        Some(detail) => judgement.because(detail),
        None => judgement,
    }
}

/// Returns a text of a reply as a reason for operators: one line without hidden characters and URLs, at most
/// [`MAX_REASON_CHARS`] characters. `None` if nothing is left.
fn detail(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&text[..text.len().min(MAX_READ_BYTES)]);
    let is_separator = |c: char| c.is_whitespace() || is_hidden(c);
    let words = text.split(is_separator).filter(|word| !word.is_empty());
    let words = words.map(|word| if word.contains("://") || word.contains("%3A%2F%2F") { URL } else { word });
    let mut detail = String::new();
    for word in words {
        if !detail.is_empty() {
            detail.push(' ');
        }
        detail.push_str(word);
        if detail.len() > 4 * MAX_REASON_CHARS {
            break;
        }
    }
    if let Some((end, _)) = detail.char_indices().nth(MAX_REASON_CHARS) {
        let end = detail[..end].char_indices().next_back().map_or(0, |(last, _)| last);
        detail.truncate(end);
        detail.push('…');
    }
    (!detail.is_empty()).then_some(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Format;

    #[test]
    fn reason_is_one_printable_line_without_urls() {
        let text = b"\x1b[31mno\r\n  service \xff at https://hooks.slack.example/T/B/x\x00, \"u\":\"http://x/secret\"";
        assert_eq!(detail(text).as_deref(), Some("[31mno service \u{fffd} at (URL) , (URL)"));
        assert_eq!(detail(b" \n\0 "), None);
        assert_eq!(detail(b""), None);
    }

    #[test]
    fn success_that_is_cut_off_before_its_body_is_repeated() {
        let cut_off = Verdict::Retry { reason: Reason::Disconnected, after: None };
        let refused = Verdict::Reject(Reason::Refused);
        for format in ["slack", "mattermost"] {
            let format = Format::new(format, [], None, None).unwrap();
            for (body, is_complete, expected) in [
                (&b""[..], false, &cut_off),
                (b"o", false, &cut_off),
                (b"ok", false, &Verdict::Delivered),
                (b"<html>", false, &refused),
                (b"", true, &refused),
            ] {
                let reply = Reply { status: 200, retry_after: None, body, is_complete };
                assert_eq!(format.judge(&reply, 1).whole, *expected, "{body:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn reasons_are_bounded(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            if let Some(detail) = detail(&bytes) {
                proptest::prop_assert!(detail.chars().count() <= MAX_REASON_CHARS);
                proptest::prop_assert!(!detail.contains(is_hidden) && !detail.contains("://"));
            }
        }
    }
}
