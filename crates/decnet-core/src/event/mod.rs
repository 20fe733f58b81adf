//! Events: parsing, the body that receivers get, and batches.

mod batch;
mod json;

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

pub use self::batch::{BatchFormat, ParseBatchFormatError, batch_id, common_topic};
pub use self::json::{Json, JsonError};
use crate::time::UnixMicros;

/// The approximate size of the field names and the time in a body, in bytes.
const BODY_FRAME: usize = 100;
/// The maximum length of an event's id in bytes. The id is sent in a header.
const MAX_ID_BYTES: usize = 128;

/// One event, serialised once: every attempt signs and sends the same body.
#[derive(Debug, Clone)]
pub struct Event {
    /// The id, the same in all attempts. Receivers use it as an idempotency key; see [`is_id`].
    pub id: Box<str>,
    /// The topic of the bus frame; a topic in the body is ignored.
    pub topic: Box<str>,
    /// The JSON to send.
    pub body: Bytes,
    /// The time of the event, for metrics. For an event that was read from the queue, the time of admission. Receivers get
    /// the time in the body.
    pub at: UnixMicros,
    /// Whether the worker created the event to report on its deliveries. Always false for events from the bus, whatever their
    /// topic. A failed delivery of an operational event does not create another operational event.
    pub operational: bool,
}

/// Compares only the fields that receivers see.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.topic, &self.body) == (&other.id, &other.topic, &other.body)
    }
}

impl Eq for Event {}

/// The reason why a message is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The message is not JSON, or is nested too deeply.
    #[error("the body is not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// The message is JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

impl Event {
    /// Parses the body of an `EVT` frame. `now` replaces a missing time, and `fresh_id` a missing id. An invalid id is
    /// replaced, see [`sendable_id`].
    ///
    /// # Errors
    /// The body is not a JSON object.
    pub fn from_bus(
        topic: &str,
        envelope: &[u8],
        now: UnixMicros,
        fresh_id: impl FnOnce() -> String,
    ) -> Result<Self, EventError> {
        let size = envelope.len();
        let envelope = if envelope.is_empty() { Json::Object(Vec::new()) } else { json::parse(envelope)? };
        let Json::Object(fields) = &envelope else { return Err(EventError::NotAnObject) };
        let id = match json::get(fields, "id") {
            Some(Json::Text(id)) if !id.is_empty() => sendable_id(id),
            _ => Cow::Owned(fresh_id()),
        };
        let ts =
            json::get(fields, "ts").and_then(Json::as_f64).and_then(UnixMicros::from_seconds).unwrap_or(now);
        let payload = json::get(fields, "payload").filter(|value| value.is_truthy());
        let kind = json::get(fields, "type").filter(|value| value.is_truthy());
        Ok(Self::build(&id, topic, kind, ts, payload, size))
    }

    /// Creates an event that was not published on a bus, for instance by `subscription test`.
    ///
    /// # Errors
    /// The payload is not JSON, or is nested deeper than [`MAX_PAYLOAD_DEPTH`](crate::limits::MAX_PAYLOAD_DEPTH), the limit of
    /// the bus.
    pub fn new(id: &str, topic: &str, kind: &str, at: UnixMicros, payload: &str) -> Result<Self, EventError> {
        let value = json::parse_payload(payload.as_bytes())?;
        Ok(Self::build(id, topic, Some(&Json::Text(kind.into())), at, Some(&value), payload.len()))
    }

    /// Restores an event from the queue. An invalid id, as accepted by earlier versions, is replaced here and in the body, see
    /// [`sendable_id`].
    #[must_use]
    pub fn stored(id: Box<str>, topic: Box<str>, body: Bytes, at: UnixMicros) -> Self {
        match sendable_id(&id) {
            Cow::Borrowed(_) => Self { id, topic, body, at, operational: false },
            Cow::Owned(fit) => {
                Self { body: with_id(body, &id, &fit), id: fit.into(), topic, at, operational: false }
            }
        }
    }

