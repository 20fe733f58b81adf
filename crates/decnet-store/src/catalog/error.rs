//! What can go wrong with a catalog, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use decnet_core::subscription::Problem;
use rusqlite::ErrorCode;

use super::overlap::RotationError;
use crate::file_system::read_only_mount;

/// Why a catalog could not be opened, read or written. Shows no secret and no URL of a subscription.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file, and it was not to be created.
    #[error(
        "{path} does not exist; set DECNET_DB_URL to DECNET's database, or create the first subscription"
    )]
    Missing {
        /// The file that was asked for.
        path: Shown,
    },
    /// The file was removed while it was open.
    #[error("{path} was removed while it was in use; put it back")]
    Removed {
        /// Where it was.
        path: Shown,
    },
    /// The file was replaced, while it was open, by one without subscriptions.
    #[error(
        "{path} was replaced by a database without subscriptions while it was in use; put the right one back, or restart the \
         worker to go on without subscriptions"
    )]
    Emptied {
        /// The file.
        path: Shown,
    },
    /// The file cannot be created or looked at.
    #[error("cannot open {path}: {source}; check that its directory exists and that this user may use it")]
    File {
        /// The file that was asked for.
        path: Shown,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is no SQLite database; check DECNET_DB_URL")]
    NotADatabase {
        /// The file that was asked for.
        path: Shown,
    },
    /// A database of something else, or of a DECNET that has not made its tables yet.
    #[error(
        "{path} has no table webhook_subscriptions; check DECNET_DB_URL, or start DECNET once so that it makes its tables"
    )]
    NoTable {
        /// The file that was asked for.
        path: Shown,
    },
    /// A table of that name with other columns.
    #[error(
        "webhook_subscriptions in {path} has no column `{column}`; is this the database of another version?"
    )]
    NoColumn {
        /// The file that was asked for.
        path: Shown,
        /// The first column that is missing.
        column: &'static str,
    },
    /// A newer `decnet` keeps settings in this file that we could not honour.
    #[error(
        "{path} holds webhook settings of version {found}, this program knows up to {known}; use the newer decnet"
    )]
    Newer {
        /// The file that was asked for.
        path: Shown,
        /// The version of our tables in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Somebody else holds the write lock, longer than
    /// [`CATALOG_BUSY_TIMEOUT`](decnet_core::limits::CATALOG_BUSY_TIMEOUT).
    #[error("{path} is locked by another process; try again, and see who holds it with `fuser {path}`")]
    Busy {
        /// The file that was asked for.
        path: Shown,
    },
    /// This user may not write it, or not even read it.
    #[error(
        "no permission to use {path}; check who owns it and its directory, where SQLite keeps -wal and -shm"
    )]
    Permission {
        /// The file that was asked for.
        path: Shown,
    },
    /// The file system takes no writes.
    #[error(
        "cannot write {path}: the file system mounted at {mount} is read-only; remount it read-write, or keep the catalog elsewhere"
    )]
    ReadOnly {
        /// The file that was asked for.
        path: Shown,
        /// Where its file system is mounted.
        mount: Shown,
    },
    /// The disk is full.
    #[error("no space left for {path}; free some on that disk")]
    Full {
        /// The file that was asked for.
        path: Shown,
    },
    /// The file is damaged.
    #[error("{path} is damaged; restore a backup, or save what is left with `sqlite3 {path} .recover`")]
    Corrupt {
        /// The file that was asked for.
        path: Shown,
    },
    /// Anything else that SQLite says.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file that was asked for.
        path: Shown,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// Names are unique.
    #[error("there is a subscription named `{0}` already; choose another name, or update that one")]
    NameTaken(String),
    /// A new value that breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Problem),
    /// A new secret that cannot be rotated to.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// Neither a name nor a UUID nor the beginning of one.
    #[error("no subscription `{wanted}`{}", near_hint(near))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Names that look like it, nearest first.
        near: Vec<String>,
    },
    /// More than one subscription answers to it.
    #[error("`{wanted}` could be any of: {}; name one by its UUID", among.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Name and UUID of each.
        among: Vec<String>,
    },
    /// A newer `decnet` keeps tokens in this file whose rules we could not honour.
    #[error(
        "{path} holds API tokens of version {found}, this program knows up to {known}; use the newer decnet"
    )]
    NewerTokens {
        /// The file that was asked for.
        path: Shown,
        /// The version of the table in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A token cannot be called that.
    #[error("{0}")]
    TokenName(String),
    /// Names of tokens that are in use are unique.
    #[error("there is a token named `{0}` already; choose another name, or revoke that one first")]
    TokenNameTaken(String),
    /// As many tokens as there may be, and none of them revoked.
    #[error("there are {} tokens; revoke one that is no longer needed", decnet_core::limits::MAX_API_TOKENS)]
    TooManyTokens,
    /// Neither the name nor the id of a token.
    #[error("no token `{0}`; `decnet token list` shows all")]
    NoToken(String),
    /// It was taken back before.
    #[error("the token `{0}` is revoked already")]
    TokenRevoked(String),
}

/// A path as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(PathBuf);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

impl From<&Path> for Shown {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Error {
    /// The error of making or looking at a file.
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        match read_only_mount(path).filter(|_| source.kind() == io::ErrorKind::ReadOnlyFilesystem) {
            Some(mount) => Self::ReadOnly { path: path.into(), mount: (*mount).into() },
            None => Self::File { path: path.into(), source },
        }
    }

    /// Names what SQLite says, where something can be done about it.
    pub(super) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use ErrorCode::{CannotOpen, PermissionDenied, ReadOnly, SystemIoFailure};
        let code = source.sqlite_error_code();
        if matches!(code, Some(ReadOnly | CannotOpen | PermissionDenied | SystemIoFailure))
            && let Some(mount) = read_only_mount(path)
        {
            return Self::ReadOnly { path: path.into(), mount: (*mount).into() };
        }
        let path = Shown::from(path);
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ReadOnly | CannotOpen | PermissionDenied) => Self::Permission { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path },
            _ => Self::Sqlite { path, source },
        }
    }
}

fn near_hint(near: &[String]) -> String {
    if near.is_empty() {
        return "; `decnet subscription list` shows all".to_owned();
    }
    format!("; did you mean {}?", near.join(" or "))
}
