//! Claim: the next deliveries of one lane, read and not written.

use std::sync::Arc;

use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use rusqlite::CachedStatement;
use rustc_hash::FxHashSet;

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::ledger::Ledger;

/// What a lane may send next.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Due retries by their time, then what is queued in its order.
    pub deliveries: Vec<Delivery>,
    /// More could be claimed now.
    pub more: bool,
    /// When the earliest retry that is not yet due will be.
    pub next_due: Option<UnixMicros>,
}

/// A delivery that may be attempted.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Attempts so far.
    pub attempts: u32,
    /// What is sent.
    pub event: Arc<Event>,
    /// It was waiting for a retry.
    pub was_retry: bool,
}

/// What to claim.
pub(super) struct Request {
    pub(super) sub: SubscriptionKey,
    pub(super) exclude: FxHashSet<DeliveryId>,
    pub(super) limit: usize,
    pub(super) max_bytes: usize,
    pub(super) now: UnixMicros,
}

pub(super) fn claim(ledger: &mut Ledger, request: &Request) -> Result<Claimed, Error> {
    let conn = &ledger.conn;
    let mut due = conn.prepare_cached(
        "SELECT id, attempts FROM deliveries WHERE state = 2 AND sub = ?1 AND due_at <= ?2 ORDER BY due_at, id",
    )?;
    let mut queued = conn.prepare_cached(
        "SELECT id, attempts FROM deliveries WHERE state = 1 AND sub = ?1 ORDER BY due_at, id",
    )?;
    let mut event = conn.prepare_cached("SELECT id, topic, body FROM events WHERE seq = ?1")?;
    let mut claimed = Claimed::default();
    let mut bytes = 0;
    for (was_retry, rows) in
        [(true, due.query((request.sub.0, request.now.0))?), (false, queued.query([request.sub.0])?)]
    {
        take(request, rows, was_retry, &mut event, &mut claimed, &mut bytes)?;
    }
    claimed.next_due = next_due(ledger, request)?;
    Ok(claimed)
}

fn take(
    request: &Request,
    mut rows: rusqlite::Rows<'_>,
    was_retry: bool,
    event: &mut CachedStatement<'_>,
    claimed: &mut Claimed,
    bytes: &mut usize,
) -> Result<(), Error> {
    while !claimed.more
        && let Some(row) = rows.next()?
    {
        let id = DeliveryId::from_raw(row.get(0)?);
        if request.exclude.contains(&id) {
            continue;
        }
        let enough = claimed.deliveries.len() >= request.limit
            || (*bytes >= request.max_bytes && !claimed.deliveries.is_empty());
        if enough {
            claimed.more = true;
            return Ok(());
        }
        let event = Arc::new(read_event(event, id.seq())?);
        *bytes += event.body.len();
        claimed.deliveries.push(Delivery { id, attempts: row.get(1)?, event, was_retry });
    }
    Ok(())
}

fn read_event(find: &mut CachedStatement<'_>, seq: i64) -> Result<Event, Error> {
    let event = find.query_row([seq], |row| {
        let body = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
        Ok(Event { id: row.get(0)?, topic: row.get(1)?, body })
    });
    event.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Error::Corrupt(Arc::new(error)),
        other => other.into(),
    })
}

fn next_due(ledger: &Ledger, request: &Request) -> Result<Option<UnixMicros>, Error> {
    let mut later = ledger.conn.prepare_cached(
        "SELECT id, due_at FROM deliveries WHERE state = 2 AND sub = ?1 AND due_at > ?2 ORDER BY due_at, id",
    )?;
    let mut rows = later.query((request.sub.0, request.now.0))?;
    while let Some(row) = rows.next()? {
        if !request.exclude.contains(&DeliveryId::from_raw(row.get(0)?)) {
            return Ok(Some(UnixMicros(row.get(1)?)));
        }
    }
    Ok(None)
}
