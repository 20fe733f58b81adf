//! Trips of a table without the column `auto_disabled_at`, which the first revision of DECNET's table does not have.
//!
//! The table is DECNET's and never altered. Without the column, `enabled = 0` alone does not distinguish a trip from an
//! operator's wish, so a table of ours holds the time of each trip and the `updated_at` that we wrote to the row last. Every writer of
//! the row sets `updated_at`. Where it differs, another process has changed the row since, and the trip no longer counts:
//! a subscription that an operator has disabled is never probed.
//!
//! A DECNET that is upgraded adds the column. Trips that were recorded before still count, new ones go to the column.

use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::cell::bounded;
use super::schema::TRIPPED_AT;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS decnet_webhook_trips (
        uuid TEXT NOT NULL PRIMARY KEY,
        tripped_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )";

/// Where a catalog keeps its trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trips {
    has_column: bool,
    has_table: bool,
}

impl Trips {
    /// Reads the schema of a file.
    pub(super) fn detect(connection: &Connection) -> rusqlite::Result<Self> {
        let column = "SELECT 1 FROM pragma_table_info('webhook_subscriptions') WHERE name = ?1";
        let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let finds = |query: &str, name: &str| {
            connection.prepare_cached(query)?.query_row([name], |_| Ok(())).optional()
        };
        let has_column = finds(column, TRIPPED_AT)?.is_some();
        Ok(Self { has_column, has_table: finds(table, "decnet_webhook_trips")?.is_some() })
    }

    /// Returns the SQL that reads the time of a row's trip; the row's table is aliased `s`.
    pub(super) fn select(self) -> String {
        let column = bounded("s", TRIPPED_AT);
        let ours = valid(&bounded("t", "tripped_at"), "s");
        match (self.has_column, self.has_table) {
            (true, false) => column,
            (true, true) => format!("COALESCE({column}, ({ours}))"),
            (false, true) => format!("({ours})"),
            (false, false) => "NULL".to_owned(),
        }
    }

    /// Returns the SQL condition under which a row that is not enabled is tripped, for a statement on DECNET's table.
    pub(super) fn condition(self) -> String {
        let column = format!("{TRIPPED_AT} IS NOT NULL");
        let ours = format!("EXISTS ({})", valid("1", "webhook_subscriptions"));
        match (self.has_column, self.has_table) {
            (true, false) => column,
            (true, true) => format!("({column} OR {ours})"),
            (false, true) => ours,
            (false, false) => "0".to_owned(),
        }
    }

    /// Returns whether the table has the column.
    pub(super) fn has_column(self) -> bool {
        self.has_column
    }

    /// Records that a row, whose `updated_at` was set to `now` by this transaction, has tripped now.
    pub(super) fn set(
        self,
        transaction: &Transaction<'_>,
        uuid: &str,
        now: UnixMicros,
    ) -> rusqlite::Result<()> {
        if self.has_column {
            return Ok(());
        }
        transaction.execute_batch(CREATE)?;
        let upsert = "INSERT INTO decnet_webhook_trips (uuid, tripped_at, updated_at) VALUES (?1, ?2, ?2)
            ON CONFLICT (uuid) DO UPDATE SET tripped_at = excluded.tripped_at, updated_at = excluded.updated_at";
        transaction.prepare_cached(upsert)?.execute([uuid, &now.to_sqlite()])?;
        Ok(())
    }

    /// Keeps a trip in force through a change of ours that is about to set the row's `updated_at` to `now`.
    pub(super) fn carry(
        self,
        transaction: &Transaction<'_>,
        uuid: &str,
        now: UnixMicros,
    ) -> rusqlite::Result<()> {
        let carry = "UPDATE decnet_webhook_trips SET updated_at = ?2 WHERE uuid = ?1 AND updated_at IS
            (SELECT updated_at FROM webhook_subscriptions WHERE uuid = ?1)";
        self.execute(transaction, carry, &[uuid, &now.to_sqlite()])
    }

    /// Keeps a trip in force that was in force before this transaction set the row's `updated_at` to `now`.
    pub(super) fn restamp(
        self,
        transaction: &Transaction<'_>,
        uuid: &str,
        now: UnixMicros,
    ) -> rusqlite::Result<()> {
        let restamp = "UPDATE decnet_webhook_trips SET updated_at = ?2 WHERE uuid = ?1";
        self.execute(transaction, restamp, &[uuid, &now.to_sqlite()])
    }

    /// Forgets the trip of a row.
    pub(super) fn clear(self, transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<()> {
        self.execute(transaction, "DELETE FROM decnet_webhook_trips WHERE uuid = ?1", &[uuid])
    }

    fn execute(self, transaction: &Transaction<'_>, sql: &str, values: &[&str]) -> rusqlite::Result<()> {
        if self.has_table {
            transaction.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?;
        }
        Ok(())
    }
}

/// Returns the SQL that selects from the trip of ours that is in force for a row.
fn valid(what: &str, row: &str) -> String {
    format!(
        "SELECT {what} FROM decnet_webhook_trips AS t
         WHERE t.uuid = {row}.uuid AND t.updated_at IS {row}.updated_at AND {row}.enabled IS NOT 1"
    )
}
