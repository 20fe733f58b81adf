//! Retain: what is old or too much goes, in steps small enough that delivery does not feel them.

use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_core::limits::RETENTION_STEP_ROWS;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension};

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::ledger::Ledger;

/// How long, and how much, is kept.
///
/// When the file holds more than `max_bytes`, delivered ones go before their age, the oldest first, then dead
/// ones. What is neither delivered nor dead is never removed for its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Delivered ones, since they were.
    pub delivered_age: Duration,
    /// Dead ones, since they were given up.
    pub dead_age: Duration,
    /// Parked ones, since their event was admitted; then they are dead (expired).
    pub parked_age: Duration,
    /// Of the database file, without its log.
    pub max_bytes: u64,
    /// The subscriptions whose deliveries are parked now.
    pub parked: Vec<SubscriptionKey>,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Delivered ones removed.
    pub delivered: u64,
    /// Dead ones removed.
    pub dead: u64,
    /// Parked ones that are dead now.
    pub expired: u64,
    /// Events removed with their last delivery.
    pub events: u64,
    /// Bytes of the file in use, after this.
    pub bytes: u64,
    /// More than `max_bytes` are in use, and nothing is left that may be removed: intake should warn.
    pub only_live_left: bool,
    /// Call again at once; otherwise a pass over the queue is complete.
    pub more: bool,
}

/// Where the next step goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sweep {
    /// Ids up to this one were looked at in this pass.
    cursor: i64,
    pressure: Pressure,
}

/// How far size overrides age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Pressure {
    #[default]
    None,
    Delivered,
    Dead,
}

/// What one step looks at, and what is too old in it: times before which something goes.
struct Step {
    after: i64,
    last: i64,
    delivered_before: i64,
    dead_before: i64,
    parked_before: i64,
}

pub(super) fn retain(ledger: &mut Ledger, policy: &Retention, now: UnixMicros) -> Result<Retained, Error> {
    let conn = &ledger.conn;
    let mut sweep = ledger.sweep;
    let over = used_bytes(conn)? > policy.max_bytes;
    sweep.apply_pressure(over);
    let mut done = Retained::default();
    let step = sweep.step(conn, policy, now)?;
    if let Some(step) = &step {
        sweep.cursor = step.last;
        remove(conn, step, &mut done)?;
        expire(conn, step, &policy.parked, now, &mut done)?;
    }
    done.bytes = used_bytes(conn)?;
    let over = done.bytes > policy.max_bytes;
    if step.is_some() {
        done.more = true;
    } else {
        sweep.cursor = 0;
        done.only_live_left = over && sweep.pressure == Pressure::Dead;
        done.more = give_back(conn)? || (over && sweep.escalate());
    }
    ledger.sweep = sweep;
    Ok(done)
}

impl Sweep {
    fn apply_pressure(&mut self, over: bool) {
        if !over {
            self.pressure = Pressure::None;
        } else if self.pressure == Pressure::None {
            *self = Self { cursor: 0, pressure: Pressure::Delivered };
        }
    }

    /// The pass did not free enough: the next one takes more. False if it cannot.
    fn escalate(&mut self) -> bool {
        let harder = self.pressure < Pressure::Dead;
        self.pressure = Pressure::Dead;
        harder
    }

    /// The next rows to look at; none when the pass is complete, since whatever follows is too young.
    fn step(&self, conn: &Connection, policy: &Retention, now: UnixMicros) -> Result<Option<Step>, Error> {
        let before = |age: Duration| now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let by = |pressure, age| if self.pressure >= pressure { i64::MAX } else { before(age) };
        let Some(last) = last_of_step(conn, self.cursor)? else { return Ok(None) };
        let step = Step {
            after: self.cursor,
            last,
            delivered_before: by(Pressure::Delivered, policy.delivered_age),
            dead_before: by(Pressure::Dead, policy.dead_age),
            parked_before: before(policy.parked_age),
        };
        let horizon = step.delivered_before.max(step.dead_before).max(step.parked_before);
        Ok((admitted_after(conn, self.cursor)? < horizon).then_some(step))
    }
}

