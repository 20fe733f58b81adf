//! A reload touches what has changed and nothing else.

use std::sync::Arc;

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_dispatch::clock;
use decnet_store::catalog::{Catalog, Create, NewSubscription, Patch};
use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::rig::{Rig, SECRET, arrive, eventually, numbers};

/// Ten deliveries to `siem`, whose uuid comes back, wait for an hour; nothing goes to `other`.
fn ten_wait(receiver: &Receiver) -> (Rig, String) {
    let mut rig = Rig::new();
    rig.options.schedule = "1h".parse().unwrap();
    let uuid = rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.subscribe("other", &receiver.url("/"), &["nobody"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    eventually("all wait", || rig.counts("siem").retrying == 10);
    (rig, uuid)
}

#[test]
fn what_changed_between_the_first_look_and_the_bus_is_seen_once_the_bus_is_there() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("early", &receiver.url("/"), &["nothing"]);
    rig.launch_worker();
    eventually("the first look is over", || rig.stats.subscriptions.get() == 1);
    // Nobody is told: the word would go to a bus to which the worker does not listen yet.
    rig.subscribe("late", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    eventually("the late one gets events", || {
        rig.publish("a.b", &json!({}));
        receiver.count() > 0
    });
    rig.stop_worker();
}

#[test]
fn a_new_subscription_gets_events_without_a_restart() {
    let (first, second) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("first", &first.url("/"), "a.>")]);
    rig.subscribe("second", &second.url("/"), &["attacker.>"]);
    rig.reload();
    rig.publish("attacker.observed", &json!({"n": 1}));
    arrive(&second, 1);
    rig.stop_worker();
}

#[test]
fn reloads_lose_repeat_and_reorder_nothing() {
    const EVENTS: u64 = 2000;
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    for n in 0..50 {
        rig.subscribe(&format!("other-{n}"), &receiver.url("/other"), &[&format!("nobody.{n}")]);
    }
    rig.start_bus();
    rig.start_worker();
    for chunk in 0..20 {
        let numbered =
            (chunk * EVENTS / 20..(chunk + 1) * EVENTS / 20).map(|n| ("a.b".into(), json!({ "n": n })));
        rig.publish_many(numbered);
        rig.subscribe(&format!("more-{chunk}"), &receiver.url("/other"), &[&format!("nobody.more.{chunk}")]);
        rig.publish("system.webhook.subscriptions_changed", &json!({}));
    }
    eventually("all is delivered", || numbers(&receiver).len() as u64 >= EVENTS);
    assert_eq!(numbers(&receiver), (0..EVENTS).collect::<Vec<_>>());
    rig.stop_worker();
}

#[test]
fn a_burst_of_signals_is_served_by_few_reloads() {
    const SIGNALS: usize = 500;
    let (first, second) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("first", &first.url("/"), "a.>")]);
    let before = rig.stats.reloads.get();
    rig.subscribe("second", &second.url("/"), &["a.b"]);
    let signal = || ("system.webhook.subscriptions_changed".to_owned(), json!({}));
    rig.publish_many((0..SIGNALS).map(|_| signal()));
    eventually("the new row is known", || rig.stats.subscriptions.get() == 2);
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&second, 1);
    let reloads = rig.stats.reloads.get() - before;
    assert!((1..SIGNALS as u64 / 5).contains(&reloads), "{reloads} reloads for {SIGNALS} signals");
    rig.stop_worker();
}

