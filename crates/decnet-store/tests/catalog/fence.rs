//! Results from an older version of a row do not change a newer version.

use std::sync::Arc;

use decnet_core::subscription::Activity;
use decnet_store::catalog::{CircuitChange, HealthUpdate, LastFailure, RecordOutcome};
use proptest::prelude::*;

use crate::support::{Database, NOW, stored};

fn failed_and_tripped(update: HealthUpdate) -> HealthUpdate {
    let last_failure = Some(LastFailure { at: NOW, error: "HTTP 500".into() });
    HealthUpdate { failures: 5, last_failure, change: CircuitChange::Trip, ..update }
}

#[test]
fn update_for_another_version_is_stale() {
    for (column, value) in [
        ("url", "'https://elsewhere.example/'"),
        ("url", "url || ' '"),
        ("secret", "'another-secret-text'"),
        ("enabled", "0"),
        ("enabled", "2"),
        ("uuid", "'u-2'"),
        ("uuid", "'U-1'"),
        ("url", "X'00'"),
    ] {
        let database = Database::new();
        database.add("u-1", "siem");
        let mut catalog = database.open();
        let update = failed_and_tripped(HealthUpdate::new(stored(&mut catalog, "u-1").version));
        database.set("u-1", column, value);
        let before = database.all_rows();
        assert_eq!(catalog.record(&[update], NOW).unwrap(), [RecordOutcome::Stale], "{column} = {value}");
        assert_eq!(database.all_rows(), before, "{column} = {value}");
    }
}

#[test]
fn deleted_row_stays_deleted() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update = HealthUpdate {
        change: CircuitChange::Gone,
        ..HealthUpdate::new(stored(&mut catalog, "u-1").version)
    };
    catalog.delete("u-1", NOW).unwrap();
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [RecordOutcome::Stale]);
    assert!(database.all_rows().is_empty());
}

#[test]
fn probe_does_not_enable_a_disabled_subscription() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.set("u-1", "enabled", "0");
    database.set("u-1", "auto_disabled_at", "'2026-01-01 00:00:00.000000'");
    let mut catalog = database.open();
    let tripped = stored(&mut catalog, "u-1");
    assert_eq!(tripped.version.activity(), Activity::Tripped);
    database.set("u-1", "auto_disabled_at", "NULL");
    let update = HealthUpdate { change: CircuitChange::Reopen, ..HealthUpdate::new(tripped.version) };
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [RecordOutcome::Stale]);
    assert_eq!(stored(&mut catalog, "u-1").subscription.activity, Activity::Disabled);
}

#[test]
fn row_version_uses_the_url_as_stored() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.set("u-1", "url", "' HTTPS://Example.org/../a '");
    let mut catalog = database.open();
    let stored = stored(&mut catalog, "u-1");
    assert_eq!(stored.subscription.url.expose(), "https://example.org/a");
    assert_eq!(catalog.record(&[HealthUpdate::new(stored.version)], NOW).unwrap(), [RecordOutcome::Applied]);
}

#[test]
fn recorded_trip_changes_the_version() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let before = stored(&mut catalog, "u-1").version;
    let update = failed_and_tripped(HealthUpdate::new(Arc::clone(&before)));
    assert_eq!(catalog.record(std::slice::from_ref(&update), NOW).unwrap(), [RecordOutcome::Applied]);
    assert_eq!(
        catalog.record(&[update], NOW).unwrap(),
        [RecordOutcome::Stale],
        "a late result must be stale"
    );
    let after = before.with_activity(Activity::Tripped);
    assert_eq!(*stored(&mut catalog, "u-1").version, after);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn update_applies_only_to_its_version(
        url in 0..2usize, secret in 0..2usize, enabled in 0..3usize, tripped: bool,
        later in (0..2usize, 0..2usize, 0..3usize, any::<bool>()),
        change in 0..4usize,
    ) {
        let database = Database::new();
        database.add("u-1", "siem");
        let set = |(url, secret, enabled, tripped): (usize, usize, usize, bool)| {
            database.set("u-1", "url", ["'https://a/'", "'https://a'"][url]);
            database.set("u-1", "secret", ["'sixteen characters'", "'sixteen_characters'"][secret]);
            database.set("u-1", "enabled", ["0", "1", "2"][enabled]);
            database.set("u-1", "auto_disabled_at", if tripped { "'2026-01-01 00:00:00.000000'" } else { "NULL" });
        };
        let mut catalog = database.open();
        set((url, secret, enabled, tripped));
        let used = stored(&mut catalog, "u-1").version;
        set(later);
        let is_same = *stored(&mut catalog, "u-1").version == *used;
        let before = database.all_rows();
        let change = [CircuitChange::None, CircuitChange::Trip, CircuitChange::Gone, CircuitChange::Reopen][change];
        let update = HealthUpdate { failures: 1, change, ..HealthUpdate::new(used) };
        let recorded = catalog.record(&[update], NOW).unwrap();
        prop_assert_eq!(recorded[0] == RecordOutcome::Applied, is_same);
        prop_assert_eq!(database.all_rows() != before, is_same);
    }
}
