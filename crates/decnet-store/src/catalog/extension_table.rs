//! The extension table `decnet_webhook_settings`, for data without a column in DECNET's table.
//!
//! `gone_at` is the `auto_disabled_at` of a trip that a 410 caused, in microseconds since the epoch. It is valid only
//! while the row has the same `auto_disabled_at`. If DECNET, which does not use this table, enables or trips the
//! subscription, the value becomes invalid.
//!
//! Operators set `paused`, `settings`, `headers`, `credentials` and `old_secrets`. The latter three are secrets, which are encrypted
//! if there is a key file: see [`crate::vault`].
//!
//! The worker sets `deferred_until`, the time before which the receiver wants no requests. Enabling the subscription
//! clears it and increments `deferrals_lifted`, which notifies a running worker.

use std::path::Path;

use decnet_core::signature::OldSecret;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, ToSql, Transaction, params};

use super::encryption;
use super::error::{Abort, Error};
use super::schema::{column_names, table_exists};
use super::schema_version::SchemaVersion;
use super::secret_rotation;
use super::sql_value::{SqlValue, bounded};
use crate::sql;
use crate::vault::Keys;

const VERSION: SchemaVersion =
    SchemaVersion { table: "decnet_webhook_schema", what: "webhook settings", supported: 4 };

/// The columns with secrets.
pub(super) const SECRET_COLUMNS: [&str; 3] = ["headers", "credentials", "old_secrets"];

/// The condition that a row has an encrypted secret; an index contains these rows.
pub(super) const IS_ENCRYPTED: &str =
    "headers GLOB 'enc:*' OR credentials GLOB 'enc:*' OR old_secrets GLOB 'enc:*'";

/// The name and type of each column, and the version that added it. Secrets have columns of their own, so that displayed
/// settings cannot contain them.
pub(super) const COLUMNS: [(&str, &str, i64); 9] = [
    ("gone_at", "INTEGER", 1),
    ("settings", "TEXT NOT NULL DEFAULT '{}'", 1),
    ("headers", "TEXT", 2),
    ("paused", "INTEGER NOT NULL DEFAULT 0", 2),
    ("old_secrets", "TEXT", 2),
    ("deferred_until", "INTEGER", 3),
    ("deferrals_lifted", "INTEGER NOT NULL DEFAULT 0", 3),
    ("credentials", "TEXT", 4),
    ("old_secrets_until", "INTEGER", 2),
];
/// The number of columns that are read with a subscription: all but `old_secrets_until`, by which expired secrets are found.
const READ_COLUMNS: usize = COLUMNS.len() - 1;

/// The state of the extension table in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtensionTable {
    /// The table does not exist.
    Absent,
    /// The table has this older version. Writers migrate the table first: see [`Self::migrated`].
    Older(i64),
    /// The table has the current version.
    Present,
}

impl ExtensionTable {
    /// Returns the state of the extension table in the file at `path`.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], or the file cannot be read.
    pub(super) fn detect(connection: &Connection, path: &Path) -> Result<Self, Abort> {
        Ok(match VERSION.read(connection, path)? {
            Some(version) if table_exists(connection, "decnet_webhook_settings")? => {
                if version == VERSION.supported { Self::Present } else { Self::Older(version) }
            }
            _ => Self::Absent,
        })
    }

    /// Returns the state of the extension table for a write. Migrates an older table first.
    ///
    /// # Errors
    /// See [`Self::detect`]; also if the file cannot be written.
    pub(super) fn migrated(transaction: &Transaction<'_>, path: &Path) -> Result<Self, Abort> {
        let found = Self::detect(transaction, path)?;
        if let Self::Older(_) = found {
            migrate(transaction)?;
            return Ok(Self::Present);
        }
        Ok(found)
    }

    /// Creates the table if it is absent.
    pub(super) fn ensure(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        if *self == Self::Absent {
            migrate(transaction)?;
            *self = Self::Present;
        }
        Ok(())
    }

    /// Returns the SQL that reads each column of the table, aliased `g`: NULL for a column that the table does not have.
    pub(super) fn columns(self) -> impl Iterator<Item = String> {
        let version = match self {
            Self::Absent => 0,
            Self::Older(version) => version.max(1),
            Self::Present => VERSION.supported,
        };
        COLUMNS.into_iter().take(READ_COLUMNS).map(move |(name, _, since)| {
            if since <= version { bounded("g", name) } else { "NULL".to_owned() }
        })
    }
}

