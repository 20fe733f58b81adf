//! The first revision of DECNET's table, which has no column `auto_disabled_at`: it is read and written, and never altered.

use std::time::Duration;

use decnet_core::redact::Secret;
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Change, Create, HealthUpdate, LastFailure, Patch, Recorded};

use crate::support::{Database, NOW, new, stored};

const LATER: UnixMicros = UnixMicros(NOW.0 + 1_000_000);

fn record(catalog: &mut Catalog, change: Change, now: UnixMicros) {
    let update = HealthUpdate { change, ..HealthUpdate::new(stored(catalog, "u-1").version) };
    assert_eq!(catalog.record(&[update], now).unwrap(), [Recorded::Applied]);
}

fn tripped() -> (Database, Catalog) {
    let database = Database::first_revision();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    record(&mut catalog, Change::Trip, NOW);
    (database, catalog)
}

fn activity(database: &Database) -> Activity {
    stored(&mut database.open(), "u-1").subscription.activity
}

#[test]
fn everything_but_the_table_itself_can_be_changed() {
    let database = Database::first_revision();
    let schema = || -> String {
        let all = "SELECT group_concat(sql, ';') FROM sqlite_master WHERE tbl_name = 'webhook_subscriptions'";
        database.other.query_row(all, [], |row| row.get(0)).unwrap()
    };
    let before = schema();
    let mut catalog = Catalog::open(&database.path, Create::IfMissing).unwrap();
    let uuid = catalog.create(&new("siem"), NOW).unwrap();
    let patch = Patch { name: Some("lake".into()), enabled: Some(false), ..Patch::default() };
    catalog.update(&uuid, &patch, LATER).unwrap();
    catalog.rotate_secret(&uuid, &Secret::new("another-secret-0123"), Duration::ZERO, LATER).unwrap();
    let row = catalog.find("lake").unwrap();
    assert_eq!((row.enabled, row.auto_disabled_at, row.updated_at), (false, None, Some(LATER)));
    let failure = LastFailure { at: LATER, error: "timeout".into() };
    let update = HealthUpdate {
        failures: 2,
        last_failure: Some(failure),
        ..HealthUpdate::new(stored(&mut catalog, &uuid).version)
    };
    assert_eq!(catalog.record(&[update], LATER).unwrap(), [Recorded::Applied]);
    let row = catalog.find(&uuid).unwrap();
    assert_eq!((row.consecutive_failures, row.last_error.as_deref()), (2, Some("timeout")));
    catalog.delete(&uuid).unwrap();
    assert!(catalog.rows().unwrap().is_empty());
    assert_eq!(schema(), before);
}

#[test]
fn trip_outlasts_the_process_that_recorded_it() {
    let (database, mut catalog) = tripped();
    assert_eq!(database.get("u-1", "enabled"), 0.into());
    assert_eq!(activity(&database), Activity::Tripped);
    assert_eq!(database.open().find("siem").unwrap().auto_disabled_at, Some(NOW));
    record(&mut catalog, Change::None, LATER);
    assert_eq!(activity(&database), Activity::Tripped, "a failed probe was recorded");
    assert_eq!(database.open().find("siem").unwrap().auto_disabled_at, Some(NOW));
    record(&mut catalog, Change::Reopen, LATER);
    assert_eq!(activity(&database), Activity::Active);
    database.set("u-1", "enabled", "0");
    assert_eq!(activity(&database), Activity::Disabled, "the trip is forgotten");
}

#[test]
fn what_an_operator_disables_is_not_tripped() {
    let (database, _catalog) = tripped();
    database.set("u-1", "updated_at", "'2026-11-24 00:00:00.000000', enabled = 1");
    database.set("u-1", "updated_at", "'2026-11-24 00:00:01.000000', enabled = 0");
    assert_eq!(activity(&database), Activity::Disabled);
    assert_eq!(database.open().find("siem").unwrap().auto_disabled_at, None);
}

#[test]
fn result_of_a_trip_that_is_over_changes_nothing() {
    let (database, mut catalog) = tripped();
    let reopen =
        HealthUpdate { change: Change::Reopen, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.set("u-1", "updated_at", "'2026-11-24 00:00:00.000000'");
    assert_eq!(catalog.record(&[reopen], LATER).unwrap(), [Recorded::Stale]);
    assert_eq!(database.get("u-1", "enabled"), 0.into());
}

#[test]
fn other_changes_of_ours_leave_a_trip_in_force() {
    let (database, mut catalog) = tripped();
    let rename = Patch { name: Some("lake".into()), ..Patch::default() };
    catalog.update("u-1", &rename, LATER).unwrap();
    catalog.rotate_secret("u-1", &Secret::new("another-secret-0123"), Duration::ZERO, LATER).unwrap();
    assert_eq!(activity(&database), Activity::Tripped);
    for (enabled, expected) in [(false, Activity::Disabled), (true, Activity::Active)] {
        record_trip_again(&database);
        let patch = Patch { enabled: Some(enabled), ..Patch::default() };
        catalog.update("u-1", &patch, LATER).unwrap();
        assert_eq!(activity(&database), expected);
    }
}

fn record_trip_again(database: &Database) {
    database.set("u-1", "enabled", "1");
    record(&mut database.open(), Change::Trip, NOW);
    assert_eq!(activity(database), Activity::Tripped);
}

#[test]
fn receiver_that_is_gone_stays_gone() {
    let database = Database::first_revision();
    database.add("u-1", "siem");
    record(&mut database.open(), Change::Gone, NOW);
    let found = stored(&mut database.open(), "u-1");
    assert!(found.gone && found.subscription.activity == Activity::Tripped);
}

#[test]
fn trips_outlast_an_upgrade_of_decnet() {
    let (database, mut catalog) = tripped();
    let upgrade = "ALTER TABLE webhook_subscriptions ADD COLUMN auto_disabled_at DATETIME";
    database.other.execute_batch(upgrade).unwrap();
    assert_eq!(stored(&mut catalog, "u-1").subscription.activity, Activity::Tripped);
    record(&mut catalog, Change::None, LATER);
    assert_eq!(activity(&database), Activity::Tripped);
    record(&mut catalog, Change::Reopen, LATER);
    assert_eq!(activity(&database), Activity::Active);
    record(&mut catalog, Change::Trip, LATER);
    assert_eq!(database.get("u-1", "auto_disabled_at"), crate::support::text(&LATER.to_sqlite()));
}
