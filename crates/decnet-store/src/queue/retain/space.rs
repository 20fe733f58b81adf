//! How much of the file is in use, and what of it the disk gets back.

use rusqlite::Connection;

use super::super::error::Error;

/// Free pages up to this part of the file stay for what comes next.
const FREE_FRACTION: u64 = 4;

pub(super) fn used_bytes(conn: &Connection) -> Result<u64, Error> {
    Ok((pragma(conn, "page_count")? - pragma(conn, "freelist_count")?) * pragma(conn, "page_size")?)
}

/// Gives some free pages back to the disk where they are many; false if they are few.
pub(super) fn give_back(conn: &Connection) -> Result<bool, Error> {
    let (pages, free) = (pragma(conn, "page_count")?, pragma(conn, "freelist_count")?);
    if free <= pages / FREE_FRACTION {
        return Ok(false);
    }
    // Each page may have to be moved: 1 MiB at most goes through the log.
    let mut vacuum = conn.prepare_cached("PRAGMA incremental_vacuum(64)")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}

fn pragma(conn: &Connection, name: &str) -> Result<u64, Error> {
    let value: i64 = conn.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))?;
    Ok(value.unsigned_abs())
}
