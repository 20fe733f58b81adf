//! `decnet subscription try` shows the decision and the request, and sends nothing; `test --event-id` sends it.

use std::time::Duration;

use decnet_testkit::{Receiver, reply};
use serde_json::Value;

use crate::deliveries_are_listed_and_redelivered;
use crate::support::{Host, code, stderr, stdout};

const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a host whose subscription `siem` sends to the receiver, with these changes. The queue has the event `a.dead-0` and others.
fn host(receiver: &Receiver, changes: &[&str]) -> Host {
    let host =
        deliveries_are_listed_and_redelivered::host().with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
    host.write("url", &receiver.url("/services/hunter2"));
    let updated = host.run(&[&["subscription", "update", "siem", "--url-file", "url"][..], changes].concat());
    assert_eq!(code(&updated), 0, "{}", stderr(&updated));
    host
}

fn header<'v>(request: &'v Value, name: &str) -> &'v str {
    let headers = request["headers"].as_array().unwrap();
    let found = headers.iter().find(|header| header[0] == name);
    found.map_or("", |header| header[1].as_str().unwrap())
}

#[test]
fn decision_and_request_are_shown_and_nothing_is_sent() {
    let receiver = Receiver::start(reply(200).body("ok"));
    let host =
        host(&receiver, &["--format", "slack", "--filter", "payload.n == 1", "--header", "x-key: t0ken"]);
    let output = host.run(&["subscription", "try", "siem", "--event-id", "a.dead-0"]);
    let shown = stdout(&output);
    assert_eq!(code(&output), 0, "{shown}{}", stderr(&output));
    for line in [
        "severity      low",
        "decision      delivered: severity and filter accept the event",
        &format!("POST http://127.0.0.1:{}/…", receiver.port()),
        "content-type: application/json",
        "x-key: [secret]",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}:\n{shown}");
    }
    let body: Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    assert!(body["text"].as_str().unwrap().starts_with("*LOW* "), "{body}");
    assert!(!shown.contains("t0ken") && !shown.contains("hunter2"), "{shown}");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn shown_bytes_are_the_bytes_that_are_sent() {
    let receiver = Receiver::start(reply(200).body("ok"));
    for changes in [&["--format", "slack"][..], &["--batch", "10"], &["--trace"]] {
        let host = host(&receiver, changes);
        let shown = host.json(&["subscription", "try", "siem", "--event-id", "a.dead-1", "--json"]);
        let request = &shown["request"];
        let before = receiver.count();
        let tested = host.json(&["subscription", "test", "siem", "--event-id", "a.dead-1", "--json"]);
        assert_eq!(tested["delivered"], true, "{tested}");
        let sent = receiver.wait_for(before + 1, PATIENCE).pop().unwrap();
        assert_eq!(request["body"].as_str().unwrap().as_bytes(), &*sent.body);
        for name in
            ["host", "content-type", "content-length", "x-decnet-signature", "webhook-id", "traceparent"]
        {
            assert_eq!(header(request, name), sent.header(name), "{name}");
        }
        assert_eq!(request["headers"].as_array().unwrap().len(), sent.headers.len());
    }
}

#[test]
fn excluded_and_unrenderable_events_have_a_reason() {
    let receiver = Receiver::start(reply(200));
    let host = host(&receiver, &["--filter", "payload.n == 1", "--min-severity", "low"]);
    let attempt = |event: &str, topic: &str| {
        let output = host.run(&["subscription", "try", "siem", "--event", event, "--topic", topic, "--json"]);
        (code(&output), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    for (event, topic, exit, reason) in [
        (r#"{"n":1}"#, "a.b", 0, "severity and filter accept the event"),
        (r#"{"n":2}"#, "a.b", 1, "the filter excludes the event"),
        ("{}", "a.b", 1, "the filter cannot be evaluated for the event"),
        (r#"{"n":1}"#, "b", 1, "no pattern of the subscription matches the topic `b`"),
    ] {
        let (code, shown) = attempt(event, topic);
        assert!(code == exit && shown["reason"].as_str().unwrap().contains(reason), "{shown}");
        assert_eq!(shown["delivered"], exit == 0);
        assert!(shown["request"]["body"].is_string(), "{shown}");
    }
    host.write("ticket.j2", "{\"user\": \"{{ payload.user }}\"}");
    let template = ["subscription", "update", "siem", "--format", "template", "--template-file", "ticket.j2"];
    assert_eq!(code(&host.run(&template)), 0);
    let (code, shown) = attempt(r#"{"n":1}"#, "a.b");
    assert!(code == 1 && shown["request"].is_null(), "{shown}");
    assert!(shown["reason"].as_str().unwrap().contains("the request cannot be made: "), "{shown}");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn events_are_read_from_files_and_must_exist() {
    let receiver = Receiver::start(reply(200));
    let host = host(&receiver, &[]);
    let event =
        r#"{"id":"e7","payload":{"n":1},"topic":"a.b","ts":"2026-04-24T00:00:00+00:00","type":"t","v":1}"#;
    host.write("event.json", event);
    let shown = host.json(&["subscription", "try", "siem", "--event", "@event.json", "--json"]);
    assert_eq!((&shown["event_id"], &shown["request"]["body"]), (&"e7".into(), &event.into()));
    for (arguments, exit, problem) in [
        (&["--event-id", "missing"][..], 1, "event missing is not in the queue"),
        (&["--event", "{}"], 2, "specify --topic"),
        (&["--event", "@missing.json"], 1, "missing.json"),
        (&["--event-id", "a.dead-0", "--event", "{}"], 2, "cannot be used with"),
        (&[], 2, "required"),
    ] {
        let output = host.run(&[&["subscription", "try", "siem"][..], arguments].concat());
        assert!(code(&output) == exit && stderr(&output).contains(problem), "{}", stderr(&output));
    }
    let erased = host.run(&["erase", "--event-id", "a.dead-0", "--yes"]);
    assert_eq!(code(&erased), 0, "{}", stderr(&erased));
    let output = host.run(&["subscription", "test", "siem", "--event-id", "a.dead-0"]);
    assert!(code(&output) == 1 && stderr(&output).contains("was erased"), "{}", stderr(&output));
    assert_eq!(receiver.count(), 0);
}
