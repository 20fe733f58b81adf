//! The line of an event: its body, which is JSON. Loki refuses long lines, so that a long body is shortened.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::finding::Finding;
use crate::json::Object;

/// The maximum length of a line in bytes: 10 % below Loki's `max_line_size` of 256 KiB.
pub(super) const MAX_LINE_BYTES: usize = 235_929;
/// The space for the fields of a shortened line other than the payload, in bytes: id, topic, type and time.
const FRAME_BYTES: usize = 4 * 1024;
/// The maximum length of the type of a shortened line, in characters.
const MAX_KIND_CHARS: usize = 200;

/// Returns the line of an event.
pub(super) fn of<'f>(finding: &'f Finding<'_>) -> Cow<'f, str> {
    let body = String::from_utf8_lossy(&finding.event.body);
    if body.len() <= MAX_LINE_BYTES { body } else { shortened(finding, &body).into() }
}

/// Returns the line of an event that is too long: an object with the beginning of the payload as a text, and the number of bytes
/// that are missing.
fn shortened(finding: &Finding<'_>, body: &str) -> String {
    #[derive(Deserialize)]
    struct Body<'b> {
        #[serde(borrow)]
        payload: &'b RawValue,
    }
    let payload = serde_json::from_str::<Body<'_>>(body).map_or(body, |body| body.payload.get());
    let start = beginning(payload, MAX_LINE_BYTES - FRAME_BYTES);
    let mut out = Vec::with_capacity(MAX_LINE_BYTES);
    let mut line = Object::begin(&mut out);
    line.text("id", &finding.event.id);
    line.text("topic", &finding.event.topic.chars().take(MAX_KIND_CHARS).collect::<String>());
    line.text("ts", finding.time);
    line.text("type", &finding.kind.chars().take(MAX_KIND_CHARS).collect::<String>());
    line.number("payload_missing_bytes", payload.len() - start.len());
    line.text("payload_start", start);
    line.end();
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns the longest beginning of a text that has at most `max` bytes inside of a JSON string.
fn beginning(text: &str, max: usize) -> &str {
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, c)| {
        bytes += match c {
            '"' | '\\' => 2,
            c if c.is_ascii_control() => 6,
            c => c.len_utf8(),
        };
        bytes > max
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}
