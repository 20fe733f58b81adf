//! An event, the body that every subscription receives for it, and several of them in one.

mod batch;
mod json;

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

pub use self::batch::{BatchFormat, ParseFormatError};
use self::json::Json;
pub use self::json::JsonError;
use crate::time::UnixMicros;

/// The names of a body's fields and its time, about, in bytes.
const BODY_FRAME: usize = 100;
/// Longest id of an event, in bytes: it stands in a header.
const MAX_ID_BYTES: usize = 128;

/// One event, serialised once: its body is what is signed and sent, byte for byte, on every attempt.
#[derive(Debug, Clone)]
pub struct Event {
    /// Stable over all attempts; also the receiver's idempotency key. See [`is_id`].
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
    Json(#[from] JsonError),
    /// JSON, but a list, text or number.
    #[error("the body is JSON, but no object")]
    NoObject,
}

impl Event {
    /// Reads the body of an `EVT` frame. `now` stands in for a missing time, `fresh_id` for a missing id. An id that
    /// cannot be sent is replaced, see [`fit_id`].
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
            Some(Json::Text(id)) if !id.is_empty() => fit_id(id),
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

    /// Restores an event that the queue stored. An id that an earlier version accepted and that cannot be sent is
    /// replaced, see [`fit_id`], in the body too.
    #[must_use]
    pub fn stored(id: Box<str>, topic: Box<str>, body: Bytes, at: UnixMicros) -> Self {
        match fit_id(&id) {
            Cow::Borrowed(_) => Self { id, topic, body, at, operational: false },
            Cow::Owned(fit) => {
                Self { body: with_id(body, &id, &fit), id: fit.into(), topic, at, operational: false }
            }
        }
    }

    /// Writes the body, its fields in sorted order. `size` is about how many bytes the payload takes, so that the body is
    /// allocated once.
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
        json::write_text(id, &mut body);
        body.extend_from_slice(br#","payload":"#);
        payload.unwrap_or(&Json::EMPTY_OBJECT).write(&mut body);
        body.extend_from_slice(br#","topic":"#);
        json::write_text(topic, &mut body);
        body.extend_from_slice(br#","ts":"#);
        json::write_text(&ts.to_iso8601(), &mut body);
        body.extend_from_slice(br#","type":"#);
        kind.unwrap_or(&Json::EMPTY_TEXT).write(&mut body);
        body.extend_from_slice(br#","v":1}"#);
        Self { id: id.into(), topic: topic.into(), body: body.into(), at: ts, operational: false }
    }
}

/// Returns whether a text can be an event's id as it is: 1 to 128 printable ASCII characters, none of them a dot.
///
/// It stands in a header. Standard Webhooks 1.0 signs `id.timestamp.body`: with a dot in the id, one signature would fit two
/// messages.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(fits)
}

/// Returns the id under which an event is sent: `id` itself if [`is_id`], else one that is derived from it, so that a repeated
/// event keeps one id.
///
/// The derived id is the first 16 bytes of the SHA-256 of `id` as a UUID of version 8 (RFC 9562 section 5.8).
#[must_use]
pub fn fit_id(id: &str) -> Cow<'_, str> {
    if is_id(id) { Cow::Borrowed(id) } else { Cow::Owned(derived_id(id)) }
}

fn derived_id(original: &str) -> String {
    let mut bytes = Sha256::digest(original);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (index, byte) in bytes.iter().take(16).enumerate() {
        let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(id, "{dash}{byte:02x}").expect("writing into memory never fails");
    }
    id
}

/// Replaces the id in a body, which begins with it. A body that begins otherwise, as an erased one does, stays as it is.
fn with_id(body: Bytes, old: &str, new: &str) -> Bytes {
    let beginning = |id: &str| {
        let mut beginning = br#"{"id":"#.to_vec();
        json::write_text(id, &mut beginning);
        beginning
    };
    match body.strip_prefix(beginning(old).as_slice()) {
        Some(rest) => [beginning(new).as_slice(), rest].concat().into(),
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
    fn an_id_that_cannot_be_sent_is_replaced_by_the_same_each_time() {
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
    fn a_stored_id_that_cannot_be_sent_is_replaced_in_the_body_too() {
        let stored = |id: &str, body: &str| {
            let event = Event::stored(id.into(), "a".into(), body.to_owned().into(), NOW);
            (event.id.into_string(), String::from_utf8(event.body.to_vec()).unwrap())
        };
        let fit = fit_id("a.\"b").into_owned();
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
