//! Whatever a row holds, the others are read.

use std::time::{Duration, Instant};

use decnet_core::subscription::Activity;
use decnet_store::catalog::{HealthUpdate, Recorded, Stored};
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
fn a_row_of_decnets_is_read_as_it_is() {
    let database = Database::decnets();
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
fn a_row_that_cannot_be_used_is_a_problem_of_its_own() {
    for (column, value, expected) in [
        ("uuid", "''", "column `uuid` is empty"),
        ("uuid", "NULL", "column `uuid` is NULL"),
        ("uuid", "7", "column `uuid` is a number"),
        ("uuid", "X'00ff'", "column `uuid` holds bytes"),
        ("uuid", "CAST(X'ff' AS TEXT)", "column `uuid` is no valid UTF-8"),
        ("uuid", "'a' || char(10)", "column `uuid` has control characters"),
        ("uuid", "hex(zeroblob(100))", "column `uuid` is too long"),
        ("uuid", "'good'", "column `uuid` is that of an earlier row"),
        ("name", "NULL", "column `name` is NULL"),
        ("name", "CAST(X'e4' AS TEXT)", "column `name` is no valid UTF-8"),
        ("url", "''", "url: not a URL"),
        ("url", "'file:///etc/passwd'", "url: the scheme `file` is not allowed"),
        ("url", "'/relative'", "url: not a URL"),
        ("url", "'http://'", "url: not a URL"),
        ("url", "'https://a/' || hex(zeroblob(2000))", "url: longer than"),
        ("url", "X'68747470'", "column `url` holds bytes"),
        ("url", "CAST(X'ff' AS TEXT)", "column `url` is no valid UTF-8"),
        ("secret", "''", "column `secret` is empty"),
        ("secret", "NULL", "column `secret` is NULL"),
        ("secret", "CAST(X'ff' AS TEXT)", "column `secret` is no valid UTF-8"),
        ("topic_patterns", "''", "topic_patterns is no JSON list"),
        ("topic_patterns", "'attacker.>'", "topic_patterns is no JSON list"),
        ("topic_patterns", "'\"attacker.>\"'", "topic_patterns is no JSON list"),
        ("topic_patterns", "'{\"attacker.>\": 1}'", "topic_patterns is no JSON list"),
        ("topic_patterns", "'[]'", "no usable pattern"),
        ("topic_patterns", "'[\"\"]'", "pattern 0: an empty pattern"),
        ("topic_patterns", "'[7, null]'", "topic_patterns is no JSON list of texts"),
        ("topic_patterns", "'[\"a b\"]'", "pattern 0: only printable ASCII"),
        ("topic_patterns", "NULL", "column `topic_patterns` is NULL"),
        ("topic_patterns", "hex(zeroblob(1500000))", "column `topic_patterns` holds bytes, or more text"),
        ("topic_patterns", "replace(hex(zeroblob(50000)), '0', '[')", "topic_patterns is no JSON list"),
    ] {
        let database = Database::lawless();
        for uuid in ["good", "bad", "also good"] {
            database.add(uuid, uuid);
        }
        database.set("bad", column, value);
        let catalog = &mut database.open();
        let snapshot = catalog.load().unwrap();
        let uuids: Vec<&str> = snapshot.subscriptions.iter().map(|s| &*s.subscription.uuid).collect();
        assert_eq!(uuids, ["good", "also good"], "{column} = {value}");
        let [problem] = snapshot.problems.as_slice() else { panic!("{column} = {value}") };
        assert!(problem.what.starts_with(expected), "{column} = {value}: {}", problem.what);
        assert_eq!(catalog.rows().unwrap()[1].problem.as_ref(), Some(&problem.what));
        assert!(!format!("{problem:?}").contains(SECRET));
    }
}

#[test]
fn a_row_that_can_be_mended_works_with_a_warning() {
    for (column, value, expected) in [
        ("name", "''", "column `name` cannot be shown"),
        ("name", "'two' || char(10) || 'lines'", "column `name` cannot be shown"),
        ("name", "hex(zeroblob(200))", "column `name` cannot be shown"),
        ("secret", "'short'", "a secret has"),
        ("topic_patterns", "'[\"a.>\", \"\", 3]'", "pattern 1: an empty pattern"),
        ("consecutive_failures", "-1", "column `consecutive_failures` is no count"),
        ("consecutive_failures", "9223372036854775807", "column `consecutive_failures` is no count"),
        ("consecutive_failures", "'many'", "column `consecutive_failures` is no count"),
        ("last_success_at", "'yesterday'", "column `last_success_at` is no time"),
        ("last_failure_at", "'2026-13-45 99:00:00'", "column `last_failure_at` is no time"),
        ("last_failure_at", "12", "column `last_failure_at` is no time"),
        ("last_error", "X'ff'", "column `last_error` is no text"),
        ("created_at", "''", "column `created_at` is no time"),
        ("updated_at", "CAST(X'ff' AS TEXT)", "column `updated_at` is no time"),
    ] {
        let database = Database::decnets();
        database.add("u-1", "siem");
        database.set("u-1", column, value);
        let catalog = &mut database.open();
        let stored = stored(catalog, "u-1");
        assert!(stored.warnings[0].to_string().starts_with(expected), "{column}: {:?}", stored.warnings);
        assert_eq!(stored.complaints().count(), stored.warnings.len());
        assert_eq!(stored.subscription.activity, Activity::Active);
        assert!(!stored.subscription.name.is_empty());
        let row = &catalog.rows().unwrap()[0];
        assert_eq!((row.problem.as_ref(), row.warnings.len()), (None, stored.warnings.len()));
    }
}

#[test]
fn only_1_counts_as_enabled() {
    for (enabled, tripped_at, expected, warned) in [
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
        let database = Database::decnets();
        database.add("u-1", "siem");
        database.set("u-1", "enabled", enabled);
        database.set("u-1", "auto_disabled_at", tripped_at);
        let stored = stored(&mut database.open(), "u-1");
        assert_eq!(stored.subscription.activity, expected, "{enabled}, {tripped_at}");
        assert_eq!(!stored.warnings.is_empty(), warned, "{enabled}, {tripped_at}");
    }
}

#[test]
fn every_form_of_a_time_is_read() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    database.set("u-1", "created_at", "'2026-01-01T00:00:00+00:00'");
    database.set("u-1", "updated_at", "'2026-01-01 00:00:00'");
    let catalog = database.open();
    let row = &catalog.rows().unwrap()[0];
    assert!(row.created_at.is_some() && row.created_at == row.updated_at && row.warnings.is_empty());
}

