//! What a subscription asks for beyond its row is kept beside it: whole, apart where it is secret, and in no one's way.

use std::time::Duration;

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{
    Catalog, Deferral, Error, HealthUpdate, NewSubscription, Patch, Recorded, RotationError, Seen,
};
use rusqlite::types::Value;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(60 * 60);
const LATER: UnixMicros = UnixMicros(NOW.0 + 1_000_000);
const OTHER: &str = "another-secret-of-ours";
const THIRD: &str = "a-third-secret-of-ours";

fn settings(json: &str) -> SettingsPatch {
    serde_json::from_str(json).unwrap()
}

fn asks(json: &str) -> Patch {
    Patch { settings: settings(json), ..Patch::default() }
}

fn pauses(paused: bool) -> Patch {
    Patch { paused: Some(paused), ..Patch::default() }
}

/// A database with one subscription that asks for this.
fn with(json: &str) -> (Database, Catalog, String) {
    let database = Database::decnets();
    let mut catalog = database.open();
    let asked = settings(json).apply(&Settings::default()).unwrap();
    let uuid = catalog.create(&NewSubscription { settings: asked, ..new("siem") }, NOW).unwrap();
    (database, catalog, uuid)
}

fn side(database: &Database, column: &str) -> Value {
    let select = format!("SELECT {column} FROM decnet_webhook_settings");
    database.other.query_row(&select, [], |row| row.get(0)).unwrap()
}

fn set_side(database: &Database, column: &str, sql: &str) {
    let update = format!("UPDATE decnet_webhook_settings SET {column} = {sql}");
    assert_eq!(database.other.execute(&update, []).unwrap(), 1);
}

fn secrets(catalog: &mut Catalog, uuid: &str) -> Vec<String> {
    let stored = stored(catalog, uuid);
    let old = stored.old_secrets.iter().map(|old| &old.secret);
    std::iter::once(&stored.subscription.secret).chain(old).map(|secret| secret.expose().to_owned()).collect()
}

