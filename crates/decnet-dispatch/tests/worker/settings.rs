//! What one subscription asks for holds for it alone, from the next reload on, over restarts too.

use std::time::Duration;

use decnet_core::redact::Secret;
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::signature::SigningKey;
use decnet_dispatch::clock;
use decnet_store::catalog::Patch;
use decnet_store::queue::{Active, Filter, Operator, Reader};
use decnet_testkit::{Receiver, Request, Script, reply};

use crate::rig::{PATIENCE, Rig, SECRET, arrive, eventually, numbers};

const NEW_SECRET: &str = "the next secret of the tests";

fn set(rig: &mut Rig, name: &str, patch: &str) {
    let settings: SettingsPatch = serde_json::from_str(patch).unwrap();
    rig.patch(name, &Patch { settings, ..Patch::default() });
}

fn pause(rig: &mut Rig, name: &str, paused: bool) {
    rig.patch(name, &Patch { paused: Some(paused), ..Patch::default() });
}

fn waiting(rig: &Rig, name: &str) -> u64 {
    let counts = rig.counts(name);
    counts.pending + counts.retrying
}

#[test]
fn what_is_paused_waits_over_a_restart_and_goes_in_order_when_it_is_resumed() {
    const EVENTS: u64 = 400;
    let (paused, other) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("siem", &paused.url("/"), "a.>"), ("other", &other.url("/"), "a.>")]);
    rig.patch(
        "siem",
        &Patch { settings: Settings { ordered: true, ..Settings::default() }.into(), ..Patch::default() },
    );
    pause(&mut rig, "siem", true);
    rig.reload();
    rig.publish_numbered("a.b", EVENTS);
    arrive(&other, EVENTS);
    eventually("they wait", || waiting(&rig, "siem") == EVENTS);
    rig.stop_worker();
    rig.start_worker();
    rig.publish_many((EVENTS..EVENTS + 10).map(|n| ("a.b".to_owned(), serde_json::json!({ "n": n }))));
    arrive(&other, EVENTS + 10);
    eventually("they wait too", || waiting(&rig, "siem") == EVENTS + 10);
    assert_eq!(paused.count(), 0);
    pause(&mut rig, "siem", false);
    rig.reload();
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS + 10);
    assert_eq!(numbers(&paused), (0..EVENTS + 10).collect::<Vec<_>>());
    rig.stop_worker();
}

#[test]
fn a_pause_takes_back_what_is_in_memory_and_loses_none_of_it() {
    const EVENTS: u64 = 3000;
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(2)));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", EVENTS);
    for _ in 0..3 {
        let before = receiver.count();
        arrive(&receiver, (before + 100).min(EVENTS));
        pause(&mut rig, "siem", true);
        rig.reload();
        eventually("nothing is in flight", || {
            let counts = rig.counts("siem");
            counts.delivered == receiver.count() && counts.delivered + waiting(&rig, "siem") == EVENTS
        });
        pause(&mut rig, "siem", false);
        rig.reload();
    }
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS);
    let mut seen = numbers(&receiver);
    seen.sort_unstable();
    assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>(), "each once");
    rig.stop_worker();
}

