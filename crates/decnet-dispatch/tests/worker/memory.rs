//! Memory is bounded over all subscriptions, and full memory does not stop healthy ones.

use std::time::Duration;

use decnet_testkit::{Receiver, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, arrive, eventually};

const EVENTS: u64 = 300;

/// Starts a worker with one healthy subscription and enough hanging ones to fill its memory.
fn crowded(healthy: &Receiver, hanging: &Receiver) -> Rig {
    let mut rig = Rig::new();
    rig.options.sender.deadline = PATIENCE * 10;
    rig.options.shutdown_grace = Duration::ZERO;
    rig.subscribe("healthy", &healthy.url("/"), &["healthy.>"]);
    for n in 0..300 {
        rig.subscribe(&format!("hanging-{n}"), &hanging.url("/"), &["all.>"]);
    }
    rig.start();
    rig.publish("healthy.a", &json!({"n": 0}));
    arrive(healthy, 1);
    rig.publish_numbered("all.b", EVENTS);
    eventually("all are admitted", || rig.stats.admitted.get() == EVENTS + 1);
    eventually("memory is full", || rig.stats.held.get() >= 65_536);
    rig
}

#[test]
fn healthy_lane_continues_while_others_fill_memory() {
    let (healthy, hanging) = (Receiver::start(reply(200)), Receiver::start(Step::Hang));
    let mut rig = crowded(&healthy, &hanging);
    rig.publish_numbered("healthy.b", EVENTS);
    arrive(&healthy, 1 + EVENTS);
}

#[test]
fn backlog_of_all_lanes_stays_within_the_bound() {
    let (healthy, hanging) = (Receiver::start(reply(200)), Receiver::start(Step::Hang));
    let mut rig = crowded(&healthy, &hanging);
    rig.restart_worker();
    let mut peak = 0;
    for n in 0..EVENTS {
        rig.publish("healthy.b", &json!({ "n": n }));
        arrive(&healthy, 2 + n);
        peak = peak.max(rig.stats.held.get());
    }
    assert!((1..=65_536 + 8192).contains(&peak), "{peak} deliveries in memory");
}