/// The last id of the next rows after `cursor`.
fn last_of_step(conn: &Connection, cursor: i64) -> Result<Option<i64>, Error> {
    let mut find = conn.prepare_cached(
        "SELECT max(id) FROM (SELECT id FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2)",
    )?;
    Ok(find.query_row((cursor, RETENTION_STEP_ROWS as i64), |row| row.get(0))?)
}

/// When the first event with a delivery after `cursor` was admitted.
fn admitted_after(conn: &Connection, cursor: i64) -> Result<i64, Error> {
    let mut find =
        conn.prepare_cached("SELECT admitted_at FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let found = find.query_row([DeliveryId::from_raw(cursor).seq()], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(i64::MAX))
}

fn remove(conn: &Connection, step: &Step, done: &mut Retained) -> Result<(), Error> {
    for (state, before, removed) in
        [(3, step.delivered_before, &mut done.delivered), (4, step.dead_before, &mut done.dead)]
    {
        let range = (step.after, step.last, before);
        conn.prepare_cached(&format!(
            "DELETE FROM attempts WHERE delivery > ?1 AND delivery <= ?2 AND delivery IN
                 (SELECT id FROM deliveries WHERE id > ?1 AND id <= ?2 AND +state = {state} AND settled_at < ?3)"
        ))?
        .execute(range)?;
        let deleted = conn
            .prepare_cached(&format!(
                "DELETE FROM deliveries WHERE id > ?1 AND id <= ?2 AND +state = {state} AND settled_at < ?3"
            ))?
            .execute(range)?;
        *removed += deleted as u64;
    }
    if done.delivered + done.dead > 0 {
        done.events += remove_events(conn, step)?;
    }
    Ok(())
}

/// Events that no delivery needs any more. The newest one stays: its number must not be given again.
fn remove_events(conn: &Connection, step: &Step) -> Result<u64, Error> {
    let first = DeliveryId::from_raw(step.after).seq();
    let last = DeliveryId::from_raw(step.last).seq();
    let mut delete = conn.prepare_cached(
        "DELETE FROM events WHERE seq BETWEEN ?1 AND ?2
             AND +seq < (SELECT max(seq) FROM events)
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id >= seq << ?3 AND id < (seq + 1) << ?3)",
    )?;
    Ok(delete.execute((first, last, DeliveryId::NUMBER_BITS))? as u64)
}

/// Parked ones whose event is too old are dead.
fn expire(
    conn: &Connection,
    step: &Step,
    parked: &[SubscriptionKey],
    now: UnixMicros,
    done: &mut Retained,
) -> Result<(), Error> {
    if parked.is_empty() {
        return Ok(());
    }
    let mut update = conn.prepare_cached(
        "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?2, reason = ?3 WHERE id = ?1",
    )?;
    for (id, sub) in waiting_too_long(conn, step)? {
        if parked.contains(&sub) {
            done.expired += update.execute((id, now.0, Reason::Expired.code()))? as u64;
        }
    }
    Ok(())
}

fn waiting_too_long(conn: &Connection, step: &Step) -> Result<Vec<(i64, SubscriptionKey)>, Error> {
    let mut find = conn.prepare_cached(
        "SELECT id, sub FROM deliveries
         WHERE id > ?1 AND id <= ?2 AND +state IN (1, 2)
             AND (SELECT admitted_at FROM events WHERE seq = deliveries.id >> ?3) < ?4",
    )?;
    let range = (step.after, step.last, DeliveryId::NUMBER_BITS, step.parked_before);
    let found = find.query_map(range, |row| Ok((row.get(0)?, SubscriptionKey(row.get(1)?))))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Gives free pages back to the disk where they are many; true if more remain.
fn give_back(conn: &Connection) -> Result<bool, Error> {
    let (pages, free) = (pragma(conn, "page_count")?, pragma(conn, "freelist_count")?);
    if free <= pages / FREE_FRACTION {
        return Ok(false);
    }
    let mut vacuum = conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}

/// Free pages up to this part of the file stay for what comes next.
const FREE_FRACTION: u64 = 4;

fn used_bytes(conn: &Connection) -> Result<u64, Error> {
    Ok((pragma(conn, "page_count")? - pragma(conn, "freelist_count")?) * pragma(conn, "page_size")?)
}

fn pragma(conn: &Connection, name: &str) -> Result<u64, Error> {
    let value: i64 = conn.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))?;
    Ok(value.unsigned_abs())
}
