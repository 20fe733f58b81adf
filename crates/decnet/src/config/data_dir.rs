//! The default data directory, and the check that other users cannot read a data directory.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::home::DIRECTORY_NAME;
use crate::trust::Trust;

/// The data directory of this host's services.
pub(crate) const SERVICES_DATA_DIR: &str = "/var/lib/decnet";
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Returns `/var/lib/decnet` if it is writable, else `~/.decnet`.
pub(super) fn fallback(home: &Path) -> PathBuf {
    let services = Path::new(SERVICES_DATA_DIR);
    let is_writable = services.is_dir() && access(services, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if is_writable { services.to_owned() } else { home.join(DIRECTORY_NAME) }
}

/// Returns a warning if the default data directory is not that of the services because this user cannot write there.
pub(super) fn fallback_warning(fallback: &Path) -> Option<String> {
    let (services, shown) = (SERVICES_DATA_DIR, fallback.display());
    (fallback != services && Path::new(services).is_dir()).then(|| {
        format!("this user may not access {services}, so {shown} is used; run with sudo to use the services' directory")
    })
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
