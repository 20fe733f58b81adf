//! The schema of DECNET's table, and queries of a database's schema.

use rusqlite::Connection;

use crate::sql;

/// The table's columns in the order in which a row is read.
pub(super) const COLUMNS: [&str; 13] = [
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

/// The only optional column: the time at which the subscription tripped. See [`trips`](super::trips).
pub(super) const TRIPPED_AT: &str = "auto_disabled_at";

/// Creates the table as DECNET does, so that DECNET can use the file.
pub(super) const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS webhook_subscriptions (
        uuid VARCHAR NOT NULL,
        name VARCHAR NOT NULL,
        url VARCHAR NOT NULL,
        secret VARCHAR NOT NULL,
        topic_patterns VARCHAR NOT NULL,
        enabled BOOLEAN NOT NULL,
        consecutive_failures INTEGER NOT NULL,
        last_success_at DATETIME,
        last_failure_at DATETIME,
        last_error VARCHAR,
        auto_disabled_at DATETIME,
        created_at DATETIME NOT NULL,
        updated_at DATETIME NOT NULL,
        PRIMARY KEY (uuid)
    );
    CREATE UNIQUE INDEX IF NOT EXISTS ix_webhook_subscriptions_name ON webhook_subscriptions (name);
    CREATE INDEX IF NOT EXISTS ix_webhook_subscriptions_enabled ON webhook_subscriptions (enabled);
";

/// Returns whether a table exists.
pub(super) fn table_exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)";
    sql::value(connection, exists, [table])
}

/// Returns the names of a table's columns; none if the table does not exist.
pub(super) fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    sql::all(connection, "SELECT name FROM pragma_table_info(?1)", [table], |row| row.get(0))
}
