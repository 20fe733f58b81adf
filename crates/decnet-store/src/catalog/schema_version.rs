//! The schema version of the tables that this program adds to DECNET's database.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::error::{Abort, Error};
use super::schema::table_exists;
use crate::sql;

/// The version of some of this program's tables. It is in a table of its own, since `PRAGMA user_version` belongs to DECNET.
pub(super) struct SchemaVersion {
    /// The table that holds the version.
    pub(super) table: &'static str,
    /// The contents of the versioned tables, for an error.
    pub(super) what: &'static str,
    /// The newest version that this program supports.
    pub(super) supported: i64,
}

impl SchemaVersion {
    /// Returns the version in the file at `path`; `None` if it has no version.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], or the file cannot be read.
    pub(super) fn read(&self, connection: &Connection, path: &Path) -> Result<Option<i64>, Abort> {
        let Self { table, what, supported } = *self;
        if !table_exists(connection, table)? {
            return Ok(None);
        }
        let version = format!("SELECT COALESCE(MAX(CAST(version AS INTEGER)), 0) FROM {table}");
        match sql::value(connection, &version, [])? {
            found if found > supported => {
                Err(Error::NewerSchema { path: path.into(), what, found, supported }.into())
            }
            found => Ok(Some(found)),
        }
    }

    /// Records the supported version.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let Self { table, supported, .. } = self;
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (version INTEGER NOT NULL);
             DELETE FROM {table};
             INSERT INTO {table} (version) VALUES ({supported})"
        ))
    }
}
