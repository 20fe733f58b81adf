//! Invalid rows do not affect other rows.

use std::time::{Duration, Instant};

use decnet_core::subscription::Activity;
use decnet_store::catalog::{HealthUpdate, RecordOutcome, StoredSubscription};
use proptest::prelude::*;
use rusqlite::types::Value;

use crate::support::{Database, NOW, SECRET, URL, stored};

const COLUMNS: [&str; 13] = [
    "uuid",
    "name",
    "url",
    "secret",
    "topic_patterns",
    "enabled",
    "consecutive_failures",
    "last_success_at",
    "last_failure_at",
    "last_error",
    "auto_disabled_at",
    "created_at",
    "updated_at",
];

#[test]
fn valid_row_is_read_completely() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.set("u-1", "consecutive_failures", "3");
    database.set("u-1", "last_success_at", "'2026-11-23 14:25:00.424839'");
    let stored = stored(&mut database.open(), "u-1");
    assert_eq!(&*stored.subscription.name, "siem");
    assert_eq!(stored.subscription.url.expose(), URL);
    assert_eq!(stored.subscription.secret.expose(), SECRET);
    assert_eq!(stored.subscription.patterns, crate::support::patterns(&["attacker.>", "system.log"]));
    assert_eq!(stored.subscription.activity, Activity::Active);
    assert_eq!(stored.subscription.consecutive_failures, 3);
    assert!(stored.warnings.is_empty() && !stored.gone);
}

#[test]
fn invalid_row_does_not_affect_others() {
    for (column, value, expected) in [
        ("uuid", "''", "column `uuid` is empty"),
        ("uuid", "NULL", "column `uuid` is NULL"),
        ("uuid", "7", "column `uuid` is a number"),
        ("uuid", "X'00ff'", "column `uuid` is a blob"),
        ("uuid", "CAST(X'ff' AS TEXT)", "column `uuid` is not valid UTF-8"),
        ("uuid", "'a' || char(10)", "column `uuid` has control characters"),
        ("uuid", "hex(zeroblob(100))", "column `uuid` is too long"),
        ("uuid", "'good'", "column `uuid` is the same as in an earlier row"),
        ("name", "NULL", "column `name` is NULL"),
        ("name", "CAST(X'e4' AS TEXT)", "column `name` is not valid UTF-8"),
        ("url", "''", "url: not a URL"),
        ("url", "'file:///etc/passwd'", "url: the scheme `file` is not allowed"),
        ("url", "'/relative'", "url: not a URL"),
        ("url", "'http://'", "url: not a URL"),
        ("url", "'https://a/' || hex(zeroblob(2000))", "url: the URL is longer than"),
        ("url", "X'68747470'", "column `url` is a blob"),
        ("url", "CAST(X'ff' AS TEXT)", "column `url` is not valid UTF-8"),
        ("secret", "''", "column `secret` is empty"),
        ("secret", "NULL", "column `secret` is NULL"),
        ("secret", "CAST(X'ff' AS TEXT)", "column `secret` is not valid UTF-8"),
        ("topic_patterns", "''", "topic_patterns is not a JSON array"),
        ("topic_patterns", "'attacker.>'", "topic_patterns is not a JSON array"),
        ("topic_patterns", "'\"attacker.>\"'", "topic_patterns is not a JSON array"),
        ("topic_patterns", "'{\"attacker.>\": 1}'", "topic_patterns is not a JSON array"),
        ("topic_patterns", "'[]'", "no usable pattern"),
        ("topic_patterns", "'[\"\"]'", "pattern 0: an empty pattern"),
        ("topic_patterns", "'[7, null]'", "topic_patterns is not a JSON array of strings"),
        ("topic_patterns", "'[\"a b\"]'", "pattern 0: only printable ASCII"),
        ("topic_patterns", "NULL", "column `topic_patterns` is NULL"),
        ("topic_patterns", "hex(zeroblob(1500000))", "column `topic_patterns` is a blob or too long"),
        ("topic_patterns", "replace(hex(zeroblob(50000)), '0', '[')", "topic_patterns is not a JSON array"),
    ] {
        let database = Database::untyped();
        for uuid in ["good", "bad", "also good"] {
            database.add(uuid, uuid);
        }
        database.set("bad", column, value);
        let catalog = &mut database.open();
        let snapshot = catalog.load().unwrap();
        let uuids: Vec<&str> = snapshot.subscriptions.iter().map(|s| &*s.subscription.uuid).collect();
        assert_eq!(uuids, ["good", "also good"], "{column} = {value}");
        let [problem] = snapshot.problems.as_slice() else { panic!("{column} = {value}") };
        assert!(problem.problem.starts_with(expected), "{column} = {value}: {}", problem.problem);
        assert_eq!(catalog.rows().unwrap()[1].problem.as_ref(), Some(&problem.problem));
        assert!(!format!("{problem:?}").contains(SECRET));
    }
}

