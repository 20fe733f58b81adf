//! Dead deliveries by subscription and reason.

use decnet_core::delivery::Reason;
use decnet_core::time::UnixMicros;
use rusqlite::Row;

use super::super::error::Error;
use super::super::state::reason;
use super::Reader;
use crate::sql;

/// The dead deliveries of one subscription with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// The UUID of the subscription in the catalog.
    pub uuid: Box<str>,
    /// The last name of the subscription that the worker recorded.
    pub name: Box<str>,
    /// The reason.
    pub reason: Reason,
    /// Deliveries that were not redelivered.
    pub open: u64,
    /// Deliveries that were redelivered.
    pub redelivered: u64,
    /// The time at which the first of them became dead.
    pub oldest_at: Option<UnixMicros>,
    /// The time at which the last of them became dead.
    pub newest_at: Option<UnixMicros>,
}

/// Reads only dead deliveries: the literal state selects their partial index.
const FAILURES: &str = "
    SELECT uuid, name, reason, sum(again IS NULL) AS open, sum(again IS NOT NULL), min(settled_at), max(settled_at)
    FROM deliveries JOIN subscriptions ON key = sub
    WHERE state = 4 GROUP BY sub, reason ORDER BY open DESC, name, uuid, reason";

impl Reader {
    /// Returns the dead deliveries by subscription and reason, the largest group first. Scans all dead deliveries.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn failures(&self) -> Result<Vec<Failures>, Error> {
        Ok(sql::all(&self.conn, FAILURES, [], read)?)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Failures> {
    let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Failures {
        uuid: row.get(0)?,
        name: row.get(1)?,
        reason: reason(row, 2)?.unwrap_or(Reason::Internal),
        open: count(3)?,
        redelivered: count(4)?,
        oldest_at: row.get::<_, Option<i64>>(5)?.map(UnixMicros),
        newest_at: row.get::<_, Option<i64>>(6)?.map(UnixMicros),
    })
}
