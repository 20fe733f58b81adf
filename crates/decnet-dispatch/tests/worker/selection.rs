//! Filters and severity floors: what they exclude is counted, and what they cannot judge is listed.

use decnet_core::delivery::{Reason, State};
use decnet_store::queue::Filter;
use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::rig::{Rig, eventually, numbers};

/// Returns a running worker with one subscription with these settings.
fn running(receiver: &Receiver, settings: &str) -> Rig {
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), ">")]);
    rig.set("siem", settings);
    rig.start();
    rig
}

#[test]
fn filter_selects_events_and_counts_the_others() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, r#"{"filter": "topic.startsWith('a.') && payload.n >= 3"}"#);
    rig.publish_numbered("a.b", 5);
    rig.publish_numbered("b.c", 5);
    eventually("two are delivered", || rig.counts("siem").delivered == 2);
    eventually("eight are excluded", || rig.stats.excluded.get() == 8);
    assert_eq!(numbers(&receiver), [3, 4]);
    assert_eq!(rig.deliveries().len(), 2, "excluded events are not stored");
    let metrics = rig.stats.by_subscription.individual();
    assert_eq!(metrics[0].excluded.get(), 8);
    assert_eq!(rig.stats.unrouted.get(), 0, "the patterns have matched");
}

#[test]
fn event_that_a_filter_cannot_judge_is_dead_and_redeliverable() {
    let receiver = Receiver::start(reply(200));
    let mut rig = running(&receiver, r#"{"filter": "payload.port == 22"}"#);
    rig.publish("a.b", &json!({"n": 1}));
    rig.publish("a.b", &json!({"n": 2, "port": 22}));
    eventually("both are final", || rig.counts("siem").dead == 1 && rig.counts("siem").delivered == 1);
    let dead = rig.deliveries().into_iter().find(|listed| listed.state != State::Delivered).unwrap();
    assert_eq!(dead.state, State::Dead { reason: Reason::Filter });
    let attempts = rig.reader().get(dead.id).unwrap().unwrap().attempts;
    assert_eq!((attempts.len(), attempts[0].reason, attempts[0].status), (1, Some(Reason::Filter), None));
    let detail = attempts[0].detail.as_deref().unwrap();
    assert!(detail.starts_with("filter: ") && detail.contains("port"), "{detail}");
    let filter = Filter { reason: Some(Reason::Filter), ..Filter::default() };
    assert_eq!(rig.reader().list(&filter).unwrap().len(), 1, "listed by its reason");
    assert!(rig.row("siem").enabled, "the receiver is not blamed");
    rig.redeliver(dead.id);
    eventually("it is delivered", || rig.counts("siem").delivered == 2);
    assert_eq!(numbers(&receiver), [2, 1]);
}

#[test]
fn severity_floor_follows_the_table() {
    let receiver = Receiver::start(reply(200));
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("severities");
    std::fs::write(&table, "a.high = high\n").unwrap();
    let mut rig = Rig::with_subscriptions(&[("siem", &receiver.url("/"), ">")]);
    rig.options.severity_file = Some(table.as_path().into());
    rig.set("siem", r#"{"min_severity": "medium"}"#);
    rig.start();
    rig.publish("a.high", &json!({"n": 1}));
    rig.publish("a.other", &json!({"n": 2}));
    eventually("one is delivered", || rig.counts("siem").delivered == 1);
    std::fs::write(&table, "a.other = critical\n").unwrap();
    rig.reload();
    rig.publish("a.high", &json!({"n": 3}));
    rig.publish("a.other", &json!({"n": 4}));
    eventually("another is delivered", || rig.counts("siem").delivered == 2);
    assert_eq!(numbers(&receiver), [1, 4]);
}

/// A row can be changed by hand, or by another version of the program.
#[test]
fn filter_that_does_not_compile_holds_the_subscription() {
    let (held, other) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig =
        Rig::with_subscriptions(&[("held", &held.url("/"), "a.>"), ("other", &other.url("/"), "a.>")]);
    rig.set("held", r#"{"filter": "payload.n >= 0"}"#);
    rig.start();
    let catalog = rig.database("decnet.db");
    catalog.execute(r#"UPDATE decnet_webhook_settings SET settings = '{"filter":"payload."}'"#, []).unwrap();
    rig.reload();
    rig.publish_numbered("a.b", 3);
    eventually("the other subscription gets all", || rig.counts("other").delivered == 3);
    assert_eq!((rig.counts("held").pending, held.count()), (3, 0));
    let problem = rig.row("held").problem.unwrap();
    assert!(problem.starts_with("filter: "), "{problem}");
    rig.set("held", r#"{"filter": "payload.n >= 0"}"#);
    rig.reload();
    eventually("the waiting events are delivered", || rig.counts("held").delivered == 3);
}
