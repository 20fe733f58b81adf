//! Where the data goes when nothing says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

const SYSTEM_DIR: &str = "/var/lib/decnet";
const HOME_DIR: &str = ".decnet";

/// `/var/lib/decnet` where it can be written, else `~/.decnet`, else `.decnet` beside us.
pub(crate) fn fallback(environment: &BTreeMap<String, String>) -> PathBuf {
    if is_writable_dir(Path::new(SYSTEM_DIR)) {
        return SYSTEM_DIR.into();
    }
    let home = environment.get("HOME").map(Path::new).unwrap_or(Path::new(""));
    home.join(HOME_DIR)
}

fn is_writable_dir(path: &Path) -> bool {
    path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}
