//! Claim: the next deliveries of one lane, read and not written.

use std::sync::Arc;

use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use rusqlite::Row;
use rustc_hash::FxHashSet;

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::ledger::Ledger;

/// What to claim: due retries, then what is queued.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose deliveries.
    pub sub: SubscriptionKey,
    /// Of what is queued, only what was admitted after this one: [`Claimed::up_to`] of the claim before.
    pub after: Option<DeliveryId>,
    /// Not these: what the caller has in memory already.
    pub exclude: FxHashSet<DeliveryId>,
    /// At most so many.
    pub limit: usize,
    /// None after so many bytes of bodies are there.
    pub max_bytes: usize,
    /// Retries are due that were to be made by then.
    pub now: UnixMicros,
}

/// What a lane may send next.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Due retries by their time, then what is queued in its order.
    pub deliveries: Vec<Delivery>,
    /// More could be claimed now.
    pub more: bool,
    /// The last one that was queued, if all before it are claimed now. Redeliveries wait behind what is yet to be
    /// admitted: beyond the first of them there is no such place.
    pub up_to: Option<DeliveryId>,
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
    /// An operator asked for it: it was queued, behind all that was admitted, whatever its id.
    pub was_redelivery: bool,
}

const DUE: &str = "
    SELECT d.id, d.attempts, d.due_at, e.id, e.topic, e.body, e.admitted_at, e.operational
    FROM deliveries d LEFT JOIN events e ON e.seq = d.id >> ?3
    WHERE d.state = 2 AND d.sub = ?1 AND d.due_at <= ?2 ORDER BY d.due_at, d.id";
const QUEUED: &str = "
    SELECT d.id, d.attempts, d.due_at, e.id, e.topic, e.body, e.admitted_at, e.operational
    FROM deliveries d LEFT JOIN events e ON e.seq = d.id >> ?3
    WHERE d.state = 1 AND d.sub = ?1 AND d.due_at > ?2 ORDER BY d.due_at, d.id";

pub(super) fn claim(ledger: &mut Ledger, claim: &Claim) -> Result<Claimed, Error> {
    let (sub, shift) = (claim.sub.0, DeliveryId::NUMBER_BITS);
    let mut due = ledger.conn.prepare_cached(DUE)?;
    let mut queued = ledger.conn.prepare_cached(QUEUED)?;
    let after = claim.after.map_or(i64::MIN, DeliveryId::raw);
    let (mut claimed, mut bytes) = (Claimed::default(), 0);
    take(claim, due.query((sub, claim.now.0, shift))?, true, &mut claimed, &mut bytes)?;
    take(claim, queued.query((sub, after, shift))?, false, &mut claimed, &mut bytes)?;
    claimed.next_due = next_due(ledger, claim)?;
    Ok(claimed)
}

fn take(
    claim: &Claim,
    mut rows: rusqlite::Rows<'_>,
    was_retry: bool,
    claimed: &mut Claimed,
    bytes: &mut usize,
) -> Result<(), Error> {
    while !claimed.more
        && let Some(row) = rows.next()?
    {
        let id = DeliveryId::from_raw(row.get(0)?);
        if claim.exclude.contains(&id) {
            continue;
        }
        let enough = claimed.deliveries.len() >= claim.limit
            || (*bytes >= claim.max_bytes && !claimed.deliveries.is_empty());
        if enough {
            claimed.more = true;
            return Ok(());
        }
        let was_redelivery = !was_retry && row.get::<_, i64>(2)? != id.raw();
        if !was_retry {
            claimed.up_to = (!was_redelivery).then_some(id);
        }
        let event = Arc::new(event(row)?);
        *bytes += event.body.len();
        claimed.deliveries.push(Delivery { id, attempts: row.get(1)?, event, was_retry, was_redelivery });
    }
    Ok(())
}

fn event(row: &Row<'_>) -> Result<Event, Error> {
    let Some(body) = row.get_ref(5)?.as_blob_or_null().map_err(rusqlite::Error::from)? else {
        return Err(Error::Corrupt(Arc::new(rusqlite::Error::QueryReturnedNoRows)));
    };
    let (id, topic, at) = (row.get(3)?, row.get(4)?, UnixMicros(row.get(6)?));
    let operational = row.get::<_, Option<bool>>(7)?.unwrap_or(false);
    Ok(Event { operational, ..Event::stored(id, topic, Bytes::copy_from_slice(body), at) })
}

fn next_due(ledger: &Ledger, claim: &Claim) -> Result<Option<UnixMicros>, Error> {
    let mut later = ledger.conn.prepare_cached(
        "SELECT id, due_at FROM deliveries WHERE state = 2 AND sub = ?1 AND due_at > ?2 ORDER BY due_at, id",
    )?;
    let mut rows = later.query((claim.sub.0, claim.now.0))?;
    while let Some(row) = rows.next()? {
        if !claim.exclude.contains(&DeliveryId::from_raw(row.get(0)?)) {
            return Ok(Some(UnixMicros(row.get(1)?)));
        }
    }
    Ok(None)
}
