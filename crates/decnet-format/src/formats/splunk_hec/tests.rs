use std::time::Duration;

use decnet_core::delivery::{Reason, Verdict};
use decnet_core::severity::Severity;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::reply::Reply;
use crate::request::Acknowledged;
use crate::spec::Format;
use crate::testing::{Sample, format, hostile_sample, maximal, render};

const AFTER: Option<Duration> = Some(Duration::from_secs(7));

fn reply(status: u16, body: &str) -> Reply<'_> {
    Reply { status, retry_after: AFTER, body: body.as_bytes(), is_complete: true }
}

/// Reads objects that are concatenated, as HEC does.
fn read(body: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(body).into_iter().collect::<Result<_, _>>().unwrap()
}

#[test]
fn event_has_the_documented_form() {
    let body = read(&render(&format("splunk-hec", &[]), &[Sample::typical()]));
    let expected = json!({
        "time": 1_776_988_800.123, "host": "decky-03", "source": "decnet", "sourcetype": "decnet:event",
        "fields": {
            "event_id": "e-1", "topic": "credential.captured", "severity": "high", "signature": Sample::typical().finding().title,
            "src": "203.0.113.9", "dest": "decky-03", "user": "root", "mitre_technique_id": ["T1110", "T1078"]
        },
        "event": serde_json::from_slice::<Value>(&Sample::typical().event.body).unwrap(),
    });
    assert_eq!(body, [expected]);
}

#[test]
fn time_has_milliseconds_and_no_exponent() {
    for (micros, expected) in [
        (1_776_988_800_123_999, "1776988800.123"),
        (0, "0.000"),
        (5_000, "0.005"),
        (-1, "-0.001"),
        (-1_500_000, "-1.500"),
        (253_402_300_799_999_999, "253402300799.999"),
    ] {
        assert_eq!(Seconds(UnixMicros(micros)).to_string(), expected);
    }
}

