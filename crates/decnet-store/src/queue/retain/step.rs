//! One step over the deliveries: read some, decide on each, remove what has to go.
//!
//! Every statement finds its rows by their key, and a step ends after some rows, bytes or milliseconds, whichever
//! comes first: what waits for the next commit does not wait long, however long the queue is and however large its
//! events are.

use std::time::{Duration, Instant};

use decnet_core::delivery::Reason;
use decnet_core::limits::{CLOCK_TOLERANCE, RETENTION_STEP_ROWS};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension};

use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::state::{DEAD, DELIVERED, QUEUED, RETRYING};
use super::{Pressure, Retained, Retention};

/// Bytes of events after which a step ends: what lies outside of its page has to be read to be freed.
const STEP_BYTES: u64 = 4 * 1024 * 1024;
/// However little too much there is: a page that holds several events is free only once all of them are gone.
const MIN_STEP_BYTES: u64 = 64 * 1024;
/// After this a step removes no more deliveries; their events, and the commit, come on top of it.
const STEP_TIME: Duration = Duration::from_millis(1);
/// About what a delivery and its event take beside the event's body.
const ROW_BYTES: u64 = 128;

const LOOK: &str =
    "SELECT id, sub, state, attempts, settled_at FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2";
const ADMITTED: &str = "SELECT admitted_at FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1";
const EVENT_BYTES: &str = "SELECT length(body) FROM events WHERE seq = ?1";
const EXPIRE: &str =
    "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?2, reason = ?3 WHERE id = ?1";
const REMOVE: &str = "DELETE FROM deliveries WHERE id = ?1";
const REMOVE_ATTEMPTS: &str = "DELETE FROM attempts WHERE delivery = ?1";
/// Events that no delivery needs any more. Of the newest one its row stays, since its number must not be given again, ...
const REMOVE_EVENTS: &str = "DELETE FROM events WHERE seq BETWEEN ?1 AND ?2
     AND +seq < (SELECT max(seq) FROM events)
     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id >= seq << ?3 AND id < (seq + 1) << ?3)";
/// ... and its id, by which it is known if it comes again; its body goes.
const EMPTY_NEWEST: &str = "UPDATE events SET body = x'' WHERE seq = (SELECT max(seq) FROM events)
     AND seq BETWEEN ?1 AND ?2 AND length(body) > 0
     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id >= seq << ?3 AND id < (seq + 1) << ?3)";

/// What goes: times before which something is too old, and how much at most.
pub(super) struct Bounds<'p> {
    policy: &'p Retention,
    now: UnixMicros,
    /// Whatever seems to have been settled after that was settled while the clock was wrong.
    future: i64,
    delivered_before: i64,
    dead_before: i64,
    parked_before: i64,
    /// Parked ones are not only given up, but removed.
    squeeze: bool,
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
enum Verdict {
    Keep,
    Expire,
    Remove,
}

/// What a step has done so far, as far as it costs time.
struct Spent {
    since: Instant,
    rows: usize,
    bytes: u64,
    /// Whose event was counted last.
    seq: Option<i64>,
}

/// Does one step from `after` on. The last id that it looked at; none when the pass is complete, since whatever
/// follows is too young.
pub(super) fn take(
    conn: &Connection,
    after: i64,
    bounds: &Bounds<'_>,
    done: &mut Retained,
) -> Result<Option<i64>, Error> {
    let mut spent = Spent::nothing();
    let rows = look(conn, after)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let oldest = admitted_at(conn, first)?;
    if oldest >= bounds.horizon() {
        return Ok(None);
    }
    let mut last = first.id;
    for row in rows {
        if spent.is_enough(bounds) {
            break;
        }
        last = row.id;
        match bounds.verdict(&row, oldest, || admitted_at(conn, &row))? {
            Verdict::Keep => {}
            Verdict::Expire => done.expired += expire(conn, row.id, bounds.now, &mut spent)?,
            Verdict::Remove => remove(conn, &row, &mut spent, done)?,
        }
    }
    if spent.seq.is_some() {
        done.events += remove_events(conn, DeliveryId::from_raw(after), last)?;
    }
    Ok(Some(last.raw()))
}

