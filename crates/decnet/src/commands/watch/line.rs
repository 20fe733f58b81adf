//! Events as lines of JSON.

use std::io::Write as _;

use decnet_bus::Received;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json_text;

/// The members of an event's line. Values are copied verbatim where possible.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// The topic of the header, not of the body.
    #[serde(skip_deserializing)]
    topic: &'a str,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Appends an event as a line. A payload that contains line breaks is rewritten.
///
/// # Errors
/// The body is not an event envelope.
pub(super) fn append(event: &Received, lines: &mut Vec<u8>) -> anyhow::Result<()> {
    let Line { id, r#type, ts, payload, .. } = serde_json::from_slice(&event.body)?;
    let with_breaks = payload.filter(|payload| payload.get().contains(['\n', '\r']));
    let rewritten = with_breaks.and_then(|payload| json_text::compact(payload.get().as_bytes()));
    let payload = rewritten.as_deref().or(payload);
    serde_json::to_writer(&mut *lines, &Line { id, topic: &event.topic, r#type, ts, payload })?;
    Ok(lines.write_all(b"\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &str) -> String {
        let mut lines = Vec::new();
        let event =
            Received { topic: decnet_bus::Topic::new("a.b".into()).unwrap(), body: body.to_owned().into() };
        append(&event, &mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn line_has_no_line_breaks_and_the_topic_of_the_header() {
        assert_eq!(
            line(
                "{\"v\":1,\"id\":\"e\",\"topic\":\"spoofed\",\"type\":\"t\",\"ts\":1.50,\"payload\":{\"b\":\n1.0,\"a\":-123456789012345678901234567890}}"
            ),
            "{\"id\":\"e\",\"topic\":\"a.b\",\"type\":\"t\",\"ts\":1.50,\"payload\":{\"b\":1.0,\"a\":-123456789012345678901234567890}}\n"
        );
        assert_eq!(
            line("{}"),
            "{\"id\":null,\"topic\":\"a.b\",\"type\":null,\"ts\":null,\"payload\":null}\n"
        );
    }
}
