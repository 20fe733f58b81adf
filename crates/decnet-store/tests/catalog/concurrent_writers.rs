//! Concurrent writes by DECNET's processes: no update is lost, and locks are awaited.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use decnet_store::catalog::{Error, HealthUpdate, RecordOutcome};
use rusqlite::types::Value;

use crate::support::{Database, NOW, connect, stored};

const ROUNDS: i64 = 100;

/// Retries while the file is busy, since a slow machine may exceed the timeout.
fn retry_busy<T>(mut work: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match work() {
            Err(Error::Busy { .. }) => {}
            result => return result.unwrap(),
        }
    }
}

#[test]
fn counters_are_atomic_across_connections() {
    let database = Database::new();
    database.add("u-1", "siem");
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut catalog = database.open();
            scope.spawn(move || {
                let version = stored(&mut catalog, "u-1").version;
                for _ in 0..ROUNDS {
                    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(version.clone()) };
                    assert_eq!(
                        retry_busy(|| catalog.record(std::slice::from_ref(&update), NOW)),
                        [RecordOutcome::Applied]
                    );
                }
            });
        }
    });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(2 * ROUNDS));
}

#[test]
fn concurrent_writes_are_both_kept() {
    let database = Database::new();
    database.add("u-1", "siem");
    let path = &database.path;
    thread::scope(|scope| {
        scope.spawn(move || {
            let other = connect(path);
            for round in 0..ROUNDS {
                let name = format!("name-{round}");
                other.execute("UPDATE webhook_subscriptions SET name = ?1", [name]).unwrap();
            }
        });
        let mut catalog = database.open();
        for _ in 0..ROUNDS {
            let update =
                HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
            assert_eq!(
                retry_busy(|| catalog.record(std::slice::from_ref(&update), NOW)),
                [RecordOutcome::Applied]
            );
        }
    });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(ROUNDS));
    assert_eq!(database.get("u-1", "name"), Value::Text(format!("name-{}", ROUNDS - 1)));
}

#[test]
fn recording_waits_for_a_lock() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(catalog.record(&[update], NOW)).unwrap());
    assert!(result.recv_timeout(Duration::from_millis(200)).is_err(), "recorded despite the lock");
    assert!(database.open().load().is_ok(), "reading must not need the lock");
    database.other.execute_batch("COMMIT").unwrap();
    assert_eq!(result.recv().unwrap().unwrap(), [RecordOutcome::Applied]);
}

#[test]
fn lock_timeout_is_reported_and_can_be_retried() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = catalog.record(std::slice::from_ref(&update), NOW).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }) && error.to_string().contains("fuser"), "{error}");
    database.other.execute_batch("COMMIT").unwrap();
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [RecordOutcome::Applied]);
}

#[test]
fn no_transaction_stays_open_between_calls() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    catalog.record(&[update], NOW).unwrap();
    catalog.rows().unwrap();
    // The log can be truncated only if no transaction is open.
    let mode = database
        .other
        .pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |row| row.get::<_, i64>(0));
    assert_eq!(mode.unwrap(), 0, "busy");
}