#[test]
fn what_is_tripped_is_not_probed_while_it_is_paused_and_is_tripped_when_it_is_resumed() {
    let (down, clock) = (Receiver::start(reply(500)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("siem", &down.url("/"), "a.>"), ("clock", &clock.url("/"), "tick")]);
    set(&mut rig, "clock", r#"{"rate": "10/s"}"#);
    rig.publish_numbered("a.b", 20);
    eventually("it is tripped", || !rig.row("siem").enabled);
    pause(&mut rig, "siem", true);
    rig.reload();
    // The last probe from before may still be under way.
    rig.publish_numbered("tick", 2);
    arrive(&clock, 2);
    let before = down.count();
    down.set(reply(200));
    // More than a second, in which there would be several probes.
    rig.publish_numbered("tick", 12);
    arrive(&clock, 14);
    let row = rig.row("siem");
    assert_eq!((down.count() - before, row.paused, row.enabled), (0, true, false));
    rig.stop_worker();
    rig.start_worker();
    assert_eq!(down.count(), before, "not even after a restart");
    pause(&mut rig, "siem", false);
    rig.reload();
    eventually("a probe gets through", || rig.row("siem").enabled);
    eventually("all is delivered", || rig.counts("siem").delivered == 20);
    rig.stop_worker();
}

#[test]
fn a_schedule_of_its_own_ends_sooner_than_that_of_the_others() {
    let (brief, patient) = (Receiver::start(reply(503)), Receiver::start(reply(503)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("brief", &brief.url("/"), &["a.>"]);
    rig.subscribe("patient", &patient.url("/"), &["a.>"]);
    set(&mut rig, "brief", r#"{"retry_schedule": "5ms,5ms"}"#);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    eventually("they are given up", || rig.counts("brief").dead == 10);
    assert_eq!(brief.count(), 30, "each was tried three times");
    arrive(&patient, 40);
    assert_eq!(rig.counts("patient").dead, 0);
    set(&mut rig, "brief", r#"{"retry_schedule": "none"}"#);
    rig.reload();
    rig.publish_numbered("a.b", 10);
    eventually("they are given up at once", || rig.counts("brief").dead == 20);
    assert_eq!(brief.count(), 40);
    rig.stop_worker();
}

#[test]
fn it_is_sent_no_more_at_once_than_it_asks_for() {
    let receivers = [3, 1].map(|most| (most, Receiver::start(reply(200).delay(Duration::from_millis(10)))));
    let mut rig = Rig::new();
    for (most, receiver) in &receivers {
        let name = most.to_string();
        rig.subscribe(&name, &receiver.url("/"), &["a.>"]);
        set(&mut rig, &name, &format!(r#"{{"concurrency": {most}}}"#));
    }
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 200);
    for (most, receiver) in &receivers {
        arrive(receiver, 200);
        assert_eq!(receiver.connections(), *most, "each request has a connection to itself while it goes on");
    }
    rig.stop_worker();
}

#[test]
fn more_at_once_than_the_others_can_be_asked_for() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(50)));
    let mut rig = Rig::new();
    rig.options.concurrency = 2;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    set(&mut rig, "siem", r#"{"concurrency": 32}"#);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 2000);
    eventually("it is sent more", || receiver.connections() > 8);
    arrive(&receiver, 2000);
    assert!(receiver.connections() <= 32);
    rig.stop_worker();
}

fn verifies(request: &Request, secret: &str) -> bool {
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
    let key = SigningKey::new(&Secret::new(secret));
    key.verify_standard(id, at, &request.body, request.header("webhook-signature"))
}

#[test]
fn a_rotation_signs_with_both_secrets_until_it_is_over() {
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
    rig.stop_worker();
}

#[test]
fn a_secret_whose_time_is_over_signs_no_more_and_is_forgotten() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.reload_interval = Duration::from_millis(100);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let uuid = rig.row("siem").uuid;
    let overlap = Duration::from_secs(2);
    rig.catalog.rotate_secret(&uuid, &Secret::new(NEW_SECRET), overlap, clock::now()).unwrap();
    let over = rig.row("siem").old_secrets_until[0];
    rig.start_bus();
    rig.start_worker();
    eventually("the file holds it no longer", || rig.row("siem").old_secrets_until.is_empty());
    assert!(clock::now() >= over);
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let request = receiver.requests().pop().unwrap();
    assert_eq!([SECRET, NEW_SECRET].map(|secret| verifies(&request, secret)), [false, true]);
    rig.stop_worker();
}

#[test]
fn attempts_and_redeliveries_are_told_apart_in_the_trace() {
    let receiver = Receiver::start(Script::steps([reply(503).into(), reply(200).into()]));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    set(&mut rig, "siem", r#"{"trace": true, "timeout": "1m", "headers": {"x-tenant": "a"}}"#);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 1);
    eventually("it is delivered", || rig.counts("siem").delivered == 1);
    let delivered = Reader::open(rig.dir.path()).unwrap().list(&Filter::default()).unwrap();
    Operator::open(rig.dir.path()).unwrap().redeliver(&[delivered[0].id], &Active::default()).unwrap();
    drop(receiver.wait_for(3, PATIENCE));
    let (uuid, requests) = (rig.row("siem").uuid, receiver.requests());
    for (request, (delivery, attempt)) in requests.iter().zip([(0, 1), (0, 2), (1, 1)]) {
        let id = request.header("webhook-id");
        let span = decnet_core::trace::attempt_span(id, &uuid, delivery, attempt);
        let expected = decnet_core::trace::traceparent(decnet_core::trace::trace_id(id), span);
        assert_eq!((request.header("traceparent"), request.header("x-tenant")), (&*expected, "a"));
    }
    assert_eq!(requests.len(), 3);
    rig.stop_worker();
}
