//! The table of API tokens. It has a schema version of its own and is created when it is first needed. An older program
//! can use a catalog with newer tokens, except for the tokens. It cannot use a catalog with a newer extension table.

use rusqlite::{Connection, Transaction};

use crate::catalog::schema::table_exists;

/// The newest version of the schema that this program supports.
pub(super) const SUPPORTED_VERSION: i64 = 1;

/// Names are unique only among tokens that are not revoked, so that a name can be reused.
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

/// The state of the table of API tokens in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenTable {
    Absent,
    Present,
    /// A newer program wrote the table; the schema version.
    Newer(i64),
}

pub(super) fn detect(connection: &Connection) -> rusqlite::Result<TokenTable> {
    if !table_exists(connection, "decnet_api_tokens_schema")?
        || !table_exists(connection, "decnet_api_tokens")?
    {
        return Ok(TokenTable::Absent);
    }
    let version = "SELECT COALESCE(MAX(CAST(version AS INTEGER)), 0) FROM decnet_api_tokens_schema";
    let version = connection.prepare_cached(version)?.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(match version {
        newer if newer > SUPPORTED_VERSION => TokenTable::Newer(newer),
        SUPPORTED_VERSION => TokenTable::Present,
        _ => TokenTable::Absent,
    })
}

pub(super) fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE)?;
    transaction.execute("INSERT INTO decnet_api_tokens_schema (version) VALUES (?1)", [SUPPORTED_VERSION])?;
    Ok(())
}
