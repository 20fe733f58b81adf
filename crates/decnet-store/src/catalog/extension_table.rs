//! The extension table `decnet_webhook_settings`, for data without a column in DECNET's table.
//!
//! `gone_at` is the `auto_disabled_at` of a trip that a 410 caused, in microseconds since the epoch. It is valid only
//! while the row has the same `auto_disabled_at`. If DECNET, which does not use this table, enables or trips the
//! subscription, the value becomes invalid.
//!
//! Operators set `paused`, `settings`, `headers` and `old_secrets`. The latter two are secrets.
//!
//! The worker sets `deferred_until`, the time before which the receiver wants no requests. Enabling the subscription
//! clears it and increments `deferrals_lifted`, which notifies a running worker.
//!
//! The schema version has a table of its own, since `PRAGMA user_version` belongs to DECNET.

use std::path::Path;

use decnet_core::signature::OldSecret;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, params};

use super::error::Error;
use super::schema::{column_names, table_exists};
use super::secret_rotation;
use super::sql_value::{SqlValue, bounded};

/// The migrations from each version to the next. They are idempotent, since a user may drop one of the tables.
const MIGRATIONS: [Migration; 3] = [to_version_1, to_version_2, to_version_3];

type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The newest version of the schema that this program supports.
const SUPPORTED_VERSION: i64 = MIGRATIONS.len() as i64;

const VERSION_2_COLUMNS: [(&str, &str); 4] = [
    ("headers", "TEXT"),
    ("paused", "INTEGER NOT NULL DEFAULT 0"),
    ("old_secrets", "TEXT"),
    ("old_secrets_until", "INTEGER"),
];

fn to_version_1(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS decnet_webhook_settings (
            uuid TEXT NOT NULL PRIMARY KEY,
            gone_at INTEGER,
            settings TEXT NOT NULL DEFAULT '{}'
        )",
    )
}

const VERSION_3_COLUMNS: [(&str, &str); 2] =
    [("deferred_until", "INTEGER"), ("deferrals_lifted", "INTEGER NOT NULL DEFAULT 0")];

/// Headers have a column of their own, so that displayed settings cannot contain them.
fn to_version_2(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    add_columns(transaction, &VERSION_2_COLUMNS)?;
    transaction.execute_batch(
        "CREATE INDEX IF NOT EXISTS decnet_webhook_old_secrets
         ON decnet_webhook_settings (old_secrets_until) WHERE old_secrets_until IS NOT NULL",
    )
}

fn to_version_3(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    add_columns(transaction, &VERSION_3_COLUMNS)
}

fn add_columns(transaction: &Transaction<'_>, columns: &[(&str, &str)]) -> rusqlite::Result<()> {
    let present = column_names(transaction, "decnet_webhook_settings")?;
    for (column, kind) in columns {
        if !present.iter().any(|name| name == column) {
            transaction
                .execute_batch(&format!("ALTER TABLE decnet_webhook_settings ADD COLUMN {column} {kind}"))?;
        }
    }
    Ok(())
}

/// The state of the extension table in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtensionTable {
    /// The table does not exist.
    Absent,
    /// The table has this older version. [`Catalog::write`] migrates the table first.
    ///
    /// [`Catalog::write`]: super::Catalog::write
    Older(i64),
    /// The table has the current version.
    Present,
}

impl ExtensionTable {
    /// Creates the table if it is absent.
    pub(super) fn ensure(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        if *self == Self::Absent {
            migrate(transaction)?;
            *self = Self::Present;
        }
        Ok(())
    }
}

/// Returns the state of the extension table in the file at `path`. The inner error is [`Error::NewerSchema`].
pub(super) fn detect(
    connection: &Connection,
    path: &Path,
) -> rusqlite::Result<Result<ExtensionTable, Error>> {
    if !table_exists(connection, "decnet_webhook_schema")? {
        return Ok(Ok(ExtensionTable::Absent));
    }
    let version = "SELECT COALESCE(MAX(CAST(version AS INTEGER)), 0) FROM decnet_webhook_schema";
    let version = connection.query_row(version, [], |row| row.get::<_, i64>(0))?;
    Ok(match version {
        found if found > SUPPORTED_VERSION => {
            Err(Error::NewerSchema { path: path.into(), found, supported: SUPPORTED_VERSION })
        }
        _ if !table_exists(connection, "decnet_webhook_settings")? => Ok(ExtensionTable::Absent),
        SUPPORTED_VERSION => Ok(ExtensionTable::Present),
        older => Ok(ExtensionTable::Older(older)),
    })
}

