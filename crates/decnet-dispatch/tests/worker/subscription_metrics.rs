//! Metrics of the worker, in total and by subscription.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use decnet_bus::Losses;
use decnet_core::delivery::Reason;
use decnet_dispatch::{SubscriptionMetrics, SubscriptionState};
use decnet_runtime::metrics::Gauge;
use decnet_testkit::{Receiver, reply};

use crate::rig::{Rig, arrive, eventually, send};

fn metrics(rig: &Rig, name: &str) -> Arc<SubscriptionMetrics> {
    let each = rig.stats.by_subscription.individual();
    each.into_iter()
        .find(|metrics| &*metrics.labels().name == name)
        .expect("the subscription has its own metrics")
}

#[test]
fn error_of_the_first_attempt_is_recorded_at_once() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.schedule = "1h,1h,1h,1h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 1);
    eventually("the error is recorded", || metrics(&rig, "siem").labels().last_error.is_some());
    assert_eq!(rig.row("siem").consecutive_failures, 0);
}

#[test]
fn subscriptions_are_counted_separately() {
    let (good, bad) = (Receiver::start(reply(200)), Receiver::start(reply(500)));
    let mut rig = Rig::running(&[("good", &good.url("/"), "a.>"), ("bad", &bad.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 20);
    eventually("the healthy receiver has all", || metrics(&rig, "good").delivered.get() == 20);
    eventually("the failing one is tripped", || {
        metrics(&rig, "bad").in_state(SubscriptionState::Tripped) == 1
    });
    eventually("its backlog is parked", || metrics(&rig, "bad").parked.get() == 20);
    let (good, bad) = (metrics(&rig, "good"), metrics(&rig, "bad"));
    assert_eq!([&good.pending, &good.parked, &good.dead].map(Gauge::get), [0, 0, 0]);
    assert_eq!((bad.pending.get(), bad.delivered.get(), rig.stats.trips.get()), (0, 0, 1));
    assert!(bad.failed_attempts.get() >= 5 && good.failed_attempts.get() == 0);
    let error = bad.labels().last_error.expect("the last error is recorded").1;
    assert_eq!(&*error, "HTTP 500 Internal Server Error");
    eventually("the oldest delivery is known", || bad.oldest_at.get() > 0);
    rig.stop_worker();
    assert_eq!(rig.stats.attempts(None).get(), 20);
    assert_eq!(rig.stats.attempts(Some(Reason::ServerError)).get(), bad.failed_attempts.get());
    assert_eq!(
        (rig.stats.times.delivery.read().total(), rig.stats.delivered.get(), rig.stats.admitted.get()),
        (20, 20, 20)
    );
    assert_eq!(bad.in_flight.get(), 0);
    assert!(rig.stats.times.reload.read().total() >= 1);
}

/// Sends a heartbeat of the bus with this payload.
fn send_heartbeat(worker: &mut UnixStream, payload: &str) {
    let envelope = format!(r#"{{"v":1,"type":"bus.health","payload":{payload}}}"#);
    send(worker, "system.bus.health", &envelope);
}

/// Sends the greeting by which a worker recognises our bus.
fn greet(worker: &mut UnixStream) {
    worker.write_all(b"HELLO decnet-bus\n\0\0\0\x0a{\"lost\":0}").unwrap();
}

/// Anyone who may publish on DECNET's bus could forge its heartbeat.
#[test]
fn losses_reported_by_a_foreign_bus_are_ignored() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    let mut worker = rig.launch_with_fake_bus();
    for (count, expected) in [(1, None), (2, Some(7))] {
        send_heartbeat(&mut worker, r#"{"dropped_ordinary":7,"dropped_lossless":2,"publisher_pauses":3}"#);
        send(&mut worker, "a.b", "{}");
        arrive(&receiver, count);
        assert_eq!(rig.stats.bus_losses().map(|losses| losses.dropped_ordinary), expected);
        greet(&mut worker);
    }
}

#[test]
fn losses_reported_by_our_bus_are_recorded() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    let mut worker = rig.launch_with_fake_bus();
    greet(&mut worker);
    let losses = Losses { dropped_ordinary: 7, dropped_lossless: 2, publisher_pauses: 3 };
    let all = r#"{"pid":1,"dropped_ordinary":7,"dropped_lossless":2,"publisher_pauses":3}"#;
    let odd = r#"{"pid":1,"dropped_ordinary":-7,"dropped_lossless":2,"publisher_pauses":3}"#;
    let decnets = r#"{"pid":1,"uptime_sec":0.5,"ts":1.5}"#;
    assert_eq!(rig.stats.bus_losses(), None);
    for (count, payload, expected) in
        [(1, all, Some(losses)), (2, odd, Some(losses)), (3, decnets, None), (4, all, Some(losses))]
    {
        send_heartbeat(&mut worker, payload);
        send(&mut worker, "a.b", "{}");
        arrive(&receiver, count);
        assert_eq!(rig.stats.bus_losses(), expected, "after {payload}");
    }
    assert_eq!((rig.stats.received.get(), rig.stats.unrouted.get()), (4, 0));
}

#[test]
fn signals_to_the_worker_are_not_unrouted() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    let mut worker = rig.launch_with_fake_bus();
    let signals =
        ["subscriptions_changed", "changed", "control"].map(|name| format!("system.webhook.{name}"));
    for topic in signals.iter().map(String::as_str).chain(["unrouted.topic", "a.b"]) {
        send(&mut worker, topic, "{}");
    }
    arrive(&receiver, 1);
    assert_eq!((rig.stats.received.get(), rig.stats.unrouted.get()), (5, 1));
}

#[test]
fn bus_heartbeats_are_routed_once() {
    let (system, siem) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.subscribe("system", &system.url("/"), &["system.>", "system.bus.*"]);
    rig.subscribe("siem", &siem.url("/"), &["a.>"]);
    let mut worker = rig.launch_with_fake_bus();
    greet(&mut worker);
    send_heartbeat(&mut worker, r#"{"dropped_ordinary":1,"dropped_lossless":0,"publisher_pauses":0}"#);
    send(&mut worker, "a.b", "{}");
    arrive(&system, 1);
    arrive(&siem, 1);
    eventually("both are settled", || rig.stats.delivered.get() == 2);
    assert_eq!((system.count(), siem.count(), rig.stats.received.get()), (1, 1, 2));
    assert_eq!(rig.stats.bus_losses().map(|losses| losses.dropped_ordinary), Some(1));
}

#[test]
fn backlog_of_an_earlier_worker_is_counted() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 15);
    eventually("all of it is parked", || metrics(&rig, "siem").parked.get() == 15);
    rig.restart_worker();
    eventually("the new worker has counted the backlog", || {
        rig.stats.censuses.get() > 0 && metrics(&rig, "siem").parked.get() == 15
    });
}

#[test]
fn rejected_deliveries_are_counted_as_dead() {
    let receiver = Receiver::start(reply(404));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.circuit_threshold = 1000);
    rig.publish_numbered("a.b", 7);
    eventually("all are dead", || metrics(&rig, "siem").dead.get() == 7);
    assert_eq!((metrics(&rig, "siem").pending.get(), metrics(&rig, "siem").dead_lettered.get()), (0, 7));
    assert_eq!(rig.counts("siem").dead, 7);
}
