//! Settings of one subscription: they apply only to it, from the next reload on and after restarts.

use std::time::Duration;

use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_runtime::clock;
use decnet_testkit::{Receiver, Request, Script, reply};

use crate::rig::{PATIENCE, Rig, SECRET, arrive, eventually, numbers};

const NEW_SECRET: &str = "the next secret of the tests";

fn waiting(rig: &Rig, name: &str) -> u64 {
    let counts = rig.counts(name);
    counts.pending + counts.retrying
}

#[test]
fn paused_events_survive_a_restart_and_resume_in_order() {
    const EVENTS: u64 = 400;
    let (paused, other) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("siem", &paused.url("/"), "a.>"), ("other", &other.url("/"), "a.>")]);
    rig.set("siem", r#"{"ordered": true}"#);
    rig.set_paused("siem", true);
    rig.reload();
    rig.publish_numbered("a.b", EVENTS);
    arrive(&other, EVENTS);
    eventually("the events wait", || waiting(&rig, "siem") == EVENTS);
    rig.restart_worker();
    rig.publish_many((EVENTS..EVENTS + 10).map(|n| ("a.b".to_owned(), serde_json::json!({ "n": n }))));
    arrive(&other, EVENTS + 10);
    eventually("the new events also wait", || waiting(&rig, "siem") == EVENTS + 10);
    assert_eq!(paused.count(), 0);
    rig.set_paused("siem", false);
    rig.reload();
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS + 10);
    assert_eq!(numbers(&paused), (0..EVENTS + 10).collect::<Vec<_>>());
}

#[test]
fn pause_returns_deliveries_to_the_queue_without_loss() {
    const EVENTS: u64 = 3000;
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(2)));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", EVENTS);
    for _ in 0..3 {
        let before = receiver.count();
        arrive(&receiver, (before + 100).min(EVENTS));
        rig.set_paused("siem", true);
        rig.reload();
        eventually("nothing is in flight", || {
            let counts = rig.counts("siem");
            counts.delivered == receiver.count() && counts.delivered + waiting(&rig, "siem") == EVENTS
        });
        rig.set_paused("siem", false);
        rig.reload();
    }
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
    let mut received = numbers(&receiver);
    received.sort_unstable();
    assert_eq!(received, (0..EVENTS).collect::<Vec<_>>(), "each event once");
}

