//! What an operator writes is what is read, and looks as if DECNET had written it.

use decnet_core::event::BatchFormat;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Batch, Settings};
use decnet_core::subscription::{Activity, Problem};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Create, Error, NewSubscription, Patch, generate_secret};
use rusqlite::types::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Database, NOW, NOW_TEXT, SECRET, URL, new, patterns, stored, text};

const LATER: UnixMicros = UnixMicros(NOW.0 + 1_000_000);

#[test]
fn a_new_row_looks_like_decnets() {
    let database = Database::decnets();
    let uuid = database.open().create(&new("siem"), NOW).unwrap();
    let parsed = Uuid::parse_str(&uuid).unwrap();
    assert_eq!((parsed.get_version_num(), parsed.to_string()), (4, uuid.clone()));
    let expected = [
        text(&uuid),
        text("siem"),
        text(URL),
        text(SECRET),
        text(r#"["attacker.>", "system.log"]"#),
        Value::Integer(1),
        Value::Integer(0),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        text(NOW_TEXT),
        text(NOW_TEXT),
    ];
    assert_eq!(database.everything(), [expected]);
}

#[test]
fn what_is_created_is_loaded() {
    let directory = TempDir::new().unwrap();
    let mut catalog = Catalog::open(&directory.path().join("new.db"), Create::IfMissing).unwrap();
    let uuid = catalog.create(&new("siem"), NOW).unwrap();
    let loaded = stored(&mut catalog, &uuid);
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.subscription.patterns, patterns(&["attacker.>", "system.log"]));
    assert_eq!(loaded.subscription.activity, Activity::Active);
    let row = catalog.find("siem").unwrap();
    assert_eq!((row.uuid, row.created_at, row.enabled), (uuid, Some(NOW), true));
}

#[test]
fn many_are_created_or_none() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let uuids = catalog.create_all(&["a", "b"].map(new), NOW).unwrap();
    assert_eq!(catalog.find("b").unwrap().uuid, uuids[1]);
    let error = catalog.create_all(&["c", "a"].map(new), NOW).unwrap_err();
    assert!(matches!(&error, Error::NameTaken(name) if name == "a"), "{error}");
    assert_eq!(database.everything().len(), 2);
    assert!(catalog.create_all(&[], NOW).unwrap().is_empty());
}

#[test]
fn a_name_is_taken_once() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let first = catalog.create(&new("siem"), NOW).unwrap();
    let error = catalog.create(&new("siem"), NOW).unwrap_err();
    assert!(matches!(&error, Error::NameTaken(name) if name == "siem"), "{error}");
    let second = catalog.create(&new("other"), NOW).unwrap();
    let rename = Patch { name: Some("siem".into()), ..Patch::default() };
    assert!(matches!(catalog.update(&second, &rename, NOW), Err(Error::NameTaken(_))));
    catalog.update(&first, &rename, NOW).unwrap();
    assert_eq!(catalog.rows().unwrap().len(), 2);
}

#[test]
fn what_breaks_a_rule_is_not_written() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let mut bad = [new(""), new("secret"), new("patterns"), new("two\nlines")];
    bad[1].secret = Secret::new("short");
    bad[2].patterns.clear();
    for new in &bad {
        assert!(matches!(catalog.create(new, NOW), Err(Error::Invalid(_))), "{}", new.name);
    }
    let uuid = catalog.create(&new("siem"), NOW).unwrap();
    let before = database.everything();
    for patch in [
        Patch { name: Some("x".repeat(65)), ..Patch::default() },
        Patch { secret: Some(Secret::new("short")), enabled: Some(false), ..Patch::default() },
        Patch { patterns: Some(Vec::new()), ..Patch::default() },
    ] {
        assert!(matches!(catalog.update(&uuid, &patch, LATER), Err(Error::Invalid(_))));
    }
    assert_eq!(database.everything(), before);
    let error = Error::from(Problem::NoPattern);
    assert_eq!(error.to_string(), "no usable pattern");
}

#[test]
fn a_patch_changes_what_it_names() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let uuid = catalog.create(&new("siem"), NOW).unwrap();
    let before = database.everything();
    catalog.update(&uuid, &Patch::default(), LATER).unwrap();
    assert_eq!(database.everything(), before, "an empty patch is none");
    let patch = Patch {
        name: Some("soar".into()),
        url: Some(EndpointUrl::new("https://soar.example").unwrap()),
        secret: Some(Secret::new("another-secret-text")),
        patterns: Some(patterns(&["decky.*.state"])),
        enabled: None,
        ..Patch::default()
    };
    catalog.update(&uuid, &patch, LATER).unwrap();
    let mut expected = before;
    expected[0][1] = text("soar");
    expected[0][2] = text("https://soar.example/");
    expected[0][3] = text("another-secret-text");
    expected[0][4] = text(r#"["decky.*.state"]"#);
    expected[0][12] = text("2026-11-23 14:25:01.424839");
    assert_eq!(database.everything(), expected);
}

