//! Times recorded in the queue, and their correction after the clock was corrected.

use decnet_core::clock::{BootId, Reading};
use decnet_core::limits::{CLOCK_TOLERANCE, CORRECTION_STEP_ROWS};
use decnet_core::time::{BootMicros, UnixMicros};
use rusqlite::Connection;

use super::backlog::next_retrying;
use super::error::Error;
use super::id::DeliveryId;
use super::meta;
use super::reader::first_since;
use super::writer_state::WriterState;
use crate::sql;

/// The times that a queue has recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedTimes {
    /// The last reading at which the wall clock was trusted, recorded by a worker or confirmed by an operator.
    pub trusted: Option<Reading>,
    /// The time at which the newest event was admitted; 0 without events.
    pub newest: UnixMicros,
}

/// A correction of stored times after the clock was corrected, and its progress.
///
/// Retries that are due too late become due now. Events with an admission time in the future get the current time, because until
/// that time their ages and lists by time would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    now: UnixMicros,
    latest_due: UnixMicros,
    /// The last subscription whose retries are corrected; `None` once all subscriptions are corrected.
    corrected_up_to: Option<i64>,
}

/// The result of one step of a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// The number of deliveries and events whose times were changed.
    pub rows: usize,
    /// The rest of the correction, unless it is complete.
    pub next: Option<Correction>,
}

impl Correction {
    /// Creates a correction at `now`, a time of the corrected clock. Retries due after `latest_due` become due at `now`.
    #[must_use]
    pub fn new(now: UnixMicros, latest_due: UnixMicros) -> Self {
        Self { now, latest_due, corrected_up_to: Some(-1) }
    }
}

const MAKE_DUE: &str = "UPDATE deliveries SET due_at = ?3 WHERE id IN
     (SELECT id FROM deliveries INDEXED BY retrying
      WHERE state = 2 AND sub = ?1 AND due_at > ?2 LIMIT ?4)";
const REDATE: &str =
    "UPDATE events SET admitted_at = ?1 WHERE seq >= ?2 AND seq < ?2 + ?3 AND admitted_at > ?4";

/// Returns the last trusted reading and the admission time of the newest event.
pub(super) fn recorded_times(conn: &Connection) -> Result<RecordedTimes, Error> {
    let newest = sql::find(conn, "SELECT admitted_at FROM events ORDER BY seq DESC LIMIT 1", [])?;
    let (wall, uptime) = (meta::find(conn, "clock_wall")?, meta::find(conn, "clock_uptime")?);
    let boot = meta::find(conn, "clock_boot")?.map(BootId);
    let reading = |(wall, uptime)| Reading { wall: UnixMicros(wall), uptime: BootMicros(uptime), boot };
    Ok(RecordedTimes { trusted: wall.zip(uptime).map(reading), newest: UnixMicros(newest.unwrap_or(0)) })
}

/// Records a trusted reading. The keys under which it is stored need no new schema version: older programs ignore them.
pub(super) fn record_time(conn: &Connection, trusted: &Reading) -> Result<(), Error> {
    forget_time(conn)?;
    meta::set(conn, "clock_wall", trusted.wall.0)?;
    meta::set(conn, "clock_uptime", trusted.uptime.0)?;
    if let Some(BootId(boot)) = trusted.boot {
        meta::set(conn, "clock_boot", boot)?;
    }
    Ok(())
}

/// Removes the trusted reading.
pub(super) fn forget_time(conn: &Connection) -> rusqlite::Result<()> {
    let forget = "DELETE FROM meta WHERE key IN ('clock_wall', 'clock_uptime', 'clock_boot')";
    sql::execute(conn, forget, []).map(drop)
}

/// Runs one step, bounded by `CORRECTION_STEP_ROWS` rows and as many subscriptions.
pub(super) fn correct(writer: &mut WriterState, mut correction: Correction) -> Result<Corrected, Error> {
    let (mut rows, mut left) = (0, CORRECTION_STEP_ROWS);
    while left > 0
        && let Some(done) = correction.corrected_up_to
    {
        let sub = next_retrying(&writer.conn, done)?;
        let made_due = sub.map_or(Ok(0), |sub| make_due(&writer.conn, sub, &correction, left))?;
        rows += made_due;
        if made_due < left {
            correction.corrected_up_to = sub;
        }
        left = left.saturating_sub(made_due + 1);
    }
    if left > 0 {
        let redated = redate(writer, correction.now, left)?;
        rows += redated;
        left -= redated;
    }
    Ok(Corrected { rows, next: (left == 0).then_some(correction) })
}

fn make_due(conn: &Connection, sub: i64, correction: &Correction, limit: usize) -> Result<usize, Error> {
    let bounds = (sub, correction.latest_due.0, correction.now.0, limit as i64);
    Ok(sql::execute(conn, MAKE_DUE, bounds)?)
}

/// Changes admission times in the future to `now`. Admission times ascend, so those events are the newest.
fn redate(writer: &mut WriterState, now: UnixMicros, limit: usize) -> Result<usize, Error> {
    let future = now.after(CLOCK_TOLERANCE);
    writer.last_admitted_at = writer.last_admitted_at.min(future);
    let first = DeliveryId(first_since(&writer.conn, UnixMicros(future.0.saturating_add(1)))?);
    let bounds = (now.0, first.seq(), limit as i64, future.0);
    Ok(sql::execute(&writer.conn, REDATE, bounds)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::schema;
    use super::*;

    #[test]
    fn every_statement_searches_an_index() {
        for sql in [MAKE_DUE, REDATE] {
            let plan = schema::query_plan(sql);
            let is_bounded = |step: &String| !step.contains("SCAN") && !step.contains("TEMP B-TREE");
            assert!(!plan.is_empty() && plan.iter().all(is_bounded), "{sql}: {plan:?}");
        }
    }

    #[test]
    fn recorded_time_is_read_back_and_replaced() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn, Path::new("memory")).unwrap();
        let empty = RecordedTimes { trusted: None, newest: UnixMicros(0) };
        assert_eq!(recorded_times(&conn).unwrap(), empty);
        for boot in [Some(BootId(i64::MIN)), None] {
            let trusted = Reading { wall: UnixMicros(7), uptime: BootMicros(3), boot };
            record_time(&conn, &trusted).unwrap();
            assert_eq!(recorded_times(&conn).unwrap().trusted, Some(trusted));
        }
    }
}
