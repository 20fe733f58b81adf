//! Migration of a queue from the first released schema.

use std::time::Duration;

use decnet_core::delivery::{Reason, State, Timings};
use decnet_store::queue::{Attempt, Delivery, Error, Reader, Settlement};

use super::support::*;

/// The first released schema.
const SCHEMA_1: &str = "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
     INSERT INTO meta VALUES ('generation', 0), ('swept', 0);
     CREATE TABLE subscriptions (key INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
     CREATE TABLE events (
         seq INTEGER PRIMARY KEY,
         id TEXT NOT NULL,
         topic TEXT NOT NULL,
         admitted_at INTEGER NOT NULL,
         body BLOB NOT NULL);
     CREATE TABLE deliveries (
         id INTEGER PRIMARY KEY,
         sub INTEGER NOT NULL,
         state INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         due_at INTEGER,
         settled_at INTEGER,
         reason INTEGER,
         duration_us INTEGER,
         status INTEGER,
         reply BLOB);
     CREATE INDEX lingering ON deliveries (state) WHERE state = -1;
     CREATE INDEX queued ON deliveries (sub, due_at) WHERE state = 1;
     CREATE INDEX retrying ON deliveries (sub, due_at) WHERE state = 2;
     CREATE INDEX dead ON deliveries (state) WHERE state = 4;
     CREATE TABLE attempts (
         delivery INTEGER NOT NULL,
         number INTEGER NOT NULL,
         started_at INTEGER NOT NULL,
         duration_us INTEGER NOT NULL,
         status INTEGER,
         reason INTEGER,
         detail TEXT,
         reply BLOB,
         PRIMARY KEY (delivery, number)) WITHOUT ROWID;";

/// Content written by a worker of that version: one delivery in each state.
const CONTENT: &str = "
    INSERT INTO subscriptions VALUES (1, 'uuid-0', 'name-0');
    INSERT INTO events VALUES (1, 'event-0', 'decky.web-0.traffic', 1000, x'7b7d'), (2, 'event-1', 'a.b', 2000, x'7b7d');
    INSERT INTO deliveries VALUES
        (1 << 20, 1, 3, 1, NULL, 5000, NULL, 3000, 200, x'6f6b'),
        ((1 << 20) + 1, 1, 4, 1, NULL, 5000, 11, NULL, NULL, NULL),
        ((1 << 20) + 2, 1, 2, 1, 6000, NULL, NULL, NULL, NULL, NULL),
        (2 << 20, 1, 1, 0, 2 << 20, NULL, NULL, NULL, NULL, NULL),
        ((2 << 20) + 1, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO attempts VALUES
        ((1 << 20) + 1, 1, 4000, 1000, 404, 11, 'no', NULL),
        ((1 << 20) + 2, 1, 4000, 1000, 503, 15, 'down', x'6f6b');";

#[tokio::test]
async fn first_schema_is_migrated_with_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sqlite(dir.path());
    conn.pragma_update(None, "page_size", 16 * 1024).unwrap();
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    conn.pragma_update(None, "application_id", 0x6463_6e71).unwrap();
    conn.execute_batch(SCHEMA_1).unwrap();
    conn.execute_batch(CONTENT).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    conn.close().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(Error::OlderSchema { .. })));

    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let states: Vec<State> = list(dir.path()).iter().rev().map(|listed| listed.state).collect();
    let dead = State::Dead { reason: Reason::Refused };
    let retrying = State::Retrying { due_at: decnet_core::time::UnixMicros(6000) };
    assert_eq!(states, [State::Delivered, dead, retrying, State::Pending, State::Pending]);

    let again: Vec<_> = list(dir.path()).iter().rev().map(|listed| (listed.id, listed.again)).collect();
    let expected = [Some(again[1].0), Some(again[2].0), None, Some(again[4].0), None];
    assert!(again.iter().map(|(_, again)| *again).eq(expected), "{again:?}");

    let claimed = claim_all(&queue, sub).await.deliveries;
    assert_eq!(claimed.len(), 3, "one retrying, one queued and one held delivery");
    assert!(claimed.iter().all(|delivery| !delivery.event.operational && delivery.free_attempts == 0));
    let due_at = now();
    let free =
        Settlement { is_free: true, ..settlement(claimed[1].id, 1, due_at, State::Retrying { due_at }) };
    assert_eq!(queue.settle(vec![free]).await.unwrap(), [true]);
    let counts = |delivery: &Delivery| (delivery.id == claimed[1].id).then_some(delivery.free_attempts);
    assert_eq!(claim_all(&queue, sub).await.deliveries.iter().find_map(counts), Some(1));
    let mut last = settlement(claimed[0].id, 2, now(), State::Delivered);
    last.attempt.detail = Some("HTTP 200 OK; its body did not end in time".into());
    last.attempt.repeats = 2;
    last.attempt.timings = Timings { tls: Some(Duration::from_millis(7)), ..Timings::default() };
    assert_eq!(queue.settle(vec![last.clone()]).await.unwrap(), [true]);
    let attempts = Reader::open(dir.path()).unwrap().get(claimed[0].id).unwrap().unwrap().attempts;
    assert_eq!(attempts[0].timings, Timings::default(), "earlier versions stored no timings");
    assert_eq!(attempts[0].repeats, 0);
    assert_eq!(attempts[1], Attempt { number: 2, ..last.attempt });

    let delivered = list(dir.path()).last().unwrap().id;
    redeliver(dir.path(), &[delivered]).unwrap();
    assert_eq!(admit(&queue, 7..8, sub, false).await[0].seq(), 3);
    queue.close().await.unwrap();
    assert_eq!(list(dir.path()).len(), 7);
}
