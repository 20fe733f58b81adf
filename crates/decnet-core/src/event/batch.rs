//! Several events as one: the body, id and topic of a request that carries them.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Event;

/// What stands in a batch's id before its digest, and for its topic where its events have different ones.
const ID_PREFIX: &str = "batch_";
const MIXED_TOPIC: &str = "batch";
/// Bytes of the digest that are kept; as good as unique, and a short header.
const ID_DIGEST_BYTES: usize = 16;
/// `source` of every CloudEvent. With the event's id it names the event (CloudEvents 1.0.2, "source"); the topic,
/// which may hold what no URI reference may, is the `subject` within it.
const SOURCE: &str = "/decnet";
const JSON: &str = "application/json";

/// What the body of a batch looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchFormat {
    /// A JSON array of the very bodies that the events would have had alone.
    #[default]
    Array,
    /// A CloudEvents 1.0 JSON batch (JSON Event Format, section 4), each event's `data` the body it would have had.
    CloudEvents,
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format of a batch; write array or cloudevents")]
pub struct ParseFormatError(Box<str>);

impl BatchFormat {
    /// What a body has beyond its events' shares.
    pub const FRAME_BYTES: usize = "[]".len();

    /// The name under which it is asked for and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// The value of `content-type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Array => JSON,
            Self::CloudEvents => "application/cloudevents-batch+json",
        }
    }

    /// Most bytes by which an event makes a body longer: exact but for the first, which needs no comma.
    #[must_use]
    pub fn share(self, event: &Event) -> usize {
        let mut counted = Counted(",".len());
        self.write(event, &mut counted).expect("counting never fails");
        counted.0
    }

    /// Makes one event of several, in their order, to be signed and sent as any other.
    ///
    /// Its id is derived from theirs: a batch is formed anew for each attempt, so a retry has the same id only if it
    /// has the same events in the same order, and then it has the same body too. Its topic is theirs if they all
    /// have the same one, else `batch`.
    #[must_use]
    pub fn unite<'e>(self, events: impl Iterator<Item = &'e Event> + Clone) -> Event {
        let (id, topic) = (id(events.clone()), topic(events.clone()).into());
        let at = events.clone().map(|event| event.at).min().unwrap_or_default();
        Event { id, topic, body: self.body(events), at, operational: false }
    }

    fn body<'e>(self, events: impl Iterator<Item = &'e Event> + Clone) -> Bytes {
        let shares: usize = events.clone().map(|event| self.share(event)).sum();
        let mut body = Vec::with_capacity(Self::FRAME_BYTES + shares.saturating_sub(",".len()));
        body.push(b'[');
        for (index, event) in events.enumerate() {
            body.extend((index > 0).then_some(b','));
            self.write(event, &mut body).expect("writing into memory never fails");
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

/// What an event's own body says of it.
#[derive(Default, Deserialize)]
struct Facts<'a> {
    /// RFC 3339, as `time` has to be.
    ts: Option<&'a str>,
    /// Any JSON, since a bus takes any.
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

impl<'a> Facts<'a> {
    /// Bodies are our own, so reading one does not fail; if it did, the event would go without time and type.
    fn of(event: &'a Event) -> Self {
        serde_json::from_slice(&event.body).unwrap_or_default()
    }

    /// The type as it stands in the body, if it is one that a CloudEvent may have: a text and not empty.
    fn kind(&self) -> Option<&'a str> {
        self.r#type.map(RawValue::get).filter(|json| json.starts_with('"') && *json != r#""""#)
    }
}

fn write_cloud_event(event: &Event, out: &mut impl Write) -> io::Result<()> {
    let facts = Facts::of(event);
    write!(out, r#"{{"specversion":"1.0","source":"{SOURCE}","datacontenttype":"{JSON}","id":"#)?;
    serde_json::to_writer(&mut *out, &event.id)?;
    out.write_all(br#","subject":"#)?;
    serde_json::to_writer(&mut *out, &event.topic)?;
    // RFC 3339 knows no year before 0, and the attribute is optional.
    if let Some(ts) = facts.ts.filter(|ts| !ts.starts_with('-')) {
        write!(out, r#","time":"{ts}""#)?;
    }
    out.write_all(br#","type":"#)?;
    match facts.kind() {
        Some(kind) => out.write_all(kind.as_bytes())?,
        // An event without a type of its own is of the kind that its topic names.
        None => serde_json::to_writer(&mut *out, &event.topic)?,
    }
    out.write_all(br#","data":"#)?;
    out.write_all(&event.body)?;
    out.write_all(b"}")
}

/// Injective: no id holds the newline that parts them.
fn id<'e>(events: impl Iterator<Item = &'e Event>) -> Box<str> {
    let mut digest = Sha256::new();
    for event in events {
        digest.update(event.id.as_bytes());
        digest.update(b"\n");
    }
    let mut id = String::with_capacity(ID_PREFIX.len() + 2 * ID_DIGEST_BYTES);
    id.push_str(ID_PREFIX);
    for byte in digest.finalize().iter().take(ID_DIGEST_BYTES) {
        write!(id, "{byte:02x}").expect("writing into memory never fails");
    }
    id.into()
}

fn topic<'e>(mut events: impl Iterator<Item = &'e Event>) -> &'e str {
    let first = events.next().map_or(MIXED_TOPIC, |event| &event.topic);
    if events.all(|event| *event.topic == *first) { first } else { MIXED_TOPIC }
}

/// Takes everything and keeps its length.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FromStr for BatchFormat {
    type Err = ParseFormatError;

    fn from_str(text: &str) -> Result<Self, ParseFormatError> {
        match text {
            "array" => Ok(Self::Array),
            "cloudevents" => Ok(Self::CloudEvents),
            _ => Err(ParseFormatError(text.into())),
        }
    }
}

impl fmt::Display for BatchFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
    fn a_cloud_event_says_of_its_event_what_it_knows() {
        let event =
            event("a.b", &json!({"id": "e1", "ts": 1_776_988_800, "type": "seen", "payload": {"n": 1}}));
        let batch = BatchFormat::CloudEvents.unite([&event].into_iter());
        let data: Value = serde_json::from_slice(&event.body).unwrap();
        let expected = json!({
            "specversion": "1.0", "id": "e1", "source": "/decnet", "subject": "a.b", "type": "seen",
            "time": "2026-04-24T00:00:00+00:00", "datacontenttype": "application/json", "data": data,
        });
        assert_eq!(read(&batch), [expected]);
    }

    #[test]
    fn a_cloud_event_always_has_a_type() {
        for kind in [json!(""), json!(null), json!({"a": "b"}), json!(["x"]), json!(7)] {
            let event = event("a.b", &json!({"type": kind}));
            assert_eq!(
                read(&BatchFormat::CloudEvents.unite([&event].into_iter()))[0]["type"],
                "a.b",
                "{kind}"
            );
        }
    }

    #[test]
    fn the_deepest_body_goes_into_a_batch() {
        let (open, close) = ("[".repeat(MAX_JSON_DEPTH - 1), "]".repeat(MAX_JSON_DEPTH - 1));
        let envelope = format!(r#"{{"payload":{open}1{close},"ts":0,"type":"t"}}"#);
        let event = Event::from_bus("a", envelope.as_bytes(), UnixMicros(0), String::new).unwrap();
        let batch = BatchFormat::CloudEvents.unite([&event].into_iter());
        let text = std::str::from_utf8(&batch.body).unwrap();
        assert!(text.contains(r#""time":"1970-01-01T00:00:00+00:00","type":"t""#), "{text}");
    }

    #[test]
    fn the_topic_is_that_of_all_or_says_that_there_is_none() {
        let [a, b] = ["a.x", "a.y"].map(|topic| event(topic, &json!({})));
        let topic = |events: &[&Event]| BatchFormat::Array.unite(events.iter().copied()).topic;
        assert_eq!(*topic(&[&a, &a]), *"a.x");
        assert_eq!(*topic(&[&a, &b]), *"batch");
    }

    #[test]
    fn the_id_names_the_events_and_their_order() {
        let [a, b, ab] = ["a", "b", "ab"].map(|id| event("t", &json!({"id": id})));
        let id = |events: &[&Event]| BatchFormat::Array.unite(events.iter().copied()).id;
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
        fn a_batch_holds_its_events_in_order_in_a_body_of_the_size_foretold(events in events()) {
            for format in FORMATS {
                let batch = format.unite(events.iter());
                let shares: usize = events.iter().map(|event| format.share(event)).sum();
                prop_assert_eq!(batch.body.len(), BatchFormat::FRAME_BYTES + shares - 1);
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
        fn text_and_back(cloud: bool) {
            let format = FORMATS[usize::from(cloud)];
            prop_assert_eq!(format.to_string().parse(), Ok(format));
        }
    }

    /// Checks what CloudEvents 1.0.2 asks of every event, and returns its data.
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
