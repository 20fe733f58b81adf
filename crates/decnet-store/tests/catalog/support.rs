//! Test databases, valid and invalid.

use std::path::{Path, PathBuf};

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::catalog::{Catalog, Create, NewSubscription, StoredSubscription};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

pub(crate) const NOW: UnixMicros = UnixMicros(1_795_443_900_424_839);
pub(crate) const NOW_TEXT: &str = "2026-11-23 14:25:00.424839";
pub(crate) const SECRET: &str = "a-very-secret-secret";
pub(crate) const URL: &str = "https://siem.example/path-token?token=query-token";

/// The schema of DECNET's migrations.
const DECNET_SCHEMA: &str = "
    CREATE TABLE users (uuid VARCHAR NOT NULL PRIMARY KEY);
    CREATE TABLE webhook_subscriptions (
      uuid VARCHAR NOT NULL PRIMARY KEY, name VARCHAR NOT NULL, url VARCHAR NOT NULL, secret VARCHAR NOT NULL,
      topic_patterns VARCHAR NOT NULL, enabled BOOLEAN NOT NULL, consecutive_failures INTEGER NOT NULL,
      last_success_at DATETIME, last_failure_at DATETIME, last_error VARCHAR,
      auto_disabled_at DATETIME, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL);
    CREATE UNIQUE INDEX ix_webhook_subscriptions_name ON webhook_subscriptions (name);
    CREATE INDEX ix_webhook_subscriptions_enabled ON webhook_subscriptions (enabled);";

/// The first revision of DECNET's schema, without `auto_disabled_at`.
const FIRST_REVISION: &str = "
    CREATE TABLE webhook_subscriptions (
      uuid VARCHAR NOT NULL PRIMARY KEY, name VARCHAR NOT NULL, url VARCHAR NOT NULL, secret VARCHAR NOT NULL,
      topic_patterns VARCHAR NOT NULL, enabled BOOLEAN NOT NULL, consecutive_failures INTEGER NOT NULL,
      last_success_at DATETIME, last_failure_at DATETIME, last_error VARCHAR,
      created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL);
    CREATE UNIQUE INDEX ix_webhook_subscriptions_name ON webhook_subscriptions (name);";

/// The columns without types and constraints, so that a row can hold any value.
const UNTYPED_SCHEMA: &str = "
    CREATE TABLE webhook_subscriptions (uuid, name, url, secret, topic_patterns, enabled,
      consecutive_failures, last_success_at, last_failure_at, last_error, auto_disabled_at, created_at,
      updated_at);";

/// A database file of a test, and a second connection that stands for another process.
pub(crate) struct Database {
    pub(crate) path: PathBuf,
    pub(crate) other: Connection,
    pub(crate) directory: TempDir,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self::with(DECNET_SCHEMA)
    }

    pub(crate) fn first_revision() -> Self {
        Self::with(FIRST_REVISION)
    }

    pub(crate) fn untyped() -> Self {
        Self::with(UNTYPED_SCHEMA)
    }

    fn with(schema: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("decnet.db");
        let other = connect(&path);
        other.pragma_update(None, "journal_mode", "WAL").unwrap();
        other.execute_batch(schema).unwrap();
        Self { path, other, directory }
    }

    pub(crate) fn open(&self) -> Catalog {
        Catalog::open(&self.path, Create::Never).unwrap()
    }

    /// Adds a row as DECNET does.
    pub(crate) fn add(&self, uuid: &str, name: &str) {
        let insert = "INSERT INTO webhook_subscriptions
            (uuid, name, url, secret, topic_patterns, enabled, consecutive_failures, created_at, updated_at)
            VALUES (?1, ?2, ?3, ?4, '[\"attacker.>\", \"system.log\"]', 1, 0, ?5, ?5)";
        self.other.execute(insert, [uuid, name, URL, SECRET, "2026-01-01 00:00:00.000000"]).unwrap();
    }

    /// Sets one column of one row to an SQL expression.
    pub(crate) fn set(&self, uuid: &str, column: &str, sql: &str) {
        let update = format!("UPDATE webhook_subscriptions SET {column} = {sql} WHERE uuid = ?1");
        assert_eq!(self.other.execute(&update, [uuid]).unwrap(), 1);
    }

    pub(crate) fn get(&self, uuid: &str, column: &str) -> Value {
        let select = format!("SELECT {column} FROM webhook_subscriptions WHERE uuid = ?1");
        self.other.query_row(&select, [uuid], |row| row.get(0)).unwrap()
    }

    /// Returns all columns of all rows.
    pub(crate) fn all_rows(&self) -> Vec<Vec<Value>> {
        let mut statement = self.other.prepare("SELECT * FROM webhook_subscriptions ORDER BY uuid").unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|index| row.get(index)).collect();
        statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

pub(crate) fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    // A test needs no durability.
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    connection
}

pub(crate) fn stored(catalog: &mut Catalog, uuid: &str) -> StoredSubscription {
    let snapshot = catalog.load().unwrap();
    snapshot.subscriptions.into_iter().find(|stored| &*stored.subscription.uuid == uuid).unwrap()
}

pub(crate) fn new_subscription(name: &str) -> NewSubscription {
    NewSubscription {
        name: name.to_owned(),
        url: EndpointUrl::new(URL).unwrap(),
        secret: Secret::new(SECRET),
        patterns: patterns(&["attacker.>", "system.log"]),
        enabled: true,
        settings: decnet_core::settings::Settings::default(),
    }
}

pub(crate) fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
