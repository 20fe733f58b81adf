//! The extension table: settings, headers, pauses, old secrets and deferrals.

use std::time::Duration;

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{
    Catalog, Deferral, Error, HealthUpdate, NewSubscription, Patch, RecordOutcome, RotationError, RowDigests,
};
use rusqlite::types::Value;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(60 * 60);
const LATER: UnixMicros = UnixMicros(NOW.0 + 1_000_000);
const OTHER: &str = "another-secret-of-ours";
const THIRD: &str = "a-third-secret-of-ours";

fn settings_patch(json: &str) -> SettingsPatch {
    serde_json::from_str(json).unwrap()
}

fn with_settings(json: &str) -> Patch {
    Patch { settings: settings_patch(json), ..Patch::default() }
}

fn with_pause(paused: bool) -> Patch {
    Patch { paused: Some(paused), ..Patch::default() }
}

/// Returns a database with one subscription that has these settings.
fn database_with(json: &str) -> (Database, Catalog, String) {
    let database = Database::new();
    let mut catalog = database.open();
    let settings = settings_patch(json).apply(&Settings::default()).unwrap();
    let uuid = catalog.create(&NewSubscription { settings, ..new_subscription("siem") }, NOW).unwrap();
    (database, catalog, uuid)
}

fn get_extension(database: &Database, column: &str) -> Value {
    let select = format!("SELECT {column} FROM decnet_webhook_settings");
    database.other.query_row(&select, [], |row| row.get(0)).unwrap()
}

fn set_extension(database: &Database, column: &str, sql: &str) {
    let update = format!("UPDATE decnet_webhook_settings SET {column} = {sql}");
    assert_eq!(database.other.execute(&update, []).unwrap(), 1);
}

fn secrets(catalog: &mut Catalog, uuid: &str) -> Vec<String> {
    let stored = stored(catalog, uuid);
    let old = stored.old_secrets.iter().map(|old| &old.secret);
    std::iter::once(&stored.subscription.secret).chain(old).map(|secret| secret.expose().to_owned()).collect()
}

