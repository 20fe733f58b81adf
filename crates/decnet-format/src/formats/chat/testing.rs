//! Messages for the tests of the formats, and the laws that all of them obey.

use std::time::Duration;

use decnet_core::delivery::{Reason, Verdict};
use decnet_core::event::Event;
use decnet_core::limits::MAX_BODY_BYTES;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::escape::{self, model::HOSTILE};
use crate::finding::{Finding, ParsedEvent};
use crate::reply::{Judgement, Reply};
use crate::spec::{Format, RenderError};

/// The base of links in tests.
pub(in crate::formats) const BASE: &str = "https://decnet.example";
/// 2026-04-24 12:30:00 UTC.
const NOON: i64 = 1_777_033_800_000_000;

/// Returns the `n`th event of a topic, a minute after the one before it.
pub(in crate::formats) fn event(n: i64, topic: &str, payload: &Value) -> Event {
    let at = UnixMicros(NOON + n * 60_000_000);
    Event::new(&format!("e-{n}"), topic, topic, at, &payload.to_string()).unwrap()
}

/// Returns an event with all facts.
pub(in crate::formats) fn sample() -> Event {
    let payload = json!({"attacker_ip": "203.0.113.9", "src_port": 51544, "decky": "decky-03", "service": "ssh",
        "username": "root", "technique_id": "T1110", "request_path": "/x", "user_agent": "curl/8.5.0", "count": 3});
    event(0, "credential.captured", &payload)
}

/// Returns a format with links.
pub(in crate::formats) fn format(name: &str, options: &[(&str, &str)]) -> Format {
    Format::new(name, options.iter().copied(), None, Some(BASE)).unwrap()
}

/// Returns a format with a template.
pub(in crate::formats) fn with_template(name: &str, template: &str) -> Format {
    Format::new(name, [], Some(template), Some(BASE)).unwrap()
}

/// Renders events with ascending severities, from `high`. Rendering twice gives the same bytes.
pub(in crate::formats) fn try_render(
    format: &Format,
    events: &[Event],
    listed: usize,
) -> Result<Value, RenderError> {
    let parsed: Vec<_> = events.iter().map(|event| ParsedEvent::new(event).unwrap()).collect();
    let severities = [Severity::High, Severity::Critical, Severity::Low, Severity::Medium, Severity::Info];
    let severities = severities.into_iter().cycle();
    let findings: Vec<_> = events
        .iter()
        .zip(&parsed)
        .zip(severities)
        .map(|((event, parsed), severity)| Finding::of(event, parsed, severity))
        .collect();
    let body = format.render(&findings, listed)?;
    assert_eq!(body, format.render(&findings, listed).unwrap());
    assert!(body.len() <= format.spec().max_bytes);
    Ok(serde_json::from_slice(&body).unwrap())
}

pub(in crate::formats) fn render(format: &Format, events: &[Event]) -> Value {
    try_render(format, events, 3).unwrap()
}

