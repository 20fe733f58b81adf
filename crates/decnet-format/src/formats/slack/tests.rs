use proptest::prelude::*;
use serde_json::{Value, json};

use crate::escape::model;
use crate::formats::chat::testing::{
    self, BASE, REFUSED, REFUSED_BODY, event, format, judged, render, server_error, throttled,
};

use super::*;

/// Returns what is not allowed in a message (Block Kit reference, section, context and text object), less 10 %.
fn violations(message: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let attachment = &message["attachments"][0];
    let blocks = attachment["blocks"].as_array().unwrap();
    let mut check = |text: &Value, max: usize| {
        let (kind, text) = (text["type"].as_str().unwrap(), text["text"].as_str().unwrap());
        found.extend(match kind {
            "plain_text" => model::slack_plain(text),
            "mrkdwn" => {
                text.lines().flat_map(|line| model::slack(&unformatted(line), &links(line))).collect()
            }
            _ => vec![format!("kind {kind}")],
        });
        found.extend((text.is_empty() || text.chars().count() > max).then(|| format!("length of {text}")));
        text.chars().count()
    };
    let mut total = 0;
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "section" if block["fields"].is_array() => {
                let fields = block["fields"].as_array().unwrap();
                assert!((1..=10).contains(&fields.len()));
                total += fields.iter().map(|field| check(field, 1800)).sum::<usize>();
            }
            "section" => total += check(&block["text"], 2700),
            "context" => {
                total +=
                    block["elements"].as_array().unwrap().iter().map(|text| check(text, 2700)).sum::<usize>();
            }
            other => panic!("{other}"),
        }
    }
    check(&json!({"type": "mrkdwn", "text": message["text"]}), 3600);
    assert!(total < 11_900 && (1..=45).contains(&blocks.len()), "{total}");
    let color = attachment["color"].as_str().unwrap();
    assert!(color.len() == 7 && color.starts_with('#'));
    assert_eq!((&message["unfurl_links"], &message["unfurl_media"]), (&json!(false), &json!(false)));
    found
}

/// Removes the formatting that the format itself writes: bold labels, and identifiers between backticks.
fn unformatted(text: &str) -> String {
    let labels = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"];
    let text = labels.iter().fold(text.to_owned(), |text, label| text.replace(&format!("*{label}* "), ""));
    let text =
        text.strip_prefix('*').and_then(|text| text.strip_suffix('*')).map(str::to_owned).unwrap_or(text);
    testing::without_code(&text)
}

fn links(text: &str) -> Vec<&str> {
    let parts = text.split(['<', '|']);
    parts.filter(|part| part.starts_with(&format!("{BASE}/deliveries?event_id="))).collect()
}

