//! Events that programs submit through the queue are delivered like events of the bus.

use std::time::Duration;

use decnet_runtime::clock;
use decnet_store::queue::Submission;
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
    let mut writer = rig.writer();
    for chunk in numbers.chunks(1000) {
        let events: Vec<_> = chunk.iter().copied().map(event).collect();
        writer.submit_all(&[(&events, None)], clock::now()).unwrap().remove(0).unwrap();
    }
}

#[test]
fn submissions_are_delivered_once_in_order() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.concurrency = 1;
        options.record_interval = Duration::from_millis(20);
    });
    rig.stop_worker();
    submit(&rig, "a.b", 0..3000);
    rig.start_worker();
    submit(&rig, "a.b", 3000..3500);
    submit(&rig, "unrouted.topic", 0..10);
    eventually("all are delivered", || rig.counts("siem").delivered == 3500);
    assert!(numbers(&receiver).into_iter().eq(0..3500));
    eventually("unrouted events are counted", || rig.stats.unrouted.get() >= 10);
    rig.stop_worker();
    let left = rig.reader();
    assert_eq!(left.list(&Default::default()).unwrap().len(), 3500);
}

#[test]
fn nudge_or_signal_triggers_delivery() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        // The worker would poll after an hour.
        options.record_interval = Duration::from_secs(3600);
    });
    submit(&rig, "a.b", 0..1);
    rig.nudge.notify_one();
    eventually("the event is delivered", || receiver.count() == 1);
    submit(&rig, "a.b", 1..2);
    rig.publish("system.webhook.events_submitted", &json!({}));
    eventually("the event is delivered", || receiver.count() == 2);
}

#[test]
fn submission_signal_is_not_an_event() {
    let receiver = Receiver::start(reply(200));
    let mut rig =
        Rig::running(&[("siem", &receiver.url("/"), "system.webhook.>"), ("all", &receiver.url("/"), "a.>")]);
    for _ in 0..5 {
        rig.publish("system.webhook.events_submitted", &json!({}));
    }
    // The signals precede this event.
    rig.publish("a.b", &json!({ "n": 1 }));
    eventually("the event is delivered", || rig.stats.delivered.get() == 1);
    assert_eq!((receiver.count(), rig.stats.received.get(), rig.stats.unrouted.get()), (1, 1, 0));
}
