//! Named numbers in the table `meta`.

use rusqlite::Connection;

use crate::sql;

/// Returns a number, if it is set.
pub(super) fn find(conn: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    sql::find(conn, "SELECT value FROM meta WHERE key = ?1", [key])
}

/// Returns a number; 0 if it is not set.
pub(super) fn get(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    Ok(find(conn, key)?.unwrap_or(0))
}

/// Sets a number.
pub(super) fn set(conn: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    sql::execute(conn, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, value)).map(drop)
}

/// Adds `value` to a number, which becomes at least 0. Returns the result.
pub(super) fn add(conn: &Connection, key: &str, value: i64) -> rusqlite::Result<i64> {
    let add = "INSERT INTO meta (key, value) VALUES (?1, max(?2, 0))
               ON CONFLICT (key) DO UPDATE SET value = max(value + ?2, 0) RETURNING value";
    sql::value(conn, add, (key, value))
}
