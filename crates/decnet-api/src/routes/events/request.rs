//! Parsing of submitted events.

use std::fmt;

use axum::http::StatusCode;
use decnet_core::limits::MAX_SUBMISSION_EVENTS;
use decnet_core::time::UnixMicros;
use decnet_core::topic::system_topics::is_reserved;
use decnet_store::queue::Submission;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::body::{self, Object};
use crate::problem::Problem;
use crate::routes::check_topic;

/// The maximum length of an event's type, in bytes.
const MAX_TYPE_BYTES: usize = 1024;

/// One event, or several.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "described here, read by `read`")]
pub(super) enum Events {
    /// One event.
    #[schema(title = "One event")]
    One(Event),
    /// Several events.
    #[schema(title = "Several events")]
    Several(Vec<Event>),
    /// Several events under `events`.
    #[schema(title = "Several events, named")]
    Named(Named),
}

/// Several events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// 1 to 1,000 events.
    #[schema(min_items = 1, max_items = 1000)]
    #[expect(dead_code, reason = "described here, read by `read`")]
    events: Vec<Event>,
}

/// An event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"topic": "attacker.observed", "type": "observed", "payload": {"ip": "203.0.113.7"}}))]
pub(super) struct Event {
    /// The sender's id of the event, by which repetitions are detected; generated if absent. No spaces or dots, since Standard
    /// Webhooks signs `id.timestamp.body`.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-\\-/-~]+$")]
    id: Option<Box<str>>,
    /// Topic of the event: tokens separated by dots.
    #[schema(min_length = 1, max_length = 1024, example = "attacker.observed")]
    topic: Box<str>,
    /// The `type` that receivers get.
    #[schema(max_length = 1024, example = "observed")]
    r#type: Option<Box<str>>,
    /// Time of the event in ISO 8601; the current time if absent.
    #[schema(format = "date-time")]
    ts: Option<Box<str>>,
    /// The `payload` that receivers get; `{}` if absent.
    #[schema(value_type = Option<serde_json::Value>, example = json!({"ip": "203.0.113.7"}))]
    payload: Option<Box<RawValue>>,
}

/// Both forms of an object; its fields decide between them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Either<'a> {
    #[serde(borrow)]
    events: Option<Several<'a>>,
    id: Option<Box<str>>,
    topic: Option<Box<str>>,
    r#type: Option<Box<str>>,
    ts: Option<Box<str>>,
    payload: Option<Box<RawValue>>,
}

/// The unparsed events of a list. Reading stops beyond `MAX_SUBMISSION_EVENTS`.
struct Several<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Several<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SeveralVisitor)
    }
}

struct SeveralVisitor;

impl<'de> Visitor<'de> for SeveralVisitor {
    type Value = Several<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = list.next_element()? {
            if events.len() == MAX_SUBMISSION_EVENTS {
                return Err(A::Error::custom(format!("at most {MAX_SUBMISSION_EVENTS} events at once")));
            }
            events.push(event);
        }
        Ok(Several(events))
    }
}

/// Parses the body of a request.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Submission>, Problem> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'[') => body::read::<Several<'_>>(bytes)?.submissions(),
        _ => body::read::<Either<'_>>(bytes)?.submissions(),
    }
}

impl Several<'_> {
    fn submissions(self) -> Result<Vec<Submission>, Problem> {
        if self.0.is_empty() {
            return Err(Problem::invalid("the request contains no event"));
        }
        let numbered = self.0.into_iter().enumerate();
        numbered.map(|(index, raw)| Event::read(raw, index)?.submission(index)).collect()
    }
}

