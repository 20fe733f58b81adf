//! Our own table beside DECNET's, for what its columns cannot hold.
//!
//! `gone_at` is the `auto_disabled_at` of the trip that a 410 caused, in microseconds since the epoch: it means
//! something only while the row still carries that very stamp, so that an enable or a new trip by another
//! process, which knows nothing of this table, puts it out of force.
//!
//! `paused`, `settings`, `headers` and `old_secrets` are what an operator asks for. The latter two are secrets.
//!
//! `deferred_until` is written by the worker: the time before which the receiver has asked to be sent nothing. An operator
//! who enables the subscription clears it and counts in `deferrals_lifted`, so that a worker that runs notices.
//!
//! The file is DECNET's, so `PRAGMA user_version` is not ours to set: the version has a table of its own.

use std::path::Path;

use decnet_core::redact::Secret;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, params};

use super::cell::{Cell, bounded};
use super::error::Error;
use super::overlap::{self, OldSecret};

/// What brings our tables from each version to the next; idempotent, since somebody may drop one of them.
const MIGRATIONS: [Migration; 3] = [first, second, third];

type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The newest version of our tables that this program knows.
const KNOWN_VERSION: i64 = MIGRATIONS.len() as i64;

/// What [`second`] adds.
const SECOND_COLUMNS: [(&str, &str); 4] = [
    ("headers", "TEXT"),
    ("paused", "INTEGER NOT NULL DEFAULT 0"),
    ("old_secrets", "TEXT"),
    ("old_secrets_until", "INTEGER"),
];

fn first(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS decnet_webhook_settings (
            uuid TEXT NOT NULL PRIMARY KEY,
            gone_at INTEGER,
            settings TEXT NOT NULL DEFAULT '{}'
        )",
    )
}

/// What [`third`] adds.
const THIRD_COLUMNS: [(&str, &str); 2] =
    [("deferred_until", "INTEGER"), ("deferrals_lifted", "INTEGER NOT NULL DEFAULT 0")];

/// Headers stand apart from the settings, so that what is shown of those cannot contain them.
fn second(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    add_columns(transaction, &SECOND_COLUMNS)?;
    transaction.execute_batch(
        "CREATE INDEX IF NOT EXISTS decnet_webhook_old_secrets
         ON decnet_webhook_settings (old_secrets_until) WHERE old_secrets_until IS NOT NULL",
    )
}

fn third(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    add_columns(transaction, &THIRD_COLUMNS)
}

fn add_columns(transaction: &Transaction<'_>, columns: &[(&str, &str)]) -> rusqlite::Result<()> {
    for (column, kind) in columns {
        if !has_column(transaction, column)? {
            transaction
                .execute_batch(&format!("ALTER TABLE decnet_webhook_settings ADD COLUMN {column} {kind}"))?;
        }
    }
    Ok(())
}

fn has_column(transaction: &Transaction<'_>, column: &str) -> rusqlite::Result<bool> {
    let named = "SELECT 1 FROM pragma_table_info('decnet_webhook_settings') WHERE name = ?1";
    Ok(transaction.query_row(named, [column], |_| Ok(())).optional()?.is_some())
}

/// What a file says about our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Not there yet.
    Absent,
    /// There, in an older version. Nobody who writes meets them so: see [`Catalog::write`].
    ///
    /// [`Catalog::write`]: super::Catalog::write
    Older(i64),
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
        _ if !exists(connection, "decnet_webhook_settings")? => Ok(Side::Absent),
        KNOWN_VERSION => Ok(Side::Present),
        older => Ok(Side::Older(older)),
    })
}

/// The columns of ours that are read, in the order in which they were added.
pub(super) const COLUMNS: [&str; 7] =
    ["gone_at", "settings", "headers", "paused", "old_secrets", "deferred_until", "deferrals_lifted"];

/// The columns of ours that are read, aliased `g`, of tables that are as they were found; NULL for those that are not there.
pub(super) fn columns(side: Side) -> [String; COLUMNS.len()] {
    let read = match side {
        Side::Absent => 0,
        Side::Older(..=1) => 2,
        Side::Older(_) => 5,
        Side::Present => COLUMNS.len(),
    };
    let mut index = 0;
    COLUMNS.map(|name| {
        index += 1;
        if index <= read { bounded("g", name) } else { "NULL".to_owned() }
    })
}

/// Makes our tables, or brings them to the version we know; only where [`look`] did not find them present.
pub(super) fn make(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for migration in MIGRATIONS {
        migration(transaction)?;
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
    set(transaction, uuid, "gone_at", tripped_at.0)
}

/// Keeps what a subscription asks for.
pub(super) fn set_settings(
    transaction: &Transaction<'_>,
    uuid: &str,
    settings: &str,
) -> rusqlite::Result<()> {
    set(transaction, uuid, "settings", settings)
}

/// Keeps a subscription's headers, a JSON object of names and values.
pub(super) fn set_headers(
    transaction: &Transaction<'_>,
    uuid: &str,
    headers: &Secret,
) -> rusqlite::Result<()> {
    set(transaction, uuid, "headers", headers.expose())
}

/// Notes that a subscription is paused, or not any more.
pub(super) fn set_paused(transaction: &Transaction<'_>, uuid: &str, paused: bool) -> rusqlite::Result<()> {
    set(transaction, uuid, "paused", paused)
}

/// Notes until when a receiver has asked to be sent nothing.
pub(super) fn set_deferred_until(
    transaction: &Transaction<'_>,
    uuid: &str,
    until: Option<UnixMicros>,
) -> rusqlite::Result<()> {
    set(transaction, uuid, "deferred_until", until.map(|until| until.0))
}

/// Forgets that a receiver has asked to be sent nothing, and counts that, at an operator's wish.
pub(super) fn lift_deferral(transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<()> {
    let lift = "UPDATE decnet_webhook_settings
                SET deferred_until = NULL, deferrals_lifted = deferrals_lifted + 1 WHERE uuid = ?1";
    transaction.prepare_cached(lift)?.execute([uuid])?;
    Ok(())
}

/// Keeps the secrets that still sign beside the row's own, and when the first of them stops to.
pub(super) fn set_old_secrets(
    transaction: &Transaction<'_>,
    uuid: &str,
    old: &[OldSecret],
) -> rusqlite::Result<()> {
    let json = (!old.is_empty()).then(|| overlap::to_stored(old));
    set(transaction, uuid, "old_secrets", json)?;
    set(transaction, uuid, "old_secrets_until", old.iter().map(|old| old.until.0).min())
}

/// Keeps one column of a subscription.
fn set(
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

/// What is kept of a subscription in one column; NULL if nothing is.
pub(super) fn get(transaction: &Transaction<'_>, uuid: &str, column: &str) -> rusqlite::Result<Cell> {
    let select =
        format!("SELECT {} FROM decnet_webhook_settings AS g WHERE g.uuid = ?1", bounded("g", column));
    let found = transaction.prepare_cached(&select)?.query_row([uuid], |row| Ok(Cell::read(row.get_ref(0)?)));
    Ok(found.optional()?.unwrap_or(Cell::Null))
}

/// The subscriptions with a secret that is to be forgotten by now.
pub(super) fn expired(connection: &Connection, now: UnixMicros) -> rusqlite::Result<Vec<String>> {
    let select = "SELECT uuid FROM decnet_webhook_settings WHERE old_secrets_until <= ?1";
    connection.prepare_cached(select)?.query_map([now.0], |row| row.get(0))?.collect()
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
