//! The identity of open files. The path of an open file may refer to another file by now.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The device and the inode of a file, which are unique while the file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// A path and the file to which it referred when it was opened.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    pub(crate) path: PathBuf,
    /// `None` if there was no file.
    pub(crate) file: Option<FileId>,
}

impl FileId {
    /// Returns the file to which `path` refers; `None` if there is no file or its metadata cannot be read.
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

    /// Returns the current path of this file, which the process has open; `None` if the file was removed.
    pub(crate) fn current_path(self) -> Option<PathBuf> {
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?;
        let mut links = open_files.flatten().map(|entry| entry.path());
        let link = links.find(|link| Self::of(link) == Some(self))?;
        std::fs::read_link(link).ok().filter(|path| Self::of(path) == Some(self))
    }
}

impl OpenedFile {
    /// Records the file at `path`. Call this before opening the file: a replacement in between is then detected.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: FileId::of(path) }
    }

    /// Returns whether the path still refers to the file. A file that was moved can still be read and written, but other
    /// processes do not see it.
    pub(crate) fn is_current(&self) -> bool {
        self.file.is_some() && self.file == FileId::of(&self.path)
    }

    /// Returns whether the path certainly no longer refers to the file: `false` if its metadata cannot be read.
    pub(crate) fn is_displaced(&self) -> bool {
        FileId::find(&self.path).is_ok_and(|found| found != self.file)
    }
}
