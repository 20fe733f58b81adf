//! Rate limit and order of one subscription.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use decnet_testkit::{Receiver, Script, reply};

use crate::rig::{Rig, arrive, eventually, numbers};

#[test]
fn rate_limit_delays_and_drops_nothing() {
    const EVENTS: u64 = 60;
    let (slow, free) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig =
        Rig::with_subscriptions(&[("slow", &slow.url("/"), "a.>"), ("free", &free.url("/"), "a.>")]);
    rig.set("slow", r#"{"rate": "40/s"}"#);
    rig.start();
    let begun = Instant::now();
    rig.publish_numbered("a.b", EVENTS);
    arrive(&free, EVENTS);
    arrive(&slow, EVENTS);
    // The burst is a tenth of a second; the others follow every 25 ms.
    assert!(begun.elapsed() >= Duration::from_millis(25 * (EVENTS - 5)), "took only {:?}", begun.elapsed());
    eventually("all are settled", || rig.counts("slow").delivered == EVENTS);
}

#[test]
fn removed_rate_limit_releases_waiting_deliveries() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    rig.set("siem", r#"{"rate": "1/h"}"#);
    rig.start();
    rig.publish_numbered("a.b", 20);
    arrive(&receiver, 1);
    rig.set("siem", r#"{"rate": null}"#);
    rig.reload();
    arrive(&receiver, 20);
    eventually("all are settled", || rig.counts("siem").delivered == 20);
}

#[test]
fn ordered_lane_waits_for_a_failed_delivery() {
    const EVENTS: u64 = 300;
    // Every third request fails, so that most events are retried at some time, also after a restart.
    let count = AtomicU64::new(0);
    let script = Script::by(move |_| {
        let fails = count.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        reply(if fails { 503 } else { 200 }).into()
    });
    let receiver = Receiver::start(script);
    let mut rig = Rig::new();
    rig.options.schedule = "1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms".parse().unwrap();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.set("siem", r#"{"ordered": true}"#);
    rig.start();
    rig.publish_numbered("a.b", EVENTS);
    eventually("half is delivered", || rig.counts("siem").delivered >= EVENTS / 2);
    rig.restart_worker();
    eventually("all are delivered", || rig.counts("siem").delivered == EVENTS);
    let mut received = numbers(&receiver);
    assert!(received.is_sorted(), "an event overtook another: {received:?}");
    received.dedup();
    assert_eq!(received, (0..EVENTS).collect::<Vec<_>>());
}
