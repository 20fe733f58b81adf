//! A reload applies what has changed and nothing else.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_runtime::clock;
use decnet_store::catalog::{Catalog, Create, NewSubscription};
use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::rig::{Rig, SECRET, arrive, eventually, numbers};

/// Starts a worker with ten deliveries to `siem` that wait for an hour. Returns the UUID of `siem`.
fn with_ten_retries(receiver: &Receiver) -> (Rig, String) {
    let mut rig = Rig::new();
    rig.options.schedule = "1h".parse().unwrap();
    let uuid = rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.subscribe("other", &receiver.url("/"), &["nobody"]);
    rig.start();
    rig.publish_numbered("a.b", 10);
    eventually("all wait", || rig.counts("siem").retrying == 10);
    (rig, uuid)
}

#[test]
fn change_before_the_bus_connects_is_applied() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("early", &receiver.url("/"), "nothing")]);
    rig.launch_worker();
    eventually("the worker has read the catalog", || rig.stats.subscriptions.get() == 1);
    // No signal is sent, because the worker is not connected to the bus yet.
    rig.subscribe("late", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    eventually("the late subscription gets events", || {
        rig.publish("a.b", &json!({}));
        receiver.count() > 0
    });
}

#[test]
fn new_subscription_gets_events_without_restart() {
    let (first, second) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("first", &first.url("/"), "a.>")]);
    rig.subscribe("second", &second.url("/"), &["attacker.>"]);
    rig.reload();
    rig.publish("attacker.observed", &json!({"n": 1}));
    arrive(&second, 1);
}

#[test]
fn reloads_do_not_lose_repeat_or_reorder_events() {
    const EVENTS: u64 = 2000;
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    for n in 0..50 {
        rig.subscribe(&format!("other-{n}"), &receiver.url("/other"), &[&format!("nobody.{n}")]);
    }
    rig.start();
    for chunk in 0..20 {
        let numbered =
            (chunk * EVENTS / 20..(chunk + 1) * EVENTS / 20).map(|n| ("a.b".into(), json!({ "n": n })));
        rig.publish_many(numbered);
        rig.subscribe(&format!("more-{chunk}"), &receiver.url("/other"), &[&format!("nobody.more.{chunk}")]);
        rig.publish("system.webhook.subscriptions_changed", &json!({}));
    }
    eventually("all are delivered", || numbers(&receiver).len() as u64 >= EVENTS);
    assert_eq!(numbers(&receiver), (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn burst_of_signals_causes_few_reloads() {
    const SIGNALS: usize = 500;
    let (first, second) = (Receiver::start(reply(200)), Receiver::start(reply(200)));
    let mut rig = Rig::running(&[("first", &first.url("/"), "a.>")]);
    let before = rig.stats.reloads.get();
    rig.subscribe("second", &second.url("/"), &["a.b"]);
    let signal = || ("system.webhook.subscriptions_changed".to_owned(), json!({}));
    rig.publish_many((0..SIGNALS).map(|_| signal()));
    eventually("the new row is loaded", || rig.stats.subscriptions.get() == 2);
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&second, 1);
    let reloads = rig.stats.reloads.get() - before;
    assert!((1..SIGNALS as u64 / 5).contains(&reloads), "{reloads} reloads for {SIGNALS} signals");
}

#[test]
fn many_changes_are_applied_while_events_flow() {
    const EVENTS: u64 = 1000;
    const MANY: usize = 2000;
    let receiver = Receiver::start(reply(200));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.concurrency = 1);
    let file = rig.database("decnet.db");
    let copies = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY})
         INSERT INTO webhook_subscriptions
         SELECT 'many-' || n, 'many-' || n, url || 'many', secret, '[\"nobody.' || n || '\", \"few.' || (n % 7) || '\"]',
                1, 0, NULL, NULL, NULL, NULL, created_at, updated_at
         FROM webhook_subscriptions, n WHERE name = 'siem'"
    );
    let half = "DELETE FROM webhook_subscriptions WHERE uuid LIKE 'many-%' AND length(uuid) < 9";
    for (chunk, change) in [&*copies, half].into_iter().enumerate() {
        file.execute_batch(change).unwrap();
        rig.publish("system.webhook.subscriptions_changed", &json!({}));
        let first = chunk as u64 * EVENTS;
        rig.publish_many((first..first + EVENTS).map(|n| ("a.b".into(), json!({ "n": n }))));
    }
    let left = 1 + MANY as u64 - 999;
    eventually("the changes are applied", || rig.stats.subscriptions.get() == left);
    eventually("all are delivered", || numbers(&receiver).len() as u64 >= 2 * EVENTS);
    assert_eq!(numbers(&receiver), (0..2 * EVENTS).collect::<Vec<_>>());
    rig.reload();
    let before = receiver.count();
    rig.publish("few.3", &json!({}));
    let to = (1000..=MANY).filter(|n| n % 7 == 3).count() as u64;
    arrive(&receiver, before + to);
    assert_eq!(rig.stats.admitted.get(), 2 * EVENTS + 1);
}

#[test]
fn deliveries_of_an_invalid_deleted_row_are_dead() {
    let receiver = Receiver::start(reply(503));
    let (mut rig, uuid) = with_ten_retries(&receiver);
    let file = rig.database("decnet.db");
    file.execute("UPDATE webhook_subscriptions SET url = 'no url' WHERE uuid = ?1", [&uuid]).unwrap();
    rig.reload();
    rig.reload();
    assert_eq!(rig.counts("siem").retrying, 10);
    rig.catalog.delete(&uuid, clock::now()).unwrap();
    rig.reload();
    eventually("all are dead", || rig.counts("siem").dead == 10);
}

