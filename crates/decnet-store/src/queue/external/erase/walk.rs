//! The walk over the deliveries to erase: newest first, in short reads that do not block writers.

use decnet_core::limits::OPERATOR_STEP_ROWS;
use rusqlite::{Connection, Params};

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::super::super::reader::{search_step, step_before};
use super::Target;
use crate::sql;

/// The deliveries found by one read.
#[derive(Debug)]
pub(super) struct Batch {
    /// The events with their deliveries, newest first; empty if none match in the range that was read.
    pub(super) events: Vec<EventDeliveries>,
    /// The lowest delivery id of the range that was read.
    pub(super) from: i64,
}

/// An event and some of its deliveries.
#[derive(Debug)]
pub(super) struct EventDeliveries {
    pub(super) seq: i64,
    /// The deliveries, newest first.
    pub(super) ids: Vec<DeliveryId>,
    /// Whether no later batch contains more deliveries of this event.
    pub(super) is_last: bool,
}

impl EventDeliveries {
    /// Returns the oldest delivery, or the first id of the event if it has no deliveries.
    pub(super) fn oldest(&self) -> i64 {
        self.ids.last().map_or_else(|| DeliveryId::new(self.seq, 0).0, |id| id.0)
    }
}

impl Target {
    /// Returns the next batch of deliveries below `before`, or `None` at the end of the walk.
    pub(super) fn next(&self, conn: &Connection, before: i64) -> Result<Option<Batch>, Error> {
        if before <= 0 {
            return Ok(None);
        }
        match self {
            Self::Subscription(sub) => next_of_subscription(conn, *sub, before),
            Self::Event(id) => next_of_event(conn, id, before),
        }
    }
}

/// Finds the next deliveries of the subscription among the `LIST_STEP_ROWS` deliveries below `before`.
fn next_of_subscription(conn: &Connection, sub: u32, before: i64) -> Result<Option<Batch>, Error> {
    let Some(from) = step_before(conn, false, before)? else { return Ok(None) };
    let find = "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 AND +sub = ?3 ORDER BY id DESC LIMIT ?4";
    let (ids, from) = query_ids(conn, find, (from, before, sub, OPERATOR_STEP_ROWS as i64), from)?;
    // A step gives up all waiting deliveries of an event at once, so its body does not need to wait for another batch.
    let events = ids.chunk_by(|newer, older| newer.seq() == older.seq());
    let events = events.map(|ids| EventDeliveries { seq: ids[0].seq(), ids: ids.to_vec(), is_last: true });
    Ok(Some(Batch { events: events.collect(), from }))
}

/// Finds the next deliveries below `before` of an event published with this id. Newer events come first.
fn next_of_event(conn: &Connection, id: &str, before: i64) -> Result<Option<Batch>, Error> {
    let newest = DeliveryId(before - 1).seq();
    let Some((from, found)) = search_step(conn, id, newest + 1)? else { return Ok(None) };
    let Some(seq) = found else {
        return Ok(Some(Batch { events: Vec::new(), from: DeliveryId::new(from, 0).0 }));
    };
    let (first, last) = DeliveryId::range_of_event(seq);
    let find = "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    let range = (first, before.min(last + 1), OPERATOR_STEP_ROWS as i64);
    let (ids, from) = query_ids(conn, find, range, first)?;
    Ok(Some(Batch { events: vec![EventDeliveries { seq, ids, is_last: from == first }], from }))
}

/// Returns the ids that `find` finds, at most `OPERATOR_STEP_ROWS`, and the lowest id of the range that was read: `from`, or the
/// last id if there may be more.
fn query_ids(
    conn: &Connection,
    find: &str,
    params: impl Params,
    from: i64,
) -> Result<(Vec<DeliveryId>, i64), Error> {
    let ids = sql::all(conn, find, params, |row| row.get(0).map(DeliveryId))?;
    let cut = ids.last().filter(|_| ids.len() == OPERATOR_STEP_ROWS).map(|id| id.0);
    Ok((ids, cut.unwrap_or(from)))
}
