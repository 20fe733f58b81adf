//! The body of an event, parsed once for all formats.

use decnet_core::event::Event;
use decnet_core::limits::MAX_JSON_DEPTH;
use serde::Deserialize;
use serde_json::Value;

use crate::json;
use crate::spec::RenderError;

/// The body of an event, parsed.
#[derive(Debug)]
pub struct ParsedEvent {
    time: Value,
    kind: Value,
    payload: Value,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    ts: Value,
    #[serde(default, rename = "type")]
    kind: Value,
}

impl ParsedEvent {
    /// Parses the body of an event.
    ///
    /// # Errors
    /// The body is not a JSON object, or is nested deeper than [`MAX_JSON_DEPTH`] levels. An erased event has an empty body.
    pub fn new(event: &Event) -> Result<Self, RenderError> {
        let body =
            parse(&event.body).map_err(|problem| RenderError::Body { id: event.id.clone(), problem })?;
        Ok(Self { time: body.ts, kind: body.kind, payload: body.payload })
    }

    /// Returns the time of the event as in its body; empty if it has none.
    #[must_use]
    pub fn time(&self) -> &str {
        self.time.as_str().unwrap_or_default()
    }

    /// Returns the type of the event; empty if it has none, or if it is not a string.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_str().unwrap_or_default()
    }

    /// Returns the payload; null if there is none.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.payload
    }
}

/// Parses a body. The parser's own limit, 128 levels, is below that of events: deeper bodies are parsed without a limit once they
/// are known to be within [`MAX_JSON_DEPTH`].
fn parse(body: &[u8]) -> Result<Body, String> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("the body is not a JSON object".into());
    }
    let parsed = serde_json::from_slice(body);
    if parsed.is_err() && json::depth(body) <= MAX_JSON_DEPTH {
        return parse_deep(body).map_err(|error| error.to_string());
    }
    parsed.map_err(|error| error.to_string())
}

fn parse_deep(body: &[u8]) -> serde_json::Result<Body> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    reader.disable_recursion_limit();
    let parsed = Body::deserialize(&mut reader)?;
    reader.end()?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use decnet_core::time::UnixMicros;

    use super::*;

    fn parsed(body: &str) -> Result<ParsedEvent, RenderError> {
        let event = Event::stored("e1".into(), "a".into(), body.to_owned().into(), UnixMicros(0));
        ParsedEvent::new(&event)
    }

    #[test]
    fn body_is_parsed() {
        let event = parsed(
            r#"{"id":"e1","payload":{"a":1},"topic":"a","ts":"2026-04-24T00:00:00+00:00","type":"t","v":1}"#,
        )
        .unwrap();
        assert_eq!((event.time(), event.kind()), ("2026-04-24T00:00:00+00:00", "t"));
        assert_eq!(event.payload(), &serde_json::json!({"a": 1}));
    }

    #[test]
    fn missing_and_unusual_fields_are_empty() {
        for body in ["{}", r#"{"ts":7,"type":{"a":1},"payload":null}"#] {
            let event = parsed(body).unwrap();
            assert_eq!((event.time(), event.kind(), event.payload()), ("", "", &Value::Null), "{body}");
        }
    }

    #[test]
    fn bodies_are_parsed_up_to_the_depth_of_events() {
        let nested = |levels| format!(r#"{{"payload":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(parsed(&nested(MAX_JSON_DEPTH - 1)).unwrap().payload().is_array());
        assert!(parsed(&nested(MAX_JSON_DEPTH)).is_err());
        assert!(parsed(&nested(100_000)).is_err());
        let brackets = format!(r#"{{"payload":"{}\"[["}}"#, "[".repeat(1000));
        assert!(parsed(&brackets).unwrap().payload().is_string(), "brackets in a string are not levels");
    }

    #[test]
    fn invalid_bodies_are_reported_with_the_event() {
        for body in ["", "{", "[]", "{} x", "nul", "\"\\ud800\""] {
            let error = parsed(body).unwrap_err().to_string();
            assert!(error.starts_with("the body of event e1 is not a valid event: "), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in "[\\[\\]{}\":,\\\\a0-9nul -]{0,64}") {
            let _ = parsed(&body);
        }
    }
}
