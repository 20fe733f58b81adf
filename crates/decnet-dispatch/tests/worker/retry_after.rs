//! After a reply of 429 or 503 with `Retry-After`, the receiver gets nothing before that time.

use std::time::Duration;

use decnet_core::redact::EndpointUrl;
use decnet_store::queue::Listed;
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::json;

use crate::rig::{Rig, arrive, eventually};

/// Less than the requested time of two seconds, because a reply is read some time after its request was received.
const ALMOST: Duration = Duration::from_millis(1900);

/// Starts a worker that sends one request at a time.
fn one_at_a_time(receiver: &Receiver, settings: &str) -> Rig {
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.set("siem", settings);
    rig.start();
    rig
}

/// Returns the time between two requests, numbered from 0.
fn between(requests: &[Request], first: usize, second: usize) -> Duration {
    requests[second].at - requests[first].at
}

#[test]
fn nothing_is_sent_before_retry_after() {
    for (status, settings) in [
        (429, "{}"),
        (503, "{}"),
        (429, r#"{"ordered": true}"#),
        (429, r#"{"rate": "1000/s"}"#),
        (503, r#"{"batch": {"max_events": 5, "linger": "10ms", "format": "array"}}"#),
    ] {
        let deferring = reply(status).retry_after("1.1");
        let receiver = Receiver::start(Script::steps([deferring.into(), reply(200).into()]));
        let mut rig = one_at_a_time(&receiver, settings);
        rig.publish_numbered("a.b", 1);
        arrive(&receiver, 1);
        rig.publish_numbered("a.c", 20);
        eventually("all are delivered", || rig.counts("siem").delivered == 21);
        let requests = receiver.requests();
        assert!(between(&requests, 0, 1) >= ALMOST, "{status} {settings}: {:?}", between(&requests, 0, 1));
        let attempts = |listed: &Listed| listed.attempts;
        assert_eq!(
            rig.deliveries().iter().map(attempts).sum::<u32>(),
            22,
            "only the first event was retried"
        );
    }
}

#[test]
fn latest_retry_after_applies() {
    let slow = |wait| reply(429).retry_after(wait).delay(Duration::from_millis(300)).into();
    let receiver = Receiver::start(Script::steps([slow("2"), slow("1"), reply(200).into()]));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("all are delivered", || rig.counts("siem").delivered == 10);
    let requests = receiver.requests();
    assert!(between(&requests, 0, 1) < ALMOST, "two were in flight");
    assert!(between(&requests, 0, 2) >= ALMOST, "{:?}", between(&requests, 0, 2));
}

#[test]
fn redelivery_respects_retry_after() {
    let deferring = reply(429).retry_after("2");
    let receiver = Receiver::start(Script::steps([reply(200).into(), deferring.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 1);
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
    let delivered = rig.deliveries()[0].id;
    rig.publish_numbered("a.b", 1);
    eventually("the other event waits", || rig.counts("siem").retrying == 1);
    rig.redeliver(delivered);
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
    assert!(between(&receiver.requests(), 1, 2) >= ALMOST);
}

#[test]
fn retry_after_survives_a_restart() {
    let deferring = reply(503).retry_after("3");
    let receiver = Receiver::start(Script::steps([deferring.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 3);
    eventually("the time is recorded", || rig.row("siem").deferred_until.is_some());
    rig.restart_worker();
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
    assert!(between(&receiver.requests(), 0, 1) >= Duration::from_millis(2900));
}

#[test]
fn stored_retry_after_is_bounded() {
    let deferring = reply(429).retry_after("3600");
    let receiver = Receiver::start(Script::steps([deferring.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 1);
    eventually("the time is recorded", || rig.row("siem").deferred_until.is_some());
    rig.stop_worker();
    let catalog = rig.database("decnet.db");
    catalog.execute("UPDATE decnet_webhook_settings SET deferred_until = 1 << 60", []).unwrap();
    rig.start_worker();
    rig.clock.sleep(Duration::from_secs(3601));
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
}

#[test]
fn enabling_clears_retry_after() {
    let deferring = reply(429).retry_after("3600");
    let receiver = Receiver::start(Script::steps([deferring.into(), reply(200).into()]));
    let mut rig = one_at_a_time(&receiver, "{}");
    rig.publish_numbered("a.b", 3);
    eventually("the time is recorded", || rig.row("siem").deferred_until.is_some());
    let deferred = || rig.stats.by_subscription.individual()[0].labels().deferred_until.is_some();
    assert!(deferred());
    rig.set_enabled("siem", true);
    rig.reload();
    eventually("all are delivered, also the rejected one", || rig.counts("siem").delivered == 3);
    assert_eq!(rig.row("siem").deferred_until, None);
}

#[test]
fn new_url_does_not_inherit_retry_after() {
    let (old, new) = (Receiver::start(reply(429).retry_after("3600")), Receiver::start(reply(200)));
    let mut rig = one_at_a_time(&old, "{}");
    rig.publish_numbered("a.b", 1);
    eventually("the time is recorded", || rig.row("siem").deferred_until.is_some());
    // DECNET changes the URL like this, without clearing the time.
    let catalog = rig.database("decnet.db");
    let url = EndpointUrl::new(&new.url("/")).unwrap();
    catalog.execute("UPDATE webhook_subscriptions SET url = ?1", [url.expose()]).unwrap();
    rig.reload();
    rig.publish("a.c", &json!({"n": 7}));
    arrive(&new, 1);
    eventually("the time is cleared", || rig.row("siem").deferred_until.is_none());
}

#[test]
fn retry_after_is_written_once() {
    let deferring = |_: &Request| reply(429).retry_after("3600").delay(Duration::from_millis(200)).into();
    let receiver = Receiver::start(Script::by(deferring));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    arrive(&receiver, 2);
    eventually("both replies are settled", || rig.counts("siem").retrying == 2);
    eventually("the time is recorded", || rig.row("siem").deferred_until.is_some());
    let recorded = rig.row("siem").deferred_until;
    // The last results are written when the worker stops.
    rig.stop_worker();
    assert_eq!((rig.row("siem").deferred_until, receiver.count()), (recorded, 2));
}
