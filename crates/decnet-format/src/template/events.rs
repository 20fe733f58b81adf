//! The variables of templates.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minijinja::value::{Enumerator, Object, Value};
use serde::Deserialize;

use super::output::Link;
use crate::finding::Finding;
use crate::link;

/// The variables of an event, in alphabetical order. A variable is missing if the event does not contain its value.
pub(super) const EVENT_VARIABLES: [&str; 18] = [
    "dns_name",
    "id",
    "link",
    "path",
    "payload",
    "service",
    "severity",
    "source_ip",
    "source_port",
    "target",
    "techniques",
    "title",
    "token",
    "topic",
    "ts",
    "type",
    "user",
    "user_agent",
];
/// The variable that is parsed only if a template uses it.
const PAYLOAD: &str = "payload";
/// The further variables of a template: the first event as one value, and the list of all events.
pub(super) const ROOT_VARIABLES: [&str; 2] = ["event", "events"];

/// The variables of a template.
#[derive(Debug)]
pub(super) struct Root {
    first: Option<Arc<EventVariables>>,
    events: Vec<Arc<EventVariables>>,
}

/// The variables of one event.
#[derive(Debug)]
struct EventVariables {
    /// The values of [`EVENT_VARIABLES`], without the payload.
    values: Vec<(&'static str, Value)>,
    body: Bytes,
    payload: OnceLock<Option<Value>>,
}

impl Root {
    /// Creates the variables of a rendering.
    pub(super) fn of(findings: &[Finding<'_>], link_base: Option<&str>) -> Value {
        let variables = |finding| Arc::new(EventVariables::new(finding, link_base));
        let events: Vec<_> = findings.iter().map(variables).collect();
        Value::from_object(Self { first: events.first().cloned(), events })
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let first = self.first.as_ref()?;
        match key.as_str()? {
            "event" => Some(Value::from_dyn_object(first.clone())),
            "events" => Some(self.events.iter().map(|event| Value::from_dyn_object(event.clone())).collect()),
            name => first.get(name),
        }
    }
}

impl EventVariables {
    fn new(finding: &Finding<'_>, link_base: Option<&str>) -> Self {
        let event = finding.event;
        let optional = [
            ("source_ip", finding.source_ip),
            ("target", finding.target),
            ("service", finding.service.as_deref()),
            ("user", finding.user),
            ("token", finding.token),
            ("user_agent", finding.user_agent),
            ("path", finding.path),
            ("dns_name", finding.dns_name),
        ];
        let mut values: Vec<(&str, Value)> = vec![
            ("id", Value::from(&*event.id)),
            ("topic", Value::from(&*event.topic)),
            ("type", Value::from(finding.kind)),
            ("ts", Value::from(finding.time)),
            ("severity", Value::from(finding.severity.as_str())),
            ("title", Value::from(&*finding.title)),
            ("techniques", finding.techniques.iter().copied().map(Value::from).collect()),
        ];
        values.extend(optional.into_iter().filter_map(|(name, value)| Some((name, Value::from(value?)))));
        values.extend(finding.source_port.map(|port| ("source_port", Value::from(port))));
        values.extend(
            link_base.map(|base| ("link", Value::from_object(Link(link::to_event(base, &event.id))))),
        );
        Self { values, body: event.body.clone(), payload: OnceLock::new() }
    }

    fn get(&self, name: &str) -> Option<Value> {
        if name == PAYLOAD {
            return self.payload.get_or_init(|| parse_payload(&self.body)).clone();
        }
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

impl Object for EventVariables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }

    /// Lists only the variables that have a value, so that `tojson` writes no nulls for missing ones.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let is_present =
            |name: &&&str| **name == PAYLOAD || self.values.iter().any(|(known, _)| known == *name);
        Enumerator::Values(EVENT_VARIABLES.iter().filter(is_present).map(|name| Value::from(*name)).collect())
    }
}

/// Parses the payload in the body of an event. `None` for a body without one, such as an erased body.
fn parse_payload(body: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Body {
        payload: Value,
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    reader.disable_recursion_limit();
    Body::deserialize(&mut reader).ok().map(|body| body.payload)
}
