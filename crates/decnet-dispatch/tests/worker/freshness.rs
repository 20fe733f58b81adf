//! An event is routed by all changes of the subscriptions that precede it.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use decnet_core::topic::system_topics::{APPLIED_TOPIC, CHANGED_TOPIC};
use decnet_runtime::clock;
use decnet_store::queue::{Submission, record_catalog_change};
use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::rig::{Rig, arrive, eventually, send};

/// Starts a worker with one subscription and the test as its bus.
fn with_fake_bus(receiver: &Receiver) -> (Rig, UnixStream) {
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    // Only the signals of the test cause reloads.
    rig.options.record_interval = Duration::from_secs(3600);
    let mut bus = rig.launch_with_fake_bus();
    send(&mut bus, "a.first", "{}");
    arrive(receiver, 1);
    (rig, bus)
}

fn submit(rig: &Rig, topic: &str) {
    let event = Submission { id: None, topic: topic.into(), kind: "".into(), at: None, payload: "{}".into() };
    let mut writer = rig.writer();
    writer.submit_all(&[(&[event], None)], clock::now()).unwrap().remove(0).unwrap();
}

#[test]
fn event_after_a_signal_reaches_the_new_subscription() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, mut bus) = with_fake_bus(&receiver);
    for n in 0..30 {
        rig.subscribe(&format!("late-{n}"), &late.url("/"), &[&format!("late.{n}")]);
        let mut stream = Vec::new();
        for topic in [CHANGED_TOPIC, &format!("late.{n}")] {
            stream.extend([b"EVT ", topic.as_bytes(), b"\n\0\0\0\x02{}"].concat());
        }
        bus.write_all(&stream).unwrap();
    }
    arrive(&late, 30);
    assert_eq!(rig.stats.unrouted.get(), 0);
}

#[test]
fn first_event_of_a_connection_follows_earlier_changes() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), "a.>")]);
    let mut bus = rig.launch_with_fake_bus();
    eventually("the worker has reloaded after it connected", || rig.stats.reloads.get() >= 2);
    rig.subscribe("late", &late.url("/"), &["late"]);
    send(&mut bus, "late", "{}");
    arrive(&late, 1);
}

#[test]
fn applied_change_is_reported_with_the_received_count() {
    let receiver = Receiver::start(reply(200));
    let (_rig, mut bus) = with_fake_bus(&receiver);
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.second", "{}");
    arrive(&receiver, 2);
    let mut received = Vec::new();
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    // The signal is read alone or together with the event behind it.
    while !has(&received, "\"received\":2}") && !has(&received, "\"received\":3}") {
        let mut buffer = [0; 4096];
        let read = std::io::Read::read(&mut bus, &mut buffer).unwrap();
        assert!(read > 0, "the worker closed the connection: {:?}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&buffer[..read]);
    }
    assert!(has(&received, "\"received\":1}"), "the first event of a connection counts as behind a change");
    assert!(
        has(&received, &format!("SUB {APPLIED_TOPIC}\n"))
            && has(&received, &format!("PUB {APPLIED_TOPIC}\n"))
    );
}

#[test]
fn endless_signals_do_not_stall_admission() {
    const EVENTS: u64 = 2000;
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    let before = rig.stats.reloads.get();
    rig.publish_many(
        (0..EVENTS)
            .flat_map(|n| [("a.b".to_owned(), json!({ "n": n })), (CHANGED_TOPIC.to_owned(), json!({}))]),
    );
    arrive(&receiver, EVENTS);
    let reloads = rig.stats.reloads.get() - before;
    assert!((1..EVENTS / 5).contains(&reloads), "{reloads} reloads for {EVENTS} signals");
}

#[test]
fn unreadable_catalog_does_not_hold_events() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, mut bus) = with_fake_bus(&receiver);
    let file = rig.database("decnet.db");
    file.execute_batch("ALTER TABLE webhook_subscriptions RENAME TO away").unwrap();
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.late", "{}");
    arrive(&receiver, 2);
    assert!(rig.stats.reload_failures.get() >= 1);
    file.execute_batch("ALTER TABLE away RENAME TO webhook_subscriptions").unwrap();
    rig.subscribe("late", &late.url("/"), &["a.late"]);
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.late", "{}");
    arrive(&late, 1);
}

/// A change of the row supersedes a trip that is not written yet.
#[test]
fn changed_url_overrides_an_unwritten_trip() {
    let (receiver, new) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (rig, mut bus) = with_fake_bus(&receiver);
    receiver.set(reply(410));
    let mut file = rig.database("decnet.db");
    let change = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    send(&mut bus, "a.gone", "{}");
    arrive(&receiver, 2);
    eventually("the subscription is tripped and its row cannot be written", || rig.stats.trips.get() == 1);
    assert_eq!(change.execute("UPDATE webhook_subscriptions SET url = ?1", [new.url("/")]).unwrap(), 1);
    change.commit().unwrap();
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.new", "{}");
    eventually("the event goes to the new receiver", || {
        new.requests().iter().any(|request| request.header("x-decnet-event-topic") == "a.new")
    });
    assert_eq!(receiver.count(), 2);
}

#[test]
fn shutdown_admits_events_that_wait_for_a_reload() {
    let receiver = Receiver::start(reply(200));
    let (mut rig, mut bus) = with_fake_bus(&receiver);
    let late = Receiver::start(reply(200));
    rig.subscribe("late", &late.url("/"), &["late"]);
    let before = rig.stats.received.get();
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "late", "{}");
    eventually("both are read", || rig.stats.received.get() == before + 2);
    rig.stop_worker();
    let counts = rig.counts("late");
    assert_eq!(counts.pending + counts.retrying + counts.delivered, 1);
}

#[test]
fn submission_after_a_recorded_change_reaches_the_new_subscription() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, _bus) = with_fake_bus(&receiver);
    for n in 0..30 {
        let topic = format!("late.{n}");
        rig.subscribe(&topic, &late.url("/"), &[&topic]);
        record_catalog_change(rig.dir.path()).unwrap();
        submit(&rig, &topic);
        rig.nudge.notify_one();
    }
    arrive(&late, 30);
}

#[test]
fn recorded_change_is_applied_without_a_signal() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.reload_interval = Duration::from_secs(3600);
    });
    rig.subscribe("late", &receiver.url("/"), &["b"]);
    record_catalog_change(rig.dir.path()).unwrap();
    eventually("the row is read", || rig.stats.subscriptions.get() == 2);
}
