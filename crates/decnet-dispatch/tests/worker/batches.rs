//! Batches: no event is lost or repeated without need, and the order is kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use decnet_core::event::BatchFormat;
use decnet_core::limits::{MAX_BATCH_BODY_BYTES, MAX_BATCH_LINGER};
use decnet_core::redact::Secret;
use decnet_core::settings::{Batch, Settings};
use decnet_core::signature::SigningKey;
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, SECRET, arrive, eventually};

/// Longer than any test waits, so only full batches are sent.
const LONG: Duration = MAX_BATCH_LINGER;
const SHORT: Duration = Duration::from_millis(20);

fn batches(max_events: usize, linger: Duration) -> Settings {
    let batch = Batch::new(max_events, linger, BatchFormat::Array).ok();
    Settings { batch, ..Settings::default() }
}

/// Returns a rig with one subscription to `a.>`. Nothing runs yet.
fn rig(receiver: &Receiver, settings: &Settings) -> Rig {
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    rig.set("siem", &serde_json::to_string(settings).unwrap());
    rig
}

fn running(receiver: &Receiver, settings: &Settings) -> Rig {
    let mut rig = rig(receiver, settings);
    rig.start();
    rig
}

fn events(body: &[u8]) -> Vec<Value> {
    serde_json::from_slice(body).unwrap()
}

/// Returns the numbers of the events in a request.
fn numbers(request: &Request) -> Vec<u64> {
    events(&request.body).iter().map(|event| event["payload"]["n"].as_u64().unwrap()).collect()
}

fn all_numbers(receiver: &Receiver) -> Vec<u64> {
    receiver.requests().iter().flat_map(numbers).collect()
}

#[test]
fn full_batches_contain_each_event_once_in_order() {
    const EVENTS: u64 = 3000;
    let receiver = Receiver::start(reply(200));
    let mut rig = rig(&receiver, &batches(10, LONG));
    rig.options.concurrency = 1;
    rig.start();
    rig.publish_numbered("a.b", EVENTS);
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
    assert_eq!(receiver.count(), EVENTS / 10, "only full batches were sent");
    assert!(receiver.requests().iter().all(|request| numbers(request).len() == 10));
    assert_eq!(all_numbers(&receiver), (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn concurrent_batches_share_no_event() {
    const EVENTS: u64 = 6000;
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(5)));
    let mut rig = running(&receiver, &batches(7, SHORT));
    rig.publish_numbered("a.b", EVENTS);
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
    let mut received = all_numbers(&receiver);
    received.sort_unstable();
    assert_eq!(received, (0..EVENTS).collect::<Vec<_>>());
    assert!(receiver.requests().iter().all(|request| numbers(request).len() <= 7));
}

#[test]
fn partial_batch_is_sent_after_its_linger() {
    let linger = Duration::from_millis(300);
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, &batches(100, linger));
    let published = Instant::now();
    rig.publish_numbered("a.b", 3);
    let requests = receiver.wait_for(1, PATIENCE);
    assert!(requests[0].at - published >= linger, "it lingered");
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
    let key = SigningKey::new(&Secret::new(SECRET));
    for request in receiver.requests() {
        assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")));
        let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
        assert!(id.starts_with("batch_"));
        assert!(key.verify_standard(id, at, &request.body, request.header("webhook-signature")));
        assert_eq!(request.header("x-decnet-event-topic"), "a.b");
    }
}

#[test]
fn batch_body_is_bounded() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, &batches(100, LONG));
    // Four events fit into a batch, the fifth does not.
    let large = "x".repeat(MAX_BATCH_BODY_BYTES / 9 * 2);
    rig.publish_many((0..20).map(|n| ("a.b".to_owned(), json!({"n": n, "large": large}))));
    eventually("four batches are delivered", || rig.counts("siem").delivered >= 16);
    for request in receiver.requests() {
        assert!(request.body.len() <= MAX_BATCH_BODY_BYTES);
        assert_eq!(numbers(&request).len(), 4);
    }
}

#[test]
fn cloud_events_batch_has_its_content_type() {
    let receiver = Receiver::start(reply(200));
    let batch = Batch::new(2, LONG, BatchFormat::CloudEvents).ok();
    let mut rig = running(&receiver, &Settings { batch, ..Settings::default() });
    rig.publish_numbered("a.b", 2);
    let requests = receiver.wait_for(1, PATIENCE);
    assert_eq!(requests[0].header("content-type"), BatchFormat::CloudEvents.content_type());
    let data: Vec<_> = events(&requests[0].body).iter().map(|e| e["data"]["payload"]["n"].clone()).collect();
    assert_eq!(data, [json!(0), json!(1)]);
}

#[test]
fn rejected_event_does_not_fail_its_batch() {
    const EVENTS: u64 = 200;
    let receiver = Receiver::start(Script::by(|request| {
        let is_rejected = numbers(request).iter().any(|n| n % 100 == 13);
        reply(if is_rejected { 422 } else { 200 }).into()
    }));
    let mut rig = running(&receiver, &batches(64, SHORT));
    rig.publish_numbered("a.b", EVENTS);
    eventually("the others are delivered", || rig.counts("siem").delivered == EVENTS - 2);
    eventually("the rejected events are dead", || rig.counts("siem").dead == 2);
    assert!(rig.row("siem").enabled);
    let alone = receiver.requests().iter().map(numbers).filter(|n| n == &[13] || n == &[113]).count();
    assert_eq!(alone, 2, "each was rejected alone, once");
}

