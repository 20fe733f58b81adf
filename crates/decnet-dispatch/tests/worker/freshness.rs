//! An event is routed by every change of the subscriptions that precedes it.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use decnet_core::topic::own::{APPLIED_TOPIC, CHANGED_TOPIC};
use decnet_dispatch::clock;
use decnet_store::queue::{Operator, Submission, note_change};
use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::rig::{Rig, arrive, eventually, send};

/// A worker that has loaded one subscription, connected to a bus that the test plays.
fn at_a_false_bus(receiver: &Receiver) -> (Rig, UnixStream) {
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    // Nothing but what the test sends makes it look.
    rig.options.record_interval = Duration::from_secs(3600);
    let mut bus = rig.launch_at_a_false_bus();
    send(&mut bus, "a.first", "{}");
    arrive(receiver, 1);
    (rig, bus)
}

fn submit(rig: &Rig, topic: &str) {
    let event = Submission { id: None, topic: topic.into(), kind: "".into(), at: None, payload: "{}".into() };
    let mut operator = Operator::open(rig.dir.path()).unwrap();
    operator.submit_all(&[(&[event], None)], clock::now()).unwrap().remove(0).unwrap();
}

#[test]
fn an_event_right_behind_a_signal_follows_the_change() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, mut bus) = at_a_false_bus(&receiver);
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
    rig.stop_worker();
}

#[test]
fn the_first_event_of_a_connection_follows_what_changed_before() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    let mut bus = rig.launch_at_a_false_bus();
    eventually("the worker has looked for signals that it missed", || rig.stats.reloads.get() >= 2);
    rig.subscribe("late", &late.url("/"), &["late"]);
    send(&mut bus, "late", "{}");
    arrive(&late, 1);
    rig.stop_worker();
}

#[test]
fn an_applied_change_is_reported_with_what_was_received() {
    let receiver = Receiver::start(reply(200));
    let (mut rig, mut bus) = at_a_false_bus(&receiver);
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.second", "{}");
    arrive(&receiver, 2);
    let mut sent = Vec::new();
    let has = |sent: &[u8], what: &str| sent.windows(what.len()).any(|bytes| bytes == what.as_bytes());
    // The signal is read alone, or with the event behind it.
    while !has(&sent, "\"received\":2}") && !has(&sent, "\"received\":3}") {
        let mut some = [0; 4096];
        let read = std::io::Read::read(&mut bus, &mut some).unwrap();
        assert!(read > 0, "the worker left: {:?}", String::from_utf8_lossy(&sent));
        sent.extend_from_slice(&some[..read]);
    }
    assert!(has(&sent, "\"received\":1}"), "the first event of a connection counts as behind a change");
    assert!(has(&sent, &format!("SUB {APPLIED_TOPIC}\n")) && has(&sent, &format!("PUB {APPLIED_TOPIC}\n")));
    rig.stop_worker();
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
    rig.stop_worker();
}

#[test]
fn an_unreadable_catalog_holds_events_only_until_that_is_known() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, mut bus) = at_a_false_bus(&receiver);
    rig.subscribe("late", &late.url("/"), &["a.late"]);
    let file = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    file.execute_batch("ALTER TABLE webhook_subscriptions RENAME TO away").unwrap();
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.late", "{}");
    arrive(&receiver, 2);
    assert_eq!((rig.stats.reload_failures.get() >= 1, late.count()), (true, 0));
    file.execute_batch("ALTER TABLE away RENAME TO webhook_subscriptions").unwrap();
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.late", "{}");
    arrive(&late, 1);
    rig.stop_worker();
}

/// The worker has a verdict on the row that is not written yet, and a change of the row outdates it.
#[test]
fn a_new_url_counts_though_the_old_receiver_was_just_given_up() {
    let (receiver, new) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, mut bus) = at_a_false_bus(&receiver);
    receiver.set(reply(410));
    let mut file = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    let change = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    send(&mut bus, "a.gone", "{}");
    arrive(&receiver, 2);
    eventually("the subscription is given up, and its row cannot be written", || rig.stats.trips.get() == 1);
    assert_eq!(change.execute("UPDATE webhook_subscriptions SET url = ?1", [new.url("/")]).unwrap(), 1);
    change.commit().unwrap();
    send(&mut bus, CHANGED_TOPIC, "{}");
    send(&mut bus, "a.new", "{}");
    eventually("the event goes to the new receiver", || {
        new.requests().iter().any(|request| request.header("x-decnet-event-topic") == "a.new")
    });
    assert_eq!(receiver.count(), 2);
    rig.stop_worker();
}

#[test]
fn a_stop_admits_what_waits_for_a_reload() {
    let receiver = Receiver::start(reply(200));
    let (mut rig, mut bus) = at_a_false_bus(&receiver);
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
fn a_submission_behind_a_counted_change_follows_it() {
    let (receiver, late) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let (mut rig, _bus) = at_a_false_bus(&receiver);
    for n in 0..30 {
        let topic = format!("late.{n}");
        rig.subscribe(&topic, &late.url("/"), &[&topic]);
        note_change(rig.dir.path()).unwrap();
        submit(&rig, &topic);
        rig.nudge.notify_one();
    }
    arrive(&late, 30);
    rig.stop_worker();
}

#[test]
fn without_a_bus_a_counted_change_is_applied_within_moments() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.options.reload_interval = Duration::from_secs(3600);
    rig.start_bus();
    rig.start_worker();
    rig.subscribe("late", &receiver.url("/"), &["b"]);
    note_change(rig.dir.path()).unwrap();
    eventually("the row is read", || rig.stats.subscriptions.get() == 2);
    rig.stop_worker();
}
