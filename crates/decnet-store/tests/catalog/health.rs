//! Recording writes the health columns as DECNET does, and no others.

use std::sync::Arc;

use decnet_core::limits::MAX_ERROR_CHARS;
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, CircuitChange, HealthUpdate, LastFailure, Patch, RecordOutcome};
use rusqlite::types::Value;

use crate::support::{Database, NOW, NOW_TEXT, stored, text};

const EARLIER: UnixMicros = UnixMicros(1_795_443_899_000_000);
const EARLIER_TEXT: &str = "2026-11-23 14:24:59.000000";

fn failure(at: UnixMicros, error: &str) -> Option<LastFailure> {
    Some(LastFailure { at, error: error.into() })
}

/// Returns a database in which `u-1` has three consecutive failures.
fn database() -> (Database, Catalog) {
    let database = Database::new();
    database.add("u-1", "siem");
    database.add("u-2", "other");
    database.set("u-1", "consecutive_failures", "3");
    database.set("u-1", "last_error", "'HTTP 500'");
    let catalog = database.open();
    (database, catalog)
}

fn record(catalog: &mut Catalog, update: impl FnOnce(HealthUpdate) -> HealthUpdate) {
    let update = update(HealthUpdate::new(stored(catalog, "u-1").version));
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [RecordOutcome::Applied]);
}

/// Asserts the values of the given columns of the first row, and that all others are unchanged.
fn assert_changed(database: &Database, before: &[Vec<Value>], columns: &[(usize, Value)]) {
    let mut expected = before.to_vec();
    for (column, value) in columns {
        expected[0][*column] = value.clone();
    }
    assert_eq!(database.all_rows(), expected);
}

const ENABLED: usize = 5;
const COUNTER: usize = 6;
const SUCCESS: usize = 7;
const FAILURE: usize = 8;
const ERROR: usize = 9;
const TRIPPED: usize = 10;
const UPDATED: usize = 12;

#[test]
fn success_resets_the_counter() {
    let (database, mut catalog) = database();
    let before = database.all_rows();
    record(&mut catalog, |update| HealthUpdate { last_success_at: Some(EARLIER), ..update });
    let columns = [
        (COUNTER, Value::Integer(0)),
        (SUCCESS, text(EARLIER_TEXT)),
        (ERROR, Value::Null),
        (UPDATED, text(NOW_TEXT)),
    ];
    assert_changed(&database, &before, &columns);
}

#[test]
fn failures_increment_the_counter() {
    let (database, mut catalog) = database();
    let before = database.all_rows();
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
    assert_changed(&database, &before, &columns);
}

#[test]
fn only_failures_after_a_success_count() {
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
fn failure_before_a_success_is_recorded_but_not_counted() {
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
fn rejected_body_is_recorded_but_not_counted() {
    let (database, mut catalog) = database();
    record(&mut catalog, |update| HealthUpdate { last_failure: failure(NOW, "HTTP 422"), ..update });
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(3));
    assert_eq!(database.get("u-1", "last_error"), text("HTTP 422"));
}

#[test]
fn trip_is_recorded_as_decnet_does() {
    let (database, mut catalog) = database();
    let before = database.all_rows();
    record(&mut catalog, |update| HealthUpdate { failures: 2, change: CircuitChange::Trip, ..update });
    let columns = [
        (ENABLED, Value::Integer(0)),
        (COUNTER, Value::Integer(5)),
        (TRIPPED, text(NOW_TEXT)),
        (UPDATED, text(NOW_TEXT)),
    ];
    assert_changed(&database, &before, &columns);
    let stored = stored(&mut catalog, "u-1");
    assert_eq!((stored.subscription.activity, stored.gone), (Activity::Tripped, false));
}

#[test]
fn successful_probe_enables() {
    let (database, mut catalog) = database();
    let before = database.all_rows();
    record(&mut catalog, |update| HealthUpdate { change: CircuitChange::Trip, ..update });
    record(&mut catalog, |update| HealthUpdate {
        last_success_at: Some(NOW),
        change: CircuitChange::Reopen,
        ..update
    });
    let columns = [
        (COUNTER, Value::Integer(0)),
        (SUCCESS, text(NOW_TEXT)),
        (ERROR, Value::Null),
        (UPDATED, text(NOW_TEXT)),
    ];
    assert_changed(&database, &before, &columns);
}

#[test]
fn gone_state_lasts_until_the_row_is_enabled_or_tripped() {
    let gone = |catalog: &mut Catalog| stored(catalog, "u-1").gone;
    for enabled_by_us in [true, false] {
        let (database, mut catalog) = database();
        record(&mut catalog, |update| HealthUpdate { change: CircuitChange::Gone, ..update });
        assert!(gone(&mut catalog) && gone(&mut database.open()), "another process must see the same");
        assert_eq!(database.get("u-1", "enabled"), Value::Integer(0));
        assert_eq!(database.get("u-1", "auto_disabled_at"), text(NOW_TEXT));
        if enabled_by_us {
            let patch = Patch { enabled: Some(true), ..Patch::default() };
            catalog.update("u-1", &patch, NOW).unwrap();
        } else {
            database.set("u-1", "enabled", "1");
            database.set("u-1", "auto_disabled_at", "NULL");
        }
        assert!(!gone(&mut catalog));
        let later = UnixMicros(NOW.0 + 1);
        let trip = HealthUpdate {
            change: CircuitChange::Trip,
            ..HealthUpdate::new(stored(&mut catalog, "u-1").version)
        };
        catalog.record(&[trip], later).unwrap();
        assert!(!gone(&mut catalog), "a later trip must not be gone");
    }
}

#[test]
fn counter_is_incremented_from_any_value() {
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
fn error_is_cut_at_a_character_boundary() {
    let (database, mut catalog) = database();
    let long = "ä".repeat(MAX_ERROR_CHARS + 1);
    record(&mut catalog, |update| HealthUpdate { failures: 1, last_failure: failure(NOW, &long), ..update });
    assert_eq!(database.get("u-1", "last_error"), text(&long[..2 * MAX_ERROR_CHARS]));
}

#[test]
fn updates_in_one_transaction_have_separate_outcomes() {
    let (database, mut catalog) = database();
    assert!(catalog.record(&[], NOW).unwrap().is_empty());
    let (one, two) = (stored(&mut catalog, "u-1").version, stored(&mut catalog, "u-2").version);
    database.set("u-1", "secret", "'changed-meanwhile'");
    let update = |version| HealthUpdate { failures: 1, ..HealthUpdate::new(version) };
    let updates = [update(one), update(Arc::clone(&two)), update(two)];
    let recorded = catalog.record(&updates, NOW).unwrap();
    assert_eq!(recorded, [RecordOutcome::Stale, RecordOutcome::Applied, RecordOutcome::Applied]);
    assert_eq!(database.get("u-1", "consecutive_failures"), Value::Integer(3));
    assert_eq!(database.get("u-2", "consecutive_failures"), Value::Integer(2));
}
