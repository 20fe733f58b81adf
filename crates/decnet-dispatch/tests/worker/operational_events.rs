//! Operational events of the worker are delivered to their subscriptions and cause no further ones.

use std::time::Duration;

use decnet_testkit::{Receiver, Request, Script, Step, reply};
use serde_json::{Value, json};

use crate::rig::{Rig, arrive, eventually};

/// Returns topic and payload of each event that a receiver has received.
fn events(receiver: &Receiver) -> Vec<(String, Value)> {
    let read = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap();
        (body["topic"].as_str().unwrap().to_owned(), body["payload"].clone())
    };
    receiver.requests().iter().map(|request| read(&request.body)).collect()
}

fn topics(receiver: &Receiver) -> Vec<String> {
    events(receiver).into_iter().map(|(topic, _)| topic).collect()
}

#[test]
fn trip_and_recovery_are_reported() {
    let (siem, pager) = (Receiver::start(reply(500)), Receiver::start(reply(200)));
    let mut rig =
        Rig::running(&[("siem", &siem.url("/"), "a.>"), ("pager", &pager.url("/"), "system.webhook.>")]);
    let mut watcher = rig.watch("system.webhook.tripped");
    rig.publish_numbered("a.b", 8);
    let message = rig.next(&mut watcher);
    assert_eq!(message.topic, "system.webhook.tripped");
    eventually("the trip is reported", || {
        topics(&pager).iter().any(|topic| topic == "system.webhook.tripped")
    });
    siem.set(reply(200));
    eventually("the recovery is reported", || {
        topics(&pager).iter().any(|topic| topic == "system.webhook.recovered")
    });
    let (_, payload) = events(&pager).into_iter().find(|(topic, _)| topic.ends_with("tripped")).unwrap();
    assert_eq!(
        (&payload["subscription"]["name"], &payload["reason"]),
        (&"siem".into(), &"server_error".into())
    );
    assert_eq!(payload["gone"], false);
    let text = payload.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains(crate::rig::SECRET), "{text}");
}

#[test]
fn dead_letters_are_reported_at_once_and_then_summarised() {
    let (siem, pager) = (Receiver::start(reply(404)), Receiver::start(reply(200)));
    let mut rig = Rig::running_with(
        &[("siem", &siem.url("/"), "a.>"), ("pager", &pager.url("/"), "system.webhook.dead")],
        |options| options.circuit_threshold = 1000,
    );
    rig.publish_numbered("a.b", 30);
    arrive(&pager, 1);
    eventually("all are dead", || rig.counts("siem").dead == 30);
    let (_, payload) = events(&pager).remove(0);
    assert_eq!((&payload["count"], &payload["reason"]), (&1.into(), &"refused".into()));
    assert_eq!(payload["event"]["topic"], "a.b");
    rig.stop_worker();
    assert_eq!(rig.stats.operational_events.get(), 2, "the others are reported after a minute or at the end");
    rig.start_worker();
    arrive(&pager, 2);
    assert_eq!(events(&pager)[1].1["count"], 29);
}

#[test]
fn backlog_is_reported_at_half_and_full_threshold() {
    let (siem, pager) = (Receiver::start(reply(500)), Receiver::start(reply(200)));
    let mut rig = Rig::running_with(
        &[("siem", &siem.url("/"), "a.>"), ("pager", &pager.url("/"), "system.webhook.backlog")],
        |options| options.backlog_threshold = 20,
    );
    rig.publish_numbered("a.b", 40);
    arrive(&pager, 2);
    let mut levels: Vec<String> =
        events(&pager).iter().map(|(_, payload)| payload["level"].as_str().unwrap().to_owned()).collect();
    levels.sort();
    assert_eq!(levels, ["full", "half"]);
}

/// Each of two subscriptions gets the operational events about the other.
#[test]
fn failures_of_operational_events_are_not_reported() {
    let (first, second) = (Receiver::start(reply(404)), Receiver::start(reply(404)));
    let mut rig = Rig::running(&[
        ("first", &first.url("/"), "system.webhook.dead"),
        ("second", &second.url("/"), "system.webhook.dead"),
        ("third", &second.url("/"), "a.>"),
    ]);
    rig.publish_numbered("a.b", 1);
    eventually("both have failed to receive the report", || {
        rig.counts("first").dead == 1 && rig.counts("second").dead == 1
    });
    rig.stop_worker();
    assert_eq!((rig.stats.operational_events.get(), first.count(), second.count()), (1, 1, 2));
}

/// Otherwise anyone who may publish could hide that a receiver fails.
#[test]
fn forged_operational_events_do_not_hide_failures() {
    let (siem, pager) = (Receiver::start(reply(404)), Receiver::start(reply(200)));
    let mut rig = Rig::running_with(
        &[
            ("siem", &siem.url("/"), "system.webhook.dead"),
            ("pager", &pager.url("/"), "system.webhook.tripped"),
        ],
        |options| options.circuit_threshold = 3,
    );
    rig.publish_numbered("system.webhook.dead", 3);
    arrive(&pager, 1);
    assert_eq!(events(&pager)[0].1["subscription"]["name"], "siem");
    eventually("the trip and the first dead letter are reported", || rig.stats.operational_events.get() == 2);
}

/// An operational event fails after a restart, from the queue.
#[test]
fn operational_events_are_recognised_after_restart() {
    let (siem, pager) = (Receiver::start(reply(404)), Receiver::start(reply(503)));
    let mut rig = Rig::running_with(
        &[
            ("siem", &siem.url("/"), "a.>"),
            ("pager", &pager.url("/"), "system.webhook.dead"),
            ("all", &siem.url("/"), "system.webhook.>"),
        ],
        |options| options.circuit_threshold = 1000,
    );
    rig.publish_numbered("a.b", 1);
    arrive(&pager, 1);
    rig.stop_worker();
    pager.set(reply(404));
    rig.start_worker();
    eventually("the operational event is dead", || rig.counts("pager").dead == 1);
    rig.stop_worker();
    assert_eq!(rig.stats.operational_events.get(), 0);
}

/// The last failure before the pause is of an operational event, the one that trips is not.
#[test]
fn trip_of_a_paused_subscription_is_reported() {
    let hang_or_reject = |request: &Request| match request.header("x-decnet-event-topic") {
        "a.b" => Step::Hang,
        _ => reply(404).into(),
    };
    let (siem, other) = (Receiver::start(Script::by(hang_or_reject)), Receiver::start(reply(404)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 2;
    rig.options.schedule = "none".parse().unwrap();
    rig.options.sender.deadline = Duration::from_secs(60);
    rig.subscribe("siem", &siem.url("/"), &["a.b", "system.webhook.dead"]);
    rig.subscribe("other", &other.url("/"), &["a.c"]);
    rig.start();
    let mut watcher = rig.watch("system.webhook.tripped");
    rig.publish("a.b", &json!({}));
    arrive(&siem, 1);
    rig.publish("a.c", &json!({}));
    eventually("the operational event is rejected", || rig.counts("siem").dead == 1);
    rig.set_paused("siem", true);
    rig.reload();
    siem.hang_up();
    let event: Value = serde_json::from_slice(&rig.next(&mut watcher).body).unwrap();
    assert_eq!(event["payload"]["subscription"]["name"], "siem");
}
