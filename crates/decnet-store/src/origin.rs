//! Which file a connection has open: its path may lead to another one meanwhile.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Device and inode of a file: no other file has both while this one is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// The file that a path led to when it was opened.
#[derive(Debug)]
pub(crate) struct Origin {
    path: PathBuf,
    file: Option<FileId>,
}

impl FileId {
    /// Returns the file that `path` leads to; `None` if there is none, or it cannot be looked at.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::find(path).ok().flatten()
    }

    fn find(path: &Path) -> io::Result<Option<Self>> {
        match path.metadata() {
            Ok(metadata) => Ok(Some(Self { device: metadata.dev(), inode: metadata.ino() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the path that leads to this file, which the process has open; `None` if it was removed.
    pub(crate) fn current_path(self) -> Option<PathBuf> {
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?;
        let mut links = open_files.flatten().map(|entry| entry.path());
        let link = links.find(|link| Self::of(link) == Some(self))?;
        std::fs::read_link(link).ok().filter(|path| Self::of(path) == Some(self))
    }
}

impl Origin {
    /// Notes the file at `path`. To be called before the file is opened: if it is replaced in between, the path then leads to
    /// another file than was noted.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: FileId::of(path) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> Option<FileId> {
        self.file
    }

    /// Returns whether the path still leads to the file. One that was moved away can be read and written as before, and nobody
    /// else sees that.
    pub(crate) fn is_current(&self) -> bool {
        self.file.is_some() && self.file == FileId::of(&self.path)
    }

    /// Returns whether the path surely does not lead to the file any more. One that cannot be looked at now may.
    pub(crate) fn is_displaced(&self) -> bool {
        FileId::find(&self.path).is_ok_and(|found| found != self.file)
    }
}
