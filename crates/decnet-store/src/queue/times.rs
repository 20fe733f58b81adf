//! What the queue knows about the time, and what is put right in it when the clock is corrected.

use std::path::Path;

use decnet_core::clock::{BootId, Reading};
use decnet_core::limits::{CLOCK_TOLERANCE, CORRECTION_STEP_ROWS};
use decnet_core::time::{BootMicros, UnixMicros};
use rusqlite::{Connection, OptionalExtension};

use super::connection::open_copy;
use super::error::Error;
use super::id::DeliveryId;
use super::ledger::Ledger;
use super::reader::first_since;
use super::waiting::next_retrying;

/// What a queue tells about the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTimes {
    /// The last reading at which the wall clock was trusted, as a worker noted or an operator confirmed it.
    pub trusted: Option<Reading>,
    /// When the newest event was admitted; 0 if there is none.
    pub newest: UnixMicros,
}

/// What to put right after the clock was corrected, and how far that has come.
///
/// Retries that are due too late are due now. Events that were admitted in the future count as admitted now: their ages, and
/// lists by time, would be wrong until that time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    now: UnixMicros,
    latest_due: UnixMicros,
    /// The retries of subscriptions up to this key are done; `None` once all are.
    retries_done: Option<i64>,
}

/// What one step of a correction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// Deliveries and events whose times were changed.
    pub rows: usize,
    /// What is left, if there may be something.
    pub next: Option<Correction>,
}

impl Correction {
    /// A correction at `now`, by the corrected clock; retries that are due after `latest_due` are due now.
    #[must_use]
    pub fn new(now: UnixMicros, latest_due: UnixMicros) -> Self {
        Self { now, latest_due, retries_done: Some(-1) }
    }
}

const HASTEN: &str = "UPDATE deliveries SET due_at = ?3 WHERE id IN
     (SELECT id FROM deliveries INDEXED BY retrying
      WHERE state = 2 AND sub = ?1 AND due_at > ?2 LIMIT ?4)";
const REDATE: &str =
    "UPDATE events SET admitted_at = ?1 WHERE seq >= ?2 AND seq < ?2 + ?3 AND admitted_at > ?4";

pub(super) fn known_times(conn: &Connection) -> Result<KnownTimes, Error> {
    let newest = "SELECT admitted_at FROM events ORDER BY seq DESC LIMIT 1";
    let newest = conn.prepare_cached(newest)?.query_row([], |row| row.get(0)).optional()?;
    Ok(KnownTimes { trusted: trusted(conn)?, newest: UnixMicros(newest.unwrap_or(0)) })
}

fn trusted(conn: &Connection) -> Result<Option<Reading>, Error> {
    let mut find = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let mut get = |key: &str| find.query_row([key], |row| row.get::<_, i64>(0)).optional();
    let (wall, uptime, boot) = (get("clock_wall")?, get("clock_uptime")?, get("clock_boot")?);
    Ok(wall.zip(uptime).map(|(wall, uptime)| Reading {
        wall: UnixMicros(wall),
        uptime: BootMicros(uptime),
        boot: boot.map(BootId),
    }))
}

/// The keys need no schema of their own: a program that does not know them leaves them alone.
pub(super) fn note_time(conn: &Connection, trusted: &Reading) -> Result<(), Error> {
    let mut note = conn.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
    note.execute(("clock_wall", trusted.wall.0))?;
    note.execute(("clock_uptime", trusted.uptime.0))?;
    match trusted.boot {
        Some(BootId(boot)) => note.execute(("clock_boot", boot))?,
        None => conn.prepare_cached("DELETE FROM meta WHERE key = 'clock_boot'")?.execute([])?,
    };
    Ok(())
}

/// Forgets the trusted time of a copy: the time since it was made is not time that the machine was off.
pub(crate) fn forget_time(path: &Path) -> Result<(), Error> {
    let conn = open_copy(path)?;
    conn.execute("DELETE FROM meta WHERE key IN ('clock_wall', 'clock_uptime', 'clock_boot')", [])?;
    Ok(())
}

/// One step: `CORRECTION_STEP_ROWS` rows, or as many subscriptions.
pub(super) fn correct(ledger: &mut Ledger, mut what: Correction) -> Result<Corrected, Error> {
    let (mut rows, mut left) = (0, CORRECTION_STEP_ROWS);
    while left > 0
        && let Some(done) = what.retries_done
    {
        let sub = next_retrying(&ledger.conn, done)?;
        let hastened = sub.map_or(Ok(0), |sub| hasten(&ledger.conn, sub, &what, left))?;
        rows += hastened;
        if hastened < left {
            what.retries_done = sub;
        }
        left = left.saturating_sub(hastened + 1);
    }
    if left > 0 {
        let redated = redate(ledger, what.now, left)?;
        rows += redated;
        left -= redated;
    }
    Ok(Corrected { rows, next: (left == 0).then_some(what) })
}

fn hasten(conn: &Connection, sub: i64, what: &Correction, most: usize) -> Result<usize, Error> {
    let bounds = (sub, what.latest_due.0, what.now.0, most as i64);
    Ok(conn.prepare_cached(HASTEN)?.execute(bounds)?)
}

/// Times of admission ascend, so those in the future are the last ones.
fn redate(ledger: &mut Ledger, now: UnixMicros, most: usize) -> Result<usize, Error> {
    let future = now.after(CLOCK_TOLERANCE);
    ledger.newest = ledger.newest.min(future);
    let first = DeliveryId::from_raw(first_since(&ledger.conn, UnixMicros(future.0.saturating_add(1)))?);
    let bounds = (now.0, first.seq(), most as i64, future.0);
    Ok(ledger.conn.prepare_cached(REDATE)?.execute(bounds)?)
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn every_statement_finds_its_rows_by_an_index() {
        for sql in [HASTEN, REDATE] {
            let plan = schema::query_plan(sql);
            let is_bounded = |step: &String| !step.contains("SCAN") && !step.contains("TEMP B-TREE");
            assert!(!plan.is_empty() && plan.iter().all(is_bounded), "{sql}: {plan:?}");
        }
    }

    #[test]
    fn a_noted_time_is_read_back_and_replaced() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn, Path::new("memory")).unwrap();
        let unknown = KnownTimes { trusted: None, newest: UnixMicros(0) };
        assert_eq!(known_times(&conn).unwrap(), unknown);
        for boot in [Some(BootId(i64::MIN)), None] {
            let trusted = Reading { wall: UnixMicros(7), uptime: BootMicros(3), boot };
            note_time(&conn, &trusted).unwrap();
            assert_eq!(known_times(&conn).unwrap().trusted, Some(trusted));
        }
    }
}
