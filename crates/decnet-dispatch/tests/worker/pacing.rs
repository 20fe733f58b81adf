//! What one subscription asks for: a rate that delays and never drops, an order that a failure holds up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use decnet_core::settings::Settings;
use decnet_store::catalog::Patch;
use decnet_testkit::{Receiver, Script, reply};

use crate::rig::{Rig, arrive, eventually, numbers};

fn with_settings(rig: &mut Rig, name: &str, settings: Settings) {
    rig.patch(name, &Patch { settings: settings.into(), ..Patch::default() });
}

#[test]
fn a_rate_delays_and_drops_nothing() {
    const EVENTS: u64 = 60;
    let (slow, free) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.subscribe("slow", &slow.url("/"), &["a.>"]);
    rig.subscribe("free", &free.url("/"), &["a.>"]);
    with_settings(&mut rig, "slow", Settings { rate: "40/s".parse().ok(), ..Settings::default() });
    rig.start_bus();
    rig.start_worker();
    let begun = Instant::now();
    rig.publish_numbered("a.b", EVENTS);
    arrive(&free, EVENTS);
    arrive(&slow, EVENTS);
    // A tenth of a second's worth goes at once, the others 25 ms apart: a lower bound whatever the machine does.
    assert!(begun.elapsed() >= Duration::from_millis(25 * (EVENTS - 5)), "took only {:?}", begun.elapsed());
    eventually("all are settled", || rig.counts("slow").delivered == EVENTS);
    rig.stop_worker();
}

#[test]
fn a_rate_can_be_lifted_while_deliveries_wait_for_it() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    with_settings(&mut rig, "siem", Settings { rate: "1/h".parse().ok(), ..Settings::default() });
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 20);
    arrive(&receiver, 1);
    with_settings(&mut rig, "siem", Settings::default());
    rig.reload();
    arrive(&receiver, 20);
    eventually("all are settled", || rig.counts("siem").delivered == 20);
    rig.stop_worker();
}

#[test]
fn an_ordered_line_is_held_by_a_failure_until_it_is_delivered() {
    const EVENTS: u64 = 300;
    // Every third request fails, so that most events are repeated at some time, also over a restart.
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
    with_settings(&mut rig, "siem", Settings { ordered: true, ..Settings::default() });
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", EVENTS);
    eventually("half is delivered", || rig.counts("siem").delivered >= EVENTS / 2);
    rig.stop_worker();
    rig.start_worker();
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS);
    let mut seen = numbers(&receiver);
    assert!(seen.is_sorted(), "no event overtook another: {seen:?}");
    seen.dedup();
    assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>());
    rig.stop_worker();
}
