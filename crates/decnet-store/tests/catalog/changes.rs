//! What differs since the last reading, carried out, is what reading all of it anew gives.

use std::collections::BTreeMap;

use decnet_store::catalog::{Catalog, Seen, Stored};
use proptest::prelude::*;

use crate::support::*;

const ROWS: usize = 6;

/// What another process does to the table.
#[derive(Debug, Clone)]
enum Step {
    Add(usize),
    Delete(usize),
    /// Column and value, as SQL.
    Set(usize, &'static str, &'static str),
    Settle(usize, &'static str),
    /// The next reading shall report this row.
    Forget(usize),
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
        1 => (0..ROWS, settings).prop_map(|(row, settings)| Step::Settle(row, settings)),
        1 => (0..ROWS).prop_map(Step::Forget),
        5 => Just(Step::Read),
    ]
}

fn uuid(row: usize) -> String {
    format!("row-{row}")
}

/// A table without rules, so that a uuid may be there twice, and what was read of it.
struct World {
    database: Database,
    catalog: Catalog,
    seen: Seen,
    known: BTreeMap<String, Stored>,
}

impl World {
    fn new() -> Self {
        let database = Database::lawless();
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
        Self { database, catalog, seen: Seen::default(), known: BTreeMap::new() }
    }

    fn take(&mut self, step: &Step) {
        let file = &self.database.other;
        match step {
            Step::Add(row) => self.database.add(&uuid(*row), &format!("name-{row}")),
            Step::Delete(row) => {
                file.execute("DELETE FROM webhook_subscriptions WHERE uuid = ?1", [uuid(*row)]).unwrap();
            }
            Step::Set(row, column, value) => {
                let update = format!("UPDATE webhook_subscriptions SET {column} = {value} WHERE uuid = ?1");
                file.execute(&update, [uuid(*row)]).unwrap();
            }
            Step::Settle(row, settings) => {
                let replace =
                    "INSERT OR REPLACE INTO decnet_webhook_settings (uuid, settings) VALUES (?1, ?2)";
                file.execute(replace, [&uuid(*row), *settings]).unwrap();
            }
            Step::Forget(row) => self.seen.forget(&uuid(*row)),
            Step::Read => self.read(),
        }
    }

    fn read(&mut self) {
        let changes = self.catalog.changes(&mut self.seen).unwrap();
        for uuid in &changes.missing {
            assert!(self.known.remove(&**uuid).is_some(), "{uuid} was never there");
        }
        for stored in changes.changed {
            self.known.insert(stored.subscription.uuid.to_string(), stored);
        }
        let anew = self.catalog.load().unwrap();
        assert_eq!(changes.problems, anew.problems);
        assert_eq!(changes.usable, anew.subscriptions.len());
        let anew =
            anew.subscriptions.into_iter().map(|stored| (stored.subscription.uuid.to_string(), stored));
        assert_eq!(self.known, anew.collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn carried_out_they_are_the_table(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.read();
    }
}

#[test]
fn a_row_is_reported_once_until_it_differs_or_is_forgotten() {
    let database = Database::decnets();
    for row in 0..3 {
        database.add(&uuid(row), &format!("name-{row}"));
    }
    let (mut catalog, mut seen) = (database.open(), Seen::default());
    let mut changed = |seen: &mut Seen| -> Vec<String> {
        let changes = catalog.changes(seen).unwrap();
        changes.changed.iter().map(|stored| stored.subscription.uuid.to_string()).collect()
    };
    assert_eq!(changed(&mut seen), ["row-0", "row-1", "row-2"]);
    assert!(changed(&mut seen).is_empty());
    database.set("row-1", "enabled", "0");
    assert_eq!(changed(&mut seen), ["row-1"]);
    // What a delivery leaves in the row is no reason to read it again.
    database.set("row-0", "last_success_at", "'2026-01-01 00:00:01.000000'");
    assert!(changed(&mut seen).is_empty());
    seen.forget("row-2");
    assert_eq!(changed(&mut seen), ["row-2"]);
    assert!(changed(&mut seen).is_empty());
}

#[test]
fn after_a_reading_that_failed_all_rows_are_reported() {
    let database = Database::decnets();
    database.add("row-0", "name-0");
    let (mut catalog, mut seen) = (database.open(), Seen::default());
    assert_eq!(catalog.changes(&mut seen).unwrap().changed.len(), 1);
    database.other.execute_batch("ALTER TABLE webhook_subscriptions RENAME TO aside").unwrap();
    assert!(catalog.changes(&mut seen).is_err());
    database.other.execute_batch("ALTER TABLE aside RENAME TO webhook_subscriptions").unwrap();
    assert_eq!(catalog.changes(&mut seen).unwrap().changed.len(), 1);
}
