//! The fields of DECNET's payloads and topics.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::{Map, Value};

/// The maximum number of techniques of an event; DECNET's events have a few.
pub(super) const MAX_TECHNIQUES: usize = 32;

/// The topic and the payload of an event.
pub(super) struct Fields<'a> {
    topic: &'a str,
    payload: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(topic: &'a str, payload: &'a Value) -> Self {
        Self { topic, payload: payload.as_object() }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.payload?.get(key)
    }

    /// Returns the first of these fields that is a text and not empty.
    pub(super) fn text(&self, keys: &[&str]) -> Option<&'a str> {
        keys.iter().find_map(|key| self.get(key)?.as_str().filter(|text| !text.is_empty()))
    }

    /// Returns the first of these fields that is a port: a number from 1 to 65535, or its digits.
    pub(super) fn port(&self, keys: &[&str]) -> Option<u16> {
        keys.iter().find_map(|key| {
            let port = match self.get(key)? {
                Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
                Value::String(digits) => digits.parse().ok()?,
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
            };
            (port > 0).then_some(port)
        })
    }

    /// Returns the address of the attacker.
    pub(super) fn source_ip(&self) -> Option<&'a str> {
        let is_address = |text: &&str| text.parse::<IpAddr>().is_ok();
        let one = ["src_ip", "attacker_ip", "source_ip", "ip"]
            .iter()
            .find_map(|key| self.get(key)?.as_str().filter(is_address));
        one.or_else(|| self.only("attacker_ips").filter(is_address))
    }

    /// Returns the decoy or host that was attacked.
    pub(super) fn target(&self) -> Option<&'a str> {
        let named = self.text(&["decky_name", "decky", "decky_id"]);
        named.or_else(|| self.only("deckies")).or_else(|| self.token_after("decky"))
    }

    /// Returns the service that was attacked, or else its port.
    pub(super) fn service(&self) -> Option<Cow<'a, str>> {
        let port = || self.port(&["dst_port", "port"]).map(|port| port.to_string().into());
        self.text(&["service"]).map(Cow::Borrowed).or_else(port)
    }

    /// Returns the canary token.
    pub(super) fn token(&self) -> Option<&'a str> {
        self.text(&["token_id"]).or_else(|| self.token_after("canary"))
    }

    /// Returns the techniques of the payload, or that of the topic.
    pub(super) fn techniques(&self) -> Vec<&'a str> {
        let one = self.get("technique_id").into_iter();
        let many = self.get("techniques_added").and_then(Value::as_array).into_iter().flatten();
        let in_topic = self.topic.strip_prefix("ttp.rule.fired.");
        let mut techniques = Vec::new();
        for technique in one.chain(many).filter_map(Value::as_str).chain(in_topic) {
            let is_new = is_technique(technique) && !techniques.contains(&technique);
            if is_new && techniques.len() < MAX_TECHNIQUES {
                techniques.push(technique);
            }
        }
        techniques
    }

    /// Returns the text in a list of one text.
    fn only(&self, key: &str) -> Option<&'a str> {
        match self.get(key)?.as_array()?.as_slice() {
            [Value::String(text)] if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Returns the second token of a topic that begins with `family`.
    fn token_after(&self, family: &str) -> Option<&'a str> {
        let rest = self.topic.strip_prefix(family)?.strip_prefix('.')?;
        rest.split('.').next().filter(|token| !token.is_empty())
    }
}

/// Returns whether a text is the id of an ATT&CK technique or sub-technique: `T1059`, `T1059.004`
/// (<https://attack.mitre.org/techniques/enterprise/>).
fn is_technique(text: &str) -> bool {
    let is_digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(id) = text.strip_prefix('T') else { return false };
    match id.split_once('.') {
        Some((technique, part)) => is_digits(technique, 4) && is_digits(part, 3),
        None => is_digits(id, 4),
    }
}