#[test]
fn disabled_subscription_keeps_its_backlog() {
    let (receiver, anchor) = (Receiver::start(decnet_testkit::Step::Hang), Receiver::start(reply(200)));
    let mut rig = Rig::running_with(
        &[("siem", &receiver.url("/"), "a.>"), ("anchor", &anchor.url("/"), "a.>")],
        |options| {
            options.sender.deadline = std::time::Duration::from_millis(200);
            options.circuit_threshold = 1000;
            options.concurrency = 1;
        },
    );
    rig.publish_numbered("a.b", 10);
    arrive(&receiver, 1);
    rig.set_enabled("siem", false);
    rig.reload();
    rig.publish_numbered("a.c", 10);
    arrive(&anchor, 20);
    assert_eq!(rig.counts("siem").pending + rig.counts("siem").retrying, 10);
    receiver.set(reply(200));
    rig.set_enabled("siem", true);
    rig.reload();
    eventually("the backlog is delivered", || rig.counts("siem").delivered == 10);
}

#[test]
fn deliveries_of_a_deleted_subscription_are_dead() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.options.schedule = "1h".parse().unwrap();
    let uuid = rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start();
    rig.publish_numbered("a.b", 10);
    eventually("all wait", || rig.counts("siem").retrying == 10);
    rig.catalog.delete(&uuid, clock::now()).unwrap();
    rig.reload();
    eventually("all are dead", || rig.counts("siem").dead == 10);
}

#[test]
fn invalid_row_does_not_affect_others() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::with_subscriptions(&[("good", &receiver.url("/"), "a.>")]);
    for name in ["url", "patterns", "secret", "text"] {
        rig.subscribe(name, &receiver.url("/bad"), &["a.>"]);
    }
    let file = rig.database("decnet.db");
    for (name, column, value) in [
        ("url", "url", "'file:///etc/passwd'"),
        ("patterns", "topic_patterns", "'\"attacker.>\"'"),
        ("secret", "secret", "''"),
        ("text", "topic_patterns", "x'ff00'"),
    ] {
        let sql = format!("UPDATE webhook_subscriptions SET {column} = {value} WHERE name = '{name}'");
        assert_eq!(file.execute(&sql, []).unwrap(), 1);
    }
    rig.start();
    rig.publish("a.b", &json!({"n": 1}));
    arrive(&receiver, 1);
    assert_eq!(rig.stats.subscriptions.get(), 1);
    assert!(rig.row("patterns").problem.is_some());
}

#[test]
fn deliveries_of_an_invalid_row_wait_until_it_is_repaired() {
    let receiver = Receiver::start(reply(503));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.circuit_threshold = 1000);
    rig.publish_numbered("a.b", 10);
    eventually("all have failed once", || rig.counts("siem").retrying == 10);
    let file = rig.database("decnet.db");
    let patterns = |text: &str| {
        assert_eq!(file.execute("UPDATE webhook_subscriptions SET topic_patterns = ?1", [text]).unwrap(), 1);
    };
    patterns("not a list");
    rig.reload();
    eventually("the row is recognised as invalid", || rig.stats.subscriptions.get() == 0);
    // Attempts in flight end as they began.
    rig.stop_worker();
    receiver.set(reply(200));
    rig.start_worker();
    assert_eq!(rig.counts("siem").retrying, 10, "neither sent nor dead");
    patterns(r#"["a.>"]"#);
    rig.reload();
    eventually("all are delivered", || rig.counts("siem").delivered == 10);
}

#[test]
fn deletion_while_the_worker_is_down_is_applied() {
    let receiver = Receiver::start(reply(503));
    let (mut rig, uuid) = with_ten_retries(&receiver);
    rig.stop_worker();
    rig.catalog.delete(&uuid, clock::now()).unwrap();
    rig.start_worker();
    eventually("all are dead", || rig.counts("siem").dead == 10);
}

#[test]
fn empty_catalog_kills_no_deliveries() {
    let receiver = Receiver::start(reply(503));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.schedule = "1h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 10);
    eventually("all wait", || rig.counts("siem").retrying == 10);
    rig.stop_worker();
    let file = rig.database("decnet.db");
    let empty =
        "CREATE TABLE aside AS SELECT * FROM webhook_subscriptions; DELETE FROM webhook_subscriptions";
    file.execute_batch(empty).unwrap();
    rig.start_worker();
    rig.stop_worker();
    assert_eq!(rig.counts("siem").retrying, 10);
    file.execute_batch("INSERT INTO webhook_subscriptions SELECT * FROM aside").unwrap();
    receiver.set(reply(200));
    rig.set_enabled("siem", false);
    rig.start_worker();
    rig.set_enabled("siem", true);
    rig.reload();
    eventually("an enable sends the retries at once", || rig.counts("siem").delivered == 10);
}

/// Replaces the rig's catalog by another one with these subscriptions: name, URL.
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
fn replaced_catalog_is_used() {
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
    assert!(row.last_success_at.is_some(), "the health is written to the new file");
}

#[test]
fn removed_or_empty_catalog_keeps_the_subscriptions() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    let remove = |rig: &Rig| std::fs::remove_file(rig.dir.path().join("decnet.db")).unwrap();
    for (n, harm) in [remove, |rig: &Rig| replace_catalog(rig, &[])].into_iter().enumerate() {
        harm(&rig);
        let failures = rig.stats.reload_failures.get();
        rig.publish("system.webhook.subscriptions_changed", &json!({}));
        eventually("the catalog cannot be read", || rig.stats.reload_failures.get() > failures);
        rig.publish("a.b", &json!({ "n": n }));
        arrive(&receiver, n as u64 + 1);
    }
}