#[test]
fn headers_are_kept_apart_from_what_is_shown() {
    let (database, mut catalog, uuid) =
        with(r#"{"timeout": "5s", "headers": {"Authorization": "Bearer hunter2"}}"#);
    assert_eq!(side(&database, "settings"), text(r#"{"timeout":"5s"}"#));
    assert_eq!(side(&database, "headers"), text(r#"{"authorization":"Bearer hunter2"}"#));
    catalog.update(&uuid, &asks(r#"{"headers": {"x-tenant": "a"}}"#), LATER).unwrap();
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
fn nothing_is_sent_without_headers_that_cannot_be_read_until_they_are_set_again() {
    for bad in ["'nonsense'", "'[]'", "'{\"x-a\": 7}'", "'{\"host\": \"hunter2\"}'", "x'00'", "7"] {
        let (database, mut catalog, uuid) = with(r#"{"headers": {"x-a": "b"}}"#);
        database.add("u-2", "other");
        set_side(&database, "headers", bad);
        let snapshot = catalog.load().unwrap();
        assert_eq!((snapshot.subscriptions.len(), snapshot.problems.len()), (1, 1), "{bad}");
        assert!(!format!("{:?}", snapshot.problems).contains("hunter2"));
        catalog.update(&uuid, &asks(r#"{"headers": {"x-a": "c"}}"#), LATER).unwrap();
        assert_eq!(catalog.load().unwrap().subscriptions.len(), 2, "{bad}");
    }
}

#[test]
fn who_sends_is_said_by_the_url_or_by_a_header() {
    let (database, mut catalog, uuid) = with(r#"{"headers": {"authorization": "Bearer x"}}"#);
    let with_user = Patch { url: EndpointUrl::new("https://u:p@a.example/").ok(), ..Patch::default() };
    let before = database.everything();
    assert!(matches!(catalog.update(&uuid, &with_user, LATER), Err(Error::Invalid(_))));
    assert_eq!(database.everything(), before, "all of it is refused");
    database.set(&uuid, "url", "'https://u:p@a.example/'");
    assert_eq!(stored(&mut catalog, &uuid).warnings.len(), 1, "what DECNET writes is no reason to stop");
    let both = Patch { settings: settings(r#"{"headers": {"authorization": null}}"#), ..with_user };
    catalog.update(&uuid, &both, LATER).unwrap();
    assert_eq!(stored(&mut catalog, &uuid).warnings, []);
}

#[test]
fn what_a_newer_program_keeps_survives_and_is_said() {
    let (database, mut catalog, uuid) = with(r#"{"rate": "1/s"}"#);
    set_side(&database, "settings", r#"'{"rate":"1/s","filter":{"level":[3]}}'"#);
    let stored = stored(&mut catalog, &uuid);
    assert!(stored.warnings[0].to_string().contains("filter"), "{:?}", stored.warnings);
    for change in [asks(r#"{"rate": null}"#), pauses(true), asks(r#"{"headers": {"x-a": "b"}}"#)] {
        catalog.update(&uuid, &change, LATER).unwrap();
    }
    assert_eq!(side(&database, "settings"), text(r#"{"filter":{"level":[3]}}"#));
}

#[test]
fn a_pause_stays_whatever_else_is_changed() {
    let (database, mut catalog, uuid) = with("{}");
    catalog.update(&uuid, &pauses(true), LATER).unwrap();
    for enabled in [false, true] {
        catalog.update(&uuid, &Patch { enabled: Some(enabled), ..Patch::default() }, LATER).unwrap();
        assert!(catalog.find(&uuid).unwrap().paused);
    }
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, LATER).unwrap();
    database.set(&uuid, "enabled", "0");
    let row = catalog.find(&uuid).unwrap();
    assert_eq!((row.paused, row.parked_by()), (true, Some("disabled")));
    catalog.update(&uuid, &pauses(false), LATER).unwrap();
    assert!(!stored(&mut catalog, &uuid).paused);
}

#[test]
fn what_may_be_meant_to_be_paused_is() {
    let (database, mut catalog, uuid) = with(r#"{"trace": true}"#);
    for (value, paused, warnings) in [("0", false, 0), ("1", true, 0), ("2", true, 1), ("'yes'", true, 1)] {
        set_side(&database, "paused", value);
        let stored = stored(&mut catalog, &uuid);
        assert_eq!((stored.paused, stored.warnings.len()), (paused, warnings), "{value}");
    }
}

#[test]
fn a_replaced_secret_is_kept_until_its_time_is_over() {
    let (database, mut catalog, uuid) = with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    assert_eq!(database.get(&uuid, "secret"), text(OTHER));
    assert_eq!(secrets(&mut catalog, &uuid), [OTHER, SECRET]);
    assert_eq!(catalog.find(&uuid).unwrap().old_secrets_until, [NOW.after(HOUR)]);
    assert_eq!(catalog.forget_expired_secrets(NOW.after(HOUR / 2)).unwrap(), 0);
    assert_eq!(catalog.forget_expired_secrets(NOW.after(HOUR)).unwrap(), 1);
    assert_eq!(secrets(&mut catalog, &uuid), [OTHER]);
    assert_eq!(
        (side(&database, "old_secrets"), side(&database, "old_secrets_until")),
        (Value::Null, Value::Null)
    );
}

#[test]
fn only_so_many_sign_at_a_time() {
    let (_database, mut catalog, uuid) = with("{}");
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
    assert!(matches!(catalog.revoke_old_secrets("no such", first), Err(Error::NotFound { .. })));
}

#[test]
fn to_go_back_to_an_old_secret_is_a_rotation_as_any() {
    let (_database, mut catalog, uuid) = with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    catalog.rotate_secret(&uuid, &Secret::new(SECRET), HOUR, NOW).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), [SECRET, OTHER]);
}

#[test]
fn a_secret_replaced_at_once_ends_every_overlap() {
    let (_database, mut catalog, uuid) = with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    catalog.update(&uuid, &Patch { secret: Some(Secret::new(THIRD)), ..Patch::default() }, LATER).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), [THIRD]);
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), Duration::ZERO, NOW).unwrap();
    assert_eq!(secrets(&mut catalog, &uuid), [OTHER]);
}

#[test]
fn a_secret_that_decnet_writes_meanwhile_breaks_nothing() {
    let (database, mut catalog, uuid) = with("{}");
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    database.set(&uuid, "secret", &format!("'{THIRD}'"));
    assert_eq!(secrets(&mut catalog, &uuid), [THIRD, SECRET]);
    database.set(&uuid, "secret", &format!("'{SECRET}'"));
    assert_eq!(secrets(&mut catalog, &uuid), [SECRET], "once is enough");
    for lost in ["NULL", "x'00'", "''"] {
        if lost != "NULL" {
            database.set(&uuid, "secret", lost);
        }
        catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
        assert_eq!(secrets(&mut catalog, &uuid)[0], OTHER, "{lost}");
    }
    for bad in ["'nonsense'", "'[{}]'", "7", "x'00'"] {
        set_side(&database, "old_secrets", bad);
        assert_eq!(secrets(&mut catalog, &uuid), [OTHER], "{bad}");
        assert_eq!(stored(&mut catalog, &uuid).warnings.len(), 1, "{bad}");
    }
}

#[test]
fn a_secret_that_signs_no_more_is_gone_from_the_file() {
    let (database, mut catalog, uuid) = with("{}");
    // Long enough that what is written in its place does not cover it.
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
fn no_secret_is_shown() {
    let (_database, mut catalog, uuid) = with(r#"{"headers": {"x-key": "a-very-secret-secret"}}"#);
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    let row = catalog.find(&uuid).unwrap();
    let json = serde_json::to_string(&row).unwrap();
    let refused = catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap_err();
    let all = format!("{:?} {row:?} {json} {refused} {refused:?}", stored(&mut catalog, &uuid));
    assert!(!all.contains(SECRET) && !all.contains(OTHER), "{all}");
}

#[test]
fn a_change_of_any_of_it_is_seen() {
    let (database, mut catalog, _) = with(r#"{"trace": true}"#);
    let mut seen = Seen::default();
    assert_eq!(catalog.changes(&mut seen).unwrap().changed.len(), 1);
    assert_eq!(catalog.changes(&mut seen).unwrap().changed.len(), 0);
    for (column, value) in [
        ("settings", "'{}'".to_owned()),
        ("headers", "'{\"x-a\":\"b\"}'".into()),
        ("paused", "1".into()),
        ("old_secrets", format!("'[{{\"secret\":\"{OTHER}\",\"until\":{}}}]'", NOW.0)),
    ] {
        set_side(&database, column, &value);
        assert_eq!(catalog.changes(&mut seen).unwrap().changed.len(), 1, "{column}");
    }
}

/// As the first version made it.
const OLDER: &str = r#"
    CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL DEFAULT '{}');
    CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
    INSERT INTO decnet_webhook_schema VALUES (1);
    INSERT INTO decnet_webhook_settings VALUES ('u-1', NULL, '{"rate":"1/s","ordered":true}')"#;

#[test]
fn settings_of_an_older_program_are_read_at_once_and_grow_with_the_first_write() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.other.execute_batch(OLDER).unwrap();
    let mut catalog = database.open();
    assert!(stored(&mut catalog, "u-1").settings.ordered);
    assert_eq!(catalog.forget_expired_secrets(NOW).unwrap(), 0);
    assert!(stored(&mut catalog, "u-1").settings.ordered, "reading has changed nothing");
    catalog.update("u-1", &pauses(true), LATER).unwrap();
    let stored = stored(&mut catalog, "u-1");
    assert!(stored.settings.ordered && stored.settings.rate.is_some() && stored.paused);
    catalog.rotate_secret("u-1", &Secret::new(OTHER), HOUR, LATER).unwrap();
    assert_eq!(secrets(&mut catalog, "u-1"), [OTHER, SECRET]);
}

/// As the second version made it.
const SECOND: &str = r#"
    CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL DEFAULT '{}',
        headers TEXT, paused INTEGER NOT NULL DEFAULT 0, old_secrets TEXT, old_secrets_until INTEGER);
    CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
    INSERT INTO decnet_webhook_schema VALUES (2);
    INSERT INTO decnet_webhook_settings VALUES ('u-1', NULL, '{"ordered":true}', '{"x-a":"b"}', 1, NULL, NULL)"#;

#[test]
fn all_of_the_second_version_is_read_before_the_first_write() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.other.execute_batch(SECOND).unwrap();
    let mut catalog = database.open();
    let before = stored(&mut catalog, "u-1");
    assert!(before.settings.ordered && before.paused && before.settings.headers.names().eq(["x-a"]));
    catalog.update("u-1", &pauses(false), LATER).unwrap();
    let after = stored(&mut catalog, "u-1");
    assert!(after.settings.ordered && !after.paused && after.settings.headers.names().eq(["x-a"]));
    assert_eq!((after.deferred_until, after.deferrals_lifted), (None, 0));
}

fn deferred(catalog: &mut Catalog, uuid: &str, deferral: Deferral) -> Option<UnixMicros> {
    let update = HealthUpdate { deferral, ..HealthUpdate::new(stored(catalog, uuid).version) };
    assert_eq!(catalog.record(&[update], NOW).unwrap(), [Recorded::Applied]);
    catalog.find(uuid).unwrap().deferred_until
}

#[test]
fn a_receivers_wish_to_wait_is_kept_until_another_or_none() {
    let (database, mut catalog, uuid) = with("{}");
    let (first, second) = (NOW.after(HOUR), NOW.after(2 * HOUR));
    assert_eq!(deferred(&mut catalog, &uuid, Deferral::None), None);
    assert_eq!(deferred(&mut catalog, &uuid, Deferral::Until(first)), Some(first));
    assert_eq!(deferred(&mut catalog, &uuid, Deferral::Keep), Some(first));
    assert_eq!(deferred(&mut catalog, &uuid, Deferral::Until(second)), Some(second));
    assert_eq!(stored(&mut catalog, &uuid).deferred_until, Some(second));
    assert_eq!(deferred(&mut catalog, &uuid, Deferral::None), None);
    assert_eq!(side(&database, "deferred_until"), Value::Null);
}

#[test]
fn a_wish_to_wait_is_no_change_of_the_row_but_its_lifting_is() {
    let (_database, mut catalog, uuid) = with(r#"{"trace": true}"#);
    let mut seen = Seen::default();
    catalog.changes(&mut seen).unwrap();
    deferred(&mut catalog, &uuid, Deferral::Until(NOW.after(HOUR)));
    assert!(catalog.changes(&mut seen).unwrap().changed.is_empty());
    catalog.update(&uuid, &Patch { enabled: Some(true), ..Patch::default() }, LATER).unwrap();
    let changed = catalog.changes(&mut seen).unwrap().changed;
    assert_eq!((changed[0].deferred_until, changed[0].deferrals_lifted), (None, 1));
}

#[test]
fn another_url_has_asked_for_nothing() {
    let (_database, mut catalog, uuid) = with("{}");
    deferred(&mut catalog, &uuid, Deferral::Until(NOW.after(HOUR)));
    catalog.update(&uuid, &pauses(true), LATER).unwrap();
    assert!(catalog.find(&uuid).unwrap().deferred_until.is_some(), "a pause leaves it");
    let url = EndpointUrl::new("http://elsewhere.example/").ok();
    catalog.update(&uuid, &Patch { url, ..Patch::default() }, LATER).unwrap();
    assert_eq!(catalog.find(&uuid).unwrap().deferred_until, None);
}

#[test]
fn it_goes_with_its_subscription() {
    let (database, mut catalog, uuid) = with(r#"{"headers": {"x-a": "b"}}"#);
    catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, NOW).unwrap();
    catalog.delete(&uuid).unwrap();
    let left = database.other.query_row("SELECT count(*) FROM decnet_webhook_settings", [], |row| row.get(0));
    assert_eq!(left, Ok(0));
    assert!(matches!(catalog.update(&uuid, &pauses(true), LATER), Err(Error::NotFound { .. })));
    assert!(matches!(
        catalog.rotate_secret(&uuid, &Secret::new(OTHER), HOUR, UnixMicros(0)),
        Err(Error::NotFound { .. })
    ));
}
