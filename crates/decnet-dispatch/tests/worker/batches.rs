//! Several events in one request: none is lost, none goes twice without need, and the order stays.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use decnet_core::event::BatchFormat;
use decnet_core::limits::{MAX_BATCH_BODY_BYTES, MAX_BATCH_LINGER};
use decnet_core::redact::Secret;
use decnet_core::settings::{Batch, Settings};
use decnet_core::signature::SigningKey;
use decnet_store::catalog::Patch;
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, SECRET, arrive, eventually};

/// Lingers for longer than any test waits: whatever goes is full.
const FOR_EVER: Duration = MAX_BATCH_LINGER;
const SOON: Duration = Duration::from_millis(20);

fn batches(max_events: usize, linger: Duration) -> Settings {
    let batch = Batch::new(max_events, linger, BatchFormat::Array).ok();
    Settings { batch, ..Settings::default() }
}

fn set(rig: &mut Rig, settings: Settings) {
    rig.patch("siem", &Patch { settings: settings.into(), ..Patch::default() });
}

/// A rig with one subscription to `a.>`, and nothing running.
fn rig(receiver: &Receiver, settings: Settings) -> Rig {
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    set(&mut rig, settings);
    rig
}

fn running(receiver: &Receiver, settings: Settings) -> Rig {
    let mut rig = rig(receiver, settings);
    rig.start_bus();
    rig.start_worker();
    rig
}

fn events(body: &[u8]) -> Vec<Value> {
    serde_json::from_slice(body).unwrap()
}

/// The numbers of the events in a request.
fn numbers(request: &Request) -> Vec<u64> {
    events(&request.body).iter().map(|event| event["payload"]["n"].as_u64().unwrap()).collect()
}

fn all_numbers(receiver: &Receiver) -> Vec<u64> {
    receiver.requests().iter().flat_map(numbers).collect()
}

#[test]
fn full_batches_carry_each_event_once_and_in_order() {
    const EVENTS: u64 = 3000;
    let receiver = Receiver::start(reply(200));
    let mut rig = rig(&receiver, batches(10, FOR_EVER));
    rig.options.concurrency = 1;
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", EVENTS);
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS);
    assert_eq!(receiver.count(), EVENTS / 10, "none went before it was full");
    assert!(receiver.requests().iter().all(|request| numbers(request).len() == 10));
    assert_eq!(all_numbers(&receiver), (0..EVENTS).collect::<Vec<_>>());
    rig.stop_worker();
}

#[test]
fn batches_side_by_side_share_no_event() {
    const EVENTS: u64 = 6000;
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(5)));
    let mut rig = running(&receiver, batches(7, SOON));
    rig.publish_numbered("a.b", EVENTS);
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS);
    let mut seen = all_numbers(&receiver);
    seen.sort_unstable();
    assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>());
    assert!(receiver.requests().iter().all(|request| numbers(request).len() <= 7));
    rig.stop_worker();
}

#[test]
fn what_is_not_full_goes_when_it_has_lingered() {
    let linger = Duration::from_millis(300);
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, batches(100, linger));
    let published = Instant::now();
    rig.publish_numbered("a.b", 3);
    let requests = receiver.wait_for(1, PATIENCE);
    assert!(requests[0].at - published >= linger, "a lower bound whatever the machine does");
    eventually("all is delivered", || rig.counts("siem").delivered == 3);
    let key = SigningKey::new(&Secret::new(SECRET));
    for request in receiver.requests() {
        assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")));
        let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
        assert!(id.starts_with("batch_"));
        assert!(key.verify_standard(id, at, &request.body, request.header("webhook-signature")));
        assert_eq!(request.header("x-decnet-event-topic"), "a.b");
    }
    rig.stop_worker();
}

#[test]
fn a_batch_ends_before_its_body_is_too_large() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, batches(100, FOR_EVER));
    // Four of five fit; the fifth and what comes after it fill the next one.
    let large = "x".repeat(MAX_BATCH_BODY_BYTES / 9 * 2);
    rig.publish_many((0..20).map(|n| ("a.b".to_owned(), json!({"n": n, "large": large}))));
    eventually("four batches went", || rig.counts("siem").delivered >= 16);
    for request in receiver.requests() {
        assert!(request.body.len() <= MAX_BATCH_BODY_BYTES);
        assert_eq!(numbers(&request).len(), 4);
    }
    rig.stop_worker();
}

#[test]
fn cloud_events_are_said_to_be_some() {
    let receiver = Receiver::start(reply(200));
    let batch = Batch::new(2, FOR_EVER, BatchFormat::CloudEvents).ok();
    let mut rig = running(&receiver, Settings { batch, ..Settings::default() });
    rig.publish_numbered("a.b", 2);
    let requests = receiver.wait_for(1, PATIENCE);
    assert_eq!(requests[0].header("content-type"), BatchFormat::CloudEvents.content_type());
    let data: Vec<_> = events(&requests[0].body).iter().map(|e| e["data"]["payload"]["n"].clone()).collect();
    assert_eq!(data, [json!(0), json!(1)]);
    rig.stop_worker();
}

