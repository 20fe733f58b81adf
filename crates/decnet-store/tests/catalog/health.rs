//! Health columns are written as DECNET writes them, and no other column with them.

use std::sync::Arc;

use decnet_core::limits::MAX_ERROR_CHARS;
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Change, HealthUpdate, LastFailure, Patch, Recorded};
use rusqlite::types::Value;

use crate::support::{Database, NOW, NOW_TEXT, stored, text};

const EARLIER: UnixMicros = UnixMicros(1_795_443_899_000_000);
const EARLIER_TEXT: &str = "2026-11-23 14:24:59.000000";

fn failure(at: UnixMicros, error: &str) -> Option<LastFailure> {
    Some(LastFailure { at, error: error.into() })
}

/// One subscription with three failures on its account.
fn database() -> (Database, Catalog) {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.add("u-2", "other");
    database.set("u-1", "consecutive_failures", "3");
    database.set("u-1", "last_error", "'HTTP 500'");
    let catalog = database.open();
    (database, catalog)
}

fn record(catalog: &mut Catalog, update: impl FnOnce(HealthUpdate) -> HealthUpdate) {
    let update = update(HealthUpdate::new(stored(catalog, "u-1").version));
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Applied]);
}

/// Compares columns, and that all others are as they were.
fn expect(database: &Database, before: &[Vec<Value>], columns: &[(usize, Value)]) {
    let mut expected = before.to_vec();
    for (column, value) in columns {
        expected[0][*column] = value.clone();
    }
    assert_eq!(database.everything(), expected);
}

const ENABLED: usize = 5;
const COUNTER: usize = 6;
const SUCCESS: usize = 7;
const FAILURE: usize = 8;
const ERROR: usize = 9;
const TRIPPED: usize = 10;
const UPDATED: usize = 12;

#[test]
fn a_success_starts_the_count_anew() {
    let (database, mut catalog) = database();
    let before = database.everything();
    record(&mut catalog, |update| HealthUpdate { last_success_at: Some(EARLIER), ..update });
    let columns = [
        (COUNTER, Value::Integer(0)),
        (SUCCESS, text(EARLIER_TEXT)),
        (ERROR, Value::Null),
        (UPDATED, text(NOW_TEXT)),
    ];
    expect(&database, &before, &columns);
}

#[test]
fn failures_are_added() {
    let (database, mut catalog) = database();
    let before = database.everything();
    record(&mut catalog, |update| HealthUpdate {
        failures: 2,
        last_failure: failure(EARLIER, "timeout"),
        ..update
    });
    let columns = [
        (COUNTER, Value::Integer(5)),
        (FAILURE, text(EARLIER_TEXT)),
        (ERROR, text("timeout")),
        (UPDATED, text(NOW_TEXT)),
    ];
    expect(&database, &before, &columns);
}

#[test]
fn failures_after_a_success_are_all_that_count() {
    let (database, mut catalog) = database();
    record(&mut catalog, |update| HealthUpdate {
        last_success_at: Some(EARLIER),
        failures: 1,
        last_failure: failure(NOW, "reset"),
        ..update
    });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(1));
    assert_eq!(database.get("u-1", "last_error"), text("reset"));
}

#[test]
fn a_failure_before_the_success_is_dated_but_forgiven() {
    let (database, mut catalog) = database();
    record(&mut catalog, |update| HealthUpdate {
        last_success_at: Some(NOW),
        last_failure: failure(EARLIER, "reset"),
        ..update
    });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(0));
    assert_eq!(database.get("u-1", "last_failure_at"), text(EARLIER_TEXT));
    assert_eq!(database.get("u-1", "last_error"), Value::Null);
}

#[test]
fn a_failure_that_blames_the_body_is_shown_but_not_counted() {
    let (database, mut catalog) = database();
    record(&mut catalog, |update| HealthUpdate { last_failure: failure(NOW, "HTTP 422"), ..update });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(3));
    assert_eq!(database.get("u-1", "last_error"), text("HTTP 422"));
}

