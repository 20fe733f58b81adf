use proptest::prelude::*;
use serde_json::{Value, json};

use crate::escape::model::{self, Dialect};
use crate::formats::chat::testing::{
    self, BASE, REFUSED, REFUSED_BODY, event, format, judged, render, server_error, throttled,
};

use super::*;

/// Returns what is not allowed in a message (Discord documentation, "Embed Limits"), less 10 %.
fn violations(message: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let embed = &message["embeds"][0];
    let mut total = 0;
    let mut check = |text: &Value, max: usize, find: fn(&str) -> Vec<String>| {
        let text = text.as_str().unwrap();
        let length = text.encode_utf16().count();
        found.extend((length == 0 || length > max).then(|| format!("length of {text}")));
        found.extend(text.lines().flat_map(find));
        total += length;
    };
    check(&embed["title"], 230, |line| model::markdown(line, Dialect::Discord));
    if !embed["description"].is_null() {
        check(&embed["description"], 3680, |line| model::markdown(&unformatted(line), Dialect::Discord));
    }
    let fields = embed["fields"].as_array().unwrap();
    assert!(fields.len() <= 22);
    for field in fields {
        check(&field["name"], 230, model::automatic);
        check(&field["value"], 920, |line| model::markdown(&testing::without_code(line), Dialect::Discord));
    }
    if !embed["footer"].is_null() {
        check(&embed["footer"]["text"], 1840, |line| {
            let parts = line.split(chat::SEPARATOR).map(|part| part.strip_prefix("event ").unwrap_or(part));
            parts.filter(|part| !escape::is_identifier(part)).flat_map(model::automatic).collect()
        });
    }
    assert!(total <= 5400, "{total}");
    assert_eq!(message["allowed_mentions"], json!({"parse": []}));
    assert!(embed["color"].as_u64().unwrap() <= 0xff_ffff);
    found
}

/// Removes the formatting that the format itself writes: bold labels, links, and identifiers between backticks.
fn unformatted(line: &str) -> String {
    let labels = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"];
    let line = labels.iter().fold(line.to_owned(), |line, label| line.replace(&format!("**{label}** "), ""));
    let line = match line.split_once(&format!("]({BASE}/deliveries?event_id=")) {
        Some((clock, rest)) => format!("{}{}", &clock[1..], rest.split_once(')').unwrap().1),
        None => line,
    };
    testing::without_code(&line)
}

