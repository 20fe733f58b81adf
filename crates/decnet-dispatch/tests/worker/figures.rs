//! What the worker counts is what has happened, to each subscription by itself.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use decnet_bus::Losses;
use decnet_core::delivery::Reason;
use decnet_core::measure::Gauge;
use decnet_dispatch::{Figures, Standing};
use decnet_testkit::{Receiver, reply};

use crate::rig::{Rig, arrive, eventually, send};

fn figures(rig: &Rig, name: &str) -> Arc<Figures> {
    let each = rig.stats.shown.each();
    each.into_iter().find(|figures| &*figures.about().name == name).expect("it has figures of its own")
}

#[test]
fn each_subscription_is_counted_by_itself() {
    let (good, bad) = (Receiver::start(reply(200)), Receiver::start(reply(500)));
    let mut rig = Rig::running(&[("good", &good.url("/"), "a.>"), ("bad", &bad.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 20);
    eventually("the good one got all", || figures(&rig, "good").delivered.get() == 20);
    eventually("the bad one is tripped", || figures(&rig, "bad").standing(Standing::Tripped) == 1);
    eventually("what waits for it is parked", || figures(&rig, "bad").parked.get() == 20);
    let (good, bad) = (figures(&rig, "good"), figures(&rig, "bad"));
    assert_eq!([&good.pending, &good.parked, &good.dead].map(Gauge::get), [0, 0, 0]);
    assert_eq!((bad.pending.get(), bad.delivered.get(), rig.stats.trips.get()), (0, 0, 1));
    assert!(bad.failed_attempts.get() >= 5 && good.failed_attempts.get() == 0);
    let error = bad.about().last_error.expect("it is known what went wrong").1;
    assert_eq!(&*error, "HTTP 500 Internal Server Error");
    eventually("the age of the oldest is known", || bad.oldest_at.get() > 0);
    let stats = Arc::clone(&rig.stats);
    rig.stop_worker();
    assert_eq!(stats.attempts(None).get(), 20);
    assert_eq!(stats.attempts(Some(Reason::ServerError)).get(), bad.failed_attempts.get());
    assert_eq!(
        (stats.delivery_time.read().total(), stats.delivered.get(), stats.admitted.get()),
        (20, 20, 20)
    );
    assert_eq!(bad.in_flight.get(), 0);
    assert!(stats.reload_time.read().total() >= 1);
}

/// A heartbeat of the bus with this payload.
fn beat(worker: &mut UnixStream, payload: &str) {
    let envelope = format!(r#"{{"v":1,"type":"bus.health","payload":{payload}}}"#);
    send(worker, "system.bus.health", &envelope);
}

/// What a bus of ours sends to a worker that has greeted.
fn greet(worker: &mut UnixStream) {
    worker.write_all(b"HELLO decnet-bus\n\0\0\0\x0a{\"lost\":0}").unwrap();
}

/// Whoever may publish at DECNET's bus could make up its heartbeat.
#[test]
fn losses_are_not_believed_of_a_bus_that_is_not_ours() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let mut worker = rig.launch_at_a_false_bus();
    for (heard, expected) in [(1, None), (2, Some(7))] {
        beat(&mut worker, r#"{"dropped_ordinary":7,"dropped_lossless":2,"publisher_pauses":3}"#);
        send(&mut worker, "a.b", "{}");
        arrive(&receiver, heard);
        assert_eq!(rig.stats.bus_losses().map(|losses| losses.dropped_ordinary), expected);
        greet(&mut worker);
    }
    rig.stop_worker();
}

#[test]
fn what_the_bus_says_of_its_losses_is_known_and_no_event() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let mut worker = rig.launch_at_a_false_bus();
    greet(&mut worker);
    let losses = Losses { dropped_ordinary: 7, dropped_lossless: 2, publisher_pauses: 3 };
    let all = r#"{"pid":1,"dropped_ordinary":7,"dropped_lossless":2,"publisher_pauses":3}"#;
    let odd = r#"{"pid":1,"dropped_ordinary":-7,"dropped_lossless":2,"publisher_pauses":3}"#;
    let decnets = r#"{"pid":1,"uptime_sec":0.5,"ts":1.5}"#;
    assert_eq!(rig.stats.bus_losses(), None);
    for (heard, payload, expected) in
        [(1, all, Some(losses)), (2, odd, Some(losses)), (3, decnets, None), (4, all, Some(losses))]
    {
        beat(&mut worker, payload);
        send(&mut worker, "a.b", "{}");
        arrive(&receiver, heard);
        assert_eq!(rig.stats.bus_losses(), expected, "after {payload}");
    }
    assert_eq!((rig.stats.received.get(), rig.stats.unrouted.get()), (4, 0));
    rig.stop_worker();
}

#[test]
fn signals_to_the_worker_are_not_unrouted() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let mut worker = rig.launch_at_a_false_bus();
    for topic in ["system.webhook.subscriptions_changed", "system.webhook.control", "nobody.asks", "a.b"] {
        send(&mut worker, topic, "{}");
    }
    arrive(&receiver, 1);
    assert_eq!((rig.stats.received.get(), rig.stats.unrouted.get()), (4, 1));
    rig.stop_worker();
}

#[test]
fn the_heartbeats_of_the_bus_go_once_to_who_asks_for_them() {
    let (system, siem) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.subscribe("system", &system.url("/"), &["system.>", "system.bus.*"]);
    rig.subscribe("siem", &siem.url("/"), &["a.>"]);
    let mut worker = rig.launch_at_a_false_bus();
    greet(&mut worker);
    beat(&mut worker, r#"{"dropped_ordinary":1,"dropped_lossless":0,"publisher_pauses":0}"#);
    send(&mut worker, "a.b", "{}");
    arrive(&system, 1);
    arrive(&siem, 1);
    eventually("both are settled", || rig.stats.delivered.get() == 2);
    assert_eq!((system.count(), siem.count(), rig.stats.received.get()), (1, 1, 2));
    assert_eq!(rig.stats.bus_losses().map(|losses| losses.dropped_ordinary), Some(1));
    rig.stop_worker();
}

#[test]
fn what_waited_before_the_start_is_counted() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 15);
    eventually("all of it is parked", || figures(&rig, "siem").parked.get() == 15);
    rig.stop_worker();
    rig.start_worker();
    eventually("a new worker knows", || {
        rig.stats.censuses.get() > 0 && figures(&rig, "siem").parked.get() == 15
    });
    rig.stop_worker();
}

#[test]
fn what_is_refused_is_counted_as_dead() {
    let receiver = Receiver::start(reply(404));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 7);
    eventually("all are dead", || figures(&rig, "siem").dead.get() == 7);
    assert_eq!((figures(&rig, "siem").pending.get(), figures(&rig, "siem").died.get()), (0, 7));
    assert_eq!(rig.counts("siem").dead, 7);
    rig.stop_worker();
}
