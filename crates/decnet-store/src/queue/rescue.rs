//! Rescue: saves the content of a queue whose file was displaced to a new file in the directory of the queue. While such a file
//! exists, no queue is opened, so that its deliveries are not lost.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::connection::{self, LOG_SUFFIX, with_suffix};
use super::error::Error;
use crate::ownership::{create_private, directory_of};

/// The suffix of a rescued file, before the time.
const SUFFIX: &str = ".rescued-";
/// The additional suffix of a rescued file that is not complete.
const PARTIAL_SUFFIX: &str = ".partial";

/// Copies the open database into a new file in the directory of `path`, readable only by its owner, and returns its path. The
/// file gets its final name only after a sync. With `make_dir`, a removed directory is created again.
///
/// # Errors
/// The file cannot be written. The incomplete file is removed.
pub(super) fn rescue(
    conn: &Connection,
    path: &Path,
    at: UnixMicros,
    make_dir: bool,
) -> Result<PathBuf, Error> {
    let dir = directory_of(path);
    let target = with_suffix(path, &format!("{SUFFIX}{}", timestamp(at)));
    let partial = with_suffix(&target, PARTIAL_SUFFIX);
    if make_dir {
        make_directory(dir).map_err(|error| Error::io(dir, error))?;
    }
    let copied = copy(conn, &partial, &target);
    if copied.is_err()
        && let Err(error) = fs::remove_file(&partial)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, file = %partial.display(), "cannot remove an incomplete copy of the queue; remove it");
    }
    copied.map(|()| target)
}

fn copy(conn: &Connection, partial: &Path, target: &Path) -> Result<(), Error> {
    let dir = directory_of(target);
    let io = |error| Error::io(partial, error);
    let new = create_private(partial).map_err(io)?;
    let name = partial.to_str().ok_or_else(|| io(io::Error::other("the path is not valid UTF-8")))?;
    conn.execute("VACUUM INTO ?1", [name]).map_err(|error| Error::from(error).at(partial))?;
    new.sync_all().map_err(io)?;
    fs::rename(partial, target).map_err(io)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

/// Creates the data directory again if it was removed or renamed.
fn make_directory(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Formats a time for a file name, for example `20261130T142500Z`.
fn timestamp(at: UnixMicros) -> String {
    let time: String = at.to_iso8601().chars().take("2026-11-30T14:25:00".len()).collect();
    format!("{}Z", time.replace(['-', ':'], ""))
}

/// Checks that `dir` has no remains of a queue that would prevent a worker from starting.
///
/// # Errors
/// [`Error::Rescued`], [`Error::OrphanedLog`], or a directory that cannot be read.
pub fn check_remains(dir: &Path) -> Result<(), Error> {
    reject_remains(&connection::path(dir))
}

/// Returns an error if the directory of `path` has a rescued queue, or a log without its database. A new queue would hide them.
///
/// # Errors
/// [`Error::Rescued`], [`Error::OrphanedLog`], or a directory that cannot be read.
pub(super) fn reject_remains(path: &Path) -> Result<(), Error> {
    if let Some(rescued) = find_rescued(path)? {
        return Err(Error::Rescued { path: path.into(), rescued });
    }
    let log = with_suffix(path, LOG_SUFFIX);
    let has_log = log.metadata().is_ok_and(|log| log.len() > 0);
    if has_log && !path.exists() { Err(Error::OrphanedLog { path: path.into(), log }) } else { Ok(()) }
}

/// Returns the newest rescued file of the queue at `path`.
fn find_rescued(path: &Path) -> Result<Option<PathBuf>, Error> {
    let dir = directory_of(path);
    let prefix = with_suffix(path, SUFFIX);
    let prefix = prefix.file_name().unwrap_or_default().as_encoded_bytes();
    let files = match fs::read_dir(dir) {
        Ok(files) => files.flatten(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(dir, error)),
    };
    let rescued = files
        .map(|entry| entry.path())
        .filter(|file| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix)));
    Ok(rescued.max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_has_second_precision() {
        assert_eq!(timestamp(UnixMicros(1_776_988_800_123_456)), "20260424T000000Z");
    }
}
