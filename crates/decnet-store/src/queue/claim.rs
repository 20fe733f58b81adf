//! Claim: reads the next deliveries of one lane, and writes nothing.

use std::sync::Arc;

use bytes::Bytes;
use decnet_core::delivery::{Rendered, Rendering};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Row};
use rustc_hash::FxHashSet;

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::rendering;
use super::writer_state::WriterState;

/// A request for due retries, then for queued deliveries, of one subscription.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The subscription.
    pub sub: SubscriptionKey,
    /// The position after which queued deliveries are claimed: [`Claimed::up_to`] of the previous claim.
    pub after: Option<DeliveryId>,
    /// Deliveries to skip, because the caller has them in memory.
    pub exclude: FxHashSet<DeliveryId>,
    /// The maximum number of deliveries.
    pub limit: usize,
    /// The size of the bodies, in bytes, at which the claim ends.
    pub max_bytes: usize,
    /// The time up to which retries count as due.
    pub now: UnixMicros,
}

/// The deliveries that a lane may send next.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Due retries ordered by their time, then queued deliveries in their order.
    pub deliveries: Vec<Delivery>,
    /// Whether more deliveries can be claimed now.
    pub more: bool,
    /// The last queued delivery, if all deliveries before it are now claimed. `None` after a redelivery: redeliveries are ordered
    /// behind future admissions, so no such position exists.
    pub up_to: Option<DeliveryId>,
    /// The time at which the earliest other retry is due.
    pub next_due: Option<UnixMicros>,
}

/// A delivery that can be attempted.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The delivery.
    pub id: DeliveryId,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The number of attempts that were free: they used up no retry.
    pub free_attempts: u32,
    /// The event to send.
    pub event: Arc<Event>,
    /// The rendering of earlier attempts; `None` for a plain event, and before the first attempt.
    pub rendered: Option<Box<Rendered>>,
    /// Whether the delivery was waiting for a retry.
    pub was_retry: bool,
    /// Whether the delivery is a redelivery, which is queued behind all admitted deliveries regardless of its id.
    pub was_redelivery: bool,
}

const DUE: &str = "
    SELECT d.id, d.attempts, d.due_at, e.id, e.topic, e.body, e.admitted_at, e.operational,
        d.free_attempts, d.rendering, d.body_hash
    FROM deliveries d LEFT JOIN events e ON e.seq = d.id >> ?3
    WHERE d.state = 2 AND d.sub = ?1 AND d.due_at <= ?2 ORDER BY d.due_at, d.id";
const QUEUED: &str = "
    SELECT d.id, d.attempts, d.due_at, e.id, e.topic, e.body, e.admitted_at, e.operational,
        d.free_attempts, d.rendering, d.body_hash
    FROM deliveries d LEFT JOIN events e ON e.seq = d.id >> ?3
    WHERE d.state = 1 AND d.sub = ?1 AND d.due_at > ?2 ORDER BY d.due_at, d.id";

/// Returns the deliveries that `claim` requests.
pub(super) fn claim(writer: &mut WriterState, claim: &Claim) -> Result<Claimed, Error> {
    let (sub, shift) = (claim.sub.0, DeliveryId::NUMBER_BITS);
    let mut due = writer.conn.prepare_cached(DUE)?;
    let mut queued = writer.conn.prepare_cached(QUEUED)?;
    let after = claim.after.map_or(i64::MIN, |id| id.0);
    let (mut claimed, mut bytes) = (Claimed::default(), 0);
    let mut renderings = Renderings { conn: &writer.conn, found: Vec::new() };
    let due = due.query((sub, claim.now.0, shift))?;
    take(claim, due, true, &mut claimed, &mut bytes, &mut renderings)?;
    let queued = queued.query((sub, after, shift))?;
    take(claim, queued, false, &mut claimed, &mut bytes, &mut renderings)?;
    claimed.next_due = next_due(writer, claim)?;
    Ok(claimed)
}

/// The renderings of the deliveries of a claim, each read once.
struct Renderings<'c> {
    conn: &'c Connection,
    found: Vec<Rendering>,
}

impl Renderings<'_> {
    /// Returns the rendering of a row.
    fn of(&mut self, row: &Row<'_>) -> Result<Option<Box<Rendered>>, Error> {
        let Some(id) = row.get(9)? else { return Ok(None) };
        let known = self.found.iter().find(|rendering| rendering.id == id);
        let rendering = if let Some(known) = known {
            known.clone()
        } else {
            // Without its settings, the sender uses the current ones.
            let missing = || Rendering { id, settings: "".into() };
            let read = rendering::find(self.conn, id)?.unwrap_or_else(missing);
            self.found.push(read.clone());
            read
        };
        Ok(Some(Box::new(Rendered { rendering, body_hash: row.get(10)? })))
    }
}

/// Adds deliveries from `rows` until the claim is full; `bytes` counts their bodies.
fn take(
    claim: &Claim,
    mut rows: rusqlite::Rows<'_>,
    was_retry: bool,
    claimed: &mut Claimed,
    bytes: &mut usize,
    renderings: &mut Renderings<'_>,
) -> Result<(), Error> {
    while !claimed.more
        && let Some(row) = rows.next()?
    {
        let id = DeliveryId(row.get(0)?);
        if claim.exclude.contains(&id) {
            continue;
        }
        let is_full = claimed.deliveries.len() >= claim.limit
            || (*bytes >= claim.max_bytes && !claimed.deliveries.is_empty());
        if is_full {
            claimed.more = true;
            return Ok(());
        }
        let was_redelivery = !was_retry && row.get::<_, i64>(2)? != id.0;
        if !was_retry {
            claimed.up_to = (!was_redelivery).then_some(id);
        }
        let event = Arc::new(event(row)?);
        *bytes += event.body.len();
        let (attempts, free_attempts, rendered) = (row.get(1)?, row.get(8)?, renderings.of(row)?);
        let delivery = Delivery { id, attempts, free_attempts, event, rendered, was_retry, was_redelivery };
        claimed.deliveries.push(delivery);
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

fn next_due(writer: &WriterState, claim: &Claim) -> Result<Option<UnixMicros>, Error> {
    let mut later = writer.conn.prepare_cached(
        "SELECT id, due_at FROM deliveries WHERE state = 2 AND sub = ?1 AND due_at > ?2 ORDER BY due_at, id",
    )?;
    let mut rows = later.query((claim.sub.0, claim.now.0))?;
    while let Some(row) = rows.next()? {
        if !claim.exclude.contains(&DeliveryId(row.get(0)?)) {
            return Ok(Some(UnixMicros(row.get(1)?)));
        }
    }
    Ok(None)
}
