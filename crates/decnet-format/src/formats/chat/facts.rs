//! The facts of a finding: names and values that a message lists.

use std::borrow::Cow;

use decnet_core::text::is_hidden;
use serde_json::{Map, Value};

use crate::finding::Finding;

/// The maximum number of facts of a message.
pub(in crate::formats) const MAX_FACTS: usize = 10;
/// The maximum number of elements of a list that a fact shows.
const MAX_ELEMENTS: usize = 10;
/// The maximum length of the name of a field in characters.
const MAX_NAME_CHARS: usize = 30;

/// The fields of payloads that findings are made of, in alphabetical order. Their values are not repeated.
const SOURCES: [&str; 19] = [
    "attacker_ip",
    "attacker_ips",
    "deckies",
    "decky",
    "decky_id",
    "decky_name",
    "dns_qname",
    "ip",
    "path",
    "principal",
    "request_path",
    "service",
    "source_ip",
    "src_ip",
    "technique_id",
    "token_id",
    "user",
    "user_agent",
    "username",
];

/// A name and a value. The name consists of letters, digits, spaces and hyphens; the value is not escaped.
pub(in crate::formats) struct Fact<'a> {
    pub(in crate::formats) name: Cow<'a, str>,
    pub(in crate::formats) value: Cow<'a, str>,
}

/// The facts of a finding.
#[derive(Default)]
pub(in crate::formats) struct Facts<'a> {
    pub(in crate::formats) list: Vec<Fact<'a>>,
    /// The size of the fields of the payload that are not in the list, in bytes.
    pub(in crate::formats) left_out: usize,
}

impl<'a> Facts<'a> {
    /// Returns what formats know of a finding, then further fields of its payload, at most [`MAX_FACTS`].
    pub(in crate::formats) fn of(finding: &'a Finding<'a>) -> Self {
        let mut facts = Self { list: Vec::with_capacity(MAX_FACTS), left_out: 0 };
        facts.add_known(finding);
        match finding.payload {
            Value::Object(fields) => facts.add_fields(finding, fields),
            Value::Null => {}
            payload => facts.add_field(finding, "payload", payload),
        }
        facts
    }

    fn add_known(&mut self, finding: &'a Finding<'a>) {
        let techniques = (!finding.techniques.is_empty()).then(|| finding.techniques.join(", ").into());
        let known: [(&str, Option<Cow<'_, str>>); 9] = [
            ("Source", source(finding)),
            ("Target", finding.target.map(Cow::Borrowed)),
            ("Service", finding.service.as_deref().map(Cow::Borrowed)),
            ("User", finding.user.map(Cow::Borrowed)),
            ("Token", finding.token.map(Cow::Borrowed)),
            ("Technique", techniques),
            ("Path", finding.path.map(Cow::Borrowed)),
            ("DNS name", finding.dns_name.map(Cow::Borrowed)),
            ("User agent", finding.user_agent.map(Cow::Borrowed)),
        ];
        let present =
            known.into_iter().filter_map(|(name, value)| Some(Fact { name: name.into(), value: value? }));
        self.list.extend(present);
    }

    /// Adds the fields of the payload, then those of the objects among them, with the names of both: `details.commands` is `Details
    /// commands`.
    fn add_fields(&mut self, finding: &Finding<'_>, fields: &'a Map<String, Value>) {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_object()) {
            self.add_field(finding, name, value);
        }
        for (name, value) in fields {
            for (inner, value) in value.as_object().into_iter().flatten() {
                self.add_field(finding, &format!("{name} {inner}"), value);
            }
        }
    }

    /// Adds a field of the payload, unless the list contains it already.
    fn add_field(&mut self, finding: &Finding<'_>, name: &str, value: &'a Value) {
        if self.contains(finding, name, value) {
            return;
        }
        let text = if self.list.len() < MAX_FACTS { as_text(value) } else { None };
        match text {
            Some((text, left_out)) => {
                self.list.push(Fact { name: readable(name).into(), value: text });
                self.left_out += left_out;
            }
            None => self.left_out += name.len() + size(value),
        }
    }

    fn contains(&self, finding: &Finding<'_>, name: &str, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) if text.is_empty() => true,
            _ if name == "src_port" && finding.source_port.is_some() => finding.source_ip.is_some(),
            _ if name == "port" || name == "dst_port" => {
                value.as_u64().is_some_and(|port| finding.service.as_deref() == Some(&*port.to_string()))
            }
            Value::Array(_) if name == "techniques_added" => !finding.techniques.is_empty(),
            Value::Array(list) => matches!(list.as_slice(), [one] if self.contains(finding, name, one)),
            Value::String(text) if SOURCES.binary_search(&name).is_ok() => {
                finding.source_ip == Some(text) || self.list.iter().any(|fact| fact.value == *text)
            }
            Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }
}

/// Returns the address of the attacker with its port: `203.0.113.9:51544`, `[2001:db8::1]:51544`.
fn source<'a>(finding: &Finding<'a>) -> Option<Cow<'a, str>> {
    let address = finding.source_ip?;
    Some(match finding.source_port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}").into(),
        Some(port) => format!("{address}:{port}").into(),
        None => address.into(),
    })
}

