//! Batches: several events as one event, with its body, id and topic.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Event;

/// The prefix of a batch's id; the digest follows.
const ID_PREFIX: &str = "batch_";
/// The topic of a batch whose events have different topics.
const MIXED_TOPIC: &str = "batch";
/// The number of digest bytes in the id: enough to be unique, and short enough for a header.
const ID_DIGEST_BYTES: usize = 16;
/// The `source` of every CloudEvent. With the id it identifies the event (CloudEvents 1.0.2, "source"). The topic is not
/// part of the source but the `subject`, because it may contain characters that are invalid in a URI reference.
const SOURCE: &str = "/decnet";
const JSON: &str = "application/json";

/// The format of the body of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchFormat {
    /// A JSON array of the bodies of the events, unchanged.
    #[default]
    Array,
    /// A CloudEvents 1.0 JSON batch (JSON Event Format, section 4). The `data` of each CloudEvent is the body of its event,
    /// unchanged.
    CloudEvents,
}

/// A text that is not the name of a [`BatchFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a batch format; use array or cloudevents")]
pub struct ParseBatchFormatError(Box<str>);

impl BatchFormat {
    /// The bytes of a body around its events.
    pub const FRAME_BYTES: usize = "[]".len();

    /// Returns the name of the format, as in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// Returns the value of `content-type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Array => JSON,
            Self::CloudEvents => "application/cloudevents-batch+json",
        }
    }

    /// Returns the bytes that an event adds to a body, with a comma; the first event adds one byte less.
    #[must_use]
    pub fn added_bytes(self, event: &Event) -> usize {
        let mut counter = ByteCounter(",".len());
        self.write(event, &mut counter).expect("counting does not fail");
        counter.0
    }

    /// Combines events, in their order, into one event that is signed and sent like any other.
    ///
    /// The id is derived from the ids of the events. A batch is formed anew for each attempt, so a retry has the same id only
    /// if it has the same events in the same order, and then it has the same body. The topic is the common topic of the events,
    /// or `batch` if their topics differ.
    #[must_use]
    pub fn combine<'e>(self, events: impl Iterator<Item = &'e Event> + Clone) -> Event {
        let (id, topic) = (batch_id(events.clone()), common_topic(events.clone()).into());
        let at = events.clone().map(|event| event.at).min().unwrap_or_default();
        Event { id, topic, body: self.body(events), at, operational: false }
    }

    fn body<'e>(self, events: impl Iterator<Item = &'e Event> + Clone) -> Bytes {
        let added: usize = events.clone().map(|event| self.added_bytes(event)).sum();
        let mut body = Vec::with_capacity(Self::FRAME_BYTES + added.saturating_sub(",".len()));
        body.push(b'[');
        for (index, event) in events.enumerate() {
            body.extend((index > 0).then_some(b','));
            self.write(event, &mut body).expect("writing into memory does not fail");
        }
        body.push(b']');
        body.into()
    }

    fn write(self, event: &Event, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Array => out.write_all(&event.body),
            Self::CloudEvents => write_cloud_event(event, out),
        }
    }
}

/// The fields of an event's body that become CloudEvents attributes.
#[derive(Default, Deserialize)]
struct BodyFields<'a> {
    /// RFC 3339, as required for `time`.
    ts: Option<&'a str>,
    /// Any JSON value, because the bus accepts any.
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

impl<'a> BodyFields<'a> {
    /// Parses the body. This does not fail for a body that this program made; if parsing failed, time and type would be missing.
    fn of(event: &'a Event) -> Self {
        serde_json::from_slice(&event.body).unwrap_or_default()
    }

    /// Returns the type as JSON, if it is valid in a CloudEvent: a string that is not empty.
    fn kind(&self) -> Option<&'a str> {
        self.r#type.map(RawValue::get).filter(|json| json.starts_with('"') && *json != r#""""#)
    }
}