#[test]
fn a_thousand_rows_are_read_and_recorded_at_once() {
    let mut database = Database::decnets();
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
    let failed = |stored: Stored| HealthUpdate { failures: 1, ..HealthUpdate::new(stored.version) };
    let updates: Vec<HealthUpdate> = snapshot.subscriptions.into_iter().map(failed).collect();
    let recorded = catalog.record(&updates, NOW).unwrap();
    assert!(recorded.into_iter().all(|recorded| recorded == Recorded::Applied));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// A value of any type, or text that is no UTF-8.
#[derive(Debug, Clone)]
enum Anything {
    Plain(Value),
    Broken(Vec<u8>),
}

fn anything() -> impl Strategy<Value = Anything> {
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
        Just(Anything::Plain(Value::Null)),
        any::<i64>().prop_map(|value| Anything::Plain(Value::Integer(value))),
        (-1..3i64).prop_map(|value| Anything::Plain(Value::Integer(value))),
        any::<f64>().prop_map(|value| Anything::Plain(Value::Real(value))),
        ".*".prop_map(|text: String| Anything::Plain(Value::Text(text))),
        "[0-9]{1,6}-[0-9]{1,3}-[0-9]{1,3}[ T][0-9:.+Z-]{0,30}"
            .prop_map(|text| Anything::Plain(Value::Text(text))),
        r#"\[("[ab*>. ]{0,9}", ){0,3}"[ab.>]{0,4}"\]"#.prop_map(|text| Anything::Plain(Value::Text(text))),
        plausible.prop_map(|text| Anything::Plain(Value::Text(text.to_owned()))),
        any::<Vec<u8>>().prop_map(|bytes| Anything::Plain(Value::Blob(bytes))),
        any::<Vec<u8>>().prop_map(Anything::Broken),
    ]
}

fn insert(database: &Database, row: &[Anything]) {
    let places: Vec<&str> = row
        .iter()
        .map(|value| if matches!(value, Anything::Broken(_)) { "CAST(? AS TEXT)" } else { "?" })
        .collect();
    let values = row.iter().map(|value| match value {
        Anything::Plain(value) => value.clone(),
        Anything::Broken(bytes) => Value::Blob(bytes.clone()),
    });
    let insert = format!("INSERT INTO webhook_subscriptions VALUES ({})", places.join(", "));
    database.other.execute(&insert, rusqlite::params_from_iter(values)).unwrap();
}

/// Values for one column or all of them, beside good ones in the others.
fn row() -> impl Strategy<Value = Vec<Anything>> {
    let good =
        ["mixed", "mixed", URL, SECRET, r#"["a.>"]"#, "1", "0", "", "", "", "", "2026-01-01", "2026-01-01"];
    let good = good.map(|text| Anything::Plain(Value::Text(text.to_owned()))).to_vec();
    let one = (0..COLUMNS.len(), anything()).prop_map(move |(at, value)| {
        let mut row = good.clone();
        row[at] = value;
        row
    });
    prop_oneof![one, prop::collection::vec(anything(), COLUMNS.len())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn no_value_anywhere_hides_a_neighbour(rows in prop::collection::vec(row(), 1..6)) {
        let database = Database::lawless();
        database.add("good-1", "first");
        rows.iter().for_each(|row| insert(&database, row));
        database.add("good-2", "last");
        let mut catalog = database.open();
        let snapshot = catalog.load().unwrap();
        let named = |name: &str| snapshot.subscriptions.iter().any(|s| &*s.subscription.name == name);
        prop_assert!(named("first") && named("last"));
        prop_assert_eq!(snapshot.subscriptions.len() + snapshot.problems.len(), rows.len() + 2);
        let shown = catalog.rows().unwrap();
        prop_assert_eq!(shown.iter().filter(|row| row.problem.is_some()).count(), snapshot.problems.len());
        prop_assert!(shown.iter().all(|row| serde_json::to_string(row).is_ok()));
    }
}