#[test]
fn an_event_that_is_refused_takes_no_other_with_it() {
    const EVENTS: u64 = 200;
    let receiver = Receiver::start(Script::by(|request| {
        let refused = numbers(request).iter().any(|n| n % 100 == 13);
        reply(if refused { 422 } else { 200 }).into()
    }));
    let mut rig = running(&receiver, batches(64, SOON));
    rig.publish_numbered("a.b", EVENTS);
    eventually("the others are delivered", || rig.counts("siem").delivered == EVENTS - 2);
    eventually("they are given up", || rig.counts("siem").dead == 2);
    assert!(rig.row("siem").enabled);
    let alone = receiver.requests().iter().map(numbers).filter(|n| n == &[13] || n == &[113]).count();
    assert_eq!(alone, 2, "each was refused for itself, once");
    rig.stop_worker();
}

#[test]
fn order_stays_within_and_between_batches_over_failures_and_a_restart() {
    const EVENTS: u64 = 1000;
    // Some fail, some are refused for one of their events' sake; what each carried, and whether that settles it.
    let story = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&story);
    let receiver = Receiver::start(Script::by(move |request| {
        let (seen, mut story) = (numbers(request), told.lock().unwrap());
        let status = match story.len() % 4 {
            0 => 503,
            _ if seen.iter().any(|n| n % 100 == 50) => 400,
            _ => 200,
        };
        let is_settled = status == 200 || status == 400 && seen.len() == 1;
        story.push((seen, is_settled));
        reply(status).into()
    }));
    // Sevens of sixty leave some that go with what was not tried yet, and what was tried more often is due earlier.
    let settings = Settings { ordered: true, ..batches(60, SOON) };
    let mut rig = rig(&receiver, settings);
    rig.options.schedule = "30ms,10ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms".parse().unwrap();
    rig.options.circuit_threshold = 1000;
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", EVENTS);
    eventually("half is delivered", || rig.counts("siem").delivered >= EVENTS / 2);
    rig.stop_worker();
    rig.start_worker();
    let is_done = |rig: &Rig| rig.counts("siem").delivered + rig.counts("siem").dead == EVENTS;
    eventually("all is settled", || is_done(&rig));
    assert_eq!(rig.counts("siem").dead, EVENTS / 100);
    let mut next = 0;
    for (seen, is_settled) in story.lock().unwrap().iter() {
        let expected: Vec<u64> = (next..).take(seen.len()).collect();
        assert_eq!(*seen, expected, "a request carries what is owed next");
        next += if *is_settled { seen.len() as u64 } else { 0 };
    }
    assert_eq!(next, EVENTS);
    rig.stop_worker();
}

#[test]
fn a_batch_counts_once_for_its_rate() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, Settings { rate: "1/h".parse().ok(), ..batches(50, FOR_EVER) });
    rig.publish_numbered("a.b", 60);
    eventually("one batch went", || rig.counts("siem").delivered == 50);
    assert_eq!(receiver.count(), 1);
    rig.stop_worker();
}

#[test]
fn what_lingers_goes_at_once_when_batches_are_taken_back() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, batches(100, FOR_EVER));
    rig.publish_numbered("a.b", 5);
    eventually("they are there", || rig.counts("siem").pending == 5);
    assert_eq!(receiver.count(), 0);
    set(&mut rig, Settings::default());
    rig.reload();
    arrive(&receiver, 5);
    eventually("all is delivered", || rig.counts("siem").delivered == 5);
    rig.stop_worker();
}

#[test]
fn what_lingers_outlives_the_worker() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, batches(100, FOR_EVER));
    rig.publish_numbered("a.b", 60);
    eventually("they are there", || rig.counts("siem").pending == 60);
    rig.stop_worker();
    rig.start_worker();
    rig.publish_numbered("a.b", 40);
    eventually("all is delivered", || rig.counts("siem").delivered == 100);
    assert_eq!(receiver.count(), 1, "old and new make a batch");
    rig.stop_worker();
}

#[test]
fn a_tripped_receiver_is_probed_with_one_event_and_then_sent_the_rest() {
    const EVENTS: u64 = 120;
    let receiver = Receiver::start(reply(500));
    let mut rig = rig(&receiver, Settings { ordered: true, ..batches(30, SOON) });
    rig.options.circuit_threshold = 1;
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", EVENTS);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    let before = receiver.requests().len();
    arrive(&receiver, before as u64 + 3);
    let probes: Vec<_> = receiver.requests().iter().skip(before).map(numbers).collect();
    assert!(probes.iter().all(|probe| probe == &[0]), "the oldest, alone: {probes:?}");
    receiver.set(reply(200));
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS);
    let taken = all_numbers(&receiver).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(taken, (0..EVENTS).collect());
    rig.stop_worker();
}
