//! Detects that files of an open queue were removed, replaced or moved. When the process ends, writes to such
//! files are lost or are in another directory.

use std::path::{Path, PathBuf};
use std::time::Instant;

use decnet_core::limits::QUEUE_FILES_CHECK_INTERVAL;

use super::connection::{LOG_SUFFIX, with_suffix};
use crate::file_identity::{FileId, OpenedFile};
use crate::ownership::directory_of;

/// SQLite's index of the write-ahead log.
const INDEX_SUFFIX: &str = "-shm";

/// The identities of a queue's files when it was opened.
#[derive(Debug)]
pub(super) struct QueueFiles {
    database: OpenedFile,
    /// The write-ahead log and its index.
    log: [OpenedFile; 2],
    next_check: Instant,
}

impl QueueFiles {
    /// Records the log of an open queue. Call this after the first write, so that the log exists. `database` must have been
    /// recorded before the database was opened.
    pub(super) fn new(database: OpenedFile) -> Self {
        let log =
            [LOG_SUFFIX, INDEX_SUFFIX].map(|suffix| OpenedFile::of(&with_suffix(&database.path, suffix)));
        Self { database, log, next_check: Instant::now() }
    }

    /// Checks the files if the last check was at least [`QUEUE_FILES_CHECK_INTERVAL`] ago. Describes the first displaced one.
    pub(super) fn check_if_due(&mut self) -> Option<String> {
        let now = Instant::now();
        if now < self.next_check {
            return None;
        }
        self.next_check = now + QUEUE_FILES_CHECK_INTERVAL;
        self.check()
    }

    /// Checks the files. Describes the first displaced one.
    pub(super) fn check(&self) -> Option<String> {
        let files = std::iter::once(&self.database).chain(&self.log);
        let mut displaced = files.filter(|origin| origin.file.is_some() && origin.is_displaced());
        displaced.next().map(describe)
    }

    /// Returns the path of the database.
    pub(super) fn path(&self) -> &Path {
        &self.database.path
    }

    /// Returns the directory to which the database and its log were moved together, if they were. In that case nothing is lost.
    pub(super) fn moved_together(&self) -> Option<PathBuf> {
        let path = self.database.file?.current_path()?;
        let has_log = self.log.iter().all(|origin| {
            let name = origin.path.file_name().unwrap_or_default();
            origin.file.is_some() && origin.file == FileId::of(&path.with_file_name(name))
        });
        let has_same_name = path.file_name() == self.path().file_name();
        (has_log && has_same_name && path != self.path()).then(|| directory_of(&path).to_owned())
    }

    /// Removes the log of a database that is no longer at its path, because SQLite would apply it to the next database there.
    /// Does not remove the log of another database.
    pub(super) fn remove_orphaned_log(&self) {
        if self.database.is_current() {
            return;
        }
        for origin in self.log.iter().filter(|origin| origin.is_current()) {
            if let Err(error) = std::fs::remove_file(&origin.path) {
                let file = origin.path.display();
                tracing::warn!(%error, %file, "cannot remove the log of a removed queue; remove it");
            }
        }
    }
}

/// Names a displaced file and how it was displaced.
fn describe(origin: &OpenedFile) -> String {
    let file = origin.path.display();
    match origin.file.and_then(FileId::current_path) {
        Some(path) => format!("{file} was moved to {}", path.display()),
        None if origin.path.exists() => format!("{file} was replaced by another file"),
        None => format!("{file} was removed"),
    }
}
