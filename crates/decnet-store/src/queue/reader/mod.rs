//! Reading the queue from beside the worker, or without one.

mod active;
mod census;
mod counts;
mod detail;
mod event;
mod list;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

pub use self::active::Active;
pub use self::census::{Census, Found};
pub use self::counts::Counts;
pub use self::detail::Detail;
pub use self::event::{EventDetail, Search};
pub(super) use self::list::first_since;
pub use self::list::{Filter, Listed, Page};

use super::connection::{open_reader, path};
use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::times::{KnownTimes, known_times};
use crate::origin::Origin;
use decnet_core::time::UnixMicros;

/// A read-only view. Each call reads in short transactions, so that the worker's log can begin anew.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    origin: Origin,
}

/// Readers wait for nobody but a process that opens or closes the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Reader {
    /// Opens the queue in `dir`, whether a worker runs or not.
    ///
    /// # Errors
    /// There is no queue yet, or the file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let origin = Origin::of(&path(dir));
        Ok(Self { conn: open_reader(origin.path(), BUSY_TIMEOUT)?, origin })
    }

    /// Is the file still the one in its directory? A queue that was restored is another file.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.origin.is_current()
    }

    /// The newest deliveries that `filter` describes, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>, Error> {
        list::list(&self.conn, filter)
    }

    /// The same for somebody who waits for an answer: it comes after `PAGE_LOOK_ROWS` deliveries at the latest, with
    /// what was found among them, and says where to go on.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn page(&self, filter: &Filter) -> Result<Page, Error> {
        list::page(&self.conn, filter)
    }

    /// Looks for the newest event with this id. Ids have no index: all events may have to be looked at, newest first.
    /// `go_on` is asked before each of the short reads that this takes; where it says no, the search ends unfinished.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn find_event(&self, id: &str, go_on: impl Fn() -> bool) -> Result<Search, Error> {
        event::find(&self.conn, id, go_on)
    }

    /// The event with this sequence number, as the subscription with this uuid got it. None if there is no such event, or
    /// not any more.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn event(&self, seq: i64, subscription: &str) -> Result<Option<EventDetail>, Error> {
        event::event(&self.conn, seq, subscription)
    }

    /// The topic of an event that was submitted, and is not yet taken by the worker. Looks at all that are.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn submitted_topic(&self, event_id: &str) -> Result<Option<Box<str>>, Error> {
        let mut find = self.conn.prepare_cached("SELECT topic FROM submitted WHERE id = ?1 LIMIT 1")?;
        Ok(find.query_row([event_id], |row| row.get(0)).optional()?)
    }

    /// A delivery with its event and attempts.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn get(&self, id: DeliveryId) -> Result<Option<Detail>, Error> {
        detail::get(&self.conn, id)
    }

    /// Returns what the queue tells about the time.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn known_times(&self) -> Result<KnownTimes, Error> {
        known_times(&self.conn)
    }

    /// The delivery that was admitted last; none if there is none. One look into the index, however many there are.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn newest(&self) -> Result<Option<DeliveryId>, Error> {
        let newest =
            self.conn.prepare_cached("SELECT max(id) FROM deliveries")?.query_row([], |row| row.get(0));
        Ok(newest.map(|id: Option<i64>| id.map(DeliveryId::from_raw))?)
    }

    /// How many deliveries each subscription has, by state. Reads all of them.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn counts(&self) -> Result<Vec<Counts>, Error> {
        counts::counts(&self.conn)
    }

    /// One step of counting what waits and what is dead; false when all is counted. See [`Census`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn count_some(&self, census: &mut Census) -> Result<bool, Error> {
        census::count_some(&self.conn, census)
    }

    /// When the event of the oldest delivery that waits for `sub` was admitted; `held` is the oldest that its worker
    /// has in memory. Of what waits for a retry, only the `OLDEST_RETRIES` that are due first are looked at.
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
