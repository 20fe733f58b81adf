//! A failing subscription does not affect the others.

use std::time::Duration;

use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

#[test]
fn hanging_receiver_uses_only_its_own_slots() {
    const EVENTS: u64 = 500;
    let (healthy, hanging) = (Receiver::start(reply(200)), Receiver::start(Step::Hang));
    let mut rig =
        Rig::running(&[("healthy", &healthy.url("/"), "a.>"), ("hanging", &hanging.url("/"), "a.>")]);
    rig.publish_numbered("a.b", EVENTS);
    arrive(&healthy, EVENTS);
    assert!(hanging.count() <= 10, "{} concurrent requests hang", hanging.count());
    eventually("all are settled", || rig.counts("healthy").delivered == EVENTS);
}

#[test]
fn hanging_receivers_do_not_starve_a_healthy_one() {
    const EVENTS: u64 = 100;
    let healthy = Receiver::start(reply(200));
    let hanging: Vec<Receiver> = (0..12).map(|_| Receiver::start(Step::Hang)).collect();
    let mut rig = Rig::new();
    rig.options.total_concurrency = 16;
    // No request times out during the test, so hanging requests keep their slots.
    rig.options.sender.deadline = PATIENCE;
    rig.options.shutdown_grace = Duration::ZERO;
    rig.subscribe("healthy", &healthy.url("/"), &["healthy.>", "all.>"]);
    for (n, receiver) in hanging.iter().enumerate() {
        rig.subscribe(&format!("hanging-{n}"), &receiver.url("/"), &["all.>"]);
    }
    rig.start();
    rig.publish("healthy.first", &json!({"n": 0}));
    arrive(&healthy, 1);
    eventually("the healthy receiver is proven", || rig.stats.delivered.get() == 1);
    rig.publish_numbered("all.b", EVENTS);
    arrive(&healthy, 1 + EVENTS);
    let hanging_requests: u64 = hanging.iter().map(Receiver::count).sum();
    assert_eq!(hanging_requests, 8, "half of the slots");
}

#[test]
fn pending_retry_uses_no_slot() {
    let fails_first = Script::by(|request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if body["payload"]["n"] == 0 { reply(503).into() } else { reply(200).into() }
    });
    let receiver = Receiver::start(fails_first);
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.concurrency = 1;
        options.schedule = "1h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 50);
    arrive(&receiver, 50);
    assert_eq!(numbers(&receiver), (0..50).collect::<Vec<u64>>());
    eventually("one retry waits", || rig.counts("siem").retrying == 1 && rig.counts("siem").delivered == 49);
}

#[test]
fn busy_lanes_leave_slots_for_a_new_one() {
    let busy: Vec<Receiver> =
        (0..2).map(|_| Receiver::start(reply(200).delay(Duration::from_millis(10)))).collect();
    let new = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.total_concurrency = 4;
    for (n, receiver) in busy.iter().enumerate() {
        rig.subscribe(&format!("busy-{n}"), &receiver.url("/"), &["busy.>"]);
    }
    rig.subscribe("new", &new.url("/"), &["new.>"]);
    rig.start();
    rig.publish("busy.first", &json!({"n": 0}));
    eventually("the receivers are proven", || rig.stats.delivered.get() == 2);
    rig.publish_numbered("busy.b", 500);
    arrive(&busy[0], 50);
    rig.publish("new.a", &json!({"n": 0}));
    arrive(&new, 1);
    let done: u64 = busy.iter().map(Receiver::count).sum();
    assert!(done < 600, "{done} of 1002 requests preceded it");
}