#[test]
fn settings_are_kept_beside_the_row_and_go_with_it() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let settings = Settings { rate: "50/s".parse().ok(), ordered: true, ..batched() };
    let uuid = catalog.create(&NewSubscription { settings: settings.clone(), ..new("siem") }, NOW).unwrap();
    let other = catalog.create(&new("other"), NOW).unwrap();
    assert_eq!(catalog.find(&uuid).unwrap().settings, settings);
    assert_eq!(catalog.find(&other).unwrap().settings, Settings::default());
    let slower = Settings { rate: "1/h".parse().ok(), ..Settings::default() };
    catalog.update(&other, &Patch { settings: slower.clone().into(), ..Patch::default() }, LATER).unwrap();
    let loaded = catalog.load().unwrap().subscriptions;
    let settings_of = |uuid: &str| &loaded.iter().find(|s| *s.subscription.uuid == *uuid).unwrap().settings;
    assert_eq!((settings_of(&uuid), settings_of(&other)), (&settings, &slower));
    catalog.delete(&uuid).unwrap();
    let count = "SELECT count(*) FROM decnet_webhook_settings";
    let left: i64 = database.other.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn settings_of_before_there_were_batches_are_kept() {
    let database = Database::decnets();
    let mut catalog = database.open();
    catalog.create(&NewSubscription { settings: batched(), ..new("siem") }, NOW).unwrap();
    let older = r#"UPDATE decnet_webhook_settings SET settings = '{"rate":"50/s","ordered":true}'"#;
    database.other.execute(older, []).unwrap();
    let stored = &catalog.load().unwrap().subscriptions[0];
    assert_eq!(stored.settings, Settings { rate: "50/s".parse().ok(), ordered: true, ..Settings::default() });
    assert_eq!(stored.warnings, []);
}

fn batched() -> Settings {
    let batch = Batch::new(100, Batch::DEFAULT_LINGER, BatchFormat::CloudEvents).ok();
    Settings { batch, ..Settings::default() }
}

#[test]
fn settings_that_cannot_be_read_are_a_warning() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let settings = Settings { rate: "50/s".parse().ok(), ordered: true, ..Settings::default() };
    catalog.create(&NewSubscription { settings, ..new("siem") }, NOW).unwrap();
    let too_many = r#"'{"batch":{"max_events":9999,"linger":"1s","format":"array"}}'"#;
    for bad in ["'nonsense'", "'{\"rate\": 7}'", "'{\"batch\": true}'", too_many, "x'ff'", "7"] {
        database.other.execute(&format!("UPDATE decnet_webhook_settings SET settings = {bad}"), []).unwrap();
        let stored = &catalog.load().unwrap().subscriptions[0];
        assert_eq!(stored.settings, Settings::default(), "{bad}");
        assert_eq!(stored.warnings.len(), 1, "{bad}");
    }
}

#[test]
fn enabling_starts_afresh_and_disabling_is_no_trip() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.set("u-1", "enabled", "0");
    database.set("u-1", "consecutive_failures", "5");
    database.set("u-1", "last_error", "'HTTP 500'");
    database.set("u-1", "auto_disabled_at", "'2026-01-01 00:00:00.000000'");
    let mut catalog = database.open();
    catalog.update("u-1", &Patch { enabled: Some(true), ..Patch::default() }, NOW).unwrap();
    let row = catalog.find("siem").unwrap();
    assert_eq!((row.activity, row.consecutive_failures), (Activity::Active, 0));
    assert_eq!((row.last_error, row.auto_disabled_at), (None, None));
    catalog.update("u-1", &Patch { enabled: Some(false), ..Patch::default() }, NOW).unwrap();
    assert_eq!(catalog.find("siem").unwrap().activity, Activity::Disabled);
}

#[test]
fn a_bad_row_can_be_mended_or_deleted() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.set("u-1", "topic_patterns", "'\"attacker.>\"'");
    let mut catalog = database.open();
    assert!(catalog.find("siem").unwrap().problem.is_some());
    catalog.update("u-1", &Patch { patterns: Some(patterns(&["a.>"])), ..Patch::default() }, NOW).unwrap();
    assert!(catalog.find("siem").unwrap().problem.is_none());
    database.set("u-1", "uuid", "''");
    let row = catalog.find("siem").unwrap();
    assert!(row.problem.is_some());
    catalog.delete(&row.uuid).unwrap();
    assert!(catalog.rows().unwrap().is_empty());
}

#[test]
fn deleting_is_done_once() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let uuid = catalog.create(&new("siem"), NOW).unwrap();
    catalog.delete(&uuid).unwrap();
    assert!(matches!(catalog.delete(&uuid), Err(Error::NotFound { .. })));
    let patch = Patch { enabled: Some(true), ..Patch::default() };
    assert!(matches!(catalog.update(&uuid, &patch, NOW), Err(Error::NotFound { .. })));
}

