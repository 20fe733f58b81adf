//! Settle: an attempt and the state it led to become durable together, if it is still that attempt's turn.

use std::time::Duration;

use bytes::Bytes;
use decnet_core::delivery::{Reason, State};
use decnet_core::time::UnixMicros;
use rusqlite::CachedStatement;

use super::error::Error;
use super::id::DeliveryId;
use super::ledger::Ledger;
use super::state::{DEAD, DELIVERED, to_columns};

/// An attempt, and what `advance` made of it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which delivery.
    pub id: DeliveryId,
    /// The attempt that was made.
    pub attempt: Attempt,
    /// The state it led to.
    pub state: State,
}

/// One POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: UnixMicros,
    /// How long it took, to the microsecond.
    pub duration: Duration,
    /// HTTP status, if there was a reply.
    pub status: Option<u16>,
    /// Why it did not deliver.
    pub reason: Option<Reason>,
    /// More for the operator; nothing secret.
    pub detail: Option<Box<str>>,
    /// The beginning of the reply's body, at most `KEPT_REPLY_BYTES`.
    pub reply: Bytes,
}

/// One flag a settlement: was it applied, or did it come too late?
pub(super) fn settle(ledger: &mut Ledger, batch: &[Settlement]) -> Result<Vec<bool>, Error> {
    let mut update = ledger.conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, attempts = ?3, due_at = ?4, settled_at = ?5, reason = ?6
         WHERE id = ?1 AND attempts = ?3 - 1 AND state IN (0, 1, 2)",
    )?;
    let mut insert = ledger.conn.prepare_cached(
        "INSERT INTO attempts (delivery, number, started_at, duration_us, status, reason, detail, reply)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    batch.iter().map(|settlement| settle_one(&mut update, &mut insert, settlement)).collect()
}

fn settle_one(
    update: &mut CachedStatement<'_>,
    insert: &mut CachedStatement<'_>,
    Settlement { id, attempt, state }: &Settlement,
) -> Result<bool, Error> {
    let (state, due_at, reason) = to_columns(*state, id.raw());
    let settled_at = matches!(state, DELIVERED | DEAD).then(|| attempt.started_at.after(attempt.duration).0);
    if update.execute((id.raw(), state, attempt.number, due_at, settled_at, reason))? == 0 {
        return Ok(false);
    }
    insert.execute((
        id.raw(),
        attempt.number,
        attempt.started_at.0,
        i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX),
        attempt.status,
        attempt.reason.map(Reason::code),
        attempt.detail.as_deref(),
        (!attempt.reply.is_empty()).then_some(attempt.reply.as_ref()),
    ))?;
    Ok(true)
}
