//! What the worker tells of its deliveries reaches whoever asks for it, and never goes round in circles.

use std::sync::Arc;
use std::time::Duration;

use decnet_store::catalog::Patch;
use decnet_testkit::{Receiver, Request, Script, Step, reply};
use serde_json::{Value, json};

use crate::rig::{Rig, arrive, eventually};

/// Topic and payload of each event that a receiver got.
fn told(receiver: &Receiver) -> Vec<(String, Value)> {
    let read = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap();
        (body["topic"].as_str().unwrap().to_owned(), body["payload"].clone())
    };
    receiver.requests().iter().map(|request| read(&request.body)).collect()
}

fn topics(receiver: &Receiver) -> Vec<String> {
    told(receiver).into_iter().map(|(topic, _)| topic).collect()
}

#[test]
fn a_trip_and_its_end_are_told_on_the_bus_and_to_subscriptions() {
    let (siem, pager) = (Receiver::start(reply(500)), Receiver::start(reply(200)));
    let mut rig =
        Rig::running(&[("siem", &siem.url("/"), "a.>"), ("pager", &pager.url("/"), "system.webhook.>")]);
    let mut watcher = rig.watch("system.webhook.tripped");
    rig.publish_numbered("a.b", 8);
    let seen = rig.next(&mut watcher);
    assert_eq!(seen.topic, "system.webhook.tripped");
    eventually("the trip is told", || topics(&pager).iter().any(|topic| topic == "system.webhook.tripped"));
    siem.set(reply(200));
    eventually("its end is told", || topics(&pager).iter().any(|topic| topic == "system.webhook.recovered"));
    let (_, payload) = told(&pager).into_iter().find(|(topic, _)| topic.ends_with("tripped")).unwrap();
    assert_eq!(
        (&payload["subscription"]["name"], &payload["reason"]),
        (&"siem".into(), &"server_error".into())
    );
    assert_eq!(payload["gone"], false);
    let text = payload.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains(crate::rig::SECRET), "{text}");
    rig.stop_worker();
}

#[test]
fn deaths_are_told_at_once_and_then_counted() {
    let (siem, pager) = (Receiver::start(reply(404)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &siem.url("/"), &["a.>"]);
    rig.subscribe("pager", &pager.url("/"), &["system.webhook.dead"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 30);
    arrive(&pager, 1);
    eventually("all are dead", || rig.counts("siem").dead == 30);
    let (_, payload) = told(&pager).remove(0);
    assert_eq!((&payload["count"], &payload["reason"]), (&1.into(), &"refused".into()));
    assert_eq!(payload["event"]["topic"], "a.b");
    let stats = Arc::clone(&rig.stats);
    rig.stop_worker();
    assert_eq!(stats.own_events.get(), 2, "the others wait for the end of the minute, or of the worker");
    rig.start_worker();
    arrive(&pager, 2);
    assert_eq!(told(&pager)[1].1["count"], 29);
    rig.stop_worker();
}

#[test]
fn a_backlog_is_told_at_half_and_at_all_of_the_threshold() {
    let (siem, pager) = (Receiver::start(reply(500)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.options.backlog_threshold = 20;
    rig.subscribe("siem", &siem.url("/"), &["a.>"]);
    rig.subscribe("pager", &pager.url("/"), &["system.webhook.backlog"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 40);
    arrive(&pager, 2);
    let mut levels: Vec<String> =
        told(&pager).iter().map(|(_, payload)| payload["level"].as_str().unwrap().to_owned()).collect();
    levels.sort();
    assert_eq!(levels, ["full", "half"]);
    rig.stop_worker();
}

/// Both are sent every event about the other; neither ever gets one.
#[test]
fn trouble_with_such_events_is_told_to_nobody() {
    let (first, second) = (Receiver::start(reply(404)), Receiver::start(reply(404)));
    let mut rig = Rig::running(&[
        ("first", &first.url("/"), "system.webhook.dead"),
        ("second", &second.url("/"), "system.webhook.dead"),
        ("third", &second.url("/"), "a.>"),
    ]);
    rig.publish_numbered("a.b", 1);
    eventually("the death is told to both", || {
        rig.counts("first").dead == 1 && rig.counts("second").dead == 1
    });
    let stats = Arc::clone(&rig.stats);
    rig.stop_worker();
    assert_eq!((stats.own_events.get(), first.count(), second.count()), (1, 1, 2));
}

/// Whoever may publish could otherwise hide that a receiver fails.
#[test]
fn forged_operational_events_do_not_hide_trouble() {
    let (siem, pager) = (Receiver::start(reply(404)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 3;
    rig.subscribe("siem", &siem.url("/"), &["system.webhook.dead"]);
    rig.subscribe("pager", &pager.url("/"), &["system.webhook.tripped"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("system.webhook.dead", 3);
    arrive(&pager, 1);
    assert_eq!(told(&pager)[0].1["subscription"]["name"], "siem");
    eventually("the trip and the first death are told", || rig.stats.own_events.get() == 2);
    rig.stop_worker();
}

/// One waits in the queue while another worker starts, and fails then.
#[test]
fn operational_events_are_known_after_a_restart() {
    let (siem, pager) = (Receiver::start(reply(404)), Receiver::start(reply(503)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &siem.url("/"), &["a.>"]);
    rig.subscribe("pager", &pager.url("/"), &["system.webhook.dead"]);
    rig.subscribe("all", &siem.url("/"), &["system.webhook.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 1);
    arrive(&pager, 1);
    rig.stop_worker();
    pager.set(reply(404));
    rig.start_worker();
    eventually("it is given up", || rig.counts("pager").dead == 1);
    let stats = Arc::clone(&rig.stats);
    rig.stop_worker();
    assert_eq!(stats.own_events.get(), 0);
}

/// The last failure before the pause is of such an event, and what trips it is not.
#[test]
fn a_trip_while_a_subscription_is_paused_is_told() {
    let refuse_all_but_one = |request: &Request| match request.header("x-decnet-event-topic") {
        "a.b" => Step::Hang,
        _ => reply(404).into(),
    };
    let (siem, other) = (Receiver::start(Script::by(refuse_all_but_one)), Receiver::start(reply(404)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 2;
    rig.options.schedule = "none".parse().unwrap();
    rig.options.sender.deadline = Duration::from_secs(60);
    rig.subscribe("siem", &siem.url("/"), &["a.b", "system.webhook.dead"]);
    rig.subscribe("other", &other.url("/"), &["a.c"]);
    rig.start_bus();
    rig.start_worker();
    let mut watcher = rig.watch("system.webhook.tripped");
    rig.publish("a.b", &json!({}));
    arrive(&siem, 1);
    rig.publish("a.c", &json!({}));
    eventually("it has refused what is told of the other", || rig.counts("siem").dead == 1);
    rig.patch("siem", &Patch { paused: Some(true), ..Patch::default() });
    rig.reload();
    siem.hang_up();
    let seen: Value = serde_json::from_slice(&rig.next(&mut watcher).body).unwrap();
    assert_eq!(seen["payload"]["subscription"]["name"], "siem");
    rig.stop_worker();
}
