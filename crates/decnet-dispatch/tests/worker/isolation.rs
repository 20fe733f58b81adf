//! One subscription's trouble costs the others nothing.

use std::time::Duration;

use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

#[test]
fn a_hanging_receiver_holds_only_its_own_slots() {
    const EVENTS: u64 = 500;
    let (healthy, hanging) = (Receiver::start(reply(200)), Receiver::start(Step::Hang));
    let mut rig =
        Rig::running(&[("healthy", &healthy.url("/"), "a.>"), ("hanging", &hanging.url("/"), "a.>")]);
    rig.publish_numbered("a.b", EVENTS);
    arrive(&healthy, EVENTS);
    assert!(hanging.count() <= 10, "{} requests hang at once", hanging.count());
    eventually("all are settled", || rig.counts("healthy").delivered == EVENTS);
    rig.stop_worker();
}

#[test]
fn more_hanging_receivers_than_slots_do_not_starve_a_healthy_one() {
    const EVENTS: u64 = 100;
    let healthy = Receiver::start(reply(200));
    let hanging: Vec<Receiver> = (0..12).map(|_| Receiver::start(Step::Hang)).collect();
    let mut rig = Rig::new();
    rig.options.total_concurrency = 16;
    // Nothing times out while the healthy one is served: the slots of the others are not given back.
    rig.options.sender.deadline = PATIENCE;
    rig.options.shutdown_grace = Duration::ZERO;
    rig.subscribe("healthy", &healthy.url("/"), &["healthy.>", "all.>"]);
    for (n, receiver) in hanging.iter().enumerate() {
        rig.subscribe(&format!("hanging-{n}"), &receiver.url("/"), &["all.>"]);
    }
    rig.start_bus();
    rig.start_worker();
    rig.publish("healthy.first", &json!({"n": 0}));
    arrive(&healthy, 1);
    eventually("the healthy one has proven itself", || rig.stats.delivered.get() == 1);
    rig.publish_numbered("all.b", EVENTS);
    arrive(&healthy, 1 + EVENTS);
    let held: u64 = hanging.iter().map(Receiver::count).sum();
    assert_eq!(held, 8, "half of the slots, and no more");
    rig.stop_worker();
}

#[test]
fn a_waiting_retry_holds_no_slot() {
    let fail_first = Script::by(|request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if body["payload"]["n"] == 0 { reply(503).into() } else { reply(200).into() }
    });
    let receiver = Receiver::start(fail_first);
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.options.schedule = "1h".parse().unwrap();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 50);
    arrive(&receiver, 50);
    assert_eq!(numbers(&receiver), (0..50).collect::<Vec<u64>>());
    eventually("one retry waits", || rig.counts("siem").retrying == 1 && rig.counts("siem").delivered == 49);
    rig.stop_worker();
}

#[test]
fn busy_lanes_leave_room_for_a_new_one() {
    let busy: Vec<Receiver> =
        (0..2).map(|_| Receiver::start(reply(200).delay(Duration::from_millis(10)))).collect();
    let new = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.total_concurrency = 4;
    for (n, receiver) in busy.iter().enumerate() {
        rig.subscribe(&format!("busy-{n}"), &receiver.url("/"), &["busy.>"]);
    }
    rig.subscribe("new", &new.url("/"), &["new.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish("busy.first", &json!({"n": 0}));
    eventually("they have proven themselves", || rig.stats.delivered.get() == 2);
    rig.publish_numbered("busy.b", 500);
    arrive(&busy[0], 50);
    rig.publish("new.a", &json!({"n": 0}));
    arrive(&new, 1);
    let done: u64 = busy.iter().map(Receiver::count).sum();
    assert!(done < 600, "{done} of 1002 went before it");
    rig.stop_worker();
}
