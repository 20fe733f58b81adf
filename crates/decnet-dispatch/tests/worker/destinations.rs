//! Formats: requests are rendered, replies are judged by their content, and nothing that cannot be rendered is lost.

use std::io::Read as _;
use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_testkit::{Receiver, Request, Script, reply};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, arrive, eventually};

/// Returns a running worker with one subscription with these settings.
fn running(receiver: &Receiver, settings: &str) -> Rig {
    let mut rig = Rig::with_subscriptions(&[("soc", &receiver.url("/hook"), "a.>")]);
    rig.options.concurrency = 1;
    rig.options.probe_delay = (PATIENCE * 10, PATIENCE * 10);
    rig.set("soc", settings);
    rig.start();
    rig
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn slack_gets_a_message_and_only_ok_counts() {
    let receiver =
        Receiver::start(Script::steps([reply(200).body("later").into(), reply(200).body("ok").into()]));
    let mut rig = running(&receiver, r#"{"format": "slack"}"#);
    rig.publish("a.b", &json!({"src_ip": "203.0.113.9", "user": "<!channel>"}));
    eventually("it is final", || rig.counts("soc").delivered + rig.counts("soc").dead == 1);
    let message = body(&receiver.requests()[0]);
    let text = message.to_string();
    assert!(message["text"].is_string() && text.contains("203.0.113.9"), "{text}");
    assert!(!text.contains("<!channel>"), "{text}");
    let id = rig.deliveries()[0].id;
    let attempts = rig.reader().get(id).unwrap().unwrap().attempts;
    assert_eq!(attempts[0].status, Some(200));
    assert!(attempts[0].reason.is_some(), "a 200 with another text is a failure");
}

#[test]
fn messages_link_to_the_dashboard_if_its_origin_is_known() {
    let receiver = Receiver::start(reply(200).body("ok"));
    let mut rig = Rig::with_subscriptions(&[("soc", &receiver.url("/hook"), "a.>")]);
    rig.options.link_base = Some("https://hooks.example".into());
    rig.set("soc", r#"{"format": "slack"}"#);
    rig.start();
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let request = &receiver.requests()[0];
    let link = format!("<https://hooks.example/deliveries?event_id={}|", request.header("webhook-id"));
    assert!(body(request).to_string().contains(&link), "{}", body(request));
}

#[test]
fn removed_webhook_is_gone() {
    let receiver = Receiver::start(reply(404).body("no_service"));
    let mut rig = running(&receiver, r#"{"format": "slack"}"#);
    rig.publish_numbered("a.b", 3);
    eventually("the subscription is gone", || rig.row("soc").gone);
    assert_eq!((receiver.count(), rig.counts("soc").dead), (1, 0), "the deliveries wait");
}

#[test]
fn refused_credentials_hold_the_subscription_at_once() {
    let receiver = Receiver::start(reply(403).body(r#"{"text":"Invalid token","code":4}"#));
    let mut rig = running(&receiver, r#"{"format": "splunk-hec"}"#);
    rig.publish_numbered("a.b", 3);
    eventually("the subscription is tripped", || !rig.row("soc").enabled);
    assert_eq!((receiver.count(), rig.counts("soc").dead), (1, 0), "the deliveries wait");
    receiver.set(reply(200).body(r#"{"text":"Success","code":0}"#));
    rig.set_enabled("soc", true);
    rig.reload();
    eventually("all are delivered", || rig.counts("soc").delivered == 3);
}

#[test]
fn refused_credentials_are_probed_until_they_are_accepted() {
    let refused = reply(403).body(r#"{"text":"Invalid token","code":4}"#);
    let receiver = Receiver::start(refused);
    let mut rig = Rig::with_subscriptions(&[("soc", &receiver.url("/hook"), "a.>")]);
    rig.options.concurrency = 1;
    rig.options.probe_delay = (Duration::from_millis(10), Duration::from_millis(20));
    rig.set("soc", r#"{"format": "splunk-hec"}"#);
    rig.start();
    rig.publish_numbered("a.b", 3);
    arrive(&receiver, 12);
    let row = rig.row("soc");
    assert_eq!((row.enabled, row.last_error.as_deref()), (false, Some("Invalid token (code 4)")));
    assert_eq!((rig.counts("soc").dead, rig.counts("soc").delivered), (0, 0), "probes use no retries");
    receiver.set(reply(200).body(r#"{"text":"Success","code":0}"#));
    eventually("all are delivered", || rig.counts("soc").delivered == 3);
    eventually("the subscription is enabled again", || rig.row("soc").enabled);
}

#[test]
fn each_event_of_a_bulk_request_has_its_own_fate() {
    let items = json!({"errors": true, "items": [
        {"create": {"status": 201}},
        {"create": {"status": 409}},
        {"create": {"status": 400, "error": {"type": "document_parsing_exception"}}},
        {"create": {"status": 429}},
    ]});
    let stored = json!({"errors": false, "items": [{"create": {"status": 201}}]});
    let receiver = Receiver::start(Script::steps([
        reply(200).body(items.to_string()).into(),
        reply(200).body(stored.to_string()).into(),
    ]));
    let mut rig = running(&receiver, r#"{"format": "elastic", "batch": {"max_events": 4, "linger": "1m"}}"#);
    rig.publish_numbered("a.b", 4);
    eventually("all are final", || rig.counts("soc").delivered == 3 && rig.counts("soc").dead == 1);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2, "only the event that was refused for now is sent again");
    assert!(requests[0].path.starts_with("/hook?filter_path="), "{}", requests[0].path);
    assert_eq!(requests[0].header("content-type"), "application/x-ndjson");
    assert_eq!(requests[0].body.iter().filter(|byte| **byte == b'\n').count(), 8);
    assert_eq!(requests[1].body.iter().filter(|byte| **byte == b'\n').count(), 2);
    let dead = rig.deliveries().into_iter().find(|listed| listed.state != State::Delivered).unwrap();
    assert_eq!(dead.state, State::Dead { reason: Reason::BodyRefused });
    assert!(rig.row("soc").enabled);
}

#[test]
fn failing_template_is_dead_and_does_not_trip() {
    let receiver = Receiver::start(reply(200));
    let template = r#"{"format": "template", "template": "{\"who\": \"{{ event.payload.user }}\"}"}"#;
    let mut rig = running(&receiver, template);
    for n in 0..10 {
        rig.publish("a.b", &json!({ "n": n }));
    }
    rig.publish("a.b", &json!({"user": "root\"}"}));
    eventually("all are final", || rig.counts("soc").dead == 10 && rig.counts("soc").delivered == 1);
    assert!(rig.row("soc").enabled && rig.row("soc").consecutive_failures == 0);
    assert_eq!(body(&receiver.requests()[0]), json!({"who": "root\"}"}));
    let dead = rig.deliveries().into_iter().find(|listed| listed.state != State::Delivered).unwrap();
    assert_eq!(dead.state, State::Dead { reason: Reason::Template });
    let detail = rig.reader().get(dead.id).unwrap().unwrap().attempts[0].detail.clone().unwrap();
    assert!(detail.contains("user"), "{detail}");
    rig.set("soc", r#"{"template": "{\"who\": \"{{ event.payload.user | default('nobody') }}\"}"}"#);
    rig.reload();
    rig.redeliver(dead.id);
    eventually("it is delivered", || rig.counts("soc").delivered == 2);
    assert_eq!(body(&receiver.requests()[1]), json!({"who": "nobody"}));
}

#[test]
fn digest_combines_a_window_and_critical_events_do_not_wait() {
    let receiver = Receiver::start(reply(200).body("ok"));
    let mut rig = running(&receiver, r#"{"format": "slack", "digest": {"window": "1m", "max": 2}}"#);
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("severities");
    std::fs::write(&table, "a.alarm = critical\n").unwrap();
    rig.stop_worker();
    rig.options.severity_file = Some(table.as_path().into());
    rig.start_worker();
    rig.publish_numbered("a.b", 5);
    eventually("they wait", || rig.counts("soc").pending == 5 || rig.stats.admitted.get() == 5);
    assert_eq!(receiver.count(), 0);
    rig.publish("a.alarm", &json!({}));
    eventually("all are delivered", || rig.counts("soc").delivered == 6);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert!(body(&requests[0]).to_string().contains('6'), "the message counts all events");
}

#[test]
fn body_is_compressed_and_sent_with_the_method() {
    let receiver = Receiver::start(reply(204));
    let mut rig = running(&receiver, r#"{"format": "loki", "gzip": true, "method": "PUT"}"#);
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&receiver, 1);
    let request = &receiver.requests()[0];
    assert_eq!((&*request.method, request.header("content-encoding")), ("PUT", "gzip"));
    let mut text = String::new();
    GzDecoder::new(&*request.body).read_to_string(&mut text).unwrap();
    assert!(serde_json::from_str::<Value>(&text).unwrap()["streams"].is_array(), "{text}");
}

/// Discord announces in a successful reply that the next request would be refused.
#[test]
fn announced_rate_limit_pauses_the_subscription() {
    let exhausted = reply(204).header("x-ratelimit-remaining", "0").header("x-ratelimit-reset-after", "1.1");
    let receiver = Receiver::start(Script::steps([exhausted.into(), reply(204).into()]));
    let mut rig = running(&receiver, r#"{"format": "discord"}"#);
    rig.publish_numbered("a.b", 2);
    eventually("both are delivered", || rig.counts("soc").delivered == 2);
    let requests = receiver.requests();
    assert!((requests[1].at - requests[0].at).as_millis() >= 1900, "two seconds, less the time of the reply");
}

#[test]
fn retries_send_the_bytes_of_the_first_attempt() {
    let receiver = Receiver::start(reply(503).retry_after("1"));
    let mut rig = running(&receiver, r#"{"format": "slack"}"#);
    rig.publish("a.b", &json!({"n": 1}));
    eventually("it is retried", || rig.counts("soc").retrying == 1);
    receiver.set(reply(204));
    rig.set("soc", r#"{"format": "discord"}"#);
    rig.restart_worker();
    rig.publish("a.b", &json!({"n": 2}));
    eventually("both are sent", || receiver.count() >= 3);
    let requests = receiver.requests();
    let first = &requests[0].body;
    let repeated = requests[1..].iter().filter(|request| request.body == *first).count();
    assert_eq!(repeated, 1, "the retry has the format of the first attempt");
    assert!(
        requests[1..].iter().any(|request| body(request)["embeds"].is_array()),
        "the new event has the new one"
    );
}

/// Another version of the program may render other bytes from the same settings.
#[test]
fn retry_with_another_body_is_sent_and_reported() {
    let receiver = Receiver::start(reply(503).retry_after("1"));
    let mut rig = running(&receiver, r#"{"format": "slack"}"#);
    rig.publish("a.b", &json!({"n": 1}));
    eventually("it is retried", || rig.counts("soc").retrying == 1);
    rig.stop_worker();
    let queue = rig.database("queue.db");
    let hash: i64 = queue.query_row("SELECT body_hash FROM deliveries", [], |row| row.get(0)).unwrap();
    assert_eq!(hash, decnet_sender::body_hash(&receiver.requests()[0].body));
    queue.execute("UPDATE deliveries SET body_hash = body_hash + 1", []).unwrap();
    drop(queue);
    receiver.set(reply(200).body("ok"));
    rig.start_worker();
    eventually("it is delivered", || rig.counts("soc").delivered == 1);
    let requests = receiver.requests();
    assert_eq!(requests.last().unwrap().body, requests[0].body);
    let detail: String =
        rig.database("queue.db").query_row("SELECT detail FROM deliveries", [], |row| row.get(0)).unwrap();
    assert!(detail.contains("this version of decnet renders the body differently"), "{detail}");
}

/// Plays Splunk with indexer acknowledgement.
fn splunk(is_indexed: bool) -> Script {
    Script::by(move |request| {
        let is_poll = request.path.starts_with("/services/collector/ack?channel=");
        let body = if is_poll {
            json!({"acks": {"7": is_indexed}})
        } else {
            json!({"text": "Success", "code": 0, "ackId": 7})
        };
        reply(200).body(body.to_string()).into()
    })
}

#[test]
fn delivery_waits_for_its_acknowledgement() {
    let receiver = Receiver::start(splunk(false));
    let format = r#"{"format": {"name": "splunk-hec", "options": {"ack": "true"}}, "timeout": "500ms"}"#;
    let mut rig = running(&receiver, format);
    rig.publish("a.b", &json!({"n": 1}));
    eventually("it is retried", || rig.counts("soc").retrying == 1);
    assert_eq!(rig.counts("soc").delivered, 0);
    receiver.set(splunk(true));
    eventually("it is delivered", || rig.counts("soc").delivered == 1);
    let id = rig.deliveries()[0].id;
    let attempts = rig.reader().get(id).unwrap().unwrap().attempts;
    assert_eq!(attempts[0].reason, Some(Reason::Timeout));
    assert!(attempts[0].detail.as_deref().unwrap().starts_with("accepted, but not acknowledged"));
    let ids: Vec<String> =
        receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
