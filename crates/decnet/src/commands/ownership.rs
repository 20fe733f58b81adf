//! Root's hand is not to be seen: a file that root makes in the services' directory is theirs, or they could not open it.

use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

/// Gives files that we have made to the owner of the directory that each is in; a missing one is passed over. Does nothing
/// unless root asks.
///
/// # Errors
/// A file that cannot be given away.
pub(crate) fn settle<'a>(paths: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for path in paths.into_iter().filter(|path| path.exists()) {
        let owner = path.parent().unwrap_or(Path::new(".")).metadata()?;
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}
