//! Reading all rows, valid or not.

use std::path::Path;

use decnet_core::limits::MAX_SUBSCRIPTIONS;
use decnet_core::subscription::{Activity, Problem};
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::diff::{Changes, RowDigests, UNCOMPARED};
use super::encryption;
use super::error::{Abort, Error};
use super::extension_table::ExtensionTable;
use super::open::Catalog;
use super::schema::{COLUMNS, TRIPPED_AT};
use super::sql_value::{SqlValue, bounded};
use super::trips::Trips;
use crate::sql;
use crate::vault::Keys;

/// The unvalidated values of a row of DECNET's table and of the extension table.
pub(super) struct RawRow {
    pub(super) uuid: SqlValue,
    pub(super) name: SqlValue,
    pub(super) url: SqlValue,
    pub(super) secret: SqlValue,
    pub(super) topic_patterns: SqlValue,
    pub(super) enabled: SqlValue,
    pub(super) consecutive_failures: SqlValue,
    pub(super) last_success_at: SqlValue,
    pub(super) last_failure_at: SqlValue,
    pub(super) last_error: SqlValue,
    pub(super) auto_disabled_at: SqlValue,
    pub(super) created_at: SqlValue,
    pub(super) updated_at: SqlValue,
    /// `enabled IS 1`, evaluated by SQLite to agree with the version check of [`Catalog::record`].
    is_enabled: bool,
    gone_at: SqlValue,
    /// JSON of [`Settings`](decnet_core::settings::Settings) without headers and credentials.
    pub(super) settings: SqlValue,
    /// JSON of the headers with their values, decrypted.
    pub(super) headers: SqlValue,
    pub(super) paused: SqlValue,
    /// JSON of the replaced secrets that still sign, decrypted.
    pub(super) old_secrets: SqlValue,
    /// See [`super::extension_table`].
    deferred_until: SqlValue,
    pub(super) deferrals_lifted: SqlValue,
    /// JSON of the credentials, decrypted.
    pub(super) credentials: SqlValue,
    /// The problem of the first secret that cannot be decrypted. It reads as NULL.
    pub(super) locked: Option<Problem>,
}

impl RawRow {
    /// The alias of the row's `rowid` in the result of `select`.
    pub(super) const ROWID: &str = "row_id";

    /// Returns the meaning of `enabled` and `auto_disabled_at` together.
    pub(super) fn activity(&self) -> Activity {
        match (self.is_enabled, &self.auto_disabled_at) {
            (true, _) => Activity::Active,
            (false, SqlValue::Null) => Activity::Disabled,
            (false, _) => Activity::Tripped,
        }
    }

    /// Returns whether a 410 caused the current trip. See [`super::extension_table`].
    pub(super) fn is_gone(&self) -> bool {
        let SqlValue::Integer(gone_at) = self.gone_at else { return false };
        let tripped_at = self.auto_disabled_at.time().0;
        self.activity() == Activity::Tripped && tripped_at.is_some_and(|at| at.0 == gone_at)
    }

    /// Returns the recorded time before which the receiver wants no requests.
    pub(super) fn deferred_until(&self) -> Option<UnixMicros> {
        let SqlValue::Integer(until) = self.deferred_until else { return None };
        Some(UnixMicros(until))
    }

    pub(super) fn read(row: &rusqlite::Row<'_>, keys: &Keys) -> rusqlite::Result<Self> {
        let mut raw = Self::read_stored(row)?;
        let Self { uuid, headers, credentials, old_secrets, locked, .. } = &mut raw;
        let uuid = uuid.text().unwrap_or_default();
        let secrets = [("headers", headers), ("credentials", credentials), ("old_secrets", old_secrets)];
        for (column, value) in secrets {
            let stored = std::mem::replace(value, SqlValue::Null);
            match encryption::open(keys, column, uuid, stored) {
                Ok(opened) => *value = opened,
                Err(problem) => {
                    locked.get_or_insert(problem);
                }
            }
        }
        Ok(raw)
    }