fn write_cloud_event(event: &Event, out: &mut impl Write) -> io::Result<()> {
    let fields = BodyFields::of(event);
    write!(out, r#"{{"specversion":"1.0","source":"{SOURCE}","datacontenttype":"{JSON}","id":"#)?;
    serde_json::to_writer(&mut *out, &event.id)?;
    out.write_all(br#","subject":"#)?;
    serde_json::to_writer(&mut *out, &event.topic)?;
    // RFC 3339 does not allow years before 0, and the attribute is optional.
    if let Some(ts) = fields.ts.filter(|ts| !ts.starts_with('-')) {
        write!(out, r#","time":"{ts}""#)?;
    }
    out.write_all(br#","type":"#)?;
    match fields.kind() {
        Some(kind) => out.write_all(kind.as_bytes())?,
        // `type` is required, so an event without one gets its topic.
        None => serde_json::to_writer(&mut *out, &event.topic)?,
    }
    out.write_all(br#","data":"#)?;
    out.write_all(&event.body)?;
    out.write_all(b"}")
}

/// Returns the id of a batch. Ids do not contain newlines, so different lists of ids have different digests.
pub fn batch_id<'e>(events: impl Iterator<Item = &'e Event>) -> Box<str> {
    let mut digest = Sha256::new();
    for event in events {
        digest.update(event.id.as_bytes());
        digest.update(b"\n");
    }
    let mut id = String::with_capacity(ID_PREFIX.len() + 2 * ID_DIGEST_BYTES);
    id.push_str(ID_PREFIX);
    for byte in digest.finalize().iter().take(ID_DIGEST_BYTES) {
        write!(id, "{byte:02x}").expect("writing into memory does not fail");
    }
    id.into()
}

/// Returns the common topic of the events of a batch, or `batch` if their topics differ.
pub fn common_topic<'e>(mut events: impl Iterator<Item = &'e Event>) -> &'e str {
    let first = events.next().map_or(MIXED_TOPIC, |event| &event.topic);
    if events.all(|event| *event.topic == *first) { first } else { MIXED_TOPIC }
}

/// A writer that only counts bytes.
struct ByteCounter(usize);

impl Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FromStr for BatchFormat {
    type Err = ParseBatchFormatError;

    fn from_str(text: &str) -> Result<Self, ParseBatchFormatError> {
        let found = [Self::Array, Self::CloudEvents].into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| ParseBatchFormatError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::limits::MAX_JSON_DEPTH;
    use crate::time::UnixMicros;

    const FORMATS: [BatchFormat; 2] = [BatchFormat::Array, BatchFormat::CloudEvents];

    fn event(topic: &str, envelope: &Value) -> Event {
        let envelope = envelope.to_string();
        Event::from_bus(topic, envelope.as_bytes(), UnixMicros(0), || "fresh".into()).unwrap()
    }

    fn read(batch: &Event) -> Vec<Value> {
        serde_json::from_slice(&batch.body).unwrap()
    }

    #[test]
    fn cloud_event_has_the_attributes_of_the_event() {
        let event =
            event("a.b", &json!({"id": "e1", "ts": 1_776_988_800, "type": "seen", "payload": {"n": 1}}));
        let batch = BatchFormat::CloudEvents.combine([&event].into_iter());
        let data: Value = serde_json::from_slice(&event.body).unwrap();
        let expected = json!({
            "specversion": "1.0", "id": "e1", "source": "/decnet", "subject": "a.b", "type": "seen",
            "time": "2026-04-24T00:00:00+00:00", "datacontenttype": "application/json", "data": data,
        });
        assert_eq!(read(&batch), [expected]);
    }

    #[test]
    fn cloud_event_always_has_a_type() {
        for kind in [json!(""), json!(null), json!({"a": "b"}), json!(["x"]), json!(7)] {
            let event = event("a.b", &json!({"type": kind}));
            assert_eq!(
                read(&BatchFormat::CloudEvents.combine([&event].into_iter()))[0]["type"],
                "a.b",
                "{kind}"
            );
        }
    }

    #[test]
    fn body_of_maximum_depth_fits_into_a_batch() {
        let (open, close) = ("[".repeat(MAX_JSON_DEPTH - 1), "]".repeat(MAX_JSON_DEPTH - 1));
        let envelope = format!(r#"{{"payload":{open}1{close},"ts":0,"type":"t"}}"#);
        let event = Event::from_bus("a", envelope.as_bytes(), UnixMicros(0), String::new).unwrap();
        let batch = BatchFormat::CloudEvents.combine([&event].into_iter());
        let text = std::str::from_utf8(&batch.body).unwrap();
        assert!(text.contains(r#""time":"1970-01-01T00:00:00+00:00","type":"t""#), "{text}");
    }

    #[test]
    fn topic_is_the_common_topic_or_batch() {
        let [a, b] = ["a.x", "a.y"].map(|topic| event(topic, &json!({})));
        let topic = |events: &[&Event]| BatchFormat::Array.combine(events.iter().copied()).topic;
        assert_eq!(*topic(&[&a, &a]), *"a.x");
        assert_eq!(*topic(&[&a, &b]), *"batch");
    }

    #[test]
    fn id_depends_on_the_events_and_their_order() {
        let [a, b, ab] = ["a", "b", "ab"].map(|id| event("t", &json!({"id": id})));
        let id = |events: &[&Event]| BatchFormat::Array.combine(events.iter().copied()).id;
        assert_eq!(*id(&[&a, &b]), *"batch_911169ddaaf146aff539f58c26c489af");
        let others = [&[&a][..], &[&b], &[&b, &a], &[&ab], &[&a, &b, &b], &[]].map(id);
        for (index, other) in others.iter().enumerate() {
            assert!(*other != id(&[&a, &b]) && !others[..index].contains(other), "{index}");
        }
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let parts = ("[ -~]{0,9}", "[!-~é]{1,9}", any::<Option<f64>>(), ".{0,9}", ".{0,40}");
        let event = parts.prop_map(|(id, topic, ts, kind, text)| {
            event(&topic, &json!({"id": id, "ts": ts, "type": kind, "payload": {"text": text, "n": [ts]}}))
        });
        prop::collection::vec(event, 1..20)
    }

    proptest! {
        #[test]
        fn batch_has_its_events_in_order_and_the_computed_size(events in events()) {
            for format in FORMATS {
                let batch = format.combine(events.iter());
                let added: usize = events.iter().map(|event| format.added_bytes(event)).sum();
                prop_assert_eq!(batch.body.len(), BatchFormat::FRAME_BYTES + added - 1);
                let read: Vec<&RawValue> = serde_json::from_slice(&batch.body).unwrap();
                prop_assert_eq!(read.len(), events.len());
                for (raw, event) in read.into_iter().zip(&events) {
                    let body = match format {
                        BatchFormat::Array => raw,
                        BatchFormat::CloudEvents => check_cloud_event(raw, event)?,
                    };
                    prop_assert_eq!(body.get().as_bytes(), &event.body);
                }
            }
        }

        #[test]
        fn format_round_trips_as_text(cloud: bool) {
            let format = FORMATS[usize::from(cloud)];
            prop_assert_eq!(format.as_str().parse(), Ok(format));
        }
    }

    /// Checks the required attributes of CloudEvents 1.0.2, and returns the data.
    fn check_cloud_event<'a>(raw: &'a RawValue, event: &Event) -> Result<&'a RawValue, TestCaseError> {
        #[derive(Deserialize)]
        struct CloudEvent<'a> {
            id: String,
            subject: String,
            r#type: String,
            time: Option<String>,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let read: CloudEvent<'_> = serde_json::from_str(raw.get()).unwrap();
        prop_assert_eq!((&*read.id, &*read.subject), (&*event.id, &*event.topic));
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let ts = body["ts"].as_str().filter(|ts| !ts.starts_with('-'));
        prop_assert_eq!(ts.map(at), read.time.as_deref().map(at));
        let kind = body["type"].as_str().filter(|kind| !kind.is_empty()).unwrap_or(&event.topic);
        prop_assert_eq!(&*read.r#type, kind);
        Ok(read.data)
    }
}
