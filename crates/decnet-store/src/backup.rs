//! Backup and restore of catalog and queue while other processes use them.
//!
//! `VACUUM INTO` makes a copy without free pages of what was committed when it began. Copy the queue first, then the
//! catalog: a delivery whose subscription is not in the catalog counts as a delivery to a deleted subscription.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::catalog::encryption_census;
use crate::sql;

/// Maximum wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An error of a backup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of the copy cannot be created.
    #[error("cannot create {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("cannot copy {}: {source}", path.display())]
    Sqlite {
        /// The database to be copied.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The copy is damaged.
    #[error("{} is damaged or not a SQLite database: {found}", path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// The result of SQLite's check.
        found: String,
    },
}

/// Copies the database `source` into the new file `target`, which only its owner may read. This blocks; other processes can read
/// and write during the copy.
///
/// # Errors
/// See [`Error`]. A `target` that exists is an error.
pub fn copy(source: &Path, target: &Path) -> Result<(), Error> {
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
    new.map_err(|error| Error::Io { path: target.into(), source: error })?;
    let sqlite = |error| Error::Sqlite { path: source.into(), source: error };
    let conn = open(source).map_err(sqlite)?;
    let target = target.to_str().ok_or_else(|| Error::Io {
        path: target.into(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "the path is not valid UTF-8"),
    })?;
    conn.execute("VACUUM INTO ?1", [target]).map(drop).map_err(sqlite)
}

/// Returns the approximate size of a copy of the database, in bytes.
///
/// # Errors
/// See [`Error`].
pub fn size(source: &Path) -> Result<u64, Error> {
    let read = || {
        let conn = open(source)?;
        let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
    };
    let bytes: rusqlite::Result<i64> = read();
    bytes.map(i64::unsigned_abs).map_err(|error| Error::Sqlite { path: source.into(), source: error })
}

/// Reads a copy completely and checks that it is not damaged.
///
/// # Errors
/// [`Error::Damaged`].
pub fn verify(copy: &Path) -> Result<(), Error> {
    let read = || sql::value::<String>(&open(copy)?, "PRAGMA integrity_check(1)", []);
    match read() {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(Error::Damaged { path: copy.into(), found }),
        Err(error) => Err(Error::Damaged { path: copy.into(), found: error.to_string() }),
    }
}

/// Returns the ids of the keys that have encrypted secrets of a copied catalog.
///
/// # Errors
/// The copy cannot be read.
pub fn encryption_keys(copy: &Path) -> Result<Vec<String>, Error> {
    let census = open(copy).and_then(|conn| encryption_census(&conn));
    let census = census.map_err(|source| Error::Sqlite { path: copy.into(), source })?;
    Ok(census.by_key.into_keys().collect())
}

/// Sets the WAL mode in the header of a copy (<https://www.sqlite.org/fileformat2.html>). `VACUUM INTO` writes SQLite's default
/// mode, in which a writer blocks readers.
///
/// # Errors
/// The file cannot be written.
pub fn set_wal_mode(copy: &File) -> io::Result<()> {
    const VERSIONS_AT: u64 = 18;
    const WAL: u8 = 2;
    copy.write_all_at(&[WAL; 2], VERSIONS_AT)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    sql::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, BUSY_TIMEOUT)
}