#[test]
fn headers_are_stored_apart_from_settings() {
    let (database, mut catalog, uuid) =
        database_with(r#"{"timeout": "5s", "headers": {"Authorization": "Bearer hunter2"}}"#);
    assert_eq!(get_extension(&database, "settings"), text(r#"{"timeout":"5s"}"#));
    assert_eq!(get_extension(&database, "headers"), text(r#"{"authorization":"Bearer hunter2"}"#));
    catalog.update(&uuid, &with_settings(r#"{"headers": {"x-tenant": "a"}}"#), LATER).unwrap();
    let stored = stored(&mut catalog, &uuid);
    let headers: Vec<_> =
        stored.settings.headers.iter().map(|(name, value)| (name, value.expose())).collect();
    assert_eq!(headers, [("authorization", "Bearer hunter2"), ("x-tenant", "a")]);
    let row = catalog.find(&uuid).unwrap();
    let json = serde_json::to_value(&row).unwrap();
    let hidden = serde_json::json!({"authorization": "[secret]", "x-tenant": "[secret]"});
    assert_eq!(json["settings"], serde_json::json!({"timeout": "5s", "headers": hidden}));
    assert!(!format!("{stored:?} {row:?} {json}").contains("hunter2"));
}

#[test]
fn unreadable_headers_hold_the_subscription() {
    for bad in ["'nonsense'", "'[]'", "'{\"x-a\": 7}'", "'{\"host\": \"hunter2\"}'", "x'00'", "7"] {
        let (database, mut catalog, uuid) = database_with(r#"{"headers": {"x-a": "b"}}"#);
        database.add("u-2", "other");
        set_extension(&database, "headers", bad);
        let hold = stored(&mut catalog, &uuid).hold.expect(bad).to_string();
        assert!(hold.starts_with("column `headers` cannot be read") && !hold.contains("hunter2"), "{hold}");
        assert_eq!(stored(&mut catalog, "u-2").hold, None);
        catalog.update(&uuid, &with_settings(r#"{"headers": {"x-a": "c"}}"#), LATER).unwrap();
        assert_eq!(stored(&mut catalog, &uuid).hold, None, "{bad}");
    }
}

#[test]
fn credentials_in_url_and_header_are_rejected() {
    let (database, mut catalog, uuid) = database_with(r#"{"headers": {"authorization": "Bearer x"}}"#);
    let with_user = Patch { url: EndpointUrl::new("https://u:p@a.example/").ok(), ..Patch::default() };
    let before = database.all_rows();
    assert!(matches!(catalog.update(&uuid, &with_user, LATER), Err(Error::Invalid(_))));
    assert_eq!(database.all_rows(), before, "the whole patch must be rejected");
    database.set(&uuid, "url", "'https://u:p@a.example/'");
    assert_eq!(stored(&mut catalog, &uuid).warnings.len(), 1, "a URL that DECNET wrote must be a warning");
    let both = Patch { settings: settings_patch(r#"{"headers": {"authorization": null}}"#), ..with_user };
    catalog.update(&uuid, &both, LATER).unwrap();
    assert_eq!(stored(&mut catalog, &uuid).warnings, []);
}

#[test]
fn unreadable_settings_with_a_filter_or_format_hold_the_subscription() {
    let (database, mut catalog, uuid) = database_with(r#"{"rate": "1/s"}"#);
    for (settings, is_held) in [
        (r#"'{"rate":7}'"#, false),
        (r#"'{"filter":{"level":[3]}}'"#, true),
        (r#"'{"rate":7,"format":"slack"}'"#, true),
        (r#"'{"format":"smoke-signal"}'"#, true),
        (r#"'{"format":"slack"}'"#, false),
    ] {
        set_extension(&database, "settings", settings);
        let hold = stored(&mut catalog, &uuid).hold;
        assert_eq!(hold.is_some(), is_held, "{settings}: {hold:?}");
    }
}

#[test]
fn unknown_settings_are_kept_with_a_warning() {
    let (database, mut catalog, uuid) = database_with(r#"{"rate": "1/s"}"#);
    set_extension(&database, "settings", r#"'{"rate":"1/s","newer":{"level":[3]}}'"#);
    let stored = stored(&mut catalog, &uuid);
    assert!(stored.warnings[0].to_string().contains("newer"), "{:?}", stored.warnings);
    for change in
        [with_settings(r#"{"rate": null}"#), with_pause(true), with_settings(r#"{"headers": {"x-a": "b"}}"#)]
    {
        catalog.update(&uuid, &change, LATER).unwrap();
    }
    assert_eq!(get_extension(&database, "settings"), text(r#"{"newer":{"level":[3]}}"#));
}

#[test]
fn pause_survives_other_changes() {
    let (database, mut catalog, uuid) = database_with("{}");
    catalog.update(&uuid, &with_pause(true), LATER).unwrap();
    for enabled in [false, true] {
        catalog.update(&uuid, &Patch { enabled: Some(enabled), ..Patch::default() }, LATER).unwrap();
        assert!(catalog.find(&uuid).unwrap().paused);
    }
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, LATER).unwrap();
    database.set(&uuid, "enabled", "0");
    let row = catalog.find(&uuid).unwrap();
    assert_eq!((row.paused, row.parked_by()), (true, Some("disabled")));
    catalog.update(&uuid, &with_pause(false), LATER).unwrap();
    assert!(!stored(&mut catalog, &uuid).paused);
}

#[test]
fn invalid_pause_counts_as_paused() {
    let (database, mut catalog, uuid) = database_with(r#"{"trace": true}"#);
    for (value, paused, warnings) in [("0", false, 0), ("1", true, 0), ("2", true, 1), ("'yes'", true, 1)] {
        set_extension(&database, "paused", value);
        let stored = stored(&mut catalog, &uuid);
        assert_eq!((stored.paused, stored.warnings.len()), (paused, warnings), "{value}");
    }
}

#[test]
fn replaced_secret_is_kept_until_it_expires() {
    let (database, mut catalog, uuid) = database_with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    assert_eq!(database.get(&uuid, "secret"), text(OTHER));
    assert_eq!(secrets(&mut catalog, &uuid), [OTHER, SECRET]);
    assert_eq!(catalog.find(&uuid).unwrap().old_secrets_until, [NOW.after(HOUR)]);
    assert_eq!(catalog.remove_expired_secrets(NOW.after(HOUR / 2)).unwrap(), 0);
    assert_eq!(catalog.remove_expired_secrets(NOW.after(HOUR)).unwrap(), 1);
    assert_eq!(secrets(&mut catalog, &uuid), [OTHER]);
    assert_eq!(
        (get_extension(&database, "old_secrets"), get_extension(&database, "old_secrets_until")),
        (Value::Null, Value::Null)
    );
}

#[test]
fn number_of_old_secrets_is_limited() {
    let (_database, mut catalog, uuid) = database_with("{}");
    let mut rotate =
        |secret: &str, overlap, now| catalog.rotate_secret(&uuid, &Secret::new(secret), overlap, now);
    rotate(OTHER, HOUR, NOW).unwrap();
    rotate(THIRD, HOUR * 2, NOW).unwrap();
    let refused = rotate("a-fourth-secret-of-ours", HOUR, NOW);
    let first = NOW.after(HOUR);
    assert!(
        matches!(refused, Err(Error::Rotation(RotationError::TooMany(until))) if until == first),
        "{refused:?}"
    );
    assert!(matches!(rotate(THIRD, HOUR, NOW), Err(Error::Rotation(RotationError::Same))));
    let too_long = Duration::from_secs(31 * 24 * 60 * 60);
    assert!(matches!(rotate(SECRET, too_long, NOW), Err(Error::Rotation(RotationError::Overlap))));
    assert!(matches!(rotate("short", HOUR, NOW), Err(Error::Invalid(_))));
    rotate("a-fourth-secret-of-ours", HOUR, first).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), ["a-fourth-secret-of-ours", THIRD, OTHER]);
    assert_eq!(catalog.revoke_old_secrets(&uuid, first).unwrap(), 2);
    assert_eq!(secrets(&mut catalog, &uuid).len(), 1);
    assert!(matches!(catalog.revoke_old_secrets("missing", first), Err(Error::NotFound { .. })));
}

#[test]
fn old_secret_can_become_current_again() {
    let (_database, mut catalog, uuid) = database_with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    catalog.rotate_secret(&uuid, &Secret::new(SECRET), HOUR, NOW).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), [SECRET, OTHER]);
}

#[test]
fn immediate_replacement_removes_all_old_secrets() {
    let (_database, mut catalog, uuid) = database_with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    catalog.update(&uuid, &Patch { secret: Some(Secret::new(THIRD)), ..Patch::default() }, LATER).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), [THIRD]);
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), Duration::ZERO, NOW).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), [OTHER]);
}

#[test]
fn secret_changed_by_the_decnet_daemon_is_accepted() {
    let (database, mut catalog, uuid) = database_with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    database.set(&uuid, "secret", &format!("'{THIRD}'"));
    assert_eq!(secrets(&mut catalog, &uuid), [THIRD, SECRET]);
    database.set(&uuid, "secret", &format!("'{SECRET}'"));
    assert_eq!(secrets(&mut catalog, &uuid), [SECRET], "a secret must not sign twice");
    for lost in ["NULL", "x'00'", "''"] {
        if lost != "NULL" {
            database.set(&uuid, "secret", lost);
        }
        catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
        assert_eq!(secrets(&mut catalog, &uuid)[0], OTHER, "{lost}");
    }
    for bad in ["'nonsense'", "'[{}]'", "7", "x'00'"] {
        set_extension(&database, "old_secrets", bad);
        assert_eq!(secrets(&mut catalog, &uuid), [OTHER], "{bad}");
        assert_eq!(stored(&mut catalog, &uuid).warnings.len(), 1, "{bad}");
    }
}

#[test]
fn revoked_secret_is_erased_from_the_file() {
    let (database, mut catalog, uuid) = database_with("{}");
    // Long enough not to be overwritten by a new value in the same place.
    let replaced = format!("{}-the-end", "x".repeat(200));
    for secret in [&replaced, OTHER] {
        catalog.rotate_secret(&uuid, &Secret::new(secret), HOUR, NOW).unwrap();
    }
    catalog.revoke_old_secrets(&uuid, LATER).unwrap();
    drop(catalog);
    let Database { path, other, directory: _directory } = database;
    other.close().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(OTHER) && !holds("-the-end"));
}

#[test]
fn output_contains_no_secret() {
    let (_database, mut catalog, uuid) = database_with(r#"{"headers": {"x-key": "a-very-secret-secret"}}"#);
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    let row = catalog.find(&uuid).unwrap();
    let json = serde_json::to_string(&row).unwrap();
    let refused = catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap_err();
    let all = format!("{:?} {row:?} {json} {refused} {refused:?}", stored(&mut catalog, &uuid));
    assert!(!all.contains(SECRET) && !all.contains(OTHER), "{all}");
}

#[test]
fn change_of_any_column_is_detected() {
    let (database, mut catalog, _) = database_with(r#"{"trace": true}"#);
    let mut digests = RowDigests::default();
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 1);
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 0);
    for (column, value) in [
        ("settings", "'{}'".to_owned()),
        ("headers", "'{\"x-a\":\"b\"}'".into()),
        ("paused", "1".into()),
        ("old_secrets", format!("'[{{\"secret\":\"{OTHER}\",\"until\":{}}}]'", NOW.0)),
    ] {
        set_extension(&database, column, &value);
        assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 1, "{column}");
    }
}

/// The schema of version 1.
const VERSION_1: &str = r#"
    CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL DEFAULT '{}');
    CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
    INSERT INTO decnet_webhook_schema VALUES (1);
    INSERT INTO decnet_webhook_settings VALUES ('u-1', NULL, '{"rate":"1/s","ordered":true}')"#;

#[test]
fn version_1_is_read_and_migrated_by_the_first_write() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.other.execute_batch(VERSION_1).unwrap();
    let mut catalog = database.open();
    assert!(stored(&mut catalog, "u-1").settings.ordered);
    assert_eq!(catalog.remove_expired_secrets(NOW).unwrap(), 0);
    assert!(stored(&mut catalog, "u-1").settings.ordered, "reading must not migrate");
    catalog.update("u-1", &with_pause(true), LATER).unwrap();
    let stored = stored(&mut catalog, "u-1");
    assert!(stored.settings.ordered && stored.settings.rate.is_some() && stored.paused);
    catalog.rotate_secret("u-1", &Secret::new(OTHER), HOUR, LATER).unwrap();
    assert_eq!(secrets(&mut catalog, "u-1"), [OTHER, SECRET]);
}

/// The schema of version 2.
const VERSION_2: &str = r#"
    CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL DEFAULT '{}',
        headers TEXT, paused INTEGER NOT NULL DEFAULT 0, old_secrets TEXT, old_secrets_until INTEGER);
    CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
    INSERT INTO decnet_webhook_schema VALUES (2);
    INSERT INTO decnet_webhook_settings VALUES ('u-1', NULL, '{"ordered":true}', '{"x-a":"b"}', 1, NULL, NULL)"#;

#[test]
fn version_2_is_read_and_migrated_by_the_first_write() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.other.execute_batch(VERSION_2).unwrap();
    let mut catalog = database.open();
    let before = stored(&mut catalog, "u-1");
    assert!(before.settings.ordered && before.paused && before.settings.headers.names().eq(["x-a"]));
    catalog.update("u-1", &with_pause(false), LATER).unwrap();
    let after = stored(&mut catalog, "u-1");
    assert!(after.settings.ordered && !after.paused && after.settings.headers.names().eq(["x-a"]));
    assert_eq!((after.deferred_until, after.deferrals_lifted), (None, 0));
}

fn record_deferral(catalog: &mut Catalog, uuid: &str, deferral: Deferral) -> Option<UnixMicros> {
    let update = HealthUpdate { deferral, ..HealthUpdate::new(stored(catalog, uuid).version) };
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [RecordOutcome::Applied]);
    catalog.find(uuid).unwrap().deferred_until
}

#[test]
fn deferral_is_kept_until_replaced_or_removed() {
    let (database, mut catalog, uuid) = database_with("{}");
    let (first, second) = (NOW.after(HOUR), NOW.after(2 * HOUR));
    assert_eq!(record_deferral(&mut catalog, &uuid, Deferral::None), None);
    assert_eq!(record_deferral(&mut catalog, &uuid, Deferral::Until(first)), Some(first));
    assert_eq!(record_deferral(&mut catalog, &uuid, Deferral::Keep), Some(first));
    assert_eq!(record_deferral(&mut catalog, &uuid, Deferral::Until(second)), Some(second));
    assert_eq!(stored(&mut catalog, &uuid).deferred_until, Some(second));
    assert_eq!(record_deferral(&mut catalog, &uuid, Deferral::None), None);
    assert_eq!(get_extension(&database, "deferred_until"), Value::Null);
}

#[test]
fn only_lifting_a_deferral_is_a_change() {
    let (_database, mut catalog, uuid) = database_with(r#"{"trace": true}"#);
    let mut digests = RowDigests::default();
    catalog.changes(&mut digests).unwrap();
    record_deferral(&mut catalog, &uuid, Deferral::Until(NOW.after(HOUR)));
    assert!(catalog.changes(&mut digests).unwrap().subscriptions.is_empty());
    catalog.update(&uuid, &Patch { enabled: Some(true), ..Patch::default() }, LATER).unwrap();
    let changed = catalog.changes(&mut digests).unwrap().subscriptions;
    assert_eq!((changed[0].deferred_until, changed[0].deferrals_lifted), (None, 1));
}

#[test]
fn new_url_removes_a_deferral() {
    let (_database, mut catalog, uuid) = database_with("{}");
    record_deferral(&mut catalog, &uuid, Deferral::Until(NOW.after(HOUR)));
    catalog.update(&uuid, &with_pause(true), LATER).unwrap();
    assert!(catalog.find(&uuid).unwrap().deferred_until.is_some(), "a pause must keep the deferral");
    let url = EndpointUrl::new("http://elsewhere.example/").ok();
    catalog.update(&uuid, &Patch { url, ..Patch::default() }, LATER).unwrap();
    assert_eq!(catalog.find(&uuid).unwrap().deferred_until, None);
}

#[test]
fn row_is_deleted_with_its_subscription() {
    let (database, mut catalog, uuid) = database_with(r#"{"headers": {"x-a": "b"}}"#);
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    catalog.delete(&uuid, NOW).unwrap();
    let rows = database.other.query_row("SELECT count(*) FROM decnet_webhook_settings", [], |row| row.get(0));
    assert_eq!(rows, Ok(0));
    assert!(matches!(catalog.update(&uuid, &with_pause(true), LATER), Err(Error::NotFound { .. })));
    assert!(matches!(
        catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, UnixMicros(0)),
        Err(Error::NotFound { .. })
    ));
}
