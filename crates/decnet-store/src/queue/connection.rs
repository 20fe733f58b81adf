//! Connections to `queue.db`, one kind for each use.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_core::limits::{MAX_WAL_BYTES, WAL_HELD_GRACE};
use rusqlite::{Connection, OpenFlags};

use super::error::Error;
use super::rescue::reject_remains;
use super::schema;
use super::times::forget_time;
use crate::sql;
use decnet_runtime::clock::Clock;

const FILE: &str = "queue.db";
/// The suffix of a database's write-ahead log.
pub(super) const LOG_SUFFIX: &str = "-wal";
/// The page size. Compared with 4 KiB pages, the CPU time per row is half, because bodies seldom overflow and fewer pages are
/// split.
const PAGE_BYTES: u32 = 16 * 1024;
/// The writer's page cache in KiB. With a backlog, admissions, claims and settlements touch different pages; this is enough
/// for all of them. Allocated on demand.
const CACHE_KIB: i64 = 32 * 1024;
/// The number of cached statements, more than the writer uses.
const CACHED_STATEMENTS: usize = 64;

/// Options for opening a queue.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time for which a transaction waits for the lock of another process before the queue counts as degraded.
    pub busy_timeout: Duration,
    /// The maximum size of the file, in pages of 16 KiB. At the bound all writes wait, as on a full disk.
    pub max_pages: Option<u32>,
    /// The time for which the write-ahead log may stay at its bound before a warning says that a reader holds it.
    pub wal_held_grace: Duration,
    /// The worker's clock.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
            wal_held_grace: WAL_HELD_GRACE,
            clock: Clock::default(),
        }
    }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Appends a suffix to the file name of `path`.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Creates an empty file for a queue, readable only by its owner, unless the file exists.
pub(super) fn create_file(path: &Path) -> Result<(), Error> {
    let create = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    create.map(drop).map_err(|error| Error::io(path, error))
}

/// Opens the writer's connection to an existing file, and migrates the schema.
pub(super) fn open_writer(path: &Path, options: &Options) -> Result<Connection, Error> {
    let mut conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options.busy_timeout)?;
    if !schema::is_new(&conn).map_err(|error| Error::opening(path, error))? {
        // Checked before any change: the file may belong to another program.
        schema::check(&conn, path)?;
    }
    configure(&conn, options).map_err(|error| Error::opening(path, error))?;
    schema::migrate(&mut conn, path)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(conn)
}

/// Checks that a copy is a queue that this program can read or migrate.
///
/// # Errors
/// The reason why it cannot.
pub fn verify_copy(path: &Path) -> Result<(), Error> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, Options::default().busy_timeout)?;
    schema::check(&conn, path).map(drop)
}

/// Prepares a copy of a queue for use: removes the trusted reading, because the time since the copy is not time during which the
/// machine was off.
///
/// # Errors
/// The file cannot be written.
pub fn prepare_copy(path: &Path) -> Result<(), Error> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, Options::default().busy_timeout)?;
    Ok(forget_time(&conn)?)
}

/// Opens an additional writing connection to an existing queue.
pub(super) fn open_second(path: &Path, busy_timeout: Duration) -> Result<Connection, Error> {
    let conn = open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// Opens a read-only connection to an existing queue.
pub(super) fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, Error> {
    open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY, busy_timeout)
}

fn open_existing(path: &Path, access: OpenFlags, busy_timeout: Duration) -> Result<Connection, Error> {
    if !path.try_exists().map_err(|error| Error::io(path, error))? {
        reject_remains(path)?;
        return Err(Error::NoQueue(path.into()));
    }
    let conn = open(path, access, busy_timeout)?;
    if schema::is_new(&conn).map_err(|error| Error::opening(path, error))? {
        return Err(Error::NoQueue(path.into()));
    }
    if schema::check(&conn, path)? < schema::OURS {
        return Err(Error::OlderSchema(path.into()));
    }
    Ok(conn)
}

fn open(path: &Path, access: OpenFlags, busy_timeout: Duration) -> Result<Connection, Error> {
    sql::open(path, access, busy_timeout).map_err(|error| Error::opening(path, error))
}

fn configure(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Page size and vacuum mode take effect only before the first table is created, and must precede the journal mode.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", MAX_WAL_BYTES)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // Deleted content is overwritten with zeros where that writes no additional page.
    conn.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}
