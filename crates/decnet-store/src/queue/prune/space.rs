//! Space in use, and the return of free pages to the file system.

use rusqlite::Connection;

use super::super::error::Error;
use crate::sql;

/// Free pages are kept for new rows until they are more than one in `FREE_FRACTION` pages of the file.
const FREE_FRACTION: u64 = 4;

/// Returns the bytes in use in the database file.
pub(super) fn used_bytes(conn: &Connection) -> Result<u64, Error> {
    Ok((pragma(conn, "page_count")? - pragma(conn, "freelist_count")?) * pragma(conn, "page_size")?)
}

/// Returns some free pages to the file system if there are many, and returns whether it did.
pub(super) fn vacuum_some(conn: &Connection) -> Result<bool, Error> {
    let (pages, free) = (pragma(conn, "page_count")?, pragma(conn, "freelist_count")?);
    if free <= pages / FREE_FRACTION {
        return Ok(false);
    }
    // For each freed page another page may have to move: at most 1 MiB goes through the log.
    sql::all(conn, "PRAGMA incremental_vacuum(64)", [], |_| Ok(()))?;
    Ok(true)
}

fn pragma(conn: &Connection, name: &str) -> Result<u64, Error> {
    Ok(sql::value::<i64>(conn, &format!("PRAGMA {name}"), [])?.unsigned_abs())
}
