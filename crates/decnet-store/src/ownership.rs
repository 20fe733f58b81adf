//! The owner of files that root creates in the directories of the service. Without a change of the owner, the service could not
//! open them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

/// Changes the owner of a file that root created to the owner of its directory, as SQLite does with its own files. Uses the
/// descriptor, since the directory's owner may have replaced the file.
///
/// # Errors
/// The directory's metadata cannot be read, or the owner cannot be changed.
pub fn chown_to_parent(file: &File, directory: &Path) -> io::Result<()> {
    let owner = directory.metadata()?;
    if file.metadata()?.uid() == 0 && owner.uid() != 0 {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Creates a new file that only the owner of its directory can read and write.
///
/// # Errors
/// The file exists or cannot be created.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    chown_to_parent(&file, directory_of(path))?;
    Ok(file)
}

/// Returns the directory of a file: `.` for a name without a directory.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
