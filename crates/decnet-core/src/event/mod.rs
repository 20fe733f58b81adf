//! An event, the body that every subscription receives for it, and several of them in one.

mod batch;
mod json;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

pub use self::batch::{BatchFormat, ParseFormatError};
use self::json::Json;
use crate::time::UnixMicros;

/// What a receiver finds under `"v"`.
const BODY_VERSION: u8 = 1;
/// The names of a body's fields and its time, about, in bytes.
const BODY_FRAME: usize = 100;
/// Ids that are longer, or that could not stand in a header, are replaced.
const MAX_ID_BYTES: usize = 128;

/// One event, serialised once: its body is what is signed and sent, byte for byte, on every attempt.
#[derive(Debug, Clone)]
pub struct Event {
    /// Stable over all attempts; also the receiver's idempotency key. Printable ASCII.
    pub id: Box<str>,
    /// As the bus delivered it, never as the body claims.
    pub topic: Box<str>,
    /// The JSON that is sent.
    pub body: Bytes,
    /// When it happened; of one that was read back from the queue, when it was admitted. For measuring: receivers find
    /// their time in the body.
    pub at: UnixMicros,
    /// Whether the worker itself made it, about its own deliveries. Never true of what anybody else published, whatever its
    /// topic. Trouble with such an event causes no further one.
    pub operational: bool,
}

/// The same to a receiver.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.topic, &self.body) == (&other.id, &other.topic, &other.body)
    }
}

impl Eq for Event {}

/// Why a message is no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or nested too deeply.
    #[error("the body is not JSON that we can read: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but a list, text or number.
    #[error("the body is JSON, but no object")]
    NoObject,
}

/// The body's fields, in the sorted order in which they are sent.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    payload: &'a Json<'a>,
    topic: &'a str,
    ts: &'a str,
    r#type: &'a Json<'a>,
    v: u8,
}

impl Event {
    /// Reads the body of an `EVT` frame. `now` stands in for a missing time, `fresh_id` for a missing id.
    ///
    /// # Errors
    /// A body that is no JSON object.
    pub fn from_bus(
        topic: &str,
        envelope: &[u8],
        now: UnixMicros,
        fresh_id: impl FnOnce() -> String,
    ) -> Result<Self, EventError> {
        let size = envelope.len();
        let envelope = if envelope.is_empty() { Json::Object(Vec::new()) } else { json::read(envelope)? };
        let Json::Object(fields) = &envelope else { return Err(EventError::NoObject) };
        let id = match json::get(fields, "id") {
            Some(Json::Text(id)) if is_id(id) => Cow::Borrowed(id.as_ref()),
            _ => Cow::Owned(fresh_id()),
        };
        let ts =
            json::get(fields, "ts").and_then(Json::as_f64).and_then(UnixMicros::from_seconds).unwrap_or(now);
        let payload = json::get(fields, "payload").filter(|value| value.is_truthy());
        let kind = json::get(fields, "type").filter(|value| value.is_truthy());
        Ok(Self::build(&id, topic, kind, ts, payload, size))
    }

    /// Makes an event that did not come over a bus, for instance the one that `subscription test` sends.
    ///
    /// # Errors
    /// A payload that is not JSON, or nests deeper than [`MAX_PAYLOAD_DEPTH`](crate::limits::MAX_PAYLOAD_DEPTH), which
    /// is what a bus would relay.
    pub fn new(id: &str, topic: &str, kind: &str, at: UnixMicros, payload: &str) -> Result<Self, EventError> {
        let value = json::read_payload(payload.as_bytes())?;
        Ok(Self::build(id, topic, Some(&Json::Text(kind.into())), at, Some(&value), payload.len()))
    }

    /// `size` is about how many bytes the payload takes, so that the body is allocated once.
    fn build(
        id: &str,
        topic: &str,
        kind: Option<&Json<'_>>,
        ts: UnixMicros,
        payload: Option<&Json<'_>>,
        size: usize,
    ) -> Self {
        let (no_payload, no_kind) = (Json::EMPTY_OBJECT, Json::EMPTY_TEXT);
        let body = Body {
            id,
            payload: payload.unwrap_or(&no_payload),
            topic,
            ts: &ts.to_iso8601(),
            r#type: kind.unwrap_or(&no_kind),
            v: BODY_VERSION,
        };
        let mut bytes = Vec::with_capacity(size + id.len() + topic.len() + BODY_FRAME);
        serde_json::to_writer(&mut bytes, &body).expect("JSON values always serialise into memory");
        Self { id: id.into(), topic: topic.into(), body: bytes.into(), at: ts, operational: false }
    }
}

