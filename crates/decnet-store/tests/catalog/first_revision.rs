//! The first revision of DECNET's table, without the column `auto_disabled_at`, is read and written but never altered.

use std::time::Duration;

use decnet_core::redact::Secret;
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{
    Catalog, CircuitChange, Create, HealthUpdate, LastFailure, Patch, RecordOutcome,
};

use crate::support::{Database, NOW, new_subscription, stored};

const LATER: UnixMicros = UnixMicros(NOW.0 + 1_000_000);

fn record(catalog: &mut Catalog, change: CircuitChange, now: UnixMicros) {
    let update = HealthUpdate { change, ..HealthUpdate::new(stored(catalog, "u-1").version) };
    assert_eq!(catalog.record(&[update], now).unwrap(), [RecordOutcome::Applied]);
}

fn tripped() -> (Database, Catalog) {
    let database = Database::first_revision();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    record(&mut catalog, CircuitChange::Trip, NOW);
    (database, catalog)
}

fn activity(database: &Database) -> Activity {
    stored(&mut database.open(), "u-1").subscription.activity
}

#[test]
fn all_operations_work_without_altering_the_table() {
    let database = Database::first_revision();
    let schema = || -> String {
        let all = "SELECT group_concat(sql, ';') FROM sqlite_master WHERE tbl_name = 'webhook_subscriptions'";
        database.other.query_row(all, [], |row| row.get(0)).unwrap()
    };
    let before = schema();
    let mut catalog = Catalog::open(&database.path, Create::IfMissing).unwrap();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
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
    assert_eq!(catalog.record(&[update], LATER).unwrap(), [RecordOutcome::Applied]);
    let row = catalog.find(&uuid).unwrap();
    assert_eq!((row.consecutive_failures, row.last_error.as_deref()), (2, Some("timeout")));
    catalog.delete(&uuid, NOW).unwrap();
    assert!(catalog.rows().unwrap().is_empty());
    assert_eq!(schema(), before);
}

#[test]
fn trip_survives_a_restart() {
    let (database, mut catalog) = tripped();
    assert_eq!(database.get("u-1", "enabled"), 0.into());
    assert_eq!(activity(&database), Activity::Tripped);
    assert_eq!(database.open().find("siem").unwrap().auto_disabled_at, Some(NOW));
    record(&mut catalog, CircuitChange::None, LATER);
    assert_eq!(activity(&database), Activity::Tripped, "recording a failed probe must keep the trip");
    assert_eq!(database.open().find("siem").unwrap().auto_disabled_at, Some(NOW));
    record(&mut catalog, CircuitChange::Reopen, LATER);
    assert_eq!(activity(&database), Activity::Active);
    database.set("u-1", "enabled", "0");
    assert_eq!(activity(&database), Activity::Disabled, "the trip must be deleted");
}

#[test]
fn subscription_disabled_by_decnet_is_not_tripped() {
    let (database, _catalog) = tripped();
    database.set("u-1", "updated_at", "'2026-11-24 00:00:00.000000', enabled = 1");
    database.set("u-1", "updated_at", "'2026-11-24 00:00:01.000000', enabled = 0");
    assert_eq!(activity(&database), Activity::Disabled);
    assert_eq!(database.open().find("siem").unwrap().auto_disabled_at, None);
}

#[test]
fn late_result_of_an_ended_trip_is_stale() {
    let (database, mut catalog) = tripped();
    let reopen = HealthUpdate {
        change: CircuitChange::Reopen,
        ..HealthUpdate::new(stored(&mut catalog, "u-1").version)
    };
    database.set("u-1", "updated_at", "'2026-11-24 00:00:00.000000'");
    assert_eq!(catalog.record(&[reopen], LATER).unwrap(), [RecordOutcome::Stale]);
    assert_eq!(database.get("u-1", "enabled"), 0.into());
}

#[test]
fn other_changes_keep_a_trip() {
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
    record(&mut database.open(), CircuitChange::Trip, NOW);
    assert_eq!(activity(database), Activity::Tripped);
}

#[test]
fn gone_receiver_is_recorded() {
    let database = Database::first_revision();
    database.add("u-1", "siem");
    record(&mut database.open(), CircuitChange::Gone, NOW);
    let found = stored(&mut database.open(), "u-1");
    assert!(found.gone && found.subscription.activity == Activity::Tripped);
}

#[test]
fn trips_survive_an_upgrade_of_decnet() {
    let (database, mut catalog) = tripped();
    let upgrade = "ALTER TABLE webhook_subscriptions ADD COLUMN auto_disabled_at DATETIME";
    database.other.execute_batch(upgrade).unwrap();
    assert_eq!(stored(&mut catalog, "u-1").subscription.activity, Activity::Tripped);
    record(&mut catalog, CircuitChange::None, LATER);
    assert_eq!(activity(&database), Activity::Tripped);
    record(&mut catalog, CircuitChange::Reopen, LATER);
    assert_eq!(activity(&database), Activity::Active);
    record(&mut catalog, CircuitChange::Trip, LATER);
    assert_eq!(database.get("u-1", "auto_disabled_at"), crate::support::text(&LATER.to_sqlite()));
}
