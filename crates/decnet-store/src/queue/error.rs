//! The queue's errors, and the reaction of the writer to each error.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::DeliveryId;
use crate::file_system::{may_be_read_only, read_only_mount};

/// An error of the queue. It can be cloned, because one failed commit is the answer to many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be used.
    #[error("cannot use {path}; check that it exists and belongs to the user that runs decnet")]
    Io {
        /// The path of the file or directory.
        path: PathBuf,
        /// The cause.
        source: Arc<io::Error>,
    },
    /// SQLite cannot open or read the file.
    #[error("cannot open the queue {path}")]
    Open {
        /// The path of the database.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// Another process holds the lease.
    #[error(
        "another decnet worker ({}) uses this queue; stop it, or use another data directory",
        pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
    )]
    InUse {
        /// The process id that the owner wrote into the lock file.
        pid: Option<u32>,
    },
    /// The file system is mounted read-only.
    #[error(
        "cannot write {path}: the file system mounted at {mount} is read-only; remount it read-write, or use another data \
         directory"
    )]
    ReadOnly {
        /// The file that cannot be written.
        path: PathBuf,
        /// The mount point of its file system.
        mount: PathBuf,
    },
    /// A file of the queue was removed, replaced or moved while the worker ran; the queue's content was saved.
    #[error(
        "{displacement} while the worker ran; the content of the queue is saved in {rescued}. \
         To continue with it: rm -f {path}-wal {path}-shm && mv {rescued} {path}"
    )]
    Displaced {
        /// The file, and whether it was removed, replaced or moved.
        displacement: String,
        /// The path at which the queue was opened.
        path: PathBuf,
        /// The file that holds the content now.
        rescued: PathBuf,
    },
    /// The data directory was moved together with the whole queue.
    #[error(
        "{displacement} while the worker ran, together with its log; nothing is lost. \
         Move the directory {now} back to {before}, or use it as the data directory"
    )]
    Moved {
        /// The file, and the path to which it was moved.
        displacement: String,
        /// The directory in which the queue was opened.
        before: PathBuf,
        /// The current directory of the queue.
        now: PathBuf,
    },
    /// A file of the queue was temporarily missing during the run. Nothing is lost.
    #[error("{0} or its WAL file was temporarily missing; restart the worker")]
    Returned(PathBuf),
    /// A file of the queue was removed, replaced or moved while the worker ran, and the content cannot be saved.
    #[error("{displacement} while the worker ran, and the content of the queue could not be saved")]
    NotRescued {
        /// The file, and whether it was removed, replaced or moved.
        displacement: String,
        /// The reason why the content cannot be saved.
        source: Arc<Error>,
    },
    /// A rescued queue is present, and the operator must decide whether to use it.
    #[error(
        "{rescued} holds a queue that was saved when {path} was removed, replaced or moved. \
         To continue with it: rm -f {path} {path}-wal {path}-shm && mv {rescued} {path}. \
         To continue without it, move it to another directory"
    )]
    Rescued {
        /// The path at which a queue was to be opened.
        path: PathBuf,
        /// The newest file with a rescued queue.
        rescued: PathBuf,
    },
    /// The log of a queue exists without its database.
    #[error(
        "{path} is missing, but its log {log} exists, so the database was removed while a worker ran. \
         Restore the database without the log, or move the log to another directory to start with an empty queue"
    )]
    OrphanedLog {
        /// The path of the missing database.
        path: PathBuf,
        /// The path of its write-ahead log.
        log: PathBuf,
    },
    /// The queue's file was replaced during a write.
    #[error("{0} was removed or replaced during the write, which may be lost; try again")]
    Replaced(PathBuf),
    /// The directory has no queue.
    #[error("there is no queue at {0} yet; start the worker once to create it")]
    NoQueue(PathBuf),
    /// The file has a later schema.
    #[error(
        "{path} was written by a newer decnet (schema {found}, this program supports up to {ours}); \
         upgrade, or use another data directory"
    )]
    NewerSchema {
        /// The path of the database.
        path: PathBuf,
        /// The schema version of the file.
        found: i64,
        /// The schema version of this program.
        ours: i64,
    },
    /// The file has an earlier schema. Only the worker migrates it.
    #[error("{0} was written by an older decnet; start the worker once to migrate it")]
    OlderSchema(PathBuf),
    /// The file is not a queue.
    #[error("{0} is not a decnet queue; move it away, or use another data directory")]
    NotAQueue(PathBuf),
    /// The file is damaged.
    #[error(
        "queue.db is damaged; stop decnet, keep a copy of it, and either recover the readable part with \
         `sqlite3 queue.db .recover`, or move queue.db and queue.db-wal away to start with an empty queue"
    )]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// A later worker owns the queue.
    #[error("another decnet worker has taken over this queue; this worker must stop")]
    Fenced,
    /// The queue was closed before the call was executed.
    #[error("the queue is closed")]
    Closed,
    /// The queue was closed while the disk or the file could not be written.
    #[error("the queue was closed before this could be written")]
    Unwritten(#[source] Arc<rusqlite::Error>),
    /// An event has more recipients than allowed.
    #[error("an event can have at most {max} deliveries", max = decnet_core::limits::MAX_FAN_OUT)]
    TooManyRecipients,
    /// The delivery does not exist.
    #[error("there is no delivery {0}; retention may have removed it")]
    UnknownDelivery(DeliveryId),
    /// The payload of the delivery's event was erased.
    #[error("the event of delivery {0} was erased; it cannot be sent again")]
    Erased(DeliveryId),
    /// The delivery will still be attempted; a redelivery would send the same event twice.
    #[error(
        "delivery {0} is not final: it is still being sent, or, if it is parked, will be sent once its subscription is \
         enabled or resumed; see `decnet delivery show {0}`"
    )]
    NotFinal(DeliveryId),
    /// The delivery's subscription is no longer in the catalog, so a redelivery would have no receiver.
    #[error("the subscription `{name}` of delivery {delivery} is deleted; the event cannot be sent to it")]
    SubscriptionDeleted {
        /// The delivery.
        delivery: DeliveryId,
        /// The last name of the subscription that the worker recorded.
        name: Box<str>,
    },
    /// The filter of a redelivery matches more deliveries than one redelivery may hold in memory.
    #[error("more than {max} deliveries match; narrow the filter", max = decnet_core::limits::MAX_REDELIVERY_DELIVERIES)]
    TooManySelected,
    /// A submission is not valid. None of its events was accepted.
    #[error("event {index}: {reason}")]
    InvalidSubmission {
        /// The index of the invalid event, from 0.
        index: usize,
        /// The reason why the event is not valid.
        reason: InvalidSubmission,
    },
    /// The idempotency key was used with another request.
    #[error("this idempotency key was used with another request; use a new key for each request")]
    IdempotencyConflict,
    /// The id was used for another event. None of the submission's events was accepted.
    #[error(
        "event {index}: the id {id} was submitted with another topic, type or payload in the last 24 hours; give each event \
         its own id"
    )]
    IdConflict {
        /// The index of the event, from 0.
        index: usize,
        /// The id.
        id: Box<str>,
    },
    /// Too many submitted events wait for the worker.
    #[error(
        "too many submitted events wait for the worker; check that the worker is running, and try again later"
    )]
    Backlogged,
    /// Any other error of SQLite.
    #[error("the queue's database refused a statement")]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

