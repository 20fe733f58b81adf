//! Start, stop, restart, with and without a bus.

use std::collections::BTreeSet;
use std::time::Duration;

use decnet_bus::{Client, Users};
use decnet_testkit::{Receiver, Step, reply};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

#[test]
fn what_was_admitted_goes_on_after_a_restart_even_without_a_bus() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 300);
    eventually("all are admitted", || rig.stats.admitted.get() == 300);
    rig.stop_worker();
    rig.stop_bus();
    receiver.set(reply(200));
    rig.launch_worker();
    eventually("all is delivered", || rig.counts("siem").delivered == 300);
    rig.stop_worker();
}

#[test]
fn the_worker_waits_for_the_bus_and_survives_its_restart() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.launch_worker();
    for n in 0..3 {
        rig.start_bus();
        // The worker comes back by itself; until it has, an event is gone, so the test repeats it.
        eventually("the worker listens again", || {
            rig.publish("a.b", &json!({ "n": n }));
            numbers(&receiver).contains(&n)
        });
        rig.stop_bus();
    }
    rig.stop_worker();
}

#[test]
fn requests_in_flight_are_finished_and_recorded_before_the_end() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(500)));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("all are in flight", || receiver.count() == 10);
    rig.stop_worker();
    assert_eq!(rig.counts("siem").delivered, 10);
    assert!(rig.row("siem").last_success_at.is_some());
}

#[test]
fn a_request_that_outlasts_the_grace_is_sent_again_after_the_next_start() {
    let receiver = Receiver::start(Step::Hang);
    let mut rig = Rig::new();
    rig.options.shutdown_grace = Duration::from_millis(100);
    rig.options.sender.deadline = PATIENCE * 10;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&receiver, 1);
    rig.stop_worker();
    receiver.set(reply(200));
    rig.start_worker();
    eventually("it is delivered", || rig.counts("siem").delivered == 1);
    assert_eq!(numbers(&receiver), [1, 1]);
    rig.stop_worker();
}

#[test]
fn a_stop_on_the_bus_stops_and_anything_else_does_not() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "system.>")]);
    for ignored in [json!({}), json!({"action": "dance"}), json!({"action": ["stop"]})] {
        rig.publish("system.webhook.control", &ignored);
    }
    arrive(&receiver, 3);
    assert!(rig.worker.is_some(), "and its messages are events like others");
    rig.publish("system.webhook.control", &json!({"action": "stop", "requested_by": "a test"}));
    rig.worker.take().unwrap().join();
}

#[test]
fn heartbeats_say_who_and_when() {
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
    rig.stop_worker();
}

/// State and error of the next heartbeat.
fn heartbeat(rig: &Rig, watcher: &mut Client) -> (String, Value) {
    let event: Value = serde_json::from_slice(&rig.next(watcher).body).unwrap();
    let payload = &event["payload"];
    (payload["state"].as_str().unwrap().to_owned(), payload["error"].clone())
}

#[test]
fn a_worker_without_a_lossless_queue_is_degraded() {
    let mut rig = Rig::new();
    rig.options.heartbeat_interval = Duration::from_millis(50);
    rig.users = Users { trusted: BTreeSet::new(), lossless: BTreeSet::new() };
    rig.start_bus();
    let mut watcher = rig.watch("system.webhook.health");
    rig.launch_worker();
    eventually("the bus refuses", || rig.stats.bus_refusal().is_some());
    let (why, _) = rig.stats.bus_refusal().unwrap();
    assert!(why.contains("may not have a lossless queue"), "{why}");
    let (mut state, mut error) = heartbeat(&rig, &mut watcher);
    while state == "ok" {
        (state, error) = heartbeat(&rig, &mut watcher);
    }
    assert_eq!(state, "degraded");
    assert!(error.as_str().unwrap().ends_with(&*why), "{error}");
    rig.stop_bus();
    rig.users = Users::default();
    rig.start_bus();
    let mut watcher = rig.watch("system.webhook.health");
    assert_eq!(heartbeat(&rig, &mut watcher), ("ok".to_owned(), Value::Null));
    eventually("that is over", || rig.stats.bus_refusal().is_none());
    rig.stop_worker();
}

#[test]
fn the_workers_own_events_do_not_feed_itself() {
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
    assert_eq!(receiver.count(), 1, "no heartbeat of its own came back to it");
    rig.stop_worker();
}

#[test]
fn it_stops_though_the_disk_takes_nothing_and_intake_is_full() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.shutdown_grace = Duration::from_millis(100);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    let file = rusqlite::Connection::open(rig.dir.path().join("queue.db")).unwrap();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    let big = "x".repeat(1_000_000);
    for n in 0..80 {
        rig.publish("a.b", &json!({"n": n, "big": big}));
    }
    eventually("intake is full", || rig.stats.received.get() >= 64);
    let worker = rig.worker.take().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        worker.stop();
        let _ = tell.send(());
    });
    assert!(told.recv_timeout(Duration::from_secs(60)).is_ok(), "it hangs");
}
