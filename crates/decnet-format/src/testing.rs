//! Events for tests.

use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::finding::{Finding, ParsedEvent};
use crate::spec::{Format, RenderError};

/// 2026-04-24 00:00:00.123456 UTC.
pub(crate) const AT: UnixMicros = UnixMicros(1_776_988_800_123_456);

/// An event, and what is needed for its finding.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) event: Event,
    parsed: ParsedEvent,
    severity: Severity,
}

impl Sample {
    pub(crate) fn new(id: &str, topic: &str, severity: Severity, payload: &Value) -> Self {
        let event = Event::new(id, topic, "captured", AT, &payload.to_string()).unwrap();
        Self::of(event, severity)
    }

    pub(crate) fn of(event: Event, severity: Severity) -> Self {
        let parsed = ParsedEvent::new(&event).unwrap();
        Self { event, parsed, severity }
    }

    /// An event with every field that findings use, and about 600 bytes.
    pub(crate) fn typical() -> Self {
        let payload = json!({
            "src_ip": "203.0.113.9", "src_port": 51422, "decky_name": "decky-03", "service": "ssh",
            "username": "root", "password": "hunter2", "user_agent": "curl/8.5.0", "request_path": "/wp-login.php?a=1",
            "dns_qname": "evil.example", "techniques_added": ["T1110", "T1078"], "country": "NL", "asn": 64500,
            "session": "5f0c2c1e-8a1b-4d0e-9a51-0c1d2e3f4a5b", "attempt": 17, "banner": "SSH-2.0-libssh2_1.11.0",
            "tags": ["brute-force", "default-credentials"], "first_seen": "2026-04-23T21:14:07Z", "is_new": false
        });
        Self::new("e-1", "credential.captured", Severity::High, &payload)
    }

    pub(crate) fn finding(&self) -> Finding<'_> {
        Finding::of(&self.event, &self.parsed, self.severity)
    }
}

/// Creates a format with options.
pub(crate) fn format(name: &str, options: &[(&str, &str)]) -> Format {
    Format::new(name, options.iter().copied(), None, None).unwrap()
}

pub(crate) fn try_render(format: &Format, samples: &[Sample]) -> Result<Bytes, RenderError> {
    let findings: Vec<Finding<'_>> = samples.iter().map(Sample::finding).collect();
    format.render(&findings, 20)
}

/// Renders samples twice: the bytes must be the same.
pub(crate) fn render(format: &Format, samples: &[Sample]) -> String {
    let body = try_render(format, samples).unwrap();
    assert_eq!(try_render(format, samples).unwrap(), body);
    String::from_utf8(body.to_vec()).unwrap()
}

/// Texts with characters that break structures.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\"}\n{\"create\":{\"_index\":\"x\"}}\n".to_owned()),
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just("{{ 7*7 }}{% raw %}".to_owned()),
        Just("\0\u{1f}\u{7f}\u{85}\u{2028}\u{202e}\u{feff}".to_owned()),
        Just("</script><!-- & '".to_owned()),
        Just("203.0.113.9".to_owned()),
        ".{0,12}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Events whose fields and keys are hostile.
pub(crate) fn hostile_sample() -> impl Strategy<Value = Sample> {
    let texts = prop::collection::vec(hostile(), 9);
    let severity = prop::sample::select(vec![Severity::Info, Severity::Low, Severity::Critical]);
    (texts, "[!-~]{1,30}", severity).prop_map(|(texts, topic, severity)| {
        let names =
            ["src_ip", "decky_name", "service", "username", "user_agent", "request_path", "dns_qname", "x"];
        let mut payload: serde_json::Map<_, _> =
            names.iter().zip(&texts).map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        payload.insert(texts[8].clone(), json!([{"deep": texts[0]}]));
        Sample::new(&format!("id-{}", texts[1].len()), &topic, severity, &Value::Object(payload))
    })
}

/// An event whose body has the maximum size, of one text with this character.
pub(crate) fn maximal(character: char) -> Sample {
    const FRAME: usize = 400;
    let written = json!(character.to_string()).to_string().len() - 2;
    let text = character.to_string().repeat((decnet_core::limits::MAX_BODY_BYTES - FRAME) / written);
    Sample::new("e-max", "attacker.observed", Severity::Low, &json!({"src_ip": "203.0.113.9", "data": text}))
}