/// Can this be an event's id as it is? 1 to 128 printable ASCII characters: it stands in a header.
#[must_use]
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_JSON_DEPTH, MAX_PAYLOAD_DEPTH};

    const NOW: UnixMicros = UnixMicros(1_776_988_800_000_000);

    fn body(envelope: &str) -> String {
        let event = Event::from_bus("a.b", envelope.as_bytes(), NOW, || "fresh".into()).unwrap();
        String::from_utf8(event.body.to_vec()).unwrap()
    }

    #[test]
    fn body_is_canonical() {
        assert_eq!(
            body(
                r#"{"v":1,"id":"e1","topic":"spoofed","type":"t","ts":1776988800.0,"payload":{"b":1,"a":{"z":[1, 2.50],"ä":"\u00e9\n"}}}"#
            ),
            r#"{"id":"e1","payload":{"a":{"z":[1,2.5],"ä":"é\n"},"b":1},"topic":"a.b","ts":"2026-04-24T00:00:00+00:00","type":"t","v":1}"#
        );
    }

    #[test]
    fn missing_fields_get_defaults() {
        let expected =
            r#"{"id":"fresh","payload":{},"topic":"a.b","ts":"2026-04-24T00:00:00+00:00","type":"","v":1}"#;
        assert_eq!(body(""), expected);
        assert_eq!(body("{}"), expected);
        assert_eq!(body(r#"{"id":null,"payload":null,"type":null,"ts":"soon"}"#), expected);
        assert_eq!(body(r#"{"id":7,"payload":[],"type":0,"ts":1e300}"#), expected);
        assert_eq!(body(r#"{"id":"two\nlines"}"#), expected);
    }

    #[test]
    fn payloads_that_are_no_objects_pass() {
        assert!(body(r#"{"payload":"text"}"#).contains(r#""payload":"text""#));
        assert!(body(r#"{"payload":[1]}"#).contains(r#""payload":[1]"#));
    }

    #[test]
    fn fractions_of_a_second_are_kept_to_the_microsecond() {
        assert!(body(r#"{"ts":1776988800.123456}"#).contains(r#""ts":"2026-04-24T00:00:00.123456+00:00""#));
    }

    #[test]
    fn a_repeated_key_counts_as_its_last() {
        assert!(body(r#"{"payload":{"a":1,"b":2,"a":3}}"#).contains(r#""payload":{"a":3,"b":2}"#));
    }

    #[test]
    fn what_a_bus_relays_can_be_read() {
        let nested = |depth| format!(r#"{{"payload":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(body(&nested(MAX_JSON_DEPTH - 1)).contains("[[1]]"));
        let deeper = nested(MAX_JSON_DEPTH);
        assert!(Event::from_bus("a", deeper.as_bytes(), NOW, String::new).is_err());
    }

    #[test]
    fn a_payload_nests_as_deep_as_over_a_bus() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let made = |depth| Event::new("id", "a", "", NOW, &nested(depth));
        let body = made(MAX_PAYLOAD_DEPTH).unwrap().body;
        assert!(json::read(&body).is_ok(), "its body can be read again");
        let refused = made(MAX_PAYLOAD_DEPTH + 1).unwrap_err().to_string();
        assert!(refused.contains("at most 253 levels"), "{refused}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let error = |text: &str| Event::from_bus("a", text.as_bytes(), NOW, String::new).unwrap_err();
        assert!(matches!(error("[]"), EventError::NoObject));
        assert!(matches!(error("{"), EventError::Json(_)));
        assert!(matches!(error(r#"{"a":NaN}"#), EventError::Json(_)));
        assert!(matches!(error(r#"{"a":"\ud800"}"#), EventError::Json(_)));
        assert!(matches!(error(&format!(r#"{{"a":{}}}"#, "[".repeat(5000))), EventError::Json(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_body_has_sorted_keys_and_the_same_value(text in ".*", number in proptest::num::f64::NORMAL, n: i64) {
            let payload = serde_json::json!({"z": text, "a": {"y": number, "b": [n, null, true]}, &text: n});
            let envelope = serde_json::json!({"payload": payload}).to_string();
            let sent = body(&envelope);
            let value: serde_json::Value = serde_json::from_str(&sent).unwrap();
            proptest::prop_assert_eq!(&value["payload"], &payload);
            proptest::prop_assert_eq!(serde_json::to_string(&value).unwrap(), sent);
        }
    }
}