    /// Parses the body: an object with the fields `id`, `payload`, `topic`, `ts`, `type` and `v`.
    ///
    /// # Errors
    /// The body is not valid JSON. The body of an erased event is empty.
    pub fn parse_body(&self) -> Result<Json<'_>, JsonError> {
        json::parse(&self.body)
    }

    /// Writes the body with sorted fields. `size` is the approximate size of the payload, so that the body is allocated once.
    fn build(
        id: &str,
        topic: &str,
        kind: Option<&Json<'_>>,
        ts: UnixMicros,
        payload: Option<&Json<'_>>,
        size: usize,
    ) -> Self {
        let mut body = Vec::with_capacity(size + id.len() + topic.len() + BODY_FRAME);
        body.extend_from_slice(br#"{"id":"#);
        json::write_scalar(id, &mut body);
        body.extend_from_slice(br#","payload":"#);
        payload.unwrap_or(&Json::EMPTY_OBJECT).write(&mut body);
        body.extend_from_slice(br#","topic":"#);
        json::write_scalar(topic, &mut body);
        body.extend_from_slice(br#","ts":"#);
        json::write_scalar(ts.to_iso8601().as_str(), &mut body);
        body.extend_from_slice(br#","type":"#);
        kind.unwrap_or(&Json::EMPTY_TEXT).write(&mut body);
        body.extend_from_slice(br#","v":1}"#);
        Self { id: id.into(), topic: topic.into(), body: body.into(), at: ts, operational: false }
    }
}

/// Returns whether a text is a valid event id: 1 to 128 printable ASCII characters without a dot.
///
/// The id is sent in a header. Standard Webhooks 1.0 signs `id.timestamp.body`, so with a dot in the id one signature could be
/// valid for two messages.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(is_allowed)
}

/// Returns the id with which an event is sent: `id` if it is valid ([`is_id`]), or an id derived from it, so that a repeated
/// event has the same id.
///
/// The derived id is the first 16 bytes of the SHA-256 of `id` as a UUID of version 8 (RFC 9562 section 5.8).
#[must_use]
pub fn sendable_id(id: &str) -> Cow<'_, str> {
    if is_id(id) { Cow::Borrowed(id) } else { Cow::Owned(derived_id(id)) }
}

fn derived_id(original: &str) -> String {
    let mut bytes = Sha256::digest(original);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (index, byte) in bytes.iter().take(16).enumerate() {
        let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(id, "{dash}{byte:02x}").expect("writing into memory does not fail");
    }
    id
}

/// Replaces the id at the beginning of a body. A body without this id, such as an erased body, is returned unchanged.
fn with_id(body: Bytes, old: &str, new: &str) -> Bytes {
    let prefix = |id: &str| {
        let mut prefix = br#"{"id":"#.to_vec();
        json::write_scalar(id, &mut prefix);
        prefix
    };
    match body.strip_prefix(prefix(old).as_slice()) {
        Some(rest) => [prefix(new).as_slice(), rest].concat().into(),
        None => body,
    }
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
        assert_eq!(body(r#"{"id":"","payload":-0,"type":-0.0}"#), expected);
    }

    #[test]
    fn invalid_ids_are_replaced_by_a_stable_id() {
        let id = |id: &str| {
            let envelope = serde_json::json!({ "id": id }).to_string();
            let event = Event::from_bus("a", envelope.as_bytes(), NOW, || unreachable!()).unwrap();
            assert!(event.body.starts_with(format!(r#"{{"id":{}"#, serde_json::json!(event.id)).as_bytes()));
            event.id.into_string()
        };
        let longest = "x".repeat(128);
        for kept in ["e1", "!~", "a-b_c:d/e", &longest] {
            assert_eq!(id(kept), kept);
        }
        assert_eq!(id("a.b"), "2e7336dc-8eba-87ef-872d-f568c35482ab");
        let longer = "x".repeat(129);
        let replaced = ["a.b", "a.c", ".", "two\nlines", "a b", "é", &longer].map(id);
        for (index, replacement) in replaced.iter().enumerate() {
            assert!(is_id(replacement) && !replaced[..index].contains(replacement), "{replacement}");
        }
    }

    #[test]
    fn invalid_stored_ids_are_also_replaced_in_the_body() {
        let stored = |id: &str, body: &str| {
            let event = Event::stored(id.into(), "a".into(), body.to_owned().into(), NOW);
            (event.id.into_string(), String::from_utf8(event.body.to_vec()).unwrap())
        };
        let fit = sendable_id("a.\"b").into_owned();
        let (id, body) = stored("a.\"b", r#"{"id":"a.\"b","payload":{"id":"a.\"b"}}"#);
        assert_eq!((id, body), (fit.clone(), format!(r#"{{"id":"{fit}","payload":{{"id":"a.\"b"}}}}"#)));
        assert_eq!(stored("a.\"b", ""), (fit, String::new()), "an erased body stays empty");
        assert_eq!(stored("ab", r#"{"id":"ab"}"#), ("ab".into(), r#"{"id":"ab"}"#.into()));
    }

    #[test]
    fn integers_reach_the_body_exactly() {
        let payload = r#"[18446744073709551616,-9223372036854775809,-0,123456789012345678901234567890]"#;
        let sent =
            r#""payload":[18446744073709551616,-9223372036854775809,0,123456789012345678901234567890],"#;
        assert!(body(&format!(r#"{{"payload":{payload}}}"#)).contains(sent));
        let event = Event::new("e", "a", "", NOW, payload).unwrap();
        assert!(std::str::from_utf8(&event.body).unwrap().contains(sent));
    }

    #[test]
    fn payloads_may_be_other_than_objects() {
        assert!(body(r#"{"payload":"text"}"#).contains(r#""payload":"text""#));
        assert!(body(r#"{"payload":[1]}"#).contains(r#""payload":[1]"#));
    }

    #[test]
    fn times_keep_microseconds() {
        assert!(body(r#"{"ts":1776988800.123456}"#).contains(r#""ts":"2026-04-24T00:00:00.123456+00:00""#));
    }

    #[test]
    fn last_value_of_a_repeated_key_is_kept() {
        assert!(body(r#"{"payload":{"a":1,"b":2,"a":3}}"#).contains(r#""payload":{"a":3,"b":2}"#));
    }

    #[test]
    fn events_of_the_maximum_depth_of_the_bus_are_parsed() {
        let nested = |depth| format!(r#"{{"payload":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(body(&nested(MAX_JSON_DEPTH - 1)).contains("[[1]]"));
        let deeper = nested(MAX_JSON_DEPTH);
        assert!(Event::from_bus("a", deeper.as_bytes(), NOW, String::new).is_err());
    }

    #[test]
    fn new_event_has_the_depth_limit_of_the_bus() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let event = |depth| Event::new("id", "a", "", NOW, &nested(depth));
        let body = event(MAX_PAYLOAD_DEPTH).unwrap().body;
        assert!(json::parse(&body).is_ok(), "the body can be parsed again");
        let refused = event(MAX_PAYLOAD_DEPTH + 1).unwrap_err().to_string();
        assert!(refused.contains("at most 253 levels"), "{refused}");
    }

    #[test]
    fn bodies_other_than_objects_are_rejected() {
        let error = |text: &str| Event::from_bus("a", text.as_bytes(), NOW, String::new).unwrap_err();
        assert!(matches!(error("[]"), EventError::NotAnObject));
        assert!(matches!(error("{"), EventError::Json(_)));
        assert!(matches!(error(r#"{"a":NaN}"#), EventError::Json(_)));
        assert!(matches!(error(r#"{"a":"\ud800"}"#), EventError::Json(_)));
        assert!(matches!(error(&format!(r#"{{"a":{}}}"#, "[".repeat(5000))), EventError::Json(_)));
    }

    proptest::proptest! {
        #[test]
        fn bodies_have_sorted_keys_and_the_same_value(text in ".*", number in proptest::num::f64::NORMAL, n: i64) {
            let payload = serde_json::json!({"z": text, "a": {"y": number, "b": [n, null, true]}, &text: n});
            let envelope = serde_json::json!({"payload": payload}).to_string();
            let sent = body(&envelope);
            let value: serde_json::Value = serde_json::from_str(&sent).unwrap();
            proptest::prop_assert_eq!(&value["payload"], &payload);
            proptest::prop_assert_eq!(serde_json::to_string(&value).unwrap(), sent);
        }
    }
}
