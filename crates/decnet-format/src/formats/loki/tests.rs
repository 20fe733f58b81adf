use decnet_core::delivery::{Reason, Verdict};
use decnet_core::severity::Severity;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::reply::{Judgement, Reply};
use crate::spec::Format;
use crate::testing::{Sample, format, hostile_sample, maximal, render};

fn reply(status: u16, body: &str) -> Reply<'_> {
    Reply { status, retry_after: None, body: body.as_bytes(), is_complete: true }
}

fn streams(options: &[(&str, &str)], samples: &[Sample]) -> Vec<Value> {
    let body: Value = serde_json::from_str(&render(&format("loki", options), samples)).unwrap();
    body["streams"].as_array().unwrap().clone()
}

#[test]
fn push_has_the_documented_form() {
    let line = String::from_utf8(Sample::typical().event.body.to_vec()).unwrap();
    let metadata = json!({
        "event_id": "e-1", "topic": "credential.captured", "source_ip": "203.0.113.9", "target": "decky-03", "user": "root"
    });
    let expected = json!([{
        "stream": {"job": "decnet", "family": "credential", "severity": "high"},
        "values": [["1776988800123456000", line, metadata]],
    }]);
    assert_eq!(json!(streams(&[], &[Sample::typical()])), expected);
    let without = streams(&[("metadata", "false")], &[Sample::typical()]);
    assert_eq!(without[0]["values"], json!([["1776988800123456000", line]]));
}