#[test]
fn partly_invalid_row_is_used_with_a_warning() {
    for (column, value, expected) in [
        ("name", "''", "column `name` is empty, too long or has"),
        ("name", "'two' || char(10) || 'lines'", "column `name` is empty, too long or has"),
        ("name", "hex(zeroblob(200))", "column `name` is empty, too long or has"),
        ("secret", "'short'", "a secret must have"),
        ("topic_patterns", "'[\"a.>\", \"\", 3]'", "pattern 1: an empty pattern"),
        ("consecutive_failures", "-1", "column `consecutive_failures` is not a count"),
        ("consecutive_failures", "9223372036854775807", "column `consecutive_failures` is not a count"),
        ("consecutive_failures", "'many'", "column `consecutive_failures` is not a count"),
        ("last_success_at", "'yesterday'", "column `last_success_at` is not a time"),
        ("last_failure_at", "'2026-13-45 99:00:00'", "column `last_failure_at` is not a time"),
        ("last_failure_at", "12", "column `last_failure_at` is not a time"),
        ("last_error", "X'ff'", "column `last_error` is not text"),
        ("created_at", "''", "column `created_at` is not a time"),
        ("updated_at", "CAST(X'ff' AS TEXT)", "column `updated_at` is not a time"),
    ] {
        let database = Database::new();
        database.add("u-1", "siem");
        database.set("u-1", column, value);
        let catalog = &mut database.open();
        let stored = stored(catalog, "u-1");
        assert!(stored.warnings[0].to_string().starts_with(expected), "{column}: {:?}", stored.warnings);
        assert_eq!(stored.row_warnings().count(), stored.warnings.len());
        assert_eq!(stored.subscription.activity, Activity::Active);
        assert!(!stored.subscription.name.is_empty());
        let row = &catalog.rows().unwrap()[0];
        assert_eq!((row.problem.as_ref(), row.warnings.len()), (None, stored.warnings.len()));
    }
}

#[test]
fn only_1_counts_as_enabled() {
    for (enabled, tripped_at, expected, has_warnings) in [
        ("1", "NULL", Activity::Active, false),
        ("'1'", "NULL", Activity::Active, false),
        ("0", "NULL", Activity::Disabled, false),
        ("0", "'2026-11-23 14:25:00.424839'", Activity::Tripped, false),
        ("0", "'some day'", Activity::Tripped, true),
        ("2", "NULL", Activity::Disabled, true),
        ("-1", "NULL", Activity::Disabled, true),
        ("'true'", "NULL", Activity::Disabled, true),
        ("X'31'", "NULL", Activity::Disabled, true),
    ] {
        let database = Database::new();
        database.add("u-1", "siem");
        database.set("u-1", "enabled", enabled);
        database.set("u-1", "auto_disabled_at", tripped_at);
        let stored = stored(&mut database.open(), "u-1");
        assert_eq!(stored.subscription.activity, expected, "{enabled}, {tripped_at}");
        assert_eq!(!stored.warnings.is_empty(), has_warnings, "{enabled}, {tripped_at}");
    }
}

#[test]
fn iso_and_short_times_are_read() {
    let database = Database::new();
    database.add("u-1", "siem");
    database.set("u-1", "created_at", "'2026-01-01T00:00:00+00:00'");
    database.set("u-1", "updated_at", "'2026-01-01 00:00:00'");
    let catalog = database.open();
    let row = &catalog.rows().unwrap()[0];
    assert!(row.created_at.is_some() && row.created_at == row.updated_at && row.warnings.is_empty());
}

