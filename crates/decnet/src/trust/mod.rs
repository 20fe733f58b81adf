//! The check whether a file or a directory is trusted. Anyone who can write or replace a settings file controls where secrets
//! are sent and who is an admin.
//!
//! A trusted file is a regular file that belongs to root or to the user of this process and is not writable by group or
//! others. The same must hold for its directory, and no other user may be able to replace a directory above. A directory above
//! may have the sticky bit (`/tmp`) if the next component belongs to a trusted user, since only its owner can rename it. The
//! directory of the file itself must not be sticky: other users can create links to files there.
//!
//! Root also trusts the user of the services below the services' directories, because both write files there.
//!
//! [`walk`](mod@walk) opens a path one component at a time and checks the opened descriptor, so that nothing can be replaced
//! between the check and the use.

mod services;
mod walk;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use decnet_runtime::foreign_access::{ForeignAccess, ROOT};

use self::services::Services;
use self::walk::{Goal, walk};

/// The users whose files are trusted.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// The user of this process.
    user: u32,
    /// The services, trusted below their directories; empty unless the user is root.
    services: Services,
}

/// The origin of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// A default location, where any user may have put a file. A symbolic link is not followed.
    Found,
    /// The command line, the environment or a trusted file. Symbolic links are followed if they are trusted themselves. The mode
    /// of files on read-only file systems is not checked: containers mount settings and secrets that way.
    Named,
}

/// The content of a trusted file.
pub(crate) struct Text {
    pub(crate) text: String,
    /// The permission bits.
    pub(crate) mode: u32,
}

/// The reason why a path is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Another user could have put the file there.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The file cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The component of a path that another user controls, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {why}", place.display())]
pub(crate) struct Untrusted {
    place: PathBuf,
    why: Why,
}

/// The reason why a component of a path is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Why {
    /// Another user owns or can write the component.
    #[error(transparent)]
    Foreign(#[from] ForeignAccess),
    /// The component is a symbolic link in a default location.
    #[error("is a symbolic link; replace it with the file itself")]
    Link,
    /// The component is not of the expected type.
    #[error("is not a {0}")]
    Kind(&'static str),
}

impl Default for Trust {
    /// Trusts only the user of this process.
    fn default() -> Self {
        Self { user: rustix::process::geteuid().as_raw(), services: Services::default() }
    }
}

impl Trust {
    /// Trusts the user of this process and, if it is root, the services that are installed on this host.
    pub(crate) fn of_this_process() -> Self {
        let alone = Self::default();
        let services = if alone.is_root() { Services::of_this_host() } else { Services::default() };
        Self { services, ..alone }
    }

    /// Also trusts a user of services below a directory.
    pub(crate) fn with_service(self, user: u32, directory: &Path) -> Self {
        Self { services: self.services.and(user, directory), ..self }
    }

    /// Returns the uid of this process.
    pub(crate) fn user(&self) -> u32 {
        self.user
    }

    pub(crate) fn is_root(&self) -> bool {
        self.user == ROOT
    }

    /// Opens a trusted file. A missing file is always [`Refused::Io`], even if its directories are not trusted.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn open(&self, path: &Path, given: Given) -> Result<File, Refused> {
        let file = walk(self, path, given, Goal::File)?;
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }

    /// Reads a trusted file of at most `max` bytes of UTF-8.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn read(&self, path: &Path, given: Given, max: u64) -> Result<Text, Refused> {
        let file = self.open(path, given)?;
        let mode = file.metadata()?.mode() & 0o7777;
        Ok(Text { text: read_at_most(file, max)?, mode })
    }

    /// Checks that no other user can write to a directory or replace it. A missing directory passes if no other user could
    /// create it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn check_directory(&self, path: &Path) -> Result<(), Refused> {
        walk(self, path, Given::Named, Goal::Directory).map(drop)
    }

    /// Checks that no other user can write to a file or replace it. A missing file passes if no other user could create it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn check_file(&self, path: &Path) -> Result<(), Refused> {
        match self.open(path, Given::Named) {
            Err(Refused::Io(error)) if error.kind() == io::ErrorKind::NotFound => self.check_directory(path),
            opened => opened.map(drop),
        }
    }

    /// Checks the owner of the file at `place`, a path without symbolic links.
    ///
    /// # Errors
    /// The file belongs to another user.
    pub(crate) fn owner(&self, uid: u32, place: &Path) -> Result<(), Untrusted> {
        if uid == ROOT || uid == self.user || self.services.own(uid, place) {
            return Ok(());
        }
        Err(Untrusted { place: place.to_owned(), why: ForeignAccess::Owner(uid).into() })
    }
}

/// Reads a file of at most `max` bytes of UTF-8.
///
/// # Errors
/// The file cannot be read, is larger or is not UTF-8.
pub(crate) fn read_at_most(file: File, max: u64) -> io::Result<String> {
    let text = io::read_to_string(file.take(max + 1))?;
    if text.len() as u64 > max {
        return Err(io::Error::other(format!("is larger than {max} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
