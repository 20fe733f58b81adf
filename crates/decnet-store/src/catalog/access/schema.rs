//! The table of API tokens. It has a schema version of its own and is created when it is first needed. An older program
//! can use a catalog with newer tokens, except for the tokens. It cannot use a catalog with a newer extension table.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use crate::catalog::error::Error;
use crate::catalog::schema::table_exists;

/// The newest version of the schema that this program supports.
const SUPPORTED_VERSION: i64 = 1;

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

/// Returns whether the file at `path` has the table. The inner error is [`Error::NewerTokens`].
pub(super) fn detect(connection: &Connection, path: &Path) -> rusqlite::Result<Result<bool, Error>> {
    if !table_exists(connection, "decnet_api_tokens_schema")?
        || !table_exists(connection, "decnet_api_tokens")?
    {
        return Ok(Ok(false));
    }
    let version = "SELECT COALESCE(MAX(CAST(version AS INTEGER)), 0) FROM decnet_api_tokens_schema";
    let found = connection.prepare_cached(version)?.query_row([], |row| row.get::<_, i64>(0))?;
    let newer = || Error::NewerTokens { path: path.into(), found, supported: SUPPORTED_VERSION };
    Ok(if found > SUPPORTED_VERSION { Err(newer()) } else { Ok(found == SUPPORTED_VERSION) })
}

pub(super) fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE)?;
    transaction.execute("INSERT INTO decnet_api_tokens_schema (version) VALUES (?1)", [SUPPORTED_VERSION])?;
    Ok(())
}
