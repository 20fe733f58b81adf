//! Named numbers in the table `meta`.

use rusqlite::Connection;

use crate::sql;

/// Returns a number, if it is set.
pub(super) fn find(conn: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    sql::find(conn, "SELECT value FROM meta WHERE key = ?1", [key])
}

/// Returns a number that the schema sets.
///
/// # Errors
/// SQLite fails, or the row is missing: the file is damaged.
pub(super) fn get(conn: &Connection, key: &'static str) -> rusqlite::Result<i64> {
    find(conn, key)?.ok_or_else(|| missing(key))
}

/// Returns a number that is set only once it is needed; 0 before that.
pub(super) fn get_or_zero(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    Ok(find(conn, key)?.unwrap_or(0))
}

/// Sets a number.
pub(super) fn set(conn: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    sql::execute(conn, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, value)).map(drop)
}

/// Sets a number unless it is higher already.
pub(super) fn raise(conn: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    let raise = "INSERT INTO meta (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = max(value, ?2)";
    sql::execute(conn, raise, (key, value)).map(drop)
}

/// Adds `value` to a number that the schema sets, and which becomes at least 0. Returns the result.
///
/// # Errors
/// SQLite fails, or the row is missing: the file is damaged.
pub(super) fn add(conn: &Connection, key: &'static str, value: i64) -> rusqlite::Result<i64> {
    let add = "UPDATE meta SET value = max(value + ?2, 0) WHERE key = ?1 RETURNING value";
    sql::find(conn, add, (key, value))?.ok_or_else(|| missing(key))
}

/// Increments a number that is set only once it is needed.
pub(super) fn increment(conn: &Connection, key: &str) -> rusqlite::Result<()> {
    let increment = "INSERT INTO meta (key, value) VALUES (?1, 1)
                     ON CONFLICT (key) DO UPDATE SET value = value + 1";
    sql::execute(conn, increment, [key]).map(drop)
}

/// Returns the error for a missing row, with the code of a damaged file, so that the queue reports it as such.
fn missing(key: &str) -> rusqlite::Error {
    let text = format!("the row `{key}` of the table meta is missing");
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_row_is_an_error() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
            .unwrap();
        for error in [get(&conn, "generation").unwrap_err(), add(&conn, "generation", 1).unwrap_err()] {
            assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt));
            assert_eq!(error.to_string(), "the row `generation` of the table meta is missing");
        }
        assert_eq!(get_or_zero(&conn, "changes").unwrap(), 0);
        increment(&conn, "changes").unwrap();
        assert_eq!(add(&conn, "changes", 2).unwrap(), 3);
        assert_eq!(add(&conn, "changes", -9).unwrap(), 0);
    }
}