    /// Returns the row with this UUID without decrypting its secrets, from the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or a newer program wrote the extension table.
    pub(super) fn find_stored(conn: &Connection, path: &Path, uuid: &str) -> Result<Option<Self>, Abort> {
        let (extension, trips) = (ExtensionTable::detect(conn, path)?, Trips::detect(conn)?);
        let select = select(extension, trips, Selection::All, "WHERE s.uuid = ?1");
        Ok(sql::first(conn, &select, [uuid], Self::read_stored)?)
    }

    fn read_stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let mut index = 0;
        let mut next = || {
            index += 1;
            row.get::<_, SqlValue>(index - 1)
        };
        // The order is that of `select`.
        Ok(Self {
            uuid: next()?,
            name: next()?,
            url: next()?,
            secret: next()?,
            topic_patterns: next()?,
            enabled: next()?,
            consecutive_failures: next()?,
            last_success_at: next()?,
            last_failure_at: next()?,
            last_error: next()?,
            auto_disabled_at: next()?,
            created_at: next()?,
            updated_at: next()?,
            is_enabled: matches!(next()?, SqlValue::Integer(1)),
            gone_at: next()?,
            settings: next()?,
            headers: next()?,
            paused: next()?,
            old_secrets: next()?,
            deferred_until: next()?,
            deferrals_lifted: next()?,
            credentials: next()?,
            locked: None,
        })
    }
}

impl Catalog {
    /// Reads all subscriptions, as changes from an empty table. An invalid row does not affect other rows.
    ///
    /// # Errors
    /// The file cannot be read, or a newer program wrote the extension table.
    pub fn load(&mut self) -> Result<Changes, Error> {
        self.changes(&mut RowDigests::default())
    }

    /// Returns the SQL that reads all columns of the row with a given `rowid`.
    pub(super) fn select_by_rowid(&self) -> Result<String, Error> {
        Ok(select(self.extension_table()?, self.trips()?, Selection::All, "WHERE s.rowid = ?1"))
    }

    /// Calls `take` with each row that `condition` selects, an SQL clause that may also set the order; by default all rows in
    /// table order. The statement holds SQLite's read lock until the last row.
    pub(super) fn each_row(
        &self,
        selection: Selection,
        condition: &str,
        values: impl rusqlite::Params,
        mut take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let sql = select(self.extension_table()?, self.trips()?, selection, condition);
        let read = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                take(row)?;
            }
            Ok(())
        };
        read().map_err(self.sqlite_error())
    }
}

pub(super) const TOO_MANY: Problem =
    Problem::Column { column: "uuid", what: "is beyond the maximum number of subscriptions" };
pub(super) const DUPLICATE: Problem =
    Problem::Column { column: "uuid", what: "is the same as in an earlier row" };

/// The columns that a statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    /// All columns except [`UNCOMPARED`], which are NULL because reading their values would be most of the work.
    Compared,
}

fn select(extension: ExtensionTable, trips: Trips<'_>, selection: Selection, condition: &str) -> String {
    let column = |name| if name == TRIPPED_AT { trips.select() } else { bounded("s", name) };
    let mut columns = COLUMNS.map(column);
    if selection == Selection::Compared {
        UNCOMPARED.iter().for_each(|index| columns[*index] = "NULL".to_owned());
    }
    let columns = columns.into_iter().chain(["s.enabled IS 1".to_owned()]).chain(extension.columns());
    let columns = columns.collect::<Vec<_>>().join(", ");
    let join = match extension {
        ExtensionTable::Absent => "",
        _ => "LEFT JOIN decnet_webhook_settings AS g ON g.uuid = s.uuid",
    };
    let (row_id, limit) = (RawRow::ROWID, MAX_SUBSCRIPTIONS + 1);
    format!(
        "SELECT {columns}, s.rowid AS {row_id} FROM webhook_subscriptions AS s {join} {condition} LIMIT {limit}"
    )
}
