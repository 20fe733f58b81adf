//! Start, stop and restart, with and without a bus.

use std::collections::BTreeSet;
use std::time::Duration;

use decnet_bus::{Client, Users};
use decnet_testkit::{Receiver, Step, reply};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

#[test]
fn admitted_events_are_delivered_after_restart_without_bus() {
    let receiver = Receiver::start(reply(503));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.circuit_threshold = 1000);
    rig.publish_numbered("a.b", 300);
    eventually("all are admitted", || rig.stats.admitted.get() == 300);
    rig.stop_worker();
    rig.stop_bus();
    receiver.set(reply(200));
    rig.launch_worker();
    eventually("all are delivered", || rig.counts("siem").delivered == 300);
}

#[test]
fn worker_reconnects_when_the_bus_restarts() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    rig.launch_worker();
    for n in 0..3 {
        rig.start_bus();
        // An event is lost until the worker has reconnected, so the test repeats it.
        eventually("the worker has reconnected", || {
            rig.publish("a.b", &json!({ "n": n }));
            numbers(&receiver).contains(&n)
        });
        rig.stop_bus();
    }
}

#[test]
fn in_flight_requests_are_recorded_before_shutdown() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(500)));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("all are in flight", || receiver.count() == 10);
    rig.stop_worker();
    assert_eq!(rig.counts("siem").delivered, 10);
    assert!(rig.row("siem").last_success_at.is_some());
}

#[test]
fn request_exceeding_the_grace_period_is_resent_after_restart() {
    let receiver = Receiver::start(Step::Hang);
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.shutdown_grace = Duration::from_millis(100);
        options.sender.deadline = PATIENCE * 10;
    });
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&receiver, 1);
    rig.stop_worker();
    receiver.set(reply(200));
    rig.start_worker();
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
    assert_eq!(numbers(&receiver), [1, 1]);
}

#[test]
fn only_the_stop_action_stops_the_worker() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "system.>")]);
    for ignored in [json!({}), json!({"action": "dance"}), json!({"action": ["stop"]})] {
        rig.publish("system.webhook.control", &ignored);
    }
    arrive(&receiver, 3);
    assert!(rig.worker.is_some(), "control messages are also routed");
    rig.publish("system.webhook.control", &json!({"action": "stop", "requested_by": "a test"}));
    rig.worker.take().unwrap().join();
}

#[test]
fn heartbeat_contains_worker_name_and_time() {
    let mut rig = Rig::new();
    rig.options.heartbeat_interval = Duration::from_millis(50);
    rig.start_bus();
    let mut watcher = rig.watch("system.webhook.health");
    rig.launch_worker();
    for _ in 0..3 {
        let message = rig.next(&mut watcher);
        let event: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(event["type"], "health");
        assert_eq!(event["payload"]["worker"], "webhook");
        assert!(event["payload"]["ts"].as_f64().is_some_and(|ts| ts > 1.7e9));
    }
}

/// Returns state and error of the next heartbeat.
fn heartbeat(rig: &Rig, watcher: &mut Client) -> (String, Value) {
    let event: Value = serde_json::from_slice(&rig.next(watcher).body).unwrap();
    let payload = &event["payload"];
    (payload["state"].as_str().unwrap().to_owned(), payload["error"].clone())
}

#[test]
fn worker_without_lossless_queue_is_degraded() {
    let mut rig = Rig::new();
    rig.options.heartbeat_interval = Duration::from_millis(50);
    rig.users = Users { trusted: BTreeSet::new(), lossless: BTreeSet::new() };
    rig.start_bus();
    let mut watcher = rig.watch("system.webhook.health");
    rig.launch_worker();
    eventually("the bus refuses a lossless queue", || rig.stats.bus_refusal().is_some());
    let (reason, _) = rig.stats.bus_refusal().unwrap();
    assert!(reason.contains("may not have a lossless queue"), "{reason}");
    let (mut state, mut error) = heartbeat(&rig, &mut watcher);
    while state == "ok" {
        (state, error) = heartbeat(&rig, &mut watcher);
    }
    assert_eq!(state, "degraded");
    assert!(error.as_str().unwrap().ends_with(&*reason), "{error}");
    rig.stop_bus();
    rig.users = Users::default();
    rig.start_bus();
    let mut watcher = rig.watch("system.webhook.health");
    assert_eq!(heartbeat(&rig, &mut watcher), ("ok".to_owned(), Value::Null));
    eventually("the refusal is cleared", || rig.stats.bus_refusal().is_none());
}

#[test]
fn heartbeats_of_the_worker_are_not_routed() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.heartbeat_interval = Duration::from_millis(20);
    rig.subscribe("siem", &receiver.url("/"), &["system.webhook.>"]);
    rig.start_bus();
    let mut watcher = rig.watch("system.webhook.health");
    rig.start_worker();
    for _ in 0..5 {
        rig.next(&mut watcher);
    }
    rig.publish("system.webhook.other", &json!({"n": 1}));
    arrive(&receiver, 1);
    assert_eq!(numbers(&receiver), [1]);
    assert_eq!(receiver.count(), 1, "own heartbeats are not delivered");
}

#[test]
fn worker_stops_while_the_queue_is_locked_and_intake_is_full() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.shutdown_grace = Duration::from_millis(100);
    });
    let file = rig.database("queue.db");
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    let big = "x".repeat(1_000_000);
    for n in 0..80 {
        rig.publish("a.b", &json!({"n": n, "big": big}));
    }
    eventually("intake is full", || rig.stats.received.get() >= 64);
    let worker = rig.worker.take().unwrap();
    let (sender, stopped) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        worker.stop();
        sender.send(())
    });
    assert!(stopped.recv_timeout(Duration::from_secs(60)).is_ok(), "the worker does not stop");
}
