//! Which file a connection has open: its path may lead to another one meanwhile.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file that a path led to when it was opened.
#[derive(Debug)]
pub(crate) struct Origin {
    path: PathBuf,
    /// Device and inode: no other file has both while this one is open.
    file: Option<(u64, u64)>,
}

impl Origin {
    /// To be taken before the file is opened: where it is replaced between the two, the path leads to another one than
    /// is noted here.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file(path) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does the path still lead there? A file that was moved away can be read and written as before, and nobody else
    /// looks at it.
    pub(crate) fn is_current(&self) -> bool {
        self.file.is_some() && self.file == file(&self.path)
    }
}

fn file(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