impl Either<'_> {
    fn submissions(self) -> Result<Vec<Submission>, Problem> {
        let Self { events, id, topic, r#type, ts, payload } = self;
        match (events, topic) {
            (Some(events), None) if id.is_none() && r#type.is_none() && ts.is_none() && payload.is_none() => {
                events.submissions()
            }
            (Some(_), _) => Err(Problem::invalid("`events` cannot be combined with the fields of an event")),
            (None, Some(topic)) => Ok(vec![Event { id, topic, r#type, ts, payload }.submission(0)?]),
            (None, None) => Err(Problem::invalid("missing field: `topic` or `events`")),
        }
    }
}

impl Event {
    fn read(raw: &RawValue, index: usize) -> Result<Self, Problem> {
        let event = body::read(raw.get().as_bytes()).map(|Object(event)| event);
        event.map_err(|problem| Problem::invalid(format!("event {index}: {}", problem.detail())))
    }

    fn submission(self, index: usize) -> Result<Submission, Problem> {
        let Self { id, topic, r#type, ts, payload } = self;
        let refuse = |what: String| Problem::invalid(format!("event {index}: {what}"));
        check_topic(&topic).map_err(refuse)?;
        if is_reserved(&topic) {
            let detail = format!("event {index}: topic: only the worker and the bus publish on {topic}");
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let kind = r#type.unwrap_or_default();
        if kind.len() > MAX_TYPE_BYTES {
            return Err(refuse(format!("type: at most {MAX_TYPE_BYTES} bytes")));
        }
        let read_at =
            |ts: &str| UnixMicros::from_sqlite(ts).ok_or_else(|| refuse("ts: not a time in ISO 8601".into()));
        let at = ts.as_deref().map(read_at).transpose()?;
        let payload = payload.map_or_else(|| "{}".into(), Box::<str>::from);
        Ok(Submission { id, topic, kind, at, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(body: &str) -> Vec<String> {
        read(body.as_bytes()).unwrap().iter().map(|event| event.topic.to_string()).collect()
    }

    fn refusal(body: &str) -> String {
        read(body.as_bytes()).unwrap_err().detail().to_owned()
    }

    #[test]
    fn all_forms_of_a_body_have_the_same_result() {
        assert_eq!(topics(r#"{"topic":"a.b"}"#), ["a.b"]);
        assert_eq!(topics(r#" [{"topic":"a.b"},{"topic":"c"}]"#), ["a.b", "c"]);
        assert_eq!(topics(r#"{"events":[{"topic":"a.b"},{"topic":"c"}]}"#), ["a.b", "c"]);
    }

    #[test]
    fn payloads_are_kept_as_written() {
        let body =
            r#"{"topic":"a","payload":{"b": [1.50, "\u00e9"]},"type":"t","ts":"2026-04-24T00:00:00Z"}"#;
        let [event] = &read(body.as_bytes()).unwrap()[..] else { panic!("one event") };
        assert_eq!(&*event.payload, r#"{"b": [1.50, "\u00e9"]}"#);
        assert_eq!((&*event.kind, event.at), ("t", Some(UnixMicros(1_776_988_800_000_000))));
        let [event] = &read(br#"{"topic":"a","payload":null}"#).unwrap()[..] else { panic!("one event") };
        assert_eq!((&*event.payload, event.at), ("{}", None));
    }

    #[test]
    fn invalid_fields_are_named() {
        assert!(refusal(r#"{"topic":"a","payloud":1}"#).contains("`payloud`"));
        assert!(refusal(r#"{"topic":"a.*"}"#).starts_with("event 0: topic"));
        assert!(refusal(r#"[{"topic":"a"},{"topic":""}]"#).starts_with("event 1: topic"));
        assert!(
            refusal(r#"[{"topic":"a"},["x","b"]]"#).starts_with("event 1: invalid type: sequence, expected")
        );
        assert!(refusal(r#"{"topic":"a","ts":"soon"}"#).contains("ts"));
        assert!(refusal(r#"{"events":[{"topic":"a"}],"topic":"b"}"#).contains("cannot be combined"));
        assert!(refusal("{}").contains("topic") && refusal("[]").contains("no event"));
    }

    #[test]
    fn reserved_topics_are_forbidden() {
        let kind = |topic: &str| {
            read(format!(r#"[{{"topic":"{topic}"}}]"#).as_bytes()).map_err(|problem| problem.status())
        };
        for topic in ["system.webhook.dead", "system.webhook.a.b", "system.bus.health"] {
            assert_eq!(kind(topic).unwrap_err(), StatusCode::FORBIDDEN, "{topic}");
        }
        for topic in ["system.webhooks.dead", "system.webhook", "system.log", "a.system.bus.health"] {
            assert!(kind(topic).is_ok(), "{topic}");
        }
    }

    #[test]
    fn reading_stops_at_the_maximum_number_of_events() {
        let many = vec![r#"{"topic":"a"}"#; MAX_SUBMISSION_EVENTS + 1].join(",");
        for body in [format!("[{many}, and no JSON"), format!(r#"{{"events":[{many}, and no JSON"#)] {
            assert!(refusal(&body).contains("at most 1000 events"), "{}", refusal(&body));
        }
    }
}
