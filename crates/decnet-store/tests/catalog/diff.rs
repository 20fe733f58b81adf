//! Incremental reads give the same result as complete reads.

use std::collections::BTreeMap;

use decnet_store::catalog::{Catalog, RowDigests, StoredSubscription};
use proptest::prelude::*;

use crate::support::*;

const ROWS: usize = 6;

/// A change by another process, or a read.
#[derive(Debug, Clone)]
enum Step {
    Add(usize),
    Delete(usize),
    /// Column and SQL expression.
    Set(usize, &'static str, &'static str),
    SetSettings(usize, &'static str),
    Invalidate(usize),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    let set = prop_oneof![
        Just(("name", "'another'")),
        Just(("url", "'https://elsewhere.example/in'")),
        Just(("url", "'no url'")),
        Just(("secret", "'another-secret-of-theirs'")),
        Just(("secret", "'short'")),
        Just(("topic_patterns", "'[\"b.>\"]'")),
        Just(("topic_patterns", "'[\"b.>\", 7]'")),
        Just(("topic_patterns", "x'00ff'")),
        Just(("enabled", "0")),
        Just(("enabled", "1")),
        Just(("auto_disabled_at", "'2026-01-01 00:00:00.000000'")),
        Just(("auto_disabled_at", "NULL")),
        Just(("consecutive_failures", "consecutive_failures + 1")),
        Just(("uuid", "'row-0'")),
    ];
    let settings = prop_oneof![Just(r#"{"ordered":true}"#), Just("{}"), Just("nonsense")];
    prop_oneof![
        4 => (0..ROWS).prop_map(Step::Add),
        2 => (0..ROWS).prop_map(Step::Delete),
        6 => (0..ROWS, set).prop_map(|(row, (column, value))| Step::Set(row, column, value)),
        1 => (0..ROWS, settings).prop_map(|(row, settings)| Step::SetSettings(row, settings)),
        1 => (0..ROWS).prop_map(Step::Invalidate),
        5 => Just(Step::Read),
    ]
}

fn uuid(row: usize) -> String {
    format!("row-{row}")
}

/// A table without constraints, in which UUIDs may be duplicate, and the result of reading it.
struct Fixture {
    database: Database,
    catalog: Catalog,
    digests: RowDigests,
    subscriptions: BTreeMap<String, StoredSubscription>,
}

impl Fixture {
    fn new() -> Self {
        let database = Database::untyped();
        database
            .other
            .execute_batch(
                "CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
                 INSERT INTO decnet_webhook_schema VALUES (1);
                 CREATE TABLE decnet_webhook_settings
                     (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL DEFAULT '{}');",
            )
            .unwrap();
        let catalog = database.open();
        Self { database, catalog, digests: RowDigests::default(), subscriptions: BTreeMap::new() }
    }

    fn apply(&mut self, step: &Step) {
        let other = &self.database.other;
        match step {
            Step::Add(row) => self.database.add(&uuid(*row), &format!("name-{row}")),
            Step::Delete(row) => {
                other.execute("DELETE FROM webhook_subscriptions WHERE uuid = ?1", [uuid(*row)]).unwrap();
            }
            Step::Set(row, column, value) => {
                let update = format!("UPDATE webhook_subscriptions SET {column} = {value} WHERE uuid = ?1");
                other.execute(&update, [uuid(*row)]).unwrap();
            }
            Step::SetSettings(row, settings) => {
                let replace =
                    "INSERT OR REPLACE INTO decnet_webhook_settings (uuid, settings) VALUES (?1, ?2)";
                other.execute(replace, [&uuid(*row), *settings]).unwrap();
            }
            Step::Invalidate(row) => self.digests.invalidate(&uuid(*row)),
            Step::Read => self.read(),
        }
    }

    fn read(&mut self) {
        let changes = self.catalog.changes(&mut self.digests).unwrap();
        for uuid in &changes.missing {
            assert!(self.subscriptions.remove(&**uuid).is_some(), "{uuid} was not reported before");
        }
        for stored in changes.subscriptions {
            self.subscriptions.insert(stored.subscription.uuid.to_string(), stored);
        }
        let complete = self.catalog.load().unwrap();
        assert_eq!(changes.problems, complete.problems);
        assert_eq!(changes.usable, complete.subscriptions.len());
        let complete =
            complete.subscriptions.into_iter().map(|stored| (stored.subscription.uuid.to_string(), stored));
        assert_eq!(self.subscriptions, complete.collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn applied_changes_equal_a_complete_read(steps in prop::collection::vec(step(), 1..60)) {
        let mut fixture = Fixture::new();
        steps.iter().for_each(|step| fixture.apply(step));
        fixture.read();
    }
}

#[test]
fn row_is_reported_once_until_it_is_changed_or_invalidated() {
    let database = Database::new();
    for row in 0..3 {
        database.add(&uuid(row), &format!("name-{row}"));
    }
    let (mut catalog, mut digests) = (database.open(), RowDigests::default());
    let mut changed = |digests: &mut RowDigests| -> Vec<String> {
        let changes = catalog.changes(digests).unwrap();
        changes.subscriptions.iter().map(|stored| stored.subscription.uuid.to_string()).collect()
    };
    assert_eq!(changed(&mut digests), ["row-0", "row-1", "row-2"]);
    assert!(changed(&mut digests).is_empty());
    database.set("row-1", "enabled", "0");
    assert_eq!(changed(&mut digests), ["row-1"]);
    // Recorded results of deliveries are not a change.
    database.set("row-0", "last_success_at", "'2026-01-01 00:00:01.000000'");
    assert!(changed(&mut digests).is_empty());
    digests.invalidate("row-2");
    assert_eq!(changed(&mut digests), ["row-2"]);
    assert!(changed(&mut digests).is_empty());
}

#[test]
fn all_rows_are_reported_after_a_failed_read() {
    let database = Database::new();
    database.add("row-0", "name-0");
    let (mut catalog, mut digests) = (database.open(), RowDigests::default());
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 1);
    database.other.execute_batch("ALTER TABLE webhook_subscriptions RENAME TO aside").unwrap();
    assert!(catalog.changes(&mut digests).is_err());
    database.other.execute_batch("ALTER TABLE aside RENAME TO webhook_subscriptions").unwrap();
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 1);
}