#[test]
fn many_changes_at_once_are_carried_out_while_events_go_on() {
    const EVENTS: u64 = 1000;
    const MANY: usize = 2000;
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    let path = rig.dir.path().join("decnet.db");
    let sql = |sql: &str| {
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute_batch(sql).unwrap();
    };
    let copies = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY})
         INSERT INTO webhook_subscriptions
         SELECT 'many-' || n, 'many-' || n, url || 'many', secret, '[\"nobody.' || n || '\", \"few.' || (n % 7) || '\"]',
                1, 0, NULL, NULL, NULL, NULL, created_at, updated_at
         FROM webhook_subscriptions, n WHERE name = 'siem'"
    );
    let half = "DELETE FROM webhook_subscriptions WHERE uuid LIKE 'many-%' AND length(uuid) < 9";
    for (chunk, change) in [&*copies, half].into_iter().enumerate() {
        sql(change);
        rig.publish("system.webhook.subscriptions_changed", &json!({}));
        let first = chunk as u64 * EVENTS;
        rig.publish_many((first..first + EVENTS).map(|n| ("a.b".into(), json!({ "n": n }))));
    }
    let left = 1 + MANY as u64 - 999;
    eventually("the changes are carried out", || rig.stats.subscriptions.get() == left);
    eventually("all is delivered", || numbers(&receiver).len() as u64 >= 2 * EVENTS);
    assert_eq!(numbers(&receiver), (0..2 * EVENTS).collect::<Vec<_>>());
    rig.reload();
    let before = receiver.count();
    rig.publish("few.3", &json!({}));
    let to = (1000..=MANY).filter(|n| n % 7 == 3).count() as u64;
    arrive(&receiver, before + to);
    assert_eq!(rig.stats.admitted.get(), 2 * EVENTS + 1);
    rig.stop_worker();
}

#[test]
fn a_row_that_went_bad_and_then_away_is_no_more() {
    let receiver = Receiver::start(reply(503));
    let (mut rig, uuid) = ten_wait(&receiver);
    let file = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    file.execute("UPDATE webhook_subscriptions SET url = 'no url' WHERE uuid = ?1", [&uuid]).unwrap();
    rig.reload();
    rig.reload();
    assert_eq!(rig.counts("siem").retrying, 10);
    rig.catalog.delete(&uuid).unwrap();
    rig.reload();
    eventually("all are dead", || rig.counts("siem").dead == 10);
    rig.stop_worker();
}

#[test]
fn disabled_gets_nothing_new_and_keeps_what_waits() {
    let (receiver, anchor) = (Receiver::start(decnet_testkit::Step::Hang), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.options.sender.deadline = std::time::Duration::from_millis(200);
    rig.options.circuit_threshold = 1000;
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.subscribe("anchor", &anchor.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    arrive(&receiver, 1);
    rig.patch("siem", &Patch { enabled: Some(false), ..Patch::default() });
    rig.reload();
    rig.publish_numbered("a.c", 10);
    arrive(&anchor, 20);
    assert_eq!(rig.counts("siem").pending + rig.counts("siem").retrying, 10);
    receiver.set(reply(200));
    rig.patch("siem", &Patch { enabled: Some(true), ..Patch::default() });
    rig.reload();
    eventually("what waited is delivered", || rig.counts("siem").delivered == 10);
    rig.stop_worker();
}

#[test]
fn what_waits_for_a_deleted_subscription_is_dead_and_says_why() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.options.schedule = "1h".parse().unwrap();
    let uuid = rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    eventually("all wait", || rig.counts("siem").retrying == 10);
    rig.catalog.delete(&uuid).unwrap();
    rig.reload();
    eventually("all are dead", || rig.counts("siem").dead == 10);
    rig.stop_worker();
}

#[test]
fn a_bad_row_costs_the_others_nothing() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.subscribe("good", &receiver.url("/"), &["a.>"]);
    for name in ["url", "patterns", "secret", "text"] {
        rig.subscribe(name, &receiver.url("/bad"), &["a.>"]);
    }
    let file = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    for (name, column, value) in [
        ("url", "url", "'file:///etc/passwd'"),
        ("patterns", "topic_patterns", "'\"attacker.>\"'"),
        ("secret", "secret", "''"),
        ("text", "topic_patterns", "x'ff00'"),
    ] {
        let sql = format!("UPDATE webhook_subscriptions SET {column} = {value} WHERE name = '{name}'");
        assert_eq!(file.execute(&sql, []).unwrap(), 1);
    }
    rig.start_bus();
    rig.start_worker();
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&receiver, 1);
    assert_eq!(rig.stats.subscriptions.get(), 1);
    assert!(rig.row("patterns").problem.is_some());
    rig.stop_worker();
}

