//! Every matching event is delivered to every subscription, signed, once.

use std::collections::HashSet;
use std::sync::Mutex;

use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_store::queue::Filter;
use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, SECRET, arrive, eventually, is_recent, numbers, send};

#[test]
fn matching_event_is_delivered_once_and_signed() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/in"), &["attacker.>", "attacker.*", "attacker.observed"]);
    rig.start();
    rig.publish("decky.1.state", &json!({"n": 0}));
    rig.publish("attacker.observed", &json!({"n": 1}));
    rig.publish("attacker.scored", &json!({"n": 2}));
    let requests = receiver.wait_for(2, PATIENCE);
    eventually("both are settled", || rig.counts("siem").delivered == 2);
    assert_eq!(numbers(&receiver), [1, 2], "each event once, regardless of the number of matching patterns");

    let (key, request) = (SigningKey::new(&Secret::new(SECRET)), &requests[0]);
    assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")));
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
    assert!(key.verify_standard(id, at, &request.body, request.header("webhook-signature")));
    assert_eq!(request.header("x-decnet-event-topic"), "attacker.observed");
    assert_eq!(request.header("x-decnet-event-id"), id);

    eventually("the row has the success", || is_recent(rig.row("siem").last_success_at));
    assert_eq!(rig.row("siem").consecutive_failures, 0);
}

#[test]
fn retry_has_the_same_body_and_id() {
    let script = Script::steps([
        reply(503).into(),
        Step::Close("HTTP/1.1 200 OK\r\ncontent-le".into()),
        reply(429).retry_after("0").into(),
        reply(200).into(),
    ]);
    let receiver = Receiver::start(script);
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish("a.b", &json!({"n": 1}));
    let requests = receiver.wait_for(4, PATIENCE);
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
    assert!(requests.iter().all(|request| request.body == requests[0].body));
    assert!(requests.iter().all(|request| request.header("webhook-id") == requests[0].header("webhook-id")));
    assert_eq!(rig.stats.retried.get(), 3);
}

#[test]
fn rejected_event_does_not_block_the_next_one() {
    let receiver = Receiver::start(Script::steps([reply(404).into(), reply(302).into(), reply(200).into()]));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    for n in 0..3 {
        rig.publish("a.b", &json!({ "n": n }));
        arrive(&receiver, n + 1);
    }
    eventually("all are settled", || rig.counts("siem").delivered == 1 && rig.counts("siem").dead == 2);
    assert_eq!(receiver.count(), 3, "neither rejection nor redirect is retried");
}

#[test]
fn burst_exceeding_memory_is_delivered_in_order() {
    const EVENTS: u64 = 5000;
    let receiver = Receiver::start(reply(200));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.concurrency = 1);
    rig.publish_numbered("a.b", EVENTS);
    arrive(&receiver, EVENTS);
    eventually("all are settled", || rig.counts("siem").delivered == EVENTS);
    let expected: Vec<u64> = (0..EVENTS).collect();
    assert_eq!(numbers(&receiver), expected);
}

#[test]
fn malformed_message_does_not_affect_the_next_event() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    let mut worker = rig.launch_with_fake_bus();
    for body in ["[1]", "nonsense", r#"{"payload":{"n":7}}"#] {
        send(&mut worker, "a.b", body);
    }
    arrive(&receiver, 1);
    assert_eq!(numbers(&receiver), [7]);
    assert_eq!(rig.stats.malformed.get(), 2);
}

/// Returns a script that replies once on each connection and closes it at the second request.
fn closes_at_second_request() -> Script {
    let served = Mutex::new(HashSet::new());
    Script::by(move |request| match served.lock().unwrap().insert(request.connection) {
        true => reply(200).into(),
        false => Step::Close("".into()),
    })
}

#[test]
fn closed_idle_connection_uses_no_attempt() {
    const EVENTS: u64 = 50;
    for ordered in [false, true] {
        let receiver = Receiver::start(closes_at_second_request());
        let mut rig = Rig::new();
        // Every failure is final.
        rig.options.schedule = "none".parse().unwrap();
        rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
        rig.set("siem", &format!(r#"{{"ordered": {ordered}}}"#));
        rig.start();
        rig.publish_numbered("a.b", EVENTS);
        eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
        rig.stop_worker();
        let repeats = rig.stats.repeats.get();
        assert!(repeats > 0 && receiver.count() == EVENTS + repeats, "{repeats}, {}", receiver.count());
        let reader = rig.reader();
        let listed = reader.list(&Filter::default()).unwrap();
        let of_siem = listed.iter().filter(|listed| &*listed.subscription_name == "siem");
        let attempts: Vec<_> =
            of_siem.flat_map(|listed| reader.get(listed.id).unwrap().unwrap().attempts).collect();
        assert_eq!(attempts.len() as u64, EVENTS, "each event used one attempt");
        assert_eq!(attempts.iter().map(|attempt| u64::from(attempt.repeats)).sum::<u64>(), repeats);
        assert!(!ordered || numbers(&receiver).is_sorted());
    }
}

#[test]
fn delivered_attempt_keeps_its_detail() {
    let receiver = Receiver::start(Step::Close("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok".into()));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish("a.b", &json!({}));
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
    rig.stop_worker();
    let reader = rig.reader();
    let id = reader.list(&Filter::default()).unwrap()[0].id;
    let attempts = reader.get(id).unwrap().unwrap().attempts;
    let detail = "HTTP 200 OK; the connection was lost within its body";
    assert_eq!((attempts[0].detail.as_deref(), attempts[0].reason), (Some(detail), None));
}