#[test]
fn members_of_a_split_batch_keep_their_retries() {
    const EVENTS: u64 = 16;
    let failed = Mutex::new(BTreeSet::new());
    let receiver = Receiver::start(Script::by(move |request| {
        let is_new = || failed.lock().unwrap().insert(numbers(request)[0]);
        reply(if numbers(request).len() > 1 {
            413
        } else if is_new() {
            503
        } else {
            200
        })
        .into()
    }));
    let mut rig = rig(&receiver, &batches(16, LONG));
    rig.options.schedule = "300ms,1h".parse().unwrap();
    rig.start();
    rig.publish_numbered("a.b", EVENTS);
    eventually("all are delivered after the first delay", || rig.counts("siem").delivered == EVENTS);
    for delivery in rig.deliveries() {
        let attempts = rig.reader().get(delivery.id).unwrap().unwrap().attempts;
        let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status.unwrap()).collect();
        assert_eq!(statuses, [413, 413, 503, 200], "batches of 16 and 2, then alone");
        let delay = attempts[3].started_at.since(attempts[2].started_at);
        assert!(delay >= Duration::from_millis(240), "{delay:?}");
    }
}

#[test]
fn ordered_batches_keep_order_across_failures_and_restart() {
    const EVENTS: u64 = 1000;
    // The events of each request, and whether the reply settles them. Some requests fail; others are rejected because of
    // one of their events.
    let log = Arc::new(Mutex::new(Vec::new()));
    let shared_log = Arc::clone(&log);
    let receiver = Receiver::start(Script::by(move |request| {
        let (received, mut log) = (numbers(request), shared_log.lock().unwrap());
        let status = match log.len() % 4 {
            0 => 503,
            _ if received.iter().any(|n| n % 100 == 50) => 400,
            _ => 200,
        };
        let is_settled = status == 200 || status == 400 && received.len() == 1;
        log.push((received, is_settled));
        reply(status).into()
    }));
    // Later attempts are due earlier, so that retries share batches with events that were not sent yet.
    let settings = Settings { ordered: true, ..batches(60, SHORT) };
    let mut rig = rig(&receiver, &settings);
    rig.options.schedule = "30ms,10ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms".parse().unwrap();
    rig.options.circuit_threshold = 1000;
    rig.start();
    rig.publish_numbered("a.b", EVENTS);
    eventually("half is delivered", || rig.counts("siem").delivered >= EVENTS / 2);
    rig.restart_worker();
    let is_done = |rig: &Rig| rig.counts("siem").delivered + rig.counts("siem").dead == EVENTS;
    eventually("all are settled", || is_done(&rig));
    assert_eq!(rig.counts("siem").dead, EVENTS / 100);
    let mut next = 0;
    for (received, is_settled) in log.lock().unwrap().iter() {
        let expected: Vec<u64> = (next..).take(received.len()).collect();
        assert_eq!(*received, expected, "a request contains the next events");
        next += if *is_settled { received.len() as u64 } else { 0 };
    }
    assert_eq!(next, EVENTS);
}

#[test]
fn batch_counts_once_against_the_rate() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, &Settings { rate: "1/h".parse().ok(), ..batches(50, LONG) });
    rig.publish_numbered("a.b", 60);
    eventually("one batch is delivered", || rig.counts("siem").delivered == 50);
    assert_eq!(receiver.count(), 1);
}

#[test]
fn lingering_events_are_sent_when_batching_is_disabled() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, &batches(100, LONG));
    rig.publish_numbered("a.b", 5);
    eventually("the events are in the queue", || rig.counts("siem").pending == 5);
    assert_eq!(receiver.count(), 0);
    rig.set("siem", r#"{"batch": null}"#);
    rig.reload();
    arrive(&receiver, 5);
    eventually("all are delivered", || rig.counts("siem").delivered == 5);
}

#[test]
fn lingering_events_survive_a_restart() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, &batches(100, LONG));
    rig.publish_numbered("a.b", 60);
    eventually("the events are in the queue", || rig.counts("siem").pending == 60);
    rig.restart_worker();
    rig.publish_numbered("a.b", 40);
    eventually("all are delivered", || rig.counts("siem").delivered == 100);
    assert_eq!(receiver.count(), 1, "old and new events share a batch");
}

#[test]
fn tripped_subscription_is_probed_with_one_event() {
    const EVENTS: u64 = 120;
    let receiver = Receiver::start(reply(500));
    let mut rig = rig(&receiver, &Settings { ordered: true, ..batches(30, SHORT) });
    rig.options.circuit_threshold = 1;
    rig.start();
    rig.publish_numbered("a.b", EVENTS);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    let before = receiver.requests().len();
    arrive(&receiver, before as u64 + 3);
    let probes: Vec<_> = receiver.requests().iter().skip(before).map(numbers).collect();
    assert!(probes.iter().all(|probe| probe == &[0]), "a probe is the oldest event, alone: {probes:?}");
    receiver.set(reply(200));
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
    let delivered = all_numbers(&receiver).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(delivered, (0..EVENTS).collect());
}
