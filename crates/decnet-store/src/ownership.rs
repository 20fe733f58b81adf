//! Root's hand is not to be seen: a file that root makes in the services' directory is theirs, or they could not open it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

/// Gives a file that root has made to the owner of the directory that it is in, as SQLite itself does it with its files. By its
/// descriptor: whoever owns the directory may have put something else in its place.
///
/// # Errors
/// The directory cannot be looked at, or the file cannot be given away.
pub fn hand_over(file: &File, directory: &Path) -> io::Result<()> {
    let owner = directory.metadata()?;
    if file.metadata()?.uid() == 0 && owner.uid() != 0 {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// The directory that a file is in; that of a relative name without one is the working directory.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