/// The columns that are read, in the order in which they were added.
pub(super) const COLUMNS: [&str; 7] =
    ["gone_at", "settings", "headers", "paused", "old_secrets", "deferred_until", "deferrals_lifted"];

/// Returns the SQL that reads the columns of the table, aliased `g`: NULL for columns that the table does not have.
pub(super) fn columns(extension: ExtensionTable) -> [String; COLUMNS.len()] {
    let read = match extension {
        ExtensionTable::Absent => 0,
        ExtensionTable::Older(..=1) => 2,
        ExtensionTable::Older(_) => 5,
        ExtensionTable::Present => COLUMNS.len(),
    };
    let mut index = 0;
    COLUMNS.map(|name| {
        index += 1;
        if index <= read { bounded("g", name) } else { "NULL".to_owned() }
    })
}

/// Creates the table or migrates it to the current version.
pub(super) fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for migration in MIGRATIONS {
        migration(transaction)?;
    }
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS decnet_webhook_schema (version INTEGER NOT NULL);
         DELETE FROM decnet_webhook_schema",
    )?;
    transaction.execute("INSERT INTO decnet_webhook_schema (version) VALUES (?1)", [SUPPORTED_VERSION])?;
    Ok(())
}

/// Cancels a deferral by the receiver and counts the cancellation.
pub(super) fn lift_deferral(transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<()> {
    let lift = "UPDATE decnet_webhook_settings
                SET deferred_until = NULL, deferrals_lifted = deferrals_lifted + 1 WHERE uuid = ?1";
    transaction.prepare_cached(lift)?.execute([uuid])?;
    Ok(())
}

/// Sets the secrets that sign in addition to the current secret, and the time at which the first of them expires.
pub(super) fn set_old_secrets(
    transaction: &Transaction<'_>,
    uuid: &str,
    old: &[OldSecret],
) -> rusqlite::Result<()> {
    let json = (!old.is_empty()).then(|| secret_rotation::to_stored(old));
    set(transaction, uuid, "old_secrets", json)?;
    set(transaction, uuid, "old_secrets_until", old.iter().map(|old| old.until.0).min())
}

/// Sets one column of a subscription; see the module for the values of the columns.
pub(super) fn set(
    transaction: &Transaction<'_>,
    uuid: &str,
    column: &'static str,
    value: impl ToSql,
) -> rusqlite::Result<()> {
    let upsert = format!(
        "INSERT INTO decnet_webhook_settings (uuid, {column}) VALUES (?1, ?2)
         ON CONFLICT (uuid) DO UPDATE SET {column} = excluded.{column}"
    );
    transaction.prepare_cached(&upsert)?.execute(params![uuid, value])?;
    Ok(())
}

/// Returns one column of a subscription; NULL if it has no row.
pub(super) fn get(transaction: &Transaction<'_>, uuid: &str, column: &str) -> rusqlite::Result<SqlValue> {
    let select =
        format!("SELECT {} FROM decnet_webhook_settings AS g WHERE g.uuid = ?1", bounded("g", column));
    let found = transaction.prepare_cached(&select)?.query_row([uuid], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(SqlValue::Null))
}

/// Returns the UUIDs of subscriptions with an expired secret.
pub(super) fn with_expired_secrets(
    connection: &Connection,
    now: UnixMicros,
) -> rusqlite::Result<Vec<String>> {
    let select = "SELECT uuid FROM decnet_webhook_settings WHERE old_secrets_until <= ?1";
    connection.prepare_cached(select)?.query_map([now.0], |row| row.get(0))?.collect()
}

/// Removes the record that a 410 caused the trip.
pub(super) fn clear_gone(transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<()> {
    let clear = "UPDATE decnet_webhook_settings SET gone_at = NULL WHERE uuid = ?1";
    transaction.prepare_cached(clear)?.execute([uuid])?;
    Ok(())
}

/// Deletes the rows of deleted subscriptions, including subscriptions that DECNET deleted.
pub(super) fn delete_orphans(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let orphans = "DELETE FROM decnet_webhook_settings AS g
                   WHERE NOT EXISTS (SELECT 1 FROM webhook_subscriptions AS s WHERE s.uuid = g.uuid)";
    transaction.execute(orphans, [])?;
    Ok(())
}
