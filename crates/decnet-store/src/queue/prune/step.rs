//! One step over the deliveries: reads some deliveries, decides on each delivery, and expires or removes it.
//!
//! Every statement searches by key, and a step ends after a number of rows, bytes or milliseconds, whichever comes first.
//! The next commit is therefore not delayed for long, regardless of the size of the queue and its events.

use std::time::{Duration, Instant};

use decnet_core::delivery::Reason;
use decnet_core::limits::{CLOCK_TOLERANCE, RETENTION_STEP_ROWS};
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::meta;
use super::super::reader::admitted_from;
use super::super::state::{DEAD, DELIVERED, QUEUED, RETRYING};
use super::{Pressure, Pruned, Retention};
use crate::sql;

/// The size of events, in bytes, after which a step ends: overflow pages must be read to be freed.
const STEP_BYTES: u64 = 4 * 1024 * 1024;
/// The minimum size of a step, in bytes, for a small excess: a page with several events is free only when all of them are
/// removed.
const MIN_STEP_BYTES: u64 = 64 * 1024;
/// The time after which a step removes no more deliveries. The removal of their events and the commit take additional time.
const STEP_TIME: Duration = Duration::from_millis(1);
/// The highest sequence number of an event of which a delivery was removed. All deliveries of later events are still stored.
pub(in super::super) const REMOVED_UP_TO: &str = "removed_up_to";
/// The approximate size of a delivery and its event without the event's body.
const ROW_BYTES: u64 = 128;

const NEXT: &str =
    "SELECT id, sub, state, attempts, settled_at FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2";
const EVENT_BYTES: &str = "SELECT length(body) FROM events WHERE seq = ?1";
const EXPIRE: &str =
    "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?2, reason = ?3 WHERE id = ?1";
const REMOVE: &str = "DELETE FROM deliveries WHERE id = ?1";
const REMOVE_ATTEMPTS: &str = "DELETE FROM attempts WHERE delivery = ?1";
/// Removes events without deliveries. The row of the newest event is kept, because its sequence number must not be reused and its
/// id is needed for deduplication.
const REMOVE_EVENTS: &str = "DELETE FROM events WHERE seq BETWEEN ?1 AND ?2
     AND +seq < (SELECT max(seq) FROM events)
     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id >= seq << ?3 AND id < (seq + 1) << ?3)";
/// Empties the body of the newest event if it has no deliveries.
const EMPTY_NEWEST: &str = "UPDATE events SET body = x'' WHERE seq = (SELECT max(seq) FROM events)
     AND seq BETWEEN ?1 AND ?2 AND length(body) > 0
     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id >= seq << ?3 AND id < (seq + 1) << ?3)";

/// The bounds of one step: the times before which deliveries are too old, and the bytes to remove.
pub(super) struct Bounds<'p> {
    policy: &'p Retention,
    now: UnixMicros,
    /// The time after which a settlement time must have been recorded while the clock was wrong.
    future: i64,
    delivered_before: i64,
    dead_before: i64,
    parked_before: i64,
    /// Whether parked deliveries are removed instead of expired.
    removes_parked: bool,
    bytes: u64,
}

struct Row {
    id: DeliveryId,
    sub: SubscriptionKey,
    state: i64,
    attempts: u32,
    settled_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Keep,
    Expire,
    Remove,
}

/// The work that a step has done so far.
struct Work {
    started: Instant,
    rows: usize,
    bytes: u64,
    /// The sequence number of the event that was counted last.
    last_seq: Option<i64>,
}

/// Runs one step over the deliveries after `after`. Returns the last id that it checked, or `None` if the pass is complete,
/// because all further deliveries are too young.
pub(super) fn run(
    conn: &Connection,
    after: i64,
    bounds: &Bounds<'_>,
    pruned: &mut Pruned,
) -> Result<Option<i64>, Error> {
    let mut work = Work::start();
    let rows = next_deliveries(conn, after)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let oldest = admitted_from(conn, first.id.seq())?;
    if oldest >= bounds.horizon() {
        return Ok(None);
    }
    let mut last = first.id;
    for row in rows {
        if work.is_enough(bounds) {
            break;
        }
        last = row.id;
        match bounds.decide(&row, oldest, || admitted_from(conn, row.id.seq()))? {
            Decision::Keep => {}
            Decision::Expire => pruned.expired += expire(conn, row.id, bounds.now, &mut work)?,
            Decision::Remove => remove(conn, &row, &mut work, pruned)?,
        }
    }
    if let Some(seq) = work.last_seq {
        meta::raise(conn, REMOVED_UP_TO, seq)?;
        pruned.events += remove_events(conn, DeliveryId(after), last)?;
    }
    Ok(Some(last.0))
}

impl<'p> Bounds<'p> {
    /// Creates the bounds of a step. Without a time, nothing is too old.
    pub(super) fn new(
        policy: &'p Retention,
        pressure: Pressure,
        excess: u64,
        now: Option<UnixMicros>,
    ) -> Self {
        let now = now.unwrap_or(UnixMicros(i64::MIN));
        let before = |age: Duration| now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let by = |level, age| if pressure >= level { i64::MAX } else { before(age) };
        Self {
            policy,
            now,
            future: now.after(CLOCK_TOLERANCE).0,
            delivered_before: by(Pressure::Delivered, policy.delivered_age),
            dead_before: by(Pressure::Dead, policy.dead_age),
            parked_before: by(Pressure::Parked, policy.parked_age),
            removes_parked: pressure == Pressure::Parked,
            // Half of the excess, because an event also frees the rest of its page.
            bytes: if excess > 0 { (excess / 2).clamp(MIN_STEP_BYTES, STEP_BYTES) } else { STEP_BYTES },
        }
    }

