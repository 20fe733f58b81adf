//! Events on which commands act: events of the queue, or events that are given as JSON.

use std::path::Path;

use anyhow::Context as _;
use decnet_core::event::{Event, sendable_id};
use decnet_core::limits::MAX_BODY_BYTES;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::Reader;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::file_args;
use crate::config::Config;
use crate::failure::Usage;
use crate::receiver::now;

/// The parts of an event as receivers get it. Only the payload is required.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<String>,
    topic: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    ts: Value,
}

/// Parses a topic: a pattern without wildcards.
///
/// # Errors
/// The text is not a topic.
pub(crate) fn topic(text: &str) -> Result<String, String> {
    if text.contains(['*', '>']) {
        return Err(
            "the characters `*` and `>` are not valid in a topic; patterns use them as wildcards".into()
        );
    }
    Pattern::new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Returns the newest stored event with this id. Searches the whole queue.
///
/// # Errors
/// There is no such event, its payload was erased, or the queue cannot be read.
pub(crate) fn stored(id: &str, config: &Config) -> anyhow::Result<Event> {
    let event = Reader::open(&config.data_dir)?.event_by_id(id, || true)?;
    let event = event.with_context(|| {
        format!("event {id} is not in the queue: no subscription got it, or retention has removed it; see `decnet delivery list`")
    })?;
    anyhow::ensure!(!event.body.is_empty(), "the payload of event {id} was erased");
    Ok(event)
}

/// Returns the event that is described by JSON, or by the file after `@`: an event as receivers get it, or only a payload. `topic`
/// replaces its topic.
///
/// # Errors
/// The file cannot be read, the text is not valid JSON, or there is no topic.
pub(crate) fn given(text: &str, topic_argument: Option<&str>) -> anyhow::Result<Event> {
    let file;
    let json = match text.strip_prefix('@') {
        Some(path) => {
            file = file_args::read(Path::new(path), MAX_BODY_BYTES as u64 + 1, "event")?;
            &*file
        }
        None => text,
    };
    let envelope = serde_json::from_str::<Envelope<'_>>(json).ok();
    let own_topic = envelope.as_ref().and_then(|envelope| envelope.topic.as_deref());
    let missing = || Usage::new("the event has no topic; specify --topic");
    let event_topic = topic_argument.or(own_topic).ok_or_else(missing)?;
    let event_topic =
        topic(event_topic).map_err(|error| Usage::new(format!("the topic of --event: {error}")))?;
    build(json, envelope.as_ref(), &event_topic)
        .map_err(|error| Usage::new(format!("--event: {error}")).into())
}

fn build(
    json: &str,
    envelope: Option<&Envelope<'_>>,
    topic: &str,
) -> Result<Event, decnet_core::event::EventError> {
    let Some(Envelope { id, payload, kind, ts, .. }) = envelope else {
        return Event::new(&Uuid::new_v4().to_string(), topic, "", now(), json);
    };
    let id = id.as_deref().map_or_else(|| Uuid::new_v4().to_string(), |id| sendable_id(id).into_owned());
    let at = match ts {
        Value::String(text) => UnixMicros::from_sqlite(text),
        other => other.as_f64().and_then(UnixMicros::from_seconds),
    };
    Event::new(&id, topic, kind.as_str().unwrap_or_default(), at.unwrap_or_else(now), payload.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_an_envelope_or_a_payload() {
        let envelope = r#"{"id":"e1","payload":{"n":1},"topic":"a.b","ts":"2026-04-24T00:00:00+00:00","type":"t","v":1}"#;
        let event = given(envelope, None).unwrap();
        assert_eq!((&*event.id, &*event.topic, &*event.body), ("e1", "a.b", envelope.as_bytes()));
        assert_eq!(&*given(envelope, Some("c.d")).unwrap().topic, "c.d");
        let payload = given(r#"{"n":1,"topic":"x"}"#, Some("a.b")).unwrap();
        let body: Value = serde_json::from_slice(&payload.body).unwrap();
        assert_eq!((&body["payload"]["topic"], &body["topic"]), (&"x".into(), &"a.b".into()));
    }

    #[test]
    fn event_without_topic_or_json_is_rejected() {
        for (text, topic, problem) in [
            (r#"{"payload":{}}"#, None, "specify --topic"),
            ("{}", None, "specify --topic"),
            ("{}", Some("a.*"), "not valid in a topic"),
            ("{", Some("a.b"), "not valid JSON"),
        ] {
            let error = given(text, topic).unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().contains(problem), "{text}: {error}");
        }
    }
}
