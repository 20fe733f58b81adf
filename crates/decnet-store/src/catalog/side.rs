//! Our own table beside DECNET's, for what its columns cannot hold.
//!
//! `gone_at` is the `auto_disabled_at` of the trip that a 410 caused, in microseconds since the epoch: it means
//! something only while the row still carries that very stamp, so that an enable or a new trip by another
//! process, which knows nothing of this table, puts it out of force.
//!
//! The file is DECNET's, so `PRAGMA user_version` is not ours to set: the version has a table of its own.

use std::path::Path;

use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::error::Error;

/// What brings our tables from each version to the next; idempotent, since somebody may drop one of them.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE IF NOT EXISTS decnet_webhook_settings (
        uuid TEXT NOT NULL PRIMARY KEY,
        gone_at INTEGER,
        settings TEXT NOT NULL DEFAULT '{}'
    )"];

/// The newest version of our tables that this program knows.
const KNOWN_VERSION: i64 = MIGRATIONS.len() as i64;

/// What a file says about our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Not there yet.
    Absent,
    /// There, in the version that we know.
    Present,
}

/// The version of tables that a newer program has written.
pub(super) struct Newer(i64);

impl Newer {
    pub(super) fn into_error(self, path: &Path) -> Error {
        Error::Newer { path: path.into(), found: self.0, known: KNOWN_VERSION }
    }
}

/// Looks for our tables.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Result<Side, Newer>> {
    if !exists(connection, "decnet_webhook_schema")? {
        return Ok(Ok(Side::Absent));
    }
    let version = "SELECT COALESCE(MAX(CAST(version AS INTEGER)), 0) FROM decnet_webhook_schema";
    let version = connection.query_row(version, [], |row| row.get::<_, i64>(0))?;
    Ok(match version {
        newer if newer > KNOWN_VERSION => Err(Newer(newer)),
        KNOWN_VERSION if exists(connection, "decnet_webhook_settings")? => Ok(Side::Present),
        _ => Ok(Side::Absent),
    })
}

/// Makes our tables, or brings them to the version we know; only where [`look`] found them absent.
pub(super) fn make(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for migration in MIGRATIONS {
        transaction.execute_batch(migration)?;
    }
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS decnet_webhook_schema (version INTEGER NOT NULL);
         DELETE FROM decnet_webhook_schema",
    )?;
    transaction.execute("INSERT INTO decnet_webhook_schema (version) VALUES (?1)", [KNOWN_VERSION])?;
    Ok(())
}

/// Notes that the trip stamped `tripped_at` is one to stay.
pub(super) fn set_gone(
    transaction: &Transaction<'_>,
    uuid: &str,
    tripped_at: UnixMicros,
) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO decnet_webhook_settings (uuid, gone_at) VALUES (?1, ?2)
                  ON CONFLICT (uuid) DO UPDATE SET gone_at = excluded.gone_at";
    transaction.prepare_cached(upsert)?.execute(params![uuid, tripped_at.0])?;
    Ok(())
}

/// Keeps what a subscription asks for.
pub(super) fn set_settings(
    transaction: &Transaction<'_>,
    uuid: &str,
    settings: &str,
) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO decnet_webhook_settings (uuid, settings) VALUES (?1, ?2)
                  ON CONFLICT (uuid) DO UPDATE SET settings = excluded.settings";
    transaction.prepare_cached(upsert)?.execute([uuid, settings])?;
    Ok(())
}

/// Forgets that a subscription was gone.
pub(super) fn clear_gone(transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<()> {
    let clear = "UPDATE decnet_webhook_settings SET gone_at = NULL WHERE uuid = ?1";
    transaction.prepare_cached(clear)?.execute([uuid])?;
    Ok(())
}

/// Forgets a deleted subscription, and whatever DECNET deleted without knowing of this table.
pub(super) fn forget_deleted(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let orphans = "DELETE FROM decnet_webhook_settings AS g
                   WHERE NOT EXISTS (SELECT 1 FROM webhook_subscriptions AS s WHERE s.uuid = g.uuid)";
    transaction.execute(orphans, [])?;
    Ok(())
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    Ok(connection.query_row(found, [table], |_| Ok(())).optional()?.is_some())
}