    /// Returns the earliest admission time of events whose deliveries are too young to be removed or expired.
    fn horizon(&self) -> i64 {
        self.delivered_before.max(self.dead_before).max(self.parked_before)
    }

    /// Decides on one delivery. `oldest` is the admission time of the step's first event. `admitted_at`, which reads the
    /// admission time of the row's own event, is called only if `oldest` is not sufficient.
    fn decide(
        &self,
        row: &Row,
        oldest: i64,
        admitted_at: impl Fn() -> Result<i64, Error>,
    ) -> Result<Decision, Error> {
        let remove_if = |is_old| if is_old { Decision::Remove } else { Decision::Keep };
        Ok(match row.state {
            DELIVERED => remove_if(self.is_old(row, self.delivered_before, admitted_at)?),
            DEAD => remove_if(self.is_old(row, self.dead_before, admitted_at)?),
            QUEUED | RETRYING if !self.policy.parked.contains(&row.sub) => Decision::Keep,
            QUEUED | RETRYING if self.removes_parked => Decision::Remove,
            QUEUED | RETRYING if oldest >= self.parked_before => Decision::Keep,
            QUEUED | RETRYING if admitted_at()? >= self.parked_before => Decision::Keep,
            QUEUED | RETRYING => Decision::Expire,
            _ => Decision::Keep,
        })
    }

    /// Returns whether a final delivery was settled before `before`. A settlement time before the event's admission or in the
    /// future is wrong; the admission time is used instead.
    fn is_old(
        &self,
        row: &Row,
        before: i64,
        admitted_at: impl Fn() -> Result<i64, Error>,
    ) -> Result<bool, Error> {
        let may_be_old = row.settled_at < before || row.settled_at > self.future;
        Ok(before == i64::MAX || (may_be_old && admitted_at()? < before))
    }
}

impl Work {
    fn start() -> Self {
        Self { started: Instant::now(), rows: 0, bytes: 0, last_seq: None }
    }

    /// Returns whether the step must end. The time counts only after some work, so that each step makes progress.
    fn is_enough(&self, bounds: &Bounds<'_>) -> bool {
        let is_late = || self.rows > 0 && self.started.elapsed() >= STEP_TIME;
        self.rows >= RETENTION_STEP_ROWS || self.bytes >= bounds.bytes || is_late()
    }
}

fn next_deliveries(conn: &Connection, after: i64) -> Result<Vec<Row>, Error> {
    let rows = sql::all(conn, NEXT, (after, RETENTION_STEP_ROWS as i64), |row| {
        Ok(Row {
            id: DeliveryId(row.get(0)?),
            sub: SubscriptionKey(row.get(1)?),
            state: row.get(2)?,
            attempts: row.get(3)?,
            settled_at: row.get::<_, Option<i64>>(4)?.unwrap_or(i64::MAX),
        })
    });
    Ok(rows?)
}

fn expire(conn: &Connection, id: DeliveryId, now: UnixMicros, work: &mut Work) -> Result<u64, Error> {
    work.rows += 1;
    Ok(sql::execute(conn, EXPIRE, (id.0, now.0, Reason::Expired.code()))? as u64)
}

fn remove(conn: &Connection, row: &Row, work: &mut Work, pruned: &mut Pruned) -> Result<(), Error> {
    // The successful attempt is in the delivery's own row.
    let recorded = row.attempts - u32::from(row.state == DELIVERED).min(row.attempts);
    if recorded > 0 {
        work.rows += sql::execute(conn, REMOVE_ATTEMPTS, [row.id.0])?;
    }
    work.rows += sql::execute(conn, REMOVE, [row.id.0])?;
    let seq = row.id.seq();
    if work.last_seq.replace(seq) != Some(seq) {
        work.bytes += u64::from(sql::find(conn, EVENT_BYTES, [seq])?.unwrap_or(0u32)) + ROW_BYTES;
    }
    match row.state {
        DELIVERED => pruned.delivered += 1,
        DEAD => pruned.dead += 1,
        _ => pruned.parked += 1,
    }
    Ok(())
}

fn remove_events(conn: &Connection, after: DeliveryId, last: DeliveryId) -> Result<u64, Error> {
    let range = (after.seq(), last.seq(), DeliveryId::NUMBER_BITS);
    sql::execute(conn, EMPTY_NEWEST, range)?;
    Ok(sql::execute(conn, REMOVE_EVENTS, range)? as u64)
}

#[cfg(test)]
mod tests {
    use super::super::super::reader::ADMITTED_FROM;
    use super::super::super::schema;
    use super::*;

    #[test]
    fn every_statement_searches_by_key() {
        for sql in
            [NEXT, ADMITTED_FROM, EVENT_BYTES, EXPIRE, REMOVE, REMOVE_ATTEMPTS, REMOVE_EVENTS, EMPTY_NEWEST]
        {
            let plan = schema::query_plan(sql);
            let is_bounded = |step: &String| !step.contains("SCAN") && !step.contains("TEMP B-TREE");
            assert!(!plan.is_empty() && plan.iter().all(is_bounded), "{sql}: {plan:?}");
        }
    }
}