impl<'p> Bounds<'p> {
    /// Without a time, nothing is too old.
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
            squeeze: pressure == Pressure::Parked,
            // Half of it, since an event frees more than its own bytes: the rest of its page.
            bytes: if excess > 0 { (excess / 2).clamp(MIN_STEP_BYTES, STEP_BYTES) } else { STEP_BYTES },
        }
    }

    /// Nothing goes whose event was admitted then or later.
    fn horizon(&self) -> i64 {
        self.delivered_before.max(self.dead_before).max(self.parked_before)
    }

    /// `oldest` is the admission of the step's first event; only where that one is too old for a parked delivery
    /// to stay, `admitted_at` is asked for the row's own.
    fn verdict(
        &self,
        row: &Row,
        oldest: i64,
        admitted_at: impl Fn() -> Result<i64, Error>,
    ) -> Result<Verdict, Error> {
        let remove_if = |goes| if goes { Verdict::Remove } else { Verdict::Keep };
        Ok(match row.state {
            DELIVERED => remove_if(self.is_old(row, self.delivered_before, admitted_at)?),
            DEAD => remove_if(self.is_old(row, self.dead_before, admitted_at)?),
            QUEUED | RETRYING if !self.policy.parked.contains(&row.sub) => Verdict::Keep,
            QUEUED | RETRYING if self.squeeze => Verdict::Remove,
            QUEUED | RETRYING if oldest >= self.parked_before => Verdict::Keep,
            QUEUED | RETRYING if admitted_at()? >= self.parked_before => Verdict::Keep,
            QUEUED | RETRYING => Verdict::Expire,
            _ => Verdict::Keep,
        })
    }

    /// Returns whether a final delivery was settled before then. One cannot have been settled before its event was admitted,
    /// nor in the future: the admission decides where the clock was wrong at the settlement.
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

impl Spent {
    fn nothing() -> Self {
        Self { since: Instant::now(), rows: 0, bytes: 0, seq: None }
    }

    /// Never before something was done, so that each step gets on.
    fn is_enough(&self, bounds: &Bounds<'_>) -> bool {
        let is_late = || self.rows > 0 && self.since.elapsed() >= STEP_TIME;
        self.rows >= RETENTION_STEP_ROWS || self.bytes >= bounds.bytes || is_late()
    }
}

fn look(conn: &Connection, after: i64) -> Result<Vec<Row>, Error> {
    let mut next = conn.prepare_cached(LOOK)?;
    let rows = next.query_map((after, RETENTION_STEP_ROWS as i64), |row| {
        Ok(Row {
            id: DeliveryId::from_raw(row.get(0)?),
            sub: SubscriptionKey(row.get(1)?),
            state: row.get(2)?,
            attempts: row.get(3)?,
            settled_at: row.get::<_, Option<i64>>(4)?.unwrap_or(i64::MAX),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Of the row's event.
fn admitted_at(conn: &Connection, row: &Row) -> Result<i64, Error> {
    let found = conn.prepare_cached(ADMITTED)?.query_row([row.id.seq()], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(i64::MAX))
}

fn expire(conn: &Connection, id: DeliveryId, now: UnixMicros, spent: &mut Spent) -> Result<u64, Error> {
    spent.rows += 1;
    let expired = conn.prepare_cached(EXPIRE)?.execute((id.raw(), now.0, Reason::Expired.code()))?;
    Ok(expired as u64)
}

fn remove(conn: &Connection, row: &Row, spent: &mut Spent, done: &mut Retained) -> Result<(), Error> {
    // The attempt that delivered is in the delivery's own row.
    let recorded = row.attempts - u32::from(row.state == DELIVERED).min(row.attempts);
    if recorded > 0 {
        spent.rows += conn.prepare_cached(REMOVE_ATTEMPTS)?.execute([row.id.raw()])?;
    }
    spent.rows += conn.prepare_cached(REMOVE)?.execute([row.id.raw()])?;
    let seq = row.id.seq();
    if spent.seq.replace(seq) != Some(seq) {
        let bytes: Option<u32> =
            conn.prepare_cached(EVENT_BYTES)?.query_row([seq], |row| row.get(0)).optional()?;
        spent.bytes += u64::from(bytes.unwrap_or(0)) + ROW_BYTES;
    }
    match row.state {
        DELIVERED => done.delivered += 1,
        DEAD => done.dead += 1,
        _ => done.parked += 1,
    }
    Ok(())
}

fn remove_events(conn: &Connection, after: DeliveryId, last: DeliveryId) -> Result<u64, Error> {
    let range = (after.seq(), last.seq(), DeliveryId::NUMBER_BITS);
    conn.prepare_cached(EMPTY_NEWEST)?.execute(range)?;
    Ok(conn.prepare_cached(REMOVE_EVENTS)?.execute(range)? as u64)
}

#[cfg(test)]
mod tests {

    use super::super::super::schema;
    use super::*;

    #[test]
    fn every_statement_finds_its_rows_by_their_key() {
        for sql in [LOOK, ADMITTED, EVENT_BYTES, EXPIRE, REMOVE, REMOVE_ATTEMPTS, REMOVE_EVENTS, EMPTY_NEWEST]
        {
            let plan = schema::query_plan(sql);
            let is_bounded = |step: &String| !step.contains("SCAN") && !step.contains("TEMP B-TREE");
            assert!(!plan.is_empty() && plan.iter().all(is_bounded), "{sql}: {plan:?}");
        }
    }
}
