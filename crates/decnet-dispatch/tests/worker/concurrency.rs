//! Adaptive concurrency: a receiver gets as many concurrent requests as it can handle.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use decnet_core::limits::{MAX_ADAPTIVE_CONCURRENCY, MAX_LANE_IN_FLIGHT_BYTES};
use decnet_testkit::{Receiver, Script, Step, reply};

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

/// Returns a script that handles `limit` concurrent requests, each for `time`, and rejects others, and their number.
fn bounded(limit: usize, time: Duration) -> (Script, Arc<AtomicU64>) {
    let (rejected, active) = (Arc::new(AtomicU64::new(0)), Mutex::new(Vec::<Instant>::new()));
    let count = Arc::clone(&rejected);
    let script = Script::by(move |_| {
        let (mut active, now) = (active.lock().unwrap(), Instant::now());
        active.retain(|until| *until > now);
        if active.len() < limit {
            active.push(now + time);
            reply(200).delay(time).into()
        } else {
            count.fetch_add(1, Ordering::SeqCst);
            reply(503).into()
        }
    });
    (script, rejected)
}

#[test]
fn rejecting_receiver_is_not_overloaded() {
    const EVENTS: u64 = 1500;
    let (script, rejected) = bounded(8, Duration::from_millis(20));
    let receiver = Receiver::start(script);
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.circuit_threshold = 1000);
    rig.publish_numbered("a.b", EVENTS);
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
    let rejected = rejected.load(Ordering::SeqCst);
    // With 64 concurrent requests, several would be rejected for each one that is handled.
    assert!(rejected < EVENTS / 4, "{rejected} of {EVENTS} were rejected");
}

#[test]
fn fast_receiver_reaches_maximum_concurrency() {
    // Long in comparison with the delays of a slow machine.
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(100)));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10_000);
    let max = MAX_ADAPTIVE_CONCURRENCY as u64;
    eventually("the maximum is reached", || receiver.connections() >= max);
    arrive(&receiver, receiver.count() + 2 * max);
    assert_eq!(receiver.connections(), max, "each request in flight has its own connection");
}

#[test]
fn receivers_that_start_hanging_leave_slots_for_others() {
    const GROUP: usize = 4;
    let group: Vec<Receiver> = (0..GROUP).map(|_| Receiver::start(reply(200))).collect();
    let healthy = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.total_concurrency = 16;
    // No request times out during the test, so hanging requests keep their slots.
    rig.options.sender.deadline = PATIENCE;
    rig.options.shutdown_grace = Duration::ZERO;
    rig.subscribe("healthy", &healthy.url("/"), &["healthy.>"]);
    for (n, receiver) in group.iter().enumerate() {
        rig.subscribe(&format!("group-{n}"), &receiver.url("/"), &["group.>"]);
    }
    rig.start();
    rig.publish_numbered("group.a", 500);
    eventually("the receivers are proven", || rig.stats.delivered.get() == 500 * GROUP as u64);
    let before: Vec<u64> = group.iter().map(Receiver::count).collect();
    group.iter().for_each(|receiver| receiver.set(Step::Hang));
    rig.publish_numbered("group.b", 100);
    eventually("each receiver hangs", || group.iter().zip(&before).all(|(r, before)| r.count() > *before));
    rig.publish_numbered("healthy.a", 100);
    arrive(&healthy, 100);
    assert_eq!(numbers(&healthy).len(), 100);
    let hanging: u64 = group.iter().zip(&before).map(|(r, before)| r.count() - before).sum();
    assert!(hanging < 16, "{hanging} of 16 hang");
}

#[test]
fn large_bodies_in_flight_are_bounded() {
    let large = "x".repeat(MAX_LANE_IN_FLIGHT_BYTES / 10);
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.shutdown_grace = Duration::ZERO;
        options.sender.deadline = PATIENCE;
    });
    // Small bodies first, so that the congestion window is wide.
    rig.publish_numbered("a.b", 2000);
    eventually("all are delivered", || rig.stats.delivered.get() == 2000);
    receiver.set(Step::Hang);
    rig.publish_many((0..40).map(|n| ("a.b".to_owned(), serde_json::json!({"n": n, "large": large}))));
    eventually("all are admitted", || rig.counts("siem").pending == 40);
    arrive(&receiver, 2001);
    let max = 2000 + 10;
    assert!(receiver.count() <= max, "{} hang", receiver.count() - 2000);
    rig.stop_worker();
    assert!(receiver.count() <= max, "{} hang", receiver.count() - 2000);
}
