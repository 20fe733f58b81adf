//! An event as a line of JSON.

use std::io::Write as _;

use decnet_bus::Received;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json_text;

/// What a line shows of an event, verbatim where it can be.
#[derive(Serialize)]
struct Line<'a> {
    id: Option<&'a RawValue>,
    topic: &'a str,
    r#type: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    payload: Option<Compact<'a>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Appends an event as a line.
///
/// # Errors
/// A body that is not the envelope of an event.
pub(super) fn append(event: &Received, lines: &mut Vec<u8>) -> anyhow::Result<()> {
    let Envelope { id, r#type, ts, payload } = serde_json::from_slice(&event.body)?;
    let payload = payload.map(Compact::new);
    serde_json::to_writer(&mut *lines, &Line { id, topic: &event.topic, r#type, ts, payload })?;
    Ok(lines.write_all(b"\n")?)
}

/// A payload on one line: as it came, unless it came on several.
#[derive(Serialize)]
#[serde(untagged)]
enum Compact<'a> {
    Raw(&'a RawValue),
    Rewritten(Option<Box<RawValue>>),
}

impl<'a> Compact<'a> {
    fn new(payload: &'a RawValue) -> Self {
        let has_lines = payload.get().bytes().any(|byte| matches!(byte, b'\n' | b'\r'));
        if has_lines {
            Self::Rewritten(json_text::compact(payload.get().as_bytes()))
        } else {
            Self::Raw(payload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> String {
        let mut lines = Vec::new();
        let event =
            Received { topic: decnet_bus::Topic::new("a.b".into()).unwrap(), body: body.to_owned().into() };
        append(&event, &mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_line_is_one_line_with_the_headers_topic() {
        assert_eq!(
            shown(
                "{\"v\":1,\"id\":\"e\",\"topic\":\"spoofed\",\"type\":\"t\",\"ts\":1.50,\"payload\":{\"b\":\n1.0,\"a\":-123456789012345678901234567890}}"
            ),
            "{\"id\":\"e\",\"topic\":\"a.b\",\"type\":\"t\",\"ts\":1.50,\"payload\":{\"b\":1.0,\"a\":-123456789012345678901234567890}}\n"
        );
        assert_eq!(
            shown("{}"),
            "{\"id\":null,\"topic\":\"a.b\",\"type\":null,\"ts\":null,\"payload\":null}\n"
        );
    }
}
