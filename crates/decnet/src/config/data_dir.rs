//! Where the data goes when nothing says so.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

const SYSTEM_DIR: &str = "/var/lib/decnet";
const HOME_DIR: &str = ".decnet";

/// `/var/lib/decnet` where it can be written, else `~/.decnet`, else `.decnet` beside us.
pub(crate) fn fallback(home: &Path) -> PathBuf {
    if is_writable_dir(Path::new(SYSTEM_DIR)) { SYSTEM_DIR.into() } else { home.join(HOME_DIR) }
}

/// Where this host's services keep theirs.
pub(crate) fn of_services() -> &'static Path {
    Path::new(SYSTEM_DIR)
}

fn is_writable_dir(path: &Path) -> bool {
    path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}
