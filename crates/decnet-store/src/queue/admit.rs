//! Admit: commits an event together with its deliveries.

use std::sync::Arc;

use decnet_core::delivery::{Reason, State};
use decnet_core::event::{Event, sendable_id};
use decnet_core::limits::MAX_FAN_OUT;
use decnet_core::time::UnixMicros;
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::state::{HELD, QUEUED, to_columns};
use super::submitted::{self, SubmissionId};
use super::writer_state::WriterState;

/// An event and its recipients.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The event.
    pub event: Arc<Event>,
    /// The recipients, each subscription once. If empty, nothing is written and the id is not recorded.
    pub to: Vec<Recipient>,
    /// The submission that the event comes from, if any. The admission removes it, even without recipients. If it no longer
    /// exists, nothing is written. Submitted events were deduplicated when they were submitted, so the id is not
    /// checked again.
    pub submitted: Option<SubmissionId>,
}

/// A recipient of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The subscription.
    pub sub: SubscriptionKey,
    /// The place of the delivery after the admission.
    pub placement: Placement,
}

/// The place of a delivery after its admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// The caller keeps the delivery in memory, and will settle or release it. Until then no claim returns it.
    Held,
    /// The delivery is queued.
    Queued,
    /// The delivery is dead from the start, listed and redeliverable.
    Dead(Box<Rejection>),
}

/// The reason why a delivery is dead from the start. It is stored as an attempt without a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// Details for the operator; contains no secrets.
    pub detail: Box<str>,
}

/// The result of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Whether the event was admitted before, or its submission was removed. Nothing was written then.
    pub duplicate: bool,
    /// The delivery to the first recipient; the others follow in the order of `to`. For a duplicate, this is the id of the
    /// first delivery when the event was first admitted.
    pub first: DeliveryId,
}

impl Admission {
    pub(super) fn rows(&self) -> usize {
        1 + self.to.len() + usize::from(self.submitted.is_some())
    }
}

pub(super) fn admit(writer: &mut WriterState, batch: &[Admission]) -> Result<Vec<Admitted>, Error> {
    let now = writer.admission_time();
    let conn = &writer.conn;
    let mut find_id = conn.prepare_cached("SELECT id FROM events WHERE seq = ?1")?;
    let mut add_event = conn.prepare_cached(
        "INSERT INTO events (seq, id, topic, admitted_at, body, operational) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut add_delivery = conn.prepare_cached(
        "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, ?3, 0, ?4)",
    )?;
    let mut admitted = Vec::with_capacity(batch.len());
    let mut submitted_bytes = 0;
    for Admission { event, to, submitted } in batch {
        if let Some(submitted) = submitted {
            let Some(bytes) = submitted::remove(conn, *submitted, event)? else {
                admitted.push(Admitted { duplicate: true, first: DeliveryId::new(writer.next_seq, 0) });
                continue;
            };
            submitted_bytes += bytes;
        }
        let hash = writer.recent_ids.hash(&event.id);
        if submitted.is_none()
            && let Some(seq) = writer.recent_ids.find(hash)
            && has_id(&mut find_id, seq, &event.id)?
        {
            admitted.push(Admitted { duplicate: true, first: DeliveryId::new(seq, 0) });
            continue;
        }
        let seq = writer.next_seq;
        writer.next_seq += 1;
        let first = DeliveryId::new(seq, 0);
        if !to.is_empty() {
            let operational = event.operational.then_some(true);
            add_event.execute((seq, &event.id, &event.topic, now.0, event.body.as_ref(), operational))?;
            add_deliveries(&mut add_delivery, first, to)?;
            add_rejections(conn, first, to, now)?;
            writer.recent_ids.stage(hash, seq);
            writer.held_watermark.stage(to.len());
        }
        admitted.push(Admitted { duplicate: false, first });
    }
    if submitted_bytes > 0 {
        submitted::sub_backlog_bytes(conn, submitted_bytes)?;
    }
    Ok(admitted)
}

/// Returns whether the event with this sequence number has this id. Returns `false` for an event that retention has
/// removed, so that event is sent again.
fn has_id(find_id: &mut CachedStatement<'_>, seq: i64, id: &str) -> Result<bool, Error> {
    let found =
        find_id.query_row([seq], |row| Ok(sendable_id(row.get_ref(0)?.as_str()?) == id)).optional()?;
    Ok(found.unwrap_or(false))
}

fn add_deliveries(add: &mut CachedStatement<'_>, first: DeliveryId, to: &[Recipient]) -> Result<(), Error> {
    if to.len() >= MAX_FAN_OUT as usize {
        return Err(Error::TooManyRecipients);
    }
    for (id, recipient) in (first.0..).zip(to) {
        let (state, order) = match recipient.placement {
            Placement::Held => (HELD, None),
            Placement::Queued | Placement::Dead(_) => (QUEUED, Some(id)),
        };
        add.execute((id, recipient.sub.0, state, order))?;
    }
    Ok(())
}

/// Ends the deliveries that are dead from the start.
fn add_rejections(
    conn: &Connection,
    first: DeliveryId,
    to: &[Recipient],
    now: UnixMicros,
) -> Result<(), Error> {
    for (id, recipient) in (first.0..).zip(to) {
        let Placement::Dead(rejection) = &recipient.placement else { continue };
        let Rejection { reason, detail } = &**rejection;
        let (state, _, code) = to_columns(State::Dead { reason: *reason }, id);
        let end =
            "UPDATE deliveries SET state = ?2, attempts = 1, due_at = NULL, settled_at = ?3, reason = ?4
                   WHERE id = ?1";
        conn.prepare_cached(end)?.execute((id, state, now.0, code))?;
        let attempt = "INSERT INTO attempts (delivery, number, started_at, duration_us, reason, detail)
                       VALUES (?1, 1, ?2, 0, ?3, ?4)";
        conn.prepare_cached(attempt)?.execute((id, now.0, code, detail))?;
    }
    Ok(())
}

impl Recipient {
    /// Creates a recipient whose delivery the caller keeps in memory, or whose delivery is queued.
    #[must_use]
    pub fn new(sub: SubscriptionKey, held: bool) -> Self {
        Self { sub, placement: if held { Placement::Held } else { Placement::Queued } }
    }
}
