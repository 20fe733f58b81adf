//! Decides whether a file or a directory is trusted: whoever can write a file of settings, or replace it, decides where secrets
//! go and who is an admin.
//!
//! A file is trusted if it is a regular file, belongs to root or to the user of this process, and cannot be written by group
//! or others; if the same holds for its directory; and if nobody else can put another directory in the place of one above.
//! A directory above with the sticky bit (`/tmp`) is fine if what lies in it on the way belongs to a trusted user, since only
//! its owner can rename that. The directory of the file itself must not be sticky: links to files of others can be made there.
//!
//! Root trusts the user of the services too, below the services' directories: they work on those files together.
//!
//! [`walk`](mod@walk) opens a path one component at a time and checks what it has opened, so that nothing can be exchanged
//! between the check and the use.

mod services;
mod walk;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use self::services::Services;
use self::walk::{Goal, Reached, walk};

/// Root's number.
const ROOT: u32 = 0;
/// Permission bits by which group or others may write.
const WRITABLE: u32 = 0o022;
/// In a directory with this bit only the owner of something can rename or remove it.
const STICKY: u32 = 0o1000;

/// The users whose files are trusted.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// The user of this process.
    user: u32,
    /// Trusted below their directories; none unless the user is root.
    services: Services,
}

/// How a path has become known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// It was searched for in a place where any user may have put it. A symbolic link is not followed.
    Found,
    /// The command line, the environment or a trusted file names it. Links are followed if they are trusted themselves, and
    /// what lies on a file system that is mounted read-only needs no tight mode: containers mount settings and secrets so.
    Named,
}

/// A file that was read.
pub(crate) struct Text {
    pub(crate) text: String,
    /// Its permission bits.
    pub(crate) mode: u32,
}

/// Why a path is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Another user could have put it there.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why another user could have put a path there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {why}", place.display())]
pub(crate) struct Untrusted {
    place: PathBuf,
    why: Why,
}

/// What is wrong with a component of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It belongs to another user.
    Owner(u32),
    /// Group or others may write it; its permission bits.
    Writable(u32),
    /// It is a symbolic link that was not asked for.
    Link,
    /// It is something else than a file, or than a directory.
    Kind(&'static str),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(uid) => {
                write!(f, "belongs to another user (uid {uid}); chown it, or run as that user")
            }
            Self::Writable(mode) => {
                // A directory that is open to everybody must stay so.
                let advice = if mode & STICKY == 0 {
                    "chmod go-w it"
                } else {
                    "the sticky bit does not suffice; use a directory that others cannot write"
                };
                write!(f, "can be written by others (mode {:04o}); {advice}", mode & 0o7777)
            }
            Self::Link => f.write_str("is a symbolic link; put the file itself there"),
            Self::Kind(expected) => write!(f, "is not a {expected}"),
        }
    }
}

impl Default for Trust {
    /// The user of this process alone.
    fn default() -> Self {
        Self { user: rustix::process::geteuid().as_raw(), services: Services::default() }
    }
}

impl Trust {
    /// The user of this process and, for root, the services that are installed on this host.
    pub(crate) fn of_this_process() -> Self {
        let alone = Self::default();
        let services = if alone.is_root() { Services::of_this_host() } else { Services::default() };
        Self { services, ..alone }
    }

    /// Root, and one user of services below one directory.
    pub(crate) fn with_service(self, user: u32, directory: &Path) -> Self {
        Self { services: self.services.and(user, directory), ..self }
    }

    /// The same without any user of services.
    pub(crate) fn without_services(self) -> Self {
        Self { services: Services::default(), ..self }
    }

    /// The user of this process.
    pub(crate) fn user(&self) -> u32 {
        self.user
    }

    pub(crate) fn is_root(&self) -> bool {
        self.user == ROOT
    }

    /// Opens a trusted file. A path without a file is [`Refused::Io`], wherever it leads.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn open(&self, path: &Path, given: Given) -> Result<File, Refused> {
        match walk(self, path, given, Goal::File)? {
            Reached::File(file) => Ok(file),
            Reached::Directory | Reached::Nothing => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }

    /// Reads a trusted file of at most `max` bytes of UTF-8.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn read(&self, path: &Path, given: Given, max: u64) -> Result<Text, Refused> {
        let file = self.open(path, given)?;
        let mode = rustix::fs::fstat(&file).map_err(io::Error::from)?.st_mode & 0o7777;
        let mut text = String::new();
        file.take(max + 1).read_to_string(&mut text)?;
        if text.len() as u64 > max {
            return Err(io::Error::other(format!("is larger than {max} bytes")).into());
        }
        Ok(Text { text, mode })
    }

    /// Checks a directory, which others must not be able to write or to put another in the place of. What does not exist is
    /// fine if nobody else could make it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn check_directory(&self, path: &Path) -> Result<(), Refused> {
        walk(self, path, Given::Named, Goal::Directory).map(drop)
    }

    /// Checks the owner of something at this place, whose links are resolved.
    ///
    /// # Errors
    /// It belongs to another user.
    pub(crate) fn owner(&self, uid: u32, place: &Path) -> Result<(), Untrusted> {
        if uid == ROOT || uid == self.user || self.services.own(uid, place) {
            return Ok(());
        }
        Err(Untrusted { place: place.to_owned(), why: Why::Owner(uid) })
    }
}

#[cfg(test)]
mod tests;