#[test]
fn events_of_a_batch_are_concatenated_in_order() {
    let samples = ["a", "b", "c"].map(|id| Sample::new(id, "x.y", Severity::Info, &json!({})));
    let body = render(&format("splunk-hec", &[]), &samples);
    assert!(body.starts_with('{') && body.contains("}{\"time\":"), "{body}");
    let ids: Vec<Value> = read(&body).into_iter().map(|event| event["event"]["id"].clone()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[test]
fn options_set_index_source_and_host() {
    let options = [("index", "honeypot"), ("sourcetype", "pot"), ("source", "lab"), ("host", "sensor 1")];
    let body = &read(&render(&format("splunk-hec", &options), &[Sample::typical()]))[0];
    for (name, value) in options {
        assert_eq!(body[name], value);
    }
    let anonymous =
        read(&render(&format("splunk-hec", &[]), &[Sample::new("e", "a", Severity::Low, &json!({}))]));
    assert_eq!((anonymous[0].get("index"), anonymous[0].get("host")), (None, None));
}

#[test]
fn invalid_options_are_refused() {
    for (name, bad) in [
        ("index", "Main"),
        ("index", "_internal"),
        ("index", "a b"),
        ("sourcetype", ""),
        ("host", "a\nb"),
        ("ack", "yes"),
    ] {
        assert!(Format::new("splunk-hec", [(name, bad)], None, None).is_err(), "{name}={bad}");
    }
}

#[test]
fn maximal_event_is_sent_whole() {
    for character in ['x', '"', '\u{1}'] {
        let sample = maximal(character);
        let body = render(&format("splunk-hec", &[]), std::slice::from_ref(&sample));
        assert!(body.contains(std::str::from_utf8(&sample.event.body).unwrap()));
        assert!(body.len() < sample.event.body.len() + 2048);
    }
}

#[test]
fn replies_are_judged_by_their_code() {
    let retry = |reason, after| Verdict::Retry { reason, after };
    let body_refused = Verdict::Reject(Reason::BodyRefused);
    for (status, code, expected) in [
        (200, 0, Verdict::Delivered),
        (200, 24, Verdict::Delivered),
        (200, 25, Verdict::Delivered),
        (403, 1, Verdict::Hold),
        (401, 2, Verdict::Hold),
        (401, 3, Verdict::Hold),
        (403, 4, Verdict::Hold),
        (400, 5, body_refused.clone()),
        (400, 6, body_refused.clone()),
        (400, 7, Verdict::Hold),
        (500, 8, retry(Reason::ServerError, None)),
        (503, 9, retry(Reason::ServerError, AFTER)),
        (400, 10, Verdict::Hold),
        (400, 11, Verdict::Hold),
        (400, 12, body_refused.clone()),
        (400, 13, body_refused.clone()),
        (400, 14, Verdict::Hold),
        (400, 15, body_refused.clone()),
        (400, 16, Verdict::Hold),
        (503, 18, retry(Reason::ServerError, AFTER)),
        (400, 21, Verdict::Hold),
        (400, 22, Verdict::Hold),
        (503, 23, retry(Reason::ServerError, AFTER)),
        (429, 26, retry(Reason::Throttled, AFTER)),
        (429, 27, retry(Reason::Throttled, AFTER)),
        (400, 99, body_refused),
        (404, 404, Verdict::Reject(Reason::Refused)),
    ] {
        let body = json!({"text": "The text", "code": code}).to_string();
        let judgement = format("splunk-hec", &[]).judge(&reply(status, &body), 3);
        assert_eq!(judgement.whole, expected, "{code}");
        assert_eq!(judgement.detail.is_some(), expected != Verdict::Delivered, "{code}");
        assert!(judgement.members.is_empty());
    }
}

#[test]
fn detail_has_text_code_and_event_number() {
    let body = r#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#;
    let detail = format("splunk-hec", &[]).judge(&reply(400, body), 3).detail;
    assert_eq!(detail.as_deref(), Some("Invalid data format (code 6, event 1 of the request)"));
}

#[test]
fn replies_that_are_not_from_hec_are_judged_by_status() {
    for (status, body, expected) in [
        (200, "", Verdict::Delivered),
        (204, " ", Verdict::Delivered),
        (200, "<html>log in</html>", Verdict::Retry { reason: Reason::ServerError, after: None }),
        (200, "{}", Verdict::Retry { reason: Reason::ServerError, after: None }),
        (401, "<html>", Verdict::Hold),
        (403, "", Verdict::Hold),
        (413, "<html>", Verdict::Reject(Reason::BodyRefused)),
        (404, "", Verdict::Reject(Reason::Refused)),
        (502, "<html>", Verdict::Retry { reason: Reason::ServerError, after: None }),
    ] {
        assert_eq!(
            format("splunk-hec", &[]).judge(&reply(status, body), 1).whole,
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn acknowledgement_is_a_choice() {
    assert!(format("splunk-hec", &[]).acknowledgement().is_none());
    let on = format("splunk-hec", &[("ack", "true")]);
    let protocol = on.acknowledgement().unwrap();
    let accepted = reply(200, r#"{"text":"Success","code":0,"ackId":18446744073709551615}"#);
    assert_eq!((protocol.receipt)(&accepted), Some(u64::MAX));
    assert_eq!(on.judge(&accepted, 1).whole, Verdict::Delivered);
    let without = reply(200, r#"{"text":"Success","code":0}"#);
    assert_eq!((protocol.receipt)(&without), None);
    assert_eq!(on.judge(&without, 1).whole, Verdict::Hold);
}

#[test]
fn polls_go_to_the_same_collector() {
    let target = ACKNOWLEDGEMENT.target;
    for (events, expected) in [
        ("/services/collector/event", "/services/collector/ack?channel=c"),
        ("/services/collector", "/services/collector/ack?channel=c"),
        ("/a/services/collector/event/1.0?x=1", "/a/services/collector/ack?channel=c&x=1"),
        ("/hook", "/services/collector/ack?channel=c"),
    ] {
        assert_eq!(target(events, "c"), expected);
    }
    assert_eq!((ACKNOWLEDGEMENT.write)(7), r#"{"acks":[7]}"#);
}

#[test]
fn replies_to_polls_are_judged() {
    let not_yet = |detail: &str| Acknowledged::NotYet(Some(detail.into()));
    for (status, body, expected) in [
        (200, r#"{"acks":{"1":true,"3":false}}"#, Acknowledged::Yes),
        (200, r#"{"acks":{"1":false,"3":true}}"#, Acknowledged::NotYet(None)),
        (200, r#"{"acks":{}}"#, Acknowledged::NotYet(None)),
        (200, "", not_yet("the reply does not contain acknowledgements")),
        (200, "<html>", not_yet("the reply is not from an HTTP Event Collector; check the URL")),
        (400, r#"{"text":"ACK is disabled","code":14}"#, Acknowledged::Never),
        (403, r#"{"text":"Invalid token","code":4}"#, Acknowledged::Never),
        (503, r#"{"text":"Server is busy","code":9}"#, not_yet("Server is busy (code 9)")),
        (404, "", Acknowledged::NotYet(None)),
    ] {
        assert_eq!((ACKNOWLEDGEMENT.judge)(&reply(status, body), 1), expected, "{status} {body}");
    }
}

proptest! {
    #[test]
    fn hostile_events_stay_separate_objects(samples in prop::collection::vec(hostile_sample(), 1..6)) {
        let body = read(&render(&format("splunk-hec", &[]), &samples));
        prop_assert_eq!(body.len(), samples.len());
        for (event, sample) in body.iter().zip(&samples) {
            prop_assert_eq!(&event["event"], &serde_json::from_slice::<Value>(&sample.event.body).unwrap());
            let is_flat = |value: &Value| value.is_string() || value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
            prop_assert!(event["fields"].as_object().unwrap().values().all(is_flat));
            prop_assert_eq!(&event["sourcetype"], "decnet:event");
        }
    }

    #[test]
    fn any_reply_is_judged(status in 100u16..=599, body in prop_oneof![".{0,40}", r#"\{"text":"[a-z]{0,5}","code":[0-9]{1,6}(,"ackId":-?[0-9]{1,3})?\}"#]) {
        let reply = reply(status, &body);
        for options in [&[][..], &[("ack", "true")]] {
            let judgement = format("splunk-hec", options).judge(&reply, 2);
            prop_assert!(judgement.whole != Verdict::Delivered || (200..300).contains(&status));
        }
        prop_assert!((ACKNOWLEDGEMENT.judge)(&reply, 1) != Acknowledged::Yes);
    }
}