/// Events at the limits: of the maximum size, with long names, with many and with deep fields.
fn largest_events() -> Vec<Event> {
    let longest = "x".repeat(MAX_BODY_BYTES - 1000);
    let unit = "<@[*é\"\\ http://x.y ";
    let hostile = unit.repeat(100_000 / unit.len());
    let named = |value: &str| {
        let names = ["decky", "service", "username", "token_id", "request_path", "dns_qname", "user_agent"];
        names.iter().map(|name| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>()
    };
    let many: Value = (0..5000).map(|n| (format!("{unit}{n}"), json!(unit.repeat(5)))).collect();
    let deep = (0..250).fold(json!(1), |inner, _| json!([inner]));
    let wide: Value = json!({"list": (0..100_000).collect::<Vec<_>>(), "deep": deep});
    vec![
        event(1, "a.b", &json!({"user_agent": longest})),
        event(2, "a.b", &json!(longest)),
        event(3, "canary.x.triggered", &named(&hostile).into()),
        event(4, &format!("{}.{hostile}", "t".repeat(1000)), &many),
        event(5, "decky.d.traffic", &wide),
    ]
}

/// Checks the largest events and the hostile texts: each alone, and all in a digest.
pub(in crate::formats) fn check_limits(format: &Format, violations: impl Fn(&Value) -> Vec<String>) {
    let mut events = largest_events();
    events.extend(HOSTILE.iter().zip(10..).map(|(text, n)| event(n, text, &hostile_payload(text))));
    for event in &events {
        let message = render(format, std::slice::from_ref(event));
        assert_eq!(violations(&message), [""; 0], "{}", event.id);
    }
    for listed in [0, 1, 20, 1000] {
        let message = try_render(format, &events, listed).unwrap();
        assert_eq!(violations(&message), [""; 0], "{listed}");
    }
    let many: Vec<Event> = events.iter().skip(5).cycle().take(1000).cloned().collect();
    assert_eq!(violations(&try_render(format, &many, 1000).unwrap()), [""; 0]);
}

/// Replaces identifiers between backticks, which the formats write, by text.
pub(in crate::formats) fn without_code(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('`') {
        out.push_str(before);
        rest = after;
        let is_escaped = before.ends_with('\\');
        match after.split_once('`').filter(|(name, _)| !is_escaped && escape::is_identifier(name)) {
            Some((_, after)) => {
                out.push_str("id");
                rest = after;
            }
            None => out.push('`'),
        }
    }
    out + rest
}

fn hostile_payload(text: &str) -> Value {
    json!({"decky": text, "username": text, "token_id": text, "request_path": text, "dns_qname": text, "user_agent": text,
        "service": text, "attacker_ip": text, "src_ip": "203.0.113.9", text: text})
}

/// Any event: hostile texts as topic, type and in all fields, and any other JSON.
pub(in crate::formats) fn any_event() -> impl Strategy<Value = Event> {
    let text = || {
        prop_oneof![
            prop::collection::vec(prop::sample::select(HOSTILE), 1..4).prop_map(|texts| texts.concat()),
            "\\PC{0,40}",
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    let json = leaf.prop_recursive(3, 20, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,20}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    (text(), text(), json, 0_i64..1000).prop_map(|(topic, text, json, n)| {
        let mut payload = hostile_payload(&text);
        payload["more"] = json.clone();
        event(n, &topic, if text.len() % 3 == 0 { &json } else { &payload })
    })
}

/// Returns the judgement of a format on a reply.
pub(in crate::formats) fn judged(
    format: &str,
    status: u16,
    retry_after: Option<u64>,
    body: &str,
) -> Judgement {
    let retry_after = retry_after.map(Duration::from_secs);
    let reply = Reply { status, retry_after, body: body.as_bytes(), is_complete: true };
    self::format(format, &[]).judge(&reply, 1)
}

pub(in crate::formats) const REFUSED_BODY: Verdict = Verdict::Reject(Reason::BodyRefused);
pub(in crate::formats) const REFUSED: Verdict = Verdict::Reject(Reason::Refused);

pub(in crate::formats) fn throttled(seconds: Option<u64>) -> Verdict {
    Verdict::Retry { reason: Reason::Throttled, after: seconds.map(Duration::from_secs) }
}

pub(in crate::formats) fn server_error() -> Verdict {
    Verdict::Retry { reason: Reason::ServerError, after: None }
}

/// Checks that a judge is total: any status and body, and reasons that are bounded and without URLs.
pub(in crate::formats) fn check_judge(format: &str) {
    let bodies = [
        "",
        "ok",
        "null",
        "[]",
        "{",
        "{\"code\":-1}",
        "{\"error\":7}",
        "\u{0}",
        "<html>https://x.example/secret</html>",
    ];
    let deep = "[".repeat(60_000);
    let long = format!("{{\"message\":\"{}\"}}", "https://x.example/secret ".repeat(2000));
    for body in bodies.into_iter().chain([&*deep, &*long]) {
        for status in 100..600 {
            let judgement = judged(format, status, None, body);
            let detail = judgement.detail.unwrap_or_default();
            assert!(detail.chars().count() <= 200 && !detail.contains("secret"), "{detail}");
            assert_eq!(judgement.whole == Verdict::Delivered, judgement.whole.reason().is_none());
        }
    }
}
