//! What was learnt of an older version of a row never changes the newer one.

use std::sync::Arc;

use decnet_core::subscription::Activity;
use decnet_store::catalog::{Change, HealthUpdate, LastFailure, Recorded};
use proptest::prelude::*;

use crate::support::{Database, NOW, stored};

fn failed_and_tripped(update: HealthUpdate) -> HealthUpdate {
    let last_failure = Some(LastFailure { at: NOW, error: "HTTP 500".into() });
    HealthUpdate { failures: 5, last_failure, change: Change::Trip, ..update }
}

#[test]
fn an_update_for_another_version_changes_nothing() {
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
        let database = Database::decnets();
        database.add("u-1", "siem");
        let mut catalog = database.open();
        let update = failed_and_tripped(HealthUpdate::new(stored(&mut catalog, "u-1").version));
        database.set("u-1", column, value);
        let before = database.everything();
        assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Stale], "{column} = {value}");
        assert_eq!(database.everything(), before, "{column} = {value}");
    }
}

#[test]
fn a_deleted_row_stays_deleted() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let update =
        HealthUpdate { change: Change::Gone, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    catalog.delete("u-1").unwrap();
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Stale]);
    assert!(database.everything().is_empty());
}

#[test]
fn a_probe_never_enables_what_an_operator_disabled() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.set("u-1", "enabled", "0");
    database.set("u-1", "auto_disabled_at", "'2026-01-01 00:00:00.000000'");
    let mut catalog = database.open();
    let tripped = stored(&mut catalog, "u-1");
    assert_eq!(tripped.version.activity(), Activity::Tripped);
    database.set("u-1", "auto_disabled_at", "NULL");
    let update = HealthUpdate { change: Change::Reopen, ..HealthUpdate::new(tripped.version) };
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Stale]);
    assert_eq!(stored(&mut catalog, "u-1").subscription.activity, Activity::Disabled);
}

#[test]
fn the_raw_text_of_the_url_is_compared() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.set("u-1", "url", "' HTTPS://Example.org/../a '");
    let mut catalog = database.open();
    let stored = stored(&mut catalog, "u-1");
    assert_eq!(stored.subscription.url.expose(), "https://example.org/a");
    assert_eq!(catalog.record(&[HealthUpdate::new(stored.version)], NOW).unwrap(), [Recorded::Applied]);
}

#[test]
fn our_own_trip_makes_the_version_that_comes_next() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let before = stored(&mut catalog, "u-1").version;
    let update = failed_and_tripped(HealthUpdate::new(Arc::clone(&before)));
    assert_eq!(catalog.record(std::slice::from_ref(&update), NOW).unwrap(), [Recorded::Applied]);
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Stale], "a late result after the trip");
    let after = before.with_activity(Activity::Tripped);
    assert_eq!(*stored(&mut catalog, "u-1").version, after);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn an_update_applies_exactly_while_its_version_lasts(
        url in 0..2usize, secret in 0..2usize, enabled in 0..3usize, tripped: bool,
        later in (0..2usize, 0..2usize, 0..3usize, any::<bool>()),
        change in 0..4usize,
    ) {
        let database = Database::decnets();
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
        let before = database.everything();
        let change = [Change::None, Change::Trip, Change::Gone, Change::Reopen][change];
        let update = HealthUpdate { failures: 1, change, ..HealthUpdate::new(used) };
        let recorded = catalog.record(&[update], NOW).unwrap();
        prop_assert_eq!(recorded[0] == Recorded::Applied, is_same);
        prop_assert_eq!(database.everything() != before, is_same);
    }
}
