//! Renders any event as a message for chat, alone and in a digest, and with a template. Text of the event must not become a link, a mention
//! or a change of the text direction.
#![no_main]

use std::sync::LazyLock;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::text::is_hidden;
use decnet_core::time::UnixMicros;
use decnet_format::finding::ParsedEvent;
use decnet_format::{Finding, Format};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let names = ["slack", "discord", "teams", "mattermost"];
    let format = |(name, template)| Format::new(name, [], template, None).expect("the format exists");
    names
        .into_iter()
        .flat_map(|name| [(name, None), (name, Some("{{ title }} {{ payload }}"))])
        .map(format)
        .collect()
});

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (topic, kind, name, text) = input;
    let payload = json!({"username": text, "decky": text, "src_ip": text, "token_id": text, name: {"deep": text}, "list": [text, name]});
    let Ok(event) = Event::new("e1", topic, kind, UnixMicros(0), &payload.to_string()) else { return };
    let parsed = ParsedEvent::new(&event).expect("the body of an event can be parsed");
    let finding = || Finding::of(&event, &parsed, Severity::High);
    for format in &*FORMATS {
        for findings in [&[finding()][..], &[finding(), finding()]] {
            let body = format.render(findings, 20).expect("every event can be rendered");
            check(&serde_json::from_slice(&body).expect("the message is JSON"));
        }
    }
});

/// Checks every text of a message but its schema.
fn check(message: &Value) {
    match message {
        Value::String(text) => {
            let is_link = text.contains("://");
            let is_hidden = text.contains(|c| c != '\n' && is_hidden(c));
            let has = |mark, is_mention: fn(&str, &str) -> bool| {
                text.match_indices(mark).any(|(at, _)| is_mention(&text[..at], &text[at + 1..]))
            };
            let mentions = has('@', |_, after| after.starts_with(char::is_alphanumeric))
                || has('<', |before, after| after.starts_with('!') && !before.ends_with('\\'));
            assert!(!is_link && !is_hidden && !mentions, "{text:?}");
        }
        Value::Array(list) => list.iter().for_each(check),
        Value::Object(members) => {
            members.iter().filter(|(name, _)| *name != "$schema").for_each(|(_, value)| check(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