#[test]
fn events_are_grouped_by_family_and_severity_in_a_fixed_order() {
    let sample = |id, topic, severity| Sample::new(id, topic, severity, &json!({}));
    let samples = [
        sample("1", "b.x", Severity::Low),
        sample("2", "a.x", Severity::Low),
        sample("3", "b.y", Severity::Low),
        sample("4", "a.x", Severity::High),
    ];
    let found: Vec<_> = streams(&[], &samples)
        .iter()
        .map(|stream| {
            let ids: Vec<_> = stream["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry[2]["event_id"].clone())
                .collect();
            json!([stream["stream"]["family"], stream["stream"]["severity"], ids])
        })
        .collect();
    assert_eq!(json!(found), json!([["a", "high", ["4"]], ["a", "low", ["2"]], ["b", "low", ["1", "3"]]]));
}

#[test]
fn options_add_labels_and_a_tenant() {
    let options = [("labels", "site=lab,job=pots"), ("tenant", "north-1")];
    let stream = &streams(&options, &[Sample::typical()])[0]["stream"];
    assert_eq!(stream, &json!({"job": "pots", "site": "lab", "family": "credential", "severity": "high"}));
    assert_eq!(format("loki", &options).headers(), [("x-scope-orgid", "north-1".into())]);
    assert!(format("loki", &[]).headers().is_empty());
    assert_eq!(format("loki", &[]).target("/"), "/loki/api/v1/push");
}

#[test]
fn invalid_options_are_refused() {
    let long = "x".repeat(151);
    for (name, bad) in [
        ("tenant", ""),
        ("tenant", "a|b"),
        ("tenant", "a\r\nx: y"),
        ("tenant", ".."),
        ("tenant", &long),
        ("labels", "a"),
        ("labels", "family=x"),
        ("metadata", "1"),
    ] {
        assert!(Format::new("loki", [(name, bad)], None, None).is_err(), "{name}={bad}");
    }
}

#[test]
fn long_lines_are_shortened_and_say_so() {
    for character in ['x', 'é', '"', '\u{1}'] {
        let sample = maximal(character);
        let payload = sample.finding().payload.to_string();
        let found = streams(&[], std::slice::from_ref(&sample));
        let text = found[0]["values"][0][1].as_str().unwrap();
        assert!(
            text.len() <= line::MAX_LINE_BYTES && text.len() > line::MAX_LINE_BYTES - 8192,
            "{}",
            text.len()
        );
        let line: Value = serde_json::from_str(text).unwrap();
        let (start, missing) =
            (line["payload_start"].as_str().unwrap(), line["payload_missing_bytes"].as_u64().unwrap());
        assert!(payload.starts_with(start));
        assert_eq!(start.len() as u64 + missing, payload.len() as u64);
        assert_eq!((&line["id"], &line["topic"]), (&json!("e-max"), &json!("attacker.observed")));
    }
}

#[test]
fn longest_line_is_whole() {
    let empty = Sample::new("e", "a", Severity::Low, &json!({"t": ""})).event.body.len();
    let sample = |extra: usize| {
        let text = "x".repeat(line::MAX_LINE_BYTES - empty + extra);
        Sample::new("e", "a", Severity::Low, &json!({"t": text}))
    };
    let (fits, exceeds) = (sample(0), sample(1));
    assert_eq!(line::of(&fits.finding()).as_bytes(), &fits.event.body);
    assert!(line::of(&exceeds.finding()).contains("payload_missing_bytes"));
}

#[test]
fn replies_are_judged() {
    let refused = Verdict::Reject(Reason::BodyRefused);
    let retry = |reason| Verdict::Retry { reason, after: None };
    for (status, text, expected) in [
        (204, "", Verdict::Delivered),
        (200, "", Verdict::Delivered),
        (260, "ingestion blocked for user x until '2026' with status code '260'", retry(Reason::ServerError)),
        (
            400,
            "entry for stream '{a=\"b\"}' has timestamp too old: 2020, oldest acceptable timestamp is: 2026",
            refused.clone(),
        ),
        (
            400,
            "entry with timestamp 2026 ignored, reason: 'entry too far behind', for stream: {}",
            refused.clone(),
        ),
        (
            400,
            "entry with timestamp 2026 ignored, reason: 'entry out of order' for stream: {}",
            refused.clone(),
        ),
        (400, "Max entry size '262144' bytes exceeded for stream '{}'", refused.clone()),
        (
            400,
            "stream '{}' includes structured metadata, but this feature is disallowed. Please see `limits_config`",
            Verdict::Hold,
        ),
        (401, "no org id", Verdict::Hold),
        (403, "", Verdict::Hold),
        (404, "", Verdict::Reject(Reason::Refused)),
        (413, "request body too large", refused),
        (
            429,
            "Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec)",
            retry(Reason::Throttled),
        ),
        (500, "empty ring", retry(Reason::ServerError)),
        (503, "", retry(Reason::ServerError)),
    ] {
        let judgement = format("loki", &[]).judge(&reply(status, text), 3);
        assert_eq!(judgement.whole, expected, "{text}");
        assert!(judgement.members.is_empty());
        let has_detail = judgement.detail.is_some_and(|detail| detail.contains(text));
        assert_eq!(has_detail, expected != Verdict::Delivered && !text.is_empty(), "{text}");
    }
}

#[test]
fn retries_after_429_wait_as_requested() {
    let wait = Some(std::time::Duration::from_secs(9));
    let reply = Reply { retry_after: wait, ..reply(429, "") };
    let expected = Judgement::whole(Verdict::Retry { reason: Reason::Throttled, after: wait });
    assert_eq!(format("loki", &[]).judge(&reply, 1), expected);
}

proptest! {
    #[test]
    fn hostile_events_add_no_labels_and_stay_separate(samples in prop::collection::vec(hostile_sample(), 1..6)) {
        let streams = streams(&[], &samples);
        let mut entries = Vec::new();
        for stream in &streams {
            let labels = stream["stream"].as_object().unwrap();
            prop_assert_eq!(labels.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
                ["family", "job", "severity"].into());
            prop_assert!(labels["family"].as_str().unwrap().len() <= 32);
            for entry in stream["values"].as_array().unwrap() {
                prop_assert!(entry[2].as_object().unwrap().values().all(Value::is_string));
                entries.push(entry[1].as_str().unwrap().to_owned());
            }
        }
        let mut bodies: Vec<_> = samples.iter().map(|s| String::from_utf8(s.event.body.to_vec()).unwrap()).collect();
        entries.sort();
        bodies.sort();
        prop_assert_eq!(entries, bodies);
    }

    #[test]
    fn any_reply_is_judged(status in 100u16..=599, body in ".{0,40}") {
        let judgement = format("loki", &[]).judge(&reply(status, &body), 2);
        prop_assert_eq!(judgement.whole == Verdict::Delivered, (200..300).contains(&status) && status != 260);
    }
}
