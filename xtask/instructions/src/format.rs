//! Formats: from the body of an event of 600 bytes to the body of the request.

use std::hint::black_box;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_format::finding::ParsedEvent;
use decnet_format::{Finding, Format};

const PAYLOAD: &str = r#"{"attacker_ip":"203.0.113.9","attacker_uuid":"0d9e5a5e-54b5-4c2e-9a8e-111111111111","decky":"decky-03",
    "duration_s":12.5,"event_count":41,"first_seen":"2026-04-24T11:59:58+00:00","is_traversal":false,"principal":"root",
    "request_path":"/cgi-bin/../../etc/passwd","secret_kind":"password","service":"ssh","src_port":51544,
    "techniques_added":["T1110","T1059.004"],
    "user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0"}"#;

/// Renders an event for Slack.
pub(super) fn slack(times: u32) -> super::Result {
    let event = Event::new("396e686d7a284eaa", "credential.captured", "captured", UnixMicros(0), PAYLOAD)?;
    let format = Format::new("slack", [], None, Some("https://decnet.example"))?;
    for _ in 0..times {
        let parsed = ParsedEvent::new(black_box(&event))?;
        black_box(format.render(&[Finding::of(&event, &parsed, Severity::High)], 20)?);
    }
    Ok(())
}