/// Returns a value as text, and the number of bytes that are left out; `None` for an object and for a list that contains lists or
/// objects.
fn as_text(value: &Value) -> Option<(Cow<'_, str>, usize)> {
    match value {
        Value::String(text) => Some((text.into(), 0)),
        Value::Number(number) => Some((number.to_string().into(), 0)),
        Value::Bool(value) => Some((if *value { "true" } else { "false" }.into(), 0)),
        Value::Array(list) => {
            let shown = list.iter().take(MAX_ELEMENTS);
            let texts = shown.map(|element| match element {
                Value::String(text) => Some(Cow::Borrowed(&**text)),
                Value::Number(number) => Some(number.to_string().into()),
                Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
            });
            let text = texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())?.join(", ");
            Some((text.into(), list.iter().skip(MAX_ELEMENTS).map(size).sum()))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Returns the name of a field as words: `event_count` is `Event count`. A severity in the payload is named so that it is not taken for
/// the severity of the event.
fn readable(name: &str) -> String {
    if name.eq_ignore_ascii_case("severity") {
        return "Payload severity".into();
    }
    // Some letters are invisible.
    let is_letter = |c: char| c.is_alphanumeric() && !is_hidden(c);
    let mut words = String::with_capacity(name.len().min(2 * MAX_NAME_CHARS));
    for c in name.chars().take(MAX_NAME_CHARS) {
        match c {
            c if words.is_empty() && is_letter(c) => words.push(c.to_ascii_uppercase()),
            c if is_letter(c) || c == '-' && !words.is_empty() => words.push(c),
            _ if words.is_empty() || words.ends_with(' ') => {}
            _ => words.push(' '),
        }
    }
    words.truncate(words.trim_end().len());
    if words.is_empty() { "Field".into() } else { words }
}

/// Returns the approximate size of a value as JSON, in bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|element| size(element) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::event::Event;
    use decnet_core::severity::Severity;
    use decnet_core::time::UnixMicros;
    use serde_json::json;

    use super::*;
    use crate::finding::ParsedEvent;

    fn facts(topic: &str, payload: &Value) -> (Vec<String>, usize) {
        let event = Event::new("e1", topic, "", UnixMicros(0), &payload.to_string()).unwrap();
        let parsed = ParsedEvent::new(&event).unwrap();
        let finding = Finding::of(&event, &parsed, Severity::Low);
        let facts = Facts::of(&finding);
        (facts.list.iter().map(|fact| format!("{}={}", fact.name, fact.value)).collect(), facts.left_out)
    }

    #[test]
    fn known_facts_come_first_and_once() {
        let payload = json!({"src_ip": "203.0.113.9", "src_port": 51544, "attacker_ip": "203.0.113.9", "decky": "d1",
            "decky_name": "d1", "dst_port": 22, "techniques_added": ["T1110"], "technique_id": "T1110", "a": null, "b": "",
            "event_count": 3, "is_new": true});
        let expected = [
            "Source=203.0.113.9:51544",
            "Target=d1",
            "Service=22",
            "Technique=T1110",
            "Event count=3",
            "Is new=true",
        ];
        assert_eq!(facts("attacker.observed", &payload), (expected.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn addresses_of_version_six_are_in_brackets_before_a_port() {
        let (list, _) = facts("a", &json!({"src_ip": "2001:db8::1", "src_port": 7}));
        assert_eq!(list, ["Source=[2001:db8::1]:7"]);
    }

    #[test]
    fn values_that_are_not_understood_remain_visible() {
        let payload = json!({"attacker_ip": "Unknown", "src_port": "x", "dst_port": "ssh"});
        assert_eq!(facts("a", &payload).0, ["Attacker ip=Unknown", "Dst port=ssh", "Src port=x"]);
        assert_eq!(facts("a", &json!("text")).0, ["Payload=text"]);
    }

    #[test]
    fn lists_are_joined_and_deep_objects_are_counted() {
        let payload = json!({"deckies": ["d1", "d2"], "list": (0..30).collect::<Vec<_>>(), "deep": [{"x": "y"}], "empty": []});
        let (list, left_out) = facts("a", &payload);
        assert_eq!(list, ["Deckies=d1, d2", "List=0, 1, 2, 3, 4, 5, 6, 7, 8, 9"]);
        assert_eq!(left_out, 20 * 2 + "deep".len() + r#"[{"x":"y"}]"#.len() + 2 + "empty[]".len());
    }

    #[test]
    fn fields_of_objects_follow_the_fields_of_the_payload() {
        let payload = json!({"details": {"commands": ["id", "uname -a"], "deep": {"x": 1}}, "is_new": true});
        let (list, left_out) = facts("a", &payload);
        assert_eq!(list, ["Is new=true", "Details commands=id, uname -a"]);
        assert_eq!(left_out, "details deep".len() + r#"{"x":1}"#.len() + 1);
    }

    #[test]
    fn severity_of_the_payload_is_named_as_such() {
        assert_eq!(facts("a", &json!({"Severity": "critical"})).0, ["Payload severity=critical"]);
    }

    #[test]
    fn fields_beyond_the_maximum_are_counted() {
        let payload: Value = (0..20).map(|n| (format!("field_{n:02}"), json!("x".repeat(100)))).collect();
        let (list, left_out) = facts("a", &payload);
        assert_eq!((list.len(), left_out), (MAX_FACTS, 10 * (100 + 2 + "field_00".len())));
    }

    #[test]
    fn sources_are_sorted() {
        assert!(SOURCES.is_sorted());
    }

    #[test]
    fn names_of_fields_cannot_contain_markup() {
        let (list, _) = facts("a", &json!({"<!channel>*x* http://y.z": 1, "@\u{3164}@": 2, "größe": 3}));
        assert_eq!(list, ["Channel x http y z=1", "Field=2", "Größe=3"]);
    }
}
