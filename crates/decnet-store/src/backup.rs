//! Backup and restore: consistent copies of catalog and queue, made while others work on them, and the way back.
//!
//! A copy is SQLite's own (`VACUUM INTO`): what was committed when it began, without free pages. Copy the queue first,
//! then the catalog: a delivery whose subscription the catalog does not have counts as one to a deleted subscription.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::queue::{self, Lease};

/// How long another process's lock is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be made or used.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("{} cannot be copied: {source}", path.display())]
    Sqlite {
        /// Which database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A copy that is damaged.
    #[error("{} is damaged, or no database at all: {found}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite found.
        found: String,
    },
}

/// Copies the database `source` as it is now into the new file `target`, readable by its owner alone. Blocks as long as
/// that takes; others read and write meanwhile.
///
/// # Errors
/// See [`Error`]; a target that is there already is one.
pub fn copy(source: &Path, target: &Path) -> Result<(), Error> {
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
    new.map_err(|error| Error::Io { path: target.into(), source: error })?;
    let sqlite = |error| Error::Sqlite { path: source.into(), source: error };
    let conn = open(source, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite)?;
    let target = target.to_str().ok_or_else(|| Error::Io {
        path: target.into(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "its name is no UTF-8"),
    })?;
    conn.execute("VACUUM INTO ?1", [target]).map(drop).map_err(sqlite)
}

/// About how many bytes a copy of the database will have.
///
/// # Errors
/// See [`Error`].
pub fn size(source: &Path) -> Result<u64, Error> {
    let read = || {
        let conn = open(source, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
    };
    let bytes: rusqlite::Result<i64> = read();
    bytes.map(i64::unsigned_abs).map_err(|error| Error::Sqlite { path: source.into(), source: error })
}

/// Reads all of a copy, and says if it is damaged.
///
/// # Errors
/// See [`Error`].
pub fn verify(copy: &Path) -> Result<(), Error> {
    let read = || {
        let conn = open(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
    };
    match read() {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(Error::Damaged { path: copy.into(), found }),
        Err(error) => Err(Error::Damaged { path: copy.into(), found: error.to_string() }),
    }
}

/// Puts a whole copy into WAL mode, in which its original was: a copy has SQLite's default, and others could not read it
/// while one writes. A database says by two bytes of its header which it is (<https://www.sqlite.org/fileformat2.html>).
///
/// # Errors
/// The file cannot be written.
pub fn to_wal(copy: &File) -> io::Result<()> {
    const VERSIONS_AT: u64 = 18;
    const WAL: u8 = 2;
    copy.write_all_at(&[WAL; 2], VERSIONS_AT)
}

/// Is this copy a queue that this program can use?
///
/// # Errors
/// Why not.
pub fn verify_queue(copy: &Path) -> Result<(), queue::Error> {
    queue::verify(copy)
}

/// Makes a copy of a queue ready to be used: its clock is not compared with the time of the backup.
///
/// # Errors
/// The file cannot be written.
pub fn prepare_queue(copy: &Path) -> Result<(), queue::Error> {
    queue::forget_time(copy)
}

/// Keeps workers away from a data directory while something is put there.
///
/// # Errors
/// A worker runs there.
pub fn hold(data_dir: &Path) -> Result<Lease, queue::Error> {
    Lease::take(data_dir)
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(conn)
}
