//! One event, and to whom it went.

use bytes::Bytes;
use decnet_core::limits::LIST_STEP_ROWS;
use decnet_core::time::UnixMicros;
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

/// An event that was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDetail {
    /// Its sequence number.
    pub seq: i64,
    /// Its id.
    pub id: Box<str>,
    /// Its topic.
    pub topic: Box<str>,
    /// When it was admitted.
    pub admitted_at: UnixMicros,
    /// The JSON that is sent; empty if it was erased.
    pub body: Bytes,
    /// In the order of their ids: redeliveries come last.
    pub deliveries: Vec<Listed>,
    /// It has others.
    pub more: bool,
}

impl EventDetail {
    /// Is nothing left of it but that it was there?
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.body.is_empty()
    }
}

/// The event with its first `limit` deliveries, or those to one subscription, given by uuid or name.
pub(super) fn event(
    conn: &Connection,
    seq: i64,
    subscription: Option<&str>,
    limit: usize,
) -> Result<Option<EventDetail>, Error> {
    if !(0..=DeliveryId::MAX_SEQ).contains(&seq) {
        return Ok(None);
    }
    // One transaction: the event and its deliveries belong together.
    let tx = conn.unchecked_transaction()?;
    let mut find = tx.prepare_cached("SELECT id, topic, admitted_at, body FROM events WHERE seq = ?1")?;
    let found = find.query_row([seq], |row| {
        Ok(EventDetail {
            seq,
            id: row.get(0)?,
            topic: row.get(1)?,
            admitted_at: UnixMicros(row.get(2)?),
            body: row.get::<_, Vec<u8>>(3)?.into(),
            deliveries: Vec::new(),
            more: false,
        })
    });
    let Some(mut event) = found.optional()? else { return Ok(None) };
    event.deliveries = deliveries(&tx, seq, subscription, limit.saturating_add(1))?;
    event.more = event.deliveries.len() > limit;
    event.deliveries.truncate(limit);
    Ok(Some(event))
}

/// Looks for the newest event with this id, in short reads.
pub(super) fn find(conn: &Connection, id: &str, go_on: impl Fn() -> bool) -> Result<Search, Error> {
    let mut start = conn.prepare_cached(
        "SELECT min(seq) FROM (SELECT seq FROM events WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2)",
    )?;
    let mut look =
        conn.prepare_cached("SELECT max(seq) FROM events WHERE seq >= ?1 AND seq < ?2 AND id = ?3")?;
    let (mut before, mut looked_at) = (i64::MAX, 0);
    while let Some(from) = start.query_row((before, LIST_STEP_ROWS), |row| row.get::<_, Option<i64>>(0))? {
        if !go_on() {
            return Ok(Search::Unfinished { looked_at });
        }
        if let Some(seq) = look.query_row((from, before, id), |row| row.get::<_, Option<i64>>(0))? {
            return Ok(Search::Found(seq));
        }
        (before, looked_at) = (from, looked_at + u64::from(LIST_STEP_ROWS));
    }
    Ok(Search::Absent)
}

fn deliveries(
    conn: &Connection,
    seq: i64,
    subscription: Option<&str>,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let first = DeliveryId::new(seq, 0);
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN} WHERE d.id BETWEEN ?1 AND ?2
             AND (?3 IS NULL OR d.sub IN (SELECT key FROM subscriptions WHERE uuid = ?3 OR name = ?3))
         ORDER BY d.id LIMIT ?4"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let range = (first.raw(), first.last_of_event().raw(), subscription, limit);
    let mut all = conn.prepare_cached(&sql)?;
    let found = all.query_map(range, read)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Of each subscription the latest delivery of an event, in ascending order.
pub(super) fn latest(conn: &Connection, id: DeliveryId) -> Result<Vec<DeliveryId>, Error> {
    let mut latest = conn.prepare_cached(
        "SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2 GROUP BY sub ORDER BY 1",
    )?;
    let range = (DeliveryId::new(id.seq(), 0).raw(), id.last_of_event().raw());
    let found = latest.query_map(range, |row| row.get(0).map(DeliveryId::from_raw))?;
    Ok(found.collect::<Result<_, _>>()?)
}