/// The reason why a submission is invalid.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidSubmission {
    /// The submission has too many events.
    #[error("a submission can have at most {max} events", max = decnet_core::limits::MAX_SUBMISSION_EVENTS)]
    TooMany,
    /// The id cannot be sent, see [`is_id`](decnet_core::event::is_id).
    #[error("an id must have 1 to 128 printable ASCII characters, without spaces or dots")]
    Id,
    /// The payload is not valid JSON.
    #[error("{0}")]
    Payload(Arc<decnet_core::event::EventError>),
    /// The body is too large to be relayed.
    #[error("an event can have at most {max} bytes", max = decnet_core::limits::MAX_BODY_BYTES)]
    TooLarge,
    /// The idempotency key is empty or too long.
    #[error("an idempotency key must have 1 to {max} bytes", max = decnet_core::limits::MAX_IDEMPOTENCY_KEY_BYTES)]
    Key,
}

/// The kind of a failed commit, which determines the reaction of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The disk, the file or another process prevents the commit. The writer retries with backoff.
    Environment,
    /// The whole file cannot be used. Every command fails.
    Fatal,
    /// One command is invalid. Each command is executed alone, so that only the invalid command fails.
    Command,
}

impl Error {
    /// Returns whether only this submission is rejected, so that other submissions in the same transaction can be committed.
    pub(super) fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::InvalidSubmission { .. }
                | Self::IdempotencyConflict
                | Self::IdConflict { .. }
                | Self::Backlogged
        )
    }

    /// Returns whether the same call can succeed later, when the worker, the disk or the file is in another state.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Backlogged | Self::NoQueue { .. } | Self::OlderSchema { .. })
            || matches!(self, Self::Rescued { .. } | Self::OrphanedLog { .. })
            || self.kind() == FailureKind::Environment
    }

    /// Returns whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(source) if source.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Returns whether a restart does not help, because an operator must first decide what to do with the queue's files.
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        matches!(
            self,
            Self::Displaced { .. }
                | Self::Moved { .. }
                | Self::NotRescued { .. }
                | Self::Rescued { .. }
                | Self::OrphanedLog { .. }
        )
    }

    /// Returns whether only this delivery cannot be redelivered, whereas other deliveries can.
    pub(super) fn rules_out_redelivery(&self) -> bool {
        matches!(
            self,
            Self::UnknownDelivery(_) | Self::Erased(_) | Self::NotFinal(_) | Self::SubscriptionDeleted { .. }
        )
    }

    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Corrupt(_) | Self::Fenced | Self::Unwritten(_) => FailureKind::Fatal,
            Self::ReadOnly { .. } => FailureKind::Environment,
            Self::Sqlite(source) if is_environment(source) => FailureKind::Environment,
            _ => FailureKind::Command,
        }
    }

    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let io = |source| Self::Io { path: path.into(), source: Arc::new(source) };
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::read_only(path).unwrap_or_else(|| io(source)),
            _ => io(source),
        }
    }

    /// Returns the error for a failure to open `path`, when SQLite cannot distinguish a damaged file from a foreign one.
    pub(super) fn opening(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAQueue(path.into()),
            Some(ErrorCode::DatabaseCorrupt) => Self::from(source),
            _ if may_be_read_only(&source)
                && let Some(error) = Self::read_only(path) =>
            {
                error
            }
            _ => Self::Open { path: path.into(), source: Arc::new(source) },
        }
    }

    /// Replaces the error of a statement on the file at `path` by [`Error::ReadOnly`] if its file system is read-only.
    pub(super) fn at(self, path: &Path) -> Self {
        match &self {
            Self::Sqlite(source) if may_be_read_only(source) => Self::read_only(path).unwrap_or(self),
            _ => self,
        }
    }

    fn read_only(path: &Path) -> Option<Self> {
        read_only_mount(path).map(|mount| Self::ReadOnly { path: path.into(), mount })
    }

    /// Marks the error of a commit that was still being retried when the queue was closed.
    pub(super) fn into_unwritten(self) -> Self {
        match self {
            Self::Sqlite(source) => Self::Unwritten(source),
            other => other,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(Arc::new(source)),
            _ => Self::Sqlite(Arc::new(source)),
        }
    }
}

fn is_environment(error: &rusqlite::Error) -> bool {
    may_be_read_only(error)
        || matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory
                    | ErrorCode::NoLargeFileSupport
                    | ErrorCode::FileLockingProtocolFailed
            )
        )
}
