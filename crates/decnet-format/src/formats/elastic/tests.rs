use decnet_core::delivery::{Reason, Verdict};
use decnet_core::event::Event;
use decnet_core::severity::Severity;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reply::{Judgement, Reply};
use crate::spec::Format;
use crate::testing::{AT, Sample, format, hostile_sample, maximal, render};

fn reply(status: u16, body: &str) -> Reply<'_> {
    Reply { status, retry_after: None, body: body.as_bytes(), is_complete: true }
}

fn judge(status: u16, body: &Value, events: usize) -> Judgement {
    format("elastic", &[]).judge(&reply(status, &body.to_string()), events)
}

/// Returns the actions and documents of a body.
fn read(body: &str) -> Vec<(Value, Value)> {
    assert!(body.ends_with('\n'));
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn document(sample: Sample, options: &[(&str, &str)]) -> Value {
    read(&render(&format("elastic", options), &[sample])).remove(0).1
}

fn retry(reason: Reason) -> Verdict {
    Verdict::Retry { reason, after: None }
}

#[test]
fn document_has_ecs_fields_and_the_original() {
    let link = Format::new("elastic", [], None, Some("https://decnet.example")).unwrap();
    let body = read(&render(&link, &[Sample::typical()]));
    let title = Sample::typical().finding().title;
    let expected = json!({
        "@timestamp": "2026-04-24T00:00:00.123456+00:00",
        "ecs": {"version": "8.17.0"},
        "message": title,
        "event": {
            "id": "e-1", "kind": "alert", "category": ["intrusion_detection"], "type": ["info"], "action": "captured",
            "severity": 73, "module": "decnet", "dataset": "decnet.event", "provider": "credential.captured",
            "url": "https://decnet.example/deliveries?event_id=e-1"
        },
        "log": {"level": "high"},
        "observer": {"vendor": "decnet", "product": "decnet", "type": "honeypot"},
        "source": {"address": "203.0.113.9", "ip": "203.0.113.9", "port": 51422},
        "host": {"name": "decky-03"},
        "destination": {"address": "decky-03"},
        "network": {"protocol": "ssh"},
        "user": {"name": "root"},
        "user_agent": {"original": "curl/8.5.0"},
        "url": {"path": "/wp-login.php?a=1"},
        "dns": {"question": {"name": "evil.example"}},
        "threat": {"technique": {"id": ["T1110", "T1078"]}},
        "related": {"ip": ["203.0.113.9"], "user": ["root"], "hosts": ["decky-03"]},
        "decnet": serde_json::from_slice::<Value>(&Sample::typical().event.body).unwrap(),
    });
    assert_eq!(body, [(json!({"create": {"_index": "logs-decnet-default", "_id": "e-1"}}), expected)]);
}

#[test]
fn each_event_has_two_lines_in_order() {
    let samples = ["a", "b", "c"].map(|id| Sample::new(id, "x.y", Severity::Info, &json!({})));
    let body = read(&render(&format("elastic", &[("index", "pots-2026")]), &samples));
    let ids: Vec<_> = body.iter().map(|(action, _)| action["create"]["_id"].clone()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(body.iter().all(|(action, document)| {
        action["create"]["_index"] == "pots-2026"
            && document["event"]["kind"] == "event"
            && document.get("user").is_none()
    }));
}

#[test]
fn original_is_an_object_a_text_or_left_out() {
    let body = String::from_utf8(Sample::typical().event.body.to_vec()).unwrap();
    for (form, has_object, text) in
        [("flattened", true, None), ("text", false, Some(body.as_str())), ("none", false, None)]
    {
        let document = document(Sample::typical(), &[("original", form)]);
        assert_eq!(document.get("decnet").is_some(), has_object, "{form}");
        assert_eq!(document["event"]["original"].as_str(), text, "{form}");
    }
}

#[test]
fn original_that_flattened_would_refuse_is_a_text() {
    let deep = |depth: usize| {
        let payload = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        Sample::of(Event::new("e", "a", "t", AT, &payload).unwrap(), Severity::Low)
    };
    let nul = || Sample::new("e", "a", Severity::Low, &json!({"a\0b": 1}));
    for (sample, is_text) in [(deep(17), false), (deep(18), true), (deep(253), true), (nul(), true)] {
        let body = String::from_utf8(sample.event.body.to_vec()).unwrap();
        let document = document(sample, &[]);
        assert_eq!(document.get("decnet").is_none(), is_text);
        assert_eq!(document["event"]["original"].as_str(), is_text.then_some(&*body));
    }
}

#[test]
fn typed_fields_get_only_values_of_their_type() {
    let sample = |payload| Sample::new("e", "a", Severity::Low, &payload);
    let wrong = document(sample(json!({"src_ip": "1.2.3.4.5", "src_port": 70_000, "service": "80x"})), &[]);
    assert_eq!((&wrong["source"]["ip"], &wrong["source"]["port"]), (&Value::Null, &Value::Null));
    assert_eq!(wrong["network"]["protocol"], "80x");
    let right = document(
        sample(json!({"src_ip": "2001:DB8::1", "service": "8080", "request_path": "http://x/"})),
        &[],
    );
    assert_eq!(right["source"]["ip"], "2001:db8::1");
    assert_eq!((&right["destination"]["port"], right.get("network")), (&json!(8080), None));
    assert_eq!(right["url"], json!({"original": "http://x/"}));
}

#[test]
fn time_outside_of_the_range_of_dates_is_replaced_by_the_admission() {
    let envelope = br#"{"id":"e","ts":-99999999999,"payload":{"a":1}}"#;
    let event = Event::from_bus("a", envelope, AT, String::new).unwrap();
    let at = event.at;
    let event = Event { at: AT, ..event };
    assert!(at.to_iso8601().starts_with('-'));
    let document = document(Sample::of(event, Severity::Low), &[]);
    assert_eq!(document["@timestamp"], AT.to_iso8601());
}

#[test]
fn maximal_event_is_sent_whole() {
    for (character, form) in [('x', "flattened"), ('"', "flattened"), ('\u{1}', "text"), ('\0', "flattened")]
    {
        let sample = maximal(character);
        let size = sample.event.body.len();
        let body = render(&format("elastic", &[("original", form)]), &[sample]);
        assert!(body.len() >= size && body.len() < 2 * size + 4096, "{} of {size}", body.len());
        assert_eq!(read(&body).len(), 1);
    }
}

#[test]
fn request_has_the_path_and_the_filter_of_the_bulk_api() {
    let format = format("elastic", &[]);
    assert_eq!(format.target("/"), "/_bulk?filter_path=errors,items.*.status,items.*.error.type");
    assert_eq!(
        format.target("/es/_bulk?pipeline=p"),
        "/es/_bulk?pipeline=p&filter_path=errors,items.*.status,items.*.error.type"
    );
    assert_eq!(format.content_type(), "application/x-ndjson");
}

#[test]
fn invalid_options_are_refused() {
    let long = "x".repeat(256);
    for bad in ["", "Logs", "_logs", "-x", ".x", "a b", "a/b", "a*", "a\"b", "a,b", "é", &long] {
        assert!(Format::new("elastic", [("index", bad)], None, None).is_err(), "{bad}");
    }
    assert!(Format::new("elastic", [("original", "raw")], None, None).is_err());
}

#[test]
fn success_delivers_all_events() {
    for body in [
        json!({"errors": false}),
        json!({"took": 3, "errors": false, "items": [{"create": {"status": 201}}]}),
    ] {
        assert_eq!(judge(200, &body, 2), Judgement::whole(Verdict::Delivered));
    }
}

#[test]
fn each_event_is_judged_by_its_own_status() {
    let item = |status: u16, kind: &str| json!({"create": {"_index": "i", "status": status, "error": {"type": kind, "reason": "r"}}});
    let refused = Verdict::Reject(Reason::BodyRefused);
    for (status, kind, expected) in [
        (201, "", Verdict::Delivered),
        (409, "version_conflict_engine_exception", Verdict::Delivered),
        (429, "es_rejected_execution_exception", retry(Reason::Throttled)),
        (429, "cluster_block_exception", retry(Reason::Throttled)),
        (403, "cluster_block_exception", retry(Reason::ServerError)),
        (403, "security_exception", Verdict::Hold),
        (503, "unavailable_shards_exception", retry(Reason::ServerError)),
        (500, "exception", retry(Reason::ServerError)),
        (400, "document_parsing_exception", refused.clone()),
        (404, "index_not_found_exception", Verdict::Reject(Reason::Refused)),
    ] {
        let body = json!({"errors": true, "items": [{"create": {"status": 201}}, item(status, kind), item(400, "x")]});
        let judgement = judge(200, &body, 3);
        assert_eq!(judgement.whole, Verdict::Delivered);
        assert_eq!(judgement.members, [Verdict::Delivered, expected, refused.clone()], "{kind}");
    }
}

#[test]
fn request_without_a_stored_event_failed() {
    let items = |statuses: &[u16]| {
        let items: Vec<_> = statuses.iter().map(|status| json!({"create": {"status": status}})).collect();
        json!({"errors": true, "items": items})
    };
    for (statuses, whole) in [
        (&[429, 429][..], retry(Reason::Throttled)),
        (&[400, 503], retry(Reason::ServerError)),
        (&[400, 403], Verdict::Hold),
        (&[400, 400], Verdict::Reject(Reason::BodyRefused)),
    ] {
        let judgement = judge(200, &items(statuses), statuses.len());
        assert_eq!(judgement.whole, whole, "{statuses:?}");
        assert_eq!(judgement.members.len(), statuses.len(), "each event has its own verdict: {statuses:?}");
    }
    assert_eq!(judge(200, &items(&[409, 409]), 2), Judgement::whole(Verdict::Delivered));
    let detail = judge(200, &items(&[201, 400, 400]), 3).detail;
    assert_eq!(detail.as_deref(), Some("2 of 3 events not stored, the first with 400: no error type"));
}

#[test]
fn unreadable_results_split_a_batch_and_repeat_a_single_event() {
    let few = json!({"errors": true, "items": [{"create": {"status": 201}}]});
    assert_eq!(judge(200, &few, 2).whole, Verdict::Reject(Reason::BodyRefused));
    assert_eq!(judge(200, &json!({"errors": true}), 1).whole, retry(Reason::ServerError));
    let cut = Reply { is_complete: false, ..reply(200, r#"{"errors":true,"items":[{"cre"#) };
    assert_eq!(format("elastic", &[]).judge(&cut, 2).whole, Verdict::Reject(Reason::BodyRefused));
    for page in ["<html>log in</html>", "", "{}"] {
        assert_eq!(
            format("elastic", &[]).judge(&reply(200, page), 2).whole,
            retry(Reason::ServerError),
            "{page}"
        );
    }
}

#[test]
fn whole_request_is_judged_by_status_and_error_type() {
    let error = |kind: &str| json!({"error": {"type": kind, "reason": "because"}, "status": 400});
    for (status, kind, expected) in [
        (401, "security_exception", Verdict::Hold),
        (403, "security_exception", Verdict::Hold),
        (403, "cluster_block_exception", retry(Reason::ServerError)),
        (413, "x", Verdict::Reject(Reason::BodyRefused)),
        (400, "illegal_argument_exception", Verdict::Reject(Reason::BodyRefused)),
        (404, "index_not_found_exception", Verdict::Reject(Reason::Refused)),
        (429, "circuit_breaking_exception", retry(Reason::Throttled)),
        (503, "x", retry(Reason::ServerError)),
    ] {
        let judgement = judge(status, &error(kind), 5);
        assert_eq!((judgement.whole, judgement.members), (expected, vec![]), "{status} {kind}");
        assert_eq!(judgement.detail.as_deref(), Some(&*format!("{kind}: because")));
    }
    assert_eq!(format("elastic", &[]).judge(&reply(413, ""), 5).whole, Verdict::Reject(Reason::BodyRefused));
}

proptest! {
    #[test]
    fn hostile_events_stay_on_their_lines(samples in prop::collection::vec(hostile_sample(), 1..6)) {
        for original in ["flattened", "text", "none"] {
            let body = read(&render(&format("elastic", &[("original", original)]), &samples));
            prop_assert_eq!(body.len(), samples.len());
            for ((action, document), sample) in body.iter().zip(&samples) {
                let expected = json!({"create": {"_index": "logs-decnet-default", "_id": &*sample.event.id}});
                prop_assert_eq!(action, &expected);
                prop_assert_eq!(&document["observer"]["vendor"], "decnet");
                let whole: Value = serde_json::from_slice(&sample.event.body).unwrap();
                let text = document["event"]["original"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap());
                let found = document.get("decnet").cloned().or(text);
                prop_assert_eq!(found, (original != "none").then_some(whole));
            }
        }
    }

    #[test]
    fn any_reply_is_judged(status in 100u16..=599, errors: bool, statuses in prop::collection::vec(0u16..700, 0..4), body in ".{0,20}") {
        let items: Vec<_> = statuses.iter().map(|status| json!({"create": {"status": status}})).collect();
        for text in [json!({"errors": errors, "items": items}).to_string(), body] {
            let judgement = format("elastic", &[]).judge(&reply(status, &text), 3);
            prop_assert!(judgement.members.is_empty() || judgement.members.len() == 3);
            prop_assert!(judgement.whole != Verdict::Delivered || (200..300).contains(&status));
        }
    }
}
