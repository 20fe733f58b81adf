//! Errors of the catalog.

use std::io;
use std::path::{Path, PathBuf};

use decnet_core::subscription::Problem;
use rusqlite::ErrorCode;

use super::secret_rotation::RotationError;
use crate::file_system::{may_be_read_only, read_only_mount};

/// An error of opening, reading or writing a catalog. Contains no secret and no URL of a subscription.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not exist.
    #[error("{0} does not exist; set DECNET_DB_URL to DECNET's database, or create the first subscription")]
    Missing(PathBuf),
    /// The file was removed while it was open.
    #[error("{0} was removed while it was in use; restore it")]
    Removed(PathBuf),
    /// The file was replaced while it was open, and the new file has no subscriptions.
    #[error(
        "{0} was replaced by a database without subscriptions while it was in use; restore the right file, or restart \
         the worker to continue without subscriptions"
    )]
    Emptied(PathBuf),
    /// The file cannot be created, or its metadata cannot be read.
    #[error("cannot open {path}: {source}; check that its directory exists and that this user has access")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not a SQLite database.
    #[error("{0} is not a SQLite database; check DECNET_DB_URL")]
    NotADatabase(PathBuf),
    /// The database belongs to another program, or DECNET has not yet created its tables.
    #[error(
        "{0} has no table webhook_subscriptions; check DECNET_DB_URL, or start DECNET once to create its tables"
    )]
    NoTable(PathBuf),
    /// The table lacks a column.
    #[error(
        "webhook_subscriptions in {path} has no column `{column}`; check DECNET_DB_URL and the version of DECNET"
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The first column that is missing.
        column: &'static str,
    },
    /// A newer `decnet` wrote the extension table or the table of API tokens.
    #[error(
        "{path} contains {what} of version {found}, but this program supports versions up to {supported}; use the newer decnet"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The contents of the table.
        what: &'static str,
        /// The version of the table.
        found: i64,
        /// The newest version that this program supports.
        supported: i64,
    },
    /// Another process held the write lock for longer than
    /// [`CATALOG_BUSY_TIMEOUT`](decnet_core::limits::CATALOG_BUSY_TIMEOUT).
    #[error("{0} is locked by another process; retry, or find the process with `fuser {0}`")]
    Busy(PathBuf),
    /// This user may not read or write the file.
    #[error(
        "no permission to use {0}; check who owns the file and its directory, where SQLite creates -wal and -shm files"
    )]
    Permission(PathBuf),
    /// The file system is read-only.
    #[error(
        "cannot write {path}: the file system mounted at {mount} is read-only; remount it read-write, or move the catalog"
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// The mount point of the file system.
        mount: PathBuf,
    },
    /// The disk is full.
    #[error("no space left to write {0}; free space on that disk")]
    Full(PathBuf),
    /// The file is damaged.
    #[error("{0} is damaged; restore a backup, or recover data with `sqlite3 {0} .recover`")]
    Corrupt(PathBuf),
    /// Another error of SQLite.
    #[error("cannot use {path}: {}", reason(source))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The key file cannot be used, so secrets cannot be stored.
    #[error("cannot encrypt secrets: the key file cannot be used: {0}")]
    KeyFile(Box<str>),
    /// The catalog has encrypted secrets, and no key file is configured.
    #[error(
        "the catalog contains encrypted secrets, and DECNET_WEBHOOK_KEY_FILE is not set; set it to the key file, so that no \
         secret is stored unencrypted"
    )]
    NoKeyFile,
    /// Another subscription has this name.
    #[error("the subscription `{0}` already exists; choose another name, or update that subscription")]
    NameTaken(String),
    /// A value is invalid.
    #[error(transparent)]
    Invalid(#[from] Problem),
    /// The secret cannot be rotated.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// No subscription has this name, UUID or UUID prefix.
    #[error("there is no subscription `{wanted}`{}", similar_hint(similar))]
    NotFound {
        /// The name, UUID or prefix.
        wanted: String,
        /// Similar names, most similar first.
        similar: Vec<String>,
    },
    /// More than one subscription has this name or UUID prefix.
    #[error("`{wanted}` matches more than one subscription: {}; give a UUID", candidates.join(", "))]
    Ambiguous {
        /// The name, UUID or prefix.
        wanted: String,
        /// The name and the UUID of each subscription.
        candidates: Vec<String>,
    },
    /// The name of a token is invalid.
    #[error("{0}")]
    TokenName(String),
    /// Another active token has this name.
    #[error("the token `{0}` already exists; choose another name, or revoke that token first")]
    TokenNameTaken(String),
    /// The number of tokens is at its maximum, and none of them is revoked.
    #[error(
        "there are already {} tokens; revoke a token that is no longer needed",
        decnet_core::limits::MAX_API_TOKENS
    )]
    TooManyTokens,
    /// No token has this name or id.
    #[error("there is no token `{0}`; `decnet token list` shows all")]
    NoToken(String),
    /// The token was revoked before.
    #[error("the token `{0}` is already revoked")]
    TokenRevoked(String),
}

/// The reason why a transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Abort {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Rejected(#[from] Error),
}

impl Abort {
    /// Returns whether the reason is a secret that cannot be decrypted.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self, Self::Rejected(Error::Invalid(Problem::Encrypted { .. })))
    }

    /// Converts the reason to the error of a catalog at `path`.
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Sqlite(source) => Error::from_sqlite(path, source),
            Self::Rejected(error) => error,
        }
    }
}

/// Returns the reason for an SQLite error, without the text of the statement, which can be long.
fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

impl Error {
    /// Returns the error for a UUID that does not exist.
    pub(super) fn not_found(uuid: &str) -> Self {
        Self::NotFound { wanted: uuid.to_owned(), similar: Vec::new() }
    }

    /// Converts an error of creating a file or reading its metadata.
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        match read_only_mount(path).filter(|_| source.kind() == io::ErrorKind::ReadOnlyFilesystem) {
            Some(mount) => Self::ReadOnly { path: path.into(), mount },
            None => Self::File { path: path.into(), source },
        }
    }

    /// Converts an error of SQLite.
    pub(super) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
        if may_be_read_only(&source)
            && let Some(mount) = read_only_mount(path)
        {
            return Self::ReadOnly { path: path.into(), mount };
        }
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(path),
            Some(ErrorCode::NotADatabase) => Self::NotADatabase(path),
            Some(ReadOnly | CannotOpen | PermissionDenied) => Self::Permission(path),
            Some(ErrorCode::DiskFull) => Self::Full(path),
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt(path),
            _ => Self::Sqlite { path, source },
        }
    }
}

fn similar_hint(similar: &[String]) -> String {
    if similar.is_empty() {
        return "; `decnet subscription list` shows all".to_owned();
    }
    format!("; did you mean {}?", similar.join(" or "))
}
