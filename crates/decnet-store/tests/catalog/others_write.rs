//! DECNET's processes write to the same file at the same time: nobody's work is lost, and a lock is waited for.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use decnet_store::catalog::{Error, HealthUpdate, Recorded};
use rusqlite::types::Value;

use crate::support::{Database, NOW, connect, stored};

const ROUNDS: i64 = 100;

/// On a machine slow enough, a turn can take longer than a lock is waited for: that loses nothing.
fn patiently<T>(mut work: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match work() {
            Err(Error::Busy { .. }) => {}
            result => return result.unwrap(),
        }
    }
}

#[test]
fn counters_are_atomic_over_connections() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut catalog = database.open();
            scope.spawn(move || {
                let version = stored(&mut catalog, "u-1").version;
                for _ in 0..ROUNDS {
                    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(version.clone()) };
                    assert_eq!(
                        patiently(|| catalog.record(std::slice::from_ref(&update), NOW)),
                        [Recorded::Applied]
                    );
                }
            });
        }
    });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(2 * ROUNDS));
}

#[test]
fn writes_of_others_and_ours_both_last() {
    let database = Database::decnets();
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
            assert_eq!(patiently(|| catalog.record(std::slice::from_ref(&update), NOW)), [Recorded::Applied]);
        }
    });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(ROUNDS));
    assert_eq!(database.get("u-1", "name"), Value::Text(format!("name-{}", ROUNDS - 1)));
}

#[test]
fn a_lock_is_waited_for() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(catalog.record(&[update], NOW)).unwrap());
    assert!(result.recv_timeout(Duration::from_millis(200)).is_err(), "recorded in spite of the lock");
    assert!(database.open().load().is_ok(), "reading needs no lock");
    database.other.execute_batch("COMMIT").unwrap();
    assert_eq!(result.recv().unwrap().unwrap(), [Recorded::Applied]);
}

#[test]
fn a_lock_that_is_never_released_is_named_and_loses_nothing() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = catalog.record(std::slice::from_ref(&update), NOW).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }) && error.to_string().contains("fuser"), "{error}");
    database.other.execute_batch("COMMIT").unwrap();
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Applied]);
}

#[test]
fn nothing_stays_open_between_calls() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    catalog.record(&[update], NOW).unwrap();
    catalog.rows().unwrap();
    // Only a file that nobody reads or writes can leave WAL.
    let mode = database
        .other
        .pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |row| row.get::<_, i64>(0));
    assert_eq!(mode.unwrap(), 0, "busy");
}
