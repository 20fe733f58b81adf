//! A receiver is sent as many requests at once as it takes, and no more.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use decnet_core::limits::{LANE_FLIGHT_BYTES, MAX_ADAPTIVE_CONCURRENCY};
use decnet_testkit::{Receiver, Script, Step, reply};

use crate::rig::{Rig, arrive, eventually, numbers};

/// Takes so many requests at once, each for so long, and refuses what is beyond them; how many that were.
fn bounded(places: usize, time: Duration) -> (Script, Arc<AtomicU64>) {
    let (refused, taken) = (Arc::new(AtomicU64::new(0)), Mutex::new(Vec::<Instant>::new()));
    let count = Arc::clone(&refused);
    let script = Script::by(move |_| {
        let (mut taken, now) = (taken.lock().unwrap(), Instant::now());
        taken.retain(|until| *until > now);
        if taken.len() < places {
            taken.push(now + time);
            reply(200).delay(time).into()
        } else {
            count.fetch_add(1, Ordering::SeqCst);
            reply(503).into()
        }
    });
    (script, refused)
}

#[test]
fn a_receiver_that_says_when_it_has_enough_is_not_overrun() {
    const EVENTS: u64 = 1500;
    let (script, refused) = bounded(8, Duration::from_millis(20));
    let receiver = Receiver::start(script);
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", EVENTS);
    eventually("all is delivered", || rig.counts("siem").delivered == EVENTS);
    let refused = refused.load(Ordering::SeqCst);
    // With 64 at once it would be several for each that is taken.
    assert!(refused < EVENTS / 4, "{refused} of {EVENTS} were too much");
    rig.stop_worker();
}

#[test]
fn a_receiver_that_keeps_up_is_sent_the_maximum_at_once() {
    // Long enough for a slow machine's own delays to be small beside it.
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(100)));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10_000);
    let most = MAX_ADAPTIVE_CONCURRENCY as u64;
    eventually("it is sent the maximum", || receiver.connections() >= most);
    arrive(&receiver, receiver.count() + 2 * most);
    assert_eq!(receiver.connections(), most, "each request has a connection to itself while it goes on");
    rig.stop_worker();
}

#[test]
fn receivers_that_begin_to_hang_together_leave_slots_for_the_others() {
    const PACK: usize = 4;
    let pack: Vec<Receiver> = (0..PACK).map(|_| Receiver::start(reply(200))).collect();
    let healthy = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.total_concurrency = 16;
    // Nothing times out while the healthy one is served: the slots of the others are not given back.
    rig.options.sender.deadline = crate::rig::PATIENCE;
    rig.options.shutdown_grace = Duration::ZERO;
    rig.subscribe("healthy", &healthy.url("/"), &["healthy.>"]);
    for (n, receiver) in pack.iter().enumerate() {
        rig.subscribe(&format!("pack-{n}"), &receiver.url("/"), &["pack.>"]);
    }
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("pack.a", 500);
    eventually("they have proven themselves", || rig.stats.delivered.get() == 500 * PACK as u64);
    let before: Vec<u64> = pack.iter().map(Receiver::count).collect();
    pack.iter().for_each(|receiver| receiver.set(Step::Hang));
    rig.publish_numbered("pack.b", 100);
    eventually("each of them hangs", || pack.iter().zip(&before).all(|(r, before)| r.count() > *before));
    rig.publish_numbered("healthy.a", 100);
    arrive(&healthy, 100);
    assert_eq!(numbers(&healthy).len(), 100);
    let held: u64 = pack.iter().zip(&before).map(|(r, before)| r.count() - before).sum();
    assert!(held < 16, "{held} of 16 hang");
    rig.stop_worker();
}

#[test]
fn large_bodies_are_not_all_in_flight_at_once() {
    let large = "x".repeat(LANE_FLIGHT_BYTES / 10);
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.shutdown_grace = Duration::ZERO;
    rig.options.sender.deadline = crate::rig::PATIENCE;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    // Small ones first, so that the window is wide.
    rig.publish_numbered("a.b", 2000);
    eventually("they are delivered", || rig.stats.delivered.get() == 2000);
    receiver.set(Step::Hang);
    rig.publish_many((0..40).map(|n| ("a.b".to_owned(), serde_json::json!({"n": n, "large": large}))));
    eventually("all are admitted", || rig.counts("siem").pending == 40);
    arrive(&receiver, 2001);
    let most = 2000 + 10;
    assert!(receiver.count() <= most, "{} hang", receiver.count() - 2000);
    rig.stop_worker();
    assert!(receiver.count() <= most, "{} hang", receiver.count() - 2000);
}
