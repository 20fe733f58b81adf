//! Which deliveries a step sees to: newest first, found in short reads beside whoever writes.

use decnet_core::event::fit_id;
use decnet_core::limits::{LIST_STEP_ROWS, OPERATOR_STEP_ROWS};
use rusqlite::{Connection, Params};

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::Chosen;

/// What was found in one go.
#[derive(Debug)]
pub(super) struct Part {
    /// Newest first; none if there was nothing where it was looked.
    pub(super) events: Vec<Found>,
    /// Deliveries from there on were looked at.
    pub(super) from: i64,
}

/// An event, and some of its deliveries.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) seq: i64,
    /// Newest first.
    pub(super) ids: Vec<DeliveryId>,
    /// No other part has more of them.
    pub(super) is_last: bool,
}

impl Found {
    /// The event's own place, if it has no delivery.
    pub(super) fn oldest(&self) -> i64 {
        self.ids.last().map_or_else(|| DeliveryId::new(self.seq, 0).raw(), |id| id.raw())
    }
}

impl Chosen {
    /// What is next before `before`; none when all was looked at.
    pub(super) fn next(&self, conn: &Connection, before: i64) -> Result<Option<Part>, Error> {
        if before <= 0 {
            return Ok(None);
        }
        match self {
            Self::Subscription(sub) => of_subscription(conn, *sub, before),
            Self::Event(id) => of_event(conn, id, before),
        }
    }
}

/// Among the `LIST_STEP_ROWS` deliveries before, a few of the subscription's.
fn of_subscription(conn: &Connection, sub: u32, before: i64) -> Result<Option<Part>, Error> {
    let mut start = conn.prepare_cached(
        "SELECT min(id) FROM (SELECT id FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT ?2)",
    )?;
    let Some(from) = start.query_row((before, LIST_STEP_ROWS), |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(None);
    };
    let find = "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 AND +sub = ?3 ORDER BY id DESC LIMIT ?4";
    let (ids, from) = few(conn, find, (from, before, sub, OPERATOR_STEP_ROWS as i64), from)?;
    // What waits is given up for all of an event at once, so its body need not wait for another part.
    let events = ids.chunk_by(|newer, older| newer.seq() == older.seq());
    let events = events.map(|ids| Found { seq: ids[0].seq(), ids: ids.to_vec(), is_last: true });
    Ok(Some(Part { events: events.collect(), from }))
}

/// A few deliveries of the newest event published with this id whose deliveries were not seen to.
fn of_event(conn: &Connection, id: &str, before: i64) -> Result<Option<Part>, Error> {
    let last = DeliveryId::from_raw(before - 1);
    let mut start = conn.prepare_cached(
        "SELECT min(seq) FROM (SELECT seq FROM events WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2)",
    )?;
    let Some(from) = start.query_row((last.seq(), LIST_STEP_ROWS), |row| row.get::<_, Option<i64>>(0))?
    else {
        return Ok(None);
    };
    let mut find =
        conn.prepare_cached("SELECT max(seq) FROM events WHERE seq >= ?1 AND seq <= ?2 AND id IN (?3, ?4)")?;
    let Some(seq) = find.query_row((from, last.seq(), id, fit_id(id)), |row| row.get::<_, Option<i64>>(0))?
    else {
        return Ok(Some(Part { events: Vec::new(), from: DeliveryId::new(from, 0).raw() }));
    };
    let first = DeliveryId::new(seq, 0);
    let end = before.min(first.last_of_event().raw() + 1);
    let find = "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    let (ids, from) = few(conn, find, (first.raw(), end, OPERATOR_STEP_ROWS as i64), first.raw())?;
    Ok(Some(Part { events: vec![Found { seq, ids, is_last: from == first.raw() }], from }))
}

/// The ids that `find` finds, `OPERATOR_STEP_ROWS` at most, and how far that reaches: to `from`, or to the last id if there
/// may be more.
fn few(
    conn: &Connection,
    find: &str,
    params: impl Params,
    from: i64,
) -> Result<(Vec<DeliveryId>, i64), Error> {
    let mut find = conn.prepare_cached(find)?;
    let found = find.query_map(params, |row| row.get(0).map(DeliveryId::from_raw))?;
    let ids: Vec<DeliveryId> = found.collect::<Result<_, _>>()?;
    let cut = ids.last().filter(|_| ids.len() == OPERATOR_STEP_ROWS).map(|id| id.raw());
    Ok((ids, cut.unwrap_or(from)))
}
