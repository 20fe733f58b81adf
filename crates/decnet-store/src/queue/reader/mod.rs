//! Read access to the queue, with or without a running worker.

mod active;
mod census;
mod counts;
mod detail;
mod event;
mod list;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

pub use self::active::ActiveSubscriptions;
pub use self::census::{Census, CensusCounts};
pub use self::counts::Counts;
pub use self::detail::Detail;
pub use self::event::{EventDetail, Search};
pub(super) use self::list::first_since;
pub use self::list::{Filter, Listed, Page};

use super::connection::{open_reader, path};
use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::times::{RecordedTimes, recorded_times};
use crate::file_identity::OpenedFile;
use decnet_core::time::UnixMicros;

/// A read-only connection to the queue. Each call uses short transactions, so that the write-ahead log can restart.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    file: OpenedFile,
}

/// How long a read waits for a lock. Only a process that opens or closes the file blocks readers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Reader {
    /// Opens the queue in `dir`, whether a worker runs or not.
    ///
    /// # Errors
    /// There is no queue yet, or the file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let file = OpenedFile::of(&path(dir));
        Ok(Self { conn: open_reader(file.path(), BUSY_TIMEOUT)?, file })
    }

    /// Returns whether the path still leads to the open file. A restored queue is another file.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    /// Returns the deliveries that match `filter`, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>, Error> {
        list::list(&self.conn, filter)
    }

    /// Returns a page of the deliveries that match `filter`. At most `PAGE_SCAN_ROWS` deliveries are scanned, so that the answer
    /// comes soon even if few match; [`Page::next`] is the position of the next page.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn page(&self, filter: &Filter) -> Result<Page, Error> {
        list::page(&self.conn, filter)
    }

    /// Searches for the newest event with this id. Ids are not indexed, so all events may be scanned, newest first, in short reads.
    /// The search ends unfinished when `keep_going`, which is called before each read, returns false.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn find_event(&self, id: &str, keep_going: impl Fn() -> bool) -> Result<Search, Error> {
        event::find(&self.conn, id, keep_going)
    }

    /// Returns the event with this sequence number, and its newest delivery to the subscription with this UUID. `None` if the
    /// event does not exist, or retention has removed it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn event(&self, seq: i64, subscription: &str) -> Result<Option<EventDetail>, Error> {
        event::event(&self.conn, seq, subscription)
    }

    /// Returns the topic of a submitted event that is not yet admitted. Scans all of those.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn submitted_topic(&self, event_id: &str) -> Result<Option<Box<str>>, Error> {
        let mut find = self.conn.prepare_cached("SELECT topic FROM submitted WHERE id = ?1 LIMIT 1")?;
        Ok(find.query_row([event_id], |row| row.get(0)).optional()?)
    }

    /// Returns a delivery with its event and attempts.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn get(&self, id: DeliveryId) -> Result<Option<Detail>, Error> {
        detail::get(&self.conn, id)
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
        let newest =
            self.conn.prepare_cached("SELECT max(id) FROM deliveries")?.query_row([], |row| row.get(0));
        Ok(newest.map(|id: Option<i64>| id.map(DeliveryId::from_raw))?)
    }

    /// Returns the number of deliveries of each subscription, by state. Scans all deliveries.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn counts(&self) -> Result<Vec<Counts>, Error> {
        counts::counts(&self.conn)
    }

    /// Runs one step of a census of waiting and dead deliveries. Returns whether there are more. See [`Census`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn count_some(&self, census: &mut Census) -> Result<bool, Error> {
        census::count_some(&self.conn, census)
    }

    /// Returns the admission time of the oldest event with a waiting delivery of `sub`; `held` is the oldest one in the worker's
    /// memory. Of the retries, only the `OLDEST_SCAN_RETRIES` that are due first are considered.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn oldest_waiting(
        &self,
        sub: SubscriptionKey,
        held: Option<DeliveryId>,
    ) -> Result<Option<UnixMicros>, Error> {
        census::oldest(&self.conn, sub, held)
    }
}
