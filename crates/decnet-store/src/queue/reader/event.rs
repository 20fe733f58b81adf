//! One event: by its id, and as one subscription got it.

use decnet_core::event::fit_id;
use decnet_core::limits::LIST_STEP_ROWS;
use rusqlite::{Connection, OptionalExtension};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::list::{COLUMNS, JOIN, Listed, read};

/// What came of looking for an event by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The sequence number of the newest with this id, the first part of its deliveries' ids.
    Found(i64),
    /// No event has it: it was not admitted, went to nobody, or was removed.
    Absent,
    /// It was called off.
    Unfinished {
        /// How many events were looked at, newest first.
        looked_at: u64,
    },
}

/// An event that was admitted, as one subscription got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDetail {
    /// Its topic.
    pub topic: Box<str>,
    /// Its newest delivery to the subscription, if it has one.
    pub newest: Option<Listed>,
}

/// The event, and its newest delivery to the subscription with this uuid.
pub(super) fn event(conn: &Connection, seq: i64, subscription: &str) -> Result<Option<EventDetail>, Error> {
    if !(0..=DeliveryId::MAX_SEQ).contains(&seq) {
        return Ok(None);
    }
    // One transaction: the event and its delivery belong together.
    let tx = conn.unchecked_transaction()?;
    let mut find = tx.prepare_cached("SELECT topic FROM events WHERE seq = ?1")?;
    let Some(topic) = find.query_row([seq], |row| row.get(0)).optional()? else { return Ok(None) };
    Ok(Some(EventDetail { topic, newest: newest(&tx, seq, subscription)? }))
}

/// Looks for the newest event that was published with this id, in short reads. One that cannot be sent with it was stored
/// with the id derived from it.
pub(super) fn find(conn: &Connection, id: &str, go_on: impl Fn() -> bool) -> Result<Search, Error> {
    let mut start = conn.prepare_cached(
        "SELECT min(seq) FROM (SELECT seq FROM events WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2)",
    )?;
    let mut look =
        conn.prepare_cached("SELECT max(seq) FROM events WHERE seq >= ?1 AND seq < ?2 AND id IN (?3, ?4)")?;
    let sent = fit_id(id);
    let (mut before, mut looked_at) = (i64::MAX, 0);
    while let Some(from) = start.query_row((before, LIST_STEP_ROWS), |row| row.get::<_, Option<i64>>(0))? {
        if !go_on() {
            return Ok(Search::Unfinished { looked_at });
        }
        if let Some(seq) = look.query_row((from, before, id, &sent), |row| row.get::<_, Option<i64>>(0))? {
            return Ok(Search::Found(seq));
        }
        (before, looked_at) = (from, looked_at + u64::from(LIST_STEP_ROWS));
    }
    Ok(Search::Absent)
}

fn newest(conn: &Connection, seq: i64, subscription: &str) -> Result<Option<Listed>, Error> {
    let first = DeliveryId::new(seq, 0);
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN} WHERE d.id BETWEEN ?1 AND ?2 AND s.uuid = ?3
         ORDER BY d.id DESC LIMIT 1"
    );
    let mut newest = conn.prepare_cached(&sql)?;
    let range = (first.raw(), first.last_of_event().raw(), subscription);
    Ok(newest.query_row(range, read).optional()?)
}
