//! What can go wrong with the queue, and what each failure asks of the writer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::DeliveryId;
use crate::file_system::read_only_mount;

/// Why the queue could not do what it was asked. Cloneable, since one failed commit answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be used.
    #[error("cannot use {}; check that it exists and belongs to the user that runs decnet", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// SQLite cannot open or read the file.
    #[error("cannot open the queue {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Arc<rusqlite::Error>,
    },
    /// Another process holds the lease.
    #[error(
        "another decnet worker ({}) uses this queue; stop it, or use another data directory",
        pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
    )]
    InUse {
        /// Its process id, as it wrote it down.
        pid: Option<u32>,
    },
    /// The file system takes no writes.
    #[error(
        "cannot write {}: the file system mounted at {} is read-only; remount it read-write, or use another data directory",
        path.display(),
        mount.display()
    )]
    ReadOnly {
        /// Which file.
        path: PathBuf,
        /// Where its file system is mounted.
        mount: PathBuf,
    },
    /// A file of the queue was removed, replaced or moved while the worker ran; what it held is saved.
    #[error(
        "{displacement} while the worker ran; everything it held is saved in {rescued}. \
         To go on with it: rm -f {path}-wal {path}-shm && mv {rescued} {path}",
        rescued = rescued.display(),
        path = path.display()
    )]
    Displaced {
        /// What became of which file.
        displacement: String,
        /// Where the queue was.
        path: PathBuf,
        /// Where its content is now.
        rescued: PathBuf,
    },
    /// The data directory was moved with the whole queue in it.
    #[error(
        "{displacement} while the worker ran, together with its log: nothing is lost. \
         Move the directory {} back to {}, or use it as the data directory",
        now.display(),
        before.display()
    )]
    Moved {
        /// What became of which file.
        displacement: String,
        /// Where the queue was.
        before: PathBuf,
        /// Where it is now.
        now: PathBuf,
    },
    /// A file of the queue was away while the worker ran. Nothing is lost.
    #[error("{} or its log was away while the worker ran, and is back; start the worker again", path.display())]
    Returned {
        /// Where the queue is.
        path: PathBuf,
    },
    /// A file of the queue was removed, replaced or moved while the worker ran, and what it held cannot be saved.
    #[error("{displacement} while the worker ran, and what it held could not be saved")]
    NotRescued {
        /// What became of which file.
        displacement: String,
        /// Why it cannot be saved.
        source: Arc<Error>,
    },
    /// The content of a queue that was removed, replaced or moved waits for a decision of the operator.
    #[error(
        "{rescued} holds a queue that was saved when {path} was removed, replaced or moved. \
         To go on with it: rm -f {path} {path}-wal {path}-shm && mv {rescued} {path}. \
         To go on without it, move it to another directory",
        rescued = rescued.display(),
        path = path.display()
    )]
    Rescued {
        /// Where the queue belongs.
        path: PathBuf,
        /// The file that holds it; the newest, if there are several.
        rescued: PathBuf,
    },
    /// The log of a queue is there, and its database is not.
    #[error(
        "{path} is missing, but its log {log} is there, so it was removed while a worker ran. \
         Put it back, from a backup if need be, without the log; or move the log to another directory to start with an empty queue",
        path = path.display(),
        log = log.display()
    )]
    OrphanedLog {
        /// Where the queue belongs.
        path: PathBuf,
        /// Its log.
        log: PathBuf,
    },
    /// The queue's file was replaced while it was written to.
    #[error("{} was removed or replaced meanwhile: what was done may be lost; try again", path.display())]
    Replaced {
        /// Which file.
        path: PathBuf,
    },
    /// There is no queue to read.
    #[error("there is no queue at {} yet; it is made when the worker first runs here", path.display())]
    NoQueue {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file is of a later version.
    #[error(
        "{} was written by a newer decnet (schema {found}, this one knows {ours}); \
         upgrade, or use another data directory",
        path.display()
    )]
    NewerSchema {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this program writes.
        ours: i64,
    },
    /// The file is of an earlier version, and only the worker brings it up to date.
    #[error("{} was written by an older decnet; start the worker once to bring it up to date", path.display())]
    OlderSchema {
        /// Which file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a decnet queue; move it away, or use another data directory", path.display())]
    NotAQueue {
        /// Which file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "queue.db is damaged; stop decnet, keep a copy of it, and either restore what can be read with \
         `sqlite3 queue.db .recover` or move it and queue.db-wal away to start with an empty queue"
    )]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// A later worker owns the queue now.
    #[error("another decnet worker has taken over this queue; this one must stop")]
    Fenced,
    /// The queue was closed before this could be done.
    #[error("the queue is closed")]
    Closed,
    /// The queue was closed while the disk or file was in trouble.
    #[error("the queue was closed before this could be written")]
    Unwritten(#[source] Arc<rusqlite::Error>),
    /// More recipients than one event can have.
    #[error("an event can have at most {max} deliveries", max = decnet_core::limits::MAX_FAN_OUT)]
    TooManyRecipients,
    /// No such delivery.
    #[error("there is no delivery {0}; retention may have removed it")]
    UnknownDelivery(DeliveryId),
    /// Its event's body is gone.
    #[error("the event of delivery {0} was erased; there is nothing left to send")]
    Erased(DeliveryId),
    /// It still goes out by itself; a new delivery beside it would be a second one of the same event.
    #[error(
        "delivery {0} is not final: it goes out by itself, or, where it is parked, once its subscription is enabled or \
         resumed; `decnet delivery show {0}` says what it waits for"
    )]
    NotFinal(DeliveryId),
    /// Its subscription is gone from the catalog; a new delivery would have no receiver.
    #[error("the subscription `{name}` of delivery {delivery} is deleted; there is nobody to send it to")]
    SubscriptionDeleted {
        /// The delivery.
        delivery: DeliveryId,
        /// The subscription's name when the worker last saw it.
        name: Box<str>,
    },
    /// More than one redelivery holds in memory.
    #[error("more than {max} deliveries; choose fewer, for instance by time", max = decnet_core::limits::MAX_REDELIVERY)]
    TooManyChosen,
    /// A submission that is none. Nothing of it was taken.
    #[error("event {index}: {why}")]
    Unfit {
        /// Which of its events, from 0.
        index: usize,
        /// What is wrong with it.
        why: Unfit,
    },
    /// The same idempotency key came with another request.
    #[error("this idempotency key was used with another request; use a fresh one for each request")]
    IdempotencyConflict,
    /// The same id came with another event. Nothing of the submission was taken.
    #[error(
        "event {index}: the id {id} was submitted with another topic, type or payload in the last 24 hours; give each event \
         an id of its own"
    )]
    IdConflict {
        /// Which of its events, from 0.
        index: usize,
        /// The id.
        id: Box<str>,
    },
    /// Too much was submitted that the worker has not taken.
    #[error("too many submitted events wait for the worker; see that one runs, and try again")]
    Backlogged,
    /// Anything else that SQLite refused.
    #[error("the queue's database refused a statement")]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

