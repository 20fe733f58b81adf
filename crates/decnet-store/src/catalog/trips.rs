//! Trips in the first revision of DECNET's table, which does not have the column `auto_disabled_at`.
//!
//! Without the column, `enabled = 0` does not distinguish a trip from a subscription that an operator disabled. Therefore the
//! table `decnet_webhook_trips` holds the time of each trip and the row's `updated_at` after the last write by this
//! program. Every writer sets `updated_at`. If the value differs, another process has changed the row, and the trip is no
//! longer valid: a subscription that an operator disabled is never probed.
//!
//! An upgrade of DECNET adds the column. Earlier trips stay valid, and new trips are written to the column.

use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Params};

use super::schema::{TRIPPED_AT, column_names, table_exists};
use super::sql_value::bounded;
use crate::sql;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS decnet_webhook_trips (
        uuid TEXT NOT NULL PRIMARY KEY,
        tripped_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )";

/// The places where a catalog stores its trips.
#[derive(Clone, Copy)]
pub(super) struct Trips<'a> {
    conn: &'a Connection,
    has_column: bool,
    has_table: bool,
}

impl<'a> Trips<'a> {
    /// Reads the schema.
    pub(super) fn detect(conn: &'a Connection) -> rusqlite::Result<Self> {
        let has_column = column_names(conn, "webhook_subscriptions")?.iter().any(|name| name == TRIPPED_AT);
        Ok(Self { conn, has_column, has_table: table_exists(conn, "decnet_webhook_trips")? })
    }

    /// Returns the SQL that reads the time of a row's trip; the row's table is aliased `s`.
    pub(super) fn select(self) -> String {
        let column = bounded("s", TRIPPED_AT);
        let from_table = valid(&bounded("t", "tripped_at"), "s");
        match (self.has_column, self.has_table) {
            (true, false) => column,
            (true, true) => format!("COALESCE({column}, ({from_table}))"),
            (false, true) => format!("({from_table})"),
            (false, false) => "NULL".to_owned(),
        }
    }

    /// Returns the SQL condition under which a row that is not enabled is tripped, for a statement on DECNET's table.
    pub(super) fn condition(self) -> String {
        let column = format!("{TRIPPED_AT} IS NOT NULL");
        let from_table = format!("EXISTS ({})", valid("1", "webhook_subscriptions"));
        match (self.has_column, self.has_table) {
            (true, false) => column,
            (true, true) => format!("({column} OR {from_table})"),
            (false, true) => from_table,
            (false, false) => "0".to_owned(),
        }
    }

    /// Returns whether the table has the column.
    pub(super) fn has_column(self) -> bool {
        self.has_column
    }

    /// Records a trip of a row whose `updated_at` this transaction has set to `now`.
    pub(super) fn set(self, uuid: &str, now: UnixMicros) -> rusqlite::Result<()> {
        if self.has_column {
            return Ok(());
        }
        self.conn.execute_batch(CREATE)?;
        let upsert = "INSERT INTO decnet_webhook_trips (uuid, tripped_at, updated_at) VALUES (?1, ?2, ?2)
            ON CONFLICT (uuid) DO UPDATE SET tripped_at = excluded.tripped_at, updated_at = excluded.updated_at";
        sql::execute(self.conn, upsert, [uuid, &now.to_sqlite()]).map(drop)
    }

    /// Keeps a trip valid before this transaction sets the row's `updated_at` to `now`.
    pub(super) fn keep_through_update(self, uuid: &str, now: UnixMicros) -> rusqlite::Result<()> {
        let update = "UPDATE decnet_webhook_trips SET updated_at = ?2 WHERE uuid = ?1 AND updated_at IS
            (SELECT updated_at FROM webhook_subscriptions WHERE uuid = ?1)";
        self.execute(update, [uuid, &now.to_sqlite()])
    }

    /// Keeps a trip valid after this transaction has set the row's `updated_at` to `now`.
    pub(super) fn keep_after_update(self, uuid: &str, now: UnixMicros) -> rusqlite::Result<()> {
        let update = "UPDATE decnet_webhook_trips SET updated_at = ?2 WHERE uuid = ?1";
        self.execute(update, [uuid, &now.to_sqlite()])
    }

    /// Deletes the trip of a row.
    pub(super) fn clear(self, uuid: &str) -> rusqlite::Result<()> {
        self.execute("DELETE FROM decnet_webhook_trips WHERE uuid = ?1", [uuid])
    }

    fn execute(self, sql: &str, values: impl Params) -> rusqlite::Result<()> {
        if self.has_table {
            sql::execute(self.conn, sql, values)?;
        }
        Ok(())
    }
}

/// Returns the SQL that selects `what` from the valid trip of a row in `decnet_webhook_trips`.
fn valid(what: &str, row: &str) -> String {
    format!(
        "SELECT {what} FROM decnet_webhook_trips AS t
         WHERE t.uuid = {row}.uuid AND t.updated_at IS {row}.updated_at AND {row}.enabled IS NOT 1"
    )
}