#[test]
fn a_trip_is_what_decnet_makes_of_it() {
    let (database, mut catalog) = database();
    let before = database.everything();
    record(&mut catalog, |update| HealthUpdate { failures: 2, change: Change::Trip, ..update });
    let columns = [
        (ENABLED, Value::Integer(0)),
        (COUNTER, Value::Integer(5)),
        (TRIPPED, text(NOW_TEXT)),
        (UPDATED, text(NOW_TEXT)),
    ];
    expect(&database, &before, &columns);
    let stored = stored(&mut catalog, "u-1");
    assert_eq!((stored.subscription.activity, stored.gone), (Activity::Tripped, false));
}

#[test]
fn a_probe_that_got_through_enables() {
    let (database, mut catalog) = database();
    let before = database.everything();
    record(&mut catalog, |update| HealthUpdate { change: Change::Trip, ..update });
    record(&mut catalog, |update| HealthUpdate {
        last_success_at: Some(NOW),
        change: Change::Reopen,
        ..update
    });
    let columns = [
        (COUNTER, Value::Integer(0)),
        (SUCCESS, text(NOW_TEXT)),
        (ERROR, Value::Null),
        (UPDATED, text(NOW_TEXT)),
    ];
    expect(&database, &before, &columns);
}

#[test]
fn gone_lasts_until_somebody_enables_or_it_trips_anew() {
    let gone = |catalog: &mut Catalog| stored(catalog, "u-1").gone;
    for by_us in [true, false] {
        let (database, mut catalog) = database();
        record(&mut catalog, |update| HealthUpdate { change: Change::Gone, ..update });
        assert!(gone(&mut catalog) && gone(&mut database.open()), "another process sees it too");
        assert_eq!(database.get("u-1", "enabled"), Value::Integer(0));
        assert_eq!(database.get("u-1", "auto_disabled_at"), text(NOW_TEXT));
        if by_us {
            let patch = Patch { enabled: Some(true), ..Patch::default() };
            catalog.update("u-1", &patch, NOW).unwrap();
        } else {
            database.set("u-1", "enabled", "1");
            database.set("u-1", "auto_disabled_at", "NULL");
        }
        assert!(!gone(&mut catalog));
        let later = UnixMicros(NOW.0 + 1);
        let trip =
            HealthUpdate { change: Change::Trip, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
        catalog.record(&[trip], later).unwrap();
        assert!(!gone(&mut catalog), "a trip after it is an ordinary one");
    }
}

#[test]
fn a_count_goes_on_from_whatever_was_there() {
    for (value, expected) in [
        ("0", 2),
        ("-7", 2),
        ("'many'", 2),
        ("'12 or so'", 14),
        ("X'ff'", 2),
        ("1.9", 3),
        ("9223372036854775807", i64::from(i32::MAX)),
        ("1e300", i64::from(i32::MAX)),
    ] {
        let (database, mut catalog) = database();
        database.set("u-1", "consecutive_failures", value);
        record(&mut catalog, |update| HealthUpdate { failures: 2, ..update });
        assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(expected), "{value}");
    }
}

#[test]
fn an_error_is_cut_between_characters() {
    let (database, mut catalog) = database();
    let long = "ä".repeat(MAX_ERROR_CHARS + 1);
    record(&mut catalog, |update| HealthUpdate { failures: 1, last_failure: failure(NOW, &long), ..update });
    assert_eq!(database.get("u-1", "last_error"), text(&long[..2 * MAX_ERROR_CHARS]));
}

#[test]
fn many_updates_are_one_transaction_with_a_result_each() {
    let (database, mut catalog) = database();
    assert!(catalog.record(&[], NOW).unwrap().is_empty());
    let (one, two) = (stored(&mut catalog, "u-1").version, stored(&mut catalog, "u-2").version);
    database.set("u-1", "secret", "'changed-meanwhile'");
    let update = |version| HealthUpdate { failures: 1, ..HealthUpdate::new(version) };
    let updates = [update(one), update(Arc::clone(&two)), update(two)];
    let recorded = catalog.record(&updates, NOW).unwrap();
    assert_eq!(recorded, [Recorded::Stale, Recorded::Applied, Recorded::Applied]);
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(3));
    assert_eq!(database.get("u-2", "consecutive_failures"), Value::Integer(2));
}