#[test]
fn what_waits_for_a_row_that_went_bad_waits_until_it_is_mended() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1000;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    eventually("all have failed once", || rig.counts("siem").retrying == 10);
    let path = rig.dir.path().join("decnet.db");
    let patterns = |text: &str| {
        let file = rusqlite::Connection::open(&path).unwrap();
        assert_eq!(file.execute("UPDATE webhook_subscriptions SET topic_patterns = ?1", [text]).unwrap(), 1);
    };
    patterns("not a list");
    rig.reload();
    eventually("the row is known to be bad", || rig.stats.subscriptions.get() == 0);
    // What is in flight ends as it began.
    rig.stop_worker();
    receiver.set(reply(200));
    rig.start_worker();
    assert_eq!(rig.counts("siem").retrying, 10, "neither sent nor given up");
    patterns(r#"["a.>"]"#);
    rig.reload();
    eventually("all is delivered", || rig.counts("siem").delivered == 10);
    rig.stop_worker();
}

#[test]
fn what_waits_for_a_subscription_deleted_while_the_worker_was_away_is_dead() {
    let receiver = Receiver::start(reply(503));
    let (mut rig, uuid) = ten_wait(&receiver);
    rig.stop_worker();
    rig.catalog.delete(&uuid).unwrap();
    rig.start_worker();
    eventually("all are dead", || rig.counts("siem").dead == 10);
    rig.stop_worker();
}

#[test]
fn an_empty_catalog_ends_nothing() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.options.schedule = "1h".parse().unwrap();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    eventually("all wait", || rig.counts("siem").retrying == 10);
    rig.stop_worker();
    let file = rusqlite::Connection::open(rig.dir.path().join("decnet.db")).unwrap();
    let empty =
        "CREATE TABLE aside AS SELECT * FROM webhook_subscriptions; DELETE FROM webhook_subscriptions";
    file.execute_batch(empty).unwrap();
    rig.start_worker();
    rig.stop_worker();
    assert_eq!(rig.counts("siem").retrying, 10);
    file.execute_batch("INSERT INTO webhook_subscriptions SELECT * FROM aside").unwrap();
    receiver.set(reply(200));
    rig.patch("siem", &Patch { enabled: Some(false), ..Patch::default() });
    rig.start_worker();
    rig.patch("siem", &Patch { enabled: Some(true), ..Patch::default() });
    rig.reload();
    eventually("an enable does not wait for the hour to pass", || rig.counts("siem").delivered == 10);
    rig.stop_worker();
}

/// Puts another catalog in the place of the rig's, with these subscriptions: name, URL.
fn replace_catalog(rig: &Rig, subscriptions: &[(&str, &str)]) {
    let (old, new) = (rig.dir.path().join("decnet.db"), rig.dir.path().join("new.db"));
    let mut catalog = Catalog::open(&new, Create::IfMissing).unwrap();
    for (name, url) in subscriptions {
        let new = NewSubscription {
            name: (*name).into(),
            url: EndpointUrl::new(url).unwrap(),
            secret: Secret::new(SECRET),
            patterns: vec![Pattern::new("a.>").unwrap()],
            enabled: true,
            settings: Settings::default(),
        };
        catalog.create(&new, clock::now()).unwrap();
    }
    drop(catalog);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(old.with_extension(format!("db{suffix}")));
    }
    std::fs::rename(new, old).unwrap();
}

#[test]
fn a_replaced_catalog_is_the_one_that_counts() {
    let (first, second) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("first", &first.url("/"), "a.>")]);
    replace_catalog(&rig, &[("second", &second.url("/"))]);
    rig.reload();
    rig.publish_numbered("a.b", 3);
    arrive(&second, 3);
    rig.stop_worker();
    assert_eq!(first.count(), 0);
    let row =
        Catalog::open(&rig.dir.path().join("decnet.db"), Create::Never).unwrap().find("second").unwrap();
    assert!(row.last_success_at.is_some(), "its health is in the new file");
}

#[test]
fn a_catalog_that_is_removed_or_emptied_leaves_the_subscriptions_as_they_are() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    let remove = |rig: &Rig| std::fs::remove_file(rig.dir.path().join("decnet.db")).unwrap();
    for (n, harm) in [remove, |rig: &Rig| replace_catalog(rig, &[])].into_iter().enumerate() {
        harm(&rig);
        let failures = rig.stats.reload_failures.get();
        rig.publish("system.webhook.subscriptions_changed", &json!({}));
        let stats = Arc::clone(&rig.stats);
        eventually("the catalog cannot be read", || stats.reload_failures.get() > failures);
        rig.publish("a.b", &json!({ "n": n }));
        arrive(&receiver, n as u64 + 1);
    }
    rig.stop_worker();
}