/// Creates the table or migrates it to the current version. A user may have dropped one of the tables, so everything that exists
/// is kept.
fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY)",
    )?;
    let present = column_names(transaction, "decnet_webhook_settings")?;
    for (name, kind, _) in COLUMNS.iter().filter(|(name, ..)| !present.iter().any(|found| found == name)) {
        transaction
            .execute_batch(&format!("ALTER TABLE decnet_webhook_settings ADD COLUMN {name} {kind}"))?;
    }
    transaction.execute_batch(&format!(
        "CREATE INDEX IF NOT EXISTS decnet_webhook_old_secrets
         ON decnet_webhook_settings (old_secrets_until) WHERE old_secrets_until IS NOT NULL;
         CREATE INDEX IF NOT EXISTS decnet_webhook_encrypted
         ON decnet_webhook_settings (uuid) WHERE {IS_ENCRYPTED}"
    ))?;
    VERSION.write(transaction)
}

/// One subscription in the extension table.
#[derive(Clone, Copy)]
pub(super) struct ExtensionRow<'a> {
    pub(super) conn: &'a Connection,
    pub(super) uuid: &'a str,
}

impl ExtensionRow<'_> {
    /// Sets one column; see the module for the values of the columns. Creates the row if it does not exist.
    pub(super) fn set(self, column: &str, value: impl ToSql) -> rusqlite::Result<()> {
        let upsert = format!(
            "INSERT INTO decnet_webhook_settings (uuid, {column}) VALUES (?1, ?2)
             ON CONFLICT (uuid) DO UPDATE SET {column} = excluded.{column}"
        );
        sql::execute(self.conn, &upsert, params![self.uuid, value]).map(drop)
    }

    /// Returns a column of [`SECRET_COLUMNS`], decrypted.
    ///
    /// # Errors
    /// [`Problem::Encrypted`](decnet_core::subscription::Problem::Encrypted), or the file cannot be read.
    pub(super) fn get_secret(self, keys: &Keys, column: &'static str) -> Result<SqlValue, Abort> {
        let opened = encryption::open(keys, column, self.uuid, self.get(column)?);
        opened.map_err(|problem| Error::from(problem).into())
    }

    /// Sets a column of [`SECRET_COLUMNS`], encrypted if there is a key file.
    ///
    /// # Errors
    /// The value cannot be encrypted, or the file cannot be written.
    pub(super) fn set_secret(
        self,
        keys: &Keys,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<(), Abort> {
        let stored =
            text.map(|text| encryption::seal(self.conn, keys, column, self.uuid, text)).transpose()?;
        Ok(self.set(column, stored)?)
    }

    /// Returns one column; NULL if the row does not exist.
    pub(super) fn get(self, column: &str) -> rusqlite::Result<SqlValue> {
        let column = bounded("g", column);
        let select = format!("SELECT {column} FROM decnet_webhook_settings AS g WHERE g.uuid = ?1");
        Ok(sql::find(self.conn, &select, [self.uuid])?.unwrap_or(SqlValue::Null))
    }

    /// Removes the record that a 410 caused the trip.
    pub(super) fn clear_gone(self) -> rusqlite::Result<()> {
        let clear = "UPDATE decnet_webhook_settings SET gone_at = NULL WHERE uuid = ?1";
        sql::execute(self.conn, clear, [self.uuid]).map(drop)
    }

    /// Cancels a deferral by the receiver and counts the cancellation.
    pub(super) fn lift_deferral(self) -> rusqlite::Result<()> {
        let lift = "UPDATE decnet_webhook_settings
                    SET deferred_until = NULL, deferrals_lifted = deferrals_lifted + 1 WHERE uuid = ?1";
        sql::execute(self.conn, lift, [self.uuid]).map(drop)
    }

    /// Sets the secrets that sign in addition to the current secret, and the time at which the first of them expires.
    pub(super) fn set_old_secrets(self, keys: &Keys, old: &[OldSecret]) -> Result<(), Abort> {
        let stored = (!old.is_empty()).then(|| secret_rotation::to_stored(old));
        self.set_secret(keys, "old_secrets", stored.as_deref())?;
        Ok(self.set("old_secrets_until", old.iter().map(|old| old.until.0).min())?)
    }
}

/// Returns the UUIDs of subscriptions with an expired secret.
pub(super) fn with_expired_secrets(conn: &Connection, now: UnixMicros) -> rusqlite::Result<Vec<String>> {
    let select = "SELECT uuid FROM decnet_webhook_settings WHERE old_secrets_until <= ?1";
    sql::all(conn, select, [now.0], |row| row.get(0))
}

/// Deletes the rows of deleted subscriptions, including subscriptions that DECNET deleted.
pub(super) fn delete_orphans(conn: &Connection) -> rusqlite::Result<()> {
    let orphans = "DELETE FROM decnet_webhook_settings AS g
                   WHERE NOT EXISTS (SELECT 1 FROM webhook_subscriptions AS s WHERE s.uuid = g.uuid)";
    sql::execute(conn, orphans, []).map(drop)
}
