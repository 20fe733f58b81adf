//! Credentials of subscriptions: storage, changes and problems.

use decnet_core::redact::EndpointUrl;
use decnet_core::settings::{Auth, Settings, SettingsPatch};
use decnet_store::catalog::{Catalog, Error, NewSubscription, Patch, RowDigests};
use rusqlite::types::Value;

use crate::support::*;

const BEARER: &str =
    r#"{"auth": {"type": "bearer", "token": "hunter2"}, "trust_roots": "-----BEGIN CERTIFICATE-----"}"#;

fn patch(json: &str) -> SettingsPatch {
    serde_json::from_str(json).unwrap()
}

fn with_settings(json: &str) -> Patch {
    Patch { settings: patch(json), ..Patch::default() }
}

fn database_with(json: &str) -> (Database, Catalog, String) {
    let database = Database::new();
    let mut catalog = database.open();
    let settings = patch(json).apply(&Settings::default()).unwrap();
    let uuid = catalog.create(&NewSubscription { settings, ..new_subscription("siem") }, NOW).unwrap();
    (database, catalog, uuid)
}

fn column(database: &Database, column: &str) -> Value {
    let select = format!("SELECT {column} FROM decnet_webhook_settings");
    database.other.query_row(&select, [], |row| row.get(0)).unwrap()
}

#[test]
fn credentials_are_stored_apart_from_settings() {
    let (database, mut catalog, uuid) = database_with(BEARER);
    assert_eq!(column(&database, "settings"), text("{}"));
    let stored_form =
        r#"{"auth":{"type":"bearer","token":"hunter2"},"trust_roots":"-----BEGIN CERTIFICATE-----"}"#;
    assert_eq!(column(&database, "credentials"), text(stored_form));
    catalog.update(&uuid, &with_settings(r#"{"trust_roots": null, "timeout": "5s"}"#), NOW).unwrap();
    let row = catalog.find(&uuid).unwrap();
    let stored = stored(&mut catalog, &uuid);
    assert!(
        matches!(&stored.settings.credentials.auth, Some(Auth::Bearer(token)) if token.expose() == "hunter2")
    );
    assert_eq!(stored.settings.credentials.trust_roots, None);
    let json = serde_json::to_value(&row).unwrap();
    let shown = serde_json::json!({"timeout": "5s", "auth": {"type": "bearer", "token": "[secret]"}});
    assert_eq!(json["settings"], shown);
    assert!(!format!("{stored:?} {row:?} {json}").contains("hunter2"));
    catalog.update(&uuid, &with_settings(r#"{"auth": null}"#), NOW).unwrap();
    assert_eq!(column(&database, "credentials"), Value::Null);
}

#[test]
fn unreadable_credentials_hold_the_subscription() {
    for bad in ["'nonsense'", "'[]'", "'{\"auth\":{\"type\":\"hunter2\"}}'", "'{\"newer\":1}'", "x'00'", "7"]
    {
        let (database, mut catalog, uuid) = database_with(BEARER);
        database.add("u-2", "other");
        let update = format!("UPDATE decnet_webhook_settings SET credentials = {bad}");
        database.other.execute(&update, []).unwrap();
        let held = stored(&mut catalog, &uuid);
        let hold = held.hold.as_ref().expect(bad).to_string();
        assert!(
            hold.starts_with("column `credentials` cannot be read") && !hold.contains("hunter2"),
            "{hold}"
        );
        assert!(held.is_paused() && !stored(&mut catalog, "u-2").is_paused());
        let row = catalog.find(&uuid).unwrap();
        assert_eq!((row.problem, row.is_held), (Some(hold), true));
        catalog
            .update(&uuid, &with_settings(r#"{"auth": {"type": "bearer", "token": "new"}}"#), NOW)
            .unwrap();
        assert_eq!(stored(&mut catalog, &uuid).hold, None, "{bad}");
    }
}

#[test]
fn change_of_credentials_is_detected() {
    let (_database, mut catalog, uuid) = database_with(BEARER);
    let mut digests = RowDigests::default();
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 1);
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 0);
    catalog.update(&uuid, &with_settings(r#"{"trust_roots": null}"#), NOW).unwrap();
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 1);
}

#[test]
fn second_authorization_is_rejected() {
    let (database, mut catalog, uuid) = database_with(BEARER);
    let url = EndpointUrl::new("https://u:p@a.example/").ok();
    let header = with_settings(r#"{"headers": {"authorization": "Bearer x"}}"#);
    for bad in [Patch { url, ..Patch::default() }, header] {
        let refused = catalog.update(&uuid, &bad, NOW);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    let settings = patch(r#"{"headers": {"authorization": "x"}, "auth": {"type": "bearer", "token": "y"}}"#);
    let settings = settings.apply(&Settings::default()).unwrap();
    let refused = catalog.create(&NewSubscription { settings, ..new_subscription("other") }, NOW);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    database.set(&uuid, "url", "'https://u:p@a.example/'");
    assert_eq!(stored(&mut catalog, &uuid).warnings.len(), 1, "a URL that DECNET wrote must be a warning");
}

/// The schema of version 3.
const VERSION_3: &str = r#"
    CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL DEFAULT '{}',
        headers TEXT, paused INTEGER NOT NULL DEFAULT 0, old_secrets TEXT, deferred_until INTEGER,
        deferrals_lifted INTEGER NOT NULL DEFAULT 0, old_secrets_until INTEGER);
    CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
    INSERT INTO decnet_webhook_schema VALUES (3);
    INSERT INTO decnet_webhook_settings VALUES ('u-1', NULL, '{"ordered":true}', '{"x-a":"b"}', 0, NULL, 7, 2, NULL)"#;

#[test]
fn version_3_is_read_and_migrated_by_the_first_write() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.other.execute_batch(VERSION_3).unwrap();
    let mut catalog = database.open();
    let before = stored(&mut catalog, "u-1");
    assert!(before.settings.ordered && before.settings.headers.names().eq(["x-a"]));
    assert_eq!((before.deferrals_lifted, before.settings.credentials.is_empty()), (2, true));
    catalog.update("u-1", &with_settings(BEARER), NOW).unwrap();
    let after = stored(&mut catalog, "u-1");
    assert!(after.settings.headers.names().eq(["x-a"]) && after.settings.credentials.auth.is_some());
    assert_eq!((after.deferrals_lifted, after.hold), (2, None));
}
