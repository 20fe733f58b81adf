use decnet_core::delivery::Reason;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::escape::model;
use crate::formats::chat::testing::{
    self, BASE, REFUSED_BODY, event, format, judged, render, server_error, throttled,
};

use super::*;

/// Returns what is not allowed in a message (Adaptive Cards schema 1.4, elements used here). The size is checked by the rendering.
fn violations(message: &Value) -> Vec<String> {
    let attachment = &message["attachments"][0];
    assert_eq!(
        (&message["type"], &attachment["contentType"]),
        (&json!("message"), &json!("application/vnd.microsoft.card.adaptive"))
    );
    card_violations(&attachment["content"])
}

fn card_violations(card: &Value) -> Vec<String> {
    assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    assert_eq!(card["msteams"], json!({"width": "Full"}), "no entities: nothing can mention");
    let links = card["actions"].as_array().into_iter().flatten();
    links.for_each(check_link);
    card["body"].as_array().unwrap().iter().flat_map(element_violations).collect()
}

fn element_violations(element: &Value) -> Vec<String> {
    match element["type"].as_str().unwrap() {
        "Container" => {
            assert!(
                ["default", "accent", "warning", "attention"].contains(&element["style"].as_str().unwrap())
            );
            element["items"].as_array().unwrap().iter().flat_map(element_violations).collect()
        }
        "RichTextBlock" => element["inlines"].as_array().unwrap().iter().flat_map(run_violations).collect(),
        other => panic!("{other}"),
    }
}

fn run_violations(run: &Value) -> Vec<String> {
    assert_eq!(run["type"], "TextRun");
    if !run["selectAction"].is_null() {
        check_link(&run["selectAction"]);
    }
    let text = run["text"].as_str().unwrap();
    let mut found = Vec::new();
    found.extend((text.is_empty() || text.contains("{{")).then(|| format!("text {text}")));
    found.extend(text.split(chat::SEPARATOR).filter(|part| !is_identifier(part)).flat_map(model::automatic));
    found
}

/// Returns whether a part of a footer is a topic or an id as it is.
fn is_identifier(part: &str) -> bool {
    let name = part.strip_prefix("event ").or_else(|| part.split_once(" more in event ").map(|(_, id)| id));
    escape::is_identifier(name.unwrap_or(part))
}

fn check_link(action: &Value) {
    assert_eq!(action["type"], "Action.OpenUrl");
    assert!(action["url"].as_str().unwrap().starts_with(&format!("{BASE}/deliveries?event_id=e-")));
}

#[test]
fn event_is_a_card_of_text_runs() {
    let run = |text: &str| json!({"type": "TextRun", "text": text});
    let bold = |text: &str| json!({"type": "TextRun", "text": text, "weight": "Bolder"});
    let fact = |name: &str, value: &str| json!({"type": "RichTextBlock", "spacing": "Small", "inlines": [bold(name), run(value)]});
    let message = render(&format("teams", &[]), &[testing::sample()]);
    let footer = "2026-04-24 12:30:00 UTC · credential.captured · event e-0";
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            {"type": "Container", "style": "attention", "bleed": true, "items": [{
                "type": "RichTextBlock",
                "spacing": "None",
                "inlines": [bold("HIGH: Credential captured on decky-03 from 203.0.113.9")],
            }]},
            fact("Source: ", "203.0.113.9:51544"), fact("Target: ", "decky-03"), fact("Service: ", "ssh"),
            fact("User: ", "root"), fact("Technique: ", "T1110"), fact("Path: ", "/x"), fact("User agent: ", "curl/8.5.0"),
            fact("Count: ", "3"),
            {"type": "RichTextBlock", "spacing": "Medium", "inlines": [{"type": "TextRun", "text": footer, "size": "Small"}]},
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Open event", "url": "https://decnet.example/deliveries?event_id=e-0"}],
    });
    assert_eq!(message["attachments"][0]["content"], card);
    assert_eq!(violations(&message), [""; 0]);
    assert_eq!(render(&format("teams", &[("card", "bare")]), &[testing::sample()]), card);
}

#[test]
fn other_kinds_of_cards_are_refused() {
    let refused = crate::spec::Format::new("teams", [("card", "naked")], None, None).unwrap_err();
    assert_eq!(refused.to_string(), "the option `card` of the format teams: use `message` or `bare`");
}

