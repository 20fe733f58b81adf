//! Rescue: what a queue holds whose file is not in its place any more goes into a new file beside it. While such a file is there
//! no queue is opened, so that what is owed is not forgotten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::connection::{self, LOG_SUFFIX, beside};
use super::error::Error;
use crate::ownership::{directory_of, hand_over};

/// What follows the queue's own name in the name of a rescued file; the time follows.
const SUFFIX: &str = ".rescued-";
/// The end of the name of a rescued file that is not complete.
const PARTIAL: &str = ".partial";

/// Copies the open database into a new file beside `path`, readable by its owner alone, and returns its path. The file has its
/// name only once all of it is on the disk. A directory that was removed is made again with `make_dir`.
///
/// # Errors
/// The file cannot be written; nothing of it is left then.
pub(super) fn rescue(
    conn: &Connection,
    path: &Path,
    at: UnixMicros,
    make_dir: bool,
) -> Result<PathBuf, Error> {
    let dir = directory_of(path);
    let target = beside(path, &format!("{SUFFIX}{}", stamp(at)));
    let partial = beside(&target, PARTIAL);
    if make_dir {
        make_directory(dir).map_err(|error| Error::io(dir, error))?;
    }
    let copied = copy(conn, &partial, &target);
    if copied.is_err()
        && let Err(error) = fs::remove_file(&partial)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, file = %partial.display(), "cannot remove a copy that is not complete");
    }
    copied.map(|()| target)
}

fn copy(conn: &Connection, partial: &Path, target: &Path) -> Result<(), Error> {
    let dir = directory_of(target);
    let io = |error| Error::io(partial, error);
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(io)?;
    hand_over(&new, dir).map_err(io)?;
    let name = partial.to_str().ok_or_else(|| io(io::Error::other("its name is not UTF-8")))?;
    conn.execute("VACUUM INTO ?1", [name]).map_err(|error| Error::from(error).at(partial))?;
    new.sync_all().map_err(io)?;
    fs::rename(partial, target).map_err(io)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

/// Makes the data directory again, if it was removed or renamed.
fn make_directory(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// `20261130T142500Z`.
fn stamp(at: UnixMicros) -> String {
    let time: String = at.to_iso8601().chars().take("2026-11-30T14:25:00".len()).collect();
    format!("{}Z", time.replace(['-', ':'], ""))
}

/// Checks that a worker would not refuse to start in `dir` because of the remains of a queue.
///
/// # Errors
/// [`Error::Rescued`], [`Error::OrphanedLog`], or a directory that cannot be read.
pub fn check_remains(dir: &Path) -> Result<(), Error> {
    refuse_remains(&connection::path(dir))
}

/// Refuses to open a queue at `path` beside something that it would hide: a rescued queue, or the log of one whose database is
/// missing.
///
/// # Errors
/// [`Error::Rescued`], [`Error::OrphanedLog`], or a directory that cannot be read.
pub(super) fn refuse_remains(path: &Path) -> Result<(), Error> {
    if let Some(rescued) = find(path)? {
        return Err(Error::Rescued { path: path.into(), rescued });
    }
    let log = beside(path, LOG_SUFFIX);
    let has_log = log.metadata().is_ok_and(|log| log.len() > 0);
    if has_log && !path.exists() { Err(Error::OrphanedLog { path: path.into(), log }) } else { Ok(()) }
}

/// Returns the newest rescued file beside `path`.
fn find(path: &Path) -> Result<Option<PathBuf>, Error> {
    let dir = directory_of(path);
    let prefix = beside(path, SUFFIX);
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
    fn a_rescued_file_is_named_after_its_time() {
        assert_eq!(stamp(UnixMicros(1_776_988_800_123_456)), "20260424T000000Z");
    }
}