#[test]
fn a_thousand_rows_are_read_and_recorded_quickly() {
    let mut database = Database::new();
    let other = database.other.transaction().unwrap();
    let insert = "INSERT INTO webhook_subscriptions VALUES
        (?1, ?1, 'https://a/', ?2, '[\"attacker.>\"]', 1, 0, NULL, NULL, NULL, NULL, '2026-01-01', '2026-01-01')";
    for number in 0..1000 {
        other.execute(insert, [format!("uuid-{number}"), SECRET.to_owned()]).unwrap();
    }
    other.commit().unwrap();
    let mut catalog = database.open();
    let start = Instant::now();
    let snapshot = catalog.load().unwrap();
    assert_eq!(snapshot.subscriptions.len(), 1000);
    let failed =
        |stored: StoredSubscription| HealthUpdate { failures: 1, ..HealthUpdate::new(stored.version) };
    let updates: Vec<HealthUpdate> = snapshot.subscriptions.into_iter().map(failed).collect();
    let recorded = catalog.record(&updates, NOW).unwrap();
    assert!(recorded.into_iter().all(|recorded| recorded == RecordOutcome::Applied));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// A value of any type, or text that is not valid UTF-8.
#[derive(Debug, Clone)]
enum AnyValue {
    Valid(Value),
    InvalidText(Vec<u8>),
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let plausible = prop::sample::select(vec![
        "good-1",
        "https://siem.example/in",
        SECRET,
        r#"["attacker.>"]"#,
        "2026-11-23 14:25:00.424839",
        "-271821-04-20T00:00:00Z",
        "",
        "1",
    ]);
    prop_oneof![
        Just(AnyValue::Valid(Value::Null)),
        any::<i64>().prop_map(|value| AnyValue::Valid(Value::Integer(value))),
        (-1..3i64).prop_map(|value| AnyValue::Valid(Value::Integer(value))),
        any::<f64>().prop_map(|value| AnyValue::Valid(Value::Real(value))),
        ".*".prop_map(|text: String| AnyValue::Valid(Value::Text(text))),
        "[0-9]{1,6}-[0-9]{1,3}-[0-9]{1,3}[ T][0-9:.+Z-]{0,30}"
            .prop_map(|text| AnyValue::Valid(Value::Text(text))),
        r#"\[("[ab*>. ]{0,9}", ){0,3}"[ab.>]{0,4}"\]"#.prop_map(|text| AnyValue::Valid(Value::Text(text))),
        plausible.prop_map(|text| AnyValue::Valid(Value::Text(text.to_owned()))),
        any::<Vec<u8>>().prop_map(|bytes| AnyValue::Valid(Value::Blob(bytes))),
        any::<Vec<u8>>().prop_map(AnyValue::InvalidText),
    ]
}

fn insert(database: &Database, row: &[AnyValue]) {
    let placeholders: Vec<&str> = row
        .iter()
        .map(|value| if matches!(value, AnyValue::InvalidText(_)) { "CAST(? AS TEXT)" } else { "?" })
        .collect();
    let values = row.iter().map(|value| match value {
        AnyValue::Valid(value) => value.clone(),
        AnyValue::InvalidText(bytes) => Value::Blob(bytes.clone()),
    });
    let insert = format!("INSERT INTO webhook_subscriptions VALUES ({})", placeholders.join(", "));
    database.other.execute(&insert, rusqlite::params_from_iter(values)).unwrap();
}

/// A row with any value in one column and valid values in the others, or with any values in all columns.
fn row() -> impl Strategy<Value = Vec<AnyValue>> {
    let good =
        ["mixed", "mixed", URL, SECRET, r#"["a.>"]"#, "1", "0", "", "", "", "", "2026-01-01", "2026-01-01"];
    let good = good.map(|text| AnyValue::Valid(Value::Text(text.to_owned()))).to_vec();
    let one = (0..COLUMNS.len(), any_value()).prop_map(move |(at, value)| {
        let mut row = good.clone();
        row[at] = value;
        row
    });
    prop_oneof![one, prop::collection::vec(any_value(), COLUMNS.len())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn no_value_affects_another_row(rows in prop::collection::vec(row(), 1..6)) {
        let database = Database::untyped();
        database.add("good-1", "first");
        rows.iter().for_each(|row| insert(&database, row));
        database.add("good-2", "last");
        let mut catalog = database.open();
        let snapshot = catalog.load().unwrap();
        let named = |name: &str| snapshot.subscriptions.iter().any(|s| &*s.subscription.name == name);
        prop_assert!(named("first") && named("last"));
        prop_assert_eq!(snapshot.subscriptions.len() + snapshot.problems.len(), rows.len() + 2);
        let rows = catalog.rows().unwrap();
        prop_assert_eq!(rows.iter().filter(|row| row.problem.is_some()).count(), snapshot.problems.len());
        prop_assert!(rows.iter().all(|row| serde_json::to_string(row).is_ok()));
    }
}
