//! Escapes any text for each kind of markup, as templates do. Models of the clients must find nothing but text.
#![no_main]

use std::sync::LazyLock;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_format::finding::ParsedEvent;
use decnet_format::{Finding, Format};
use libfuzzer_sys::fuzz_target;
use model::Dialect;
use serde_json::Value;

#[allow(dead_code, reason = "the tests of the escapers use all of it")]
#[path = "../../src/escape/model.rs"]
mod model;

/// Returns what clients make of an escaped text besides showing it.
type Model = fn(&str) -> Vec<String>;

const MARKUPS: [(&str, Model); 6] = [
    ("html", model::html),
    ("plain", model::automatic),
    ("slack", |text| model::slack(text, &[])),
    ("discord", |text| model::markdown(text, Dialect::Discord)),
    ("teams", |text| model::markdown(text, Dialect::Teams)),
    ("mattermost", |text| model::markdown(text, Dialect::Mattermost)),
];
/// The maximum length of the result for one byte of text, in bytes.
const MAX_GROWTH: usize = 6;

static FORMATS: LazyLock<Vec<(Format, Model)>> = LazyLock::new(|| {
    MARKUPS.into_iter().map(|(name, model)| (template(name, "text/plain", "{{ payload }}"), model)).collect()
});
static JSON: LazyLock<Format> = LazyLock::new(|| {
    template("json", "application/json", r#"{"quoted": "{{ payload }}", "whole": {{ payload|tojson }}}"#)
});

fn template(escape: &str, content_type: &str, source: &str) -> Format {
    let options = [("escape", escape), ("content_type", content_type)];
    Format::new("template", options, Some(source), None).expect("the template is valid")
}

fuzz_target!(|text: &str| {
    let payload = Value::from(text);
    let event = Event::new("e1", "attacker.observed", "observed", UnixMicros(0), &payload.to_string());
    let event = event.expect("a text is a valid payload");
    let parsed = ParsedEvent::new(&event).expect("the body of an event can be parsed");
    let render = |format: &Format| {
        let body =
            format.render(&[Finding::of(&event, &parsed, Severity::High)], 1).expect("a text can be written");
        String::from_utf8(body.to_vec()).expect("the body is UTF-8")
    };
    for (format, model) in &*FORMATS {
        let escaped = render(format);
        let found = model(&escaped);
        let markup = format.options().get("escape");
        assert!(found.is_empty(), "{markup:?}: {text:?} became {escaped:?}: {found:?}");
        assert!(
            escaped.len() <= MAX_GROWTH * text.len() && !escaped.contains(['\n', '\r', '\t']),
            "{markup:?}: {escaped:?}"
        );
    }
    let json: Value = serde_json::from_str(&render(&JSON)).expect("the body is JSON");
    assert_eq!(
        (&json["quoted"], &json["whole"], json.as_object().map(|fields| fields.len())),
        (&payload, &payload, Some(2))
    );
});
