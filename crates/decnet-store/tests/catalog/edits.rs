//! Operators' changes are read back unchanged and have DECNET's format.

use decnet_core::event::BatchFormat;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Batch, Change, Settings, SettingsPatch};
use decnet_core::subscription::{Activity, Problem};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Create, Error, NewSubscription, Patch, generate_secret};
use rusqlite::types::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Database, NOW, NOW_TEXT, SECRET, URL, new_subscription, patterns, stored, text};

const LATER: UnixMicros = UnixMicros(NOW.0 + 1_000_000);

#[test]
fn new_row_has_the_format_of_decnet() {
    let database = Database::new();
    let uuid = database.open().create(&new_subscription("siem"), NOW).unwrap();
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
    assert_eq!(database.all_rows(), [expected]);
}

#[test]
fn created_subscription_is_loaded() {
    let directory = TempDir::new().unwrap();
    let mut catalog = Catalog::open(&directory.path().join("new.db"), Create::IfMissing).unwrap();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let loaded = stored(&mut catalog, &uuid);
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.subscription.patterns, patterns(&["attacker.>", "system.log"]));
    assert_eq!(loaded.subscription.activity, Activity::Active);
    let row = catalog.find("siem").unwrap();
    assert_eq!((row.uuid, row.created_at, row.enabled), (uuid, Some(NOW), true));
}

#[test]
fn several_subscriptions_are_created_atomically() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuids = catalog.create_all(&["a", "b"].map(new_subscription), NOW).unwrap();
    assert_eq!(catalog.find("b").unwrap().uuid, uuids[1]);
    let error = catalog.create_all(&["c", "a"].map(new_subscription), NOW).unwrap_err();
    assert!(matches!(&error, Error::NameTaken(name) if name == "a"), "{error}");
    assert_eq!(database.all_rows().len(), 2);
    assert!(catalog.create_all(&[], NOW).unwrap().is_empty());
}

#[test]
fn names_are_unique() {
    let database = Database::new();
    let mut catalog = database.open();
    let first = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let error = catalog.create(&new_subscription("siem"), NOW).unwrap_err();
    assert!(matches!(&error, Error::NameTaken(name) if name == "siem"), "{error}");
    let second = catalog.create(&new_subscription("other"), NOW).unwrap();
    let rename = Patch { name: Some("siem".into()), ..Patch::default() };
    assert!(matches!(catalog.update(&second, &rename, NOW), Err(Error::NameTaken(_))));
    catalog.update(&first, &rename, NOW).unwrap();
    assert_eq!(catalog.rows().unwrap().len(), 2);
}

#[test]
fn invalid_values_are_not_written() {
    let database = Database::new();
    let mut catalog = database.open();
    let mut invalid = [
        new_subscription(""),
        new_subscription("secret"),
        new_subscription("patterns"),
        new_subscription("two\nlines"),
    ];
    invalid[1].secret = Secret::new("short");
    invalid[2].patterns.clear();
    for new in &invalid {
        assert!(matches!(catalog.create(new, NOW), Err(Error::Invalid(_))), "{}", new.name);
    }
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let before = database.all_rows();
    for patch in [
        Patch { name: Some("x".repeat(65)), ..Patch::default() },
        Patch { secret: Some(Secret::new("short")), enabled: Some(false), ..Patch::default() },
        Patch { patterns: Some(Vec::new()), ..Patch::default() },
    ] {
        assert!(matches!(catalog.update(&uuid, &patch, LATER), Err(Error::Invalid(_))));
    }
    assert_eq!(database.all_rows(), before);
    let error = Error::from(Problem::NoPattern);
    assert_eq!(error.to_string(), "no usable pattern");
}

#[test]
fn patch_changes_only_its_values() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let before = database.all_rows();
    catalog.update(&uuid, &Patch::default(), LATER).unwrap();
    assert_eq!(database.all_rows(), before, "an empty patch must change nothing");
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
    assert_eq!(database.all_rows(), expected);
}

