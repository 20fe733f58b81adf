//! Opening `queue.db`, in each of the ways it is used.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_core::limits::{LOG_HELD_PATIENCE, MAX_WAL_BYTES};
use rusqlite::{Connection, OpenFlags};

use super::error::Error;
use super::rescue::refuse_remains;
use super::schema;
use crate::clock::Clock;

const FILE: &str = "queue.db";
/// What follows the name of a database in the name of its write-ahead log.
pub(super) const LOG_SUFFIX: &str = "-wal";
/// Large pages: half the CPU per row of 4 KiB ones, since bodies seldom overflow and fewer pages are split.
const PAGE_BYTES: u32 = 16 * 1024;
/// Pages that the writer keeps, in KiB: enough for where it admits, where each busy lane claims, and where it settles,
/// which a backlog sets apart. Filled only as it is needed.
const CACHE_KIB: i64 = 32 * 1024;
/// Everything the writer does, with room.
const CACHED_STATEMENTS: usize = 64;

/// How to open a queue.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a transaction waits for another process's lock before the queue counts as degraded.
    pub busy_timeout: Duration,
    /// Hard bound on the file, in pages of 16 KiB: beyond it everything waits, as on a full disk.
    pub max_pages: Option<u32>,
    /// How long the write-ahead log may stay at its bound before a reader is blamed for it.
    pub log_patience: Duration,
    /// The clock that its worker goes by.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
            log_patience: LOG_HELD_PATIENCE,
            clock: Clock::default(),
        }
    }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Returns the path of a file whose name is that of `path` and a suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes an empty file for a queue, readable by its owner alone, unless there is one.
pub(super) fn make(path: &Path) -> Result<(), Error> {
    let create = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    create.map(drop).map_err(|error| Error::io(path, error))
}

/// Opens the writer's own connection to a file that exists, and brings it to our schema.
pub(super) fn open_writer(path: &Path, options: &Options) -> Result<Connection, Error> {
    let mut conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options.busy_timeout)?;
    if !schema::is_new(&conn).map_err(|error| Error::opening(path, error))? {
        // Before anything is changed: the file may be somebody else's.
        schema::check(&conn, path)?;
    }
    set_up(&conn, options).map_err(|error| Error::opening(path, error))?;
    schema::migrate(&mut conn, path)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(conn)
}

/// Is this file a queue that we can read, or bring to our schema?
pub(crate) fn verify(path: &Path) -> Result<(), Error> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, Options::default().busy_timeout)?;
    schema::check(&conn, path).map(drop)
}

/// A connection that writes to a copy that nobody else uses.
pub(super) fn open_copy(path: &Path) -> Result<Connection, Error> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, Options::default().busy_timeout)
}

/// A second connection that writes, to a queue that exists.
pub(super) fn open_second(path: &Path, busy_timeout: Duration) -> Result<Connection, Error> {
    let conn = open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// A connection that only reads a queue that exists.
pub(super) fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, Error> {
    open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY, busy_timeout)
}

fn open_existing(path: &Path, access: OpenFlags, busy_timeout: Duration) -> Result<Connection, Error> {
    if !path.try_exists().map_err(|error| Error::io(path, error))? {
        refuse_remains(path)?;
        return Err(Error::NoQueue { path: path.into() });
    }
    let conn = open(path, access, busy_timeout)?;
    if schema::is_new(&conn).map_err(|error| Error::opening(path, error))? {
        return Err(Error::NoQueue { path: path.into() });
    }
    if schema::check(&conn, path)? < schema::OURS {
        return Err(Error::OlderSchema { path: path.into() });
    }
    Ok(conn)
}

fn open(path: &Path, access: OpenFlags, busy_timeout: Duration) -> Result<Connection, Error> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|error| Error::opening(path, error))?;
    conn.busy_timeout(busy_timeout)?;
    Ok(conn)
}

fn set_up(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Page size and vacuum mode count only before the first table is made, the journal mode after them.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", MAX_WAL_BYTES)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // What is removed is zeroed where that writes no page that would not be written anyway.
    conn.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}
