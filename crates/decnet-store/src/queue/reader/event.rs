//! One event: found by its id, and with its delivery to one subscription.

use bytes::Bytes;
use decnet_core::event::{Event, sendable_id};
use decnet_core::limits::LIST_STEP_ROWS;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Row};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::Reader;
use super::list::{COLUMNS, JOIN, Listed, read};
use crate::sql;

/// The result of a search for an event by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The sequence number of the newest event with this id, which is the first part of its deliveries' ids.
    Found(i64),
    /// No event has this id: it was not admitted, had no recipients, or was removed.
    Absent,
    /// The search was cancelled.
    Unfinished {
        /// The number of events that were scanned, newest first.
        scanned: u64,
    },
}

/// An admitted event and its delivery to one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDetail {
    /// The event. The body of an erased event is empty.
    pub event: Event,
    /// The newest delivery of the event to the subscription, if any.
    pub newest: Option<Listed>,
}

impl Reader {
    /// Returns the event with this sequence number, and its newest delivery to the subscription with this UUID. `None` if the
    /// event does not exist, or retention has removed it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn event(&self, seq: i64, subscription: &str) -> Result<Option<EventDetail>, Error> {
        if !(0..=DeliveryId::MAX_SEQ).contains(&seq) {
            return Ok(None);
        }
        // One transaction, so that the delivery matches the event.
        let tx = self.conn.unchecked_transaction()?;
        let Some(event) = admitted_event(&tx, seq)? else { return Ok(None) };
        Ok(Some(EventDetail { event, newest: newest(&tx, seq, subscription)? }))
    }

    /// Returns a submitted event that is not yet admitted. Scans all such events.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn submitted(&self, id: &str) -> Result<Option<Event>, Error> {
        let select = "SELECT id, topic, body, submitted_at FROM submitted WHERE id = ?1 LIMIT 1";
        Ok(sql::first(&self.conn, select, [id], stored_event)?)
    }

    /// Returns the newest event with this id, admitted or only submitted; its body is empty if it was erased. `None` if there is no
    /// such event, or if the search for it, which is that of [`Reader::find_event`], ended unfinished.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn event_by_id(&self, id: &str, keep_going: impl Fn() -> bool) -> Result<Option<Event>, Error> {
        let admitted = match self.find_event(id, keep_going)? {
            Search::Found(seq) => self.event(seq, "")?.map(|found| found.event),
            Search::Absent | Search::Unfinished { .. } => None,
        };
        admitted.map_or_else(|| self.submitted(id), |event| Ok(Some(event)))
    }

    /// Searches for the newest event with this id. Ids are not indexed, so all events may be scanned, newest first, in short
    /// reads. The search ends unfinished when `keep_going`, which is called before each read, returns false.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn find_event(&self, id: &str, keep_going: impl Fn() -> bool) -> Result<Search, Error> {
        let (mut before, mut scanned) = (i64::MAX, 0);
        while keep_going() {
            match search_step(&self.conn, id, before)? {
                None => return Ok(Search::Absent),
                Some((_, Some(seq))) => return Ok(Search::Found(seq)),
                Some((from, None)) => (before, scanned) = (from, scanned + u64::from(LIST_STEP_ROWS)),
            }
        }
        Ok(Search::Unfinished { scanned })
    }
}

/// Searches for an id among the `LIST_STEP_ROWS` newest events before the sequence number `before`. Returns the lowest sequence
/// number of these events, and the newest event with the id; `None` if there are no events before `before`.
pub(in super::super) fn search_step(
    conn: &Connection,
    id: &str,
    before: i64,
) -> Result<Option<(i64, Option<i64>)>, Error> {
    let start = "SELECT min(seq) FROM (SELECT seq FROM events WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2)";
    let Some(from) = sql::value::<Option<i64>>(conn, start, (before, LIST_STEP_ROWS))? else {
        return Ok(None);
    };
    let search = "SELECT max(seq) FROM events WHERE seq >= ?1 AND seq < ?2 AND id IN (?3, ?4)";
    Ok(Some((from, sql::value(conn, search, (from, before, id, sendable_id(id)))?)))
}

/// Returns the event with this sequence number. The body of an erased event is empty.
pub(in super::super) fn admitted_event(conn: &Connection, seq: i64) -> Result<Option<Event>, Error> {
    let select = "SELECT id, topic, body, admitted_at FROM events WHERE seq = ?1";
    Ok(sql::first(conn, select, [seq], stored_event)?)
}

/// Reads the columns id, topic, body and time.
pub(super) fn stored_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let body: Vec<u8> = row.get(2)?;
    Ok(Event::stored(row.get(0)?, row.get(1)?, Bytes::from(body), UnixMicros(row.get(3)?)))
}

fn newest(conn: &Connection, seq: i64, subscription: &str) -> Result<Option<Listed>, Error> {
    let (first, last) = DeliveryId::range_of_event(seq);
    let newest = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN} WHERE d.id BETWEEN ?1 AND ?2 AND s.uuid = ?3
         ORDER BY d.id DESC LIMIT 1"
    );
    Ok(sql::first(conn, &newest, (first, last, subscription), read)?)
}
