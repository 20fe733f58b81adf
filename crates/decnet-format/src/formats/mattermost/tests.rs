use proptest::prelude::*;
use serde_json::{Value, json};

use crate::escape::model::{self, Dialect};
use crate::formats::chat::testing::{
    self, BASE, REFUSED, REFUSED_BODY, event, format, judged, render, server_error, throttled,
};

use super::*;

/// Returns what is not allowed in a message (Mattermost documentation, "Message attachments"), less 10 %.
fn violations(message: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let attachment = &message["attachments"][0];
    let mut total = 0;
    let mut check = |text: &Value, max: usize, find: fn(&str) -> Vec<String>| {
        let text = text.as_str().unwrap();
        found.extend((text.is_empty() || text.chars().count() > max).then(|| format!("length of {text}")));
        found.extend(text.lines().flat_map(find));
        total += text.chars().count();
    };
    check(&attachment["fallback"], 1000, model::automatic);
    check(&attachment["text"], 14_700, |line| model::markdown(&unformatted(line), Dialect::Mattermost));
    for field in attachment["fields"].as_array().unwrap() {
        check(&field["title"], 100, model::automatic);
        check(&field["value"], 900, |line| {
            model::markdown(&testing::without_code(line), Dialect::Mattermost)
        });
    }
    check(&attachment["footer"], 270, |line| {
        let parts = line.split(chat::SEPARATOR).map(|part| part.strip_prefix("event ").unwrap_or(part));
        parts.filter(|part| !escape::is_identifier(part)).flat_map(model::automatic).collect()
    });
    assert!(total < 14_700, "{total}");
    let color = attachment["color"].as_str().unwrap();
    assert!(color.len() == 7 && color.starts_with('#'));
    found
}

/// Removes the formatting that the format itself writes: bold labels, links, and identifiers between backticks.
fn unformatted(line: &str) -> String {
    let labels = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"];
    let line = labels.iter().fold(line.to_owned(), |line, label| line.replace(&format!("**{label}** "), ""));
    let line =
        line.strip_prefix("**").and_then(|line| line.strip_suffix("**")).map(str::to_owned).unwrap_or(line);
    let line = match line.split_once(&format!("]({BASE}/deliveries?event_id=")) {
        Some((clock, rest)) => format!("{}{}", &clock[1..], rest.split_once(')').unwrap().1),
        None => line,
    };
    testing::without_code(&line)
}

#[test]
fn event_is_an_attachment_with_fields() {
    let field = |name: &str, value: &str| json!({"title": name, "value": value, "short": true});
    let message = render(&format("mattermost", &[]), &[testing::sample()]);
    assert_eq!(
        message,
        json!({
            "attachments": [{
                "fallback": "HIGH: Credential captured on decky-03 from 203.0.113.9",
                "color": "#e36209",
                "text": "**HIGH** Credential captured on decky-03 from 203.0.113.9\n[Open event](https://decnet.example/deliveries?event_id=e-0)",
                "fields": [
                    field("Source", "203.0.113.9:51544"), field("Target", "decky-03"), field("Service", "ssh"),
                    field("User", "root"), field("Technique", "T1110"), field("Path", "/x"),
                    field("User agent", "curl/8.5.0"), field("Count", "3"),
                ],
                "footer": "2026-04-24 12:30:00 UTC · credential.captured · event e-0",
            }],
        })
    );
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn digest_counts_and_lists_events() {
    let events: Vec<_> =
        (0..5).map(|n| event(n, "attacker.observed", &json!({"ip": "203.0.113.9"}))).collect();
    let message = render(&format("mattermost", &[]), &events);
    assert_eq!(
        message["attachments"][0]["text"],
        "**5 events: 1 critical, 1 high, 1 medium, 1 low, 1 info**\n\
         [12:30:00](https://decnet.example/deliveries?event_id=e-0) **HIGH** Attacker observed from 203.0.113.9\n\
         [12:31:00](https://decnet.example/deliveries?event_id=e-1) **CRITICAL** Attacker observed from 203.0.113.9\n\
         [12:32:00](https://decnet.example/deliveries?event_id=e-2) **LOW** Attacker observed from 203.0.113.9\n\
         and 2 more"
    );
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn template_replaces_title_and_facts() {
    let format = testing::with_template("mattermost", "**{{ user }}**");
    let message = render(&format, &[event(0, "a.b", &json!({"username": "@all ~town-square"}))]);
    let attachment = &message["attachments"][0];
    assert_eq!(
        attachment["text"],
        "**\\[@\\]all \\[\\~\\]town-square**\n[Open event](https://decnet.example/deliveries?event_id=e-0)"
    );
    assert_eq!(attachment["fields"], json!([]));
}

#[test]
fn what_is_missing_is_counted_in_the_last_field() {
    let message =
        render(&format("mattermost", &[]), &[event(0, "a.b", &json!({"user_agent": "x".repeat(4000)}))]);
    let notice = json!({"title": "Left out", "short": false, "value": "… 3.5 KiB more in event `e-0`"});
    assert_eq!(message["attachments"][0]["fields"].as_array().unwrap().last(), Some(&notice));
}

#[test]
fn messages_conform_at_the_limits() {
    testing::check_limits(&format("mattermost", &[]), violations);
}

proptest! {
    #[test]
    fn any_event_gives_a_safe_message(events in prop::collection::vec(testing::any_event(), 1..4)) {
        prop_assert_eq!(violations(&render(&format("mattermost", &[]), &events)), [""; 0]);
    }
}

#[test]
fn judge_reads_the_ids_of_errors() {
    let problem = |id: &str| {
        format!(
            r#"{{"id":"{id}","message":"Invalid webhook.","detailed_error":"key=abc","status_code":400}}"#
        )
    };
    let invalid = problem("web.incoming_webhook.invalid.app_error");
    let locked = problem("web.incoming_webhook.channel_locked.app_error");
    let text = problem("web.incoming_webhook.text.app_error");
    let disabled = problem("web.incoming_webhook.disabled.app_error");
    for (status, retry_after, body, verdict) in [
        (200, None, "ok", Verdict::Delivered),
        (200, None, "<html>", REFUSED),
        (400, None, &*invalid, Verdict::Gone),
        (400, None, &*text, REFUSED_BODY),
        (403, None, &*locked, Verdict::Gone),
        (404, None, "", Verdict::Gone),
        (413, None, "", REFUSED_BODY),
        (429, Some(3), "", throttled(Some(3))),
        (501, None, &*disabled, server_error()),
        (500, None, "", server_error()),
    ] {
        assert_eq!(judged("mattermost", status, retry_after, body).whole, verdict, "{status} {body}");
    }
    let detail = judged("mattermost", 400, None, &invalid).detail;
    assert_eq!(
        detail.as_deref(),
        Some("Invalid webhook."),
        "without the detailed error, which contains the key"
    );
    assert_eq!(judged("mattermost", 200, Some(1), "ok").pause, Some(std::time::Duration::from_secs(1)));
    testing::check_judge("mattermost");
}