#[test]
fn digest_counts_and_lists_events() {
    let events: Vec<_> =
        (0..5).map(|n| event(n, "attacker.observed", &json!({"ip": "203.0.113.9"}))).collect();
    let message = render(&format("teams", &[]), &events);
    let texts: Vec<String> = message["attachments"][0]["content"]["body"].as_array().unwrap()[1..]
        .iter()
        .map(|block| {
            let runs = block["inlines"].as_array().unwrap();
            runs.iter().map(|run| run["text"].as_str().unwrap()).collect()
        })
        .collect();
    assert_eq!(
        texts,
        [
            "Types: attacker observed (5)",
            "Sources: 203.0.113.9 (5)",
            "Period: 2026-04-24 12:30:00 to 12:34:00 UTC",
            "12:30:00 HIGH Attacker observed from 203.0.113.9",
            "12:31:00 CRITICAL Attacker observed from 203.0.113.9",
            "12:32:00 LOW Attacker observed from 203.0.113.9",
            "and 2 more",
        ]
    );
    assert_eq!(violations(&message), [""; 0]);
}

#[test]
fn template_replaces_the_facts() {
    let format = testing::with_template("teams", "**{{ user }}** [help](https://wiki.example)");
    let message = render(&format, &[event(0, "a.b", &json!({"username": "_{{DATE(x)}}"}))]);
    let body = &message["attachments"][0]["content"]["body"];
    assert_eq!(
        body[1],
        json!({"type": "TextBlock", "wrap": true, "text": "**\\_\\{\\{DATE(x)}}** [help](https://wiki.example)"})
    );
    assert_eq!(body.as_array().unwrap().len(), 3, "title, text, footer");
}

#[test]
fn what_is_missing_is_counted() {
    let message = render(&format("teams", &[]), &[event(0, "a.b", &json!({"user_agent": "x".repeat(4000)}))]);
    let body = message["attachments"][0]["content"]["body"].as_array().unwrap();
    assert_eq!(body.last().unwrap()["inlines"][0]["text"], "… 3.5 KiB more in event e-0");
}

#[test]
fn messages_conform_at_the_limits() {
    testing::check_limits(&format("teams", &[]), violations);
    testing::check_limits(&format("teams", &[("card", "bare")]), card_violations);
}

proptest! {
    #[test]
    fn any_event_gives_a_safe_message(events in prop::collection::vec(testing::any_event(), 1..4)) {
        prop_assert_eq!(violations(&render(&format("teams", &[]), &events)), [""; 0]);
    }
}

#[test]
fn judge_reads_the_codes_of_flows() {
    let problem = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"the flow 'x' failed"}}}}"#);
    let disabled = problem("WorkflowTriggerIsNotEnabled");
    let invalid = problem("TriggerInputSchemaMismatch");
    let truncated = problem("MissingApiVersionParameter");
    let unauthorized = problem("DirectApiAuthorizationRequired");
    for (status, retry_after, body, verdict) in [
        (202, None, "", Verdict::Delivered),
        (200, None, "1", Verdict::Delivered),
        (400, None, &*disabled, Verdict::Gone),
        (400, None, &*truncated, Verdict::Gone),
        (400, None, &*invalid, REFUSED_BODY),
        (401, None, &*unauthorized, Verdict::Gone),
        (403, None, "", Verdict::Gone),
        (404, None, "", Verdict::Gone),
        (409, None, &*disabled, Verdict::Gone),
        (413, None, "", REFUSED_BODY),
        (429, Some(12), "", throttled(Some(12))),
        (502, None, "", server_error()),
        (301, None, "", Verdict::Reject(Reason::Redirect)),
    ] {
        let judgement = judged("teams", status, retry_after, body);
        assert_eq!(judgement.whole, verdict, "{status} {body}");
        let detail = judgement.detail.unwrap_or_default();
        assert_eq!(detail.is_empty(), body.len() < 2, "{status} {body}");
    }
    let detail = judged("teams", 400, None, &disabled).detail;
    assert_eq!(detail.as_deref(), Some("WorkflowTriggerIsNotEnabled: the flow 'x' failed"));
    testing::check_judge("teams");
}