/// Why a submission cannot be taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unfit {
    /// Too many at once.
    #[error("a submission has at most {max} events", max = decnet_core::limits::MAX_SUBMISSION_EVENTS)]
    TooMany,
    /// An id that cannot be sent, see [`is_id`](decnet_core::event::is_id).
    #[error("an id has 1 to 128 printable ASCII characters, none of them a blank or a dot")]
    Id,
    /// A payload that is no JSON.
    #[error("{0}")]
    Payload(Arc<decnet_core::event::EventError>),
    /// A body that nothing would relay.
    #[error("an event has at most {max} bytes", max = decnet_core::limits::MAX_BODY_BYTES)]
    TooLarge,
    /// An idempotency key outside its bounds.
    #[error("an idempotency key has 1 to {max} bytes", max = decnet_core::limits::MAX_IDEMPOTENCY_KEY_BYTES)]
    Key,
}

/// What a failure asks of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The disk, the file or another process is in the way: wait and try again.
    Environment,
    /// The whole file is of no use: answer everybody.
    Fatal,
    /// One command is at fault: find it and answer it alone.
    Command,
}

impl Error {
    /// Is one submission at fault, or refused, and no other?
    pub(super) fn is_of_the_caller(&self) -> bool {
        matches!(
            self,
            Self::Unfit { .. } | Self::IdempotencyConflict | Self::IdConflict { .. } | Self::Backlogged
        )
    }

    /// Will the same call succeed later, with nothing changed but the state of worker, disk or file? Try again, after a
    /// while.
    #[must_use]
    pub fn will_pass(&self) -> bool {
        matches!(self, Self::Backlogged | Self::NoQueue { .. } | Self::OlderSchema { .. })
            || matches!(self, Self::Rescued { .. } | Self::OrphanedLog { .. })
            || self.kind() == Kind::Environment
    }

    /// Is the disk full? Somebody must free some of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Sqlite(source) if source.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Returns whether a restart does not help: an operator must decide over the queue's files first.
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

    /// Returns whether one delivery cannot be sent again; others can.
    pub(super) fn rules_out_redelivery(&self) -> bool {
        matches!(
            self,
            Self::UnknownDelivery(_) | Self::Erased(_) | Self::NotFinal(_) | Self::SubscriptionDeleted { .. }
        )
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Corrupt(_) | Self::Fenced | Self::Unwritten(_) => Kind::Fatal,
            Self::ReadOnly { .. } => Kind::Environment,
            Self::Sqlite(source) if is_environment(source) => Kind::Environment,
            _ => Kind::Command,
        }
    }

    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let io = |source| Self::Io { path: path.into(), source: Arc::new(source) };
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::read_only(path).unwrap_or_else(|| io(source)),
            _ => io(source),
        }
    }

    /// The error of opening `path`, where a damaged file cannot be told from a foreign one.
    pub(super) fn opening(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAQueue { path: path.into() },
            Some(ErrorCode::DatabaseCorrupt) => Self::from(source),
            _ if may_be_read_only(&source)
                && let Some(error) = Self::read_only(path) =>
            {
                error
            }
            _ => Self::Open { path: path.into(), source: Arc::new(source) },
        }
    }

    /// Names the file system that takes no writes, if that is why a statement failed on the file at `path`.
    pub(super) fn at(self, path: &Path) -> Self {
        match &self {
            Self::Sqlite(source) if may_be_read_only(source) => Self::read_only(path).unwrap_or(self),
            _ => self,
        }
    }

    fn read_only(path: &Path) -> Option<Self> {
        read_only_mount(path).map(|mount| Self::ReadOnly { path: path.into(), mount })
    }

    /// What waited in vain when the queue was closed.
    pub(super) fn given_up(self) -> Self {
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

/// Returns whether a read-only file system makes SQLite fail so.
fn may_be_read_only(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::PermissionDenied
        )
    )
}

fn is_environment(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}
