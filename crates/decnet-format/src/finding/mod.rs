//! The mapping from an event to what people and SIEMs want to know about it.

mod fields;
mod parsed;
mod title;

use std::borrow::Cow;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use serde_json::Value;

use self::fields::Fields;
pub use self::parsed::ParsedEvent;
pub use self::title::MAX_TITLE_CHARS;

/// What an event says, for all formats. Everything that comes from the event was written by an attacker: formats escape it.
#[derive(Debug)]
pub struct Finding<'a> {
    /// The event.
    pub event: &'a Event,
    /// The severity: `info`, `low`, `medium`, `high` or `critical`.
    pub severity: Severity,
    /// The time of the event (RFC 3339, UTC), as in its body; empty if it has none.
    pub time: &'a str,
    /// The type of the event; empty if it has none.
    pub kind: &'a str,
    /// One line for people, without markup, of at most [`MAX_TITLE_CHARS`] visible characters:
    /// `Credential captured on decky-03 from 203.0.113.9`.
    pub title: String,
    /// The address of the attacker. A valid IPv4 or IPv6 address.
    pub source_ip: Option<&'a str>,
    /// The port of the attacker.
    pub source_port: Option<u16>,
    /// The decoy or host that was attacked.
    pub target: Option<&'a str>,
    /// The service or the port that was attacked.
    pub service: Option<Cow<'a, str>>,
    /// The user name that the attacker used.
    pub user: Option<&'a str>,
    /// The canary token.
    pub token: Option<&'a str>,
    /// The user agent of the attacker's client.
    pub user_agent: Option<&'a str>,
    /// The path or URL that was requested.
    pub path: Option<&'a str>,
    /// The name in a DNS query.
    pub dns_name: Option<&'a str>,
    /// The MITRE ATT&CK techniques, such as `T1110`, in the order of the event, without duplicates.
    pub techniques: Vec<&'a str>,
    /// The payload.
    pub payload: &'a Value,
}