#[test]
fn paused_tripped_lane_is_not_probed() {
    let (down, clock) = (Receiver::start(reply(500)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("siem", &down.url("/"), "a.>"), ("clock", &clock.url("/"), "tick")]);
    rig.set("clock", r#"{"rate": "10/s"}"#);
    rig.publish_numbered("a.b", 20);
    eventually("the subscription is tripped", || !rig.row("siem").enabled);
    rig.set_paused("siem", true);
    rig.reload();
    // A probe that started before the pause may still be in flight.
    rig.publish_numbered("tick", 2);
    arrive(&clock, 2);
    let before = down.count();
    down.set(reply(200));
    // More than a second, enough for several probes.
    rig.publish_numbered("tick", 12);
    arrive(&clock, 14);
    let row = rig.row("siem");
    assert_eq!((down.count() - before, row.paused, row.enabled), (0, true, false));
    rig.restart_worker();
    assert_eq!(down.count(), before, "no probe, not even after a restart");
    rig.set_paused("siem", false);
    rig.reload();
    eventually("a probe succeeds", || rig.row("siem").enabled);
    eventually("all are delivered", || rig.counts("siem").delivered == 20);
}

#[test]
fn retry_schedule_applies_only_to_its_subscription() {
    let (brief, patient) = (Receiver::start(reply(503)), Receiver::start(reply(503)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("brief", &brief.url("/"), &["a.>"]);
    rig.subscribe("patient", &patient.url("/"), &["a.>"]);
    rig.set("brief", r#"{"retry_schedule": "5ms,5ms"}"#);
    rig.start();
    rig.publish_numbered("a.b", 10);
    eventually("all are dead", || rig.counts("brief").dead == 10);
    assert_eq!(brief.count(), 30, "each event had three attempts");
    arrive(&patient, 40);
    assert_eq!(rig.counts("patient").dead, 0);
    rig.set("brief", r#"{"retry_schedule": "none"}"#);
    rig.reload();
    rig.publish_numbered("a.b", 10);
    eventually("all are dead at once", || rig.counts("brief").dead == 20);
    assert_eq!(brief.count(), 40);
}

#[test]
fn concurrency_limit_of_a_subscription_is_respected() {
    let receivers = [3, 1].map(|limit| (limit, Receiver::start(reply(200).delay(Duration::from_millis(10)))));
    let mut rig = Rig::new();
    for (limit, receiver) in &receivers {
        let name = limit.to_string();
        rig.subscribe(&name, &receiver.url("/"), &["a.>"]);
        rig.set(&name, &format!(r#"{{"concurrency": {limit}}}"#));
    }
    rig.start();
    rig.publish_numbered("a.b", 200);
    for (limit, receiver) in &receivers {
        arrive(receiver, 200);
        assert_eq!(receiver.connections(), *limit, "each request in flight has its own connection");
    }
}

#[test]
fn concurrency_of_a_subscription_may_exceed_the_default() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(50)));
    let mut rig = Rig::new();
    rig.options.concurrency = 2;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.set("siem", r#"{"concurrency": 32}"#);
    rig.start();
    rig.publish_numbered("a.b", 2000);
    eventually("more than the default are in flight", || receiver.connections() > 8);
    arrive(&receiver, 2000);
    assert!(receiver.connections() <= 32);
}

fn verifies(request: &Request, secret: &str) -> bool {
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
    let key = SigningKey::new(&Secret::new(secret));
    key.verify_standard(id, at, &request.body, request.header("webhook-signature"))
}

#[test]
fn rotation_signs_with_both_secrets_until_it_ends() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    let uuid = rig.row("siem").uuid;
    let next = |rig: &mut Rig| {
        let before = receiver.count();
        rig.publish_numbered("a.b", 1);
        arrive(&receiver, before + 1);
        let request = receiver.requests().pop().unwrap();
        [SECRET, NEW_SECRET].map(|secret| verifies(&request, secret))
    };
    assert_eq!(next(&mut rig), [true, false]);
    rig.catalog.rotate_secret(&uuid, &Secret::new(NEW_SECRET), DAY, clock::now()).unwrap();
    rig.reload();
    assert_eq!(next(&mut rig), [true, true]);
    rig.catalog.revoke_old_secrets(&uuid, clock::now()).unwrap();
    rig.reload();
    assert_eq!(next(&mut rig), [false, true]);
}

#[test]
fn expired_secret_is_not_used_and_is_deleted() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.reload_interval = Duration::from_millis(100);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let uuid = rig.row("siem").uuid;
    let overlap = Duration::from_secs(2);
    rig.catalog.rotate_secret(&uuid, &Secret::new(NEW_SECRET), overlap, clock::now()).unwrap();
    let ends_at = rig.row("siem").old_secrets_until[0];
    rig.start();
    eventually("the old secret is deleted", || rig.row("siem").old_secrets_until.is_empty());
    assert!(clock::now() >= ends_at);
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let request = receiver.requests().pop().unwrap();
    assert_eq!([SECRET, NEW_SECRET].map(|secret| verifies(&request, secret)), [false, true]);
}

#[test]
fn trace_distinguishes_attempts_and_redeliveries() {
    let receiver = Receiver::start(Script::steps([reply(503).into(), reply(200).into()]));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    rig.set("siem", r#"{"trace": true, "timeout": "1m", "headers": {"x-tenant": "a"}}"#);
    rig.start();
    rig.publish_numbered("a.b", 1);
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
    rig.redeliver(rig.deliveries()[0].id);
    drop(receiver.wait_for(3, PATIENCE));
    let (uuid, requests) = (rig.row("siem").uuid, receiver.requests());
    for (request, (delivery, attempt)) in requests.iter().zip([(0, 1), (0, 2), (1, 1)]) {
        let id = request.header("webhook-id");
        let span = decnet_core::trace::attempt_span(id, &uuid, delivery, attempt);
        let expected = decnet_core::trace::traceparent(decnet_core::trace::trace_id(id), span);
        assert_eq!((request.header("traceparent"), request.header("x-tenant")), (&*expected, "a"));
    }
    assert_eq!(requests.len(), 3);
}
