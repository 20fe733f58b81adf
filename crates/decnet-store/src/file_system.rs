//! Detection of read-only file systems.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::ownership::directory_of;

/// Returns the mount point of the file system of `path` if it is read-only. SQLite does not distinguish a read-only file system
/// from missing permissions.
///
/// For a path that does not exist, the file system of its directory is used.
pub(crate) fn read_only_mount(path: &Path) -> Option<PathBuf> {
    let exists = path.try_exists().unwrap_or(false);
    let mut mount = if exists { path } else { directory_of(path) }.canonicalize().ok()?;
    if !is_read_only(&mount) {
        return None;
    }
    while let Some(parent) = mount.parent().filter(|parent| is_same_mount(parent, &mount)) {
        mount = parent.to_owned();
    }
    Some(mount)
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn is_same_mount(parent: &Path, child: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    is_read_only(parent) && device(parent) == device(child)
}

/// Returns whether SQLite may report a read-only file system with this error.
pub(crate) fn may_be_read_only(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, PermissionDenied, ReadOnly, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(ReadOnly | CannotOpen | SystemIoFailure | PermissionDenied))
}