#[test]
fn event_is_a_title_and_a_coloured_attachment() {
    let field = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let message = render(&format("slack", &[]), &[testing::sample()]);
    let footer = "2026-04-24 12:30:00 UTC · `credential.captured` · event `e-0` · <https://decnet.example/deliveries?event_id=e-0|Open event>";
    assert_eq!(
        message,
        json!({
            "text": "*HIGH* Credential captured on decky-03 from 203.0.113.9",
            "unfurl_links": false,
            "unfurl_media": false,
            "attachments": [{
                "color": "#e36209",
                "blocks": [
                    {"type": "section", "fields": [
                        field("Source: 203.0.113.9:51544"), field("Target: decky-03"), field("Service: ssh"),
                        field("User: root"), field("Technique: T1110"), field("Path: /x"),
                        field("User agent: curl/8.5.0"), field("Count: 3"),
                    ]},
                    {"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true, "text": footer}]},
                ],
            }],
        })
    );
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn digest_counts_and_lists_events() {
    let ip = |ip: &str| json!({"attacker_ip": ip, "decky": "d1"});
    let events = [
        event(0, "credential.captured", &ip("203.0.113.9")),
        event(1, "attacker.observed", &ip("192.0.2.1")),
        event(2, "attacker.observed", &ip("203.0.113.9")),
        event(3, "attacker.scored", &ip("198.51.100.4")),
    ];
    let message = render(&format("slack", &[]), &events);
    assert_eq!(message["text"], "*4 events: 1 critical, 1 high, 1 medium, 1 low*");
    let attachment = &message["attachments"][0];
    assert_eq!(attachment["color"], "#cf222e");
    let fields: Vec<_> =
        attachment["blocks"][0]["fields"].as_array().unwrap().iter().map(|field| &field["text"]).collect();
    assert_eq!(
        fields,
        [
            "Types: attacker observed (2), attacker scored (1), credential captured (1)",
            "Sources: 203.0.113.9 (2), 192.0.2.1 (1), 198.51.100.4 (1)",
            "Targets: d1 (4)",
            "Period: 2026-04-24 12:30:00 to 12:33:00 UTC",
        ]
    );
    assert_eq!(
        attachment["blocks"][1]["text"]["text"],
        "<https://decnet.example/deliveries?event_id=e-0|12:30:00> *HIGH* Credential captured on d1 from 203.0.113.9\n\
         <https://decnet.example/deliveries?event_id=e-1|12:31:00> *CRITICAL* Attacker observed on d1 from 192.0.2.1\n\
         <https://decnet.example/deliveries?event_id=e-2|12:32:00> *LOW* Attacker observed on d1 from 203.0.113.9"
    );
    assert_eq!(attachment["blocks"][2]["elements"][0]["text"], "and 1 more");
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn template_replaces_title_and_facts() {
    let format = testing::with_template("slack", "*{{ user }}* <https://wiki.example|help>");
    let message = render(&format, &[event(0, "a", &json!({"username": "<!channel>*"}))]);
    assert_eq!(message["text"], "*&lt;!channel&gt;∗* <https://wiki.example|help>");
    assert_eq!(message["attachments"][0]["blocks"].as_array().unwrap().len(), 1, "only the footer");
    let long = testing::with_template("slack", "{{ path }}");
    let message = render(&long, &[event(0, "a", &json!({"request_path": "x".repeat(5000)}))]);
    assert!(message["text"].as_str().unwrap().len() <= MAX_TEXT);
    let footer = message["attachments"][0]["blocks"][0]["elements"][0]["text"].as_str().unwrap();
    assert!(footer.ends_with("\n… 1.4 KiB more in event `e-0`"), "{footer}");
}

#[test]
fn what_is_missing_is_counted() {
    let message = render(
        &format("slack", &[]),
        &[event(0, "a", &json!({"user_agent": "x".repeat(4000), "deep": {"a": 1}}))],
    );
    let footer = message["attachments"][0]["blocks"][1]["elements"][0]["text"].as_str().unwrap();
    assert!(footer.ends_with("\n… 3.5 KiB more in event `e-0`"), "{footer}");
}

#[test]
fn messages_conform_at_the_limits() {
    testing::check_limits(&format("slack", &[]), violations);
}

proptest! {
    #[test]
    fn any_event_gives_a_safe_message(events in prop::collection::vec(testing::any_event(), 1..4)) {
        prop_assert_eq!(violations(&render(&format("slack", &[]), &events)), [""; 0]);
    }
}

#[test]
fn judge_reads_the_names_of_errors() {
    for (status, retry_after, body, verdict) in [
        (200, None, "ok", Verdict::Delivered),
        (200, None, "ok\n", Verdict::Delivered),
        (200, None, "", REFUSED),
        (200, None, "<html>log in</html>", REFUSED),
        (200, None, "no_service", Verdict::Gone),
        (400, None, "invalid_payload", REFUSED_BODY),
        (400, None, "no_text", REFUSED_BODY),
        (400, None, "invalid_blocks", REFUSED_BODY),
        (400, None, "user_not_found", Verdict::Gone),
        (403, None, "action_prohibited", Verdict::Gone),
        (403, None, "invalid_token", Verdict::Gone),
        (404, None, "no_service", Verdict::Gone),
        (404, None, "channel_not_found", Verdict::Gone),
        (404, None, "no_team", Verdict::Gone),
        (410, None, "channel_is_archived", Verdict::Gone),
        (413, None, "", REFUSED_BODY),
        (429, Some(30), "rate_limited", throttled(Some(30))),
        (429, None, "", throttled(None)),
        (500, None, "rollup_error", server_error()),
        (503, None, "", server_error()),
    ] {
        let judgement = judged("slack", status, retry_after, body);
        assert_eq!(judgement.whole, verdict, "{status} {body}");
        let is_silent = body.trim().is_empty() || verdict == Verdict::Delivered;
        assert_eq!(judgement.detail.as_deref(), (!is_silent).then_some(body), "{status} {body}");
    }
    assert_eq!(judged("slack", 200, Some(2), "ok").pause, Some(std::time::Duration::from_secs(2)));
    testing::check_judge("slack");
}
