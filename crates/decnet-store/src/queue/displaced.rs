//! Whether the files of an open queue are still where they were opened. What is written to files that were removed, replaced or
//! moved is gone, or out of sight, when the process ends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use decnet_core::limits::QUEUE_FILES_CHECK_INTERVAL;

use super::connection::{LOG_SUFFIX, beside};
use crate::origin::{FileId, Origin};
use crate::ownership::directory_of;

/// SQLite's index of the write-ahead log.
const INDEX_SUFFIX: &str = "-shm";

/// The files of a queue, as they were when it was opened.
#[derive(Debug)]
pub(super) struct QueueFiles {
    database: Origin,
    /// The write-ahead log and its index.
    log: [Origin; 2],
    next_check: Instant,
}

/// What became of a file of an open queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Displacement {
    file: PathBuf,
    change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Removed,
    Replaced,
    MovedTo(PathBuf),
}

impl QueueFiles {
    /// Notes the log of a queue that is open and was written to, so that its log exists. `database` was noted before it was
    /// opened.
    pub(super) fn new(database: Origin) -> Self {
        let log = [LOG_SUFFIX, INDEX_SUFFIX].map(|suffix| Origin::of(&beside(database.path(), suffix)));
        Self { database, log, next_check: Instant::now() }
    }

    /// Looks at the files, if the last time was [`QUEUE_FILES_CHECK_INTERVAL`] ago; returns what became of the first one that is
    /// not in its place.
    pub(super) fn check_if_due(&mut self) -> Option<Displacement> {
        let now = Instant::now();
        if now < self.next_check {
            return None;
        }
        self.next_check = now + QUEUE_FILES_CHECK_INTERVAL;
        self.check()
    }

    /// Looks at the files; returns what became of the first one that is not in its place.
    pub(super) fn check(&self) -> Option<Displacement> {
        let files = std::iter::once(&self.database).chain(&self.log);
        let mut displaced = files.filter(|origin| origin.file().is_some() && origin.is_displaced());
        displaced.next().map(Displacement::of)
    }

    /// The path of the database.
    pub(super) fn path(&self) -> &Path {
        self.database.path()
    }

    /// Returns the directory that holds the database and its log now, if that is another one: then nothing is lost.
    pub(super) fn moved_together(&self) -> Option<PathBuf> {
        let path = self.database.file()?.current_path()?;
        let has_log = self.log.iter().all(|origin| {
            let name = origin.path().file_name().unwrap_or_default();
            origin.file().is_some() && origin.file() == FileId::of(&path.with_file_name(name))
        });
        let is_named_so = path.file_name() == self.path().file_name();
        (has_log && is_named_so && path != self.path()).then(|| directory_of(&path).to_owned())
    }

    /// Removes the log at the path of a database that is not there any more: SQLite would apply it to the next one. A log of
    /// another database stays.
    pub(super) fn remove_orphaned_log(&self) {
        if self.database.is_current() {
            return;
        }
        for origin in self.log.iter().filter(|origin| origin.is_current()) {
            if let Err(error) = std::fs::remove_file(origin.path()) {
                let file = origin.path().display();
                tracing::warn!(%error, %file, "cannot remove the log of a queue that is not there any more; remove it");
            }
        }
    }
}

impl Displacement {
    fn of(origin: &Origin) -> Self {
        let change = match origin.file().and_then(FileId::current_path) {
            Some(path) => Change::MovedTo(path),
            None if origin.path().exists() => Change::Replaced,
            None => Change::Removed,
        };
        Self { file: origin.path().to_owned(), change }
    }
}

impl fmt::Display for Displacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.change {
            Change::Removed => write!(f, "{file} was removed"),
            Change::Replaced => write!(f, "{file} was replaced by another file"),
            Change::MovedTo(path) => write!(f, "{file} was moved to {}", path.display()),
        }
    }
}