#[test]
fn a_uuid_wins_then_a_name_then_the_beginning_of_a_uuid() {
    let database = Database::decnets();
    let (first, second) = ("12345678-0000-4000-8000-000000000001", "12345678-0000-4000-8000-000000000002");
    let third = "87654321-0000-4000-8000-000000000003";
    database.add(first, "siem");
    database.add(second, "soar");
    database.add(third, second);
    let catalog = database.open();
    let uuid = |wanted: &str| catalog.find(wanted).map(|row| row.uuid);
    assert_eq!(uuid("siem").unwrap(), first);
    assert_eq!(uuid(first).unwrap(), first);
    assert_eq!(uuid(second).unwrap(), second, "not the subscription that is named so");
    assert_eq!(uuid("87654321").unwrap(), third);
    assert!(matches!(uuid("8765432"), Err(Error::NotFound { .. })));
    let error = uuid("12345678-0000").unwrap_err();
    assert!(matches!(&error, Error::Ambiguous { among, .. } if among.len() == 2), "{error}");
    let called = |wanted: &str| catalog.called(wanted).unwrap().map(|row| row.uuid);
    assert_eq!((called("siem").as_deref(), called(first).as_deref()), (Some(first), Some(first)));
    assert_eq!((called(second).as_deref(), called("87654321")), (Some(second), None));
}

#[test]
fn names_that_read_the_same_are_one_name() {
    let database = Database::decnets();
    let (composed, decomposed) = ("gr\u{f6}\u{df}e", "gro\u{308}\u{df}e");
    database.add("u-1", composed);
    let mut catalog = database.open();
    assert!(matches!(catalog.create(&new(decomposed), NOW), Err(Error::NameTaken(_))));
    let other = catalog.create(&new("other"), NOW).unwrap();
    let patch = Patch { name: Some(decomposed.into()), ..Patch::default() };
    assert!(matches!(catalog.update(&other, &patch, LATER), Err(Error::NameTaken(_))));
    for name in [composed, decomposed] {
        assert_eq!(catalog.find(name).unwrap().uuid, "u-1");
        assert_eq!(catalog.called(name).unwrap().unwrap().uuid, "u-1");
        assert_eq!(catalog.owner(name).unwrap().as_deref(), Some("u-1"));
    }
    // It may still be renamed to another spelling of its own name.
    catalog.update("u-1", &patch, LATER).unwrap();
    assert_eq!(catalog.find(composed).unwrap().name, decomposed);
}

#[test]
fn rows_with_odd_names_go_on_working() {
    let database = Database::decnets();
    for (uuid, name) in
        [("u-1", " siem"), ("u-2", "siem\u{200b}"), ("u-3", "gr\u{f6}n"), ("u-4", "gro\u{308}n")]
    {
        database.add(uuid, name);
    }
    let mut catalog = database.open();
    assert_eq!(catalog.load().unwrap().subscriptions.len(), 4);
    for (uuid, name) in
        [("u-1", " siem"), ("u-2", "siem\u{200b}"), ("u-3", "gr\u{f6}n"), ("u-4", "gro\u{308}n")]
    {
        assert_eq!(catalog.find(name).unwrap().uuid, uuid);
        catalog.update(uuid, &Patch { name: Some(name.into()), ..Patch::default() }, LATER).unwrap();
    }
}

#[test]
fn a_slip_of_the_finger_is_met_with_names() {
    let database = Database::decnets();
    for name in ["wazuh", "thehive", "shuffle"] {
        database.add(name, name);
    }
    let catalog = database.open();
    let said = |wanted: &str| catalog.find(wanted).unwrap_err().to_string();
    assert_eq!(said("wazhu"), "no subscription `wazhu`; did you mean wazuh?");
    assert_eq!(said("Hive"), "no subscription `Hive`; did you mean thehive?");
    assert!(said("nothing-like-it").contains("subscription list"));
    assert!(!said(&"wazuh".repeat(100)).contains("did you mean"), "no name is so long");
}

#[test]
fn json_has_iso_times_and_a_list() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.set("u-1", "last_success_at", "'2026-11-23 14:25:00.424839'");
    let json = serde_json::to_value(database.open().find("siem").unwrap()).unwrap();
    assert_eq!(json["topic_patterns"], serde_json::json!(["attacker.>", "system.log"]));
    assert_eq!(json["last_success_at"], "2026-11-23T14:25:00.424839+00:00");
    assert_eq!(json["last_failure_at"], serde_json::Value::Null);
    assert_eq!((&json["url"], &json["enabled"]), (&URL.into(), &true.into()));
    assert!(json.get("secret").is_none());
}

#[test]
fn generated_secrets_are_accepted_and_differ() {
    let (one, two) = (generate_secret(), generate_secret());
    assert_ne!(one, two);
    for secret in [one, two] {
        assert_eq!(secret.len(), 43);
        assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert!(decnet_core::subscription::check_secret(&secret).is_ok());
    }
}
