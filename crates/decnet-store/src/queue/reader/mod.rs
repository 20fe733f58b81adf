//! Read access to the queue, with or without a running worker.

mod active;
mod census;
mod counts;
mod detail;
mod event;
mod failures;
mod list;
mod recent;
mod topics;

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

pub use self::active::ActiveSubscriptions;
pub use self::census::{Census, CensusCounts};
pub use self::counts::Counts;
pub use self::detail::Detail;
pub use self::event::{EventDetail, Search};
pub(super) use self::event::{admitted_event, search_step};
pub use self::failures::Failures;
#[cfg(test)]
pub(super) use self::list::ADMITTED_FROM;
pub use self::list::{Filter, Listed, Page};
pub(super) use self::list::{admitted_from, first_since, step_before};
pub use self::topics::{RecentTopic, RecentTopics};

use super::connection::{open_reader, path};
use super::error::Error;
use super::id::DeliveryId;
use super::times::{RecordedTimes, recorded_times};
use crate::file_identity::OpenedFile;
use crate::sql;

/// A read-only connection to the queue. Each call uses short transactions, so that the write-ahead log can restart.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    file: OpenedFile,
}

/// The time for which a read waits for a lock. Only a process that opens or closes the file blocks readers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Reader {
    /// Opens the queue in `dir`, whether or not a worker is running.
    ///
    /// # Errors
    /// There is no queue yet, or the file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let file = OpenedFile::of(&path(dir));
        Ok(Self { conn: open_reader(&file.path, BUSY_TIMEOUT)?, file })
    }

    /// Returns whether the path still leads to the open file. A restored queue is another file.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    /// Returns the times that the queue has recorded.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn recorded_times(&self) -> Result<RecordedTimes, Error> {
        recorded_times(&self.conn)
    }

    /// Returns the delivery with the highest id, by one index lookup.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn newest(&self) -> Result<Option<DeliveryId>, Error> {
        let newest: Option<i64> = sql::value(&self.conn, "SELECT max(id) FROM deliveries", [])?;
        Ok(newest.map(DeliveryId))
    }
}