impl<'a> Finding<'a> {
    /// Returns what an event says. The fields of the payload are those of DECNET's events.
    ///
    /// A field of an unexpected type, an empty text and an invalid address are ignored.
    #[must_use]
    pub fn of(event: &'a Event, parsed: &'a ParsedEvent, severity: Severity) -> Self {
        let fields = Fields::new(&event.topic, parsed.payload());
        let mut finding = Self {
            event,
            severity,
            time: parsed.time(),
            kind: parsed.kind(),
            title: String::new(),
            source_ip: fields.source_ip(),
            source_port: fields.port(&["src_port"]),
            target: fields.target(),
            service: fields.service(),
            user: fields.text(&["username", "user", "principal"]),
            token: fields.token(),
            user_agent: fields.text(&["user_agent"]),
            path: fields.text(&["request_path", "path"]),
            dns_name: fields.text(&["dns_qname"]),
            techniques: fields.techniques(),
            payload: parsed.payload(),
        };
        finding.title = title::of(&finding);
        finding
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::time::UnixMicros;
    use serde_json::json;

    use super::*;

    fn with_finding(topic: &str, payload: &Value, check: impl FnOnce(&Finding<'_>)) {
        let event = Event::new("e1", topic, "kind", UnixMicros(0), &payload.to_string()).unwrap();
        let parsed = ParsedEvent::new(&event).unwrap();
        check(&Finding::of(&event, &parsed, Severity::High));
    }

    #[test]
    fn fields_of_a_triggered_canary_are_found() {
        let payload = json!({"token_id": "web-7", "trigger_id": 3, "decky_name": "decky-03", "src_ip": "203.0.113.9",
            "user_agent": "curl/8.5.0", "request_path": "/x", "dns_qname": null});
        with_finding("canary.web-7.triggered", &payload, |finding| {
            assert_eq!((finding.source_ip, finding.source_port), (Some("203.0.113.9"), None));
            assert_eq!((finding.target, finding.token), (Some("decky-03"), Some("web-7")));
            assert_eq!((finding.user_agent, finding.path), (Some("curl/8.5.0"), Some("/x")));
            assert_eq!((finding.dns_name, finding.kind), (None, "kind"));
            assert_eq!(finding.time, "1970-01-01T00:00:00+00:00");
        });
    }

    #[test]
    fn fields_of_sessions_and_packets_are_found() {
        let payload = json!({"attacker_ip": "2001:db8::1", "src_port": "51544", "dst_port": 22, "decky_id": "d1",
            "principal": "root"});
        with_finding("attacker.session.ended", &payload, |finding| {
            assert_eq!((finding.source_ip, finding.source_port), (Some("2001:db8::1"), Some(51544)));
            assert_eq!((finding.service.as_deref(), finding.target), (Some("22"), Some("d1")));
            assert_eq!(finding.user, Some("root"));
        });
        with_finding("attacker.observed", &json!({"service": "ssh", "port": 22}), |finding| {
            assert_eq!(finding.service.as_deref(), Some("ssh"));
        });
    }

    #[test]
    fn only_valid_addresses_and_ports_are_accepted() {
        for address in ["Unknown", "203.0.113", "http://203.0.113.9", "203.0.113.9 ", "evil.example", ""] {
            with_finding("a", &json!({"src_ip": address, "ip": "192.0.2.1"}), |finding| {
                assert_eq!(finding.source_ip, Some("192.0.2.1"), "{address}");
            });
        }
        for port in [json!(0), json!(65_536), json!(-1), json!(22.5), json!("22x"), json!("0"), json!([22])] {
            with_finding("a", &json!({"src_port": port}), |finding| {
                assert_eq!(finding.source_port, None, "{port}");
            });
        }
    }

    #[test]
    fn one_address_and_one_target_of_a_list_are_accepted() {
        let payload = json!({"attacker_ips": ["192.0.2.1"], "deckies": ["d1"]});
        with_finding("credential.reuse.detected", &payload, |finding| {
            assert_eq!((finding.source_ip, finding.target), (Some("192.0.2.1"), Some("d1")));
        });
        let payload = json!({"attacker_ips": ["192.0.2.1", "192.0.2.2"], "deckies": ["d1", "d2"]});
        with_finding("credential.reuse.detected", &payload, |finding| {
            assert_eq!((finding.source_ip, finding.target), (None, None));
        });
    }

    #[test]
    fn topic_names_target_token_and_technique() {
        with_finding("decky.web-01.traffic", &json!({}), |finding| {
            assert_eq!(finding.target, Some("web-01"));
        });
        with_finding("canary.web-7.placed", &json!({}), |finding| assert_eq!(finding.token, Some("web-7")));
        with_finding("ttp.rule.fired.T1110", &json!({}), |finding| {
            assert_eq!(finding.techniques, ["T1110"]);
        });
    }

    #[test]
    fn techniques_are_valid_and_unique() {
        let payload = json!({"technique_id": "T1110", "techniques_added": ["T1059", "T1110", "T1059.004", "x", 7,
            "T12345", "T1059.4", "<@U1>"]});
        with_finding("ttp.tagged", &payload, |finding| {
            assert_eq!(finding.techniques, ["T1110", "T1059", "T1059.004"]);
        });
        let many: Vec<String> = (0..1000).map(|n| format!("T{n:04}")).collect();
        with_finding("ttp.tagged", &json!({"techniques_added": many}), |finding| {
            assert_eq!(finding.techniques.len(), fields::MAX_TECHNIQUES);
        });
    }

    #[test]
    fn payloads_other_than_objects_have_no_fields() {
        for payload in [json!(null), json!("src_ip"), json!([{"src_ip": "192.0.2.1"}]), json!(7), json!({})] {
            with_finding("a.b", &payload, |finding| {
                assert_eq!((finding.source_ip, finding.target, finding.user), (None, None, None));
                assert_eq!(finding.title, "A b (kind)");
            });
        }
    }
}
