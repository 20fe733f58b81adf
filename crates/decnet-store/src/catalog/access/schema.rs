//! The table of tokens. It has a version of its own, beside that of the settings: each is made, and brought up to date,
//! when it is first needed. A newer one keeps no program from the settings; newer settings keep it from the whole file.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

/// The newest version of the table that this program knows.
pub(super) const KNOWN_VERSION: i64 = 1;

/// Names are unique among the tokens that are not revoked, so that a name can be given again.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS decnet_api_tokens (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        digest BLOB NOT NULL,
        scopes TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        last_used_at INTEGER,
        revoked_at INTEGER
    );
    CREATE UNIQUE INDEX IF NOT EXISTS ix_decnet_api_tokens_name
        ON decnet_api_tokens (name) WHERE revoked_at IS NULL;
    CREATE TABLE IF NOT EXISTS decnet_api_tokens_schema (version INTEGER NOT NULL);
    DELETE FROM decnet_api_tokens_schema";

/// What a file says about the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Absent,
    Present,
    /// A newer program wrote it, in this version.
    Newer(i64),
}

pub(super) fn look(connection: &Connection) -> rusqlite::Result<Table> {
    if !exists(connection, "decnet_api_tokens_schema")? || !exists(connection, "decnet_api_tokens")? {
        return Ok(Table::Absent);
    }
    let version = "SELECT COALESCE(MAX(CAST(version AS INTEGER)), 0) FROM decnet_api_tokens_schema";
    let version = connection.prepare_cached(version)?.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(match version {
        newer if newer > KNOWN_VERSION => Table::Newer(newer),
        KNOWN_VERSION => Table::Present,
        _ => Table::Absent,
    })
}

pub(super) fn make(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE)?;
    transaction.execute("INSERT INTO decnet_api_tokens_schema (version) VALUES (?1)", [KNOWN_VERSION])?;
    Ok(())
}

/// The names of a table's columns; none where there is no such table.
pub(super) fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let names = "SELECT name FROM pragma_table_info(?1)";
    connection.prepare_cached(names)?.query_map([table], |row| row.get(0))?.collect()
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    Ok(connection.prepare_cached(found)?.query_row([table], |_| Ok(())).optional()?.is_some())
}
