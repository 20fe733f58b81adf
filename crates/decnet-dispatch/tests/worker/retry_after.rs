//! A receiver that answers 429 or 503 with `Retry-After` is sent nothing before that time, whatever waits for it.

use std::time::Duration;

use decnet_core::redact::EndpointUrl;
use decnet_core::settings::Settings;
use decnet_store::catalog::Patch;
use decnet_store::queue::{Active, Filter, Listed, Operator, Reader};
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::json;

use crate::rig::{Rig, arrive, eventually};

/// A bound below the time that a receiver asks for, since its answer is read a little after its request has come.
const ALMOST: Duration = Duration::from_millis(1900);

/// A worker that sends this receiver one request at a time.
fn one_at_a_time(receiver: &Receiver, settings: &str) -> Rig {
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let settings: Settings = serde_json::from_str(settings).unwrap();
    rig.patch("siem", &Patch { settings: settings.into(), ..Patch::default() });
    rig.start_bus();
    rig.start_worker();
    rig
}

fn list(rig: &Rig) -> Vec<Listed> {
    Reader::open(rig.dir.path()).unwrap().list(&Filter::default()).unwrap()
}

/// The time between the requests with these numbers, from 0.
fn between(requests: &[Request], first: usize, second: usize) -> Duration {
    requests[second].at - requests[first].at
}

#[test]
fn nothing_is_sent_before_the_time_and_no_attempt_is_used_up() {
    for (status, settings) in [
        (429, "{}"),
        (503, "{}"),
        (429, r#"{"ordered": true}"#),
        (429, r#"{"rate": "1000/s"}"#),
        (503, r#"{"batch": {"max_events": 5, "linger": "10ms", "format": "array"}}"#),
    ] {
        let asks = reply(status).retry_after("1.1");
        let receiver = Receiver::start(Script::steps([asks.into(), reply(200).into()]));
        let mut rig = one_at_a_time(&receiver, settings);
        rig.publish_numbered("a.b", 1);
        arrive(&receiver, 1);
        rig.publish_numbered("a.c", 20);
        eventually("all are delivered", || rig.counts("siem").delivered == 21);
        let requests = receiver.requests();
        assert!(between(&requests, 0, 1) >= ALMOST, "{status} {settings}: {:?}", between(&requests, 0, 1));
        let attempts = |listed: &Listed| listed.attempts;
        assert_eq!(list(&rig).iter().map(attempts).sum::<u32>(), 22, "only the first was tried twice");
        rig.stop_worker();
    }
}

#[test]
fn of_several_wishes_the_latest_counts() {
    let slow = |wait| reply(429).retry_after(wait).delay(Duration::from_millis(300)).into();
    let receiver = Receiver::start(Script::steps([slow("2"), slow("1"), reply(200).into()]));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("all are delivered", || rig.counts("siem").delivered == 10);
    let requests = receiver.requests();
    assert!(between(&requests, 0, 1) < ALMOST, "two were in flight");
    assert!(between(&requests, 0, 2) >= ALMOST, "{:?}", between(&requests, 0, 2));
    rig.stop_worker();
}

#[test]
fn a_redelivery_waits_too() {
    let asks = reply(429).retry_after("2");
    let receiver = Receiver::start(Script::steps([reply(200).into(), asks.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 1);
    eventually("it is delivered", || rig.counts("siem").delivered == 1);
    let delivered = list(&rig)[0].id;
    rig.publish_numbered("a.b", 1);
    eventually("the other one waits", || rig.counts("siem").retrying == 1);
    Operator::open(rig.dir.path()).unwrap().redeliver(&[delivered], &Active::default()).unwrap();
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
    assert!(between(&receiver.requests(), 1, 2) >= ALMOST);
    rig.stop_worker();
}

#[test]
fn the_wait_outlives_the_worker() {
    let asks = reply(503).retry_after("3");
    let receiver = Receiver::start(Script::steps([asks.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 3);
    eventually("the wait is noted", || rig.row("siem").deferred_until.is_some());
    rig.stop_worker();
    rig.start_worker();
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
    assert!(between(&receiver.requests(), 0, 1) >= Duration::from_millis(2900));
    rig.stop_worker();
}

#[test]
fn a_wait_that_was_noted_by_a_wrong_clock_is_bounded() {
    let asks = reply(429).retry_after("3600");
    let receiver = Receiver::start(Script::steps([asks.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 1);
    eventually("the wait is noted", || rig.row("siem").deferred_until.is_some());
    rig.stop_worker();
    let catalog = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    catalog.execute("UPDATE decnet_webhook_settings SET deferred_until = 1 << 60", []).unwrap();
    rig.start_worker();
    rig.clock.sleep(Duration::from_secs(3601));
    eventually("it is delivered", || rig.counts("siem").delivered == 1);
    rig.stop_worker();
}

#[test]
fn an_operators_enable_lifts_the_wait() {
    let asks = reply(429).retry_after("3600");
    let receiver = Receiver::start(Script::steps([asks.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 3);
    eventually("the wait is noted", || rig.row("siem").deferred_until.is_some());
    let deferred = || rig.stats.shown.each()[0].about().deferred_until.is_some();
    assert!(deferred());
    rig.catalog.update(&rig.row("siem").uuid, &enables(), rig.clock.wall()).unwrap();
    rig.reload();
    eventually("all are delivered, the one that was refused too", || rig.counts("siem").delivered == 3);
    assert_eq!(rig.row("siem").deferred_until, None);
    rig.stop_worker();
}

fn enables() -> Patch {
    Patch { enabled: Some(true), ..Patch::default() }
}

#[test]
fn another_receiver_is_not_waited_for() {
    let (old, new) = (Receiver::start(reply(429).retry_after("3600")), Receiver::start(reply(200)));
    let mut rig = one_at_a_time(&old, "{}");
    rig.publish_numbered("a.b", 1);
    eventually("the wait is noted", || rig.row("siem").deferred_until.is_some());
    // As DECNET changes it, which knows nothing of the wait.
    let catalog = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    let url = EndpointUrl::new(&new.url("/")).unwrap();
    catalog.execute("UPDATE webhook_subscriptions SET url = ?1", [url.expose()]).unwrap();
    rig.reload();
    rig.publish("a.c", &json!({"n": 7}));
    arrive(&new, 1);
    eventually("the wait is forgotten", || rig.row("siem").deferred_until.is_none());
    rig.stop_worker();
}

#[test]
fn one_wait_is_written_once() {
    let asks = |_: &Request| reply(429).retry_after("3600").delay(Duration::from_millis(200)).into();
    let receiver = Receiver::start(Script::by(asks));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    arrive(&receiver, 2);
    eventually("both replies are settled", || rig.counts("siem").retrying == 2);
    eventually("the wait is noted", || rig.row("siem").deferred_until.is_some());
    let noted = rig.row("siem").deferred_until;
    // The last results are written when the worker stops.
    rig.stop_worker();
    assert_eq!((rig.row("siem").deferred_until, receiver.count()), (noted, 2));
}
