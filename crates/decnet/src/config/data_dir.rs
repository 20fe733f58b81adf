//! The default data directory, and the check that other users cannot read a data directory.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::home::OURS;
use crate::trust::Trust;

const SYSTEM_DIR: &str = "/var/lib/decnet";
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Returns `/var/lib/decnet` if it is writable, else `~/.decnet`.
pub(crate) fn fallback(home: &Path) -> PathBuf {
    let is_writable =
        of_services().is_dir() && access(SYSTEM_DIR, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if is_writable { SYSTEM_DIR.into() } else { home.join(OURS) }
}

/// Returns the data directory of this host's services.
pub(crate) fn of_services() -> &'static Path {
    Path::new(SYSTEM_DIR)
}

/// Returns a warning if other users can read a data directory, or if it belongs to another user.
pub(super) fn exposure(path: &Path, trust: &Trust) -> Option<String> {
    let (shown, metadata) = (path.display(), path.metadata().ok().filter(std::fs::Metadata::is_dir)?);
    if let Err(why) = trust.owner(metadata.uid(), &path.canonicalize().ok()?) {
        return Some(format!("the data directory {why}"));
    }
    let mode = metadata.mode() & 0o7777;
    (mode & OTHERS != 0).then(|| {
        format!("the data directory {shown} is accessible to other users (mode {mode:04o}) and contains all secrets; run chmod 0700 on it")
    })
}
