//! What programs without a bus submit is delivered as what comes from it.

use std::sync::Arc;
use std::time::Duration;

use decnet_dispatch::clock;
use decnet_store::queue::{Operator, Reader, Submission};
use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::rig::{Rig, eventually, numbers};

fn submit(rig: &Rig, topic: &str, range: std::ops::Range<u64>) {
    let event = |n: u64| Submission {
        id: None,
        topic: topic.into(),
        kind: "test".into(),
        at: None,
        payload: json!({ "n": n }).to_string().into(),
    };
    let numbers: Vec<u64> = range.collect();
    let mut operator = Operator::open(rig.dir.path()).unwrap();
    for some in numbers.chunks(1000) {
        let events: Vec<_> = some.iter().copied().map(event).collect();
        operator.submit_all(&[(&events, None)], clock::now()).unwrap().remove(0).unwrap();
    }
}

#[test]
fn what_was_submitted_before_the_start_and_since_is_delivered_once_in_order() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.options.concurrency = 1;
    rig.options.record_interval = Duration::from_millis(20);
    rig.start_bus();
    rig.start_worker();
    rig.stop_worker();
    submit(&rig, "a.b", 0..3000);
    rig.start_worker();
    submit(&rig, "a.b", 3000..3500);
    submit(&rig, "nobody.asks", 0..10);
    eventually("all is delivered", || rig.counts("siem").delivered == 3500);
    assert!(numbers(&receiver).into_iter().eq(0..3500));
    eventually("what nobody asks for is counted", || rig.stats.unrouted.get() >= 10);
    rig.stop_worker();
    let left = Reader::open(rig.dir.path()).unwrap();
    assert_eq!(left.list(&Default::default()).unwrap().len(), 3500);
}

#[test]
fn a_nudge_or_a_word_on_the_bus_is_enough() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    // By itself it would look in an hour.
    rig.options.record_interval = Duration::from_secs(3600);
    rig.start_bus();
    rig.start_worker();
    submit(&rig, "a.b", 0..1);
    rig.nudge.notify_one();
    eventually("it is delivered", || receiver.count() == 1);
    submit(&rig, "a.b", 1..2);
    rig.publish("system.webhook.events_submitted", &json!({}));
    eventually("it is delivered", || receiver.count() == 2);
    rig.stop_worker();
}

#[test]
fn the_word_that_something_was_submitted_is_no_event() {
    let receiver = Receiver::start(reply(200));
    let mut rig =
        Rig::running(&[("siem", &receiver.url("/"), "system.webhook.>"), ("all", &receiver.url("/"), "a.>")]);
    let stats = Arc::clone(&rig.stats);
    for _ in 0..5 {
        rig.publish("system.webhook.events_submitted", &json!({}));
    }
    // What comes behind them has come after them.
    rig.publish("a.b", &json!({ "n": 1 }));
    eventually("it is delivered", || stats.delivered.get() == 1);
    assert_eq!((receiver.count(), stats.received.get(), stats.unrouted.get()), (1, 1, 0));
    rig.stop_worker();
}