#[test]
fn settings_are_stored_and_deleted_with_the_row() {
    let database = Database::new();
    let mut catalog = database.open();
    let settings = Settings { rate: "50/s".parse().ok(), ordered: true, ..batched() };
    let uuid = catalog
        .create(&NewSubscription { settings: settings.clone(), ..new_subscription("siem") }, NOW)
        .unwrap();
    let other = catalog.create(&new_subscription("other"), NOW).unwrap();
    assert_eq!(catalog.find(&uuid).unwrap().settings, settings);
    assert_eq!(catalog.find(&other).unwrap().settings, Settings::default());
    let slower = Settings { rate: "1/h".parse().ok(), ..Settings::default() };
    let rate = SettingsPatch { rate: Change::To("1/h".parse().unwrap()), ..SettingsPatch::default() };
    catalog.update(&other, &Patch { settings: rate, ..Patch::default() }, LATER).unwrap();
    let loaded = catalog.load().unwrap().subscriptions;
    let settings_of = |uuid: &str| &loaded.iter().find(|s| *s.subscription.uuid == *uuid).unwrap().settings;
    assert_eq!((settings_of(&uuid), settings_of(&other)), (&settings, &slower));
    catalog.delete(&uuid, NOW).unwrap();
    let count = "SELECT count(*) FROM decnet_webhook_settings";
    let left: i64 = database.other.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn settings_without_batches_are_read() {
    let database = Database::new();
    let mut catalog = database.open();
    catalog.create(&NewSubscription { settings: batched(), ..new_subscription("siem") }, NOW).unwrap();
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
fn invalid_settings_are_a_warning() {
    let database = Database::new();
    let mut catalog = database.open();
    let settings = Settings { rate: "50/s".parse().ok(), ordered: true, ..Settings::default() };
    catalog.create(&NewSubscription { settings, ..new_subscription("siem") }, NOW).unwrap();
    let too_many = r#"'{"batch":{"max_events":9999,"linger":"1s","format":"array"}}'"#;
    for (bad, may_have_filter) in [
        ("'nonsense'", true),
        ("'{\"filter\": \"payload.port == 22\"'", true),
        ("'{\"rate\": 7, \"format\": \"slack\"}'", true),
        ("'{\"rate\": 7}'", false),
        ("'{\"batch\": true}'", false),
        (too_many, false),
        ("x'ff'", false),
        ("7", true),
    ] {
        database.other.execute(&format!("UPDATE decnet_webhook_settings SET settings = {bad}"), []).unwrap();
        let stored = &catalog.load().unwrap().subscriptions[0];
        assert_eq!(stored.settings, Settings::default(), "{bad}");
        assert_eq!(stored.warnings.len(), 1, "{bad}");
        assert_eq!(stored.hold.is_some(), may_have_filter, "{bad}");
    }
}

#[test]
fn enabling_resets_failures_and_disabling_is_not_a_trip() {
    let database = Database::new();
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
fn invalid_row_can_be_repaired_or_deleted() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.set("u-1", "topic_patterns", "'\"attacker.>\"'");
    let mut catalog = database.open();
    assert!(catalog.find("siem").unwrap().problem.is_some());
    catalog.update("u-1", &Patch { patterns: Some(patterns(&["a.>"])), ..Patch::default() }, NOW).unwrap();
    assert!(catalog.find("siem").unwrap().problem.is_none());
    database.set("u-1", "uuid", "''");
    let row = catalog.find("siem").unwrap();
    assert!(row.problem.is_some());
    catalog.delete(&row.uuid, NOW).unwrap();
    assert!(catalog.rows().unwrap().is_empty());
}

#[test]
fn deleted_subscription_is_not_found() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    catalog.delete(&uuid, NOW).unwrap();
    assert!(matches!(catalog.delete(&uuid, NOW), Err(Error::NotFound { .. })));
    let patch = Patch { enabled: Some(true), ..Patch::default() };
    assert!(matches!(catalog.update(&uuid, &patch, NOW), Err(Error::NotFound { .. })));
}

#[test]
fn find_prefers_uuid_then_name_then_uuid_prefix() {
    let database = Database::new();
    let (first, second) = ("12345678-0000-4000-8000-000000000001", "12345678-0000-4000-8000-000000000002");
    let third = "87654321-0000-4000-8000-000000000003";
    database.add(first, "siem");
    database.add(second, "soar");
    database.add(third, second);
    let catalog = database.open();
    let uuid = |wanted: &str| catalog.find(wanted).map(|row| row.uuid);
    assert_eq!(uuid("siem").unwrap(), first);
    assert_eq!(uuid(first).unwrap(), first);
    assert_eq!(uuid(second).unwrap(), second, "a UUID must be preferred to a name");
    assert_eq!(uuid("87654321").unwrap(), third);
    assert!(matches!(uuid("8765432"), Err(Error::NotFound { .. })));
    let error = uuid("12345678-0000").unwrap_err();
    assert!(matches!(&error, Error::Ambiguous { candidates, .. } if candidates.len() == 2), "{error}");
    let exact = |wanted: &str| catalog.find_exact(wanted).unwrap().map(|row| row.uuid);
    assert_eq!((exact("siem").as_deref(), exact(first).as_deref()), (Some(first), Some(first)));
    assert_eq!((exact(second).as_deref(), exact("87654321")), (Some(second), None));
}

#[test]
fn equivalent_names_are_the_same_name() {
    let database = Database::new();
    let (composed, decomposed) = ("gr\u{f6}\u{df}e", "gro\u{308}\u{df}e");
    database.add("u-1", composed);
    let mut catalog = database.open();
    assert!(matches!(catalog.create(&new_subscription(decomposed), NOW), Err(Error::NameTaken(_))));
    let other = catalog.create(&new_subscription("other"), NOW).unwrap();
    let patch = Patch { name: Some(decomposed.into()), ..Patch::default() };
    assert!(matches!(catalog.update(&other, &patch, LATER), Err(Error::NameTaken(_))));
    for name in [composed, decomposed] {
        assert_eq!(catalog.find(name).unwrap().uuid, "u-1");
        assert_eq!(catalog.find_exact(name).unwrap().unwrap().uuid, "u-1");
        assert_eq!(catalog.uuid_by_name(name).unwrap().as_deref(), Some("u-1"));
    }
    // A subscription may be renamed to an equivalent name.
    catalog.update("u-1", &patch, LATER).unwrap();
    assert_eq!(catalog.find(composed).unwrap().name, decomposed);
}

#[test]
fn names_that_are_now_invalid_still_work() {
    let database = Database::new();
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
fn unknown_name_suggests_similar_names() {
    let database = Database::new();
    for name in ["wazuh", "thehive", "shuffle"] {
        database.add(name, name);
    }
    let catalog = database.open();
    let error = |wanted: &str| catalog.find(wanted).unwrap_err().to_string();
    assert_eq!(error("wazhu"), "there is no subscription `wazhu`; did you mean wazuh?");
    assert_eq!(error("Hive"), "there is no subscription `Hive`; did you mean thehive?");
    assert!(error("nothing-like-it").contains("subscription list"));
    assert!(!error(&"wazuh".repeat(100)).contains("did you mean"), "a long text must have no suggestions");
}

#[test]
fn subscription_json_has_iso_times_and_a_pattern_list() {
    let database = Database::new();
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
fn generated_secrets_are_valid_and_differ() {
    let (one, two) = (generate_secret(), generate_secret());
    assert_ne!(one, two);
    for secret in [one, two] {
        assert_eq!(secret.len(), 43);
        assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert!(decnet_core::subscription::check_secret(&secret).is_ok());
    }
}