#[test]
fn event_is_an_embed_with_fields() {
    let field = |name: &str, value: &str| json!({"name": name, "value": value, "inline": true});
    let message = render(&format("discord", &[]), &[testing::sample()]);
    assert_eq!(
        message,
        json!({
            "embeds": [{
                "title": "HIGH: Credential captured on decky-03 from 203.0.113.9",
                "url": "https://decnet.example/deliveries?event_id=e-0",
                "color": 0xe3_6209,
                "timestamp": "2026-04-24T12:30:00+00:00",
                "fields": [
                    field("Source", "203.0.113.9:51544"), field("Target", "decky-03"), field("Service", "ssh"),
                    field("User", "root"), field("Technique", "T1110"), field("Path", "/x"),
                    field("User agent", "curl/8.5.0"), field("Count", "3"),
                ],
                "footer": {"text": "credential.captured · event e-0"},
            }],
            "allowed_mentions": {"parse": []},
        })
    );
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn digest_counts_and_lists_events() {
    let events: Vec<_> =
        (0..5).map(|n| event(n, "attacker.observed", &json!({"ip": "203.0.113.9"}))).collect();
    let message = render(&format("discord", &[]), &events);
    let embed = &message["embeds"][0];
    assert_eq!(embed["title"], "5 events: 1 critical, 1 high, 1 medium, 1 low, 1 info");
    assert_eq!(
        embed["description"],
        "[12:30:00](https://decnet.example/deliveries?event_id=e-0) **HIGH** Attacker observed from 203.0.113.9\n\
         [12:31:00](https://decnet.example/deliveries?event_id=e-1) **CRITICAL** Attacker observed from 203.0.113.9\n\
         [12:32:00](https://decnet.example/deliveries?event_id=e-2) **LOW** Attacker observed from 203.0.113.9\n\
         and 2 more"
    );
    let fields = embed["fields"].as_array().unwrap();
    assert_eq!(fields[0], json!({"name": "Types", "value": "attacker observed (5)", "inline": true}));
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn template_replaces_the_facts() {
    let format = testing::with_template("discord", "**{{ user }}** [help](https://wiki.example)");
    let message = render(&format, &[event(0, "a.b", &json!({"username": "*@here*"}))]);
    assert_eq!(message["embeds"][0]["description"], "**\\*\\[@\\]here\\*** [help](https://wiki.example)");
    assert_eq!(message["embeds"][0]["fields"], json!([]));
    let digest = render(&format, &[testing::sample(), testing::sample()]);
    assert_eq!(digest["embeds"][0]["description"], "**root** [help](https://wiki.example)");
}

#[test]
fn what_is_missing_is_counted_in_the_last_field() {
    let message =
        render(&format("discord", &[]), &[event(0, "a.b", &json!({"user_agent": "x".repeat(4000)}))]);
    let notice = json!({"name": "Left out", "inline": false, "value": "… 3.6 KiB more in event `e-0`"});
    assert_eq!(message["embeds"][0]["fields"].as_array().unwrap().last(), Some(&notice));
    assert!(message["embeds"][0]["description"].is_null());
}

#[test]
fn messages_conform_at_the_limits() {
    testing::check_limits(&format("discord", &[]), violations);
}

proptest! {
    #[test]
    fn any_event_gives_a_safe_message(events in prop::collection::vec(testing::any_event(), 1..4)) {
        prop_assert_eq!(violations(&render(&format("discord", &[]), &events)), [""; 0]);
    }
}

#[test]
fn judge_reads_codes_and_waits() {
    let wait =
        |seconds| Verdict::Retry { reason: Reason::Throttled, after: Some(Duration::from_secs_f64(seconds)) };
    let limited = r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#;
    let unknown = r#"{"message":"Unknown Webhook","code":10015}"#;
    for (status, retry_after, body, verdict, detail) in [
        (204, None, "", Verdict::Delivered, None),
        (200, None, "{\"id\":\"1\"}", Verdict::Delivered, None),
        (429, Some(65), limited, wait(64.57), Some("You are being rate limited.")),
        (429, Some(65), "<html>1015</html>", throttled(Some(65)), Some("<html>1015</html>")),
        (429, None, r#"{"retry_after":1e300}"#, throttled(Some(3600)), Some(r#"{"retry_after":1e300}"#)),
        (429, Some(7), r#"{"retry_after":-1}"#, throttled(Some(7)), Some(r#"{"retry_after":-1}"#)),
        (404, None, unknown, Verdict::Gone, Some("Unknown Webhook (code 10015)")),
        (400, None, unknown, Verdict::Gone, Some("Unknown Webhook (code 10015)")),
        (
            401,
            None,
            r#"{"message":"Invalid Webhook Token","code":50027}"#,
            Verdict::Gone,
            Some("Invalid Webhook Token (code 50027)"),
        ),
        (
            403,
            None,
            r#"{"message":"Missing Permissions","code":50013}"#,
            Verdict::Gone,
            Some("Missing Permissions (code 50013)"),
        ),
        (403, None, "<html>blocked</html>", throttled(None), Some("<html>blocked</html>")),
        (404, None, "", Verdict::Gone, None),
        (
            400,
            None,
            r#"{"message":"Invalid Form Body","code":50035,"errors":{}}"#,
            REFUSED_BODY,
            Some("Invalid Form Body (code 50035)"),
        ),
        (405, None, "", REFUSED, None),
        (413, None, "", REFUSED_BODY, None),
        (502, None, "", server_error(), None),
    ] {
        let judgement = judged("discord", status, retry_after, body);
        assert_eq!((judgement.whole, judgement.detail.as_deref()), (verdict, detail), "{status} {body}");
    }
    assert_eq!(judged("discord", 204, Some(1), "").pause, Some(Duration::from_secs(1)), "no request remains");
    testing::check_judge("discord");
}
